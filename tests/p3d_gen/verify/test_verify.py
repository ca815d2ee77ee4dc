"""Whatever is wrong with a run is found, and named with its place; a sound run has no finding."""

import io
import json
import shutil
import tarfile
import zipfile
import zlib

import numpy as np
import pytest
from click.testing import CliRunner

from p3d_gen.cli import main
from p3d_gen.core.codecs import decode_image, encode_npz, encode_png
from p3d_gen.run.ledgers import read_ledger, seal
from p3d_gen.run.shards import read_shard, write_shard
from p3d_gen.run.store import open_run
from p3d_gen.verify import amount, verify_run, write_verification
from tests.helpers.fake_runs import packed_run
from tests.helpers.records import edit_record

MANIFEST = """
categories = ["car"]
samples_per_category = 3
shard_size = 2
[camera]
image_hw = [64, 96]
focal_px = 400
[background]
source = "backgrounds"
[stylize]
resolution = 64
[output]
members = ["mask", "amodal", "depth", "render", "edges", "stylized"]
"""


@pytest.fixture(scope="module")
def sound(tmp_path_factory):
    """A finished run."""
    run, ledgers = packed_run(tmp_path_factory.mktemp("sound"), MANIFEST, (90, 120))
    assert not [failure for ledger in ledgers for failure in ledger.failures]
    return run


@pytest.fixture
def run(sound, tmp_path):
    """A copy of it, to be damaged."""
    return open_run(shutil.copytree(sound.root, tmp_path / "run"))


def found(run):
    return {(f.check, f.stage, f.shard, f.key): f for f in verify_run(run).findings}


def reseal(run, stage, shard, change):
    """Change the samples of a shard as someone would who knows how a ledger is written."""
    samples = dict(read_shard(run.tar(stage, shard)))
    samples = change(samples) or samples
    seal(run, stage, shard, read_ledger(run, stage, shard).inputs, samples.items(), [])


def relabel(member="json", **changes):
    def change(samples):
        first = next(iter(samples.values()))
        first[member] = json.dumps(json.loads(first[member]) | changes, separators=(",", ":")).encode()

    return change


def unlabel(name):
    def change(samples):
        first = next(iter(samples.values()))
        first["json"] = json.dumps({k: v for k, v in json.loads(first["json"]).items() if k != name}).encode()

    return change


def turn(samples):
    """Mirror the first pose."""
    labels = json.loads(next(iter(samples.values()))["json"])
    x, y, z, last = labels["cam_T_obj"]
    relabel(cam_T_obj=[[-value for value in x], y, z, last])(samples)


def swap(member):
    def change(samples):
        a, b = list(samples.values())[:2]
        a[member], b[member] = b[member], a[member]

    return change


def replace(member, content):
    def change(samples):
        next(iter(samples.values()))[member] = content

    return change


def test_a_sound_run_has_no_finding(sound, run):
    found = verify_run(run)
    assert found.findings == ()
    assert (found.samples, found.failed, len(found.agreements)) == (3, 0, 3)
    path = write_verification(run, found)
    stored = json.loads(path.read_text())
    assert path == run.root / "verify.json"
    assert stored["sound"] is True
    assert stored["findings"] == []
    assert stored["worst_agreement"]["iou"] > 0.999
    result = CliRunner().invoke(main, ["verify", str(run.root), "--workers", "1"])
    assert result.exit_code == 0, result.output
    assert "3 packed samples, 0 known failures" in result.output


@pytest.mark.slow
def test_what_is_found_does_not_depend_on_workers(run):
    flip(run.tar("render", SHARD), 1000)
    assert repr(verify_run(run, workers=2)) == repr(verify_run(run))


def test_the_command_names_the_findings(run):
    run.tar("shards", "car-00000").with_suffix(".json").unlink()
    result = CliRunner().invoke(main, ["verify", str(run.root), "--workers", "1"])
    assert result.exit_code == 1
    assert "shards/car-00000: " in result.output
    assert "car-00000.json is not there, so the shard counts as unfinished; run `p3dgen pack`" in result.output
    assert "Error: 1 findings, listed in" in result.output
    stored = json.loads((run.root / "verify.json").read_text())
    assert stored["sound"] is False
    assert stored["findings_by_check"]["ledger"] == 1
    assert stored["findings"][0]["shard"] == "car-00000"


SHARD, FIRST, SECOND = "car-00000", "car-000000", "car-000001"


def flip(path, position, bit=1):
    content = bytearray(path.read_bytes())
    content[position] ^= bit
    path.write_bytes(content)


@pytest.mark.parametrize("stage", ["render", "stylize", "shards"])
def test_a_flipped_bit(run, stage):
    tar = run.tar(stage, SHARD)
    flip(tar, tar.stat().st_size // 2)
    assert ("checksum", stage, SHARD, "") in found(run)


@pytest.mark.parametrize(("stage", "share"), [("render", 0.0), ("stylize", 0.3), ("shards", 0.6), ("shards", 0.95)])
def test_a_cut_tar(run, stage, share):
    tar = run.tar(stage, SHARD)
    tar.write_bytes(tar.read_bytes()[: int(tar.stat().st_size * share)])
    findings = found(run)
    assert ("checksum", stage, SHARD, "") in findings
    if share < 0.9:
        assert any(check in ("count", "schema", "content") and where == stage for check, where, _, _ in findings)


def test_what_is_missing(run):
    run.tar("render", SHARD).unlink()
    run.tar("stylize", "car-00001").with_suffix(".json").unlink()
    shutil.rmtree(run.root / "shards")
    findings = found(run)
    assert findings[("count", "render", SHARD, "")].remedy == "run `p3dgen render`"
    assert findings[("ledger", "stylize", "car-00001", "")].remedy == "run `p3dgen stylize`"
    assert [shard for check, stage, shard, _ in findings if (check, stage) == ("count", "shards")] == run.all_shards()


@pytest.mark.parametrize("content", ["", "{", "[]", "7", "null", '{"count": 2}', '{"failures": [3]}'])
def test_a_ledger_that_is_none(run, content):
    run.tar("shards", SHARD).with_suffix(".json").write_text(content)
    assert ("ledger", "shards", SHARD, "") in found(run)


@pytest.mark.parametrize(
    ("changes", "finding"),
    [
        ({"count": 3}, ("count", "shards", SHARD, "")),
        ({"count": "many"}, ("ledger", "shards", SHARD, "")),
        ({"failures": [{"key": 1, "reason": 2}]}, ("ledger", "shards", SHARD, "")),
        ({"made_with": 3}, ("ledger", "shards", SHARD, "")),
        ({"sha256": "0"}, ("checksum", "shards", SHARD, "")),
        ({"inputs": "0"}, ("ledger", "shards", SHARD, "")),
        ({"failures": [{"key": FIRST, "reason": "no"}]}, ("count", "shards", SHARD, FIRST)),
    ],
)
def test_a_ledger_that_lies(run, changes, finding):
    path = run.tar("shards", SHARD).with_suffix(".json")
    edit_record(path, **changes)
    assert finding in found(run)


BOMB = io.BytesIO()
with zipfile.ZipFile(BOMB, "w", zipfile.ZIP_DEFLATED) as _archive:
    _archive.writestr("depth.npy", np.lib.format.magic(1, 0) + b"v\0" + b"{'descr': '<f4', 'fortran_order': False, "
                      b"'shape': (99999999999,), }".ljust(117) + b"\n" + bytes(10**6))  # fmt: skip
WIDE = bytearray(encode_png(np.zeros((1, 1), np.uint8)))
WIDE[16:24] = (6000).to_bytes(4, "big") * 2
WIDE[29:33] = zlib.crc32(WIDE[12:29]).to_bytes(4, "big")

RESEALED = {
    "a member is gone": ("shards", lambda s: s[FIRST].pop("mask.png") and None, "schema", FIRST, "mask.png is missing"),
    "a member is new": ("shards", replace("txt", b""), "schema", FIRST, "no sample has a member 'txt'"),
    "a label is gone": ("shards", unlabel("theta_rad"), "schema", FIRST, "theta_rad is missing"),
    "no label": ("shards", replace("json", b"{}"), "content", FIRST, "it is not a JSON object with labels"),
    "a label is null": ("render", relabel(texture_id=None), "schema", FIRST, "texture_id is null"),
    "a label is NaN": ("render", relabel(distance=float("nan")), "content", FIRST, "json is damaged: it holds NaN"),
    "a label is whole": ("render", relabel(focal_px=400), "schema", FIRST, "focal_px is int, elsewhere float"),
    "labels mix types": ("render", relabel(bbox_xyxy=[0, 1.5, 3, 4]), "schema", FIRST, "list of float and int"),
    "a label is more": ("render", relabel(note="x"), "schema", FIRST, "note is text, elsewhere there is none"),
    "no labels at all": ("render", replace("json", b"[" * 10**5), "content", FIRST, "json is damaged"),
    "another CAD": ("render", relabel(cad_id="../../secret"), "labels", FIRST, "cad_id is '../../secret'"),
    "another distance": ("render", relabel(distance=4.9), "labels", FIRST, "distance is 4.9, 5.0 is expected"),
    "another texture": ("render", relabel(texture_id="x"), "labels", FIRST, "texture_id is 'x'"),
    "another box": ("render", relabel(bbox_xyxy=[0.0, 0.0, 9.0, 9.0]), "labels", FIRST, "bbox_xyxy is [0.0"),
    "another camera": ("render", relabel(image_hw=[10**6, 10**6]), "labels", FIRST, "image_hw is [1000000, 1000000]"),
    "another focus": ("render", relabel(focal_px=1e12), "labels", FIRST, "focal_px is 1000000000000.0"),
    "no pose": ("render", relabel(cam_T_obj=[[0.0] * 4] * 4), "labels", FIRST, "puts the object out of the picture"),
    "a wide pose": ("render", relabel(cam_T_obj=[[1.0, 0, 0, 1e6], [0, 1.0, 0, 0], [0, 0, 1.0, 1.0], [0, 0, 0, 1.0]]),
                    "labels", FIRST, "puts the object out of the picture"),
    "a turned pose": ("render", turn, "geometry", FIRST, f"the pose of {FIRST} does not explain its mask: IoU 0."),
    "another pose": ("render", turn, "labels", FIRST, "cam_T_obj is not the pose that was drawn"),
    "another prompt": ("stylize", relabel("stylize.json", prompt="x"), "labels", FIRST, "prompt is 'x'"),
    "another seed": ("stylize", relabel("stylize.json", stylize_seed=1), "labels", FIRST, "stylize_seed is 1"),
    "another survival": ("stylize", relabel("stylize.json", survival=0.99), "labels", FIRST, "survival is 0.99"),
    "another background": ("shards", relabel(background_id="b9"), "content", FIRST, "background_id is 'b9' in the run"),
    "composites swapped": ("shards", swap("jpg"), "content", SECOND, "jpg differs in"),
    "masks swapped": ("render", swap("mask.png"), "labels", SECOND, "bbox_xyxy is"),
    "silhouettes swapped": ("render", swap("amodal.png"), "geometry", SECOND, "amodal.png is not the silhouette"),
    "renders swapped": ("render", swap("render.png"), "geometry", SECOND, "render.png is not the picture of its mask"),
    "pictures swapped": ("stylize", swap("stylized.png"), "content", SECOND, "stylized.png is not the render"),
    "edges swapped": ("stylize", swap("edges.png"), "content", SECOND, "edges.png is not the control picture"),
    "samples swapped": ("shards", lambda s: dict(reversed(s.items())), "count", "", "not in the order"),
    "a sample is gone": ("shards", lambda s: s.pop(SECOND) and None, "count", SECOND, "the sample is missing"),
    "a sample is more": ("render", lambda s: s | {"car-000007": s[FIRST]}, "count", "car-000007", "does not belong"),
    "a picture twice": ("shards", lambda s: s[SECOND].update(jpg=s[FIRST]["jpg"]), "duplicate", SECOND, "the same as"),
    "a wide picture": ("shards", replace("mask.png", bytes(WIDE)), "content", FIRST, "it is 6000 x 6000 pixels"),
    "a bomb": ("render", replace("depth.npz", BOMB.getvalue()), "content", FIRST, "depth.npz is damaged"),
    "another type": ("render", replace("depth.npz", encode_npz(depth=np.zeros((64, 96)))), "content", FIRST, "float64"),
    "no depth": ("render", replace("depth.npz", encode_npz(depth=np.full((64, 96), np.nan, np.float32))), "content",
                 FIRST, "NaN"),
    "grey levels": ("render", replace("mask.png", encode_png(np.full((64, 96), 7, np.uint8))), "content", FIRST,
                    "values other than 0 and 255"),
}  # fmt: skip


@pytest.mark.parametrize("what", RESEALED)
def test_what_is_changed_under_a_new_seal(run, what):
    stage, change, check, key, told = RESEALED[what]
    reseal(run, stage, SHARD, change)
    texts = [f.what for f in verify_run(run).findings if (f.check, f.stage, f.key) == (check, stage, key)]
    assert any(told in text for text in texts), texts


def entry(name, content=b"", **fields):
    info = tarfile.TarInfo(name)
    info.size = len(content)
    for field, value in fields.items():
        setattr(info, field, value)
    return info, io.BytesIO(content)


@pytest.mark.parametrize(
    "odd",
    [
        entry("../../outside.json", b"{}"),
        entry("/etc/passwd.json", b"{}"),
        entry("car-000000", b""),
        entry("car-\udcff.json", b"{}"),
        entry("car-000000.link", type=tarfile.SYMTYPE, linkname="/etc/passwd"),
        entry("car-000000.folder", type=tarfile.DIRTYPE),
        entry("car-000000.pipe", type=tarfile.FIFOTYPE),
    ],
    ids=lambda odd: odd[0].name,
)
def test_entries_that_are_no_members(run, odd):
    with tarfile.open(run.tar("shards", SHARD), "a") as tar:
        tar.addfile(*odd)
    findings = found(run)
    assert "is not a member of a sample" in findings[("content", "shards", SHARD, "")].what
    assert not (run.root.parent / "outside.json").exists()


def test_a_key_that_stands_twice(run):
    samples = list(read_shard(run.tar("shards", SHARD)))
    write_shard(run.tar("shards", SHARD), [*samples, samples[0]])
    assert "stands in the shard twice" in found(run)[("duplicate", "shards", SHARD, FIRST)].what


def test_a_render_that_was_made_again_otherwise(run):
    """What was made from it is of another run then, though each file is sound."""
    reseal(
        run, "render", SHARD, lambda samples: replace("render.png", next(iter(samples.values()))["render.png"])(samples)
    )
    assert found(run) == {}
    picture = decode_image(next(read_shard(run.tar("render", SHARD)))[1]["render.png"]).copy()
    picture[32, 48, 0] ^= 1
    reseal(run, "render", SHARD, replace("render.png", encode_png(picture)))
    findings = found(run)
    assert "another manifest or render shard" in findings[("ledger", "stylize", SHARD, "")].what
    assert "stylized.png is not the render" in findings[("content", "stylize", SHARD, FIRST)].what
    assert "render.png differs in 1 of" in findings[("content", "shards", SHARD, FIRST)].what


def test_a_shard_of_another_run(run):
    shutil.copy(run.tar("shards", SHARD), run.tar("shards", "car-00009"))
    assert found(run)[("count", "shards", "car-00009", "")].remedy == "take it out of the folder"


def test_a_damaged_model(run):
    path = run.cad_file("car", run.inventory.cads["car"][0].id)
    path.write_bytes(path.read_bytes()[:100])
    assert f"{path} cannot be read" in found(run)[("content", "cad", "car", "")].what


@pytest.mark.parametrize("seed", range(6))
def test_no_damage_is_a_traceback(run, seed):
    """Bytes changed at random, in a tar or a ledger."""
    rng = np.random.default_rng([seed, 1])
    paths = sorted(path for stage in ("render", "stylize", "shards") for path in (run.root / stage).glob("*.*"))
    path = paths[rng.integers(len(paths))]
    for position in rng.integers(path.stat().st_size, size=20):
        flip(path, position, int(rng.integers(1, 256)))
    findings = verify_run(run).findings
    assert findings or path.suffix == ".json"
    assert all(finding.remedy and finding.shard for finding in findings)


@pytest.mark.parametrize(
    ("text", "total", "many"), [("1%", 1000, 10), ("1%", 50, 1), ("50%", 5, 3), ("7", 5, 5), ("7", 9, 7)]
)
def test_how_many_are_made_again(text, total, many):
    assert amount(text)(total) == many


@pytest.mark.parametrize("text", ["", "0", "0%", "-1", "1.5", "x", "%"])
def test_amounts_that_are_none(text):
    with pytest.raises(ValueError, match="neither a share such as 1% nor a number"):
        amount(text)


def test_a_record_of_another_run_is_named_instead_of_all_shards(run):
    path = run.root / "run.json"
    content = path.read_bytes()
    manifest = json.loads(content)["manifest"]
    edit_record(path, manifest=manifest | {"seed": manifest["seed"] + 1})
    (finding,) = verify_run(open_run(run.root, needs=())).findings
    assert str(path) in finding.what
