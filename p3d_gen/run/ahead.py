"""Work done ahead of its use, so that other work hides the time it takes."""

from __future__ import annotations

from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import Any, TypeVar, cast

T = TypeVar("T")


def ahead(items: Generator[T, None, None]) -> Generator[T, None, None]:
    """Yield the items in order; while one is used, a thread makes the next, and no more than that.

    The thread's error is raised here. However this iterator ends, the thread has ended and `items` is closed then.
    """
    end: Any = object()
    with closing(items), ThreadPoolExecutor(1) as thread:
        coming = thread.submit(next, items, end)
        while (item := coming.result()) is not end:
            coming = thread.submit(next, items, end)
            yield cast(T, item)
