"""The files that commands keep in their folders: data, and views of it.

Data are what others are made from, or cannot be made again: damage in them is detected by the command that uses it
next, or by the check of the folder. Views are made from data: reports, sheets, cards, curves. A command makes them
again or leaves them alone, and none believes them.
"""

from __future__ import annotations

from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import PurePath

RUN, DATASET, TRAINING, ADAPTATION = "run", "dataset", "training", "adaptation"


@dataclass(frozen=True, kw_only=True)
class KeptFile:
    """A kind of file in a folder of one of these kinds. pattern: of its path in the folder; * stands for one name."""

    folder: str
    pattern: str
    is_data: bool
    holds: str

    def fits(self, name: str) -> bool:
        """Tell if a path in the folder is of this kind."""
        parts, patterns = PurePath(name).parts, PurePath(self.pattern).parts
        return len(parts) == len(patterns) and all(map(fnmatchcase, parts, patterns))


_DATA = {
    (RUN,): {
        "run.json": "manifest, sources and their checksums",
        "cad/models.json": "facts and checksums of the prepared models",
        "cad/*.cuboid.npz": "cuboid of a category",
        "cad/*/*.npz": "prepared model",
        "cad/*/*.blend": "its own materials",
        "render/*.tar": "renders",
        "render/*.json": "ledger of a shard of renders",
        "stylize*/settings.json": "settings of a stylization with a name",
        "stylize*/*.tar": "stylized pictures",
        "stylize*/*.json": "ledger of a shard of stylized pictures",
        "shards*/*.tar": "packed samples",
        "shards*/*.json": "ledger of a packed shard",
        "licences*.json": "licences of the assets, for when these are not there any more",
    },
    (DATASET,): {
        "recipe.json": "what it is made from",
        "dataset.json": "counts, and checksums of all but the shards",
        "cad/*.cuboid.npz": "cuboid of a category",
        "cad/*/*.npz": "model that samples show",
        "*/index.json": "shards of a split, with their checksums",
        "*/*.tar": "samples",
    },
    (TRAINING, ADAPTATION): {
        "checksums.json": "checksums of the other files",
        "config.toml": "configuration of the training",
        "model.json": "architecture and meshes",
        "model.safetensors": "weights",
        "checkpoint.safetensors": "state of an unfinished training or adaptation",
    },
    (TRAINING,): {
        "source_similarity.safetensors": "statistics of the vertex features",
        "train.jsonl": "figures of every step",
    },
    (ADAPTATION,): {
        "adapt.toml": "configuration of the adaptation",
        "source.json": "model that it starts from",
        "target.jsonl": "images that it follows",
        "history.jsonl": "figures of every epoch",
        "vertices.safetensors": "acceptance and similarity of every vertex",
    },
}
_VIEWS = {
    (RUN,): {
        "contact_sheet*.jpg": "contact sheet",
        "report*.html": "report",
        "verify*.json": "findings of `p3dgen verify`",
        "provenance*.jsonl": "origin of every sample",
    },
    (DATASET,): {"README.md": "dataset card"},
    (TRAINING,): {"tensorboard/*": "curves"},
    (ADAPTATION,): {"live.html": "page of the adaptation"},
}
KEPT_FILES = tuple(
    KeptFile(folder=folder, pattern=pattern, is_data=is_data, holds=holds)
    for is_data, listed in ((True, _DATA), (False, _VIEWS))
    for folders, patterns in listed.items()
    for folder in folders
    for pattern, holds in patterns.items()
)


def kept_file(folder: str, name: str) -> KeptFile:
    """Return the kind of a file by its path in a folder of a kind. ValueError if no command keeps it there."""
    for kind in KEPT_FILES:
        if kind.folder == folder and kind.fits(name):
            return kind
    raise ValueError(f"no command keeps {name} in a {folder}")
