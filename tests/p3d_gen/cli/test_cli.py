"""The commands as a user runs them."""

import json
import random
import shutil
import signal
import subprocess
import sys
import time
from importlib.metadata import version
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from p3d_gen.cli import main
from p3d_gen.render.prepare import ensure_models
from p3d_gen.run.ledgers import seal, stage_inputs
from p3d_gen.run.shards import read_shard
from p3d_gen.run.store import create_run, open_run
from tests.helpers.assets import edit
from tests.helpers.commands import BIN, shard_hashes


def invoke(*arguments):
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


COMMANDS = [
    "render",
    "stylize",
    "pack",
    "run",
    "sheet",
    "report",
    "verify",
    "replay",
    "licenses",
    "provenance",
    "doctor",
    "train-stylizer",
    "bench render",
    "bench stylize",
]


@pytest.mark.parametrize("command", COMMANDS)
def test_help_has_an_example(command):
    result = invoke(*command.split(), "--help")
    assert result.exit_code == 0
    assert f"Example:\n    p3dgen {command}" in result.output


def leaves(command, path=()):
    """Every command of the command line, with the words that call it."""
    for name, child in command.commands.items():
        if isinstance(child, click.Group):
            yield from leaves(child, (*path, name))
        else:
            yield (*path, name), child


@pytest.mark.parametrize(
    ("path", "command"), list(leaves(main)), ids=lambda value: " ".join(value) if isinstance(value, tuple) else ""
)
def test_every_option_is_explained_by_a_complete_phrase(path, command):
    for option in command.params:
        if isinstance(option, click.Option) and not option.hidden:
            words = (option.help or "").split()
            assert words, option.name
            assert words[0] not in ("Of", "That", "As", "What", "Whether", "How", "Where", "Which"), option.help
            assert words[0][0].isupper(), option.help
            assert words[-1][-1] in ".)", option.help
    assert "..." not in command.get_short_help_str(1000)


def test_doctor_says_what_is_there():
    result = invoke("doctor")
    assert result.exit_code == 0, result.output
    assert "4.5.15" in result.output
    assert invoke("doctor", "--apt").output == "\n"


def test_doctor_as_json_knows_software_hardware_and_storage():
    states = {each["name"]: each["state"] for each in json.loads(invoke("doctor", "--json").stdout)}
    assert states["p3dgen"] == version("p3dgen")
    assert {"GPUs", "memory", "disk", "/dev/shm", "ray", "s3fs", "bpy", "python"} <= states.keys()


def turn_one_pose(root):
    """Mirror the stored pose of the first rendered sample, and seal its shard again."""
    run = open_run(root)
    samples = list(read_shard(run.tar("render", "car-00000")))
    labels = json.loads(samples[0][1]["json"])
    labels["cam_T_obj"][0] = [-value for value in labels["cam_T_obj"][0]]
    samples[0][1]["json"] = json.dumps(labels).encode()
    seal(run, "render", "car-00000", stage_inputs(run, "render"), samples, [])


@pytest.mark.blender
def test_stage_by_stage_is_the_same_as_run(tmp_path, manifest_path):
    for arguments in (
        ("render", manifest_path, "--out", tmp_path / "a"),
        ("stylize", tmp_path / "a"),
        ("pack", tmp_path / "a", "--workers", 1),
        ("run", manifest_path, "--out", tmp_path / "b", "--workers", 2),
    ):
        result = invoke(*arguments)
        assert result.exit_code == 0, result.output
    assert "pack: 6 samples in 4 shards, 0 failed" in result.output
    assert str(tmp_path / "b" / "contact_sheet.jpg") in result.output
    assert len(shard_hashes(tmp_path / "a")) == 12
    assert shard_hashes(tmp_path / "a") == shard_hashes(tmp_path / "b")
    assert (tmp_path / "b" / "contact_sheet.jpg").stat().st_size > 10_000
    again = invoke("run", manifest_path, "--out", tmp_path / "b")
    assert again.output == f"nothing to do: {tmp_path / 'b' / 'shards'} is finished (6 samples in 4 shards, 0 failed)\n"
    (tmp_path / "b" / "contact_sheet.jpg").unlink()
    assert "contact sheet: " in invoke("pack", tmp_path / "b").output
    verified = invoke("verify", tmp_path / "b")
    assert verified.exit_code == 0, verified.output
    assert "6 samples: mask IoU worst" in verified.output
    turn_one_pose(tmp_path / "b")
    verified = invoke("verify", tmp_path / "b")
    assert verified.exit_code == 1
    assert "the pose of car-000000 does not explain its mask" in verified.output


@pytest.mark.blender
@pytest.mark.parametrize("kills", [5, pytest.param(20, marks=pytest.mark.slow)])
def test_sigkill_at_any_time_ends_in_the_same_bytes(tmp_path, manifest_path, kills):
    """From the preparation of the models to the last shard, with every label, an occluder and a cut frame."""
    edit(
        manifest_path,
        ("samples = 1", 'samples = 1\n[occlusion]\nlevel = "L1"\ntruncation = [0.0, 0.3]'),
        ("resolution = 128", 'resolution = 128\n[output]\nmembers = ["mask", "occluders", "depth", "nocs", "cuboid"]'),
    )
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    start = time.monotonic()
    subprocess.run([BIN, "run", manifest_path, "--out", whole, "--workers", "2"], check=True, capture_output=True)
    duration = time.monotonic() - start
    when = random.Random(0)
    command = [BIN, "run", manifest_path, "--out", killed, "--workers", "2"]
    for _ in range(kills):
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(when.uniform(0.05, 0.7) * duration)
        process.send_signal(signal.SIGKILL)
        process.wait()
    last = subprocess.run(command, capture_output=True, text=True)
    assert last.returncode == 0, last.stderr
    assert shard_hashes(killed) == shard_hashes(whole)
    assert not list(killed.rglob(".*"))
    names = {path.relative_to(killed) for path in killed.rglob("*")}
    assert names == {path.relative_to(whole) for path in whole.rglob("*")}
    for name in names:
        if name.parts[0] == "cad" and (whole / name).is_file() and name.suffix != ".blend":
            assert (killed / name).read_bytes() == (whole / name).read_bytes()


@pytest.mark.blender
def test_failed_samples_set_the_exit_status(tmp_path, assets, manifest_path):
    textures = sorted((assets / "textures").glob("*/*.jpg"))
    good = [path.read_bytes() for path in textures]
    for path, content in zip(textures, good, strict=True):
        path.write_bytes(bytes(len(content)))
    result = invoke("render", manifest_path, "--out", tmp_path / "r", "--workers", 1)
    assert result.exit_code == 1
    assert "is not a readable picture" in result.output
    assert "6 samples failed, 0 are allowed" in result.output
    whole = invoke("run", manifest_path, "--out", tmp_path / "r", "--workers", 1)
    assert whole.exit_code == 1
    assert "is not a readable picture" in whole.output
    assert "holds no sample to show" not in whole.output
    assert not (tmp_path / "r" / "contact_sheet.jpg").exists()
    assert invoke("render", manifest_path, "--out", tmp_path / "r", "--allow-failures", 6).exit_code == 0
    for path, content in zip(textures, good, strict=True):
        path.write_bytes(content)
    edited = invoke("render", manifest_path, "--out", tmp_path / "r", "--workers", 1)
    assert edited.exit_code == 1
    assert "another content; put the former one back, add --retry-failed if it was repaired" in edited.output
    repaired = invoke("render", manifest_path, "--out", tmp_path / "r", "--retry-failed", "--workers", 1)
    assert repaired.exit_code == 0, repaired.output
    assert "repaired since samples failed for them: " in repaired.output
    assert "render: 6 samples in 4 shards, 0 failed" in repaired.output


@pytest.mark.blender
def test_failed_samples_can_be_retried(tmp_path, manifest_path):
    """Blender alone takes more than 256 MB."""
    ensure_models(create_run(tmp_path / "r", manifest_path).root)
    arguments = ["render", manifest_path, "--out", tmp_path / "r", "--workers", 1]
    result = invoke(*arguments, "--memory-mb", 256)
    assert result.exit_code == 1
    assert "samples failed, 0 are allowed" in result.output
    result = invoke(*arguments, "--retry-failed")
    assert result.exit_code == 0, result.output
    assert "render: 6 samples in 4 shards, 0 failed" in result.output


@pytest.mark.blender
def test_a_broken_cad_stops_before_anything_is_rendered(tmp_path, assets, manifest_path):
    (assets / "cad" / "car" / "m1.off").write_text("no model")
    result = invoke("run", manifest_path, "--out", tmp_path / "r")
    assert result.exit_code == 1
    assert "m1.off" in result.output
    assert "cad.include" in result.output
    assert not (tmp_path / "r" / "render").exists()


def test_clear_errors(tmp_path, manifest_path):
    result = invoke("pack", tmp_path)
    assert result.exit_code == 1
    assert "holds no run.json" in result.output
    manifest_path.write_text("sead = 1\n" + manifest_path.read_text())
    result = invoke("render", manifest_path, "--out", tmp_path / "r")
    assert result.exit_code == 1
    assert "did you mean 'seed'?" in result.output
    assert "Traceback" not in result.output
    assert invoke("render", tmp_path / "none.toml", "--out", "x").exit_code == 2


def test_stages_out_of_order(run):
    result = invoke("stylize", run.root)
    assert result.exit_code == 1
    assert "run `p3dgen render` first" in result.output


def test_missing_bpy(tmp_path, manifest_path):
    """A real process in which bpy cannot be found."""
    code = (
        "import sys, importlib.util as u\n"
        "real = u.find_spec\n"
        "u.find_spec = lambda name, *a: None if name == 'bpy' else real(name, *a)\n"
        "from p3d_gen.cli import main\n"
        f"main(['render', {str(manifest_path)!r}, '--out', {str(tmp_path / 'r')!r}])\n"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert result.returncode == 1
    assert "bpy (Blender as a module) is not installed: pip install 'p3dgen[render]'" in result.stderr


@pytest.mark.blender
@pytest.mark.skipif(shutil.which("prlimit") is None, reason="prlimit is not installed")
def test_full_disk(tmp_path, manifest_path):
    """No file may pass 30 kB, which fails a write in the kernel as a full disk does: here Blender's own picture."""
    command = [BIN, "render", manifest_path, "--out", tmp_path / "r", "--workers", "1"]
    result = subprocess.run(["prlimit", "--fsize=30000", *command], capture_output=True, text=True)
    assert result.returncode == 1
    assert "is the disk full?" in result.stderr
    assert "Traceback" not in result.stderr
    again = subprocess.run(command, capture_output=True, text=True)
    assert again.returncode == 0, again.stderr
    assert json.loads((tmp_path / "r" / "render" / "car-00000.json").read_text())["count"] == 2


def test_importing_the_commands_loads_nothing_heavy():
    heavy = ["torch", "bpy", "ray", "diffusers", "transformers", "cv2", "scipy", "trimesh", "pose_models"]
    code = f"import sys, p3d_gen.cli; print([m for m in {heavy} if m in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "[]\n"


def test_bpy_is_imported_in_one_folder_only_and_never_pose_models():
    root = Path(__file__).parents[3] / "p3d_gen"
    for path in root.rglob("*.py"):
        lines = [
            line.strip() for line in path.read_text().splitlines() if line.strip().startswith(("import ", "from "))
        ]
        assert not any("pose_models" in line for line in lines), path
        if path.parent.name != "blender":
            assert not any(line.split()[1].split(".")[0] in ("bpy", "bmesh", "mathutils") for line in lines), path


def test_open_run_needs_no_manifest_file(run, manifest_path):
    manifest_path.unlink()
    assert open_run(run.root) == run
