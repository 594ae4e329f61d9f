"""Any ASE calculator as an energy source."""

from __future__ import annotations

import pickle
import subprocess
from collections.abc import Mapping, Sequence
from typing import Any

import ase
import numpy as np
from ase.calculators.abc import GetPropertiesMixin
from ase.calculators.calculator import CalculatorError, PropertyNotImplementedError

from bodyorder._checks import ComputationError, InputError, check_positive, check_switch, first_line
from bodyorder.sources.ase.apart import SetApart
from bodyorder.sources.ase.fingerprint import NOT_PICKLABLE, fingerprint_of
from bodyorder.sources.ase.folders import WorkingFolder, give_folder, why_one_process
from bodyorder.sources.ase.tightening import knobs, tightened
from bodyorder.sources.protocol import Capabilities, EnergySource, Evaluation, Precision
from bodyorder.sources.rounding import tolerance
from bodyorder.sources.spacing import structure
from bodyorder.structures.clusters import ClusterBatch, FloatArray

#: What can be told apart in a float64 energy after the sums of an ordinary classical potential: the least that any energy lacks.
FLOAT64 = Precision(absolute=1e-13, relative=1e-14)
#: How ASE calls what a calculator is asked for.
GETTERS = {"energy": "get_potential_energy", "energies": "get_potential_energies", "forces": "get_forces"}
#: What calculators raise whose program cannot be started, fails or leaves no results.
PROGRAM_FAILED = (CalculatorError, OSError, subprocess.SubprocessError)
#: A calculator whose pickle is at most this many bytes is kept in its unused state.
SMALL = 2**20


class CalculatorSource(EnergySource):
    """An ASE calculator, asked for sub-clusters in vacuum and without a cell, many at once where that is right.

    Atoms of a sub-cluster come with the initial magnetic moments that they have in their structure, if they have any.

    Where a cutoff is given and the calculator has energies of atoms (``energies``), neutral sub-clusters of one size and one set
    of elements are set apart in one large structure and take one call (:mod:`~bodyorder.sources.ase.apart`). That is tried out
    before it is used; all else is evaluated one sub-cluster after the other.

    The given calculator works in its own folder, copies in other processes each in a temporary one
    (:mod:`~bodyorder.sources.ase.folders`).

    :param calculator: instance of an ASE calculator. Its cached results are dropped before each structure.
    :param cutoff: distance in Å beyond which parts of a cluster do not feel each other at all, if there is one. ASE has no
        way to ask a calculator for it; ``check_source`` tests the claim, and so does whatever rests on it
        (:func:`~bodyorder.sources.cutoff.check_cutoff`).
    :param boxed: whether to put every structure into a periodic box that leaves more than the cutoff around it, for
        calculators that cannot do without. Takes a cutoff.
    :param charged: whether the calculator takes charges. The atoms of a sub-cluster then come with their initial charges, and
        their sum in ``info["charge"]``; without it all charges are zero.
    :param invariant: whether congruent sub-clusters, rotated, reflected or permuted, have the same energy to 1e-9 eV; that of
        one then serves all, and is stored as theirs. ``check_source`` tests this claim too.
    :param precision: error of one energy. If not given, nothing is claimed and it is measured with some energies more; a
        calculator that is known to iterate (:mod:`~bodyorder.sources.ase.tightening`) is asked for some converged tighter, too.
    :param fingerprint: a text that changes whenever the energies could. If not given, it is made of the class, its parameters
        and the version of its package (:func:`~bodyorder.sources.ase.fingerprint.fingerprint_of`). What is claimed here and
        changes the numbers is added to it.
    :raises InputError: if the calculator is none, or another argument is not of its kind
    """

    def __init__(  # noqa: PLR0913 - what ASE does not say of a calculator, each with a default
        self,
        calculator: GetPropertiesMixin,
        *,
        cutoff: float | None = None,
        precision: Precision | None = None,
        fingerprint: str | None = None,
        boxed: bool = False,
        charged: bool = False,
        invariant: bool = False,
    ):
        if not isinstance(calculator, GetPropertiesMixin):
            raise InputError(
                f"`calculator` must be an instance of an ASE calculator, got {calculator!r}; a name is for a spec, "
                f"ase:package.module.Class"
            )
        if precision is not None and not isinstance(precision, Precision):
            raise InputError(f"`precision` must be a Precision, got {precision!r}; say Precision(absolute=…), in eV")
        self.calculator = calculator
        self._unused = _small_pickle(calculator)
        self.cutoff = None if cutoff is None else check_positive("cutoff", cutoff)
        self.precision = FLOAT64 if precision is None else precision
        switches = {"boxed": boxed, "charged": charged, "invariant": invariant}
        added = "".join(f" {name}" for name, value in switches.items() if check_switch(name, value))
        if boxed and self.cutoff is None:
            raise InputError(
                "`boxed` must come with a cutoff (`additive_cutoff` in a spec), which sets the size of the box"
            )
        self.boxed = boxed
        # a calculator that does not say what it implements is asked
        implemented = getattr(calculator, "implemented_properties", ()) or GETTERS
        lacking = {
            claim: f"the calculator implements {', '.join(implemented)}"
            for claim, name in {"forces": "forces", "atom_energies": "energies"}.items()
            if name not in implemented
        }
        if not knobs(calculator):
            lacking["tightened"] = "no option is known that it converges its energies to"
        self.capabilities = Capabilities(
            forces="forces" not in lacking,
            atom_energies="atom_energies" not in lacking,
            cell_energy=True,
            charged=charged,
            # how charge and spin are spread over the atoms matters, not their sums alone
            context=("charges",) * charged + ("moments",),
            invariant=invariant,
            serial=True,
            one_process=why_one_process(calculator),
            unproven_cutoff=self.cutoff is not None,
            unproven_precision=precision is None,
            tightened="tightened" not in lacking,
            missing=lacking,
        )
        kind = type(calculator)
        self.name = f"ase:{kind.__module__}.{kind.__qualname__}"
        self.fingerprint = (fingerprint or fingerprint_of(calculator)) + added
        self._folder: WorkingFolder | None = None
        self._apart: SetApart | None = None
        if self.cutoff is not None and "atom_energies" not in lacking and implemented is not GETTERS:
            self._apart = SetApart()

    def __getstate__(self) -> dict[str, Any]:
        # Some calculators (EMT) can be pickled only until they are used.
        state = self.__dict__ | {"_folder": None}
        return state if self._unused is None else state | {"calculator": None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        if self._unused is not None:
            self.calculator = pickle.loads(self._unused)
        self.leave_folder()

    def leave_folder(self) -> None:
        """Have the calculator work in a temporary folder from now on, if it has a working folder."""
        self._folder = give_folder(self.calculator)

    def energies(self, batch: ClusterBatch) -> FloatArray:
        """Energies of the sub-clusters, shape (n,), in eV: what the calculator calls ``energy``.

        :raises FailedClusters: with the calculator's message for each sub-cluster that it could not compute
        :raises InputError: for a calculator without energies
        """
        return self._evaluate(batch, atoms=False, forces=False).whole().energies

    def energies_and_forces(self, batch: ClusterBatch) -> tuple[FloatArray, FloatArray]:
        """Energies, shape (n,), in eV and forces, shape (n, k, 3), in eV/Å.

        :raises FailedClusters: with the calculator's message for each sub-cluster that it could not compute
        :raises InputError: for a calculator without energies or forces
        """
        found = self._evaluate(batch, atoms=False, forces=True).whole()
        assert found.forces is not None
        return found.energies, found.forces

    def evaluate_atoms(self, batch: ClusterBatch, forces: bool) -> Evaluation:
        """Energies of the sub-clusters and of their atoms, which the calculator calls ``energies``, and forces if wanted.

        :raises InputError: for a calculator without energies of atoms, or whose energies of atoms are not its energy together
        """
        return self._evaluate(batch, atoms=True, forces=forces)

    def tightened(self) -> CalculatorSource:
        """The same with its calculator converging energies tighter."""
        if not self.capabilities.tightened:
            raise self._without("tightened")
        other = object.__new__(type(self))
        other.__dict__.update(self.__dict__)
        other.calculator = tightened(self.calculator)
        other._unused = _small_pickle(other.calculator)
        return other

    def _evaluate(self, batch: ClusterBatch, *, atoms: bool, forces: bool) -> Evaluation:
        found = Evaluation.unknown(len(batch), batch.n_atoms, forces=forces, atom_energies=atoms)
        left = np.arange(len(batch)) if self._apart is None else self._apart.fill(self, batch, found)
        names = ["forces"] * forces + ["energies"] * atoms + ["energy"]
        charges = batch.of_members("charges") if self.capabilities.charged else None
        moments = batch.of_members("moments")
        for row in left.tolist():
            try:
                given = dict(zip(names, self.ask(self._structure(batch, row, charges, moments), names), strict=True))
                if atoms:
                    self._check_shares(given["energies"], float(given["energy"]), batch.n_atoms)
                _put(found, row, given)
            except InputError:
                raise
            except PropertyNotImplementedError as error:
                raise InputError(f"{self.name} does not give what is asked for: {error}") from error
            except (
                Exception
            ) as error:  # whatever a foreign program raises is this sub-cluster's failure, and is reported
                found.messages[row] = f"{type(error).__name__}: {first_line(error)}"
                if self._folder is not None and isinstance(error, PROGRAM_FAILED):
                    found.messages[row] += " (in a temporary folder: paths in its command and options must be absolute)"
                continue
            if not all(np.isfinite(values).all() for values in given.values()):
                found.messages[row] = "the calculator gave an energy or forces that are not finite"
        _put(found, list(found.messages), dict.fromkeys(names, np.nan))
        return found

    def cell_energy(self, atoms: ase.Atoms) -> float:
        """Energy of a periodic structure in eV by cell.

        :raises ComputationError: if the calculator fails
        """
        # what sub-clusters are given, and nothing else that the structure carries
        cell = ase.Atoms(atoms.numbers, atoms.positions, cell=atoms.cell, pbc=atoms.pbc, info={"charge": 0})
        if self.capabilities.charged:
            cell.set_initial_charges(atoms.get_initial_charges())
            cell.info["charge"] = round(atoms.get_initial_charges().sum())
        if (moments := atoms.get_initial_magnetic_moments()).any():
            cell.set_initial_magnetic_moments(moments)
        try:
            return float(self.ask(cell, ["energy"])[0])
        except Exception as error:  # whatever a foreign program raises
            raise ComputationError(
                f"{self.name} must give the energy of the periodic structure, and failed: {type(error).__name__}: "
                f"{first_line(error)}"
            ) from error

    def _structure(self, batch: ClusterBatch, row: int, charges: FloatArray | None, moments: FloatArray) -> ase.Atoms:
        """One sub-cluster, with the charges of its atoms if the calculator takes them, and their moments, shape (n, k) each."""
        atoms = batch.to_atoms(row)
        if self.boxed:
            atoms = structure(batch.numbers[[row]], batch.positions[[row]], self.cutoff)
            atoms.info["charge"] = int(batch.charges[row])
        if charges is not None:
            atoms.set_initial_charges(charges[row])
        if moments[row].any():
            atoms.set_initial_magnetic_moments(moments[row])
        return atoms

    def _check_shares(self, shares: Any, energy: float, n_atoms: int) -> None:
        if np.shape(shares) != (n_atoms,):
            raise InputError(
                f"`energies` of {self.name} must be one per atom, of shape ({n_atoms},), and are of {np.shape(shares)}; "
                f"do without energies of atoms"
            )
        if abs(np.sum(shares) - energy) > tolerance(self.precision, abs(energy)):
            raise InputError(
                f"{self.name} must give energies of atoms that add up to its energy, and gives {np.sum(shares):.9g} eV for "
                f"{energy:.9g} eV; do without them"
            )

    def ask(self, atoms: ase.Atoms, names: Sequence[str]) -> list[Any]:
        """Some of ``energy``, ``energies`` and ``forces`` of one structure, as the calculator gives them.

        Forces are best asked for first, since calculators keep the energy that comes with them.
        """
        self._forget()
        return [getattr(self.calculator, GETTERS[name])(atoms) for name in names]

    def _forget(self) -> None:
        """Drop cached results: the cache does not see all that a sub-cluster carries (its charge)."""
        reset = getattr(self.calculator, "reset", None)
        if callable(reset):
            reset()
        else:
            self.calculator.atoms, self.calculator.results = None, {}


def _put(found: Evaluation, rows: int | list[int], given: Mapping[str, Any]) -> None:
    """Write what a calculator gave into an answer."""
    found.energies[rows] = given["energy"]
    if found.forces is not None:
        found.forces[rows] = given["forces"]
    if found.atom_energies is not None:
        found.atom_energies[rows] = given["energies"]


def _small_pickle(calculator: GetPropertiesMixin) -> bytes | None:
    try:
        content = pickle.dumps(calculator)
    except NOT_PICKLABLE:
        return None
    return content if len(content) <= SMALL else None
