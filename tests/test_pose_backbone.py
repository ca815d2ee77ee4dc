"""Feature maps of the published sizes, one path for training and test, and the weights file."""

import pytest
import torch
from safetensors.torch import save_file

from pose_models.backbone import FeatureNet, load_weights
from pose_models.nmm import sample_features


@pytest.fixture(scope="module")
def net():
    torch.manual_seed(0)
    return FeatureNet("resnet18").eval()


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
    other = FeatureNet("resnet18")
    load_weights(other, path)
    for name, tensor in other.body.state_dict().items():
        assert torch.equal(tensor, net.body.state_dict()[name]), name


def test_wrong_weights_are_named(net, tmp_path):
    path = tmp_path / "x.safetensors"
    path.write_bytes(b"nonsense")
    with pytest.raises(ValueError, match=r"cannot read weights .*x.safetensors"):
        load_weights(net, path)
    save_file({"conv1.weight": torch.zeros(2)}, path)
    with pytest.raises(ValueError, match=r"x.safetensors do not fit .* missing .* --backbone"):
        load_weights(net, path)


def test_a_backbone_without_stride_8_is_refused():
    with pytest.raises(ValueError, match="stride 8"):
        FeatureNet("vit_tiny_patch16_224")
