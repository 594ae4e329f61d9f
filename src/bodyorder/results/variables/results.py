"""What results of a decomposition, and plans of one, hold."""

from bodyorder.results.variables.variable import Variable

_PER_ORDER = ("structure", "order")

RESULTS = {
    "contribution": Variable(("structure", "order"), "eV", r"E^{(n)}", "n-body total"),
    "noise": Variable(
        ("structure", "order"),
        "eV",
        r"\sigma",
        "1σ of the contribution from the precision of the source or of sampling",
    ),
    "above_noise": Variable(("structure", "order"), "1", "", "whether the n-body total is more than twice its noise"),
    "asked_order": Variable(
        ("structure",), "1", "n", "largest order that was asked for, where joined results differ; orders above are NaN"
    ),
    "total": Variable(
        ("structure",),
        "eV",
        "E",
        "energy of the whole structure, evaluated directly; of a result by levels, that by all of them",
    ),
    "total_noise": Variable(
        ("structure",), "eV", r"\sigma(E)", "1σ of the total, of a result by levels: of all energies that it is made of"
    ),
    "residual": Variable(("structure",), "eV", r"E-\sum_n E^{(n)}", "total minus the sum of all contributions"),
    "n_bodies": Variable(("structure",), "1", "N", "number of bodies"),
    "n_evaluations": Variable(("structure",), "1", r"N_\mathrm{eval}", "sub-clusters really evaluated"),
    "failure": Variable(("structure",), "1", "", "why contributions are missing; empty if none are"),
    "force_contribution": Variable(("order", "site", "xyz"), "eV/Å", r"F^{(n)}", "n-body forces"),
    "hessian_contribution": Variable(
        ("order", "atoms", "xyz", "by_xyz"),
        "eV/Å²",
        r"H^{(n)}",
        "n-body second derivatives by the positions of two atoms",
    ),
    "hessian_total": Variable(
        ("atoms", "xyz", "by_xyz"), "eV/Å²", "H", "second derivatives of the energy of the whole structure"
    ),
    "atoms_structure": Variable(("atoms",), "1", "", "structure that two atoms belong to"),
    "atoms_first": Variable(("atoms",), "1", "a", "the first of two atoms, counted within its structure"),
    "atoms_second": Variable(("atoms",), "1", "b", "the second of two atoms, counted within its structure"),
    "total_force": Variable(
        ("site", "xyz"),
        "eV/Å",
        "F",
        "force on an atom of the whole structure, of a result by levels: that of its total",
    ),
    "atom_contribution": Variable(
        ("order", "site"),
        "eV",
        r"E_a^{(n)}",
        "share of an atom in order n, by the energies of atoms that the source gives",
    ),
    "member_contribution": Variable(
        ("structure", "order", "member"),
        "eV",
        r"E^{(n)}_m",
        "n-body total of a member: of an ensemble, a head or a part",
    ),
    "member_total": Variable(("structure", "member"), "eV", r"E_m", "energy of the whole structure by a member"),
    "ensemble_uncertainty": Variable(
        _PER_ORDER, "eV", r"s(E^{(n)}_m)", "1σ of the n-body total by an ensemble: standard deviation over its members"
    ),
    "total_uncertainty": Variable(
        ("structure",),
        "eV",
        r"s(E_m)",
        "1σ of the energy of the whole by an ensemble: standard deviation over its members",
    ),
    "stress_contribution": Variable(
        ("structure", "order", "voigt"), "eV/Å³", r"\sigma^{(n)}", "n-body stress of a periodic structure"
    ),
    "cell": Variable(("structure", "vector", "xyz"), "Å", "", "lattice vectors of a periodic structure"),
    "periodic": Variable(("structure", "vector"), "1", "", "whether a structure repeats along a lattice vector"),
    "site_structure": Variable(("site",), "1", "", "structure that an atom belongs to"),
    "site_number": Variable(("site",), "1", "Z", "atomic number of an atom"),
    "site_body": Variable(("site",), "1", "", "body that an atom belongs to, counted within its structure"),
    "site_position": Variable(("site", "xyz"), "Å", "r", "position of an atom"),
    "site_charge": Variable(("site",), "e", "q", "charge of an atom, as it was given; left out if all are zero"),
    "site_field_charge": Variable(
        ("site",), "e", r"q_\mathrm{f}", "point charge that stands for an atom in the field of sub-clusters without it"
    ),
    "site_moment": Variable(
        ("site",), "1", "m", "unpaired electrons of an atom, as they were given, up or down; left out if all are zero"
    ),
    "subset_members": Variable(("subset", "slot"), "1", "S", "body indices, −1 for an empty slot"),
    "subset_cells": Variable(("subset", "slot", "xyz"), "1", "R", "cell that each body of a subset is in"),
    "subset_structure": Variable(("subset",), "1", "", "structure that a subset belongs to"),
    "subset_order": Variable(("subset",), "1", "|S|", "number of bodies in a subset"),
    "subset_energy": Variable(("subset",), "eV", "E(S)", "energy of a subset alone in vacuum, or in a field"),
    "subset_contribution": Variable(("subset",), "eV", r"\varepsilon(S)", "contribution of a subset"),
    "subset_noise": Variable(
        ("subset",), "eV", r"\sigma(S)", "1σ of the energy of a subset, by the source and beyond its precision"
    ),
    "subset_multiplicity": Variable(("subset",), "1", "2S+1", "multiplicity of the state of a subset"),
    "subset_contamination": Variable(
        ("subset",), "1", r"\langle S^2\rangle-S(S+1)", "spin contamination of the state of a subset"
    ),
    "subset_gap": Variable(("subset",), "eV", r"\Delta", "energy of the next state of a subset above its own"),
    "subset_uncertainty": Variable(
        ("subset",), "eV", r"u(S)", "1σ of the energy of a subset beyond the precision of the source"
    ),
    "subset_discarded_weight": Variable(
        ("subset",), "1", "w", "weight of the states left out of the matrix product state of a subset"
    ),
    "subset_extrapolation": Variable(
        ("subset",), "eV", r"E_{w\to 0}-E(S)", "energy of a subset extrapolated to no discarded weight minus its energy"
    ),
    "n_failed": Variable(_PER_ORDER, "1", "", "sub-clusters whose energy failed"),
    "n_contaminated": Variable(_PER_ORDER, "1", "", "sub-clusters whose state is spin contaminated"),
    "n_degenerate": Variable(_PER_ORDER, "1", "", "sub-clusters whose state is nearly degenerate"),
    "n_uncertain": Variable(_PER_ORDER, "1", "", "sub-clusters whose energy is uncertain by itself"),
    "dissociated_distance": Variable(("pair",), "Å", "r", "distance of two atoms far apart"),
    "dissociated_energy": Variable(("pair",), "eV", r"E_{AB}(\infty)", "energy of two atoms far apart"),
    "dissociation_offset": Variable(
        ("pair",), "eV", r"E_{AB}(\infty)-E_A-E_B", "energy of two atoms far apart minus that of the two lone atoms"
    ),
    "dissociation_noise": Variable(
        ("pair",), "eV", r"\sigma", "1σ of that from the precision of energies and their change with distance"
    ),
    "dissociation_failure": Variable(("pair",), "1", "", "why the offset is not known; empty if it is"),
    # What a plan holds.
    "n_clusters": Variable(("order",), "1", r"N_\mathrm{sub}", "sub-clusters of an order"),
    "seconds_per_cluster": Variable(("order",), "s", "t", "time of one sub-cluster on this machine"),
    "measured": Variable(("order",), "1", "", "whether the time was measured; extrapolated otherwise"),
    "core_seconds": Variable(("order",), "s", r"N_\mathrm{sub}\,t", "time of all sub-clusters of an order"),
    "longest_seconds": Variable(("order",), "s", r"t_\mathrm{max}", "time of the longest sub-cluster of an order"),
    "megabytes": Variable(("order",), "MB", "M", "memory of one worker as the source estimates it"),
    "resident_megabytes": Variable(
        ("order",), "MB", r"M_\mathrm{seen}", "largest memory of this process in the timed sample"
    ),
    "expected_noise": Variable(("order",), "eV", r"\sigma", "expected 1σ of the contribution in the largest structure"),
}
