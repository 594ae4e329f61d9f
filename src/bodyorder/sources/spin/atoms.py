"""Ground states of free atoms."""

from __future__ import annotations

from bodyorder._checks import InputError

#: Multiplicity 2S + 1 of the ground state by number of electrons, from none to 103; NIST Atomic Spectra Database,
#: doi:10.18434/T4W30F. One row for each noble gas and what follows it.
_MULTIPLICITIES = (
    (1, 2),
    (1, 2, 1, 2, 3, 4, 3, 2),
    (1, 2, 1, 2, 3, 4, 3, 2),
    (1, 2, 1, 2, 3, 4, 7, 6, 5, 4, 3, 2, 1, 2, 3, 4, 3, 2),
    (1, 2, 1, 2, 3, 6, 7, 6, 5, 4, 1, 2, 1, 2, 3, 4, 3, 2),
    (1, 2, 1, 2, 1, 4, 5, 6, 7, 8, 9, 6, 5, 4, 3, 2, 1, 2, 3, 4, 5, 6, 5, 4, 3, 2, 1, 2, 3, 4, 3, 2),
    (1, 2, 1, 2, 3, 4, 5, 6, 7, 8, 9, 6, 5, 4, 3, 2, 1, 2),
)
_UNPAIRED = tuple(multiplicity - 1 for row in _MULTIPLICITIES for multiplicity in row)

#: The highest multiplicity 2S + 1 with the same open shells, whichever of their orbitals the electrons take: one electron of the
#: outer s shell may go into the d shell, up to two of the f shell into the d shell, and one of s² into an empty p or d shell.
#: Electrons in p shells are those of the ground state.
_LONG_ROW = (1, 2, 3, 4, 5, 6, 7, 6, 5, 4, 3, 2, 1, 2, 3, 4, 3, 2)
_F_ROW = (*_LONG_ROW[:3], *range(4, 12), *range(10, 4, -1), *_LONG_ROW[3:])
_MOST = tuple(
    multiplicity - 1
    for row in ((1, 2), *((1, 2, 3, 2, 3, 4, 3, 2),) * 2, *(_LONG_ROW,) * 2, *(_F_ROW,) * 2, (1,))
    for multiplicity in row
)


def unpaired_of_atom(n_electrons: int) -> int:
    """Unpaired electrons of the ground state of the neutral atom with that many electrons.

    :raises InputError: for more than 103, whose ground states are not measured
    """
    if n_electrons >= len(_UNPAIRED):
        raise InputError(
            f"the ground state of an atom must be known for this spin rule, that of {n_electrons} electrons is not; "
            "use spin=ground or a rule of your own"
        )
    return _UNPAIRED[n_electrons]


def most_unpaired_of_atom(n_electrons: int) -> int:
    """Unpaired electrons that the neutral atom with that many electrons can have without leaving its open shells.

    A mean field favours parallel spins: the lowest of tungsten is 5d⁵6s¹ with six unpaired electrons, the measured ground state
    5d⁴6s² has four.

    :raises InputError: for more than 118
    """
    if n_electrons >= len(_MOST):
        raise InputError(f"an atom must have at most {len(_MOST) - 1} electrons here, got {n_electrons}")
    return _MOST[n_electrons]
