import copy
import json

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from model_rigs import LENSES, camera_at, in_units, studio

from models.errors import InvalidRig
from models.geometry import project
from models.rig import Camera, Rig

NUMBERS = st.floats(-1e3, 1e3, allow_nan=False)


def document(**camera_fields):
    written = studio(3).to_dict()
    written["cameras"][1].update(camera_fields)
    return written


@pytest.mark.parametrize("lens", LENSES)
def test_a_rig_survives_json_with_its_digest(lens):
    rig = studio(3, lens=lens)
    read = Rig.from_dict(json.loads(json.dumps(rig.to_dict(), allow_nan=False)))
    assert read.digest == rig.digest
    np.testing.assert_array_equal(read.projections(), rig.projections())


@given(t=st.tuples(NUMBERS, NUMBERS, NUMBERS), focal=st.floats(1, 900))
def test_the_digest_is_stable_for_any_numbers(t, focal):
    camera = Camera("a", 10, 10, np.diag([focal, focal, 1]), np.eye(3), np.array(t))
    rig = Rig((camera, camera_at((4, 0, 2000), name="b")), "coco17", "mm")
    assert Rig.from_dict(json.loads(json.dumps(rig.to_dict()))).digest == rig.digest


def changes():
    """Every field of a rig's document, changed to something else that is valid."""

    def camera(**fields):
        return lambda d: d["cameras"][1].update(fields)

    turned = camera_at((1, 4, 1)).R.tolist()
    return {
        "id": camera(id="other"), "width": camera(width=1281), "height": camera(height=961),
        "K": lambda d: d["cameras"][1]["K"][0].__setitem__(2, 643.5),
        "dist": lambda d: d["cameras"][1]["dist"].__setitem__(4, 0.002),
        "model": camera(model="fisheye", dist=[0, 0, 0, 0]), "R": camera(R=turned),
        "t": lambda d: d["cameras"][1]["t"].__setitem__(0, 0.25),
        "joints": lambda d: d.update(joints="h36m17"), "units": lambda d: d.update(units="cm"),
        "up": lambda d: d.update(up=[0, 1, 0]), "no up": lambda d: d.pop("up"),
        "volume": lambda d: d["volume"]["max"].__setitem__(2, 2.2), "no volume": lambda d: d.pop("volume"),
        "order": lambda d: d["cameras"].reverse(), "fewer": lambda d: d["cameras"].pop(),
    }  # fmt: skip


@pytest.mark.parametrize("field", changes())
def test_any_field_changes_the_digest(field):
    changed = copy.deepcopy(document())
    changes()[field](changed)
    assert Rig.from_dict(changed).digest != Rig.from_dict(document()).digest


SKEWED = np.array([[1000, 5, 640], [0, 1000, 480], [0, 0, 1.0]])
FAULTS = {
    "K shape": ({"K": np.eye(4).tolist()}, "K"),
    "K ragged": ({"K": [[1000, 0], [0]]}, "K"),
    "K words": ({"K": [["a"] * 3] * 3}, "K"),
    "K NaN": ({"K": [[1000, 0, np.nan], [0, 1000, 480], [0, 0, 1]]}, "K"),
    "focal length": ({"K": [[-1000, 0, 640], [0, 1000, 480], [0, 0, 1]]}, "K"),
    "skew": ({"K": SKEWED.tolist()}, "K"),
    "transposed K": ({"K": [[1000, 0, 0], [0, 1000, 0], [640, 480, 1]]}, "K"),
    "mirrored R": ({"R": np.diag([1, 1, -1]).tolist()}, "R"),
    "scaled R": ({"R": (2 * np.eye(3)).tolist()}, "R"),
    "infinite R": ({"R": np.diag([np.inf, 1, 1]).tolist()}, "R"),
    "t shape": ({"t": [[0], [0], [0]]}, "t"),
    "t too big for a float": ({"t": [10**400, 0, 0]}, "t"),
    "dist length": ({"dist": [0, 0, 0]}, "dist"),
    "fisheye with five": ({"model": "fisheye"}, "dist"),
    "model": ({"model": "pinhole"}, "model"),
    "no width": ({"width": 0}, "width"),
    "negative height": ({"height": -1}, "width"),
    "twice": ({"id": "cam0"}, "id"),
}  # fmt: skip


@pytest.mark.parametrize("fault", FAULTS)
def test_a_camera_that_cannot_be_right_is_refused_with_its_place(fault):
    fields, place = FAULTS[fault]
    with pytest.raises(InvalidRig) as caught:
        Rig.from_dict(document(**fields))
    assert caught.value.at == f"cameras[1].{place}"


@pytest.mark.parametrize(
    ("change", "place", "code"),
    [
        ({"joints": "coco18"}, "joints", "unknown_joints"),
        ({"units": "inch"}, "units", "invalid_rig"),
        ({"up": [0, 0, 0]}, "up", "invalid_rig"),
        ({"up": [0, 1]}, "up", "invalid_rig"),
        ({"volume": {"min": [0, 0, 0], "max": [1, 1, 0]}}, "volume", "invalid_rig"),
        ({"volume": {"min": [0, 0, np.nan], "max": [1, 1, 1]}}, "volume.min", "invalid_rig"),
        ({"cameras": studio(3).to_dict()["cameras"][:1]}, "cameras", "too_few_cameras"),
        ({"cameras": 2 * studio(17).to_dict()["cameras"]}, "cameras", "too_many_cameras"),
    ],
)
def test_a_rig_that_cannot_be_right_is_refused_with_its_place(change, place, code):
    with pytest.raises(InvalidRig) as caught:
        Rig.from_dict(document() | change)
    assert (caught.value.at, caught.value.code) == (place, code)


def test_one_camera_entered_under_two_ids_is_refused():
    twice = document()
    twice["cameras"].append(twice["cameras"][0] | {"id": "again"})
    with pytest.raises(InvalidRig, match=r"cam0.*again") as caught:
        Rig.from_dict(twice)
    assert caught.value.at == "cameras[3].t"


@pytest.mark.parametrize(("model", "count"), [("opencv", 5), ("fisheye", 4)])
def test_no_distortion_is_the_default_of_both_models(model, count):
    camera = Camera("a", 10, 10, np.eye(3), np.eye(3), np.zeros(3), model=model)
    np.testing.assert_array_equal(camera.dist, np.zeros(count))


def test_a_camera_cannot_be_changed_through_its_arrays():
    K = np.eye(3)
    camera = Camera("a", 10, 10, K, np.eye(3), np.zeros(3))
    K[0, 0] = 7
    assert camera.K[0, 0] == 1
    with pytest.raises(ValueError, match="read-only"):
        camera.R[0, 0] = 2


def test_the_centre_is_where_the_camera_stands():
    np.testing.assert_allclose(camera_at((1, 2, 3), (0, 0, 0)).centre, [1, 2, 3], atol=1e-12)


def test_pairs_are_all_ordered_pairs_of_different_views():
    assert studio(3).pairs == ((0, 1), (0, 2), (1, 0), (1, 2), (2, 0), (2, 1))


def test_projections_agree_with_opencv_through_the_view():
    rig = studio(3, lens="none")
    point = np.array([[0.3, -0.2, 1.1]])
    for camera, view, seen in zip(rig.cameras, rig.views, project(rig.projections(), point)[0], strict=True):
        pixels = cv2.projectPoints(point, cv2.Rodrigues(camera.R)[0], camera.t, camera.K, None)[0].reshape(2)
        ray = np.linalg.solve(camera.K, [*pixels, 1])
        np.testing.assert_allclose((view.K @ ray)[:2], seen, atol=1e-9)


@pytest.mark.parametrize("units", ["cm", "mm"])
def test_units_change_neither_views_nor_what_they_see(units):
    metres, other = studio(), in_units(studio(), units)
    factor = metres.metres_per_unit / other.metres_per_unit
    points = np.random.default_rng(0).uniform(-1, 1, (5, 3))
    np.testing.assert_allclose([v.K for v in other.views], [v.K for v in metres.views], atol=1e-9)
    np.testing.assert_allclose(
        project(other.projections(), factor * points), project(metres.projections(), points), atol=1e-9
    )


def test_cameras_put_elsewhere_keep_the_views_of_the_rig_as_sent():
    rig = studio()
    R, t = np.stack([c.R for c in rig.cameras]), np.stack([c.t for c in rig.cameras]) + 0.3
    elsewhere = rig.with_poses(R, t)
    assert elsewhere.views is rig.views
    assert elsewhere.digest != rig.digest
    np.testing.assert_array_equal(elsewhere.cameras[2].t, t[2])


def test_an_unknown_camera_is_a_key_error():
    assert studio().camera_index("cam2") == 2
    with pytest.raises(KeyError):
        studio().camera_index("cam9")
