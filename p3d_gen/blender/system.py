"""The shared libraries of the system that Blender loads."""

from __future__ import annotations

import ctypes

# shared library that `import bpy` loads -> Debian package that holds it
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
    """The Debian packages that `import bpy` needs and that are not installed."""
    missing = []
    for library, package in BLENDER_LIBRARIES.items():
        try:
            ctypes.CDLL(library)
        except OSError:
            missing.append(package)
    return missing
