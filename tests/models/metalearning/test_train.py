from dataclasses import replace

import numpy as np
import pytest
import torch

from models.errors import CorruptArtifact, InvalidOptions
from models.metalearning import Episodes, Schedule, State, Worlds, train
from models.metalearning.ranks import Ranks, joined
from models.metalearning.train import losses

TINY = Schedule(name="tiny", steps=4, rigs=2, seed=3, worlds=Worlds(cameras=(2,), work=2, frames=1))


class Stopped(Exception):
    """Power fails."""


@pytest.fixture(scope="module")
def whole():
    """The state of a run that nothing interrupted."""
    state = State.start(TINY)
    train(TINY, state=state)
    return state


def test_training_moves_every_number_and_keeps_the_ridge_symmetric(whole):
    omega, before = whole.omega(), State.start(TINY)
    assert omega.values.shape == (64, 64)
    np.testing.assert_allclose(omega.values, omega.values[::-1, ::-1], atol=1e-6)
    assert all(not torch.equal(a, b) for a, b in ((whole.raw, before.raw), (whole.log_rounds, before.log_rounds)))
    assert [0 < loss < 1 for row in whole.curve for loss in row] == [True] * 2 * TINY.steps


def test_training_is_deterministic(whole):
    again = train(TINY)
    np.testing.assert_array_equal(again.values, whole.omega().values)
    assert (again.gains, again.sharpness) == (whole.omega().gains, whole.omega().sharpness)


@pytest.mark.parametrize("stop", [1, 3])
def test_a_run_that_was_cut_off_ends_as_one_that_was_not_to_the_last_bit(tmp_path, whole, stop):
    def cut_off(state):
        if state.step == stop:
            state.save(tmp_path / "state")
            raise Stopped

    with pytest.raises(Stopped):
        train(TINY, report=cut_off)
    state = State.load(tmp_path / "state", TINY)
    train(TINY, state=state)
    for ours, theirs in (
        (state.raw, whole.raw),
        (state.log_rounds, whole.log_rounds),
        *zip(state.average, whole.average, strict=True),
    ):
        assert torch.equal(ours, theirs)
    assert state.curve == whole.curve
    assert list(tmp_path.iterdir()) == [tmp_path / "state"]


def test_what_ships_is_the_mean_of_the_later_steps(whole):
    passed = []
    train(TINY, report=lambda state: passed.append(state.log_rounds.detach().clone()))
    first, second, sharpness = torch.stack(passed[2:]).mean(0).double().exp().tolist()
    assert whole.omega().gains == pytest.approx((first, second), rel=1e-5)
    assert whole.omega().sharpness == pytest.approx(sharpness, rel=1e-5)


def test_the_state_of_another_schedule_is_refused(tmp_path):
    State.start(TINY).save(tmp_path / "state")
    with pytest.raises(InvalidOptions, match="another schedule"):
        State.load(tmp_path / "state", replace(TINY, seed=4))


@pytest.mark.parametrize("change", [lambda d: d[: len(d) // 2], lambda _: b"", lambda _: b"no state"])
def test_a_damaged_state_is_refused(tmp_path, change):
    path = tmp_path / "state"
    State.start(TINY).save(path)
    path.write_bytes(change(path.read_bytes()))
    with pytest.raises(CorruptArtifact, match="state"):
        State.load(path, TINY)


def test_a_relative_loss_does_not_know_the_scale_of_the_fused_heatmaps():
    episode = Episodes(TINY.worlds, 0)[0]
    maps = State.start(replace(TINY, relative=1.0)), State.start(TINY)
    episode.heatmaps[episode.heatmaps < 0.1] = 0  # where scaling crosses the floor below which nothing is summed
    brighter = replace(episode, heatmaps=episode.heatmaps * 5)
    relative, absolute = ([float(losses(s, e, "cpu")[0].detach()) for e in (episode, brighter)] for s in maps)
    assert relative[0] == pytest.approx(relative[1], abs=1e-4)
    assert abs(absolute[0] - absolute[1]) > 2e-3


def test_rigs_that_processes_cannot_share_equally_are_refused():
    with pytest.raises(InvalidOptions, match="2 rigs a step are no multiple of 3"):
        train(TINY, ranks=Ranks(0, 3))


def test_without_torchrun_a_process_trains_alone(monkeypatch):
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    with joined("cpu") as ranks:
        assert ranks == Ranks(0, 1, "cpu")
