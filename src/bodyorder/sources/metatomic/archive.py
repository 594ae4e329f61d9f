"""What can be told of a model file without loading it: whether it is one, and which compiled operators it needs."""

from __future__ import annotations

import json
import sys
import zipfile
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from bodyorder._checks import InputError
from bodyorder.sources.networks.checkpoint import describe_checkpoint
from bodyorder.sources.networks.settings import ModelSettings

#: How folders of libraries for one version of torch are called.
_BUILT_FOR = "torch-"
#: Where a model keeps the version of metatomic that exported it.
_VERSION = "/extra/metatomic-version"


@dataclass(frozen=True, kw_only=True)
class Settings(ModelSettings):
    """How a metatomic model was asked for.

    :param extensions: folder of compiled operators, or None
    :param variant: which of several energies, or None
    :param trust: whether operators may be loaded from that folder
    :param forces: whether they are the gradient of the energy, or those that the model predicts itself (``direct``)
    :param members: which several energies beside it, ``heads`` or ``parts``; its ensemble, if it has one, if None
    """

    extensions: Path | None = None
    variant: str | None = None
    trust: bool = False
    forces: str = "gradient"
    members: str | None = None


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


def extensions_folder(path: Path, extensions: str | None) -> Path | None:
    """Folder of the compiled operators that came with a model, or None if there is none.

    :param path: of the model, absolute
    :param extensions: the folder as the user wrote it; the one beside the model if not given
    :raises InputError: if it was given and is not there
    """
    folder = path.parent / "extensions" if extensions is None else Path(extensions).absolute()
    if folder.is_dir():
        return folder
    if extensions is not None:
        raise InputError(f"`extensions` must be a folder, got {extensions!r}; leave it out if there is none")
    return None


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
        checkpoint = describe_checkpoint(path)
        what = f"is a checkpoint of metatrain ({checkpoint})" if checkpoint else "is not"
        raise InputError(
            f"metatomic:{target} must be a metatomic model, and {what}; `mtt export` makes one of a checkpoint"
            + (" of its version or an older one" if checkpoint else "")
        ) from None
    except OSError as error:
        raise InputError(f"metatomic:{target} must be readable, and is not: {error.strerror}") from None
    return [_find(record["name"], Path(record["path"]), path) for record in records]


def of_another_version(path: Path) -> str:
    """What to say of a model that was exported by another version of metatomic, as the end of a sentence; else an empty text.

    :param path: of the model
    """
    with zipfile.ZipFile(path) as archive:
        recorded = [archive.read(name).decode() for name in archive.namelist() if name.endswith(_VERSION)]
    here = version("metatomic-torch")
    if recorded == [here]:
        return ""
    return (
        f"; it was exported by {f'metatomic {recorded[0]}' if recorded else 'what came before metatomic'}, here is {here}: "
        f"export its checkpoint again with `mtt export`, or install that version"
    )


def _find(name: str, path: Path, model: Path) -> Extension:
    """Models record where a library lies below the folder of installed packages; packages keep one for each version of torch.

    What lies with the model is not installed, although Python may search there (the working folder): neither folders that hold
    the model count, nor paths that lead out of a folder.
    """
    versions = [part.removeprefix(_BUILT_FOR) for part in path.parts if part.startswith(_BUILT_FOR)]
    built_for = versions[0] if versions else ""
    path = Path(*(_BUILT_FOR + _torch() if part == _BUILT_FOR + built_for else part for part in path.parts))
    inside = not path.is_absolute() and ".." not in path.parts
    for packages in map(Path, sys.path if inside else ()):
        if (library := packages / path).is_file() and not model.resolve().is_relative_to(packages.resolve()):
            holding = [
                folder.name for folder in reversed(path.parents) if (packages / folder / "__init__.py").is_file()
            ]
            return Extension(name, library, ".".join(holding), built_for)
    return Extension(name, None, "", built_for)


def _torch() -> str:
    return ".".join(version("torch").split(".")[:2])
