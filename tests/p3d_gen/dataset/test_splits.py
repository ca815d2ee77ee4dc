"""Splits are a function of seed and asset alone."""

import numpy as np
import pytest

from p3d_gen.dataset.splits import KINDS, Recipe, asset_ids, place_in_order, split_of, split_of_asset

SHARES = {"train": 0.7, "val": 0.2, "test": 0.1}


def recipe(**changes):
    return Recipe(**{"shares": SHARES} | changes)


def ids(**given):
    return dict.fromkeys(KINDS, "") | given


def test_shares_of_many_assets_are_those_asked_for():
    for shares in (SHARES, {"train": 7.0, "val": 2.0, "test": 1.0}):
        found = [split_of_asset(recipe(shares=shares), "texture", f"t{i}") for i in range(20_000)]
        shown = [found.count(name) / len(found) for name in SHARES]
        np.testing.assert_allclose(shown, list(SHARES.values()), atol=0.01)


def test_an_assets_split_depends_on_seed_kind_and_id_only():
    one, other = recipe(), recipe(seed=1)
    assets = [f"a{i}" for i in range(2000)]
    of_one = [split_of_asset(one, "cad", asset) for asset in assets]
    assert of_one == [split_of_asset(recipe(split_by=KINDS, shard_samples=3), "cad", asset) for asset in assets]
    for others in (
        [split_of_asset(other, "cad", asset) for asset in assets],
        [split_of_asset(one, "texture", asset) for asset in assets],
    ):
        alike = np.mean([a == b for a, b in zip(of_one, others, strict=True)])
        assert alike == pytest.approx(0.7**2 + 0.2**2 + 0.1**2, abs=0.05)


def test_a_sample_belongs_where_all_its_assets_do():
    by_both = recipe(split_by=("cad", "texture"))
    counts = dict.fromkeys([*SHARES, None], 0)
    for i in range(50):
        for j in range(50):
            sample = ids(cad=f"car/{i}", texture=f"t{j}", background="b")
            both = {
                split_of_asset(by_both, "cad", sample["cad"]),
                split_of_asset(by_both, "texture", sample["texture"]),
            }
            split = split_of(by_both, sample)
            assert {split} == both if len(both) == 1 else split is None
            counts[split] += 1
    assert all(counts.values())


def test_what_a_sample_lacks_does_not_split_it():
    by_both = recipe(split_by=("cad", "texture"))
    assert split_of(by_both, ids(cad="car/1")) == split_of_asset(by_both, "cad", "car/1")
    with pytest.raises(ValueError, match="it has no texture or hdri"):
        split_of(recipe(split_by=("texture", "hdri")), ids(cad="car/1"))


def test_models_of_two_categories_are_two_models():
    labels = {"cad_id": "04", "texture_id": "t", "background_id": "b", "hdri_id": ""}
    found = [asset_ids(labels | {"category": category}) for category in ("car", "chair")]
    assert [each["cad"] for each in found] == ["car/04", "chair/04"]
    assert found[0] == {"cad": "car/04", "texture": "t", "background": "b", "hdri": ""}


def test_the_order_is_a_shuffle():
    keys = [f"car-{i:06d}" for i in range(2000)]
    places = np.array([place_in_order(recipe(), key) for key in keys])
    assert (places >= 0).all()
    assert (places < 1).all()
    assert abs(np.corrcoef(places, np.arange(2000))[0, 1]) < 0.1
    others = np.array([place_in_order(recipe(seed=1), key) for key in keys])
    assert abs(np.corrcoef(places, others)[0, 1]) < 0.1
