import pytest

from bodyorder._checks import InputError
from bodyorder.config import SAMPLERS, LowDensity, SplitOptions, StudyOptions, TrainingSetOptions, load_config

GOOD = """
output: runs/x
clusters:
  low: {sampler: low-density, n_clusters: 4}
  high: {sampler: high-density, n_clusters: 4, wigner_seitz_radius_bohr: 1.4}
models: [pet]
training_sets:
  whole: {}
  all: {orders: all}
  some: {orders: [2, 3], fraction: 0.5, groups: [low]}
held_out:
  big: {clusters: {sampler: low-density, n_clusters: 2, n_atoms: 9}, max_order: 3}
"""


def load(tmp_path, text):
    path = tmp_path / "study.yaml"
    path.write_text(text)
    return load_config(path)


def test_defaults_and_values(tmp_path):
    options = load(tmp_path, GOOD)
    assert isinstance(options.clusters["low"], LowDensity)
    assert options.clusters["low"].n_atoms == 8
    assert options.clusters["high"].wigner_seitz_radius_bohr == 1.4
    some = options.training_sets["some"].composition("some")
    assert (some.name, some.orders, some.fraction, some.whole_clusters) == ("some", (2, 3), 0.5, True)
    assert options.training_sets["all"].composition("all").orders is None


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("output:", "outptu:", r"unknown key `outptu`; .*did you mean 'output'\?"),
        ("n_clusters: 4}", "n_cluster: 4}", r"unknown key `clusters\.low\.n_cluster`;.*did you mean 'n_clusters'"),
        ("n_atoms: 9", "n_atms: 9", r"unknown key `held_out\.big\.clusters\.n_atms`; .*did you mean 'n_atoms'\?"),
        ("max_order: 3", "max_oder: 3", r"unknown key `held_out\.big\.max_oder`; .*did you mean 'max_order'\?"),
        (
            "n_clusters: 2,",
            "n_clusters: 0,",
            r"`held_out\.big\.clusters\.n_clusters`: .*greater than or equal to 1, got 0",
        ),
        ("  big:", "  low:", r"`held_out` must have names of their own, 'low' is among the clusters"),
        ("wigner_seitz_radius_bohr", "wigner_seitz_radius", r"unknown key `clusters\.high\.wigner_seitz_radius`"),
        (
            "low-density",
            "low-densty",
            r"`clusters\.low\.sampler` must be one of .*, got 'low-densty'; did you mean 'low-density'",
        ),
        (
            "fraction: 0.5",
            "fraction: 1.5",
            r"`training_sets\.some\.fraction`: input should be less than or equal to 1, got 1\.5",
        ),
        ("fraction: 0.5", "fractoin: 0.5", r"unknown key `training_sets\.some\.fractoin`.*did you mean 'fraction'"),
        (
            "groups: [low]",
            "groups: [lwo]",
            r"`training_sets\.some\.groups` must be one of high, low, got 'lwo'; did you mean 'low'",
        ),
        ("training_sets:", "makeups:", r"unknown key `makeups`; .*did you mean 'training_sets'\?"),
        (
            "groups: [low]",
            "parents: true",
            r"unknown key `training_sets\.some\.parents`; .*did you mean 'whole_clusters'\?",
        ),
        (
            "groups: [low]",
            "n_parents: 2",
            r"unknown key `training_sets\.some\.n_parents`; .*did you mean 'n_clusters'\?",
        ),
        (
            "groups: [low]",
            "per_parent: 2",
            r"unknown key `training_sets\.some\.per_parent`; .*did you mean 'per_cluster'",
        ),
        (
            "models: [pet]",
            "distill: {students: [gap], makeups: [all]}",
            r"`distill\.makeups`; .*did you mean 'training_sets'",
        ),
        ("models: [pet]", "models: [pte]", r"`models` must be one of .*, got 'pte'; did you mean 'pet'\?"),
        ("models: [pet]", "split: {train: 0.7, validation: 0.3}", "must leave some clusters for testing"),
        (
            "models: [pet]",
            "models: [pet]\nsplit: {train: 0.95}",
            "must leave some clusters for testing, got train 0.95",
        ),
        ("models: [pet]", "models: [pet]\nseed: -1", r"`seed`: input should be greater than or equal to 0, got -1"),
        (
            "models: [pet]",
            "models: [pet]\nepochs: {al: 3}",
            r"`epochs` must be one of .*, got 'al'; did you mean 'all'",
        ),
        ("models: [pet]", "models: [pet]\nmodels: [mace]", r"a key must stand once, `models` stands twice"),
        (
            "orders: [2, 3]",
            "orders: [2, 9]",
            r"`training_sets\.some\.orders` must be sizes of sub-clusters, got 9 .* have 8 atoms",
        ),
        (
            "whole: {}",
            "whole: {whole_clusters: false}",
            "training set 'whole' must hold whole clusters or sub-clusters",
        ),
        ("n_clusters: 4}", "n_clusters: 2}", r"`clusters\.low\.n_clusters` must be at least 3 to train"),
        ("n_clusters: 4}", "n_clusters: true}", r"`clusters\.low\.n_clusters` must be a whole number, got True"),
        ("models: [pet]", "reference: fci", "a source must look like 'scheme:target"),
        ("output: runs/x", "", "`output` must be given, and is not"),
        (
            "n_clusters: 4}",
            "n_clusters: four}",
            r"`clusters\.low\.n_clusters` must be a whole number, got 'four'",
        ),
    ],
)
def test_what_is_wrong_is_said_in_one_line(tmp_path, old, new, message):
    with pytest.raises(InputError, match=message) as caught:
        load(tmp_path, GOOD.replace(old, new, 1))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "holds NoneType"),
        ("- a\n- b\n", "holds list"),
        ("output: [unclosed\n", r"must be a YAML file, .* is not \(line 2\)"),
    ],
)
def test_files_that_are_no_study(tmp_path, text, message):
    with pytest.raises(InputError, match=message):
        load(tmp_path, text)


def test_models_need_training_sets(tmp_path):
    with pytest.raises(InputError, match="`training_sets` must name a training set for the models"):
        load(tmp_path, GOOD[: GOOD.index("training_sets")])


def test_a_group_may_be_called_like_a_sampler(tmp_path):
    text = GOOD.replace("  low:", "  langevin:").replace("groups: [low]", "groups: [langevin]")
    assert isinstance(load(tmp_path, text).clusters["langevin"], LowDensity)
    with pytest.raises(
        InputError, match=r"unknown key `clusters\.langevin\.n_cluster`; keys here: sampler, n_atoms, n_clusters, sep"
    ):
        load(tmp_path, text.replace("n_clusters: 4}", "n_clusters: 4, n_cluster: 4}", 1))


def test_files_that_cannot_be_read(tmp_path):
    with pytest.raises(InputError, match="Is a directory"):
        load_config(tmp_path)
    with pytest.raises(InputError, match="No such file"):
        load_config(tmp_path / "nothing.yaml")


def test_every_option_is_documented():
    for kind in (StudyOptions, SplitOptions, TrainingSetOptions, *SAMPLERS.values()):
        assert kind.__doc__
        for name, field in kind.model_fields.items():
            if name != "sampler":
                assert field.description, f"{kind.__name__}.{name}"
