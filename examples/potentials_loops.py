"""Order totals the slow way: loops over ASE that follow the definition and know nothing of bodyorder.

ε(S) = Σ_{T⊆S} (−1)^{|S|−|T|} E(T), E⁽ⁿ⁾ = Σ_{|S|=n} ε(S), and for a periodic structure the sum over all S that are not images of
each other in other cells. Only S whose bodies are connected by short distances are visited there, their parts T are all computed
as they are, connected or not.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations, product
from math import ceil, comb, fsum, nan
from typing import NamedTuple

import ase
import numpy as np
from ase.calculators.calculator import CalculationFailed, Calculator


class Answer(NamedTuple):
    """Order totals in eV, the energy of the whole in eV, and how often ASE was asked."""

    orders: list[float]
    total: float
    n_asked: int


class Asked:
    """A calculator, asked for one structure after the other.

    :param vacuum: Å on each side of the periodic box that it needs; None for no box
    """

    def __init__(self, calculator: Calculator, vacuum: float | None = None):
        self.calculator, self.vacuum, self.count = calculator, vacuum, 0

    def energy(self, atoms: ase.Atoms) -> float:
        """In eV; NaN where the calculator does not converge."""
        atoms = atoms.copy()
        if self.vacuum is not None and not atoms.pbc.any():
            atoms.center(vacuum=self.vacuum)
            atoms.pbc = True
        # for a model that looks there; calculators that know charges add up those of the atoms
        atoms.info["charge"] = round(atoms.get_initial_charges().sum())
        atoms.calc = self.calculator
        self.count += 1
        self.calculator.reset()  # tblite would start from the density of the atoms before, and fails from some
        try:
            return atoms.get_potential_energy()
        except CalculationFailed:
            return nan


def free_orders(atoms: ase.Atoms, labels: np.ndarray, asked: Asked, max_order: int) -> Answer:
    """Order totals of a free cluster, inverted in closed form.

    :param labels: body of each atom
    """
    n_bodies = labels.max() + 1
    sums = [
        fsum(asked.energy(atoms[np.isin(labels, bodies)]) for bodies in combinations(range(n_bodies), size))
        for size in range(1, max_order + 1)
    ]
    orders = [
        fsum((-1) ** (n - m) * comb(n_bodies - m, n - m) * sums[m - 1] for m in range(1, n + 1))
        for n in range(1, max_order + 1)
    ]
    return Answer(orders, asked.energy(atoms), asked.count)


#: A body of the crystal: its number, and the cell that it is in.
Node = tuple[int, int, int, int]


def periodic_orders(atoms: ase.Atoms, labels: np.ndarray, asked: Asked, max_order: int, reach: float) -> Answer:
    """Order totals of one cell of a periodic structure whose bodies are whole.

    :param labels: body of each atom
    :param reach: in Å; bodies farther apart are taken not to feel each other
    """
    images = {
        (body, *cell): atoms.positions[labels == body] + cell @ atoms.cell.array
        for body in range(labels.max() + 1)
        for cell in product(*(range(-n, n + 1) for n in _cells_within(atoms, reach)))
    }
    joined = {
        body: [node for node, there in images.items() if node != (body, 0, 0, 0) and _distance(here, there) < reach]
        for body, here in ((body, images[body, 0, 0, 0]) for body in range(labels.max() + 1))
    }
    energies: dict[tuple[Node, ...], float] = {}

    def energy(nodes: tuple[Node, ...]) -> float:
        nodes = _at_home(nodes)
        if nodes not in energies:
            numbers = np.concatenate([atoms.numbers[labels == body] for body, *_ in nodes])
            places = [atoms.positions[labels == body] + cell @ atoms.cell.array for body, *cell in nodes]
            energies[nodes] = asked.energy(ase.Atoms(numbers, np.concatenate(places)))
        return energies[nodes]

    orders = []
    subsets = {((body, 0, 0, 0),) for body in joined}
    for size in range(1, max_order + 1):
        terms = (
            (-1) ** (size - m) * energy(part)
            for s in subsets
            for m in range(1, size + 1)
            for part in combinations(s, m)
        )
        orders.append(fsum(terms))
        subsets = {_at_home((*s, node)) for s in subsets for node in _beside(s, joined)}
    return Answer(orders, asked.energy(atoms), asked.count)


def _cells_within(atoms: ase.Atoms, reach: float) -> list[int]:
    """Cells to look through along each vector; one more than that needs, since molecules reach across borders."""
    heights = 1 / np.linalg.norm(atoms.cell.reciprocal(), axis=1)
    return [ceil(reach / height) + 1 for height in heights]


def _distance(here: np.ndarray, there: np.ndarray) -> float:
    return np.linalg.norm(here[:, None] - there, axis=2).min()


def _beside(nodes: tuple[Node, ...], joined: dict[int, list[Node]]) -> Iterator[Node]:
    for body, *cell in nodes:
        for other, *step in joined[body]:
            node = (other, *(a + b for a, b in zip(cell, step, strict=True)))
            if node not in nodes:
                yield node


def _at_home(nodes: tuple[Node, ...]) -> tuple[Node, ...]:
    """The image whose first body is in the home cell."""
    (_, *home), *_ = nodes = sorted(nodes)
    return tuple((body, *(a - b for a, b in zip(cell, home, strict=True))) for body, *cell in nodes)
