"""Axes of CAD models that a user states: what they are in the file, and the side file that holds them."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from p3d_gen.core.errors import AssetError
from p3d_gen.run.files import write_bytes
from p3d_gen.spec.axes import axis_name, axis_vector, object_R_file
from p3d_gen.spec.inventory import Asset
from p3d_gen.spec.licences import is_own_ply
from p3d_gen.spec.sections import read_toml
from p3d_gen.spec.side_files import CATEGORY_FILE, is_manifest, model_file

_KEY = re.compile(r"^[ \t]*(up|front)[ \t]*=.*\n?", re.MULTILINE)
_TABLE = re.compile(r"^[ \t]*\[", re.MULTILINE)


def file_axes(up: str, front: str, seen_up: str, seen_front: str) -> tuple[str, str]:
    """Return the axes of a file that point up and to the front.

    up, front: the axes of the file that are taken so now. seen_up, seen_front: the axes of a picture that was drawn
    with them, such as "-y", that ought to point there.
    """
    frame = object_R_file(up, front)
    return axis_name(frame.T @ axis_vector(seen_up)), axis_name(frame.T @ axis_vector(seen_front))


def check_can_state(assets: Sequence[Asset]) -> None:
    """Raise AssetError if a side file cannot state the axes of a model."""
    for asset in assets:
        if asset.is_parametric or is_own_ply(asset.path):
            raise AssetError(f"{asset.address} is a parametric shape, which has its own axes: name other models")


def places(cads: Mapping[str, Sequence[Asset]], is_file: bool) -> Iterator[Path]:
    """Yield the side files that state the axes of all models of a source.

    They are the `category.toml` of each category's folder; or those of the models, if categories share a folder or
    is_file says that the source is the file of one model.
    """
    folders = {
        category: Path(os.path.commonpath([asset.path.absolute().parent for asset in models]))
        for category, models in cads.items()
    }
    is_shared = len(set(folders.values())) < len(folders)
    for category, models in cads.items():
        if is_file or is_shared:
            yield from (model_file(asset.path) for asset in models)
        else:
            yield folders[category] / CATEGORY_FILE


def write_axes(path: Path, up: str, front: str) -> None:
    """Write axes into a side file, whose other keys and comments stay. AssetError if it is not TOML, or a manifest."""
    text = ""
    if path.is_file():
        if is_manifest(read_toml(path, AssetError)):
            raise AssetError(f"{path} is a manifest, and the model beside it has its name: rename one of them")
        text = path.read_text(encoding="utf-8-sig")
    table = _TABLE.search(text)
    end = table.start() if table else len(text)
    content = f'up = "{up}"\nfront = "{front}"\n{_KEY.sub("", text[:end])}{text[end:]}'
    write_bytes(path, content.encode())
