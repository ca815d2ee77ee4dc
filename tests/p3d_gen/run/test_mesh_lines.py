"""The quick look at OBJ and OFF files calls nothing sound that the look at each line refuses, and knows plain files."""

import numpy as np
import pytest

from p3d_gen.run.mesh_lines import is_plain_obj, is_plain_off
from p3d_gen.run.mesh_text import check_obj_lines, check_off_lines
from tests.helpers.assets import wedge

NUMBERS = "".join(f"v {x} {y} {z}\n" for x, y, z in wedge().vertices)


def obj(corner, extra=""):
    faces = "".join("f " + " ".join(corner.format(n) for n in face) + "\n" for face in wedge().faces + 1)
    return ("# made by hand\nmtllib a.mtl\no wedge\n" + NUMBERS + extra + "usemtl skin\n" + faces).encode()


def off():
    return wedge().export(file_type="off").encode()


COUNT = len(wedge().vertices)
TEXTURE, NORMALS = "vt 0.5 0.25\n" * COUNT, "vn 0 0 1\n" * COUNT
PLAIN = {
    "obj": (is_plain_obj, check_obj_lines, obj("{0}")),
    "textured": (is_plain_obj, check_obj_lines, obj("{0}/{0}", TEXTURE)),
    "normals": (is_plain_obj, check_obj_lines, obj("{0}//{0}", NORMALS)),
    "all": (is_plain_obj, check_obj_lines, obj("{0}/{0}/{0}", TEXTURE + NORMALS)),
    "colours": (is_plain_obj, check_obj_lines, obj("{0}").replace(b"v 0", b"v 0").replace(b"\nv ", b"\nv 1 1 1 ")),
    "windows": (is_plain_obj, check_obj_lines, obj("{0}").replace(b"\n", b"\r\n")),
    "off": (is_plain_off, check_off_lines, off()),
}


@pytest.mark.parametrize("name", PLAIN)
def test_plain_files_need_no_look_at_each_line(name):
    is_plain, check, content = PLAIN[name]
    check(content)
    assert is_plain(content)
    assert is_plain(content.rstrip())


@pytest.mark.parametrize("name", PLAIN)
def test_what_is_called_plain_is_sound(name):
    """Bytes are changed, dropped, doubled and cut off by chance."""
    is_plain, check, content = PLAIN[name]
    rng, refused, called_plain = np.random.default_rng([7, len(content)]), 0, 0
    for _ in range(1500):
        data = bytearray(content)
        for _ in range(rng.integers(1, 3)):
            place = int(rng.integers(len(data)))
            letter = b"0123456789 .-/#ev\\nfna\r\n\t"[int(rng.integers(24))]
            data[place : place + int(rng.integers(0, 2))] = bytes([letter]) * int(rng.integers(0, 3))
        if rng.random() < 0.1:
            del data[int(rng.integers(len(data))) :]
        try:
            check(bytes(data))
        except ValueError:
            refused += 1
            assert not is_plain(bytes(data)), bytes(data)
        else:
            called_plain += is_plain(bytes(data))
    assert refused > 50
    assert called_plain > 50
