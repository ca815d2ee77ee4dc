"""Which pipelines and schedulers settings make, what is said where they do not fit, and the provenance."""

import numpy as np
import pytest
from diffusers import EulerDiscreteScheduler, FlowMatchEulerDiscreteScheduler, PNDMScheduler

from p3d_gen.core.errors import DependencyError, ManifestError
from p3d_gen.spec.stylize import Control, Lora, Speed, Stylize
from p3d_gen.stylize.diffusion import device_of
from p3d_gen.stylize.pipeline import pipeline_class, scheduler_of
from tests.helpers import tiny_diffusion
from tests.helpers.stylizers import HW, ask, pictures, stylizer


@pytest.fixture(scope="module")
def plain(sd):
    return stylizer(sd)


@pytest.mark.parametrize("name", ["ddim", "unipc", "lcm", "tcd"])
def test_schedulers_keep_the_noise_schedule_of_the_base(name):
    changes = {"prediction_type": "v_prediction", "rescale_betas_zero_snr": True, "timestep_spacing": "trailing"}
    own = EulerDiscreteScheduler(beta_schedule="scaled_linear", beta_start=0.00085, beta_end=0.012, **changes)
    made = scheduler_of(Stylize(scheduler=name), own)
    assert made.__class__.__name__.lower().startswith(name)
    assert {key: made.config[key] for key in changes} == changes
    assert made.config.beta_end == 0.012


def test_latents_are_not_clipped_unless_the_base_says_so():
    assert not scheduler_of(Stylize(), PNDMScheduler()).config.clip_sample
    own = scheduler_of(Stylize(), PNDMScheduler())
    own.register_to_config(clip_sample=True)
    assert scheduler_of(Stylize(), own).config.clip_sample


def test_schedulers_of_flow_matching():
    own = FlowMatchEulerDiscreteScheduler(shift=3.0)
    assert isinstance(scheduler_of(Stylize(), own), FlowMatchEulerDiscreteScheduler)
    unipc = scheduler_of(Stylize(scheduler="unipc"), own).config
    assert (unipc.prediction_type, unipc.use_flow_sigmas, unipc.flow_shift) == ("flow_prediction", True, 3.0)
    for changes in ({"scheduler": "tcd"}, {"eta": 0.5}):
        with pytest.raises(ManifestError, match="flow matching"):
            scheduler_of(Stylize(**changes), own)


def test_settings_that_do_not_go_together(sd, sd3, weights_root):
    for changes, message in (
        ({"scheduler": "lcm", "steps": 100}, r"stylize\.steps = 100 with 'lcm'"),
        ({"scheduler": "unipc", "eta": 0.5}, r"stylize\.eta = 0\.5"),
        ({"speed": Speed(dtype="float16")}, r"'float16': on the CPU.*'bfloat16'"),
        ({"speed": Speed(attention="flash")}, r"attention = 'flash'.*_native_flash"),
        ({"control": [Control(weights=str(sd[1])), Control(weights="")]}, "takes one, without weights"),
    ):
        with pytest.raises(ManifestError, match=message):
            stylizer(sd, **changes)
    with pytest.raises(DependencyError, match=r"StableDiffusion3Pipeline.*SD3ControlNetModel.*form = 'image'"):
        stylizer(sd3, form="image")
    with pytest.raises(DependencyError, match=r"attention = '_native_efficient' does not run these weights on the cpu"):
        stylizer(sd, speed=Speed(attention="_native_efficient"))([ask(1)], HW)


@pytest.mark.parametrize(
    ("named", "form", "net", "kind"),
    [
        ("StableDiffusionPipeline", "text", "ControlNetModel", "StableDiffusionControlNetPipeline"),
        ("StableDiffusionControlNetPipeline", "image", "ControlNetModel", "StableDiffusionControlNetImg2ImgPipeline"),
        ("StableDiffusionXLImg2ImgPipeline", "text", "ControlNetModel", "StableDiffusionXLControlNetPipeline"),
        ("StableDiffusionControlNetPAGPipeline", "text", "ControlNetModel", "StableDiffusionControlNetPAGPipeline"),
        ("QwenImagePipeline", "text", "QwenImageControlNetModel", "QwenImageControlNetPipeline"),
        ("ZImagePipeline", "text", "ZImageControlNetModel", "ZImageControlNetPipeline"),
        ("FluxPipeline", "image", "FluxControlNetModel", "FluxControlNetImg2ImgPipeline"),
        ("FluxControlPipeline", "text", "", "FluxControlPipeline"),
    ],
)
def test_classes_of_pipelines(named, form, net, kind):
    assert pipeline_class(named, form, net).__name__ == kind


@pytest.mark.parametrize(
    ("named", "net"),
    [
        ("FluxPipeline", ""),
        ("KandinskyPipeline", "ControlNetModel"),
        ("DDPMPipeline", "ControlNetModel"),
        ("HomemadePipeline", "ControlNetModel"),
    ],
)
def test_bases_that_take_no_edges(named, net):
    with pytest.raises(DependencyError, match=rf"is a {named}, for which diffusers has no pipeline"):
        pipeline_class(named, "text", net)


# Provenance, and weights that are not there


def test_provenance_has_the_same_keys_and_types_whatever_the_settings(sd, sdxl, sd3, weights_root, plain):
    lora = tiny_diffusion.save_lora(sd[0], weights_root / "of_provenance")
    many = {"control": [Control(weights=str(sd[1]))] * 2, "lora": [Lora(weights=str(lora))], "form": "image"}
    models = [plain, stylizer(sd, **many), stylizer(sdxl, guidance_scale=1), stylizer(sd3, scheduler="lcm")]
    shapes = [{name: type(value) for name, value in model.provenance.items()} for model in models]
    assert shapes[1:] == shapes[:1] * 3
    assert set(shapes[0].values()) <= {str, int, float}
    assert plain.provenance["base_licence"] == "cc0-1.0"
    assert models[1].provenance["control_licences"] == "openrail openrail"
    assert len(models[1].provenance["control_revisions"].split()) == 2
    assert plain.provenance["scheduler"] == "DDIMScheduler"
    assert models[3].provenance["scheduler"] == "FlowMatchLCMScheduler"
    assert (plain.provenance["dtype"], plain.provenance["device"]) == ("float32", "cpu")


@pytest.mark.parametrize("key", ["base", r"control.0.weights"])
def test_missing_weights_on_the_hub(sd, monkeypatch, key):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    name = "nobody/has-this"
    changes = {"base": name} if key == "base" else {"control": [Control(weights=name)]}
    with pytest.raises(DependencyError, match=rf"stylize\.{key} = 'nobody/has-this'.*hf download nobody/has-this"):
        stylizer(sd, **changes)


def test_a_pipeline_in_the_cache_of_the_hub(sd, tmp_path, monkeypatch, plain):
    commit = "0123456789abcdef0123456789abcdef01234567"
    for name, folder in (("base", sd[0]), ("controlnet", sd[1])):
        repository = tmp_path / f"models--nobody--{name}"
        (repository / "refs").mkdir(parents=True)
        (repository / "refs" / "v2").write_text(commit)
        (repository / "snapshots").mkdir()
        (repository / "snapshots" / commit).symlink_to(folder)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    model = stylizer(sd, base="nobody/base@v2", control=[Control(weights="nobody/controlnet@v2")])
    np.testing.assert_array_equal(pictures(model, ask(1)), pictures(plain, ask(1)))
    found = model.provenance
    assert (found["base_revision"], found["control_revisions"], found["base_licence"]) == (commit, commit, "cc0-1.0")


def test_devices():
    assert device_of("cpu").type == "cpu"
    with pytest.raises(DependencyError, match=r"'gpu'.*use auto, cpu"):
        device_of("gpu")
    with pytest.raises(DependencyError, match=r"'cuda:99': torch sees \d+ GPUs"):
        device_of("cuda:99")
