"""Reading an ONNX file: is it one, is it whole, is it valid."""

from __future__ import annotations

import logging
import mmap
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import onnx
import onnx_ir as ir
from onnx_ir.passes.common import InlinePass, ShapeInferencePass

from ..errors import InputError
from .contrib import MICROSOFT, UNCHECKED, needs_types
from .external import DataFiles, check_entries, check_inline
from .source import check_positions

_NOT_ONNX_HINT = "give the .onnx file that torch.onnx.export wrote (a checkpoint or a .data file is not one)"
_TRUNCATED_HINT = "the download or copy was cut off, or Git LFS left a pointer: fetch the file again"
_LAST_MODEL_FIELD = 32


def _varint(data: mmap.mmap, at: int) -> tuple[int, int]:
    value = shift = 0
    while at < len(data) and shift < 64:
        byte = data[at]
        value |= (byte & 127) << shift
        at += 1
        if byte < 128:
            return value, at
        shift += 7
    raise InputError("not a varint")


def _walk_fields(data: mmap.mmap) -> tuple[list[int], int]:
    """Numbers of the top-level protobuf fields, and where the last of them ends (past the end: truncated)."""
    fields: list[int] = []
    at = 0
    while at < len(data):
        tag, at = _varint(data, at)
        fields.append(tag >> 3)
        if fields[-1] < 1 or fields[-1] > _LAST_MODEL_FIELD:
            raise InputError("not a field of a model")
        kind = tag & 7
        if kind == 0:
            _, at = _varint(data, at)
        elif kind == 2:
            length, at = _varint(data, at)
            at += length
        else:
            raise InputError("not a type that a model has")
    return fields, at


def _check_container(path: Path) -> None:
    """Tell a file of another kind, and a truncated one, before protobuf does (it says neither)."""
    size = path.stat().st_size
    if not size:
        raise InputError(f"{path} is empty", _TRUNCATED_HINT)
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        try:
            fields, end = _walk_fields(data)
        except InputError:
            raise InputError(f"{path} is not an ONNX file", _NOT_ONNX_HINT) from None
    graph_field = onnx.ModelProto.DESCRIPTOR.fields_by_name["graph"].number
    if end > size and fields[0] == 1:
        raise InputError(f"{path} is truncated: it has {size:,} bytes of at least {end:,}", _TRUNCATED_HINT)
    if end > size or fields[0] != 1:
        raise InputError(f"{path} is not an ONNX file", _NOT_ONNX_HINT)
    if graph_field not in fields:
        raise InputError(f"{path} is truncated: it holds no graph", _TRUNCATED_HINT)


def _load(path: Path) -> ir.Model:
    from google.protobuf.message import DecodeError  # type: ignore[import-untyped, unused-ignore]

    try:
        with _quiet():
            proto = onnx.load(str(path), format="protobuf", load_external_data=False)
            check_entries(proto)
            check_inline(proto)
            return ir.from_proto(proto)
    except InputError:
        raise
    except (DecodeError, ValueError, TypeError, KeyError, RuntimeError) as error:
        raise InputError(f"{path} is damaged: {_first_line(error)}", _TRUNCATED_HINT) from error


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep onnx-ir's warnings about a file off the user's screen: we say the same, once, as an error."""
    logger = logging.getLogger("onnx_ir")
    level = logger.level
    logger.setLevel(logging.CRITICAL + 1)
    try:
        yield
    finally:
        logger.setLevel(level)


def _first_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0] if lines else type(error).__name__


def _checkable(path: Path) -> onnx.ModelProto:
    """The model as the checker takes it: external tensors as inputs (it refuses links, which our own check contains),
    and what onnxruntime alone has in the default domain in onnxruntime's."""
    model = onnx.load(str(path), format="protobuf", load_external_data=False)
    graph = model.graph
    declared = {value.name for value in graph.input}
    for tensor in [tensor for tensor in graph.initializer if tensor.data_location == onnx.TensorProto.EXTERNAL]:
        if tensor.name not in declared:
            graph.input.append(onnx.helper.make_tensor_value_info(tensor.name, tensor.data_type, tensor.dims))
        graph.initializer.remove(tensor)
    for node in list(graph.node):
        if not node.domain and node.op_type in UNCHECKED:
            node.domain = MICROSOFT
        for tensor in [a.t for a in node.attribute if a.t.data_location == onnx.TensorProto.EXTERNAL]:
            if node.op_type == "Constant":
                graph.input.append(onnx.helper.make_tensor_value_info(node.output[0], tensor.data_type, tensor.dims))
                graph.node.remove(node)
    if MICROSOFT not in {opset.domain for opset in model.opset_import}:
        model.opset_import.append(onnx.helper.make_opsetid(MICROSOFT, 1))
    return model


def _check_valid(path: Path, model: ir.Model, changed: bool) -> None:
    try:
        onnx.checker.check_model(_checkable(path) if changed else str(path), full_check=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError, ValueError, RuntimeError) as error:
        check_positions(model)
        raise InputError(
            f"{path} is not a valid ONNX model: {_first_line(error)}",
            "onnx.checker.check_model says the same: export the model again, with a released opset",
        ) from error


def _external_tensors(model: ir.Model) -> list[ir.ExternalTensor]:
    """External tensors, of initialisers and of attributes (a Constant node may point to a file too)."""
    tensors = [value.const_value for graph in model.graphs() for value in graph.initializers.values()]
    roots: list[ir.Graph | ir.Function] = [model.graph, *model.functions.values()]
    for root in roots:
        for node in ir.traversal.RecursiveGraphIterator(root):
            attributes = (attr for attr in node.attributes.values() if isinstance(attr, ir.Attr))
            tensors += [attr.as_tensor() for attr in attributes if attr.type == ir.AttributeType.TENSOR]
    return [tensor for tensor in tensors if isinstance(tensor, ir.ExternalTensor)]


def read_model(path: Path) -> ir.Model:
    """The model of an ONNX file, functions inlined; external data is checked and stays on disk.

    Raises:
        InputError: the file is missing, of another kind, truncated, invalid, or its external data is.
    """
    if not path.is_file():
        raise InputError(f"{path} does not exist", "give the path of an .onnx file")
    _check_container(path)
    model = _load(path)
    external = _external_tensors(model)
    files = DataFiles(path)
    for tensor in external:
        files.check(tensor)
    unchecked = any(not node.domain and node.op_type in UNCHECKED for node in model.graph)
    _check_valid(path, model, bool(external) or unchecked)
    if model.functions:
        model = InlinePass()(model).model
    return infer_shapes(model) if needs_types(model) else model


def infer_shapes(model: ir.Model) -> ir.Model:
    """Fill in missing shapes (onnx's own inference, large initialisers left out)."""
    try:
        with _quiet():
            result = ShapeInferencePass()(model)
            if not result.modified:  # onnx 1.22 fails at the data of a second Loop
                result = ShapeInferencePass(data_prop=False)(model)
            return result.model
    except (RuntimeError, ValueError) as error:
        raise InputError(
            f"shape inference failed: {_first_line(error)}", "export the model with static shapes, [1] or [1, 1] tokens"
        ) from error
