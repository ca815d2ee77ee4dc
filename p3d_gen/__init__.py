"""Synthetic datasets for category-level 3D pose: render, stylize, pack.

The public API, loaded when it is first used:

    import p3d_gen as p3d

    manifest = p3d.Manifest(categories=["car"], samples_per_category=8)
    run = p3d.create_run("runs/x", manifest)
    run.generate(progress=True)
    run["car-000003"].draw()
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from p3d_gen.api import (
        Manifest,
        RayCluster,
        Run,
        Sample,
        StageResult,
        create_run,
        load_manifest,
        open_run,
        render_one,
    )
    from p3d_gen.core.errors import (
        AssetError,
        ConfigError,
        DataError,
        DependencyError,
        ManifestError,
        P3DError,
        RunError,
    )

__version__ = "0.2.0"
__all__ = [
    "AssetError",
    "ConfigError",
    "DataError",
    "DependencyError",
    "Manifest",
    "ManifestError",
    "P3DError",
    "RayCluster",
    "Run",
    "RunError",
    "Sample",
    "StageResult",
    "__version__",
    "create_run",
    "load_manifest",
    "open_run",
    "render_one",
]
_LIGHT_HOMES = {"Manifest": "p3d_gen.spec.manifest", "load_manifest": "p3d_gen.spec.manifest"}


def __getattr__(name: str) -> Any:
    """Load a public name when it is first used: the import of the package alone loads nothing heavy."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    home = "p3d_gen.core.errors" if name.endswith("Error") else _LIGHT_HOMES.get(name, "p3d_gen.api")
    value = getattr(import_module(home), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """Return the public names, for completion in notebooks."""
    return sorted(__all__)
