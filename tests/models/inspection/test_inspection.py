from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from inspected import POSES, changed, spoiled
from model_rigs import camera_at, studio

from app.demo.qualisys import read_cameras
from models.inspection import Severity, inspect
from models.level_studios import level_rig
from models.rig import Rig
from models.studios import disturb, panoptic_dome, published_rig, published_rigs, random_rig

QUALISYS = Path(__file__).parents[2] / "app" / "demo" / "data" / "calibration.qca.txt"
GRAVE = {Severity.ERROR, Severity.WARNING}


def codes(document: Any, severities: set[Severity] = GRAVE) -> set[str]:
    return {finding.code for finding in inspect(document).findings if finding.severity in severities}


def in_first_camera(rig: Rig) -> Rig:
    """The same studio in the coordinates of its first camera, as stereo calibration leaves it."""
    first = rig.cameras[0]
    turned = [camera.R @ first.R.T for camera in rig.cameras]
    moved = [camera.t - R @ first.t for camera, R in zip(rig.cameras, turned, strict=True)]
    return Rig(rig.with_poses(np.stack(turned), np.stack(moved)).cameras, rig.joints, rig.units)


def in_rows() -> Rig:
    """A gait laboratory: three pairs of cameras along a walkway; no place is seen by all."""
    placed = [camera_at((2 * i, -3.5 + 7 * (i % 2), 1.5), (2 * i, 0, 1), name=f"c{i}") for i in range(6)]
    return Rig(tuple(placed), "coco17")


def stereo(apart: float) -> Rig:
    """Two cameras side by side that look the same way."""
    placed = [camera_at((x, 0, 1.5), (x, 5, 1.2), name=f"c{x}") for x in (0.0, apart)]
    return Rig(tuple(placed), "coco17")


def test_no_alarm_on_rigs_that_are_right() -> None:
    rng = np.random.default_rng(7)
    rigs = [random_rig(rng, 2 + number % 6) for number in range(24)]
    rigs += [level_rig(rng, 2 + number % 6) for number in range(6)]
    rigs += [panoptic_dome(rng, number) for number in (2, 5, 31)] + [published_rig(name) for name in published_rigs()]
    rigs += [Rig(read_cameras(QUALISYS), "coco17", up=np.array([0.0, 0, 1])), in_rows(), stereo(0.12), stereo(1.0)]
    rigs += [in_first_camera(rig) for rig in rigs[::5]] + [disturb(rng, rig, 2.0, 5.0) for rig in rigs[::5]]
    assert {index: codes(rig) for index, rig in enumerate(rigs) if codes(rig)} == {}


@pytest.mark.parametrize("spoil", POSES)
@pytest.mark.parametrize("good", [studio(5), published_rig("h36m-s9"), level_rig(np.random.default_rng(3), 6)])
def test_poses_in_another_convention_are_found_and_mended(good: Rig, spoil: str) -> None:
    document = spoiled(good.to_dict(), POSES[spoil])
    found = [finding for finding in inspect(document).findings if finding.severity in GRAVE]
    assert [finding.code for finding in found] == ["mirrored" if spoil.startswith("mirrored") else "pose_convention"]
    assert codes(changed(document, found[0])) == set()


def test_mirrored_poses_are_found_where_a_lens_is_not_known_too() -> None:
    document = spoiled(studio(5).to_dict(), POSES["mirrored y"])
    del document["cameras"][2]["K"]
    (_, found) = [finding for finding in inspect(document).findings if finding.severity is Severity.ERROR]
    assert (found.code, found.change) == ("mirrored", None)


@pytest.mark.parametrize(("written", "read"), [("m", "cm"), ("m", "mm"), ("mm", "m"), ("mm", "cm"), ("cm", "mm")])
def test_another_unit_is_found_and_mended(written: str, read: str) -> None:
    factor = {"m": 1, "cm": 100, "mm": 1000}[written]
    document = studio(volume=None).to_dict()
    document["units"] = read
    for camera in document["cameras"]:
        camera["t"] = [factor * value for value in camera["t"]]
    (found,) = [finding for finding in inspect(document).findings if finding.severity in GRAVE]
    assert (found.code, found.at) == ("units", "units")
    assert changed(document, found)["units"] == written


def test_a_volume_in_another_unit_is_found_and_mended() -> None:
    document = studio().to_dict()
    document["volume"] = {"min": [-1700, -1700, 0], "max": [1700, 1700, 2100]}
    (found,) = [finding for finding in inspect(document).findings if finding.severity in GRAVE]
    assert (found.code, found.at) == ("volume_unseen", "volume")
    assert changed(document, found)["volume"]["max"] == [1.7, 1.7, 2.1]


def _camera(**values: Any) -> Callable[[dict[str, Any]], None]:
    return lambda document: document["cameras"][1].update(values)


def _again(shift: float) -> Callable[[dict[str, Any]], None]:
    def add(document: dict[str, Any]) -> None:
        first = document["cameras"][0]
        document["cameras"].append({**first, "id": "again", "t": [first["t"][0] + shift, *first["t"][1:]]})

    return add


@pytest.mark.parametrize(
    ("spoil", "code", "at", "is_mended"),
    [
        (_camera(width=960, height=1280), "sides_swapped", "cameras[1].width", True),
        (_camera(K=[[500, 0, 321], [0, 505, 237], [0, 0, 1]]), "K_of_another_size", "cameras[1].K", True),
        (_camera(K=[[0.78, 0, 0.5], [0, 1.05, 0.5], [0, 0, 1]]), "K_normalised", "cameras[1].K", True),
        (_camera(K=[[1000, 0, 0], [0, 1000, 0], [643, 475, 1]]), "K_transposed", "cameras[1].K", True),
        (_camera(K=[[1000, 9, 643], [0, 1000, 475], [0, 0, 1]]), "K_shape", "cameras[1].K", True),
        (_camera(K=[[1000, 0, 643], [0, 1900, 475], [0, 0, 1]]), "focal_lengths_differ", "cameras[1].K", False),
        (_camera(K=[[25000, 0, 643], [0, 25000, 475], [0, 0, 1]]), "angle_of_view", "cameras[1].K", False),
        (_camera(K=[[1000, 0, 100], [0, 1000, 475], [0, 0, 1]]), "principal_point", "cameras[1].K", False),
        (_camera(dist=[-2.5, 0.0, 0.0, 0.0, 0.0]), "distortion_folds", "cameras[1].dist", False),
        (_camera(dist=[[0.01, 0.0, 0.0, 0.0, 0.0, 0, 0, 0, 0, 0, 0, 0]]), "malformed", "cameras[1].dist", True),
        (_camera(t=[[0.1], [0.2], [4.0]]), "malformed", "cameras[1].t", False),
        (_camera(R=None), "malformed", "cameras[1].R", False),
        (_camera(id="cam0"), "camera_twice", "cameras[1].id", False),
        (_camera(id="a/b"), "invalid_rig", "cameras[1].id", False),
        (_camera(width=0), "malformed", "cameras[1].width", False),
        (_again(0.0), "same_pose", "cameras[4].t", False),
        (_again(0.012), "camera_inside", "cameras[4].t", False),
        (lambda document: document.update(up=[0, 1, 0]), "up_axis", "up", True),
        (lambda document: document.update(units="Meters"), "malformed", "units", True),
        (lambda document: document.update(volume={"min": [90, 90, 0], "max": [93, 93, 2]}), "volume_unseen", "volume",
         True),
        (lambda document: document.update(volume={"min": [1, 1, 2], "max": [-1, -1, 0]}), "volume_inside_out", "volume",
         True),
        (lambda document: document.update(volume={"min": [-1, -1, 4], "max": [1, 1, 6]}), "below_floor", "volume.min",
         False),
        (lambda document: document.update(cameras=document["cameras"][:1]), "too_few_cameras", "cameras", False),
    ],
)  # fmt: skip
def test_what_is_wrong_is_found_at_its_place(
    spoil: Callable[[dict[str, Any]], None], code: str, at: str, is_mended: bool
) -> None:
    document = studio(5 if code == "up_axis" else 4).to_dict()
    spoil(document)
    found = {finding.code: finding for finding in inspect(document).findings if finding.severity in GRAVE}
    assert found[code].at == at
    assert found[code].sentence.endswith((".", "?"))
    if is_mended:
        assert code not in codes(changed(document, found[code]))


def test_a_matrix_that_is_nearly_a_rotation_is_told_how_far_it_is_off() -> None:
    document = studio().to_dict()
    document["cameras"][2]["R"][0][0] += 0.01
    (found,) = [finding for finding in inspect(document).findings if finding.severity in GRAVE]
    assert (found.code, found.at, found.cameras) == ("no_rotation", "cameras[2].R", (2,))
    assert codes(changed(document, found)) == set()


def test_a_rotation_vector_is_read() -> None:
    document = studio().to_dict()
    document["cameras"][0]["R"] = [0.0, 0.0, 0.0]
    found = next(finding for finding in inspect(document).findings if finding.at == "cameras[0].R")
    assert changed(document, found)["cameras"][0]["R"] == np.eye(3).tolist()


def test_a_camera_turned_away_sees_nothing_with_the_others() -> None:
    document = studio(6, volume=None).to_dict()
    back = np.diag([-1.0, 1.0, -1.0])
    for member in ("R", "t"):
        document["cameras"][3][member] = (back @ np.array(document["cameras"][3][member])).tolist()
    (found,) = [finding for finding in inspect(document).findings if finding.severity in GRAVE]
    assert (found.code, found.cameras) == ("alone", (3,))


def test_cameras_that_look_apart_have_nothing_in_common() -> None:
    placed = [camera_at((x, 0, 1), (3 * x, 0, 1), name=f"c{x}") for x in (-2.0, 2.0)]
    assert "nothing_in_common" in codes(Rig((placed[0], placed[1]), "coco17"))


def test_up_that_is_missing_or_turned_round_is_a_hint() -> None:
    document = studio(up=None).to_dict()
    (missing,) = inspect(document).findings
    mended = changed(document, missing)
    assert (missing.severity, mended["up"]) == (Severity.HINT, [0.0, 0.0, 1.0])
    mended["up"] = [0, 0, -1]
    assert codes(mended, {Severity.HINT}) == {"upside_down"}


def test_cameras_are_placed_and_their_overlap_is_told() -> None:
    rig = studio(4)
    layout = inspect(rig).layout
    np.testing.assert_allclose(layout.centres, [camera.centre for camera in rig.cameras])
    np.testing.assert_allclose(layout.overlap, layout.overlap.T)
    assert (layout.overlap > 0.3).all()
    corner = layout.placed[0].corners[0] @ rig.cameras[0].R.T
    assert corner[2] == pytest.approx(1)
    assert (corner[:2] < 0).all()


SCRAPS = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
    max_leaves=8,
)


@given(st.sampled_from(["id", "width", "height", "K", "dist", "model", "R", "t"]), SCRAPS)
@settings(max_examples=40, deadline=None)
def test_nothing_in_a_camera_raises(member: str, value: Any) -> None:
    document = studio(2).to_dict()
    document["cameras"][1][member] = value
    assert all(finding.sentence for finding in inspect(document).findings)


@given(st.sampled_from(["cameras", "joints", "units", "up", "volume"]), SCRAPS)
@settings(max_examples=20, deadline=None)
def test_nothing_in_a_document_raises(member: str, value: Any) -> None:
    document = {**studio(2).to_dict(), member: value}
    assert all(finding.sentence for finding in inspect(document).findings)
