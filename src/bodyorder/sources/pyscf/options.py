"""Options of methods: which there are, what they mean, and what a value must be. Importing this imports no PySCF."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from bodyorder._checks import InputError, check_between, check_choice, did_you_mean

#: What every method takes; see :func:`bodyorder.sources.pyscf.load`.
COMMON = ("spin", "counterpoise", "memory", "basis", "ecp")


@dataclass(frozen=True)
class Option:
    """One option.

    :param meaning: what it decides
    :param check: called with its name and a value; returns the value in the form that methods and fingerprints hold, or
        raises :class:`~bodyorder._checks.InputError`
    :param default: where none is given; None where one must be
    """

    meaning: str
    check: Callable[[str, object], object]
    default: object = None


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
            raise InputError(f"{source} has no option {name!r}; options: {', '.join(known)}{did_you_mean(name, known)}")


def check_values(source: str, takes: tuple[str, ...], given: Mapping[str, object]) -> dict[str, object]:
    """The value of every option that a method takes.

    :param given: values that the user gave; the other parameters as in :func:`check_names`
    :raises InputError: for an option that is missing, or a value that cannot work
    """
    values = {}
    for name in takes:
        option = OPTIONS[name]
        value = given.get(name, option.default)
        if value is None:
            raise InputError(f"`{name}` must be given for {source}: {option.meaning}")
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


#: Options by name. A method names those that it takes in :data:`bodyorder.sources.pyscf.methods.TABLE`; all of them enter the
#: fingerprint of its source with their values, so that a default can change without old energies being taken for new ones.
OPTIONS = {
    "xc": Option("the exchange-correlation functional by its usual name, such as pbe or r2scan", _functional),
    "grid": Option(
        "fineness of the grid on which the functional is integrated, 0 to 9",
        lambda name, value: check_between(name, value, 0, 9),
        4,
    ),
    "gap": Option("whether the distance to the next state is recorded", check_flag, False),
    "bond_dimension": Option(
        "largest number of states kept at a bond of the matrix product state",
        lambda name, value: check_between(name, value, 2, 100_000),
        250,
    ),
    "sweeps": Option(
        "most sweeps without noise at the largest bond dimension",
        lambda name, value: check_between(name, value, 1, 10_000),
        20,
    ),
    "exact": Option(
        "up to how many configurations a spin is diagonalised instead",
        lambda name, value: check_between(name, value, 0, 10**9),
        30_000,
    ),
    "forces": Option(
        "how forces come about, analytic or numerical",
        lambda name, value: check_choice(name, value, ("analytic", "numerical")),
        "analytic",
    ),
}
