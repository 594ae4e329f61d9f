"""Density functionals as a problem names them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from pyscf.dft import libxc

from bodyorder._checks import InputError, check_between
from bodyorder.sources.pyscf.mean_field.functionals import check_functional, has_curvature

#: Level of PySCF's grids that energies are integrated on if not said otherwise.
GRID = 4
#: A share of exact exchange below this is none.
NO_SHARE = 1e-10


@dataclass(frozen=True)
class Functional:
    """What is minimised.

    :param name: as libxc knows it
    :param level: of the grid
    :param restricted: whether both spins share their orbitals
    """

    name: str
    level: int
    restricted: bool

    @classmethod
    def of(cls, options: dict[str, object], restricted: bool) -> Functional:
        """From the options ``xc`` and ``grid`` of a problem.

        :raises InputError: if ``xc`` is missing or unknown, or ``grid`` is no level
        """
        name = options.get("xc")
        if name is None:
            raise InputError("`xc` must name a density functional for rks and uks, such as xc=pbe, xc=pbe0 or xc=b3lyp")
        return cls(check_functional(name), check_between("grid", options.get("grid", GRID), 0, 9), restricted)

    @cached_property
    def kind(self) -> str:
        """What it depends on: ``LDA``, ``GGA`` or ``MGGA``; ``HF`` where it is exact exchange alone."""
        return str(libxc.xc_type(self.name))

    @cached_property
    def exchange(self) -> tuple[tuple[float, float], ...]:
        """Shares of exact exchange and the ω of each: 1/r for 0, erf(ωr)/r, or erfc(|ω|r)/r where it is negative."""
        omega, far, rest = libxc.rsh_coeff(self.name)
        if not omega:
            share = libxc.hybrid_coeff(self.name)
            return ((float(share), 0.0),) if abs(share) > NO_SHARE else ()
        near = far + rest
        parts = (
            ((near, 0.0), (far - near, float(omega))) if near and far else ((near, -float(omega)), (far, float(omega)))
        )
        return tuple((share, range_) for share, range_ in parts if abs(share) > NO_SHARE)

    @cached_property
    def nonlocal_correlation(self) -> bool:
        """Whether it has a part that two points share."""
        return bool(libxc.is_nlc(self.name))

    @cached_property
    def curved(self) -> bool:
        """Whether its second derivatives are known."""
        return has_curvature(self.name)
