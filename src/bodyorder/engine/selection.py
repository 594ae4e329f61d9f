"""Which sub-clusters of a structure are taken."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal
from weakref import WeakValueDictionary

import ase

from bodyorder._checks import InputError, check_between, check_positive, check_switch
from bodyorder.engine.pieces import Cell, Piece
from bodyorder.engine.sampling import Sampling, along_joints, by_distance
from bodyorder.sources.protocol import EnergySource
from bodyorder.structures import Bodies, System
from bodyorder.structures.bodies import BodiesLike, body_charges, divide
from bodyorder.structures.inventory import inventory
from bodyorder.structures.periodic import Crystal, make_whole
from bodyorder.structures.stated import read_stated
from bodyorder.subsets import Family, Joints, cliques, complete, connected_classes


@dataclass(frozen=True)
class Selection:
    """Which sub-clusters of a structure are taken.

    :param max_order: largest number of bodies; all if None
    :param bodies: see :func:`bodyorder.structures.find_bodies`
    :param cutoff: in Å. If the source is additive at this distance, the sub-clusters connected by shorter distances are
        taken, which is exact; otherwise those whose bodies are all within it of each other, which is an approximation.
    :param sampling: estimate the order totals from a sample of the sub-clusters
    :param kept: whether every sub-cluster is kept; else those of the largest order may be too many for that, and are made and
        evaluated a bounded number at a time, where they are connected ones
    :param whole: whether the energy of the whole is asked for where the sub-clusters taken do not hold it
    """

    max_order: int | None = None
    bodies: BodiesLike = "atoms"
    cutoff: float | None = None
    sampling: Sampling | None = None
    kept: bool = False
    whole: bool = True

    def pieces(
        self, structures: Sequence[ase.Atoms], source: EnergySource, draws: Sequence[list[int]] | None = None
    ) -> list[Piece]:
        """Each structure with its bodies and its family of sub-clusters.

        :param draws: for each structure how many subsets of each order are sampled; as many as at first if not given
        :raises InputError: if an option does not fit the structures, the charge of a body is no whole number, or the source
            does not take charges
        """
        check_switch("whole", self.whole)
        if self.cutoff is not None:
            check_positive("cutoff", self.cutoff)
        if self.sampling is not None:
            self._check_sampling(source)
        names = [f"structure {index}" for index in range(len(structures))]
        periodic = [index for index, atoms in enumerate(structures) if atoms.pbc.any()]
        for index in periodic:
            self._check_periodic(source, names[index])
        partitions = divide(structures, self.bodies, names)
        if self.max_order is not None and not periodic:
            check_between("max_order", self.max_order, 1, max(len(bodies) for bodies in partitions))
        made_whole = make_whole(
            [structures[index] for index in periodic],
            [partitions[index] for index in periodic],
            self.bodies,
            [names[index] for index in periodic],
        )
        crystals = dict(zip(periodic, made_whole, strict=True))
        return [
            self._periodic(crystals[index], source, index, None if draws is None else draws[index])
            if index in crystals
            else self._free(atoms, partitions[index], source, index, None if draws is None else draws[index])
            for index, atoms in enumerate(structures)
        ]

    def inventory(self, structures: Sequence[ase.Atoms], pieces: Sequence[Piece], source: EnergySource) -> str:
        """What was read, in one line (:func:`bodyorder.structures.inventory.inventory`).

        :param pieces: the structures with their bodies
        """
        can = source.capabilities
        return inventory(
            structures,
            [piece.partition for piece in pieces],
            self.bodies if isinstance(self.bodies, str) else "given",
            spin=can.spin,
            takes_moments="moments" in can.context,
            takes_multiplicity=_takes_lowest(source),
        )

    def _free(
        self, atoms: ase.Atoms, partition: Bodies, source: EnergySource, index: int, draws: list[int] | None
    ) -> Piece:
        """A free cluster."""
        _check_charges(atoms, partition, source, f"structure {index}")
        _check_multiplicity(atoms, source, f"structure {index}")
        system = System.from_atoms(atoms, partition.labels)
        top = min(self.max_order or len(partition), len(partition))
        scheme = source.capabilities.counterpoise
        if self.sampling is not None:
            if source.cutoff is None:
                growth = by_distance(partition.distances(system.positions))
            else:
                joints = Joints(len(partition), *partition.pairs(system.positions, source.cutoff))
                apart = partition.middle_distances(atoms, joints.first, joints.second, joints.shifts)
                growth = along_joints(joints, apart, top)
            drawn = self.sampling.draw(growth, draws or self.sampling.first(top), index)
            return Piece(system, partition, drawn.family, scheme, drawn, whole=self.whole)
        if self.cutoff is None:
            family = _complete(len(partition), top)
        elif self.kind(source) == "connected":
            joints = Joints(len(partition), *partition.pairs(system.positions, self.cutoff))
            family = connected_classes(joints, top, streamed=not self.kept)
        else:
            family = cliques(partition.distances(system.positions) < self.cutoff, top)
        return Piece(system, partition, family, scheme, whole=self.whole)

    def _periodic(self, crystal: Crystal, source: EnergySource, index: int, draws: list[int] | None) -> Piece:
        """A periodic structure: the classes of connected sub-clusters."""
        name, cutoff = f"structure {index}", self.cutoff or source.cutoff
        assert cutoff is not None
        assert self.max_order is not None
        _check_charges(crystal.atoms, crystal.bodies, source, name)
        _check_multiplicity(crystal.atoms, source, name)
        joints = Joints(len(crystal.bodies), *crystal.pairs(cutoff))
        drawn = None
        if self.sampling is not None:
            apart = crystal.bodies.middle_distances(crystal.atoms, joints.first, joints.second, joints.shifts)
            growth = along_joints(joints, apart, self.max_order)
            drawn = self.sampling.draw(growth, draws or self.sampling.first(self.max_order), index)
        family = connected_classes(joints, self.max_order, streamed=not self.kept) if drawn is None else drawn.family
        assert family.nodes is not None
        system, bodies, home = crystal.images(family.nodes.bodies, family.nodes.cells)
        return Piece(system, bodies, family, sample=drawn, cell=Cell(crystal, home), whole=self.whole)

    def _check_periodic(self, source: EnergySource, name: str) -> None:
        if self.max_order is None:
            raise InputError(f"`max_order` must be given for {name}, which is periodic; give a largest order")
        cutoff = self.cutoff or source.cutoff
        if cutoff is None or source.cutoff is None:
            raise InputError(
                f"{name} is periodic, for which the source must be additive beyond a `cutoff`, and {source.name} has none; "
                "use a source with a finite range, or a free cluster (pbc=False)"
            )
        if source.cutoff > cutoff:
            raise InputError(
                f"`cutoff` for {name}, which is periodic, must be at least that of {source.name}, {source.cutoff:g} Å, got "
                f"{cutoff:g}; leave it out"
            )

    def _check_sampling(self, source: EnergySource) -> None:
        if self.max_order is None:
            raise InputError("`max_order` must be given for a sample, whose cost doubles with every order")
        if self.cutoff is not None:
            raise InputError(
                "`cutoff` and a sample must not be given together; a sample draws near bodies more often by itself"
            )
        if source.capabilities.counterpoise == "vmfc":
            raise InputError(
                f"a sample must be of energies in one set of functions, got {source.name}; use counterpoise=full"
            )

    def kind(self, source: EnergySource) -> Literal["complete", "connected", "cliques", "sampled"]:
        """Kind of family that the options mean for a free cluster and a source."""
        if self.sampling is not None:
            return "sampled"
        if self.cutoff is None:
            return "complete"
        additive = source.cutoff is not None and source.cutoff <= self.cutoff
        return "connected" if additive else "cliques"


def _check_charges(atoms: ase.Atoms, bodies: Bodies, source: EnergySource, name: str) -> None:
    charges = body_charges(atoms, bodies, name)
    if charges.any() and not source.capabilities.charged:
        raise InputError(
            f"{source.name} takes no charges, {name} has a body of charge {charges[charges != 0][0]:+d}; "
            "use a source that does, such as pyscf, or remove the initial charges"
        )


def _check_multiplicity(atoms: ase.Atoms, source: EnergySource, name: str) -> None:
    """Check that the lowest spin is the one that a structure states, where the source takes that."""
    if not _takes_lowest(source):
        return
    stated = read_stated(atoms, name).multiplicity
    if stated is not None and stated > 2:
        raise InputError(
            f"{source.name} takes the lowest spin, {name} states a multiplicity of {stated}; choose another rule, such as "
            "spin=ground, or spin=pattern with moments on the atoms, or remove the multiplicity"
        )


def _takes_lowest(source: EnergySource) -> bool:
    return source.capabilities.spin == "low"


#: Complete families that are in use: structures alike share one, and none outlives its run.
_families: WeakValueDictionary[tuple[int, int], Family] = WeakValueDictionary()


def _complete(n_bodies: int, max_order: int) -> Family:
    family = _families.get((n_bodies, max_order))
    if family is None:
        _families[n_bodies, max_order] = family = complete(n_bodies, max_order)
    return family
