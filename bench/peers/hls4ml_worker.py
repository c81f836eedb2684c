"""Converts a QONNX file with hls4ml, builds its g++ emulation and times it; run by the interpreter of hls4ml's
environment, which needs neither tritloom nor its packages.

    python hls4ml_worker.py MODEL.onnx IMAGES.npy FOLDER RUNS   -> one line of JSON
"""

from __future__ import annotations

import importlib.metadata
import json
import resource
import sys
import time
from pathlib import Path
from typing import Any

import hls4ml
import numpy as np
from onnx import helper, numpy_helper
from qonnx.core.modelwrapper import ModelWrapper
from qonnx.core.onnx_exec import execute_onnx
from qonnx.util.cleanup import cleanup_model

PRECISION = "fixed<32,16>"
"""Of what has no precision of its own: wide enough that rounding does not decide."""


def without_gemm(model: ModelWrapper) -> ModelWrapper:
    """Gemm of a quantised weight [N, K] as MatMul of one [K, N], and Add: hls4ml has no Gemm.

    Qonnx's own GemmToMatMul takes neither a Gemm without bias nor opset 13 and later.
    """
    graph = model.model.graph
    tensors = {tensor.name: tensor for tensor in graph.initializer}
    makers = {output: node for node in graph.node for output in node.output}
    nodes, moved = [], set()
    for node in graph.node:
        if node.op_type != "Gemm":
            nodes.append(node)
            continue
        quantiser = makers[node.input[1]]
        moved.add(quantiser.output[0])
        for name in quantiser.input[:2]:
            values = numpy_helper.to_array(tensors[name])
            if values.ndim == 2:
                tensors[name].CopyFrom(numpy_helper.from_array(np.ascontiguousarray(values.T), name))
        product = f"{node.output[0]}_product" if len(node.input) > 2 else node.output[0]
        nodes.append(helper.make_node("MatMul", node.input[:2], [product], name=node.name))
        if len(node.input) > 2:
            nodes.append(helper.make_node("Add", [product, node.input[2]], [node.output[0]], name=f"{node.name}_bias"))
    del graph.node[:]
    graph.node.extend(nodes)
    for known in [value for value in graph.value_info if value.name in moved or value.name in tensors]:
        graph.value_info.remove(known)
    return with_shapes(cleanup_model(model))


def with_shapes(model: ModelWrapper) -> ModelWrapper:
    """hls4ml looks for every shape, those of initialisers too, among the value infos."""
    for tensor in model.model.graph.initializer:
        model.set_tensor_shape(tensor.name, list(tensor.dims))
    return model


def cpu() -> float:
    """CPU seconds of this process and its children."""
    uses = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(use.ru_utime + use.ru_stime for use in uses)


def convert(model: ModelWrapper, folder: str) -> Any:
    config = hls4ml.utils.config_from_onnx_model(
        model, granularity="name", backend="Vitis", default_precision=PRECISION
    )
    return hls4ml.converters.convert_from_onnx_model(
        model, output_dir=folder, io_type="io_parallel", backend="Vitis", hls_config=config
    )


def race(file: str, x: np.ndarray, folder: str, runs: int) -> dict[str, Any]:
    model = with_shapes(cleanup_model(ModelWrapper(file)))
    found: dict[str, Any] = {}
    try:
        config = convert(model, f"{folder}/as-exported")
        found["as_exported"] = "accepted"
    except Exception as error:  # noqa: BLE001 (hls4ml raises nothing narrower)
        found["as_exported"] = f"refused: {error}"
        model, config = without_gemm(model), None
    seconds, milliseconds = [], []
    for run in range(runs):
        start = cpu()
        config = convert(model, f"{folder}/{run}")
        converted = cpu()
        config.compile()
        seconds.append((converted - start, cpu() - converted))
        for _ in range(2):
            start = time.process_time()
            scores = config.predict(x)
            milliseconds.append((time.process_time() - start) / len(x) * 1e3)
    name, output = model.graph.input[0].name, model.graph.output[0].name
    wanted = np.concatenate([execute_onnx(model, {name: sample[None]})[output] for sample in x])
    best = min(seconds, key=sum)
    scores = np.asarray(scores).reshape(wanted.shape)
    return found | {
        "convert_seconds": best[0],
        "build_seconds": best[1],
        "sample_ms": min(milliseconds),
        "agreement": float((scores.argmax(1) == wanted.argmax(1)).mean()),
        "largest_difference": float(np.abs(scores - wanted).max()),
        "classes": wanted.argmax(1).tolist(),
    }


def main() -> None:
    file, images, folder, runs = sys.argv[1:]
    begun = cpu()
    stdout, sys.stdout = sys.stdout, sys.stderr
    try:
        found = race(file, np.load(images), folder, int(runs))
    except Exception as error:  # noqa: BLE001 (hls4ml raises nothing narrower)
        found = {"refused": f"{type(error).__name__}: {error}"}
    found["import_seconds"] = begun
    found["versions"] = {name: importlib.metadata.version(name) for name in ("hls4ml", "qonnx", "onnx", "numpy")}
    print(json.dumps(found), file=stdout)
    Path(folder, "result.json").write_text(json.dumps(found))


if __name__ == "__main__":
    main()
