from __future__ import annotations

import numpy as np
import pytest

from bodyorder._checks import InputError
from bodyorder.sources import load_source
from bodyorder.training import COMPOSITIONS, draw_set, prediction_errors


def test_the_source_of_the_labels_has_no_error(labelled, morse):
    clusters = draw_set(labelled, np.arange(12), COMPOSITIONS["all"])
    errors = prediction_errors(load_source(morse), clusters)
    assert errors["energy_rmse"] < 1e-9
    assert errors["force_rmse"] < 1e-9
    assert errors["clusters"] == len(clusters)


def test_errors_are_per_atom_and_per_component(labelled, morse):
    clusters = draw_set(labelled, np.arange(12), COMPOSITIONS["whole"])
    for atoms in clusters:
        atoms.info["energy"] += 0.004 * len(atoms)
        atoms.arrays["forces"] = atoms.arrays["forces"] + 0.2
    errors = prediction_errors(load_source(morse), clusters)
    assert errors["energy_rmse"] == pytest.approx(4.0)
    assert errors["force_rmse"] == pytest.approx(200.0)


def test_clusters_without_forces_have_no_force_error(labelled, morse):
    clusters = draw_set(labelled, np.arange(3), COMPOSITIONS["whole"])
    for atoms in clusters:
        del atoms.arrays["forces"]
    assert np.isnan(prediction_errors(load_source(morse), clusters)["force_rmse"])
    with pytest.raises(InputError, match="errors need labelled clusters, and none are given"):
        prediction_errors(load_source(morse), [])
