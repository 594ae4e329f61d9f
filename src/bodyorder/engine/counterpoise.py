"""Whose basis functions every sub-cluster is given, and what its energy then counts for.

Without counterpoise a sub-cluster has the functions of its own atoms. In the ``full`` scheme (Boys and Bernardi, Mol. Phys.
19, 553 (1970), doi:10.1080/00268977000101561) it has those of all atoms of its structure. In the scheme of Valiron and Mayer
(Chem. Phys. Lett. 275, 46 (1997), doi:10.1016/S0009-2614(97)00689-7) the contribution of a subset S is taken in the functions
of S: ε(S) = Σ_{T⊆S} (−1)^{|S|−|T|} E_S(T), with E_S(T) the energy of T in the functions of S.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

#: The schemes.
NONE, FULL, VMFC = "none", "full", "vmfc"


def parts(scheme: str, subsets: np.ndarray, n_bodies: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """What has to be evaluated for some subsets: bodies that are there, and bodies that lend their functions.

    :param scheme: counterpoise scheme
    :param subsets: body indices, shape (n, order)
    :param n_bodies: in the structure
    :return: pairs of arrays of shapes (n, present) and (n, lent), present + lent ≤ n_bodies
    """
    n, order = subsets.shape
    if scheme == VMFC:
        # every non-empty selection of the bodies of S, the whole of it first
        for selection in range((1 << order) - 1, 0, -1):
            chosen = np.array([bool(selection >> slot & 1) for slot in range(order)])
            yield subsets[:, chosen], subsets[:, ~chosen]
        return
    lent = np.empty((n, 0), dtype=np.int64)
    if scheme == FULL and order < n_bodies:
        others = np.ones((n, n_bodies), dtype=bool)
        np.put_along_axis(others, subsets, False, axis=1)
        lent = np.nonzero(others)[1].reshape(n, n_bodies - order)
    yield subsets, lent


def evaluations_per_subset(scheme: str, order: int) -> int:
    """How many energies the contribution of one subset asks for beside those of its own subsets."""
    return 2**order - 1 if scheme == VMFC else 1
