"""`import_onnx`: from an ONNX file to a verified module of the `tern` dialect."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import onnx_ir as ir

from ..errors import InputError
from ..ir.mlir import ModuleOp, SSAValue, VerifyException
from ..ir.store import WeightStore
from .contrib import lower_contrib
from .emitter import Emitter
from .facts import Facts
from .feedforward import Codes, import_net
from .folding import fold_constants, store_folded, unknown_shapes
from .graph import Graph
from .patterns.embedding import EmbeddingMatch
from .problems import NotImported, unsupported
from .reader import infer_shapes, read_model
from .recognise import Cover, check, in_order, recognise, roots
from .residues import find_residues
from .source import check_positions, find_token, forget_shapes, is_step, pin_dimensions
from .states import pair_states
from .steps import is_loop, to_step

_TOKEN_KEYS: Final = ("tritloom.bos_token_id", "tritloom.eos_token_id")


@dataclass(frozen=True)
class Stage:
    """One step of the import: its name on the command line, how long it took, and how many nodes it left."""

    name: str
    seconds: float
    before: int
    after: int


@dataclass(frozen=True)
class Imported:
    """A model: its IR, the loaders of its constants, the file's metadata, and what the import did."""

    module: ModuleOp
    store: WeightStore
    metadata: dict[str, str]
    stages: list[Stage]
    near_ties: dict[str, int]
    """Weights quantised here from float masters: how many trits onnxruntime's float32 mean|W| might round otherwise."""
    passed: Sequence[str] = ()
    """Nodes of a net that only keep the order of what ArgMax or TopK ranks."""
    codes: Codes | None = None
    """Of a net: what its float input is said to hold, where the first layer needs it to."""


def import_onnx(path: Path) -> Imported:
    """Read an ONNX decoding step or feed-forward net, recognise its ternary layers, and build its IR.

    Raises:
        InputError: the file is no such model; the message says what is wrong and the hint what to do.
    """
    return import_model(read_model(path))


def import_model(model: ir.Model, as_step: bool = False) -> Imported:
    """The same of a model that has been read; it is changed. `as_step` takes it for a step, whatever it looks like.

    Raises:
        InputError: it is neither a decoding step nor a feed-forward net that can be imported.
    """
    return _import_step(model) if as_step or is_step(model) else _import_net(model)


def _import_net(model: ir.Model) -> Imported:
    """A feed-forward net: integer layers."""
    lower_contrib(model)
    net = import_net(model)
    stages = [
        Stage("fold-constants", net.seconds[0], net.nodes, net.run_time_nodes),
        Stage("import", net.seconds[1], net.run_time_nodes, net.operations),
    ]
    return Imported(net.module, net.store, dict(model.metadata_props), stages, net.near_ties, net.passed, net.codes)


def _import_step(model: ir.Model) -> Imported:
    """A decoding step."""
    graph = _prepare(model)
    metadata = dict(model.metadata_props)
    nodes = len(graph.model.graph)
    start = time.perf_counter()
    graph, left = _fold(graph)
    pair_states(graph, metadata)
    fold_time = time.perf_counter()
    with Facts() as facts:
        cover = recognise(graph, facts)
        check(graph, cover, facts)
        recognise_time = time.perf_counter()
        _check_tokens(metadata, cover)
        module, emitter = _emit(graph, cover, facts)
    operations = len(emitter.model.body.block.ops)
    stages = [
        Stage("fold-constants", fold_time - start, nodes, left),
        Stage("recognise-ternary", recognise_time - fold_time, left, len(cover.matches)),
        Stage("import", time.perf_counter() - recognise_time, len(cover.matches), operations),
    ]
    return Imported(module, emitter.store, metadata, stages, emitter.near_ties)


def _check_tokens(metadata: Mapping[str, str], cover: Cover) -> None:
    """Refuse the ids of special tokens that the model does not have.

    Raises:
        InputError: one is no integer, or outside the vocabulary, the rows of the embedding table.
    """
    tables = [match.table for match in cover.matches.values() if isinstance(match, EmbeddingMatch)]
    rows = min((table.shape[0] for table in tables), default=None)
    for key in _TOKEN_KEYS:
        if (text := metadata.get(key)) is None:
            continue
        integer = re.fullmatch("[0-9]{1,18}", text)
        if integer and (rows is None or int(text) < rows):
            continue
        last = "" if rows is None else f" to {rows - 1:,}, the rows of the embedding table"
        raise InputError(
            f"metadata '{key}' is {text[:40]!r}, which is no token: tokens are integers from 0{last}",
            "correct the entry, or remove it if the model has no such token",
        )


def _prepare(model: ir.Model) -> Graph:
    """Make a step of the model, rewrite other domains, pin the inputs to one position, and know every shape."""
    to_step(model)
    check_positions(model)
    if loops := [unsupported(node) for node in model.graph if is_loop(node)]:
        raise NotImported(loops, [], {})
    lower_contrib(model)
    token = find_token(model)
    pinned = pin_dimensions(model, token)
    if pinned:
        forget_shapes(model)
    if pinned or unknown_shapes(model):
        model = infer_shapes(model)
        token = find_token(model)
    return Graph(model, token)


def _fold(graph: Graph) -> tuple[Graph, int]:
    """Fold, and again while what was folded makes more shapes known. Returns how many nodes are left, too."""
    find_residues(graph)
    folded = fold_constants(graph)
    unknown = unknown_shapes(graph.model)
    while folded and unknown:
        store_folded(graph)
        model = infer_shapes(graph.model)
        graph = Graph(model, find_token(model))
        find_residues(graph)
        folded = fold_constants(graph)
        before, unknown = unknown, unknown_shapes(model)
        if unknown >= before:
            break
    return graph, len(graph.model.graph) - folded


def _emit(graph: Graph, cover: Cover, facts: Facts) -> tuple[ModuleOp, Emitter]:
    try:
        return _emit_verified(graph, cover, facts)
    except VerifyException as error:
        raise InputError(
            f"the model does not fit the compiler's form: {str(error).splitlines()[0]}",
            "please report this model: the importer should have said so in its own words",
        ) from error


def _emit_verified(graph: Graph, cover: Cover, facts: Facts) -> tuple[ModuleOp, Emitter]:
    emitter = Emitter(graph, facts)
    values: dict[ir.Value, SSAValue] = {}
    wanted = roots(graph)
    for value in in_order(cover, wanted):
        match = cover.matches[value]
        emitter.at(match.nodes)
        values[value] = match.emit(emitter, [values[operand] for operand in match.inputs])
    outputs = [values[value] for value in wanted[: len(emitter.outputs)]]
    module = emitter.finish(outputs, [values.get(state.source) for state in graph.states])
    module.verify()
    return module, emitter
