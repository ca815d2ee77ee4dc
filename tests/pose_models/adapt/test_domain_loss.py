"""Equation 5 of CC3D: the domain loss, its weight, and its balance with the plain loss."""

from dataclasses import replace

import pytest
import torch

from pose_models.adapt.cc3d import Cc3dTrainee, balanced_alpha, domain_loss
from pose_models.adapt.pseudo_labels import PREFIX
from pose_models.data.shards import ShardSamples
from pose_models.data.views import Views, loader
from pose_models.look import Seen
from pose_models.nmm import load_model
from pose_models.training.loop import Processes
from pose_models.training.step import MeshTrainee
from tests.helpers.cc3d import CONFIG, CPU, adapted, renders_of, weights


def test_the_domain_loss_is_two_minus_two_cosines_of_what_target_images_show(world):
    neural = load_model(world / "source", CPU).neural_mesh("box")
    generator = torch.Generator().manual_seed(0)
    count = len(neural.vertex_features)
    features = torch.nn.functional.normalize(torch.randn(3, count, 64, generator=generator), dim=-1)
    visible = torch.rand(3, count, generator=generator) < 0.5
    pixels = torch.zeros(3, count, 2)
    seen = Seen(rows=torch.tensor([0, 2, 3]), mesh=neural, pixels=pixels, features=features, visible=visible)
    target = torch.tensor([True, True, False, True])
    cosines = torch.cat([(features[i] @ neural.vertex_features.T).diagonal()[visible[i]] for i in (0, 2)])
    assert domain_loss([seen], target, Processes()).item() == pytest.approx((2 - 2 * cosines).mean().item(), rel=1e-5)
    assert domain_loss([seen], torch.zeros(4, dtype=torch.bool), Processes()) == 0


def mixed_batch(run):
    """The first batch of the paper's arm: half renders, half images whose key says that they are targets."""
    config = CONFIG.model_copy(update={"real_share": 0.5, "batch": 4})
    real = [replace(sample, key=PREFIX + sample.key) for sample in ShardSamples([run / "test" / "box-00000.tar"])]
    views = Views(renders_of(run), real, load_model(run / "source", CPU).spec.canvas_hw, config, None)
    return config, next(iter(loader(views, config, first=0, workers=0, rank=0, processes=1)))


def loss_and_gradients(trainee, batch):
    trainee.training()
    loss, terms = trainee.loss(trainee.net(batch.image), batch, 1, Processes())
    loss.backward()
    return loss, terms, [p.grad for p in trainee.net.parameters()]


def test_alpha_zero_is_the_plain_loss_bitwise(world):
    config, batch = mixed_batch(world)
    plain = MeshTrainee(load_model(world / "source", CPU), config)
    paper = Cc3dTrainee(load_model(world / "source", CPU), config, 0.0)
    (loss, _, gradients), (other, terms, others) = (loss_and_gradients(each, batch) for each in (plain, paper))
    assert torch.equal(loss, other)
    assert terms["domain"] > 0
    assert all(torch.equal(a, b) for a, b in zip(gradients, others, strict=True))
    for name, value in plain.module.state_dict().items():
        assert torch.equal(value, paper.module.state_dict()[name]), name


def test_alpha_zero_without_replay_is_the_released_arm_bitwise(world, tmp_path):
    released = adapted(world, tmp_path / "released", arm="released")
    paper = adapted(world, tmp_path / "paper", arm="paper", alpha=0.0, real_share=1.0)
    assert weights(released) == weights(paper)


def test_alpha_weighs_the_domain_loss_and_balances_it_at_first(world):
    config, batch = mixed_batch(world)
    model = load_model(world / "source", CPU)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    alpha = balanced_alpha(model, config, batch)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    loss, terms, _ = loss_and_gradients(Cc3dTrainee(model, config, alpha), batch)
    assert alpha * terms["domain"].item() == pytest.approx(terms["contrastive"].item(), rel=1e-5)
    plain = terms["contrastive"] + config.clutter_term * terms["clutter"]
    assert loss.item() == pytest.approx((plain + alpha * terms["domain"]).item(), rel=1e-5)
    alone = replace(batch, key=["source"] * len(batch.key))
    with pytest.raises(ValueError, match="shows no target image to balance alpha on"):
        balanced_alpha(model, config, alone)
