"""Machine-learning potentials in the metatomic format: ``metatomic:model.pt?device=cuda&extensions=extensions``.

Importing this package does not import torch; :func:`load` does.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from bodyorder._checks import check_choice, check_switch, require
from bodyorder.sources.metatomic.archive import Settings, extensions_folder, read_extensions
from bodyorder.sources.networks.settings import model_file
from bodyorder.sources.protocol import FORCES
from bodyorder.sources.spin import check_rule

if TYPE_CHECKING:
    from bodyorder.sources.metatomic.source import MetatomicSource

#: Number types that a model can be evaluated in against its own.
DTYPES = ("float64",)


def load(  # noqa: PLR0913 - the options of a spec, each with a default
    target: str,
    *,
    device: str = "cpu",
    extensions: str | None = None,
    dtype: str | None = None,
    variant: str | None = None,
    charged: bool = False,
    forces: str = "gradient",
    spin: str | Callable[..., Any] | None = None,
    trust: bool = False,
    members: str | None = None,
) -> MetatomicSource:
    """Make a source from an exported model.

    :param target: path of the model, as ``mtt train`` or ``mtt export`` writes it
    :param device: ``cpu``, ``cuda`` or ``cuda:1``; the model must support it
    :param extensions: folder with the compiled operators that came with the model, used where they are not installed;
        ``extensions`` beside the model if not given
    :param dtype: ``float64`` evaluates a float32 model in double precision, its weights unchanged: the same function without
        the rounding that within_noise high body orders. The model's own type if not given.
    :param variant: which energy, for a model with several (``energy/<variant>``)
    :param charged: true to tell a model that takes them the charges of atoms, or of whole sub-clusters. Where it takes those of
        sub-clusters, energies of distant parts then no longer add up. Without it all charges are zero for the model.
    :param forces: ``gradient`` of the energy, or ``direct``: those that the model predicts itself (``non_conservative_force``)
    :param members: ``heads`` for all energies of a model with variants beside the one that is named; ``parts`` for what a model
        of metatrain adds to its network (composition, pair repulsion) and the network. If not given, the members are those of
        the model's ensemble (output ``energy_ensemble``), if it has one.
    :param spin: rule by which a model that takes it is told the spin of every sub-cluster, one of
        :data:`~bodyorder.sources.spin.SPIN_RULES`; or ``module:function``, or the function itself, for a rule of your own
        (:class:`~bodyorder.sources.spin.function.FunctionRule`)
    :param trust: must be true where operators are taken from that folder: they are compiled code, which can do anything
    :raises InputError: if there is no such file, it is not a metatomic model, brings operators that are not trusted, gives no
        energy, wants inputs that sub-clusters do not have, does not run on the device, or metatomic is not installed
    """
    if dtype is not None:
        check_choice("dtype", dtype, DTYPES)
    path = model_file("metatomic", target, "an exported model (.pt)")
    settings = Settings(
        target=target,
        path=path,
        device=str(device),
        dtype=dtype,
        charged=check_switch("charged", charged),
        spin=None if spin is None else check_rule(spin),
        extensions=extensions_folder(path, extensions),
        variant=None if variant is None else str(variant),
        trust=check_switch("trust", trust),
        forces=check_choice("forces", forces, FORCES),
        members=None if members is None else str(members),
    )
    read_extensions(path, target)
    for module in ("torch", "metatomic.torch"):
        require(module, "mlip")
    from bodyorder.sources.metatomic.source import MetatomicSource

    return MetatomicSource(settings)
