"""What a check of a dataset finds: every way in which it can be other than it says."""

import json
import shutil

import pytest
from click.testing import CliRunner

from p3d_gen.cli import main
from p3d_gen.core.errors import RunError
from p3d_gen.dataset.build import make_dataset
from p3d_gen.dataset.check import check_dataset
from p3d_gen.dataset.folder import open_dataset
from p3d_gen.dataset.source_runs import open_sources
from p3d_gen.dataset.splits import Recipe
from p3d_gen.run.files import compact_json
from p3d_gen.run.shards import write_shard
from tests.helpers.dataset_runs import labels_of, make_assets, packed_run, samples_of


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    root = tmp_path_factory.mktemp("runs")
    make_assets(root)
    out = root / "d"
    sources = open_sources([str(packed_run(root / "a", samples=8).root)])
    make_dataset(out, sources, Recipe(shares={"train": 1, "test": 1}, shard_samples=3))
    return out


@pytest.fixture
def folder(whole, tmp_path):
    shutil.copytree(whole, tmp_path / "d")
    return tmp_path / "d"


def findings(folder):
    return check_dataset(open_dataset(folder)).findings


def rewrite(path, change):
    """Change the samples of a tar, [(key, members)]."""
    samples = list(samples_of([path]).items())
    write_shard(path, change(samples) or samples)


def relabel(**changes):
    def change(samples):
        key, members = samples[0]
        labels = {k: v for k, v in (labels_of(members) | changes).items() if v != "gone"}
        samples[0] = key, members | {"json": compact_json(labels)}

    return change


def first(folder, split="train"):
    return sorted((folder / split).glob("*.tar"))[0]


def test_a_whole_dataset_has_no_findings(folder):
    assert findings(folder) == []


def test_a_leak_is_found_and_named(folder):
    """Even where only the texts of a label say so, and the index is made to fit."""
    stolen = next(iter(samples_of([first(folder, "test")]).values()))
    labels = labels_of(stolen)
    rewrite(first(folder), relabel(cad_id=labels["cad_id"]))
    found = findings(folder)
    leaks = [each for each in found if each.startswith("leak: the cad")]
    assert len(leaks) == 1
    assert f"{labels['category']}/{labels['cad_id']}" in leaks[0]
    assert "train (1 samples), test (" in leaks[0]
    assert any("it belongs to test, not to train" in each for each in found)
    assert any(f"{first(folder)} is not what index.json says (sha256: " in each for each in found)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (relabel(distance=None), "distance: Input should be a valid number"),
        (relabel(distance="5"), "distance: Input should be a valid number"),
        (relabel(distance="gone"), "distance: Field required"),
        (relabel(more=1), "more: Extra inputs are not permitted"),
        (relabel(stylizer_base="x"), "labels.stylizer_base: None -> 'str'"),
        (relabel(stylizer_base=[]), "stylizer_base: list"),
        (relabel(focal_px=400), "labels.focal_px: 'float' -> 'int'"),
        (relabel(key="car-9"), "its labels are those of car-9"),
        (lambda samples: [*samples, samples[0]], "is there twice"),
        (lambda samples: samples[0][1].pop("mask.png") and None, "its members or labels are not those of the others"),
        (lambda samples: samples[0][1].pop("json") and None, "key: Field required"),
    ],
)
def test_other_samples_are_found_and_named(folder, change, said):
    path = first(folder)
    rewrite(path, change)
    assert any(said in each and str(path) in each for each in findings(folder)), findings(folder)


def test_damaged_and_missing_shards_are_found(folder):
    flipped, cut, gone = [*sorted((folder / "train").glob("*.tar")), *sorted((folder / "test").glob("*.tar"))][:3]
    content = flipped.read_bytes()
    flipped.write_bytes(content[:700] + bytes([content[700] ^ 1]) + content[701:])
    cut.write_bytes(cut.read_bytes()[:3000])
    gone.unlink()
    found = "\n".join(findings(folder))
    assert f"{flipped} is not what index.json says (sha256: " in found
    assert f"{cut} cannot be read" in found
    assert f"{gone} is not what index.json says (it is not there)" in found


def test_what_is_no_finished_dataset_is_refused(folder, tmp_path):
    with pytest.raises(RunError, match=r"is not a dataset: it holds no recipe\.json"):
        open_dataset(tmp_path)
    (folder / "dataset.json").unlink()
    with pytest.raises(RunError, match="is not finished"):
        findings(folder)
    recipe = json.loads((folder / "recipe.json").read_text())
    for change, said in (
        ({"format_version": 0}, "has format version 0"),
        ({"recipe": {"shares": {}}}, "shares"),
        ({"sources": None}, "is damaged"),
    ):
        (folder / "recipe.json").write_text(json.dumps(recipe | change))
        with pytest.raises(Exception, match=said):
            open_dataset(folder)
    (folder / "recipe.json").write_text("{")
    with pytest.raises(RunError, match=r"recipe\.json cannot be read"):
        open_dataset(folder)


def test_the_command_says_what_it_finds(folder):
    rewrite(first(folder), relabel(distance="5"))
    result = CliRunner().invoke(main, ["dataset", "check", str(folder)])
    assert result.exit_code == 1
    assert "2 faults" in result.output
    assert "distance" in result.output
