"""What parts of CAD models are made of, by their names and by what is stated beside them."""

import numpy as np
import pytest

from p3d_gen.core.categories import CATEGORIES, definition_of
from p3d_gen.core.errors import AssetError
from p3d_gen.spec.materials import realistic
from p3d_gen.spec.part_names import MATERIAL_KINDS, kind_of_part, stated_parts


@pytest.mark.parametrize("kind", MATERIAL_KINDS)
def test_the_names_of_kinds_are_known(kind):
    for name in (kind, kind.upper(), f"{kind}.001", f"Mat_{kind.title()}_02", f"{kind}s"):
        assert kind_of_part(name) == kind


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("Windshield", "glass"),
        ("FrontWindow", "glass"),
        ("Tire", "rubber"),
        ("wheels", "rubber"),
        ("tyres_FL", "rubber"),
        ("Wheel_Rim", "metal"),
        ("tail_lights", "taillight"),
        ("TailLight.003", "taillight"),
        ("Rear_Light", "taillight"),
        ("Light_rear", "light"),
        ("HeadlightGlass", "glass"),
        ("MetallicPaint", "paint"),
        ("leather seat", "fabric"),
        ("light wood", "wood"),
        ("Light grey", ""),
        ("Material.003", ""),
        ("", ""),
        ("№7", ""),
    ],
)
def test_names_as_artists_give_them(name, kind):
    assert kind_of_part(name) == kind


def test_a_map_beside_the_models_counts_before_their_names(tmp_path):
    model = tmp_path / "car" / "a.obj"
    model.parent.mkdir()
    model.touch()
    assert stated_parts(model) == {}
    (tmp_path / "parts.toml").write_text('"Mat.07" = "glass"\nwheels = "metal"\n')
    (tmp_path / "car" / "parts.toml").write_text('wheels = "paint"\n')
    assert stated_parts(model) == {"Mat.07": "glass", "wheels": "paint"}
    model.with_suffix(".toml").write_text('parts = { wheels = "wood" }\n')
    assert stated_parts(model)["wheels"] == "wood"
    (tmp_path / "parts.toml").write_text('wheels = "glas"\n')
    with pytest.raises(AssetError, match=r"parts\.toml: wheels = 'glas' is not a kind .* did you mean 'glass'"):
        stated_parts(model)


@pytest.mark.parametrize("category", [*CATEGORIES, "mug"])
def test_one_sees_through_glass_but_for_that_of_screens_bottles_and_closed_hulls(category):
    for seed in range(20):
        drawn = realistic(np.random.default_rng(seed), "red", definition_of(category, {}))
        alphas = {each.part: each.alpha for each in drawn}
        through = {part for part, alpha in alphas.items() if alpha < 1}
        assert through == ({"glass"} if category in ("car", "mug") else set())
        assert min(alphas.values()) > 0.2
