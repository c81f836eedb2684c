"""The ONNX files of a brevitas model: QONNX, and plain ONNX with QuantizeLinear and DequantizeLinear."""

from __future__ import annotations

import logging
import tempfile
import warnings
from pathlib import Path

import brevitas.export
import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from torch import nn

Arrays = NDArray[np.float32]


def _brevitas_export(model: nn.Module, sample: torch.Tensor, form: str, dynamo: bool) -> onnx.ModelProto:
    write = {"qonnx": brevitas.export.export_qonnx, "qcdq": brevitas.export.export_onnx_qcdq}[form]
    names = {"input_names": ["x"], "output_names": ["scores"]}
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        path = Path(folder) / "model.onnx"
        options = {"dynamo": True, "verbose": False} if dynamo else {"dynamo": False, "opset_version": 13}
        write(model.eval(), args=sample, export_path=str(path), **names, **options)
        return onnx.load(path)


def _strip_trace(proto: onnx.ModelProto) -> None:
    """Drop the exporter's notes: stack traces with paths, and per-node bookkeeping."""
    values = (*proto.graph.input, *proto.graph.output, *proto.graph.value_info)
    for item in (*proto.graph.node, *values, *proto.graph.initializer):
        del item.metadata_props[:]
        item.doc_string = ""
    del proto.graph.metadata_props[:]
    proto.graph.doc_string = ""


def export(model: nn.Module, sample: torch.Tensor, path: Path, form: str, *, dynamo: bool = True) -> None:
    """Write `model` as "qonnx" or "qcdq", as brevitas' exporter on torch's new or old (`dynamo=False`) one does."""
    for name in ("torch.onnx", "onnxscript", "onnx_ir"):
        logging.getLogger(name).setLevel(logging.ERROR)
    proto = _brevitas_export(model, sample, form, dynamo)
    _strip_trace(proto)
    onnx.save(proto, path)


def run_plain(path: Path, x: NDArray[np.generic]) -> Arrays:
    """Scores of each sample of `x` by onnxruntime, its graph optimisations off."""
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 3
    session = ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    return np.concatenate([session.run(None, {name: sample[None]})[0] for sample in x])


def run_qonnx(path: Path, x: NDArray[np.generic]) -> Arrays:
    """Scores of each sample of `x` by qonnx's executor."""
    from qonnx.core.modelwrapper import ModelWrapper
    from qonnx.core.onnx_exec import execute_onnx
    from qonnx.transformation.infer_shapes import InferShapes

    model = ModelWrapper(str(path)).transform(InferShapes())
    name, output = model.graph.input[0].name, model.graph.output[0].name
    return np.concatenate([execute_onnx(model, {name: sample[None]})[output] for sample in x])
