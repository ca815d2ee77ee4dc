"""Layouts of the folders of CAD datasets: the places of a category's models, and their axes.

folder       <root>/<category>/<id>.<suffix>, in the axes of the file format.
pascal3d     PASCAL3D+ release 1.1, CAD/<category>/NN.off; the .mat files next to them are not read.
objectnet3d  ObjectNet3D, CAD/off/<category>/NN.off.
shapenet     ShapeNetCore, <synset>/<id>/models/model_normalized.obj (v2) or <synset>/<id>/model.obj (v1). The front is
             -z in v2 and x in v1, as their READMEs say; models of v1 are mirror images of their originals.
ood_cv       OOD-CV. Its releases hold pictures and annotations that point to PASCAL3D+'s models; models that come with
             a copy are expected where PASCAL3D+ has them, at CAD/<category>/NN.off.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from p3d_gen.core.categories import CATEGORIES
from p3d_gen.core.errors import AssetError
from p3d_gen.core.folders import visible

CAD_SUFFIXES = (".off", ".obj", ".ply", ".stl", ".glb", ".gltf", ".blend", ".usd", ".usda", ".usdc", ".usdz")
# Both synsets of boats occur in ShapeNetCore v1; watercraft, the second, holds the boats and more.
SYNSETS: dict[str, tuple[str, ...]] = {
    "aeroplane": ("02691156",),
    "bicycle": ("02834778",),
    "boat": ("02858304", "04530566"),
    "bottle": ("02876657",),
    "bus": ("02924116",),
    "car": ("02958343",),
    "chair": ("03001627",),
    "diningtable": ("04379243",),
    "motorbike": ("03790512",),
    "sofa": ("04256520",),
    "train": ("04468005",),
    "tvmonitor": ("03211117",),
}
_SHOWN = 6


@dataclass(frozen=True, kw_only=True)
class Pattern:
    """One place of the models in a layout.

    folder: path below the root, with {category} or {synset}.
    glob: pattern of the model files below that folder; their suffix must be one of `suffixes`.
    depth: number of folders between the folder that names a model and its file; 0 if the file itself names it.
    distinct: True if no other layout has such a place, so that `auto` may conclude the layout from it.
    """

    folder: str
    glob: str = "*"
    suffixes: tuple[str, ...] = (".off",)
    depth: int = 0
    up: str = "z"
    front: str = "-y"
    distinct: bool = True

    def folders(self, root: Path, category: str) -> list[Path]:
        """Return the folders that may hold the category's models."""
        names = (self.folder.format(category=category, synset=synset) for synset in SYNSETS[category])
        return [root / name for name in dict.fromkeys(names)]

    def files(self, root: Path, category: str) -> list[Path]:
        """Return the category's model files in the first folder that holds any, sorted; an empty list for none.

        Names that begin with a dot are passed over.
        """
        for folder in self.folders(root, category):
            if files := visible(folder.glob(self.glob), folder, self.suffixes):
                return files
        return []

    def name(self, path: Path) -> str:
        """Return the id of a model file."""
        return path.parents[self.depth - 1].name if self.depth else path.stem

    def describe(self, category: str) -> str:
        """Return the pattern as text, for errors."""
        suffixes = "" if "." in self.glob else "|".join(self.suffixes)
        where = " or ".join(str(folder) for folder in self.folders(Path(), category))
        return f"{where}/{self.glob}{suffixes}"


_IN_CAD = Pattern(folder="{category}", distinct=False)
LAYOUTS: dict[str, tuple[Pattern, ...]] = {
    "folder": (Pattern(folder="{category}", suffixes=CAD_SUFFIXES, up="auto", front="auto"),),
    "pascal3d": (Pattern(folder="CAD/{category}"), _IN_CAD),
    "objectnet3d": (
        Pattern(folder="CAD/off/{category}"),
        Pattern(folder="off/{category}"),
        _IN_CAD,
    ),
    "shapenet": (
        Pattern(
            folder="{synset}", glob="*/models/model_normalized.obj", suffixes=(".obj",), depth=2, up="y", front="-z"
        ),
        Pattern(folder="{synset}", glob="*/model.obj", suffixes=(".obj",), depth=1, up="y", front="x"),
    ),
    "ood_cv": (Pattern(folder="CAD/{category}", distinct=False), _IN_CAD),
}


@dataclass(frozen=True, kw_only=True)
class Model:
    """A CAD model file of a source: its id, unique in its category, and its axes, "auto" for the file format's."""

    id: str
    path: Path
    up: str
    front: str


def _match(layout: str, root: Path, category: str, distinct: bool = False) -> tuple[Pattern, list[Path]] | None:
    """Return the layout's first pattern that matches models of the category, and their files; None if none does."""
    for pattern in LAYOUTS[layout]:
        if (pattern.distinct or not distinct) and (files := pattern.files(root, category)):
            return pattern, files
    return None


def recognise(root: Path, categories: Iterable[str] = CATEGORIES) -> str:
    """Return the one layout in which a folder holds models of the categories. Raise AssetError for none or several."""
    wanted = tuple(categories)
    layouts = [name for name in LAYOUTS if any(_match(name, root, category, distinct=True) for category in wanted)]
    if len(layouts) == 1:
        return layouts[0]
    if layouts:
        raise AssetError(f"{root} holds CAD models in the layouts {' and '.join(layouts)}: name one as cad.layout")
    places = "\n".join(f"  {name}: {_places(name, wanted[0], distinct=True)}" for name in LAYOUTS if name != "ood_cv")
    raise AssetError(
        f"{root} holds no CAD model of {', '.join(wanted)}; {_holds(root)}. Name another folder, or move its models to "
        f"one of these places:\n{places}"
    )


def _places(layout: str, category: str, distinct: bool = False) -> str:
    return ", ".join(pattern.describe(category) for pattern in LAYOUTS[layout] if pattern.distinct or not distinct)


def _holds(root: Path) -> str:
    names = sorted(path.name for path in root.iterdir() if not path.name.startswith("."))
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return f"it holds {', '.join(names[:_SHOWN])}{more}" if names else "it is empty"


def _hint(root: Path, layout: str, category: str) -> str:
    """Return a hint on the contents of a folder that does not have the layout that was asked for."""
    others = [name for name in LAYOUTS if name != layout and _match(name, root, category, distinct=True)]
    if others:
        return f"it has the layout {others[0]!r}: set cad.layout to that, or to 'auto'"
    return f"{_holds(root)}. Name another folder, or leave the category out"


def category_models(root: Path, layout: str, category: str) -> tuple[Model, ...]:
    """Return a category's models in a layout (not `auto`), sorted by id.

    Raise AssetError if there is none, or if ids are not unique or hold a dot.
    """
    match = _match(layout, root, category)
    if match is None:
        places = _places(layout, category)
        raise AssetError(
            f"cad.source: {root} holds no CAD model of {category!r} in the layout {layout!r}, at {places}; "
            f"{_hint(root, layout, category)}"
        )
    pattern, files = match
    named = [Model(id=pattern.name(path), path=path, up=pattern.up, front=pattern.front) for path in files]
    check_ids(named)
    return tuple(sorted(named, key=lambda model: model.id))


def check_ids(named: Iterable[Model]) -> None:
    """Raise AssetError if two models of one category share an id, or an id holds a dot."""
    seen: dict[str, Path] = {}
    for model in named:
        if "." in model.id:
            raise AssetError(f"{model.path}: the name of a CAD must not hold a dot before its suffix; rename it")
        if model.id in seen:
            raise AssetError(f"{model.path} and {seen[model.id]} differ in their suffix only; rename one of them")
        seen[model.id] = model.path


def categories_of(root: Path, layout: str) -> Iterator[str]:
    """Return the categories of which a folder holds models in a layout."""
    return (category for category in CATEGORIES if _match(layout, root, category))
