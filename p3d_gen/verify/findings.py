"""Findings: the faults of a run, and the checks that found them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from p3d_gen.core.errors import P3DError
from p3d_gen.run.ledgers import stage_command

CHECKS = ("ledger", "checksum", "count", "schema", "content", "labels", "geometry", "duplicate", "rerender")
_SHOWN_CHARS = 300


def shown(value: object) -> str:
    """Return a value as a finding shows it: values in damaged files can be long, and hold anything."""
    text = repr(value)
    return text if len(text) <= _SHOWN_CHARS else f"{text[:_SHOWN_CHARS]}..."


@dataclass(frozen=True, kw_only=True)
class Finding:
    """A fault. check: one of `CHECKS`. stage, shard, key: its place; "" for all of a stage or shard."""

    check: str
    what: str
    remedy: str
    stage: str = ""
    shard: str = ""
    key: str = ""

    def __str__(self) -> str:
        """Return the finding as one line."""
        where = "/".join(part for part in (self.stage, self.shard) if part)
        return " ".join(part for part in (where, self.key) if part) + f": {self.what}; {self.remedy}"


@dataclass(kw_only=True)
class Findings:
    """A growing list of the faults of one shard of a stage."""

    stage: str
    shard: str
    found: list[Finding] = field(default_factory=list)

    @property
    def remedy(self) -> str:
        """The way to have the shard made again."""
        return f"delete {self.stage}/{self.shard}.tar and run `{stage_command(self.stage)}` again"

    def add(self, check: str, message: str, key: str = "", remedy: str = "") -> None:
        """Note a fault. The remedy is to make the shard again, unless another `remedy` is given."""
        self.found.append(
            Finding(
                check=check, what=message, remedy=remedy or self.remedy, stage=self.stage, shard=self.shard, key=key
            )
        )

    @contextmanager
    def guard(self, check: str, message: str, key: str = "") -> Iterator[None]:
        """Turn any error inside the block into a finding: of damaged bytes decoders raise any error."""
        try:
            yield
        except Exception as error:
            told = str(error) if isinstance(error, ValueError | P3DError) else f"{type(error).__name__}: {error}"
            self.add(check, f"{message}: {' '.join(told.split())[:_SHOWN_CHARS]}", key)
