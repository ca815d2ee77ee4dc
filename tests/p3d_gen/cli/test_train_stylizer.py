"""The command train-stylizer from its recipe to a stylizer that the stylize stage loads."""

import pytest
from click.testing import CliRunner

from p3d_gen.cli import main
from p3d_gen.spec.stylize import Control, Stylize
from p3d_gen.stylize.diffusion import DiffusionStylizer

MANIFEST = """
categories = ["bottle"]
samples_per_category = 2

[cad]
variants = [0, 1]

[camera]
image_hw = [64, 64]
focal_px = 250
distance = [5, 6]

[render]
samples = 1

[output]
members = ["mask"]
"""
RECIPE = """
prior = "prior.toml"
target = "target.toml"
autoencoder = { channels = 8, latent_channels = 4, size = 64, crop = 64, batch = 1, steps = 1 }
network = { channels = [16, 16], head_width = 8, groups = 8, control_channels = [8, 8, 8] }
phases = [{ size = 64, steps = 1, batch = 1 }]
"""


@pytest.mark.blender
def test_from_a_recipe_to_a_stylizer(tmp_path):
    (tmp_path / "prior.toml").write_text(MANIFEST)
    (tmp_path / "target.toml").write_text(f'{MANIFEST}[texture]\nkind = "realistic"\n[light]\nkind = "hdri"\n')
    (tmp_path / "recipe.toml").write_text(RECIPE)
    command = ["train-stylizer", str(tmp_path / "recipe.toml"), "--out", str(tmp_path / "out"), "--workers", "1"]
    for _ in range(2):  # the second time nothing is left to do
        result = CliRunner().invoke(main, command)
        assert result.exit_code == 0, result.output
        assert f"trained on 2 pairs: {tmp_path / 'out' / 'model'}" in result.output
    settings = Stylize(
        stylizer="controlnet",
        base=str(tmp_path / "out" / "model" / "base"),
        control=(Control(weights=str(tmp_path / "out" / "model" / "controlnet")),),
        resolution=64,
        steps=1,
    )
    assert DiffusionStylizer(settings, tmp_path, "cpu").provenance["base_licence"] == "cc0-1.0"


def test_wrong_recipes_are_messages(tmp_path):
    path = tmp_path / "recipe.toml"
    path.write_text('prior = "prior.toml"\ntarget = "gone.toml"\n')
    result = CliRunner().invoke(main, ["train-stylizer", str(path), "--out", str(tmp_path / "out")])
    assert result.exit_code == 1
    assert "prior.toml cannot be read" in result.output
    assert not (tmp_path / "out").exists()
