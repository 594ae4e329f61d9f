"""How a calculator of ASE is told the charge and the spin of a sub-cluster.

ASE has no common way. Some calculators read keys of ``Atoms.info``, under names of their own, some the sums of initial charges
and initial magnetic moments; :mod:`~bodyorder.sources.ase.ways` knows which. What a calculator was given once and for all
(``multiplicity=3``) would be wrong for sub-clusters that differ in it, whose charges are those of their atoms and whose spins are
those of a rule, and is refused.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import ase
import numpy as np
from ase.calculators.abc import GetPropertiesMixin

from bodyorder._checks import ComputationError, InputError, did_you_mean
from bodyorder.sources.ase.ways import MOMENTS, Own, label_of, overwritten, own_values_of, way_of, ways_of
from bodyorder.sources.protocol import CONTEXT, Evaluation
from bodyorder.sources.spin import CHOICES, check_rule, spin_rule
from bodyorder.sources.spin.electrons import electrons
from bodyorder.sources.spin.rules import place_of, whole_moment
from bodyorder.structures.clusters import ClusterBatch, FloatArray, IntArray
from bodyorder.structures.keys import kind_of_key

#: Names of ``info`` that are offered where one is not known, and which it stands for: the charge, and the multiplicity 2S + 1.
CHARGE_KEYS = ("charge", "total_charge")
SPIN_KEYS = ("spin", "mult", "total_spin", "spin_multiplicity", "multiplicity", "uhf")
#: Shares of an unpaired electron are multiples of this, so that they add up to a whole number exactly, in whatever order.
GRAIN = 2.0**-10
#: Sums of charges that are this far off lack an electron.
HALF = 0.5

logger = logging.getLogger(__name__)


class Told:
    """What one calculator is told.

    :param calculator: it, or what it is part of: a sum, a correction on top of another
    :param charged: whether it is told charges: those of atoms as their initial charges, and their sum
    :param spin: rule for the spin of sub-clusters, one of :data:`~bodyorder.sources.spin.SPIN_RULES`, ``module:function`` or a
        function; None tells it no spin, and hands on the initial magnetic moments of the structure
    :param charge_key: key of ``info`` that has the charge; if not given the one that the calculator is known to read, else
        ``charge``
    :param spin_key: key of ``info`` that has the multiplicity 2S + 1 (for ``uhf`` and its like the number of unpaired
        electrons), or ``moments`` for initial magnetic moments that add up to the latter; the one that the calculator is
        known to read if not given
    :raises InputError: for a key that means nothing, or that the calculator is known not to read; a spin rule that is missing, or
        that nothing takes; a charge or multiplicity of the calculator's own that sub-clusters do not have
    """

    def __init__(
        self,
        calculator: GetPropertiesMixin,
        *,
        charged: bool = False,
        spin: str | Callable[..., Any] | None = None,
        charge_key: str | None = None,
        spin_key: str | None = None,
    ):
        self._label = label = label_of(calculator)
        self.charged = charged
        self.rule = None if spin is None else spin_rule(check_rule(spin))
        given = {"charge_key": charge_key, "spin_key": spin_key}
        named = {"spin": self.rule.name if self.rule else None} | given
        #: options of a spec that say the same
        self.options = {name: value for name, value in named.items() if value is not None}
        for name, value in given.items():
            _check_key(name, value)
        if spin_key is not None and spin is None:
            raise InputError(
                "`spin_key` must come with a spin rule, which says what is told under it; say spin=low or another"
            )
        ways = ways_of(calculator)
        takes = [way.spin for way in ways if way.takes_spin]
        if self.rule is None and any(key != MOMENTS for key in takes):
            raise InputError(f"`spin` must be given for {label}, which takes the spin of every sub-cluster; {CHOICES}")
        if self.rule and not takes and way_of(calculator):
            raise InputError(f"`spin` must be left out for {label}, which takes no spin")
        self._spin_keys = self._chosen("spin_key", spin_key, takes) if self.rule else ()
        if self.rule and not self._spin_keys:
            raise InputError(
                f"`spin_key` must be given for {label}, of which it is not known how it is told a spin: the key of Atoms.info "
                f"that it reads ({', '.join(SPIN_KEYS)}), or {MOMENTS}, where it adds up initial magnetic moments"
            )
        # a charge alone is an error for some that would be told no spin
        reads = [way.charge for way in ways if not (way.together and self.rule is None)]
        self._charge_keys = self._chosen("charge_key", charge_key, reads) or (("charge",) if not ways else ())
        #: whether it is known that moments are the spin, and not a start
        self._moments_count = MOMENTS in takes
        self._is_unread = False
        self._declared = ("charge",) * (charge_key is not None) + ("multiplicity",) * (spin_key is not None)
        self._overwritten = [own for _, own in overwritten(calculator)]
        self.hold(calculator, {})

    @property
    def context(self) -> tuple[str, ...]:
        """What of its structure the energy of a sub-cluster depends on."""
        # how charges are spread over the atoms matters, not their sum alone
        named = {*("charges",) * self.charged, *(self.rule.context if self.rule else ("moments",))}
        return tuple(name for name in CONTEXT if name in named)

    @property
    def identity(self) -> str:
        """What a fingerprint must hold of it beside ``charged``; empty where nothing is told that was not always told."""
        rule = f" spin={self.rule.name}{self.rule.identity} spin_key={','.join(self._spin_keys)}" if self.rule else ""
        keys = ",".join(self._charge_keys)
        return rule + (f" charge_key={keys}" if keys not in ("", "charge") else "")

    def hold(self, calculator: GetPropertiesMixin, options: Mapping[str, Any]) -> None:
        """Find out which charge and multiplicity the calculator was given for all that it computes.

        :param options: what it was made with, as far as that is known
        :raises InputError: for a charge or multiplicity that sub-clusters do not have
        """
        self._own = own_values_of(calculator, options, self._declared)
        for own in self._own:
            if own.kind == "charge":
                if own.value and not self.charged:
                    self._refuse(own, "and theirs are those of their atoms")
            elif self.rule is not None:
                self._refuse(own, f"and spin={self.rule.name} says which each has")
            elif own.value > 2:
                self._refuse(own, "and unpaired electrons of parts add up in the whole")

    def check(self, batch: ClusterBatch) -> None:
        """Check that sub-clusters have the charge and multiplicity that the calculator was given for all of them.

        :raises InputError: for one that does not
        """
        for own in self._own:
            if own.kind == "charge":
                wrong = batch.charges != own.value
            else:
                wrong = (batch.numbers.sum(axis=1) - batch.charges + own.value) % 2 == 0
            if wrong.any():
                row = int(np.argmax(wrong))
                count = electrons(batch.numbers[row], int(batch.charges[row]))
                have = f"a charge of {int(batch.charges[row]):+d}" if own.kind == "charge" else f"{count} electrons"
                self._refuse(own, f"and {place_of(batch, row, np.arange(batch.n_atoms))} have {have}")

    def of(self, batch: ClusterBatch, unpaired: IntArray | None) -> Callable[[ase.Atoms, int], ase.Atoms]:
        """What puts on the structure of one sub-cluster, by its row, what the calculator is told of it.

        :param unpaired: electrons without a partner of each, shape (n,); None where there is no rule
        :raises InputError: where moments are the spin and do not fit the electrons
        """
        charges, totals = batch.of_members("charges") if self.charged else None, batch.charges.tolist()
        moments = self._moments(batch, unpaired)

        def tell(atoms: ase.Atoms, row: int) -> ase.Atoms:
            atoms.info = dict.fromkeys(self._charge_keys, totals[row])
            if unpaired is not None:
                for key in self._spin_keys:
                    if key != MOMENTS:
                        atoms.info[key] = int(unpaired[row]) + (kind_of_key(key) != "unpaired")
            if charges is not None:
                atoms.set_initial_charges(charges[row])
            if moments is not None and moments[row].any():
                atoms.set_initial_magnetic_moments(moments[row])
            return atoms

        return tell

    def cell(self, atoms: ase.Atoms) -> ase.Atoms:
        """A periodic structure with what sub-clusters are given, and nothing else that it carries.

        :raises InputError: if its charge is not the one that the calculator was given
        """
        batch = ClusterBatch.from_atoms([atoms if self.charged else ase.Atoms(atoms.numbers, atoms.positions)])
        for own in self._own:
            if own.kind == "charge" and batch.charges[0] != own.value:
                self._refuse(own, f"and the cell has a charge of {int(batch.charges[0]):+d}")
        cell = ase.Atoms(atoms.numbers, atoms.positions, cell=atoms.cell, pbc=atoms.pbc)
        cell.info = dict.fromkeys(self._charge_keys, int(batch.charges[0]))
        if self.charged:
            cell.set_initial_charges(atoms.get_initial_charges())
        if (moments := atoms.get_initial_magnetic_moments()).any():
            cell.set_initial_magnetic_moments(moments)
        return cell

    def check_electrons(self, calculator: GetPropertiesMixin, charge: int) -> None:
        """Check that a program that was told a spin by moments computed with all electrons, where it gives charges of atoms.

        tblite 0.8.0 leaves out, without a word, those that have no place in its valence orbitals with the spin that it is told:
        its oxygen atom with four unpaired electrons is a cation.

        :param charge: of the sub-cluster that it computed last
        :raises ComputationError: if it left some out
        """
        charges = getattr(calculator, "results", {}).get("charges") if self._moments_count else None
        if charges is not None and not abs(np.sum(charges) - charge) < HALF:
            raise ComputationError(
                f"charges of the atoms must add up to {charge:+d} and add up to {np.sum(charges):+.3g}: the orbitals of "
                f"{self._label} have no place for this spin"
            )

    def give_back(self, calculator: GetPropertiesMixin) -> bool:
        """Give a calculator that overwrites them the charge and multiplicity that it had before it was told others.

        It would else come to its next user, or its next source, with those of the last sub-cluster.

        :return: whether there was anything to give back
        """
        if self._overwritten:
            for (attributes, _), own in zip(overwritten(calculator), self._overwritten, strict=True):
                attributes.update(own)
        return bool(self._overwritten)

    def notice(self, batch: ClusterBatch, found: Evaluation) -> None:
        """Say so if energies are the same to the last bit whatever spin the calculator is told, which it then may not read.

        :param batch: sub-clusters with all their spins, those of one side by side
        """
        if self._is_unread:
            return
        same = (batch.members[1:] == batch.members[:-1]).all(axis=1) & (batch.parents[1:] == batch.parents[:-1])
        if batch.n_atoms > 1 and same.any() and (found.energies[1:] == found.energies[:-1])[same].all():
            self._is_unread = True
            logger.warning(
                "%s gives one energy for every spin that it is told by %s: it may not read it",
                self._label,
                ", ".join(self._spin_keys),
            )

    def _chosen(self, name: str, given: str | None, known: Iterable[str]) -> tuple[str, ...]:
        """The given key, or those that the calculator is known to read."""
        reads = tuple(dict.fromkeys(known))
        if given is not None and reads and given not in reads:
            raise InputError(
                f"`{name}` must be {' or '.join(reads)} for {self._label}, which reads that, got {given!r}"
            )
        return reads if given is None else (given,)

    def _refuse(self, own: Own, why: str) -> None:
        if own.kind == "charge":
            advice = "give it to the atoms that carry it as initial charges, with charged=true"
        else:
            advice = "leave that to a rule" if self.rule else "choose a spin rule, such as spin=high"
        raise InputError(
            f"{own.said} must be left out, it would be the {own.kind} of every sub-cluster, {why}; {advice}"
        )

    def _moments(self, batch: ClusterBatch, unpaired: IntArray | None) -> FloatArray | None:
        """Moments that the atoms of sub-clusters come with, shape (n, k)."""
        if self.rule is None:
            given = batch.of_members("moments")
            if not self._moments_count:
                return given
            for row in np.flatnonzero(given.any(axis=1)).tolist():
                place = place_of(batch, row, np.arange(batch.n_atoms))
                whole_moment("none", given[row], electrons(batch.numbers[row], int(batch.charges[row])), place)
            return np.where(given.sum(axis=1, keepdims=True) < 0, -given, given)
        if MOMENTS not in self._spin_keys or unpaired is None:
            return None
        if (moments := self.rule.moments(batch)) is not None:
            return moments
        shares = np.tile(np.floor(unpaired[:, None] / (batch.n_atoms * GRAIN)) * GRAIN, (1, batch.n_atoms))
        shares[:, 0] += unpaired - shares.sum(axis=1)
        return shares


def _check_key(name: str, key: str | None) -> None:
    """Check that a key of ``info`` is one of the field's names for what is told under it: a misspelt one would not be read."""
    of_charge = name == "charge_key"
    if key is None or (key == MOMENTS and not of_charge):
        return
    if not isinstance(key, str) or kind_of_key(key) not in (("charge",) if of_charge else ("multiplicity", "unpaired")):
        known = CHARGE_KEYS if of_charge else (*SPIN_KEYS, MOMENTS)
        what = "charge" if of_charge else "multiplicity"
        raise InputError(
            f"`{name}` must be a name under which a calculator reads a {what}, such as {', '.join(known)}, got {key!r}"
            f"{did_you_mean(key, known)}"
        )
