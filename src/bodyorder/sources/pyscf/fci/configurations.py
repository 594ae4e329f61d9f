"""Spin-adapted configurations: the many-electron space of one total spin, and how orbital replacements act in it.

Nothing here knows a molecule: a table depends on the numbers of orbitals and electrons and on the spin alone, so it is built once
and serves every sub-cluster of that composition.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import scipy.sparse as sp
from pyscf.fci import cistring

#: Elements of a table below this are zero.
ROUNDING = 1e-14
#: Elements of the block matrix that one product of them takes.
TOGETHER = 1_000_000


def dimension(n_orbitals: int, n_electrons: int, unpaired: int) -> int:
    """Number of configurations of spin S = ``unpaired``/2 (Weyl's formula); 0 if that spin is impossible."""
    paired, odd = divmod(n_electrons - unpaired, 2)
    if odd or paired < 0 or unpaired < 0 or paired + unpaired > n_orbitals:
        return 0
    return (
        (unpaired + 1)
        * math.comb(n_orbitals + 1, paired)
        * math.comb(n_orbitals + 1, paired + unpaired + 1)
        // (n_orbitals + 1)
    )


@dataclass(frozen=True)
class SpinTable:
    """The replacements F_pq = Ê_pq + Ê_qp (p > q) and F_pp = Ê_pp, Ê_pq = Σ_σ a†_pσ a_qσ, between configurations of one spin.

    Pairs of orbitals are numbered p(p+1)/2 + q, p ≥ q. Every F is a symmetric matrix.

    :param size: number of configurations d
    :param replace: all F below one another, shape (pairs·d, d)
    :param collect: all F side by side, shape (d, pairs·d)
    :param occupations: ⟨I|F_pp|I⟩, shape (d, n_orbitals)
    :param exchanges: Σ_J ⟨I|F_pq|J⟩² for p > q and zero for p = q, shape (d, pairs)
    """

    size: int
    replace: sp.csr_array
    collect: sp.csr_array
    occupations: np.ndarray
    exchanges: np.ndarray


@lru_cache(maxsize=64)
def spin_table(n_orbitals: int, n_electrons: int, unpaired: int) -> SpinTable:
    """Build the table of the spin S = ``unpaired``/2.

    The configurations are products of doubly occupied orbitals and the genealogical spin functions of the singly
    occupied ones (Pauncz, *Spin Eigenfunctions*, 1979), written in determinants with Sz = S.

    :raises ValueError: if no configuration has this spin
    """
    if not dimension(n_orbitals, n_electrons, unpaired):
        raise ValueError(f"{n_electrons} electrons in {n_orbitals} orbitals cannot have {unpaired} unpaired")
    states = _configurations(n_orbitals, n_electrons, unpaired)
    determinants = _determinant_replacements(n_orbitals, n_electrons, unpaired)
    size, pairs = states.shape[1], n_orbitals * (n_orbitals + 1) // 2
    replace = _products(states.T.tocsr(), determinants @ states)
    replace.data[np.abs(replace.data) < ROUNDING] = 0.0
    replace.eliminate_zeros()
    pair, row = np.divmod(np.repeat(np.arange(pairs * size), np.diff(replace.indptr)), size)
    on_diagonal = np.array([p * (p + 3) // 2 for p in range(n_orbitals)])
    squares = np.bincount(row * pairs + pair, replace.data**2, size * pairs).reshape(size, pairs)
    occupations = np.sqrt(squares[:, on_diagonal])  # F_pp is diagonal
    squares[:, on_diagonal] = 0.0
    return SpinTable(size, replace, replace.T.tocsr(), occupations, squares)


def _products(across: sp.csr_array, blocks: sp.csr_array) -> sp.csr_array:
    """Every block of ``across.shape[1]`` rows multiplied by the same matrix, several at a time."""
    count = across.shape[1]
    total = blocks.shape[0] // count
    step = max(1, TOGETHER // max(across.nnz, 1))
    parts = []
    for first in range(0, total, step):
        times = min(step, total - first)
        block = np.arange(times, dtype=across.indices.dtype)[:, None]
        starts = (across.indptr[:-1] + block * across.nnz).ravel()
        repeated = sp.csr_array(
            (
                np.tile(across.data, times),
                (across.indices + block * count).ravel(),
                np.append(starts, starts.dtype.type(times * across.nnz)),
            ),
            shape=(times * across.shape[0], times * count),
        )
        parts.append(repeated @ blocks[first * count : (first + times) * count])
    return parts[0] if len(parts) == 1 else sp.vstack(parts, format="csr")


def _determinant_replacements(n_orbitals: int, n_electrons: int, unpaired: int) -> sp.csr_array:
    """All F below one another between determinants (α string major), shape (pairs·determinants, determinants)."""
    n_alpha, n_beta = (n_electrons + unpaired) // 2, (n_electrons - unpaired) // 2
    alpha, beta = (_string_links(n_orbitals, count) for count in (n_alpha, n_beta))
    n_a, n_b = math.comb(n_orbitals, n_alpha), math.comb(n_orbitals, n_beta)
    total = n_a * n_b
    pair_a, source_a, target_a, sign_a = (array[:, None] for array in alpha)
    pair_b, source_b, target_b, sign_b = (array[:, None] for array in beta)
    every_a, every_b = np.arange(n_a)[None, :], np.arange(n_b)[None, :]
    rows = np.concatenate(
        [(pair_a * total + target_a * n_b + every_b).ravel(), (pair_b * total + every_a * n_b + target_b).ravel()]
    )
    columns = np.concatenate([(source_a * n_b + every_b).ravel(), (every_a * n_b + source_b).ravel()])
    values = np.concatenate([np.repeat(sign_a, n_b), np.repeat(sign_b, n_a)])
    pairs = n_orbitals * (n_orbitals + 1) // 2
    return sp.csr_array((values, (rows, columns)), shape=(pairs * total, total))


def _string_links(n_orbitals: int, n_electrons: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Pair, source, target and sign of every replacement in strings of one spin."""
    if n_electrons == 0:
        return (np.zeros(0, dtype=np.int64),) * 3 + (np.zeros(0),)
    links = cistring.gen_linkstr_index(range(n_orbitals), n_electrons).astype(np.int64)
    source = np.repeat(np.arange(links.shape[0]), links.shape[1])
    create, destroy, target, sign = links.reshape(-1, 4).T
    high, low = np.maximum(create, destroy), np.minimum(create, destroy)
    return high * (high + 1) // 2 + low, source, target, sign.astype(np.float64)


def _configurations(n_orbitals: int, n_electrons: int, unpaired: int) -> sp.csr_array:
    """Orthonormal configurations as columns over determinants (α string major) with Sz = S."""
    n_alpha, n_beta = (n_electrons + unpaired) // 2, (n_electrons - unpaired) // 2
    n_strings = math.comb(n_orbitals, n_beta)
    rows, columns, values = [], [], []
    count = 0
    for n_open in range(unpaired, min(n_electrons, 2 * n_orbitals - n_electrons) + 1, 2):
        opened, closed = choices(n_orbitals, n_open, (n_electrons - n_open) // 2)
        up, coefficients = spin_functions(n_open, unpaired)
        n_shapes, n_patterns, n_functions = len(opened), *coefficients.shape
        alpha = np.zeros((n_shapes, n_patterns, n_orbitals), dtype=bool)
        beta = np.zeros_like(alpha)
        shape = np.arange(n_shapes)[:, None, None]
        pattern = np.arange(n_patterns)[None, :, None]
        alpha[shape, pattern, opened[:, None, :]] = up[None]
        beta[shape, pattern, opened[:, None, :]] = ~up[None]
        alpha[shape, pattern, closed[:, None, :]] = True
        beta[shape, pattern, closed[:, None, :]] = True
        # from electrons in the order of the orbitals to all α before all β: one sign for each α behind a β
        behind = alpha[..., ::-1].cumsum(axis=-1)[..., ::-1] - alpha
        sign = 1.0 - 2.0 * ((behind * beta).sum(axis=-1) % 2)
        address = _string_number(alpha) * n_strings + _string_number(beta)
        value = sign[:, :, None] * coefficients[None]
        column = count + np.arange(n_shapes)[:, None, None] * n_functions + np.arange(n_functions)[None, None, :]
        rows.append(np.broadcast_to(address[:, :, None], value.shape).ravel())
        columns.append(np.broadcast_to(column, value.shape).ravel())
        values.append(value.ravel())
        count += n_shapes * n_functions
    value = np.concatenate(values)
    kept = value != 0.0
    places = np.concatenate(rows)[kept], np.concatenate(columns)[kept]
    return sp.csr_array((value[kept], places), shape=(math.comb(n_orbitals, n_alpha) * n_strings, count))


def _string_number(occupied: np.ndarray) -> np.ndarray:
    """Place of each string in PySCF's order: the i-th electron, in orbital p, counts binomial(p, i). Last axis: orbitals."""
    n_orbitals = occupied.shape[-1]
    most = int(occupied.sum(axis=-1).max())
    table = np.array([[math.comb(p, i) for i in range(most + 1)] for p in range(n_orbitals)])
    return (table[np.arange(n_orbitals), occupied.cumsum(axis=-1)] * occupied).sum(axis=-1)


@lru_cache(maxsize=64)
def choices(n_orbitals: int, n_open: int, n_closed: int) -> tuple[np.ndarray, np.ndarray]:
    """Every choice of singly and of doubly occupied orbitals, shapes (choices, n_open) and (choices, n_closed)."""
    opened, closed = [], []
    for single in itertools.combinations(range(n_orbitals), n_open):
        rest = [orbital for orbital in range(n_orbitals) if orbital not in single]
        for double in itertools.combinations(rest, n_closed):
            opened.append(single)
            closed.append(double)
    return (
        np.array(opened, dtype=np.int64).reshape(len(opened), n_open),
        np.array(closed, dtype=np.int64).reshape(len(closed), n_closed),
    )


@lru_cache(maxsize=64)
def spin_functions(n_open: int, unpaired: int) -> tuple[np.ndarray, np.ndarray]:
    """Spin functions of ``n_open`` electrons with S = Sz = ``unpaired``/2 that couple one electron after the other.

    :return: which electrons are up in each pattern, shape (patterns, n_open), and the coefficients, products of
        Clebsch–Gordan coefficients, shape (patterns, functions)
    """
    chosen = list(itertools.combinations(range(n_open), (n_open + unpaired) // 2))
    up = np.zeros((len(chosen), n_open), dtype=bool)
    for row, electrons in enumerate(chosen):
        up[row, list(electrons)] = True
    functions = {0: np.ones((len(chosen), 1))}  # by twice the spin coupled so far
    projection = np.zeros(len(chosen))
    for electron in range(n_open):
        raised = up[:, electron]
        projection = projection + np.where(raised, 0.5, -0.5)
        coupled: dict[int, list[np.ndarray]] = {}
        for twice, columns in functions.items():
            spin = twice / 2
            along = np.clip((spin + np.where(raised, projection, -projection) + 0.5) / (twice + 1), 0.0, None)
            against = np.clip((spin - np.where(raised, projection, -projection) + 0.5) / (twice + 1), 0.0, None)
            coupled.setdefault(twice + 1, []).append(columns * np.sqrt(along)[:, None])
            if twice:
                signed = np.where(raised, -1.0, 1.0) * np.sqrt(against)
                coupled.setdefault(twice - 1, []).append(columns * signed[:, None])
        functions = {twice: np.concatenate(parts, axis=1) for twice, parts in coupled.items()}
    return up, functions[unpaired]
