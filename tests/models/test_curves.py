from dataclasses import replace

import numpy as np
import pytest
import torch
from model_rigs import studio

from models import finetuning, metafuse
from models.curves import UNSEEN, Curves
from models.learning import Parts, Task
from models.methods import AdaptationOptions
from models.starts import same_row
from models.worlds import Detector, make_world


def told(steps, losses, after=0):
    points = []
    curves = Curves(points.append, "finetune", steps, after=after)
    for step, loss in enumerate(losses, 1):
        curves.learned(step, loss)
    return [(point.curve, point.step, point.value) for point in points]


def test_a_curve_has_few_points_each_the_mean_of_the_steps_since_the_last():
    assert told(3, [1.0, torch.tensor(2.0), 4.0]) == [("loss", 1, 1.0), ("loss", 2, 2.0), ("loss", 3, 4.0)]
    many = told(100, np.arange(100.0), after=7)
    assert many[:2] == [("loss", 11, 1.5), ("loss", 15, 5.5)]
    assert len(many) == 25
    assert told(61, np.ones(61))[-1] == ("loss", 61, 1.0)  # the last step is told, whatever their number


def test_what_is_no_number_is_not_told_and_without_an_observer_nothing_is_measured():
    assert told(2, [float("nan"), 1.0]) == [("loss", 2, 1.0)]
    assert not any(UNSEEN.due(step) for step in range(9))
    assert not Curves(lambda _: None, "finetune", 0).due(0)


@pytest.fixture(scope="module")
def task():
    world = make_world(np.random.default_rng(1), studio(2), 14, Detector(hidden=0.3), clips=2)
    frames = world.labelled()
    parts = Parts(*(frames.subset(np.arange(a, b)) for a, b in ((0, 8), (8, 11), (11, 14))))
    options = AdaptationOptions(steps=4, repair_cameras=False)
    return Task(world.rig, parts, options, np.random.default_rng(0), lambda *_: None, "cpu")


def learned_twice(task, learn):
    """What a method learns with nobody looking and with somebody, and the curves that it told then."""
    points = []
    results = [learn(replace(task, rng=np.random.default_rng(0), observe=observe)) for observe in (None, points.append)]
    curves = {}
    for point in points:
        curves.setdefault((point.phase, point.curve), {})[point.step] = point.value
    return results, curves


def test_metafuse_learns_the_same_whoever_looks_on(task, monkeypatch):
    for name, less in {"_SCALES": (1.0,), "_WIDTHS": (1.0,), "_SAMPLE_BUDGET": 64, "_BATCH_BUDGET": 16}.items():
        monkeypatch.setattr(metafuse, name, less)
    monkeypatch.setattr(metafuse, "_CURVE_BUDGET", 32)
    (unseen, seen), curves = learned_twice(task, metafuse.learn)
    np.testing.assert_array_equal(unseen.gains, seen.gains)
    np.testing.assert_array_equal(unseen.theta, seen.theta)
    assert list(curves["finetune", "loss"]) == [1, 2, 3, 4]
    assert list(curves["finetune", "held_back"]) == [0, 1, 2, 3, 4]
    assert len(set(curves["finetune", "held_back"].values())) > 1  # it is of the gains as they are learned


def test_the_papers_finetuning_learns_the_same_and_tells_both_of_its_phases(task, monkeypatch):
    monkeypatch.setattr(finetuning, "_SEARCH_SHARE", 0.5)
    monkeypatch.setattr(finetuning, "_CHECK_STEPS", 2)
    start = same_row(16.0, 3.0, 0.02)
    (unseen, seen), curves = learned_twice(task, lambda one: finetuning.learn(one, start))
    np.testing.assert_array_equal(unseen.theta, seen.theta)
    assert unseen.lineage == seen.lineage
    steps = {name: list(points) for name, points in curves.items()}
    assert steps == {
        ("lines", "held_back"): [0, 1],
        ("lines", "loss"): [1, 2],
        ("finetune", "held_back"): [2, 4],
        ("finetune", "loss"): [3, 4],
    }
    for (_, curve), points in curves.items():
        assert curve in {"loss", "held_back"}
        assert all(0 < value < 3 for value in points.values())  # 1 is the loss of an empty map
