"""The order in which an engine makes shards. Those that another process is making are put off."""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Iterable

_PAUSE_S = 0.5

_logger = logging.getLogger(__name__)


class Turns:
    """The shards that are left to make. It is true as long as there are any."""

    def __init__(self, shards: Iterable[str]) -> None:
        """Keep the order of the shards."""
        self._ready = deque(shards)
        self._put_off: deque[tuple[float, str]] = deque()
        self._told = False

    def __bool__(self) -> bool:
        """Tell if a shard is left."""
        return bool(self._ready or self._put_off)

    def next(self) -> str | None:
        """Return the shard to make now; None if all that are left were put off a moment ago."""
        if self._ready:
            return self._ready.popleft()
        if self._put_off and self._put_off[0][0] <= time.monotonic():
            return self._put_off.popleft()[1]
        return None

    def again(self, shard: str) -> None:
        """Let a shard be made again, after the others."""
        self._ready.append(shard)

    def put_off(self, shard: str) -> None:
        """Let a shard wait that another process is making: by the next turn it is finished, or its maker is gone."""
        if not self._told:
            self._told = True
            _logger.info("another process is making %s: each shard is made once, the others go on here", shard)
        self._put_off.append((time.monotonic() + _PAUSE_S, shard))
