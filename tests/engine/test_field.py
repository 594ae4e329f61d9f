"""Expansions in a field of point charges, held against closed forms, QCManyBody, and plain PySCF."""

from itertools import combinations

import numpy as np
import pytest
from ase import Atoms
from ase.units import Bohr, Hartree
from pyscf import gto, qmmm, scf
from qcelemental.models import Molecule
from qcmanybody.core import ManyBodyCore
from qcmanybody.utils import delabeler
from scipy.spatial.distance import cdist

from bodyorder import Sampling, check_source, combine, decompose, join, load_results, load_source, save_results
from bodyorder._checks import ComputationError, InputError
from bodyorder.analysis import order_changes, order_convergence
from bodyorder.sources.protocol import Capabilities, EnergySource, Precision
from bodyorder.sources.pyscf.mean_field.starts import without_checkpoints
from bodyorder.structures import ClusterBatch, System

#: Three water molecules in a ring, near the geometry of the trimer in the gas phase (Å).
TRIMER = Atoms(
    "OH2OH2OH2",
    positions=[
        [0.000, 1.630, 0.010], [0.780, 1.060, 0.090], [0.060, 2.120, -0.810],
        [1.410, -0.810, 0.020], [0.530, -1.210, 0.080], [1.890, -1.120, 0.790],
        [-1.410, -0.820, -0.010], [-1.310, 0.140, 0.080], [-1.970, -1.030, -0.760],
    ],
)  # fmt: skip
WATERS = np.repeat(np.arange(3), 3)
TIP3P = {"O": -0.834, "H": 0.417}
SOURCE = "pyscf:uhf/6-31g?spin=low"


@pytest.fixture(autouse=True)
def _no_checkpoints():
    """Mean fields that PySCF makes for comparison leave no checkpoint files open."""
    with without_checkpoints():
        yield


def by_pyscf(present, charges, atoms=TRIMER, labels=WATERS, basis="6-31g"):
    """Hartree–Fock of some bodies among the point charges of all others, in hartree."""
    here, away = np.isin(labels, present), ~np.isin(labels, present)
    mol = gto.M(
        atom=[(number, tuple(place)) for number, place in zip(atoms.numbers[here], atoms.positions[here], strict=True)],
        basis=basis, unit="Angstrom", verbose=0,
    )  # fmt: skip
    field = scf.RHF(mol)
    if away.any():
        field = qmmm.mm_charge(field, atoms.positions[away], np.asarray(charges)[away], unit="Angstrom")
    field.conv_tol, field.conv_tol_grad = 1e-13, 1e-8
    return field.kernel()


class Coulomb(EnergySource):
    """Charges that all atoms have by nature, and what is around them: q_i q_j/r and q_i φ_a/r, in e²/Å."""

    name = fingerprint = "coulomb"
    cutoff = None
    precision = Precision(absolute=1e-12)
    capabilities = Capabilities(context=("field",), populations=("nature",), invariant=True, serial=True)

    def __init__(self):
        self.n_asked = 0

    def energies(self, batch):
        self.n_asked += len(batch)
        energies = []
        for row in range(len(batch)):
            own, places = nature(batch.numbers[row]), batch.positions[row]
            charges, around = batch.field_of(row)
            pairs = sum(
                own[i] * own[j] / np.linalg.norm(places[i] - places[j]) for i, j in combinations(range(len(own)), 2)
            )
            energies.append(pairs + own @ (1 / cdist(places, around)) @ charges)
        return np.array(energies)

    def iterated_charges(self, system, kind):
        return nature(system.numbers)


def nature(numbers):
    return np.where(np.asarray(numbers) == 11, 1.0, -0.5)


IONS = Atoms("NaCl2Na2", positions=np.random.default_rng(3).normal(scale=3.0, size=(5, 3)))


@pytest.mark.parametrize("share", [1.0, 0.5, 0.0, -2.0])
def test_point_charges_in_closed_form(share):
    """With a share λ of the charges as field ε({i}) = λ Σ_j q_i q_j/r, ε({i, j}) = (1 − 2λ) q_i q_j/r, and all else is zero."""
    charges = nature(IONS.numbers)
    pairs = {(i, j): charges[i] * charges[j] / IONS.get_distance(i, j) for i, j in combinations(range(5), 2)}
    result = decompose(IONS, Coulomb(), field=share * charges, subsets=True)
    energy = sum(pairs.values())
    np.testing.assert_allclose(
        result.contribution.values[0], [2 * share * energy, (1 - 2 * share) * energy, 0, 0, 0], atol=1e-12
    )
    assert float(result.total[0]) == pytest.approx(energy, abs=1e-12)
    assert float(result.residual[0]) == pytest.approx(0.0, abs=1e-12)
    rows = result.subsets.subset_members.values
    for row in np.flatnonzero(result.subsets.subset_order == 2):
        wanted = (1 - 2 * share) * pairs[tuple(rows[row, :2].tolist())]
        assert float(result.subsets.subset_contribution[row]) == pytest.approx(wanted, abs=1e-12)


def test_ways_to_give_charges():
    charges = nature(IONS.numbers)
    named = IONS.copy()
    named.set_array("partial", charges)
    given = {
        "given": charges,
        "Cl=-0.5,Na=1": {"Na": 1.0, "Cl": -0.5},
        "column:partial": "column:partial",
        "nature": "nature",
    }
    wanted = decompose(IONS, Coulomb(), field=charges)
    for label, field in given.items():
        result = decompose(named, Coulomb(), field=field)
        assert result.attrs["field"] == label
        np.testing.assert_array_equal(result.sites.site_field_charge, charges)
        np.testing.assert_array_equal(result.contribution, wanted.contribution)
    both = decompose([IONS, IONS[:3]], Coulomb(), field=np.concatenate([charges, charges[:3]]), max_order=2)
    np.testing.assert_allclose(both.contribution[0], wanted.contribution[0, :2])
    np.testing.assert_allclose(
        decompose([IONS, IONS], Coulomb(), field=charges).contribution[1], wanted.contribution[0]
    )


def test_bodies_of_several_atoms_have_no_charges_of_their_own_around_them():
    labels = [0, 0, 1, 1, 2]
    charges = nature(IONS.numbers)
    result = decompose(IONS, Coulomb(), field=0.5 * charges, bodies=labels)
    inside = sum(
        charges[i] * charges[j] / IONS.get_distance(i, j)
        for i, j in combinations(range(5), 2)
        if labels[i] == labels[j]
    )
    total = float(result.total[0])
    np.testing.assert_allclose(result.contribution.values[0], [inside + (total - inside), 0, 0], atol=1e-12)


def test_neither_store_nor_congruence_confuses_a_field_with_vacuum(tmp_path):
    """Equal pairs in different places of a square, charges of which one differs, and the vacuum, in one store."""
    square = Atoms("Na4", positions=3.0 * np.array([[0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0]]))
    fields = [None, np.ones(4), np.array([1.0, 1.0, 1.0, 1.5]), np.zeros(4), np.ones(4)]
    store, counts = tmp_path / "energies.sqlite", []
    for field in fields:
        source = Coulomb()
        stored = decompose(square, source, field=field, store=store, dissociation=False if field is None else None)
        counts.append(source.n_asked)
        bare = Coulomb()
        bare.capabilities = Capabilities(context=("field",), populations=("nature",))
        np.testing.assert_allclose(stored.contribution, decompose(square, bare, field=field).contribution, atol=1e-11)
    # in vacuum one atom, two pairs, a triple and the whole, which is the same in every field; then all others; those that hold
    # the atom whose charge differs have the same charges around them as before
    assert counts == [5, 14, 7, 0, 0]
    # moved as a whole, with the atoms of the field in another order
    moved = Coulomb()
    order = [2, 0, 3, 1]
    decompose(Atoms(square[order], positions=square.positions[order] + 1.0), moved, field=fields[2][order], store=store)
    assert moved.n_asked == 0


HELIUM = Atoms("He5", positions=2.0 * np.array([[0, 0, 0], [1, 0, 0], [1, 1.1, 0], [0, 1, 0.1], [0.5, 0.5, 0.8]]))


@pytest.mark.parametrize(("atoms", "labels"), [(TRIMER, WATERS), (HELIUM, np.arange(5))], ids=["water", "helium"])
def test_order_totals_agree_with_qcmanybody(monkeypatch, atoms, labels):
    """Its embedding charges, with energies of plain PySCF among the charges that it names."""
    monkeypatch.setenv("QCMANYBODY_EMBEDDING_CHARGES", "1")
    charges = np.random.default_rng(5).normal(scale=0.4, size=len(atoms))
    bodies = range(labels.max() + 1)
    core = ManyBodyCore(
        Molecule(
            symbols=atoms.get_chemical_symbols(),
            geometry=atoms.positions / Bohr,
            fragments=[np.flatnonzero(labels == body).tolist() for body in bodies],
            fix_com=True,
            fix_orientation=True,
        ),
        ["nocp"],
        {body + 1: "m" for body in bodies},
        return_total_data=True,
        supersystem_ie_only=False,
        embedding_charges={body + 1: charges[labels == body].tolist() for body in bodies},
    )
    components = {}
    for _, label, molecule in core.iterate_molecules():
        mol = gto.M(
            atom=list(zip(molecule.symbols, molecule.geometry.tolist(), strict=True)),
            unit="Bohr",
            basis="6-31g",
            verbose=0,
        )
        field = scf.RHF(mol)
        if around := molecule.extras["embedding_charges"]:
            field = qmmm.mm_charge(field, np.array([place for _, place in around]), [q for q, _ in around], unit="Bohr")
        field.conv_tol = 1e-12
        components[label] = {"energy": field.kernel()}
        assert sorted(delabeler(label)[1]) == sorted(delabeler(label)[2])
    theirs = core.analyze(components)["results"]
    ours = decompose(atoms, SOURCE, bodies=labels, field=charges).contribution.values[0] / Hartree
    totals = [theirs[f"nocp_corrected_total_energy_through_{body + 1}_body"] for body in bodies]
    np.testing.assert_allclose(np.cumsum(ours), totals, atol=1e-9)


@pytest.mark.parametrize("limit", [1e9, 1.0])
def test_single_sub_clusters_agree_with_plain_pyscf(limit):
    """Whether integrals are cut out of those of the structure or evaluated for the sub-cluster alone."""
    charges = np.random.default_rng(6).normal(scale=0.4, size=9)
    source = load_source(SOURCE)
    source._cache.limit = limit
    system = System.from_atoms(TRIMER, WATERS)
    system = System(system.numbers, system.positions, bodies=WATERS, field=charges)
    for present in ([0], [2], [0, 1], [0, 2]):
        batch = ClusterBatch.cut({0: system}, np.array([0]), np.flatnonzero(np.isin(WATERS, present))[None])
        assert source.energies(batch)[0] / Hartree == pytest.approx(by_pyscf(present, charges), abs=1e-10)


def test_every_method_feels_the_field():
    """H₂ beside a charge of its own structure: two electrons, for which full configuration interaction is CCSD."""
    pair = Atoms("H2HeHe", positions=[[0, 0, 0], [0.9, 0, 0], [-1.5, 1, 0], [2.5, 0, 1]])
    charges = np.array([0.0, 0.0, 0.7, -0.4])
    mol = gto.M(atom="H 0 0 0; H 0.9 0 0", basis="6-31g", verbose=0)
    field = qmmm.mm_charge(scf.RHF(mol), pair.positions[2:], charges[2:], unit="Angstrom")
    field.conv_tol = 1e-13
    mean = field.kernel()
    from pyscf import cc, dft, fci, mp

    system = System(pair.numbers, pair.positions, field=charges)
    batch = ClusterBatch.cut({0: system}, np.array([0]), np.array([[0, 1]]))
    density = qmmm.mm_charge(dft.RKS(mol, xc="pbe"), pair.positions[2:], charges[2:], unit="Angstrom")
    density.grids.level, density.conv_tol = 4, 1e-12
    wanted = {
        "uhf": mean,
        "rhf": mean,
        "rohf": mean,
        "mp2": mp.MP2(field).kernel()[0] + mean,
        "ccsd": cc.CCSD(field).set(conv_tol=1e-11).kernel()[0] + mean,
        "fci": fci.FCI(field).kernel()[0],
        "uks?xc=pbe": density.kernel(),
    }
    for method, energy in wanted.items():
        name, _, option = method.partition("?")
        found = load_source(f"pyscf:{name}/6-31g?spin=low{'&' * bool(option)}{option}").energies(batch)[0] / Hartree
        assert found == pytest.approx(energy, abs=2e-8 if name == "uks" else 2e-9), method


def test_a_nucleus_without_electrons_feels_it():
    proton = Atoms("HHe", positions=[[0, 0, 0], [0, 0, 2.0]], charges=[1, 0])
    result = decompose(proton, "pyscf:uhf/6-31g?spin=low", field=[0.0, -0.3], subsets=True, max_order=1)
    assert float(result.subsets.subset_energy[0]) / Hartree == pytest.approx(-0.3 * Bohr / 2.0, abs=1e-12)


def test_a_field_brings_the_two_body_truncation_nearer_to_the_whole():
    """Known of water: the field holds most of what three bodies do to each other (Dahlke, Truhlar 2007)."""
    fields = {"vacuum": None, "given": TIP3P, "mulliken": "mulliken", "chelpg": "chelpg"}
    results = {name: decompose(TRIMER, SOURCE, bodies=WATERS, field=field) for name, field in fields.items()}
    errors = order_convergence(results).truncation_error.sel(order=2).values[:, 0] * 3
    vacuum = abs(errors[0])
    assert vacuum > 0.03
    assert (np.abs(errors[1:]) < 0.6 * vacuum).all()
    totals = [float(result.total[0]) for result in results.values()]
    np.testing.assert_allclose(totals, totals[0], atol=1e-7)
    changes = order_changes(results)
    assert "field none → chelpg (uhf/6-31g, spin low)" in [
        f"{factor} {start} → {end} ({common})"
        for factor, start, end, common in zip(
            *(changes[name].values for name in ("factor", "from", "to", "common")), strict=True
        )
    ]


def test_iterated_mulliken_charges_are_those_of_a_loop_over_plain_pyscf():
    dimer, labels = TRIMER[:6], WATERS[:6]
    found = load_source(SOURCE).iterated_charges(System.from_atoms(dimer, labels), "mulliken")
    charges = np.zeros(6)
    for _ in range(40):
        new = charges.copy()
        for body in range(2):
            own = labels == body
            mol = gto.M(atom=list(zip(dimer.numbers[own], dimer.positions[own], strict=True)), basis="6-31g", verbose=0)
            field = qmmm.mm_charge(scf.RHF(mol), dimer.positions[~own], charges[~own], unit="Angstrom")
            field.conv_tol, field.conv_tol_grad = 1e-14, 1e-9
            field.kernel()
            new[own] = field.mulliken_pop(verbose=0)[1]
        if np.abs(new - charges).max() < 1e-9:
            break
        charges = new
    np.testing.assert_allclose(found, charges, atol=3e-8)


def test_chelpg_charges_are_a_least_squares_fit_and_have_the_dipole_of_the_density():
    """Of a molecule alone; points by a plain loop, and the constraint by elimination."""
    water = TRIMER[:3]
    found = load_source(SOURCE).iterated_charges(System.from_atoms(water, np.zeros(3, dtype=int)), "chelpg")
    mol = gto.M(atom=list(zip(water.numbers, water.positions, strict=True)), basis="6-31g", verbose=0)
    field = scf.RHF(mol)
    field.conv_tol, field.conv_tol_grad = 1e-14, 1e-9
    field.kernel()
    middle = (water.positions.min(axis=0) + water.positions.max(axis=0)) / 2
    counts = np.floor((np.ptp(water.positions, axis=0) + 5.6) / 0.3).astype(int) + 1
    points = []
    for steps in np.ndindex(*counts):
        point = middle + 0.3 * (np.array(steps) - (counts - 1) / 2)
        distances = np.linalg.norm(water.positions - point, axis=1)
        if (distances > np.array([1.52, 1.2, 1.2])).all() and distances.min() <= 2.8:
            points.append(point)
    points = np.array(points) / Bohr
    near = 1 / cdist(points, water.positions / Bohr)
    electrons = np.einsum("gmn,nm->g", mol.intor("int1e_grids", grids=points), field.make_rdm1())
    potential = near @ water.numbers - electrons
    free = np.linalg.lstsq(near[:, 1:] - near[:, :1], potential)[0]
    np.testing.assert_allclose(found, [-free.sum(), *free], atol=1e-6)
    dipole = found @ water.positions / Bohr
    np.testing.assert_allclose(dipole, field.dip_moment(unit="au", verbose=0), atol=0.02)


@pytest.mark.parametrize("kind", ["mulliken", "chelpg"])
def test_iterated_charges_add_up_to_the_charge_of_each_body(kind):
    """An ion, a hydroxide, a radical and a water molecule; the same numbers on repetition and when atoms are permuted."""
    atoms = Atoms(
        "NaOHOHOH2",
        positions=[[0, 0, 0], [2.3, 0, 0], [3.2, 0.2, 0.1], [-2.5, 0.4, 0], [-3.3, 0.9, 0],
                   [0, 2.6, 0.3], [0.7, 3.2, 0.3], [-0.7, 3.2, 0.4]],
    )  # fmt: skip
    labels = np.array([0, 1, 1, 2, 2, 3, 3, 3])
    atoms.set_initial_charges([1, -1, 0, 0, 0, 0, 0, 0])
    source = load_source("pyscf:uhf/sto-3g?spin=low")
    found = source.iterated_charges(System.from_atoms(atoms, labels), kind)
    np.testing.assert_allclose(np.bincount(labels, found), [1, -1, 0, 0], atol=1e-12)
    assert found[0] == 1.0
    assert (np.abs(found[[1, 3, 5]]) > 0.1).all()
    again = load_source("pyscf:uhf/sto-3g?spin=low").iterated_charges(System.from_atoms(atoms, labels), kind)
    np.testing.assert_array_equal(found, again)


def test_a_stored_run_among_iterated_charges_asks_for_nothing_again(tmp_path):
    first = decompose(
        TRIMER, "pyscf:uhf/sto-3g?spin=low", bodies=WATERS, field="mulliken", store=tmp_path / "energies.sqlite"
    )
    again = decompose(
        TRIMER, "pyscf:uhf/sto-3g?spin=low", bodies=WATERS, field="mulliken", store=tmp_path / "energies.sqlite"
    )
    assert int(first.n_evaluations[0]) == 7
    assert int(again.n_evaluations[0]) == 0
    np.testing.assert_array_equal(again.contribution, first.contribution)


def test_charges_that_do_not_settle_are_told(monkeypatch):
    from bodyorder.sources.pyscf import populations

    monkeypatch.setattr(populations, "ROUNDS", 2)
    with pytest.raises(
        ComputationError,
        match=r"structure 0: iterated charges \(mulliken\) must settle, and still change by \S+ e after 2",
    ):
        decompose(TRIMER, "pyscf:uhf/sto-3g?spin=low", bodies=WATERS, field="mulliken")


@pytest.mark.parametrize(
    ("given", "said"), [([1.0], r"gave 1 of shape \(1,\)"), ([np.nan] * 5, r"gave 0 of shape \(5,\)")]
)
def test_charges_that_a_source_finds_are_looked_at(given, said):
    class Odd(Coulomb):
        def iterated_charges(self, system, kind):
            return given

    with pytest.raises(
        ComputationError, match=f"coulomb must give a finite charge of each of the 5 atoms of structure 0, {said}"
    ):
        decompose(IONS, Odd(), field="nature")


def test_results_tell_their_field_and_are_joined_with_their_like_only(tmp_path):
    charges = nature(IONS.numbers)
    results = [decompose(IONS, Coulomb(), field=charges), decompose(IONS[:4], Coulomb(), field=charges[:4])]
    vacuum = decompose(IONS, Coulomb())
    assert vacuum.attrs["field"] == "none"
    assert "site_field_charge" not in vacuum.sites
    save_results(results[0], tmp_path / "r.nc")
    kept = load_results(tmp_path / "r.nc")
    assert kept.attrs["field"] == "given"
    np.testing.assert_array_equal(kept.sites.site_field_charge, charges)
    np.testing.assert_array_equal(join(results).sites.site_field_charge, [*charges, *charges[:4]])
    with pytest.raises(InputError, match="differ in `field`: 'none' in '1', 'given' in '0'"):
        join([results[0], vacuum])
    both = combine({"vacuum": vacuum, "field": results[0]})
    assert np.isnan(both.sites.site_field_charge.sel(source="vacuum")).all()


def test_cutoffs_and_samples_work_in_a_field():
    """Pairs within a cutoff, and a sample that holds all there are."""
    charges = 0.3 * nature(IONS.numbers)
    full = decompose(IONS, Coulomb(), field=charges, max_order=2)
    near = decompose(IONS, Coulomb(), field=charges, max_order=2, cutoff=1e3)
    drawn = decompose(IONS, Coulomb(), field=charges, max_order=2, sampling=Sampling(100))
    np.testing.assert_allclose(near.contribution, full.contribution, atol=1e-12)
    np.testing.assert_allclose(drawn.contribution, full.contribution, atol=1e-9)


def test_the_kit_holds_sources_to_their_claim():
    class Deaf(Coulomb):
        def energies(self, batch):
            bare = {index: System(one.numbers, one.positions) for index, one in batch.systems.items()}
            return super().energies(ClusterBatch.cut(bare, batch.parents, batch.members))

    class Silent(Coulomb):
        capabilities = Capabilities(populations=("nature",))

    checks = {check.name: check for check in check_source(Coulomb(), species=["Na", "Cl"]).checks}
    assert checks["field"].passed is True
    checks = {check.name: check for check in check_source(Deaf(), species=["Na", "Cl"]).checks}
    assert checks["field"].passed is False
    assert "charges around a cluster must change its energy" in checks["field"].detail
    checks = {check.name: check for check in check_source(Silent(), species=["Na", "Cl"]).checks}
    assert checks["context"].passed is False


class WithForces(Coulomb):
    capabilities = Capabilities(context=("field",), forces=True, populations=("nature",))

    def energies_and_forces(self, batch):
        return self.energies(batch), np.zeros_like(batch.positions)


PERIODIC = Atoms("Na2", positions=[[0, 0, 0], [0, 0, 3]], cell=[9, 9, 9], pbc=True)
CLOSE = Atoms("Na2", positions=[[0, 0, 0], [0, 0, 0.01]])
NAMED = IONS.copy()
NAMED.set_array("partial", np.array([1.0, np.nan, 0, 0, 0]))
NAMED.set_array("words", np.array(list("abcde")))


@pytest.mark.parametrize(
    ("structure", "source", "options", "message"),
    [
        (IONS, Coulomb, {"field": [1.0, 2.0]}, "`field` must give the charge of each of the 5 atoms of a structure, got 2"),
        (IONS, Coulomb, {"field": np.zeros((5, 1))}, r"got 5 values of shape \(5, 1\)"),
        (IONS, Coulomb, {"field": [1, 2, np.inf, 0, 0]}, "`field` must give finite charges, got inf for atom 2"),
        (IONS, Coulomb, {"field": {"Na": 1.0}}, "must give the charge of every element, and lacks Cl of structure 0; it has Na"),
        (IONS, Coulomb, {"field": {"Na": 1.0, "Cl": np.nan}}, "`field` must give finite charges, got nan for Cl"),
        (IONS, Coulomb, {"field": {"Qq": 1.0}}, "`field` must give charges by element, such as {'O': -0.834}, and 'Qq' is none"),
        (IONS, Coulomb, {"field": 3j}, "`field` must be the charge of each atom, charges by element"),
        (NAMED, Coulomb, {"field": "column:partal"}, "'partal' is none; it has partial, words; did you mean 'partial'?"),
        (NAMED, Coulomb, {"field": "column:partial"}, "must give finite charges, got nan for atom 1"),
        (NAMED, Coulomb, {"field": "column:words"}, "column 'words' of structure 0 must give a charge for each atom"),
        (IONS, Coulomb, {"field": "natural"}, r"or kinds that coulomb finds \(nature\), got 'natural'; did you mean 'nature'?"),
        (IONS, Coulomb, {"field": "nature", "one_body": {"Na": 1.0}}, "`one_body` must be asked for in vacuum, and `field` is"),
        (IONS, Coulomb, {"field": "nature", "dissociation": True}, "`dissociation` must be asked for in vacuum"),
        (IONS, Coulomb, {"field": "nature", "measure_noise": True}, "`measure_noise` must be asked for in vacuum"),
        (IONS, WithForces, {"field": "nature", "forces": True}, "`forces` must be asked for in vacuum"),
        (PERIODIC, Coulomb, {"field": "nature"}, "`field` must be that of free clusters, structure 0 is periodic; drop its cell"),
        (CLOSE, Coulomb, {"field": "nature"}, "must have atoms apart from each other, atoms 0 and 1 are on one spot"),
        (
            IONS,
            "analytic:pair",
            {"field": [0.0] * 5},
            "must be felt by the source, analytic:pair.* takes sub-clusters in vacuum only; use pyscf or another that does",
        ),
        (
            IONS,
            "pyscf:uhf/sto-3g?spin=low&counterpoise=full",
            {"field": [0.0] * 5},
            "`field` needs a source without counterpoise correction, whose ghosts would stand on the charges, got pyscf:uhf",
        ),
    ],
)  # fmt: skip
def test_what_a_field_cannot_be(structure, source, options, message):
    with pytest.raises(InputError, match=message):
        decompose(structure, source if isinstance(source, str) else source(), **options)


def test_a_source_with_a_cutoff_is_refused_among_charges():
    class Cut(Coulomb):
        cutoff = 4.0

    with pytest.raises(
        InputError, match="must not be given to a source with a cutoff, energies among charges are not additive"
    ):
        decompose(IONS, Cut(), field="nature")


def test_pyscf_gives_no_forces_among_charges():
    source = load_source(SOURCE)
    system = System(np.array([2, 2]), np.array([[0, 0, 0], [0, 0, 3.0]]), field=np.ones(2))
    with pytest.raises(InputError, match="`forces` must be of sub-clusters in vacuum, got point charges around them"):
        source.energies_and_forces(ClusterBatch.cut({0: system}, np.array([0]), np.array([[0]])))


@pytest.mark.parametrize("options", ["", "&relativity=x2c", "&density_fit=true"])
def test_cores_relativity_and_fitting_feel_the_field_as_in_pyscf(options):
    """Iodide beside water: its core potential stands for 28 electrons, and charges are not transformed by relativity."""
    pair = Atoms("IOH2", positions=[[0, 0, 0], [3.4, 0, 0], [2.5, 0.2, 0], [3.7, 0.9, 0.1]], charges=[-1, 0, 0, 0])
    basis = "sto-3g" if "x2c" in options else "def2-svp"
    labels, charges = [0, 1, 1, 1], np.array([-0.9, -0.8, 0.5, 0.4])
    result = decompose(
        pair, f"pyscf:rhf/{basis}?spin=low{options}", bodies=labels, field=charges, subsets=True, max_order=1
    )
    for row, (own, away, charge) in enumerate([([0], [1, 2, 3], -1), ([1, 2, 3], [0], 0)]):
        mol = gto.M(
            atom=[(pair.symbols[atom], tuple(pair.positions[atom])) for atom in own], basis=basis, charge=charge,
            ecp=basis if basis == "def2-svp" else {}, verbose=0,
        )  # fmt: skip
        field = scf.RHF(mol)
        if "x2c" in options:
            field = field.sfx2c1e()
        if "fit" in options:
            field = field.density_fit()
        field = qmmm.mm_charge(field, pair.positions[away], charges[away], unit="Angstrom")
        field.conv_tol = 1e-12
        assert float(result.subsets.subset_energy[row]) / Hartree == pytest.approx(field.kernel(), abs=1e-8)


@pytest.mark.parametrize("kind", ["mulliken", "chelpg"])
def test_charges_are_found_beside_core_potentials(kind):
    pair = Atoms("IHOH2", positions=[[0, 0, 0], [1.6, 0, 0], [3.4, 0, 0], [4.0, 0.7, 0], [4.0, -0.7, 0.1]])
    labels = np.array([0, 0, 1, 1, 1])
    found = load_source("pyscf:uhf/def2-svp?spin=low").iterated_charges(System.from_atoms(pair, labels), kind)
    np.testing.assert_allclose(np.bincount(labels, found), 0.0, atol=1e-12)
    assert -0.5 < found[0] < 0 < found[1]
    assert found[2] < -0.2
