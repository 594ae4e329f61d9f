"""What a page is made of: sections with sentences, pictures and tables."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from markupsafe import Markup
from matplotlib.figure import Figure

from bodyorder.report.svg import svg
from bodyorder.report.table import Table


@dataclass(frozen=True)
class Picture:
    """A figure with its caption.

    :param name: of its element, unique on the page
    :param figure: of matplotlib
    :param description: all that it shows, for those who cannot see it; plain text
    :param caption: what is seen, how it is defined, in which unit; plain text or markup of a template
    :param recoloured: whether its colours may be turned into those of a dark page; False where colours mean values
    """

    name: str
    figure: Figure
    description: str
    caption: str | Markup
    recoloured: bool = True

    @property
    def svg(self) -> Markup:
        """The figure as an element of the page."""
        return svg(self.figure, self.name, self.description)


@dataclass(frozen=True)
class Section:
    """A section of the page, folded until a reader asks for it.

    :param name: of its element, unique on the page; parts need none
    :param title: plain text
    :param hint: what is inside in a few words, seen beside the title
    :param sentences: plain text or markup of templates
    :param pictures: in their order
    :param tables: in their order; those without rows are left out
    :param body: anything else, markup of a template
    :param parts: sections inside, which are not folded
    """

    name: str
    title: str
    hint: str = ""
    sentences: Sequence[str | Markup] = ()
    pictures: Sequence[Picture] = ()
    tables: Sequence[Table] = ()
    body: Markup = field(default_factory=Markup)
    parts: Sequence[Section] = ()
