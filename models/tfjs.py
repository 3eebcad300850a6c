"""A TF.js graph model → ONNX, for the operations of a MobileNet with a feature pyramid; feature maps become NCHW."""

import base64
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from models.errors import CorruptArtifact

OPSET: Final = 17
IR_VERSION: Final = 8

Weights = Mapping[str, NDArray[Any]]


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


def convert(document: Mapping[str, Any], binary: bytes, node: str, shape: Sequence[int]) -> onnx.ModelProto:
    """TF.js graph and weights → ONNX: images uint8 [N,256,256,3] → heatmaps float32 [N, *shape], the result of a node.

    The same source gives the same model. Its inferred shapes are held against ``shape``.
    """
    conversion = Conversion(_graph(document), _weights(document, binary))
    conversion.tensor(node)
    conversion.nodes[-1].output[0] = "heatmaps"
    images = helper.make_tensor_value_info("images", TensorProto.UINT8, ["N", 256, 256, 3])
    heatmaps = helper.make_tensor_value_info("heatmaps", TensorProto.FLOAT, ["N", *shape])
    graph = helper.make_graph(conversion.nodes, "backbone", [images], [heatmaps], conversion.initializers)
    opsets = [helper.make_opsetid("", OPSET)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=IR_VERSION, producer_name="models.tfjs")
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
