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
