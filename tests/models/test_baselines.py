import numpy as np
import pytest
from model_rigs import in_units, studio

from models.affine import ACROSS, theta_of_lines, transform
from models.baselines import calibrated_theta, default_gains, epipolar_fuser, gaussian_ridge
from models.geometry import project


def test_the_ridge_is_a_gaussian_of_the_distance_from_the_line():
    line = np.array([0.0, 1.0, -31.5])
    ridge = transform(gaussian_ridge(2.0).values, theta_of_lines(line)).reshape(64, 64)
    rows = np.arange(64)
    expected = np.where(np.abs(rows - 31.5) < ACROSS, np.exp(-0.5 * ((rows - 31.5) / 2) ** 2), 0)
    np.testing.assert_allclose(ridge[:, 31], expected, atol=3e-3)


def test_all_sources_together_weigh_the_same():
    assert {(v - 1) * default_gains(v) for v in (2, 3, 4, 31)} == {3.0}


def test_the_ridge_runs_over_the_same_point_in_the_source(rng):
    rig = studio(3)
    seen = project(rig.projections(), rng.uniform([-1, -1, 0.2], [1, 1, 1.8], (40, 3)))
    for (target, source), theta in zip(rig.pairs, calibrated_theta(rig), strict=True):
        inside = ((seen[:, [target, source]] > 0) & (seen[:, [target, source]] < 63)).all((1, 2))
        cells = np.rint(seen[inside, target]).astype(int)
        weights = transform(gaussian_ridge(1.5).values, theta[cells[:, 1], cells[:, 0]]).reshape(-1, 64, 64)
        there = np.rint(seen[inside, source]).astype(int)
        assert weights[np.arange(len(there)), there[:, 1], there[:, 0]].min() > 0.5


@pytest.mark.parametrize("units", ["cm", "mm"])
def test_theta_knows_no_unit(units):
    own, other = calibrated_theta(studio(3)), calibrated_theta(in_units(studio(3), units))
    direction = np.sign((own * other).sum((1, 2, 3, 4)))  # a line and its opposite are the same line
    np.testing.assert_allclose(other * direction[:, None, None, None, None], own, atol=1e-4)


def test_epipolar_fusion_takes_one_round_with_equal_gains():
    fuser = epipolar_fuser(studio(4))
    assert fuser.omega.sharpness == 0
    assert fuser.views == 4
