"""One shard through all stages, checked against its ledgers, the manifest and its own upstream."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from p3d_gen.run.stage import tick
from p3d_gen.run.store import RunFolder, shared_run
from p3d_gen.spec.sampling import packed_key, sample_key
from p3d_gen.stylize.stylization import Stylization, open_stylization
from p3d_gen.verify.agreement import Agreement
from p3d_gen.verify.findings import Finding
from p3d_gen.verify.forms import Form
from p3d_gen.verify.opened import Opened, check_inputs, check_keys, open_shard
from p3d_gen.verify.sample_checks import Part, check_packed, check_render, check_stylized, edges_hw, read_part

_RENDER_FILES = ("mask", "amodal", "depth", "normals", "nocs", "parts", "cuboid")
_NPZ = ("depth", "normals", "nocs", "cuboid")


@dataclass(kw_only=True)
class ShardReport:
    """The result of the checks of a shard through all stages.

    samples: number of packed ones that are there. failed: number of those that its ledgers name. agreements: of its
    renders' poses. forms: stage -> form -> keys. pictures: stage -> hash of the pixels -> keys.
    """

    shard: str
    samples: int
    failed: int
    findings: list[Finding]
    agreements: list[Agreement] = field(default_factory=list)
    forms: dict[str, dict[Form, list[str]]] = field(default_factory=dict)
    pictures: dict[str, dict[str, list[str]]] = field(default_factory=dict)


def _wanted(run: RunFolder, stylization: Stylization) -> dict[str, list[str]]:
    """Return the members that samples have in each stage, the main picture first and the JSON last."""
    output = run.manifest.output
    labels = [f"{name}.{'npz' if name in _NPZ else 'png'}" for name in output.members if name in _RENDER_FILES]
    occluders = ["occluders.png"] * (run.manifest.occlusion.level != "none")
    packed = [*labels, *(f"{name}.png" for name in ("occluders", "render", "edges") if name in output.members)]
    packed += [f"stylized.{output.image_format}"] * ("stylized" in output.members)
    return {
        "render": list(dict.fromkeys(["render.png", "mask.png", *occluders, *labels, "json"])),
        stylization.stage: ["stylized.png", "edges.png", "stylize.json"],
        stylization.packed: [output.image_format, *packed, "json"],
    }


def _whole(parts: Sequence[Part]) -> bool:
    """Tell if a sample is there in both of the stages before packing, and undamaged."""
    return len(parts) == 2 and all(part.whole for part in parts)


def _check_shard(
    run: RunFolder, stylization: Stylization, shard: str, render: Opened, stylized: Opened, packed: Opened
) -> list[Agreement]:
    """Check the samples of an opened shard."""
    hw, control, wanted = run.manifest.camera.image_hw, edges_hw(run, stylization), _wanted(run, stylization)
    category, indices = run.members_of(shard)
    agreements = []
    for index in indices:
        key = sample_key(category, index)
        parts: list[Part] = []
        if key in render.keys:
            parts.append(read_part(render, key, wanted["render"], hw, control))
            if parts[0].whole and (pose_agreement := check_render(run, render, key, index, parts[0])):
                agreements.append(pose_agreement)
        if key in stylized.keys:
            parts.append(read_part(stylized, key, wanted[stylization.stage], hw, control))
            if _whole(parts):
                check_stylized(run, stylization, stylized, key, *parts)
        for number in range(run.manifest.background.per_render):
            if (one := packed_key(run.manifest, key, number)) not in packed.keys:
                continue
            part = read_part(packed, one, wanted[stylization.packed], hw, control)
            if _whole(parts) and part.whole:
                check_packed(run, packed, one, number, parts[0].members | parts[1].members, part)
        tick()
    return agreements


def _filtered(packed: Opened) -> bool:
    """Tell if `p3dgen pack` was given pose residuals: files that decide what is packed, and may be gone by now."""
    reasons = [failure.reason for failure in packed.ledger.failures] if packed.ledger else []
    labels = [name for form in packed.forms for name, _ in form]
    return "pose_residual_deg" in labels or any("pose residual" in reason for reason in reasons)


def check_shard(run_dir: str, shard: str, name: str = "") -> ShardReport:
    """Check one shard through all stages; name: that of the stylization. Any damage is a finding."""
    run = shared_run(run_dir, ())
    stylization = open_stylization(run, name)
    category, indices = run.members_of(shard)
    render, stylized, packed = opened = [
        open_shard(run, stage, shard) for stage in ("render", stylization.stage, stylization.packed)
    ]
    composites = range(run.manifest.background.per_render)
    check_keys(render, [sample_key(category, index) for index in indices])
    check_keys(stylized, render.keys)
    check_keys(packed, [packed_key(run.manifest, key, n) for key in stylized.keys for n in composites])
    agreements = _check_shard(run, stylization, shard, render, stylized, packed)
    check_inputs(run, render, [], None)
    if not stylization.lacking and (run.origin.inputs_version == 1 or not stylization.lacking_weights):
        check_inputs(run, stylized, [render], stylization.made_from(run))
    if not _filtered(packed):
        check_inputs(run, packed, [render, stylized], None)
    return ShardReport(
        shard=shard,
        samples=len(packed.keys),
        failed=sum(len(each.failed) for each in opened),
        findings=[finding for each in opened for finding in each.findings.found],
        agreements=agreements,
        forms={each.stage: dict(each.forms) for each in opened},
        pictures={each.stage: dict(each.pictures) for each in opened},
    )
