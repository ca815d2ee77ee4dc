"""The folders that the damage census damages: a run, a dataset, trainings and adaptations, made by the real commands.

Each has a twin, made in the same way with another seed: its files are exchanged with those of the same name.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from p3d_gen.core.errors import DependencyError, RunError
from p3d_gen.run.files import write_bytes
from p3d_gen.run.kept import ADAPTATION, DATASET, RUN, TRAINING

_MANIFEST = """seed = SEED
categories = ["car"]
samples_per_category = 4
shard_size = 2

[cad]
source = "embedded"
variants = [0, 2]

[camera]
image_hw = [64, 64]
focal_px = 300
distance = [5.5, 6.5]

[render]
samples = 1

[output]
members = ["mask", "depth", "cuboid"]

[stylize]
stylizer = "none"
"""
_SETTINGS = 'stylizer = "none"\n[canny]\nground = "object"\nthresholds = [SEED00, 300]\n'
_NAME = "object"
_LIMIT_S, _TICK_S = 600, 0.01
_STAGES = ("--workers", "1")
_TINY = (
    "--backbone", "test_resnet", "--weights", "none", "--image-size", "64", "--batch", "2", "--vertices", "50",
    "--precision", "no", "--device", "cpu", "--checkpoint-every", "1",
)  # fmt: skip
_EPOCHS = ("--batch", "2", "--hypotheses", "1", "--precision", "no", "--device", "cpu", "--target", "run/shards")
_STEPS = {"training": 3, "interrupted training": 60}
_ROUNDS = {"adaptation": 1, "interrupted adaptation": 12}

Command = tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Uses:
    """The commands that use a folder, which may be written {folder}; {new} is a path where nothing is yet.

    check: those that look for damage. use: those that read it, resume it or make it again.
    """

    check: tuple[Command, ...]
    use: tuple[Command, ...]


@dataclass(frozen=True, kw_only=True)
class Specimen:
    """A folder that is damaged. kind: as `run.kept` calls it. root, twin: its path, and its twin's."""

    name: str
    kind: str
    root: Path
    twin: Path
    uses: Uses
    uses_of_stylization: Uses | None = None

    def uses_of(self, name: str) -> Uses:
        """Return the commands that use a file of the folder, by its path there."""
        of_stylization = name.startswith((f"stylize-{_NAME}/", f"shards-{_NAME}/"))
        return self.uses_of_stylization if of_stylization and self.uses_of_stylization else self.uses


def program(name: str) -> str:
    """Return the path of one of the project's programs. DependencyError if it is not installed."""
    path = shutil.which(name, path=os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")]))
    if path is None:
        raise DependencyError(f"{name} is not installed: `pip install 'p3dgen[pose]'` has it")
    return path


def run_command(command: Sequence[str], work: Path) -> subprocess.CompletedProcess[str]:
    """Run a command of the project in a folder, and return its status and output."""
    words = [program(command[0]), *command[1:]]
    told = {"capture_output": True, "text": True, "errors": "replace"}
    return subprocess.run(words, cwd=work, timeout=_LIMIT_S, check=False, **told)  # type: ignore[call-overload,no-any-return]


def _make(command: Sequence[str], work: Path) -> None:
    done = run_command(command, work)
    if done.returncode:
        raise RunError(f"`{' '.join(command)}` failed: {(done.stderr or done.stdout).strip()}")


def _interrupt(command: Sequence[str], work: Path, out: Path) -> None:
    """Start a command, and kill it as soon as it has written a checkpoint."""
    process = subprocess.Popen(
        [program(command[0]), *command[1:]], cwd=work, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    while process.poll() is None and not (out / "checkpoint.safetensors").exists():
        time.sleep(_TICK_S)
    process.kill()
    process.wait()
    if (out / "model.json").exists() or not (out / "checkpoint.safetensors").exists():
        raise RunError(f"`{' '.join(command)}` was not interrupted: run the census again")


def _train(name: str, out: str, seed: int) -> Command:
    steps = ("--steps", str(_STEPS[name]), "--seed", str(seed))
    return ("pose-models", "train", "--shards", "run/shards", "--out", out, *_TINY, *steps)


def _adapt(name: str, out: str, seed: int) -> Command:
    epochs = ("--epochs", str(_ROUNDS[name]), "--seed", str(seed))
    return ("pose-models", "adapt", "3duda", "--model", "training", "--out", out, *_EPOCHS, *epochs)


def _run_commands(manifest: str, folder: str) -> tuple[Command, ...]:
    named = ("--name", _NAME, *_STAGES)
    return (
        ("p3dgen", "run", manifest, "--out", folder, "--render-device", "cpu", *_STAGES),
        ("p3dgen", "stylize", folder, "--settings", f"object_{manifest.replace('/', '_')}", "--device", "cpu", *named),
        ("p3dgen", "pack", folder, *named),
        ("p3dgen", "licenses", folder),
    )


def _make_dataset(run: str, folder: str) -> Command:
    splits = ("--split", "train=0.5", "--split", "test=0.5", "--shard-size", "1")
    return ("p3dgen", "dataset", "make", f"r={run}", "--out", folder, *splits)


_TWIN = "twin/"


def _specimens(work: Path) -> tuple[Specimen, ...]:
    run, stylize, pack, licenses = _run_commands("run.toml", "{folder}")
    verify = ("p3dgen", "verify", "{folder}", "--workers", "1")
    dataset = _make_dataset("run", "{folder}")
    checked = (("pose-models", "check", "{folder}"),)
    evaluate = ("pose-models", "evaluate", "--model", "{folder}", "--data", "run/shards", "--device", "cpu")
    uses = {
        RUN: Uses(check=(verify,), use=(_make_dataset("{folder}", "{new}"), run, licenses)),
        DATASET: Uses(
            check=(("p3dgen", "dataset", "check", "{folder}"),),
            use=(("p3dgen", "export", "coco", "{folder}", "--out", "{new}"), dataset),
        ),
        TRAINING: Uses(check=checked, use=(evaluate,)),
        ADAPTATION: Uses(check=checked, use=(evaluate,)),
        "interrupted training": Uses(check=checked, use=(_train("interrupted training", "{folder}", 0),)),
        "interrupted adaptation": Uses(check=checked, use=(_adapt("interrupted adaptation", "{folder}", 0),)),
    }
    of_stylization = Uses(check=((*verify, "--name", _NAME),), use=(stylize, pack))
    return tuple(
        Specimen(
            name=name,
            kind=name.removeprefix("interrupted "),
            root=work / name.replace(" ", "_"),
            twin=work / _TWIN / name.replace(" ", "_"),
            uses=each,
            uses_of_stylization=of_stylization if name == RUN else None,
        )
        for name, each in uses.items()
    )


def _make_specimen(specimen: Specimen, work: Path, seed: int) -> None:
    """Make a folder, or with another seed its twin."""
    place = specimen.twin if seed else specimen.root
    shutil.rmtree(place, ignore_errors=True)
    folder = str(place.relative_to(work))
    if specimen.kind == RUN:
        manifest = f"{folder}.toml"
        write_bytes(work / manifest, _MANIFEST.replace("SEED", str(seed)).encode())
        settings = work / f"object_{manifest.replace('/', '_')}"
        write_bytes(settings, _SETTINGS.replace("SEED", str(seed + 1)).encode())
        for command in _run_commands(manifest, folder):
            _make(command, work)
        for view in ("verify", "report", "provenance"):
            _make(("p3dgen", view, folder), work)
    elif specimen.kind == DATASET:
        _make(_make_dataset(f"{_TWIN}run" if seed else "run", folder), work)
    else:
        command = (_train if specimen.kind == TRAINING else _adapt)(specimen.name, folder, seed)
        if specimen.name.startswith("interrupted"):
            _interrupt(command, work, place)
        else:
            _make(command, work)


def make_specimens(work: Path, names: Sequence[str]) -> list[Specimen]:
    """Make those of the folders that are asked for and not there yet, and what they are made from.

    Every command runs in `work`. A folder is marked as made by an empty file beside it.
    """
    every = _specimens(work)
    needed = {specimen.kind for specimen in every if specimen.name in names}
    sources = {RUN} | ({TRAINING} if ADAPTATION in needed else set())
    for specimen in every:
        if specimen.name not in {*names, *sources}:
            continue
        for seed, place in ((0, specimen.root), (1, specimen.twin)):
            made = place.with_name(f"{place.name}.made")
            if not made.exists():
                _make_specimen(specimen, work, seed)
                write_bytes(made, b"")
    return [specimen for specimen in every if specimen.name in names]
