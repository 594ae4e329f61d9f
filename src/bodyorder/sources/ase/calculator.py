"""Any ASE calculator as an energy source."""

from __future__ import annotations

import pickle
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import ase
import numpy as np
from ase.calculators.abc import GetPropertiesMixin
from ase.calculators.calculator import CalculatorError, PropertyNotImplementedError

from bodyorder._checks import ComputationError, InputError, check_choice, check_positive, check_switch, first_line
from bodyorder.sources.ase.adaptive import adaptive_remark_of
from bodyorder.sources.ase.apart import SetApart
from bodyorder.sources.ase.fingerprint import Identity, identify
from bodyorder.sources.ase.folders import WorkingFolder, give_folder, why_one_process
from bodyorder.sources.ase.members import members_of, per_model
from bodyorder.sources.ase.pickling import pack
from bodyorder.sources.ase.recipe import Recipe
from bodyorder.sources.ase.survival import may_end_process
from bodyorder.sources.ase.tightening import knobs, tightened
from bodyorder.sources.ase.told import Told
from bodyorder.sources.ase.ways import label_of
from bodyorder.sources.ase.with_torch import OwnDtype, in_own_dtype
from bodyorder.sources.boxes import needs_box, vacuum_of
from bodyorder.sources.differences import numerical_forces, step_for
from bodyorder.sources.protocol import FORCES, Capabilities, EnergySource, Evaluation, Precision
from bodyorder.sources.rounding import tolerance
from bodyorder.sources.spacing import structure
from bodyorder.sources.spec import format_spec
from bodyorder.sources.spin.states import lowest
from bodyorder.structures.clusters import ClusterBatch, FloatArray, IntArray

#: What can be told apart in a float64 energy after the sums of an ordinary classical potential: the least that any energy lacks.
FLOAT64 = Precision(absolute=1e-13, relative=1e-14)
#: How ASE calls what a calculator is asked for.
GETTERS = {"energy": "get_potential_energy", "energies": "get_potential_energies", "forces": "get_forces"}
#: What calculators raise whose program cannot be started, fails or leaves no results.
PROGRAM_FAILED = (CalculatorError, OSError, subprocess.SubprocessError)
#: What a user can say of a calculator's forces.
FORCE_OPTIONS = (*FORCES, "numerical")
#: How forces by differences are named in fingerprints, which change with the formula.
NUMERICAL = "forces by differences 1"


class CalculatorSource(EnergySource):
    """An ASE calculator, asked for sub-clusters in vacuum and without a cell, many at once where that is right.

    Atoms of a sub-cluster come with the initial magnetic moments that they have in their structure, if they have any, or with
    the spin of a rule (:mod:`~bodyorder.sources.ase.told`).

    Where a cutoff is given and the calculator has energies of atoms (``energies``), neutral sub-clusters of one size and one set
    of elements are set apart in one large structure and take one call (:mod:`~bodyorder.sources.ase.apart`). That is tried out
    before it is used; all else is evaluated one sub-cluster after the other.

    The given calculator works in its own folder, copies in other processes each in a temporary one
    (:mod:`~bodyorder.sources.ase.folders`). Those are made again from the recipe, if there is one, and else from a pickle; a
    calculator that has neither runs in one process.

    :param calculator: instance of an ASE calculator. Its cached results are dropped before each structure.
    :param cutoff: distance in Å beyond which parts of a cluster do not feel each other at all, if there is one. ASE has no
        way to ask a calculator for it; ``check_source`` tests the claim, and so does whatever rests on it
        (:func:`~bodyorder.sources.cutoff.check_cutoff`).
    :param boxed: whether to put every structure into a periodic box that leaves more than the cutoff around it, for
        calculators that cannot do without; or how many Å the box leaves around it, which takes no cutoff. Whether anything acts
        across the boxes is tried out (:mod:`~bodyorder.sources.boxes`).
    :param charged: whether the calculator takes charges. The atoms of a sub-cluster then come with their initial charges, and
        their sum under ``charge_key``; without it all charges are zero.
    :param spin: rule for the spin of sub-clusters, one of :data:`~bodyorder.sources.spin.SPIN_RULES`, ``module:function`` or a
        function. Sub-clusters that may have several spins are evaluated in each, and the lowest counts.
    :param charge_key: key of ``info`` that has the charge, ``charge`` if not given and not known
    :param spin_key: key of ``info`` that has the multiplicity 2S + 1, or ``moments`` for initial magnetic moments that add up to
        the number of unpaired electrons; must be given with a rule where it is not known
    :param invariant: whether congruent sub-clusters, rotated, reflected or permuted, have the same energy to 1e-9 eV; that of
        one then serves all, and is stored as theirs. ``check_source`` tests this claim too.
    :param forces: what the calculator's forces are: the ``gradient`` of its energy; ``direct``, a prediction beside it that
        need be no gradient; or not to be asked for, ``numerical``: differences of its energies, 12(k − 1) for k atoms.
        ``check_source`` tells which.
    :param members: key of the calculator's ``results`` with one energy for each member of a committee. Members of ASE's mixing
        calculators are known without it (:func:`~bodyorder.sources.ase.members.members_of`).
    :param n_members: how many these are, where the calculator does not say it (``num_models``)
    :param free_energy: whether to ask for ``free_energy``, of which forces of electrons at a temperature are the gradient,
        in place of ``energy``: ASE's ``force_consistent=True``
    :param precision: error of one energy. If not given, nothing is claimed and it is measured with some energies more; a
        calculator that is known to iterate (:mod:`~bodyorder.sources.ase.tightening`) is asked for some converged tighter, too.
    :param fingerprint: a text that changes whenever the energies could. If not given, it is made of the class, its parameters
        and the version of its package (:func:`~bodyorder.sources.ase.fingerprint.identify`). What is claimed here and
        changes the numbers is added to it.
    :param together: false to evaluate sub-clusters one by one, never many in one large structure
    :param recipe: how the calculator was made
    :raises InputError: if the calculator is none, or another argument is not of its kind; if the calculator has a charge or
        multiplicity of its own that sub-clusters do not have
    """

    def __init__(  # noqa: PLR0913 - what ASE does not say of a calculator, each with a default
        self,
        calculator: GetPropertiesMixin,
        *,
        cutoff: float | None = None,
        precision: Precision | None = None,
        fingerprint: str | None = None,
        boxed: bool | float = False,
        charged: bool = False,
        invariant: bool = False,
        forces: str = "gradient",
        together: bool = True,
        recipe: Recipe | None = None,
        members: str | None = None,
        n_members: int | None = None,
        spin: str | Callable[..., Any] | None = None,
        charge_key: str | None = None,
        spin_key: str | None = None,
        free_energy: bool = False,
    ):
        if not isinstance(calculator, GetPropertiesMixin):
            raise InputError(
                f"`calculator` must be an instance of an ASE calculator, got {calculator!r}; a name is for a spec, "
                f"ase:package.module.Class"
            )
        if precision is not None and not isinstance(precision, Precision):
            raise InputError(f"`precision` must be a Precision, got {precision!r}; say Precision(absolute=…), in eV")
        self.calculator = calculator
        #: torch's default dtype as the calculator has it
        self._own_dtype = OwnDtype() if recipe is None else recipe.own_dtype
        self._own_dtype.settle(calculator)
        self._recipe = recipe
        self._unused, why = (None, recipe.why_one_process()) if recipe is not None else _packed(calculator)
        self.cutoff = None if cutoff is None else check_positive("cutoff", cutoff)
        self.precision = FLOAT64 if precision is None else precision
        self.boxed = vacuum_of(boxed, self.cutoff)
        self._numerical = check_choice("forces", forces, FORCE_OPTIONS) == "numerical"
        self._of_energy = {"force_consistent": True} if check_switch("free_energy", free_energy) else {}
        self._members = members_of(calculator, members, n_members)
        self.told = told = Told(calculator, charged=charged, spin=spin, charge_key=charge_key, spin_key=spin_key)
        identity = identify(calculator) if recipe is None else recipe.identify(calculator)
        if fingerprint:
            identity = Identity(fingerprint, {})
        box = "" if self.boxed is None else "boxed" if boxed is True else f"boxed={self.boxed:g}"
        said = {
            box: bool(box),
            "charged": check_switch("charged", charged),
            "invariant": check_switch("invariant", invariant),
            "free_energy": free_energy,
            NUMERICAL: self._numerical,
            f"members={members} n_members={len(self._members.names) if self._members else 0}": members is not None,
        }
        lacking = self._lacking(forces=not self._numerical, free_energy=free_energy, members=members)
        self.capabilities = Capabilities(
            forces="forces" not in lacking,
            force_kind="direct" if forces == "direct" else "gradient",
            members=() if self._members is None else self._members.names,
            member_kind="" if self._members is None else self._members.kind,
            records=("multiplicity",) if told.rule else (),
            atom_energies="atom_energies" not in lacking,
            cell_energy="cell_energy" not in lacking,
            charged=charged,
            context=told.context,
            # a rule that the user wrote may look at directions
            invariant=invariant and not (told.rule and told.rule.identity),
            serial=True,
            one_process=why_one_process(calculator) or why,
            fleeting_fingerprint=identity.fleeting,
            unproven_cutoff=self.cutoff is not None,
            remark=adaptive_remark_of(calculator),
            spin=told.rule.name if told.rule else "none",
            unproven_precision=precision is None,
            tightened="tightened" not in lacking,
            missing=lacking,
        )
        self.name = format_spec("ase", label_of(calculator), told.options)
        self.fingerprint = identity.text + "".join(f" {what}" for what, holds in said.items() if holds) + told.identity
        #: whether the calculator leaves its working folder before its next structure
        self.leaves_folder = False
        self._folder: WorkingFolder | None = None
        self._apart: SetApart | None = None
        # sub-clusters of one structure have one spin
        shares = "atom_energies" not in lacking and self._implemented() and not told.rule
        if check_switch("together", together) and self.cutoff is not None and shares:
            self._apart = SetApart(may_end_process(calculator))

    def _implemented(self) -> Sequence[str]:
        """What the calculator says that it implements; nothing if it says nothing, and then it is asked."""
        return getattr(self.calculator, "implemented_properties", ())

    def _lacking(self, *, forces: bool, free_energy: bool, members: str | None) -> dict[str, str]:
        """What cannot be claimed, and why or what to do.

        :param forces: whether they are the calculator's
        :raises InputError: if its free energy is wanted, and it has none
        """
        implemented = self._implemented() or GETTERS
        listed = f"the calculator implements {', '.join(implemented)}"
        if free_energy and self._implemented() and "free_energy" not in implemented:
            raise InputError(
                f"`free_energy` must be something that the calculator implements, {type(self.calculator).__name__} implements "
                f"{', '.join(implemented)}; leave it out: where there is one energy only, it often is the free energy"
            )
        lacking = {"forces": listed} if forces and "forces" not in implemented else {}
        if "energies" not in implemented:
            lacking["atom_energies"] = listed
        elif members == "energies":
            lacking["atom_energies"] = "its `energies` are those of members"
        if self._members is None:
            lacking["members"] = "members=KEY says which of its results hold them"
        if self.told.rule is None:
            lacking["records"] = "no rule chooses its spin, such as spin=ground"
        else:
            lacking["cell_energy"] = "a cell has no spin by a rule for sub-clusters"
        if not knobs(self.calculator):
            lacking["tightened"] = "no option is known that it converges its energies to"
        return lacking

    def __getstate__(self) -> dict[str, Any]:
        # Some calculators (EMT) can be pickled only until they are used.
        state = self.__dict__ | {"_folder": None}
        return state if self._unused is None and self._recipe is None else state | {"calculator": None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        if self._recipe is not None:
            self.calculator = self._recipe.again()
        elif self._unused is not None:
            self.calculator = pickle.loads(self._unused)
        self.leave_folder()

    def leave_folder(self) -> None:
        """Have the calculator work in a temporary folder from now on, if it has a working folder."""
        self.leaves_folder, self._folder = False, give_folder(self.calculator)

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

    def evaluate(self, batch: ClusterBatch, forces: bool) -> Evaluation:
        """Energies, forces if wanted, and the multiplicity of each sub-cluster by the spin rule.

        :raises InputError: as :meth:`energies`, or if there is no rule
        """
        if self.told.rule is None:
            raise self._without("records")
        return self._evaluate(batch, atoms=False, forces=forces)

    def evaluate_atoms(self, batch: ClusterBatch, forces: bool) -> Evaluation:
        """Energies of the sub-clusters and of their atoms, which the calculator calls ``energies``, and forces if wanted.

        :raises InputError: for a calculator without energies of atoms, or whose energies of atoms are not its energy together
        """
        return self._evaluate(batch, atoms=True, forces=forces)

    def evaluate_members(self, batch: ClusterBatch, forces: bool) -> Evaluation:
        """Energies of the sub-clusters and of members, one sub-cluster after the other, and forces if wanted.

        :raises InputError: for a calculator without members, or whose results do not hold them
        """
        if self._members is None:
            raise self._without("members")
        return self._evaluate(batch, atoms=False, forces=forces, members=True)

    def tightened(self) -> CalculatorSource:
        """The same with its calculator converging energies tighter."""
        if not self.capabilities.tightened:
            raise self._without("tightened")
        other = object.__new__(type(self))
        other.__dict__.update(self.__dict__)
        other.calculator = tightened(self.calculator)
        # the recipe makes the other one
        other._recipe, (other._unused, why) = None, _packed(other.calculator)
        if why:
            other.capabilities = replace(self.capabilities, one_process=why)
        return other

    @in_own_dtype
    def _evaluate(self, batch: ClusterBatch, *, atoms: bool, forces: bool, members: bool = False) -> Evaluation:
        def work(states: ClusterBatch, unpaired: IntArray | None) -> Evaluation:
            found = self._of_states(
                states, unpaired, atoms=atoms, forces=forces and not self._numerical, members=members
            )
            if len(states) > len(batch):
                self.told.notice(states, found)
            return found

        self.told.check(batch)
        try:
            found = lowest(self.told.rule, batch, work)
            return self._with_differences(found, batch) if forces and self._numerical else found
        finally:
            if self.told.give_back(self.calculator):
                self._forget()

    def _of_states(
        self, batch: ClusterBatch, unpaired: IntArray | None, *, atoms: bool, forces: bool, members: bool
    ) -> Evaluation:
        count = len(self.capabilities.members) if members else 0
        found = Evaluation.unknown(len(batch), batch.n_atoms, forces=forces, atom_energies=atoms, members=count)
        # members are those of the structure that is computed, and cannot be told apart in a large one
        apart = None if members else self._apart
        left = np.arange(len(batch)) if apart is None else apart.fill(self, batch, found)
        names = ["forces"] * forces + ["energies"] * atoms + ["energy"]
        tell = self.told.of(batch, unpaired)
        for row in left.tolist():
            try:
                given = dict(zip(names, self.ask(tell(self._structure(batch, row), row), names), strict=True))
                self.told.check_electrons(self.calculator, int(batch.charges[row]))
                if atoms:
                    self._check_shares(given["energies"], float(given["energy"]), batch.n_atoms)
                if members and self._members is not None:
                    given["members"] = self._members.read(self.calculator)
                _put(found, row, given)
            except InputError:
                raise
            except PropertyNotImplementedError as error:
                raise InputError(f"{self.name} does not give what is asked for: {error}") from error
            # whatever a foreign program raises is this sub-cluster's failure, and is reported; sys.exit is no reason to end
            except (Exception, SystemExit) as error:
                found.messages[row] = f"{type(error).__name__}: {first_line(error)}"
                if self._folder is not None and isinstance(error, PROGRAM_FAILED):
                    found.messages[row] += " (in a temporary folder: paths in its command and options must be absolute)"
                if self.boxed is None and needs_box(error):
                    found.messages[row] += (
                        " (a calculator that needs a periodic cell gets one by boxed=true or boxed=30)"
                    )
                continue
            if not all(np.isfinite(values).all() for values in given.values()):
                found.messages[row] = "the calculator gave an energy or forces that are not finite"
        _put(found, list(found.messages), dict.fromkeys([*names, "members"], np.nan))
        return found

    def _with_differences(self, found: Evaluation, batch: ClusterBatch) -> Evaluation:
        """The same with forces by differences of energies."""
        size = np.max(np.abs(found.energies), where=np.isfinite(found.energies), initial=0.0)
        moved = numerical_forces(self.energies, batch, step_for(self.precision, float(size)))
        found.forces, found.messages = moved.forces, moved.messages | found.messages
        _put(found, list(found.messages), dict.fromkeys(("energy", "energies", "forces", "members"), np.nan))
        return found

    @in_own_dtype
    def energies_in_boxes(self, batch: ClusterBatch, vacuum: float) -> FloatArray:
        """Energies of the sub-clusters one by one, shape (n,), in eV, in boxes that leave this many Å around them.

        :raises FailedClusters: with the calculator's message for each sub-cluster that it could not compute
        """
        own = self.boxed, self._apart
        self.boxed, self._apart = vacuum, None
        try:
            return self.energies(batch)
        finally:
            self.boxed, self._apart = own

    @in_own_dtype
    def cell_energy(self, atoms: ase.Atoms) -> float:
        """Energy of a periodic structure in eV by cell.

        :raises ComputationError: if the calculator fails
        """
        if self.told.rule is not None:
            raise self._without("cell_energy")
        cell = self.told.cell(atoms)
        try:
            return float(self.ask(cell, ["energy"])[0])
        except Exception as error:  # whatever a foreign program raises
            raise ComputationError(
                f"{self.name} must give the energy of the periodic structure, and failed: {type(error).__name__}: "
                f"{first_line(error)}"
            ) from error

    def _structure(self, batch: ClusterBatch, row: int) -> ase.Atoms:
        """One sub-cluster."""
        if self.boxed is not None:
            return structure(batch.numbers[[row]], batch.positions[[row]], self.boxed)
        return batch.to_atoms(row)

    def _check_shares(self, shares: Any, energy: float, n_atoms: int) -> None:
        if np.shape(shares) != (n_atoms,):
            raise InputError(
                f"`energies` of {self.name} must be one per atom, of shape ({n_atoms},), and are of {np.shape(shares)}"
                f"{per_model(self.calculator, np.shape(shares))}; do without energies of atoms"
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
        if self.leaves_folder:
            self.leave_folder()
        if self._folder is not None:
            self._folder.empty()
        return [
            getattr(self.calculator, GETTERS[name])(atoms, **(self._of_energy if name == "energy" else {}))
            for name in names
        ]

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
    if found.members is not None:
        found.members[rows] = given["members"]


def _packed(calculator: GetPropertiesMixin) -> tuple[bytes | None, str]:
    """A small pickle of a calculator, and why it cannot be pickled at all."""
    content, why = pack(calculator)
    if why:
        why = f"{type(calculator).__name__} cannot be pickled ({why}); for several, name it by a spec, ase:package.module.Class"
    return content, why
