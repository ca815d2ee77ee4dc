"""What is wrong with a run, and what was looked at."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from p3d_gen.run.store import stage_command

CHECKS = ("ledger", "checksum", "count", "schema", "content", "labels", "geometry", "duplicate", "rerender")
_SHOWN_CHARS = 300


def shown(value: object) -> str:
    """A value as a finding shows it: what damaged files say can be long, and hold anything."""
    text = repr(value)
    return text if len(text) <= _SHOWN_CHARS else f"{text[:_SHOWN_CHARS]}..."


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One thing that is wrong. check: one of `CHECKS`. stage, shard, key: where; "" for all of a stage or shard."""

    check: str
    what: str
    remedy: str
    stage: str = ""
    shard: str = ""
    key: str = ""

    def __str__(self) -> str:
        """One line."""
        where = "/".join(part for part in (self.stage, self.shard) if part)
        return " ".join(part for part in (where, self.key) if part) + f": {self.what}; {self.remedy}"


@dataclass(kw_only=True)
class Findings:
    """A list of what is wrong with one shard of a stage, which grows."""

    stage: str
    shard: str
    found: list[Finding] = field(default_factory=list)

    @property
    def remedy(self) -> str:
        """How to have the shard made again."""
        return f"delete {self.stage}/{self.shard}.tar and run `{stage_command(self.stage)}` again"

    def add(self, check: str, message: str, key: str = "", remedy: str = "") -> None:
        """Note what is wrong; without a `remedy` that is to make the shard again."""
        self.found.append(
            Finding(
                check=check, what=message, remedy=remedy or self.remedy, stage=self.stage, shard=self.shard, key=key
            )
        )

    @contextmanager
    def guard(self, check: str, message: str, key: str = "") -> Iterator[None]:
        """Whatever goes wrong inside is a finding, not a traceback: of damaged bytes decoders raise what they like."""
        try:
            yield
        except Exception as error:
            told = str(error) if isinstance(error, ValueError) else f"{type(error).__name__}: {error}"
            self.add(check, f"{message}: {' '.join(told.split())[:_SHOWN_CHARS]}", key)
