import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from model_rigs import studio

from models.baselines import calibrated_theta, gaussian_ridge
from models.fusion import Fuser
from models.heatmap import render
from models.pair_weights import OmegaBase
from models.torch_fusion import FAR_PX, NEAR_PX, SOFTNESS, PencilFusion, detection_loss
from models.weights import default_omega


def by_its_definition(fused, joint):
    """The smooth detection loss of one joint, pixel by pixel."""
    distance = np.array([np.hypot(x - joint[0], y - joint[1]) for y in range(64) for x in range(64)])
    margin = (fused[distance >= FAR_PX].max() - fused[distance <= NEAR_PX].max()) / SOFTNESS
    return 1 / (1 + np.exp(-margin))


def test_the_loss_is_its_definition(rng):
    fused = rng.normal(0, 0.1, (5, 4096))
    joints = np.array([[10.2, 20.7], [0.0, 0.0], [63.3, 40.0], [31.5, 31.5], [np.nan, 3.0]])
    expected = np.mean([by_its_definition(f, j) for f, j in zip(fused[:4], joints[:4], strict=True)])
    assert detection_loss(torch.tensor(fused), torch.tensor(joints)).item() == pytest.approx(expected, rel=1e-6)


@given(arrays(np.float32, (2, 4096), elements=st.floats(-2, 2, width=32), fill=st.just(np.float32(0))))
@settings(max_examples=25, deadline=None)
def test_the_loss_is_bounded(fused):
    loss = detection_loss(torch.from_numpy(fused), torch.tensor([[12.3, 40.0], [60.0, 5.5]]))
    assert 0 <= loss.item() <= 1


def test_a_peak_at_the_joint_costs_nothing_and_elsewhere_everything():
    joint = np.array([[20.0, 30.0]])
    here, there = (torch.from_numpy(render(joint + d, 1.5)).reshape(1, -1) for d in (0, 15))
    assert detection_loss(here, torch.from_numpy(joint)).item() < 1e-4
    assert detection_loss(there, torch.from_numpy(joint)).item() > 1 - 1e-4


def test_the_gradient_of_the_loss_is_the_slope():
    rng = np.random.default_rng(0)
    fused = torch.tensor(rng.normal(0, 0.1, (3, 4096)), requires_grad=True)
    joints = torch.tensor([[10.2, 20.7], [40.0, 50.0], [np.nan, np.nan]])
    detection_loss(fused, joints).backward()
    gradient = fused.grad
    assert gradient[2].abs().max() == 0
    places = gradient[:2].abs().sum(0).topk(4).indices.tolist()
    for row in range(2):
        for place in places:
            step = torch.zeros_like(fused)
            step[row, place] = 1e-6
            with torch.no_grad():
                slope = (detection_loss(fused + step, joints) - detection_loss(fused - step, joints)) / 2e-6
            assert gradient[row, place].item() == pytest.approx(slope.item(), abs=1e-6)


@pytest.mark.parametrize("cameras", [2, 4])
@pytest.mark.parametrize("omega", [default_omega(), OmegaBase(gaussian_ridge(1.5).values, (0.1, 0.2), 2.5)])
def test_torch_fuses_as_numpy_does(cameras, omega, rng):
    rig = studio(cameras)
    gains = rng.uniform(0.5, 2, len(rig.pairs))
    maps = render(rng.uniform(8, 55, (2, cameras, 3, 2)), 1.6) * np.float32(0.8)
    expected = Fuser(omega, rig.pairs, calibrated_theta(rig), gains, cameras).fuse(maps)
    fusion = PencilFusion(rig)
    flat = torch.from_numpy(np.ascontiguousarray(maps.swapaxes(0, 1))).reshape(cameras, -1, 4096)
    rounds = tuple(torch.tensor(v) for v in (*omega.gains, omega.sharpness))
    fused = fusion.fuse(fusion.weights(torch.from_numpy(omega.values)), flat, torch.from_numpy(gains).float(), rounds)
    back = fused.reshape(cameras, 2, 3, 64, 64).swapaxes(0, 1).numpy()
    assert np.abs(expected - maps).max() > 0.05
    np.testing.assert_allclose(back, expected, atol=4e-3 * np.abs(expected).max())  # Fuser's tables are float16


def test_the_gradients_of_fusion_are_its_slopes(rng):
    rig = studio(2)
    omega = torch.from_numpy(gaussian_ridge(1.5).values).clone().requires_grad_()
    gains = torch.ones(2, requires_grad=True)
    rounds = [
        torch.tensor(v, requires_grad=True) for v in (0.1, 0.2, 1e-6)
    ]  # with no belief the floor cuts no gradient
    maps = torch.from_numpy(render(rng.uniform(10, 50, (2, 3, 2)), 1.6)).reshape(2, 3, 4096)
    fusion = PencilFusion(rig)

    def value():
        return fusion.fuse(fusion.weights(omega), maps, gains, tuple(rounds)).square().sum()

    value().backward()
    for leaf, place in ((gains, (1,)), (rounds[1], ()), (omega, (32, 30))):
        before = leaf.detach()[place].item()
        ends = []
        for step in (1e-3, -1e-3):
            with torch.no_grad():
                leaf[place] = before + step
                ends.append(value().item())
        with torch.no_grad():
            leaf[place] = before
        assert leaf.grad[place].item() == pytest.approx((ends[0] - ends[1]) / 2e-3, rel=0.05, abs=0.3)
