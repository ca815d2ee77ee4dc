"""The licence of an asset, as far as it is stated next to it. A licence that is not stated is unknown.

For a file, the first of these that exists counts:

<file>.license             its licence: an SPDX id, or a line `SPDX-License-Identifier: <id>`
<stem>.toml                of a CAD model, or category.toml: `licence = "<SPDX id>"`, see `spec.side_files`
licences.toml              in its folder or one above, up to its source: `"<glob>" = "<SPDX id>"`, the first glob that
                           matches; a glob is of the path below the folder of that file, and `*` matches `/` as well
a glTF file itself         `asset.extras.license`, or `asset.copyright` if that names a licence
LICENSE*, LICENCE*,        in the nearest such folder: the id as above, or the title of a well-known licence's own text
COPYING*

An id is an expression of SPDX ids, or `LicenseRef-<name>` for a licence that has none.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path

from blender_assets.shapes.ply import is_parametric_ply
from p3d_gen.core.errors import AssetError
from p3d_gen.core.gltf import gltf_json
from p3d_gen.spec.inventory import Asset
from p3d_gen.spec.layouts import CAD_SUFFIXES
from p3d_gen.spec.sections import read_toml
from p3d_gen.spec.side_files import licence_file, side_file
from p3d_gen.spec.spdx import named_licence, spdx

UNKNOWN = "unknown"
LICENCES_FILE = "licences.toml"
_OWN = "CC0-1.0"
_TEXTS = ("license", "licence", "copying")
_TAG = re.compile(r"SPDX-License-Identifier:\s*(.+)")
_MAGIC_BYTES = 100
_GLTF = (".gltf", ".glb")
# The first words of licences' own texts, in small letters.
_TITLES = {
    "mit license": "MIT",
    "the mit license": "MIT",
    "the mit license (mit)": "MIT",
    "apache license version 2.0": "Apache-2.0",
    "apache license version 2.0, january 2004": "Apache-2.0",
    "cc0 1.0 universal": "CC0-1.0",
    "creative commons legal code cc0 1.0 universal": "CC0-1.0",
    "attribution 4.0 international": "CC-BY-4.0",
    "attribution-sharealike 4.0 international": "CC-BY-SA-4.0",
    "attribution-noncommercial 4.0 international": "CC-BY-NC-4.0",
    "attribution-noncommercial-sharealike 4.0 international": "CC-BY-NC-SA-4.0",
    # of the environment maps that come with Blender
    "all hdris are licensed as cc0.": "CC0-1.0",
}


@dataclass(frozen=True, kw_only=True)
class Licence:
    """A licence: an SPDX expression, or `UNKNOWN`; and the file that states it, "" for none."""

    id: str
    stated_in: str


def is_own_ply(path: Path) -> bool:
    """Return True if a file was written from a parametric shape, and so holds its parts and keypoints itself."""
    if path.suffix.lower() != ".ply":
        return False
    with path.open("rb") as file:
        return is_parametric_ply(file.read(_MAGIC_BYTES))


def _mtime(path: Path) -> int:
    """Return the time of the last change, which keys the caches below, so that they do not outlive a change."""
    return path.stat().st_mtime_ns


@functools.lru_cache(maxsize=1024)
def _read_text(path: Path, _: int) -> str:
    """Return the licence that a text names by its id or title; `UNKNOWN` if it names none."""
    text = path.read_text(encoding="utf-8-sig", errors="replace")
    tag = _TAG.search(text)
    lines = [" ".join(line.split()) for line in text.splitlines() if line.strip()]
    if tag is None and lines:
        for title in (lines[0].lower(), " ".join(lines[:2]).lower()):
            if title in _TITLES:
                return _TITLES[title]
    try:
        return spdx(tag[1].strip() if tag else lines[0] if lines else "")
    except ValueError:
        return UNKNOWN


@functools.lru_cache(maxsize=1024)
def _read_globs(path: Path, _: int) -> tuple[tuple[str, str], ...]:
    """Return the globs of a `licences.toml` and their licences. Raise AssetError for an entry that is not valid."""
    globs = []
    for glob, text in read_toml(path, AssetError).items():
        try:
            globs.append((glob, spdx(text)))
        except (ValueError, AttributeError, TypeError):
            raise AssetError(
                f'{path}: {glob!r} = {text!r}: write "<glob>" = "<SPDX id>", such as "CC-BY-4.0", or '
                '"LicenseRef-<name>" for a licence that has no id'
            ) from None
    return tuple(globs)


@functools.lru_cache(maxsize=1024)
def _texts(folder: Path, _: int) -> tuple[Path, ...]:
    """Return the licence texts of a folder."""
    texts = (p for p in folder.iterdir() if p.name.lower().startswith(_TEXTS) and p.name != LICENCES_FILE)
    return tuple(sorted(path for path in texts if path.is_file()))


@functools.lru_cache(maxsize=4096)
def _licence_inside(path: Path, _: int) -> str:
    """Return the licence that a glTF file states of itself, "" if it states none that is known."""
    try:
        data = gltf_json(path)
        about = data.get("asset", {})
        extras = (about.get("extras"), data.get("extras"))
        texts = [each.get("license") or each.get("licence") for each in extras if isinstance(each, dict)]
        texts.append(about.get("copyright"))
    except (OSError, ValueError, AttributeError):
        return ""  # the reader says what is wrong with it
    named = (named_licence(text) for text in texts if isinstance(text, str))
    return next((licence for licence in named if licence), "")


def _folders(path: Path, root: Path) -> Iterator[Path]:
    """Yield the folders from a file's own up to its source's root."""
    for folder in path.parents:
        yield folder
        if folder == root:
            return


def _below(path: Path, root: Path) -> str:
    """Return a path as it is published: from the source's own folder on."""
    return path.relative_to(root.parent).as_posix()


def file_licence(path: Path, root: Path) -> Licence:
    """Return the licence of a file of the source at `root`. Raise AssetError if a `licences.toml` cannot be used.

    A file that is reached through a link has the licence that is stated where the link stands.
    """
    path = root.resolve() / path.relative_to(root) if path.is_relative_to(root) else path.resolve()
    root = root.resolve() if path.is_relative_to(root.resolve()) else path.parent
    sidecar = path.with_name(f"{path.name}.license")
    if sidecar.is_file():
        return Licence(id=_read_text(sidecar, _mtime(sidecar)), stated_in=_below(sidecar, root))
    if path.suffix.lower() in CAD_SUFFIXES and (stated := licence_file(path)) and stated.is_relative_to(root.parent):
        return Licence(id=spdx(side_file(path).licence or ""), stated_in=_below(stated, root))
    for folder in _folders(path, root):
        if (listed := folder / LICENCES_FILE).is_file():
            name = path.relative_to(folder).as_posix()
            for glob, licence in _read_globs(listed, _mtime(listed)):
                if fnmatch(name, glob):
                    return Licence(id=licence, stated_in=_below(listed, root))
    if path.suffix.lower() in _GLTF and (inside := _licence_inside(path, _mtime(path))):
        return Licence(id=inside, stated_in=_below(path, root))
    for folder in _folders(path, root):
        for text in _texts(folder, _mtime(folder))[:1]:
            return Licence(id=_read_text(text, _mtime(text)), stated_in=_below(text, root))
    return Licence(id=UNKNOWN, stated_in="")


def asset_licence(asset: Asset, root: Path | None) -> Licence:
    """Return the licence of an asset. root: folder of its source, None for a file alone or a computed shape."""
    if asset.is_parametric or is_own_ply(asset.path):
        return Licence(id=_OWN, stated_in="p3dgen's parametric library")
    return file_licence(asset.path, root or asset.path.parent)


def stated_licence(text: str) -> str:
    """Return the SPDX id of the licence that a model card states, or `LicenseRef-<text>`; `UNKNOWN` stays."""
    if text == UNKNOWN:
        return UNKNOWN
    try:
        return spdx(text)
    except ValueError:
        return f"LicenseRef-{re.sub(r'[^A-Za-z0-9.-]+', '-', text)}"


def is_allowed(licence: str, allowed: Iterable[str]) -> bool:
    """Return True if a licence is allowed: one of its alternatives (OR), all of its parts (AND).

    An expression with brackets is allowed only as a whole.
    """
    ids = set(allowed)
    return licence in ids or any(
        all(part in ids for part in alternative.split(" AND ")) for alternative in licence.split(" OR ")
    )
