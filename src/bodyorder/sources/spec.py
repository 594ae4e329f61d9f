"""How a source is named in one line, and how such a line is read."""

from __future__ import annotations

import ast
from collections.abc import Mapping
from importlib.metadata import entry_points
from typing import Any
from urllib.parse import unquote

from bodyorder._checks import InputError

#: Entry-point group under which third parties register ``scheme = "package.module:factory"``.
ENTRY_POINT_GROUP = "bodyorder.sources"

#: Schemes that come with the package. A factory is called as ``factory(target, **options)``.
BUILTIN_FACTORIES = {
    "analytic": "bodyorder.sources.analytic:load",
    "ase": "bodyorder.sources.ase.named:load",
    "mace": "bodyorder.sources.mace:load",
    "metatomic": "bodyorder.sources.metatomic:load",
    "pyscf": "bodyorder.sources.pyscf:load",
    "qcengine": "bodyorder.sources.qcengine:load",
    "qcschema": "bodyorder.sources.qcschema:load",
}


def parse_spec(spec: str | Mapping[str, Any]) -> tuple[str, str, dict[str, Any]]:
    """Split a spec into scheme, target and options; option values that read as Python literals become those.

    What has a meaning in a spec is written as a percent code inside a target or value: %25 for %, %3F for ?, %26 for &.
    """
    if isinstance(spec, Mapping):
        if "source" not in spec:
            raise InputError(f"a source given as a mapping must have the key 'source', got {sorted(map(str, spec))}")
        scheme, target, options = parse_spec(str(spec["source"]))
        return scheme, target, options | {key: value for key, value in spec.items() if key != "source"}
    scheme, colon, rest = spec.partition(":")
    target, _, query = rest.partition("?")
    if not colon or not scheme or not target:
        raise InputError(
            f"a source must look like 'scheme:target?option=value', got {spec!r}; schemes: {', '.join(schemes())}"
        )
    options = {}
    for item in query.split("&") if query else ():
        key, equals, value = item.partition("=")
        if not key or not equals:
            raise InputError(f"options of a source must look like 'option=value&option=value', got {query!r}")
        name = unquote(key)
        if name in options:
            raise InputError(f"options of a source must be given once, {name!r} is given twice in {query!r}")
        options[name] = _literal(unquote(value))
    return scheme, unquote(target), options


def format_spec(scheme: str, target: str, options: Mapping[str, Any]) -> str:
    """The spec string of a source, options in alphabetical order; :func:`parse_spec` gives back what went in."""
    query = "&".join(f"{_quoted(key)}={_quoted(_text(value))}" for key, value in sorted(options.items()))
    return f"{scheme}:{_quoted(target)}" + (f"?{query}" if query else "")


def schemes() -> list[str]:
    """Names of all schemes, those of third parties among them."""
    return sorted({point.name for point in entry_points(group=ENTRY_POINT_GROUP)} | set(BUILTIN_FACTORIES))


def _quoted(text: str) -> str:
    """Percent codes for what has a meaning in a spec, and for nothing else: names are read by people."""
    return text.replace("%", "%25").replace("?", "%3F").replace("&", "%26").replace("=", "%3D")


def _text(value: Any) -> str:
    """An option as text, in quotes if it is a text that would be read as something else."""
    return repr(value) if isinstance(value, str) and _literal(value) != value else str(value)


def _literal(text: str) -> Any:
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return {"true": True, "false": False, "none": None}.get(text.lower(), text)
