"""The folder of what may be lost: copies of remote files, checksums, and what torch compiles."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

_TORCH_VARIABLE = "TORCHINDUCTOR_CACHE_DIR"


def cache_folder() -> Path:
    """Return the folder of what may be lost."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "p3dgen"


def keep_torch_cache() -> None:
    """Let torch, in this process and those it starts, keep what it compiles in the cache folder.

    It otherwise makes a folder among the temporary files, which stays there. So it does if the cache folder cannot be
    written.
    """
    folder = cache_folder() / "torch"
    with suppress(OSError, RuntimeError):  # also if there is no home
        folder.mkdir(parents=True, exist_ok=True)
        if os.access(folder, os.W_OK | os.X_OK):
            os.environ.setdefault(_TORCH_VARIABLE, str(folder))
