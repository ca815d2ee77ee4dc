"""PASCAL3D+ and what is annotated in its way: ObjectNet3D, and the occluded pictures made from PASCAL3D+.

Annotations are MATLAB files, `record.objects(i).{class, bbox, viewpoint}`, the viewpoint with `azimuth`, `elevation`,
`theta` in degrees, `distance`, `focal` (1), `viewport` (3000 in PASCAL3D+), `px`, `py`. The fine angles are read, never
`azimuth_coarse`. The camera has the focal length focal * viewport pixels and its principal point at (px, py), which is
where the object's origin projects: cam_T_obj has the translation (0, 0, distance).

As in NeMo, an image counts with its first object only: it is left out where that object is of another category,
incompletely annotated, or has a distance of 0 or less (annotated coarsely).
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from p3d_gen.core.errors import ConfigError, DataError, did_you_mean
from p3d_gen.core.geometry import meets_picture
from p3d_gen.core.pictures import read_picture
from pose_models.data.sample import PoseSample
from pose_models.data.viewpoint import UNKNOWN, camera_matrix, pose_of

PASCAL3D_FOLDER = "PASCAL3D+_release1.1"
OCCLUDED_FOLDER = "OccludedPASCAL3D"
OCCLUSION_LEVELS = ("L1", "L2", "L3")
_VIEWPOINT = ("azimuth", "elevation", "theta", "distance", "focal", "viewport", "px", "py")


@dataclass(frozen=True, kw_only=True)
class AnnotatedObject:
    """One object of an annotation; distance in box diagonals, box in pixels; NaN if a number is left out."""

    category: str
    box_xyxy: tuple[float, float, float, float]
    azimuth_deg: float
    elevation_deg: float
    theta_deg: float
    distance: float
    focal_px: float
    principal_px: tuple[float, float]

    @property
    def usable(self) -> bool:
        """Return whether every number is there and the distance is positive."""
        numbers = self.azimuth_deg, self.elevation_deg, self.theta_deg, self.distance, self.focal_px
        return all(map(math.isfinite, (*numbers, *self.principal_px, *self.box_xyxy))) and self.distance > 0


def _number(value: Any) -> float:
    numbers = np.ravel(np.asarray(UNKNOWN if value is None else value))
    return float(numbers[0]) if len(numbers) else UNKNOWN


def _object(raw: dict[str, Any]) -> AnnotatedObject:
    viewpoint = raw.get("viewpoint")
    view = viewpoint if isinstance(viewpoint, dict) else {}
    azimuth, elevation, theta, distance, focal, viewport, px, py = (_number(view.get(name)) for name in _VIEWPOINT)
    box = np.ravel(np.asarray(raw["bbox"], dtype=np.float64))
    left, top, right, bottom = box if len(box) == 4 else [UNKNOWN] * 4
    return AnnotatedObject(
        category=str(raw["class"]),
        box_xyxy=(float(left), float(top), float(right), float(bottom)),
        azimuth_deg=azimuth,
        elevation_deg=elevation,
        theta_deg=theta,
        distance=distance,
        focal_px=focal * viewport,
        principal_px=(px, py),
    )


def read_objects(path: Path) -> list[AnnotatedObject]:
    """Read the objects of one annotation, in order. ValueError naming the file if it cannot be read."""
    from scipy.io import loadmat

    try:
        objects = loadmat(path, simplify_cells=True)["record"]["objects"]
        return [_object(raw) for raw in ([objects] if isinstance(objects, dict) else list(objects))]
    except Exception as error:  # the MATLAB reader raises whatever a broken file leads to
        raise DataError(f"cannot read annotation {path}: {error!r}; download it again") from error


def first_object(path: Path, category: str) -> AnnotatedObject | None:
    """Read the first object of an annotation; None if the image does not count (see above)."""
    objects = read_objects(path)
    return objects[0] if objects and objects[0].category == category and objects[0].usable else None


def annotated_sample(
    annotated: AnnotatedObject, picture: Path, *, key: str, category: str, subset: str = ""
) -> PoseSample:
    """Read the picture and give it the object's labels; there is no mask. ValueError if the picture cannot be read."""
    image = read_picture(picture, upright=False)
    if not meets_picture(annotated.box_xyxy, image.shape[:2]):
        raise DataError(
            f"{picture}: its annotated box {annotated.box_xyxy} is empty or lies off its {image.shape[1]} x "
            f"{image.shape[0]} pixels: download picture and annotation again"
        )
    return PoseSample(
        key=key,
        category=category,
        image=image,
        mask=None,
        cam_T_obj=pose_of(annotated.azimuth_deg, annotated.elevation_deg, annotated.theta_deg, annotated.distance),
        K=camera_matrix(annotated.focal_px, annotated.principal_px, (image.shape[0], image.shape[1])),
        box_xyxy=annotated.box_xyxy,
        subset=subset,
    )


def read_names(path: Path) -> list[str]:
    """Read the image names of a list, one a line, without their suffix. ValueError naming the file."""
    try:
        lines = path.read_text(encoding="utf-8-sig", errors="replace").split()
    except OSError as error:
        raise DataError(f"cannot read list {path}: {error.strerror}; unpack the release again") from error
    return [line.removesuffix(".JPEG").removesuffix(".jpg") for line in lines]


def check_split(dataset: str, split: str, splits: Sequence[str]) -> None:
    """Raise ConfigError if the dataset has no such split."""
    if split not in splits:
        raise ConfigError(f"{dataset} has no split {split!r}{did_you_mean(split, splits)}")


def listed_categories(folder: Path, pattern: str) -> tuple[str, ...]:
    """Find the categories for which `folder` holds a list named like `pattern`, which has one *.

    ValueError for none.
    """
    before, after = pattern.split("*")
    categories = tuple(sorted(p.name.removeprefix(before).removesuffix(after) for p in folder.glob(pattern)))
    if not categories:
        raise DataError(f"{folder} holds no {pattern}: give the folder of the unpacked release")
    return categories


def pascal3d(folder: Path, split: str) -> tuple[tuple[str, ...], Callable[[str], Iterator[PoseSample]]]:
    """Open PASCAL3D+ release 1.1, its ImageNet part: the categories and the reader of a category's samples.

    Layout: Images/<category>_imagenet/*.JPEG, Annotations/<category>_imagenet/*.mat,
    Image_sets/<category>_imagenet_{train,val}.txt.
    """
    check_split("PASCAL3D+", split, ("train", "val"))
    categories = listed_categories(folder / "Image_sets", f"*_imagenet_{split}.txt")

    def read(category: str) -> Iterator[PoseSample]:
        place = f"{category}_imagenet"
        for name in read_names(folder / "Image_sets" / f"{place}_{split}.txt"):
            annotated = first_object(folder / "Annotations" / place / f"{name}.mat", category)
            if annotated is not None:
                picture = folder / "Images" / place / f"{name}.JPEG"
                yield annotated_sample(annotated, picture, key=f"{category}-{name}", category=category)

    return categories, read


def objectnet3d(
    folder: Path, split: str, wanted: Sequence[str] | None
) -> tuple[tuple[str, ...], Callable[[str], Iterator[PoseSample]]]:
    """Open ObjectNet3D: the categories and the reader of a category's samples.

    Layout: Images/*.JPEG, Annotations/*.mat, Image_sets/{train,val,test}.txt.

    The lists do not tell categories: without `wanted` all annotations of the split are read first (minutes).
    """
    check_split("ObjectNet3D", split, ("train", "val", "test"))
    names = read_names(folder / "Image_sets" / f"{split}.txt")

    @functools.cache
    def by_category() -> dict[str, list[tuple[str, AnnotatedObject]]]:
        index: dict[str, list[tuple[str, AnnotatedObject]]] = {}
        for name in names:
            objects = read_objects(folder / "Annotations" / f"{name}.mat")
            if objects and objects[0].usable:
                index.setdefault(objects[0].category, []).append((name, objects[0]))
        return index

    def read(category: str) -> Iterator[PoseSample]:
        if category not in by_category():
            hint = did_you_mean(category, by_category())
            raise ConfigError(f"no image of {folder} {split} shows a {category!r} as its first object{hint}")
        for name, annotated in by_category()[category]:
            picture = folder / "Images" / f"{name}.JPEG"
            yield annotated_sample(annotated, picture, key=f"{category}-{name}", category=category)

    return tuple(sorted(by_category()) if wanted is None else wanted), read


def occluded_pascal3d(folder: Path, split: str) -> tuple[tuple[str, ...], Callable[[str], Iterator[PoseSample]]]:
    """Open Occluded-PASCAL3D+, foreground levels L1 to L3 (20-40, 40-60, 60-80 % hidden): categories and reader.

    `folder` holds `PASCAL3D+_release1.1`, for the annotations, and `OccludedPASCAL3D` with images and lists/
    <category>FGL{1,2,3}_BGL{1,2,3}, as released. Its annotations/*.npz (masks of the occluders) are not needed.
    """
    check_split("Occluded-PASCAL3D+", split, ("val",))
    release, annotations = folder / OCCLUDED_FOLDER, folder / PASCAL3D_FOLDER / "Annotations"
    categories = listed_categories(release / "lists", "*FGL1_BGL1.txt")

    def read(category: str) -> Iterator[PoseSample]:
        for level in OCCLUSION_LEVELS:
            place = f"{category}FG{level}_BG{level}"
            for name in read_names(release / "lists" / f"{place}.txt"):
                annotated = first_object(annotations / f"{category}_imagenet" / f"{name}.mat", category)
                if annotated is not None:
                    picture, key = release / "images" / place / f"{name}.JPEG", f"{category}-{level}-{name}"
                    yield annotated_sample(annotated, picture, key=key, category=category, subset=level)

    return categories, read
