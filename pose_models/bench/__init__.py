"""Benchmarks: speed is measured here, in ratios within one run, and never in a test."""

from __future__ import annotations

import time
from collections.abc import Callable

import torch


def seconds(work: Callable[[], object], device: torch.device, at_least_s: float) -> float:
    """Measure the shortest time of `work`, after one call to warm up, over at least one call and `at_least_s` seconds.

    With one thread on the CPU it is processor time: what other processes do meanwhile does not count.
    """
    clock = time.process_time if device.type == "cpu" and torch.get_num_threads() == 1 else time.perf_counter
    work()
    best, spent = float("inf"), 0.0
    while spent < at_least_s or best == float("inf"):
        _finish(device)
        start = clock()
        work()
        _finish(device)
        took = clock() - start
        best, spent = min(best, took), spent + took
    return best


def _finish(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def device_name(device: torch.device) -> str:
    """Return the name of the device for tables."""
    if device.type == "cuda":
        return str(torch.cuda.get_device_name(device))
    return f"cpu, {torch.get_num_threads()} thread{'s' if torch.get_num_threads() > 1 else ''}"
