"""The structures themselves, in chemiscope: a map of them, and a view of one with its atoms coloured by their shares."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ase
import numpy as np
import xarray as xr

from bodyorder._checks import InputError
from bodyorder.analysis import Aligned, atom_shares, groups
from bodyorder.plots.style import group_title

#: Structures of each group that are shown at most, so that the page stays small.
SHOWN_PER_GROUP = 100

#: Digits behind the point (eV) that the page holds.
_DIGITS = 6


@dataclass(frozen=True)
class Viewer:
    """What the page needs to show the structures.

    :param dataset: in chemiscope's format
    :param properties: for each source and each order the name of the property that holds the shares of atoms
    :param source: source whose shares colour the atoms at first
    :param order: order whose shares colour the atoms at first
    :param n_left_out: structures that are not shown
    """

    dataset: Mapping[str, Any]
    properties: Mapping[str, Mapping[str, str]]
    source: str
    order: int
    n_left_out: int

    def script(self) -> str:
        """The data as a JavaScript expression that may stand inside a ``<script>`` element."""
        payload = {
            "dataset": self.dataset,
            "properties": self.properties,
            "source": self.source,
            "order": str(self.order),
        }
        return json.dumps(payload, separators=(",", ":")).replace("<", "\\u003c")


def make_viewer(results: xr.Dataset, title: str, reference: str | None = None) -> Viewer:
    """Structures with the share of each atom in each order (see :func:`bodyorder.analysis.atom_shares`).

    Atoms are coloured at first by the order above 1 that is largest anywhere, in the reference or else the first
    source, and the structure shown first is the one where it is.

    :param results: of :func:`bodyorder.analysis.combine`, with subsets
    :raises InputError: if the results hold no subsets or no positions
    """
    import chemiscope

    if "site_position" not in results:
        raise InputError("structures can be shown only with positions, `site_position` is missing from the results")
    shown, places = _choose(results)
    rows = np.concatenate([np.flatnonzero(results["site_structure"].values == index) for index in shown])
    shares = atom_shares(Aligned(results))["atom_share"].transpose("source", "order", "site").values[:, :, rows]
    sources = [str(name) for name in results["source"].values]
    orders = [int(order) for order in results["order"].values]
    source = sources.index(reference) if reference is not None else 0
    totals = (results["contribution"] / results["n_bodies"]).transpose("source", "structure", "order").values[:, shown]
    order, first = _most_striking(totals[source])
    several = len(sources) > 1

    properties: dict[str, Any] = {
        "structure": _property("structure", results["structure"].values[shown].astype(str).tolist(), "", "name"),
        "group": _property("structure", places, "", "group of structures"),
        "number": _property("structure", np.arange(len(shown)), "", "number of the structure on this page"),
    }
    names: dict[str, dict[str, str]] = {}
    for index, name in enumerate(sources):
        prefix = f"{name}: " if several else ""
        energies = (results["total"] / results["n_bodies"]).transpose("source", "structure").values[index, shown]
        properties[f"{prefix}E/N"] = _property("structure", energies, "eV", f"energy per body, {name}")
        names[name] = {}
        for place, n in enumerate(orders):
            key = f"{prefix}share of order {n}"
            names[name][str(n)] = key
            properties[key] = _property("atom", shares[index, place], "eV", f"share of an atom in order {n}, {name}")
            properties[f"{prefix}E({n})/N"] = _property(
                "structure", totals[index, :, place], "eV", f"total of order {n} per body, {name}"
            )
    prefix = f"{sources[source]}: " if several else ""
    wanted = [f"{prefix}{name}/N" for name in ("E(2)", f"E({order})", "E", "E(1)")]
    axes = [*(name for name in dict.fromkeys(wanted) if _is_known(properties.get(name))), "number", "number"]
    colour = f"{prefix}E/N" if _is_known(properties[f"{prefix}E/N"]) else axes[0]
    frames = [_atoms(results, index) for index in shown]
    settings = {
        "target": "structure",
        "pinned": [first],
        "map": {
            "x": {"property": axes[0]},
            "y": {"property": axes[1]},
            "color": {"property": colour, "palette": "viridis"},
        }
        | ({"symbol": "group"} if len(set(places)) > 1 else {}),
        "structure": [{"spaceFilling": False}],
    }
    dataset = chemiscope.create_input(
        structures=frames,
        properties=properties,
        environments=chemiscope.all_atomic_environments(frames),
        metadata={"name": title},
        settings=settings,
    )
    left_out = results.sizes["structure"] - len(shown)
    return Viewer(_finite(dataset), names, sources[source], order, left_out)


def chemiscope_script() -> str:
    """The viewer's program, as it may stand inside a ``<script>`` element."""
    spec = importlib.util.find_spec("chemiscope")
    if spec is None or spec.origin is None:
        raise InputError(
            "chemiscope must be installed for a report, and is not; install it with: pip install chemiscope"
        )
    program = Path(spec.origin).parent / "sphinx" / "static" / "chemiscope.min.js"
    text = program.read_text(encoding="utf-8")
    for opening in ("<!--", "<script", "</script"):
        text = text.replace(opening, "\\x3C" + opening[1:])
    return text


def _choose(results: xr.Dataset) -> tuple[np.ndarray, list[str]]:
    """Structures that are shown, evenly drawn from each group, and the title of the group of each."""
    chosen, titles = [], []
    for name, rows in groups(results).items():
        n_shown = min(len(rows), SHOWN_PER_GROUP)
        chosen.append(rows[np.linspace(0, len(rows) - 1, n_shown).round().astype(int)])
        titles += [group_title(name) or "all"] * n_shown
    return np.concatenate(chosen), titles


def _most_striking(totals: np.ndarray) -> tuple[int, int]:
    """Order above 1 whose total per body is largest in some structure, and that structure's place."""
    sizes = np.nan_to_num(np.abs(totals[:, 1:]))
    if not sizes.size:
        return 1, 0
    structure, order = np.unravel_index(np.argmax(sizes), sizes.shape)
    return int(order) + 2, int(structure)


def _is_known(held: Mapping[str, Any] | None) -> bool:
    """Whether a property has any value that the map can draw."""
    return held is not None and bool(np.isfinite(held["values"]).any())


def _property(target: str, values: Any, unit: str, meaning: str) -> dict[str, Any]:
    if isinstance(values, np.ndarray):
        values = np.round(values.astype(float), _DIGITS).tolist()
    return {"target": target, "values": values, "description": meaning} | ({"units": unit} if unit else {})


def _atoms(results: xr.Dataset, index: int) -> ase.Atoms:
    rows = np.flatnonzero(results["site_structure"].values == index)
    positions = results["site_position"].transpose("site", "xyz").values[rows]
    return ase.Atoms(numbers=results["site_number"].values[rows], positions=np.round(positions, _DIGITS))


def _finite(value: Any) -> Any:
    """Missing values as the page's program reads them: JSON has none."""
    if isinstance(value, dict):
        return {key: _finite(part) for key, part in value.items()}
    if isinstance(value, list):
        return [_finite(part) for part in value]
    return "NaN" if isinstance(value, float) and not np.isfinite(value) else value
