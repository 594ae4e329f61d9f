"""The energy source over QCEngine."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

import numpy as np
from ase.data import chemical_symbols
from ase.units import Bohr, Hartree

from bodyorder._checks import InputError, first_line
from bodyorder.sources.protocol import Capabilities, EnergySource, Evaluation, Precision
from bodyorder.sources.qcschema.schema import Failure
from bodyorder.sources.spec import format_spec
from bodyorder.sources.spin import spin_rule
from bodyorder.sources.spin.electrons import electrons
from bodyorder.sources.spin.states import lowest
from bodyorder.structures.clusters import ClusterBatch, IntArray


@dataclass(frozen=True)
class Model:
    """What a program is asked for.

    :param program: by QCEngine's name
    :param method: by the program's
    :param basis: basis set, None for methods without one
    :param keywords: of the program
    """

    program: str
    method: str
    basis: str | None
    keywords: dict[str, Any]

    @property
    def target(self) -> str:
        """As it stands in a spec."""
        return "/".join(part for part in (self.program, self.method, self.basis) if part)


class HarnessSource(EnergySource):
    """Energies of one program that QCEngine runs, one sub-cluster after the other.

    :param model: what is asked for
    :param spin: the spin rule, None for programs without spin
    :param counterpoise: whose functions a sub-cluster is given beside its own
    :param energy_error: 1σ of one energy in eV, None where nobody says
    :param memory: MB of one calculation
    """

    cutoff = None

    def __init__(self, model: Model, spin: str | None, counterpoise: str, energy_error: float | None, memory: float):
        import qcengine

        self.model, self._memory = model, memory
        # determinants of a given number of unpaired electrons
        self._rule = None if spin is None else spin_rule(spin, mean_field=True)
        versions = {
            model.program: str(qcengine.get_program(model.program).get_version()),
            "qcengine": version("qcengine"),
        }
        named = model.keywords | ({} if spin is None else {"spin": spin})
        programs = " ".join(f"{program}={number}" for program, number in versions.items())
        # which multiplicities are looked at has changed once
        identity = "" if self._rule is None else self._rule.identity + " open shells" * (spin == "ground")
        self.fingerprint = f"{format_spec('qcengine', model.target, named)} {programs}{identity}"
        shown = named if counterpoise == "none" else named | {"counterpoise": counterpoise}
        self.name = format_spec("qcengine", model.target, shown)
        self.precision = Precision(absolute=energy_error or 0.0)
        lending = counterpoise != "none"
        self.capabilities = Capabilities(
            forces=not lending,
            records=() if self._rule is None else ("multiplicity",),
            charged=True,
            context=() if self._rule is None else self._rule.context,
            serial=True,
            costly=True,
            unproven_precision=energy_error is None,
            spin="none" if spin is None else spin,
            counterpoise=counterpoise,
            versions=versions,
            missing=({"forces": "use counterpoise=none"} if lending else {})
            | ({"records": "without a spin rule it has none"} if self._rule is None else {}),
        )

    def energies(self, batch: ClusterBatch) -> np.ndarray:
        """Energies in eV, shape (n,).

        :raises FailedClusters: for sub-clusters that the program could not compute
        """
        return self.evaluate(batch, forces=False).whole().energies

    def energies_and_forces(self, batch: ClusterBatch) -> tuple[np.ndarray, np.ndarray]:
        """Energies in eV, shape (n,), and forces in eV/Å, shape (n, k, 3).

        :raises FailedClusters: as :meth:`energies`
        """
        found = self.evaluate(batch, forces=True).whole()
        assert found.forces is not None
        return found.energies, found.forces

    def evaluate(self, batch: ClusterBatch, forces: bool) -> Evaluation:
        """Energies, forces and multiplicities of the lowest states that the rule allows."""
        if forces and batch.ghosts.shape[1]:
            raise InputError("`forces` must be without functions of other atoms; use counterpoise=none")
        return lowest(self._rule, batch, lambda some, unpaired: self._computed(some, unpaired, forces))

    def _computed(self, batch: ClusterBatch, unpaired: IntArray | None, forces: bool) -> Evaluation:
        found = Evaluation.unknown(len(batch), batch.n_atoms, forces=forces)
        for row in range(len(batch)):
            count = electrons(batch.numbers[row], int(batch.charges[row]))
            answer = self._run(batch, row, count % 2 if unpaired is None else int(unpaired[row]), forces)
            if isinstance(answer, str):
                found.messages[row] = answer
                continue
            found.energies[row] = answer["energy"] * Hartree
            if found.forces is not None:
                found.forces[row] = -np.reshape(answer["gradient"], (-1, 3)) * (Hartree / Bohr)
        return found

    def _run(self, batch: ClusterBatch, row: int, unpaired: int, forces: bool) -> dict[str, Any] | str:
        """Energy in hartree and gradient in hartree/bohr of one sub-cluster, or why there are none."""
        import qcengine

        ghosts = batch.of_ghosts()
        numbers = np.concatenate([batch.numbers[row], ghosts[0][row]])
        positions = np.concatenate([batch.positions[row], ghosts[1][row]])
        task = {
            "schema_name": "qcschema_input",
            "schema_version": 1,
            "driver": "gradient" if forces else "energy",
            "model": {"method": self.model.method, "basis": self.model.basis},
            "keywords": self.model.keywords,
            "molecule": {
                "symbols": [chemical_symbols[number] for number in numbers],
                "geometry": (positions / Bohr).ravel(),
                "real": [place < batch.n_atoms for place in range(len(numbers))],
                "molecular_charge": float(batch.charges[row]),
                "molecular_multiplicity": unpaired + 1,
                "fix_com": True,
                "fix_orientation": True,
            },
        }
        resources = {"ncores": 1, "memory": self._memory / 1024, "retries": 0}
        try:
            result = qcengine.compute(
                task, self.model.program, task_config=resources, return_dict=True, return_version=1
            )
        except Exception as error:  # whatever a harness or a check of its input raises
            return f"{type(error).__name__}: {first_line(error)}"
        if not result.get("success"):
            return f"{self.model.program} failed: {Failure.model_validate(result['error']).line}"
        returned = result["return_result"]
        energy = result["properties"].get("return_energy") if forces else returned
        if energy is None:
            return f"{self.model.program} gave forces and no energy"
        return {"energy": float(energy), "gradient": returned if forces else None}
