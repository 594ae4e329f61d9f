"""Options as they are documented: names, values and defaults, each default against plain PySCF."""

import inspect
import re
from pathlib import Path

import ase.build
import numpy as np
import pytest
from ase.units import Bohr, Hartree
from pyscf import cc, dft, fci, gto, mp, scf

from bodyorder._checks import InputError
from bodyorder.sources.pyscf import METHODS, load
from bodyorder.sources.pyscf.mean_field.functionals import USUAL
from bodyorder.sources.pyscf.mean_field.grid_noise import NOISE, grid_noise
from bodyorder.sources.pyscf.methods import TABLE
from bodyorder.sources.pyscf.options import COMMON, GRIDS, OPTIONS, OTHER_NAMES, REFUSED, in_words
from bodyorder.sources.registry import load_source
from bodyorder.structures.clusters import ClusterBatch

PAGE = (Path(__file__).parents[2] / "docs" / "ab_initio.md").read_text(encoding="utf-8")
WATER = ase.build.molecule("H2O")
HYDRIDE = ase.Atoms("LiH", [[0, 0, 0], [0.3, 1.5, 0.2]])


def methods_with(option):
    taking = [f"`{method}`" for method in METHODS if option in TABLE[method].takes]
    return "all" if len(taking) == len(METHODS) else ", ".join(taking)


def rows():
    """The table of the page, option by option."""
    for name, option in COMMON.items():
        yield name, option, "all"
    for name, option in OPTIONS.items():
        yield name, option, methods_with(name)


def default_in_words(option):
    return "required" if option.default is None else f"`{in_words(option.default)}`"


def test_the_page_has_every_option():
    lines = ["| option | what it decides | values | default | methods |", "|---|---|---|---|---|"]
    for name, option, taking in rows():
        lines.append(f"| `{name}` | {option.meaning} | {option.values} | {default_in_words(option)} | {taking} |")
    table = "\n".join(lines)
    assert table in PAGE, f"docs/ab_initio.md must hold this table:\n{table}"


def test_the_page_has_the_noise_of_every_grid():
    names = {level: f" ({name})" for name, level in GRIDS.items()}
    lines = [f"| `grid` | {' | '.join(NOISE)} |", f"|---|{'---|' * len(NOISE)}"]
    for level in range(7):
        noises = " | ".join(f"{values[level]:.0e}".replace("e-0", "e-") for values in NOISE.values())
        lines.append(f"| {level}{names.get(level, '')}{' and more' if level == 6 else ''} | {noises} |")
    table = "\n".join(lines)
    assert table in PAGE, f"docs/ab_initio.md must hold this table (eV):\n{table}"


# ------------------------------------------------------------------------------------------------------------- defaults


@pytest.mark.parametrize("method", METHODS)
def test_defaults_count_whether_given_or_not(method):
    needed = "&xc=pbe" if "xc" in TABLE[method].takes else ""
    source = load_source(f"pyscf:{method}/sto-3g?spin=low{needed}")
    for name in TABLE[method].takes:
        if OPTIONS[name].default is not None:
            given = load_source(f"pyscf:{method}/sto-3g?spin=low{needed}&{name}={in_words(OPTIONS[name].default)}")
            assert given.fingerprint == source.fingerprint, name
            assert given.precision == source.precision


def test_defaults_of_all_methods():
    for name, option in COMMON.items():
        default = inspect.signature(load).parameters.get(name)
        if default is not None and option.default not in (None, "none"):
            assert default.default == option.default


def plain(atoms, basis="6-31g"):
    sites = list(zip(atoms.symbols, atoms.positions / Bohr, strict=True))
    return gto.M(atom=sites, unit="Bohr", basis=basis, verbose=0)


def kohn_sham(kind, mol, xc="pbe", level=4):
    field = kind(mol, xc=xc).set(conv_tol=1e-11)
    field.grids.level, field.nlcgrids.level = level, max(level - 1, 0)
    return field.run()


#: What the documented defaults are in PySCF: all electrons, no relativity, exact integrals, no dispersion, grid of level 4.
PLAIN = {
    "fci": lambda mol: fci.FCI(scf.RHF(mol).run()).kernel()[0],
    "dmrg": lambda mol: fci.FCI(scf.RHF(mol).run()).kernel()[0],
    "uhf": lambda mol: scf.UHF(mol).run(conv_tol=1e-12).e_tot,
    "rhf": lambda mol: scf.RHF(mol).run(conv_tol=1e-12).e_tot,
    "rohf": lambda mol: scf.ROHF(mol).run(conv_tol=1e-12).e_tot,
    "uks": lambda mol: kohn_sham(dft.UKS, mol).e_tot,
    "rks": lambda mol: kohn_sham(dft.RKS, mol).e_tot,
    "mp2": lambda mol: mp.UMP2(scf.UHF(mol).run(conv_tol=1e-12)).run().e_tot,
    "ccsd": lambda mol: cc.UCCSD(scf.UHF(mol).run(conv_tol=1e-12)).run(conv_tol=1e-11).e_tot,
    "ccsd(t)": lambda mol: (
        (found := cc.UCCSD(scf.UHF(mol).run(conv_tol=1e-12)).run(conv_tol=1e-11)).e_tot + found.ccsd_t()
    ),
}


@pytest.mark.parametrize("method", METHODS)
def test_defaults_are_those_of_plain_pyscf(method):
    needed, atoms = ("&xc=pbe", ase.Atoms("He")) if "xc" in TABLE[method].takes else ("", HYDRIDE)
    found = load_source(f"pyscf:{method}/6-31g?spin=low{needed}").energies(ClusterBatch.from_atoms([atoms]))[0]
    assert found / Hartree == pytest.approx(PLAIN[method](plain(atoms)), abs=1e-8)


# ---------------------------------------------------------------------------------------------------------- functionals


@pytest.mark.parametrize("xc", ["camb3lyp", "hse06", "r2scan0", "wb97x-v"])
def test_ranged_and_nonlocal_functionals(xc):
    assert xc in USUAL
    expected = kohn_sham(dft.RKS, plain(WATER, "sto-3g"), xc, level=0).e_tot
    found = load_source(f"pyscf:rks/sto-3g?spin=low&xc={xc}&grid=0").energies(ClusterBatch.from_atoms([WATER]))[0]
    assert found / Hartree == pytest.approx(expected, abs=1e-8)


@pytest.mark.parametrize(("name", "level"), GRIDS.items())
def test_grids_by_name(name, level):
    named, numbered = (load_source(f"pyscf:uks/6-31g?spin=low&xc=pbe&grid={grid}") for grid in (name, level))
    assert named.fingerprint == numbered.fingerprint
    assert named.precision.absolute == grid_noise("pbe", level)


def test_noise_of_grids():
    """A sample of what benchmarks/grid_noise.py measures: a density integrated on grids that are turned about it."""
    mol = plain(WATER, "sto-3g")
    field = kohn_sham(dft.RKS, mol, "pbe", level=2)
    density, turns = field.make_rdm1(), np.random.default_rng(0).standard_normal((6, 3, 3))
    for level in (0, 1, 2):
        energies = []
        for turn in turns:
            turn = np.linalg.qr(turn)[0]
            grids = dft.gen_grid.Grids(mol.set_geom_(mol.atom_coords() @ turn.T, unit="Bohr", inplace=False))
            grids.set(level=level, verbose=0).build()
            grids.coords, grids.mol = np.ascontiguousarray(grids.coords @ turn), mol
            grids.non0tab = grids.screen_index = grids.make_mask(mol, grids.coords)
            energies.append(dft.numint.NumInt().nr_rks(mol, grids, "pbe", density)[1] * Hartree)
        assert 0.1 < np.std(energies, ddof=1) / grid_noise("pbe", level) < 2.0


def test_noise_by_functional():
    kinds = {
        "svwn": "LDA",
        "pbe": "GGA",
        "b3lyp": "GGA",
        "r2scan": "MGGA",
        "tpssh": "MGGA",
        "scan": "hard",
        "m06-2x": "hard",
    }
    kinds |= {"wb97x-v": "B97", "wb97m-v": "hard", "mn15": "hard"}
    for xc, kind in kinds.items():
        assert grid_noise(xc, 2) == NOISE[kind][2]
    assert grid_noise("pbe", 9) == grid_noise("pbe", 6)
    assert grid_noise("hf", 0) == 0.0
    assert load_source("pyscf:rks/6-31g?spin=low&xc=hf").precision.absolute == TABLE["rks"].precision


# ---------------------------------------------------------------------------------------------------------- other names


@pytest.mark.parametrize("name", REFUSED)
def test_options_that_are_refused(name):
    with pytest.raises(
        InputError, match=f"^pyscf:uhf/sto-3g has no option '{name}': .*; (leave it out|use relativity=x2c)$"
    ):
        load_source(f"pyscf:uhf/sto-3g?spin=low&{name}=1")


@pytest.mark.parametrize(("name", "here"), OTHER_NAMES.items())
def test_names_of_other_programs(name, here):
    with pytest.raises(InputError, match=rf"has no option '{name}'; options: .*; did you mean {re.escape(here)}\?$"):
        load_source(f"pyscf:uhf/sto-3g?spin=low&{name}=1")
    if match := re.match(r"(\w+)=", here):
        assert match[1] in {*COMMON, *OPTIONS}
