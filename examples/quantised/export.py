"""The ONNX files of a brevitas model, and what they answer to held-out samples.

| file | |
|---|---|
| `<net>.qonnx.onnx` | QONNX: Quant nodes, as brevitas exports them |
| `<net>.onnx` | plain ONNX: QuantizeLinear, Clip, DequantizeLinear, as brevitas exports them |
| `<net>.float.onnx` | plain ONNX: float weights of {-s, 0, s}, quantised activations |
| `<net>.integer.onnx` | plain ONNX: QLinearConv, ConvInteger, MatMulInteger |
| `<net>.scores.npz` | the scores of each, `qonnx`, `qcdq`, `float`, `integer`, for the samples of heldout.npz |
| `heldout.npz` | `x` and labels `y` of up to 1,000 held-out samples; `scale` is what a byte's 1 is worth |

The last two forms of a net that reads images take their bytes (uint8), the others numbers between 0 and 1.
"""

from __future__ import annotations

import argparse
import logging
import tempfile
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path

import brevitas.export
import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from torch import nn

from .layers import clear_ties
from .plain import float_weights, integers
from .training import Recipe, Split

SAMPLES = 1000

Arrays = NDArray[np.float32]


def _brevitas_export(model: nn.Module, sample: torch.Tensor, form: str, options: dict[str, object]) -> onnx.ModelProto:
    write = {"qonnx": brevitas.export.export_qonnx, "qcdq": brevitas.export.export_onnx_qcdq}[form]
    names = {"input_names": ["x"], "output_names": ["scores"]}
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        path = Path(folder) / "model.onnx"
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


TODAY: dict[str, object] = {"dynamo": True, "verbose": False}
OLDER: dict[str, object] = {"dynamo": False, "opset_version": 13}
"""Of torch's exporters; `OLDER` goes through TorchScript."""


def convert(
    model: nn.Module, sample: torch.Tensor, form: str, options: dict[str, object] | None = None
) -> onnx.ModelProto:
    """`model` as "qonnx" or "qcdq", by brevitas on torch's exporter, with its `options` (`TODAY` by default)."""
    for name in ("torch.onnx", "onnxscript", "onnx_ir"):
        logging.getLogger(name).setLevel(logging.ERROR)
    proto = _brevitas_export(model, sample, form, options or TODAY)
    _strip_trace(proto)
    return proto


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


def write(model: nn.Module, sample: torch.Tensor, folder: Path, net: str) -> dict[str, Path]:
    """The four files of a net; their paths by form."""
    qcdq = convert(model, sample, "qcdq", OLDER)
    forms = {
        "qonnx": (f"{net}.qonnx.onnx", convert(model, sample, "qonnx")),
        "qcdq": (f"{net}.onnx", convert(model, sample, "qcdq")),
        "float": (f"{net}.float.onnx", float_weights(qcdq)),
        "integer": (f"{net}.integer.onnx", integers(qcdq)),
    }
    for name, proto in forms.values():
        onnx.save(proto, folder / name)
    return {form: folder / name for form, (name, _) in forms.items()}


def takes_bytes(path: Path) -> bool:
    """Whether a file's input is uint8."""
    entry = onnx.load(path).graph.input[0]
    return bool(entry.type.tensor_type.elem_type == onnx.TensorProto.UINT8)


def export(
    nets: Mapping[str, tuple[Callable[[], nn.Module], Recipe]],
    load: Callable[[], Split],
    finish: Callable[[nn.Module], None] = clear_ties,
    pixel: float | None = None,
) -> None:
    """The command line of an example: writes the files of a checkpoint beside it, or in `--folder`.

    Args:
        nets: What can be exported, by name.
        load: The data.
        finish: What is done to a model's parameters before.
        pixel: The value of a byte's 1 where samples are images, which are stored as bytes.
    """
    parser = argparse.ArgumentParser()
    parser.add_argument("net", choices=nets)
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("--folder", type=Path, required=True)
    args = parser.parse_args()
    torch.set_num_threads(1)
    model, data = nets[args.net][0](), load()
    model.load_state_dict(torch.load(args.checkpoint))
    finish(model)
    paths = write(model, data.x[:1], args.folder, args.net)

    x, y = data.x_held_out.numpy(), data.y_held_out.numpy()
    codes = np.rint(x / pixel).astype(np.uint8) if pixel else x
    scale = {"scale": np.float32(pixel)} if pixel else {}
    np.savez_compressed(args.folder / "heldout.npz", x=codes[:SAMPLES], y=y[:SAMPLES].astype(np.uint8), **scale)
    scores = {}
    for form, path in paths.items():
        run, count = (run_qonnx, SAMPLES) if form == "qonnx" else (run_plain, len(x))
        answer = run(path, (codes if takes_bytes(path) else x)[:count])
        scores[form] = answer[:SAMPLES]
        right = float(np.mean(answer.argmax(1) == y[:count]))
        print(f"{path.name}: {right:.4f} of {len(answer)} right, {path.stat().st_size} bytes")
    np.savez_compressed(args.folder / f"{args.net}.scores.npz", **scores)
