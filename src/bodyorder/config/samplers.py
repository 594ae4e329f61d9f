"""Where clusters come from: samplers, each with its typed options. The documentation of the fields is the manual.

A sampler knows the ``elements`` of its clusters, draws them, all or ``one`` of them at little cost, and names all that they
depend on.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, Self

import ase
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PositiveFloat

from bodyorder._checks import InputError
from bodyorder.sources import load_source
from bodyorder.sources.ase.source_calculator import SourceCalculator
from bodyorder.structures import read_structures
from bodyorder.structures.dynamics import LangevinSettings, langevin
from bodyorder.structures.hydrogen import high_density, low_density


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


class Hydrogen(Options):
    """What all samplers have that make clusters, of hydrogen."""

    sampler: str
    n_atoms: Count = 8
    """Atoms in each cluster."""
    n_clusters: Count
    """Number of clusters."""

    #: Whether drawing all clusters takes no time to speak of.
    cheap: ClassVar[bool] = True

    @property
    def elements(self) -> set[int]:
        """Atomic numbers that occur in the clusters."""
        return {1}

    def one(self) -> Self:
        """The same sampler for one cluster, drawn as fast as it can be."""
        return self.model_copy(update={"n_clusters": 1})

    def depends_on(self) -> dict[str, Any]:
        """Everything that the clusters depend on but for the seed."""
        return self.model_dump(mode="json")


class LowDensity(Hydrogen):
    """H₂ molecules with thermal bond lengths and random orientations."""

    sampler: Literal["low-density"]
    separation: PositiveFloat = 3.0
    """Smallest distance between the centres of molecules, Å."""
    temperature: PositiveFloat = 300.0
    """Temperature of the bond vibration, K."""

    def draw(self, seed: int) -> list[ase.Atoms]:
        """All clusters."""
        options = {"temperature": self.temperature, "separation": self.separation}
        return low_density(self.n_atoms, self.n_clusters, seed, **options)


class HighDensity(Hydrogen):
    """Atoms placed at random in a sphere of given density."""

    sampler: Literal["high-density"]
    wigner_seitz_radius_bohr: PositiveFloat = 1.5
    """Radius of the sphere that one atom fills, bohr."""
    min_distance: PositiveFloat = 0.9
    """Smallest distance between atoms, Å."""

    def draw(self, seed: int) -> list[ase.Atoms]:
        """All clusters."""
        options = {
            "wigner_seitz_radius_bohr": self.wigner_seitz_radius_bohr,
            "min_distance": self.min_distance,
        }
        return high_density(self.n_atoms, self.n_clusters, seed, **options)


#: Samplers of independent clusters by the name that selects them.
_INDEPENDENT: dict[str, type[LowDensity | HighDensity]] = {"low-density": LowDensity, "high-density": HighDensity}


class Thermal(Hydrogen):
    """Thermal clusters from Langevin dynamics inside a soft sphere, one trajectory."""

    cheap: ClassVar[bool] = False

    sampler: Literal["langevin"]
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

    def one(self) -> Self:
        """The same sampler for one cluster after one step."""
        return self.model_copy(update={"n_clusters": 1, "equilibration": 1, "interval": 1})

    def depends_on(self) -> dict[str, Any]:
        """Everything that the clusters depend on but for the seed, the energies of the dynamics included."""
        return super().depends_on() | {"fingerprint": load_source(self.source).fingerprint}

    def draw(self, seed: int) -> list[ase.Atoms]:
        """All clusters.

        :raises InputError: if the source of the dynamics has no forces
        """
        source = load_source(self.source)
        if not source.capabilities.forces:
            raise InputError(f"dynamics need a source with forces, {source.name} gives energies only")
        (start,) = sample(self.start, self.n_atoms, 1, seed)
        settings = LangevinSettings(
            wall_radius=self.wall_radius,
            temperature=self.temperature,
            time_step=self.time_step,
            interval=self.interval,
            equilibration=self.equilibration,
        )
        return langevin(start, SourceCalculator(source), self.n_clusters, seed, settings)


class FromFile(Options):
    """Clusters of your own."""

    sampler: Literal["file"]
    path: str
    """A file of structures, of any usual format."""

    def depends_on(self) -> dict[str, Any]:
        """Everything that the clusters depend on, the content of the file included.

        :raises InputError: if it cannot be read
        """
        read_structures(self.path)  # refuses what cannot be read
        return self.model_dump(mode="json") | {"sha256": hashlib.sha256(Path(self.path).read_bytes()).hexdigest()}

    def draw(self, seed: int) -> list[ase.Atoms]:
        """All clusters, whatever the seed, without the energies that some carry."""
        clusters = read_structures(self.path)
        if any(atoms.calc for atoms in clusters):
            clusters = [ase.Atoms(numbers=atoms.numbers, positions=atoms.positions) for atoms in clusters]
        return clusters


#: Clusters that a group must have to be divided into training, validation and test.
FEWEST = 3

#: Samplers by the name that selects them.
SAMPLERS: dict[str, type[Options]] = {
    **_INDEPENDENT,
    "langevin": Thermal,
    "file": FromFile,
}

Sampler = Annotated[LowDensity | HighDensity | Thermal | FromFile, Field(discriminator="sampler")]


def sample(name: str, n_atoms: int, n_clusters: int, seed: int) -> list[ase.Atoms]:
    """Clusters of a sampler of independent clusters with its usual options.

    :param name: ``low-density`` or ``high-density``
    """
    options = {"sampler": name, "n_atoms": n_atoms, "n_clusters": n_clusters}
    # the samplers themselves check counts and seed, in words of their own
    return _INDEPENDENT[name].model_construct(None, **options).draw(seed)
