"""Where energies come from. Importing this imports no backend.

- ``protocol``: what a source is: :class:`EnergySource`, its :class:`Capabilities`, what it answers
- ``registry``, ``spec``, ``adapter``: how a name, a mapping, a calculator or an object becomes a source
- ``ase``: calculators of ASE; ``networks``: what models in memory have in common; ``mace``, ``metatomic``, ``pyscf``,
  ``analytic``: one program each
- ``spacing``, ``rounding``, ``cutoff``: sub-clusters set apart in space, and whether that leaves their energies as they are
- ``one_body``, ``dissociation``: whose energy a lone atom has, and what it misses of two far apart
- ``pairs``, ``portions``: neighbours, and how much of a batch goes into one call
"""

from bodyorder.sources.protocol import Capabilities, EnergySource, Evaluation, FailedClusters, Precision
from bodyorder.sources.registry import load_source

__all__ = ["Capabilities", "EnergySource", "Evaluation", "FailedClusters", "Precision", "load_source"]
