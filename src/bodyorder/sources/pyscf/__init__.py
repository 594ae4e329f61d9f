"""*Ab initio* energies through PySCF: ``pyscf:fci/sto-6g?spin=ground``, ``pyscf:uhf/6-31g?spin=low``.

Importing this package does not import PySCF; :func:`load` does.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from bodyorder._checks import InputError, check_choice, check_positive, require
from bodyorder.sources.protocol import check_counterpoise
from bodyorder.sources.pyscf.dispersion import check_dispersion
from bodyorder.sources.pyscf.methods import TABLE
from bodyorder.sources.pyscf.options import check_names, check_values
from bodyorder.sources.spin import CHOICES, check_rule

if TYPE_CHECKING:
    from bodyorder.sources.pyscf.source import PyscfSource

#: Methods and what they are.
METHODS = {
    "fci": "full configuration interaction",
    "dmrg": "the density-matrix renormalisation group, for spaces too large for full configuration interaction",
    "uhf": "unrestricted Hartree–Fock",
    "rhf": "restricted Hartree–Fock of closed shells; not additive for parts far from each other",
    "rohf": "restricted Hartree–Fock of open shells with parallel spins; not additive for parts far from each other",
    "uks": "spin-polarised Kohn–Sham density functional theory, functional xc=…",
    "rks": "Kohn–Sham theory with the same orbitals for both spins; not additive for parts far from each other",
    "mp2": "second-order Møller–Plesset perturbation theory on unrestricted Hartree–Fock",
    "ccsd": "coupled clusters with single and double excitations on unrestricted Hartree–Fock",
    "ccsd(t)": "the same with perturbative triples",
}


def load(
    target: str,
    *,
    spin: str | Callable[..., Any] | None = None,
    counterpoise: str | None = "none",
    memory: float = 2000.0,
    basis: Mapping[str, str] | str | None = None,
    ecp: Mapping[str, str] | str | None = None,
    **options: Any,
) -> PyscfSource:
    """Make a source from ``method/basis``.

    :param target: method, one of :data:`METHODS`, and basis set by its usual name, such as ``fci/cc-pvdz``, or by the path of a
        file in the format of NWChem or Gaussian, such as ``fci/./mine.gbs``
    :param spin: spin rule, one of :data:`~bodyorder.sources.spin.SPIN_RULES`; or ``module:function``, or the function itself,
        for a rule of your own (:class:`~bodyorder.sources.spin.function.FunctionRule`). It decides what the expansion says,
        so it has no default.
    :param counterpoise: correction of the basis-set superposition error, one of
        :data:`bodyorder.sources.protocol.COUNTERPOISE`
    :param memory: what one process may use for wave functions and integrals, in MB; a sub-cluster that needs more is
        reported as failed
    :param basis: basis sets, by name or file, of elements that have another one, ``{"H": "sto-3g"}`` or ``H:sto-3g,O:./o.gbs``
    :param ecp: effective core potentials, by name or file, of elements whose functions bring none along, likewise
    :param options: of the method, those of :data:`bodyorder.sources.pyscf.options.OPTIONS` that
        :data:`bodyorder.sources.pyscf.methods.TABLE` gives it
    :raises InputError: for an unknown method, basis, spin rule or option, or if PySCF is not installed
    """
    method, slash, main = target.partition("/")
    if not slash or not method or not main:
        raise InputError(f"a pyscf source must look like 'pyscf:method/basis?spin=ground', got 'pyscf:{target}'")
    check_choice("method", method, METHODS)
    takes = TABLE[method].takes
    check_names(f"pyscf:{target}", takes, options)
    if spin is None:
        raise InputError(f"`spin` must be given for pyscf:{target}, the spin rule decides the answer; {CHOICES}")
    rule = check_rule(spin)
    scheme = check_counterpoise(counterpoise)
    limit = check_positive("memory", memory)
    for program in TABLE[method].programs:
        require(program, "qc")
    from bodyorder.sources.pyscf.basis import read_basis
    from bodyorder.sources.pyscf.problem import Settings
    from bodyorder.sources.pyscf.source import PyscfSource

    values = check_values(f"pyscf:{target}", takes, options)
    if (kind := str(values.get("dispersion", "none"))) != "none":
        check_dispersion(kind, str(values.get("xc", "hf")))
    settings = Settings(method, read_basis(main, basis, ecp), rule, scheme, limit, values, tuple(options))
    return PyscfSource(settings)
