"""The source does what it claims, under the name that it is registered by."""

import numpy as np
import pytest
import torch
from ase.calculators.lj import LennardJones
from torchsim_source import load, weights

from bodyorder import InputError, check_source, decompose, load_source
from bodyorder.structures.hydrogen import low_density

MODEL = "torch_sim.models.lennard_jones.LennardJonesModel"
SAID = "sigma=1.1&epsilon=0.01&cutoff=4.0&trust=true&additive_cutoff=4.0"


def test_it_conforms_in_both_precisions():
    for more in ("", "&dtype=float32"):
        check_source(load_source(f"torchsim:{MODEL}?{SAID}{more}")).raise_if_failed()


def test_other_numbers_have_another_fingerprint():
    class Scaled(torch.nn.Module):
        def __init__(self, scale):
            super().__init__()
            self.scale = torch.nn.Parameter(torch.tensor(scale))

    assert weights(Scaled(1.0)) == weights(Scaled(1.0)) != weights(Scaled(2.0))


def test_orders_are_those_of_ase():
    frames = low_density(6, 2, seed=0)
    found = decompose(frames, f"torchsim:{MODEL}?{SAID}")
    wanted = decompose(frames, LennardJones(sigma=1.1, epsilon=0.01, rc=4.0))
    pairs = found.contribution.values[:, 1]
    # torch-sim cuts energies off, ASE shifts them: what a pair within the cutoff gives differs by the shift
    shift = 4 * 0.01 * ((1.1 / 4) ** 12 - (1.1 / 4) ** 6)
    near = [np.triu(atoms.get_all_distances() < 4.0, 1).sum() for atoms in frames]
    np.testing.assert_allclose(pairs - shift * np.array(near), wanted.contribution.values[:, 1], atol=1e-11)
    np.testing.assert_allclose(found.contribution.values[:, 2:], 0, atol=1e-11)


@pytest.mark.parametrize(
    ("target", "options", "message"),
    [
        (MODEL, {}, "must be trusted"),
        ("torch_sim.models.lennard_jones.Nothing", {"trust": True}, "must be there to be imported, and is not"),
        (MODEL, {"trust": True, "sygma": 1.1}, "could not be made with {'sygma': 1.1}: TypeError: .*'sygma'"),
        (MODEL, {"trust": True, "dtype": "half"}, "`dtype` must be float32 or float64, got 'half'"),
        ("torch.zeros", {"trust": True, "size": (1,)}, "must give a model of torch-sim, got Tensor"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(target, options, message):
    with pytest.raises(InputError, match=message):
        load(target, **options)
