import numpy as np
import pytest
from motion_files import bvh, swing

from models.errors import InvalidInput
from models.motion import random_motion
from models.motions import MotionLibrary
from models.skeletons import SKELETONS, skeleton

BODY25 = skeleton("body25")


@pytest.fixture
def folder(tmp_path):
    swing(tmp_path / "humanoid3d_swing.txt")
    (tmp_path / "wave.bvh").write_text(bvh([{"LeftArm": (a, 0, 0)} for a in range(0, 60, 2)]))
    joints = random_motion(np.random.default_rng(5), 30, BODY25)
    np.savez(tmp_path / "own.npz", joints=joints, names=np.array(BODY25.joints), fps=10.0)
    (tmp_path / "notes.txt").write_text("not a clip")
    return tmp_path


@pytest.fixture
def library(folder):
    return MotionLibrary.open(folder, procedural=0.0)


def at(joints, name):
    return joints[:, BODY25.joints.index(name)]


def test_a_folder_is_read_with_all_its_formats(library, folder):
    assert [clip.name for clip in library.clips] == ["humanoid3d_swing", "own", "wave"]
    assert [clip.name for clip in MotionLibrary.open([folder / "wave.bvh"]).clips] == ["wave"]


@pytest.mark.parametrize("name", SKELETONS)
def test_every_joint_set_is_moved_about_the_origin(name, library, rng):
    for _ in range(6):
        joints = library.sample(rng, 14, skeleton(name))
        assert joints.shape == (14, len(skeleton(name).joints), 3)
        assert np.isfinite(joints).all()
        assert -0.01 < joints[..., 2].min() < 0.5
        assert joints[..., 2].max() < 2.4
        assert np.abs(joints[..., :2]).max() < 2.2


def test_sides_are_the_bodys_own_whether_mirrored_or_not(library, rng):
    for source in (library.sample, random_motion):
        for _ in range(10):
            joints = source(rng, 3, BODY25)
            left = at(joints, "left_shoulder") - at(joints, "right_shoulder")
            forward = np.cross(left, at(joints, "neck") - at(joints, "mid_hip"))
            assert ((at(joints, "nose") - at(joints, "neck")) * forward).sum(1).min() > 0


def test_limbs_keep_their_length_and_bodies_differ_in_size(library, rng):
    sizes = []
    for _ in range(30):
        joints = library.sample(rng, 4, BODY25)
        thigh = np.linalg.norm(at(joints, "left_hip") - at(joints, "left_knee"), axis=1)
        np.testing.assert_allclose(thigh, thigh[0], rtol=0.02)
        sizes.append(joints[0])
    heights = [np.linalg.norm(at(j[None], "left_knee") - at(j[None], "left_ankle")) for j in sizes]
    assert 0.88 * 0.36 < min(heights) < 0.95 * max(heights) < 1.1 * 0.5


def test_frames_are_about_a_tenth_of_a_second_apart(tmp_path, rng):
    library = MotionLibrary.open(swing(tmp_path / "humanoid3d_walk.txt", frames=200, seconds=0.01), procedural=0.0)
    steps = []
    for _ in range(30):
        joints = library.sample(rng, 3, BODY25, roam=100.0)
        steps.append(np.linalg.norm(np.diff(at(joints, "mid_hip"), axis=0), axis=1).mean())
    assert np.mean(steps) == pytest.approx(5.0 * 0.1, rel=0.15)  # the clip walks 5 m/s


def test_a_take_may_be_longer_than_its_clip(library, rng):
    joints = library.sample(rng, 120, BODY25)
    assert len(joints) == 120
    assert np.median(np.linalg.norm(np.diff(joints, axis=0), axis=-1).max(1)) < 0.6


def test_the_same_seed_is_the_same_take(library):
    one, same, other = (library.sample(np.random.default_rng(s), 5, BODY25) for s in (3, 3, 4))
    np.testing.assert_array_equal(one, same)
    assert np.abs(one - other).max() > 0.1


def test_the_digest_is_that_of_the_clips(library, folder):
    assert library.digest == MotionLibrary.open(folder, procedural=0.5).digest
    assert library.digest != MotionLibrary.open([folder / "wave.bvh"]).digest


def test_procedural_motion_is_mixed_in(folder):
    library = MotionLibrary.open(folder, procedural=1.0)
    rng, same = np.random.default_rng(1), np.random.default_rng(1)
    same.random()
    np.testing.assert_array_equal(library.sample(rng, 4, BODY25), random_motion(same, 4, BODY25))


def test_what_is_no_motion_is_named(tmp_path):
    for source, said in ((tmp_path, "holds no"), (tmp_path / "a.fbx", "a.fbx"), (tmp_path / "b.bvh", "b.bvh")):
        with pytest.raises(InvalidInput, match=said):
            MotionLibrary.open(source)
    with pytest.raises(InvalidInput, match="0…1"):
        MotionLibrary.open(tmp_path, procedural=2.0)
    with pytest.raises(InvalidInput, match="no source"):
        MotionLibrary.open([])
