"""Tables whose cells are markup already."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from markupsafe import Markup

from bodyorder.report.numbers import MISSING, number

__all__ = ["MISSING", "Table", "number"]


@dataclass
class Table:
    """A table with a caption, headed columns and headed rows.

    :param caption: what it shows, with units; HTML
    :param columns: headings; HTML. The first ``n_heads`` are those of the row headings
    :param rows: cells as HTML
    :param groups: for each row the title of the group it stands under, if the rows are grouped
    """

    caption: str
    columns: Sequence[str]
    n_heads: int = 1
    rows: list[Sequence[str]] = field(default_factory=list)
    groups: list[str] = field(default_factory=list)

    def render(self) -> Markup:
        """The table as HTML."""
        head = "".join(f'<th scope="col" class="head">{column}</th>' for column in self.columns[: self.n_heads])
        head += "".join(f'<th scope="col">{column}</th>' for column in self.columns[self.n_heads :])
        body = []
        for place, row in enumerate(self.rows):
            group = self.groups[place] if self.groups else ""
            if group and (place == 0 or group != self.groups[place - 1]):
                body.append(f'<tr><th scope="rowgroup" colspan="{len(self.columns)}">{group}</th></tr>')
            heads = "".join(f'<th scope="row">{cell}</th>' for cell in row[: self.n_heads])
            cells = "".join(f"<td>{cell}</td>" for cell in row[self.n_heads :])
            body.append(f"<tr>{heads}{cells}</tr>")
        return Markup(
            f'<div class="table" tabindex="0" role="group" aria-label="table"><table><caption>{self.caption}</caption>'
            f"<thead><tr>{head}</tr></thead><tbody>{''.join(body)}</tbody></table></div>"
        )
