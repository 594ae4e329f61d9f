"""The top of the page: one figure and at most five sentences."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import xarray as xr
from markupsafe import Markup

from bodyorder.analysis.findings import overall
from bodyorder.plots.convergence import overview_figure
from bodyorder.plots.style import Theme, group_title
from bodyorder.report.numbers import NEGLIGIBLE
from bodyorder.report.section import Picture
from bodyorder.report.words import words
from bodyorder.results.variables import DISSOCIATED, DOUBTFUL

#: Up to so many sources each is spoken of; of more the reference alone, where there is one.
_MOST_SOURCES = 4

#: How expansions can converge, in the order in which that is said.
_VERDICTS = ("from", "perhaps", "complete", "none", "open", "unknown", "unasked")


class Place(NamedTuple):
    """A source in a group, by names; both are empty where there is one only."""

    source: str
    group: str


def sentences(found: xr.Dataset, theme: Theme) -> list[Markup]:
    """What :func:`bodyorder.analysis.findings` say, in at most five sentences."""
    leading = _leading(found)
    said = [_converges(found, leading, theme), _largest(found, leading, theme), _deviates(found, theme)]
    return [sentence for sentence in [*said, _noise(found, theme), _distrust(found)] if sentence]


def picture(convergence: xr.Dataset, found: xr.Dataset, theme: Theme) -> Picture:
    """Order totals, and errors of truncations, of all groups."""
    lead = found.attrs.get("reference") or next(iter(theme.sources))
    parts = [(place, part) for place, part in _places(found, list(theme.sources))]
    values = {"parts": parts, "body": theme.body, "tolerance": 1e3 * found.attrs["tolerance"]}
    description = words("sentences.html", "overview_description", **values)
    caption = words(
        "captions.html",
        "overview",
        body=theme.body,
        tolerance=values["tolerance"],
        spread=int(found["group_size"].max()) > 1,
    )
    return Picture("overview", overview_figure(convergence, theme, lead), description.unescape(), caption)


def _leading(found: xr.Dataset) -> list[str]:
    names = [str(name) for name in found["source"].values]
    reference = found.attrs.get("reference")
    return names if reference is None or len(names) <= _MOST_SOURCES else [reference]


def _places(found: xr.Dataset, sources: list[str]) -> Iterator[tuple[Place, dict[str, Any]]]:
    for source in sources:
        for group in found["group"].values:
            part = found.sel(source=source, group=group)
            values = {str(name): part[name].item() for name in part.data_vars if not part[name].dims}
            values["unknown"] = [int(order) for order in part["order"].values[part["is_unknown"].values]]
            yield _place(found, source, group_title(str(group))), values


def _place(found: xr.Dataset, source: str, group: str) -> Place:
    return Place(source if found.sizes["source"] > 1 else "", group if found.sizes["group"] > 1 else "")


def _converges(found: xr.Dataset, leading: list[str], theme: Theme) -> Markup:
    verdicts: dict[tuple[str, int], list[Place]] = {}
    for place, part in _places(found, leading):
        order, last = part["sufficient_order"], part["last_order"]
        if np.isnan(last):
            key = ("unasked" if part["n_unasked"] else "unknown", 0)
        elif np.isnan(order):
            # what follows a small error may be unknown
            key = ("none" if part["last_error"] >= found.attrs["tolerance"] else "open", int(last))
        else:
            complete = order == last > 1 and part["last_error"] < NEGLIGIBLE
            key = ("complete" if complete else "from" if part["is_certain"] else "perhaps", int(order))
        verdicts.setdefault(key, []).append(place)
    ordered = sorted(verdicts.items(), key=lambda item: (_VERDICTS.index(item[0][0]), item[0][1]))
    held = [(kind, order, _labels(found, places)) for (kind, order), places in ordered]
    return words(
        "sentences.html", "converges", verdicts=held, tolerance=1e3 * found.attrs["tolerance"], body=theme.body
    )


def _labels(found: xr.Dataset, places: list[Place]) -> list[str]:
    """Sources with the groups in which they are, if not in all."""
    by_source: dict[str, list[str]] = {}
    for place in places:
        by_source.setdefault(place.source, []).append(place.group)
    return [
        source if len(own) == found.sizes["group"] else words("sentences.html", "within", source=source, groups=own)
        for source, own in by_source.items()
        if source or len(own) < found.sizes["group"]
    ]


def _largest(found: xr.Dataset, leading: list[str], theme: Theme) -> Markup:
    known = [(place, part) for place, part in _places(found, leading) if np.isfinite(part["largest_contribution"])]
    if known:
        place, part = max(known, key=lambda item: abs(item[1]["largest_contribution"]))
        return words("sentences.html", "largest", place=place, part=part, body=theme.body)
    pairs = [
        (place, part) for place, part in _places(found, leading) if np.isfinite(part["pair_contribution_per_body"])
    ]
    if not pairs:
        return Markup()
    place, part = max(pairs, key=lambda item: abs(item[1]["pair_contribution_per_body"]))
    return words("sentences.html", "pairs", place=place, part=part, body=theme.body)


def _deviates(found: xr.Dataset, theme: Theme) -> Markup:
    if "total_rmse" not in found:
        return Markup()
    others = [name for name in theme.sources if name != found.attrs["reference"]]
    held = list(_places(found, others))
    totals: dict[str, tuple[float, str]] = {}
    for place, part in held:
        if np.isfinite(part["total_rmse"]) and part["total_rmse"] > totals.get(place.source, (-1.0, ""))[0]:
            totals[place.source] = (part["total_rmse"], place.group)
    if not totals:
        return Markup()
    ranked = sorted(totals.items(), key=lambda item: item[1][0])
    worst = max(held, key=lambda item: np.nan_to_num(item[1]["largest_deviation"], nan=-1.0))
    return words(
        "sentences.html", "deviates", reference=found.attrs["reference"], ranked=ranked, worst=worst, body=theme.body
    )  # fmt: skip


def _noise(found: xr.Dataset, theme: Theme) -> Markup:
    held = list(_places(found, list(theme.sources)))
    noisy = [item for item in held if item[1]["largest_noise"] > 0]
    if not noisy:
        return Markup()
    place, part = max(noisy, key=lambda item: item[1]["largest_noise"])
    counts = overall(found)
    values: dict[str, Any] = {"n_lost": int(counts["n_within_noise"]), "n_all": int(counts["n_totals"])}
    lost = _labels(found, [place for place, part in held if part["n_within_noise"]])
    return words("sentences.html", "noise", place=place, part=part, body=theme.body, lost=lost, **values)


def _distrust(found: xr.Dataset) -> Markup:
    names = [str(name) for name in found["source"].values]
    doubts = []
    for name in names:
        own, called = found.sel(source=name), _place(found, name, "").source
        counts = [(int(own[key]), what) for key, what in DOUBTFUL.items() if int(own[key])]
        if counts:
            doubts.append((called, counts, float(own["n_all"])))
    shown = [_place(found, name, "").source for name in names]
    lacking = zip(shown, found["n_lacking"].values.tolist(), strict=True)
    return words(
        "sentences.html",
        "distrust",
        doubts=doubts,
        lacking=[(name, number) for name, number in lacking if number],
        unknown=[(place, part["unknown"]) for place, part in _places(found, names) if part["unknown"]],
        sampled=[name for name, own in zip(shown, found["is_sampled"].values, strict=True) if own],
        cut=[name for name, own in zip(shown, found["is_cut"].values, strict=True) if own],
        offsets=[
            (name, own)
            for name, own in zip(shown, found["lone_offset"].values.tolist(), strict=True)
            if np.isfinite(own)
        ],
        n_dissociated=int(overall(found)["n_dissociated_states"]),
        dissociated=DISSOCIATED[1],
    )
