"""The files of a user's folder: those that programs leave behind are passed over, and links to folders are followed."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path

from p3d_gen.core.errors import DataError


def visible(paths: Iterable[Path], folder: Path, suffixes: Collection[str]) -> list[Path]:
    """Return those of the paths below `folder`, sorted, that are files with one of the suffixes (lower case).

    Names on the way that begin with a dot are passed over, such as `._x.jpg` and `.thumbnails/`.
    """
    return sorted(
        path
        for path in paths
        if path.suffix.lower() in suffixes
        and not any(name.startswith(".") for name in path.relative_to(folder).parts)
        and path.is_file()
    )


def _walk(folder: Path, above: tuple[str, ...] = ()) -> Iterator[Path]:
    """Yield all that lies below a folder. above: the real paths of the folders that lead to it."""
    real = os.path.realpath(folder)
    if real in above:
        return  # a link to a folder that holds it
    try:
        with os.scandir(folder) as scanned:
            entries = [entry for entry in scanned if not entry.name.startswith(".")]
    except OSError as error:
        raise DataError(
            f"{folder} cannot be read: {error.strerror}; make it readable, or take it out of its folder"
        ) from None
    for entry in entries:
        if entry.is_dir():
            yield from _walk(Path(entry.path), (*above, real))
        else:
            yield Path(entry.path)


def files_below(folder: Path, suffixes: Collection[str]) -> list[Path]:
    """Return the files below a folder that have one of the suffixes (lower case), sorted.

    Names that begin with a dot are passed over, both of files and of folders. Links to folders are followed, except to
    one that holds the link. DataError if a folder cannot be read.
    """
    return visible(_walk(folder), folder, suffixes)
