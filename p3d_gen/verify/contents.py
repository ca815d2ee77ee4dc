"""What a shard's file holds: the samples of a tar that may be damaged or made to do harm."""

from __future__ import annotations

import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO

from p3d_gen.run.files import Members, is_member
from p3d_gen.verify.findings import Findings, shown


@dataclass(frozen=True, kw_only=True)
class Contents:
    """An open shard. places: sample key -> member -> first byte and size in the file, which holds all of them."""

    file: IO[bytes]
    places: dict[str, dict[str, tuple[int, int]]]

    def members(self, key: str) -> Members:
        """The members of a sample."""
        members = {}
        for member, (first, size) in self.places[key].items():
            self.file.seek(first)
            members[member] = self.file.read(size)
        return members


def _entries(file: IO[bytes], findings: Findings) -> Iterator[tarfile.TarInfo]:
    """The entries of a tar as far as it can be read."""
    with findings.guard("content", "the tar cannot be read to its end"), tarfile.open(fileobj=file, mode="r:") as tar:
        yield from tar


def read_contents(file: IO[bytes], findings: Findings) -> Contents:
    """The samples of a tar. Entries that are no whole plain file, named <key>.<member>, are findings and left out."""
    size = file.seek(0, 2)
    file.seek(0)
    places: dict[str, dict[str, tuple[int, int]]] = {}
    last = ""
    for entry in _entries(file, findings):
        key, _, member = entry.name.partition(".")
        if not is_member(entry):
            findings.add("content", f"the tar holds {shown(entry.name)}, which is no member of a sample")
        elif entry.offset_data + entry.size > size:
            findings.add("content", f"{member} is cut off at the end of the file", key)
        elif member in places.get(key, {}) or (key in places and key != last):
            findings.add("duplicate", f"the key stands in the shard twice, again with {member}", key)
        else:
            places.setdefault(key, {})[member] = (entry.offset_data, entry.size)
        last = key
    return Contents(file=file, places=places)
