"""Density functionals by name: which can be computed, and what to say of the others.

Names mean what they mean to PySCF: ``lda`` is exchange alone, the local density approximation with correlation is ``svwn`` or
``lda,vwn``; the local part of ``b3lyp`` is the fit of Vosko, Wilk and Nusair to the random-phase approximation, that of
``b3lyp5`` their fifth fit.
"""

from __future__ import annotations

import warnings

import numpy as np
from pyscf.dft import libxc
from pyscf.scf.dispersion import parse_dft

from bodyorder._checks import InputError, did_you_mean

#: Names that an unknown one is compared with.
USUAL = (
    "lda,vwn",
    "svwn",
    "pbe",
    "revpbe",
    "pbesol",
    "blyp",
    "bp86",
    "pw91",
    "olyp",
    "tpss",
    "revtpss",
    "scan",
    "rscan",
    "r2scan",
    "m06-l",
    "mn15-l",
    "b97m-v",
    "pbe0",
    "b3lyp",
    "b3lyp5",
    "x3lyp",
    "b3pw91",
    "bhandhlyp",
    "tpssh",
    "scan0",
    "r2scan0",
    "m06",
    "m06-2x",
    "mn15",
    "hse03",
    "hse06",
    "lc_blyp",
    "camb3lyp",
    "cam-b3lyp",
    "lc_wpbe",
    "wb97",
    "wb97x",
    "wb97x-v",
    "wb97m-v",
    "hf",
)


def check_functional(name: object) -> str:
    """Return the name of a density functional in lower case if PySCF computes it.

    :raises InputError: if it does not, or if the name asks for a dispersion correction; the message suggests the nearest of
        the usual names
    """
    text = str(name).lower().strip()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # advice on other conventions
            plain, _, dispersion = parse_dft(text)
    except NotImplementedError:
        plain, dispersion = text.rpartition("-d")[0] or text, "of its own"
    if dispersion:
        raise InputError(
            f"`xc` must be a functional without a dispersion correction, got {str(name)!r}; leave the correction out or use "
            "one with nonlocal correlation, such as wb97m-v"
        )
    try:
        if not text:
            raise KeyError(text)
        works = libxc.xc_type(plain) == "HF" or _evaluates(plain)
    except (KeyError, ValueError, IndexError):  # one or the other, by where its parser stumbles
        raise InputError(
            f"`xc` must be a density functional that libxc knows, such as pbe, pbe0 or b3lyp, got {str(name)!r}"
            f"{did_you_mean(text, USUAL)}"
        ) from None
    if not works:
        raise InputError(
            f"`xc` must be a density functional that PySCF computes, it does not {str(name)!r}; use another one"
        )
    return text


def has_curvature(name: str) -> bool:
    """Whether PySCF has second derivatives of a functional, which a check for stability needs."""
    return libxc.xc_type(name) == "HF" or _evaluates(name, 2)


def has_hessian(name: str) -> bool:
    """Whether second derivatives by the positions of nuclei are taken from PySCF.

    They leave out that the points of the grid move with the nuclei. By the oxygen of water in def2-SVP on PySCF's default grid
    that is 0.04 of 43 eV/Å² with pbe and 6.5 of 44 eV/Å² with r2scan.
    """
    return libxc.xc_type(name) in ("HF", "LDA", "GGA") and not libxc.is_nlc(name)


def _evaluates(name: str, order: int = 1) -> bool:
    density = np.zeros((2, 6, 1))
    density[:, 0], density[:, 1], density[:, 5] = 0.3, 0.1, 0.2
    density[1] *= 0.9
    kind = libxc.xc_type(name)
    inputs = {"LDA": density[:, 0], "GGA": density[:, :4]}.get(kind, density)
    try:
        values = libxc.eval_xc(name, inputs, spin=1, deriv=order)
    except NotImplementedError:
        return False
    return values[0] is not None and bool(np.isfinite(values[0]).all()) and values[order] is not None
