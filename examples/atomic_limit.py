"""What becomes of the many-body expansion when the bodies are single atoms: on real hydrogen clusters, in a few minutes.

One cluster of low and one of high density are resolved into body orders by exact and approximate methods, in three spin
rules, two bases, with and without counterpoise. The table shows the orders; the report says what each factor does to them,
which sub-clusters change their spin state, and where the approximate methods leave the exact energies.

    python examples/atomic_limit.py -o atomic_limit
"""

from __future__ import annotations

import argparse
from pathlib import Path

import ase
import xarray as xr

from bodyorder import Report, combine, decompose, save_results, write_report
from bodyorder.analysis import group_convergence
from bodyorder.structures.hydrogen import high_density, low_density

#: What the others are compared with.
REFERENCE = "pyscf:fci/sto-6g?spin=ground"

SOURCES = (
    "pyscf:fci/sto-6g?spin=low",
    REFERENCE,
    "pyscf:fci/sto-6g?spin=high",
    "pyscf:fci/6-31g?spin=ground",
    "pyscf:fci/sto-6g?spin=ground&counterpoise=full",
    "pyscf:uhf/sto-6g?spin=ground",
    "pyscf:uks/sto-6g?spin=ground&xc=pbe",
    "pyscf:ccsd(t)/sto-6g?spin=ground",
)

#: What is left for a first look, in seconds.
QUICK = (*SOURCES[:2], *SOURCES[4:6])


def clusters(n_atoms: int) -> list[ase.Atoms]:
    """A cluster of each density. Of the dense one some sub-clusters of four atoms are triplets."""
    frames = low_density(n_atoms, 1, seed=1) + high_density(n_atoms, 1, seed=1)
    for frame in frames:
        frame.info["group"] = frame.info["group"].removesuffix("-density")
        frame.info["name"] = f"{frame.info['group']}_H{n_atoms}"
    return frames


def run(folder: Path, sources: tuple[str, ...], n_atoms: int) -> xr.DataTree:
    """Resolve the clusters by every source; energies, results and the report go into ``folder``."""
    folder.mkdir(parents=True, exist_ok=True)
    results = {}
    for number, source in enumerate(sources):
        print(f"{number + 1} of {len(sources)}: {source}", flush=True)
        result = decompose(clusters(n_atoms), source, subsets=True, store=folder / "energies.db", progress=True)
        save_results(result, folder / f"result_{number}.nc")
        results[result.attrs["source"]] = result
    combined = combine(results)
    write_report(folder / "report.html", Report(f"H{n_atoms} at the atomic limit", combined, REFERENCE))
    return combined


def print_orders(results: xr.DataTree) -> None:
    """The order totals of every source, eV per atom."""
    means = group_convergence(results)["group_contribution"]
    width = max(len(str(source)) for source in means["source"].values)
    for group in means["group"].values:
        print(f"\nE(n)/N in eV per atom, {group} density")
        print(" " * width, *(f"{f'n = {order}':>9}" for order in means["order"].values))
        for source in means["source"].values:
            values = means.sel(source=source, group=group).values
            print(f"{source:{width}}", *(f"{value:9.3f}" for value in values))


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("-o", "--output", type=Path, default=Path("atomic_limit"), help="folder for results and report")
    parser.add_argument("--atoms", type=int, help="atoms in a cluster (default: 6; 4 with --quick)")
    parser.add_argument("--quick", action="store_true", help="smaller clusters and fewer sources, in seconds")
    given = parser.parse_args(arguments)
    n_atoms = given.atoms or (4 if given.quick else 6)
    print_orders(run(given.output, QUICK if given.quick else SOURCES, n_atoms))
    print(f"\nreport: {given.output / 'report.html'}")


if __name__ == "__main__":
    main()
