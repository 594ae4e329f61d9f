"""Options of methods: which there are, what they mean, and what a value must be. Importing this imports no PySCF."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from bodyorder._checks import InputError, check_between, check_choice, did_you_mean
from bodyorder.sources.pyscf.dispersion import PROGRAMS, parted

#: Grids by name and by level; those of other programs with about as many points on a light atom.
GRIDS = {"coarse": 2, "medium": 3, "fine": 4, "ultrafine": 5, "superfine": 6}

#: Names that other programs use for what an option here does, and what to write.
OTHER_NAMES = {
    "functional": "xc=NAME",
    "method": "pyscf:METHOD/BASIS",
    "grids": "grid=fine",
    "int_acc": "grid=fine",
    "integration_grid": "grid=fine",
    "relativistic": "relativity=x2c",
    "rel": "relativity=x2c",
    "x2c": "relativity=x2c",
    "sfx2c1e": "relativity=x2c",
    "ri": "density_fit=true",
    "df": "density_fit=true",
    "rij": "density_fit=true",
    "rijk": "density_fit=true",
    "rijcosx": "density_fit=true",
    "scf_type": "density_fit=true",
    "mp2_type": "density_fit=true",
    "auxbasis": "density_fit=NAME",
    "df_basis_scf": "density_fit=NAME",
    "df_basis_mp2": "density_fit=NAME",
    "auxiliary": "density_fit=NAME",
    "d3": "dispersion=d3bj or dispersion=d3zero",
    "d3bj": "dispersion=d3bj",
    "d3zero": "dispersion=d3zero",
    "d4": "dispersion=d4",
    "disp": "dispersion=d3bj, d3zero or d4",
    "vdw": "dispersion=d3bj, d3zero or d4",
    "freeze_core": "frozen_core=true",
    "frozencore": "frozen_core=true",
    "frozen": "frozen_core=true",
    "fc": "frozen_core=true",
    "bsse": "counterpoise=full or counterpoise=vmfc",
    "bsse_type": "counterpoise=full or counterpoise=vmfc",
    "basis_set": "pyscf:METHOD/BASIS",
    "pseudopotential": "ecp=SYMBOL:NAME",
    "pseudo": "ecp=SYMBOL:NAME",
    "max_memory": "memory=MB",
    "maxcore": "memory=MB",
    "multiplicity": "spin=RULE",
    "mult": "spin=RULE",
    "charge": "initial charges of the atoms",
}
_BROKEN = "occupations here are whole numbers, so that every energy is that of one state and contributions add up; leave it out"
_VACUUM = (
    "sub-clusters are computed in vacuum, where contributions are defined, and a cavity around each of them adds a term that is "
    "not theirs; leave it out"
)
#: Names of options that no source of this kind takes, and why.
REFUSED = {
    **dict.fromkeys(("smearing", "sigma", "degauss", "width", "fermi", "smear_method", "frac_occ", "fon"), _BROKEN),
    **dict.fromkeys(
        (
            "solvent",
            "solvation",
            "pcm",
            "cpcm",
            "iefpcm",
            "cosmo",
            "ddcosmo",
            "ddpcm",
            "smd",
            "alpb",
            "gbsa",
            "eps",
            "epsilon",
        ),
        _VACUUM,
    ),
    **dict.fromkeys(
        ("dkh", "dkh2", "zora", "douglas_kroll"),
        "scalar relativity is that of the exact two-component method; use relativity=x2c",
    ),
    "symmetry": "point groups are not used, sub-clusters seldom have one; leave it out",
}


@dataclass(frozen=True)
class Option:
    """One option.

    :param meaning: what it decides
    :param values: what it can be, in words
    :param check: called with its name and a value; returns the value in the form that methods and fingerprints hold, or
        raises :class:`~bodyorder._checks.InputError`
    :param default: where none is given; None where one must be
    """

    meaning: str
    values: str
    check: Callable[[str, object], object] = lambda _, value: value
    default: object = None


#: What every method takes; checked by :func:`bodyorder.sources.pyscf.load`.
COMMON = {
    "spin": Option("the spin rule", "ground, low, high, pattern, module:function"),
    "counterpoise": Option(
        "whose basis functions a sub-cluster is given beside its own", "none, full, vmfc", default="none"
    ),
    "memory": Option("MB that one process may use for wave functions and integrals", "a number", default=2000),
    "basis": Option(
        "elements with another basis set than the one behind the method",
        "SYMBOL:NAME or SYMBOL:FILE, several with commas; a mapping in Python",
        default="none",
    ),
    "ecp": Option("core potentials of elements whose functions bring none along", "the same", default="none"),
}


def check_names(source: str, takes: tuple[str, ...], given: Iterable[str]) -> None:
    """Check that a method takes the options that it is given.

    :param source: what the user calls the source
    :param takes: names of the options that its method takes
    :param given: names of those that the user gave
    :raises InputError: if it does not take one of them
    """
    known = (*COMMON, *takes)
    for name in given:
        if name not in takes:
            plain = name.lower().replace("-", "_")
            if plain in REFUSED:
                raise InputError(f"{source} has no option {name!r}: {REFUSED[plain]}")
            if plain in OTHER_NAMES:
                raise InputError(
                    f"{source} has no option {name!r}; options: {', '.join(known)}; did you mean {OTHER_NAMES[plain]}?"
                )
            near = "" if name in OPTIONS else did_you_mean(name, known)  # other methods take those
            raise InputError(f"{source} has no option {name!r}; options: {', '.join(known)}{near}")


def check_values(source: str, takes: tuple[str, ...], given: Mapping[str, object]) -> dict[str, object]:
    """The value of every option that a method takes.

    :param given: values that the user gave; the other parameters as in :func:`check_names`
    :raises InputError: for an option that is missing, or a value that cannot work
    """
    values, given = {}, dict(given)
    if "xc" in given and "dispersion" in takes:
        given["xc"], named = parted(given["xc"])
        if named and given.setdefault("dispersion", named) != named:
            raise InputError(
                f"`dispersion` must be that of the name of the functional, {named}, or not be given, got {given['dispersion']!r}"
            )
    for name in takes:
        option = OPTIONS[name]
        value = given.get(name)
        if value is None:  # also what a spec makes of `none`
            value = option.default
        if value is None:
            raise InputError(f"`{name}` must be given for {source}: {option.meaning} {option.values}")
        values[name] = option.check(name, value)
    return values


def check_flag(name: str, value: object) -> bool:
    """Return ``value`` if it is True or False.

    :raises InputError: if it is neither
    """
    if not isinstance(value, bool):
        raise InputError(f"`{name}` must be true or false, got {value!r}")
    return value


def _functional(_: str, value: object) -> object:
    from bodyorder.sources.pyscf.mean_field.functionals import check_functional

    return check_functional(value)


def _grid(name: str, value: object) -> int:
    if isinstance(value, str):
        if value.lower() not in GRIDS:
            raise InputError(
                f"`{name}` must be an integer between 0 and 9 or one of {', '.join(GRIDS)}, got {value!r}"
                f"{did_you_mean(value, GRIDS)}"
            )
        return GRIDS[value.lower()]
    return check_between(name, value, 0, 9)


def _fit(name: str, value: object) -> bool | str:
    if isinstance(value, bool):
        return value
    from bodyorder.sources.pyscf.fitting import check_auxiliary

    return check_auxiliary(name, value)


def _dispersion(name: str, value: object) -> str:
    plain = str(value).lower()
    if plain == "d3":
        raise InputError(f"`{name}` must say which damping it means, got 'd3'; use d3bj or d3zero")
    return check_choice(name, plain, ("none", *PROGRAMS))


def in_words(value: object) -> str:
    """A value as it is written in a spec."""
    return str(value).lower() if isinstance(value, bool) else str(value)


#: Options by name. A method names those that it takes in :data:`bodyorder.sources.pyscf.methods.TABLE`.
OPTIONS = {
    "xc": Option(
        "the exchange-correlation functional", "by its usual name, such as pbe, r2scan or b3lyp-d3bj", _functional
    ),
    "grid": Option(
        "fineness of the grid on which the functional is integrated",
        f"0 to 9, or {', '.join(f'{name} ({level})' for name, level in GRIDS.items())}",
        _grid,
        4,
    ),
    "dispersion": Option(
        "the dispersion correction that is added", f"none, {', '.join(PROGRAMS)}", _dispersion, "none"
    ),
    "density_fit": Option(
        "whether the repulsion of electrons is fitted, and with which functions",
        "false, true (those that PySCF chooses for basis and functional), or the name of an auxiliary basis",
        _fit,
        False,
    ),
    "relativity": Option(
        "the Hamiltonian of one electron: without relativity, or the spin-free exact two-component one",
        "none, x2c",
        lambda name, value: check_choice(name, str(value).lower(), ("none", "x2c")),
        "none",
    ),
    "gap": Option("whether the distance to the next state is recorded", "true, false", check_flag, False),
    "bond_dimension": Option(
        "largest number of states kept at a bond of the matrix product state",
        "2 to 100000",
        lambda name, value: check_between(name, value, 2, 100_000),
        250,
    ),
    "sweeps": Option(
        "most sweeps without noise at the largest bond dimension",
        "1 to 10000",
        lambda name, value: check_between(name, value, 1, 10_000),
        20,
    ),
    "exact": Option(
        "up to how many configurations a spin is diagonalised instead",
        "0 to 10⁹",
        lambda name, value: check_between(name, value, 0, 10**9),
        30_000,
    ),
    "frozen_core": Option(
        "whether the electrons of the atoms' cores are left uncorrelated", "true, false", check_flag, False
    ),
    "forces": Option(
        "how forces come about",
        "analytic, numerical",
        lambda name, value: check_choice(name, value, ("analytic", "numerical")),
        "analytic",
    ),
}
