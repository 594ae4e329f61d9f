"""What tells the numbers of one ASE calculator from those of another."""

from __future__ import annotations

import hashlib
import inspect
import os
import pickle
import uuid
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, packages_distributions, version
from pathlib import Path
from typing import Any

import ase
import numpy as np
from ase.calculators.abc import GetPropertiesMixin

#: Attributes of calculators that say nothing on their energies.
NO_SETTINGS = {"atoms", "results", "implemented_properties"}
#: What pickle raises for objects that cannot be pickled: torch its base class (compiled functions), ctypes ValueError (pointers).
NOT_PICKLABLE = (pickle.PickleError, TypeError, AttributeError, RuntimeError, ValueError)


def fingerprint_of(calculator: GetPropertiesMixin, options: Mapping[str, Any] | None = None) -> str:
    """A text that is the same for calculators that must give the same numbers, in every process, and differs for others.

    It holds the class, the version of the package that the class comes from, or the hash of its file if it comes from none,
    and a hash of the settings, with files by their content. Settings are the parameters of a class that declares default
    parameters, as ASE wants it; else the options that the class was built with; else all attributes, so that a calculator that
    was used differs from a fresh one. Where these cannot be told, the text is another one each time.

    :param calculator: an ASE calculator
    :param options: all that its class was called with, if that is known
    """
    try:
        text = _canonical(_settings(calculator, options))
    except NOT_PICKLABLE:
        text = uuid.uuid4().hex
    versions = " ".join(dict.fromkeys([_code_version(type(calculator)), f"ase {ase.__version__}"]))
    return f"ase:{_path(type(calculator))} {_digest(text.encode())} {versions}"


def _settings(calculator: GetPropertiesMixin, options: Mapping[str, Any] | None = None) -> Mapping[str, Any]:
    if getattr(calculator, "default_parameters", None):
        return calculator.parameters
    return vars(calculator) if options is None else options


def _path(kind: type) -> str:
    return f"{kind.__module__}.{kind.__qualname__}"


def _code_version(kind: type) -> str:
    """Version of the package that a class comes from, or the hash of its file if it comes from none."""
    package = kind.__module__.partition(".")[0]
    try:
        return f"{package} {version(package)}"
    except PackageNotFoundError:
        pass
    if package in (distributions := packages_distributions()):
        return f"{package} {version(distributions[package][0])}"
    try:
        return f"{package} {_digest(Path(inspect.getfile(kind)).read_bytes())}"
    except (OSError, TypeError):  # typed into an interpreter
        return package


def _canonical(value: Any) -> str:
    """A text for a setting that is the same in every process and differs where numbers could."""
    if isinstance(value, Mapping):
        items = {key: item for key, item in value.items() if key not in NO_SETTINGS}
        return "{" + ",".join(sorted(f"{_canonical(key)}:{_canonical(item)}" for key, item in items.items())) + "}"
    if isinstance(value, list | tuple):
        return "[" + ",".join(_canonical(item) for item in value) + "]"
    if isinstance(value, set | frozenset):
        return "{" + ",".join(sorted(_canonical(item) for item in value)) + "}"
    if isinstance(value, str | os.PathLike) and os.path.isfile(value):
        return f"file {_digest(Path(value).read_bytes())}"
    if isinstance(value, np.ndarray | np.generic):
        return _canonical(value.tolist())
    if value is None or isinstance(value, str | bytes | bool | int | float | complex | os.PathLike):
        return repr(value)
    kind = type(value)
    if isinstance(value, GetPropertiesMixin):
        return f"{_path(kind)} {_code_version(kind)} {_canonical(_settings(value))}"
    if (kind.__reduce_ex__, kind.__reduce__) == (object.__reduce_ex__, object.__reduce__):
        # An ordinary object by its attributes: its pickle depends on the order of sets, which is not the same in every process.
        return f"{_path(kind)} {_canonical(value.__reduce_ex__(2)[2])}"
    return f"{_path(kind)} {_digest(pickle.dumps(value))}"


def _digest(content: bytes) -> str:
    return hashlib.blake2b(content, digest_size=16).hexdigest()
