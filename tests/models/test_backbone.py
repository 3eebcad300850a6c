"""Backbones of all kinds through their manifests, every way they can be wrong, and views cut in the right place."""

import hashlib
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from models.backbone import DEFAULT_MANIFEST, Backbone, check_skeleton
from models.cutting import ViewCutter
from models.errors import (
    CorruptArtifact,
    DeviceUnavailable,
    InvalidImage,
    InvalidInput,
    RigFuseError,
    SkeletonMismatch,
)
from models.geometry import image_to_view
from models.rig import Camera, Rig

FORMAT = {"name": "x", "layout": "NCHW", "dtype": "float32", "colour": "RGB"}
NHWC_UINT8 = {"name": "x", "layout": "NHWC", "dtype": "uint8", "colour": "RGB"}


def write_backbone(
    folder: Path,
    *,
    channels: int = 17,
    batch: int | str = "N",
    size: int = 64,
    fmt: dict[str, Any] = FORMAT,
    **entries: Any,
) -> Path:
    """A network that averages 4×4 pixels; output j shows input channel j modulo 3."""
    pick = numpy_helper.from_array(np.eye(3, dtype=np.float32)[np.arange(channels) % 3][..., None, None], "pick")
    nchw = fmt["layout"] == "NCHW"
    shape = [batch, 3, 256, 256] if nchw else [batch, 256, 256, 3]
    kind = TensorProto.FLOAT if fmt["dtype"] == "float32" else TensorProto.UINT8
    step = 256 // size
    nodes = [
        helper.make_node("Cast", ["x"], ["cast"], to=TensorProto.FLOAT),
        helper.make_node("Transpose", ["cast"], ["maps"], perm=[0, 1, 2, 3] if nchw else [0, 3, 1, 2]),
        helper.make_node("AveragePool", ["maps"], ["small"], kernel_shape=[step, step], strides=[step, step]),
        helper.make_node("Conv", ["small", "pick"], ["y"]),
    ]
    graph = helper.make_graph(
        nodes,
        "average",
        [helper.make_tensor_value_info("x", kind, shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [batch, channels, size, size])],
        [pick],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    data = model.SerializeToString()
    (folder / "own.onnx").write_bytes(data)
    manifest = {
        "name": "own",
        "file": "own.onnx",
        "sha256": hashlib.sha256(data).hexdigest(),
        "joints": "coco17",
        "input": fmt,
        "output": {"name": "y"},
    }
    path = folder / "own.json"
    path.write_text(json.dumps(manifest | entries))
    return path


def coloured(red: int, green: int, blue: int, count: int = 1) -> np.ndarray:
    return np.full((count, 256, 256, 3), (red, green, blue), np.uint8)


def test_preprocessing_of_a_users_network_is_applied(tmp_path: Path) -> None:
    fmt = FORMAT | {"colour": "BGR", "scale": 0.01, "mean": [0.1, 0.2, 0.3], "std": [0.5, 1.0, 2.0]}
    backbone = Backbone.load(write_backbone(tmp_path, fmt=fmt))
    heatmaps = backbone.heatmaps(coloured(10, 20, 40))
    blue, green, red = (0.4 - 0.1) / 0.5, (0.2 - 0.2) / 1.0, (0.1 - 0.3) / 2.0
    np.testing.assert_allclose(heatmaps[0, :3, 7, 9], [blue, green, red], atol=1e-6)
    assert heatmaps.shape == (1, 17, 64, 64)


@pytest.mark.parametrize(("colour", "expected"), [("RGB", [10, 20, 40]), ("BGR", [40, 20, 10])])
def test_a_uint8_network_sees_the_image_itself(tmp_path: Path, colour: str, expected: list[float]) -> None:
    backbone = Backbone.load(write_backbone(tmp_path, fmt=NHWC_UINT8 | {"colour": colour}))
    np.testing.assert_allclose(backbone.heatmaps(coloured(10, 20, 40))[0, :3, 0, 0], expected)


def test_pixels_keep_their_place(tmp_path: Path) -> None:
    images = coloured(0, 0, 0)
    images[0, 4 * 10 : 4 * 11, 4 * 50 : 4 * 51, 1] = 200  # row 10, column 50 of the heatmap, green
    heatmaps = Backbone.load(write_backbone(tmp_path)).heatmaps(images)
    assert np.argwhere(heatmaps[0] > 0)[0].tolist() == [1, 10, 50]


@pytest.mark.parametrize("batch", ["N", 1])
def test_any_number_of_images_goes_through(tmp_path: Path, batch: int | str) -> None:
    backbone = Backbone.load(write_backbone(tmp_path, batch=batch))
    images = coloured(1, 0, 0, 9) * np.arange(9, dtype=np.uint8)[:, None, None, None]
    assert backbone.heatmaps(images)[:, 0, 0, 0].tolist() == list(range(9))
    assert backbone.heatmaps(images[:0]).shape == (0, 17, 64, 64)


def test_the_digest_follows_the_network_and_its_preprocessing(tmp_path: Path) -> None:
    first = Backbone.load(write_backbone(tmp_path)).digest
    assert Backbone.load(write_backbone(tmp_path, licence="MIT")).digest == first
    assert Backbone.load(write_backbone(tmp_path, fmt=FORMAT | {"scale": 2.0})).digest != first


@pytest.mark.parametrize(
    "images",
    [
        np.zeros((1, 256, 256, 3), np.float32),
        np.zeros((256, 256, 3), np.uint8),
        np.zeros((1, 3, 256, 256), np.uint8),
        np.zeros((1, 128, 128, 3), np.uint8),
    ],
)
def test_images_of_another_kind_are_refused(tmp_path: Path, images: np.ndarray) -> None:
    with pytest.raises(InvalidImage, match="uint8"):
        Backbone.load(write_backbone(tmp_path)).heatmaps(images)


def test_a_model_of_another_digest_is_refused(tmp_path: Path) -> None:
    path = write_backbone(tmp_path, sha256="0" * 64)
    with pytest.raises(CorruptArtifact, match="SHA-256"):
        Backbone.load(path)


def test_a_missing_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CorruptArtifact, match=r"gone\.onnx"):
        Backbone.load(write_backbone(tmp_path, file="gone.onnx"))


def test_bytes_that_are_no_network_are_refused(tmp_path: Path) -> None:
    path = write_backbone(tmp_path, sha256=hashlib.sha256(b"no network").hexdigest())
    (tmp_path / "own.onnx").write_bytes(b"no network")
    with pytest.raises(CorruptArtifact, match="cannot load"):
        Backbone.load(path)


@pytest.mark.parametrize(
    ("entries", "at"),
    [
        ({"joints": "martian8"}, "joints"),
        ({"joints": ["coco17"]}, "joints"),
        ({"input": "x"}, "input"),
        ({"input": {"name": "x"}}, "input"),
        ({"input": FORMAT | {"layout": "CHWN"}}, "input.layout"),
        ({"input": FORMAT | {"dtype": "float16"}}, "input.dtype"),
        ({"input": FORMAT | {"colour": "grey"}}, "input.colour"),
        ({"input": FORMAT | {"std": [1, 0, 1]}}, "input"),
        ({"input": FORMAT | {"mean": [1, 2]}}, "input"),
        ({"input": FORMAT | {"mean": 0.5}}, "input"),
        ({"input": FORMAT | {"scale": "big"}}, "input"),
        ({"input": FORMAT | {"scale": 1e999}}, "input"),
        ({"input": FORMAT | {"mena": [0, 0, 0]}}, "input"),
        ({"input": NHWC_UINT8 | {"scale": 0.5}}, "input"),
        ({"output": {"name": "y", "offset": 1}}, "output"),
        ({"colours": 3}, None),
    ],
)
def test_a_wrong_manifest_is_refused_with_the_place(tmp_path: Path, entries: dict[str, Any], at: str | None) -> None:
    with pytest.raises(InvalidInput) as caught:
        Backbone.load(write_backbone(tmp_path, **entries))
    assert (caught.value.code, caught.value.at) == ("invalid_manifest", at)


@pytest.mark.parametrize("text", [None, "no json", "[]", "{}"])
def test_a_manifest_that_is_none_is_refused(tmp_path: Path, text: str | None) -> None:
    path = tmp_path / "own.json"
    if text is not None:
        path.write_text(text)
    with pytest.raises(InvalidInput, match="manifest"):
        Backbone.load(path)


@pytest.mark.parametrize(
    ("network", "entries", "at"),
    [
        ({"channels": 16}, {}, "output"),
        ({"size": 32}, {}, "output"),
        ({"batch": 8}, {}, "input"),
        ({}, {"input": FORMAT | {"layout": "NHWC"}}, "input"),
        ({}, {"input": FORMAT | {"dtype": "uint8"}}, "input"),
        ({}, {"input": FORMAT | {"name": "image"}}, "input"),
        ({}, {"output": {"name": "z"}}, "output"),
        ({}, {"joints": "panoptic19"}, "output"),
    ],
)
def test_a_network_that_does_not_fit_its_manifest_is_refused(
    tmp_path: Path, network: dict[str, Any], entries: dict[str, Any], at: str
) -> None:
    with pytest.raises(InvalidInput) as caught:
        Backbone.load(write_backbone(tmp_path, **network, **entries))
    assert (caught.value.code, caught.value.at) == ("invalid_backbone", at)


def test_shapes_that_the_network_does_not_declare_are_tried_out(tmp_path: Path) -> None:
    path = write_backbone(tmp_path, size=32)
    model = onnx.load(tmp_path / "own.onnx")
    for value in (*model.graph.input, *model.graph.output):
        for dim in value.type.tensor_type.shape.dim:
            dim.dim_param = "any" + str(id(dim))
    data = model.SerializeToString()
    (tmp_path / "own.onnx").write_bytes(data)
    path.write_text(json.dumps(json.loads(path.read_text()) | {"sha256": hashlib.sha256(data).hexdigest()}))
    with pytest.raises(InvalidInput, match="gives"):
        Backbone.load(path)


@pytest.mark.skipif("CUDAExecutionProvider" in onnxruntime.get_available_providers(), reason="CUDA is here")
def test_cuda_is_never_silently_replaced() -> None:
    with pytest.raises(DeviceUnavailable, match=r"rigfuse\[gpu\]"):
        Backbone.load(device="cuda")


@pytest.mark.skipif("CUDAExecutionProvider" not in onnxruntime.get_available_providers(), reason="needs a GPU")
def test_cuda_gives_what_the_cpu_gives() -> None:
    images = np.random.default_rng(0).integers(0, 256, (5, 256, 256, 3), dtype=np.uint8)
    np.testing.assert_allclose(
        Backbone.load(device="cuda").heatmaps(images), Backbone.load().heatmaps(images), atol=5e-3
    )


def test_a_device_that_is_not_known_is_refused() -> None:
    with pytest.raises(DeviceUnavailable, match="cpu or cuda"):
        Backbone.load(device="tpu")


def test_a_missing_runtime_names_the_extras(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(DeviceUnavailable, match=r"rigfuse\[cpu\] or rigfuse\[gpu\]"):
        Backbone.load(DEFAULT_MANIFEST)


def make_rig(width: int, height: int, joints: str = "coco17", volume: bool = False) -> Rig:
    """Two cameras with barrel distortion, 3 m from the origin; the volume is 2 m wide."""
    K = np.array([[0.8 * width, 0, 0.52 * width], [0, 0.8 * width, 0.49 * height], [0, 0, 1]])
    dist = np.array([-0.25, 0.08, 1e-3, -1e-3, 0.0])
    turn = np.array([[0.0, 0, -1], [0, 1, 0], [1, 0, 0]])
    cameras = tuple(
        Camera(id=name, width=width, height=height, K=K, R=R, t=np.array([0, 0, 3.0]), dist=dist)
        for name, R in (("a", np.eye(3)), ("b", turn))
    )
    corners = (np.array([-0.5, -0.5, -0.5]), np.array([0.5, 0.5, 0.5])) if volume else None
    return Rig(cameras=cameras, joints=joints, volume=corners)


@pytest.mark.parametrize("size", [(320, 240), (1920, 1080), (3840, 2160), (1080, 1920)])
@pytest.mark.parametrize("volume", [False, True])
def test_a_dot_lands_where_the_geometry_says(size: tuple[int, int], volume: bool) -> None:
    rig = make_rig(*size, volume=volume)
    width, height = size
    pixel = np.array([round(0.6 * width), round(0.5 * height - 0.06 * width)])
    radius = max(1, width // 100)
    image = np.zeros((height, width, 3), np.uint8)
    y, x = np.mgrid[:height, :width]
    image[(x - pixel[0]) ** 2 + (y - pixel[1]) ** 2 <= radius**2] = (0, 255, 0)
    cut = ViewCutter(rig).cut(0, image)
    assert cut.dtype == np.uint8
    assert cut.shape == (256, 256, 3)
    assert cut[..., [0, 2]].max() == 0
    weight = cut[..., 1].astype(float)
    rows, columns = np.mgrid[:256, :256]
    centre = np.array([(weight * columns).sum(), (weight * rows).sum()]) / weight.sum()
    expected = image_to_view(rig.cameras[0], rig.views[0], pixel.astype(float))
    np.testing.assert_allclose((centre + 0.5) / 4 - 0.5, expected, atol=0.05)


def test_outside_the_image_is_black_and_inside_is_not() -> None:
    rig = make_rig(1920, 1080)
    cut = ViewCutter(rig).cut(1, np.full((1080, 1920, 3), 90, np.uint8))
    assert (cut[128, 40:216] == 90).all()
    assert cut[:16].max() == 0
    assert cut[-16:].max() == 0


def test_fine_patterns_turn_grey_instead_of_aliasing() -> None:
    rig = make_rig(3840, 2160)
    checks = np.indices((2160, 3840)).sum(0) % 2 * 255
    cut = ViewCutter(rig).cut(0, np.repeat(checks[..., None], 3, 2).astype(np.uint8))
    assert cut[100:156, 100:156].astype(float).std() < 3


@pytest.mark.parametrize(
    "image",
    [np.zeros((240, 321, 3), np.uint8), np.zeros((240, 320), np.uint8), np.zeros((240, 320, 3), np.float32)],
)
def test_an_image_of_another_camera_is_refused(image: np.ndarray) -> None:
    with pytest.raises(InvalidImage, match="320×240") as caught:
        ViewCutter(make_rig(320, 240)).cut(1, image)
    assert caught.value.at == "b"


def test_a_rig_of_other_joints_is_told_to_send_heatmaps(tmp_path: Path) -> None:
    backbone = Backbone.load(write_backbone(tmp_path))
    check_skeleton(make_rig(320, 240), backbone)
    with pytest.raises(SkeletonMismatch, match="send heatmaps instead") as caught:
        check_skeleton(make_rig(320, 240, joints="h36m17"), backbone)
    assert isinstance(caught.value, RigFuseError)
