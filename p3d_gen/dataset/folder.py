"""The folder of a dataset.

FOLDER/recipe.json               what it is made from, written first
FOLDER/<split>/<category>-NNNNN.tar  samples
FOLDER/<split>/index.json        the split's shards, as wids reads them, with their checksums
FOLDER/cad/<category>/<id>.npz   the models that its samples show, and <category>.cuboid.npz if samples hold cuboids
FOLDER/README.md                 the dataset card of the Hugging Face Hub
FOLDER/dataset.json              counts, assets, sources, versions, written last: the mark that it is finished
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from p3d_gen.core.errors import RunError
from p3d_gen.dataset.splits import Recipe
from p3d_gen.run.files import read_json, write_bytes
from p3d_gen.spec.sections import validated

FORMAT_VERSION = 1
RECIPE, INDEX, CARD, DATASET = "recipe.json", "index.json", "README.md", "dataset.json"


@dataclass(frozen=True, kw_only=True)
class DatasetFolder:
    """A dataset's folder that has been begun. sources: its runs, as recipe.json describes them."""

    root: Path
    recipe: Recipe
    sources: list[dict[str, Any]]

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
        return read_json(path)
    except (OSError, ValueError) as error:
        raise RunError(f"{path} cannot be read: {error}; make the dataset again by `p3dgen dataset make`") from None


def write_new(path: Path, content: bytes) -> None:
    """Write a file unless it is there: one that is there has this content."""
    if not path.exists():
        write_bytes(path, content)


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
    except (KeyError, TypeError) as error:
        raise RunError(f"{root / RECIPE} is damaged: {error!r}; make the dataset again") from None
    return DatasetFolder(root=root, recipe=validated(Recipe, recipe, str(root / RECIPE), "recipe"), sources=sources)
