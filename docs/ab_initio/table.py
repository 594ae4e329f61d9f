"""The table of docs/ab_initio.md: systems that quantum chemists bring, and each of their sub-clusters by plain PySCF beside.

    python docs/ab_initio/table.py              # computes what is missing, and writes the page
    python docs/ab_initio/table.py NAME …       # computes these systems anew
    python docs/ab_initio/table.py --check      # whether the page holds what systems.json says

Plain PySCF is a loop over sub-clusters: a mean field from its own guess, taken on by its own stability analysis until it is
stable, and the method on top, for every multiplicity that the rule allows and atoms of this size can have; the lowest counts.
Hartree–Fock has a second start, in which the spins of the highest pair part, and what is correlated is the lower of both: the
analysis calls solutions of full symmetry stable that are not, such as that of a beryllium atom. Time is that of the first start.
"""

from __future__ import annotations

import hashlib
import json
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
from ase.units import Hartree
from pyscf import ao2mo, cc, dft, fci, gto, mp, scf
from systems import CASES, Case

from bodyorder import decompose
from bodyorder.sources.pyscf.source import SOLVER
from bodyorder.sources.spec import parse_spec
from bodyorder.structures.bodies import find_bodies

HERE = Path(__file__).parent
PAGE, FOUND = HERE.parent / "ab_initio.md", HERE / "systems.json"
BEGIN, END = "<!-- made by docs/ab_initio/table.py: begin -->\n", "<!-- made by docs/ab_initio/table.py: end -->\n"
HEADS = (
    "system",
    "energies",
    "orders from 2 on, eV",
    "states",
    "equal to plain PySCF",
    "lower",
    "higher",
    "time, ours : plain",
)
#: Energies (hartree) further apart than this are those of two states, or wrong.
SAME = 1e-6
#: Steps of a plain mean field towards a stable one, and the highest multiplicity that is tried.
STABLE, HIGHEST = 8, 7


def origin(case: Case) -> str:
    """What decides the numbers of a system: its atoms, charges and bodies, the source and its solver."""
    atoms = case.atoms
    parts = [atoms.numbers, atoms.positions.round(8), atoms.get_initial_charges().round(8)]
    text = " ".join([case.bodies, case.source, str(SOLVER), *(str(part.tolist()) for part in parts)])
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def computed(case: Case) -> dict[str, Any]:
    """What a system comes to."""
    begin = time.process_time()
    result = decompose(case.atoms, case.source, bodies=case.bodies, subsets=True)
    ours = time.process_time() - begin
    failure = str(result.failure.values[0])
    subsets = result.subsets
    energies = subsets.subset_energy.values / Hartree
    multiplicities = subsets.subset_multiplicity.values
    plain, seconds = np.array([lowest(case, members[members >= 0]) for members in subsets.subset_members.values]).T
    theirs = float(seconds.sum())
    apart = energies - plain
    return {
        "origin": origin(case),
        "orders": result.contribution.values[0].tolist(),
        "noise": result.noise.values[0].tolist(),
        "failure": failure,
        "multiplicities": {
            str(int(one)): int((multiplicities == one).sum()) for one in np.unique(multiplicities[multiplicities > 0])
        },
        "doubts": {
            name: int(result[name].sum())
            for name in ("n_failed", "n_contaminated", "n_degenerate", "n_uncertain")
            if name in result
        },
        "equal": int((np.abs(apart) <= SAME).sum()),
        "lower": int((apart < -SAME).sum()),
        "higher": int((apart > SAME).sum()),
        "apart": [float(np.nanmin(apart)), float(np.nanmax(apart))],
        "seconds": [ours, theirs],
    }


def lowest(case: Case, bodies: np.ndarray) -> tuple[float, float]:
    """The lowest energy (hartree) of a sub-cluster that plain PySCF finds, NaN where nothing converges, and its seconds."""
    atoms = case.atoms
    labels = np.arange(len(atoms)) if case.bodies == "atoms" else find_bodies(atoms, case.bodies).labels
    some = atoms[np.isin(labels, bodies)]
    _, target, options = parse_spec(case.source)
    method, _, basis = target.partition("/")
    symbols = some.get_chemical_symbols()
    molecule = gto.Mole()
    molecule.build(
        atom=list(zip(symbols, some.positions, strict=True)),
        basis=basis,
        ecp=basis if basis.startswith("def2") else {},
        charge=round(some.get_initial_charges().sum()),
        spin=None,
        verbose=0,
    )
    least = molecule.nelectron % 2
    spins = [least] if options["spin"] == "low" else range(least, HIGHEST, 2)
    found = [state(molecule, spin, method, options) for spin in spins if spin <= molecule.nelectron]
    lowest = min((energy for energy, _ in found if np.isfinite(energy)), default=np.nan)
    return lowest, sum(seconds for _, seconds in found)


def state(molecule: gto.Mole, spin: int, method: str, options: dict[str, Any]) -> tuple[float, float]:
    """The energy (hartree) of one multiplicity by plain PySCF, and how many seconds its first start takes."""
    begin = time.process_time()
    mol = molecule.copy()
    mol.spin = spin
    if mol.nelec[0] > mol.nao:
        return np.nan, 0.0
    if method == "fci":
        field = scf.ROHF(mol).run()
        solver = fci.direct_spin1.FCI()
        one = field.mo_coeff.T @ field.get_hcore() @ field.mo_coeff
        two = ao2mo.restore(8, ao2mo.kernel(mol, field.mo_coeff), mol.nao)
        found = solver.kernel(one, two, mol.nao, mol.nelec, nroots=4, max_cycle=200)[0]
        return float(np.min(found)) + mol.energy_nuc(), time.process_time() - begin
    first = mean_field(mol, method, options)
    energy = on_top(first, method)
    seconds = time.process_time() - begin
    if method != "uks" and mol.nelec[1] and mol.nelec[0] < mol.nao:
        second = mean_field(mol, method, options, parted(first))
        if second.converged and second.e_tot <= first.e_tot - SAME:
            energy = on_top(second, method)
    return energy, seconds


def mean_field(mol: gto.Mole, method: str, options: dict[str, Any], density: np.ndarray | None = None) -> scf.uhf.UHF:
    """A mean field that plain PySCF calls stable, if it converged."""
    field = dft.UKS(mol, xc=options["xc"]) if method == "uks" else scf.UHF(mol)
    if method == "uks":
        field.grids.level = 4
    field.conv_tol = 1e-10
    field.kernel(density)
    for _ in range(STABLE):
        if not field.converged:
            field = field.newton()
            field.kernel()
        orbitals, _, stable, _ = field.stability(return_status=True)
        if stable:
            break
        field = field.newton()
        field.kernel(orbitals, field.mo_occ)
    return field


def parted(field: scf.uhf.UHF) -> np.ndarray:
    """Densities in which one electron of either spin is halfway between its highest orbital and the next, on opposite sides."""
    orbitals = np.array(field.mo_coeff)
    for spin, (sign, count) in enumerate(zip((1.0, -1.0), field.mol.nelec, strict=True)):
        filled = np.argsort(-field.mo_occ[spin], kind="stable")
        last, empty = filled[count - 1], filled[count]
        orbitals[spin][:, last] = (orbitals[spin][:, last] + sign * orbitals[spin][:, empty]) / np.sqrt(2.0)
    return field.make_rdm1(orbitals, field.mo_occ)


def on_top(field: scf.uhf.UHF, method: str) -> float:
    """The energy (hartree) of a method whose mean field this is, NaN where something has not converged."""
    if not field.converged:
        return np.nan
    if method in ("uhf", "uks") or field.mol.nelectron < 2:
        return float(field.e_tot)
    if hasattr(field, "undo_newton"):
        field = field.undo_newton()
    if method == "mp2":
        return float(mp.UMP2(field).run().e_tot)
    solved = cc.UCCSD(field)
    solved.conv_tol = 1e-9
    solved.max_cycle = 200
    solved.kernel()
    if not solved.converged:
        return np.nan
    return float(solved.e_tot + (solved.ccsd_t() if method == "ccsd(t)" else 0.0))


def row(case: Case, found: dict[str, Any]) -> list[str]:
    """The row of one system."""
    orders = ", ".join(f"{energy:+.3f}" for energy in found["orders"][1:])
    orders = f"refused: {found['failure']}" if found["failure"] else orders
    states = ", ".join(f"{count} × {spin}" for spin, count in found["multiplicities"].items())
    doubts = [f"{count} {name.removeprefix('n_')}" for name, count in found["doubts"].items() if count]
    ours, plain = found["seconds"]
    return [
        case.name,
        f"`{case.source.removeprefix('pyscf:')}`",
        orders,
        "; ".join([states, *doubts]),
        str(found["equal"]),
        str(found["lower"]),
        str(found["higher"]),
        f"{ours:.1f} : {plain:.1f} s",
    ]


def table(found: dict[str, dict[str, Any]]) -> str:
    """The lines of the table."""
    rows = [row(case, found[case.name]) for case in CASES]
    lines = [HEADS, ["---"] * len(HEADS), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def main() -> None:
    asked = sys.argv[1:]
    found = json.loads(FOUND.read_text(encoding="utf-8")) if FOUND.exists() else {}
    check = asked == ["--check"]
    if not check:
        for case in CASES:
            if case.name in asked or found.get(case.name, {}).get("origin") != origin(case):
                found[case.name] = computed(case)
                print(case.name, json.dumps(found[case.name], ensure_ascii=False), flush=True)
                FOUND.write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    before, rest = PAGE.read_text(encoding="utf-8").split(BEGIN)
    page = before + BEGIN + "\n" + table(found) + "\n" + END + rest.split(END)[1]
    stale = [case.name for case in CASES if found[case.name].get("origin") != origin(case)]
    if check and stale:
        sys.exit(f"docs/ab_initio/systems.json must be of these systems and solvers, and is older: {', '.join(stale)}")
    if check:
        sys.exit(page != PAGE.read_text(encoding="utf-8") and "docs/ab_initio.md must hold the table of systems.json")
    PAGE.write_text(page, encoding="utf-8")


if __name__ == "__main__":
    main()
