"""What is installed, what is missing, and how to get it."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import sys
from dataclasses import dataclass

from p3d_gen.blender.system import missing_system_packages

# distribution -> (module, extra that brings it, what it is for)
_PACKAGES = {
    "bpy": ("bpy", "render", "p3dgen render: Blender as a module, CPython 3.11 only"),
    "diffusers": ("diffusers", "stylize", "p3dgen stylize with stylizer 'controlnet'"),
    "transformers": ("transformers", "stylize", "text encoders of the diffusion pipelines"),
    "controlnet-aux": ("controlnet_aux", "stylize", "stylize.canny = 'controlnet_aux'"),
    "torch": ("torch", "pose", "diffusion pipelines and pose models"),
    "timm": ("timm", "pose", "pose-models: backbones"),
    "webdataset": ("webdataset", "pose", "pose-models: reading shards"),
}


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One thing that was looked for. remedy: how to get it, "" where it is there."""

    name: str
    found: str
    purpose: str
    remedy: str


def _python() -> Finding:
    version = ".".join(map(str, sys.version_info[:3]))
    fits = sys.version_info[:2] == (3, 11)
    return Finding(
        name="python",
        found=version,
        purpose="bpy has wheels for CPython 3.11 only; everything else runs on 3.11 and later",
        remedy="" if fits else "use Python 3.11 to render",
    )


def _package(name: str) -> Finding:
    module, extra, purpose = _PACKAGES[name]
    there = importlib.util.find_spec(module) is not None
    return Finding(
        name=name,
        found=importlib.metadata.version(name) if there else "missing",
        purpose=purpose,
        remedy="" if there else f"pip install 'p3dgen[{extra}]'",
    )


def examine() -> list[Finding]:
    """Look for everything; nothing heavy is imported."""
    libraries = missing_system_packages()
    return [
        _python(),
        Finding(
            name="system libraries",
            found=f"missing {len(libraries)}" if libraries else "all there",
            purpose="shared libraries that bpy loads",
            remedy=f"apt-get install {' '.join(libraries)}" if libraries else "",
        ),
        *(_package(name) for name in _PACKAGES),
    ]
