"""What the host makes of what a net's kernel writes, as the manifest states it (docs/bundle.md)."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..ir import flow, tern
from ..ir.mlir import ModuleOp, Operation, SSAValue, SymbolRefAttr
from ..ir.store import WeightStore

Document = dict[str, Any]


def stored_fields(net: tern.NetOp) -> Document:
    """How a frame lies in the output buffer: vectors of all channels' sums, or of what a ranking keeps."""
    (store,) = (op for op in net.body.block.ops if isinstance(op, flow.StoreOp))
    ranked = store.operand.owner
    while isinstance(ranked, flow.ResizeOp):
        ranked = ranked.operand.owner
    *pixels, channels = flow.stream_of(store.operand).shape
    fields = {"vectors": int(np.prod(pixels, dtype=np.int64)), "channels": channels, "kept": None}
    if isinstance(ranked, flow.TopKOp):
        kept = {"k": ranked.k.value.data, "sums": bool(ranked.pairs.value.data)}
        return {**fields, "channels": ranked.channels, "kept": kept}
    return fields


def output_fields(module: ModuleOp, store: WeightStore, net: tern.NetOp) -> list[Document]:
    """Every output: its port, and how it is made."""
    (returned,) = (op for op in net.body.block.ops if isinstance(op, tern.ReturnOp))
    return [
        {**port_fields(port, port.dtype), **_made(module, store, value)}
        for port, value in zip(net.output_ports, returned.values, strict=True)
    ]


def port_fields(port: tern.PortAttr, dtype: str) -> Document:
    """An input or output as the ONNX file has it."""
    return {"name": port.tensor.data, "dtype": dtype, "shape": port.dimensions, "axes": port.order}


def output_texts(module: ModuleOp, store: WeightStore, net: tern.NetOp) -> list[str]:
    """Every output in words: its name, its type, and what it is."""
    kept = stored_fields(net)["kept"]
    fields = output_fields(module, store, net)
    return [f"{output['name']} ({output['dtype']}, {_in_words(output, kept)})" for output in fields]


def _in_words(output: Document, kept: Document | None) -> str:
    function = output.get("function")
    if output["value"] == "scores":
        return f"{function} of the scores" if function else "the scores"
    what = "indices" if output["value"] == "indices" else function or "scores"
    by, ranked = ("by the host", output["rank"]) if kept is None else ("on the fabric", kept)
    return f"{what} of the best {ranked['k']}, ranked {by}"


def _made(module: ModuleOp, store: WeightStore, value: SSAValue) -> Document:
    """A value behind the store: what it is, of which scores, ranked by whom."""
    op, made = value.owner, Document()
    if isinstance(op, tern.TakeOp):
        made |= {"value": "values", "rank": _rank(store, op.indices.owner)}
        op = op.operand.owner
    if isinstance(op, tern.ActivationOp):
        made["function"] = str(op.kind.data)
        op = op.operand.owner
    if isinstance(op, tern.ScoresAtOp):
        made |= {"value": "values", "rank": _rank(store, op.indices.owner)}
    if isinstance(op, tern.ScoresOp | tern.ScoresAtOp):
        vectors = {"scale": _vector(module, store, op.scale), "offset": _vector(module, store, op.offset)}
        return {"value": "scores", "function": None, "rank": None, **made, **vectors}
    return {"value": "indices", "rank": _rank(store, op)}


def _vector(module: ModuleOp, store: WeightStore, reference: SymbolRefAttr) -> list[float]:
    return [float(value) for value in store.vector(module, reference.root_reference.data).astype(np.float32)]


def _rank(store: WeightStore, op: Operation | object) -> Document | None:
    """The host's ranking; None where the kernel has ranked."""
    if not isinstance(op, tern.TopKOp):
        return None
    keys = store.ranking(op.ranking.root_reference.data)
    tables = {"multiplier": keys.multiplier.tolist(), "bias": keys.bias.tolist()}
    return {"k": op.k.value.data, "last": bool(op.last.value.data), **tables}
