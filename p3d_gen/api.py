"""The public API: make a run and look at its samples. `p3d_gen` exports it; the commands that make runs call it."""

from __future__ import annotations

import logging
from base64 import b64encode
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from html import escape
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from p3d_gen.blender.client import MEMORY_MB
from p3d_gen.catalogue.single import render_one
from p3d_gen.core.errors import ConfigError, ManifestError, did_you_mean
from p3d_gen.dataset.licences import asset_uses
from p3d_gen.pack.stage import NEEDS as PACK_NEEDS
from p3d_gen.pack.stage import ResidualFilter
from p3d_gen.render.prepare import TIMEOUT_S, prepare_models
from p3d_gen.render.stage import Supervision
from p3d_gen.report import write_report
from p3d_gen.report.sheet import write_contact_sheet
from p3d_gen.report.single import Sample, count_samples, read_keys, read_sample, read_samples
from p3d_gen.run import pipeline
from p3d_gen.run.ledgers import Failure, read_ledger
from p3d_gen.run.live import LiveProgress
from p3d_gen.run.pipeline import Effort, Progress, RayCluster, StageResult, StageSetup
from p3d_gen.run.record import is_begun
from p3d_gen.run.remote import place
from p3d_gen.run.repairs import take_repairs
from p3d_gen.run.selection import chosen_shards
from p3d_gen.run.store import RunFolder, begin_run
from p3d_gen.run.store import open_run as open_folder
from p3d_gen.run.updates import update_run
from p3d_gen.spec.inventory import KINDS
from p3d_gen.spec.manifest import Manifest, load_manifest
from p3d_gen.spec.sections import validated
from p3d_gen.spec.spdx import spdx
from p3d_gen.spec.stylize import Stylize, load_settings
from p3d_gen.stages import (
    Engine,
    core_count,
    effort_of,
    models_left,
    pack_setup,
    render_setup,
    stylize_setup,
    supervision_of,
)
from p3d_gen.stylize.stylization import Stylization, check_settings, create_stylization, open_stylization

if TYPE_CHECKING:
    from p3d_gen.verify import Verification

__all__ = [
    "Manifest",
    "RayCluster",
    "Run",
    "Sample",
    "StageResult",
    "create_run",
    "load_manifest",
    "open_run",
    "render_one",
]

_logger = logging.getLogger(__name__)
_SHOWN_SAMPLES = 4
_TORCH_DEVICES = ("auto", "cpu", "cuda")


def _progress(progress: bool | Progress) -> Progress:
    if isinstance(progress, bool):
        return LiveProgress() if progress else pipeline.Silent()
    return progress


def _settings(settings: str | Path | Mapping[str, Any] | None) -> tuple[Stylize, Path] | None:
    """Return settings of a stylization, and the folder where their relative paths start."""
    if settings is None:
        return None
    if isinstance(settings, Mapping):
        return validated(Stylize, dict(settings), "settings", "stylization", ManifestError), Path.cwd()
    return load_settings(Path(settings)), Path(settings).parent.resolve()


def _check_licenses(run: RunFolder, stylization: Stylization, allowed: Sequence[str]) -> None:
    """Raise RunError if anything that samples may be made of is under another licence."""
    if not allowed:
        return
    from p3d_gen.verify.provenance import check_allowed

    try:
        ids = tuple(spdx(name) for name in allowed)
    except ValueError as error:
        raise ConfigError(f"allow_licenses: {error}") from None
    if ids:
        check_allowed(asset_uses(run, stylization), ids)


class Run:
    """A run: samples that a manifest describes, in a folder. `create_run` and `open_run` return one.

    Its methods make the samples. What was interrupted resumes when the call is repeated. Methods that make samples
    share these arguments:

    - workers: number of shards made at the same time, in processes of their own; None stands for one per processor or
      GPU. The samples do not depend on it.
    - shards: numbers of the shards to make, as in "0-99,120"; "" for all.
    - engine: "local" for processes of this machine, "ray" or a `RayCluster` for a Ray cluster.
    - allow_failures: number of samples that may fail without a RunError at the end.
    - retry_failed: make shards with failed samples again. A picture that was repaired since is taken, if recorded
      failures name it and no finished sample was made from its former content.
    - strict_versions: refuse to go on under other versions of Blender or a library. Without it a line says so.
    - progress: True shows progress on stderr.

    As a collection it holds the samples that are made, each as the last stage left it: packed, stylized or rendered.
    """

    def __init__(self, opened: RunFolder) -> None:
        """Wrap an open run folder; use `create_run` or `open_run` instead."""
        self._run = opened

    def _need(self, kinds: Collection[str], effort: Effort, progress: Progress) -> None:
        """Open the run again if sources of these kinds, which are to be read, are not there. An error says which."""
        if not self._run.inventory.lacking.keys() & set(kinds):
            return
        if repaired := take_repairs(self._run) if effort.retry_failed else ():
            progress.note(f"repaired since samples failed for them: {', '.join(repaired)}")
        self._run = open_folder(self._run.root, kinds)

    @property
    def folder(self) -> Path:
        """The run folder."""
        return self._run.root

    @property
    def manifest(self) -> Manifest:
        """The manifest that the run is made from."""
        return self._run.manifest

    @property
    def failures(self) -> tuple[Failure, ...]:
        """The samples that could not be made, stage by stage, with the reasons."""
        stylization = open_stylization(self._run)
        stages = ("render", stylization.stage, stylization.packed)
        ledgers = [read_ledger(self._run, stage, shard) for stage in stages for shard in self._run.all_shards()]
        return tuple(failure for ledger in ledgers if ledger for failure in ledger.failures)

    def render(
        self,
        *,
        device: str = "auto",
        sample_timeout_s: float = 600.0,
        recycle_after: int = 1000,
        memory_mb: int = MEMORY_MB,
        prepare_timeout_s: float = TIMEOUT_S,
        workers: int | None = None,
        shards: str = "",
        engine: Engine = "local",
        allow_failures: int = 0,
        retry_failed: bool = False,
        strict_versions: bool = False,
        progress: bool | Progress = False,
    ) -> StageResult:
        """Render the samples with Blender.

        device: "auto", "cpu", or the kind of GPU that Cycles renders on, such as "optix". sample_timeout_s: seconds
        after which a render is stopped and tried once more. recycle_after, memory_mb: renders and resident memory after
        which a Blender process is replaced by a fresh one. prepare_timeout_s: seconds that a CAD model may take.
        """
        effort = effort_of(workers, shards, engine, allow_failures, retry_failed, strict_versions)
        shown = _progress(progress)
        self._need(KINDS, effort, shown)
        supervision = supervision_of(device, sample_timeout_s, recycle_after, memory_mb, prepare_timeout_s)
        return self._make((render_setup(supervision, effort),), effort, shown, supervision=supervision)[0]

    def stylize(
        self,
        *,
        name: str = "",
        settings: str | Path | Mapping[str, Any] | None = None,
        min_survival: float | None = None,
        device: str = "auto",
        workers: int | None = None,
        shards: str = "",
        engine: Engine = "local",
        allow_failures: int = 0,
        retry_failed: bool = False,
        strict_versions: bool = False,
        progress: bool | Progress = False,
    ) -> StageResult:
        """Turn the renders into realistic pictures.

        name: of a stylization next to the manifest's own, in RUN/stylize-NAME; "" for the manifest's own.
        settings: of a stylization with a name: a TOML file with the keys of the manifest's section stylize, or these
        keys and values. min_survival: replaces the settings' least label survival. device: "auto", "cpu" or "cuda".
        """
        effort = effort_of(workers, shards, engine, allow_failures, retry_failed, strict_versions)
        shown = _progress(progress)
        if device not in _TORCH_DEVICES:
            raise ConfigError(f"device = {device!r} is not known{did_you_mean(device, _TORCH_DEVICES)}")
        stylization = create_stylization(self._run, name, _settings(settings), min_survival)
        return self._make((stylize_setup(self._run, stylization, device, effort),), effort, shown)[0]

    def pack(
        self,
        *,
        name: str = "",
        residuals: Sequence[str | Path] = (),
        max_residual_deg: float = 180.0,
        allow_licenses: Sequence[str] = (),
        workers: int | None = None,
        shards: str = "",
        engine: Engine = "local",
        allow_failures: int = 0,
        retry_failed: bool = False,
        strict_versions: bool = False,
        progress: bool | Progress = False,
    ) -> StageResult:
        """Composite the stylized pictures on backgrounds and write them as WebDataset shards.

        name: of the stylization, "" for the manifest's own. residuals: files of pose residuals that `pose-models folds`
        wrote; samples with a residual above max_residual_deg are left out. allow_licenses: SPDX ids; assets and
        checkpoints under other or unknown licences are refused. Without ids everything is allowed.
        """
        effort = effort_of(workers, shards, engine, allow_failures, retry_failed, strict_versions)
        shown = _progress(progress)
        self._need(PACK_NEEDS, effort, shown)
        stylization = open_stylization(self._run, name)
        _check_licenses(self._run, stylization, allow_licenses)
        files = tuple(Path(path).resolve() for path in residuals)
        residual_filter = ResidualFilter(files=files, max_deg=max_residual_deg) if files else None
        if residual_filter:
            residual_filter.check(self._run.members_of(shard)[0] for shard in chosen_shards(self._run, shards))
        return self._make((pack_setup(self._run, stylization, residual_filter),), effort, shown, name)[0]

    def generate(
        self,
        *,
        device: str = "auto",
        sample_timeout_s: float = 600.0,
        recycle_after: int = 1000,
        memory_mb: int = MEMORY_MB,
        prepare_timeout_s: float = TIMEOUT_S,
        allow_licenses: Sequence[str] = (),
        workers: int | None = None,
        shards: str = "",
        engine: Engine = "local",
        allow_failures: int = 0,
        retry_failed: bool = False,
        strict_versions: bool = False,
        check: bool = False,
        progress: bool | Progress = False,
    ) -> tuple[StageResult, ...]:
        """Render, stylize and pack. The arguments are those of `render` and `pack`.

        check: read all finished shards, and make again those whose checksums are not those of their ledgers; else type,
        size and time of the files tell. device: "cpu" is for the stylizer as well, which else takes GPUs if there are.
        """
        effort = effort_of(workers, shards, engine, allow_failures, retry_failed, strict_versions, check)
        shown = _progress(progress)
        self._need(KINDS, effort, shown)
        stylization = create_stylization(self._run)
        _check_licenses(self._run, stylization, allow_licenses)
        supervision = supervision_of(device, sample_timeout_s, recycle_after, memory_mb, prepare_timeout_s)
        setups = (
            render_setup(supervision, effort),
            stylize_setup(self._run, stylization, "cpu" if device == "cpu" else "auto", effort),
            pack_setup(self._run, stylization, None),
        )
        return self._make(setups, effort, shown, supervision=supervision)

    def _prepare(self, effort: Effort, progress: Progress, blender: Supervision) -> None:
        """Prepare the CAD models that are not prepared yet."""
        if not models_left(self._run):
            return
        count = sum(len(cads) for cads in self._run.inventory.cads.values())
        workers = effort.workers if effort.workers and effort.cluster is None else core_count()
        with progress.models(count) as on_share:
            notes = prepare_models(self._run, workers, on_share, blender.memory_mb, blender.prepare_timeout_s)
        for note in notes:
            progress.note(f"models: {note}")
        self._run = open_folder(self._run.root)  # without the models that are left out

    def _make(
        self,
        setups: Sequence[StageSetup],
        effort: Effort,
        progress: Progress,
        name: str = "",
        supervision: Supervision | None = None,
    ) -> tuple[StageResult, ...]:
        """Make the stages in order. If nothing is left to do, nothing is started and `progress` hears of nothing.

        name: of the stylization that is packed. supervision: of the Blender processes.
        """
        kinds = [setup.name for setup in setups]
        pipeline.begin(self._run, [setup.folder for setup in setups], effort)
        sheet = open_stylization(self._run, name).file(self._run, "contact_sheet", ".jpg") if "pack" in kinds else None
        is_sheet_due = sheet is not None and not effort.shards  # else others are making the shards that it shows
        is_left = ("render" in kinds and models_left(self._run)) or (is_sheet_due and sheet and not sheet.exists())
        results = () if is_left else pipeline.unchanged_results(self._run, setups, effort)
        if not results:
            pipeline.check_versions(self._run, setups, effort, progress)
            made = []
            for setup in setups:
                if setup.name == "render":
                    self._prepare(effort, progress, supervision or Supervision())
                result = pipeline.run_stage(self._run, setup, effort, progress)
                if setup.name == "pack":
                    files = {"shards": result.folder}
                    if is_sheet_due and result.samples:
                        files["contact sheet"] = write_contact_sheet(self._run, name=name)
                    result = replace(result, files=files)
                progress.done(result)
                made.append(result)
            results = tuple(made)
        pipeline.check_failures(results, effort)
        return results

    def verify(self, *, name: str = "", workers: int | None = None) -> Verification:
        """Check checksums, counts, labels, geometry and composites of the run, and return all findings.

        name: of the stylization, "" for the manifest's own. workers: number of processes; None for one per processor.
        """
        from p3d_gen.verify import verify_run

        return verify_run(self._run, name, workers or core_count())

    def write_report(self, *, name: str = "", out: str | Path | None = None) -> Path:
        """Write RUN/report.html, a page about the samples made so far, and return its path.

        name: of the stylization, "" for the manifest's own. out: another file to write it to.
        """
        return write_report(self._run, name, out=None if out is None else Path(out))

    def keys(self, name: str = "") -> list[str]:
        """Return the keys of the samples made so far, in order. name: of the stylization."""
        return list(read_keys(self._run, open_stylization(self._run, name)))

    def samples(self, name: str = "") -> Iterator[Sample]:
        """Yield the samples made so far, in order. name: of the stylization, "" for the manifest's own."""
        return read_samples(self._run, open_stylization(self._run, name))

    def sample(self, key: str, name: str = "") -> Sample:
        """Return the sample with this key, such as "car-000003". name: of the stylization.

        RunError if the run has no such key, or the sample is not made yet or could not be made.
        """
        return read_sample(self._run, open_stylization(self._run, name), key)

    def __getitem__(self, key: str) -> Sample:
        """Return the sample with this key; see `sample`."""
        return self.sample(key)

    def __iter__(self) -> Iterator[Sample]:
        """Yield the samples made so far, in order."""
        return self.samples()

    def __len__(self) -> int:
        """Return the number of samples made so far."""
        return count_samples(self._run, open_stylization(self._run))

    def __repr__(self) -> str:
        """Return the folder and the number of samples."""
        planned = len(self.manifest.categories) * self.manifest.samples_per_category
        return f"<Run {self.folder}: {len(self)} samples of {planned} renders, {', '.join(self.manifest.categories)}>"

    def _repr_html_(self) -> str:
        """Return the same line with the first samples, drawn: a notebook shows it."""
        pictures = [b64encode(sample._repr_png_()).decode() for sample in islice(self, _SHOWN_SAMPLES)]
        images = "".join(f'<img src="data:image/png;base64,{picture}">' for picture in pictures)
        return f"<p>{escape(repr(self))}</p>{images}"


def create_run(folder: str | Path, manifest: Manifest | str | Path, update: bool = False) -> Run:
    """Open the run folder of a manifest, and make it if it does not exist.

    folder: a path, or a URL such as s3://bucket/run. manifest: a `Manifest` or its file. Relative paths in a manifest
    made in code start at the current folder. RunError if the folder belongs to another manifest or holds other files.

    update: let the run go on with another manifest or changed sources, such as one more background. Its renders stay,
    and later stages are made again. RunError if a render depends on the change.
    """
    loaded = manifest if isinstance(manifest, Manifest) else load_manifest(manifest)
    check_settings(loaded, loaded.stylize, loaded.base_dir)
    root, origin = place(folder), "this one" if isinstance(manifest, Manifest) else str(manifest)
    if update and is_begun(root) and (change := update_run(root, loaded, loaded.base_dir)):
        _logger.warning("%s goes on with what has changed (%s): its renders stay", root, change)
    return Run(begin_run(root, loaded, loaded.base_dir, origin, needs=()))


def open_run(folder: str | Path, base_dir: str | Path | None = None) -> Run:
    """Open an existing run folder, at a path or a URL. RunError if it is not one.

    Looking at its samples needs nothing but the folder; making more of them needs the models and pictures that it was
    made from, unchanged. base_dir: the folder at which the manifest's relative paths start, if it was moved.
    """
    return Run(open_folder(folder, needs=(), base_dir=base_dir))
