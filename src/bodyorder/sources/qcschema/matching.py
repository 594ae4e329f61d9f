"""What a file holds of one sub-cluster, and whether that is what is asked for."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np

from bodyorder.sources.spin.rules import SpinRule
from bodyorder.structures.clusters import ClusterBatch
from bodyorder.structures.reading.schema import SAME_CHARGE

#: How far positions (Å) may be from those of the file; eight decimals in bohr, and values of the bohr that differ.
NEAR = 1e-5


@dataclass(frozen=True)
class PointCharges:
    """Point charges around a sub-cluster, none in vacuum.

    :param charges: in elementary charges, shape (c,)
    :param positions: in Å, shape (c, 3)
    """

    charges: np.ndarray = field(default_factory=lambda: np.empty(0))
    positions: np.ndarray = field(default_factory=lambda: np.empty((0, 3)))

    @classmethod
    def of(cls, charges: np.ndarray, positions: np.ndarray) -> PointCharges:
        """Those that are not zero."""
        kept = charges != 0
        return cls(charges[kept], positions[kept])

    def __bool__(self) -> bool:
        return len(self.charges) > 0

    def is_like(self, other: PointCharges) -> bool:
        """Whether these are others in any order."""
        if len(self.charges) != len(other.charges):
            return False
        if not self:
            return True
        distances = np.linalg.norm(self.positions[:, None] - other.positions[None], axis=2)
        places = distances.argmin(axis=1)
        near = distances[np.arange(len(places)), places] <= NEAR
        same = np.abs(self.charges - other.charges[places]) <= SAME_CHARGE
        return bool((near & same).all()) and len(set(places.tolist())) == len(places)

    def listed(self) -> list[list[float]]:
        """As JSON has them, for the fingerprint."""
        rows = np.column_stack([self.charges, self.positions]).round(6) + 0.0
        return sorted(rows.tolist())


@dataclass(frozen=True)
class Held:
    """One energy of a sub-cluster, or why there is none.

    :param energy: in hartree, NaN where the calculation failed
    :param charge: of the sub-cluster in elementary charges
    :param multiplicity: 2S + 1
    :param around: point charges around it
    :param failure: why there is no energy; empty where there is
    """

    energy: float
    charge: float
    multiplicity: int
    around: PointCharges
    failure: str = ""


@dataclass(frozen=True)
class Asked:
    """What one sub-cluster is asked for in.

    :param charge: in elementary charges
    :param multiplicities: those that a spin rule or moments on its atoms allow, None where there are neither
    :param around: point charges around it
    :param by_rule: whether a spin rule says the multiplicities, of which the lowest state counts
    """

    charge: int
    multiplicities: frozenset[int] | None
    around: PointCharges
    by_rule: bool = False

    @classmethod
    def each(cls, batch: ClusterBatch, rule: SpinRule | None) -> list[Asked]:
        """What the sub-clusters of a batch are asked for in.

        :raises InputError: as the rule raises it
        """
        multiplicities = _by_moments(batch) if rule is None else [_multiplicities(some) for some in rule.spins(batch)]
        return [
            cls(charge, of_row, PointCharges.of(*batch.field_of(row)), rule is not None)
            for row, (charge, of_row) in enumerate(zip(batch.charges.tolist(), multiplicities, strict=True))
        ]

    def choose(self, held: Sequence[Held]) -> Held | str:
        """The one that is meant of all that the file holds of a sub-cluster, or why there is none."""
        if not held:
            return "the file holds no energy of it"
        of_charge = [one for one in held if abs(one.charge - self.charge) <= SAME_CHARGE]
        if not of_charge:
            return f"the file holds it with charge {held[0].charge:+g}, and it is asked for with {self.charge:+d}"
        alike = [one for one in of_charge if one.around.is_like(self.around)]
        if not alike:
            return _other_field(self.around, of_charge[0].around)
        fitting = [one for one in alike if self.multiplicities is None or one.multiplicity in self.multiplicities]
        if not fitting:
            wanted = " or ".join(map(str, sorted(self.multiplicities or ())))
            who = "the spin rule says" if self.by_rule else "moments of its atoms say"
            return f"the file holds it with multiplicity {alike[0].multiplicity}, and {who} {wanted}"
        several = sorted({one.multiplicity for one in fitting})
        if len(several) > 1 and not self.by_rule:
            return (
                f"the file holds it with multiplicities {' and '.join(map(str, several))}; moments on its atoms, or a spin rule "
                "(spin=low), must say which is meant"
            )
        # what failed once and was computed again is known
        return min(fitting, key=lambda one: (bool(one.failure), one.energy))


def _multiplicities(unpaired: Iterable[int]) -> frozenset[int]:
    """Multiplicities of numbers of unpaired electrons."""
    return frozenset(count + 1 for count in unpaired)


def _by_moments(batch: ClusterBatch) -> list[frozenset[int] | None]:
    """Multiplicities that moments on the atoms allow, None where there are none."""
    moments, bodies, charges = (batch.of_members(name) for name in ("moments", "bodies", "charges"))
    found: list[frozenset[int] | None] = [None] * len(batch)
    for row in np.flatnonzero(moments.any(axis=1)).tolist():
        # bodies without moments are closed shells, or have one unpaired electron that points either way
        free = 0
        for body in np.unique(bodies[row]):
            own = bodies[row] == body
            if not moments[row, own].any():
                free += round(float((batch.numbers[row] - charges[row])[own].sum())) % 2
        total = round(float(moments[row].sum()))
        found[row] = _multiplicities(abs(total + turned) for turned in range(-free, free + 1, 2))
    return found


def _other_field(asked: PointCharges, held: PointCharges) -> str:
    if not held:
        return "the file holds it in vacuum, and it is asked for in a field of point charges"
    if not asked:
        return (
            "the file holds it in a field of point charges, and it is asked for in vacuum; give the charges as `field`"
        )
    return "the file holds it in a field of other point charges"
