"""Finished runs and datasets in the formats of others: COCO, BOP, PASCAL3D+ and NeMo's."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from pathlib import Path

from p3d_gen.export.inputs import ExportInput, begin
from p3d_gen.run.shards import reading_samples

FORMATS = ("coco", "bop", "pascal3d", "nemo")


def export(name: str, source: ExportInput, out: Path, on_sample: Callable[[], None] = lambda: None) -> None:
    """Write a run or dataset in one of the `FORMATS` to a folder, which is new or holds the same export, begun.

    Interrupted work resumes with the same call and ends in the same bytes. RunError if the folder holds something else,
    or the format has no place for something that a sample holds.
    """
    begin(name, source, out)
    with reading_samples(source.cad.parent):
        import_module(f"p3d_gen.export.{name}").write(source, out, on_sample)
