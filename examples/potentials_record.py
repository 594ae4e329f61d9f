"""How what was found is kept: as JSON that says with which versions."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.metadata import packages_distributions, version
from pathlib import Path
from subprocess import run
from typing import Any, TypeVar

from potentials_cases import Potential

T = TypeVar("T")
#: Characters of an error that are kept.
LONGEST = 120


def record(path: Path, found: dict[str, Any]) -> None:
    """Put entries into a JSON file, beside those that are there."""
    path.parent.mkdir(parents=True, exist_ok=True)
    there = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    text = json.dumps(there | found, indent=1, ensure_ascii=False)
    path.write_text(text + "\n", encoding="utf-8")


def versions_of(potential: Potential) -> str:
    """The package of a potential, or the program behind it, and its version."""
    if potential.program:
        said = run([potential.program, "-V"], capture_output=True, text=True, check=True).stdout
        (number,) = re.findall(r"version (\d[\d.]*)", said)
        return f"{potential.program} {number}"
    (name, *_) = packages_distributions()[potential.package]
    return f"{name} {version(name)}"


def as_found(ask: Callable[..., T], *arguments: Any) -> T | str:
    """What something gives, or the first line of its error: potentials fail in many ways, and that is what is looked for."""
    try:
        return ask(*arguments)
    except Exception as error:
        return f"{type(error).__name__}: {(str(error).splitlines() or [''])[0][:LONGEST]}"


@contextmanager
def default_precision() -> Iterator[None]:
    """Leave torch as it was: NequIP and SO3LR change the precision of all that is made after them."""
    torch = sys.modules.get("torch")
    before = torch.get_default_dtype() if torch else None
    try:
        yield
    finally:
        if torch := sys.modules.get("torch"):
            torch.set_default_dtype(before or torch.float32)
