import json

import numpy as np
import pytest
import torch
from model_rigs import studio

from models import affinefuse
from models.affine import transform
from models.affinefuse import Model, Pretraining, Samples, TargetPixels, learn, pretrain, sampled_weights, squared_error
from models.baselines import calibrated_theta, gaussian_ridge
from models.errors import InsufficientLabels
from models.fusion import Fuser, OmegaBase
from models.weights import FOLDER, affine_omega, default_omega
from models.worlds import Detector, make_world

EVERY = TargetPixels(torch.arange(4096), torch.ones(4096))


@pytest.fixture(scope="module")
def pair():
    """Two cameras, some frames, the calibrated θ and the samples."""
    rig = studio(2)
    world = make_world(np.random.default_rng(4), rig, 6, Detector(hidden=0.3))
    return rig, world, calibrated_theta(rig), Samples.of(world.labelled())


def model_of(rig, theta, omega=None, dtype=torch.float32):
    values = gaussian_ridge(1.5).values if omega is None else omega
    free = torch.from_numpy(theta).reshape(len(rig.pairs), 4096, 2, 3).to(dtype)
    return Model(torch.from_numpy(values).to(dtype), free, rig.pairs, 0.1)


def test_sampled_weights_are_the_places_of_the_dense_ones(pair, rng):
    _, _, theta, _ = pair
    fields = theta[0].reshape(-1, 2, 3)[rng.permutation(4096)[:20]]
    sources = rng.permutation(4096)[:50]
    omega = rng.normal(size=(64, 64)).astype(np.float32)
    some = sampled_weights(*(torch.from_numpy(x) for x in (omega, fields, sources)))
    np.testing.assert_allclose(some, transform(omega, fields)[:, sources], atol=2e-3)


def test_the_error_over_all_pixels_is_that_of_the_fuser(pair, monkeypatch):
    rig, world, theta, _ = pair
    monkeypatch.setattr(affinefuse, "_ACTIVE", 0.02)  # the floor below which the fuser sums nothing
    omega = OmegaBase(gaussian_ridge(1.5).values, (0.1, 0.0), 0.0)
    fused = Fuser(omega, rig.pairs, theta, np.ones(2), 2)
    labelled = world.labelled()
    batch = Samples.of(labelled)
    dense = torch.from_numpy(fused.fuse(labelled.heatmaps)).swapaxes(0, 1).reshape(2, -1, 4096)
    kept = np.isfinite(labelled.joints_view).all(-1).sum(1).reshape(-1) >= 2
    expected = (dense[:, kept] - batch.gaussians).square()[batch.labelled].mean()
    assert squared_error(model_of(rig, theta), batch, [EVERY, EVERY]) == pytest.approx(float(expected), rel=0.02)


def test_the_gradient_is_that_of_finite_differences(pair, rng):
    rig, _, theta, samples = pair
    batch = samples.draw(4, rng)
    batch = Samples(batch.heatmaps.double(), batch.gaussians.double(), batch.labelled)
    targets = [affinefuse.target_pixels(batch, view, rng) for view in range(2)]
    start = model_of(rig, theta, rng.normal(size=(64, 64)), torch.float64)

    def loss(omega, theta):
        return squared_error(Model(omega, theta, rig.pairs, 0.1), batch, targets)

    omega, free = start.omega.requires_grad_(), start.theta.requires_grad_()
    for value, gradient in zip((omega, free), torch.autograd.grad(loss(omega, free), (omega, free)), strict=True):
        direction = torch.from_numpy(rng.normal(size=value.shape)) * 1e-7  # short, so that few kinks are crossed
        ahead, behind = (
            loss(*(v + sign * direction if v is value else v for v in (omega, free))).item() for sign in (1, -1)
        )
        assert (gradient * direction).sum().item() == pytest.approx((ahead - behind) / 2, rel=1e-3)


def test_target_pixels_hold_the_peaks_and_stand_for_the_whole_view(pair, rng):
    batch = pair[3].draw(4, rng)
    pixels = affinefuse.target_pixels(batch, 0, rng)
    assert len(set(pixels.index.tolist())) == len(pixels.index) < 1000
    assert pixels.weight.sum().item() == pytest.approx(4096, rel=1e-4)
    peaks = batch.gaussians[0][batch.labelled[0]].argmax(-1)
    near = pixels.index[pixels.weight < 4].tolist()
    assert np.mean([p in near for p in peaks.tolist()]) > 0.9


def test_the_sampled_error_is_right_on_average(pair, rng):
    rig, _, theta, samples = pair
    batch, model = samples.draw(6, rng), model_of(rig, theta)
    drawn = [
        squared_error(model, batch, [affinefuse.target_pixels(batch, v, rng) for v in range(2)]).item()
        for _ in range(40)
    ]
    spread = np.std(drawn) / np.sqrt(len(drawn))
    assert abs(np.mean(drawn) - squared_error(model, batch, [EVERY, EVERY]).item()) < 4 * spread


def test_steps_lower_the_error_and_move_only_theta_that_was_there(pair):
    rig, world, theta, samples = pair
    omega = OmegaBase(gaussian_ridge(1.5).values * 0.05, (1.0, 0.0), 0.0)
    frames = world.labelled()
    learned = [learn(theta, omega, frames, rig.pairs, steps=12, rng=np.random.default_rng(seed)) for seed in (0, 0, 1)]
    assert learned[0].shape == theta.shape
    np.testing.assert_array_equal(learned[0], learned[1])
    assert (learned[0] != learned[2]).any()
    errors = [
        squared_error(model_of(rig, t, omega.values * 30), samples, [EVERY] * 2).item() for t in (theta, learned[0])
    ]
    assert errors[1] < errors[0]


def test_no_step_leaves_theta_calibrated(pair, rng):
    rig, world, theta, _ = pair
    kept = learn(theta, gaussian_ridge(), world.labelled(), rig.pairs, steps=0, rng=rng)
    np.testing.assert_array_equal(kept, theta)


def test_labels_that_no_two_views_share_are_refused(pair):
    frames = pair[1].labelled()
    frames.joints_view[:, 1] = np.nan
    with pytest.raises(InsufficientLabels):
        Samples.of(frames)


def test_pretraining_starts_to_find_the_ridge_and_repeats():
    schedule = Pretraining(steps=12, frames=10, cameras=2)
    losses = []
    omega = pretrain(schedule, lambda _, loss: losses.append(loss))
    again = pretrain(schedule, lambda _step, _loss: None)
    np.testing.assert_array_equal(omega.values, again.values)
    assert len(losses) == 12
    rows = omega.values.mean(1)
    assert rows[28:36].mean() > rows.mean()


def test_what_ships_is_a_ridge_of_its_own():
    omega = affine_omega()
    rows = np.abs(omega.values).mean(1)
    assert rows[28:36].mean() > 1.5 * rows[[*range(12), *range(52, 64)]].mean()
    assert (omega.gains, omega.sharpness) == ((1.0, 0.0), 0.0)
    assert omega.digest != default_omega().digest
    manifest = json.loads((FOLDER / "affine_base.json").read_text())
    assert manifest["sha256"] == omega.digest
    assert {"schedule", "curve", "seconds", "torch", "loss"} <= manifest.keys()
