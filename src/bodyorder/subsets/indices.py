r"""Interaction indices: what a subset of bodies contributes, by the environments in which one looks.

Adding the bodies of S one by one to an environment K of other bodies changes the energy by the contribution of S in K,

.. math:: \varepsilon(S | K) = \sum_{T \subseteq S} (-1)^{|S|-|T|} E(K \cup T), \qquad K \cap S = \emptyset,

whose mean over all environments of k bodies is ε(S | k). The indices of the largest order n that they are asked for are
averages of it over k = 0 … N−n, and they differ in which environments they count:

============== ============================================ ================================ ===========================
index          weight of environments of k bodies, |S| = n  terms of |S| < n                 Σ over all S, 1 ≤ |S| ≤ n
============== ============================================ ================================ ===========================
moebius        k = 0 only: vacuum                           the same                         E^{≤n} of the full cluster
shapley_taylor n/N · C(N−n, k)/C(N−1, k)                    moebius                          E of the full cluster
faith_shap     ∝ C(N−n, k) (N−k−1)! (n+k−1)!                best approximation               E of the full cluster
shapley        1/(N−n+1): every k counts the same           the same, |S| in place of n      –
banzhaf        C(N−n, k)/2^{N−n}: every K counts the same   the same, |S| in place of n      –
faith_banzhaf  as banzhaf                                   best approximation, a constant   –
============== ============================================ ================================ ===========================

Axioms. All are linear in E, treat bodies alike that E treats alike (symmetry), and give zero to every S that holds a body
whose contribution is the same in all environments, but for the body alone (dummy). *Efficiency*: the sum over all S is the
energy; shapley_taylor and faith_shap have it. *Faithfulness*: the terms are the best approximation of all E(S) of their order;
faith_shap has it (weights of the Shapley kernel, exact at the full cluster) and faith_banzhaf (all subsets equal, the empty
one too, with a constant). *Exactness*: if E has no contributions above order n, moebius, shapley_taylor, faith_shap and
faith_banzhaf of order n all give ε(S), and every index does for |S| = n. shapley_taylor leaves the lower terms what they are in
vacuum and puts all that remains into order n; the faithful indices change all of them. Best approximations with other weights,
such as all sizes equal, are linear, symmetric and exact too, but lack the dummy axiom: a body that interacts with no other
can receive terms with others.

G.-C. Rota, Z. Wahrscheinlichkeitstheorie 2, 340 (1964), doi:10.1007/BF00531932; M. Grabisch, M. Roubens, Int. J. Game Theory
28, 547 (1999), doi:10.1007/s001820050125 (shapley, banzhaf); M. Sundararajan, K. Dhamdhere, A. Agarwal, Proc. Mach. Learn. Res.
119, 9259 (2020) (shapley_taylor); C.-P. Tsai, C.-K. Yeh, P. Ravikumar, J. Mach. Learn. Res. 24(94), 1 (2023) (faithful
indices).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import comb

import numpy as np

from bodyorder._checks import check_between, check_choice
from bodyorder.subsets.approximation import SubsetFit
from bodyorder.subsets.family import complete
from bodyorder.subsets.harmonics import superset_sums
from bodyorder.subsets.moebius import contributions
from bodyorder.subsets.regression import size_weights


def context_contributions(energies: Sequence[np.ndarray], max_order: int | None = None) -> list[np.ndarray]:
    """Mean contribution ε(S | k) of every subset S to environments of k other bodies.

    ε(S | k) = Σ_i C(k, i)/C(N−s, i) Σ_{R⊇S, |R|=s+i} ε(R), with s = |S|: k = 0 is the contribution in vacuum, k = N − s that
    to all other bodies.

    :param energies: for k = 1 … N the energies of the k-subsets in colexicographic order, shape (C(N, k), …)
    :param max_order: largest s; N if not given
    :return: for s = 1 … max_order shape (N−s+1, C(N, s), …), the first axis is k
    :raises InputError: if ``max_order`` is not in 1 … N
    """
    n_bodies = len(energies)
    top = check_between("max_order", n_bodies if max_order is None else max_order, 1, n_bodies)
    trailing = energies[0].shape[1:]
    epsilons = contributions(complete(n_bodies), energies)
    layers = [values.reshape(len(values), -1) for values in epsilons]
    layers = [np.zeros((1, layers[0].shape[1])), *layers]
    found = []
    for size, sums in superset_sums(layers, n_bodies):
        if 1 <= size <= top:
            counts = range(n_bodies - size + 1)
            table = np.array([[comb(k, i) / comb(n_bodies - size, i) for i in counts] for k in counts])
            means = np.tensordot(table, sums, axes=1)
            found.append(means.reshape(*means.shape[:2], *trailing))
    return found[::-1]


def interactions(energies: Sequence[np.ndarray], index: str, order: int) -> list[np.ndarray]:
    """An interaction index of every subset of up to ``order`` bodies.

    :param energies: for k = 1 … N the energies of the k-subsets in colexicographic order, shape (C(N, k), …)
    :param index: ``moebius``, ``shapley_taylor``, ``faith_shap``, ``shapley``, ``banzhaf`` or ``faith_banzhaf``, see
        :mod:`bodyorder.subsets.indices`
    :param order: largest number of bodies of a subset
    :return: for s = 1 … order shape (C(N, s), …)
    :raises InputError: for an unknown index, or an order that is not in 1 … N
    """
    check_between("order", order, 1, len(energies))
    return _INDICES[check_choice("index", index, _INDICES)](energies, order)


def _moebius(energies: Sequence[np.ndarray], order: int) -> list[np.ndarray]:
    return contributions(complete(len(energies), order), energies[:order])


def _shapley_taylor(energies: Sequence[np.ndarray], order: int) -> list[np.ndarray]:
    n_bodies = len(energies)
    weights = [
        order / n_bodies * comb(n_bodies - order, k) / comb(n_bodies - 1, k) for k in range(n_bodies - order + 1)
    ]
    top = np.tensordot(weights, context_contributions(energies, order)[-1], axes=1)
    return [*_moebius(energies, order)[:-1], top]


def _shapley(energies: Sequence[np.ndarray], order: int) -> list[np.ndarray]:
    return [values.mean(axis=0) for values in context_contributions(energies, order)]


def _banzhaf(energies: Sequence[np.ndarray], order: int) -> list[np.ndarray]:
    found = []
    for values in context_contributions(energies, order):
        others = len(values) - 1
        found.append(np.tensordot([comb(others, k) / 2**others for k in range(others + 1)], values, axes=1))
    return found


def _faith_shap(energies: Sequence[np.ndarray], order: int) -> list[np.ndarray]:
    return SubsetFit(energies).terms(order, size_weights(len(energies), "shapley"))[1:]


def _faith_banzhaf(energies: Sequence[np.ndarray], order: int) -> list[np.ndarray]:
    return SubsetFit(energies).terms(order, np.ones(len(energies) + 1))[1:]


_INDICES: dict[str, Callable[[Sequence[np.ndarray], int], list[np.ndarray]]] = {
    "moebius": _moebius,
    "shapley_taylor": _shapley_taylor,
    "faith_shap": _faith_shap,
    "shapley": _shapley,
    "banzhaf": _banzhaf,
    "faith_banzhaf": _faith_banzhaf,
}

#: Names of the interaction indices.
INDICES = tuple(_INDICES)
