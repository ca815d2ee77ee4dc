"""Configurations of adaptations: validated, and saved with the run as TOML. Light to import."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from p3d_gen.spec.sections import Section

Positive = Annotated[float, Field(gt=0)]
Unit = Annotated[float, Field(ge=0, le=1)]
# The corners of an object's box are half a diagonal from its middle.
Distance = Annotated[float, Field(gt=0.5)]


class PoseConfig(Section):
    """The search for poses of target images.

    mirror, distance: as of `estimator.EstimateConfig`. focals, free_distance: of images of which only the box is known,
    as of `solve.SolveConfig`; a free distance has its prior around `distance`.
    """

    mirror: bool = False
    distance: Distance | None = None
    focals: Literal["one", "two"] = "two"
    free_distance: bool = False


class Cc3dConfig(Section):
    """CC3D (P3D-Diffusion, section 3.3): which pseudo-labels are trusted, and how they are learnt from.

    Selection: the `top` most confident images of each category (S_conf, equation 6), or, where `threshold` is given,
    all at least so confident. views: the `top` are taken in turn from so many equal ranges of azimuth, since the surest
    of all show few views; 1, as in the paper, for the surest of all. confidence: over all cells that the object covers,
    or "positive", as released, over those with a positive score.
    arm "paper": L_con + L_rec on source renders and pseudo-labelled images, and alpha L_domain (equation 5) on the
    latter; alpha None balances the two at the first step. arm "released": the plain loss on the pseudo-labelled images
    alone. rounds: how often labels are made again with the adapted model. real_share: of pseudo-labelled images in a
    batch of the paper's arm. The other fields as in `config.LoopConfig`.
    """

    arm: Literal["paper", "released"] = "paper"
    top: Annotated[int, Field(ge=1)] = 100
    views: Annotated[int, Field(ge=1)] = 1
    threshold: float | None = None
    confidence: Literal["mean", "positive"] = "mean"
    alpha: Annotated[float, Field(ge=0)] | None = None
    rounds: Annotated[int, Field(ge=1)] = 1
    real_share: Unit = 0.5
    steps: Annotated[int, Field(ge=1)] = 200
    batch: Annotated[int, Field(ge=2)] = 12
    lr: Positive = 1e-4
    head_lr: Positive = 1e-4
    seed: Annotated[int, Field(ge=0)] = 0
    pose: PoseConfig = PoseConfig()

    @model_validator(mode="after")
    def _check(self) -> Cc3dConfig:
        if self.views > 1 and self.threshold is not None:
            raise ValueError(
                "views are for the `top` labels, and a threshold takes all that reach it: give one of them"
            )
        return self


class FinetuneConfig(Section):
    """Training that is continued with few labels.

    labels: "N" images of each category, or "P%" of them. label_seed: seed of their choice, see `data.label_budget`.
    distance: in box diagonals, for images that tell only the rotation and the box; None for the model's mean training
    distance. The other fields as in `config.LoopConfig`.
    """

    labels: str
    label_seed: Annotated[int, Field(ge=0)] = 0
    distance: Distance | None = None
    steps: Annotated[int, Field(ge=1)] = 200
    batch: Annotated[int, Field(ge=2)] = 12
    lr: Positive = 1e-4
    head_lr: Positive = 1e-4
    seed: Annotated[int, Field(ge=0)] = 0


class UdaConfig(Section):
    """3DUDA: expectation maximisation over single vertices of the neural mesh, without source images and labels.

    kappa: concentration of all von Mises-Fisher distributions. delta: the least cosine at which a vertex's feature is
    taken for the vertex (equation 3), or "source", each vertex's own, kept with the source model as the
    `source_quantile` of its source features. momentum: alpha of equation 4.
    hypotheses: poses kept for each image, at least `spacing_deg` apart; solve_every: epochs between searches for poses.
    round_images: an epoch takes the images in rounds of so many, each searched, moving the vertices and training the
    backbone before the next is searched: with thousands at once the backbone memorizes wrong poses.
    Gates: an image counts where at least `minimum_similar` of its visible vertices are similar; vertices move once
    `bank_images` passed or `coverage` of the vertices seen have an update; images whose mean similarity is among the
    lowest `dropped` of a batch do not train the backbone. selective False takes all vertices of an image or none:
    global pseudo-labelling. bank, backbone: whether equation 4 and equation 5 run. augment: whether the backbone sees
    the images mirrored, shifted and recoloured as in the source's training. precision: bf16 computes the network's
    layers in bfloat16.
    """

    kappa: Positive = 1 / 0.07
    delta: Annotated[float, Field(ge=-1, le=1)] | Literal["source"] = 0.8
    source_quantile: Annotated[float, Field(gt=0, lt=1)] = 0.05
    momentum: Unit = 0.96
    hypotheses: Annotated[int, Field(ge=1, le=5)] = 3
    spacing_deg: Annotated[float, Field(gt=0, le=180)] = 30.0
    epochs: Annotated[int, Field(ge=1)] = 3
    solve_every: Annotated[int, Field(ge=1)] = 1
    round_images: Annotated[int, Field(ge=1)] = 600
    minimum_similar: Unit = 0.05
    bank_images: Annotated[int, Field(ge=1)] = 32
    coverage: Unit = 0.8
    dropped: Unit = 0.2
    selective: bool = True
    bank: bool = True
    backbone: bool = True
    augment: bool = False
    batch: Annotated[int, Field(ge=2)] = 12
    lr: Positive = 5e-5
    weight_decay: Annotated[float, Field(ge=0)] = 1e-4
    precision: Literal["no", "bf16"] = "no"
    seed: Annotated[int, Field(ge=0)] = 0
    pose: PoseConfig = PoseConfig()
