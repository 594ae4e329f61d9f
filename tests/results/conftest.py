import numpy as np
import pytest
from ase.build import bulk, molecule
from ase.calculators.emt import EMT
from geometries import clusters, square

from bodyorder import Sampling, combine, decompose
from bodyorder.sources import Precision


def named(**frames):
    for name, atoms in frames.items():
        atoms.info |= {"name": name, "group": {"water": "naß"}.get(name, "trocken")}
    return list(frames.values())


def free():
    frames = named(water=molecule("H2O"), methane=molecule("CH4"), ammonia=molecule("NH3"))
    return decompose(frames, "analytic:sutton-chen", forces=True, subsets=True)


def periodic():
    copper = bulk("Cu", cubic=True)
    copper.rattle(0.05, seed=1)
    frames = named(copper=copper, chain=bulk("Cu") * (2, 1, 1), free=molecule("H2O"))
    return decompose(frames, "analytic:sutton-chen?cutoff=3.0", max_order=2, forces=True, subsets=True)


def charged():
    frames = named(ion=square(), square=square(1.2))
    frames[0].set_initial_charges([1, 0, 0, 0])
    return decompose(frames, "pyscf:uhf/sto-3g?spin=low", max_order=2, subsets=True)


def molecules():
    frames = named(dimer=molecule("H2O"), single=molecule("CH4"))
    far = molecule("H2O")
    far.translate([6, 0, 0])
    frames[0] += far
    return decompose(frames, "analytic:pair", bodies="molecules", subsets=True)


def atoms_of_source():
    gold = bulk("Au", cubic=True)
    gold.pbc = False
    return decompose(named(gold=gold), EMT(), atom_energies=True)


def sampled():
    return decompose(
        named(a=clusters(1, 12)[0]), "analytic:pair?cutoff=3", max_order=3, sampling=Sampling(20), subsets=True
    )


def beside():
    frames = named(a=clusters()[0], b=clusters()[1])
    specs = ("analytic:pair", "analytic:axilrod-teller")
    return combine({spec: decompose(frames, spec, subsets=True, forces=True) for spec in specs})


def bare():
    return decompose(molecule("H2"), "analytic:pair")


def failed():
    """Of one structure all sub-clusters with the first atom."""

    class Failing:
        name, fingerprint, cutoff, precision = "failing", "failing", None, Precision()

        def energies(self, batch):
            lost = (batch.parents == 0) & (batch.members == 0).any(axis=1)
            return np.where(lost, np.nan, batch.positions[:, :, 0].sum(axis=1))

    return decompose(named(a=clusters()[0], b=clusters()[1]), Failing(), subsets=True)


KINDS = {
    kind.__name__: kind for kind in (free, periodic, charged, molecules, atoms_of_source, sampled, beside, bare, failed)
}


@pytest.fixture(params=list(KINDS))
def any_result(request):
    return KINDS[request.param]()


@pytest.fixture
def result():
    return free()
