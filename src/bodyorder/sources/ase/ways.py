"""The one table of how calculators are told charge and spin, and of what they call a charge or spin of their own."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from numbers import Real
from typing import Any, NamedTuple

from ase.calculators.abc import GetPropertiesMixin

from bodyorder.sources.ase.folders import parts_of
from bodyorder.structures.keys import plain

#: Initial magnetic moments, which add up to the number of unpaired electrons, in place of a key.
MOMENTS = "moments"


@dataclass(frozen=True)
class Way:
    """How one calculator is told.

    :param charge: key of ``info`` that it reads; charges of atoms come as their initial charges
    :param spin: key of ``info`` that has the multiplicity 2S + 1, or :data:`MOMENTS`
    :param takes_spin: whether it heeds a spin at all; else one of its own means nothing either
    :param wins: whether what it is told comes before a charge and multiplicity of its own, which are then 0 and 1 by default, and
        takes their place
    :param together: whether it must be told both or neither
    """

    charge: str = "charge"
    spin: str = MOMENTS
    takes_spin: bool = True
    wins: bool = False
    together: bool = False


def _mace(calculator: Any) -> Way:
    keys = getattr(calculator, "info_keys", {})
    models = (getattr(model, "embedding_specs", None) or {} for model in calculator.models)
    return Way(
        keys.get("total_charge", "charge"), keys.get("total_spin", "spin"), any("total_spin" in told for told in models)
    )


def _metatomic(calculator: Any) -> Way:
    asked = calculator._model.requested_inputs(use_new_names=True)
    return Way("charge", "spin_multiplicity", "spin_multiplicity" in asked)


def _uma(calculator: Any) -> Way:
    task = getattr(calculator, "task_name", None) or getattr(calculator, "_task", None)
    return Way("charge", "spin", getattr(task, "value", task) == "omol")


#: Calculators by package and class. Orb: orb_models 0.6; UMA: fairchem-core 2; AIMNet2: aimnet 0.3; MACE: mace-torch 0.3.14;
#: metatomic-ase 0.1.4; tblite 0.8.0; xtbloom 0.2.3; those of ASE 3.29 write the sums into the input of their programs.
WAYS: dict[tuple[str, str], Callable[[Any], Way]] = {
    ("aimnet", "AIMNet2ASE"): lambda it: Way("charge", "mult", getattr(it.base_calc, "is_nse", False), wins=True),
    ("fairchem", "FAIRChemCalculator"): _uma,
    ("mace", "MACECalculator"): _mace,
    ("metatomic_ase", "MetatomicCalculator"): _metatomic,
    ("orb_models", "ORBCalculator"): lambda it: Way(
        "charge", "spin", getattr(it, "expects_charge_and_spin", False), together=True
    ),
    ("tblite", "TBLite"): lambda it: Way(),
    ("xtbloom", "XTBloom"): lambda it: Way(),
    ("ase", "GAMESSUS"): lambda it: Way(),
    ("ase", "Gaussian"): lambda it: Way(),
    ("ase", "MOPAC"): lambda it: Way(),
    ("ase", "NWChem"): lambda it: Way(),
    ("ase", "QChem"): lambda it: Way(),
}


def way_of(calculator: Any) -> Way | None:
    """How a calculator is told, if that is known; what derives from a known class is told like it."""
    for kind in type(calculator).__mro__:
        if find := WAYS.get((kind.__module__.partition(".")[0], kind.__name__)):
            return find(calculator)
    return None


def ways_of(calculator: GetPropertiesMixin) -> list[Way]:
    """How the parts of a calculator are told, those of which it is known."""
    return [way for part in parts_of(calculator) if (way := way_of(part))]


class Own(NamedTuple):
    """A charge or multiplicity that a calculator was given for all that it computes.

    :param kind: ``charge`` or ``multiplicity``
    :param value: in elementary charges, or 2S + 1
    :param said: how it was given, in words
    """

    kind: str
    value: float
    said: str


#: What options and attributes are about, as :func:`~bodyorder.structures.keys.plain` has them, and what is added to get the
#: multiplicity. No ``spin``: some mean 2S + 1 by it, some 2S, and some whether there is any.
_OF_CHARGE = frozenset((
    "charge", "totalcharge", "netcharge", "molecularcharge", "systemcharge", "icharg", "hamiltoniancharge",
))  # fmt: skip
_OF_SPIN = dict.fromkeys(
    ("multiplicity", "mult", "spinmultiplicity", "molecularmultiplicity", "totalspinmultiplicity", "spinmult"), 0
) | dict.fromkeys(("uhf", "unpaired", "nunpaired", "unpairedelectrons", "nopen"), 1)


def own_values(given: Mapping[str, Any], label: str) -> list[Own]:
    """Charges and multiplicities among options or attributes, also one level down (``dft={"mult": 3}``).

    :param label: what messages call the calculator
    """
    found = []
    deeper = (inner.items() for inner in given.values() if isinstance(inner, Mapping))
    for name, value in (*given.items(), *(item for items in deeper for item in items)):
        if not isinstance(name, str) or not isinstance(value, Real) or isinstance(value, bool):
            continue
        short, number, said = plain(name), float(value), f"{name}={value} of {label}"
        if short in _OF_CHARGE:
            found.append(Own("charge", number, said))
        elif short in _OF_SPIN and number >= 1 and number % 1 == 0:  # 0 leaves it to the program
            found.append(Own("multiplicity", number + _OF_SPIN[short], said))
    return found


def own_values_of(
    calculator: GetPropertiesMixin, options: Mapping[str, Any], declared: Collection[str] = ()
) -> list[Own]:
    """Charges and multiplicities that a calculator, or a part of it, computes with whatever it is told.

    :param options: what it was made with, as far as that is known: not all calculators keep it where it shows
    :param declared: of what a user says that the calculator reads it, some of ``charge`` and ``multiplicity``
    """
    found: list[Own] = []
    for part in parts_of(calculator):
        label, way = label_of(part), way_of(part)
        parameters = getattr(part, "parameters", None)
        fixed = own_values(parameters, label) if isinstance(parameters, Mapping) else []
        if part is calculator:
            fixed += own_values(options, label)
        attributes = {
            name: value for name, value in getattr(part, "__dict__", {}).items() if not isinstance(value, Mapping)
        }
        # a part of a charge is one of an atom
        of_whole = [own for own in own_values(attributes, label) if own.value % 1 == 0]
        for own in dict.fromkeys((*fixed, *of_whole)):
            is_usual = own.value == (0 if own.kind == "charge" else 1)
            is_moot = way is not None and own.kind == "multiplicity" and not way.takes_spin
            loses = way.wins if way else own.kind in declared and own not in fixed
            if not (is_moot or (is_usual and loses)):
                found.append(own)
    return found


def overwritten(calculator: GetPropertiesMixin) -> list[tuple[dict[str, Any], dict[str, Any]]]:
    """For the parts of a calculator that put what they are told in the place of their own: all attributes, and these."""
    found = []
    for part in parts_of(calculator):
        if (way := way_of(part)) and way.wins:
            own = {name: value for name, value in vars(part).items() if plain(name) in _OF_CHARGE | _OF_SPIN.keys()}
            found.append((vars(part), own))
    return found


def label_of(calculator: GetPropertiesMixin) -> str:
    """What messages call a calculator."""
    return f"{type(calculator).__module__}.{type(calculator).__qualname__}"
