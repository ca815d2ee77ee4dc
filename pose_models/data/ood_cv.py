"""OOD-CV: photographs that leave PASCAL3D+'s distribution in one nuisance each.

The folder holds the three releases that the benchmark's own preparation combines, under their released names:
    PASCAL3D+_release1.1/   Images and Annotations, `<category>_imagenet` and `<category>_pascal`
    OOD-CV-dataset/         images/<category>/NAME.jpg and annotations/<category>/NAME.mat, the collected photographs
    phase-1-pose-npz/       phase-1/nuisances/<nuisance>/annotations/SOURCE_CATEGORY_NAME_OBJECT.npz and
                            train/<category>.txt
The file names under `nuisances` are the test set: SOURCE is imagenet, pascal or collection, OBJECT counts the objects
of the annotation from 0. The images in phase-1/iid_test are like the training images, and `occlusion` is not a row of
the published table: both are left out. The training lists name PASCAL3D+ images, of which the first object counts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from p3d_gen.core.errors import DataError
from pose_models.data.pascal3d import (
    PASCAL3D_FOLDER,
    annotated_sample,
    check_split,
    first_object,
    listed_categories,
    read_names,
    read_objects,
)
from pose_models.data.sample import PoseSample

NUISANCES = ("shape", "pose", "texture", "context", "weather")
OOD_CV_CATEGORIES = (
    "aeroplane",
    "bicycle",
    "boat",
    "bus",
    "car",
    "chair",
    "diningtable",
    "motorbike",
    "sofa",
    "train",
)
_COLLECTED_FOLDER = "OOD-CV-dataset"
_LISTS_FOLDER = "phase-1-pose-npz"
_PASCAL_SUFFIX = {"imagenet": ".JPEG", "pascal": ".jpg"}


def _files(folder: Path, source: str, category: str, name: str) -> tuple[Path, Path]:
    """Return the paths of the picture and of the annotation of one image."""
    if source == "collection":
        release, place, suffix, pictures, labels = folder / _COLLECTED_FOLDER, category, ".jpg", "images", "annotations"
    else:
        release, place, suffix = folder / PASCAL3D_FOLDER, f"{category}_{source}", _PASCAL_SUFFIX[source]
        pictures, labels = "Images", "Annotations"
    return release / pictures / place / f"{name}{suffix}", release / labels / place / f"{name}.mat"


def _training(folder: Path, category: str) -> Iterator[PoseSample]:
    for name in read_names(folder / _LISTS_FOLDER / "train" / f"{category}.txt"):
        source = "imagenet" if name.startswith("n") else "pascal"
        picture, annotation = _files(folder, source, category, name)
        annotated = first_object(annotation, category)
        if annotated is not None:
            yield annotated_sample(annotated, picture, key=f"{category}-{name}", category=category)


def _test(folder: Path, category: str) -> Iterator[PoseSample]:
    for nuisance in NUISANCES:
        lists = folder / _LISTS_FOLDER / "phase-1" / "nuisances" / nuisance / "annotations"
        if not lists.is_dir():
            raise DataError(f"{lists} is missing: unpack phase-1-pose-npz.zip into {folder / _LISTS_FOLDER}")
        for entry in sorted(lists.glob(f"*_{category}_*_*.npz")):
            source, shown, *parts, number = entry.stem.split("_")
            if shown != category:
                continue
            name = "_".join(parts)
            if source not in (*_PASCAL_SUFFIX, "collection") or not number.isdecimal():
                raise DataError(f"{entry} is not named SOURCE_CATEGORY_NAME_OBJECT.npz: unpack the release again")
            picture, annotation = _files(folder, source, category, name)
            objects = read_objects(annotation)
            if int(number) >= len(objects):
                raise DataError(f"{entry} names object {number}, {annotation} has {len(objects)}: unpack both again")
            if objects[int(number)].usable:
                key = f"{nuisance}-{entry.stem}"
                yield annotated_sample(objects[int(number)], picture, key=key, category=category, subset=nuisance)


def ood_cv(folder: Path, split: str) -> tuple[tuple[str, ...], Callable[[str], Iterator[PoseSample]]]:
    """Open a split: `train`, or `val` (also called `test`), whose samples carry their nuisance as subset.

    Returns the categories and the reader of a category's samples.
    """
    check_split("OOD-CV", split, ("train", "val", "test"))
    if split == "train":
        lists = folder / _LISTS_FOLDER / "train"
        return listed_categories(lists, "*.txt"), lambda category: _training(folder, category)
    return OOD_CV_CATEGORIES, lambda category: _test(folder, category)
