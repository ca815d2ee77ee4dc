"""Damage to one file of a folder, as disks, copies and people do it: every file of a folder, in each way, once."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from p3d_gen.bench.damage_folders import Specimen
from p3d_gen.run.kept import KeptFile, kept_file

_NUMBER = re.compile(r"(\d+)(?=\D*$)")


@dataclass(frozen=True, kw_only=True)
class Case:
    """A damage to one file. name: its path in the folder. seed: of the place of the damage."""

    specimen: Specimen
    name: str
    damage: str
    seed: int

    @property
    def kind(self) -> KeptFile:
        """The kind of the file."""
        return kept_file(self.specimen.kind, self.name)

    def __str__(self) -> str:
        """Return the case in a few words."""
        return f"{self.damage} {self.specimen.name}: {self.name}"


def files_of(folder: Path) -> list[str]:
    """Return the paths of all files in a folder, without hidden ones: locks, and what a killed command was writing."""
    files = (path for path in folder.rglob("*") if path.is_file() and not path.name.startswith("."))
    return sorted(path.relative_to(folder).as_posix() for path in files)


def _rewrite(path: Path, content: bytes) -> None:
    """Write another content into a file as a disk that rots does: nothing else tells it."""
    times = path.stat()
    path.write_bytes(content)
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))


def _flip(case: Case, folder: Path, rng: np.random.Generator) -> list[str]:
    path = folder / case.name
    content = bytearray(path.read_bytes())
    content[rng.integers(len(content))] ^= 1 << int(rng.integers(8))
    _rewrite(path, bytes(content))
    return [case.name]


def _truncate(case: Case, folder: Path, rng: np.random.Generator) -> list[str]:
    path = folder / case.name
    content = path.read_bytes()
    _rewrite(path, content[: rng.integers(len(content))])
    return [case.name]


def _delete(case: Case, folder: Path, rng: np.random.Generator) -> list[str]:
    (folder / case.name).unlink()
    return [case.name]


def _swap(case: Case, folder: Path, rng: np.random.Generator) -> list[str]:
    """Exchange it with the next file of its kind in the folder, else take the twin's file of the same name."""
    place = (folder / case.name).parent
    names = [name for name in files_of(folder) if case.kind.fits(name) and (folder / name).parent == place]
    others = [name for name in names if (folder / name).read_bytes() != (folder / case.name).read_bytes()]
    if not others:
        _rewrite(folder / case.name, _of_twin(case, folder))
        return [case.name]
    other = next((name for name in others if name > case.name), others[0])
    one, two = (folder / name for name in (case.name, other))
    content = one.read_bytes()
    _rewrite(one, two.read_bytes())
    _rewrite(two, content)
    return [case.name, other]


def _of_twin(case: Case, folder: Path) -> bytes:
    """Return the content of the twin's file of this name, or of one of its kind that has another content."""
    twin = case.specimen.twin
    names = [case.name, *(name for name in files_of(twin) if case.kind.fits(name))]
    contents = ((twin / name).read_bytes() for name in names if (twin / name).is_file())
    own = (folder / case.name).read_bytes()
    return next((content for content in contents if content != own), own + b"\n")


def _replace(case: Case, folder: Path, rng: np.random.Generator) -> list[str]:
    """Take the content of a file of another kind, of the same suffix if there is one."""
    path = folder / case.name
    others = [name for name in files_of(folder) if not case.kind.fits(name)]
    alike = [name for name in others if name.endswith(path.suffix)] or others
    _rewrite(path, (folder / alike[rng.integers(len(alike))]).read_bytes())
    return [case.name]


def _duplicate(case: Case, folder: Path, rng: np.random.Generator) -> list[str]:
    """Copy it to the next number that is free, or if its name has no number, to that name with a 2."""
    path = folder / case.name
    match = _NUMBER.search(path.stem)
    if match is None:
        name = f"{path.stem}-2{path.suffix}"
    else:
        number = int(match[1])
        while (path.parent / (name := _NUMBER.sub(f"{number:0{len(match[1])}d}", path.stem) + path.suffix)).exists():
            number += 1
    shutil.copy2(path, path.with_name(name))
    return [path.with_name(name).relative_to(folder).as_posix()]


DAMAGES: dict[str, Callable[[Case, Path, np.random.Generator], list[str]]] = {
    "flip": _flip,
    "truncate": _truncate,
    "delete": _delete,
    "swap": _swap,
    "replace": _replace,
    "duplicate": _duplicate,
}


def inflict(case: Case, folder: Path) -> list[str]:
    """Do the damage in a copy of the folder; return the paths of the files there that are not what they should be."""
    return DAMAGES[case.damage](case, folder, np.random.default_rng(case.seed))


def cases_of(specimen: Specimen, damages: list[str], *, one_of_each: bool) -> Iterator[Case]:
    """Yield all damages to a folder. one_of_each: to the first file of each kind only."""
    seen: set[KeptFile] = set()
    for number, name in enumerate(files_of(specimen.root)):
        kind = kept_file(specimen.kind, name)
        if one_of_each and kind in seen:
            continue
        seen.add(kind)
        for damage in damages:
            yield Case(specimen=specimen, name=name, damage=damage, seed=100 * number + list(DAMAGES).index(damage))
