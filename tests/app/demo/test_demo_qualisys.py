from pathlib import Path

import numpy as np
import pytest

from app.demo.clip import FIRST_LIMB_JOINT, ClipLabels, shipped_rig
from app.demo.errors import DemoFailed
from app.demo.qualisys import read_cameras
from models.geometry import distort, image_to_view
from models.rig import Camera
from models.triangulation import triangulate

CALIBRATION = Path(__file__).parent / "data" / "calibration.qca.txt"


def _project(camera: Camera, points: np.ndarray) -> np.ndarray:
    seen = points @ camera.R.T + camera.t
    assert (seen[..., 2] > 0).all(), "a point lies behind the camera: the axes are wrong"
    return distort(camera, seen[..., :2] / seen[..., 2:])


def test_units_and_sizes() -> None:
    cameras = read_cameras(CALIBRATION)
    assert [camera.id for camera in cameras] == ["cam01", "cam02", "cam03", "cam04"]
    assert {(camera.width, camera.height) for camera in cameras} == {(1088, 1920)}
    np.testing.assert_allclose(cameras[0].K[[0, 1, 0], [0, 1, 2]], [1681.245, 1681.075, 532.974], atol=1e-3)
    np.testing.assert_allclose(cameras[0].dist, [-0.046183, 0.139983, 0.000608, 0.00069, 0])
    np.testing.assert_allclose(cameras[0].centre, [1.46023, -1.90916, 1.89651], atol=1e-5)


def test_cameras_stand_upright_and_look_down_at_the_person() -> None:
    up = np.array([0.0, 0.0, 1.0])
    for camera in read_cameras(CALIBRATION):
        assert (camera.R @ up)[1] < -0.8, "the world's up must point up in the image"
        assert (camera.R[2] * up).sum() < 0, "the cameras hang higher than the person and look down"


def test_shipped_extrinsics_leave_the_error_that_is_known_of_them() -> None:
    """Right conventions leave about 10 px on the labels; another sign or axis order would leave hundreds."""
    labels = ClipLabels.load()
    rig = shipped_rig(read_cameras(CALIBRATION), labels)
    joints = labels.labels2d[list(labels.test_frames), :, FIRST_LIMB_JOINT:]
    views = np.stack(
        [image_to_view(c, v, joints[:, i]) for i, (c, v) in enumerate(zip(rig.cameras, rig.views, strict=True))], 1
    )
    points = triangulate(rig.projections(), views.swapaxes(1, 2).reshape(-1, 4, 2), method="dlt").points
    error = [
        np.linalg.norm(_project(camera, points) - joints[:, i].reshape(-1, 2), axis=1)
        for i, camera in enumerate(rig.cameras)
    ]
    assert 5 < np.mean(error) < 15


def test_labels_agree_with_their_own_points_up_to_the_repair() -> None:
    """The labels' 3D lives in the refined cameras' world, which the shipped cameras see up to 25 px away."""
    labels = ClipLabels.load()
    for view, camera in enumerate(read_cameras(CALIBRATION)):
        error = np.linalg.norm(_project(camera, labels.joints3d) - labels.labels2d[:, view], axis=-1)
        assert 3 < error.mean() < 30


def test_view_holds_the_person_in_frames_that_were_not_learned_from() -> None:
    labels = ClipLabels.load()
    rig = shipped_rig(read_cameras(CALIBRATION), labels)
    for view, (camera, window) in enumerate(zip(rig.cameras, rig.views, strict=True)):
        joints = image_to_view(camera, window, labels.labels2d[list(labels.test_frames), view, FIRST_LIMB_JOINT:])
        assert ((joints > 0) & (joints < 63)).all(-1).mean() > 0.97, "the person walks on a little"


@pytest.mark.parametrize("text", ["", "<calibration/>", "<calibration><cameras><camera/></cameras></calibration>"])
def test_a_file_that_is_no_calibration_is_told(tmp_path: Path, text: str) -> None:
    path = tmp_path / "broken.qca.txt"
    path.write_text(text)
    with pytest.raises(DemoFailed, match=r"broken\.qca\.txt"):
        read_cameras(path)
