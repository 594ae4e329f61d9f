"""Energies that another program has computed: ``qcschema:results.json``, of QCManyBody, Psi4, QCEngine."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from bodyorder._checks import InputError, check_positive
from bodyorder.sources.protocol import check_counterpoise
from bodyorder.sources.qcschema.answers import read_answers
from bodyorder.sources.qcschema.source import AnswersSource
from bodyorder.sources.spin import check_rule

#: 1σ of an energy in eV if nothing is said: 10⁻⁶ hartree, what programs converge energies to unless they are told.
CONVERGED = 2.7e-5


def load(
    target: str,
    *,
    counterpoise: str | None = "none",
    model: str | None = None,
    spin: str | Callable[..., Any] | None = None,
    energy_error: float = CONVERGED,
) -> AnswersSource:
    """Make a source from a file of results.

    :param target: result of a many-body expansion (QCManyBody), or a list of results of single sub-clusters, in JSON
    :param counterpoise: whose functions sub-clusters were given: ``none``, ``full``, ``vmfc``, as far as the file holds them
    :param model: which of several model chemistries, by its label in an expansion, or as ``method/basis`` in a list of results
    :param spin: spin rule (:data:`~bodyorder.sources.spin.SPIN_RULES`) by which multiplicities are chosen, of several the lowest
        that the file holds; without one each sub-cluster has the multiplicity that the file holds it in
    :param energy_error: 1σ error of one energy in eV
    :raises InputError: if the file holds no results of QCSchema, contradicts itself, or holds several models and none is named
    """
    path = Path(target)
    if not path.is_file():
        raise InputError(f"a qcschema source must be an existing file, {target} is not")
    scheme = check_counterpoise(counterpoise)
    answers = read_answers(path, model)
    rule = None if spin is None else check_rule(spin)
    return AnswersSource(target, answers, scheme, check_positive("energy_error", energy_error), rule)
