"""The input of an export: the samples of a run or a dataset, split by split, and their CAD models."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from p3d_gen.core.categories import CategoryDefinition, definition_of
from p3d_gen.core.codecs import decode_image, decode_npz, encode_jpeg
from p3d_gen.core.errors import RunError
from p3d_gen.core.types import Array
from p3d_gen.dataset.check import check_models, checked_shards
from p3d_gen.dataset.depth import MEMBER, STEP, decode_depth16
from p3d_gen.dataset.folder import DATASET, INDEX, RECIPE, is_dataset, open_dataset
from p3d_gen.run.cad_model import keypoint_names
from p3d_gen.run.files import file_sha256, read_json, write_json
from p3d_gen.run.ledgers import upstream_ledger
from p3d_gen.run.shards import Members, read_shard
from p3d_gen.run.store import open_run
from p3d_gen.stylize.stylization import open_stylization

_MARK = "export.json"
_JPEG_QUALITY = 95


@dataclass(frozen=True, kw_only=True)
class ExportInput:
    """A finished run or dataset.

    splits: the shards of each; a run has one, `train`. cad: the folder of its models. categories: those of its samples.
    definitions: of those that are not built in. origin: the sha256 of all that decides its samples.
    """

    name: str
    splits: dict[str, list[Path]]
    cad: Path
    categories: tuple[str, ...]
    definitions: dict[str, CategoryDefinition]
    origin: list[str]

    @cached_property
    def keypoint_names(self) -> dict[str, tuple[str, ...]]:
        """Return the names of each category's keypoints: those it defines, then further ones that its models have."""
        names = {}
        for category in self.categories:
            known = definition_of(category, self.definitions).keypoints
            files = sorted((self.cad / category).glob("*.npz"))
            further = {name for path in files for name in keypoint_names(path)} - set(known)
            names[category] = (*known, *sorted(further))
        return names


@dataclass(frozen=True)
class Shot:
    """A packed sample."""

    key: str
    members: Members

    @cached_property
    def labels(self) -> dict[str, Any]:
        """Its labels."""
        labels: dict[str, Any] = json.loads(self.members["json"])
        return labels

    @cached_property
    def mask(self) -> NDArray[np.bool_]:
        """The pixels (H, W) where the object is seen. RunError if the sample has no mask."""
        if "mask.png" not in self.members:
            raise RunError(f"{self.key} has no mask.png: name mask in output.members")
        return decode_image(self.members["mask.png"]) > 0

    @property
    def pose(self) -> Array:
        """cam_T_obj (4, 4)."""
        return np.array(self.labels["cam_T_obj"], dtype=np.float64)

    @property
    def picture(self) -> str:
        """The member that is its image."""
        return "jpg" if "jpg" in self.members else "png"

    def depth(self) -> Array:
        """Return planar z (H, W) in box diagonals, 0 off the object. RunError if the sample has no depth."""
        if MEMBER in self.members:
            return np.asarray(decode_depth16(self.members[MEMBER]) * self.labels[STEP])
        if "depth.npz" not in self.members:
            raise RunError(f"{self.key} has no depth: name depth in output.members")
        return np.asarray(decode_npz(self.members["depth.npz"])["depth"], dtype=np.float64)

    def jpeg(self) -> bytes:
        """Return its image as JPEG, unchanged if it is one."""
        if self.picture == "jpg":
            return self.members["jpg"]
        return encode_jpeg(decode_image(self.members["png"]), _JPEG_QUALITY)


def open_input(folder: Path, stylization: str = "") -> ExportInput:
    """Open a finished dataset or run. RunError if it is neither, or not finished."""
    if is_dataset(folder):
        dataset = open_dataset(folder)
        splits = {split: checked_shards(dataset, split) for split in dataset.recipe.shares}
        check_models(dataset)
        marks = [folder / DATASET, *(folder / split / INDEX for split in splits)]
        origin = [file_sha256(mark) for mark in marks]
        return ExportInput(
            name=folder.resolve().name,
            splits=splits,
            cad=folder / "cad",
            categories=tuple(dataset.categories()),
            definitions=dataset.definitions,
            origin=origin,
        )
    if not (folder / "run.json").exists():
        raise RunError(f"{folder} is neither a run nor a dataset: it holds no run.json and no {RECIPE}")
    run = open_run(folder, needs=None)
    stage = open_stylization(run, stylization).packed
    ledgers = [upstream_ledger(run, stage, shard) for shard in run.all_shards()]
    shards = [run.tar(stage, ledger.shard) for ledger in ledgers if ledger.count]
    origin = [ledger.sha256 for ledger in ledgers]
    return ExportInput(
        name=run.root.resolve().name,
        splits={"train": shards},
        cad=run.root / "cad",
        categories=run.manifest.categories,
        definitions=run.inventory.definitions,
        origin=origin,
    )


def begin(name: str, source: ExportInput, out: Path) -> None:
    """Mark a folder as an export. RunError if it holds something else, or another export."""
    mark = {"format": name, "origin": source.origin}
    try:
        if read_json(out / _MARK) != mark:
            raise RunError(f"{out} holds another export: choose another --out")
    except FileNotFoundError:
        if out.exists() and any(out.iterdir()):
            raise RunError(f"{out} is not empty and not an export: choose another --out") from None
        write_json(out / _MARK, mark)
    except ValueError as error:
        raise RunError(f"{out / _MARK} is damaged: {error}; delete {out}") from None


def shots(shards: list[Path]) -> Iterator[Shot]:
    """Yield the samples of some shards, in order."""
    for shard in shards:
        for key, members in read_shard(shard):
            yield Shot(key, members)
