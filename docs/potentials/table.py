"""The tables of docs/potentials.md, from what `make potentials` found: cases.json and traits.json beside this script.

    python docs/potentials/table.py runs/potentials    # takes what a run found, and writes the page
    python docs/potentials/table.py --check            # whether the page holds what the files say

Both files say with which versions; a run of some cases replaces those alone.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
PAGE = HERE.parent / "potentials.md"
BEGIN, END = (
    "<!-- {}, made by docs/potentials/table.py: begin -->\n",
    "<!-- {}, made by docs/potentials/table.py: end -->\n",
)
CASES = ("structure", "potential", "bodies", "order", "worst difference", "allowed", "bodyorder, 1/s", "loops, 1/s")
TRAITS = (
    "potential",
    "program",
    "charge by",
    "spin by",
    "lone atom",
    "two lone atoms far apart",
    "adds up from",
    "forces off by",
    "scatter",
    "one by one, 1/s",
    "together, 1/s",
    "ratio",
)
#: Largest sum (eV) of two lone atoms far apart that is rounding.
NOTHING = 1e-5
Entries = dict[str, dict[str, Any]]


def cases(entries: Entries) -> str:
    """A row for each case, by structure."""
    rows, before = [], ""
    order = list(dict.fromkeys(entry["structure"] for entry in entries.values()))
    for entry in sorted(entries.values(), key=lambda entry: order.index(entry["structure"])):
        structure = "" if entry["structure"] == before else entry["structure"]
        before = entry["structure"]
        off = number(entry["off"]) if entry["agrees"] else f"**{number(entry['off'])}**"
        rates = [f"{rate:,.0f}" for rate in entry["rates"]]
        rows.append(
            [structure, entry["potential"], entry["bodies"], entry["order"], off, number(entry["allowed"]), *rates]
        )
    return table(CASES, rows)


def traits(entries: Entries) -> str:
    """A row for each potential."""
    return table(TRAITS, [trait(entry) for entry in entries.values()])


def trait(entry: dict[str, Any]) -> list[str]:
    """The row of one potential; "fails" stands for an error."""
    speed = entry["speed"]
    rates = ["fails"] * 3
    if not isinstance(speed, str):
        ratio = speed["together"] / speed["loop"]
        rates = [rate(speed["loop"]), rate(speed["together"]) + "*" * bool(entry["batches"]), f"{ratio:.1f}"]
    energies, sums = [], []
    for symbol, found in entry["lone"].items():
        energies.append(f"{symbol} {or_fails(found, lambda found: energy(found[0]))}")
        if isinstance(found, str):
            sums.append(f"{symbol}₂ fails")
        elif abs(found[1]) > NOTHING:
            sums.append(f"{symbol}₂ {energy(found[1])}")
    return [
        entry["name"],
        entry["versions"],
        told(entry["charge"]),
        told(entry["spin"]),
        ", ".join(energies),
        ", ".join(sums) or "0",
        or_fails(entry["additive"], adds_up),
        or_fails(entry["forces"], lambda off: "none" if off is None else number(off)),
        or_fails(entry["precision"], number),
        *rates,
    ]


def adds_up(found: dict[str, float | None]) -> str:
    """A distance in Å, or what is left at 100 Å in eV."""
    return f"{found['from']:g}" if found["from"] is not None else f"never ({number(found['left'])})"


def told(ways: list[str] | str) -> str:
    """How something is told."""
    return or_fails(ways, lambda ways: ", ".join(ways) or "–")


def or_fails(found: Any, say: Callable[[Any], str]) -> str:
    """What was found, in words."""
    return "fails" if isinstance(found, str) else say(found)


def energy(value: float) -> str:
    """In eV, with a minus sign."""
    return f"{value:.3f}".replace("-", "−") if value else "0"


def number(value: float | None) -> str:
    """A length, energy or force whose size matters."""
    return "–" if value is None else f"{value:.0e}".replace("e-0", "e-").replace("e+00", "")


def rate(value: float) -> str:
    """Two digits, which is what a repetition keeps."""
    return f"{float(f'{value:.2g}'):,.0f}"


def table(heads: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    """In Markdown."""
    lines = [heads, ["---"] * len(heads), *rows]
    return "".join(f"| {' | '.join(map(str, line))} |\n" for line in lines)


def page(text: str) -> str:
    """The page with both tables."""
    for name, make in {"cases": cases, "traits": traits}.items():
        entries = json.loads((HERE / f"{name}.json").read_text(encoding="utf-8"))
        before, begin, rest = text.partition(BEGIN.format(name))
        _, end, after = rest.partition(END.format(name))
        text = before + begin + make(entries) + end + after
    return text


def main(arguments: Sequence[str]) -> None:
    """Take what a run found, and write the tables into the page; or check that they are there."""
    if "--check" not in arguments:
        for name in ("cases.json", "traits.json"):
            for folder in arguments:
                there = json.loads((HERE / name).read_text(encoding="utf-8"))
                there |= json.loads((Path(folder) / name).read_text(encoding="utf-8"))
                (HERE / name).write_text(json.dumps(there, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
        PAGE.write_text(page(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
    elif page(PAGE.read_text(encoding="utf-8")) != PAGE.read_text(encoding="utf-8"):
        raise SystemExit(f"{PAGE} must hold what was found, and does not; run python docs/potentials/table.py")


if __name__ == "__main__":
    main(sys.argv[1:])
