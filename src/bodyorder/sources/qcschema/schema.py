"""What QCSchema says of results, versions 1 and 2, as far as it is used here: of single calculations, and of expansions."""

from __future__ import annotations

import math
from typing import Any

from pydantic import Field, model_validator

from bodyorder._checks import first_line
from bodyorder.structures.reading.schema import Molecule, SchemaObject

#: How far two energies of one sub-cluster may be apart, in hartree.
SAME_ENERGY = 1e-6


class Model(SchemaObject):
    """Method and basis set."""

    method: str
    basis: str | dict[str, Any] | None = None

    @property
    def name(self) -> str:
        """As ``model=`` has it."""
        basis = self.basis.get("name", "basis of its own") if isinstance(self.basis, dict) else self.basis
        return f"{self.method}/{basis}" if basis else self.method


class Provenance(SchemaObject):
    """Who made something."""

    creator: str = "unknown"
    version: str | None = None

    @property
    def name(self) -> str:
        """The program with its version."""
        return f"{self.creator} {self.version}" if self.version else self.creator


class Failure(SchemaObject):
    """Why a calculation failed."""

    error_type: str | None = None
    error_message: str | None = None

    @property
    def line(self) -> str:
        """The one line that says most: the last one of a traceback."""
        text = (self.error_message or self.error_type or "").strip()
        return (
            text.splitlines()[-1].strip() if "Traceback" in text else first_line(ValueError(text))
        ) or "no reason is given"


class Properties(SchemaObject):
    """Numbers of a calculation; an energy in hartree."""

    return_energy: float | None = None

    @model_validator(mode="after")
    def _is_finite(self) -> Properties:
        return _checked(self, "return_energy", self.return_energy)


def _checked(part: Any, name: str, energy: float | None) -> Any:
    if energy is not None and not math.isfinite(energy):
        raise ValueError(f"`{name}` must be a finite energy in hartree, got {energy}")
    return part


class Specification(SchemaObject):
    """What is computed, of one calculation or of an expansion."""

    model: Model | None = None
    program: str | None = None
    keywords: dict[str, Any] | None = None
    specification: dict[str, Specification] | None = None


class Inputs(SchemaObject):
    """What a calculation or an expansion was given; version 1 has model and keywords of a calculation here."""

    molecule: Molecule | None = None
    model: Model | None = None
    keywords: dict[str, Any] | None = None
    specification: Specification | None = None


class _Result(SchemaObject):
    """What a calculation and an expansion have alike."""

    molecule: Molecule | None = None
    input_data: Inputs | None = None
    provenance: Provenance = Field(default_factory=Provenance)

    @property
    def own_molecule(self) -> Molecule | None:
        """The molecule that it is of."""
        return self.molecule or (self.input_data.molecule if self.input_data else None)


class Calculation(_Result):
    """The result of one calculation, or its failure."""

    model: Model | None = None
    keywords: dict[str, Any] | None = None
    properties: dict[str, Any] | None = None
    return_result: Any = None
    success: bool | None = None
    error: Failure | None = None

    @property
    def failure(self) -> str:
        """Why it failed; empty if it did not."""
        if self.success is not False:
            return ""
        return (self.error or Failure()).line

    @property
    def energy(self) -> float | None:
        """In hartree, None where there is none."""
        return next(iter(self._energies), None)

    @property
    def _energies(self) -> list[float]:
        """The places where one may stand; the result of a gradient, say, is none."""
        places = (self.properties or {}).get("return_energy"), self.return_result
        return [float(value) for value in places if isinstance(value, int | float) and not isinstance(value, bool)]

    @property
    def model_name(self) -> str | None:
        """Method and basis set, None where nothing says them."""
        inputs = self.input_data or Inputs()
        model = self.model or inputs.model or (inputs.specification.model if inputs.specification else None)
        return model.name if model else None

    @property
    def options(self) -> dict[str, Any]:
        """Keywords of the program."""
        inputs = self.input_data or Inputs()
        own = inputs.specification.keywords if inputs.specification else None
        return self.keywords or inputs.keywords or own or {}

    @model_validator(mode="after")
    def _has_an_energy(self) -> Calculation:
        if self.success is False:
            return self
        for energy in self._energies:
            _checked(self, "return_result", energy)
        if self._energies and abs(self._energies[0] - self._energies[-1]) > SAME_ENERGY:
            one, other = self._energies
            raise ValueError(f"`return_energy` and `return_result` must be one energy, got {one} and {other} hartree")
        return self


class Expansion(_Result):
    """The result of a many-body expansion: of version 1 ``component_…``, of version 2 ``cluster_…``."""

    component_properties: dict[str, Properties] | None = None
    cluster_properties: dict[str, Properties] | None = None
    component_results: dict[str, Calculation] | None = None
    cluster_results: dict[str, Calculation] | None = None

    @property
    def properties(self) -> dict[str, Properties]:
        """Of each sub-cluster by its label."""
        return (self.component_properties or {}) | (self.cluster_properties or {})

    @property
    def results(self) -> dict[str, Calculation]:
        """Of each sub-cluster by its label."""
        return (self.component_results or {}) | (self.cluster_results or {})

    @property
    def specification(self) -> Specification:
        """What was asked for."""
        return (self.input_data.specification if self.input_data else None) or Specification()


#: Keys by which an expansion is known.
COMPONENTS = ("component_properties", "cluster_properties", "component_results", "cluster_results")
