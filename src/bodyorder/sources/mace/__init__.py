"""MACE models as their own program saves them, foundation models among them: ``mace:model.model?trust=true&dtype=float64``.

Importing this package imports neither torch nor mace; :func:`load` does.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from bodyorder._checks import InputError, check_choice, check_switch, require
from bodyorder.sources.mace.settings import Settings
from bodyorder.sources.networks.settings import model_file
from bodyorder.sources.spin import check_rule

if TYPE_CHECKING:
    from bodyorder.sources.mace.source import MaceSource

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
) -> MaceSource:
    """Make a source from a ``.model`` file.

    :param target: path of the file, as MACE's training writes it
    :param trust: must be true: the file is a pickle, and loading it runs whatever code it holds
    :param device: ``cpu``, ``cuda`` or ``cuda:1``
    :param dtype: ``float32`` or ``float64`` to evaluate the model in, its weights rounded or unchanged; the model's own type if
        not given. float64 makes of a float32 model the same function without the rounding that within_noise high body orders.
    :param head: which energy, for a model that was trained on several data sets; the one called ``default`` if not given
    :param charged: true to tell a model that takes it the charge of every sub-cluster. Energies of distant parts then no longer
        add up; without it sub-clusters must be neutral.
    :param spin: rule by which a model that takes it is told the spin of every sub-cluster, one of
        :data:`~bodyorder.sources.spin.SPIN_RULES`; or ``module:function``, or the function itself, for a rule of your own
        (:class:`~bodyorder.sources.spin.function.FunctionRule`)
    :raises InputError: if there is no such file, it is not trusted, it is no MACE model that gives energies, wants more than
        elements, positions, charge and spin, does not run on the device, or mace is not installed
    """
    if dtype is not None:
        check_choice("dtype", dtype, DTYPES)
    path = model_file("mace", target, "a MACE model (.model)")
    check_switch("trust", trust)
    if not trust:
        raise InputError(
            f"mace:{target} must be trusted to be loaded: it is a pickle, which runs any code that whoever made it put "
            f"into it; say trust=true if you know where it comes from"
        )
    require("torch", "mace")
    from bodyorder.sources.mace.source import MaceSource

    return MaceSource(
        Settings(
            target=target,
            path=path,
            device=str(device),
            dtype=dtype,
            charged=check_switch("charged", charged),
            spin=None if spin is None else check_rule(spin),
            head=None if head is None else str(head),
        )
    )
