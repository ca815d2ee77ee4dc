"""The command `pose-models`. Everything heavy is imported inside a command."""

from __future__ import annotations

import click

from p3d_gen.core.commandline import Group
from pose_models.cli.adapt import adapt
from pose_models.cli.adapt_3duda import uda
from pose_models.cli.baseline import baseline
from pose_models.cli.bench import bench
from pose_models.cli.check import check
from pose_models.cli.convert import convert
from pose_models.cli.evaluate import evaluate
from pose_models.cli.finetune import finetune
from pose_models.cli.folds import folds
from pose_models.cli.predict import predict
from pose_models.cli.protocol import protocol
from pose_models.cli.thresholds import thresholds
from pose_models.cli.train import train
from pose_models.cli.watch import watch


@click.group(cls=Group)
@click.version_option(package_name="p3dgen")
def main() -> None:
    """Train and evaluate category-level pose models on the shards that p3dgen makes."""


for command in (
    train,
    adapt,
    finetune,
    evaluate,
    predict,
    baseline,
    folds,
    convert,
    bench,
    protocol,
    thresholds,
    watch,
    check,
):
    main.add_command(command)
adapt.add_command(uda)
