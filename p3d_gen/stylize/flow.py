"""The flow of samples through a model in fixed batches; all other work is done while the model computes."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from itertools import islice
from typing import Generic, TypeVar

from p3d_gen.run.shards import Members

S = TypeVar("S")
P = TypeVar("P")
T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class Refusal:
    """The refusal of a picture: its fault, and its label survival, 0 if that was not measured."""

    fault: str
    survival: float = 0.0


@dataclass(kw_only=True)
class Task(Generic[S]):
    """A sample on its way.

    refusals: refusals of the pictures made so far. members: members of the accepted picture. done: True if a picture
    was accepted, or no more are made.
    """

    source: S
    refusals: list[Refusal] = field(default_factory=list)
    members: Members | None = None
    done: bool = False

    def judge(self, verdict: Members | Refusal, retries: int) -> None:
        """Take the verdict on the latest picture."""
        if isinstance(verdict, Refusal):
            self.refusals.append(verdict)
            self.done = len(self.refusals) > retries
        else:
            self.members, self.done = verdict, True


@contextmanager
def thread_pool(threads: int) -> Generator[ThreadPoolExecutor, None, None]:
    """Open a pool of threads. At the end of the block the threads end, and waiting work is cancelled."""
    pool = ThreadPoolExecutor(threads)
    try:
        yield pool
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def in_batches(
    items: Iterable[T], size: int, prepare: Callable[[T], S], pool: ThreadPoolExecutor
) -> Generator[list[S], None, None]:
    """Yield batches of up to `size` items, in their order, prepared by the pool."""
    iterator = iter(items)
    while batch := list(islice(iterator, size)):
        yield list(pool.map(prepare, batch))


def in_rounds(
    batches: Generator[Sequence[S], None, None],
    make: Callable[[Sequence[Task[S]]], Sequence[P]],
    judge: Callable[[Task[S], P], Members | Refusal],
    retries: int,
    pool: ThreadPoolExecutor,
) -> Generator[list[Task[S]], None, None]:
    """Yield the samples when they are done, in order. In the end `batches` is closed, also after an error.

    `make` is called for one batch at a time; the pool judges its pictures during the next call. Samples whose picture
    is refused are made again, `retries` times at most. Those of one batch are made again together, so that the contents
    of a batch do not depend on timing.
    """
    order: deque[Task[S]] = deque()
    judged: deque[list[tuple[Task[S], Future[Members | Refusal]]]] = deque()

    def launch(tasks: Sequence[Task[S]]) -> None:
        pictures = make(tasks)
        judged.append(
            [(task, pool.submit(judge, task, picture)) for task, picture in zip(tasks, pictures, strict=True)]
        )

    def settle() -> None:
        tasks = judged.popleft()
        for task, verdict in tasks:
            task.judge(verdict.result(), retries)
        if again := [task for task, _ in tasks if not task.done]:
            launch(again)

    def finished() -> list[Task[S]]:
        tasks = []
        while order and order[0].done:
            tasks.append(order.popleft())
        return tasks

    with closing(batches):
        for batch in batches:
            tasks = [Task(source=source) for source in batch]
            order.extend(tasks)
            launch(tasks)
            while len(judged) > 1:
                settle()
            yield finished()
    while judged:
        settle()
    yield finished()
