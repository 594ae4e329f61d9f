"""*Ab initio* energies through PySCF: ``pyscf:fci/sto-6g?spin=ground``, ``pyscf:uhf/6-31g?spin=low``.

Importing this package does not import PySCF; :func:`load` does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from bodyorder._checks import InputError, check_choice, check_positive, require

if TYPE_CHECKING:
    from bodyorder.sources.pyscf.source import PyscfSource

#: Methods and what they are.
METHODS = {"fci": "full configuration interaction", "uhf": "unrestricted Hartree–Fock"}

#: How the spin of every sub-cluster is chosen.
SPIN_RULES = {
    "low": "the lowest state with S = 0 or 1/2",
    "ground": "the lowest state of any spin",
    "high": "the lowest state in which the unpaired electrons of all atoms are parallel",
}


#: Whose basis functions a sub-cluster is given beside those of its own atoms.
COUNTERPOISE = {
    "none": "no others",
    "full": "those of all other atoms of its structure (Boys and Bernardi, doi:10.1080/00268977000101561)",
    "vmfc": "those of the subset whose contribution it enters (Valiron and Mayer, doi:10.1016/S0009-2614(97)00689-7)",
}


def load(
    target: str, *, spin: str | None = None, counterpoise: str | None = "none", memory: float = 2000.0
) -> PyscfSource:
    """Make a source from ``method/basis``.

    :param target: method (``fci`` or ``uhf``) and basis set by its usual name, such as ``fci/cc-pvdz``
    :param spin: spin rule, one of ``low``, ``ground``, ``high``. It decides what the expansion says, so it has no default.
    :param counterpoise: correction of the basis-set superposition error, one of ``none``, ``full``, ``vmfc``
    :param memory: what one process may use for wave functions and integrals, in MB; a sub-cluster that needs more is
        reported as failed
    :raises InputError: for an unknown method, basis or spin rule, or if PySCF is not installed
    """
    method, slash, basis = target.partition("/")
    if not slash or not method or not basis:
        raise InputError(f"a pyscf source must look like 'pyscf:method/basis?spin=ground', got 'pyscf:{target}'")
    check_choice("method", method, METHODS)
    if spin is None:
        rules = ", ".join(f"{rule} ({meaning})" for rule, meaning in SPIN_RULES.items())
        raise InputError(
            f"`spin` must be given for pyscf:{target}, the spin rule decides the answer; choose from {rules}"
        )
    check_choice("spin", spin, SPIN_RULES)
    scheme = str(counterpoise or "none").lower()  # specs read `none` as None
    check_choice("counterpoise", scheme, COUNTERPOISE)
    limit = check_positive("memory", memory)
    require("pyscf", "qc")
    from bodyorder.sources.pyscf.basis import check_basis
    from bodyorder.sources.pyscf.source import PyscfSource
    from bodyorder.sources.pyscf.task import Settings

    return PyscfSource(Settings(method, check_basis(basis), spin, scheme, limit))
