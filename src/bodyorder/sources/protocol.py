"""What an energy source is: what it says of itself, what it is asked, and what it answers. Importing this imports no backend."""

from __future__ import annotations

import difflib
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, fields, replace
from numbers import Real
from types import MappingProxyType
from typing import Any

import ase
import numpy as np

from bodyorder._checks import InputError, check_between, check_choice, check_switch, did_you_mean
from bodyorder.structures.clusters import ClusterBatch, System

#: What of the structure around its atoms the energy of a sub-cluster can depend on (:class:`~bodyorder.structures.System`).
CONTEXT = ("bodies", "charges", "moments", "field")
#: Whose basis functions a sub-cluster is given beside those of its own atoms.
COUNTERPOISE = {
    "none": "no others",
    "full": "those of all other atoms of its structure (Boys and Bernardi, doi:10.1080/00268977000101561)",
    "vmfc": "those of the subset whose contribution it enters (Valiron and Mayer, doi:10.1016/S0009-2614(97)00689-7)",
}
#: What forces are: the negative gradient of the energy, or a prediction beside it, which need be the gradient of nothing.
FORCES = ("gradient", "direct")
#: What several energies of one sub-cluster are to each other: complete energies whose spread is an uncertainty, complete energies
#: of several data sets, or energies that add up to the energy.
MEMBER_KINDS = ("ensemble", "heads", "parts")
#: How alike two names are of which one is taken for the other misspelt, 0 to 1.
ALIKE = 0.8

#: What can be known of the state behind one energy beside the energy; NaN where it is not known.
RECORDS = {
    "multiplicity": "2S + 1",
    "contamination": "⟨S²⟩ − S(S + 1)",
    "gap": "energy of the next state above this one, in eV",
    "uncertainty": "1σ of this energy in eV, beyond the precision of its source",
    "discarded_weight": "weight of the states left out of a matrix product state",
    "extrapolation": "energy extrapolated to no discarded weight minus the energy, in eV",
}

#: Above this ⟨S²⟩ − S(S + 1) a state counts as spin contaminated.
CONTAMINATED = 0.1

#: Records that are energies.
ENERGY_RECORDS = ("gap", "uncertainty", "extrapolation")


def check_counterpoise(given: object) -> str:
    """The name of a counterpoise scheme; specs read ``none`` as None.

    :raises InputError: if it is none of :data:`COUNTERPOISE`
    """
    return check_choice("counterpoise", str(given or "none").lower(), COUNTERPOISE)


@dataclass(frozen=True)
class Precision:
    """1σ error of one energy: √(absolute² + (relative·E)²).

    :param absolute: in eV
    :param relative: as a fraction of the energy
    :raises InputError: if one is negative or no finite number
    """

    absolute: float = 0.0
    relative: float = 0.0

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if isinstance(value, bool) or not isinstance(value, Real) or not 0 <= float(value) < np.inf:
                raise InputError(f"`{name}` of a precision must be a number, 0 or more, got {value!r}")

    def sigma(self, energies: np.ndarray) -> np.ndarray:
        """Error of each energy in eV, in the shape of ``energies``."""
        return np.hypot(self.absolute, self.relative * np.abs(energies))


@dataclass(frozen=True, kw_only=True)
class Capabilities:
    """What an energy source can do, by its own word. ``check_source`` holds it against what the source does.

    Claims that stand for a method, named in :data:`METHODS`, must come with it, and the method with its claim.

    :param forces: it gives forces (``energies_and_forces``)
    :param force_kind: what they are, one of :data:`FORCES`; results record it
    :param hessians: it gives second derivatives (``evaluate_hessians``); of others with forces they are differences of these
    :param atom_energies: its energy is a sum over atoms, and it gives their energies (``evaluate_atoms``)
    :param members: names of the several energies of every sub-cluster that it gives beside its energy (``evaluate_members``)
    :param member_kind: what they are to each other, one of :data:`MEMBER_KINDS`, or empty without any
    :param records: what it can tell of the state behind an energy (``evaluate``), names among :data:`RECORDS`
    :param cell_energy: it gives energies of periodic structures by cell (``cell_energy``), which orders are held against
    :param seconds: it estimates how long a sub-cluster takes (``seconds``): batches then hold fewer of those that take long
    :param megabytes: it estimates the memory of a process that computes a batch (``megabytes``)
    :param populations: kinds of point charges that it finds for the atoms of bodies in each other's field (``iterated_charges``)
    :param charged: it takes charged sub-clusters
    :param context: what of the structure around its atoms the energy of a sub-cluster depends on, some of :data:`CONTEXT`
    :param invariant: congruent sub-clusters, rotated, reflected or with their atoms in another order, have the same energy to
        1e-9 eV; that of one then serves all
    :param batch_size: most sub-clusters in one call, 1 or more; None for as many as the engine likes
    :param serial: it computes one sub-cluster after the other on one core, so that worker processes pay off, and so does
        evaluating a sub-cluster that occurs again only once where there is no store
    :param one_process: why it must not run in several processes at once, as a clause; empty if it may
    :param fleeting_fingerprint: why its fingerprint is another one in every process, as a clause; empty if it is not
    :param costly: energies take longer than naming a sub-cluster, some µs, so that congruent ones are looked for in runs that
        keep nothing, too; serial sources need not say it
    :param single_precision: energies are rounded as coarsely as float32 does, so that their error is worth measuring on
        replicas
    :param unproven_cutoff: its cutoff is the word of a user, which is tried out before anything rests on it
        (:func:`~bodyorder.sources.cutoff.check_cutoff`)
    :param unproven_precision: nobody says how precise its energies are: what its ``precision`` says is the least that they lack,
        and their error is measured
    :param tightened: it can converge its energies tighter (``tightened``), which shows how far they are from converged
    :param spin: the rule for the spin of sub-clusters, ``"none"`` where there is none; results record it
    :param counterpoise: whose basis functions a sub-cluster is given beside its own, one of :data:`COUNTERPOISE`
    :param remark: what users must know to read its orders rightly, a sentence that results, terminal and report repeat; empty if
        there is nothing
    :param versions: of the programs behind it by name, which results record
    :param missing: of claims whose method is there and yet cannot be asked, by their name: why, or what to do, as the end of a
        sentence, such as ``{"forces": "use forces=numerical"}``
    :raises InputError: for a field that there is not, with the nearest one, or a value that cannot be
    """

    forces: bool = False
    force_kind: str = "gradient"
    hessians: bool = False
    atom_energies: bool = False
    members: tuple[str, ...] = ()
    member_kind: str = ""
    records: tuple[str, ...] = ()
    cell_energy: bool = False
    seconds: bool = False
    megabytes: bool = False
    populations: tuple[str, ...] = ()
    charged: bool = False
    context: tuple[str, ...] = ()
    invariant: bool = False
    batch_size: int | None = None
    serial: bool = False
    one_process: str = ""
    fleeting_fingerprint: str = ""
    costly: bool = False
    single_precision: bool = False
    unproven_cutoff: bool = False
    unproven_precision: bool = False
    tightened: bool = False
    spin: str = "none"
    counterpoise: str = "none"
    remark: str = ""
    versions: Mapping[str, str] = field(default_factory=dict, hash=False)
    missing: Mapping[str, str] = field(default_factory=dict, hash=False)

    def __new__(cls, **given: Any) -> Capabilities:
        """Refuse fields that there are not; what is given is taken by ``__init__``."""
        for name in given:
            if name not in _FIELDS:
                raise InputError(f"capabilities have no field {name!r}{did_you_mean(name, _FIELDS)}")
        return super().__new__(cls)

    def __post_init__(self) -> None:
        for name, kind in _FIELDS.items():
            object.__setattr__(self, name, _VALUES[kind](name, vars(self)[name]))
        check_choice("counterpoise", self.counterpoise, COUNTERPOISE)
        check_choice("force_kind", self.force_kind, FORCES)
        if self.members or self.member_kind:
            check_choice("member_kind", self.member_kind, MEMBER_KINDS)
            if len(set(self.members)) < 2 or len(set(self.members)) < len(self.members):
                raise InputError(
                    f"`members` must be two different names or more, got {', '.join(self.members) or 'none'}"
                )
        for name in self.missing:
            check_choice("missing", name, METHODS)
            if vars(self)[name]:
                raise InputError(f"`missing` must name what is not claimed, and {name!r} is")

    def __reduce__(self) -> tuple[Any, ...]:
        """For workers, and short: read-only mappings cannot be pickled."""
        return _restored, (self._said(),)

    def __repr__(self) -> str:
        return f"Capabilities({', '.join(f'{name}={value!r}' for name, value in self._said().items())})"

    def _said(self) -> dict[str, Any]:
        """Fields that are not what they are if nothing is said."""
        held = {name: dict(value) if isinstance(value, Mapping) else value for name, value in vars(self).items()}
        return {
            name: value for name, value in held.items() if value not in (False, None, (), "", "none", "gradient", {})
        }

    def why_not(self, claim: str) -> str:
        """Why something is not claimed, as the end of a sentence that begins with a semicolon; empty if nothing is said."""
        return f"; {self.missing[claim]}" if claim in self.missing else ""


def _restored(given: dict[str, Any]) -> Capabilities:
    return Capabilities(**given)


def _names(name: str, value: Any) -> tuple[str, ...]:
    if isinstance(value, str) or not isinstance(value, Iterable):
        raise InputError(f"`{name}` must be a tuple of names, got {value!r}; write ({str(value)!r},)")
    known = {"records": tuple(RECORDS), "context": CONTEXT}.get(name)
    return tuple(_word(name, one) if known is None else check_choice(name, one, known) for one in value)


def _word(name: str, value: Any) -> str:
    if not isinstance(value, str) or not (value or name in _CLAUSES):
        raise InputError(f"`{name}` must be a text, got {value!r}")
    return value


def _texts(name: str, value: Any) -> Mapping[str, str]:
    if not isinstance(value, Mapping):
        raise InputError(f"`{name}` must be a mapping from names to texts, got {value!r}")
    return MappingProxyType({_word(name, key): _word(name, text) for key, text in value.items()})


#: Fields that may be empty.
_CLAUSES = ("one_process", "fleeting_fingerprint", "member_kind", "remark")
#: Fields of capabilities and how each is annotated, by which they are checked.
_FIELDS: dict[str, str] = {one.name: str(one.type) for one in fields(Capabilities)}
_VALUES: dict[str, Callable[[str, Any], Any]] = {
    "bool": check_switch,
    "int | None": lambda name, value: value if value is None else check_between(name, value, 1, 10**9),
    "str": _word,
    "tuple[str, ...]": _names,
    "Mapping[str, str]": _texts,
}

#: Claims that stand for a method, and the method behind each.
METHODS = {
    "forces": "energies_and_forces",
    "hessians": "evaluate_hessians",
    "atom_energies": "evaluate_atoms",
    "members": "evaluate_members",
    "records": "evaluate",
    "cell_energy": "cell_energy",
    "seconds": "seconds",
    "megabytes": "megabytes",
    "tightened": "tightened",
    "populations": "iterated_charges",
}
#: What every source has.
REQUIRED = ("name", "fingerprint", "cutoff", "precision", "energies")


class EnergySource(ABC):
    """Anything that gives energies of sub-clusters: what third parties derive theirs from.

    ``name``, ``fingerprint``, ``cutoff`` and ``precision`` are attributes of the class or the object, and so are
    ``capabilities``, which say what it can beside energies. A source must be picklable (worker processes receive it that way),
    and the energy of a sub-cluster must not depend on what else is in the batch. Public names that look like one of these
    misspelt are refused when the class is made; what is a class's own business may begin with an underscore.
    """

    #: what a person calls it
    name: str
    #: changes whenever the numbers could: hash of the model file, method, basis, spin rule, version of the package
    fingerprint: str
    #: distance in Å beyond which parts of a cluster do not feel each other at all, or None if energies are not additive
    cutoff: float | None
    precision: Precision
    capabilities: Capabilities = Capabilities()

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        for kind in cls.__mro__:
            if kind not in (EnergySource, ABC, object):
                check_names(cls.__qualname__, vars(kind))

    def __repr__(self) -> str:
        return described(type(self).__name__, self)

    @abstractmethod
    def energies(self, batch: ClusterBatch) -> np.ndarray:
        """Energies of the sub-clusters, shape (n,), in eV and float64.

        :raises FailedClusters: with those that it could compute, where it could not compute all
        """

    def energies_and_forces(self, batch: ClusterBatch) -> tuple[np.ndarray, np.ndarray]:
        """Energies, shape (n,), in eV and forces, shape (n, k, 3), in eV/Å; claimed by ``forces``.

        :raises FailedClusters: as :meth:`energies`
        """
        raise self._without("forces")

    def evaluate(self, batch: ClusterBatch, forces: bool) -> Evaluation:
        """Energies, forces if wanted, and what is known of the states; asked in place of both, claimed by ``records``."""
        raise self._without("records")

    def evaluate_hessians(self, batch: ClusterBatch, forces: bool) -> Evaluation:
        """The same with ``hessians``, the second derivatives of energies; claimed by ``hessians``."""
        raise self._without("hessians")

    def evaluate_atoms(self, batch: ClusterBatch, forces: bool) -> Evaluation:
        """The same with ``atom_energies``, which add up to the energy of their sub-cluster; claimed by ``atom_energies``."""
        raise self._without("atom_energies")

    def evaluate_members(self, batch: ClusterBatch, forces: bool) -> Evaluation:
        """The same with ``members``, several energies of each sub-cluster; claimed by ``members``, which name them."""
        raise self._without("members")

    def cell_energy(self, atoms: ase.Atoms) -> float:
        """Energy of a periodic structure in eV by cell; claimed by ``cell_energy``.

        :raises ComputationError: if it cannot be computed
        """
        raise self._without("cell_energy")

    def seconds(self, batch: ClusterBatch) -> float:
        """Rough time of the first sub-cluster of a batch on one core; claimed by ``seconds``."""
        raise self._without("seconds")

    def megabytes(self, batch: ClusterBatch, forces: bool) -> float:
        """Rough memory of a process that computes a batch of sub-clusters like its first; claimed by ``megabytes``."""
        raise self._without("megabytes")

    def iterated_charges(self, system: System, kind: str) -> np.ndarray:
        """Point charges of a structure's atoms in elementary charges, shape (n_atoms,), each body in the field of the others.

        They add up to the charge of each body. Claimed by ``populations``.

        :param kind: one of ``populations``
        :raises ComputationError: if they cannot be found
        """
        raise self._without("populations")

    def tightened(self) -> EnergySource:
        """The same source with its energies converged tighter; claimed by ``tightened``."""
        raise self._without("tightened")

    def _without(self, claim: str) -> InputError:
        return InputError(f"{self.name} must give {claim}, and does not{self.capabilities.why_not(claim)}")


def misstated(source: EnergySource) -> list[str]:
    """What a source says of itself and cannot be meant, in a clause each."""
    cutoff, precision = source.cutoff, source.precision
    is_length = isinstance(cutoff, Real) and not isinstance(cutoff, bool) and 0 < float(cutoff) < np.inf
    said = {
        "name": ("a text", source.name, isinstance(source.name, str)),
        "fingerprint": ("a text", source.fingerprint, isinstance(source.fingerprint, str) and source.fingerprint),
        "cutoff": ("a length in Å or None", cutoff, cutoff is None or is_length),
        "precision": ("a Precision", precision, isinstance(precision, Precision)),
    }
    return [
        f"`{name}` must be {wanted}, got {value!r}" for name, (wanted, value, is_right) in said.items() if not is_right
    ]


def described(kind: str, source: EnergySource) -> str:
    """What a source is, in one line.

    :param kind: name of its class
    """
    reach = "" if source.cutoff is None else f", cutoff={source.cutoff}"
    return f"{kind}({source.name!r}{reach})"


#: Public names that mean something on a source.
_KNOWN = (*REQUIRED, "capabilities", *METHODS.values())
#: What a name may be a misspelt one of, by whether something callable has it: a number is no misspelt method.
_KNOWN_OF = {True: (*_KNOWN, *_FIELDS), False: (*REQUIRED[:-1], "capabilities", *_FIELDS)}


def check_names(owner: str, names: Mapping[str, Any]) -> None:
    """Check that what a source has means what its author thinks.

    :param owner: name of its class
    :param names: attributes and methods with their values
    :raises InputError: for a name that looks like a misspelt one, a capability that is an attribute, or a method that is none
    """
    for name, value in names.items():
        if name.startswith("_") or isinstance(value, type) or (name in _KNOWN and name not in METHODS.values()):
            continue
        if name in METHODS.values():
            if not callable(value):
                raise InputError(f"`{name}` of {owner} must be a method, got {value!r}{_belongs(name)}")
        elif name in _FIELDS:
            raise InputError(f"`{name}` of {owner} must stand in its capabilities, and is an attribute{_belongs(name)}")
        elif near := difflib.get_close_matches(name, _KNOWN_OF[callable(value)], n=1, cutoff=ALIKE):
            raise InputError(
                f"`{name}` of {owner} must not look like a misspelt name; did you mean {near[0]!r}? if not, call it _{name}"
            )


def _belongs(name: str) -> str:
    return f"; write capabilities = Capabilities({name}=…)" + (
        f" and a method {METHODS[name]}()" if name in METHODS and METHODS[name] != name else ""
    )


@dataclass
class Evaluation:
    """The answer of a source to a batch of n sub-clusters of k atoms.

    :param energies: in eV, NaN in rows that failed, shape (n,)
    :param forces: in eV/Å, shape (n, k, 3), or None where none were asked for
    :param messages: one line for each row that failed
    :param records: some of :data:`RECORDS`, each of shape (n,)
    :param atom_energies: energies of the atoms in eV, which add up to the energy of their sub-cluster, NaN in rows that failed,
        shape (n, k), or None where none were asked for
    :param members: several energies of each sub-cluster in eV, in the order of the source's ``members``, NaN in rows that failed,
        shape (n, m), or None where none were asked for
    :param hessians: second derivatives of the energy by the positions of two atoms in eV/Å², NaN in rows that failed, shape
        (n, k, k, 3, 3), or None where none were asked for
    """

    energies: np.ndarray
    forces: np.ndarray | None = None
    messages: dict[int, str] = field(default_factory=dict)
    records: dict[str, np.ndarray] = field(default_factory=dict)
    atom_energies: np.ndarray | None = None
    members: np.ndarray | None = None
    hessians: np.ndarray | None = None

    @classmethod
    def unknown(
        cls,
        count: int,
        n_atoms: int | None = None,
        *,
        forces: bool = True,
        atom_energies: bool = False,
        members: int = 0,
        hessians: bool = False,
    ) -> Evaluation:
        """Nothing known of so many sub-clusters.

        :param n_atoms: atoms of each; without it there is nothing that belongs to atoms
        :param forces: whether there are to be forces
        :param atom_energies: whether there are to be energies of atoms
        :param members: how many energies of each there are to be beside the energy
        :param hessians: whether there are to be second derivatives
        """
        return cls(
            np.full(count, np.nan),
            None if n_atoms is None or not forces else np.full((count, n_atoms, 3), np.nan),
            atom_energies=None if n_atoms is None or not atom_energies else np.full((count, n_atoms), np.nan),
            members=np.full((count, members), np.nan) if members else None,
            hessians=None if n_atoms is None or not hessians else np.full((count, n_atoms, n_atoms, 3, 3), np.nan),
        )

    def put(self, rows: np.ndarray, other: Evaluation) -> None:
        """Take what another answer says of some rows; messages are not taken."""
        self.energies[rows] = other.energies
        if self.forces is not None:
            self.forces[rows] = other.forces
        if self.atom_energies is not None:
            self.atom_energies[rows] = other.atom_energies
        if self.members is not None:
            self.members[rows] = other.members
        if self.hessians is not None:
            self.hessians[rows] = other.hessians
        for name, values in other.records.items():
            self.records.setdefault(name, np.full(len(self.energies), np.nan))[rows] = values

    def take(self, rows: np.ndarray, other: Evaluation) -> None:
        """Take all that another answer says of some rows, its messages too."""
        self.put(rows, other)
        self.messages |= {int(rows[row]): message for row, message in other.messages.items()}

    def part(self, rows: np.ndarray) -> Evaluation:
        """What this says of some rows, shape (m,)."""
        return Evaluation(
            self.energies[rows],
            None if self.forces is None else self.forces[rows],
            {place: self.messages[row] for place, row in enumerate(rows.tolist()) if row in self.messages},
            {name: values[rows] for name, values in self.records.items()},
            None if self.atom_energies is None else self.atom_energies[rows],
            None if self.members is None else self.members[rows],
            None if self.hessians is None else self.hessians[rows],
        )

    def reordered(self, permutation: np.ndarray) -> Evaluation:
        """The same with the atoms of every sub-cluster in another order.

        :param permutation: of the atoms of each, shape (n, k)
        """
        forces, shares, hessians = self.forces, self.atom_energies, self.hessians
        if forces is not None:
            forces = np.take_along_axis(forces, permutation[:, :, None], axis=1)
        if shares is not None:
            shares = np.take_along_axis(shares, permutation, axis=1)
        if hessians is not None:
            rows = np.arange(len(hessians))[:, None, None]
            hessians = hessians[rows, permutation[:, :, None], permutation[:, None, :]]
        return replace(self, forces=forces, atom_energies=shares, hessians=hessians)

    def whole(self) -> Evaluation:
        """This answer, if it is one to every row.

        :raises FailedClusters: if some rows failed
        """
        if self.messages:
            raise FailedClusters(self.messages, self.energies, self.forces)
        return self

    @classmethod
    def joined(cls, first: Evaluation, second: Evaluation) -> Evaluation:
        """Two answers, one behind the other."""
        offset = len(first.energies)
        held = [array for array in (first.forces, first.atom_energies, first.hessians) if array is not None]
        whole = cls.unknown(
            offset + len(second.energies),
            held[0].shape[1] if held else None,
            forces=first.forces is not None,
            atom_energies=first.atom_energies is not None,
            members=0 if first.members is None else first.members.shape[1],
            hessians=first.hessians is not None,
        )
        whole.take(np.arange(offset), first)
        whole.take(np.arange(offset, len(whole.energies)), second)
        return whole


class FailedClusters(Exception):
    """Raised by a source that could not compute some sub-clusters of a batch, with all that it did compute.

    :param messages: one line for each row that failed
    :param energies: shape (n,), NaN in rows that failed
    :param forces: shape (n, k, 3), or None where no forces were asked for
    """

    def __init__(self, messages: Mapping[int, str], energies: np.ndarray, forces: np.ndarray | None = None):
        super().__init__("; ".join(messages.values()))
        self.messages = dict(messages)
        self.energies = energies
        self.forces = forces

    def __reduce__(self) -> tuple[Any, ...]:
        """For workers, which send it back."""
        return type(self), (self.messages, self.energies, self.forces)
