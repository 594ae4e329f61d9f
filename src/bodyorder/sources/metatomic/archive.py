"""What can be told of a model file without loading it: whether it is one, and which compiled operators it needs."""

from __future__ import annotations

import json
import sys
import zipfile
from dataclasses import dataclass
from pathlib import Path

from bodyorder._checks import InputError
from bodyorder.sources.base import package_version

#: How folders of libraries for one version of torch are called.
_BUILT_FOR = "torch-"


@dataclass(frozen=True)
class Settings:
    """How a model was asked for.

    :param target: path of the model as the user wrote it
    :param path: the same, absolute
    :param device: name of a torch device
    :param extensions: folder of compiled operators, or None
    :param dtype: type of numbers to evaluate in, or None for the model's own
    :param variant: which of several energies, or None
    :param charged: whether the model is told charges
    :param spin: rule for the spin of sub-clusters that it is told, or None
    """

    target: str
    path: Path
    device: str
    extensions: Path | None
    dtype: str | None
    variant: str | None
    charged: bool = False
    spin: str | None = None

    @classmethod
    def of(cls, target: str, device: str, extensions: str | None, dtype: str | None, variant: str | None) -> Settings:
        """Settings with absolute paths, so that they mean the same in a worker process.

        :raises InputError: if the model or the folder of extensions is not there
        """
        path = Path(target).absolute()
        if not path.is_file():
            found = "a folder" if path.is_dir() else "nothing"
            raise InputError(f"metatomic:{target} must be the file of an exported model (.pt), and there is {found}")
        folder = path.parent / "extensions" if extensions is None else Path(extensions).absolute()
        if not folder.is_dir():
            if extensions is not None:
                raise InputError(f"`extensions` must be a folder, got {extensions!r}; leave it out if there is none")
            return cls(target, path, device, None, dtype, variant)
        return cls(target, path, device, folder, dtype, variant)


@dataclass(frozen=True)
class Extension:
    """A library of compiled operators that was loaded when the model was exported.

    :param name: of the library
    :param installed: where it is installed in this environment, or None
    :param package: the Python package that it is installed in, or an empty text
    :param torch: the version of torch that it was built for, such as 2.11, or an empty text if its place does not say
    """

    name: str
    installed: Path | None
    package: str
    torch: str

    @property
    def fits(self) -> bool:
        """Whether the library that came with the model can be loaded: one for another torch ends the process."""
        return self.torch in ("", _torch())


def read_extensions(path: Path, target: str) -> list[Extension]:
    """The compiled operators that a model may need.

    :param path: of the model
    :param target: its path as the user wrote it, for messages
    :raises InputError: if the file is not a metatomic model
    """
    try:
        with zipfile.ZipFile(path) as archive:
            name = next(name for name in archive.namelist() if name.endswith("/extra/extensions"))
            records = json.loads(archive.read(name))
    except (zipfile.BadZipFile, StopIteration, ValueError):
        raise InputError(
            f"metatomic:{target} must be a metatomic model, and is not; `mtt export` makes one of a checkpoint"
        ) from None
    except OSError as error:
        raise InputError(f"metatomic:{target} must be readable, and is not: {error.strerror}") from None
    return [_find(record["name"], Path(record["path"])) for record in records]


def _find(name: str, path: Path) -> Extension:
    """Models record where a library lies below the folder of installed packages; packages keep one for each version of torch."""
    versions = [part.removeprefix(_BUILT_FOR) for part in path.parts if part.startswith(_BUILT_FOR)]
    built_for = versions[0] if versions else ""
    path = Path(*(_BUILT_FOR + _torch() if part == _BUILT_FOR + built_for else part for part in path.parts))
    for packages in map(Path, sys.path):
        if (library := packages / path).is_file():
            holding = [
                folder.name for folder in reversed(path.parents) if (packages / folder / "__init__.py").is_file()
            ]
            return Extension(name, library, ".".join(holding), built_for)
    return Extension(name, None, "", built_for)


def _torch() -> str:
    return ".".join(package_version("torch").split(".")[:2])
