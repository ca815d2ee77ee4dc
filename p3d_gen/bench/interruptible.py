"""The commands that `p3dgen bench kills` kills: small, with many finished parts, and able to resume."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from p3d_gen.core.errors import DataError, DependencyError
from p3d_gen.run.files import file_sha256
from p3d_gen.run.shards import list_samples

MANIFEST = """
seed = 3
categories = ["car", "chair"]
samples_per_category = 6
shard_size = 1

[cad]
source = "embedded"
variants = [0, 2]

[camera]
image_hw = [64, 96]
focal_px = 300
distance = [5, 6]

[render]
samples = 1

[stylize]
stylizer = "controlnet"
base = "embedded"
control = [{ weights = "embedded" }]
negative_prompt = ""
resolution = 64
steps = 1
guidance_scale = 1.0
batch = 2
"""
"""The manifest of the runs: 12 samples in 12 shards, stylized by the small stylizer of the package."""

SIGNALS = ("SIGTERM", "SIGINT", "SIGKILL")
_STAGES = ("render", "stylize", "shards")
_STEPS, _CHECKPOINT_EVERY, _EPOCHS = 120, 3, 6
_MODEL, _CHECKPOINT, _LENGTH_BYTES = "model.json", "checkpoint.safetensors", 8

Identities = dict[str, Any]


def _identity(path: Path) -> tuple[int, int]:
    """Return what tells a file from one that is made again with the same content."""
    status = path.stat()
    return status.st_ino, status.st_mtime_ns


def _keys(tars: Iterable[Path]) -> list[str]:
    """Return the samples of shards, with the folders of these. Damaged shards count as changed files elsewhere."""
    keys = []
    for tar in sorted(tars):
        with suppress(DataError):
            keys += [f"{tar.parent.name}/{sample.key}" for sample in list_samples(tar)]
    return keys


@dataclass(frozen=True, kw_only=True)
class Interruptible:
    """A command that resumes when it is repeated.

    command: out -> the command. share: its share of the kills. needs: the commands whose results it reads.
    victims: the processes that are killed beside the command itself.
    finished(out): what need not be made again, by name. samples(out): the names of what it has made, each as often as
    it is there. files(out): those that an interruption must not change. refuses(out): True once the command refuses to
    be repeated, because it is done. passing: name of a file that is removed at the end.
    """

    name: str
    command: Callable[[Path], list[str]]
    share: float
    victims: tuple[str, ...] = ()
    finished: Callable[[Path], Identities]
    samples: Callable[[Path], list[str]]
    files: Callable[[Path], list[Path]]
    needs: tuple[str, ...] = ()
    refuses: Callable[[Path], bool] = lambda out: False
    passing: str = ""

    def leavings(self, out: Path) -> list[Path]:
        """Return the files that ought not to be there once the command is done."""
        passing = [out / self.passing] if self.passing else []
        return [*(path for path in out.rglob(".*")), *(path for path in passing if path.exists())]

    def hashes(self, out: Path) -> dict[str, str]:
        """Return the sha256 of the files that an interruption must not change."""
        return {str(path.relative_to(out)): file_sha256(path) for path in self.files(out) if path.is_file()}


def _program(name: str) -> str:
    """Return the path of a command of the project. DependencyError if it is not there."""
    path = shutil.which(name, path=os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]))
    if path is None:
        raise DependencyError(f"the command {name} is missing: pip install 'p3dgen[pose]'")
    return path


# Runs


def _finished_of_run(out: Path) -> Identities:
    models = out / "cad" / "models.json"
    prepared = [models, *(out / "cad").glob("*/*")] if models.exists() else []
    tars = [path.with_suffix(".tar") for stage in _STAGES for path in (out / stage).glob("*.json")]
    return {str(path.relative_to(out)): _identity(path) for path in (*prepared, *tars) if path.exists()}


def _samples_of_run(out: Path) -> list[str]:
    """Return the samples of all shards, and the counts of their ledgers."""
    ledgers = [path for stage in _STAGES for path in sorted((out / stage).glob("*.json"))]
    counts = [f"{path.parent.name}/{path.name}: {json.loads(path.read_bytes())['count']}" for path in ledgers]
    return counts + _keys(tar for stage in _STAGES for tar in (out / stage).glob("*.tar"))


def _files_of_run(out: Path) -> list[Path]:
    return [*out.glob("*/*.tar"), *out.glob("cad/*/*.npz"), out / "contact_sheet.jpg"]


def _run(name: str, share: float, victims: tuple[str, ...], engine: list[str]) -> Interruptible:
    def command(out: Path) -> list[str]:
        manifest = out.parent / "manifest.toml"
        manifest.write_text(MANIFEST)
        return [_program("p3dgen"), "run", str(manifest), "--out", str(out), "--render-device", "cpu", *engine]

    return Interruptible(
        name=name,
        command=command,
        share=share,
        victims=victims,
        finished=_finished_of_run,
        samples=_samples_of_run,
        files=_files_of_run,
    )


# Datasets


def _dataset(run: Path) -> Interruptible:
    def command(out: Path) -> list[str]:
        splits = ["--split", "train=0.5", "--split", "test=0.5", "--shard-size", "1"]
        return [_program("p3dgen"), "dataset", "make", str(run), "--out", str(out), *splits]

    def finished(out: Path) -> Identities:
        parts = [*out.glob("*/*.tar"), *out.glob("cad/*/*")]
        return {str(path.relative_to(out)): _identity(path) for path in parts if not path.name.startswith(".")}

    return Interruptible(
        name="dataset",
        needs=("run",),
        command=command,
        share=0.15,
        finished=finished,
        samples=lambda out: [key.partition("/")[2] for key in _keys(out.glob("*/*.tar"))],
        files=lambda out: sorted(path for path in out.rglob("*") if not path.name.startswith(".")),
    )


# Trainings and adaptations, which are commands of another package


def _has_model(out: Path) -> bool:
    """Tell if the checksums of a folder list its model, which is the last that is written."""
    path = out / "checksums.json"
    return path.exists() and _MODEL in json.loads(path.read_bytes())["files"]


def _steps_done(out: Path) -> int:
    """Return the number of steps of the checkpoint in a folder, which is the header of a safetensors file."""
    path = out / _CHECKPOINT
    if not path.exists():
        return 0
    with path.open("rb") as file:
        header = json.loads(file.read(int.from_bytes(file.read(_LENGTH_BYTES), "little")))
    return int(header["__metadata__"]["step"])


def _finished_training(steps: int) -> Callable[[Path], Identities]:
    def finished(out: Path) -> Identities:
        done = steps if _has_model(out) else _steps_done(out)
        return {f"step {step}": True for step in range(1, done + 1)}

    return finished


def _logged(file: str, unit: str) -> Callable[[Path], list[str]]:
    def samples(out: Path) -> list[str]:
        return [f"{unit} {json.loads(line)[unit]}" for line in (out / file).read_text().splitlines()]

    return samples


def _files_called(*names: str) -> Callable[[Path], list[Path]]:
    return lambda out: [out / name for name in names]


def _small_training(run: Path, out: Path) -> list[str]:
    size = ["--backbone", "test_resnet", "--weights", "none", "--batch", "4", "--image-size", "64", "--vertices", "100"]
    length = ["--steps", str(_STEPS), "--checkpoint-every", str(_CHECKPOINT_EVERY), "--device", "cpu"]
    shards = ["--shards", str(run / "shards"), "--category", "car"]
    return [_program("pose-models"), "train", *shards, "--out", str(out), *size, *length]


def _training(run: Path) -> Interruptible:
    return Interruptible(
        name="train",
        needs=("run",),
        refuses=_has_model,
        passing=_CHECKPOINT,
        command=lambda out: _small_training(run, out),
        share=0.15,
        finished=_finished_training(_STEPS),
        samples=_logged("train.jsonl", "step"),
        files=_files_called(
            "model.safetensors", "model.json", "train.jsonl", "config.toml", "source_similarity.safetensors"
        ),
    )


def _adaptation(run: Path, model: Path) -> Interruptible:
    def command(out: Path) -> list[str]:
        target = ["--model", str(model), "--target", f"shards:{run / 'shards'}", "--category", "car"]
        length = ["--epochs", str(_EPOCHS), "--delta", "0.2", "--bank-images", "4", "--device", "cpu"]
        return [_program("pose-models"), "adapt", "3duda", *target, "--out", str(out), *length]

    return Interruptible(
        name="adapt",
        needs=("run", "train"),
        refuses=_has_model,
        passing=_CHECKPOINT,
        command=command,
        share=0.1,
        finished=_finished_training(_EPOCHS + 1),
        samples=_logged("history.jsonl", "epoch"),
        files=_files_called("model.safetensors", "model.json", "vertices.safetensors", "adapt.toml", "target.jsonl"),
    )


def interruptibles(folder: Path) -> list[Interruptible]:
    """Return all commands, in an order in which each needs only the results of those before it.

    folder: that of the results, which lie in NAME/whole.
    """
    run, model = folder / "run" / "whole", folder / "train" / "whole"
    workers = ["--workers", "2"]
    ray = ["--engine", "ray", "--num-gpus", "0", *workers]
    return [
        _run("run", 0.45, ("worker", "Blender"), workers),
        _run("ray", 0.15, ("Ray worker", "Blender"), ray),
        _dataset(run),
        _training(run),
        _adaptation(run, model),
    ]
