"""Potentials that nobody here trained, resolved into body orders and held against loops over plain ASE.

    python examples/potentials.py                               # all whose packages are installed
    python examples/potentials.py emt-gold sw-silicon -o out    # some, results and reports into a folder
    make potentials                                             # all, in an environment of their own, into runs/potentials

For each case: E(n) per body, its noise, and how far the loops are off. Energies in float64 must agree to 1e-8 eV, those in
float32 within the noise, which is measured. The exit code is 1 if any does not, or is refused.
"""

from __future__ import annotations

import argparse
import sys
import time
import warnings
from collections import defaultdict
from collections.abc import Callable
from contextlib import redirect_stdout
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import ase
import numpy as np
import xarray as xr
from ase.calculators.calculator import Calculator
from potentials_cases import CASES, Case
from potentials_loops import Answer, Asked, free_orders, periodic_orders
from potentials_record import default_precision, record, versions_of

from bodyorder import InputError, Report, combine, decompose, load_source, save_results, write_report

T = TypeVar("T")

#: Differences in eV that are rounding in float64.
FLOAT64 = 1e-8
#: Differences that are rounding in float32, in units of the noise: three standard errors of a difference of two numbers.
SIGMAS = 3 * np.sqrt(2)
#: How much farther the loops look in periodic structures than a potential is claimed to reach: a claim too short shows.
BEYOND = 1.1


class Comparison(NamedTuple):
    """What one case gave.

    :param result: of bodyorder
    :param off: distance of the loops from it in eV by structure and order, behind them that of the energy of the whole
    :param allowed: in eV, likewise
    :param rates: sub-clusters by second of processor time, of bodyorder and of the loops
    """

    result: xr.DataTree
    off: np.ndarray
    allowed: np.ndarray
    rates: tuple[float, float]

    @property
    def agrees(self) -> bool:
        """Whether nothing is farther off than allowed."""
        return bool((self.off <= self.allowed).all())


def compare(case: Case) -> Comparison:
    """Resolve the structures of a case both ways.

    :raises InputError: if bodyorder finds a claim about the potential wrong
    """
    potential, structure, max_order = case
    frames = structure.make()
    with redirect_stdout(sys.stderr):  # CHGNet and SO3LR greet
        source = load_source(potential.source)
        calculator = potential.calculator()
    asked = partial(decompose, frames, source, bodies=structure.bodies)
    asked(max_order=1)  # loads what is found ready below
    result, seconds = timed(lambda: asked(max_order=max_order, measure_noise=False))
    answers, their_seconds = timed(lambda: [loop(case, atoms, calculator) for atoms in frames])
    rates = (int(result["n_evaluations"].sum()) / seconds, sum(answer.n_asked for answer in answers) / their_seconds)
    if potential.float32:
        result = asked(max_order=max_order, measure_noise=True)
    mine = np.column_stack([result["contribution"], result["total"]])
    off = np.abs(mine - [[*answer.orders, answer.total] for answer in answers])
    noise = np.column_stack([result["noise"], source.precision.sigma(result["total"].values)])
    return Comparison(result, off, SIGMAS * noise if potential.float32 else np.full_like(off, FLOAT64), rates)


def timed(work: Callable[[], T]) -> tuple[T, float]:
    """What some work gives, and how many seconds of processor time it takes."""
    start = time.process_time()
    found = work()
    return found, time.process_time() - start


def loop(case: Case, atoms: ase.Atoms, calculator: Calculator) -> Answer:
    """The slow way."""
    claims = case.potential.claims
    labels = case.structure.labels(atoms)
    asked = Asked(calculator, claims["additive_cutoff"] if claims.get("boxed") else None)
    if atoms.pbc.any():
        return periodic_orders(atoms, labels, asked, case.max_order, BEYOND * claims["additive_cutoff"])
    return free_orders(atoms, labels, asked, case.max_order or labels.max() + 1)


def print_orders(found: Comparison) -> None:
    """Orders by body, noise and differences of each structure, in eV."""
    print(f"  noise {found.result.attrs['noise']}")
    for row in range(found.result.sizes["structure"]):
        one = found.result.isel(structure=row)
        name = f"{one['group'].item()}: " if "group" in one.coords else ""
        energies = f"E = {float(one['total']):.6f} eV, residual {float(one['residual']):.2e} eV"
        print(f"  {name}{int(one['n_bodies'])} bodies, {energies}")
        lines = {
            "n": [f"{order}" for order in one["order"].values],
            "E(n)/N": [f"{round(value, 5) + 0:.5f}" for value in (one["contribution"] / one["n_bodies"]).values],
            "noise": [f"{value:.0e}" for value in one["noise"].values],
            "off": [f"{value:.0e}" for value in found.off[row, :-1]],
        }
        for title, values in lines.items():
            print(f"    {title:8}", *(f"{value:>10}" for value in values), flush=True)


def print_summary(comparisons: dict[str, Comparison]) -> None:
    """Where each case is farthest off, in units of what is allowed, and the speed of both ways."""
    print(f"\n{'case':18}{'off by eV':>10}{'allowed':>10}{'':>10}{'bodyorder 1/s':>15}{'loops 1/s':>11}")
    for name, found in comparisons.items():
        worst = np.unravel_index(np.argmax(found.off / found.allowed), found.off.shape)
        said = "agrees" if found.agrees else "DISAGREES"
        numbers = f"{found.off[worst]:10.1e}{found.allowed[worst]:10.1e}"
        print(f"{name:18}{numbers}{said:>10}{found.rates[0]:15,.0f}{found.rates[1]:11,.0f}")


def write(folder: Path, name: str, found: Comparison) -> None:
    """The result of a case, and what the table of docs/potentials.md says of it."""
    folder.mkdir(parents=True, exist_ok=True)
    save_results(found.result, folder / f"{name}.nc")
    record(folder / "cases.json", {name: entry(CASES[name], found)})


def write_reports(folder: Path, comparisons: dict[str, Comparison]) -> None:
    """A report for each kind of structure."""
    reports = defaultdict(dict)
    for name, found in comparisons.items():
        potential, structure = name.split("-")
        reports[structure][potential] = found.result
    for structure, results in reports.items():
        path = write_report(folder / f"{structure}.html", Report(f"Potentials: {structure}", combine(results)))
        print(f"report: {path}")


def entry(case: Case, found: Comparison) -> dict[str, Any]:
    """One case for the table: what comes nearest to what is allowed."""
    worst = np.unravel_index(np.argmax(found.off / found.allowed), found.off.shape)
    return {
        "potential": case.potential.name,
        "versions": versions_of(case.potential),
        "structure": case.structure.name,
        "bodies": int(found.result["n_bodies"].max()),
        "order": found.result.sizes["order"],
        "off": float(found.off[worst]),
        "allowed": float(found.allowed[worst]),
        "agrees": found.agrees,
        "rates": list(found.rates),
    }


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("cases", nargs="*", metavar="CASE", help=f"some of {', '.join(CASES)} (default: all)")
    parser.add_argument("-o", "--output", type=Path, help="folder for results and reports")
    given = parser.parse_args(arguments)
    if unknown := set(given.cases) - set(CASES):
        parser.error(f"no case {min(unknown)!r}; cases: {', '.join(CASES)}")
    missing = {name: case.potential.missing for name, case in CASES.items() if case.potential.missing}
    for name in given.cases:
        if name in missing:
            parser.error(f"{name} needs {missing[name]}; install it, or run all cases by `make potentials`")
    comparisons, refused = {}, {}
    for name in given.cases or [name for name in CASES if name not in missing]:
        print(f"{name}: {CASES[name].potential.spec['source']}", flush=True)
        try:
            with (
                warnings.catch_warnings(action="ignore"),
                default_precision(),
            ):  # warnings: of deprecated parts of torch
                comparisons[name] = compare(CASES[name])
        except InputError as error:
            refused[name] = str(error)
            print(f"  refused: {error}", flush=True)
            continue
        print_orders(comparisons[name])
        if given.output is not None:
            write(given.output, name, comparisons[name])
    print_summary(comparisons)
    if missing and not given.cases:
        packages = " ".join(sorted(set(missing.values())))
        print(f"left out: {', '.join(missing)}; pip install {packages}, or make potentials")
    if given.output is not None:
        write_reports(given.output, comparisons)
    for name, why in refused.items():
        print(f"{name} was refused: {why}")
    return 0 if not refused and all(found.agrees for found in comparisons.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
