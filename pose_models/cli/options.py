"""The parts that options are made of, and options of commands of all kinds."""

from __future__ import annotations

import copy
import importlib.util
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from p3d_gen.core.errors import DependencyError, did_you_mean

if TYPE_CHECKING:
    from click.types import OptionHelpExtra

FOLDER = click.Path(path_type=Path, file_okay=False)
FILE = click.Path(path_type=Path, dir_okay=False)
COUNT, POSITIVE, SHARE = click.IntRange(1), click.FloatRange(0, min_open=True), click.FloatRange(0, 1)
SEED = click.IntRange(0)
# In box diagonals, whose corners are half a diagonal from the middle.
DISTANCE = click.FloatRange(0.5, min_open=True)
_PACKAGES = ("torch", "timm", "safetensors", "accelerate")
Command = Callable[..., Any]
Decorator = Callable[[Command], Command]

# Valid names, kept here because their module loads torch; a test compares them with it.
SOLVERS = ("default", "released")
SHARDS = "a run, a folder of shards, or a pattern such as 'runs/x/shards/car-*.tar', at a path or a URL"


class Option(click.Option):
    """An option whose help states a default that the command works out, and hides its old names."""

    def __init__(
        self, *declarations: Any, default_text: str = "", old_names: Sequence[str] = (), **attributes: Any
    ) -> None:
        """default_text: the default as the help states it; old_names: names that stay valid but are not listed."""
        super().__init__(*declarations, **attributes)
        self._default_text, self._old_names = default_text, frozenset(old_names)

    def _without_old_names(self) -> Option:
        shown = copy.copy(self)
        shown.opts = [name for name in self.opts if name not in self._old_names]
        shown.secondary_opts = [name for name in self.secondary_opts if name not in self._old_names]
        return shown

    def get_help_record(self, ctx: click.Context) -> tuple[str, str] | None:
        """Return the names and the help, without old names."""
        return super(Option, self._without_old_names()).get_help_record(ctx)

    def get_help_extra(self, ctx: click.Context) -> OptionHelpExtra:
        """Return what stands in brackets after the help."""
        extra = super().get_help_extra(ctx)
        if self._default_text:
            extra["default"] = self._default_text
        return extra

    def get_error_hint(self, ctx: click.Context | None) -> str:
        """Return the names of the option for an error message."""
        return super(Option, self._without_old_names()).get_error_hint(ctx)


option = partial(click.option, cls=Option)


class Choice(click.Choice[str]):
    """One of several names; the error suggests the nearest one."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Return the name."""
        if value not in self.choices:
            self.fail(f"{value!r} is not known{did_you_mean(str(value), self.choices)}", param, ctx)
        return super().convert(value, param, ctx)


def grouped(*options: Decorator) -> Decorator:
    """Return several options as one decorator, in the order in which the help lists them."""

    def decorate(command: Command) -> Command:
        for each in reversed(options):
            command = each(command)
        return command

    return decorate


def is_planned(context: click.Context) -> bool:
    """Return if a protocol only checks the words of this command, which then loads nothing heavy."""
    return context.parent is None


def _check_device(context: click.Context, _: click.Parameter, name: str) -> str:
    """Refuse to start without the packages, or on a GPU that is not there, before anything is read."""
    missing = [package for package in _PACKAGES if importlib.util.find_spec(package) is None]
    if missing and not is_planned(context):
        raise DependencyError(f"{', '.join(missing)}: not installed; run `pip install 'p3dgen[pose]'`")
    if name == "cuda":
        import torch

        if not torch.cuda.is_available():
            raise DependencyError("--device cuda: torch sees no CUDA device on this machine; use --device cpu")
    return name


device_option = option(
    "--device",
    type=click.Choice(["auto", "cpu", "cuda"]),
    default="auto",
    show_default=True,
    callback=_check_device,
    help="Device that torch computes on; auto takes a GPU if there is one.",
)
threads_option = option(
    "--threads", type=COUNT, default=1, show_default=True, help="Number of threads that torch uses on the CPU."
)
mirror_option = option(
    "--mirror/--no-mirror", default=False, show_default=True, help="Estimate the pose from the mirrored image as well."
)
distance_option = option(
    "--distance",
    type=DISTANCE,
    default_text="the mean of the training images",
    help="Distance from camera to object in box diagonals, for images without an annotated one.",
)
# Of commands that search for poses. No defaults, so that a configuration can be told from what was given.
camera_options = grouped(
    option(
        "--free-distance/--fixed-distance",
        default=None,
        default_text="fixed-distance",
        help="Search the distance of images without an annotated one, around --distance, or keep it there.",
    ),
    option(
        "--focals",
        type=click.Choice(["one", "two"]),
        default_text="two",
        help="Number of focal lengths to fit to the box of images without an annotated camera.",
    ),
)
cads_option = option(
    "--cads",
    type=FOLDER,
    default_text="that of the run which the shards belong to",
    help="Folder with the CAD models of each category: CATEGORY/*.npz, .off, .obj, .ply or .glb.",
)
definitions_option = option(
    "--definitions",
    type=FILE,
    default_text="those of the run which the shards belong to, or category.toml in CADS/CATEGORY",
    help="TOML file whose sections [category.NAME] define categories, such as a manifest or a protocol.",
)


def model_option(purpose: str) -> Decorator:
    """Return the option that names the folder of a trained model."""
    return option("--model", "model_folder", required=True, type=FOLDER, help=f"{purpose}: the --out of a training.")


def out_option(content: str) -> Decorator:
    """Return the option that names the folder to write."""
    return option("--out", required=True, type=FOLDER, help=f"Folder to write {content} to.")
