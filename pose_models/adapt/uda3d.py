"""3DUDA: a pose model follows unlabelled images of another domain, without its source and without a label.

"Source-Free and Image-Only Unsupervised Domain Adaptation for Category Level Object Pose Estimation": expectation
maximisation over the single vertices of a neural mesh. Poses are searched by render-and-compare; wrong as many of them
are, vertices that look like themselves there move their features (equations 3 and 4), and the backbone learns with
the moved features (equation 5).
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save
from torch import Tensor

from p3d_gen.core.errors import ConfigError, DataError
from p3d_gen.run.files import write_bytes
from pose_models.adapt.config import UdaConfig
from pose_models.adapt.source import ADAPT_FILE, SOURCE_FILE, check_apart, load_source, write_source
from pose_models.adapt.target import TARGET_FILE, Target, write_target
from pose_models.adapt.uda_poses import on_canvas, search, uncovered
from pose_models.adapt.uda_state import State, Tally
from pose_models.adapt.vertices import accepted
from pose_models.config import TrainConfig, save_config
from pose_models.data.augment import augmented, collate, place
from pose_models.data.sample import Batch, PoseSample
from pose_models.data.symmetric import check_mirror
from pose_models.ledger import CHECKPOINT_FILE, MODEL_FILE, check_files, record
from pose_models.look import by_category, look
from pose_models.nmm import WEIGHTS_FILE, NeuralMeshModel, save_model
from pose_models.training.checkpoint import load_checkpoint, save_checkpoint
from pose_models.training.history import HISTORY_FILE, history_lines
from pose_models.training.loop import CONFIG_FILE
from pose_models.training.source_similarity import source_thresholds
from pose_models.training.spec import freeze
from pose_models.training.step import contrast, drawn_cells, neighbours

VERTICES_FILE = "vertices.safetensors"
Figures = dict[str, float]
OnEpoch = Callable[[Figures, NeuralMeshModel], Mapping[str, float]]
_ORDER, _VIEW, _CLUTTER = 1, 2, 3
_BEGUN = ADAPT_FILE, SOURCE_FILE, TARGET_FILE
_FINISHED = HISTORY_FILE, VERTICES_FILE, CONFIG_FILE, WEIGHTS_FILE, MODEL_FILE


class Adaptation:
    """Model, optimiser and state of one adaptation, and its epochs."""

    def __init__(
        self,
        source_folder: Path,
        target: Target,
        config: UdaConfig,
        device: torch.device,
        on_images: Callable[[int], None] = lambda count: None,
    ) -> None:
        """Start from the model in `source_folder`; `on_images` gets the number of images of every batch of a pass.

        ValueError if that is not a neural mesh model, lacks a file, or does not know a category of the target.
        """
        loaded = load_source(source_folder, device)
        if not isinstance(loaded.model, NeuralMeshModel) or not isinstance(loaded.config, TrainConfig):
            raise DataError(f"{source_folder} holds a model without vertices: give one of `pose-models train`")
        self.model, source = loaded.model, loaded.config
        check_mirror(config.pose.mirror, self.model.spec.unmirrored)
        for category in dict.fromkeys(entry["category"] for entry in target.record):
            self.model.neural_mesh(category)
        self._target, self._config, self._device, self._on_images = target, config, device, on_images
        # Equation 5 is the loss of the source's training at temperature 1 / kappa.
        self._source = source.model_copy(update={"temperature": 1 / config.kappa})
        self._delta = _thresholds(self.model, source_folder, config)
        self._near = {name: near.to(device) for name, near in neighbours(self.model, source.neighbour_radius).items()}
        if source.weights:
            freeze(self.model.net, source)
        learnt = [p for p in self.model.net.parameters() if p.requires_grad]
        self.optimiser = torch.optim.Adam(learnt, lr=config.lr, weight_decay=config.weight_decay)
        self.state = State(self.model, len(target), config).to(device)

    def epoch(self, number: int) -> Figures:
        """Run an epoch.

        Epoch 0 searches poses with the source model and measures it. Every other epoch takes the images in rounds; each
        round is a bank pass, with a new search if it is due, and a backbone pass. BatchNorm keeps its statistics: the
        model stays in evaluation mode.
        """
        began, losses = time.perf_counter(), []
        tally = Tally(self.model, self._config)
        searching = number == 0 or (number - 1) % self._config.solve_every == 0
        for index, batches in enumerate(self._rounds(number)):
            # In the first round after epoch 0 the model is still the one that searched there.
            due = searching and (number, index) != (1, 0)
            self._bank_pass(batches, tally, search_poses=due, move=number > 0 and self._config.bank)
            if number > 0 and self._config.backbone:
                losses += self._backbone_pass(number, batches)
        for name, rates in tally.per_vertex().items():
            self.state.record(number, name, *rates)
        figures: Figures = {"epoch": number, **tally.figures()}
        if losses:
            figures["loss"] = float(np.mean(losses))
        return figures | {"seconds": time.perf_counter() - began}

    def _rounds(self, epoch: int) -> list[list[Tensor]]:
        """Split all images, in an order drawn for the epoch, into the batches of each round."""
        order = np.random.default_rng([self._config.seed, _ORDER, epoch]).permutation(len(self._target))
        rounds = torch.from_numpy(order).split(self._config.round_images)
        return [list(images.split(self._config.batch)) for images in rounds]

    def _features(self, batch: Batch) -> Tensor:
        with torch.autocast(self._device.type, torch.bfloat16, enabled=self._config.precision == "bf16"):
            features: Tensor = self.model.net(batch.image.contiguous(memory_format=torch.channels_last))
        return features.float()

    def _placed(self, index: int) -> PoseSample:
        """Place a target image on the canvas; its mask is where there is picture, not padding."""
        sample = self._target[index]
        picture = np.full(sample.image.shape[:2], 255, np.uint8)
        return place(replace(sample, mask=picture), self.model.spec.canvas_hw, self.model.spec.box_fill)

    @torch.no_grad()
    def _bank_pass(self, batches: Iterable[Tensor], tally: Tally, *, search_poses: bool, move: bool) -> None:
        """Apply equations 3 and 4 over all hypotheses."""
        for rows in batches:
            batch = collate([self._placed(int(i)) for i in rows]).to(self._device)
            features = self._features(batch)
            if search_poses:
                self.state.keep(rows.to(self._device), search(self.model, batch, features, self._config))
            for name, images in by_category(batch).items():
                self._look_at(name, features, batch, images, rows, tally, move)
            self._on_images(len(rows))

    def _look_at(
        self, name: str, features: Tensor, batch: Batch, images: Tensor, rows: Tensor, tally: Tally, move: bool
    ) -> None:
        """Take what a batch's `images` of a category show, count it, and move the bank where it is time."""
        neural, pending = self.model.neural_mesh(name), self.state.pending[name]
        known = rows.to(self._device)[images]
        own, which = self.state.losses[known].isfinite().nonzero(as_tuple=True)
        poses, K = self.state.poses[known[own], which], self.state.K[known[own], which]
        seen = look(neural, features, batch, images[own], poses, K)
        taken = accepted(seen, self._delta[name], self._config)
        passed = len(own[taken.any(1)].unique())
        tally.add(name, seen, taken, which == 0)
        tally.passed += passed
        if not move:
            return
        pending.add(seen, taken, passed)
        if pending.ready(self._config):
            pending.move(neural, self._config.momentum)
            tally.moves += 1

    def _views(self, epoch: int, rows: Tensor) -> Batch:
        """Return images with the best hypothesis as their pose; masks are 1 where there is picture and no
        hypothesis."""
        placed = [self._placed(int(i)) for i in rows]
        known = rows.to(self._device)
        poses, K = (x[known, 0].double().cpu().numpy() for x in (self.state.poses, self.state.K))
        free = self._free(known, [sample.category for sample in placed])
        masks = free.to(torch.uint8).cpu().numpy()
        samples = [
            replace(sample, cam_T_obj=pose, K=camera, mask=sample.mask * mask)
            for sample, pose, camera, mask in zip(placed, poses, K, masks, strict=True)
        ]
        if self._config.augment:
            samples = [self._augmented(s, epoch, int(i)) for s, i in zip(samples, rows, strict=True)]
        return collate(samples).to(self._device)

    def _free(self, known: Tensor, categories: list[str]) -> Tensor:
        """Return the canvas pixels (B, H, W) bool outside every hypothesis' silhouette."""
        free = torch.zeros(len(known), *self.model.map_hw, dtype=torch.bool, device=self._device)
        for name in dict.fromkeys(categories):
            own = torch.tensor([i for i, category in enumerate(categories) if category == name], device=self._device)
            hypotheses = self.state.poses[known[own]], self.state.K[known[own]], self.state.losses[known[own]]
            free[own] = uncovered(self.model.neural_mesh(name), *hypotheses, self.model.map_hw)
        return on_canvas(free)

    def _augmented(self, sample: PoseSample, epoch: int, index: int) -> PoseSample:
        # No turn of the picture keeps the two focal lengths of a camera from a box; the mask is not the object's.
        usual = self._source.augment.of_category(sample.category, self.model.spec.unmirrored)
        augmentation = usual.model_copy(update={"roll_std_deg": 0.0, "tight": 0.0, "background": 0.0})
        rng = np.random.default_rng([self._config.seed, _VIEW, epoch, index])
        return augmented(sample, self.model.spec.canvas_hw, self.model.spec.box_fill, augmentation, None, rng)

    def _backbone_pass(self, epoch: int, batches: Iterable[Tensor]) -> list[float]:
        """Minimize equation 5; returns the loss of each batch.

        ConfigError if the loss is not finite.
        """
        losses = []
        for rows in batches:
            batch = self._views(epoch, rows)
            loss = self._backbone_loss(batch, self._features(batch), [self._config.seed, _CLUTTER, epoch, int(rows[0])])
            if not torch.isfinite(loss):
                raise ConfigError(
                    f"the loss became {loss.item()} in epoch {epoch}: lower the learning rate (now {self._config.lr})"
                )
            self.optimiser.zero_grad(set_to_none=True)
            loss.backward()
            self.optimiser.step()
            losses.append(loss.item())
            self._on_images(len(rows))
        return losses

    def _backbone_loss(self, batch: Batch, features: Tensor, key: list[int]) -> Tensor:
        """Return the mean loss over the visible vertices of the images that are not dropped.

        Cells drawn by `key` go to the clutter bank.
        """
        sightings, fit = [], features.new_zeros(len(features))
        for name, images in by_category(batch).items():
            neural = self.model.neural_mesh(name)
            seen = look(neural, features, batch, images, batch.cam_T_obj[images], batch.K[images])
            sightings.append(seen)
            fit[images] = seen.fit().detach()
        kept = torch.ones(len(fit), dtype=torch.bool, device=fit.device)
        kept[fit.argsort(stable=True)[: int(self._config.dropped * len(fit))]] = False
        parts = [replace(seen, visible=seen.visible & kept[seen.rows, None]) for seen in sightings]
        counts = torch.stack([seen.visible.sum() for seen in parts]).float()
        terms = torch.stack([contrast(self.model, seen, self._near, self._source) for seen in parts])
        self._refresh_clutter(batch, features.detach(), key)
        return (terms * counts / counts.sum().clamp(min=1)).sum()

    def _refresh_clutter(self, batch: Batch, features: Tensor, key: list[int]) -> None:
        size = batch.mask.shape[1] // features.shape[2]
        free = -torch.nn.functional.max_pool2d(-batch.mask[:, None], size)[:, 0].flatten(1) > 0.99
        drawn = torch.Generator().manual_seed(int(np.random.default_rng(key).integers(2**62)))
        self.model.push_clutter(drawn_cells(features, free.float(), self._source.clutter_per_image, drawn))


def passes(config: UdaConfig) -> int:
    """Return the number of times that a run goes through all target images."""
    return 1 + config.epochs * (2 if config.backbone else 1)


def _thresholds(model: NeuralMeshModel, folder: Path, config: UdaConfig) -> dict[str, Tensor]:
    """Return delta (R,) of each category."""
    if config.delta == "source":
        thresholds = source_thresholds(folder, config.source_quantile)
        return {name: thresholds[name].to(model.clutter) for name in model.spec.categories}
    return {name: torch.full_like(mesh.vertex_features[:, 0], config.delta) for name, mesh in model.meshes.items()}


def run(
    source_folder: Path,
    target: Target,
    config: UdaConfig,
    out: Path,
    device: torch.device,
    on_epoch: OnEpoch = lambda figures, model: {},
    on_images: Callable[[int], None] = lambda count: None,
) -> NeuralMeshModel:
    """Adapt the neural mesh model in `source_folder`, which is only read, to `target`, and write it to `out` with its
    configuration, source, images, history and the record of its vertices.

    `on_epoch` gets each epoch's figures and the model, in evaluation mode, to look at; what it returns is written into
    the history. `on_images` is called for every batch, `passes` times through all images in a whole run. An
    interrupted run resumes from its last epoch, on the CPU bit for bit as if it had not been interrupted. ValueError if
    the source lacks something, lies in `out` or around it, or the loss is not finite.
    """
    check_apart(source_folder, out)
    adaptation = Adaptation(source_folder, target, config, device, on_images)
    out.mkdir(parents=True, exist_ok=True)
    check_files(out)
    save_config(config, out / ADAPT_FILE)
    write_source(out, source_folder)
    write_target(out, target)
    record(out, _BEGUN)
    kept = {"model": adaptation.model, "state": adaptation.state}
    done = load_checkpoint(out, kept, adaptation.optimiser)
    history = history_lines(out)[:done] if done else []
    for number in range(done, config.epochs + 1):
        figures = adaptation.epoch(number)
        figures |= on_epoch(figures, adaptation.model)
        history.append(json.dumps(figures) + "\n")
        write_bytes(out / HISTORY_FILE, "".join(history).encode())
        write_bytes(out / VERTICES_FILE, save(adaptation.state.recorded(number + 1)))
        save_checkpoint(out, number + 1, kept, adaptation.optimiser, growing=(HISTORY_FILE,))
    write_bytes(out / CONFIG_FILE, (source_folder / CONFIG_FILE).read_bytes())
    write_bytes(out / VERTICES_FILE, save(adaptation.state.recorded(config.epochs + 1)))
    save_model(adaptation.model, out)
    record(out, (*_BEGUN, *_FINISHED), gone=(CHECKPOINT_FILE,))
    (out / CHECKPOINT_FILE).unlink(missing_ok=True)
    return adaptation.model
