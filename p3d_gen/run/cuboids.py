"""RUN/cad/<category>.cuboid.npz: the cuboid around all models of a category. It is made of these models alone."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from p3d_gen.core.codecs import decode_npz, encode_npz
from p3d_gen.core.cuboid import Cuboid, category_cuboid
from p3d_gen.core.errors import RunError
from p3d_gen.run.remote import remote_errors
from p3d_gen.run.store import RunFolder


def cuboid_file(run: RunFolder, category: str) -> Path:
    """Return the path of a category's cuboid."""
    return run.root / "cad" / f"{category}.cuboid.npz"


def computed_cuboid(run: RunFolder, category: str) -> Cuboid:
    """Return the cuboid around all models of a category. RunError if one of them is damaged."""
    models = (run.load_model(category, cad.id) for cad in run.inventory.cads[category])
    return category_cuboid(model.vertices for model in models)


def cuboid_content(cuboid: Cuboid) -> bytes:
    """Return the bytes of a cuboid's file."""
    return encode_npz(vertices=cuboid.vertices, faces=cuboid.faces, normals=cuboid.normals)


def check_cuboid(run: RunFolder, category: str, *, elsewhere: bool = False) -> None:
    """Raise RunError if the file of a category's cuboid is not there, or is not that of its models.

    elsewhere: it was made by other versions of the software, which may pack the same arrays in other bytes.
    """
    path, cuboid = cuboid_file(run, category), computed_cuboid(run, category)
    remedy = f"delete {path}, and the ledger of a shard of renders, and run `p3dgen render` again"
    try:
        with remote_errors(path):
            content = path.read_bytes()
        if content == cuboid_content(cuboid):
            return
        arrays = decode_npz(content)
        same = [np.allclose(arrays[name], getattr(cuboid, name)) for name in ("vertices", "faces", "normals")]
    except FileNotFoundError:
        raise RunError(f"{path} is not there: {remedy}") from None
    except (ValueError, KeyError) as error:
        raise RunError(f"{path} is damaged: {error}; {remedy}") from None
    if not elsewhere or not all(same):
        raise RunError(f"{path} is not the cuboid of the run's models: {remedy}")
