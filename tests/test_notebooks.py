"""The example notebooks run, show what they draw, and need no report."""

import itertools
import os
import sys
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

NOTEBOOKS = sorted((Path(__file__).parents[1] / "examples").glob("*.ipynb"))
NO_REPORT = "import sys\nassert not [name for name in sys.modules if name.startswith('bodyorder.report')]"


@pytest.mark.filterwarnings("default")  # of the kernel's client
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebook_runs_without_a_report(path, tmp_path, monkeypatch):
    # the kernel runs in another folder, with the packages of the tests
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(os.path.abspath(folder) for folder in sys.path))
    notebook = nbformat.read(path, as_version=4)
    assert [cell for cell in notebook.cells if cell.get("outputs")] == []  # kept without outputs
    notebook.cells.append(nbformat.v4.new_code_cell(NO_REPORT))
    client = NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(tmp_path)}})
    client.execute()
    assert list(tmp_path.iterdir()) == []
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    outputs = list(itertools.chain(*(cell.outputs for cell in cells)))
    assert [output.text for output in outputs if output.output_type == "stream" and output.name == "stderr"] == []
    assert outputs[-1].data["text/plain"] == "True"  # its result comes back from a file as it was
    for cell in cells:
        shown = [kind for output in cell.outputs for kind in output.get("data", {})]
        assert ("image/png" in shown) == (".mbe.plot." in cell.source)
        if cell.source.endswith(".mbe"):
            assert "text/html" in shown
