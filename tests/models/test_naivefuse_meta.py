import json

import numpy as np
import pytest
from model_rigs import studio

from models.adaptation import adapt
from models.errors import CorruptArtifact
from models.fusion import Fuser
from models.heatmap import render
from models.naivefuse import fit
from models.naivefuse_meta import (
    Equations,
    Schedule,
    load_start,
    outer_problem,
    save_start,
    start_for,
    with_world,
)
from models.naivefuse_ridge import dual
from models.naivefuse_samples import TARGET_SIGMA_PX, Problem
from models.pair_weights import PLAIN_SUM, LowRank
from models.worlds import Detector, make_world


def problem(rng, samples, pixels=40):
    seen = [rng.random((samples, pixels)).astype(np.float32) for _ in range(2)]
    return Problem(seen, rng.normal(size=(samples, pixels)).astype(np.float32))


def test_the_outer_problem_is_the_error_of_weights_adapted_from_the_start(rng):
    known, judge = problem(rng, 15), problem(rng, 10)
    left, right = rng.normal(size=(40, 3)), rng.normal(size=(3, 40))
    alpha = dual(known.beyond(LowRank(left, right)), 0.5)
    adapted = [left @ right + alpha.T @ seen for seen in known.seen]
    error = judge.lacking - sum(seen @ weights.T for seen, weights in zip(judge.seen, adapted, strict=True))
    for gain in (1.0, 2.0):
        design, wanted = outer_problem(known, judge, 0.5, gain)
        np.testing.assert_allclose(wanted - design @ (left @ right / gain).T, error, atol=1e-3)


def equations(rng, omega=None, samples=60):
    design = rng.normal(size=(samples, 20)).astype(np.float32)
    wanted = rng.normal(size=(samples, 20)).astype(np.float32) if omega is None else design @ omega.T
    return Equations(np.zeros((20, 20), np.float32), np.zeros((20, 20), np.float32), 0.0).plus(design, wanted)


def test_a_start_that_explains_all_rigs_is_found(rng):
    omega = rng.normal(size=(20, 20)).astype(np.float32)
    found = equations(rng, omega).solve(1e-7)
    np.testing.assert_allclose(found, omega, atol=1e-3)
    assert equations(rng, omega).share_left(found) == pytest.approx(0, abs=1e-4)


def test_the_start_found_has_the_least_error_there_is(rng):
    one = equations(rng)
    found = one.solve(1e-7)
    least = one.share_left(found)
    assert 0 < least < 1 == one.share_left(np.zeros_like(found))
    for _ in range(5):
        assert one.share_left(found + 0.01 * rng.normal(size=found.shape).astype(np.float32)) > least


def test_a_world_and_its_mirror_image_give_a_symmetric_start():
    schedule = Schedule(frames=2)
    world = make_world(np.random.default_rng(2), studio(2), 4, Detector())
    one, again = (with_world(Equations.none(), world, schedule) for _ in range(2))
    np.testing.assert_array_equal(one.gram, again.gram)
    np.testing.assert_array_equal(one.moment, again.moment)
    grid = one.mirrored().gram.reshape(64, 64, 64, 64)
    np.testing.assert_array_equal(grid, grid[:, ::-1, :, ::-1])
    assert one.gram.any()
    assert one.error > 0


def test_a_start_comes_back_as_it_was_stored_and_damage_is_found(tmp_path, rng):
    omega = LowRank(rng.normal(size=(4096, 2)).astype(np.float16), rng.normal(size=(2, 4096)).astype(np.float16))
    digest = save_start(omega, tmp_path, {"seed": 7})
    read, told = load_start(tmp_path)
    np.testing.assert_array_equal(read.left, omega.left)
    np.testing.assert_array_equal(read.right, omega.right)
    assert told == digest == json.loads((tmp_path / "naivefuse_base.json").read_text())["sha256"]
    load_start.cache_clear()
    file = tmp_path / "naivefuse_base.safetensors"
    file.write_bytes(file.read_bytes()[:-1] + b"?")
    with pytest.raises(CorruptArtifact):
        load_start(tmp_path)


def test_from_ten_frames_the_meta_learned_start_is_better_than_zero():
    rng = np.random.default_rng(4)
    rig = studio(3)
    frames = make_world(rng, rig, 40, Detector(), clips=4).labelled()
    known, choose, test = (frames.subset(part) for part in np.split(np.arange(40), [7, 10]))
    truth = render(test.joints_view, TARGET_SIGMA_PX)
    errors = []
    for start in (start_for(3)[0], None):
        found = fit(known, choose, rig.pairs, rng, start=start)
        weights = [LowRank(*both) for both in zip(found.left, found.right, strict=True)]
        fused = Fuser(PLAIN_SUM, rig.pairs, weights, np.ones(6), 3).fuse(test.heatmaps)
        errors.append(float(np.square(fused - truth)[np.isfinite(test.joints_view).all(-1)].sum(-1).mean()))
    assert errors[0] < 0.99 * errors[1]


def test_it_is_a_method_behind_the_one_door_and_says_what_it_started_from():
    world = make_world(np.random.default_rng(1), studio(2), 10, Detector(), clips=2)
    one, again = (adapt(world.rig, world.labelled(), method="naivefuse_meta", seed=2) for _ in range(2))
    assert one.to_bytes() == again.to_bytes()
    assert one.lineage["naivefuse_base"] == load_start()[1]
    assert one.lineage["frames_left_out_as_too_many"] == 0
    assert {"fused", "no_fusion", "promoted"} <= one.metrics.keys()
