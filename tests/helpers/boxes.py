"""Small labelled shards for the tests of pose_models: boxes with six colours, drawn with OpenCV."""

import io
import json
import tarfile

import cv2
import numpy as np

from p3d_gen.core import geometry as g
from p3d_gen.core.types import Camera, Viewpoint

EXTENT = np.array([0.42, 0.78, 0.46])
COLOURS = np.array([[200, 40, 40], [40, 200, 40], [40, 40, 200], [200, 200, 40], [40, 200, 200], [200, 40, 200]])


def draw_box(pose, camera, rng, colours=COLOURS):
    """RGB picture and mask of the coloured box; faces in the order x-, x+, y-, y+, z-, z+."""
    corners = g.box_corners(EXTENT)
    pixels = g.project(g.transform(pose, corners), camera)
    centre = -pose[:3, :3].T @ pose[:3, 3]
    image = np.empty((*camera.image_hw, 3), np.uint8)
    image[:] = rng.integers(60, 190, 3)
    mask = np.zeros(camera.image_hw, np.uint8)
    for face in range(6):
        axis, side = face // 2, face % 2
        if (centre[axis] if side else -centre[axis]) <= EXTENT[axis] / 2:
            continue
        ids = [i for i in range(8) if i >> axis & 1 == side]
        polygon = cv2.convexHull(np.round(pixels[ids] * 16 - 8).astype(np.int32))
        cv2.fillConvexPoly(image, polygon, colours[face].tolist(), cv2.LINE_8, 4)
        cv2.fillConvexPoly(mask, polygon, 255, cv2.LINE_8, 4)
    return image, mask


def labels(key, viewpoint, camera, category="box"):
    return {
        "key": key,
        "category": category,
        "cad_id": "box_01",
        "cam_T_obj": g.cam_T_obj(viewpoint).tolist(),
        "focal_px": camera.focal_px,
        "principal_px": list(camera.principal_px),
        "image_hw": list(camera.image_hw),
    }


def members(index, rng, category="box", inverted=False):
    """(name, bytes) of one sample's members, jpg, json, mask.png; `inverted`: of a box in the complementary colours."""
    key = f"{category}-{index:06d}"
    viewpoint = Viewpoint(
        azimuth_rad=rng.uniform(0, 2 * np.pi),
        elevation_rad=np.radians(rng.uniform(-10, 30)),
        theta_rad=0.0,
        distance=rng.uniform(5, 6),
    )
    camera = Camera(focal_px=480.0, principal_px=(66.0, 47.0), image_hw=(96, 128))
    image, mask = draw_box(g.cam_T_obj(viewpoint), camera, rng, 255 - COLOURS if inverted else COLOURS)
    return [
        (f"{key}.jpg", cv2.imencode(".jpg", image[..., ::-1])[1].tobytes()),
        (f"{key}.json", json.dumps(labels(key, viewpoint, camera, category)).encode()),
        (f"{key}.mask.png", cv2.imencode(".png", mask)[1].tobytes()),
    ]


def write_tar(path, files):
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w") as tar:
        for name, data in files:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))


def write_run(run, train=24, test=8, seed=0, category="box", inverted=False):
    """A run folder with `shards`, `test` shards and the CAD; returns it."""
    rng = np.random.default_rng([seed, 1])
    for folder, count, start in (("shards", train, 0), ("test", test, 10_000)):
        files = [file for i in range(count) for file in members(start + i, rng, category, inverted)]
        write_tar(run / folder / f"{category}-00000.tar", files)
    cad = run / "cad" / category / "box_01.npz"
    cad.parent.mkdir(parents=True, exist_ok=True)
    np.savez(cad, vertices=g.box_corners(EXTENT), faces=np.array([[0, 1, 2]]))
    return run
