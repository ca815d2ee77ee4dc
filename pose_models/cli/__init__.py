"""The command `pose-models`. Everything heavy is imported inside a command."""

from __future__ import annotations

import click

from pose_models.cli.evaluate import evaluate
from pose_models.cli.train import train


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(package_name="p3dgen")
def main() -> None:
    """Train and evaluate category-level pose models on the shards that p3dgen makes."""


main.add_command(train)
main.add_command(evaluate)
