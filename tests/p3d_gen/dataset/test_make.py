"""Datasets of runs: nothing lost, nothing shared between splits, the same bytes always."""

import itertools
import json
import logging
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from click.testing import CliRunner

from p3d_gen.cli import main
from p3d_gen.core.errors import RunError
from p3d_gen.dataset.build import make_dataset
from p3d_gen.dataset.check import check_dataset
from p3d_gen.dataset.folder import open_dataset
from p3d_gen.dataset.source_runs import open_sources
from p3d_gen.dataset.splits import Recipe, asset_ids, place_in_order
from p3d_gen.export.inputs import open_input
from p3d_gen.run.files import compact_json
from p3d_gen.run.remote import place
from p3d_gen.run.shards import write_shard
from tests.helpers.dataset_runs import labels_of, make_assets, packed_run, run_samples, samples_of, tree
from tests.helpers.records import edit_record, unseal

HALVES = {"train": 1.0, "test": 1.0}


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    root = tmp_path_factory.mktemp("runs")
    make_assets(root)
    return packed_run(root / "a"), packed_run(root / "b", seed=4, samples=6)


def make(out, *runs, name="", **recipe):
    """A dataset of runs, and {split: {key: members}}."""
    wanted = Recipe(**{"shares": HALVES} | recipe)
    summary = make_dataset(out, open_sources([str(run.root) for run in runs], name), wanted)
    return summary, {split: samples_of(sorted((out / split).glob("*.tar"))) for split in wanted.shares}


def shown(samples, kind):
    return {asset_ids(labels_of(members))[kind] for members in samples.values()}


@pytest.mark.parametrize("split_by", [("cad",), ("texture",), ("background",), ("cad", "texture")])
def test_no_asset_is_in_two_splits_and_no_sample_is_lost_or_changed(runs, tmp_path, split_by):
    summary, splits = make(tmp_path / "d", runs[0], split_by=split_by)
    for a, b in itertools.combinations(splits.values(), 2):
        assert not a.keys() & b.keys()
        for kind in split_by:
            assert not shown(a, kind) & shown(b, kind)
    kept = {key: members for samples in splits.values() for key, members in samples.items()}
    original = run_samples(runs[0])
    assert len(kept) + summary["left_out"] == len(original)
    assert (summary["left_out"] > 0) == (len(split_by) > 1)
    assert all(list(members.items()) == list(original[key].items()) for key, members in kept.items())
    assert not check_dataset(open_dataset(tmp_path / "d")).findings


def test_runs_are_only_read(runs, tmp_path):
    before = tree(runs[0].root)
    make(tmp_path / "d", runs[0])
    assert tree(runs[0].root) == before


def test_merging_names_keys_by_run_and_moves_no_asset(runs, tmp_path):
    _, alone = make(tmp_path / "one", runs[0])
    _, merged = make(tmp_path / "both", *runs)
    original = {f"{run.root.name}-{key}": members for run in runs for key, members in run_samples(run).items()}
    found = {key: members for samples in merged.values() for key, members in samples.items()}
    assert found.keys() == original.keys()
    for key, members in found.items():
        assert labels_of(members) == labels_of(original[key]) | {"key": key}
        assert {n: c for n, c in members.items() if n != "json"} == {
            n: c for n, c in original[key].items() if n != "json"
        }
    for split, samples in alone.items():
        assert {f"a-{key}" for key in samples} == {key for key in merged[split] if key.startswith("a-")}


@pytest.mark.parametrize("most", [{"shard_samples": 4}, {"shard_bytes": 60_000}])
def test_shards_are_as_large_as_they_may_be(runs, tmp_path, most):
    _, whole = make(tmp_path / "whole", *runs)
    summary, cut = make(tmp_path / "cut", *runs, **most)
    assert [list(samples) for samples in cut.values()] == [list(samples) for samples in whole.values()]
    assert cut == whole
    for split in cut:
        for category in ("car", "chair"):
            paths = sorted((tmp_path / "cut" / split).glob(f"{category}-*.tar"))
            assert [path.name for path in paths] == [f"{category}-{i:05d}.tar" for i in range(len(paths))]
            counts = [len(samples_of([path])) for path in paths]
            if "shard_samples" in most:
                assert set(counts[:-1]) <= {4}
                assert counts[-1] <= 4
            else:
                assert all(path.stat().st_size <= 60_000 for path in paths)
                assert len(paths) < sum(counts)
    assert summary["splits"]["train"]["shards"] > 2


def test_the_order_within_a_split_is_the_seeds(runs, tmp_path):
    orders = []
    for seed in (0, 0, 1):
        recipe = Recipe(shares={"train": 1}, seed=seed)
        _, splits = make(tmp_path / f"d{len(orders)}", runs[0], **recipe.model_dump())
        keys = [key for key in splits["train"] if key.startswith("car")]
        assert keys == sorted(keys, key=lambda key: place_in_order(recipe, key))
        orders.append(keys)
    assert orders[0] == orders[1] != orders[2]
    assert sorted(orders[0]) == sorted(orders[2]) != orders[0]


def test_models_of_the_samples_come_with_them(runs, tmp_path):
    _, splits = make(tmp_path / "d", *runs)
    found = {
        str(path.relative_to(tmp_path / "d" / "cad").with_suffix(""))
        for path in (tmp_path / "d" / "cad").rglob("*.npz")
    }
    assert found == set.union(*(shown(samples, "cad") for samples in splits.values()))


def test_the_same_call_changes_nothing_and_another_is_refused(runs, tmp_path):
    make(tmp_path / "d", runs[0])
    before = tree(tmp_path / "d")
    make(tmp_path / "d", runs[0])
    assert tree(tmp_path / "d") == before
    with pytest.raises(RunError, match=r"recipe.seed: 0 -> 1\): choose another --out"):
        make(tmp_path / "d", runs[0], seed=1)
    with pytest.raises(RunError, match="sources"):
        make(tmp_path / "d", *runs)
    with pytest.raises(RunError, match="is not empty and not a dataset"):
        make(runs[0].root, runs[0])
    assert tree(tmp_path / "d") == before


def test_runs_that_do_not_go_together_are_refused(runs, tmp_path):
    other = packed_run(runs[0].root.with_name("other"), samples=2, more='[output]\nmembers = ["mask"]\n')
    with pytest.raises(RunError, match="car-000000 is not made like a-car-000000"):
        make(tmp_path / "d", runs[0], other)
    with pytest.raises(RunError, match=r"holds no depth\.npz"):
        make(tmp_path / "e", other, shares={"whole": 1.0}, depth16=True)
    twin = packed_run(runs[0].root.with_name("twin"), samples=2)
    cad = next(twin.root.glob("cad/car/*.npz"))
    for name in cad.parent.glob("*.npz"):
        name.write_bytes(name.read_bytes() + b"another model")
    with pytest.raises(RunError, match="differ: samples of one dataset share their models"):
        make(tmp_path / "f", runs[0], twin, shares={"whole": 1.0})


def test_unfinished_and_damaged_runs_are_refused(runs, tmp_path):
    run = packed_run(runs[0].root.with_name("torn"), samples=2)
    shard = run.tar("shards", "car-00000")
    content = shard.read_bytes()
    shard.write_bytes(content[:600] + b"?" + content[601:])
    with pytest.raises(RunError, match="is not what its ledger says"):
        make(tmp_path / "d", run)
    shard.unlink()
    with pytest.raises(RunError, match="run `p3dgen pack` first"):
        make(tmp_path / "d", run)
    assert not list(tmp_path.iterdir())


def test_a_split_without_samples_is_refused(runs, tmp_path):
    with pytest.raises(RunError, match=r"the split 'tiny' gets none of 24 samples \(10 cads\)"):
        make(tmp_path / "d", runs[0], shares={"train": 1.0, "tiny": 1e-9})
    with pytest.raises(RunError, match="cannot be split: it has no hdri"):
        make(tmp_path / "d", runs[0], split_by=("hdri",))
    make(tmp_path / "d", runs[0])  # what was refused has begun nothing


def test_names_of_runs(runs, tmp_path):
    a, b = (str(run.root) for run in runs)
    assert [source.prefix for source in open_sources([a])] == [""]
    assert [source.prefix for source in open_sources([a, f"second={b}"])] == ["a-", "second-"]
    with pytest.raises(RunError, match="two runs are called 'a'"):
        open_sources([a, f"a={b}"])
    dotted = tmp_path / "cars.v2"
    dotted.symlink_to(a)
    open_sources([f"cars={dotted}"])
    with pytest.raises(RunError, match=r"cannot begin a key .*NAME="):
        open_sources([str(tmp_path / "cars v2"), a])


@pytest.mark.parametrize("kills", [2, pytest.param(20, marks=pytest.mark.slow)])
def test_sigkill_at_any_time_ends_in_the_same_bytes(runs, tmp_path, kills):
    make(tmp_path / "calm" / "d", *runs, split_by=("cad",), shard_samples=2)
    command = [
        Path(sys.executable).parent / "p3dgen",
        "dataset",
        "make",
        runs[0].root,
        runs[1].root,
        "--shard-size",
        "2",
    ]
    command += ["--split", "train=1", "--split", "test=1", "--out", tmp_path / "killed" / "d"]
    rng = random.Random(kills)
    killed = 0
    for _ in range(kills):
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        begun = tmp_path / "killed" / "d"
        while process.poll() is None and not begun.exists():
            time.sleep(0.01)
        time.sleep(rng.uniform(0, 0.4))
        process.send_signal(signal.SIGKILL)
        killed += process.wait() == -signal.SIGKILL
        for path in begun.rglob("*.tar"):
            samples_of([path])
    assert killed
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    assert tree(tmp_path / "killed" / "d") == tree(tmp_path / "calm" / "d")


def test_runs_and_datasets_may_lie_under_urls(runs, tmp_path):
    remote = place("memory://test-dataset/runs/a")
    for path, content in tree(runs[0].root).items():
        (remote / path).parent.mkdir(parents=True, exist_ok=True)
        (remote / path).write_bytes(content)
    make(tmp_path / "d", runs[0])
    out = place("memory://test-dataset/d")
    make_dataset(out, open_sources([str(remote)]), Recipe(shares=HALVES))
    for path, content in tree(tmp_path / "d").items():
        assert (out / path).read_bytes() == content
    assert not check_dataset(open_dataset(out)).findings


def test_licences_are_those_that_the_sources_state(tmp_path):
    """One, several, or not known of all: what the card says is never a guess, and no other command is needed for it."""
    make_assets(tmp_path)
    run, assets = packed_run(tmp_path / "a", samples=4), tmp_path / "assets"
    folders = [assets / name for name in ("cad", "textures", "backgrounds")]
    out = tmp_path / "d"
    before = None
    for licences, card in (
        (("", "", ""), "unknown"),
        (("CC0-1.0", "CC0-1.0", "CC0-1.0"), "cc0-1.0"),
        (("CC0-1.0", "CC-BY-4.0", "CC0-1.0"), "other"),
    ):
        for folder, licence in zip(folders, licences, strict=True):
            (folder / "licences.toml").write_text(f'"**" = "{licence}"\n' if licence else "")
        summary, _ = make(out, run)
        assert summary["licences"].keys() == {licence or "unknown" for licence in licences}
        assert f"\nlicense: {card}\n" in (out / "README.md").read_text()
        assert not check_dataset(open_dataset(out)).findings
        shards = {name: content for name, content in tree(out).items() if name.endswith((".tar", "index.json"))}
        assert shards == (before or shards)  # a licence that is stated later changes no sample
        before = shards


def test_without_its_sources_a_run_has_the_licences_that_were_written(tmp_path, caplog, monkeypatch):
    monkeypatch.setattr(logging.getLogger("p3d_gen"), "propagate", True)
    make_assets(tmp_path)
    run, written = packed_run(tmp_path / "a", samples=4), tmp_path / "a" / "licences.json"
    unseal(run.root / "run.json", without=("licences",))  # as version 0.1.0 wrote it
    shutil.rmtree(tmp_path / "assets")
    with caplog.at_level(logging.WARNING):
        assert make(tmp_path / "unknown", run)[0]["licences"] == {}
    assert any("so the card states none" in message for message in caplog.messages)
    asset = {"kind": "cad", "id": "car/m0", "licence": "CC0-1.0", "stated_in": "LICENSE", "samples": 3}
    written.write_text(json.dumps({"assets": [asset]}))
    assert make(tmp_path / "known", run)[0]["licences"] == {"CC0-1.0": 1}
    written.write_text("{}")
    with pytest.raises(RunError, match="make it again by `p3dgen licenses"):
        make(tmp_path / "damaged", run)


def _flip(path):
    content = path.read_bytes()
    path.write_bytes(content[:700] + bytes([content[700] ^ 255]) + content[701:])


def _cut(path):
    path.write_bytes(path.read_bytes()[:-1024])


def _without_a_sample(path):
    write_shard(path, list(samples_of([path]).items())[1:])


@pytest.mark.parametrize("finished", [True, False])
@pytest.mark.parametrize("damage", [_flip, _cut, _without_a_sample, Path.unlink])
@pytest.mark.parametrize("place", ["train/car-00000.tar", "cad/car/*.npz"])
def test_what_is_damaged_is_made_again(runs, tmp_path, finished, damage, place):
    """In a finished dataset the index tells it, in one that is only begun the plan does."""
    if damage is _without_a_sample and place.startswith("cad"):
        damage = _flip
    out = tmp_path / "d"
    make(out, runs[0])
    before = tree(out)
    if not finished:
        for name in ("dataset.json", "README.md", "train/index.json", "test/index.json"):
            (out / name).unlink()
    damage(sorted(out.glob(place))[0])
    if finished:
        assert check_dataset(open_dataset(out)).findings
        with pytest.raises(RunError, match="make the dataset again"):
            open_input(out)
    make(out, runs[0])
    assert tree(out) == before
    assert open_input(out).name == "d"


@pytest.mark.parametrize(
    ("name", "change", "said"),
    [
        ("recipe.json", ('"licences": [', '"licences": [ '), "recipe.json is not what dataset.json says"),
        (
            "dataset.json",
            ('"samples": ', '"samples": 1'),
            "dataset.json cannot be read: its content is not what",
        ),
        ("train/index.json", ("d-train", "e-train"), "index.json is not what dataset.json says"),
        ("train/index.json", ('"nsamples": ', '"nsamples": 1'), "index.json is not what dataset.json says"),
    ],
)
def test_damaged_descriptions_are_found_and_made_again(runs, tmp_path, name, change, said):
    out = tmp_path / "d"
    make(out, runs[0])
    before, path = tree(out), out / name
    path.write_text(path.read_text().replace(*change, 1))
    try:
        found = check_dataset(open_dataset(out)).findings
    except RunError as error:
        found = [str(error)]
    assert any(said in each for each in found)
    make(out, runs[0])
    assert tree(out) == before


@pytest.mark.parametrize("name", ["train/car-00099.tar", "cad/car/m99.npz"])
def test_what_does_not_belong_to_it_is_named(runs, tmp_path, name):
    out = tmp_path / "d"
    make(out, runs[0])
    shutil.copy(sorted((out / name).parent.iterdir())[0], out / name)
    assert any(name in each for each in check_dataset(open_dataset(out)).findings)
    with pytest.raises(RunError, match=f"{name} does not belong to this dataset: take it out"):
        make(out, runs[0])


def test_no_file_outside_a_run_is_copied_from_it(tmp_path):
    """A run from somebody else may name any file by the labels, or by a link."""
    make_assets(tmp_path)
    run = packed_run(tmp_path / "a", samples=4)
    private = tmp_path / "private.npz"
    private.write_bytes(b"private")
    model = sorted((run.root / "cad" / "car").glob("*.npz"))[0]
    content = model.read_bytes()
    for path in (run.root / "cad" / "car").glob("*.npz"):
        path.unlink()
        path.symlink_to(private)
    with pytest.raises(RunError, match=r"is a link to .*outside the run"):
        make(tmp_path / "d", run, shares={"whole": 1.0})
    for path in (run.root / "cad" / "car").glob("*.npz"):
        path.unlink()
        path.write_bytes(content)
    shard = run.tar("shards", "car-00000")
    samples = list(samples_of([shard]).items())
    for cad_id in ("../../../private", str(private.with_suffix("")), "x/../../../private"):
        key, members = samples[0]
        labels = compact_json(labels_of(members) | {"cad_id": cad_id})
        _, sha256 = write_shard(shard, [(key, members | {"json": labels}), *samples[1:]])
        edit_record(shard.with_suffix(".json"), sha256=sha256)
        with pytest.raises(RunError, match="is not the id of a CAD model"):
            make(tmp_path / "d", run, shares={"whole": 1.0})
    assert not (tmp_path / "d").exists()


@pytest.mark.parametrize("command", ["dataset make", "dataset check", "dataset schema", "export"])
def test_help_has_an_example(command):
    assert f"Example:\n    p3dgen {command}" in CliRunner().invoke(main, [*command.split(), "--help"]).output


def test_commands(runs, tmp_path):
    def invoke(*arguments):
        return CliRunner().invoke(main, ["dataset", *map(str, arguments)])

    out = tmp_path / "d"
    made = invoke("make", runs[0].root, "--out", out, "--split", "train=1", "--split", "test=1", "--shard-size", "1MB")
    assert made.exit_code == 0, made.output
    assert f"dataset: {out}" in made.output
    assert json.loads((out / "dataset.json").read_text())["recipe"]["shard_bytes"] == 10**6
    checked = invoke("check", out)
    assert checked.exit_code == 0, checked.output
    assert "no leaks, no faults" in checked.output
    for wrong, said in (
        (["--split", "Train=1"], "is not a split: give NAME=SHARE"),
        (["--split", "a=1", "--split", "a=2"], "'a' is named twice"),
        (["--split", "a=0"], "shares.a = 0.0"),
        (["--split", "a=0.8.1"], "is not a split: give NAME=SHARE"),
        (["--split", "cad=1"], "no split can be called 'cad', the folder of the models is called so"),
        (["--split", "train=1", "--split", "all=1"], "no split can be called 'all'"),
        (["--shard-size", "12 pounds"], "is not a size"),
        (["--split-by", "cad", "--split-by", "cad"], "a kind is named twice"),
    ):
        result = invoke("make", runs[0].root, "--out", tmp_path / "e", *wrong)
        assert result.exit_code
        assert said in result.output
    assert not (tmp_path / "e").exists()
