"""Calculators of real programs, in a module that worker processes find."""

import warnings


def stillinger_weber():
    """Silicon by matscipy, which holds functions made inside functions."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from matscipy.calculators.manybody import Manybody
        from matscipy.calculators.manybody.explicit_forms import StillingerWeber
        from matscipy.calculators.manybody.explicit_forms.stillinger_weber import Stillinger_Weber_PRB_31_5262_Si

        return Manybody(**StillingerWeber(Stillinger_Weber_PRB_31_5262_Si))
