"""Checks of one sample in each of its stages: its members are whole, and follow from the manifest and one another."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from p3d_gen.core.silhouette import MIN_MASK_IOU, mask_iou
from p3d_gen.pack.stage import has_background
from p3d_gen.render.framing import framed
from p3d_gen.run.cad_model import stretched
from p3d_gen.run.shards import Members
from p3d_gen.run.store import RunFolder
from p3d_gen.run.versions import changed
from p3d_gen.stylize.control import control_picture
from p3d_gen.stylize.edges import control_hw
from p3d_gen.stylize.stylization import Stylization
from p3d_gen.verify.agreement import Agreement, measure_agreement
from p3d_gen.verify.expected_labels import (
    changed_labels,
    changed_pose,
    check_camera,
    drawn_sample,
    render_labels,
    stylize_labels,
)
from p3d_gen.verify.forms import form_of, untyped
from p3d_gen.verify.members import JSON_MEMBERS, KNOWN_MEMBERS, Decoded, decode, decode_cuboid, read_json
from p3d_gen.verify.opened import Opened
from p3d_gen.verify.replay import composed, composed_around, differences

# Of a render's coverage and its masks, which need not be the same at soft edges and of thin parts.
_MIN_COVERAGE_IOU = 0.8
# How much pictures may differ that were made again by other versions of the libraries.
_ROUNDING_LEVELS = 2.0
_EDGES_SHARE = 0.01


@dataclass(frozen=True, kw_only=True)
class Part:
    """A sample in one stage: its members, those that are pictures or maps decoded, and its labels.

    whole: no member is missing or damaged. Only then are members compared with others.
    """

    members: Members
    decoded: Decoded
    labels: dict[str, Any]
    whole: bool


def read_part(opened: Opened, key: str, wanted: Sequence[str], hw: tuple[int, int], edges_hw: tuple[int, int]) -> Part:
    """Read a sample of a stage's shard; members that are missing or damaged are findings.

    wanted: the members that it should have, the main picture first and the JSON last.
    """
    assert opened.samples is not None
    members, findings, labels = opened.samples[key].read(), opened.findings, {}
    known = len(findings.found)
    decoded: Decoded = {}
    for member in wanted:
        if member not in members:
            findings.add("schema", f"{member} is missing", key)
    for member, content in members.items():
        if member not in KNOWN_MEMBERS:
            findings.add("schema", f"no sample has a member {member!r}", key)
            continue
        with findings.guard("content", f"{member} is damaged", key):
            if member in JSON_MEMBERS:
                labels = read_json(content)
            elif member == "cuboid.npz":
                decode_cuboid(content)
            else:
                decoded[member] = decode(member, content, edges_hw if member == "edges.png" else hw)
    whole = len(findings.found) == known
    if wanted[0] in decoded:
        pixels = np.ascontiguousarray(decoded[wanted[0]])
        opened.pictures[hashlib.sha256(pixels.tobytes()).hexdigest()].append(key)
    if labels:
        form = form_of(members, labels)
        opened.forms[form].append(key)
        for fault in untyped(form):
            findings.add("schema", f"{fault}, which readers cannot give a type", key)
    return Part(members=members, decoded=decoded, labels=labels, whole=whole)


def check_render(run: RunFolder, opened: Opened, key: str, index: int, part: Part) -> Agreement | None:
    """Check the labels of a rendered sample against the manifest and its own pictures.

    Return the agreement of its pose, None if that cannot be known.
    """
    findings, decoded, pose_agreement = opened.findings, part.decoded, None
    with findings.guard("labels", "the labels cannot be", key):
        drawn = drawn_sample(run, key.rpartition("-")[0], index, part.labels)
        model = run.load_model(drawn.category, drawn.cad_id)
        place = framed(drawn, stretched(model, drawn.stretch_xyz), run.objects_may_leave)
        sample = place.sample
        check_camera(sample, part.labels)
        changes = [*changed_pose(place.cam_T_obj, part.labels)]
        made, whole = render_labels(run, sample, part.labels, decoded)
        for fault in (*changes, *changed_labels(part.labels, made)):
            findings.add("labels", fault, key)
        if "amodal.png" in decoded and mask_iou(decoded["amodal.png"] > 0, whole.mask) < MIN_MASK_IOU:
            findings.add("geometry", "amodal.png is not the silhouette of its pose", key)
        with findings.guard("geometry", "the pose cannot be compared with the pictures", key):
            pose_agreement = measure_agreement(run, key, part.members)
        covered = decoded["mask.png"] | decoded.get("occluders.png", np.uint8(0))
        if mask_iou(decoded["render.png"][..., 3] >= 128, covered > 0) < _MIN_COVERAGE_IOU:
            findings.add("geometry", "render.png is not the picture of its mask", key)
    if pose_agreement is not None and pose_agreement.iou < MIN_MASK_IOU:
        findings.add("geometry", f"the pose of {key} does not explain its mask: IoU {pose_agreement.iou:.4f}", key)
    return pose_agreement


def check_stylized(
    run: RunFolder, stylization: Stylization, opened: Opened, key: str, render: Part, part: Part
) -> None:
    """Check a stylized sample against its render: the request, the label survival, and the control picture."""
    findings, settings = opened.findings, stylization.settings
    with findings.guard("labels", "the labels cannot be", key):
        made = stylize_labels(run, stylization, render.labels, part.labels, render.decoded | part.decoded)
        for told in changed_labels(part.labels, made):
            findings.add("labels", told, key)
    stylized = part.decoded["stylized.png"]
    if settings.stylizer == "none" and not np.array_equal(stylized, render.decoded["render.png"][..., :3]):
        findings.add("content", "stylized.png is not the render, which the stylizer 'none' passes through", key)
    if settings.control[0].image != "annotator":  # whose models are not loaded for this
        with findings.guard("content", "edges.png cannot be made again", key):
            control = settings.control[0]
            picture = control_picture(control, settings.canny, render.members, render.labels, settings.resolution)
            edges = np.atleast_3d(part.decoded["edges.png"])
            if (np.abs(edges.astype(int) - picture) > _ROUNDING_LEVELS).mean() > _EDGES_SHARE:
                findings.add("content", "edges.png is not the control picture of the render", key)


def check_packed(run: RunFolder, opened: Opened, key: str, number: int, upstream: Members, part: Part) -> None:
    """Check a packed sample against the composite `number` of its render and stylized picture, made again.

    Without its background only its labels and the members that are passed on are compared.
    """
    findings = opened.findings
    with findings.guard("content", "the sample cannot be composed again", key):
        stored = part.members
        if has_background(run, json.loads(upstream["json"]), number):
            made = composed(run, number, upstream, stored)
        else:
            made = composed_around(run, number, upstream, stored)
            stored = {name: content for name, content in stored.items() if name != run.manifest.output.image_format}
        recorded = opened.ledger.made_with if opened.ledger else {}
        rounding = -1.0 if recorded and not changed(recorded) else _ROUNDING_LEVELS
        for fault in differences(stored, made, rounding):
            findings.add("content", f"{fault}, when it is composed again", key)


def edges_hw(run: RunFolder, stylization: Stylization) -> tuple[int, int]:
    """Return the height and width of the control pictures."""
    return control_hw(run.manifest.camera.image_hw, stylization.settings.resolution)
