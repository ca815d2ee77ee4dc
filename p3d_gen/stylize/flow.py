"""Samples through a model in fixed batches; what else is to be done for them hides behind the model's call."""

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
    """Why a picture will not do: what is wrong with it, and its label survival, 0 where that was not measured."""

    fault: str
    survival: float = 0.0


@dataclass(kw_only=True)
class Task(Generic[S]):
    """A sample on its way. refusals: of the pictures made so far; members: of the one that will do; done: whether there
    is one, or no more will be made."""

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
    """Threads that have ended when the block has; of work that is still waiting then, none is begun."""
    pool = ThreadPoolExecutor(threads)
    try:
        yield pool
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def in_batches(
    items: Iterable[T], size: int, prepare: Callable[[T], S], pool: ThreadPoolExecutor
) -> Generator[list[S], None, None]:
    """Batches of up to `size` prepared items, prepared by the pool; their order is kept."""
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
    """Yield the samples when they are done, in order; `batches` is closed in the end, however that comes.

    `make` is called for one batch at a time; the pool judges its pictures during the next call. Samples whose picture
    is refused are made again, `retries` times at most: those of one batch together, so that what a batch holds does not
    depend on how long anything took.
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
