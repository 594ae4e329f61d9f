"""The energies of all sub-clusters of one structure as they arrive, and what sums over them need."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from bodyorder._checks import ComputationError
from bodyorder.engine.batching import WHOLE, Task
from bodyorder.engine.computation import Wanted
from bodyorder.engine.counterpoise import VMFC
from bodyorder.engine.jobs import Outcome
from bodyorder.engine.noise import Measured, variance
from bodyorder.engine.pieces import Piece
from bodyorder.sources.protocol import CONTAMINATED, EnergySource, Evaluation
from bodyorder.sources.rounding import last_digits
from bodyorder.subsets import Sample, contributions, order_coefficients
from bodyorder.subsets.moebius import with_nothing

#: Nearer than this (eV) to the next state, a state counts as nearly degenerate; 10⁻³ hartree.
DEGENERATE = 0.0272
#: An energy counts as uncertain if its own uncertainty is above this (eV).
UNCERTAIN = 1e-3

#: How each of :data:`bodyorder.results.variables.DOUBTS` but failures shows in which record.
RULES: dict[str, tuple[str, Callable[[np.ndarray], np.ndarray]]] = {
    "n_contaminated": ("contamination", lambda values: values > CONTAMINATED),
    "n_degenerate": ("gap", lambda values: values < DEGENERATE),
    "n_uncertain": ("uncertainty", lambda values: values > UNCERTAIN),
}


@dataclass(frozen=True)
class Evaluated:
    """What all structures of a run share.

    :param source: where the energies come from
    :param wanted: what was asked of it beside energies
    :param measured: what was found out about the error of one energy, if it was
    """

    source: EnergySource
    wanted: Wanted
    measured: Measured = field(default_factory=Measured)


@dataclass
class SubsetEnergies:
    """The energies of all sub-clusters of one structure.

    :param piece: the structure
    :param evaluated: where the energies come from and what was asked for
    :param coefficients: how much each energy counts in each order total (:func:`bodyorder.subsets.order_coefficients`)
    :param energies: for each order that the family keeps E(S) in eV, shape (n_subsets,)
    :param records: what is known of the states behind the energies, by name (see
        :data:`bodyorder.sources.protocol.RECORDS`) and order, shape (n_subsets,)
    :param rounded: whether energies are seen to be float32 numbers, once their noise was asked for
    :param shortfalls: what else the result lacks, a line each
    :param counts: sub-clusters that failed (``n_failed``) or give reason to doubt (:data:`RULES`), by name and order
    """

    piece: Piece
    evaluated: Evaluated
    coefficients: list[np.ndarray]
    energies: list[np.ndarray] = field(init=False)
    records: dict[str, list[np.ndarray]] = field(default_factory=dict)
    whole: float = np.nan
    n_evaluations: int = 0
    rounded: bool = False
    failures: list[str] = field(default_factory=list)
    shortfalls: list[str] = field(default_factory=list)
    counts: dict[str, Counter[int]] = field(default_factory=lambda: {"n_failed": Counter()})

    def __post_init__(self) -> None:
        top, n_sites = self.piece.family.max_order, self.piece.n_sites
        self.energies = self._unknown()
        #: Σ_S c_n(S)·F_a(S) in eV/Å for each order n, shape (max_order, n_sites, 3), or None
        self.force_sums = np.zeros((top, n_sites, 3)) if self.evaluated.wanted.forces else None
        #: Σ_S c_n(S)·E_a(S) in eV with the energies of atoms that the source gives, shape (max_order, n_sites), or None
        self.atom_sums = np.zeros((top, n_sites)) if self.evaluated.wanted.atom_energies else None
        #: Σ_S c_n(S)·E_m(S) in eV of each member m, shape (max_order, m), or None. Of complete energies those of E_m − E:
        #: large numbers that all members have in common then leave no rounding in their spread.
        self.member_sums = np.zeros((top, self.evaluated.wanted.members)) if self.evaluated.wanted.members else None
        #: the same of the whole structure, shape (m,)
        self.whole_members = np.full(self.evaluated.wanted.members, np.nan)
        #: Σ_S c_n(S)·H(S) in eV/Å² for each order n, shape (max_order, n_sites, n_sites, 3, 3), or None
        self.hessian_sums = np.zeros((top, n_sites, n_sites, 3, 3)) if self.evaluated.wanted.hessians else None
        #: of the whole structure, shape (n_sites, n_sites, 3, 3), or None
        self.whole_hessian = None if self.hessian_sums is None else np.full(self.hessian_sums.shape[1:], np.nan)
        #: Forces in eV/Å on the atoms of the whole structure, shape (n_sites, 3), NaN where they are not known, or None
        self.whole_forces = np.full((n_sites, 3), np.nan) if self.evaluated.wanted.forces else None
        #: 1σ in eV of the energy of the whole beyond the precision of its source
        self.whole_uncertainty = 0.0
        #: Σ_S c_n(S)·Σ_a F_a(S) ⊗ r_a in eV, shape (max_order, 3, 3)
        self.virial = np.zeros((top, 3, 3))

    def fill(self, outcome: Outcome, rows: np.ndarray) -> None:
        """Take the energies in some rows of an outcome, all of this structure."""
        task, computed = outcome.task, outcome.computed
        self.n_evaluations += int(outcome.evaluated[rows].sum())
        orders = task.orders[rows]
        for order in np.unique(orders):
            here = rows[orders == order]
            if order == WHOLE:
                self.whole = float(computed.energies[here[0]])
            else:
                self._take(int(order), task, computed, here)
            if order == (self.piece.family.max_order if self.piece.holds_whole else WHOLE):
                self._take_whole(task, computed, int(here[0]))
        for row in sorted(computed.messages.keys() & set(rows.tolist()) if computed.messages else ()):
            atoms = ", ".join(str(atom) for atom in task.batch.members[row])
            self.failures.append(f"atoms {atoms}: {computed.messages[row]}")
            self.counts["n_failed"][int(task.orders[row])] += 1

    def contributions(self) -> list[np.ndarray]:
        """ε(S) in eV for each order that the family keeps, shape (n_subsets,)."""
        return contributions(self.piece.family, self.energies)

    def totals(self, epsilons: list[np.ndarray]) -> np.ndarray:
        """Order totals in eV from the contributions of the subsets, shape (max_order,)."""
        return np.array([values.sum() for values in epsilons])

    @cached_property
    def variances(self) -> list[np.ndarray]:
        """Square of the error of each energy in eV², for each order that the family keeps, shape (n_subsets,).

        To be asked for when all energies are there: it is made once.
        """
        uncertainty = self.records.get("uncertainty", [np.zeros(1)] * len(self.energies))
        return [
            self._variance_of(order, energies, uncertainty[order - 1])
            for order, energies in enumerate(self.energies, start=1)
        ]

    def noise(self) -> np.ndarray:
        """1σ of each order total in eV, shape (max_order,): of independent errors of energies, and of those that they share."""
        return self.noise_of(np.eye(self.piece.family.max_order))

    def noise_of(self, sums: np.ndarray, whole: float = 0.0) -> np.ndarray:
        """1σ in eV of sums of order totals, which have energies in common, without the error of a sample; shape (n_sums,).

        :param sums: how often each order total counts in each sum, shape (n_sums, max_order)
        :param whole: how often the energy of the whole counts in them besides
        """
        variance = np.zeros(len(sums))
        for order, (own, given) in enumerate(zip(self.variances, self.coefficients, strict=False), start=1):
            weights = sums @ given
            if whole and self.piece.holds_whole and order == self.piece.family.max_order:
                weights = weights + whole
            if self.evaluated.measured.convergence:
                counted = weights.sum(axis=1) * (len(own) if weights.shape[1] == 1 else 1)
                variance += self._shared(order, counted)
            if self.rounded and order == 1:
                weights, own = _alike(self.energies[0], weights, own)
            variance += weighted(weights**2, own).sum(axis=1)
        if whole and not self.piece.holds_whole:
            variance += whole**2 * self._variance_of_whole()
        return np.sqrt(variance)

    def member_totals(self, totals: np.ndarray) -> np.ndarray | None:
        """Order totals of each member in eV, shape (max_order, m); None where none were asked for.

        :param totals: order totals of the energy, shape (max_order,)
        """
        if self.member_sums is None or self.evaluated.source.capabilities.member_kind == "parts":
            return self.member_sums
        return totals[:, None] + self.member_sums

    @property
    def total(self) -> float:
        """Energy of the whole structure in eV, NaN where it was not asked for."""
        return float(self.energies[-1][0]) if self.piece.holds_whole else self.whole

    @property
    def failure(self) -> str:
        """Why something is missing, in one line; empty if nothing is."""
        first = next(iter(self.failures), "")
        failed = f"{len(self.failures)} of {self.piece.n_clusters} sub-clusters failed, the first: {first}"
        return "; ".join([failed] * bool(self.failures) + self.shortfalls)

    def take_cell(self) -> None:
        """Ask the source for the energy of a periodic structure, if it is wanted and the source gives one."""
        source, cell = self.evaluated.source, self.piece.cell
        if cell is None or not self.piece.whole or not source.capabilities.cell_energy:
            return
        try:
            self.whole = source.cell_energy(cell.crystal.atoms)
        except ComputationError as error:
            self.shortfalls.append(f"no energy of the cell to hold the orders against: {error}")

    def _take_whole(self, task: Task, computed: Evaluation, row: int) -> None:
        """Take what is known of the whole structure beside its energy."""
        if computed.members is not None:
            self.whole_members = computed.members[row]
        if self.whole_hessian is not None and computed.hessians is not None:
            sites = self.piece.sites(task.batch.members[row])
            self.whole_hessian[np.ix_(sites, sites)] = computed.hessians[row]
        if self.whole_forces is not None and computed.forces is not None:
            self.whole_forces[self.piece.sites(task.batch.members[row])] = computed.forces[row]
        if "uncertainty" in computed.records:
            self.whole_uncertainty = float(np.nan_to_num(computed.records["uncertainty"][row]))

    def _take(self, order: int, task: Task, computed: Evaluation, here: np.ndarray) -> None:
        """Take the energies of subsets of one order."""
        self._keep(order, task, computed, here)
        self._share(order, task, computed, here)
        self._add_members(order, task, computed, here)

    def _keep(self, order: int, task: Task, computed: Evaluation, here: np.ndarray) -> None:
        """Keep what belongs to single subsets."""
        self.energies[order - 1][task.rows[here]] = computed.energies[here]
        for name, values in computed.records.items():
            self.records.setdefault(name, self._unknown())[order - 1][task.rows[here]] = values[here]
        self._count(order, computed, here)

    def _count(self, order: int, computed: Evaluation, here: np.ndarray) -> None:
        """Count what gives reason to doubt."""
        for variable, (name, doubtful) in RULES.items():
            if name in computed.records:
                self.counts.setdefault(variable, Counter())[order] += int(doubtful(computed.records[name][here]).sum())

    def _share(self, order: int, task: Task, computed: Evaluation, here: np.ndarray) -> None:
        """Add what belongs to single atoms to the sums of every order that it counts in."""
        if not self.evaluated.wanted.by_atom:
            return
        weights = self.coefficients[order - 1]
        weights = np.broadcast_to(weights, (len(weights), self.piece.family.sizes[order - 1]))[:, task.rows[here]]
        members = self.piece.sites(task.batch.members[here]).ravel()
        # Orders below the size of a sub-cluster do not hold what it has, and must not catch its NaN.
        for n in range(order - 1, len(weights)):
            if self.atom_sums is not None and computed.atom_energies is not None:
                shares = weighted(weights[n][:, None], computed.atom_energies[here])
                self.atom_sums[n] += np.bincount(members, shares.ravel(), minlength=self.piece.n_sites)
            if self.force_sums is not None and computed.forces is not None:
                forces = weighted(weights[n][:, None, None], computed.forces[here])
                for axis in range(3):
                    sums = np.bincount(members, forces[..., axis].ravel(), minlength=self.piece.n_sites)
                    self.force_sums[n, :, axis] += sums
                self.virial[n] += np.einsum("sax,say->xy", forces, task.batch.positions[here])
            if self.hessian_sums is not None and computed.hessians is not None:
                sites = self.piece.sites(task.batch.members[here])
                curvatures = weighted(weights[n][:, None, None, None, None], computed.hessians[here])
                np.add.at(self.hessian_sums[n], (sites[:, :, None], sites[:, None, :]), curvatures)

    def _add_members(self, order: int, task: Task, computed: Evaluation, here: np.ndarray) -> None:
        """Add the energies of members to the sums of every order that they count in."""
        if self.member_sums is None or computed.members is None:
            return
        energies = computed.members[here]
        if self.evaluated.source.capabilities.member_kind != "parts":
            energies = energies - computed.energies[here, None]
        weights = self.coefficients[order - 1]
        weights = np.broadcast_to(weights, (len(weights), self.piece.family.sizes[order - 1]))[:, task.rows[here]]
        for n in range(order - 1, len(weights)):
            self.member_sums[n] += weighted(weights[n][:, None], energies).sum(axis=0)

    def _variance_of(self, order: int, energies: np.ndarray, uncertainty: np.ndarray) -> np.ndarray:
        digits = last_digits(energies)
        self.rounded |= bool(digits.any())
        return variance(self.evaluated.source, energies, uncertainty, digits, self.evaluated.measured.of(order))

    def _variance_of_whole(self) -> float:
        energies, uncertainty = np.array([self.whole]), np.array([self.whole_uncertainty])
        return float(self._variance_of(self.piece.n_bodies, energies, uncertainty)[0])

    def _shared(self, order: int, counted: np.ndarray | int) -> np.ndarray:
        """Square in eV² of what the error that all energies of an order share is in their sum, which counts them so often."""
        return np.square(counted * np.nan_to_num(self.evaluated.measured.shared(order)))

    def _unknown(self) -> list[np.ndarray]:
        return [np.full(len(rows), np.nan) for rows in self.piece.family.members]


@dataclass
class StreamedEnergies(SubsetEnergies):
    """The subsets of the largest order are reduced to their sum as their energies arrive, after all smaller ones."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self._sum = self._variance = 0.0

    def totals(self, epsilons: list[np.ndarray]) -> np.ndarray:
        """Order totals in eV, shape (max_order,)."""
        return np.append(super().totals(epsilons), self._sum)

    def noise_of(self, sums: np.ndarray, whole: float = 0.0) -> np.ndarray:
        """1σ in eV of sums of order totals, shape (n_sums,)."""
        top = self.piece.family.max_order
        last = self._variance + self._shared(top, self.piece.family.sizes[-1])
        return np.sqrt(super().noise_of(sums, whole) ** 2 + weighted(sums[:, -1] ** 2, last))

    @cached_property
    def _below(self) -> list[np.ndarray]:
        """The contributions of all smaller orders, once their energies are known."""
        return [with_nothing(values) for values in self.contributions()]

    def _keep(self, order: int, task: Task, computed: Evaluation, here: np.ndarray) -> None:
        if order <= len(self.energies):
            super()._keep(order, task, computed, here)
            return
        energies = computed.energies[here]
        epsilon = energies.copy()
        for size, index in self.piece.family.inside(task.parts[here]):
            epsilon -= self._below[size - 1][index]
        self._sum += float(epsilon.sum())
        uncertainty = computed.records.get("uncertainty", np.zeros(len(computed.energies)))[here]
        self._variance += float(self._variance_of(order, energies, uncertainty).sum())
        self._count(order, computed, here)


@dataclass
class CounterpoiseEnergies(SubsetEnergies):
    """Contributions summed up directly, each from energies in the basis functions of its own subset.

    Counterpoise after Valiron and Mayer, see :mod:`bodyorder.engine.counterpoise`. ``energies`` are those of the subsets in
    their own functions; their sum rule does not hold, the difference being the superposition error.
    """

    def __post_init__(self) -> None:
        super().__post_init__()
        self._sums = [np.zeros(size) for size in self.piece.family.sizes]
        self._variances = np.zeros(self.piece.family.max_order)

    def contributions(self) -> list[np.ndarray]:
        """ε(S) in eV for each order, shape (n_subsets,)."""
        return self._sums

    def noise_of(self, sums: np.ndarray, whole: float = 0.0) -> np.ndarray:
        """1σ in eV of sums of order totals, which have no energies in common, shape (n_sums,)."""
        variance = weighted(sums**2, self._variances).sum(axis=1)
        return np.sqrt(variance + (whole**2 * self._variance_of_whole() if whole else 0.0))

    def _take(self, order: int, task: Task, computed: Evaluation, here: np.ndarray) -> None:
        energies, present = computed.energies[here], task.present[here]
        np.add.at(self._sums[order - 1], task.rows[here], np.where((order - present) % 2, -1.0, 1.0) * energies)
        uncertainty = computed.records.get("uncertainty", np.zeros(len(computed.energies)))[here]
        self._variances[order - 1] += self._variance_of(order, energies, uncertainty).sum()
        self._keep(order, task, computed, here[present == order])


@dataclass
class SampledEnergies(SubsetEnergies):
    """Order totals estimated from a sample of the subsets; their noise holds the error of the sampling."""

    @property
    def sample(self) -> Sample:
        """What was drawn."""
        assert self.piece.sample is not None
        return self.piece.sample

    def totals(self, epsilons: list[np.ndarray]) -> np.ndarray:
        """Unbiased estimates of the order totals in eV, shape (max_order,)."""
        return self.sample.totals(epsilons)[0]

    def sampling_errors(self) -> np.ndarray:
        """Standard error of each order total in eV from the scatter of the contributions drawn, shape (max_order,)."""
        return self.sample.totals(self.contributions())[1]

    def noise(self) -> np.ndarray:
        """1σ of each order total in eV from the sampling, the source and the uncertainties of energies, shape (max_order,)."""
        return np.hypot(super().noise(), self.sampling_errors())


def empty(piece: Piece, evaluated: Evaluated) -> SubsetEnergies:
    """Room for all energies of a structure, none of them known."""
    kind = SubsetEnergies
    if piece.counterpoise == VMFC:
        kind = CounterpoiseEnergies
    elif piece.sample is not None:
        kind = SampledEnergies
    elif piece.family.streams:
        kind = StreamedEnergies
    weights = None if piece.sample is None else piece.sample.weights()
    return kind(piece, evaluated, order_coefficients(piece.family, weights))


def weighted(weights: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Products, zero where a weight is: what is not counted must not pass on its NaN."""
    return np.where(weights == 0, 0.0, weights * values)


def _alike(energies: np.ndarray, weights: np.ndarray, variances: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Weights and variances of lone bodies, of which those with the same energy count as one: they are alike, and rounded alike.

    :param energies: shape (n_bodies,)
    :param weights: of each in some orders, shape (n_orders, n_bodies), or (n_orders, 1) for all
    :param variances: shape (n_bodies,)
    """
    _, first, groups = np.unique(energies, return_index=True, return_inverse=True)
    each = np.broadcast_to(weights, (len(weights), len(energies)))
    return np.array([np.bincount(groups, row, len(first)) for row in each]), variances[first]
