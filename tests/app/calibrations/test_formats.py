import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import written
from hypothesis import given, settings
from hypothesis import strategies as st

from app.calibrations import formats
from models.errors import InvalidInput
from models.inspection import inspect
from models.rig import Rig
from models.studios import panoptic_dome, random_rig

QUALISYS = Path(__file__).parents[1] / "demo" / "data" / "calibration.qca.txt"
RIG = random_rig(np.random.default_rng(5), 4)


def _same(document: dict[str, Any], rig: Rig) -> None:
    read = Rig.from_dict({"joints": "coco17", **document})
    assert [camera.id for camera in read.cameras] == [camera.id for camera in rig.cameras]
    for one, other in zip(read.cameras, rig.cameras, strict=True):
        assert (one.width, one.height) == (other.width, other.height)
        for member in ("K", "dist", "R", "t"):
            np.testing.assert_allclose(getattr(one, member), getattr(other, member), atol=1e-9)


@pytest.mark.parametrize(
    ("text", "name"),
    [
        (json.dumps(RIG.to_dict()), "rigfuse"),
        (written.toml(RIG), "toml"),
        (written.toml(RIG, nested=True, vectors=False), "toml"),
        ("".join(written.easymocap(RIG)), "opencv"),
    ],
)
def test_what_other_tools_wrote_is_the_same_rig(text: str, name: str) -> None:
    read = formats.read("\ufeff".encode() + text.encode())
    assert read.format == name
    _same(read.document, RIG)


def test_panoptics_file_gives_its_hd_cameras_in_centimetres() -> None:
    dome = panoptic_dome(np.random.default_rng(1), 5)
    read = formats.read(json.dumps(written.panoptic(dome)))
    assert (read.format, read.document["units"], read.document["up"]) == ("panoptic", "cm", [0.0, -1.0, 0.0])
    _same(read.document, dome)


def test_a_stereo_calibration_is_two_cameras_of_which_the_first_is_the_origin() -> None:
    read = formats.read(written.stereo(RIG))
    first, second = Rig.from_dict({"joints": "coco17", **read.document}).cameras
    expected = RIG.cameras[1].centre - RIG.cameras[0].centre
    np.testing.assert_allclose(first.centre, 0)
    assert np.linalg.norm(second.centre) == pytest.approx(np.linalg.norm(expected))


def test_a_qualisys_file_is_sound() -> None:
    read = formats.read(QUALISYS.read_bytes())
    assert (read.format, len(read.document["cameras"])) == ("qualisys", 4)
    assert inspect(read.document).findings == ()


def test_what_a_camera_lacks_is_told_at_its_place() -> None:
    text = written.toml(RIG).replace("translation", "position", 1).replace("size", "resolution", 1)
    found = {finding.at for finding in inspect(formats.read(text).document).findings}
    assert {"cameras[0].t", "cameras[0].width", "cameras[0].height"} <= found


def test_what_the_service_answered_of_a_rig_can_be_inspected_again() -> None:
    document = {**RIG.to_dict(), "id": "rig_1", "revision": 1, "name": "a"}
    document["cameras"][0]["view"] = {"K": []}
    read = formats.read(json.dumps(document)).document
    assert read.keys() == {*RIG.to_dict(), "name"}
    assert "view" not in read["cameras"][0]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "This is no calibration"),
        ("[tool.ruff]\nline-length = 120", "This is no calibration"),
        ("[cam_0]\nmatrix = [[1", "not TOML"),
        ("a = 1\n[x]\ny = 'matrix'", "no table with a matrix"),
        ("{", "not JSON"),
        ('{"cameras": {}}', "This is no calibration"),
        ('{"cameras": [1]}', "A camera is an object"),
        ('{"a":' * 100_000, "nested too deeply"),
        ('{"cameras": [{"K": ' + "[" * 20 + "]" * 20 + "}]}", "nested too deeply"),
        (json.dumps({"cameras": [{}] * 300}), "256 are read at most"),
        ("<calibration/>", "no cameras/camera"),
        ("<calibration><cameras>", "not XML"),
        ("<calibration><cameras><camera serial='x'/></cameras></calibration>", "Camera 'x'"),
        ('<!DOCTYPE x [<!ENTITY y "z">]><calibration>&y;</calibration>', "no entities"),
        ("a: !!opencv-matrix\n  rows: 1", "no stereo calibration"),
        ("a: &x [1]\nb: *x\nc: !!opencv-matrix {}", "aliases"),
        ("a: !!opencv-matrix {", "not YAML"),
        ("a: !!opencv-matrix" + " " * 300_000, "at most"),
        ("[a]\nmatrix = " + "1" * 5000, "not TOML"),
        ("[a]\nmatrix = 1\n" + "a." * 50_000 + "a = 1", "dots in a line"),
        ("[a]\nmatrix = 1\n" + "\n" * 300_000, "at most"),
        *((f"a: !!opencv-matrix {{}}\nb: !!{tag} ''", "not YAML") for tag in ("int", "float", "bool", "timestamp")),
        ("a: !!opencv-matrix {}\nb: 1" + ":1" * 20_000, "not YAML"),
        (b"\xff\xfe", "UTF-8: byte 0"),
    ],
)
def test_what_cannot_be_read_is_told(text: str | bytes, told: str) -> None:
    with pytest.raises(InvalidInput, match=told) as refused:
        formats.read(text)
    assert refused.value.at


def test_what_json_cannot_hold_does_not_come_through() -> None:
    text = written.toml(RIG).replace("fisheye = false", "fisheye = nan\nexposure = 1979-05-27", 1)
    document = formats.read(text.replace("size = [", "size = [inf, ", 1)).document
    json.dumps(document, allow_nan=False)
    odd = formats.read('{"cameras": [{"id": "\\ud800", "t": [1e999, 1, 123456789012345678901234567890]}]}').document
    assert odd["cameras"][0] == {"id": "?", "t": [None, 1, None]}
    endless = formats.read(f'{{"cameras": [{{"width": {"9" * 400}, "height": -{"9" * 400}}}]}}').document
    assert endless["cameras"][0] == {"width": None, "height": None}


@given(st.sampled_from(["toml", "qualisys", "opencv"]), st.data())
@settings(max_examples=40, deadline=None)
def test_a_damaged_file_is_read_or_refused(name: str, data: st.DataObject) -> None:
    texts = {"toml": written.toml(RIG), "qualisys": QUALISYS.read_text(), "opencv": "".join(written.easymocap(RIG))}
    text = texts[name]
    start = data.draw(st.integers(0, len(text)))
    damaged = text[:start] + data.draw(st.text(max_size=8)) + text[start + data.draw(st.integers(0, 40)) :]
    try:
        document = formats.read(damaged).document
    except InvalidInput:
        return
    assert all(finding.sentence for finding in inspect(document).findings)
