"""The diffusion stylizer with real pipelines of random weights."""

import numpy as np
import pytest
import torch
from diffusers import StableDiffusionControlNetPipeline, StableDiffusionXLControlNetImg2ImgPipeline
from PIL import Image

from p3d_gen.core.errors import DependencyError, ManifestError, RunError
from p3d_gen.spec.stylize import Control, Lora, Speed
from p3d_gen.stylize.diffusion import DiffusionStylizer, PictureRequest
from p3d_gen.stylize.pipeline import scheduler_of
from tests.helpers import tiny_diffusion
from tests.helpers.stylizers import HW, PROMPTS, WORKING_HW, ask, pictures, settings, stylizer


@pytest.fixture(scope="module")
def plain(sd):
    return stylizer(sd)


def latents(model, *requests):
    """The latents (N, 4, h, w) that the autoencoder decodes."""
    seen, decode = [], model._pipeline.vae.decode
    model._pipeline.vae.decode = lambda z, *args, **kwargs: seen.append(z.clone()) or decode(z, *args, **kwargs)
    try:
        pictures(model, *requests)
    finally:
        del model._pipeline.vae.decode
    return torch.cat(seen)


# Laws


@pytest.mark.parametrize(
    ("family", "changes"),
    [
        ("sd", {"scheduler": "ddim", "eta": 1.0}),
        ("sd", {"scheduler": "unipc", "form": "image"}),
        ("sd", {"scheduler": "lcm", "steps": 4, "guidance_scale": 1.0}),
        ("sdxl", {"scheduler": "tcd", "eta": 0.3, "form": "image", "guidance_scale": 0.0}),
        ("sd3", {"scheduler": "ddim"}),
    ],
)
def test_a_sample_has_the_same_latents_in_any_batch(request, family, changes):
    model = stylizer(request.getfixturevalue(family), **changes)
    asked = [ask(seed) for seed in range(3)]
    together = latents(model, *asked)
    for i in range(3):
        assert (latents(model, asked[i])[0] - together[i]).abs().max() <= 1e-4 * max(1.0, together.abs().max())
    assert np.abs(pictures(model, *asked)[1] - pictures(model, asked[1])[0]).max() <= 1
    np.testing.assert_array_equal(pictures(model, *asked), pictures(model, *asked))


def test_edges_prompt_and_seed_each_matter(plain):
    one = pictures(plain, ask(7, pictures=1, prompt="red car"))
    for other in (
        ask(7, pictures=2, prompt="red car"),
        ask(7, pictures=1, prompt="blue chair"),
        ask(8, pictures=1, prompt="red car"),
    ):
        assert (pictures(plain, other) != one).any()


def bytes_of(picture):
    return np.rint(picture * 255).astype(int)


def test_it_is_diffusers_own_pipeline_with_the_released_recipe(sd, plain):
    asked = [ask(seed) for seed in range(2)]
    bare = StableDiffusionControlNetPipeline.from_pretrained(
        sd[0], controlnet=tiny_diffusion.ControlNetModel.from_pretrained(sd[1]), safety_checker=None
    )
    bare.scheduler = scheduler_of(settings(sd), bare.scheduler)
    made = bare(
        prompt=[one.prompt for one in asked],
        negative_prompt=[one.negative_prompt for one in asked],
        image=[Image.fromarray(one.controls[0]) for one in asked],
        num_inference_steps=2,
        guidance_scale=9.0,
        generator=[torch.Generator().manual_seed(one.seed) for one in asked],
        output_type="np",
    ).images
    whole = plain(asked, WORKING_HW)
    assert np.abs(bytes_of(made) - np.stack([one.picture for one in whole])).max() <= 1


def test_sdxl_gets_both_its_text_encoders(sdxl):
    one = ask(1)
    nets = [tiny_diffusion.ControlNetModel.from_pretrained(sdxl[1])] * 2
    bare = StableDiffusionXLControlNetImg2ImgPipeline.from_pretrained(sdxl[0], controlnet=nets)
    bare.scheduler = scheduler_of(settings(sdxl), bare.scheduler)
    two = ask(1, controls=2)
    made = bare(
        prompt=one.prompt,
        negative_prompt=one.negative_prompt,
        image=Image.fromarray(two.init),
        control_image=[Image.fromarray(picture) for picture in two.controls],
        controlnet_conditioning_scale=[1.0, 0.5],
        control_guidance_end=[0.5, 1.0],
        strength=0.5,
        num_inference_steps=4,
        guidance_scale=9.0,
        generator=torch.Generator().manual_seed(1),
        output_type="np",
    ).images
    control = [
        Control(weights=str(sdxl[1]), interval=(0.0, 0.5)),
        Control(weights=str(sdxl[1]), image="depth", scale=0.5),
    ]
    model = stylizer(sdxl, control=control, form="image", strength=0.5, steps=4)
    assert np.abs(bytes_of(made[0]) - model([two], WORKING_HW)[0].picture).max() <= 1


def test_memory_that_runs_out_halves_the_batch(sd, plain):
    asked = [ask(seed) for seed in range(5)]
    free = pictures(plain, *asked)
    tight = stylizer(sd, batch=5)

    def limit(module, inputs):
        if len(inputs[0]) > 4:  # two pictures: classifier-free guidance runs each of them twice
            torch.empty(2**60, dtype=torch.uint8)

    hook = tight._pipeline.unet.register_forward_pre_hook(limit)
    assert np.abs(pictures(tight, *asked) - free).max() <= 1
    assert tight.halvings == 1  # 5 -> 2, and it stays so
    pictures(tight, *asked)
    assert tight.halvings == 1
    hook.remove()

    def full(module, inputs):
        raise torch.OutOfMemoryError("CUDA out of memory")

    tight._pipeline.unet.register_forward_pre_hook(full)
    with pytest.raises(RunError, match=r"one picture of resolution 64.*bfloat16.*tiny autoencoder"):
        tight(asked, HW)
    assert tight.halvings == 2


def test_weights_that_do_not_fit_into_memory(sd, monkeypatch):
    def full(*_):
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr("p3d_gen.stylize.diffusion.load_pipeline", full)
    with pytest.raises(RunError, match=r"memory of the cpu ran out with the weights: try .*bfloat16"):
        stylizer(sd)


def test_other_errors_of_torch_are_not_taken_for_a_lack_of_memory(sd):
    model = stylizer(sd)

    def broken(module, inputs):
        raise RuntimeError("shapes do not fit")

    model._pipeline.unet.register_forward_pre_hook(broken)
    with pytest.raises(RuntimeError, match="shapes do not fit"):
        model([ask(1)], HW)
    assert model.halvings == 0


# Faults


def test_faults(sd):
    model = stylizer(sd)
    last = model._pipeline.vae.decoder.conv_out
    with torch.no_grad():
        last.weight.zero_()
        for value, fault in ((-10.0, "black"), (0.3, "flat"), (torch.nan, "not a number"), (torch.inf, "flat")):
            last.bias.fill_(value)
            assert [one.fault for one in model([ask(1), ask(2)], HW)] == [fault] * 2
        last.bias.copy_(torch.tensor([0.9, -0.9, 0.1]))  # a flat colour, though its channels differ
        assert model([ask(1)], HW)[0].fault == "flat"


def test_latents_that_are_no_numbers(sd):
    model = stylizer(sd)
    with torch.no_grad():
        model._pipeline.unet.conv_out.bias[0] = torch.nan
    (one,) = model([ask(1)], HW)
    assert (one.fault, one.picture.max()) == ("not a number", 0)


def test_a_folder_with_a_safety_checker(sd, weights_root):
    checked = tiny_diffusion.add_safety_checker(sd[0], weights_root / "checked" / "base")
    model = stylizer((checked, sd[1]))
    assert model.provenance["safety_checker"] == 1
    assert [one.fault for one in model([ask(1), ask(2)], HW)] == ["flagged"] * 2


# Pipelines, adaptations, speed


def test_every_form_and_number_of_controls_differs(sd, plain):
    one = pictures(plain, ask(1))
    two = stylizer(sd, control=[Control(weights=str(sd[1]))] * 2)
    for model in (two, stylizer(sd, form="image")):
        assert (pictures(model, ask(1, controls=len(model._settings.control))) != one).any()
    late = stylizer(sd, control=[Control(weights=str(sd[1]), interval=(0.5, 1.0))])
    off = stylizer(sd, control=[Control(weights=str(sd[1]), scale=0.0)])
    assert (pictures(late, ask(1)) != one).any()
    np.testing.assert_array_equal(pictures(off, ask(1, pictures=1)), pictures(off, ask(1, pictures=2)))


def test_the_init_picture_matters_with_the_form_image_alone(sd, plain):
    asked = ask(1)
    dark = PictureRequest(**{**vars(asked), "init": np.zeros_like(asked.init)})
    np.testing.assert_array_equal(pictures(plain, dark), pictures(plain, asked))
    image = stylizer(sd, form="image", strength=0.5)
    assert (pictures(image, dark) != pictures(image, asked)).any()


def test_a_controlnet_for_many_kinds_of_pictures(sdxl, weights_root):
    union = str(tiny_diffusion.save_tiny_union(sdxl[0], weights_root / "union"))
    canny, depth, pose = (
        stylizer(sdxl, control=[Control(weights=union, **{"image": "annotator", "annotator": name} if of else {})])
        for of, name in ((False, ""), (True, "depth_midas"), (True, "openpose_full"))
    )
    assert len({pictures(model, ask(1)).tobytes() for model in (canny, depth, pose)}) == 3
    both = [Control(weights=union), Control(weights=union, image="normals")]
    model = stylizer(sdxl, control=both, form="image")
    assert type(model._pipeline).__name__ == "StableDiffusionXLControlNetUnionImg2ImgPipeline"
    pictures(model, ask(1, controls=2))
    with pytest.raises(ManifestError, match=r"reads openpose, depth.*not 'shuffle'"):
        stylizer(sdxl, control=[Control(weights=union, image="annotator", annotator="shuffle")])


def test_a_low_rank_adaptation_changes_the_picture_by_its_scale(sd, plain, weights_root):
    file = tiny_diffusion.save_lora(sd[0], weights_root / "lora")
    without = pictures(plain, ask(1))
    whole = pictures(stylizer(sd, lora=[Lora(weights=str(file))]), ask(1))
    assert (whole != without).any()
    none = stylizer(sd, lora=[Lora(weights=str(file), scale=0.0)])
    np.testing.assert_array_equal(pictures(none, ask(1)), without)
    halves = stylizer(sd, lora=[Lora(weights=str(file), scale=0.5), Lora(weights=str(file.parent), scale=0.5)])
    assert np.abs(pictures(halves, ask(1)) - whole).max() <= 1
    assert halves.provenance["lora_scales"] == "0.5 0.5"
    np.testing.assert_array_equal(pictures(stylizer(sd), ask(1)), without)  # nothing is left in the weights


def test_learned_tokens(sd, plain, sdxl, weights_root):
    token = tiny_diffusion.save_token(weights_root / "token.safetensors", zyx=32)
    learned, asked = stylizer(sd, textual_inversion=[str(token)]), ask(1, prompt="zyx car")
    assert (pictures(learned, asked) != pictures(plain, asked)).any()
    np.testing.assert_array_equal(pictures(learned, ask(1)), pictures(plain, ask(1)))
    pair = tiny_diffusion.save_token(weights_root / "qqq.safetensors", clip_l=32, clip_g=32)
    both = stylizer(sdxl, textual_inversion=[str(pair)])
    assert "qqq" in both._pipeline.tokenizer_2.get_vocab()
    wrong = tiny_diffusion.save_token(weights_root / "wrong.safetensors", zyx=16)
    with pytest.raises(DependencyError, match=r"stylize\.textual_inversion\.0 = .*incorrect shape"):
        stylizer(sd, textual_inversion=[str(wrong)])


def test_prompts_are_encoded_once(sd):
    model, seen = stylizer(sd), []
    model._pipeline.text_encoder.register_forward_hook(lambda *_: seen.append(1))
    pictures(model, *(ask(i, prompt=PROMPTS[i % 2]) for i in range(4)))
    pictures(model, ask(5, prompt=PROMPTS[0]))
    assert len(seen) == 3  # two prompts and the negative one


@pytest.mark.parametrize(
    "speed",
    [{"channels_last": True}, {"attention": "_native_math"}, {"attention": "_native_flash"}, {"attention": "native"}],
)
def test_speed_settings_change_no_more_than_last_bits(sd, plain, speed):
    fast = stylizer(sd, speed=Speed(**speed))
    assert np.abs(pictures(fast, ask(1)) - pictures(plain, ask(1))).max() <= 1
    assert {name: fast.provenance[name] for name in speed} == speed


def test_bfloat16(sd, plain):
    small = stylizer(sd, speed=Speed(dtype="bfloat16"), steps=1)
    assert {parameter.dtype for parameter in small._pipeline.unet.parameters()} == {torch.bfloat16}
    assert small.provenance["dtype"] == "bfloat16"
    assert np.abs(pictures(small, ask(1)) - pictures(stylizer(sd, steps=1), ask(1))).mean() < 8


def test_a_tiny_autoencoder(sd, weights_root):
    vae = tiny_diffusion.save_tiny_vae(weights_root / "vae")
    for form in ("text", "image"):
        model = stylizer(sd, speed=Speed(vae=str(vae)), form=form)
        assert type(model._pipeline.vae).__name__ == "AutoencoderTiny"
        pictures(model, ask(1))
    assert len(model.provenance["vae_revision"]) == 64


@pytest.mark.slow
def test_compiled_networks_give_the_same_pictures(sd, plain):
    compiled = stylizer(sd, speed=Speed(compile=True))
    for asked in ([ask(1)], [ask(1), ask(2)]):  # the last batch of a shard may be smaller
        assert np.abs(pictures(compiled, *asked) - pictures(plain, *asked)).max() <= 1


@pytest.mark.gpu
def test_a_gpu_starts_from_the_same_noise(sd, plain):
    model = DiffusionStylizer(settings(sd, speed=Speed(dtype="float32")), sd[0].parent, "cuda")
    assert np.abs(pictures(model, ask(1)) - pictures(plain, ask(1))).max() <= 2
    half = DiffusionStylizer(settings(sd), sd[0].parent)
    assert (half.provenance["dtype"], half.provenance["device"]) == ("float16", "cuda")
    assert np.abs(pictures(half, ask(1)) - pictures(plain, ask(1))).mean() < 4
