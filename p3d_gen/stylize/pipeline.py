"""Loading of the diffusers pipeline of a stylization, and the record of its models, settings and versions."""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from p3d_gen.core.errors import DependencyError, ManifestError
from p3d_gen.spec.stylize import Control, Stylize
from p3d_gen.stylize.adapt import adapt, denoisers, resolved_dtype, speed_up
from p3d_gen.stylize.weights import Weights, all_weights, licence, loaded, location, pinned, revision

# From the name in the settings to the class for models trained on a noise schedule, and the one for flow matching: for
# a straight flow, a DDIM step with eta 0 is an Euler step.
_SCHEDULERS = {
    "ddim": ("DDIMScheduler", "FlowMatchEulerDiscreteScheduler"),
    "unipc": ("UniPCMultistepScheduler", "UniPCMultistepScheduler"),
    "lcm": ("LCMScheduler", "FlowMatchLCMScheduler"),
    "tcd": ("TCDScheduler", ""),
}
# The numbers of the conditions of ControlNets for many kinds of pictures, by the beginning of the condition's name, for
# the families of pipelines that ask for the number.
_UNION_MODES = {
    "StableDiffusionXL": {
        "openpose": 0,
        "depth": 1,
        "softedge": 2,
        "scribble": 2,
        "canny": 3,
        "lineart": 3,
        "mlsd": 3,
        "normal": 4,
    },
    "Flux": {"canny": 0, "depth": 2, "openpose": 4},
}


def takes(function: Callable[..., Any], *names: str) -> bool:
    """Return True if a function has parameters of these names."""
    return set(names) <= set(inspect.signature(function).parameters)


def control_argument(kind: Any) -> str:
    """Return the name of the argument for control pictures of a class of pipelines, or "" if it takes none."""
    if takes(kind.__call__, "control_image"):
        return "control_image"
    return "image" if takes(kind.__init__, "controlnet") and takes(kind.__call__, "image") else ""


def pipeline_class(named: str, form: str, net: str) -> Any:
    """Return the class of diffusers that runs a base model under control. Raise DependencyError if there is none.

    named: the class in the base's model_index.json. form: `text` or `image`. net: the class of the ControlNets, or ""
    if the base reads the control picture itself.

    The classes are named <family>ControlNet[Union][Img2Img]Pipeline. AutoPipeline is not used: it knows only some of
    them, and does not load a folder that was saved with its ControlNet.
    """
    import diffusers

    family = re.sub("Pipeline|ControlNet|Union|Img2Img", "", named)
    kinds = {"ControlNetUnionModel": "ControlNetUnion", "": ""}
    ending = ("Img2Img" if form == "image" else "") + "Pipeline"
    for name in (f"{family}{kinds.get(net, 'ControlNet')}{ending}", named):
        kind: Any = getattr(diffusers, name, None)
        fits = isinstance(kind, type) and takes(kind.__call__, "strength") == (form == "image")
        if fits and control_argument(kind) and takes(kind.__init__, "controlnet") == bool(net):
            return kind
    raise DependencyError(
        f"stylize.base is a {named}, for which diffusers has no pipeline that takes a control picture "
        f"{f'by a {net}' if net else 'itself'} with stylize.form = {form!r}; name another base, or another form"
    )


def union_modes(pipeline: Any, controls: Sequence[Control]) -> list[int] | None:
    """Return the numbers of the conditions of a ControlNet for many kinds of pictures; None if it does not need them.

    Raise ManifestError for a picture that such a ControlNet does not know.
    """
    nets = denoisers(pipeline)[1:]
    numbered = any("num_control_type" in net.config or net.config.get("num_mode") for net in nets)
    if not numbered or not takes(pipeline.__call__, "control_mode"):
        return None
    modes = next(modes for family, modes in _UNION_MODES.items() if type(pipeline).__name__.startswith(family))
    numbers = []
    for control in controls:
        picture = control.annotator or control.image
        mode = next((number for name, number in modes.items() if picture.startswith(name)), None)
        if mode is None:
            raise ManifestError(f"stylize.control: {control.weights!r} reads {', '.join(modes)}, not {picture!r}")
        numbers.append(mode)
    return numbers


def _index(base: Weights) -> dict[str, Any]:
    """Return the content of the base's model_index.json."""
    if base.path is not None:
        file = base.path / "model_index.json"
    else:
        from huggingface_hub import hf_hub_download

        where, arguments = location(base)
        file = Path(loaded(base, lambda: hf_hub_download(where, "model_index.json", **arguments)))
    index = json.loads(file.read_text())
    if "_class_name" not in index:
        raise DependencyError(f"{base.key} = {base.name!r}: model_index.json names no class of pipelines")
    return dict(index)


def scheduler_of(settings: Stylize, own: Any) -> Any:
    """Return the scheduler that the settings name, with the noise schedule of the pipeline's own scheduler.

    Values that are missing in the base's configuration are the new scheduler's defaults, except for clipping: DDIM's
    default is made for pixels, but x0 is a latent, which has no bounds. Raise ManifestError for settings that do not
    fit the base.
    """
    import diffusers

    flow = "FlowMatch" in type(own).__name__ or own.config.get("prediction_type") == "flow_prediction"
    name = _SCHEDULERS[settings.scheduler][flow]
    if not name or (flow and settings.eta):
        raise ManifestError(
            f"stylize.scheduler = {settings.scheduler!r} with eta {settings.eta}: the base was trained by flow "
            "matching, which has ddim with eta 0, unipc and lcm"
        )
    if settings.eta and settings.scheduler not in ("ddim", "tcd"):
        raise ManifestError(f"stylize.eta = {settings.eta}: {settings.scheduler!r} has none; ddim and tcd have")
    changes: dict[str, Any] = {} if flow or "clip_sample" in own.config else {"clip_sample": False}
    if flow and settings.scheduler == "unipc":
        changes = {"prediction_type": "flow_prediction", "use_flow_sigmas": True}
        changes["flow_shift"] = own.config.get("shift", own.config.get("flow_shift", 1.0))
    scheduler = getattr(diffusers, name).from_config(own.config, **changes)
    if not flow:
        try:
            scheduler.set_timesteps(settings.steps)
        except ValueError as error:
            raise ManifestError(f"stylize.steps = {settings.steps} with {settings.scheduler!r}: {error}") from None
    return scheduler


def _model(kind: Any, weights: Weights, dtype: Any) -> Any:
    where, arguments = location(weights)
    return loaded(weights, lambda: kind.from_pretrained(where, dtype=dtype, **arguments))


def _controlnet(weights: Weights, dtype: Any) -> Any:
    import diffusers

    where, arguments = location(weights)
    config = loaded(weights, lambda: diffusers.AutoModel.load_config(where, **arguments))
    name = config.get("_class_name", "ControlNetModel")
    # the first model of this kind was published with its own code, with this class name
    kind = getattr(diffusers, "ControlNetUnionModel" if name == "ControlNetModel_Union" else name, None)
    if kind is None:
        raise DependencyError(f"{weights.key} = {weights.name!r} is a {name}, which diffusers does not know")
    return _model(kind, weights, dtype)


def _controlnets(controls: Sequence[Weights], dtype: Any) -> list[Any]:
    """Return the ControlNets: one for each control, or a single one for all that numbers their conditions."""
    models = {weights.name: _controlnet(weights, dtype) for weights in controls}
    if len(models) == 1 and any("num_control_type" in model.config for model in models.values()):
        return list(models.values())
    return [models[weights.name] for weights in controls]


def _parts(weights: dict[str, list[Weights]], index: dict[str, Any], kind: Any, dtype: Any) -> Any:
    """Return the arguments that replace parts of the base: a tiny autoencoder, no safety checker, missing parts."""
    from diffusers import AutoencoderTiny

    absent = [name for name, value in index.items() if isinstance(value, list) and value[0] is None]
    parts: dict[str, Any] = {name: None for name in absent if takes(kind.__init__, name)}
    for vae in weights["vae"]:
        parts["vae"] = _model(AutoencoderTiny, vae, dtype)
    if takes(kind.__init__, "safety_checker") and not _has_checker(weights["base"][0], index):
        parts |= {"safety_checker": None, "requires_safety_checker": False}
    return parts


def _has_checker(base: Weights, index: dict[str, Any]) -> bool:
    """Return True if a folder comes with a safety checker.

    The one of the hub's models, 1.2 GB for photographs of people, is not loaded.
    """
    return base.path is not None and index.get("safety_checker", [None])[0] is not None


def load_pipeline(settings: Stylize, base_dir: Path, device: Any) -> tuple[Any, dict[str, Any]]:
    """Load the pipeline to its device. Return it with its provenance, whose keys and types are always the same.

    Raise DependencyError for missing weights or packages, ManifestError for settings that contradict each other.
    """
    weights = {part: list(map(pinned, listed)) for part, listed in all_weights(settings, base_dir).items()}
    base = weights["base"][0]
    index = _index(base)
    dtype = resolved_dtype(settings.speed.dtype, device)
    if len(weights["controls"]) != len(settings.control) > 1:
        raise ManifestError("stylize.control: a base that reads the control picture itself takes one, without weights")
    nets = _controlnets(weights["controls"], dtype)
    kind = pipeline_class(index["_class_name"], settings.form, type(nets[0]).__name__ if nets else "")
    where, arguments = location(base)
    parts = _parts(weights, index, kind, dtype)
    if nets:
        parts["controlnet"] = nets[0] if len(nets) == 1 else nets
    pipeline = loaded(base, lambda: kind.from_pretrained(where, dtype=dtype, **arguments, **parts))
    pipeline.scheduler = scheduler_of(settings, pipeline.scheduler)
    pipeline.set_progress_bar_config(disable=True)
    pipeline.to(device)
    adapt(pipeline, settings, weights)
    speed_up(pipeline, settings.speed)
    return pipeline, _provenance(settings, weights, pipeline, device, dtype)


def _provenance(
    settings: Stylize, weights: dict[str, list[Weights]], pipeline: Any, device: Any, dtype: Any
) -> dict[str, Any]:
    import diffusers
    import torch

    def joined(part: str, property_of: Callable[[Weights], str]) -> str:
        return " ".join(property_of(each) for each in weights[part])

    return {
        "pipeline": type(pipeline).__name__,
        "base": settings.base,
        "base_revision": joined("base", revision),
        "base_licence": joined("base", licence),
        "controls": " ".join(control.weights for control in settings.control),
        "control_images": " ".join(control.annotator or control.image for control in settings.control),
        "control_scales": " ".join(str(control.scale) for control in settings.control),
        "control_intervals": " ".join(f"{c.interval[0]}-{c.interval[1]}" for c in settings.control),
        "control_revisions": joined("controls", revision),
        "control_licences": joined("controls", licence),
        "lora": " ".join(lora.weights for lora in settings.lora),
        "lora_scales": " ".join(str(lora.scale) for lora in settings.lora),
        "lora_revisions": joined("lora", revision),
        "textual_inversion": " ".join(settings.textual_inversion),
        "textual_inversion_revisions": joined("textual_inversion", revision),
        "form": settings.form,
        "strength": settings.strength if settings.form == "image" else 1.0,
        "scheduler": type(pipeline.scheduler).__name__,
        "steps": settings.steps,
        "guidance_scale": float(settings.guidance_scale),
        "eta": float(settings.eta),
        "resolution": settings.resolution,
        "dtype": str(dtype).removeprefix("torch."),
        "channels_last": int(settings.speed.channels_last),
        "compile": int(settings.speed.compile),
        "attention": settings.speed.attention,
        "vae": settings.speed.vae,
        "vae_revision": joined("vae", revision),
        "safety_checker": int(getattr(pipeline, "safety_checker", None) is not None),
        "device": device.type,
        "diffusers": diffusers.__version__,
        "torch": str(torch.__version__),
    }
