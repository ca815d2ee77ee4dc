"""Every source of images behind one address, `KIND:PATH`.

    shards:PATH               WebDataset shards of p3dgen: a run, a folder with CATEGORY-NNNNN.tar, or a pattern of
                              tars, at a path or URL; shards have no splits, another run is another split
    cars3d:PATH               real cars with their rotation (`pose-models convert cars3d`)
    pascal3d:PATH             PASCAL3D+ release 1.1
    objectnet3d:PATH          ObjectNet3D
    ood-cv:PATH               OOD-CV; the subset is the nuisance
    occluded-pascal3d:PATH    Occluded-PASCAL3D+; the subset is the level, L1 to L3
    csv:PATH                  any folder with a table of labels
    images:PATH               pictures without labels, to predict on or to adapt to: PATH/CATEGORY/*.jpg|png|webp
The layouts are described where they are read. Without a kind, a path that ends in .csv is csv; a URL, a run, a folder
of tars and a pattern of tars are shards.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from p3d_gen.core.errors import ConfigError, DataError, did_you_mean
from p3d_gen.core.masking import masked
from pose_models.data.cars3d import cars3d_samples
from pose_models.data.csv_folder import csv_folder
from pose_models.data.image_folder import image_folder
from pose_models.data.ood_cv import ood_cv
from pose_models.data.pascal3d import check_split, objectnet3d, occluded_pascal3d, pascal3d
from pose_models.data.sample import PoseSample
from pose_models.data.shards import read_shard, shard_categories, shard_paths

_Opened = tuple[tuple[str, ...], Callable[[str], Iterator[PoseSample]]]


@dataclass(frozen=True, kw_only=True)
class Dataset:
    """Images of some categories.

    name: address and split, for tables. read(category): its samples in a fixed order, read as they are asked for;
    ValueError naming the file if one cannot be read.
    """

    name: str
    categories: tuple[str, ...]
    read: Callable[[str], Iterator[PoseSample]]


def _shards(path: str, split: str, wanted: Sequence[str] | None) -> _Opened:
    def read(category: str) -> Iterator[PoseSample]:
        for tar in shard_paths(path, category):
            yield from _of_category(tar, category)

    return tuple(shard_categories(path)), read


def _of_category(tar: Path, category: str) -> Iterator[PoseSample]:
    for sample in read_shard(tar):
        if sample.category != category:
            raise DataError(f"sample {sample.key} in shard {tar} is a {sample.category!r}: name shards by category")
        yield sample


def _cars3d(path: str, split: str, wanted: Sequence[str] | None) -> _Opened:
    check_split("cars3d", split, ("train", "val"))
    return ("car",), lambda category: cars3d_samples(Path(path), "train" if split == "train" else "val")


_KINDS: dict[str, Callable[[str, str, Sequence[str] | None], _Opened]] = {
    "shards": _shards,
    "cars3d": _cars3d,
    "pascal3d": lambda path, split, wanted: pascal3d(Path(path), split),
    "objectnet3d": lambda path, split, wanted: objectnet3d(Path(path), split, wanted),
    "ood-cv": lambda path, split, wanted: ood_cv(Path(path), split),
    "occluded-pascal3d": lambda path, split, wanted: occluded_pascal3d(Path(path), split),
    "csv": lambda path, split, wanted: csv_folder(Path(path), split),
    "images": lambda path, split, wanted: image_folder(Path(path)),
}
KINDS: tuple[str, ...] = tuple(_KINDS)


def _kind_and_path(address: str) -> tuple[str, str]:
    kind, colon, path = address.partition(":")
    if colon and not path.startswith("//"):  # which follows the protocol of a URL
        if kind not in _KINDS:
            raise ConfigError(f"{address!r}: unknown kind of dataset {kind!r}{did_you_mean(kind, _KINDS)}")
        if not path:
            raise ConfigError(f"{address!r} has no path behind {kind}:")
        return kind, path
    if address.endswith(".csv"):
        return "csv", address
    folder = Path(address)
    if colon or address.endswith(".tar") or any(folder.glob("*.tar")) or (folder / "shards").is_dir():
        return "shards", address
    raise ConfigError(f"{address!r} does not tell its kind: write KIND:PATH with one of {', '.join(_KINDS)}")


def named(address: str, split: str) -> str:
    """Return the name of a dataset's images for titles and errors: address and split, of which shards have none."""
    return masked(address if _kind_and_path(address)[0] == "shards" else f"{address} {split}")


def open_dataset(address: str, *, split: str = "val", categories: Sequence[str] | None = None) -> Dataset:
    """Open the dataset at `KIND:PATH`, restricted to `categories` (None: all that it holds).

    split: such as "train" or "val"; shards have none. ConfigError if kind, path, split or a category is unknown, with
    the nearest valid name.
    """
    kind, path = _kind_and_path(address)
    available, read = _KINDS[kind](path, split, categories)
    for category in categories or ():
        if category not in available:
            where, near = named(address, split), did_you_mean(category, available)
            raise ConfigError(f"{where} has no category {category!r}{near}")
    kept = available if categories is None else tuple(categories)
    return Dataset(name=named(f"{kind}:{path}", split), categories=kept, read=_checked(kept, read, address))


def _checked(
    categories: tuple[str, ...], read: Callable[[str], Iterator[PoseSample]], address: str
) -> Callable[[str], Iterator[PoseSample]]:
    def checked(category: str) -> Iterator[PoseSample]:
        if category not in categories:
            raise ConfigError(f"{address} was opened without category {category!r}{did_you_mean(category, categories)}")
        return read(category)

    return checked
