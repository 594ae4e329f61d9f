"""What gives reason to doubt the energy of a sub-cluster, and how that is called wherever it is said."""

#: By the variable that counts such sub-clusters, the gravest first.
DOUBTS = {
    "n_failed": "failed",
    "n_contaminated": "spin contaminated",
    "n_uncertain": "uncertain",
    "n_degenerate": "nearly degenerate",
}

#: The same by the variable that counts those that remain in doubt, without states of sub-clusters that have fallen apart.
DOUBTFUL = {f"n_doubtful_{name.removeprefix('n_')}": called for name, called in DOUBTS.items()}

#: Nearly degenerate states that are no reason to doubt: the variable that counts them, and how they are called.
DISSOCIATED = ("n_dissociated", "fallen apart into open-shell atoms or fragments")
