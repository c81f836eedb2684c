"""`tritloom inspect`: what a model is, before it is compiled."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated, Any

import typer

from . import quantise
from .console import emit, emit_json, grouped, megabytes, show, table, working
from .options import Debug, Json, Model
from .problems import INPUT_AT_FAULT
from .quantise import Activations, Calibration, Ternarise

if TYPE_CHECKING:
    from rich.console import RenderableType

    from tritloom.survey import Survey
    from tritloom.survey.constants import Weight


def inspect(
    model: Model,
    nodes: Annotated[bool, typer.Option("--nodes", help="A row for every ONNX node: what it became.")] = False,
    ternarise: Ternarise = None,
    quantise_activations: Activations = False,
    calibration: Calibration = None,
    tokenizer: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", exists=True, dir_okay=False, help="Tokenizer of the text, if not beside the model."
        ),
    ] = None,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Show what a model is before compiling it: its layers, ternary weights,
    quantisers and states, what its ONNX nodes became, and all that is not
    supported.

    Exit code 2 where something is not supported.
    """
    from tritloom.survey import survey

    with working(f"reading {model.name}"), TemporaryDirectory(prefix="tritloom-inspect-") as scratch:
        wish = quantise.Wish(ternarise, quantise_activations, calibration, tokenizer)
        with quantise.quantised(model, wish, Path(scratch) / model.name) as changes:
            found = replace(survey(model if changes is None else changes.file), model=model)
    if as_json:
        emit_json(to_json(found) | ({} if changes is None else {"quantised": changes.to_json() | {"model": None}}))
    elif nodes:
        show(table(("node", "operator", "became"), [(n.name, n.operator, n.became) for n in found.nodes]))
    else:
        show(*(quantise.tables(changes) if changes is not None else []), *tables(found))
        if found.supported:
            emit(summary(found))
        if changes is not None:
            emit(quantise.sentences(changes))
    if not found.supported:
        raise typer.Exit(INPUT_AT_FAULT)


def to_json(found: Survey) -> dict[str, Any]:
    """All of it."""
    figures = {
        "supported": found.supported,
        "ternary_weights": found.ternary_weights,
        "bits_per_weight": round(found.packed_bits, 4) if found.is_step else None,
        "entropy_bits": round(found.entropy_bits, 4),
        "bytes_per_token": found.bytes_per_token() if found.is_step else None,
    }
    return {**asdict(found), "model": str(found.model), **figures}


def tables(found: Survey) -> list[RenderableType]:
    """The tables that say something, with an empty line between them."""
    parts = [_interface(found), _weights(found), _activations(found), _operators(found), _refused(found)]
    shown: list[RenderableType] = []
    for part in parts:
        if part is not None:
            shown += [part, ""]
    return shown


def _interface(found: Survey) -> RenderableType:
    new = {state.input: f"state, new value in {_numberless(state.output)}" for state in found.states}
    outputs = {state.output for state in found.states}
    values = [
        (value, new.get(value.name, "vector" if value.name == found.vector else "input")) for value in found.inputs
    ]
    values += [(value, "output") for value in found.outputs if value.name not in outputs]
    alike: dict[tuple[str, str, str, str], list[str]] = {}
    for value, what in values:
        alike.setdefault((_numberless(value.name), value.type, value.shape, what), []).append(value.name)
    rows = [(_one_name(names), len(names), *key[1:]) for key, names in alike.items()]
    title = f"{found.model.name} (opset {found.opset})"
    return table(("tensor", "number", "type", "shape", "is"), rows, title=title, right=" >")


def _numberless(name: str) -> str:
    return re.sub(r"\d+", "*", name)


def _one_name(names: Sequence[str]) -> str:
    """One name for those that differ in numbers alone."""
    return names[0] if len(names) == 1 else _numberless(names[0])


def _weights(found: Survey) -> RenderableType | None:
    if not found.weights and not found.tables:
        return None
    alike: dict[tuple[str, int, int, bool], list[Weight]] = {}
    for weight in found.weights:
        key = (_numberless(weight.name), weight.rows, weight.cols, weight.per_row)
        alike.setdefault(key, []).append(weight)
    rows = [_weight_row(group) for group in alike.values()]
    rows += [(t.name, 1, f"{t.rows} x {t.cols}", "", f"{t.format} table") for t in found.tables]
    return table(("weight", "number", "shape", "zeros", "scale"), rows, title="Weights", right=" >>>")


def _weight_row(group: Sequence[Weight]) -> tuple[object, ...]:
    """Weights of one shape whose names differ in numbers alone."""
    first = group[0]
    name = _one_name([weight.name for weight in group])
    shares = [weight.zeros / weight.count for weight in group]
    low, high = min(weight.scales[0] for weight in group), max(weight.scales[1] for weight in group)
    scale = f"{low:.3g}" if low == high else f"{low:.3g} to {high:.3g}"
    zeros = _span(100 * min(shares), 100 * max(shares))
    return name, len(group), f"{first.rows} x {first.cols}", zeros, scale + (", by row" if first.per_row else "")


def _span(low: float, high: float) -> str:
    return f"{low:.1f} %" if f"{low:.1f}" == f"{high:.1f}" else f"{low:.1f} to {high:.1f} %"


def _activations(found: Survey) -> RenderableType | None:
    rows = [(one.operation, one.count, one.codes) for one in found.quantisers]
    if not rows:
        return None
    return table(("quantiser", "number", "codes"), rows, title="Activation quantisers", right=" >")


def _operators(found: Survey) -> RenderableType:
    from tritloom.survey.nodes import by_operator

    rows = [(kind, count, became) for kind, became, count in by_operator(found.nodes)]
    return table(("operator", "nodes", "became"), rows, title="ONNX nodes", right=" >")


def _refused(found: Survey) -> RenderableType | None:
    if found.supported:
        return None
    rows = [(one.operator, len(one.nodes) or "", one.reason, one.instead) for one in found.refused]
    return table(("operator", "nodes", "reason", "instead"), rows, title="Not supported", right=" >")


def summary(found: Survey) -> str:
    """The figures at the end."""
    if not found.is_step:
        bits = f"{found.entropy_bits:.2f} bits of information each"
        return (
            f"{grouped(found.ternary_weights)} ternary weights, {bits}; those of a feed-forward net stay on the chip."
        )
    parts = found.bytes_per_token()
    detail = ", ".join(f"{megabytes(size)} {name}" for name, size in parts.items() if size)
    states = f"{len(found.states)} states of {grouped(sum(state.size for state in found.states))} floats. "
    fed = "token" if found.vector is None else "vector"
    lines = [
        f"{grouped(found.ternary_weights)} ternary weights, {found.packed_bits:.2f} bits each in memory"
        f" ({found.entropy_bits:.2f} bits of information). {states if found.states else ''}".rstrip(),
        f"{megabytes(sum(parts.values()))} read per {fed}: {detail} (a board's ports may add padding).",
    ]
    if found.near_ties:
        lines.append(
            f"{grouped(sum(found.near_ties.values()))} float masters lie so near to a rounding boundary that"
            " another runtime may make other trits of them (docs/import.md, Float masters)."
        )
    return "\n".join(lines)
