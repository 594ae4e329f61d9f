"""A study's options from a YAML file, and what is wrong with it in one line."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from bodyorder._checks import InputError, did_you_mean
from bodyorder.config.options import DistillOptions, HeldOut, SplitOptions, StudyOptions, TrainingSetOptions
from bodyorder.config.samplers import SAMPLERS, Options

#: Where pydantic names the variant of a sampler on the way to a key, by the first key; the user never wrote it.
_VARIANTS = {"clusters": 2, "held_out": 3}

#: Keys that hold options of their own, whatever names stand between.
_KINDS: dict[str, type[Options]] = {
    "training_sets": TrainingSetOptions,
    "split": SplitOptions,
    "held_out": HeldOut,
    "distill": DistillOptions,
}


#: What keys are called that had other names before, and none of what is called so now is near them.
_RENAMED = {
    "makeups": "training_sets",
    "parents": "whole_clusters",
    "n_parents": "n_clusters",
    "per_parent": "per_cluster",
}


class _Loader(yaml.SafeLoader):
    """YAML in which no key may stand twice: the first of two would be lost without a word."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = [self.construct_object(key, deep=True) for key, _ in node.value]
        for key in keys:
            if keys.count(key) > 1:
                raise InputError(f"a key must stand once, `{key}` stands twice (line {node.start_mark.line + 1} on)")
        return super().construct_mapping(node, deep)


def load_config(path: str | os.PathLike[str]) -> StudyOptions:
    """Read the options of a study from a YAML file.

    :raises InputError: if the file is missing, is not YAML, or holds an unknown key or a value that cannot be; the message
        names the key and, for an unknown one, the nearest that is known
    """
    file = Path(path)
    try:
        content = yaml.load(file.read_text(encoding="utf-8"), Loader=_Loader)
    except OSError as error:
        raise InputError(f"a study must be a YAML file that can be read, {file} is not: {error.strerror}") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        line = getattr(getattr(error, "problem_mark", None), "line", None)
        where = f" (line {line + 1})" if line is not None else ""
        raise InputError(f"a study must be a YAML file, {file} is not{where}") from None
    if not isinstance(content, Mapping):
        raise InputError(f"a study must be a YAML file of keys and values, {file} holds {type(content).__name__}")
    try:
        return StudyOptions.model_validate(content)
    except ValidationError as error:
        raise InputError(f"{file}: {_first(error)}") from None


def _first(error: ValidationError) -> str:
    """The first of pydantic's complaints in one line."""
    # A misspelt key is both unknown and, under its right name, missing: the first says more.
    problem = min(error.errors(), key=lambda entry: entry["type"] != "extra_forbidden")
    location = [str(part) for part in problem["loc"]]
    variant = _variant(location)
    path = location if variant is None else location[:variant] + location[variant + 1 :]
    # pydantic's way to say that it is the key itself which is wrong
    key = ".".join(path[:-2] if path[-1:] == ["[key]"] else path)
    if problem["type"] == "extra_forbidden":
        known = _keys_at(location[:-1])
        renamed = _RENAMED.get(path[-1])
        hint = f"; did you mean {renamed!r}?" if renamed in known else did_you_mean(path[-1], known)
        return f"unknown key `{key}`; keys here: {', '.join(known)}{hint}"
    if problem["type"] == "missing":
        return f"`{key}` must be given, and is not"
    if problem["type"] == "value_error":
        reason = str(problem["ctx"]["error"])
        return f"`{key}` {reason}" if reason.startswith("must") else reason
    if problem["type"].startswith("union_tag"):
        given = problem["input"].get("sampler") if isinstance(problem["input"], Mapping) else problem["input"]
        return f"`{key}.sampler` must be one of {', '.join(SAMPLERS)}, got {given!r}{did_you_mean(given, SAMPLERS)}"
    return f"`{key}`: {problem['msg'][0].lower()}{problem['msg'][1:]}, got {problem['input']!r}"


def _variant(location: Sequence[str]) -> int | None:
    """Where the variant of a sampler stands in a location, if it does."""
    place = _VARIANTS.get(location[0]) if location else None
    return place if place is not None and len(location) > place and location[place] in SAMPLERS else None


def _keys_at(location: Sequence[str]) -> list[str]:
    """The keys that a place in a study knows."""
    variant = _variant(location)
    if variant is not None:
        return list(SAMPLERS[location[variant]].model_fields)
    return list((_KINDS[location[0]] if location else StudyOptions).model_fields)
