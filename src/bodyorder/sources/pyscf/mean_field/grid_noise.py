"""How far energies of density functionals scatter as a molecule turns on its grid, measured by ``benchmarks/grid_noise.py``."""

from __future__ import annotations

from pyscf.dft import libxc

#: Standard deviation in eV by kind of functional and level of PySCF's grids, from 0: the largest of those of water, ammonia,
#: methanol, OH and HCl in def2-svp.
NOISE = {
    "LDA": (4.7e-3, 3.5e-4, 2.7e-5, 2.3e-5, 1.7e-6, 4.4e-7, 1.4e-7),
    "GGA": (5.0e-3, 3.4e-4, 2.6e-5, 1.9e-5, 5.5e-6, 3.2e-6, 5.9e-6),
    "B97": (5.0e-3, 1.2e-3, 1.6e-4, 1.6e-4, 2.4e-5, 1.0e-5, 6.8e-6),
    "MGGA": (5.0e-3, 4.6e-4, 9.0e-5, 4.9e-5, 1.6e-5, 2.9e-5, 1.5e-5),
    "hard": (1.4e-2, 2.4e-3, 9.5e-4, 9.0e-4, 2.5e-4, 2.0e-4, 2.6e-4),
}
#: Functionals of the kinetic energy density that are as mild as others; SCAN and those with many parameters are not.
_MILD = ("r2scan", "rscan", "tpss", "revtpss")
#: Functionals of density and gradient with many parameters, measured on ωB97X.
_B97 = ("wb97", "b97", "hcth", "sogga11", "n12", "gam")


def grid_noise(functional: str, level: int) -> float:
    """Standard deviation in eV of one energy; levels beyond the measured ones have that of the last.

    :param functional: as PySCF names it
    :param level: of the grid
    """
    kind = str(libxc.xc_type(functional))
    if kind not in ("LDA", "GGA", "MGGA"):  # nothing is integrated on a grid
        return 0.0
    plain = functional.replace("-", "").replace("_", "")
    if kind == "GGA" and plain.startswith(_B97):
        kind = "B97"
    if kind == "MGGA" and not plain.startswith(_MILD):
        kind = "hard"
    return NOISE[kind][min(level, len(NOISE[kind]) - 1)]
