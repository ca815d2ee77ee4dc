"""Progress in shares of a piece of work, for bars that move within it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

OnShare = Callable[[float], None]


def unheard(share: float) -> None:
    """Do nothing for a share of work that is done."""


@contextmanager
def whole(on_share: OnShare) -> Iterator[OnShare]:
    """Yield a function to call with shares of one piece of work as they are done.

    They are passed on to `on_share` and add up to 1 at the end of the block, however it ends: what goes beyond that,
    such as that of a second attempt, is left out, and what is missing is added.
    """
    left = 1.0

    def advance(share: float) -> None:
        nonlocal left
        share = min(share, left)
        left -= share
        on_share(share)

    try:
        yield advance
    finally:
        on_share(left)
