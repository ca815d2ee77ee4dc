"""From what a user asks for to a training: its images, CAD models, configuration and run folder."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal, TypeVar

from p3d_gen.core.categories import BUILTIN, CategoryDefinition
from p3d_gen.core.errors import ConfigError, DataError, RunError
from p3d_gen.core.types import Array
from p3d_gen.dataset.folder import is_dataset
from p3d_gen.dataset.folder import open_dataset as open_made
from p3d_gen.dataset.splits import split_of_asset
from p3d_gen.spec.sections import Section, validated
from pose_models.categories import KnownCategories, check_defines, training_definitions
from pose_models.config import MILD, RANDOM, STRONG, LoopConfig, load_config
from pose_models.data.augment import Backgrounds
from pose_models.data.cads import cad_vertices
from pose_models.data.datasets import open_dataset
from pose_models.data.label_budget import labelled_samples, parse_labels
from pose_models.data.sample import PoseSample
from pose_models.data.shards import ShardSamples, shard_categories, shard_paths
from pose_models.data.symmetric import unmirrored
from pose_models.exclusive import empty
from pose_models.ledger import CHECKPOINT_FILE, check_files, is_finished
from pose_models.pretrained import check_weights
from pose_models.training.loop import CONFIG_FILE

# What replaces the defaults where a network starts from random weights.
SCRATCH: Mapping[str, Any] = {"steps": 600, "image_size": 128, "lr": 2e-3, "head_lr": 2e-3, "augment": MILD}
SCRATCH_MESH: Mapping[str, Any] = {**SCRATCH, "vertices": 300}

Config = TypeVar("Config", bound=LoopConfig)
_log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class TrainingData:
    """The images and CAD models to train on.

    shards: runs, folders of CATEGORY-*.tar, or patterns of tars, at paths or URLs. real: addresses of labelled
    photographs, `KIND:PATH`, whose train split is read. labels: number "N" or share "P%" of the photographs of each
    category that are used, drawn by label_seed; None for all, and for the seed of the training. cads: folder with
    CATEGORY/*.npz|off|obj|ply|glb, None for the one beside the shards. definitions: file with [category.NAME] sections,
    see `training_definitions`. backgrounds: folder of pictures to paste behind rendered objects.
    """

    shards: tuple[str, ...] = ()
    real: tuple[str, ...] = ()
    labels: str | None = None
    label_seed: int | None = None
    cads: Path | None = None
    definitions: Path | None = None
    backgrounds: Path | None = None

    def __post_init__(self) -> None:
        """Raise ConfigError if there is nothing to train on, or labels are counted without photographs."""
        if not self.shards and not self.real:
            raise ConfigError("nothing to train on: give --shards, --real, or both")
        if self.labels is not None and not self.real:
            raise ConfigError(f"--labels {self.labels} chooses among the photographs of --real: give them, too")


def chosen_categories(data: TrainingData, named: Sequence[str]) -> tuple[str, ...]:
    """Return the categories that were named, else all that the shards hold.

    ConfigError if there are none, or `data.definitions` defines none of them.
    """
    categories = tuple(named) or tuple(sorted({name for shards in data.shards for name in shard_categories(shards)}))
    if not categories:
        raise ConfigError(
            "no category to train: name a --category, or give --shards that are called CATEGORY-NNNNN.tar"
        )
    if data.definitions is not None:
        check_defines(data.definitions, categories)
    return categories


def training_config(
    kind: type[Config],
    data: TrainingData,
    categories: Sequence[str],
    fields: Mapping[str, Any],
    *,
    scratch: Mapping[str, Any],
    file: Path | None = None,
    augment: Literal["strong", "mild"] | None = None,
    mirror: bool | None = None,
) -> Config:
    """Return the configuration of a training; ConfigError with every field that does not fit, or as `check_weights`.

    `fields` that are not None go before those of `file`, a run's config.toml. Without a file the defaults hold, and
    before them `scratch` if the weights are random.
    """
    given = {name: value for name, value in fields.items() if value is not None}
    if file is not None:
        base = load_config(kind, file).model_dump()
    else:
        base = dict(scratch) if given.get("weights") in ("", RANDOM) else {}
        base["real_share"] = 0.0 if not data.real else 0.5 if data.shards else 1.0
    if augment is not None:
        base["augment"] = STRONG if augment == "strong" else MILD
    config = validated(kind, {**base, **given, "categories": tuple(categories)}, "this request", "configuration")
    check_weights(config.backbone, config.weights)
    if mirror is not None:
        config = config.model_copy(update={"augment": config.augment.model_copy(update={"mirror": mirror})})
    return config


def training_images(
    config: LoopConfig, data: TrainingData
) -> tuple[ShardSamples, Iterator[PoseSample], Backgrounds | None]:
    """Return the rendered samples, the photographs and the backgrounds of a training.

    DataError if a dataset shows none of the categories, or something cannot be read.
    """
    paths = {path for shards in data.shards for name in config.categories for path in shard_paths(shards, name)}
    datasets = [open_dataset(address, split="train") for address in data.real]
    for dataset in datasets:
        if not set(dataset.categories) & set(config.categories):
            shown, wanted = ", ".join(dataset.categories), ", ".join(config.categories)
            raise DataError(f"--real {dataset.name} shows {shown}, and none of {wanted}: choose by --category")
    if data.labels is None:
        readers = [dataset.read for dataset in datasets]
    else:
        seed = config.seed if data.label_seed is None else data.label_seed
        budget = parse_labels(data.labels)
        readers = [partial(labelled_samples, dataset.read, dataset.name, budget, seed) for dataset in datasets]
    photographs = (
        sample
        for dataset, read in zip(datasets, readers, strict=True)
        for name in config.categories
        if name in dataset.categories
        for sample in read(name)
    )
    backgrounds = None if data.backgrounds is None else Backgrounds(data.backgrounds)
    return ShardSamples(sorted(paths)), photographs, backgrounds


def training_cads(data: TrainingData, categories: Sequence[str]) -> dict[str, dict[str, Array]]:
    """Return the vertices of every CAD model, by category and id.

    They come from `data.cads`, else from the runs that the shards belong to, an id then starting with its run. Of a
    dataset that is split by models these are the models of the splits that are trained on: the others are held out.
    """
    if data.cads is not None:
        return {name: cad_vertices(data.cads, name) for name in categories}
    if not data.shards:
        raise ConfigError("give --cads with --real: the mesh is fitted to the category's CAD models")
    cads: dict[str, dict[str, Array]] = {}
    for name in categories:
        folders = sorted({path.parent for shards in data.shards for path in shard_paths(shards, name)})
        cads[name] = {f"{each.parent}/{id_}": cad for each in folders for id_, cad in _cads_of(each, name).items()}
    return cads


def _cads_of(shards: Path, category: str) -> dict[str, Array]:
    """Return the CAD models beside a folder of shards; of a dataset that is split by models, those of its split."""
    cads = cad_vertices(shards.parent / "cad", category)
    if not is_dataset(shards.parent):
        return cads
    recipe = open_made(shards.parent).recipe
    if "cad" not in recipe.split_by:
        return cads
    return {id_: cad for id_, cad in cads.items() if split_of_asset(recipe, "cad", f"{category}/{id_}") == shards.name}


def category_definitions(data: TrainingData, categories: Sequence[str]) -> tuple[CategoryDefinition, ...]:
    """Return the definitions of the categories that are not built in, see `training_definitions`."""
    roots = {path.parent.parent for shards in data.shards for name in categories for path in shard_paths(shards, name)}
    return training_definitions(sorted(roots), data.cads, categories, data.definitions)


def known_categories(data: TrainingData, categories: Sequence[str]) -> KnownCategories:
    """Return what is known of the categories, for a training that needs no CAD models itself."""
    cads = {}
    for name in categories:
        try:
            cads[name] = list(training_cads(data, (name,))[name].values()) if name not in BUILTIN else []
        except (ConfigError, DataError):
            cads[name] = []
    return KnownCategories(unmirrored=unmirrored(cads), definitions=category_definitions(data, categories))


def _is_done(out: Path) -> bool:
    """Tell if a run is finished. The checkpoint of one that was killed just then is removed."""
    if not is_finished(out):
        return False
    (out / CHECKPOINT_FILE).unlink(missing_ok=True)
    return True


def left_to_make(runs: Mapping[Path, Section], overwrite: bool, file: str = CONFIG_FILE) -> list[Path]:
    """Return the folders of a command that are not finished yet, so that it resumes although some of its models are
    made. If all are, it returns all of them, and `start_or_resume` refuses the first one.

    runs: the folders with their configurations. overwrite: return all.
    """
    left = []
    for out, config in runs.items():
        same = (out / file).exists() and load_config(type(config), out / file) == config
        if overwrite or not same or not _is_done(out):
            left.append(out)
    if not left:
        return list(runs)
    for out in runs.keys() - left:
        _log.info("%s holds its model already", out)
    return left


def start_or_resume(out: Path, config: Section, overwrite: bool, file: str = CONFIG_FILE) -> None:
    """Make sure that `out` is empty, holds an unfinished run of this configuration, or may be overwritten.

    file: the name under which `out` keeps the configuration. RunError if `out` holds a model, or a run of another
    configuration or command; DataError if a file of the run is damaged.
    """
    path = out / file
    if overwrite and path.exists():
        empty(out)
    if _is_done(out):
        raise RunError(f"{out} already holds a model: choose another --out, or give --overwrite")
    check_files(out, file, CONFIG_FILE)
    if not path.exists() and (out / CONFIG_FILE).exists():
        raise RunError(f"{out} holds a run of another command: choose another --out")
    if path.exists() and (kept := load_config(type(config), path)) != config:
        names = (name for name in type(config).model_fields if getattr(kept, name) != getattr(config, name))
        first = next(names)
        raise RunError(
            f"{out} holds a run of another configuration ({first} = {getattr(kept, first)}, now "
            f"{getattr(config, first)}): choose another --out, or give --overwrite"
        )
    check_files(out)
