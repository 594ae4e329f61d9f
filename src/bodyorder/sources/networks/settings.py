"""How a model in a file was asked for: what all programs that make models have in common."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from bodyorder._checks import InputError
from bodyorder.sources.spec import format_spec


@dataclass(frozen=True, kw_only=True)
class ModelSettings:
    """How a model was asked for.

    :param target: path of the model as the user wrote it
    :param path: the same, absolute, so that it means the same in a worker process
    :param device: name of a torch device
    :param dtype: type of numbers to evaluate in, or None for the model's own
    :param charged: whether the model is told charges
    :param spin: rule for the spin of sub-clusters that it is told, or None
    """

    target: str
    path: Path
    device: str = "cpu"
    dtype: str | None = None
    charged: bool = False
    spin: str | None = None

    def name(self, scheme: str, **others: str | None) -> str:
        """The spec of the model, with all options that change its numbers.

        :param others: options of models of its kind, None where they were not given
        """
        asked = {"dtype": self.dtype, "charged": self.charged or None, "spin": self.spin} | others
        return format_spec(scheme, self.target, {key: value for key, value in asked.items() if value is not None})


def model_file(scheme: str, target: str, what: str) -> Path:
    """Absolute path of a model.

    :param target: as the user wrote it
    :param what: kind of model that must be there, for messages
    :raises InputError: if there is no file
    """
    path = Path(target).absolute()
    if not path.is_file():
        found = "a folder" if path.is_dir() else "nothing"
        raise InputError(f"{scheme}:{target} must be the file of {what}, and there is {found}")
    return path
