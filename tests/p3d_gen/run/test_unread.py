"""Colours and pictures that OFF, PLY and STL files hold and nobody reads are named."""

import numpy as np
import pytest
import trimesh

from p3d_gen.run.meshes import parse_look
from p3d_gen.run.unread import unread_looks

VERTICES = ["0 0 0", "1 0 0", "0 1 0", "0 0 1"]
FACES = ["3 0 2 1", "3 0 1 3", "3 0 3 2", "3 1 2 3"]
RED = " 255 0 0"
OF_VERTICES, OF_FACES = "the colours of its vertices are not kept", "the colours of its faces are not kept"


def off(keyword="OFF", vertex="", face=""):
    rows = [keyword, "4 4 6", *(v + vertex for v in VERTICES), *(f + face for f in FACES)]
    return "\n".join(rows).encode() + b"\n"


def ply(comment="", face_property="", face=""):
    head = ["ply", "format ascii 1.0", *([comment] if comment else []), "element vertex 4"]
    head += [*(f"property float {axis}" for axis in "xyz"), "element face 4"]
    head += ["property list uchar int vertex_indices", *([face_property] if face_property else []), "end_header"]
    return "\n".join([*head, *VERTICES, *(f + face for f in FACES)]).encode() + b"\n"


def stl(colour=0):
    content = bytearray(trimesh.creation.box().export(file_type="stl"))
    facets = np.frombuffer(content, np.uint8)[84:].reshape(-1, 50)
    facets[3, 48] = colour
    return bytes(content)


@pytest.mark.parametrize(
    ("name", "content", "lines"),
    [
        ("plain.off", off(), []),
        ("joined.off", off("OFF 4 4 6").replace(b"4 4 6\n4 4 6", b"4 4 6"), []),
        ("normals.off", off("NOFF", " 0 0 1"), []),
        ("vertices.off", off("COFF", RED + " 255"), [OF_VERTICES]),
        ("unsaid.off", off("OFF", RED), [OF_VERTICES]),
        ("faces.off", off(face=RED), [OF_FACES]),
        ("long.off", off(face=RED).replace(b"4 4 6\n", b"4 4 6\n" + b"# a remark\n" * 600), [OF_FACES]),
        ("plain.ply", ply(), []),
        ("textured.ply", ply("comment TextureFile my skin.png"), ["its picture 'my skin.png' is not kept"]),
        ("faces.ply", ply(face_property="property uchar red", face=" 255"), [OF_FACES]),
        ("plain.stl", stl(), []),
        ("colour.stl", stl(31), ["its colours are not kept"]),
        ("text.stl", trimesh.creation.box().export(file_type="stl_ascii").encode(), []),
    ],
)
def test_looks_that_nobody_reads_are_named(tmp_path, name, content, lines):
    path = tmp_path / name
    path.write_bytes(content)
    assert len(parse_look(path).faces) == (12 if path.suffix == ".stl" else 4)
    told = unread_looks(path)
    assert len(told) == len(lines)
    assert all(line in text for line, text in zip(lines, told, strict=True))
