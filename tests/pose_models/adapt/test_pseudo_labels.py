"""Which of a model's own labels are trusted, and how sure it is of them."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from pose_models.adapt.config import Cc3dConfig
from pose_models.adapt.pseudo_labels import PseudoLabel, read_labels, trusted, write_labels
from pose_models.geometry import random_rotations, rotation_cam_obj
from pose_models.solve import confidence


def label(number, category, confidence):
    R = random_rotations(1, torch.Generator().manual_seed(number))[0].numpy()
    return PseudoLabel(key=str(number), subset="", category=category, R_cam_obj=R, confidence=confidence)


def test_the_most_confident_of_each_category_are_trusted_in_order():
    rng = np.random.default_rng(0)
    labels = [label(i, "car" if i % 3 else "boat", float(rng.uniform())) for i in range(400)]
    chosen = trusted(labels, top=100, threshold=None)
    assert len(chosen) == len(set(chosen)) == 200
    for name in ("car", "boat"):
        kept = [labels[i].confidence for i in chosen if labels[i].category == name]
        others = [one.confidence for i, one in enumerate(labels) if one.category == name and i not in chosen]
        assert len(kept) == 100
        assert kept == sorted(kept, reverse=True)
        assert min(kept) >= max(others)


def test_equally_confident_labels_keep_their_order_and_few_are_all_taken():
    labels = [label(i, "car", sure) for i, sure in enumerate([0.5, 0.7, 0.5, 0.7])]
    assert trusted(labels, top=3, threshold=None) == [1, 3, 0]
    assert trusted(labels, top=100, threshold=None) == [1, 3, 0, 2]


def test_views_take_turns_and_those_that_run_out_leave_their_turn():
    """Azimuths of 0, 90 and 180 degrees in four views: sure ones from the front, some from a side, one from behind."""
    azimuths = [0] * 6 + [90] * 3 + [180]
    confidences = np.linspace(0.9, 0.1, len(azimuths))
    R = rotation_cam_obj(torch.deg2rad(torch.tensor([[a, 10.0, 0.0] for a in azimuths], dtype=torch.float64))).numpy()
    labels = [replace(label(i, "car", confidences[i]), R_cam_obj=R[i]) for i in range(len(azimuths))]
    assert trusted(labels, top=6, threshold=None) == [0, 1, 2, 3, 4, 5]
    assert trusted(labels, top=6, threshold=None, views=4) == [0, 1, 2, 6, 7, 9]
    assert trusted(labels, top=9, threshold=None, views=4) == [0, 1, 2, 3, 4, 6, 7, 8, 9]
    assert trusted(labels, top=99, threshold=None, views=4) == list(range(10))
    with pytest.raises(ValueError, match="a threshold takes all that reach it"):
        Cc3dConfig(views=4, threshold=0.8)


def test_the_front_lies_in_the_middle_of_a_view():
    R = rotation_cam_obj(torch.deg2rad(torch.tensor([[a, 0.0, 0.0] for a in (350, 10, 30)]).double())).numpy()
    labels = [replace(label(i, "car", 0.5 - 0.1 * i), R_cam_obj=R[i]) for i in range(3)]
    assert trusted(labels, top=2, threshold=None, views=12) == [0, 2]


def test_a_threshold_takes_all_that_reach_it():
    labels = [label(i, "car", sure) for i, sure in enumerate([0.89, 0.9, 0.95])]
    assert trusted(labels, top=1, threshold=0.9) == [2, 1]
    with pytest.raises(ValueError, match=r"as confident as 0.99; the surest of 3 has 0.950: give a lower --threshold"):
        trusted(labels, top=1, threshold=0.99)


def test_the_two_confidences_of_the_paper_and_of_its_code():
    """S_conf of (.9, .7, -.2): equation 6 takes the mean of all covered cells, the code of the positive ones."""
    similarity, pose = torch.tensor([0.9, 0.7, -0.2]), torch.zeros(3, dtype=torch.int64)
    assert confidence(similarity, pose, 1, "mean").item() == pytest.approx(0.46667, abs=1e-5)
    assert confidence(similarity, pose, 1, "positive").item() == pytest.approx(0.8)


def test_labels_come_back_to_the_last_bit(tmp_path):
    labels = [label(i, "car", 1 / (i + 3)) for i in range(5)]
    write_labels(tmp_path / "labels.jsonl", labels, [1, 3])
    again = read_labels(tmp_path / "labels.jsonl")
    for one, other in zip(labels, again, strict=True):
        assert (one.key, one.category, one.confidence) == (other.key, other.category, other.confidence)
        assert np.array_equal(one.R_cam_obj, other.R_cam_obj)
    lines = [json.loads(line) for line in (tmp_path / "labels.jsonl").read_text().splitlines()]
    assert [line["trusted"] for line in lines] == [False, True, False, True, False]
