"""Layouts of the folders of CAD datasets: the places of a category's models, and their axes.

folder       <root>/<category>/<id>.<suffix>, in the axes of the file format; and <root>/<category>/<id>/ with the files
             of one model each, at any name and depth, as downloads of Objaverse, ABO, GSO and 3D-FUTURE are laid out.
pascal3d     PASCAL3D+ release 1.1, CAD/<category>/NN.off; the .mat files next to them are not read.
objectnet3d  ObjectNet3D, CAD/off/<category>/NN.off.
shapenet     ShapeNetCore, <synset>/<id>/models/model_normalized.obj (v2) or <synset>/<id>/model.obj (v1). The front is
             -z in v2 and x in v1, as their READMEs say; models of v1 are mirror images of their originals.
ood_cv       OOD-CV. Its releases hold pictures and annotations that point to PASCAL3D+'s models; models that come with
             a copy are expected where PASCAL3D+ has them, at CAD/<category>/NN.off.
p3d_diffusion  The released models of P3D-Diffusion, <category>_<id>.blend in one folder, front at y.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

from p3d_gen.core.categories import CATEGORIES, is_name
from p3d_gen.core.errors import AssetError
from p3d_gen.core.folders import visible
from p3d_gen.spec.nested import is_part_of, nested_models
from p3d_gen.spec.own_ids import with_own_ids

CAD_SUFFIXES = (
    ".off",
    ".obj",
    ".ply",
    ".stl",
    ".glb",
    ".gltf",
    ".blend",
    ".usd",
    ".usda",
    ".usdc",
    ".usdz",
    ".fbx",
    ".dae",
)
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
_NO_NAMES = "no category can be called so (lower-case letters, digits and _, a letter first): rename them"
_logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Pattern:
    """One place of the models in a layout.

    folder: path below the root, with {category} or {synset}.
    glob: pattern of the model files below that folder, which may hold {category}; their suffix must be one of
    `suffixes`.
    depth: number of folders between the folder that names a model and its file; 0 if the file itself names it.
    nested: True if models may have folders of their own too, next to those that are files, see `nested_models`.
    prefix: start of a file's name that does not belong to its id, with {category}.
    distinct: True if no other layout has such a place, so that `auto` may conclude the layout from it.
    """

    folder: str
    glob: str = "*"
    suffixes: tuple[str, ...] = (".off",)
    depth: int = 0
    nested: bool = False
    prefix: str = ""
    up: str = "z"
    front: str = "-y"
    distinct: bool = True

    def folders(self, root: Path, category: str) -> list[Path]:
        """Return the folders that may hold the category's models; none of a synset if the category has none."""
        synsets = SYNSETS.get(category, () if "{synset}" in self.folder else ("",))
        names = (self.folder.format(category=category, synset=synset) for synset in synsets)
        return [root / name for name in dict.fromkeys(names)]

    def files(self, root: Path, category: str) -> dict[Path, str]:
        """Return the category's model files and their ids, of the first folder that holds any.

        Names that begin with a dot are passed over.
        """
        for folder in self.folders(root, category):
            flat = self._flat(folder, category)
            nested = nested_models(folder, self.suffixes) if self.nested else {}
            files = flat | {path: name for path, name in nested.items() if not is_part_of(path, folder, flat)}
            if files:
                return files
        return {}

    def left_out(self, root: Path, category: str) -> list[Path]:
        """Return the folders of CAD files that are taken as parts of the category's other models, sorted."""
        left: set[Path] = set()
        for folder in self.folders(root, category) if self.nested else ():
            flat = self._flat(folder, category)
            paths = nested_models(folder, self.suffixes)
            left |= {folder / path.relative_to(folder).parts[0] for path in paths if is_part_of(path, folder, flat)}
        return sorted(left)

    def _flat(self, folder: Path, category: str) -> dict[Path, str]:
        paths = visible(folder.glob(self.glob.format(category=category)), folder, self.suffixes)
        return {path: self._name(path, category) for path in paths}

    def _name(self, path: Path, category: str) -> str:
        name = path.parents[self.depth - 1].name if self.depth else path.stem
        return name.removeprefix(self.prefix.format(category=category))

    def describe(self, category: str) -> str:
        """Return the pattern as text, for errors."""
        glob = self.glob.format(category=category)
        suffixes = "" if "." in glob else "|".join(self.suffixes)
        where = " or ".join(str(folder) for folder in self.folders(Path(), category))
        return ", ".join(f"{where}/{inner}{glob}{suffixes}" for inner in (("", "*/") if self.nested else ("",)))


_IN_CAD = Pattern(folder="{category}", distinct=False)
LAYOUTS: dict[str, tuple[Pattern, ...]] = {
    "folder": (Pattern(folder="{category}", suffixes=CAD_SUFFIXES, up="auto", front="auto", nested=True),),
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
    "p3d_diffusion": (
        Pattern(folder="", glob="{category}_*.blend", suffixes=(".blend",), prefix="{category}_", up="z", front="y"),
    ),
}


@dataclass(frozen=True, kw_only=True)
class Model:
    """A CAD model file of a source: its id, unique in its category, and its axes, "auto" for the file format's."""

    id: str
    path: Path
    up: str
    front: str


def model_id(name: str) -> str:
    """Return the id of a model with this name: dots, which would split the names of files, become underscores."""
    return name.replace(".", "_")


def _match(layout: str, root: Path, category: str, distinct: bool = False) -> tuple[Pattern, dict[Path, str]] | None:
    """Return the layout's first pattern that matches models of the category, and their files; None if none does."""
    for pattern in LAYOUTS[layout]:
        if (pattern.distinct or not distinct) and (files := pattern.files(root, category)):
            return pattern, files
    return None


def recognise(root: Path, categories: Iterable[str] = ()) -> str:
    """Return the one layout in which a folder holds models of the categories; () for any category.

    Raise AssetError for none or several.
    """
    wanted = tuple(categories) or CATEGORIES
    layouts = [name for name in LAYOUTS if any(_match(name, root, category, distinct=True) for category in wanted)]
    if not layouts and not categories and any(_own_categories(root, "folder")):
        return "folder"
    if len(layouts) > 1:  # files that lie beside the folders of another layout are no release
        layouts = [name for name in layouts if name != "p3d_diffusion"]
    if len(layouts) == 1:
        return layouts[0]
    if layouts:
        raise AssetError(f"{root} holds CAD models in the layouts {' and '.join(layouts)}: name one as cad.layout")
    listed = {name: _places(name, wanted[0], distinct=True) for name in LAYOUTS if name != "ood_cv"}
    places = "\n".join(f"  {name}: {place}" for name, place in listed.items() if place)
    if not categories and (strange := _unfit(root, "folder")):
        raise AssetError(f"{root} holds CAD models in folders called {', '.join(strange)}; {_NO_NAMES}")
    raise AssetError(
        f"{root} holds no CAD model of {', '.join(wanted)}; {_holds(root)}. Name another folder, or move its models to "
        f"one of these places:\n{places}"
    )


def _places(layout: str, category: str, distinct: bool = False) -> str:
    patterns = [pattern for pattern in LAYOUTS[layout] if pattern.folders(Path(), category)]
    return ", ".join(pattern.describe(category) for pattern in patterns if pattern.distinct or not distinct)


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


def category_models(root: Path, layout: str, category: str, quarantine: bool = False) -> tuple[Model, ...]:
    """Return a category's models in a layout (not `auto`), sorted by id.

    quarantine: see `with_own_ids`. Raise AssetError if there is none, or if ids are not unique.
    """
    match = _match(layout, root, category)
    if match is None:
        places = _places(layout, category)
        raise AssetError(
            f"cad.source: {root} holds no CAD model of {category!r} in the layout {layout!r}, at {places}; "
            f"{_hint(root, layout, category)}"
        )
    pattern, files = match
    for folder in pattern.left_out(root, category):
        _logger.warning(
            "CAD files in %s are left out: they are taken as parts of the models that are files next to it; if they "
            "are models, give all of them folders of their own",
            folder,
        )
    named = [Model(id=model_id(name), path=path, up=pattern.up, front=pattern.front) for path, name in files.items()]
    return tuple(sorted(with_own_ids(named, quarantine), key=lambda model: model.id))


def warn_of_folders(root: Path) -> None:
    """Warn of the models in folders that are passed over because models that are files lie next to them."""
    names = dict.fromkeys(path.relative_to(root).parts[0] for path in nested_models(root, CAD_SUFFIXES))
    if names:
        _logger.warning(
            "%s: CAD models lie in it as files, so that its folders with CAD models are passed over: %s; to use both, "
            "move the files into a folder of their category, or name each folder by itself",
            root,
            ", ".join(names),
        )


def categories_of(root: Path, layout: str) -> Iterator[str]:
    """Return the categories of which a folder holds models in a layout: the known ones, then others by their names.

    Folders of models are left out whose names no category can have, with a warning.
    """
    if strange := _unfit(root, layout):
        _logger.warning("%s: the CAD models in %s are left out; %s", root, ", ".join(strange), _NO_NAMES)
    built_in = (name for name in CATEGORIES if _match(layout, root, name))
    return chain(built_in, _own_categories(root, layout))


def _own_categories(root: Path, layout: str) -> list[str]:
    """Return the categories that are not built in of which a folder holds models, sorted."""
    return [name for name in _names(root, layout) if is_name(name)]


def _unfit(root: Path, layout: str) -> list[str]:
    """Return the names of folders of models that no category can have, sorted."""
    return [name for name in _names(root, layout) if not is_name(name)]


def _names(root: Path, layout: str) -> list[str]:
    """Return the names, sorted, of folders of models that are no built-in categories."""
    names = {folder.name for pattern in LAYOUTS[layout] for folder in _category_folders(root, pattern)}
    own = sorted(name for name in names - set(CATEGORIES) if not name.startswith("."))
    return [name for name in own if _match(layout, root, name)]


def _category_folders(root: Path, pattern: Pattern) -> Iterator[Path]:
    """Yield the folders whose names a layout takes as those of categories."""
    above, _, last = pattern.folder.rpartition("/")
    if last == "{category}" and (root / above).is_dir():
        yield from (path for path in (root / above).iterdir() if path.is_dir())
