"""How the orbitals of a mean field follow the nuclei, for derivatives of what is correlated on top of it.

PySCF solves the equations with a fixed number of steps and does not say how far it came: close to where a solution breaks
its symmetry that left forces wrong by 1e-4 hartree/bohr. Here the same equations are solved until they hold.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np
from pyscf import lib
from pyscf.scf import ucphf
from scipy.sparse import linalg

#: Error that remains, relative to the right-hand side.
RESIDUAL = 1e-10
#: Steps for each unknown before giving up.
STEPS = 10.0


class NoResponse(Exception):
    """The equations could not be solved."""


@contextmanager
def solved_response() -> Iterator[None]:
    """Within it PySCF's gradients solve for the response of the orbitals as :func:`solve` does.

    :raises NoResponse: from :func:`solve`
    """
    with lib.temporary_env(ucphf, solve=solve):
        yield


def solve(
    induced: Callable[[np.ndarray], np.ndarray],
    energies: tuple[np.ndarray, np.ndarray],
    occupations: tuple[np.ndarray, np.ndarray],
    right: tuple[np.ndarray, np.ndarray],
    **_: object,
) -> tuple[tuple[np.ndarray, np.ndarray], None]:
    """Conjugate gradients for (ε_a − ε_i) x_ai + induced(x)_ai = −b_ai of both spins, named and returned as PySCF does.

    :raises NoResponse: if they do not converge, as where the mean field is not a minimum
    """
    gaps = [(e[o == 0][:, None] - e[o > 0]).ravel() for e, o in zip(energies, occupations, strict=True)]
    shapes = [(int(np.sum(o == 0)), int(np.sum(o > 0))) for o in occupations]
    differences = np.concatenate(gaps)
    target = -np.concatenate([part.ravel() for part in right])
    size = len(target)
    if not size or not target.any():
        found = np.zeros(size)
    else:
        found, failed = linalg.cg(
            linalg.LinearOperator(
                (size, size), lambda x: differences * x.ravel() + np.ravel(induced(x.reshape(1, -1))), dtype=np.float64
            ),
            target,
            rtol=RESIDUAL,
            maxiter=max(1, int(STEPS * size)),
            M=linalg.LinearOperator((size, size), lambda x: x.ravel() / differences, dtype=np.float64),
        )
        if failed:
            raise NoResponse(
                f"the response of the orbitals must converge to {RESIDUAL} for forces, and does not: the mean field is "
                "about to change its symmetry here; use forces=numerical"
            )
    first, second = found[: len(gaps[0])].reshape(shapes[0]), found[len(gaps[0]) :].reshape(shapes[1])
    return (first, second), None
