import numpy as np
import pytest
import torch
from model_rigs import studio

from models.affine import transform
from models.baselines import calibrated_theta, gaussian_ridge
from models.errors import InsufficientLabels
from models.factorised import (
    TEMPERATURE,
    Model,
    Samples,
    TargetPixels,
    fused_at,
    loss,
    sampled_weights,
    softmax_error,
    target_pixels,
)
from models.fusion import Fuser
from models.heatmap import render
from models.pair_weights import OmegaBase
from models.worlds import Detector, make_world

EVERY = TargetPixels(torch.arange(4096), torch.ones(4096))


@pytest.fixture(scope="module")
def pair():
    """Two cameras, some frames, the calibrated θ and the samples."""
    rig = studio(2)
    world = make_world(np.random.default_rng(4), rig, 6, Detector(hidden=0.3))
    return rig, world, calibrated_theta(rig), Samples.of(world.labelled())


def model_of(rig, theta, omega=None, dtype=torch.float32, *, twice=False):
    values = gaussian_ridge(1.5).values if omega is None else omega
    free = torch.from_numpy(theta).reshape(len(rig.pairs), 4096, 2, 3).to(dtype)
    return Model(torch.from_numpy(values).to(dtype), free, rig.pairs, 0.1, twice)


@pytest.mark.parametrize("twice", [False, True])
def test_sampled_weights_are_the_places_of_the_dense_ones(pair, rng, twice):
    _, _, theta, _ = pair
    fields = theta[0].reshape(-1, 2, 3)[rng.permutation(4096)[:20]]
    at = rng.permutation(4096)[:50]
    points = np.stack([at % 64, at // 64], -1) / 31.5 - 1
    omega = rng.normal(size=(64, 64)).astype(np.float32)
    some = sampled_weights(*(torch.from_numpy(x).float() for x in (omega, fields, points)), twice=twice)
    np.testing.assert_allclose(some, transform(omega, fields)[:, at], atol=2e-3)


def test_fusing_by_blocks_is_nearly_what_the_fuser_does(pair):
    rig, world, theta, samples = pair
    lit = np.where(world.heatmaps > 0.05, world.heatmaps, 0)  # what lies lower is not summed while learning
    fuser = Fuser(OmegaBase(gaussian_ridge(1.5).values, (0.1, 0.0), 0.0), rig.pairs, theta, np.ones(2), 2)
    kept = np.isfinite(world.labelled().joints_view).all(-1).sum(1).reshape(-1) >= 2
    evidence = torch.from_numpy(fuser.fuse(lit) - lit).swapaxes(0, 1).reshape(2, -1, 4096)[:, kept]
    fused = torch.stack([fused_at(model_of(rig, theta), samples, view, EVERY.index) for view in range(2)])
    assert (fused - samples.heatmaps - evidence).abs().mean() < 0.03 * evidence.mean()


@pytest.mark.parametrize("what", ["omega", "theta"])
def test_the_gradient_is_that_of_finite_differences(pair, rng, what):
    rig, _, theta, samples = pair
    batch = samples.draw(4, rng)
    batch = Samples(*(part.double() for part in (batch.heatmaps, batch.gaussians, batch.seen)), batch.labelled)
    targets = {view: target_pixels(batch, view, rng) for view in range(2)}
    start = model_of(rig, theta, rng.normal(size=(64, 64)), torch.float64, twice=True)
    values = {"omega": start.omega, "theta": start.theta}
    value = values[what].requires_grad_()

    def moved(step):
        return loss(Model(**(values | {what: value + step}), pairs=rig.pairs, gain=0.1, twice=True), batch, targets)

    (gradient,) = torch.autograd.grad(moved(0.0), value)
    direction = torch.from_numpy(rng.normal(size=value.shape)) * 1e-7  # short, so that few kinks are crossed
    change = (moved(direction) - moved(-direction)).item() / 2
    assert (gradient * direction).sum().item() == pytest.approx(change, rel=1e-3)


def test_both_ways_of_reading_have_one_gradient(pair, rng):
    rig, _, theta, samples = pair
    batch = samples.draw(4, rng)
    targets = {0: target_pixels(batch, 0, rng)}
    gradients = []
    for twice in (False, True):
        model = model_of(rig, theta, twice=twice)
        free = model.theta.requires_grad_()
        gradients.append(torch.autograd.grad(loss(model, batch, targets), free)[0])
    np.testing.assert_allclose(gradients[0], gradients[1], atol=1e-3 * gradients[0].abs().max())


def test_target_pixels_hold_the_peaks_and_stand_for_the_whole_view(pair, rng):
    batch = pair[3].draw(4, rng)
    pixels = target_pixels(batch, 0, rng)
    assert len(set(pixels.index.tolist())) == len(pixels.index) < 1000
    assert pixels.weight.sum().item() == pytest.approx(4096, rel=1e-4)
    peaks = batch.gaussians[0][batch.labelled[0]].argmax(-1)
    near = pixels.index[pixels.weight < 4].tolist()
    assert np.mean([p in near for p in peaks.tolist()]) > 0.9


def test_the_loss_at_some_pixels_is_nearly_that_at_all(pair, rng):
    rig, _, theta, samples = pair
    batch, model = samples.draw(8, rng), model_of(rig, theta)
    drawn = [loss(model, batch, {v: target_pixels(batch, v, rng) for v in range(2)}).item() for _ in range(20)]
    assert np.mean(drawn) == pytest.approx(loss(model, batch, {0: EVERY, 1: EVERY}).item(), rel=0.02)


def test_the_loss_is_nothing_for_the_gaussian_and_one_for_an_empty_map():
    gaussian = torch.from_numpy(render(np.array([[30.0, 20.0]]), 2.0)).reshape(1, 4096)
    perfect = TEMPERATURE * (gaussian + 1e-12).log()
    assert softmax_error(perfect, gaussian, EVERY).item() == pytest.approx(0, abs=1e-6)
    assert softmax_error(perfect + 7, gaussian, EVERY).item() == pytest.approx(0, abs=1e-6)  # a constant says nothing
    assert softmax_error(torch.zeros(1, 4096), gaussian, EVERY).item() == pytest.approx(1, abs=0.02)
    elsewhere = perfect.roll(20, -1)
    assert softmax_error(elsewhere, gaussian, EVERY).item() == pytest.approx(2, abs=0.02)


def test_labels_that_no_two_views_share_are_refused(pair):
    frames = pair[1].labelled()
    frames.joints_view[:, 1] = np.nan
    with pytest.raises(InsufficientLabels):
        Samples.of(frames)
