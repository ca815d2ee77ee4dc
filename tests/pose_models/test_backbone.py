"""Feature maps of the published sizes, and one path for training and test."""

import pytest
import timm
import torch

from p3d_gen.core.errors import ConfigError
from pose_models.backbone import BackboneSpec, FeatureNet, input_statistics, stem
from pose_models.nmm import sample_features


@pytest.fixture(scope="module")
def net():
    torch.manual_seed(0)
    return FeatureNet(BackboneSpec()).eval()


@pytest.mark.parametrize(("hw", "map_hw"), [((256, 672), (32, 84)), ((352, 520), (44, 65))])
@torch.no_grad()
def test_shapes_and_unit_norm(net, hw, map_hw):
    features = net(torch.rand(1, 3, *hw, generator=torch.Generator().manual_seed(1)))
    assert features.shape == (1, 128, *map_hw)
    torch.testing.assert_close(features.norm(dim=1), torch.ones(1, *map_hw), atol=1e-5, rtol=0)


@torch.no_grad()
def test_training_samples_what_the_solver_reads(net):
    features = net(torch.rand(2, 3, 64, 96, generator=torch.Generator().manual_seed(2)))
    x, y = torch.meshgrid(torch.arange(12) * 8.0 + 4, torch.arange(8) * 8.0 + 4, indexing="xy")
    centres = torch.stack([x, y], -1).reshape(1, -1, 2).expand(2, -1, -1)
    torch.testing.assert_close(sample_features(features, centres), features.flatten(2).mT, atol=1e-5, rtol=0)


@pytest.mark.parametrize(
    ("name", "merge", "max_stride"),
    [
        ("resnet50", "resnetext", 32),
        ("convnext_atto", "sum", 32),
        ("vit_tiny_patch16_224", "sum", 16),
        ("vit_small_patch14_dinov2", "sum", 16),
        *(("tf_efficientnet_lite0", "sum", stride) for stride in (8, 16, 32)),
        ("tf_efficientnet_lite0", "resnetext", 16),
    ],
)
@torch.no_grad()
def test_any_network_gives_unit_features_at_stride_8(name, merge, max_stride):
    """The papers' ResNet-50 with layers 2 to 4 merged, other convolutional networks, and ViTs of any patch size."""
    net = FeatureNet(BackboneSpec(name=name, merge=merge, max_stride=max_stride, channels=32)).eval()
    features = net(torch.rand(1, 3, 64, 96, generator=torch.Generator().manual_seed(1)))
    assert features.shape == (1, 32, 8, 12)
    torch.testing.assert_close(features.norm(dim=1), torch.ones(1, 8, 12), atol=1e-5, rtol=0)


def test_the_head_of_the_papers():
    """ResNet-50: 2048 -> 1024, with layer3 2048 -> 512, with layer2 1024 -> 256, then 128 without a bias."""
    net = FeatureNet(BackboneSpec(name="resnet50", merge="resnetext", max_stride=32))
    widths = [(p.shape[1], p.shape[0]) for p in net.head.parameters() if p.ndim == 4]
    assert widths == [(2048, 1024), (1024, 1024), (2048, 1024), (1024, 512), (1024, 512), (512, 256), (256, 128)]
    assert net.head.project.bias is None


@torch.no_grad()
def test_a_vit_sees_the_place_of_what_changed():
    torch.manual_seed(0)
    net = FeatureNet(BackboneSpec(name="vit_small_patch14_dinov2", channels=16)).eval()
    images = torch.rand(1, 3, 64, 96, generator=torch.Generator().manual_seed(1))
    changed = images.clone()
    changed[:, :, 48:, 80:] = 0
    # The first block's tokens before attention would be local; after it the change is still largest where it was made.
    moved = (net(images) - net(changed)).norm(dim=1)[0]
    assert moved[6:, 10:].mean() > 2 * moved[:4, :6].mean()


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        (BackboneSpec(name="levit_128"), "has no feature map of stride 8"),
        (BackboneSpec(name="vit_tiny_patch16_224", merge="resnetext"), "use the merge 'sum'"),
        (BackboneSpec(name="resnet19"), r"timm has no network 'resnet19'; did you mean 'resnet"),
    ],
)
def test_a_backbone_that_does_not_fit_is_refused(spec, message):
    with pytest.raises(ConfigError, match=message):
        FeatureNet(spec)


@pytest.mark.parametrize(
    ("name", "max_stride", "stages"),
    [("tf_efficientnet_lite0", 8, 3), ("tf_efficientnet_lite0", 16, 5), ("mobilenetv3_small_100", 16, 4)],
)
def test_nothing_is_computed_beyond_the_last_map(name, max_stride, stages):
    """A weight without a gradient would stop a training on several processes."""
    net = FeatureNet(BackboneSpec(name=name, max_stride=max_stride, channels=8))
    net(torch.rand(2, 3, 64, 64)).sum().backward()
    assert len(net.body.blocks) == stages
    assert all(p.grad is not None for p in net.parameters())


def test_models_of_earlier_versions_have_more_stages():
    net = FeatureNet(BackboneSpec())
    whole = timm.create_model("tf_efficientnet_lite0", features_only=True).state_dict()
    earlier = net.state_dict() | {f"body.{name}": tensor for name, tensor in whole.items()}
    assert len(earlier) > len(net.state_dict())
    net.load_state_dict(earlier)
    assert torch.equal(net.body.conv_stem.weight, whole["conv_stem.weight"])
    with pytest.raises(RuntimeError, match=r"Missing key.*blocks\.4\.0"):
        net.load_state_dict({name: tensor for name, tensor in earlier.items() if "blocks.4.0" not in name})


def test_the_stem_ends_at_stride_4():
    parts = stem(FeatureNet(BackboneSpec()))
    x = torch.rand(1, 3, 64, 64)
    for part in parts:
        x = part(x)
    assert x.shape == (1, 24, 16, 16)


@torch.no_grad()
def test_weights_see_the_range_that_they_were_trained_on():
    imagenet = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
    assert input_statistics("resnet18", "hub") == input_statistics("tf_efficientnet_lite0", "") == imagenet
    mean, std = input_statistics("tf_efficientnet_lite0", "imagenet")
    assert mean == std == (0.5, 0.5, 0.5)
    net = FeatureNet(BackboneSpec(mean=mean, std=std)).eval()
    seen = []
    net.body.register_forward_pre_hook(lambda body, images: seen.append(images[0]))
    images = torch.rand(1, 3, 32, 32)
    net(images)
    torch.testing.assert_close(seen[0], 2 * images - 1)
