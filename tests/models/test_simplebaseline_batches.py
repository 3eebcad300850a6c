import cv2
import numpy as np
import pytest
import torch

from models.simplebaseline_batches import Augmentation, Epoch, to_heatmap, to_input
from models.simplebaseline_data import Samples
from models.skeletons import skeleton

COCO = skeleton("coco17")
LABELLED = [5, 6, 9, 10, 15]


@pytest.fixture
def samples():
    """Two views with a disc of its own grey at each labelled joint, every other joint not labelled."""
    rng = np.random.default_rng(3)
    joints = np.full((2, 17, 2), np.nan)
    images = np.zeros((2, 256, 256, 3), np.uint8)
    for view in range(2):
        places = rng.permutation(np.array([(x, y) for x in (22, 32, 42) for y in (22, 32, 42)]))[: len(LABELLED)]
        joints[view, LABELLED] = places + rng.uniform(-1, 1, places.shape)
        for joint in LABELLED:
            x, y = (round(v) for v in to_input(joints[view, joint]))
            cv2.circle(images[view], (x, y), 9, (grey(joint),) * 3, -1)
    return Samples("coco17", ("a", "b"), images, joints)


def grey(joint):
    return 60 + 10 * joint


@pytest.mark.parametrize("mirrored", [0.0, 1.0])
def test_joints_move_with_the_image(samples, mirrored):
    augmentation = Augmentation(turned=1.0, mirrored=mirrored)
    checked = 0
    for seed in range(20):
        image, joints = augmentation.apply(
            samples.images[0], samples.joints_view[0], COCO.flip, np.random.default_rng(seed)
        )
        for joint in np.flatnonzero(np.isfinite(joints).all(-1)):
            x, y = np.rint(to_input(joints[joint])).astype(int)
            if 4 <= x < 252 and 4 <= y < 252:
                drawn = COCO.flip[joint] if mirrored else joint
                assert abs(int(image[y, x, 0]) - grey(drawn)) <= 2, (seed, COCO.joints[joint])
                checked += 1
    assert checked > 80


def test_mirroring_alone_is_exact(samples):
    augmentation = Augmentation(rotation=0, scale=0, mirrored=1.0)
    image, joints = augmentation.apply(samples.images[0], samples.joints_view[0], COCO.flip, np.random.default_rng(0))
    assert np.array_equal(image, samples.images[0][:, ::-1])
    expected = samples.joints_view[0][list(COCO.flip)]
    expected[:, 0] = 63 - expected[:, 0]
    np.testing.assert_allclose(joints, expected)


def test_pixels_of_input_and_heatmap_are_those_of_the_convention():
    np.testing.assert_allclose(to_heatmap(np.array([0.0, 255.0])), [0.5 / 4 - 0.5, 255.5 / 4 - 0.5])
    np.testing.assert_allclose(to_input(to_heatmap(np.array([3.0, 77.7]))), [3.0, 77.7])


def test_targets_are_gaussians_of_two_pixels_and_only_labelled_joints_in_view_count(samples):
    samples.joints_view[0, 0] = [70.0, 30.0]  # outside the view
    image, targets, weights = Epoch(samples, np.array([0]))[0]
    assert np.array_equal(image, samples.images[0])
    assert np.flatnonzero(weights).tolist() == LABELLED
    assert targets[weights == 0].abs().max() == 0
    for joint in LABELLED:
        x, y = samples.joints_view[0, joint]
        grid_y, grid_x = np.mgrid[:64, :64]
        expected = np.exp(-((grid_x - x) ** 2 + (grid_y - y) ** 2) / 8)
        np.testing.assert_allclose(targets[joint], expected, atol=1e-6)


def test_draws_depend_on_seed_and_epoch_alone(samples):
    def drawn(seed, number, workers=0):
        views = Epoch(samples, np.arange(2), Augmentation(), seed, number).shuffled()
        return torch.cat([images.flatten() for images, *_ in views.batches(1, workers)])

    assert torch.equal(drawn(0, 4), drawn(0, 4))
    assert torch.equal(drawn(0, 4), drawn(0, 4, workers=1))
    assert not torch.equal(drawn(0, 4), drawn(0, 5))
    assert not torch.equal(drawn(0, 4), drawn(1, 4))
