"""MACE models as their own program saves them, foundation models among them: ``mace:model.model?trust=true&dtype=float64``, and
several of them as one committee: ``mace:one.model,other.model?trust=true``.

Importing this package imports neither torch nor mace; :func:`load` does.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from bodyorder._checks import InputError, check_choice, check_switch, require
from bodyorder.sources.mace.files import model_files
from bodyorder.sources.mace.settings import Settings
from bodyorder.sources.spin import check_rule

if TYPE_CHECKING:
    from bodyorder.sources.protocol import EnergySource

#: Number types that a model can be evaluated in.
DTYPES = ("float32", "float64")


def load(  # noqa: PLR0913 - the options of a spec, each with a default
    target: str,
    *,
    trust: bool = False,
    device: str = "cpu",
    dtype: str | None = None,
    head: str | None = None,
    charged: bool = False,
    spin: str | Callable[..., Any] | None = None,
    members: str | None = None,
) -> EnergySource:
    """Make a source from a ``.model`` file, or from several.

    :param target: path of the file, as MACE's training writes it; several paths with commas between them, or one with ``*``
        for all files that fit, are a committee: its energy is the mean, and the models are its members
    :param trust: must be true: the file is a pickle, and loading it runs whatever code it holds
    :param device: ``cpu``, ``cuda`` or ``cuda:1``
    :param dtype: ``float32`` or ``float64`` to evaluate the model in, its weights rounded or unchanged; the model's own type if
        not given. float64 makes of a float32 model the same function without the rounding that within_noise high body orders.
    :param head: which energy, for a model that was trained on several data sets; the one called ``default`` if not given, of
        which a warning tells
    :param charged: true to tell a model that takes it the charge of every sub-cluster. Energies of distant parts then no longer
        add up; without it sub-clusters must be neutral.
    :param members: ``heads`` for the energies of all heads beside the one of ``head``; ``parts`` for the energies of isolated
        atoms, of the pair repulsion if there is one, and of the network, which add up to the energy
    :param spin: rule by which a model that takes it is told the spin of every sub-cluster, one of
        :data:`~bodyorder.sources.spin.SPIN_RULES`; or ``module:function``, or the function itself, for a rule of your own
        (:class:`~bodyorder.sources.spin.function.FunctionRule`)
    :raises InputError: if there is no such file, it is not trusted, it is no MACE model that gives energies, wants more than
        elements, positions, charge and spin, does not run on the device, or mace is not installed
    """
    if dtype is not None:
        check_choice("dtype", dtype, DTYPES)
    files = model_files(target)
    if len(files) > 1 and members is not None:
        raise InputError(f"`members` must be left out for several models, which are the members, got {members!r}")
    check_switch("trust", trust)
    if not trust:
        raise InputError(
            f"mace:{target} must be trusted to be loaded: it is a pickle, which runs any code that whoever made it put "
            f"into it; say trust=true if you know where it comes from"
        )
    require("torch", "mace")
    from bodyorder.sources.mace.committee import MaceCommittee
    from bodyorder.sources.mace.source import MaceSource

    models = [
        Settings(
            target=name,
            path=path,
            device=str(device),
            dtype=dtype,
            charged=check_switch("charged", charged),
            spin=None if spin is None else check_rule(spin),
            head=None if head is None else str(head),
            members=None if members is None else str(members),
        )
        for name, path in files
    ]
    if len(models) == 1:
        return MaceSource(models[0])
    return MaceCommittee(replace(models[0], target=target).name("mace", head=models[0].head), models)
