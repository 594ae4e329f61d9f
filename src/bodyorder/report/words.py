"""Templates of the page: wording and markup stand there, and whatever comes from data is escaped when it is filled in."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from bodyorder.report.numbers import energy, number, power_of_ten


@cache
def templates(package: str = "bodyorder.report") -> Environment:
    """The templates in the folder ``page`` of a package, with automatic escaping."""
    made = Environment(
        loader=PackageLoader(package, "page"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters |= {"energy": energy, "number": number, "power_of_ten": power_of_ten, "listed": listed}
    made.tests["known"] = lambda value: bool(np.isfinite(float(value)))
    return made


def words(template: str, macro: str, /, *, package: str = "bodyorder.report", **values: Any) -> Markup:
    """The wording that a macro of a template makes of values, as markup on one line.

    :param template: file in the folder ``page`` of the package
    :param macro: its name
    :param values: what it is filled with; text of them is escaped
    """
    text = getattr(templates(package).get_template(template).module, macro)(**values)
    return Markup(" ".join(text.split()))


def listed(parts: Sequence[Any], most: int = 8) -> str:
    """A list within a sentence; of a long one the first few, and how many more there are."""
    given = [str(part) for part in parts]
    if len(given) > most:
        given = [*given[: most - 1], f"{len(given) - most + 1} more"]
    return given[0] if len(given) == 1 else f"{', '.join(given[:-1])} and {given[-1]}" if given else ""
