"""The digits MLP with what users of classifiers put behind its scores."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
from onnx import TensorProto, helper, numpy_helper

DIGITS = Path(__file__).resolve().parents[2] / "examples" / "digits"
Outputs = dict[str, int]
"""Names and element types of a graph's outputs."""


def arg_max(graph: onnx.GraphProto) -> Outputs:
    """The label, without a class axis."""
    graph.node.append(helper.make_node("ArgMax", ["scores"], ["label"], name="arg_max", axis=1, keepdims=0))
    return {"label": TensorProto.INT64}


def top_three(graph: onnx.GraphProto) -> Outputs:
    """Values and indices of the best three scores."""
    graph.initializer.append(numpy_helper.from_array(np.array([3]), "k"))
    graph.node.append(helper.make_node("TopK", ["scores", "k"], ["values", "indices"], name="top_k"))
    return {"values": TensorProto.FLOAT, "indices": TensorProto.INT64}


def probable_three(graph: onnx.GraphProto) -> Outputs:
    """Shares of the best three, behind a softmax; indices as bytes."""
    graph.initializer.append(numpy_helper.from_array(np.array([3]), "k"))
    graph.node.append(helper.make_node("Softmax", ["scores"], ["shares"], name="softmax", axis=1))
    graph.node.append(helper.make_node("TopK", ["shares", "k"], ["values", "wide"], name="top_k", axis=1))
    graph.node.append(helper.make_node("Cast", ["wide"], ["indices"], name="cast", to=TensorProto.UINT8))
    return {"values": TensorProto.FLOAT, "indices": TensorProto.UINT8}


def everything(graph: onnx.GraphProto) -> Outputs:
    """Scores, shares and the label."""
    graph.node.append(helper.make_node("Softmax", ["scores"], ["shares"], name="softmax", axis=-1))
    return {"scores": TensorProto.FLOAT, "shares": TensorProto.FLOAT} | arg_max(graph)


def save(build: Callable[[onnx.GraphProto], Outputs], folder: Path) -> Path:
    """The ONNX file of the digits MLP that ends so, its held-out samples beside it."""
    model = onnx.load(DIGITS / "mlp.float.onnx")
    outputs = build(model.graph)
    del model.graph.output[:]
    model.graph.output.extend(helper.make_tensor_value_info(name, kind, None) for name, kind in outputs.items())
    path = folder / f"{build.__name__}.onnx"
    onnx.save(onnx.shape_inference.infer_shapes(model), str(path))
    shutil.copy(DIGITS / "heldout.npz", folder)
    return path


def samples() -> tuple[np.ndarray, np.ndarray]:
    """Held-out images, and their classes."""
    arrays = np.load(DIGITS / "heldout.npz")
    return arrays["x"], arrays["y"]


def reference(path: Path, x: np.ndarray) -> dict[str, np.ndarray]:
    """onnxruntime's outputs of single frames, joined."""
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    parts = [session.run(None, {"x": sample[np.newaxis]}) for sample in x]
    return {name: np.concatenate(part) for name, part in zip(names, zip(*parts, strict=True), strict=True)}
