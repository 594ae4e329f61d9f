"""What an energy source is, how one is named, and how names become sources. Importing this imports no backend."""

from __future__ import annotations

import ast
import importlib
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.metadata import entry_points
from typing import Any, Protocol, TypeAlias, runtime_checkable
from urllib.parse import unquote

import numpy as np
from ase.calculators.abc import GetPropertiesMixin

from bodyorder._checks import InputError, did_you_mean
from bodyorder.structures.clusters import ClusterBatch

#: Entry-point group under which third parties register ``scheme = "package.module:factory"``.
ENTRY_POINT_GROUP = "bodyorder.sources"

#: Schemes that come with the package. A factory is called as ``factory(target, **options)``.
BUILTIN_FACTORIES = {
    "analytic": "bodyorder.sources.analytic:load",
    "ase": "bodyorder.sources.named_calculator:load",
    "mace": "bodyorder.sources.mace:load",
    "metatomic": "bodyorder.sources.metatomic:load",
    "pyscf": "bodyorder.sources.pyscf:load",
}


@dataclass(frozen=True)
class Precision:
    """1σ error of one energy: √(absolute² + (relative·E)²).

    :param absolute: in eV
    :param relative: as a fraction of the energy
    """

    absolute: float = 0.0
    relative: float = 0.0

    def sigma(self, energies: np.ndarray) -> np.ndarray:
        """Error of each energy in eV, in the shape of ``energies``."""
        return np.hypot(self.absolute, self.relative * np.abs(energies))


@runtime_checkable
class EnergySource(Protocol):
    """Anything that gives energies of sub-clusters.

    A source must be picklable (worker processes receive it that way), and the energy of a sub-cluster must not depend on
    what else is in the batch. Sources that also give forces have
    ``energies_and_forces(batch) -> (energies (n,) in eV, forces (n, k, 3) in eV/Å)``. A source that knows more of every
    sub-cluster than its energy has ``evaluate(batch, forces: bool) -> Evaluation``, which is then called instead of both
    (:class:`~bodyorder.sources.evaluation.Evaluation`). A source whose energy is a sum over atoms has
    ``evaluate_atoms(batch, forces: bool) -> Evaluation``, the same with ``atom_energies``, which add up to the energy of their
    sub-cluster; it is called where a user asks for them, and raises :class:`~bodyorder._checks.InputError` if the model behind
    it has none. These attributes are optional:

    - ``batch_size``: most sub-clusters per call that suit the source
    - ``seconds(batch) -> float``: rough time of the first sub-cluster of a batch on one core; batches then hold fewer of those
      that take long
    - ``megabytes(batch, forces: bool) -> float``: rough memory of a process that computes a batch of sub-clusters like its first
    - ``processes``: True if it runs one sub-cluster after the other on one core, so that worker processes pay off, and so does
      evaluating a sub-cluster that occurs again only once where there is no store
    - ``one_process``: why it must not run in several processes at once, as a clause; it then runs in that of the caller
    - ``invariant``: True if a rotated or reflected copy of a sub-cluster has the same energy to 1e-9 eV, and so has one with
      its atoms in another order; one energy then serves all copies
    - ``versions``: of the programs behind it by name, as ``dict[str, str]``, which results record
    - ``forces_advice``: for a source without forces, what to do for them, as the end of a sentence
    - ``charged``: True if it takes charged sub-clusters
    - ``context``: what of the structure around its atoms a sub-cluster's energy depends on, some of ``"moments"``,
      ``"bodies"`` and ``"charges"`` (see :class:`~bodyorder.structures.System`)
    - ``cell_energy(atoms) -> float``: energy in eV of a periodic :class:`ase.Atoms` by cell, which the orders of a periodic
      structure are held against
    - ``costly``: True if energies take longer than naming a sub-cluster, some µs, so that copies are looked for in runs that
      keep nothing, too; sources with ``processes`` need not say it
    - ``claims_cutoff``: True if its cutoff is the word of the user, which is tried out before anything rests on it
      (:func:`~bodyorder.sources.reach.check_cutoff`)
    - ``rounds``: True if energies are rounded so coarsely (single precision) that their error is worth measuring on copies
    - ``counterpoise``: ``"none"``, ``"full"`` or ``"vmfc"``, whose functions a sub-cluster is given beside its own
    """

    #: what a person calls it
    name: str
    #: changes whenever the numbers could: hash of the model file, method, basis, spin rule, version of the package
    fingerprint: str
    #: distance in Å beyond which parts of a cluster do not feel each other at all, or None if energies are not additive
    cutoff: float | None
    precision: Precision

    def energies(self, batch: ClusterBatch) -> np.ndarray:
        """Energies of the sub-clusters, shape (n,), in eV and float64."""
        ...


SourceLike: TypeAlias = str | Mapping[str, Any] | EnergySource | GetPropertiesMixin


def load_source(spec: SourceLike) -> EnergySource:
    """Get an energy source from its name.

    :param spec: a string ``scheme:target?option=value&…`` such as ``pyscf:fci/sto-6g?spin=ground`` or
        ``ase:ase.calculators.lj.LennardJones?epsilon=0.01``; the same as a mapping, ``{"source": "pyscf:fci/sto-6g",
        "spin": "ground"}``; an ASE calculator instance; or an energy source, which is returned as it is.
    :raises InputError: for an unknown scheme or option (the message names the nearest known one), or a missing extra
    """
    if isinstance(spec, GetPropertiesMixin):
        from bodyorder.sources.calculator import CalculatorSource

        return CalculatorSource(spec)
    if isinstance(spec, str | Mapping):
        scheme, target, options = parse_spec(spec)
        factory = _factory(scheme)
        _check_options(f"{scheme}:{target}", factory, options)
        return factory(target, **options)
    if isinstance(spec, EnergySource):
        return spec
    raise InputError(
        f"a source must be a string, a mapping, an ASE calculator or an object with name, fingerprint, cutoff, precision "
        f"and energies(); got {type(spec).__name__}"
    )


def parse_spec(spec: str | Mapping[str, Any]) -> tuple[str, str, dict[str, Any]]:
    """Split a spec into scheme, target and options; option values that read as Python literals become those.

    What has a meaning in a spec is written as a percent code inside a target or value: %25 for %, %3F for ?, %26 for &.
    """
    if isinstance(spec, Mapping):
        if "source" not in spec:
            raise InputError(f"a source given as a mapping must have the key 'source', got {sorted(spec)}")
        scheme, target, options = parse_spec(str(spec["source"]))
        return scheme, target, options | {key: value for key, value in spec.items() if key != "source"}
    scheme, colon, rest = spec.partition(":")
    target, _, query = rest.partition("?")
    if not colon or not scheme or not target:
        raise InputError(f"a source must look like 'scheme:target?option=value', got {spec!r}; schemes: {_known()}")
    options = {}
    for item in query.split("&") if query else ():
        key, equals, value = item.partition("=")
        if not key or not equals:
            raise InputError(f"options of a source must look like 'option=value&option=value', got {query!r}")
        options[unquote(key)] = _literal(unquote(value))
    return scheme, unquote(target), options


def format_spec(scheme: str, target: str, options: Mapping[str, Any]) -> str:
    """The spec string of a source, options in alphabetical order; :func:`parse_spec` gives back what went in."""
    query = "&".join(f"{_quoted(key)}={_quoted(_text(value))}" for key, value in sorted(options.items()))
    return f"{scheme}:{_quoted(target)}" + (f"?{query}" if query else "")


def package_version(distribution: str) -> str:
    """Version of an installed distribution, for fingerprints."""
    from importlib.metadata import version

    return version(distribution)


def _known() -> str:
    registered = {point.name for point in entry_points(group=ENTRY_POINT_GROUP)}
    return ", ".join(sorted(registered | set(BUILTIN_FACTORIES)))


def _factory(scheme: str) -> Callable[..., EnergySource]:
    for point in entry_points(group=ENTRY_POINT_GROUP):
        if point.name == scheme:
            return point.load()
    if scheme not in BUILTIN_FACTORIES:
        known = _known()
        raise InputError(f"unknown source {scheme!r}; known: {known}{did_you_mean(scheme, known.split(', '))}")
    module, _, attribute = BUILTIN_FACTORIES[scheme].partition(":")
    return getattr(importlib.import_module(module), attribute)


def _check_options(source: str, factory: Callable[..., EnergySource], options: Mapping[str, Any]) -> None:
    parameters = list(inspect.signature(factory).parameters.values())[1:]
    if any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters):
        return  # the factory hands its options on and checks them itself
    known = [parameter.name for parameter in parameters]
    for option in options:
        if option not in known:
            raise InputError(
                f"{source} has no option {option!r}; options: {', '.join(known) or 'none'}{did_you_mean(option, known)}"
            )


def _quoted(text: str) -> str:
    """Percent codes for what has a meaning in a spec, and for nothing else: names are read by people."""
    return text.replace("%", "%25").replace("?", "%3F").replace("&", "%26").replace("=", "%3D")


def _text(value: Any) -> str:
    """An option as text, in quotes if it is a text that would be read as something else."""
    return repr(value) if isinstance(value, str) and _literal(value) != value else str(value)


def _literal(text: str) -> Any:
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return {"true": True, "false": False, "none": None}.get(text.lower(), text)
