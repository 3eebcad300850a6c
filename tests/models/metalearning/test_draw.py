import numpy as np
import pytest
import torch

from models.metalearning.draw import _LARGE, PUBLISHED, Episodes, samples, stream
from models.metalearning.schedule import Worlds
from models.worlds import published_rig

SMALL = Worlds(cameras=(2, 3), work=2, frames=2)


def test_samples_are_the_frames_and_joints_of_the_world(world):
    maps, joints = samples(world)
    assert maps.shape == (4, 24 * 17, 4096)
    np.testing.assert_array_equal(maps[2, 5 * 17 + 3].reshape(64, 64), world.heatmaps[5, 2, 3])
    np.testing.assert_allclose(joints[2, 5 * 17 + 3], world.labelled().joints_view[5, 2, 3], rtol=1e-6)


def test_an_episode_is_the_same_whenever_it_is_drawn_and_another_for_every_index_and_seed():
    one, again, next_, other = (
        Episodes(SMALL, seed)[index].heatmaps for seed, index in ((1, 0), (1, 0), (1, 1), (2, 0))
    )
    torch.testing.assert_close(one, again, rtol=0, atol=0)
    assert all(one.shape != maps.shape or not torch.equal(one, maps) for maps in (next_, other))


def test_frames_are_fewer_where_pairs_are_more():
    two, three = (Episodes(Worlds(cameras=(views,), work=6, frames=2), 0)[0].heatmaps for views in (2, 3))
    assert (two.shape[:2], three.shape[:2]) == ((2, 2 * 17), (3, 17))


def test_the_cameras_believed_are_off_in_the_share_asked_for():
    exact = Episodes(SMALL, 5)[0]
    turned = Episodes(Worlds(**{**SMALL.__dict__, "turned": 1.0, "turned_degrees": 0.5}), 5)[0]
    torch.testing.assert_close(exact.heatmaps, turned.heatmaps)
    angles = [
        np.degrees(np.arccos(np.clip((np.trace(a.R @ b.R.T) - 1) / 2, -1, 1)))
        for a, b in zip(exact.rig.cameras, turned.rig.cameras, strict=True)
    ]
    assert 0 < min(angles) <= max(angles) < 3
    assert [v.scale for v in exact.rig.views] == [v.scale for v in turned.rig.views]


def test_published_and_large_rigs_come_in_their_share():
    published = Episodes(Worlds(published=1.0, work=1), 0)
    names = {tuple(c.id for c in published_rig(name).cameras) for name in PUBLISHED}
    assert tuple(c.id for c in published[0].rig.cameras) in names
    rng = np.random.default_rng(0)
    sizes = [len(Episodes(Worlds(large=1.0), 0)._rig(rng).cameras) for _ in range(5)]
    assert _LARGE[0] <= min(sizes) < max(sizes) <= _LARGE[1]


@pytest.mark.parametrize("workers", [0, 1])
def test_the_stream_follows_the_indices_also_through_other_processes(workers):
    episodes = Episodes(SMALL, 3)
    drawn = list(stream(episodes, range(4, 0, -3), workers))
    for episode, index in zip(drawn, (4, 1), strict=True):
        torch.testing.assert_close(episode.heatmaps, episodes[index].heatmaps, rtol=0, atol=0)
        assert len(episode.pencils) == len(episode.rig.pairs)
