"""ASE calculators by the name of their class: ``ase:package.module.Class?option=value``."""

from __future__ import annotations

import inspect
import multiprocessing
import re
from collections.abc import Callable, Mapping
from typing import Any

from ase.calculators.calculator import FileIOCalculator

from bodyorder._checks import InputError, check_positive, check_switch, did_you_mean
from bodyorder.sources.ase.calculator import CalculatorSource
from bodyorder.sources.ase.folders import writes_files
from bodyorder.sources.ase.recipe import BASE_MODULE, Recipe
from bodyorder.sources.protocol import EnergySource, Precision
from bodyorder.sources.spec import format_spec

#: Options that are not the calculator's.
OWN_OPTIONS = {
    "additive_cutoff", "boxed", "charge_key", "charged", "energy_error", "fingerprint", "forces", "free_energy", "invariant",
    "members", "n_members", "relative_error", "spin", "spin_key", "together", "trust",
}  # fmt: skip
#: Options of calculators that say where they work.
PLACES = {"directory", "label"}


def load(  # noqa: PLR0913 - what ASE does not say of a calculator, each with a default
    target: str,
    *,
    additive_cutoff: float | None = None,
    energy_error: float | None = None,
    relative_error: float | None = None,
    boxed: bool | float = False,
    charged: bool = False,
    invariant: bool = False,
    forces: str = "gradient",
    together: bool = True,
    fingerprint: Any = None,
    members: str | None = None,
    n_members: int | None = None,
    spin: str | Callable[..., Any] | None = None,
    charge_key: str | None = None,
    spin_key: str | None = None,
    free_energy: bool = False,
    trust: bool = False,
    **options: Any,
) -> EnergySource:
    """The source ``ase:package.module.Name?option=value``.

    Importing a module runs its code, whatever is in it; what is called then is checked first.

    :param target: dotted name of a calculator class, of a class method of one that makes it, or of a function that does
    :param additive_cutoff: the source's ``cutoff`` in Å, for a calculator whose distant parts do not feel each other at all
    :param energy_error: 1σ error of one energy in eV; without this and the next it is measured
    :param relative_error: the same as a fraction of the energy, which comes on top: 6e-8 for energies added up in float32
    :param boxed: true for a calculator that takes periodic structures only: it is given boxes that leave more than the cutoff
        around the atoms; or how many Å they leave, for one without a cutoff
    :param charged: true for a calculator that takes charges: it is given the initial charges of the atoms
    :param invariant: true if congruent sub-clusters, rotated, reflected or permuted, have the same energy to 1e-9 eV; that of one
        then serves all of them
    :param forces: ``gradient`` if the calculator's forces are that of its energy, ``direct`` if they are predicted beside it,
        ``numerical`` for differences of its energies in place of them
    :param together: false to evaluate sub-clusters one by one, never many in one large structure
    :param fingerprint: a word that tells the numbers of this calculator from those of others, where that cannot be seen in its
        options; energies in a store are found under it. Versions of its package and program are added.
    :param members: key of the calculator's ``results`` with one energy for each member of a committee
    :param n_members: how many these are, where the calculator does not say it
    :param spin: rule for the spin of sub-clusters, one of :data:`~bodyorder.sources.spin.SPIN_RULES` or a rule of your own
    :param charge_key: key of ``Atoms.info`` that has the charge, where it is not known which one the calculator reads
    :param spin_key: the same for the spin, or ``moments`` (:class:`~bodyorder.sources.ase.told.Told`)
    :param free_energy: true to resolve the calculator's ``free_energy`` in place of its ``energy``
    :param trust: must be true for a function, or whatever else is called and is no calculator class: it could do anything
    :param options: handed to the class
    :raises InputError: if there is no such calculator, it must be trusted and is not, or it rejects the options. A misspelt
        option that the class would silently ignore is rejected too.
    """
    check_switch("trust", trust)
    word = None if fingerprint is None else str(fingerprint).strip()
    if word == "":
        raise InputError("`fingerprint` must be a word that tells this calculator from others, got nothing")
    recipe = Recipe(target, options, word)
    if not (trust or recipe.is_safe):
        raise InputError(
            f"ase:{target} must name an ASE calculator class or one of its class methods, or be trusted: it is another "
            f"{'class' if inspect.isclass(recipe.factory) else 'function'}, and calling it runs whatever it does; say trust=true "
            f"if you know that it makes a calculator"
        )
    _check_options(target, recipe.factory, options)
    numbers = {"additive_cutoff": additive_cutoff, "energy_error": energy_error, "relative_error": relative_error}
    for name, value in numbers.items():
        if value is not None:
            check_positive(name, value)
    switches: dict[str, Any] = {"charged": charged, "invariant": invariant, "free_energy": free_energy}
    for name, switch in (switches | {"together": together}).items():
        check_switch(name, switch)
    claimed = {"absolute": energy_error, "relative": relative_error}
    given = {name: float(value) for name, value in claimed.items() if value is not None}
    calculator = recipe.make()
    source = CalculatorSource(
        calculator,
        cutoff=additive_cutoff,
        precision=Precision(**given) if given else None,
        recipe=recipe,
        together=together,
        forces=forces,
        members=members,
        n_members=n_members,
        spin=spin,
        charge_key=charge_key,
        spin_key=spin_key,
        boxed=boxed,
        **switches,
    )
    source.told.hold(calculator, options)
    if multiprocessing.parent_process() is not None:  # one of several, perhaps, that were given the same name
        source.leave_folder()
    elif PLACES.isdisjoint(options) and writes_files(calculator):  # another command may run in the current folder
        source.leaves_folder = True
    if not recipe.is_safe:
        switches["trust"] = True  # without it the name would not be loaded again
    asked = numbers | switches | {
        "boxed": boxed, "fingerprint": fingerprint, "members": members, "n_members": n_members,
    }  # fmt: skip
    own: dict[str, Any] = {name: value for name, value in asked.items() if value is not None and value is not False}
    if not together:
        own["together"] = False
    if forces != "gradient":
        own["forces"] = forces
    source.name = format_spec("ase", target, options | own | source.told.options)
    return source


def _check_options(target: str, factory: Callable[..., Any], options: Mapping[str, Any]) -> None:
    try:
        parameters = inspect.signature(factory).parameters.values()
    except ValueError:  # written in C: it checks them itself
        return
    known = {parameter.name for parameter in parameters if parameter.kind is not parameter.VAR_KEYWORD}
    if len(known) < len(parameters):
        defaults = getattr(factory, "default_parameters", {})
        # ASE's base class takes any keyword and ignores those it does not know. Only programs driven through input files
        # have options beyond the ones listed, and classes that ask for them by name (`lmpcmds` of LAMMPSlib).
        if not defaults or (inspect.isclass(factory) and issubclass(factory, FileIOCalculator)):
            return
        known |= set(defaults) | {option for option in options if _asks_for(factory, option)}
    known |= OWN_OPTIONS
    for option in options:
        if option not in known:
            raise InputError(
                f"ase:{target} has no option {option!r}; options: {', '.join(sorted(known))}{did_you_mean(option, known)}"
            )


def _asks_for(factory: Callable[..., Any], option: str) -> bool:
    """Whether methods of a class, those of ASE's base classes apart, take a parameter by this name."""
    owners = factory.__mro__ if inspect.isclass(factory) else ()
    methods = [
        method
        for owner in owners
        if owner.__module__ not in (BASE_MODULE, "builtins")
        for method in vars(owner).values()
        if inspect.isfunction(method)
    ]
    taken = re.compile(rf"parameters(\.{re.escape(option)}\b|\[.{re.escape(option)}.\])")
    return any(taken.search(_source(method)) for method in methods)


def _source(function: Any) -> str:
    try:
        return inspect.getsource(function)
    except (OSError, TypeError):  # not kept
        return ""
