"""The shards of a run that a command makes: all of them, or those that `--shards` names."""

from __future__ import annotations

import re

from p3d_gen.core.errors import RunError
from p3d_gen.run.store import RunFolder

_RANGE = re.compile(r"(\d+)(?:-(\d+))?")


def chosen_shards(run: RunFolder, numbers: str) -> list[str]:
    """Return the shards with these numbers, in the order of the run; all for "".

    numbers: single ones and ranges with both ends, by commas, as in "0-99,120". They count all shards of the run from 0
    on, category by category. A range may reach past the last shard, so that equal ranges cover a run. RunError if a
    part names no shard at all, or is not a number.
    """
    shards = run.all_shards()
    if not numbers:
        return shards
    chosen: set[int] = set()
    for part in numbers.split(","):
        match = _RANGE.fullmatch(part.strip())
        first, last = (int(match[1]), int(match[2] or match[1])) if match else (1, 0)
        if last < first:
            raise RunError(f"--shards {numbers}: {part.strip()!r} is not a number or range; write it as in 0-99,120")
        if first >= len(shards):
            raise RunError(f"--shards {numbers}: the last of {run.root} is number {len(shards) - 1} ({shards[-1]})")
        chosen.update(range(first, min(last, len(shards) - 1) + 1))
    return [shards[number] for number in sorted(chosen)]
