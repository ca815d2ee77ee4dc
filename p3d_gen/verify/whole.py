"""A whole run: all its shards, the things that their samples share, and some of the samples made again."""

from __future__ import annotations

import math
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import cast

import numpy as np

from p3d_gen.core.masking import masked
from p3d_gen.render.stage import Supervision
from p3d_gen.run.files import write_json
from p3d_gen.run.local import run_shards
from p3d_gen.run.stage import Stage, enter
from p3d_gen.run.store import RunFolder
from p3d_gen.run.versions import versions
from p3d_gen.spec.sampling import render_key
from p3d_gen.stylize.stylization import Stylization, open_stylization
from p3d_gen.verify.agreement import Agreement
from p3d_gen.verify.findings import CHECKS, Finding, Findings
from p3d_gen.verify.folder import damaged_models, foreign_records, strays
from p3d_gen.verify.forms import Form, deviation
from p3d_gen.verify.replay import replay_samples
from p3d_gen.verify.shard import ShardReport, check_shard

_AMOUNT = re.compile(r"(\d+(?:\.\d*)?)(%?)")


@dataclass(frozen=True, kw_only=True)
class Verification:
    """The result of the checks of a run.

    samples: number of packed ones. failed: number of those that its ledgers name as failed. rerendered: the keys of
    those made again. agreements: of all renders' poses. unchecked: what could not be checked, and why.
    """

    name: str
    samples: int
    failed: int
    findings: tuple[Finding, ...]
    agreements: tuple[Agreement, ...]
    rerendered: tuple[str, ...]
    unchecked: tuple[str, ...] = ()

    @property
    def by_check(self) -> dict[str, int]:
        """Number of findings of each check."""
        counts = Counter(finding.check for finding in self.findings)
        return {check: counts[check] for check in CHECKS}


def amount(text: str) -> Callable[[int], int]:
    """Parse a share or number of samples, `1%` or `20`: return a function from their total to a number from 1 to the
    total.

    ValueError for other texts.
    """
    match = _AMOUNT.fullmatch(text)
    if not match or (not match[2] and "." in match[1]) or float(match[1]) == 0:
        raise ValueError(f"{text!r} is neither a share such as 1% nor a number such as 20")
    share, number = (float(match[1]) / 100, 0) if match[2] else (0.0, int(match[1]))
    return lambda total: min(total, max(1, number, math.ceil(share * total)))


def _unusual(reports: Iterable[ShardReport]) -> Iterator[Finding]:
    """Yield the samples whose members or labels are not those that most samples of their stage have."""
    forms: dict[str, dict[Form, list[tuple[str, str]]]] = defaultdict(lambda: defaultdict(list))
    for report in reports:
        for stage, forms_of_stage in report.forms.items():
            for form, keys in forms_of_stage.items():
                forms[stage][form] += [(report.shard, key) for key in keys]
    for stage, found_in in forms.items():
        usual = max(found_in, key=lambda form: len(found_in[form]))
        for form, places in found_in.items():
            for shard, key in places if form != usual else ():
                findings = Findings(stage=stage, shard=shard)
                findings.add("schema", f"not of the same form as the others: {deviation(form, usual)}", key)
                yield from findings.found


def _twins(reports: Iterable[ShardReport]) -> Iterator[Finding]:
    """Yield the samples whose picture is another sample's, pixel by pixel."""
    first: dict[tuple[str, str], str] = {}
    for report in reports:
        for stage, keys_by_picture in report.pictures.items():
            for pixels, keys in keys_by_picture.items():
                for key in keys:
                    twin = first.setdefault((stage, pixels), key)
                    if twin != key:
                        findings = Findings(stage=stage, shard=report.shard)
                        findings.add("duplicate", f"its picture is the same as that of {twin}", key)
                        yield from findings.found


@dataclass(frozen=True, kw_only=True)
class Rerender:
    """The choice of samples that are made again. how_many: of so many, see `amount`. seed: other samples with another
    one.

    supervision: of the Blender process. device: of the stylizer.
    """

    how_many: Callable[[int], int]
    seed: int = 0
    supervision: Supervision = field(default_factory=Supervision)
    device: str = "auto"


def chosen_keys(reports: Iterable[ShardReport], packed: str, again: Rerender) -> list[str]:
    """Choose the keys of renders to be made again, from shards without findings."""
    sound = [report for report in reports if not report.findings]
    keys = sorted({render_key(key) for r in sound for keys in r.forms[packed].values() for key in keys})
    if not keys:
        return []
    chosen = np.random.default_rng([again.seed, 1]).choice(len(keys), again.how_many(len(keys)), replace=False)
    return [keys[i] for i in sorted(chosen.tolist())]


def _rerendered(run: RunFolder, stylization: Stylization, keys: Sequence[str], again: Rerender) -> Iterator[Finding]:
    name = f" --name {stylization.name}" if stylization.name else ""
    for replay in replay_samples(run, stylization, keys, again.supervision, again.device):
        build = f" (made with {replay.build})" if replay.build else ""
        for told in replay.differences:
            yield Finding(
                check="rerender",
                shard=replay.shard,
                key=replay.key,
                what=f"made again, {told}{build}",
                remedy=masked(f"look at what `p3dgen replay {run.root} {replay.key}{name} --out FOLDER` writes"),
            )


def _unchecked(run: RunFolder, stylization: Stylization) -> Iterator[str]:
    """Yield what cannot be checked without the sources that are not there."""
    lacking = run.inventory.lacking
    if "background" in lacking:
        backgrounds = run.inventory.backgrounds
        gone = sum(not each.is_here for each in backgrounds)
        yield (
            f"composites on {gone} of {len(backgrounds)} backgrounds were not made again, only their other members and "
            f"labels: {lacking['background']}"
        )
    if "viewpoint" in lacking:
        yield f"viewpoints were not drawn again, only compared with the poses: {lacking['viewpoint']}"
    if stylization.lacking:
        yield f"prompts were not drawn again: {stylization.lacking}"
    if stylization.lacking_weights:
        yield f"the stylizer's weights were not compared: {stylization.lacking_weights}"


def verify_run(
    run: RunFolder,
    name: str = "",
    workers: int = 1,
    on_sample: Callable[[], None] = lambda: None,
    again: Rerender | None = None,
) -> Verification:
    """Check everything that a run holds of the stylization `name`; `on_sample` is called for every render.

    again: the samples to make again, of the shards without other findings.
    """
    stylization, shards = open_stylization(run, name), run.all_shards()
    if foreign := tuple(foreign_records(run, stylization)):  # nothing can be compared with these
        return Verification(
            name=name, samples=0, failed=0, findings=foreign, agreements=(), rerendered=(), unchecked=()
        )
    stage = cast(Stage, partial(check_shard, name=name))
    made = cast(Iterable[ShardReport], run_shards(stage, str(run.root), shards, workers, on_sample))
    reports = sorted(made, key=lambda report: shards.index(report.shard))
    findings = [finding for report in reports for finding in report.findings]
    findings += [*damaged_models(run), *strays(run, ["render", stylization.stage, stylization.packed])]
    findings += [*_unusual(reports), *_twins(reports)]
    chosen = chosen_keys(reports, stylization.packed, again) if again else []
    if again:
        enter(lambda: None)  # the samples that are stylised for this have been counted
        findings += _rerendered(run, stylization, chosen, again)
    return Verification(
        name=name,
        samples=sum(report.samples for report in reports),
        failed=sum(report.failed for report in reports),
        findings=tuple(findings),
        agreements=tuple(agreement for report in reports for agreement in report.agreements),
        rerendered=tuple(chosen),
        unchecked=tuple(_unchecked(run, stylization)),
    )


def _worst(agreements: Sequence[Agreement]) -> dict[str, float]:
    """Return the worst value of each measure, without those that the run has no label for."""
    if not agreements:
        return {}
    iou, *others = np.array([(a.iou, a.box_px, a.depth, a.nocs_px) for a in agreements]).T
    worst = {"iou": iou.min(), **{n: v.max() for n, v in zip(("box_px", "depth", "nocs_px"), others, strict=True)}}
    return {name: float(value) for name, value in worst.items() if not np.isnan(value)}


def write_verification(run: RunFolder, verification: Verification, out: Path | None = None) -> Path:
    """Write RUN/verify.json, or verify-NAME.json, or `out`; return its path. It holds nothing that depends on the
    clock."""
    path = out or open_stylization(run, verification.name).file(run, "verify", ".json")
    write_json(
        path,
        {
            "sound": not verification.findings,
            "samples": verification.samples,
            "failed": verification.failed,
            "findings_by_check": verification.by_check,
            "findings": [asdict(finding) for finding in verification.findings],
            "worst_agreement": _worst(verification.agreements),
            "rerendered": list(verification.rerendered),
            **({"unchecked": list(verification.unchecked)} if verification.unchecked else {}),
            "made_with": versions(),
        },
    )
    return path
