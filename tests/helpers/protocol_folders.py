"""For the tests of the protocols: requests, and small benchmarks of coloured boxes in their published layouts."""

import json
from pathlib import Path

import cv2
import numpy as np

from p3d_gen.core import geometry as g
from p3d_gen.core.types import Camera, Viewpoint
from pose_models.protocols.planner import ProtocolRequest
from tests.helpers.annotation_files import an_object, write_annotation, write_list
from tests.helpers.boxes import COLOURS, draw_box, write_run

PROTOCOLS = Path(__file__).parents[2] / "manifests" / "protocols"
CAMERA = Camera(focal_px=480.0, principal_px=(66.0, 47.0), image_hw=(96, 128))
CATEGORIES = ("car", "bus")


def anything(protocol, **more):
    """A request for a protocol without any data."""
    shards = {name: Path("/runs") / name / "shards" for name in protocol.shards}
    return ProtocolRequest(manifest=Path("/p.toml"), data=Path("/data"), shards=shards, cads=Path("/cad"), **more)


def photograph(rng):
    """A picture (H, W, 3) of a box in complementary colours, its box in the picture, and its viewpoint."""
    view = Viewpoint(
        azimuth_rad=rng.uniform(0, 2 * np.pi),
        elevation_rad=np.radians(rng.uniform(-10, 30)),
        theta_rad=0.0,
        distance=rng.uniform(5, 6),
    )
    image, mask = draw_box(g.cam_T_obj(view), CAMERA, rng, 255 - COLOURS)
    rows, columns = mask.nonzero()
    box = (int(columns.min()), int(rows.min()), int(columns.max()) + 1, int(rows.max()) + 1)
    return image, box, view


def write_image(path, image):
    """The suffix .JPEG in capitals is not known to OpenCV everywhere."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(cv2.imencode(".jpg", image[..., ::-1])[1].tobytes())


def write_photograph(picture, annotation, category, rng):
    """A picture, and its annotation as the devkit writes it."""
    image, box, view = photograph(rng)
    angles = {"azimuth": np.degrees(view.azimuth_rad), "elevation": np.degrees(view.elevation_rad), "theta": 0.0}
    camera = {"viewport": CAMERA.focal_px, "px": CAMERA.principal_px[0], "py": CAMERA.principal_px[1]}
    found = an_object(category, tuple(map(float, box)), distance=view.distance, **angles, **camera)
    write_annotation(annotation, found)
    write_image(picture, image)


def write_cars3d(folder, train=8, val=4):
    """Cars cut to their box, with their rotations."""
    rng = np.random.default_rng([0, 3])
    labels = {}
    for number in (*range(1, train + 1), *range(3001, 3001 + val)):
        image, (left, top, right, bottom), view = photograph(rng)
        write_image(folder / "images" / f"{number:05d}.jpg", image[top:bottom, left:right])
        labels[f"{number:05d}.jpg"] = {"R_cam_obj_opencv": g.cam_T_obj(view)[:3, :3].tolist()}
    (folder / "annotations.json").write_text(json.dumps(labels))
    return folder


def write_pascal3d(folder, train=6, val=6, categories=CATEGORIES):
    """PASCAL3D+ release 1.1, its ImageNet part."""
    rng = np.random.default_rng([0, 1])
    for category in categories:
        place = f"{category}_imagenet"
        for split, count in (("train", train), ("val", val)):
            names = [f"n_{split}_{number}" for number in range(count)]
            write_list(folder / "Image_sets" / f"{place}_{split}.txt", *names)
            for name in names:
                annotation = folder / "Annotations" / place / f"{name}.mat"
                write_photograph(folder / "Images" / place / f"{name}.JPEG", annotation, category, rng)
    return folder


def write_ood_cv(
    folder, train=6, each=3, categories=CATEGORIES, nuisances=("shape", "pose", "texture", "context", "weather")
):
    """The three releases of OOD-CV, `each` test photographs of every nuisance, all of them collected ones."""
    rng = np.random.default_rng([0, 2])
    pascal = write_pascal3d(folder / "PASCAL3D+_release1.1", train, 1, categories)
    collected, lists = folder / "OOD-CV-dataset", folder / "phase-1-pose-npz"
    for category in categories:
        names = (pascal / "Image_sets" / f"{category}_imagenet_train.txt").read_text().split()
        write_list(lists / "train" / f"{category}.txt", *names)
        for nuisance in nuisances:
            for number in range(each):
                name = f"{nuisance}{number}"
                annotation = collected / "annotations" / category / f"{name}.mat"
                write_photograph(collected / "images" / category / f"{name}.jpg", annotation, category, rng)
                entry = (
                    lists / "phase-1" / "nuisances" / nuisance / "annotations" / f"collection_{category}_{name}_0.npz"
                )
                entry.parent.mkdir(parents=True, exist_ok=True)
                np.savez(entry)
    return folder


def write_renders(run, categories=CATEGORIES, count=6):
    """A run folder with shards and CAD models of boxes; returns its shards."""
    for category in categories:
        write_run(run, train=count, test=1, category=category)
    return run / "shards"
