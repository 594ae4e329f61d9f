"""Models with random weights, made as the tests make theirs: weights do not change the work."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

from bodyorder.training.models import MODELS

#: Options of a MACE model of a size that is used.
WIDE: dict[str, Any] = {"irreps": "32x0e + 32x1o", "correlation": 3, "max_ell": 3, "radial_MLP": [64, 64, 64]}


def curated(folder: Path, name: str) -> Path:
    """A curated small model, exported for metatomic."""
    return exported(folder, MODELS[name].architecture, dict(MODELS[name].sizes["small"].model))


def exported(folder: Path, architecture: str, hypers: dict[str, Any]) -> Path:
    """A model of metatrain, exported for metatomic."""
    return _tests("models").export_network(folder, architecture, hypers)


def mace(path: Path, **options: Any) -> Path:
    """A MACE model for hydrogen as MACE writes it."""
    return _tests("mace_models").save_model(path, elements=(1,), **options)


def _tests(name: str) -> ModuleType:
    if name not in sys.modules:
        path = Path(__file__).parents[1] / "tests" / "sources" / f"{name}.py"
        spec = importlib.util.spec_from_file_location(name, path)
        assert spec is not None
        assert spec.loader is not None
        sys.modules[name] = module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
    return sys.modules[name]
