"""Parametric shapes as PLY files, which keep part names, keypoints and symmetry in comments of the header."""

import numpy as np

from blender_assets.shapes.mesh import Shape

MAGIC = b"ply\nformat binary_little_endian 1.0\ncomment p3dgen parametric shape, CC0-1.0\n"
VERTEX = np.dtype([("xyz", "<f4", (3,))])
FACE = np.dtype([("count", "u1"), ("corners", "<i4", (3,)), ("part", "<i4")])


def is_parametric_ply(data: bytes) -> bool:
    """Return True if a file that begins with `data`, 100 bytes or more, was written by `ply_bytes`."""
    return data.startswith(MAGIC)


def ply_bytes(mesh: Shape) -> bytes:
    """Return a shape as binary little-endian PLY.

    Vertices are float32 in the object frame of `Shape`; each face has a property `part` (int32). The header's lines
    `comment part <number> <name>`, `comment keypoint <name> <x> <y> <z>` and `comment symmetry_order <n>` hold the
    rest. Raises ValueError for a part or keypoint whose name is not one word of ASCII.
    """
    for name in (*mesh.part_names, *mesh.keypoints):
        if not name.isascii() or name.split() != [name]:
            raise ValueError(f"a name in a PLY header is one word of ASCII, not {name!r}")
    header = [f"comment part {i} {name}" for i, name in enumerate(mesh.part_names)]
    header += [f"comment keypoint {name} " + " ".join(map(str, map(float, p))) for name, p in mesh.keypoints.items()]
    header += [f"comment symmetry_order {mesh.symmetry_order}"]
    header += [f"element vertex {len(mesh.vertices)}", *(f"property float {axis}" for axis in "xyz")]
    header += [f"element face {len(mesh.faces)}", "property list uchar int vertex_indices", "property int part"]
    vertices = np.zeros(len(mesh.vertices), VERTEX)
    vertices["xyz"] = mesh.vertices
    faces = np.zeros(len(mesh.faces), FACE)
    faces["count"], faces["corners"], faces["part"] = 3, mesh.faces, mesh.face_part
    return MAGIC + "\n".join([*header, "end_header\n"]).encode("ascii") + vertices.tobytes() + faces.tobytes()


def shape_of_ply(data: bytes) -> Shape:
    """Return the shape of `ply_bytes` output, its vertices rounded to float32. ValueError for any other PLY."""
    try:
        mesh = _parsed(data)
        same = ply_bytes(mesh) == data
    except (ValueError, IndexError, KeyError) as error:
        raise ValueError(f"not a PLY written by blender_assets.shapes: {error}") from error
    if not same:
        raise ValueError("not a PLY written by blender_assets.shapes: its header or its faces differ")
    return mesh


def _parsed(data: bytes) -> Shape:
    """Return the shape of a PLY whose header is as `ply_bytes` writes it; ValueError, IndexError or KeyError if it is
    not."""
    if not is_parametric_ply(data):
        raise ValueError("its header does not begin as theirs do")
    head, _, body = data.partition(b"end_header\n")
    lines = [line.split(" ") for line in head.decode("ascii").splitlines()]
    count = {line[1]: int(line[2]) for line in lines if line[0] == "element"}
    start = count["vertex"] * VERTEX.itemsize
    vertices = np.frombuffer(body, VERTEX, count["vertex"])
    faces = np.frombuffer(body, FACE, count["face"], start)
    names = tuple(line[3] for line in lines if line[:2] == ["comment", "part"])
    [symmetry_order] = [int(line[2]) for line in lines if line[:2] == ["comment", "symmetry_order"]]
    keypoints = [line[2:] for line in lines if line[:2] == ["comment", "keypoint"]]
    if not ((faces["corners"] >= 0) & (faces["corners"] < len(vertices))).all():
        raise ValueError("a corner of a face is not a vertex")
    if not ((faces["part"] >= 0) & (faces["part"] < len(names))).all():
        raise ValueError("a face has a part without a name")
    return Shape(
        vertices=vertices["xyz"].astype(np.float64),
        faces=faces["corners"].astype(np.int64),
        face_part=faces["part"].astype(np.int16),
        part_names=names,
        keypoints={name: np.array([float(x), float(y), float(z)]) for name, x, y, z in keypoints},
        symmetry_order=symmetry_order,
    )
