"""Any ASE calculator as an energy source."""

from __future__ import annotations

import importlib
import inspect
import pickle
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import ase
import numpy as np
from ase.calculators.abc import GetPropertiesMixin
from ase.calculators.calculator import Calculator, FileIOCalculator, PropertyNotImplementedError

from bodyorder._checks import ComputationError, InputError, check_positive, did_you_mean, first_line
from bodyorder.sources.apart import SetApart, structure
from bodyorder.sources.base import EnergySource, Precision, format_spec
from bodyorder.sources.evaluation import FailedClusters
from bodyorder.sources.fingerprint import NOT_PICKLABLE, fingerprint_of
from bodyorder.structures.clusters import ClusterBatch, FloatArray

#: What can be told apart in a float64 energy after the sums of an ordinary classical potential.
FLOAT64 = Precision(absolute=1e-13, relative=1e-14)
#: Where ASE keeps its base classes, which are no calculators to choose from.
BASE_MODULE = Calculator.__module__
#: How ASE calls what a calculator is asked for.
METHODS = {"energy": "get_potential_energy", "energies": "get_potential_energies", "forces": "get_forces"}
#: A calculator whose pickle is at most this many bytes is kept in its unused state.
SMALL = 2**20


class CalculatorSource:
    """An ASE calculator, asked for sub-clusters in vacuum and without a cell, many at once where that is right.

    Where a cutoff is given and the calculator has energies of atoms (``energies``), neutral sub-clusters of one size and one set
    of elements are set apart in one large structure and take one call (:mod:`~bodyorder.sources.apart`). That is tried out
    before it is used; all else is evaluated one sub-cluster after the other.

    :param calculator: instance of an ASE calculator. Its cached results are dropped before each structure.
    :param cutoff: distance in Å beyond which parts of a cluster do not feel each other at all, if there is one. ASE has no
        way to ask a calculator for it; ``check_source`` tests the claim.
    :param boxed: whether to put every structure into a periodic box that leaves more than the cutoff around it, for
        calculators that cannot do without. Takes a cutoff.
    :param precision: error of one energy; rounding in float64 if not given. Give it for a calculator that converges its
        energies only so far, or computes in float32.
    :param fingerprint: a text that changes whenever the energies could. If not given, it is made of the class, its parameters
        and the version of its package (:func:`~bodyorder.sources.fingerprint.fingerprint_of`).
    """

    processes = True

    def __init__(
        self,
        calculator: GetPropertiesMixin,
        *,
        cutoff: float | None = None,
        precision: Precision = FLOAT64,
        fingerprint: str | None = None,
        boxed: bool = False,
    ):
        self.calculator = calculator
        self._unused = _small_pickle(calculator)
        self.cutoff = None if cutoff is None else check_positive("cutoff", cutoff)
        self.precision = precision
        if boxed and self.cutoff is None:
            raise InputError(
                "`boxed` must come with a cutoff (`additive_cutoff` in a spec), which sets the size of the box"
            )
        self.boxed = boxed
        kind = type(calculator)
        self.name = f"ase:{kind.__module__}.{kind.__qualname__}"
        self.fingerprint = (fingerprint or fingerprint_of(calculator)) + " boxed" * boxed
        self._apart: SetApart | None = None
        if self.cutoff is not None and "energies" in getattr(calculator, "implemented_properties", ()):
            self._apart = SetApart()

    def __getstate__(self) -> dict[str, Any]:
        # Some calculators (EMT) can be pickled only until they are used.
        return self.__dict__ if self._unused is None else self.__dict__ | {"calculator": None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        if self._unused is not None:
            self.calculator = pickle.loads(self._unused)

    def energies(self, batch: ClusterBatch) -> FloatArray:
        """Energies of the sub-clusters, shape (n,), in eV: what the calculator calls ``energy``.

        :raises FailedClusters: with the calculator's message for each sub-cluster that it could not compute
        :raises InputError: for a calculator without energies
        """
        return self._evaluate(batch, None)

    def energies_and_forces(self, batch: ClusterBatch) -> tuple[FloatArray, FloatArray]:
        """Energies, shape (n,), in eV and forces, shape (n, k, 3), in eV/Å.

        :raises FailedClusters: with the calculator's message for each sub-cluster that it could not compute
        :raises InputError: for a calculator without energies or forces
        """
        forces = np.full(batch.positions.shape, np.nan)
        return self._evaluate(batch, forces), forces

    def _evaluate(self, batch: ClusterBatch, forces: FloatArray | None) -> FloatArray:
        energies = np.full(len(batch), np.nan)
        messages = {}
        left = np.arange(len(batch))
        if self._apart is not None:
            left = self._apart.fill(self, batch, energies, forces)
        for row in left.tolist():
            try:
                if forces is None:
                    (energies[row],) = self.ask(self._structure(batch, row), ["energy"])
                else:
                    forces[row], energies[row] = self.ask(self._structure(batch, row), ["forces", "energy"])
            except InputError:
                raise
            except PropertyNotImplementedError as error:
                raise InputError(f"{self.name} does not give what is asked for: {error}") from error
            except (
                Exception
            ) as error:  # whatever a foreign program raises is this sub-cluster's failure, and is reported
                messages[row] = f"{type(error).__name__}: {first_line(error)}"
                continue
            if not np.isfinite(energies[row]) or (forces is not None and not np.isfinite(forces[row]).all()):
                messages[row] = "the calculator gave an energy or forces that are not finite"
        if messages:
            failed = list(messages)
            energies[failed] = np.nan
            raise FailedClusters(messages, energies, forces)
        return energies

    def cell_energy(self, atoms: ase.Atoms) -> float:
        """Energy of a periodic structure in eV by cell.

        :raises ComputationError: if the calculator fails
        """
        try:
            return float(self.ask(atoms.copy(), ["energy"])[0])
        except Exception as error:  # whatever a foreign program raises
            raise ComputationError(
                f"{self.name} must give the energy of the periodic structure, and failed: {type(error).__name__}: "
                f"{first_line(error)}"
            ) from error

    def _structure(self, batch: ClusterBatch, row: int) -> ase.Atoms:
        atoms = batch.to_atoms(row)
        if self.boxed:
            atoms = structure(batch.numbers[[row]], batch.positions[[row]], self.cutoff)
            atoms.info["charge"] = int(batch.charges[row])
        return atoms

    def ask(self, atoms: ase.Atoms, names: Sequence[str]) -> list[Any]:
        """Some of ``energy``, ``energies`` and ``forces`` of one structure, as the calculator gives them.

        Forces are best asked for first, since calculators keep the energy that comes with them.
        """
        self._forget()
        return [getattr(self.calculator, METHODS[name])(atoms) for name in names]

    def _forget(self) -> None:
        """Drop cached results: the cache does not see all that a sub-cluster carries (its charge)."""
        reset = getattr(self.calculator, "reset", None)
        if callable(reset):
            reset()
        else:
            self.calculator.atoms, self.calculator.results = None, {}


def load(
    target: str,
    *,
    additive_cutoff: float | None = None,
    energy_error: float | None = None,
    boxed: bool = False,
    **options: Any,
) -> EnergySource:
    """The source ``ase:package.module.Name?option=value``.

    :param target: dotted name of a calculator class, or of a function that returns a calculator
    :param additive_cutoff: the source's ``cutoff`` in Å, for a calculator whose distant parts do not feel each other at all
    :param energy_error: 1σ error of one energy in eV; rounding in float64 if not given
    :param boxed: true for a calculator that takes periodic structures only: it is given boxes that leave more than the cutoff
        around the atoms
    :param options: handed to the class
    :raises InputError: if there is no such calculator, or it rejects the options. A misspelt option that the class would
        silently ignore is rejected too.
    """
    factory = _find(target)
    _check_options(target, factory, options)
    try:
        calculator = factory(**options)
    except Exception as error:
        raise InputError(
            f"ase:{target} could not be built with the options {options}: {type(error).__name__}: {first_line(error)}"
        ) from error
    if not isinstance(calculator, GetPropertiesMixin):
        raise InputError(f"ase:{target} must give an ASE calculator, got {type(calculator).__name__}")
    precision = FLOAT64 if energy_error is None else Precision(absolute=check_positive("energy_error", energy_error))
    fingerprint = fingerprint_of(calculator, options if inspect.isclass(factory) else None)
    source = CalculatorSource(
        calculator, cutoff=additive_cutoff, precision=precision, fingerprint=fingerprint, boxed=bool(boxed)
    )
    own = {"additive_cutoff": additive_cutoff, "energy_error": energy_error, "boxed": boxed or None}
    source.name = format_spec("ase", target, options | {key: value for key, value in own.items() if value is not None})
    return source


def _small_pickle(calculator: GetPropertiesMixin) -> bytes | None:
    try:
        content = pickle.dumps(calculator)
    except NOT_PICKLABLE:
        return None
    return content if len(content) <= SMALL else None


def _find(target: str) -> Callable[..., Any]:
    module_name, _, name = target.rpartition(".")
    if not module_name:
        raise InputError(f"an ASE calculator must be named 'package.module.Class', got {target!r}")
    try:
        module = importlib.import_module(module_name)
    except ImportError as error:
        raise InputError(
            f"the module of ase:{target} could not be imported ({first_line(error)}); "
            f"check its name, or install the package that has it"
        ) from error
    found = getattr(module, name, None)
    if found is None:
        known = [
            key for key, value in vars(module).items() if _is_calculator(value) and value.__module__ != BASE_MODULE
        ]
        there = ", ".join(known) or "none"
        raise InputError(f"{module_name} has no {name!r}; calculators there: {there}{did_you_mean(name, known)}")
    if not _is_calculator(found) and (inspect.isclass(found) or not callable(found)):
        raise InputError(f"ase:{target} must name an ASE calculator class, or a function that returns a calculator")
    return found


def _is_calculator(value: Any) -> bool:
    return inspect.isclass(value) and issubclass(value, GetPropertiesMixin) and not inspect.isabstract(value)


def _check_options(target: str, factory: Callable[..., Any], options: Mapping[str, Any]) -> None:
    parameters = inspect.signature(factory).parameters.values()
    known = {parameter.name for parameter in parameters if parameter.kind is not parameter.VAR_KEYWORD}
    if len(known) < len(parameters):
        defaults = getattr(factory, "default_parameters", {})
        # ASE's base class takes any keyword and ignores those it does not know. Only programs driven through input files
        # have options beyond the ones listed.
        if not defaults or issubclass(factory, FileIOCalculator):  # type: ignore[arg-type]
            return
        known |= set(defaults)
    known |= {"additive_cutoff", "boxed", "energy_error"}
    for option in options:
        if option not in known:
            raise InputError(
                f"ase:{target} has no option {option!r}; options: {', '.join(sorted(known))}{did_you_mean(option, known)}"
            )
