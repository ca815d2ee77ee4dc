"""Mesh files without Blender: a damaged one is refused, and never read as another shape."""

import re
import struct
from contextlib import suppress

import numpy as np
import pytest
import trimesh

from p3d_gen.run.mesh_text import check_obj
from p3d_gen.run.meshes import parse_look, parse_mesh
from tests.helpers.assets import wedge

VERTICES = ["v 0 0 0", "v 1 0 0", "v 1 1 0", "v 0 1 0", "v 0 0 1"]
FACES = ["f 1 4 3 2", "f 1 2 5", "f 2 3 5", "f 3 4 5", "f 4 1 5"]


def exported(kind):
    if kind == "off":
        return wedge().export(file_type="off").encode()
    if kind == "stl_ascii":
        whole = wedge().export(file_type="stl_ascii").encode()
        return whole + whole.replace(b"solid", b"solid second")
    return wedge().export(file_type="ply" if kind.startswith("ply") else "stl", **ENCODING.get(kind, {}))


ENCODING = {"ply_ascii": {"encoding": "ascii"}, "ply": {"encoding": "binary"}}


@pytest.mark.parametrize("kind", ["off", "ply_ascii", "ply", "stl_ascii", "stl"])
def test_no_beginning_of_a_file_is_taken_for_the_whole(tmp_path, kind):
    path, whole = tmp_path / f"model.{kind.partition('_')[0]}", exported(kind)
    path.write_bytes(whole)
    assert len(parse_mesh(path)[1]) == len(wedge().faces) * (2 if kind == "stl_ascii" else 1)
    # a text whose last number lost a digit, or its last line end, can't be told from a whole one
    last = {"off": b" ", "ply_ascii": b" ", "stl_ascii": b"endsolid"}.get(kind)
    end = whole.rstrip().rindex(last) if last else len(whole)
    taken = []
    for size in sorted({*range(0, end, 11), *range(end - 60, end)}):
        path.write_bytes(whole[:size])
        with suppress(ValueError):
            parse_mesh(path)
            taken.append(size)
    assert not taken


def corners():
    return [(0, 3, 2, 1), (0, 1, 4), (1, 2, 4), (2, 3, 4), (3, 0, 4)]


def mixed_ply(encoding, order="<"):
    """A pyramid on a quad, whose vertices have a colour and whose faces have two more properties."""
    head = f"ply\nformat {encoding} 1.0\ncomment made here\nelement vertex 5\nproperty float x\nproperty float y\n"
    head += "property float z\nproperty uchar red\nelement face 5\nproperty uchar flags\n"
    head += "property list uchar int vertex_indices\nproperty double quality\nend_header\n"
    points = [tuple(map(float, line.split()[1:])) for line in VERTICES]
    if encoding == "ascii":
        rows = [f"{x} {y} {z} 255" for x, y, z in points]
        rows += [f"7 {len(face)} {' '.join(map(str, face))} 0.5" for face in corners()]
        return (head + "\n".join(rows) + "\n").encode()
    rows = [struct.pack(f"{order}3fB", *point, 255) for point in points]
    rows += [struct.pack(f"{order}BB{len(face)}id", 7, len(face), *face, 0.5) for face in corners()]
    return head.encode() + b"".join(rows)


@pytest.mark.parametrize("encoding", ["binary_little_endian", "binary_big_endian"])
def test_a_binary_ply_with_mixed_faces_is_read_as_its_text_is(tmp_path, encoding):
    text, binary = tmp_path / "text.ply", tmp_path / "binary.ply"
    text.write_bytes(mixed_ply("ascii"))
    whole = mixed_ply(encoding, ">" if "big" in encoding else "<")
    binary.write_bytes(whole)
    for one, other in zip(parse_mesh(text), parse_mesh(binary), strict=True):
        assert np.array_equal(one, other)
        assert one.dtype == other.dtype
    for size in range(len(whole)):
        binary.write_bytes(whole[:size])
        with pytest.raises(ValueError, match="cut short"):
            parse_mesh(binary)
    binary.write_bytes(whole + b"\0")
    with pytest.raises(ValueError, match="1 bytes more"):
        parse_mesh(binary)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"OFF\n3 1 0\n0 0 0\n1 0 0\n0 nan 0\n3 0 1 2\n", "line 5: 'nan' in '0 nan 0' is not a finite number"),
        (b"OFF\n3 1 0\n0 0 0\n1 0 0\n0 1 0\n4 0 1 2\n", "line 6: the face '4 0 1 2' lacks corners"),
        (b"OFF\n3 2 0\n0 0 0\n1 0 0\n0 1 0\n3 0 1 2\n", "promises 3 vertices and 2 faces, .* and has 4"),
        (b"COFF 3 x", "'x' in '3 x' is not a whole number"),
    ],
)
def test_a_damaged_off_names_its_line(tmp_path, content, said):
    (tmp_path / "model.off").write_bytes(content)
    with pytest.raises(ValueError, match=said):
        parse_mesh(tmp_path / "model.off")


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        (b"0.0 1.0 0.0 255", b"0.0 abc 0.0 255", "line 17: 'abc' in .* is not a finite number"),
        (b"0.0 1.0 0.0 255", b"0.0 inf 0.0 255", "line 17: 'inf'"),
        (b"0.0 1.0 0.0 255", b"0.0 1.0 0.0 red", "line 17: 'red' in .* is not a number"),
        (b"0.0 1.0 0.0 255", b"0.0 1.0 0.0", "line 17: it has 3 numbers, 4 are promised"),
        (b"7 3 3 0 4 0.5\n", b"7 3 3 0\n", "line 23: it has 4 numbers, 6 are promised"),
        (b"7 3 3 0 4 0.5\n", b"", "promises 5 rows of 'face' and has 4"),
        (b"property float y", b"property real y", "line 6: 'property real y' is not a line of a PLY header"),
        (b"element vertex 5", b"element vertex", "line 4"),
    ],
)
def test_a_damaged_ply_names_its_line(tmp_path, old, new, said):
    whole = mixed_ply("ascii")
    assert whole.count(old) == 1
    (tmp_path / "model.ply").write_bytes(whole.replace(old, new))
    with pytest.raises(ValueError, match=said):
        parse_mesh(tmp_path / "model.ply")


def strip_ply(encoding):
    """A tetrahedron as one strip of four triangles and a strip of one that is another face of it, doubled."""
    head = f"ply\nformat {encoding} 1.0\nelement vertex 4\nproperty float x\nproperty float y\nproperty float z\n"
    head += "property uchar red\nproperty uchar green\nproperty uchar blue\n"
    head += "element tristrips 1\nproperty list int int vertex_indices\nend_header\n"
    points = [(0, 0, 0), (1, 0, 0), (0, 1, 0), (0, 0, 1)]
    strip = [0, 1, 2, 3, -1, 3, 1, 0]
    if encoding == "ascii":
        rows = [f"{x} {y} {z} 255 51 0" for x, y, z in points] + [f"8 {' '.join(map(str, strip))}"]
        return (head + "\n".join(rows) + "\n").encode()
    rows = [struct.pack("<3f3B", *point, 255, 51, 0) for point in points]
    return head.encode() + b"".join(rows) + struct.pack("<9i", 8, *strip)


@pytest.mark.parametrize("encoding", ["ascii", "binary_little_endian"])
def test_strips_of_triangles_and_colours_of_a_ply_are_read(tmp_path, encoding):
    path = tmp_path / "model.ply"
    path.write_bytes(strip_ply(encoding))
    mesh = parse_look(path)
    assert len(mesh.vertices) == 4
    assert mesh.faces.tolist() == [[0, 1, 2], [2, 1, 3], [3, 1, 0]]  # every second one is turned
    assert mesh.colours == pytest.approx(np.tile([1.0, 0.2, 0.0], (4, 1)))


def test_a_normal_that_is_no_number_does_no_harm(tmp_path):
    whole = mixed_ply("ascii").replace(b"uchar red", b"float nx").replace(b" 255", b" nan")
    (tmp_path / "model.ply").write_bytes(whole)
    assert len(parse_mesh(tmp_path / "model.ply")[1]) == 6


@pytest.mark.parametrize("word", ["nan", "inf", "-inf", "abc", "1,5", "1_0", "0x1", "1.#QNAN", ""])
@pytest.mark.parametrize("place", [1, 2, 3])
def test_an_obj_whose_vertex_is_not_three_finite_numbers(tmp_path, word, place):
    words = VERTICES[2].split()
    words[place] = word
    path = tmp_path / "model.obj"
    path.write_text("\n".join(["# made here", *VERTICES[:2], " ".join(words), *VERTICES[3:], *FACES]))
    with pytest.raises(ValueError, match=r"^line 4: "):
        check_obj(path)


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        (["f 1 2 6"], "line 6: 'f 1 2 6' uses number 6 of the lines that begin with 'v', and 5 stand above it"),
        (["f 1 2 0"], "number 0"),
        (["f -1 -2 -6"], "number -6"),
        (["f 1 2 x"], "line 6: 'x' in 'f 1 2 x' is not a whole number"),
        (["f 1 2 3.0"], "'3.0'"),
        (["vt 0 0", "f 1/1 2/1 3/2"], "line 7: .* uses number 2 of the lines that begin with 'vt', and 1 stand"),
        (["vn 0 0 1", "f 1//1 2//1 3//2"], "line 7: .* begin with 'vn'"),
        (["vt 0 nan"], "line 6: 'nan'"),
        (["vt"], "line 6: 'vt' has 0 numbers"),
        (["# it goes on \\", "v 1 1 1", "f 1 2 6"], "line 8: .* uses number 6"),
        (["f 1 2 \\", "  3 4 \\", "9"], "line 6: 'f 1 2 3 4 9' uses number 9"),
    ],
)
def test_an_obj_whose_reader_would_drop_a_face(tmp_path, lines, said):
    path = tmp_path / "model.obj"
    path.write_text("\n".join([*VERTICES, *lines, *FACES]))
    with pytest.raises(ValueError, match=said):
        check_obj(path)
    with pytest.raises(ValueError, match=said):
        parse_mesh(path)


@pytest.mark.parametrize(
    "lines",
    [
        ["f 1/9 2/9 3/9"],  # it has no texture coordinates at all
        ["f 1//9 2//9 3//9"],
        ["f 1/ 2/ 3/ # a comment"],
        ["\tf -1 -2 \\", "-3"],
        ["v +1.5e0 .5 -2. 0.5 0.5 0.5", "f 1 2 6", "l 1 2", "o wedge", "usemtl steel", "s off"],
        ["vt 0.5", "vn nan nan nan", "f 1/1/1 2/1/1 3/1/1", "f 1/ 2/1 3/1"],
        ["v 1 2\\", " 3", "f 1 2 6"],
        ["f 1 2"],
    ],
)
def test_an_obj_as_programs_write_it(tmp_path, lines):
    path = tmp_path / "model.obj"
    path.write_text("\r\n".join([*VERTICES, *lines, *FACES]))
    check_obj(path)


def test_the_message_is_short_whatever_the_line(tmp_path):
    (tmp_path / "model.obj").write_text("v " + "1" * 10_000_000 + "x 0 0")
    with pytest.raises(ValueError, match=re.escape("...' is not a finite number: correct it")) as error:
        check_obj(tmp_path / "model.obj")
    assert len(str(error.value)) < 300


def test_a_good_mesh_is_what_trimesh_reads(tmp_path):
    for kind in ("off", "ply_ascii", "ply", "stl_ascii", "stl"):
        path = tmp_path / f"model.{kind.partition('_')[0]}"
        path.write_bytes(exported(kind))
        mesh = trimesh.load(path, process=False, force="mesh")
        vertices, faces = parse_mesh(path)
        assert np.array_equal(vertices, mesh.vertices)
        assert np.array_equal(faces, mesh.faces)


def test_comments_anywhere_in_an_off_change_nothing(tmp_path):
    rows = ["OFF", "4 4 6", "0 0 0", "1 0 0", "0 1 0", "0 0 1", "3 0 2 1", "3 0 1 3", "3 0 3 2", "3 1 2 3"]
    (tmp_path / "plain.off").write_text("\n".join(rows) + "\n")
    vertices, faces = parse_mesh(tmp_path / "plain.off")
    for at in range(len(rows) + 1):
        (tmp_path / "remark.off").write_text("\n".join([*rows[:at], "# a remark: 1 2 3", *rows[at:]]) + "\n")
        found_vertices, found_faces = parse_mesh(tmp_path / "remark.off")
        np.testing.assert_array_equal(found_vertices, vertices)
        np.testing.assert_array_equal(found_faces, faces)
    (tmp_path / "end.off").write_text("\r\n".join(f"{row} # remark" for row in rows))
    np.testing.assert_array_equal(parse_mesh(tmp_path / "end.off")[0], vertices)
