"""The accessor ``.mbe`` of results."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import ase
import numpy as np
import pandas as pd
import xarray as xr
from ase.calculators.singlepoint import SinglePointCalculator

from bodyorder._checks import InputError, did_you_mean
from bodyorder.accessor import frames
from bodyorder.accessor.plot import Plots
from bodyorder.accessor.summary import as_html, as_text
from bodyorder.analysis import Aligned, align, atom_shares, attributes, harmonic_frequencies, order_convergence
from bodyorder.analysis.alignment import has_groups, said_of_wholes
from bodyorder.analysis.convergence import TOLERANCE
from bodyorder.results.tree import GROUPS, check_sites, check_tree, select, some, structure_names

#: Families whose order totals add up to the energy if no order is missing.
_EXACT = {"complete", "connected"}


@xr.register_datatree_accessor("mbe")
class Expansion:
    """The many-body expansion that a result holds, as ``result.mbe``.

    Frames have short names in columns of eV (``frame.attrs["units"]`` has the others); datasets have the names of
    :data:`bodyorder.results.variables.VARIABLES`. What was made of several sources (:func:`bodyorder.combine`) has a row or a
    ``source`` dimension more for each of them.

    What is expensive is made once, when it is first asked for: pass ``result.mbe.aligned`` to analyses, which then share it.
    A tree that was selected, assigned, copied or read is a new one and has an accessor of its own. Variables that are replaced in
    a tree (``result["total"] = …``) are noticed. Values that are changed inside an array (``result["total"][0] = …``) are not:
    take ``result.copy().mbe`` then.

    :raises InputError: if the tree is not that of a result, or a group of one
    """

    def __init__(self, tree: xr.DataTree):
        # Errors must not be AttributeErrors, from which xarray makes others that do not say what is wrong.
        if tree.parent is not None and tree.name in GROUPS:
            raise InputError(
                f"`.mbe` must be asked of a whole result, got its group `{tree.name}`; leave the group out"
            )
        check_tree(tree, "a result with `.mbe`")
        check_sites(tree, "a result with `.mbe`")
        self._tree = tree
        self._aligned: Aligned | None = None
        self._made_of: list[Any] = []

    def __getstate__(self) -> dict[str, Any]:
        """Files and other processes get the tree alone, not what was made of it."""
        return {"_tree": self._tree, "_aligned": None, "_made_of": []}

    def __repr__(self) -> str:
        return as_text(self.aligned)

    def _repr_html_(self) -> str:
        return as_html(self.aligned)

    @property
    def aligned(self) -> Aligned:
        """The result ready for analyses, which all take it; energies of sub-clusters are laid out in it once.

        :raises InputError: if the tree was edited into something that is no result
        """
        contents = _contents(self._tree)
        if self._aligned is None or not _same(contents, self._made_of):
            self._aligned, self._made_of = align(self._tree), contents
        return self._aligned

    @property
    def plot(self) -> Plots:
        """Plots of the result: ``plot.orders()``, ``plot.truncation()``, ``plot.noise()``, ``plot.parity(reference)``."""
        return Plots(self._tree, self.aligned)

    def structure(self, names: str | Iterable[str]) -> xr.DataTree:
        """A structure with its atoms, sub-clusters and cell; or several, in the order in which they are named.

        :param names: a name, or several
        :return: the tree of a result
        :raises InputError: for a name that the result does not have
        """
        return select(self._tree, names)

    def atoms(self, name: str | None = None) -> ase.Atoms:
        """A structure as it was decomposed.

        :param name: of the structure; may be left out if there is one
        :return: numbers, positions (Å), and the charges, moments, cell and periodic directions that were given; ``info`` has name
            and group, the array ``body`` the body of each atom where bodies hold several. Of a free structure in a result of one
            source a calculator gives the energy, and where orders are complete the forces.
        :raises InputError: for a name that the result does not have
        """
        data = self.aligned.data
        index = self._index(name)
        rows = np.flatnonzero(data["site_structure"].values == index)
        atoms = ase.Atoms(
            numbers=data["site_number"].values[rows],
            positions=data["site_position"].transpose("site", "xyz").values[rows],
            info={"name": str(data["structure"].values[index])},
        )
        if has_groups(data) and (group := str(data["group"].values[index])):
            atoms.info["group"] = group
        if "site_charge" in data and (charges := data["site_charge"].values[rows]).any():
            atoms.set_initial_charges(charges)
        if "site_moment" in data and (moments := data["site_moment"].values[rows]).any():
            atoms.set_initial_magnetic_moments(moments)
        if (data["site_body"].values[rows] != np.arange(len(rows))).any():
            atoms.set_array("body", data["site_body"].values[rows].astype(np.int64))
        if frames.is_periodic(data)[index]:
            atoms.cell = data["cell"].transpose("structure", "vector", "xyz").values[index]
            # results of older layouts do not say where they repeat
            atoms.pbc = data["periodic"].values[index].astype(bool) if "periodic" in data else atoms.cell.any(axis=1)
        return self._with_energy(atoms, index, rows)

    def orders(self) -> pd.DataFrame:
        """Order totals: a row for each structure and order, for each source if there are several.

        :return: columns ``structure``, ``group`` (if structures have one), ``order``, ``contribution`` and ``noise`` (1σ) in eV,
            ``above_noise``, ``contribution_per_body``, ``noise_per_body``, ``truncation_error`` and ``truncation_noise`` in eV
            per body (:func:`bodyorder.analysis.order_convergence`), ``n_bodies``, the counts of sub-clusters that the result has
            (``n_failed`` …) and ``failure``: why numbers are missing, which are NaN then; without one they were not
            asked for. Orders above the bodies of a free structure have no row.
        """
        return frames.orders(self.aligned)

    def subsets(self, *, members: bool = True) -> pd.DataFrame:
        """Sub-clusters: a row for each, for each source if there are several.

        :param members: whether to name the bodies of each. Tuples take most of the memory and time: some 50 bytes and 8 for each
            body, where the other columns take 30 bytes a row and 8 for each thing more that is known; structures with the
            same sub-clusters share theirs.
        :return: columns ``structure``, ``order``, ``members`` (tuple of bodies), ``cells`` (of periodic structures: tuple of the
            cells that these are in), ``formula`` (Hill), ``energy``, ``contribution``, ``noise`` (1σ of the energy), all eV, and
            what else is known of each (``multiplicity``, ``contamination``, ``gap``, ``uncertainty`` …)
        :raises InputError: if the result holds no subsets
        """
        return frames.subsets(self.aligned, members)

    def members(self) -> pd.DataFrame:
        """Order totals of the members of a source, of an ensemble, of heads or of parts: a row for each structure and order.

        :return: columns ``structure``, ``order``, one for each member in eV, and for an ensemble ``uncertainty``, their standard
            deviation. Orders above the bodies of a free structure have no row.
        :raises InputError: if the result holds no members, or is of several sources, whose members are different ones
        """
        return frames.members(self.aligned)

    def truncation(self, tolerance: float = TOLERANCE) -> xr.Dataset:
        """What the orders up to each add up to, and what they miss of the energy.

        :param tolerance: in eV per body, below which an order suffices
        :return: ``truncation`` (eV), ``truncation_error`` and ``truncation_noise`` (eV per body) with dims (structure, order),
            NaN for orders above the bodies of a free structure, and ``effective_body_order`` with dim structure
            (:func:`bodyorder.analysis.order_convergence`)
        :raises InputError: if the tolerance is not positive
        """
        names = ["truncation", "truncation_error", "truncation_noise", "effective_body_order"]
        found = order_convergence(self.aligned, tolerance)[names]
        present = xr.DataArray(frames.present(self.aligned.data), dims=("structure", "order"))
        for name in names[:-1]:
            found[name] = found[name].where(present).assign_attrs(found[name].attrs)
        return found

    def frequencies(self, masses: Mapping[str, float] | None = None) -> xr.Dataset:
        """Harmonic frequencies by the orders up to each and by the whole (:func:`bodyorder.analysis.harmonic_frequencies`).

        :param masses: in u by chemical symbol, where they are not the standard ones
        :return: ``frequency`` (structure, order, mode), ``frequency_total`` (structure, mode) and ``frequency_error``
            (structure, order) in cm⁻¹
        :raises InputError: if the result holds no Hessians
        """
        return harmonic_frequencies(self.aligned, masses)

    def shares(self) -> xr.Dataset:
        """Share of every atom in every order (:func:`bodyorder.analysis.atom_shares`).

        :return: ``atom_share`` in eV with dims (order, site), and the ``site_`` variables of the result
        :raises InputError: if the result holds no subsets, or only a sample of them
        """
        return atom_shares(self.aligned)

    def whole(self, name: str | None = None) -> xr.Dataset:
        """The energy of a whole structure, and what else is known of it.

        :param name: of the structure; may be left out if there is one
        :return: ``total``, ``residual`` (eV), ``n_bodies``, ``n_evaluations``, ``failure``; where the result holds the set of all
            bodies as a sub-cluster its ``subset_contribution``, ``subset_noise`` (eV), ``subset_multiplicity`` and all others.
            Where the energy was not asked for it is NaN, and the attribute ``whole`` says so.
        :raises InputError: for a name that the result does not have
        """
        data, index = self.aligned.data, self._index(name)
        names = [key for key, array in data.data_vars.items() if set(array.dims) - {"source"} == {"structure"}]
        found = data[names].isel(structure=index)
        found = found.drop_vars([key for key in found.coords if key not in ("source", "structure", "group")])
        if "subset_order" in data and not frames.is_periodic(data)[index]:
            here = (data["subset_structure"].values == index) & (
                data["subset_order"].values == int(data["n_bodies"].values[index])
            )
            for row in np.flatnonzero(here)[:1]:
                known = [key for key, array in data.data_vars.items() if set(array.dims) - {"source"} == {"subset"}]
                own = [key for key in known if key not in ("subset_structure", "subset_order", "subset_energy")]
                found = found.assign({key: data[key].isel(subset=row) for key in own})
        found.attrs = said_of_wholes(data.isel(structure=[index]))
        return self.aligned.of_one(found)

    def _index(self, name: str | None) -> int:
        """Place of a structure."""
        names = structure_names(self.aligned.data)
        if name is None:
            if len(names) != 1:
                raise InputError(f"a structure must be named where there are several, these are {some(names)}")
            return 0
        if name not in names:
            raise InputError(f"a structure must be one of the result's, got {name!r}{did_you_mean(name, names)}")
        return names.index(name)

    def _with_energy(self, atoms: ase.Atoms, index: int, rows: np.ndarray) -> ase.Atoms:
        """A free structure with its energy, and its forces where they are known."""
        aligned = self.aligned
        data = aligned.data
        if not aligned.is_single or frames.is_periodic(data)[index]:
            return atoms
        known = {"energy": float(data["total"].values[0, index])}
        (own,) = attributes(data).values()
        families = set(str(own.get("family", "")).split(", "))
        enough = int(data["order"].values.max()) >= int(data["n_bodies"].values[index])
        if "force_contribution" in data and enough and families <= _EXACT:
            forces = data["force_contribution"].isel(source=0, site=rows).transpose("order", "site", "xyz")
            known["forces"] = forces.values.sum(axis=0)
        known = {name: value for name, value in known.items() if np.isfinite(value).all()}
        if known:
            atoms.calc = SinglePointCalculator(atoms, **known)
        return atoms


def _contents(tree: xr.DataTree) -> list[Any]:
    """What a tree holds: its variables themselves, which are replaced when something is assigned, and its attributes in words."""
    parts = [tree, *(tree.children[name] for name in GROUPS if name in tree.children)]
    variables = [(part.path, name, variable) for part in parts for name, variable in part.variables.items()]
    return [*variables, str(tree.attrs)]


def _same(first: list[Any], second: list[Any]) -> bool:
    if len(first) != len(second) or first[-1] != second[-1]:
        return False
    pairs = zip(first[:-1], second[:-1], strict=True)
    return all(ours[:2] == theirs[:2] and ours[2] is theirs[2] for ours, theirs in pairs)
