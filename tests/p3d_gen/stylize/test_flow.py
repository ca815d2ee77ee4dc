"""Work in batches: order, retries, and what becomes of threads when something fails."""

import threading
import time

import pytest

from p3d_gen.run.ahead import ahead
from p3d_gen.stylize.flow import Refusal, in_batches, in_rounds, thread_pool


@pytest.fixture(autouse=True)
def _no_thread_stays():
    before = set(threading.enumerate())
    yield
    assert set(threading.enumerate()) <= before


def numbers(count, closed=None):
    try:
        yield from range(count)
    finally:
        if closed is not None:
            closed.append(True)


def test_ahead_gives_the_same_items_one_of_them_in_advance():
    made = []

    def items():
        for i in range(5):
            made.append(i)
            yield i

    used = []
    for item in ahead(items()):
        while len(made) < min(item + 2, 5):
            time.sleep(0.001)
        assert len(made) <= item + 2
        used.append(item)
    assert used == list(range(5))
    assert list(ahead(numbers(0))) == []


def test_an_error_of_the_thread_is_raised_where_its_items_are_used():
    def items():
        yield 1
        raise ValueError("in the thread")

    coming = ahead(items())
    assert next(coming) == 1
    with pytest.raises(ValueError, match="in the thread"):
        next(coming)


def test_an_iterator_that_is_left_closes_its_items():
    closed = []
    for _ in ahead(numbers(10, closed)):
        break
    assert closed == [True]


def run_rounds(count, size, retries, verdict, calls=None):
    """`in_rounds` over the numbers below `count`; each picture is (number, attempt)."""

    def make(tasks):
        if calls is not None:
            calls.append([(task.source, len(task.refusals)) for task in tasks])
        return [(task.source, len(task.refusals)) for task in tasks]

    def judge(task, picture):
        assert picture == (task.source, len(task.refusals))
        return verdict(*picture)

    with thread_pool(3) as pool:
        batches = in_batches(range(count), size, lambda i: i, pool)
        return [task for tasks in ahead(in_rounds(ahead(batches), make, judge, retries, pool)) for task in tasks]


def slow_for(number):
    time.sleep(0.01 if number % 3 == 0 else 0)


def test_all_come_out_in_order_whatever_takes_long():
    def verdict(number, attempt):
        slow_for(number)
        return {"n": number} if attempt >= number % 3 else Refusal(fault="no")

    tasks = run_rounds(20, 4, 2, verdict)
    assert [task.source for task in tasks] == list(range(20))
    assert [task.members for task in tasks] == [{"n": i} for i in range(20)]
    assert [len(task.refusals) for task in tasks] == [i % 3 for i in range(20)]


def test_batches_do_not_depend_on_time():
    calls = [[], []]
    for made, wait in zip(calls, (lambda number: None, slow_for), strict=True):

        def verdict(number, attempt, wait=wait):
            wait(number)
            return {} if attempt >= number % 3 else Refusal(fault="no")

        run_rounds(11, 4, 2, verdict, made)
    assert calls[0] == calls[1]
    assert [(4, 0), (5, 0), (6, 0), (7, 0)] in calls[0]
    assert [(4, 1), (5, 1), (7, 1)] in calls[0]  # the refused of one batch, together
    assert [(5, 2)] in calls[0]
    assert [(8, 0), (9, 0), (10, 0)] in calls[0]


def test_given_up_after_the_retries():
    tasks = run_rounds(5, 2, 3, lambda number, attempt: Refusal(fault=f"{attempt}") if number == 3 else {})
    assert [task.members is None for task in tasks] == [False, False, False, True, False]
    assert [refusal.fault for refusal in tasks[3].refusals] == ["0", "1", "2", "3"]


def test_judging_and_preparing_hide_behind_the_model():
    """While the model works on a batch, the one before is judged and the one after prepared."""
    state = {"prepared": 0, "judged": 0}

    def prepare(i):
        state["prepared"] += 1
        return i

    def make(tasks):
        first = tasks[0].source
        deadline = time.monotonic() + 5
        while (state["prepared"], state["judged"]) != (min(first + 4, 8), first) and time.monotonic() < deadline:
            time.sleep(0.001)
        assert (state["prepared"], state["judged"]) == (min(first + 4, 8), first)
        return tasks

    def judge(task, picture):
        state["judged"] += 1
        return {}

    with thread_pool(2) as pool:
        batches = in_batches(range(8), 2, prepare, pool)
        assert len([t for ts in in_rounds(ahead(batches), make, judge, 0, pool) for t in ts]) == 8


@pytest.mark.parametrize("where", ["prepare", "make", "judge", "use"])
def test_an_error_anywhere_is_raised_and_ends_all_threads(where):
    def fail(here, value):
        if here == where and value == 5:
            raise RuntimeError(f"in {here}")
        return value

    def use():
        with thread_pool(2) as pool:
            batches = in_batches(range(100), 2, lambda i: fail("prepare", i), pool)
            make = lambda tasks: [fail("make", task.source) for task in tasks]  # noqa: E731
            judge = lambda task, picture: {"n": fail("judge", picture)}  # noqa: E731
            for tasks in ahead(in_rounds(ahead(batches), make, judge, 1, pool)):
                for task in tasks:
                    fail("use", task.source)

    with pytest.raises(RuntimeError, match=f"in {where}"):
        use()
