"""The one place that asks an object what it has: what is loaded is a source, says what it can, and means it."""

from __future__ import annotations

from typing import Any, Protocol, runtime_checkable

import ase
import numpy as np

from bodyorder._checks import InputError
from bodyorder.sources.protocol import (
    METHODS,
    RECORDS,
    REQUIRED,
    Capabilities,
    EnergySource,
    Evaluation,
    Precision,
    check_names,
    described,
)
from bodyorder.structures.clusters import ClusterBatch, System

#: Claims that are tuples of names.
_NAMED = ("members", "populations")


@runtime_checkable
class PlainSource(Protocol):
    """An object that gives energies and is no :class:`~bodyorder.sources.protocol.EnergySource`.

    Attributes and methods mean what they mean there. Without ``capabilities`` it can what it has methods for, and no more.
    """

    name: str
    fingerprint: str
    cutoff: float | None
    precision: Precision

    def energies(self, batch: ClusterBatch) -> np.ndarray:
        """Energies of the sub-clusters, shape (n,), in eV and float64."""
        ...


def adapt(given: Any) -> EnergySource:
    """An energy source, or a plain object as one.

    :raises InputError: if it is none, has names that look like misspelt ones, or claims and methods that do not fit each other
    """
    own = type(given).__name__
    lacking = [name for name in REQUIRED if not hasattr(given, name)]
    if not lacking and not callable(given.energies):
        raise InputError(f"`energies` of {own} must be a method, got {given.energies!r}")
    if isinstance(given, type) or (lacking and not isinstance(given, EnergySource)):
        what = f"the class {given.__name__}" if isinstance(given, type) else own
        raise InputError(
            f"a source must be a string, a mapping, an ASE calculator or an object with {', '.join(REQUIRED[:-1])} and "
            f"{REQUIRED[-1]}(); got {what}"
        )
    if lacking:
        raise InputError(f"{own} must have {' and '.join(lacking)}, and does not; see bodyorder.sources.EnergySource")
    if isinstance(given, EnergySource):
        check_names(own, getattr(given, "__dict__", {}))
        _check_claims(given, own, given.capabilities)
        return given
    for kind in type(given).__mro__[:-1]:
        check_names(own, vars(kind))
    check_names(own, getattr(given, "__dict__", {}))
    claimed = getattr(given, "capabilities", None)
    if claimed is None:
        claimed = _what_it_has(given)
    _check_claims(given, own, claimed)
    return _Adapted(given, claimed)


def _what_it_has(given: PlainSource) -> Capabilities:
    # members and populations have names, which no method tells
    there: dict[str, Any] = {claim: hasattr(given, method) for claim, method in METHODS.items() if claim not in _NAMED}
    return Capabilities(**there | {"records": tuple(RECORDS) if there["records"] else ()})


def _check_claims(given: EnergySource | PlainSource, own: str, capabilities: Any) -> None:
    if not isinstance(capabilities, Capabilities):
        raise InputError(f"`capabilities` of {own} must be Capabilities, got {capabilities!r}")
    for claim, method in METHODS.items():
        has, claims = _has(given, method), bool(getattr(capabilities, claim))
        if claims and not has:
            raise InputError(f"{own} must have a method {method}() to claim {claim}, and has none")
        if has and not claims and claim not in capabilities.missing:
            raise InputError(
                f"{own} must claim {claim} in its capabilities, since it has {method}(); where it cannot be asked, "
                f"missing={{{claim!r}: …}} says why"
            )
    if capabilities.unproven_cutoff and given.cutoff is None:
        raise InputError(f"{own} must have a cutoff to call it unproven, and has none")


def _has(given: EnergySource | PlainSource, method: str) -> bool:
    if isinstance(given, EnergySource):
        return getattr(type(given), method) is not getattr(EnergySource, method)
    return callable(getattr(given, method, None))


class _Adapted(EnergySource):
    """A plain object as a source."""

    def __init__(self, plain: Any, capabilities: Capabilities):
        self._plain = plain
        self.capabilities = capabilities

    @property
    def name(self) -> str:  # type: ignore[override]
        """Its own, and so are the others."""
        return self._plain.name

    @property
    def fingerprint(self) -> str:  # type: ignore[override]
        """Its own."""
        return self._plain.fingerprint

    @property
    def cutoff(self) -> float | None:  # type: ignore[override]
        """Its own."""
        return self._plain.cutoff

    @property
    def precision(self) -> Precision:  # type: ignore[override]
        """Its own."""
        return self._plain.precision

    def __repr__(self) -> str:
        return described(type(self._plain).__name__, self)

    def energies(self, batch: ClusterBatch) -> np.ndarray:
        return self._plain.energies(batch)

    def energies_and_forces(self, batch: ClusterBatch) -> tuple[np.ndarray, np.ndarray]:
        return self._plain.energies_and_forces(batch)

    def evaluate(self, batch: ClusterBatch, forces: bool) -> Evaluation:
        return self._plain.evaluate(batch, forces)

    def evaluate_atoms(self, batch: ClusterBatch, forces: bool) -> Evaluation:
        return self._plain.evaluate_atoms(batch, forces)

    def evaluate_members(self, batch: ClusterBatch, forces: bool) -> Evaluation:
        return self._plain.evaluate_members(batch, forces)

    def cell_energy(self, atoms: ase.Atoms) -> float:
        return self._plain.cell_energy(atoms)

    def seconds(self, batch: ClusterBatch) -> float:
        return self._plain.seconds(batch)

    def megabytes(self, batch: ClusterBatch, forces: bool) -> float:
        return self._plain.megabytes(batch, forces)

    def iterated_charges(self, system: System, kind: str) -> np.ndarray:
        return self._plain.iterated_charges(system, kind)

    def tightened(self) -> EnergySource:
        return adapt(self._plain.tightened())
