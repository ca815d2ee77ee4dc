"""Feature maps of the published sizes, one path for training and test, and the weights file."""

import pytest
import torch
from safetensors.torch import save_file

from p3d_gen.core.errors import ConfigError
from pose_models.backbone import BackboneSpec, FeatureNet, load_weights
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


def test_weights_come_back(net, tmp_path):
    path = tmp_path / "body.safetensors"
    save_file(net.body.state_dict(), path)
    other = FeatureNet(BackboneSpec())
    load_weights(other, "resnet18", str(path))
    for name, tensor in other.body.state_dict().items():
        assert torch.equal(tensor, net.body.state_dict()[name]), name


def test_wrong_weights_are_named(net, tmp_path):
    path = tmp_path / "x.safetensors"
    path.write_bytes(b"nonsense")
    with pytest.raises(ValueError, match=r"cannot read weights .*x.safetensors"):
        load_weights(net, "resnet18", str(path))
    save_file({"conv1.weight": torch.zeros(2)}, path)
    with pytest.raises(ValueError, match=r"x.safetensors do not fit .* missing .* --backbone"):
        load_weights(net, "resnet18", str(path))


@pytest.mark.parametrize(
    ("name", "merge", "max_stride"),
    [
        ("resnet50", "resnetext", 32),
        ("convnext_atto", "sum", 32),
        ("vit_tiny_patch16_224", "sum", 16),
        ("vit_small_patch14_dinov2", "sum", 16),
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


def test_the_hub_out_of_reach_is_said(net, monkeypatch, tmp_path):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(ValueError, match=r"cannot load timm's weights of 'resnet18' from the hub: .* give a file"):
        load_weights(net, "resnet18", "hub")
