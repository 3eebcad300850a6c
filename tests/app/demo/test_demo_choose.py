import numpy as np
import pytest

from app.demo.choose import examples, telling_frame, telling_joint, wrong
from app.demo.evaluate import Prediction, Truth
from models.skeletons import skeleton

COCO = skeleton("coco17")
FRAMES, VIEWS, LEFT_WRIST, RIGHT_WRIST, KNEE = 5, 3, 9, 10, 13


@pytest.fixture
def truth() -> Truth:
    rng = np.random.default_rng(0)
    shape = (FRAMES, VIEWS, 17)
    hidden = np.zeros(shape, bool)
    hidden[:, 1, [LEFT_WRIST, RIGHT_WRIST, KNEE]] = True
    return Truth(
        frames=tuple(f"{n:06d}" for n in range(FRAMES)), joints_image=rng.uniform(0, 1000, (*shape, 2)),
        joints_world=rng.normal(0, 0.5, (FRAMES, 17, 3)), scored=np.ones(shape, bool), hidden=hidden,
        radius_px=np.full(shape, 40.0), skeleton=COCO,
    )  # fmt: skip


def _perfect(truth: Truth) -> Prediction:
    image = truth.joints_image
    return Prediction(image.copy(), np.ones(image.shape[:3]), truth.joints_world.copy(), np.zeros((FRAMES, 17)), image)


def test_examples_are_the_largest_gains_and_the_worst_result(truth: Truth) -> None:
    before, after = _perfect(truth), _perfect(truth)
    before.poses2d[2, 1, LEFT_WRIST] += [300, 0]
    before.poses2d[3, 1, LEFT_WRIST] += [290, 0]  # the same joint and view again: not shown twice
    before.poses2d[1, 1, KNEE] += [200, 0]
    before.poses2d[4, 0, 0] += [900, 0]  # not hidden: no example
    after.poses2d[0, 1, RIGHT_WRIST] += [60, 0]
    first, second, worst = examples(truth, before, after)
    assert (first.frame, first.view, first.joint, first.helped) == (2, 1, LEFT_WRIST, True)
    assert first.before_px == pytest.approx(300)
    assert (second.frame, second.joint) == (1, KNEE)
    assert (worst.frame, worst.joint, worst.helped) == (0, RIGHT_WRIST, False)
    assert (worst.before_px, worst.after_px) == pytest.approx((0, 60))


def test_a_joint_that_was_not_found_is_wrong(truth: Truth) -> None:
    before = _perfect(truth)
    before.poses2d[0, 0, 0] = np.nan
    assert wrong(truth, before).sum() == 1


def test_telling_frame_and_joint(truth: Truth) -> None:
    before, after = _perfect(truth), _perfect(truth)
    before.poses2d[3, :, 5:8] += 100
    before.poses2d[1, :, 5:12] += 100
    after.poses2d[1, :, 5:12] += 100
    assert telling_frame(truth, before, after) == 3
    before.pose3d[2, RIGHT_WRIST] += 0.2
    before.pose3d[:, KNEE] += 0.4  # wrong before and after: no gain
    after.pose3d[:, KNEE] += 0.4
    assert telling_joint(truth, before, after) == RIGHT_WRIST
    before.pose3d[:3, LEFT_WRIST] = np.nan
    assert telling_joint(truth, before, after) == LEFT_WRIST
    after.pose3d[:3, LEFT_WRIST] = np.nan
    assert telling_joint(truth, before, after) == RIGHT_WRIST, "what is not put right is no gain"
