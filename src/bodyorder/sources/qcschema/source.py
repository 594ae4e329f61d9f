"""The source that gives the energies of a file, and computes none."""

from __future__ import annotations

import hashlib
import json

import numpy as np
from ase.units import Hartree

from bodyorder.sources.protocol import Capabilities, EnergySource, Evaluation, Precision
from bodyorder.sources.qcschema.answers import Answers, places_of
from bodyorder.sources.spec import format_spec
from bodyorder.structures.clusters import ClusterBatch


class AnswersSource(EnergySource):
    """Energies of sub-clusters that a file holds; a sub-cluster that it does not hold fails, and its message says so.

    :param target: path of the file
    :param answers: what it holds
    :param counterpoise: whose functions are asked for
    :param energy_error: 1σ of one energy in eV
    """

    cutoff = None

    def __init__(self, target: str, answers: Answers, counterpoise: str, energy_error: float):
        self._answers = answers
        self.name = format_spec("qcschema", target, {} if counterpoise == "none" else {"counterpoise": counterpoise})
        held = sorted((sorted(there), sorted(lent), energy) for (there, lent), energy in answers.energies.items())
        text = json.dumps([held, answers.atoms.numbers.tolist(), answers.atoms.positions.round(6).tolist()])
        self.fingerprint = f"qcschema {hashlib.sha256(text.encode()).hexdigest()}"
        self.precision = Precision(absolute=energy_error)
        self.capabilities = Capabilities(
            charged=True, counterpoise=counterpoise, versions={"computed by": answers.program}
        )

    def energies(self, batch: ClusterBatch) -> np.ndarray:
        """Energies in eV, shape (n,).

        :raises FailedClusters: for sub-clusters that the file does not hold
        """
        found = Evaluation.unknown(len(batch))
        ghosts = batch.of_ghosts()
        for row in range(len(batch)):
            numbers = np.concatenate([batch.numbers[row], ghosts[0][row]])
            positions = np.concatenate([batch.positions[row], ghosts[1][row]])
            places = places_of(numbers, positions, self._answers.atoms)
            if places is None:
                found.messages[row] = "its atoms are not those of the molecule in the file"
                continue
            key = frozenset(places[: batch.n_atoms].tolist()), frozenset(places[batch.n_atoms :].tolist())
            energy = self._answers.energies.get(key)
            if energy is None:
                lent = f" in the functions of {len(key[1])} atoms more" if key[1] else ""
                found.messages[row] = f"the file holds no energy of it{lent}"
            else:
                found.energies[row] = energy * Hartree
        return found.whole().energies
