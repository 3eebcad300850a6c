"""Labels and heatmaps that are wrong are refused, with the place, and leave nothing behind."""

import copy
import io
from collections.abc import Callable
from typing import Any

import numpy as np
import payloads
import pytest
from payloads import Sent
from running import Service

from models.worlds import World

pytestmark = pytest.mark.parametrize("service", ["sqlite"], indirect=True)  # no database has a part in this


def _labels(change: Callable[[dict[str, Any]], None]) -> Callable[[World], Sent]:
    def make(world: World) -> Sent:
        document = copy.deepcopy(payloads.labels_document(world))
        change(document)
        return payloads.files(document, heatmaps=payloads.heatmaps(world))

    return make


def _raw_labels(data: bytes) -> Callable[[World], Sent]:
    return lambda world: payloads.files(data, heatmaps=payloads.heatmaps(world))


def _arrays(**changed: Any) -> Callable[[World], Sent]:
    return lambda world: payloads.files(payloads.labels_document(world), heatmaps=payloads.heatmaps(world, **changed))


def _maps(change: Callable[[np.ndarray], np.ndarray]) -> Callable[[World], Sent]:
    def make(world: World) -> Sent:
        maps = change(world.heatmaps.astype(np.float32).copy())
        return payloads.files(payloads.labels_document(world), heatmaps=payloads.heatmaps(world, heatmaps=maps))

    return make


def _unknown_camera(document: dict[str, Any]) -> None:
    cameras = document["frames"][2]["cameras"]
    cameras["cam99"] = cameras.pop("cam02")


def _set_nan(maps: np.ndarray) -> np.ndarray:
    maps[3, 1, 2, 5, 5] = np.nan
    return maps


def _set_huge(maps: np.ndarray) -> np.ndarray:
    maps[3, 1, 2, 5, 5] = 1e30
    return maps


def _lying_header(_world: World) -> Sent:
    """An array whose header promises far more than there is."""
    header = io.BytesIO()
    shape = {"descr": "<f4", "fortran_order": False, "shape": (10**9, 3, 17, 64, 64)}
    np.lib.format.write_array_header_1_0(header, shape)
    frames, cameras = io.BytesIO(), io.BytesIO()
    np.save(frames, np.array(["000000"]))
    np.save(cameras, np.array(["cam01", "cam02", "cam03"]))
    data = payloads.zipped(
        {"heatmaps.npy": header.getvalue(), "frames.npy": frames.getvalue(), "cameras.npy": cameras.getvalue()}
    )
    return payloads.files(payloads.labels_document(_world), heatmaps=data)


def _truncated_npz(world: World) -> Sent:
    return payloads.files(payloads.labels_document(world), heatmaps=payloads.heatmaps(world)[:-5000])


def _damaged_npz(world: World) -> Sent:
    data = bytearray(payloads.heatmaps(world))
    data[2000:2100] = bytes(100)
    return payloads.files(payloads.labels_document(world), heatmaps=bytes(data))


def _without(part: str) -> Callable[[World], Sent]:
    return lambda world: {name: sent for name, sent in payloads.capture(world).items() if name != part}


def _both_kinds(world: World) -> Sent:
    return payloads.capture(world) | payloads.files(frames=payloads.zipped({"a/cam01.jpg": b"x"}))


def _unexpected(world: World) -> Sent:
    return payloads.capture(world) | payloads.files(videos=b"x")


OBJECTS = np.array([{"a": 1}], dtype=object)

REFUSED: list[tuple[str, Callable[[World], Sent], int, str, str | None]] = [
    ("labels of a camera that is not there", _labels(_unknown_camera), 422, "unknown_camera",
     "labels.frames[2].cameras.cam99"),
    ("three labelled frames", _labels(lambda d: d.update(frames=d["frames"][:3])), 422, "insufficient_labels",
     "labels.frames"),
    ("labels of a frame that did not come", _labels(lambda d: d["frames"][4].update(frame="999")), 422,
     "unknown_frame", "labels.frames[4].frame"),
    ("a frame labelled twice", _labels(lambda d: d["frames"][1].update(frame="000000")), 422, "invalid_labels",
     "labels.frames[1].frame"),
    ("a joint too few", _labels(lambda d: d["frames"][0]["cameras"]["cam01"].pop()), 422, "invalid_labels",
     "labels.frames[0].cameras.cam01"),
    ("NaN in labels", _labels(lambda d: d["frames"][0]["cameras"]["cam01"][0].__setitem__(0, float("nan"))), 422,
     "invalid_json", "labels"),
    ("a huge number in labels", _labels(lambda d: d["frames"][0]["cameras"]["cam01"].__setitem__(0, [1e308, 1, 2])),
     422, "invalid_labels", "labels.frames[0].cameras.cam01"),
    ("a control character in a frame's id", _labels(lambda d: d["frames"][0].update(frame="a\u0000")), 422,
     "invalid_labels", "labels.frames[0].frame"),
    ("labels that are no JSON", _raw_labels(b"\x89PNG"), 422, "invalid_json", "labels"),
    ("labels nested without end", _raw_labels(b"[" * 200_000), 422, "invalid_json", "labels"),
    ("labels that are a list", _raw_labels(b"[]"), 422, "invalid_labels", "labels.frames"),
    ("labels of no frames", _raw_labels(b'{"frames": []}'), 422, "insufficient_labels", "labels.frames"),
    ("no labels", _without("labels"), 422, "missing_part", "labels"),
    ("no frames", _without("heatmaps"), 422, "missing_part", "frames"),
    ("images and heatmaps", _both_kinds, 422, "conflicting_parts", "frames"),
    ("a part nobody knows", _unexpected, 422, "unexpected_part", "videos"),
    ("an npz with objects", _arrays(heatmaps=OBJECTS), 422, "pickled_npz", "heatmaps.heatmaps"),
    ("frames as objects", _arrays(frames=OBJECTS), 422, "pickled_npz", "heatmaps.frames"),
    ("frames as numbers", _arrays(frames=np.arange(10)), 422, "invalid_heatmaps", "heatmaps.frames"),
    ("a frame twice", _arrays(frames=np.array(["000000"] * 10)), 422, "invalid_heatmaps", "heatmaps.frames"),
    ("frames without end", _arrays(frames=np.array(["x"] * 2001)), 413, "too_many_frames", "heatmaps.frames"),
    ("cameras without end", _arrays(cameras=np.array(["x"] * 257)), 413, "too_many_cameras", "heatmaps.cameras"),
    ("no frames array", _arrays(frames=None), 422, "invalid_heatmaps", "heatmaps.frames"),
    ("a camera of another rig", _arrays(cameras=np.array(["cam01", "cam02", "cam77"])), 422, "unknown_camera",
     "heatmaps.cameras"),
    ("a camera missing", _arrays(cameras=np.array(["cam01", "cam02"])), 422, "missing_camera", "heatmaps.cameras"),
    ("a joint missing", _maps(lambda maps: maps[:, :, :-1]), 422, "invalid_heatmaps", "heatmaps.heatmaps"),
    ("other heatmap size", _maps(lambda maps: maps[..., :32]), 422, "invalid_heatmaps", "heatmaps.heatmaps"),
    ("doubles", _maps(lambda maps: maps[:, :, :].astype(np.float64)), 422, "invalid_heatmaps", "heatmaps.heatmaps"),
    ("NaN in heatmaps", _maps(_set_nan), 422, "invalid_heatmaps", "heatmaps.heatmaps"),
    ("absurd values", _maps(_set_huge), 422, "invalid_heatmaps", "heatmaps.heatmaps"),
    ("a header that lies", _lying_header, 422, "invalid_heatmaps", "heatmaps.heatmaps"),
    ("a truncated npz", _truncated_npz, 422, "invalid_archive", "heatmaps"),
    ("a damaged npz", _damaged_npz, 422, "invalid_archive", "heatmaps"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("make", "status", "code", "at"), [case[1:] for case in REFUSED], ids=[case[0] for case in REFUSED]
)
def test_a_wrong_capture_is_refused_and_leaves_nothing(
    *, service: Service, world: World, make: Callable[[World], Sent], status: int, code: str, at: str | None
) -> None:
    rig = service.register(world)
    before = service.holdings()
    answer = service.upload(rig, make(world))
    problem = answer.json()
    assert (answer.status_code, problem["code"], problem.get("at")) == (status, code, at), problem
    assert len(problem["detail"]) > 20
    assert service.holdings() == before
