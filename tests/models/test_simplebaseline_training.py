import numpy as np
import pytest
import torch
from stick_figures import source

from models.errors import CorruptArtifact, DeviceUnavailable, InvalidOptions
from models.heatmap import decode
from models.simplebaseline import Architecture, SimpleBaseline, normalised
from models.simplebaseline_batches import Augmentation, Epoch
from models.simplebaseline_data import gather, split
from models.simplebaseline_training import Run, Schedule, batch_loss, train, validate

TINY = Architecture(blocks=(1, 1, 1, 1), width=8, deconvolution=16)


class Stopped(Exception):
    pass


@pytest.fixture(scope="module")
def samples(tmp_path_factory):
    folder = tmp_path_factory.mktemp("figures")
    return gather([source(folder, frames=10)], folder / "views.npy")


def run_of(samples, epochs, **schedule):
    fit, held_out = (part[::2] for part in split(samples, 0.2, 0))  # the fixed views; windows lie between them
    return Run(samples, fit, held_out, Schedule.of(epochs, batch=4, **schedule), TINY)


def test_the_schedule_is_the_papers():
    schedule = Schedule()
    assert schedule == Schedule.of(30)
    assert Schedule.of(1).rate(0) == 1e-3
    assert [schedule.rate(epoch) for epoch in (0, 14, 15, 24, 25, 29)] == pytest.approx(
        [1e-3, 1e-3, 1e-4, 1e-4, 1e-5, 1e-5]
    )


def test_training_lowers_the_loss_and_finds_joints(samples, tmp_path):
    run = run_of(samples, 10, learning_rate=4e-3, augmentation=Augmentation(rotation=5, scale=0.05, mirrored=0))
    told = []
    network, curve = train(run, tmp_path / "state.pt", lambda *_: None, told.append)
    assert told == curve
    assert curve[-1]["loss"] < 0.75 * curve[0]["loss"]
    assert curve[-1]["median_px"] < 6 < curve[0]["median_px"]
    assert curve[-1]["jdr"] > curve[0]["jdr"]
    assert not network.training


def test_a_run_that_was_cut_short_ends_as_one_that_was_not(samples, tmp_path):
    run = run_of(samples, 3)
    whole, curve = train(run, tmp_path / "whole.pt", lambda *_: None)

    def stop(epoch, share):
        if epoch == 1 and share > 0.5:
            raise Stopped

    with pytest.raises(Stopped):
        train(run, tmp_path / "cut.pt", stop)
    torch.rand(5)  # what else draws numbers in between does not matter
    epochs = []
    resumed, second = train(run, tmp_path / "cut.pt", lambda epoch, _: epochs.append(epoch))
    assert set(epochs) == {1, 2}
    assert second == curve
    for name, value in whole.state_dict().items():
        assert torch.equal(value, resumed.state_dict()[name]), name
    assert not list(tmp_path.glob("*.part"))


def test_a_state_of_another_run_or_of_nothing_is_refused(samples, tmp_path):
    state = tmp_path / "state.pt"
    train(run_of(samples, 1), state, lambda *_: None)
    with pytest.raises(InvalidOptions, match="other images, labels or options"):
        train(run_of(samples, 1, seed=1), state, lambda *_: None)
    state.write_bytes(state.read_bytes()[:1000])
    with pytest.raises(CorruptArtifact, match="no state of a training"):
        train(run_of(samples, 1), state, lambda *_: None)


def test_only_labelled_joints_in_view_cost_anything():
    network = SimpleBaseline(3, TINY).eval()
    images = torch.zeros(1, 256, 256, 3, dtype=torch.uint8)
    heatmaps = network(normalised(images)).detach()
    targets = heatmaps + torch.tensor([0.5, 1.0, 7.0])[:, None, None]
    loss = batch_loss(network, (images, targets, torch.tensor([[1.0, 1.0, 0.0]])))
    assert loss.item() == pytest.approx((0.25 + 1.0) / 2)
    assert batch_loss(network, (images, targets, torch.zeros(1, 3))).item() == 0


def test_validation_is_the_rate_within_a_twentieth_of_the_box(samples):
    """COCO's joints have no head: half of it is half a tenth of the side of the labelled box."""
    run = run_of(samples, 1)
    network = SimpleBaseline(17, TINY).eval()
    found = validate(run, network)
    right, errors = [], []
    for position, place in enumerate(run.held_out):
        image = Epoch(samples, run.held_out)[position][0][None]
        points = decode(network(normalised(image)).detach().numpy())[0][0]
        labels = samples.joints_view[place]
        error = np.linalg.norm(points - labels, axis=-1)
        right += list(error < 0.05 * (labels.max(0) - labels.min(0)).max())
        errors += list(error)
    assert found["jdr"] == pytest.approx(np.mean(right))
    assert found["median_px"] == pytest.approx(np.median(errors), rel=1e-6)


def test_without_held_out_frames_there_are_no_figures(samples):
    run = Run(samples, *split(samples, 0, 0), Schedule(), TINY)
    assert validate(run, SimpleBaseline(17, TINY)) == {"jdr": None, "median_px": None}


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_a_device_that_is_not_there_is_named(samples, tmp_path):
    run = Run(samples, *split(samples, 0, 0), Schedule(), TINY, device="cuda")
    with pytest.raises(DeviceUnavailable):
        train(run, tmp_path / "state.pt", lambda *_: None)
