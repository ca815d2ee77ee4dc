"""Writes the embedded defaults of `blender_assets/`: `python -m p3d_gen.assets.build [--out DIR]`."""

import argparse
import os
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from p3d_gen.assets.parametric import BODY_TYPES, CATEGORIES, Mesh, build
from p3d_gen.assets.procedural import ATTRIBUTES, texture

DEFAULT_OUT = Path(__file__).resolve().parents[2] / "blender_assets"
TEXTURES_EACH = 2
TEXTURE_PX = 256
JPEG_QUALITY = 85
VERTEX = np.dtype([("xyz", "<f4", (3,))])
FACE = np.dtype([("count", "u1"), ("corners", "<i4", (3,)), ("part", "<i2")])


def ply_bytes(mesh: Mesh) -> bytes:
    """A mesh as binary little-endian PLY.

    Vertices are float32 in the object frame of `Mesh`; each face has a property `part` (int16), named by the header's
    lines `comment part <number> <name>`.
    """
    header = ["ply", "format binary_little_endian 1.0", "comment p3dgen parametric shape, CC0-1.0"]
    header += [f"comment part {i} {name}" for i, name in enumerate(mesh.part_names)]
    header += [f"element vertex {len(mesh.vertices)}", *(f"property float {axis}" for axis in "xyz")]
    header += [f"element face {len(mesh.faces)}", "property list uchar int vertex_indices", "property short part"]
    vertices = np.zeros(len(mesh.vertices), VERTEX)
    vertices["xyz"] = mesh.vertices
    faces = np.zeros(len(mesh.faces), FACE)
    faces["count"], faces["corners"], faces["part"] = 3, mesh.faces, mesh.face_part
    return "\n".join([*header, "end_header\n"]).encode("ascii") + vertices.tobytes() + faces.tobytes()


def mesh_of_ply(data: bytes) -> Mesh:
    """The mesh of `ply_bytes` output, its vertices rounded to float32. Raises ValueError for any other PLY."""
    head, end, body = data.partition(b"end_header\n")
    lines = head.decode("ascii", "replace").splitlines()
    counts = {line.split()[1]: int(line.split()[2]) for line in lines if line.startswith("element ")}
    names = tuple(line.split()[3] for line in lines if line.startswith("comment part "))
    expected = counts.get("vertex", 0) * VERTEX.itemsize + counts.get("face", 0) * FACE.itemsize
    if not end or not names or len(body) != expected:
        raise ValueError(f"not a PLY written by p3d_gen.assets.build: {len(body)} bytes of data, not {expected}")
    vertices = np.frombuffer(body, VERTEX, counts["vertex"])
    faces = np.frombuffer(body, FACE, counts["face"], counts["vertex"] * VERTEX.itemsize)
    corners = faces["corners"].astype(np.int64)
    return Mesh(vertices["xyz"].astype(np.float64), corners, faces["part"].astype(np.int16), names)


def jpeg_bytes(image: NDArray[np.uint8]) -> bytes:
    """An sRGB image (H, W, 3) uint8 as JPEG of quality 85."""
    done, data = cv2.imencode(".jpg", image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
    if not done:
        raise ValueError(f"OpenCV cannot encode an image of shape {image.shape} as JPEG")
    return bytes(data)


def files() -> dict[str, bytes]:
    """Every generated file of `blender_assets/`: path relative to it, with forward slashes -> content."""
    made = {}
    for category in CATEGORIES:
        for variant in range(BODY_TYPES):
            made[f"cad/{category}/{category}_{variant:02d}.ply"] = ply_bytes(build(category, variant))
    for name in ATTRIBUTES:
        for seed in range(TEXTURES_EACH):
            made[f"textures/{name}/{name}_{seed:04d}.jpg"] = jpeg_bytes(texture(name, seed, TEXTURE_PX))
    return made


def write(out: Path) -> int:
    """Write every generated file below a folder, each complete or not at all; returns their total size in bytes."""
    total = 0
    for name, data in files().items():
        path = out / name
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_name(path.name + ".partial")
        with partial.open("wb") as stream:
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
        partial.replace(path)
        total += len(data)
    return total


def main() -> None:
    """Command line of this module."""
    parser = argparse.ArgumentParser(prog="python -m p3d_gen.assets.build", description=__doc__)
    parser.add_argument("--out", type=Path, default=DEFAULT_OUT, help="folder to write to (default: %(default)s)")
    out = parser.parse_args().out
    print(f"{out}: {write(out):,} bytes")


if __name__ == "__main__":
    main()
