"""Whose energy a lone atom has: that of the source, half of two that are far apart, or a given one.

Potentials answer a single atom with whatever they have: an entry of a table, a constant of their training, an error. Where that
is not what two atoms far apart fall into, each lone atom is off by some δ, and the n-body total of N atoms by
(−1)ⁿ⁻¹ C(N − 1, n − 1) Σδ: an expansion of differences between two methods.
"""

from __future__ import annotations

from collections.abc import Mapping
from copy import copy
from dataclasses import replace
from numbers import Real
from types import MappingProxyType
from typing import Literal, TypeAlias

import ase
import numpy as np

from bodyorder._checks import InputError, check_choice, parse_values
from bodyorder.sources.protocol import METHODS, EnergySource, Evaluation, Precision, described
from bodyorder.structures.clusters import KEY_RESOLUTION, ClusterBatch, FloatArray, IntArray
from bodyorder.structures.kinds import AtomKind

#: ``"model"``, ``"dissociation"``, or energies in eV by element, as ``{"H": -13.6}`` or ``{"Na+": …}``.
OneBodyLike: TypeAlias = Literal["model", "dissociation"] | Mapping[str, float]

#: The choices that are words; a mapping is ``"values"``.
CHOICES = ("model", "dissociation")


def check_one_body(given: object) -> tuple[str, dict[AtomKind, float]]:
    """A choice as a word, and the energies (eV) that came with it.

    :raises InputError: if it is no choice, or an energy is no finite number
    """
    if isinstance(given, Mapping):
        values: dict[AtomKind, float] = {}
        for label, energy in given.items():
            kind = AtomKind.parse(label)
            if kind in values:  # Na+ and Na1+
                raise InputError(f"`one_body` must give one energy for each element, and gives two for {kind}")
            values[kind] = energy
        for kind, energy in values.items():
            if isinstance(energy, bool) or not isinstance(energy, Real) or not np.isfinite(float(energy)):
                raise InputError(f"`one_body` must give energies in eV, got {energy!r} for {kind}")
        if not values:
            raise InputError("`one_body` must give the energy of one element or more, got none")
        return "values", {kind: float(energy) for kind, energy in values.items()}
    if not isinstance(given, str) or given == "values":
        raise InputError(
            f"`one_body` must be one of {', '.join(CHOICES)}, or energies in eV by element such as {{'H': -13.6}}, got {given!r}"
        )
    return check_choice("one_body", given, CHOICES), {}


def parse_one_body(text: str) -> OneBodyLike:
    """A choice as the command line has it: a word, or ``H=-13.6,Na+=-4410.5``.

    :raises InputError: if it is neither
    """
    if "=" not in text:
        return check_one_body(text)[0]  # type: ignore[return-value]
    return parse_values("one_body", text, "energy", "energies in eV as H=-13.6,O=-2041.3")


class OneBodySource(EnergySource):
    """A source whose lone atoms have energies of a table; all else is as the source has it.

    Its forces on lone atoms are zero, and of their states nothing is known.

    :param source: of everything but lone atoms
    :param choice: whose energies they are, a word for the fingerprint
    :param values: energies in eV by kind
    :param reasons: why others that occur have none, by kind
    """

    def __init__(
        self,
        source: EnergySource,
        choice: str,
        values: Mapping[AtomKind, float],
        reasons: Mapping[AtomKind, str] = MappingProxyType({}),
    ):
        self.source, self.values, self._reasons = source, dict(values), dict(reasons)
        given = choice == "values"  # by element and charge: moments do not tell them apart then
        self._by_moment = not given and "moments" in source.capabilities.context
        # what follows from the source itself is named by it
        listed = [f" {kind}={energy!r}" for kind, energy in values.items()] if given else []
        self.name = source.name
        self.fingerprint = f"{source.fingerprint} one_body={choice}{''.join(sorted(listed))}"
        can = source.capabilities
        lacking = {claim: f"{source.name} does not give it" for claim in METHODS if not getattr(can, claim)}
        lacking |= dict(can.missing) | {"members": "lone atoms of a table have none; leave `one_body` out"}
        lacking["populations"] = "lone atoms of a table feel no field; leave `one_body` out"
        vacuum = tuple(name for name in can.context if name != "field")
        self.capabilities = replace(can, members=(), member_kind="", populations=(), context=vacuum, missing=lacking)

    @property
    def cutoff(self) -> float | None:  # type: ignore[override]
        """That of the source."""
        return self.source.cutoff

    @property
    def precision(self) -> Precision:  # type: ignore[override]
        """That of the source."""
        return self.source.precision

    def __repr__(self) -> str:
        return described(type(self).__name__, self)

    def energies(self, batch: ClusterBatch) -> FloatArray:
        """Energies of the sub-clusters, shape (n,), in eV.

        :raises FailedClusters: for lone atoms whose energy is not known, and as the source raises it
        """
        return self.source.energies(batch) if batch.n_atoms > 1 else self._alone(batch, forces=False).whole().energies

    def energies_and_forces(self, batch: ClusterBatch) -> tuple[FloatArray, FloatArray]:
        """Energies, shape (n,), in eV and forces, shape (n, k, 3), in eV/Å.

        :raises FailedClusters: as :meth:`energies`
        """
        if batch.n_atoms > 1:
            return self.source.energies_and_forces(batch)
        found = self._alone(batch, forces=True).whole()
        assert found.forces is not None
        return found.energies, found.forces

    def evaluate(self, batch: ClusterBatch, forces: bool) -> Evaluation:
        """Energies, and what the source knows of the states of more than one atom."""
        return self.source.evaluate(batch, forces) if batch.n_atoms > 1 else self._alone(batch, forces=forces)

    def evaluate_hessians(self, batch: ClusterBatch, forces: bool) -> Evaluation:
        """Energies with second derivatives, which lone atoms have none of."""
        if batch.n_atoms > 1:
            return self.source.evaluate_hessians(batch, forces)
        return replace(self._alone(batch, forces=forces), hessians=np.zeros((len(batch), 1, 1, 3, 3)))

    def evaluate_atoms(self, batch: ClusterBatch, forces: bool) -> Evaluation:
        """Energies with those of atoms."""
        if batch.n_atoms > 1:
            return self.source.evaluate_atoms(batch, forces)
        found = self._alone(batch, forces=forces)
        return replace(found, atom_energies=found.energies[:, None].copy())

    def cell_energy(self, atoms: ase.Atoms) -> float:
        """Energy of a periodic structure, which has no lone atoms."""
        return self.source.cell_energy(atoms)

    def tightened(self) -> OneBodySource:
        """The same with the source converging energies tighter; lone atoms are those of the table."""
        other = copy(self)
        other.source = self.source.tightened()
        return other

    def seconds(self, batch: ClusterBatch) -> float:
        """Rough time, as the source has it."""
        return self.source.seconds(batch)

    def megabytes(self, batch: ClusterBatch, forces: bool) -> float:
        """Rough memory, as the source has it."""
        return self.source.megabytes(batch, forces)

    def _alone(self, batch: ClusterBatch, *, forces: bool) -> Evaluation:
        moments = batch.of_members("moments")[:, 0] if self._by_moment else None
        kinds, which = kinds_of(batch.numbers[:, 0], batch.charges, moments)
        energies = np.array([self.values.get(kind, np.nan) for kind in kinds])[which]
        messages = {
            row: f"the energy of a lone {kinds[place]} is not known: {self._reasons.get(kinds[place], '`one_body` lacks it')}"
            for row, place in enumerate(which.tolist())
            if kinds[place] not in self.values
        }
        return Evaluation(energies, np.zeros((len(batch), 1, 3)) if forces else None, messages)


def kinds_of(numbers: np.ndarray, charges: np.ndarray, moments: np.ndarray | None) -> tuple[list[AtomKind], IntArray]:
    """The kinds of some atoms, and which of them each is, shape (n,).

    :param numbers: atomic numbers, shape (n,)
    :param charges: in elementary charges, shape (n,)
    :param moments: shape (n,); None where they tell no kinds apart
    """
    sizes = np.zeros(len(numbers)) if moments is None else np.rint(np.abs(moments) / KEY_RESOLUTION) * KEY_RESOLUTION
    table, which = np.unique(np.column_stack([numbers, np.rint(charges), sizes]), axis=0, return_inverse=True)
    kinds = [AtomKind(int(number), int(charge), float(moment)) for number, charge, moment in table]
    return kinds, which.ravel()


def own_source(source: EnergySource) -> EnergySource:
    """The source of everything but lone atoms."""
    return source.source if isinstance(source, OneBodySource) else source


def stored_as(source: EnergySource, n_atoms: int) -> str:
    """The fingerprint under which energies are kept: of more than one atom that of the source whose energies they are.

    :param n_atoms: of the sub-clusters
    """
    return own_source(source).fingerprint if n_atoms > 1 else source.fingerprint
