"""Few labels: nested sets, training that goes on with them, and the commands `finetune`, `adapt` and `--labels`."""

import itertools
import json

import cv2
import numpy as np
import pytest
from click.testing import CliRunner

from p3d_gen.run.files import file_sha256
from pose_models.adapt.config import Cc3dConfig, FinetuneConfig
from pose_models.adapt.finetune import finetune
from pose_models.cli import main
from pose_models.config import TrainConfig, load_config, save_config
from pose_models.data.label_budget import LabelBudget, labelled_samples, labelled_subset, parse_labels
from pose_models.data.shards import ShardSamples
from pose_models.training.loop import LoopOptions
from tests.helpers.boxes import write_run

SMALL = ["--steps", 2, "--batch", 2, "--device", "cpu"]


def call(*words):
    return CliRunner().invoke(main, [str(word) for word in words])


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run with shards, a model and a classifier that have learnt next to nothing, and labelled photographs."""
    run = write_run(tmp_path_factory.mktemp("run"), train=6, test=6)
    given = ["--shards", run / "shards", "--backbone=test_resnet", "--weights=none", "--image-size", 64, *SMALL]
    for words in (["train", "--vertices", 100], ["baseline", "train", "--max-stride", 16]):
        done = call(*words, *given, "--out", run / words[0])
        assert done.exit_code == 0, done.output
    (run / "photos").mkdir()
    rows = ["image,category,azimuth_deg,elevation_deg,theta_deg"]
    for number in range(10):
        cv2.imwrite(str(run / "photos" / f"{number}.jpg"), np.full((40, 60, 3), 20 * number, np.uint8))
        rows.append(f"{number}.jpg,box,{number * 30},10,0")
    (run / "photos" / "labels.csv").write_text("\n".join(rows) + "\n")
    return run


def photographs(run):
    return f"csv:{run / 'photos' / 'labels.csv'}"


def keys(path):
    return [json.loads(line)["key"] for line in path.read_text().splitlines()]


# Which images are labelled


@pytest.mark.parametrize("seed", range(3))
def test_sets_of_one_seed_lie_in_one_another(seed):
    sizes = ["7", "20", "50", "10%", "50%", "100%"]
    sets = [set(labelled_subset(700, parse_labels(text), seed, "car")) for text in sizes]
    assert [len(each) for each in sets] == [7, 20, 50, 70, 350, 700]
    for smaller, larger in itertools.pairwise(sets):
        assert smaller < larger
    for other in (seed + 10, seed + 20):
        assert set(labelled_subset(700, parse_labels("20"), other, "car")) != sets[1]
    assert set(labelled_subset(700, parse_labels("20"), seed, "boat")) != sets[1]


def test_numbers_of_labels_and_what_is_none():
    assert parse_labels("20") == LabelBudget(count=20)
    assert parse_labels("2.5%") == LabelBudget(percent=2.5)
    assert LabelBudget(percent=10).of(3) == 1
    for text in ("0", "-3", "0%", "101%", "10 %", "many", ""):
        with pytest.raises(ValueError, match="is not a number of labels: give N, such as 20, or a share P%"):
            parse_labels(text)
    with pytest.raises(ValueError, match="50 labelled images are asked for, but there are 40: ask for fewer"):
        labelled_subset(40, LabelBudget(count=50), 0, "car")


def test_labelled_images_come_in_their_order_and_too_few_are_named():
    def read(category):
        return iter(range(100))

    chosen = list(labelled_samples(read, "photos", LabelBudget(count=9), 3, "car"))
    assert chosen == labelled_subset(100, LabelBudget(count=9), 3, "car") == sorted(chosen)
    with pytest.raises(ValueError, match="car in photos: 101 labelled images are asked for"):
        labelled_samples(read, "photos", LabelBudget(count=101), 3, "car")


# Training that goes on


@pytest.mark.parametrize("kind", ["train", "baseline"])
def test_a_model_is_trained_further_and_its_folder_stays(run, tmp_path, kind):
    before = {path: file_sha256(path) for path in (run / kind).rglob("*") if path.is_file()}
    given = ["--model", run / kind, "--real", photographs(run), *SMALL]
    done = call("finetune", *given, "--labels", 4, "--label-seed", 5, "--out", tmp_path / "out")
    assert done.exit_code == 0, done.output
    assert before == {path: file_sha256(path) for path in (run / kind).rglob("*") if path.is_file()}
    assert (tmp_path / "out" / "model.safetensors").read_bytes() != (run / kind / "model.safetensors").read_bytes()
    read = [int(key.partition("_")[0]) for key in keys(tmp_path / "out" / "labelled.jsonl")]
    assert read == labelled_subset(10, LabelBudget(count=4), 5, "box")
    assert load_config(FinetuneConfig, tmp_path / "out" / "adapt.toml").labels == "4"
    tested = call("evaluate", "--model", tmp_path / "out", "--data", run / "test", "--limit", 2, "--device", "cpu")
    assert tested.exit_code == 0, tested.output


def test_photographs_without_a_camera_stand_where_the_option_says(run, tmp_path):
    given = ["--real", photographs(run), "--labels", 4, *SMALL]
    further = ["finetune", "--model", run / "train", *given]
    for name, words in (("near", ["--distance", 2]), ("default", [])):
        done = call(*further, *words, "--out", tmp_path / name)
        assert done.exit_code == 0, done.output
    near, default = ((tmp_path / name / "model.safetensors").read_bytes() for name in ("near", "default"))
    assert near != default
    small = ["--category", "box", "--cads", run / "cad", "--backbone=test_resnet", "--weights=none", "--image-size", 64]
    done = call("train", *given, *small, "--real-distance", 2, "--out", tmp_path / "scratch")
    assert done.exit_code == 0, done.output
    (mesh,) = json.loads((tmp_path / "scratch" / "model.json").read_text())["meshes"]
    assert mesh["distance"] == pytest.approx(2)


class _StopError(Exception):
    pass


def test_a_stopped_finetuning_goes_on_bit_for_bit(run, tmp_path):
    config = FinetuneConfig(labels="100%", steps=4, batch=2)
    samples = ShardSamples([run / "test" / "box-00000.tar"])

    def stop(step):
        if step.step == 3:
            raise _StopError

    options = LoopOptions(cpu=True, checkpoint_every=1)
    finetune(run / "train", samples, config, tmp_path / "whole", options)
    with pytest.raises(_StopError):
        finetune(run / "train", samples, config, tmp_path / "stopped", options, on_step=stop)
    finetune(run / "train", samples, config, tmp_path / "stopped", options)
    for name in ("model.safetensors", "train.jsonl", "labelled.jsonl", "adapt.toml"):
        assert (tmp_path / "whole" / name).read_bytes() == (tmp_path / "stopped" / name).read_bytes(), name


def test_training_from_scratch_takes_the_same_labels(run, tmp_path):
    """`train --labels` learns from the images that `finetune --labels` lists: any other set gives another model."""
    given = ["--real", photographs(run), "--category", "box", "--cads", run / "cad", "--vertices", 100]
    small = ["--backbone=test_resnet", "--weights=none", "--image-size", 64, *SMALL]
    for name, labels in (("four", ["--labels", 4]), ("same", ["--labels", "40%"]), ("five", ["--labels", 5])):
        done = call("train", *given, *labels, *small, "--out", tmp_path / name)
        assert done.exit_code == 0, done.output
    four, same, five = ((tmp_path / name / "model.safetensors").read_bytes() for name in ("four", "same", "five"))
    assert four == same != five
    alone = call("train", "--shards", run / "shards", "--labels", 4, *small, "--out", tmp_path / "alone")
    assert alone.exit_code == 1
    assert "--labels 4 chooses among the photographs of --real" in alone.output


# The commands


def adapt(run, out, *words):
    return call("adapt", "cc3d", "--model", run / "train", "--target", run / "test", "--out", out, *words, *SMALL)


def test_the_command_adapts_and_its_model_is_evaluated_and_trained_further(run, tmp_path):
    given = ["--source-shards", run / "shards", "--top", 3, "--watch", "--watch-limit", 2]
    done = adapt(run, tmp_path / "cc3d", *given)
    assert done.exit_code == 0, done.output
    assert "round 1: trusted of 6 pseudo-labels 3 box" in done.output
    assert "alpha" in done.output
    assert load_config(Cc3dConfig, tmp_path / "cc3d" / "adapt.toml") == Cc3dConfig(top=3, steps=2, batch=2)
    again = adapt(run, tmp_path / "cc3d", *given)
    assert "already holds a model" in again.output
    more = call(
        "finetune", "--model", tmp_path / "cc3d", "--real", photographs(run), "--labels", "10%", *SMALL,
        "--out", tmp_path / "more",
    )  # fmt: skip
    assert more.exit_code == 0, more.output
    for name in ("model.json", "checksums.json"):  # as version 0.1.0 left an unfinished run
        (tmp_path / "cc3d" / name).unlink()
    other = adapt(run, tmp_path / "cc3d", "--source-shards", run / "shards", "--top", 4)
    assert other.exit_code == 1
    assert "another configuration (top = 3, now 4)" in other.output.replace("\n", "")
    images = adapt(run, tmp_path / "cc3d", *given, "--limit", 5)
    assert "lists other images than these" in images.output.replace("\n", "")
    assert adapt(run, tmp_path / "cc3d", *given, "--limit", 5, "--overwrite").exit_code == 0


def test_runs_of_other_commands_are_not_mixed(run, tmp_path):
    (tmp_path / "training").mkdir()
    save_config(TrainConfig(categories=("box",)), tmp_path / "training" / "config.toml")
    mixed = adapt(run, tmp_path / "training", "--arm", "released", "--overwrite")
    assert mixed.exit_code == 1
    assert "holds a run of another command: choose another --out" in mixed.output.replace("\n", " ")
    assert (tmp_path / "training" / "config.toml").exists()


@pytest.mark.parametrize("command", [["adapt", "cc3d"], ["adapt", "pseudo-labels"], ["finetune"]])
def test_help_has_an_example(command):
    result = call(*command, "--help")
    assert result.exit_code == 0
    assert f"pose-models {' '.join(command)} --model" in result.output.split("Example")[1]


def test_the_pseudo_label_baseline_of_a_classifier(run, tmp_path):
    given = ["adapt", "pseudo-labels", "--model", run / "baseline", "--target", run / "test", *SMALL]
    done = call(*given, "--threshold", 0.0, "--out", tmp_path / "out")
    assert done.exit_code == 0, done.output
    assert "6 box" in done.output
    none = call(*given, "--out", tmp_path / "none")
    assert none.exit_code == 1
    assert "no pseudo-label is as confident as 0.9" in none.output
    assert "give a lower --threshold" in none.output.replace("\n", " ")


def test_a_folder_of_models_is_adapted_model_by_model(run, tmp_path):
    write_run(tmp_path / "two", train=2, test=3, category="box")
    write_run(tmp_path / "two", train=2, test=3, category="crate")
    given = [
        "--shards",
        tmp_path / "two" / "shards",
        "--backbone=test_resnet",
        "--weights=none",
        "--image-size=64",
        *SMALL,
    ]
    assert call("train", *given, "--vertices", 100, "--out", tmp_path / "models").exit_code == 0
    words = ["--model", tmp_path / "models", "--target", tmp_path / "two" / "test", "--arm", "released", *SMALL]
    done = call("adapt", "cc3d", *words, "--out", tmp_path / "out")
    assert done.exit_code == 0, done.output
    for name in ("box", "crate"):
        assert {key[: len(name)] for key in keys(tmp_path / "out" / name / "target.jsonl")} == {name}
    tested = call("evaluate", "--model", tmp_path / "out", "--data", tmp_path / "two" / "test", "--device", "cpu")
    assert tested.exit_code == 0, tested.output
    strange = call("adapt", "cc3d", *words[2:], "--model", run / "train", "--out", tmp_path / "strange")
    assert strange.exit_code == 1
    for words in ("does not know 'crate' of", "valid names: box; choose by --category"):
        assert words in strange.output.replace("\n", " ")


@pytest.mark.parametrize(
    ("change", "status", "message"),
    [
        ([], 1, "give --source-shards, or --arm released"),
        (["--arm", "released", "--source-shards", "x"], 1, "--source-shards: no synthetic image is replayed"),
        (["--arm", "released", "--threshold", 2], 1, "no pseudo-label is as confident as 2"),
        (["--arm", "released", "--model", "nowhere"], 1, "nowhere holds no model.json"),
        (["--arm", "released", "--target", "images:nowhere"], 1, "nowhere"),
        (["--arm", "both"], 2, "--arm"),
        (["--source-shards", "nowhere"], 1, "nowhere does not exist"),
    ],
)
def test_bad_input(run, tmp_path, change, status, message):
    result = adapt(run, tmp_path / "out", *change)
    assert result.exit_code == status, result.output
    assert message in result.output.replace("\n", " ")
    assert not (tmp_path / "out" / "model.json").exists()


def test_the_source_is_never_written(run):
    apart = "lie in one another: choose another --out"
    itself = f"--overwrite would delete {run / 'train'}, which the command reads: choose another --out"
    above = f"--overwrite would delete {run}/"
    for out, message in ((run / "train", itself), (run / "train" / "adapted", apart), (run, above)):
        for words in (["adapt", "cc3d", "--target", run / "test", "--arm", "released"], ["finetune", "--labels", "5"]):
            images = [] if words[0] == "adapt" else ["--real", photographs(run)]
            refused = call(*words, *images, "--model", run / "train", "--out", out, "--overwrite", *SMALL)
            assert refused.exit_code == 1
            assert message in refused.output.replace("\n", " ")


def test_a_configuration_with_nothing_where_a_number_may_be_comes_back(tmp_path):
    for config in (Cc3dConfig(), Cc3dConfig(threshold=0.5, alpha=2.0), TrainConfig(categories=("car",))):
        save_config(config, tmp_path / "config.toml")
        assert load_config(type(config), tmp_path / "config.toml") == config
