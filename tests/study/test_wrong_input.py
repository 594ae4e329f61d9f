"""Studies that cannot work, as a user meets them: one line that says what must hold, what came and what to do."""

from __future__ import annotations

import re
import subprocess
import sys
import zipfile
from importlib.metadata import version
from pathlib import Path

import ase
import metatomic.torch  # noqa: F401  (classes that checkpoints hold)
import numpy as np
import pytest
import torch
import yaml

from bodyorder.cli import main
from bodyorder.config import StudyOptions
from bodyorder.sources import load_source
from bodyorder.structures import ClusterBatch, write_structures
from bodyorder.structures.hydrogen import low_density
from bodyorder.study.sampling import sample_group
from bodyorder.training import COMPOSITIONS, TrainedModel, TrainingJob, draw_set, label, train

SETTINGS = {
    "clusters": {"low": {"sampler": "low-density", "n_atoms": 4, "n_clusters": 6}},
    "reference": "analytic:pair?kind=morse",
    "split": {"train": 0.5, "validation": 0.2},
    "curves": [],
    "workers": 1,
}
#: A model that needs no epochs.
ONE = {"models": ["soap-linear"], "training_sets": {"whole": {}}}


@pytest.fixture
def study(tmp_path, capsys):
    """Run a study: exit code and complaint, which must be one line."""

    def run(**changes) -> tuple[int, str]:
        config = tmp_path / "study.yaml"
        config.write_text(yaml.safe_dump(SETTINGS | {"output": str(tmp_path / "out")} | changes, sort_keys=False))
        code = main(["study", str(config)])
        err = capsys.readouterr().err
        assert err.startswith("bodyorder: ")
        assert err.count("\n") == 1
        return code, err.removeprefix("bodyorder: ").removeprefix(f"{config}: ").rstrip("\n")

    return run


@pytest.fixture
def refused(study, tmp_path):
    """What is said of a study that is refused before anything is done."""

    def run(**changes) -> str:
        code, complaint = study(**changes)
        assert code == 2
        assert not (tmp_path / "out").exists()
        return complaint

    return run


def frames(symbol: str, n_clusters: int) -> list[ase.Atoms]:
    clusters = low_density(4, n_clusters, seed=0)
    for atoms in clusters:
        atoms.symbols[:] = symbol
    return clusters


@pytest.fixture(scope="module")
def helium(tmp_path_factory) -> TrainedModel:
    """A model of helium, trained for an epoch, with its checkpoint."""
    labelled = label(frames("He", 5), "analytic:pair?kind=morse")
    parts = (draw_set(labelled, np.array(rows), COMPOSITIONS["all"]) for rows in ([0, 1, 2], [3], [4]))
    return train(TrainingJob(tmp_path_factory.mktemp("helium"), "soap-bpnn", *parts, epochs=1))


def test_a_pretrained_model_of_another_element(refused, helium):
    assert refused(pretrained={"old": helium.spec}) == (
        f"`pretrained.old` must give energies of the clusters, which hold H: {helium.spec} must know every element, and has not "
        f"seen H; it knows He; take another"
    )


def test_held_out_clusters_of_another_element(refused, tmp_path):
    path = write_structures(tmp_path / "own.xyz", frames("He", 1))
    held_out = {"own": {"clusters": {"sampler": "file", "path": str(path)}}}
    assert refused(held_out=held_out, **ONE) == (
        "`training_sets.whole` must hold every element that its models are resolved on, and lacks He of own; draw it from more "
        "`groups`, or leave those clusters out"
    )


def test_a_training_set_without_an_element_of_another_group(refused, tmp_path):
    path = write_structures(tmp_path / "own.xyz", frames("He", 4))
    clusters = SETTINGS["clusters"] | {"own": {"sampler": "file", "path": str(path)}}
    training_sets = {"both": {}, "few": {"groups": ["own"]}}
    assert refused(clusters=clusters, models=["soap-linear"], training_sets=training_sets).startswith(
        "`training_sets.few` must hold every element that its models are resolved on, and lacks H of low; "
    )


def test_a_checkpoint_for_a_model(refused, helium, tmp_path):
    """And that what the message advises does what it promises."""
    checkpoint = helium.folder / "model.ckpt"
    version = torch.load(checkpoint, weights_only=False)["model_ckpt_version"]
    assert refused(pretrained={"old": f"metatomic:{checkpoint}"}) == (
        f"metatomic:{checkpoint} must be a metatomic model, and is a checkpoint of metatrain (soap_bpnn, version {version}); "
        "`mtt export` makes one of a checkpoint of its version or an older one"
    )
    mtt = Path(sys.executable).with_name("mtt")
    subprocess.run([mtt, "export", checkpoint, "-o", "own.pt"], cwd=tmp_path, check=True, capture_output=True)
    batch = ClusterBatch.from_atoms(frames("He", 2))
    exported = load_source(f"metatomic:{tmp_path / 'own.pt'}").energies(batch)
    np.testing.assert_allclose(exported, load_source(helium.spec).energies(batch), rtol=0, atol=1e-10)


def test_a_checkpoint_of_another_version(refused, helium, tmp_path):
    checkpoint = torch.load(helium.folder / "model.ckpt", weights_only=False)
    checkpoint["model_ckpt_version"] += 1
    version = checkpoint["model_ckpt_version"]
    path = tmp_path / "newer.ckpt"
    torch.save(checkpoint, path)
    assert refused(pretrained={"old": f"metatomic:{path}"}) == (
        f"metatomic:{path} must be a metatomic model, and is a checkpoint of metatrain (soap_bpnn, version {version}); `mtt "
        "export` makes one of a checkpoint of its version or an older one"
    )
    assert refused(pretrained={"old": f"mace:{path}?trust=true"}) == (
        f"mace:{path} must be a model as MACE trains it, and is a checkpoint of metatrain (soap_bpnn, version {version}); `mtt "
        "export` makes a metatomic model of it"
    )
    # which says itself that the version is another one
    mtt = Path(sys.executable).with_name("mtt")
    export = subprocess.run(
        [mtt, "export", path, "-o", "own.pt"], cwd=tmp_path, check=False, capture_output=True, text=True
    )
    assert export.returncode
    # its log names other versions before the error
    error = (export.stdout + export.stderr).rpartition("[ERROR]")[2]
    told = [int(number) for number in re.findall(r"version\s+(\d+)", error)]
    assert told[:2] == [version, version - 1]


def test_a_file_that_is_no_model(refused, helium, tmp_path):
    for name, content in {
        "prose.pt": b"Call me Ishmael.\n",
        "half.pt": Path(model_file(helium)).read_bytes()[:5000],
        "torn.pt": torn(Path(model_file(helium)).read_bytes()),
    }.items():
        (tmp_path / name).write_bytes(content)
        assert refused(pretrained={"old": f"metatomic:{tmp_path / name}"}) == (
            f"metatomic:{tmp_path / name} must be a metatomic model, and is not; `mtt export` makes one of a checkpoint"
        )
    assert refused(pretrained={"old": "metatomic:no.pt"}) == (
        "metatomic:no.pt must be the file of an exported model (.pt), and there is nothing"
    )


def torn(archive: bytes) -> bytes:
    """An archive whose table of contents is damaged, its end being there."""
    place = archive.rindex(b"PK\x01\x02")
    return archive[:place] + b"XXXX" + archive[place + 4 :]


def model_file(trained: TrainedModel) -> str:
    return trained.spec.removeprefix("metatomic:")


def altered(original: str, target: Path, metatomic: str | None, renamed: tuple[bytes, bytes] = (b"", b"")) -> Path:
    """A model as if another version of metatomic had exported it, whose classes had other names."""
    with zipfile.ZipFile(original) as source, zipfile.ZipFile(target, "w") as copy:
        for item in source.infolist():
            content = source.read(item)
            if item.filename.endswith("/extra/metatomic-version"):
                if metatomic is None:
                    continue
                content = metatomic.encode()
            if item.filename.endswith(".py"):
                content = content.replace(*renamed)
            copy.writestr(item.filename, content)
    return target


OTHER_SYSTEM = (b"torch.classes.metatomic.System", b"torch.classes.metatensor.System")


@pytest.mark.parametrize(
    ("metatomic", "renamed", "reason"),
    [
        (
            "0.0.1",
            OTHER_SYSTEM,
            "Unknown type name '__torch__.torch.classes.metatensor.System'; it was exported by metatomic 0.0.1, here is ",
        ),
        (
            None,
            (b"", b""),
            "file at '{path}' does not contain a metatomic model; it was exported by what came before metatomic, here is ",
        ),
    ],
    ids=["older", "before"],
)
def test_a_model_of_another_version(refused, helium, tmp_path, metatomic, renamed, reason):
    path = altered(model_file(helium), tmp_path / "model.pt", metatomic, renamed)
    assert refused(pretrained={"old": f"metatomic:{path}"}) == (
        f"metatomic:{path} could not be loaded: {reason.format(path=path)}{version('metatomic-torch')}: export its checkpoint "
        f"again with `mtt export`, or install that version"
    )


def test_a_broken_model_of_this_version_is_not_blamed_on_the_version(refused, helium, tmp_path):
    path = altered(model_file(helium), tmp_path / "model.pt", version("metatomic-torch"), OTHER_SYSTEM)
    assert refused(pretrained={"old": f"metatomic:{path}"}) == (
        f"metatomic:{path} could not be loaded: Unknown type name '__torch__.torch.classes.metatensor.System'"
    )


def test_a_model_of_another_version_that_can_be_read_gives_its_energies(helium, tmp_path, capfd):
    path = altered(model_file(helium), tmp_path / "model.pt", "9.9.9")
    batch = ClusterBatch.from_atoms(frames("He", 2))
    energies = load_source(f"metatomic:{path}").energies(batch)
    assert "proceed at your own risk" in capfd.readouterr().err  # metatomic says that
    np.testing.assert_allclose(energies, load_source(helium.spec).energies(batch), rtol=0, atol=1e-10)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"models": ["soap-lineal"]}, r"`models` must be one of .*, got 'soap-lineal'; did you mean 'soap-linear'\?$"),
        (
            {"training_sets": {"whole": {"groups": []}}},
            r"`training_sets\.whole\.groups` must name groups of clusters, and names none; leave it out for all$",
        ),
        (
            {"training_sets": {"whole": {"whole_clusters": False, "orders": [4]}}},
            r"training set 'whole' must yield clusters, and yields none: clusters of 4 atoms have no sub-clusters of 4, and "
            r"`whole_clusters` is false; lower `training_sets\.whole\.orders`$",
        ),
        (
            {"training_sets": {"whole": {"whole_clusters": False, "orders": [1]}}},
            r"`training_sets\.whole\.orders` must hold more than 1 where `whole_clusters` is false: from single atoms "
            r"alone models learn nothing; add larger sizes$",
        ),
        (
            {"clusters": {"low": {"sampler": "low-density", "n_clusters": 2}}},
            r"`clusters\.low\.n_clusters` must be at least 3 to train, validate and test, got 2$",
        ),
        (
            {"training_sets": {"low/high": {}}},
            r"`training_sets` must have names without slashes, tabs or spaces at their ends, got 'low/high'; give another$",
        ),
        (
            {"pretrained": {"pair": "analytic:pair"}},
            r"`pretrained` must have names other than 'pair', which is what the reference is called$",
        ),
        (
            {"models": ["soap-linear", "soap-linear"]},
            r"`models` must name each model once, and names soap-linear 2 times$",
        ),
        (
            {
                "distill": {"students": ["gap"]},
                "training_sets": {"whole": {"isolated_atom": "fixed"}},
                "models": ["mace"],
            },
            r"`training_sets\.whole\.isolated_atom` must be free for gap, which cannot fix the energy of an atom$",
        ),
        (
            {"held_out": {"result": {"clusters": {"sampler": "low-density", "n_clusters": 2}}}},
            r"`held_out` must have names other than 'result'; call it what it is$",
        ),
        (
            {"training_sizes": {"whole": [2, 4]}},
            r"`training_sizes\.whole` must be numbers of training clusters that a group has, 3 at most, got 4; lower it, or give "
            r"the groups more clusters$",
        ),
    ],
)
def test_options_that_cannot_work(refused, changes, message):
    assert re.match(message, refused(**(ONE | changes)))


def test_options_at_the_limit_are_no_mistake(tmp_path):
    limits = {
        "clusters": {"low": {"sampler": "low-density", "n_atoms": 4, "n_clusters": 6}},
        "training_sets": {"whole": {}, "triples": {"whole_clusters": False, "orders": [3, 4]}},
        "training_sizes": {"whole": [3]},
    }
    options = StudyOptions.model_validate(SETTINGS | ONE | limits | {"output": str(tmp_path)})
    assert options.training_sizes == {"whole": (3,)}
    # one more is one
    for beyond in (
        {"training_sizes": {"whole": [4]}},
        {"training_sets": {"whole": {"whole_clusters": False, "orders": [4]}}},
    ):
        with pytest.raises(ValueError, match=r"got 4|of 4, and"):
            StudyOptions.model_validate(SETTINGS | ONE | limits | beyond | {"output": str(tmp_path)})


def test_a_file_of_fewer_clusters_than_parts_of_the_split(refused, tmp_path):
    path = write_structures(tmp_path / "own.xyz", low_density(4, 2, seed=0))
    clusters = {"own": {"sampler": "file", "path": str(path)}}
    assert refused(clusters=clusters, **ONE) == f"{path} must hold at least 3 clusters to train on, and holds 2"


def test_a_learning_curve_beyond_the_clusters_of_a_file(refused, tmp_path):
    path = write_structures(tmp_path / "own.xyz", low_density(4, 6, seed=0))
    clusters = {"own": {"sampler": "file", "path": str(path)}}
    assert refused(clusters=clusters, training_sizes={"whole": [2, 4]}, **ONE) == (
        "`training_sizes.whole` must be numbers of training clusters that a group has, 3 at most, got 4; lower it, or give the "
        "groups more clusters"
    )


def test_a_file_whose_clusters_are_too_small_for_a_draw_set(refused, tmp_path):
    path = write_structures(tmp_path / "own.xyz", low_density(4, 3, seed=0))
    clusters = {"own": {"sampler": "file", "path": str(path)}}
    training_sets = {"large": {"whole_clusters": False, "orders": [4]}}
    assert refused(clusters=clusters, models=["soap-linear"], training_sets=training_sets) == (
        "training set 'large' must yield clusters, and yields none: clusters of 4 atoms have no sub-clusters of 4, and "
        "`whole_clusters` is false; lower `training_sets.large.orders`"
    )


def test_clusters_that_are_trained_on_and_held_out(refused, tmp_path):
    """Also where they are turned."""
    own = low_density(4, 5, seed=0)
    path = write_structures(tmp_path / "own.xyz", own)
    turned = own[3].copy()
    turned.rotate(50, (1, 2, 3))
    other = write_structures(tmp_path / "other.xyz", [*low_density(4, 2, seed=1), turned])
    clusters = {"own": {"sampler": "file", "path": str(path)}}
    held_out = {"other": {"clusters": {"sampler": "file", "path": str(other)}}}
    assert refused(clusters=clusters, held_out=held_out, **ONE) == (
        "clusters must differ, cluster 3 of own and cluster 2 of other are the same but for place, turn, reflection or order of "
        "atoms; leave one out"
    )


def test_clusters_that_are_made_and_held_out_from_a_file(refused, tmp_path):
    made = sample_group("low", StudyOptions.model_validate(SETTINGS | {"output": "out"}).clusters["low"], 0)
    path = write_structures(tmp_path / "same.xyz", made[2:4])
    held_out = {"other": {"clusters": {"sampler": "file", "path": str(path)}}}
    assert refused(held_out=held_out, **ONE).startswith(
        "clusters must differ, cluster 2 of low and cluster 0 of other are the"
    )


@pytest.mark.parametrize("command", ["plan", "train"])
def test_what_a_study_refuses_no_command_takes(command, tmp_path, capsys):
    path = write_structures(tmp_path / "own.xyz", low_density(4, 2, seed=0))
    config = tmp_path / "study.yaml"
    clusters = {"own": {"sampler": "file", "path": str(path)}}
    settings = SETTINGS | ONE | {"output": str(tmp_path / "out"), "clusters": clusters}
    config.write_text(yaml.safe_dump(settings))
    assert main([command, str(config)]) == 2
    assert capsys.readouterr().err == f"bodyorder: {path} must hold at least 3 clusters to train on, and holds 2\n"
