"""The folder of a dataset.

FOLDER/recipe.json               what it is made from, written first
FOLDER/<split>/<category>-NNNNN.tar  samples
FOLDER/<split>/index.json        the split's shards, as wids reads them, with their checksums
FOLDER/cad/<category>/<id>.npz   the models that its samples show, and <category>.cuboid.npz if samples hold cuboids
FOLDER/README.md                 the dataset card of the Hugging Face Hub
FOLDER/dataset.json              counts, assets, sources, versions, checksums of recipe.json, the indices and cad/,
                                 written last: the mark that it is finished
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from p3d_gen.core.categories import CategoryDefinition
from p3d_gen.core.errors import RunError
from p3d_gen.dataset.splits import Recipe
from p3d_gen.run.files import file_sha256, read_sealed, write_bytes
from p3d_gen.spec.definitions import recorded
from p3d_gen.spec.sections import validated

FORMAT_VERSION = 1
_OF_SOURCES = ("name", "stage", "manifest_sha256", "versions", "licences")
RECIPE, INDEX, CARD, DATASET = "recipe.json", "index.json", "README.md", "dataset.json"


@dataclass(frozen=True, kw_only=True)
class DatasetFolder:
    """A dataset's folder that has been begun.

    sources: its runs, as recipe.json describes them. definitions: of those of its categories that are not built in.
    """

    root: Path
    recipe: Recipe
    sources: list[dict[str, Any]]
    definitions: dict[str, CategoryDefinition] = field(default_factory=dict)

    def categories(self) -> list[str]:
        """Return the categories of its sources, sorted."""
        return sorted({name for source in self.sources for name in source["manifest"]["categories"]})

    @property
    def finished(self) -> bool:
        """True once all of it is there."""
        return (self.root / DATASET).exists()

    def shape(self) -> dict[str, Any]:
        """Return the `source_runs.sample_shape` of all its samples; {} while it is not finished."""
        if not self.finished:
            return {}
        content = read_part(self.root / DATASET)
        return {name: content.get(name) for name in ("members", "labels")}

    def shards(self, split: str) -> list[Path]:
        """Return the shards of a split, in order."""
        return sorted((self.root / split).glob("*.tar"))


def read_part(path: Path) -> Any:
    """Return the content of a JSON file of a dataset. RunError if it is not there or damaged."""
    try:
        return read_sealed(path)
    except (OSError, ValueError) as error:
        raise RunError(f"{path} cannot be read: {error}; make the dataset again by `p3dgen dataset make`") from None


def write_new(path: Path, content: bytes) -> None:
    """Write a file unless it is there with this content."""
    if not path.is_file() or path.read_bytes() != content:
        write_bytes(path, content)


def kept_models(dataset: DatasetFolder) -> dict[str, Path]:
    """Return the files in cad/ by their names there; hidden ones are not those of the dataset."""
    root = dataset.root / "cad"
    files = [path for path in sorted(root.rglob("*")) if path.is_file() and not path.name.startswith(".")]
    return {path.relative_to(root).as_posix(): path for path in files}


def listed_shards(dataset: DatasetFolder, split: str) -> dict[str, dict[str, Any]]:
    """Return name -> entry of the shards that the index of a split lists, {} if there is no index. RunError if it is
    damaged."""
    path = dataset.root / split / INDEX
    if not path.exists():
        return {}
    try:
        listed = {shard["url"]: shard for shard in read_part(path)["shardlist"]}
        if damaged := [url for url, shard in listed.items() if PurePosixPath(url).name != url or "sha256" not in shard]:
            raise ValueError(f"{damaged[0]!r} is not a shard")
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise RunError(f"{path} is damaged: {error!r}; delete it and make the dataset again") from None
    return listed


def is_listed(path: Path, entry: dict[str, Any] | None) -> bool:
    """Tell if a shard is there and is the one that its index lists."""
    if entry is None or not path.is_file():
        return False
    return path.stat().st_size == entry.get("filesize") and file_sha256(path) == entry["sha256"]


def is_dataset(root: Path) -> bool:
    """Tell if a folder is a dataset's."""
    return (root / RECIPE).exists()


def open_dataset(root: Path) -> DatasetFolder:
    """Open an existing dataset. RunError if the folder is not one, or one of another version."""
    if not is_dataset(root):
        raise RunError(
            f"{root} is not a dataset: it holds no {RECIPE}; `p3dgen dataset make RUN --out {root}` makes one"
        )
    content = read_part(root / RECIPE)
    try:
        if (version := content["format_version"]) != FORMAT_VERSION:
            raise RunError(
                f"{root / RECIPE} has format version {version}, this p3dgen reads {FORMAT_VERSION}: make it again"
            )
        recipe, sources = content["recipe"], list(content["sources"])
        for source in sources:
            if missing := [key for key in _OF_SOURCES if key not in source]:
                raise KeyError(missing[0])
            [(each["kind"], each["id"], each["licence"]) for each in source["licences"]]
        definitions = recorded([text for each in sources for text in each.get("assets", {}).get("category", [])])
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise RunError(f"{root / RECIPE} is damaged: {error!r}; make the dataset again") from None
    return DatasetFolder(
        root=root,
        recipe=validated(Recipe, recipe, str(root / RECIPE), "recipe"),
        sources=sources,
        definitions=definitions,
    )
