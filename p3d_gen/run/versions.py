"""The software that makes something, and the command: the part of a shard's ledger that tells how it was made."""

from __future__ import annotations

import functools
import os
import platform
import shlex
import sys
from collections.abc import Iterable, Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from p3d_gen.core.masking import masked

# Processes on other machines are started by a command of their own: an engine that uses such hands this one on.
COMMAND_VARIABLE = "P3DGEN_COMMAND"
# Whatever decides a sample's bytes, or could.
_DISTRIBUTIONS = (
    "p3dgen",
    "bpy",
    "numpy",
    "opencv-python-headless",
    "OpenEXR",
    "pillow",
    "scipy",
    "torch",
    "diffusers",
    "transformers",
)


@functools.cache
def _installed() -> dict[str, str]:
    installed = {"python": platform.python_version(), "machine": platform.machine()}
    for name in _DISTRIBUTIONS:
        try:
            installed[name] = version(name)
        except PackageNotFoundError:
            continue
    return installed


def versions() -> dict[str, str]:
    """Return distribution -> version of those that are installed, with `python` and the processor's `machine` type.

    Nothing is imported for it.
    """
    return dict(_installed())


def moved(recorded: Iterable[Mapping[str, str]]) -> str:
    """Name the software that has another version here than in one of the records: 'numpy 2.1.0 -> 2.2.1', or "".

    What is not installed here does not count: nothing is made with it.
    """
    records, told = list(recorded), []
    for name, here in versions().items():
        former = sorted({record[name] for record in records if name in record} - {here})
        if former:
            told.append(f"{name} {' and '.join(former)} -> {here}")
    return ", ".join(told)


def changed(recorded: dict[str, str]) -> str:
    """Name the packages installed in other versions than recorded, as 'bpy 4.5.14 there, 4.5.15 here'; "" for none."""
    here = versions()
    return ", ".join(
        f"{name} {recorded[name]} there, {here.get(name, 'none')} here"
        for name in sorted(recorded)
        if recorded[name] != here.get(name)
    )


def command() -> str:
    """Return the command line of this process, or that of the one which started it on another machine.

    Passwords, keys and tokens are hidden.
    """
    return masked(os.environ.get(COMMAND_VARIABLE) or shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]]))
