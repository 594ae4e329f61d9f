"""The examples run, on real energies."""

import runpy
from pathlib import Path

import numpy as np

from bodyorder.engine.results import load

EXAMPLES = Path(__file__).parents[1] / "examples"


def test_the_atomic_limit_in_its_quick_version(tmp_path, capsys):
    main = runpy.run_path(str(EXAMPLES / "atomic_limit.py"))["main"]
    main(["--quick", "-o", str(tmp_path / "run")])
    printed = capsys.readouterr().out
    results = [load(path) for path in sorted((tmp_path / "run").glob("result_*.nc"))]
    assert len(results) >= 4
    for result in results:
        assert result["group"].values.tolist() == ["low", "high"]
        assert np.isfinite(result["contribution"].values).all()
        (line, _) = (line for line in printed.splitlines() if line.startswith(f"{result.attrs['source']} "))
        orders = (result["contribution"] / result["n_bodies"]).isel(structure=0).values
        assert line.split()[1:] == [f"{value:.3f}" for value in orders]
    page = (tmp_path / "run" / "report.html").read_text(encoding="utf-8")
    assert '<section id="diagnosis"' in page
    assert "method uhf → fci" in page
