import importlib.util
import sys
from pathlib import Path

import pytest

SOAP_BPNN = ("soap_bpnn", {"soap": {"max_angular": 3, "max_radial": 4}})
PET = (
    "pet",
    {"d_pet": 16, "d_head": 16, "d_node": 32, "d_feedforward": 32, "num_heads": 2, "num_attention_layers": 1},
)
MACE = (
    "experimental.mace",
    {"hidden_irreps": "8x0e + 8x1o", "correlation": 2, "max_ell": 2, "radial_MLP": [16, 16]},
)
NETWORKS = {"soap-bpnn": SOAP_BPNN, "pet": PET, "mace": MACE}


@pytest.fixture(scope="session")
def models():
    """The module ``models.py`` beside this file."""
    name = "metatomic_models"
    spec = importlib.util.spec_from_file_location(name, Path(__file__).with_name("models.py"))
    sys.modules[name] = module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def networks(models, tmp_path_factory):
    """Path of a float64 model of each architecture, for H, C and O."""
    folder = tmp_path_factory.mktemp("networks")
    return {
        name: models.export_network(folder / name, *network, elements=(1, 6, 8)) for name, network in NETWORKS.items()
    }


@pytest.fixture(scope="session")
def single_precision(models, tmp_path_factory):
    """The same models in float32."""
    folder = tmp_path_factory.mktemp("single")
    return {
        name: models.export_network(folder / name, *network, elements=(1, 6, 8), dtype="float32")
        for name, network in NETWORKS.items()
    }


@pytest.fixture
def no_temporary_files():
    """Mean fields that PySCF makes for comparison leave no checkpoint files open."""
    from bodyorder.sources.pyscf.mean_field.starts import without_checkpoints

    with without_checkpoints():
        yield
