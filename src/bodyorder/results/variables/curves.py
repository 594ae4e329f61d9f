"""Curves of two atoms, and maps of three: atom 0 is the apex."""

from bodyorder.results.variables.variable import Variable

_MAP = ("angle", "first", "second")

CURVES = {
    "distance": Variable(("distance",), "Å", "r", "distance of two atoms"),
    "first": Variable(("first",), "Å", "r_1", "distance of atom 1 from the apex"),
    "second": Variable(("second",), "Å", "r_2", "distance of atom 2 from the apex"),
    "angle": Variable(("angle",), "°", r"\theta", "angle at the apex"),
    "pair_energy": Variable(("distance",), "eV", "E(r)", "energy of two atoms alone in vacuum"),
    "pair_contribution": Variable(("distance",), "eV", r"\varepsilon_2(r)", "two-body contribution of two atoms"),
    "pair_noise": Variable(
        ("distance",), "eV", r"\sigma", "1σ of the two-body contribution from the precision of energies"
    ),
    "pair_failure": Variable(
        ("distance",), "1", "", "why the contribution of two atoms is missing; empty if it is not"
    ),
    "pair_offset": Variable(
        (), "eV", r"\varepsilon_2(\infty)", "two-body contribution of two atoms far apart: what lone atoms miss of them"
    ),
    "pair_offset_noise": Variable((), "eV", r"\sigma", "1σ of the two-body contribution of two atoms far apart"),
    "pair_offset_distance": Variable((), "Å", "r", "distance of two atoms far apart"),
    "triple_energy": Variable(_MAP, "eV", r"E(r_1,r_2,\theta)", "energy of three atoms alone in vacuum"),
    "triple_contribution": Variable(
        _MAP, "eV", r"\varepsilon_3(r_1,r_2,\theta)", "three-body contribution of three atoms"
    ),
    "triple_noise": Variable(_MAP, "eV", r"\sigma", "1σ of the three-body contribution from the precision of energies"),
    "triple_failure": Variable(_MAP, "1", "", "why the contribution of three atoms is missing; empty if it is not"),
    "well_depth": Variable((), "eV", r"-\varepsilon_2(r_0)", "depth of the lowest minimum of a two-body curve"),
    "well_distance": Variable((), "Å", "r_0", "distance of the lowest minimum of a two-body curve"),
    "pair_deviation": Variable(
        ("distance",), "eV", r"\Delta\varepsilon_2(r)", "two-body curve minus that of the reference"
    ),
    "pair_rms": Variable(
        (), "eV", r"\mathrm{RMS}\,\Delta\varepsilon_2", "RMS deviation of a two-body curve over its grid"
    ),
    "pair_training_rms": Variable(
        (),
        "eV",
        r"\mathrm{RMS}_\rho\,\Delta\varepsilon_2",
        "RMS deviation of a two-body curve over pairs of structures",
    ),
    "triple_deviation": Variable(_MAP, "eV", r"\Delta\varepsilon_3", "three-body map minus that of the reference"),
    "triple_rms": Variable(
        ("angle",), "eV", r"\mathrm{RMS}\,\Delta\varepsilon_3", "RMS deviation of a three-body map at one angle"
    ),
    "distance_density": Variable(("pair", "bin"), "1/Å", r"\rho(r)", "pairs of atoms per structure by distance"),
    "bin": Variable(("bin",), "Å", "r", "middle of a range of distances"),
    "bin_width": Variable(("bin",), "Å", r"\Delta r", "width of a range of distances"),
}
