"""The command `pose-models`. Everything heavy is imported inside a command."""

from __future__ import annotations

import click

from pose_models.cli.baseline import baseline
from pose_models.cli.bench import bench
from pose_models.cli.common import Group
from pose_models.cli.convert import convert
from pose_models.cli.evaluate import evaluate
from pose_models.cli.folds import folds
from pose_models.cli.predict import predict
from pose_models.cli.train import train


@click.group(cls=Group, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(package_name="p3dgen")
def main() -> None:
    """Train and evaluate category-level pose models on the shards that p3dgen makes."""


for command in (train, evaluate, predict, baseline, folds, convert, bench):
    main.add_command(command)
