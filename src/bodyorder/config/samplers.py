"""Where clusters come from: typed options of the samplers. The documentation of the fields is the manual."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PositiveFloat


def _whole_number(value: Any) -> Any:
    """Refuse what pydantic would quietly take for an integer."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise ValueError(f"must be a whole number, got {value!r}")
    return value


Count = Annotated[int, BeforeValidator(_whole_number), Field(ge=1)]
#: What metatrain and numpy both accept.
Seed = Annotated[int, BeforeValidator(_whole_number), Field(ge=0, lt=2**31)]


class Options(BaseModel):
    """Options that refuse what they do not know."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)


class LowDensity(Options):
    """H₂ molecules with thermal bond lengths and random orientations."""

    sampler: Literal["low-density"]
    n_atoms: Count = 8
    """Atoms in each cluster."""
    n_clusters: Count
    """Number of clusters."""
    separation: PositiveFloat = 3.0
    """Smallest distance between the centres of molecules, Å."""
    temperature: PositiveFloat = 300.0
    """Temperature of the bond vibration, K."""


class HighDensity(Options):
    """Atoms placed at random in a sphere of given density."""

    sampler: Literal["high-density"]
    n_atoms: Count = 8
    """Atoms in each cluster."""
    n_clusters: Count
    """Number of clusters."""
    wigner_seitz_radius_bohr: PositiveFloat = 1.5
    """Radius of the sphere that one atom fills, bohr."""
    min_distance: PositiveFloat = 0.9
    """Smallest distance between atoms, Å."""


class Thermal(Options):
    """Thermal clusters from Langevin dynamics inside a soft sphere, one trajectory."""

    sampler: Literal["langevin"]
    n_atoms: Count = 8
    """Atoms in each cluster."""
    n_clusters: Count
    """Number of clusters."""
    start: Literal["low-density", "high-density"]
    """Sampler of the cluster that the dynamics starts from."""
    source: str | dict[str, Any]
    """Energy source with forces that drives the dynamics."""
    wall_radius: PositiveFloat
    """Radius of the sphere, Å."""
    temperature: PositiveFloat = 300.0
    """Temperature, K."""
    time_step: PositiveFloat = 0.5
    """Time step, fs."""
    interval: Count = 100
    """Steps between clusters."""
    equilibration: Count = 1000
    """Steps before the first."""


class FromFile(Options):
    """Clusters of your own."""

    sampler: Literal["file"]
    path: str
    """A file that ASE reads."""


#: Clusters that a group must have to be divided into training, validation and test.
FEWEST = 3

#: Samplers by the name that selects them.
SAMPLERS: dict[str, type[Options]] = {
    "low-density": LowDensity,
    "high-density": HighDensity,
    "langevin": Thermal,
    "file": FromFile,
}

Sampler = Annotated[LowDensity | HighDensity | Thermal | FromFile, Field(discriminator="sampler")]
