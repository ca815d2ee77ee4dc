"""What several commands share."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from p3d_gen.core.errors import ConfigError, DataError, DependencyError, P3DError, RunError

if TYPE_CHECKING:
    import torch
    from rich.console import Console
    from rich.progress import Progress

    from p3d_gen.spec.sections import Section
    from pose_models.config import LoopConfig
    from pose_models.data.augment import Backgrounds
    from pose_models.data.images import Images
    from pose_models.data.sample import PoseSample
    from pose_models.data.shards import ShardSamples
    from pose_models.estimator import Estimator
    from pose_models.training.loop import LoopOptions, Step

Config = TypeVar("Config", bound="LoopConfig")
Validated = TypeVar("Validated", bound="Section")


class Group(click.Group):
    """A group of commands whose foreseeable errors are messages, not tracebacks."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command."""
        try:
            return super().invoke(ctx)
        except (P3DError, ValueError, OSError, RuntimeError) as error:
            if isinstance(error, click.exceptions.Exit):
                raise
            raise click.ClickException(str(error)) from error


def chosen_images(options: dict[str, Any]) -> Images:
    """The images that `image_options` name; other options are left alone."""
    from pose_models.data.images import Images

    names = ("address", "split", "part", "limit", "corrupt", "severity", "occlude", "occluders", "stacked", "crop")
    own = {name: options[name] for name in names}
    return Images(categories=options["categories"] or None, seed=options["image_seed"], **own)


SCRATCH: dict[str, Any] = {"steps": 600, "image_size": 128, "lr": 2e-3, "head_lr": 2e-3}
_PLAIN = (
    *("weights", "freeze", "backbone", "steps", "batch", "image_size", "lr", "ema", "seed"),
    *("real_share", "real_distance", "precision"),
)


def chosen_categories(options: dict[str, Any]) -> tuple[str, ...]:
    """The categories that were named, else all that the shards hold. UsageError where that is none."""
    from pose_models.data.shards import shard_categories

    named = tuple(options["categories"])
    found = named or tuple(sorted({name for folder in options["shards"] for name in shard_categories(folder)}))
    if not found:
        raise click.UsageError("name a --category, or give --shards whose names tell theirs: CATEGORY-NNNNN.tar")
    return found


def training_config(
    kind: type[Config],
    categories: tuple[str, ...],
    options: dict[str, Any],
    scratch: dict[str, Any],
    own: tuple[str, ...] = (),
) -> Config:
    """The configuration that a training command asks for: its options, beside the common ones those named in `own`, go
    before --config, that before `scratch` where weights are random, that before the defaults.

    ValueError naming the option that does not fit.
    """
    from pose_models.config import MILD, STRONG, load_config

    if not options["shards"] and not options["real"]:
        raise click.UsageError("give --shards, --real, or both")
    if options["labels"] is not None and not options["real"]:
        raise click.UsageError(f"--labels {options['labels']} is for the photographs of --real: give them, too")
    given = {name: options[name] for name in (*_PLAIN, *own) if options[name] is not None}
    if options["config_file"]:
        base = load_config(kind, options["config_file"]).model_dump()
    else:
        base = {} if given.get("weights") else {**scratch, "augment": MILD}
        base["real_share"] = 0.0 if not options["real"] else 0.5 if options["shards"] else 1.0
    if options["augment"]:
        base["augment"] = STRONG if options["augment"] == "strong" else MILD
    config = validated(kind, {**base, **given, "categories": categories})
    if options["mirror"] is not None:
        config = config.model_copy(update={"augment": config.augment.model_copy(update={"mirror": options["mirror"]})})
    return config


def validated(kind: type[Validated], fields: dict[str, Any]) -> Validated:
    """A configuration of these fields. ConfigError naming the first field that does not fit."""
    from pydantic import ValidationError

    try:
        return kind.model_validate(fields)
    except ValidationError as error:
        first = error.errors()[0]
        raise ConfigError(f"{'.'.join(map(str, first['loc']))} = {first['input']!r}: {first['msg']}") from error


def accuracy_watcher(folder: Path, images: Images, options: dict[str, Any]) -> Callable[[Estimator], dict[str, float]]:
    """What follows an adaptation's accuracy, on at most --watch-limit images a category: it reads the target images
    again, with their labels, for itself."""
    from pose_models.adapt.source import source_config
    from pose_models.adapt.watching import watcher

    few = min(images.limit or options["watch_limit"], options["watch_limit"])
    return watcher(replace(images, limit=few).read(), source_config(folder).image_size)


def training_images(
    config: LoopConfig, options: dict[str, Any]
) -> tuple[ShardSamples, Iterator[PoseSample], Backgrounds | None]:
    """The rendered samples, the photographs and the backgrounds that the options of a training command name."""
    from pose_models.data.augment import Backgrounds
    from pose_models.data.datasets import open_dataset
    from pose_models.data.label_budget import labelled_samples, parse_labels
    from pose_models.data.shards import ShardSamples, shard_paths

    paths = [path for shards in options["shards"] for name in config.categories for path in shard_paths(shards, name)]
    datasets = [open_dataset(address, split="train") for address in options["real"]]
    for dataset in datasets:
        if not set(dataset.categories) & set(config.categories):
            shown, wanted = ", ".join(dataset.categories), ", ".join(config.categories)
            raise DataError(f"--real {dataset.name} shows {shown}, and none of {wanted}")
    if options["labels"] is None:
        read = [dataset.read for dataset in datasets]
    else:
        seed = config.seed if options["label_seed"] is None else options["label_seed"]
        labels = parse_labels(options["labels"])
        read = [partial(labelled_samples, dataset.read, dataset.name, labels, seed) for dataset in datasets]
    photographs = (
        sample
        for dataset, samples_of in zip(datasets, read, strict=True)
        for name in config.categories
        if name in dataset.categories
        for sample in samples_of(name)
    )
    folder = options["backgrounds"]
    return ShardSamples(sorted(set(paths))), photographs, None if folder is None else Backgrounds(folder)


def start_or_resume(out: Path, config: Section, overwrite: bool, file: str = "config.toml") -> None:
    """Make sure that `out` is empty, holds an unfinished run of this configuration, which it keeps in `file`, or may be
    overwritten.

    RunError where it holds a model, or a run of another configuration or command.
    """
    import shutil

    from pose_models.config import load_config
    from pose_models.nmm import MODEL_FILE
    from pose_models.training.loop import CONFIG_FILE

    path = out / file
    if overwrite and path.exists():
        shutil.rmtree(out)
    if (out / MODEL_FILE).exists():
        raise RunError(f"{out} already holds a model: choose another --out, or give --overwrite")
    if not path.exists() and (out / CONFIG_FILE).exists():
        raise RunError(f"{out} holds a run of another command: choose another --out")
    if path.exists() and (kept := load_config(type(config), path)) != config:
        fields = (name for name in type(config).model_fields if getattr(kept, name) != getattr(config, name))
        first = next(fields)
        raise RunError(
            f"{out} holds a run of another configuration ({first} = {getattr(kept, first)}, now "
            f"{getattr(config, first)}): choose another --out, or give --overwrite"
        )


def progress_bar(console: Console) -> Progress:
    """A bar with its count, the time that is left, and a note that the task sets."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    return Progress(*columns, TextColumn("{task.fields[note]}"), console=console)


@contextmanager
def training_progress(console: Console, steps: int, out: Path) -> Iterator[Callable[[Step], None]]:
    """A bar for a training of so many steps, by what is told of every one; at its end, where the model is."""
    with progress_bar(console) as progress:
        task = progress.add_task("train", total=steps, note="")
        yield lambda step: progress.update(task, completed=step.step, note=f"loss {step.loss:.3f}")
    console.print(f"model written to {out}", highlight=False, soft_wrap=True)


def run_how(options: dict[str, Any]) -> LoopOptions:
    """How the training loop runs, by `loop_options`."""
    from pose_models.training.loop import LoopOptions

    cpu = run_device(options["device"]).type == "cpu"
    return LoopOptions(cpu=cpu, workers=options["workers"], checkpoint_every=options["checkpoint_every"])


def run_device(name: str) -> torch.device:
    """The device that `auto`, `cpu` or `cuda` means here; DependencyError where there is none."""
    import torch

    if name == "cuda" and not torch.cuda.is_available():
        raise DependencyError("--device cuda: torch sees no CUDA device here; use --device cpu")
    return torch.device("cuda" if name != "cpu" and torch.cuda.is_available() else "cpu")
