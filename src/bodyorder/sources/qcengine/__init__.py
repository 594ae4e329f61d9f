"""Energies of the programs that QCEngine runs: ``qcengine:psi4/mp2/cc-pvdz?spin=low``, ``qcengine:mopac/pm7?spin=low``.

QCEngine (doi:10.1063/5.0059356) writes the input of a program, runs it in a temporary folder of its own, and reads its output.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from bodyorder._checks import InputError, check_positive, did_you_mean, require
from bodyorder.sources.protocol import check_counterpoise
from bodyorder.sources.spin import CHOICES, check_rule

if TYPE_CHECKING:
    from bodyorder.sources.qcengine.source import HarnessSource

#: Programs whose energies know no spin.
SPINLESS = ("dftd3", "s-dftd3", "dftd4", "gcp", "mctc-gcp", "mp2d", "torchani", "mace", "aimnet2")


def load(
    target: str,
    *,
    spin: str | Callable[..., Any] | None = None,
    counterpoise: str | None = "none",
    energy_error: float | None = None,
    memory: float = 2000.0,
    **keywords: Any,
) -> HarnessSource:
    """Make a source from ``program/method`` or ``program/method/basis``.

    :param target: program by QCEngine's name, method and basis set by the program's
    :param spin: spin rule (:data:`~bodyorder.sources.spin.SPIN_RULES`), which programs without spin do not need
    :param counterpoise: whose functions a sub-cluster is given beside its own, for programs that know ghosts
    :param energy_error: 1σ error of one energy in eV; measured if not given
    :param memory: MB that one calculation may use
    :param keywords: of the program
    :raises InputError: if QCEngine or the program is not installed, or the program is not known
    """
    program, _, rest = target.partition("/")
    method, slash, basis = rest.partition("/")
    if not program or not method or (slash and not basis):
        raise InputError(
            f"a qcengine source must look like 'qcengine:psi4/mp2/cc-pvdz?spin=low' or 'qcengine:mopac/pm7?spin=low', got "
            f"'qcengine:{target}'"
        )
    require("qcengine", "qcengine")
    import qcengine

    known = sorted(qcengine.list_all_programs())
    if program not in known:
        raise InputError(
            f"the program of a qcengine source must be one that QCEngine knows, got {program!r}"
            f"{did_you_mean(program, known)}; programs: {', '.join(known)}"
        )
    if program not in qcengine.list_available_programs():
        raise InputError(
            f"{program} must be installed for qcengine:{target}, and QCEngine does not find it; install it"
        )
    if spin is None and program not in SPINLESS:
        raise InputError(f"`spin` must be given for qcengine:{target}, the spin rule decides the answer; {CHOICES}")
    scheme = check_counterpoise(counterpoise)
    from bodyorder.sources.qcengine.source import HarnessSource, Model

    model = Model(program, method, basis or None, keywords)
    error = None if energy_error is None else check_positive("energy_error", energy_error)
    return HarnessSource(
        model, None if spin is None else check_rule(spin), scheme, error, check_positive("memory", memory)
    )
