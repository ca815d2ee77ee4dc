"""CAD models in folders of their own, <category>/<id>/..., as most downloads are laid out."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from p3d_gen.core.folders import visible

# Of several files in a model's folder, the first of these names is the model: the others are parts or raw scans of it.
_NAMES = (
    "model_normalized",
    "normalized_model",
    "model",
    "mesh",
    "textured",
    "textured_simple",
    "texturedmesh",
    "scene",
    "scan",
    "object",
    "raw_model",
)
# Of several files of one name, the first of these formats: those that hold materials go before those that do not.
_SUFFIXES = (
    ".glb",
    ".gltf",
    ".usdz",
    ".usdc",
    ".usda",
    ".usd",
    ".blend",
    ".obj",
    ".fbx",
    ".dae",
    ".ply",
    ".stl",
    ".off",
)

_GLOBS = ("*", "*/*", "*/*/*")
_LAYERS = (".usd", ".usda", ".usdc")  # a file of these is often made of others in folders next to it
_PARTS = ("parts", "textures", "texture", "tex", "materials", "maps", "images")


def _rank(path: Path) -> tuple[int, int, int, str]:
    name = path.stem.lower()
    return (
        _NAMES.index(name) if name in _NAMES else len(_NAMES),
        _SUFFIXES.index(path.suffix.lower()) if path.suffix.lower() in _SUFFIXES else len(_SUFFIXES),
        len(path.parts),
        str(path),
    )


def _of_folder(folder: Path, suffixes: Collection[str]) -> dict[Path, str]:
    """Return the models of one folder and their names.

    It is one model with the folder's name, unless its files have several names of which none is usual for a model:
    then each name is a model, <folder>_<name>.
    """
    found = (path for glob in _GLOBS for path in folder.glob(glob))
    files = sorted(visible(found, folder, suffixes), key=_rank)
    if not files:
        return {}
    stems = {path.stem.lower() for path in files}
    if len(stems) == 1 or files[0].stem.lower() in _NAMES:
        return {files[0]: folder.name}
    first: dict[str, Path] = {}
    for path in files:
        first.setdefault(path.stem, path)
    return {path: f"{folder.name}_{name}" for name, path in sorted(first.items())}


def nested_models(folder: Path, suffixes: Collection[str]) -> dict[Path, str]:
    """Return the models in the folders of a category's folder and their names, sorted by path.

    Names that begin with a dot are passed over.
    """
    if not folder.is_dir():
        return {}
    inner = sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))
    return {path: name for each in inner for path, name in _of_folder(each, suffixes).items()}


def is_part_of(path: Path, folder: Path, flat: Collection[Path]) -> bool:
    """Return True if a file in a folder of a category's folder belongs to the models that are files next to it.

    Layers of a USD file do, and all in folders that are named after parts, textures or materials.
    """
    if not flat:
        return False
    has_layers = any(each.suffix.lower() in _LAYERS for each in flat)
    is_named = path.relative_to(folder).parts[0].lower() in _PARTS
    return is_named or (has_layers and path.suffix.lower() in _LAYERS)
