"""The ROC of label survival: its separation of true labels from labels that are corrupted on purpose."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation
from scipy.stats import mannwhitneyu

from p3d_gen.bench import show
from p3d_gen.bench.scenes import render_all, temporary_run
from p3d_gen.core.categories import CATEGORIES
from p3d_gen.core.codecs import decode_image
from p3d_gen.core.composite import composite
from p3d_gen.core.errors import RunError
from p3d_gen.core.geometry import cam_T_obj, rot_z, rotation_error_rad, viewpoint_of
from p3d_gen.core.silhouette import camera_of
from p3d_gen.core.types import Array, Camera, Picture, Window
from p3d_gen.pack.backgrounds import background
from p3d_gen.run.cad_model import load_cad, stretched
from p3d_gen.run.shards import Members, read_shard
from p3d_gen.spec.taken import blender_environments
from p3d_gen.stylize.edges import on_grey
from p3d_gen.stylize.survival import Survival, expected_edges, survival

ANGLES_DEG = (15, 30, 90)
TRUE, MIRRORED, SWAPPED = "true", "mirrored", "swapped"
CAMERA = {"image_hw": [256, 256], "focal_px": 900.0, "distance": [3.5, 6.0]}
_ACCEPTED_FALSE = 0.05
# A mirrored label that is turned by less is nearly true: the object is seen from the front or the back.
_LEAST_MIRROR_RAD = np.radians(20.0)


@dataclass(frozen=True, kw_only=True)
class Label:
    """The content of a label: a mesh, vertices (V, 3) and faces (F, 3), in a pose."""

    vertices: Array
    faces: NDArray[Any]
    cam_T_obj: Array


@dataclass(frozen=True, kw_only=True)
class _Sample:
    """A sample with its true label.

    symmetric: True if its shape has a symmetry about z. pictures: its pictures by kind. hidden: mask (H, W) of
    occluders, None for none.
    """

    category: str
    symmetric: bool
    label: Label
    camera: Camera
    pictures: dict[str, Picture]
    hidden: NDArray[np.bool_] | None


def corrupted(label: Label, other: Label | None, rng: np.random.Generator) -> dict[str, Label]:
    """Return false labels by name.

    rotated_N, azimuth_N: the object turned by N = 15, 30 and 90 degrees about a random axis, or about its own z axis,
    through its origin. mirrored: the object seen from the mirrored azimuth; missing if that turns it by less than 20
    degrees. swapped: another category's model in its place; missing if there is none.
    """
    pose = label.cam_T_obj

    def turned(rotation: Array) -> Label:
        changed = pose.copy()
        changed[:3, :3] = pose[:3, :3] @ rotation
        return replace(label, cam_T_obj=changed)

    false = {}
    for angle in ANGLES_DEG:
        axis = rng.standard_normal(3)
        rotation = Rotation.from_rotvec(np.radians(angle) * axis / np.linalg.norm(axis)).as_matrix()
        false[f"rotated_{angle}"] = turned(rotation)
        false[f"azimuth_{angle}"] = turned(rot_z(np.radians(angle) * rng.choice([-1.0, 1.0])))
    view = viewpoint_of(pose)
    mirrored = cam_T_obj(replace(view, azimuth_rad=-view.azimuth_rad))[:3, :3]
    if rotation_error_rad(mirrored, pose[:3, :3]) >= _LEAST_MIRROR_RAD:
        false[MIRRORED] = turned(pose[:3, :3].T @ mirrored)
    if other is not None:
        false[SWAPPED] = replace(other, cam_T_obj=pose)
    return false


def scores(sample: _Sample, labels: dict[str, Label]) -> dict[tuple[str, str], Survival]:
    """Return the survival of each label in each picture, by (kind of picture, label's name)."""
    survivals: dict[tuple[str, str], Survival] = {}
    for name, label in labels.items():
        expected = expected_edges(label.vertices, label.faces, label.cam_T_obj, sample.camera, sample.hidden)
        survivals |= {(kind, name): survival(picture, expected) for kind, picture in sample.pictures.items()}
    return survivals


def separation(true: Sequence[float], false: Sequence[float]) -> dict[str, float]:
    """Return how well a score separates true from false labels.

    auc: area under the ROC curve (Mann-Whitney's U over the number of pairs). kept_at_5_percent_false: share of the
    true labels that are kept by the threshold at which 5 % of the false ones pass.
    """
    auc = mannwhitneyu(true, false).statistic / (len(true) * len(false))
    threshold = np.quantile(false, 1 - _ACCEPTED_FALSE)
    return {"auc": float(auc), "kept_at_5_percent_false": float(np.mean(np.asarray(true) > threshold))}


def _model(run_dir: Path, category: str, cad_id: str, stretch_xyz: Sequence[float]) -> tuple[Label, bool]:
    model = load_cad(run_dir / "cad" / category / f"{cad_id}.npz")
    label = Label(vertices=stretched(model, stretch_xyz), faces=model.faces, cam_T_obj=np.eye(4))
    return label, model.symmetry_order != 1


def _surroundings(members: Members, index: int) -> dict[str, Picture]:
    """Return a render on the grey of the released recipe, and in one of Blender's environments."""
    rgba = decode_image(members["render.png"])
    rgb, alpha = np.ascontiguousarray(rgba[..., :3]), rgba[..., 3]
    maps = sorted(blender_environments().glob("*.exr"))
    window = Window(u=0.1 + 0.3 * (index // len(maps) % 3), v=0.5, scale=0.8, flip=False)
    around = background(maps[index % len(maps)], (alpha.shape[0], alpha.shape[1]), window)
    return {
        "render on grey": on_grey(rgb, alpha),
        "render in an environment": composite(rgb, alpha, around),
    }


def _of_stylization(tar: Path) -> Iterator[tuple[str, Members]]:
    if not tar.exists():
        raise RunError(f"there is no {tar}: run `p3dgen stylize` with that name first")
    return read_shard(tar)


def _pictures(run_dir: Path, tar: Path, name: str | None) -> Iterator[tuple[Members, dict[str, Picture]]]:
    """Yield the render's members of every sample of a shard, with its pictures."""
    if name is None:
        for index, (_, members) in enumerate(read_shard(tar)):
            yield members, _surroundings(members, index)
        return
    stage = f"stylize-{name}" if name else "stylize"
    stylized = dict(_of_stylization(run_dir / stage / tar.name))
    for key, members in read_shard(tar):
        if key in stylized:
            yield members, {stage: decode_image(stylized[key]["stylized.png"])}


def _samples(run_dir: Path, category: str, name: str | None) -> Iterator[_Sample]:
    for tar in sorted((run_dir / "render").glob(f"{category}-*.tar")):
        for members, pictures in _pictures(run_dir, tar, name):
            labels = json.loads(members["json"])
            label, symmetric = _model(run_dir, category, labels["cad_id"], labels["stretch_xyz"])
            yield _Sample(
                category=category,
                symmetric=symmetric,
                label=replace(label, cam_T_obj=np.array(labels["cam_T_obj"])),
                camera=camera_of(labels),
                pictures=pictures,
                hidden=decode_image(members["occluders.png"]) > 0 if "occluders.png" in members else None,
            )


def _other(run_dir: Path, categories: Sequence[str], category: str, index: int) -> Label | None:
    """Return a model of another category, a different one for every index; None if the run has one category only."""
    others = [name for name in categories if name != category]
    if not others:
        return None
    folder = run_dir / "cad" / others[index % len(others)]
    models = sorted(path.stem for path in folder.glob("*.npz") if "." not in path.stem)
    return _model(run_dir, folder.name, models[index % len(models)], (1.0, 1.0, 1.0))[0]


Scores = dict[tuple[bool, str, str], list[Survival]]


def _collect(run_dir: Path, name: str | None, samples_each: int) -> Scores:
    """Return all scores by (shape has a symmetry, kind of picture, label's name)."""
    categories = sorted({path.name.rsplit("-", 1)[0] for path in (run_dir / "render").glob("*.tar")})
    if not categories:
        raise RunError(f"{run_dir} holds no finished shards: run `p3dgen render` first")
    collected: Scores = {}
    for number, category in enumerate(categories):
        for index, sample in enumerate(islice(_samples(run_dir, category, name), samples_each)):
            rng = np.random.default_rng([0, 1, number, index])
            other = _other(run_dir, categories, category, number + index)
            labels = {TRUE: sample.label, **corrupted(sample.label, other, rng)}
            for (kind, label), score in scores(sample, labels).items():
                collected.setdefault((sample.symmetric, kind, label), []).append(score)
    return collected


def _summary(collected: Scores, symmetric: bool, kind: str) -> dict[str, Any]:
    """Return the separation of every corruption, and the spread of the score, for one kind of picture."""
    by_label = {
        label: [survived.score for survived in survivals]
        for (this_symmetric, this_kind, label), survivals in collected.items()
        if (this_symmetric, this_kind) == (symmetric, kind)
    }
    true = by_label.pop(TRUE)
    return {
        "samples": len(true),
        "true_mean": float(np.mean(true)),
        "true_5th_percentile": float(np.quantile(true, 0.05)),
        "false_95th_percentile": float(np.quantile(np.concatenate(list(by_label.values())), 0.95)),
        **{label: separation(true, false) for label, false in by_label.items()},
    }


def _table(title: str, summaries: dict[str, dict[str, Any]]) -> None:
    for kind, summary in summaries.items():
        show(
            f"{title}: {kind}, {summary['samples']} samples; score of true labels {summary['true_mean']:.2f} (5th "
            f"percentile {summary['true_5th_percentile']:.2f}), 95th percentile of false ones "
            f"{summary['false_95th_percentile']:.2f}",
            ("corrupted label", "AUC", "true labels kept at 5 % false"),
            [
                (label, f"{value['auc']:.3f}", f"{value['kept_at_5_percent_false']:.3f}")
                for label, value in summary.items()
                if isinstance(value, dict)
            ],
        )


def measure(run_dir: Path | str, name: str | None = None, samples_each: int = 8) -> dict[str, dict[str, Any]]:
    """Measure how well the score separates true from corrupted labels in a run's pictures.

    name: name of a stylization, "" for the one without a name; None for the renders, on grey and in Blender's
    environments. samples_each: number of samples of every category.

    Return, by kind of picture, the number of samples, the spread of the score, and `separation` by corruption. Shapes
    that are symmetric about z are a kind of their own, `... (symmetric shapes)`. Raise RunError if there is nothing to
    measure.
    """
    collected = _collect(Path(run_dir), name, samples_each)
    summaries = {
        kind + (" (symmetric shapes)" if symmetric else ""): _summary(collected, symmetric, kind)
        for symmetric, kind, label in collected
        if label == TRUE
    }
    _table(Path(run_dir).name, summaries)
    return summaries


def _measured(samples_each: int, categories: Sequence[str], **sections: dict[str, Any]) -> dict[str, Any]:
    cad = {"source": "embedded", "variants": [0, 8]}
    with temporary_run(
        categories, samples_each, samples_each, cad=cad, camera=CAMERA, render={"samples": 4}, **sections
    ) as run:
        render_all(run, 1)
        return measure(run.root, None, samples_each)


def embedded(samples_each: int = 8, categories: Sequence[str] = CATEGORIES) -> dict[str, Any]:
    """Measure renders that are made for it: embedded models with realistic materials, and with prior noise."""
    return {
        "survival_realistic": _measured(
            samples_each, categories, texture={"kind": "realistic"}, light={"kind": "hdri"}
        ),
        "survival_prior_noise": _measured(samples_each, categories),
    }
