import numpy as np
import pytest
import torch
from model_rigs import studio

from models import finetuning
from models.baselines import default_gains
from models.factorised import Model, Samples, TargetPixels, loss
from models.finetuning import finetune
from models.learning import Parts, Task
from models.methods import AdaptationOptions
from models.starts import same_row, shipped_start
from models.worlds import Detector, disturb, make_world

EVERY = TargetPixels(torch.arange(4096), torch.ones(4096))


@pytest.fixture(scope="module")
def two():
    return make_world(np.random.default_rng(1), studio(2), 16, Detector(hidden=0.3), clips=4)


@pytest.fixture(scope="module")
def parts(two):
    frames = two.labelled()
    return frames.subset(np.arange(12)), frames.subset(np.arange(12, 16))


def test_finetuning_lowers_the_loss_and_repeats(two, parts, monkeypatch):
    monkeypatch.setattr(finetuning, "_GAINS", (1.0,))
    monkeypatch.setattr(finetuning, "_BATCH", 48)
    monkeypatch.setattr(finetuning, "detection_loss", lambda *_: -torch.tensor(float(next(later))))
    start, pairs = same_row(16.0, 3.0, 0.02), two.rig.pairs
    choices = []
    for seed in (0, 0, 1):
        later = iter(range(99))  # every choice is the last
        choices.append(finetune(start, *parts, pairs, steps=10, search=True, rng=np.random.default_rng(seed)))
    assert torch.equal(choices[0].theta, choices[1].theta)
    assert not torch.equal(choices[0].theta, choices[2].theta)
    assert choices[0].steps == 10
    samples = Samples.of(parts[0])
    before = torch.from_numpy(start.theta).expand_as(choices[0].theta)
    losses = [
        loss(Model(torch.from_numpy(start.omega), theta, pairs, default_gains(2)), samples, {0: EVERY, 1: EVERY}).item()
        for theta in (before, choices[0].theta)
    ]
    assert losses[1] < 0.99 * losses[0]


def test_without_a_step_theta_is_the_start_for_all_pairs(two, parts):
    start = shipped_start("metafuse_paper")
    choice = finetune(start, *parts, two.rig.pairs, steps=0, search=False, rng=np.random.default_rng(0))
    assert choice.steps == 0
    for theta in choice.theta:
        np.testing.assert_array_equal(theta, start.theta)


def test_the_frames_to_choose_by_may_stop_it_early(two, parts, monkeypatch):
    monkeypatch.setattr(finetuning, "_CHECK_STEPS", 1)
    monkeypatch.setattr(finetuning, "_SEARCH_SHARE", 0.0)
    losses = iter([3.0, 1.0, 2.0, 2.0])
    monkeypatch.setattr(finetuning, "_GAINS", (0.5,))
    monkeypatch.setattr(finetuning, "detection_loss", lambda *_: torch.tensor(next(losses)))
    choice = finetune(
        same_row(16.0, 3.0, 0.02), *parts, two.rig.pairs, steps=3, search=False, rng=np.random.default_rng(0)
    )
    assert (choice.steps, choice.loss, choice.gain) == (1, 1.0, 0.5)


def test_no_camera_takes_part(two, parts):
    start, learned = shipped_start("metafuse_paper"), []
    for rig in (two.rig, disturb(np.random.default_rng(0), two.rig, 3.0)):
        options = AdaptationOptions(steps=2)
        task = Task(rig, Parts(*parts, parts[1]), options, np.random.default_rng(0), lambda *_: None, "cpu")
        learned.append(finetuning.learn(task, start))
    np.testing.assert_array_equal(learned[0].theta, learned[1].theta)
    assert learned[0].cameras is two.rig
    assert learned[0].lineage["start"] == learned[0].omega.digest == start.digest
