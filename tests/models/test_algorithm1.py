import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from models import algorithm1
from models.algorithm1 import SCHEDULES, State, draw_task, inner_step, meta_gradient, pair_loss, studio, train
from models.errors import CorruptArtifact
from models.factorised import Samples
from models.starts import load_start, same_row

TINY = replace(SCHEDULES["short"], steps=4, tasks=1, frames=3, cameras=2, studios=1, renew=3, samples=8)


def double(samples):
    return Samples(*(part.double() for part in (samples.heatmaps, samples.gaussians, samples.seen)), samples.labelled)


@pytest.fixture(scope="module")
def task():
    """The start and the two halves of a task, in double precision."""
    start = same_row(16.0, 3.0, 0.05)
    halves = draw_task(TINY, 0, np.random.default_rng(0))
    fast = tuple(torch.from_numpy(x).double().requires_grad_() for x in (start.theta, start.omega))
    return fast, tuple(double(half) for half in halves)


def fixed():
    return np.random.default_rng(7)  # the same target pixels every time


def test_the_halves_of_a_task_are_different_frames_of_one_pair(task):
    train_on, test_on = task[1]
    assert train_on.heatmaps.shape[0] == test_on.heatmaps.shape[0] == 2
    assert not any(torch.equal(a, b) for a in train_on.heatmaps[0] for b in test_on.heatmaps[0])


@pytest.mark.parametrize("order", [1, 2])
def test_the_inner_step_is_the_gradient_step(task, order):
    fast, (batch, _) = task
    moved = inner_step(fast, batch, replace(TINY, order=order, inner_theta=0.5, inner_omega=0.25), fixed())
    gradients = torch.autograd.grad(pair_loss(fast, batch, fixed()), fast)
    for value, start, gradient, rate in zip(moved, fast, gradients, (0.5, 0.25), strict=True):
        torch.testing.assert_close(value, start - rate * gradient, atol=1e-7, rtol=1e-5)
    assert moved[0].is_leaf == (order == 1)


def test_the_second_order_gradient_is_that_of_finite_differences_and_the_first_is_not(task):
    fast, halves = task
    schedule = replace(TINY, order=2, inner_steps=1, inner_theta=20.0, inner_omega=0.1)
    gradients = {o: meta_gradient(fast, halves, replace(schedule, order=o), fixed())[1] for o in (1, 2)}
    rng = np.random.default_rng(3)
    for which in (0, 1):
        direction = torch.from_numpy(rng.normal(size=fast[which].shape)) * 1e-7
        values = []
        for step in (direction, -direction):
            moved = [value.detach() + step if i == which else value for i, value in enumerate(fast)]
            values.append(meta_gradient(tuple(moved), halves, schedule, fixed())[0])
        expected = (values[0] - values[1]) / 2
        slopes = {order: (gradient[which] * direction).sum().item() for order, gradient in gradients.items()}
        assert slopes[2] == pytest.approx(expected, rel=2e-3)
        assert slopes[1] != pytest.approx(expected, rel=2e-3)


def test_without_inner_steps_it_is_plain_gradient_descent(task):
    fast, halves = task
    _, gradients = meta_gradient(fast, halves, replace(TINY, inner_steps=0), fixed())
    for gradient, plain in zip(gradients, torch.autograd.grad(pair_loss(fast, halves[1], fixed()), fast), strict=True):
        torch.testing.assert_close(gradient, plain)


def test_studios_are_renewed_one_by_one_and_repeat():
    studio.cache_clear()
    first = studio(TINY, 5)[0].heatmaps
    studio.cache_clear()
    assert torch.equal(studio(TINY, 5)[0].heatmaps, first)
    assert not torch.equal(studio(TINY, 6)[0].heatmaps[:, :5], first[:, :5])
    assert not torch.equal(studio(replace(TINY, seed=1), 5)[0].heatmaps[:, :5], first[:, :5])


def test_an_interrupted_training_ends_as_any_other(tmp_path):
    whole = train(State.new(TINY), TINY)
    half = train(State.new(TINY), replace(TINY, steps=2))
    half.save(tmp_path / "state")
    resumed = train(State.load(tmp_path / "state", TINY), TINY)
    assert torch.equal(resumed.theta, whole.theta)
    assert torch.equal(resumed.omega, whole.omega)
    np.testing.assert_allclose(resumed.curve, whole.curve, rtol=1e-6)
    assert [path.name for path in tmp_path.iterdir()] == ["state"]


@pytest.mark.parametrize("data", [b"", b"{}", b"\x02" + bytes(7) + b"{}"])
def test_what_is_no_state_is_refused(tmp_path, data):
    (tmp_path / "state").write_bytes(data)
    with pytest.raises(CorruptArtifact, match="state"):
        State.load(tmp_path / "state", TINY)


def test_the_command_writes_weights_and_where_they_come_from(tmp_path, monkeypatch):
    monkeypatch.setitem(SCHEDULES, "short", TINY)
    monkeypatch.setattr(algorithm1, "_SAVE_STEPS", 1)
    command = ["algorithm1", "--order", "2", "--seed", "5", "--out", str(tmp_path), "--state", str(tmp_path / "state")]
    for steps in ("1", "2"):
        monkeypatch.setattr("sys.argv", [*command, "--steps", steps])
        algorithm1.main()
    manifest = json.loads((tmp_path / "metafuse_paper.json").read_text())
    assert (manifest["schedule"]["order"], manifest["schedule"]["seed"], manifest["schedule"]["steps"]) == (2, 5, 2)
    assert len(manifest["curve"]["test_loss"]) == 2
    assert load_start("metafuse_paper", tmp_path).digest == manifest["sha256"]
