"""Stylizations with a name stand beside the manifest's own, on the same renders."""

import json
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from click.testing import CliRunner

from p3d_gen.cli import main
from p3d_gen.core.errors import ConfigError, DependencyError, ManifestError, RunError
from p3d_gen.run.ledgers import read_ledger
from p3d_gen.run.shards import read_shard
from p3d_gen.run.store import create_run
from p3d_gen.spec.stylize import load_settings
from p3d_gen.stylize import stage
from p3d_gen.stylize.stage import stylize_shard
from p3d_gen.stylize.stylization import create_stylization, open_stylization, stylization_names
from tests.helpers.fake_runs import Noisy, fake_renders

BIN = Path(sys.executable).parent / "p3dgen"


@pytest.fixture(autouse=True)
def _noisy(monkeypatch):
    monkeypatch.setattr("p3d_gen.stylize.diffusion.DiffusionStylizer", Noisy)
    yield
    stage._pipeline.cache_clear()


@pytest.fixture
def weights(tmp_path):
    """Folders that pass for weights: the stylizer of these tests reads none."""
    for name, config in (("base", "model_index.json"), ("controlnet", "config.json")):
        (tmp_path / name).mkdir()
        (tmp_path / name / config).write_text("{}")
    return tmp_path


@pytest.fixture
def noisy_toml(weights):
    path = weights / "noisy.toml"
    path.write_text(
        'stylizer = "controlnet"\nbase = "./base"\nresolution = 64\nprompt = "a {colour} {word}"\n'
        'control = [{weights = "./controlnet"}]\nwords = {car = ["van"], chair = ["stool", "seat"]}\n'
    )
    return path


@pytest.fixture
def rendered(run):
    fake_renders(run)
    return run


ONE = ("--workers", 1)  # is this process, in which the pipeline is another one


def invoke(*arguments):
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def given(path):
    return load_settings(path), path.parent


def keys(run, folder):
    return [key for shard in run.all_shards() for key, _ in read_shard(run.tar(folder, shard))]


def members_of(run, folder, member):
    return [members[member] for shard in run.all_shards() for _, members in read_shard(run.tar(folder, shard))]


def hashes(root):
    return {path.relative_to(root): path.read_bytes() for path in sorted(root.glob("*/*.tar"))}


def test_several_stand_side_by_side(rendered, noisy_toml):
    run = rendered
    assert invoke("stylize", run.root, *ONE).exit_code == 0
    own = hashes(run.root)
    for command in (("stylize", "--settings", noisy_toml, *ONE), ("pack", *ONE)):
        result = invoke(command[0], run.root, "--name", "a-1", *command[1:])
        assert result.exit_code == 0, result.output
    assert "6 samples in 4 shards, 0 failed" in result.output
    assert str(run.root / "contact_sheet-a-1.jpg") in result.output
    assert keys(run, "render") == keys(run, "stylize") == keys(run, "stylize-a-1") == keys(run, "shards-a-1")
    assert members_of(run, "stylize", "stylized.png") != members_of(run, "stylize-a-1", "stylized.png")
    asked = [json.loads(member) for member in members_of(run, "shards-a-1", "json")]
    assert {each["prompt"].split()[-1] for each in asked} <= {"van", "stool", "seat"}
    assert {each["stylizer_base"] for each in asked} == {"noise"}
    assert {path: content for path, content in hashes(run.root).items() if path in own} == own
    assert stylization_names(run) == ["a-1"]
    stored = json.loads((run.root / "stylize-a-1" / "settings.json").read_text())
    assert stored["base_dir"] == str(noisy_toml.parent)
    assert stored["settings"]["base"] == "./base"


def test_what_is_said_of_a_named_one(rendered, noisy_toml):
    run = rendered
    invoke("stylize", run.root, "--name", "a", "--settings", noisy_toml, *ONE)
    assert invoke("pack", run.root, "--name", "a", *ONE).exit_code == 0
    for command, file in (("sheet", "contact_sheet-a.jpg"), ("report", "report-a.html")):
        result = invoke(command, run.root, "--name", "a")
        assert result.exit_code == 0, result.output
        assert result.output.strip() == str(run.root / file)
        assert not (run.root / file.replace("-a", "")).exists()
    page = (run.root / "report-a.html").read_text()
    assert "stylize.resolution" in page
    assert "Label survival" in page
    verified = invoke("verify", run.root, "--name", "a")
    assert "6 samples: mask IoU worst 1.0000" in verified.output
    assert "p3dgen pack`" in invoke("verify", run.root).output
    run.tar("shards-a", "car-00000").write_bytes(b"")
    assert "run `p3dgen pack --name a` again" in invoke("verify", run.root, "--name", "a").output


def test_a_name_keeps_its_meaning(rendered, noisy_toml):
    run = rendered
    first = create_stylization(run, "a", given(noisy_toml))
    assert (
        open_stylization(run, "a")
        == create_stylization(run, "a")
        == create_stylization(run, "a", given(noisy_toml))
        == first
    )
    noisy_toml.write_text(noisy_toml.read_text() + "steps = 4\n")
    with pytest.raises(RunError, match=r"settings\.json holds other .* \(settings\.steps: 30 -> 4\): .*another --name"):
        create_stylization(run, "a", given(noisy_toml))
    with pytest.raises(RunError, match=r"settings\.min_survival: 0\.0 -> 0\.5"):
        create_stylization(run, "a", min_survival=0.5)
    assert create_stylization(run, "a").settings.steps == 30
    assert create_stylization(run, "b", given(noisy_toml)).settings.steps == 4


def test_a_new_name_needs_a_setting(rendered):
    result = invoke("stylize", rendered.root, "--name", "a")
    assert result.exit_code == 1
    assert "nothing says how it differs from the manifest's own: give --settings FILE or" in result.output
    assert stylization_names(rendered) == []


def test_least_survival_is_recorded(rendered, noisy_toml):
    run = rendered
    for arguments, said in (
        (
            ("--settings", noisy_toml, "--min-survival", 1),
            "stylize-a: 0 samples in 4 shards, 6 failed; label survival below 1.0: 18; model busy",
        ),
        ((), "stylize-a is finished (0 samples in 4 shards, 6 failed)"),
    ):
        result = invoke("stylize", run.root, "--name", "a", "--allow-failures", 6, *ONE, *arguments)
        assert result.exit_code == 0, result.output
        assert said in result.output
    assert open_stylization(run, "a").settings.min_survival == 1.0
    result = invoke("stylize", run.root, "--name", "a", *ONE)
    assert result.exit_code == 1
    assert "6 samples failed, 0 are allowed" in result.output
    assert "car-000000: given up after 3 pictures: label survival below 1.0 (3), at best 0." in result.output


def test_the_manifests_own_is_the_manifests(rendered, noisy_toml):
    run = rendered
    with pytest.raises(RunError, match="--settings needs a --name"):
        create_stylization(run, given=given(noisy_toml))
    with pytest.raises(RunError, match=r"--min-survival 0\.5 is not the manifest's stylize\.min_survival = 0\.0"):
        create_stylization(run, min_survival=0.5)
    own = create_stylization(run, min_survival=0.0)
    assert (own.name, own.stage, own.packed, own.settings) == ("", "stylize", "shards", run.manifest.stylize)
    with_name = create_stylization(run, "half", min_survival=0.5)
    assert with_name.settings == run.manifest.stylize.model_copy(update={"min_survival": 0.5})


@pytest.mark.parametrize("name", ["a b", "a/b", "../a", "a.b", "é", "."])
def test_names_that_cannot_be(run, name):
    for command in ("stylize", "pack", "sheet", "report", "verify"):
        result = invoke(command, run.root, "--name", name)
        assert result.exit_code == 1
        assert "use letters, digits, _ and -" in result.output


def test_a_name_that_stands_for_nothing(rendered, noisy_toml):
    said = r"no stylization 'fst'; it has no stylization with a name; `p3dgen stylize --name fst`"
    with pytest.raises(RunError, match=said):
        open_stylization(rendered, "fst")
    create_stylization(rendered, "fast", given(noisy_toml))
    with pytest.raises(RunError, match=r"no stylization 'fst'; did you mean 'fast'\?"):
        open_stylization(rendered, "fst")


@pytest.mark.parametrize("content", ["", "[]", '{"schema_version": 99}', '{"schema_version": 3, "settings": {}}'])
def test_damaged_settings(rendered, noisy_toml, content):
    create_stylization(rendered, "a", given(noisy_toml))
    (rendered.root / "stylize-a" / "settings.json").write_text(content)
    with pytest.raises(RunError, match=r"settings\.json cannot be used: .*another --name"):
        open_stylization(rendered, "a")


def test_failures_of_a_named_one_can_be_retried(rendered, noisy_toml):
    run = rendered
    arguments = ("stylize", run.root, "--name", "a", "--settings", noisy_toml, "--min-survival", 1, *ONE)
    assert invoke(*arguments).exit_code == 1
    before = [run.tar("stylize-a", shard).stat().st_ino for shard in run.all_shards()]
    assert invoke(*arguments).exit_code == 1
    assert [run.tar("stylize-a", shard).stat().st_ino for shard in run.all_shards()] == before
    assert invoke(*arguments, "--retry-failed").exit_code == 1
    assert [run.tar("stylize-a", shard).stat().st_ino for shard in run.all_shards()] != before


def test_its_shards_follow_its_prompts_and_the_renders_alone(rendered, noisy_toml):
    run = rendered
    (noisy_toml.parent / "prompts.txt").write_text("one {colour} {category}\n")
    noisy_toml.write_text(noisy_toml.read_text() + 'prompt_file = "prompts.txt"\n')
    create_stylization(run, "a", given(noisy_toml))
    first = stylize_shard(str(run.root), "car-00000", "a")
    assert stylize_shard(str(run.root), "car-00000", "a") == first
    (noisy_toml.parent / "prompts.txt").write_text("another {colour} {category}\n")
    again = stylize_shard(str(run.root), "car-00000", "a")
    assert again.inputs != first.inputs
    assert again == read_ledger(run, "stylize-a", "car-00000")


def fails_before_anything_is_made(run, said, error, settings):
    with pytest.raises(error, match=said):
        create_stylization(run, "a", given(settings))
    assert not (run.root / "stylize-a").exists()


def test_early_errors(rendered, noisy_toml):
    run, text = rendered, noisy_toml.read_text()
    noisy_toml.write_text(text.replace('car = ["van"], ', ""))
    fails_before_anything_is_made(run, r"a \{word\} of 'car', which has none", ManifestError, noisy_toml)
    noisy_toml.write_text(text.replace("{weights", '{image = "normals", weights'))
    fails_before_anything_is_made(
        run, "reads the renders' normals, which output.members does not name", ManifestError, noisy_toml
    )
    noisy_toml.write_text(text.replace('"./base"', '"./gone"'))
    fails_before_anything_is_made(run, r"stylize\.base = './gone': there is no folder", ManifestError, noisy_toml)
    (noisy_toml.parent / "base" / "model_index.json").unlink()
    noisy_toml.write_text(text)
    fails_before_anything_is_made(run, r"there is no model_index\.json", DependencyError, noisy_toml)
    noisy_toml.write_text("stepps = 3\n")
    fails_before_anything_is_made(run, "unknown key 'stepps'; did you mean 'steps'", ConfigError, noisy_toml)


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ('prompt = "a {word}"', "asks for a {word} of 'car'"),
        ('stylizer = "controlnet"\nbase = "./gone"', "there is no folder"),
        ('control = [{image = "depth"}]\n[output]\nmembers = ["mask"]', "does not name"),
    ],
)
def test_a_manifest_that_cannot_be_stylised_is_not_rendered(tmp_path, manifest_path, keys, said):
    manifest_path.write_text(f"{manifest_path.read_text()}{keys}\n")
    result = invoke("run", manifest_path, "--out", tmp_path / "r")
    assert result.exit_code == 1
    assert said in result.output
    assert not (tmp_path / "r" / "render").exists()


def killed_until_done(command, kills, duration):
    when = random.Random(0)
    for _ in range(kills):
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(when.uniform(0.3, 0.95) * duration)
        process.send_signal(signal.SIGKILL)
        process.wait()
    last = subprocess.run(command, capture_output=True, text=True)
    assert last.returncode == 0, last.stderr


def check_kills(tmp_path, manifest_path, settings, kills):
    """Killed runs of `p3dgen stylize --name` and an undisturbed one give the same bytes."""
    text = manifest_path.read_text().replace("samples_per_category = 3", "samples_per_category = 10")
    manifest_path.write_text(text.replace("shard_size = 2", "shard_size = 3"))
    runs = []
    for name in ("whole", "killed"):
        runs.append(create_run(tmp_path / name, manifest_path))
        fake_renders(runs[-1])
    options = ["--name", "a", "--settings", str(settings)]
    start = time.monotonic()
    subprocess.run([BIN, "stylize", str(runs[0].root), *options], check=True, capture_output=True)
    killed_until_done([BIN, "stylize", str(runs[1].root), *options], kills, time.monotonic() - start)
    assert len(hashes(runs[0].root)) == 16
    assert hashes(runs[0].root) == hashes(runs[1].root)
    assert not list(runs[1].root.rglob(".*"))


def test_sigkill_at_any_time_ends_in_the_same_bytes(tmp_path, manifest_path):
    settings = tmp_path / "none.toml"
    settings.write_text('stylizer = "none"\nresolution = 256\nbatch = 2\n')
    check_kills(tmp_path, manifest_path, settings, 3)


@pytest.mark.slow
def test_sigkill_of_a_real_pipeline(tmp_path, manifest_path):
    from tests.helpers.tiny_diffusion import save_tiny_pipeline

    base, controlnet = save_tiny_pipeline(tmp_path / "weights")
    settings = tmp_path / "tiny.toml"
    settings.write_text(
        f'stylizer = "controlnet"\nbase = "{base}"\nresolution = 64\nsteps = 2\nbatch = 2\n'
        f'control = [{{weights = "{controlnet}"}}]\n'
    )
    check_kills(tmp_path, manifest_path, settings, 6)
