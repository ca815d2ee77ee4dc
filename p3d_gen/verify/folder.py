"""What a run folder holds besides its shards: its record and settings, its models and cuboids, and files of others."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import Any

from p3d_gen.core.errors import P3DError
from p3d_gen.run.cuboids import check_cuboid
from p3d_gen.run.ledgers import Ledger, read_ledger, stage_inputs
from p3d_gen.run.store import RunFolder
from p3d_gen.run.versions import changed
from p3d_gen.spec.inventory import OCCLUDERS
from p3d_gen.stylize.stylization import Stylization
from p3d_gen.verify.findings import Finding, Findings


def _ledgers(run: RunFolder, stage: str) -> list[Ledger]:
    """Return those ledgers of a stage that can be read."""
    ledgers = []
    for shard in run.all_shards():
        with suppress(P3DError):
            ledgers.append(read_ledger(run, stage, shard))
    return [ledger for ledger in ledgers if ledger is not None]


def _is_of(run: RunFolder, ledger: Ledger, upstream: Sequence[Ledger], made_from: Any) -> bool:
    known = [each for each in upstream if each.shard == ledger.shard]
    return len(known) < bool(upstream) or ledger.inputs == stage_inputs(run, ledger.stage, *known, made_from=made_from)


def foreign_records(run: RunFolder, stylization: Stylization) -> Iterator[Finding]:
    """Yield the run's records if not one shard was made from them: then these are others, not all shards.

    They are run.json with cad/models.json, and settings.json.
    """
    renders, stylized = _ledgers(run, "render"), _ledgers(run, stylization.stage)
    with suppress(P3DError):  # it is not known which models are left out: said elsewhere
        if renders and not any(_is_of(run, ledger, (), None) for ledger in renders):
            paths = [run.root / "run.json", run.models_file]
        elif (
            stylization.name
            and not stylization.lacking
            and stylized
            and not any(_is_of(run, ledger, renders, stylization.made_from(run)) for ledger in stylized)
        ):
            paths = [run.root / stylization.stage / "settings.json"]
        else:
            return
        there = " or ".join(f"{path}{'' if path.exists() else ', which is not there,'}" for path in paths)
        yield Finding(
            check="ledger",
            what=f"{there} is not what the shards were made from: all inputs differ",
            remedy="put the former one back, or run the command that makes the shards again",
        )


def strays(run: RunFolder, stages: Sequence[str]) -> Iterator[Finding]:
    """Yield the shards and models that readers of a folder would read, although they are not of the run."""
    names = set(run.all_shards())
    foreign = [
        (stage, tar) for stage in stages for tar in sorted((run.root / stage).glob("*.tar")) if tar.stem not in names
    ]
    for category, cads in run.inventory.cads.items():
        folder, known = run.root / "cad" / category, {run.cad_file(category, cad.id) for cad in cads}
        files = sorted(folder.rglob("*.npz"))
        foreign += [("cad", path) for path in files if path not in known and not path.name.startswith(".")]
    for stage, path in foreign:
        yield Finding(
            check="count",
            stage=stage,
            shard=path.stem,
            what=f"{path} does not belong to the run",
            remedy="take it out of the folder",
        )


def damaged_models(run: RunFolder) -> Iterator[Finding]:
    """Yield the CAD models and cuboids that cannot be read, or are not those of the run."""
    for category, cads in run.inventory.cads.items():
        whole = True
        for cad in cads:
            path = run.cad_file(category, cad.id)
            for finding in _model_findings(run, category, cad.id):
                whole = False
                yield Finding(
                    check="content",
                    stage="cad",
                    shard=category,
                    what=finding.what,
                    remedy=f"delete {path} and run `p3dgen render` again",
                )
        if whole and category != OCCLUDERS and "cuboid" in run.manifest.output.members:
            yield from _cuboid_findings(run, category)


def _model_findings(run: RunFolder, category: str, cad_id: str) -> list[Finding]:
    path, findings = run.cad_file(category, cad_id), Findings(stage="cad", shard=category)
    with findings.guard("content", f"{path} cannot be read"):
        run.load_model(category, cad_id)
        run.local_model(category, cad_id)
    return findings.found


def _cuboid_findings(run: RunFolder, category: str) -> list[Finding]:
    findings, ledgers = Findings(stage="cad", shard=category), _ledgers(run, "render")
    elsewhere = any(changed(ledger.made_with) for ledger in ledgers if ledger.shard.startswith(f"{category}-"))
    try:
        check_cuboid(run, category, elsewhere=elsewhere)
    except P3DError as error:
        what, _, remedy = str(error).rpartition(": ")
        findings.add("content", what, remedy=remedy)
    return findings.found
