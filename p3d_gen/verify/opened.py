"""A stage's shard against its ledger: it is there and whole, made from the right inputs, and holds all its samples."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import Any

from p3d_gen.run.files import file_sha256
from p3d_gen.run.ledgers import Ledger, read_ledger, stage_command, stage_inputs
from p3d_gen.run.shards import StoredSample
from p3d_gen.run.store import RunFolder
from p3d_gen.verify.contents import read_contents
from p3d_gen.verify.findings import Findings
from p3d_gen.verify.forms import Form


@dataclass(frozen=True, kw_only=True)
class Opened:
    """A stage's shard as far as it is there: its ledger and its samples by key, None if they cannot be read.

    forms: form -> keys of its samples. pictures: hash of the main picture's pixels -> keys.
    """

    stage: str
    findings: Findings
    ledger: Ledger | None
    samples: dict[str, StoredSample] | None
    forms: dict[Form, list[str]] = field(default_factory=lambda: defaultdict(list))
    pictures: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))

    @property
    def keys(self) -> Collection[str]:
        """The keys of its samples in order."""
        return self.samples.keys() if self.samples else ()

    @property
    def failed(self) -> list[str]:
        """The keys of the samples that could not be made."""
        return [failure.key for failure in self.ledger.failures] if self.ledger else []


def open_shard(run: RunFolder, stage: str, shard: str) -> Opened:
    """Look at a stage's shard and its ledger."""
    findings, tar = Findings(stage=stage, shard=shard), run.tar(stage, shard)
    ledger, samples = None, None
    path, make = tar.with_suffix(".json"), f"run `{stage_command(stage)}`"
    with findings.guard("ledger", f"{path} cannot be used"):
        ledger = read_ledger(run, stage, shard)
    if ledger is not None and not ledger.count and not tar.exists():
        samples = {}
    elif not tar.exists():
        findings.add("count", f"{tar} is not there", remedy=make)
    elif not path.exists():
        findings.add("ledger", f"{path} is not there, so the shard counts as unfinished", remedy=make)
    if tar.exists():
        with findings.guard("content", f"{tar} cannot be opened"):
            samples = read_contents(tar, findings)
        if ledger is not None and file_sha256(tar) != ledger.sha256:
            findings.add("checksum", f"{tar} is not what its ledger says")
    return Opened(stage=stage, findings=findings, ledger=ledger, samples=samples)


def check_keys(opened: Opened, expected: Collection[str]) -> None:
    """Check that every expected sample is there or has failed, that there are no others, their order, and the ledger's
    count."""
    findings = opened.findings
    if opened.samples is None:
        return
    there, failed, wanted = opened.keys, set(opened.failed), set(expected)
    if opened.ledger is not None and opened.ledger.count != len(there):
        findings.add("count", f"it holds {len(there)} samples, its ledger says {opened.ledger.count}")
    for key in expected:
        if key not in there and key not in failed:
            findings.add("count", "the sample is missing, and the ledger does not say that it failed", key)
    for key in there:
        if key not in wanted:
            findings.add("count", "the sample does not belong to this shard", key)
        elif key in failed:
            findings.add("count", "the sample is there, although the ledger says that it failed", key)
    if [key for key in there if key in wanted] != [key for key in expected if key in there]:
        findings.add("count", "its samples are not in the order of their numbers")


def check_inputs(run: RunFolder, opened: Opened, upstream: Sequence[Opened], made_from: Any) -> None:
    """Check that the ledger's hash of the shard's inputs is that of the manifest and the upstream as they are.

    made_from: see `ledgers.stage_inputs`.
    """
    ledgers = [other.ledger for other in upstream if other.ledger is not None]
    if opened.ledger is None or len(ledgers) < len(upstream):
        return
    if opened.ledger.inputs != stage_inputs(run, opened.stage, *ledgers, made_from=made_from):
        others = "".join(f" or {other.stage} shard" for other in upstream)
        opened.findings.add("ledger", f"it was made from another manifest{others} than there is now")
