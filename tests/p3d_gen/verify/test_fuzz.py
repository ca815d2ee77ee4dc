"""Mutated manifests, ledgers and shards: a correct result or a clear error, and nothing written outside the run."""

import shutil
import signal
import traceback
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from p3d_gen.cli import main
from p3d_gen.core.errors import P3DError
from p3d_gen.run.store import create_run, open_run
from p3d_gen.spec.sampling import spec
from tests.helpers.commands import STAGES
from tests.helpers.fake_runs import packed_run
from tests.helpers.mutations import RAW, mutate_ledger, mutate_run, mutate_shard, rekeyed, renumbered

FAST, ALL = 200, 1000
PATIENCE_S = 30
MANIFEST = """
seed = 1
categories = ["car", "chair"]
samples_per_category = 2
shard_size = 1

[cad]
source = "embedded"
variants = [0, 2]

[viewpoint]
coverage = "stratified"

[camera]
image_hw = [32, 48]
focal_px = 200.0
distance = [5.0, 6.0]

[background]
source = "backgrounds"
edge = "soft"
shadow = 0.5

[stylize]
resolution = 64
colours = ["red", "blue"]

[output]
members = ["mask", "depth", "normals"]
image_format = "png"
"""


@contextmanager
def patience():
    """TimeoutError where the block hangs."""

    def give_up(*_):
        raise TimeoutError(f"no end after {PATIENCE_S} s")

    signal.signal(signal.SIGALRM, give_up)
    signal.alarm(PATIENCE_S)
    try:
        yield
    finally:
        signal.alarm(0)


def commands(run, out):
    """What may be done with a run, each with the stages before it that may be damaged."""
    return [
        ("status", run, "--json"),
        ("stylize", run, "--workers", 1),
        ("pack", run, "--workers", 1),
        ("verify", run, "--workers", 1),
        ("sheet", run),
        ("report", run, "--samples", 2),
        ("licences", run),
        ("provenance", run),
        ("dataset", "make", run, "--out", out / "dataset", "--split", "train=1"),
        *(("export", kind, run, "--out", out / kind) for kind in ("coco", "bop", "pascal3d", "nemo")),
        ("read", run),
    ]


def forget_after(run, stage, rng):
    """Let stages after a damaged one be made again."""
    if rng.random() < 0.7:
        for later in STAGES[STAGES.index(stage) + 1 :]:
            for ledger in (run / later).glob("*.json"):
                ledger.unlink()


def read_samples(run):
    """Read all packed samples as trainings do: they are there, or a ValueError says what is wrong."""
    from pose_models.data.shards import ShardSamples

    with suppress(ValueError):
        list(ShardSamples(sorted((run / "shards").glob("*.tar"))))


def attempt(arguments):
    """Run a command: it succeeds, or says in a message what is wrong."""
    if arguments[0] == "read":
        read_samples(arguments[1])
        return
    result = CliRunner().invoke(main, [str(argument) for argument in arguments])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise AssertionError(f"{arguments}: {type(result.exception).__name__}") from result.exception
    assert result.exit_code in (0, 1, 2), result.output
    assert "Traceback" not in result.output
    assert result.exit_code == 0 or "Error: " in result.output, result.output


@pytest.fixture(scope="module")
def sound(tmp_path_factory):
    """A finished run of four samples in four shards."""
    run, ledgers = packed_run(tmp_path_factory.mktemp("sound"), MANIFEST, (40, 60))
    assert all(ledger.count == 1 for ledger in ledgers)
    return run


def files(folder):
    return {str(path): path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()}


MUTATE = {"run": mutate_run, "ledger": mutate_ledger, "shard": mutate_shard}
SHARES = {"manifest": 0.3, "run": 0.05, "ledger": 0.25, "shard": 0.4}
NUMBERS = {"manifest": 1, "run": 2, "ledger": 3, "shard": 4}


def damaged_run(rng, target, sound, folder, large):
    """A mutated copy of a run, and a command on it."""
    run = open_run(shutil.copytree(sound.root, folder / "run"))
    stage = MUTATE[target](rng, run, large)
    forget_after(run.root, stage, rng)
    every = commands(run.root, folder / "out")
    attempt(every[rng.integers(len(every))])


def damaged_manifest(rng, sound, folder):
    """A mutated manifest beside the true one's sources, and what is begun with it."""
    path = sound.root.parent / f"manifest-{folder.name}.toml"
    changes = (rekeyed, rekeyed, renumbered, *RAW)
    change = changes[rng.integers(len(changes))]
    try:
        path.write_bytes(change(rng, (sound.root.parent / "manifest.toml").read_bytes()))
        attempt(("assets", "list", path))
        with suppress(P3DError):
            run = create_run(folder / "run", path)
            assert open_run(run.root) == run
            for category in run.manifest.categories:
                assert spec(run.manifest, run.inventory, category, 0).category == category
    finally:
        path.unlink(missing_ok=True)


@pytest.mark.parametrize(("cases", "large"), [(FAST, False), pytest.param(ALL, True, marks=pytest.mark.slow)])
@pytest.mark.parametrize("target", SHARES)
def test_what_is_mutated_is_read_rightly_or_refused_in_words(tmp_path, sound, monkeypatch, target, cases, large):
    """Within the patience, with nothing written outside the run and the folder that a command was given."""
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    before, failed = files(sound.root.parent), []
    for number in range(int(cases * SHARES[target])):
        rng = np.random.default_rng([NUMBERS[target], 1, number])
        folder = tmp_path / "cases" / str(number)
        folder.mkdir(parents=True)
        try:
            with patience():
                if target == "manifest":
                    damaged_manifest(rng, sound, folder)
                else:
                    damaged_run(rng, target, sound, folder, large)
        except Exception as error:
            failed.append(
                f"case {number}: {error!r}\n" + "".join(traceback.format_exception(error.__cause__ or error)[-4:])
            )
        assert {path.name for path in folder.iterdir()} <= {"run", "out"}
        shutil.rmtree(folder)
    assert files(sound.root.parent) == before
    assert {path.name for path in tmp_path.iterdir()} <= {"here", "cases"}
    assert not files(tmp_path)
    assert not Path("/tmp/p3dgen-fuzz-outside.png").exists()
    assert not failed, f"{len(failed)}\n" + "\n".join(failed)
