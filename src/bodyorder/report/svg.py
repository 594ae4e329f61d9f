"""Figures of matplotlib as elements of the page."""

from __future__ import annotations

import io
import re

import matplotlib
from markupsafe import Markup
from matplotlib.figure import Figure

from bodyorder.plots.style import RC
from bodyorder.report.words import words

#: Width of a figure in the page, at most and for every inch (root em).
_WIDEST, _REM_PER_INCH = 70.0, 6.75


def svg(figure: Figure, name: str, description: str) -> Markup:
    """A figure as an SVG element for a page that holds several.

    :param name: prefix that keeps the ids of this figure apart from those of others
    :param description: what the figure shows, for those who cannot see it
    """
    buffer = io.StringIO()
    no_metadata = dict.fromkeys(("Date", "Creator", "Format", "Type"))
    with matplotlib.rc_context(RC):
        figure.savefig(buffer, format="svg", metadata=no_metadata)
    text = buffer.getvalue()
    text = re.sub(r"<!--.*?-->\s*", "", text[text.index("<svg") :], flags=re.DOTALL).strip()
    text = re.sub(r'\bid="', f'id="{name}-', text)
    text = re.sub(r'href="#', f'href="#{name}-', text)
    text = re.sub(r"url\(#", f"url(#{name}-", text)
    opening, rest = text.removesuffix("</svg>").split(">", 1)
    attributes = re.sub(r'\s(width|height|version)="[^"]*"', "", opening).removeprefix("<svg")
    # text of one size in all figures, and none wider than the page
    width = min(_WIDEST, _REM_PER_INCH * figure.get_figwidth())
    return words(
        "svg.html", "svg", name=name, attributes=Markup(attributes), width=round(width), description=description,
        drawing=Markup(rest),
    )  # fmt: skip
