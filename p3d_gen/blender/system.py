"""Requirements of Blender: the package bpy, and shared libraries of the system."""

from __future__ import annotations

import ctypes
import importlib.util
import platform
import sys

from p3d_gen.core.errors import DependencyError

# The only Python that the bpy wheels of Blender 4.5 are built for.
BLENDER_PYTHON = (3, 11)
# Shared library that `import bpy` loads -> Debian package that holds it.
BLENDER_LIBRARIES = {
    "libX11.so.6": "libx11-6",
    "libXrender.so.1": "libxrender1",
    "libXfixes.so.3": "libxfixes3",
    "libXi.so.6": "libxi6",
    "libxkbcommon.so.0": "libxkbcommon0",
    "libSM.so.6": "libsm6",
    "libGL.so.1": "libgl1",
}


def missing_system_packages() -> list[str]:
    """Return the Debian packages that `import bpy` needs and that are not installed.

    On macOS bpy loads what comes with the system, so there is nothing to install.
    """
    if sys.platform != "linux":
        return []
    missing = []
    for library, package in BLENDER_LIBRARIES.items():
        try:
            ctypes.CDLL(library)
        except OSError:
            missing.append(package)
    return missing


def missing_bpy(python: tuple[int, int], implementation: str) -> str:
    """Return the remedy for a Python of that version and implementation that has no bpy."""
    missing = "the package bpy (Blender as a module) is not installed"
    if (python, implementation) == (BLENDER_PYTHON, "CPython"):
        return f"{missing}: pip install 'p3dgen[render]'; `p3dgen doctor` shows what else is missing"
    running, wanted = ".".join(map(str, python)), ".".join(map(str, BLENDER_PYTHON))
    return (
        f"{missing}, and there is no bpy for {implementation} {running}: make an environment with CPython {wanted}, "
        "and pip install 'p3dgen[render]' in it; only rendering needs that version"
    )


def check_blender() -> None:
    """Raise DependencyError if bpy, or a system library that it loads, is not installed. Loads no bpy itself."""
    if importlib.util.find_spec("bpy") is None:
        raise DependencyError(missing_bpy(sys.version_info[:2], platform.python_implementation()))
    if missing := missing_system_packages():
        raise DependencyError(f"Blender needs system packages that are missing: apt-get install {' '.join(missing)}")


def return_memory() -> None:
    """Give freed memory back to the system, which glibc keeps where small pieces of it are still in use."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
