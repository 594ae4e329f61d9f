"""The source that gives the energies of a file, and computes none."""

from __future__ import annotations

import hashlib
import json

import numpy as np
from ase.units import Hartree

from bodyorder.sources.protocol import Capabilities, EnergySource, Evaluation, Precision
from bodyorder.sources.qcschema.answers import UNNAMED, Answers, places_of
from bodyorder.sources.qcschema.matching import Asked, Held
from bodyorder.sources.spec import format_spec
from bodyorder.sources.spin import spin_rule
from bodyorder.structures.clusters import ClusterBatch


class AnswersSource(EnergySource):
    """Energies of sub-clusters that a file holds, each with the charge, the multiplicity and the point charges that it has there.

    A sub-cluster that the file does not hold so, or whose calculation failed, fails, and its message says why.

    :param target: path of the file
    :param answers: what it holds
    :param counterpoise: whose functions are asked for
    :param energy_error: 1σ of one energy in eV
    :param spin: the rule by which multiplicities are chosen, None for those that the file holds
    """

    cutoff = None

    def __init__(self, target: str, answers: Answers, counterpoise: str, energy_error: float, spin: str | None = None):
        self._answers = answers
        # what the file holds are mostly determinants of a number of unpaired electrons
        self._rule = None if spin is None else spin_rule(spin)
        shown = {} if answers.model == UNNAMED else {"model": answers.model}
        shown |= {} if spin is None else {"spin": spin}
        shown |= {} if counterpoise == "none" else {"counterpoise": counterpoise}
        self.name = format_spec("qcschema", target, shown)
        held = [
            [sorted(there), sorted(lent), repr(one.energy), one.charge, one.multiplicity, one.around.listed()]
            for (there, lent), every in answers.held.items()
            for one in every
        ]
        text = json.dumps([sorted(held), answers.atoms.numbers.tolist(), answers.atoms.positions.round(6).tolist()])
        chosen = "" if self._rule is None else f" spin={spin}{self._rule.identity}"
        self.fingerprint = f"qcschema {answers.model}{chosen} {hashlib.sha256(text.encode()).hexdigest()}"
        self.precision = Precision(absolute=energy_error)
        self.capabilities = Capabilities(
            charged=True,
            records=("multiplicity",),
            context=("bodies", "charges", "moments", "field"),
            spin="none" if spin is None else spin,
            counterpoise=counterpoise,
            remark=answers.remark,
            versions={"computed by": f"{answers.program} {answers.model}"},
        )

    def energies(self, batch: ClusterBatch) -> np.ndarray:
        """Energies in eV, shape (n,).

        :raises FailedClusters: for sub-clusters that the file does not hold
        """
        return self.evaluate(batch, forces=False).whole().energies

    def evaluate(self, batch: ClusterBatch, forces: bool) -> Evaluation:
        """Energies with their multiplicities."""
        found = Evaluation.unknown(len(batch))
        found.records["multiplicity"] = np.full(len(batch), np.nan)
        ghosts = batch.of_ghosts()
        for row, asked in enumerate(Asked.each(batch, self._rule)):
            numbers = np.concatenate([batch.numbers[row], ghosts[0][row]])
            positions = np.concatenate([batch.positions[row], ghosts[1][row]])
            answer = self._answer(asked, batch.n_atoms, numbers, positions)
            if isinstance(answer, str):
                found.messages[row] = answer
            elif answer.failure:
                found.messages[row] = f"its calculation failed: {answer.failure}"
            else:
                found.energies[row] = answer.energy * Hartree
                found.records["multiplicity"][row] = answer.multiplicity
        return found

    def _answer(self, asked: Asked, n_atoms: int, numbers: np.ndarray, positions: np.ndarray) -> Held | str:
        """What the file holds of one sub-cluster, or why that is nothing.

        :param n_atoms: how many of the atoms are there; the others lend it their functions
        :param numbers: of all of them
        :param positions: likewise, in Å
        """
        places = places_of(numbers, positions, self._answers.atoms)
        if places is None:
            return "its atoms are not those of the molecule in the file"
        key = frozenset(places[:n_atoms].tolist()), frozenset(places[n_atoms:].tolist())
        held = self._answers.held.get(key, [])
        if not held and key[1]:
            return f"the file holds no energy of it in the functions of {len(key[1])} atoms more"
        return asked.choose(held)
