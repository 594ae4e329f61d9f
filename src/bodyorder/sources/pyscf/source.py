"""The energy source: sub-clusters in, energies and forces out."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from importlib.metadata import version
from typing import Any

import numpy as np
from ase.units import Bohr, Hartree

from bodyorder._checks import InputError
from bodyorder.sources.protocol import ENERGY_RECORDS, Capabilities, EnergySource, Evaluation, Precision
from bodyorder.sources.pyscf import costs, methods
from bodyorder.sources.pyscf.basis import core_electrons
from bodyorder.sources.pyscf.dispersion import PROGRAMS, correction
from bodyorder.sources.pyscf.fitting import Auxiliary
from bodyorder.sources.pyscf.integrals import (
    IntegralCache,
    all_numbers,
    nuclear_gradient,
    nuclear_hessian,
    nuclear_repulsion,
    single_thread,
)
from bodyorder.sources.pyscf.options import OPTIONS
from bodyorder.sources.pyscf.populations import KINDS, iterated
from bodyorder.sources.pyscf.problem import Answer, Problem, Settings
from bodyorder.sources.pyscf.spin import spins_in_basis
from bodyorder.sources.spec import format_spec
from bodyorder.sources.spin import spin_rule
from bodyorder.sources.spin.electrons import electrons
from bodyorder.structures.clusters import ClusterBatch, System
from bodyorder.structures.links import SAME_SPOT

#: Options that analytic second derivatives do not know beyond their defaults.
PLAIN = ("dispersion", "density_fit", "relativity", "forces")
#: Goes up whenever an energy could change although PySCF does not.
SOLVER = 5


class PyscfSource(EnergySource):
    """*Ab initio* energies of sub-clusters in vacuum, each with the basis functions of its own atoms and of its ghosts.

    Forces are analytic ones of the method, or differences of its energies: those of the state whose energy is given. Where that
    state is degenerate (an atom with an open p shell, an equilateral H₃) they are the forces of one state of the degenerate set
    and may lack its symmetry.

    :param settings: everything that names it
    """

    cutoff = None

    def __init__(self, settings: Settings):
        self.settings = settings
        basis = settings.basis
        self._rule = spin_rule(settings.spin, self._method.total_spin, mean_field=True)
        # a sub-cluster and its ghosts have one energy, whatever the scheme that asks for it; options count whether given or not
        counting = {
            name: value
            for name, value in settings.options.items()
            if name in self._method.options or value != OPTIONS[name].default
        }
        counting |= basis.identities | {"spin": settings.spin}
        decisive = format_spec("pyscf", f"{settings.method}/{basis.main.identity}", counting)
        further = [PROGRAMS[self._dispersion]] if self._dispersion in PROGRAMS else []
        versions = {program: version(program) for program in (*self._method.programs, *further)}
        programs = " ".join(f"{program}={version}" for program, version in versions.items())
        self.fingerprint = f"{decisive} {programs} solver={SOLVER}{self._rule.identity}"
        named = {name: settings.options[name] for name in settings.shown} | {"spin": settings.spin}
        if self._dispersion in PROGRAMS:
            named["dispersion"] = self._dispersion  # which may have stood in the name of the functional
        if settings.counterpoise != "none":
            named["counterpoise"] = settings.counterpoise
        named |= basis.names
        self.name = format_spec("pyscf", f"{settings.method}/{basis.main.name}", named)
        self.precision = Precision(absolute=max(self._method.precision, self._grid_noise()))
        self.capabilities = Capabilities(
            forces=not (no_forces := self._no_forces()),
            hessians=not (no_hessians := self._no_hessians()),
            records=self._method.records,
            seconds=True,
            megabytes=True,
            populations=tuple(KINDS),
            charged=True,
            context=(*self._rule.context, "field"),
            # a rule that the user wrote is given positions, and may look at their directions
            invariant=self._method.invariant and not self._rule.identity,
            batch_size=self._method.batch,
            serial=True,
            spin=settings.spin,
            counterpoise=settings.counterpoise,
            versions=versions,
            missing={name: why for name, why in (("forces", no_forces), ("hessians", no_hessians)) if why},
        )
        self._cache = self._new_cache()

    def _grid_noise(self) -> float:
        options = self.settings.options
        if "xc" not in options:
            return 0.0
        from bodyorder.sources.pyscf.mean_field.grid_noise import grid_noise

        return grid_noise(str(options["xc"]), int(str(options["grid"])))

    def _no_forces(self) -> str:
        """Why there are no forces; empty if there are."""
        if self.settings.counterpoise != "none":
            return "use counterpoise=none"
        numerical = self.settings.options.get("forces") == "numerical"
        return "" if numerical or self._has_gradient else "use forces=numerical"

    def _no_hessians(self) -> str:
        """Why there are no analytic second derivatives; empty if there are."""
        if not (self._method.hessian and self._is_plain):
            return self._no_forces() or "differences of its forces take their place"
        return self._no_forces()

    @property
    def _is_plain(self) -> bool:
        """Whether nothing is asked for that analytic second derivatives do not know."""
        options = self.settings.options
        if any(options.get(name, OPTIONS[name].default) != OPTIONS[name].default for name in PLAIN):
            return False
        if "xc" not in options:
            return True
        from bodyorder.sources.pyscf.mean_field.functionals import has_hessian

        return has_hessian(str(options["xc"]))

    @property
    def _has_gradient(self) -> bool:
        options = self.settings.options
        altered = options.get("relativity", "none") != "none" or options.get("density_fit", False) is not False
        return self._method.gradient and (self._method.full_gradient or not altered)

    @property
    def _method(self) -> methods.Method:
        return methods.TABLE[self.settings.method]

    @property
    def _dispersion(self) -> str:
        return str(self.settings.options.get("dispersion", "none"))

    @property
    def _functional(self) -> str:
        return str(self.settings.options.get("xc", "hf"))

    def _new_cache(self) -> IntegralCache:
        options, fit = self.settings.options, self.settings.options.get("density_fit", False)
        auxiliary = None if fit is False else Auxiliary(fit if isinstance(fit, str) else "", self._functional)
        limit = 0.25e6 * self.settings.memory
        return IntegralCache(self.settings.basis, limit, auxiliary, str(options.get("relativity", "none")))

    def __getstate__(self) -> dict[str, Any]:
        return {key: value for key, value in self.__dict__.items() if key != "_cache"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._cache = self._new_cache()

    def energies(self, batch: ClusterBatch) -> np.ndarray:
        """Energies in eV, shape (n,).

        :raises InputError: for overlapping nuclei, an element that the basis lacks, an impossible charge or spin
        :raises FailedClusters: if the search for the lowest state failed for some sub-clusters
        """
        return self.evaluate(batch, forces=False).whole().energies

    def energies_and_forces(self, batch: ClusterBatch) -> tuple[np.ndarray, np.ndarray]:
        """Energies in eV, shape (n,), and forces in eV/Å, shape (n, k, 3).

        :raises InputError: as :meth:`energies`, and where there are no forces
        :raises FailedClusters: as :meth:`energies`, and where the basis is too close to linear dependence for forces
        """
        result = self.evaluate(batch, forces=True).whole()
        assert result.forces is not None
        return result.energies, result.forces

    def evaluate(self, batch: ClusterBatch, forces: bool) -> Evaluation:
        """Energies, forces and what is known of the states behind them.

        :raises InputError: as :meth:`energies`
        """
        return self._evaluate(batch, forces, hessians=False)

    def evaluate_hessians(self, batch: ClusterBatch, forces: bool) -> Evaluation:
        """The same with analytic second derivatives.

        :raises InputError: as :meth:`energies`, and where there are none
        """
        if self.capabilities.hessians and not batch.in_field:
            return self._evaluate(batch, forces, hessians=True)
        raise self._without("hessians")

    def _evaluate(self, batch: ClusterBatch, forces: bool, *, hessians: bool) -> Evaluation:
        check_nuclei(batch)
        if forces and batch.ghosts.shape[1]:
            raise InputError(
                f"`forces` must be without functions of other atoms, counterpoise={self.settings.counterpoise} brings them; "
                "use counterpoise=none"
            )
        if forces and batch.in_field:
            raise InputError(
                "`forces` must be of sub-clusters in vacuum, got point charges around them; leave them out"
            )
        if forces and not self._has_gradient and self.settings.options.get("forces") != "numerical":
            altered = " with relativity or density fitting" if self._method.gradient else ""
            raise InputError(f"{self.settings.method} has no analytic forces{altered}; use forces=numerical")
        result = Evaluation.unknown(len(batch), batch.n_atoms, forces=forces, hessians=hessians)
        with single_thread():
            for rows, spins in self._groups(batch, forces):
                answer = self._compute(batch.select(rows), list(spins), forces, hessians=hessians)
                result.energies[rows] = answer.energies * Hartree
                if result.forces is not None:
                    result.forces[rows] = answer.gradients * (-Hartree / Bohr)
                if result.hessians is not None and answer.hessians is not None:
                    result.hessians[rows] = answer.hessians * (Hartree / Bohr**2)
                result.messages.update({int(rows[place]): message for place, message in answer.messages.items()})
                for name, values in answer.records.items():
                    unit = Hartree if name in ENERGY_RECORDS else 1.0
                    result.records.setdefault(name, np.full(len(batch), np.nan))[rows] = values * unit
        return result

    def iterated_charges(self, system: System, kind: str) -> np.ndarray:
        """Point charges of a structure's atoms in elementary charges, shape (n_atoms,), each body in the field of the others.

        They are those of unrestricted Hartree–Fock in the basis of the source, whatever its method.

        :param kind: ``mulliken`` or ``chelpg`` (:mod:`bodyorder.sources.pyscf.populations`)
        :raises ComputationError: if a body has no mean field, or the charges do not settle
        """

        def problem_of(batch: ClusterBatch) -> Problem:
            ((_, spins),) = self._groups(batch, False)
            return self._problem(batch, list(spins), False)

        with single_thread():
            return iterated(system, kind, problem_of, self._cache)

    @property
    def _cost(self) -> costs.Cost:
        return costs.cost_of(self.settings.method)

    def seconds(self, batch: ClusterBatch) -> float:
        """Rough seconds that the first sub-cluster of a batch takes on one core."""
        return self._cost.seconds(self._size(batch))

    def megabytes(self, batch: ClusterBatch, forces: bool) -> float:
        """Rough MB that a process needs for a batch of sub-clusters like its first one, itself included.

        :param forces: whether forces are wanted too
        """
        one = batch.select(np.arange(1))
        room, limit = self._room(one, forces), self.settings.memory
        together = min(len(batch) * room, max(room, 0.25 * limit))
        system = batch.systems[int(one.parents[0])]
        parent = 2e-6 * float(self._cache.functions(system.numbers).sum()) ** 4 * (1 + 6 * forces)
        held = parent if parent <= 0.25 * limit else 0.0
        return self._cost.process + together + held + 1e-6 * self._cost.bytes(self._size(one), 0.5e6 * limit)

    def _size(self, batch: ClusterBatch) -> costs.Size:
        one = batch.select(np.arange(1))
        functions = self._functions(one)
        (core,) = self._cores(one.numbers)
        (spins,) = spins_in_basis(self._rule, one, np.array([functions]), np.array([core]))
        return costs.Size(functions, electrons(one.numbers[0], int(one.charges[0]), core), spins)

    def _cores(self, numbers: np.ndarray) -> np.ndarray:
        """Electrons of each row of atoms that core potentials stand for, shape (n,)."""
        return core_electrons(self.settings.basis, numbers).sum(axis=1)

    def _compute(self, batch: ClusterBatch, spins: list[int], forces: bool, *, hessians: bool) -> Answer:
        problem = replace(self._problem(batch, spins, forces), hessian=hessians)
        if problem.n_electrons == 0:
            answer = Answer(nuclear_repulsion(batch, self.settings.basis), nuclear_gradient(batch, self.settings.basis))
            answer.record("multiplicity", np.arange(len(batch)), 1.0)
            if hessians:
                answer.hessians = nuclear_hessian(batch, self.settings.basis)
            return self._corrected(answer, batch)
        needed = self._room(batch, forces)
        if needed > self.settings.memory:
            answer = Answer.empty(batch)
            message = (
                f"{self._functions(batch)} basis functions need about memory={needed:.0f} (MB) for their integrals"
            )
            answer.messages.update(dict.fromkeys(range(len(batch)), message))
            return answer
        return self._corrected(self._method.run(problem, self._cache), batch)

    def _corrected(self, answer: Answer, batch: ClusterBatch) -> Answer:
        """An answer with the correction for dispersion, if there is to be one."""
        if self._dispersion in PROGRAMS:
            energies, gradients = correction(batch, self._dispersion, self._functional)
            answer.energies += energies
            answer.gradients += gradients
        return answer

    def _problem(self, batch: ClusterBatch, spins: list[int], forces: bool) -> Problem:
        moments = self._rule.moments(batch)
        settings, (core,) = self.settings, self._cores(batch.numbers[:1]).tolist()
        return Problem(batch, spins, forces, 0.5e6 * settings.memory, moments, settings.options, core)

    def _groups(self, batch: ClusterBatch, forces: bool) -> Iterator[tuple[np.ndarray, tuple[int, ...]]]:
        """Rows of one sequence of elements, one charge and one choice of spins, as many at a time as there is room for."""
        numbers = all_numbers(batch)
        groups: dict[tuple[bytes, int, tuple[int, ...]], list[int]] = {}
        room = self._cache.functions(numbers.ravel()).reshape(numbers.shape).sum(axis=1)
        choices = spins_in_basis(self._rule, batch, room, self._cores(batch.numbers))
        for row, spins in enumerate(choices):
            groups.setdefault((numbers[row].tobytes(), int(batch.charges[row]), spins), []).append(row)
        for (_, _, spins), members in groups.items():
            rows = np.array(members)
            step = max(1, int(0.25 * self.settings.memory / self._room(batch.select(rows[:1]), forces)))
            for first in range(0, len(rows), step):
                yield rows[first : first + step], spins

    def _functions(self, batch: ClusterBatch) -> int:
        return int(self._cache.functions(all_numbers(batch)[0]).sum())

    def _room(self, batch: ClusterBatch, forces: bool) -> float:
        """MB that the integrals of one sub-cluster and what is made of them take."""
        return 8e-6 * self._method.copies[forces] * float(self._functions(batch)) ** 4


def check_nuclei(batch: ClusterBatch) -> None:
    """Check that there are nuclei and that no two coincide.

    :raises InputError: if two are closer than :data:`~bodyorder.structures.links.SAME_SPOT`, or an atom is none of the elements
    """
    if len(batch) and not batch.numbers.min() > 0:
        row, place = np.argwhere(batch.numbers < 1)[0]
        raise InputError(
            f"every atom must have a nucleus, atom {batch.members[row, place]} of structure {batch.parents[row]} is a ghost "
            "(X); leave it out, counterpoise=full brings the functions of other atoms"
        )
    first, second = np.triu_indices(batch.n_atoms, 1)
    if not len(first) or not len(batch):
        return
    distances = np.linalg.norm(batch.positions[:, first] - batch.positions[:, second], axis=2)
    row, pair = np.unravel_index(np.argmin(distances), distances.shape)
    if not distances[row, pair] >= SAME_SPOT:
        atoms = batch.members[row, [first[pair], second[pair]]]
        raise InputError(
            f"two nuclei must be at least {SAME_SPOT} Å apart, atoms {atoms[0]} and {atoms[1]} of structure "
            f"{batch.parents[row]} are {distances[row, pair]:.4f} Å apart; move or remove one of them"
        )
