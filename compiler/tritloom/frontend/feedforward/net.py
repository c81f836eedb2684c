"""`import_net`: the graph from its input to its outputs, node by node."""

from __future__ import annotations

import time
from contextlib import suppress
from dataclasses import dataclass, replace
from fractions import Fraction

import onnx_ir as ir

from ...errors import InputError
from ...ir.mlir import ModuleOp, SSAValue, VerifyException, f32
from ...ir.steps import Boundary
from ...ir.store import WeightStore
from ...ir.tern import PortAttr, integer_type, tensor_of
from ..graph import Graph
from ..problems import NotImported, Refusal, node_label, shape_text
from ..residues import find_residues
from ..source import takes_a_vector
from .annotations import Codes, annotated_codes
from .builder import NetBuilder
from .constants import Constants
from .context import Net, Refused, Unknown
from .forms import Form, Term, axes_in_order
from .plain import FEWER_LEVELS, TWO_WAYS, stand_in
from .ports import Port, input_port
from .problems import SHAPED, unsupported
from .products import check_weight
from .results import ENDINGS, Result, Scored, behind
from .rows import ONE, ZERO
from .table import READERS
from .tensors import Emitted, FloatInput, Listed, Quantised, Staircase, TooManyLevels, Uniform

_FLOATS = 1 << 129
_OUTPUT_TYPES = frozenset(
    {ir.DataType.FLOAT, ir.DataType.FLOAT16, ir.DataType.DOUBLE}
    | {ir.DataType[f"{sign}INT{bits}"] for sign in ("", "U") for bits in (8, 16, 32, 64)}
)


@dataclass(frozen=True)
class ImportedNet:
    """A net: its module, the loaders of its constants, and what the import did."""

    module: ModuleOp
    store: WeightStore
    near_ties: dict[str, int]
    passed: list[str]
    """Nodes that only keep the order of what a ranking ranks."""
    nodes: int
    """Of the ONNX graph; and of these, what is computed at run time."""
    run_time_nodes: int
    operations: int
    seconds: tuple[float, float]
    """Of the constants, and of the rest."""
    codes: Codes | None
    """What a float input is said to hold, where the first layer needs it to."""


def import_net(model: ir.Model) -> ImportedNet:
    """The integer layers of a feed-forward net.

    Raises:
        InputError: it has several inputs, or nodes that are not supported; all of them are named.
    """
    source = _only_input(model)
    codes = annotated_codes(source) if source.dtype == ir.DataType.FLOAT else None
    if codes is not None:
        with suppress(InputError):  # a quantiser of the input's own is finer than what the input is said to hold
            return _import(model, source, None)
    return _import(model, source, codes)


def _import(model: ir.Model, source: ir.Value, codes: Codes | None) -> ImportedNet:
    start = time.perf_counter()
    graph = Graph(model, source)
    find_residues(graph)
    net, port = _begin(graph, source, codes)
    needed = _needed(model, net)
    fold_time = time.perf_counter()
    for node in needed:
        _read(net, node)
    module = _finish(net, model, port)
    operations = len(net.builder.net.body.block.ops)
    return ImportedNet(
        module,
        net.builder.store,
        net.constants.near_ties,
        [node_label(node) for node in net.passed],
        len(model.graph),
        len(needed),
        operations,
        (fold_time - start, time.perf_counter() - fold_time),
        codes,
    )


def _only_input(model: ir.Model) -> ir.Value:
    initializers = set(model.graph.initializers.values())
    inputs = [value for value in model.graph.inputs if value not in initializers]
    if len(inputs) == 1:
        return inputs[0]
    names = ", ".join(f"'{value.name}' {shape_text(value)}" for value in inputs) or "none"
    raise InputError(
        f"a feed-forward net has one input, this model has {len(inputs)}: {names}",
        "join the inputs in front of the model, or store constant ones as initializers",
    )


def _begin(graph: Graph, source: ir.Value, codes: Codes | None) -> tuple[Net, Port]:
    """The net with nothing but its input."""
    forms: dict[ir.Value, Form] = {}

    def shape(value: ir.Value) -> tuple[int, ...] | None:
        form = forms.get(value)
        return (port.batch, *form.index.shape) if form is not None else None

    constants = Constants(graph, shape)
    port = input_port(graph, source, constants)
    element = f32 if port.is_float else integer_type(8, source.dtype == ir.DataType.INT8)
    attribute = PortAttr.of(source.name or "", port.frame, port.axes)
    builder = NetBuilder(graph.model.graph.name or "net", attribute, tensor_of(port.shape, element))
    name = source.name or "input"
    if port.is_float:
        tensor: Emitted = FloatInput(port.shape, name, builder.argument, (-_FLOATS, _FLOATS))
    else:
        low = -128 if source.dtype == ir.DataType.INT8 else 0
        tensor = Emitted(port.shape, name, builder.argument, (low, low + 255))
    forms[source] = Form((Term(tensor, ONE),), port.index)
    if codes is not None:
        forms[source] = _of_codes(builder, forms[source], codes)
    return Net(builder, constants, port.batch, graph.residues, forms), port


def _of_codes(builder: NetBuilder, form: Form, codes: Codes) -> Form:
    """The float input as the codes that it holds."""
    staircase: Staircase = Uniform(ONE, ZERO)
    if codes.step != 1:
        staircase = Listed(((Boundary(Fraction(0), True),),), codes.low, codes.step)
    return Form((Term(Quantised(builder, form, staircase, codes.low, codes.high, "", ()), ONE),), form.index)


def _needed(model: ir.Model, net: Net) -> list[ir.Node]:
    """Nodes that the outputs need and that are computed at run time, in order."""
    wanted: set[ir.Node] = set()
    queue = list(model.graph.outputs)
    while queue:
        node = queue.pop().producer()
        if node is not None and node not in wanted:
            wanted.add(node)
            queue += [value for value in node.inputs if value is not None]
    return [node for node in model.graph if node in wanted and node.outputs[0] not in net.constants]


def _read(net: Net, node: ir.Node) -> None:
    """One node: its value; or a refusal, and a stand-in where the shape stays."""
    if node.outputs[0] in net.constants:
        return
    reader = READERS.get((node.domain, node.op_type))
    if (quantised := net.residues.get(node.outputs[0])) in net.forms:
        net.forms[node.outputs[0]] = net.forms[quantised].by(node)
        return
    try:
        if not node.domain and node.op_type in ENDINGS:
            net.results.update(zip(node.outputs, ENDINGS[node.op_type](net, node), strict=False))
            return
        if node.inputs and node.inputs[0] in net.results:
            net.results[node.outputs[0]] = behind(net, node)
            return
        if reader is None:
            net.refusals.append(unsupported(node))
        else:
            net.forms[node.outputs[0]] = reader(net, node)
            return
    except Unknown:
        with suppress(Refused, ValueError):
            check_weight(net, node)
        return
    except Refused as refused:
        net.refuse(node, refused.reason, refused.instead)
    except TooManyLevels as error:
        net.refuse(error.node, str(error), FEWER_LEVELS)
    except InputError as error:
        net.refuse(node, error.message, error.hint)
    except (ValueError, TypeError, IndexError, OverflowError) as error:
        told = (str(error) or type(error).__name__).splitlines()[0]
        net.refuse(node, f"it is malformed: {told}", "check its operands and attributes, and export it again")
    operand = node.inputs[0] if node.inputs else None
    if operand in net.forms and node.op_type not in SHAPED and len(node.outputs) == 1:
        net.forms[node.outputs[0]] = stand_in(net.forms[operand])


def _finish(net: Net, model: ir.Model, port: Port) -> ModuleOp:
    outputs = [_output(net, value) for value in model.graph.outputs]
    if net.refusals:
        raise NotImported(_with_a_third_way(net.refusals, model), [], {})
    found = [output for output in outputs if output is not None]
    if not found:
        raise InputError("the model's outputs are constants", "export the model with its input connected")
    module = net.builder.finish([value for value, _ in found], [port for _, port in found])
    try:
        module.verify()
    except VerifyException as error:
        raise InputError(
            f"the model does not fit the compiler's form: {str(error).splitlines()[0]}",
            "please report this model: the importer should have said so in its own words",
        ) from error
    return module


def _with_a_third_way(refusals: list[Refusal], model: ir.Model) -> list[Refusal]:
    """Float activations of a net that takes one vector may also be quantised as those of a step are."""
    if not takes_a_vector(model):
        return refusals
    return [
        replace(refusal, instead=f"{TWO_WAYS}, or as a step: --quantise-activations")
        if refusal.instead == TWO_WAYS
        else refusal
        for refusal in refusals
    ]


def _output(net: Net, output: ir.Value) -> tuple[SSAValue, PortAttr] | None:
    """An output: scores, or what stands behind them."""
    result = net.results.get(output)
    if result is None:
        node = output.producer()
        if node is None or output in net.constants:
            raise InputError(
                f"output '{output.name}' is constant, or the input itself", "remove it from the model's outputs"
            )
        if output not in net.forms:
            return None
        form = net.forms[output]
        result = Result(node, form.index, Scored(net, form, node).value)
    try:
        return result.emit(), _output_port(result, output)
    except Refused as refused:
        net.refuse(result.node, f"as an output: {refused.reason}", refused.instead)
    except TooManyLevels as error:
        net.refuse(error.node, str(error), FEWER_LEVELS)
    return None


def _output_port(result: Result, output: ir.Value) -> PortAttr:
    """How the output's axes lie in its tensor."""
    order = axes_in_order(result.index)
    if order is None:
        raise InputError(
            f"output '{output.name}' is a reshaped image", "end the model in a layer, a pooling or a Flatten of vectors"
        )
    default = "int64" if result.channels else "float32"
    dtype = output.dtype.numpy().name if output.dtype in _OUTPUT_TYPES else default
    return PortAttr.of(output.name or "", result.index.shape, order, dtype)
