"""Contents of a shard's file: the samples of a tar that may be damaged or made to do harm."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from p3d_gen.core.errors import DataError
from p3d_gen.run.shards import Entry, StoredSample, read_entries
from p3d_gen.verify.findings import Findings, shown


def _entries(path: Path, findings: Findings) -> Iterator[Entry]:
    """Yield the entries of a tar as far as it can be read."""

    def on_foreign(name: str) -> None:
        findings.add("content", f"the tar holds {shown(name)}, which is not a member of a sample")

    with findings.guard("content", "the tar cannot be read to its end"):
        try:
            yield from read_entries(path, on_foreign)
        except DataError as error:
            raise error.__cause__ or error from None  # a finding has a remedy of its own


def read_contents(path: Path, findings: Findings) -> dict[str, StoredSample]:
    """Return the samples of a tar by key. Entries that are not whole plain files, called <key>.<member>, are findings
    and left out."""
    size = path.stat().st_size
    samples: dict[str, StoredSample] = {}
    last = ""
    for entry in _entries(path, findings):
        sample = samples.get(entry.key)
        if entry.offset + entry.size > size:
            findings.add("content", f"{entry.member} is cut off at the end of the file", entry.key)
        elif sample and (entry.key != last or entry.member in sample.places):
            findings.add("duplicate", f"the key stands in the shard twice, again with {entry.member}", entry.key)
        else:
            sample = sample or StoredSample(key=entry.key, shard=str(path), places={})
            samples.setdefault(entry.key, sample).places[entry.member] = entry.offset, entry.size
        last = entry.key
    return samples
