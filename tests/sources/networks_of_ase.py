"""Calculators that compute with torch in a default dtype of their own."""

import torch
from ase.calculators.calculator import Calculator


class Double(Calculator):
    """E = −Σ w/(1 + r²) with numbers in the default dtype, which it sets to float64 when it is made, and needs."""

    implemented_properties = ("energy",)

    def __init__(self, weight=1.0):
        torch.set_default_dtype(torch.float64)
        super().__init__()
        self.network = torch.nn.Linear(1, 1, bias=False)
        with torch.no_grad():
            self.network.weight.fill_(weight)

    def calculate(self, atoms=None, properties=("energy",), system_changes=()):
        super().calculate(atoms, properties, system_changes)
        squares = torch.tensor(self.atoms.get_all_distances()).pow(2).reshape(-1, 1)
        made = (1 / (1 + squares)).to(
            torch.get_default_dtype()
        )  # of another dtype than the weights if it is not theirs
        self.results["energy"] = -float(self.network(made).detach().sum())


class Late(Double):
    """Sets it when it is first used."""

    def __init__(self, weight=1.0):
        super().__init__(weight)
        torch.set_default_dtype(torch.float32)

    def calculate(self, atoms=None, properties=("energy",), system_changes=()):
        torch.set_default_dtype(torch.float64)
        super().calculate(atoms, properties, system_changes)


def double(weight=1.0):
    """By a function."""
    return Double(weight)


def scripted(weight=1.0):
    """With a compiled network, which cannot be pickled."""
    calculator = Double(weight)
    calculator.network = torch.jit.script(calculator.network)
    return calculator


def frozen(weight=1.0):
    """With one whose numbers are constants of its code."""
    calculator = scripted(weight)
    calculator.network = torch.jit.freeze(calculator.network.eval())
    return calculator
