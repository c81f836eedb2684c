"""One small model with two recurrent layers, as a step and in the forms in which it is a whole sequence."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import onnx
from onnx import TensorProto, helper
from onnx_models import VOCABULARY, WIDTH, Net, random_trits

LAYERS = 2
F32 = TensorProto.FLOAT
Recur = Callable[[Net, str, str, int], str]
"""(net, forget, input, layer) -> the states that follow, one a position."""


def value(name: str, *shape: int | str, kind: int = F32) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, kind, shape)


def model(recur: Recur, positions: int | str = "T", states: Callable[[Net], None] | None = None) -> Net:
    """`recur` computes the recurrence of a layer."""
    net = Net(opset=20)
    x = net.token((positions,))
    for layer in range(LAYERS):
        f, i = (net.bitlinear(x, f"{gate}{layer}", random_trits(seed=2 * layer + k)) for k, gate in enumerate("fi"))
        f = net.add("Sigmoid", f)
        c = net.add("Mul", i, net.add("Sub", 1.0, f))
        x = net.add("Add", x, net.bitlinear(recur(net, f, c, layer), f"o{layer}", random_trits(seed=9 + layer)))
    net.output("logits", net.bitlinear(x, "head", random_trits(VOCABULARY, WIDTH, 20)), (positions, VOCABULARY))
    if states is not None:
        states(net)
    return net


def step(net: Net, f: str, c: str, layer: int) -> str:
    h = net.add("Add", net.add("Mul", f, net.input(f"h{layer}", (1, WIDTH))), c)
    net.output(f"h{layer}.out", h)
    return h


def one_step() -> Net:
    return model(step, 1)


def _stacked(part: Callable[[Net, str, int], str], shape: tuple[int, ...]) -> Net:
    new: list[str] = []

    def recur(net: Net, f: str, c: str, layer: int) -> str:
        if not layer:
            net.input("h", shape)
        old = net.add("Reshape", part(net, "h", layer), net.const(f"row{layer}", np.asarray([1, WIDTH])))
        new.append(net.add("Add", net.add("Mul", f, old), c))
        return new[-1]

    def together(net: Net) -> None:
        axis = next(axis for axis, dim in enumerate(shape) if dim == LAYERS)
        one = net.const("one", np.asarray([1 if dim == LAYERS else dim for dim in shape]))
        net.output("h.out", net.add("Concat", *(net.add("Reshape", h, one) for h in new), axis=axis), shape)

    return model(recur, 1, together)


def gathered(net: Net, stack: str, layer: int) -> str:
    return net.add("Gather", stack, net.const(f"at{layer}", np.asarray(layer - LAYERS)), axis=0)


def sliced(net: Net, stack: str, layer: int) -> str:
    bounds = (net.const(f"b{layer}.{key}", np.asarray([at])) for key, at in (("s", layer), ("e", layer + 1), ("a", 1)))
    return net.add("Slice", stack, *bounds)


def split(net: Net, stack: str, layer: int) -> str:
    if layer:
        return "parts_1"
    net.nodes.append(helper.make_node("Split", [stack], ["parts", "parts_1"], name="split", axis=0, num_outputs=2))
    return "parts"


STACKED = {
    "Gather": lambda: _stacked(gathered, (LAYERS, WIDTH)),
    "Slice": lambda: _stacked(sliced, (1, LAYERS, WIDTH)),
    "Split": lambda: _stacked(split, (LAYERS, 1, WIDTH)),
}


def _body(layer: int, condition: bool) -> onnx.GraphProto:
    """One position. A Loop's body takes its rows from outside by the number of the iteration."""
    pre = f"l{layer}."
    nodes = []
    if condition:
        for name in ("f", "c"):
            nodes.append(helper.make_node("Gather", [f"{pre}all.{name}", "n"], [name], axis=0))
        nodes.append(helper.make_node("Identity", ["going"], ["on"]))
    nodes += [
        helper.make_node("Mul", ["f", "old"], ["kept"]),
        helper.make_node("Add", ["kept", "c"], ["new"]),
        helper.make_node("Identity", ["new"], ["row"]),
    ]
    state, row, boolean, number = value("old", WIDTH), value("row", WIDTH), TensorProto.BOOL, TensorProto.INT64
    if condition:
        inputs = [value("n", kind=number), value("going", kind=boolean), state]
        return helper.make_graph(nodes, f"body{layer}", inputs, [value("on", kind=boolean), value("new", WIDTH), row])
    return helper.make_graph(
        nodes, f"body{layer}", [state, value("f", WIDTH), value("c", WIDTH)], [value("new", WIDTH), row]
    )


def scan(explicit: bool) -> Recur:
    """Scan; the state is an input and an output, or starts at zero inside."""

    def recur(net: Net, f: str, c: str, layer: int) -> str:
        start = _start(net, layer, explicit)
        body = _body(layer, condition=False)
        last = net.add("Scan", start, f, c, outputs=2, body=body, num_scan_inputs=2)
        _end(net, last, layer, explicit)
        return f"{last}_1"

    return recur


def loop(explicit: bool) -> Recur:
    """Loop over the number of tokens."""

    def recur(net: Net, f: str, c: str, layer: int) -> str:
        start = _start(net, layer, explicit)
        net.nodes += [
            helper.make_node("Identity", [source], [f"l{layer}.all.{name}"], name=f"l{layer}.{name}")
            for name, source in (("f", f), ("c", c))
        ]
        count = net.add("Gather", net.add("Shape", "input_ids"), net.const(f"first{layer}", np.asarray(0)))
        going = net.const(f"going{layer}", np.asarray(True))
        last = net.add("Loop", count, going, start, outputs=2, body=_body(layer, condition=True))
        _end(net, last, layer, explicit)
        return f"{last}_1"

    return recur


def _start(net: Net, layer: int, explicit: bool) -> str:
    if explicit:
        return net.input(f"h{layer}", (WIDTH,))
    return net.add("ConstantOfShape", net.const(f"size{layer}", np.asarray([WIDTH])))


def _end(net: Net, last: str, layer: int, explicit: bool) -> None:
    if explicit:
        net.output(f"h{layer}.out", last, (WIDTH,))


def unrolled(start: str, join: str) -> Recur:
    """A step after the other. `start` is what the first one has in the place of a state: the state itself, zeros, or
    nothing; `join` how their results become one value again."""

    def recur(net: Net, f: str, c: str, layer: int) -> str:
        h = {"state": lambda: net.input(f"h{layer}", (1, WIDTH)), "zeros": lambda: _zeros(net, layer), "none": str}[
            start
        ]()
        rows = []
        for t in range(POSITIONS):
            forget, new = (_position(net, value, t, f"{name}{layer}.{t}") for name, value in (("f", f), ("c", c)))
            h = net.add("Add", net.add("Mul", forget, h), new) if h else new
            rows.append(h)
        if start == "state":
            net.output(f"h{layer}.out", h)
        if join == "Concat":
            return net.add("Concat", *rows, axis=0)
        whole = net.const(f"buffer{layer}", np.zeros((POSITIONS, WIDTH), np.float32))
        for t, row in enumerate(rows):
            whole = net.add("ScatterND", whole, net.const(f"at{layer}.{t}", np.asarray([[t]])), row)
        return whole

    return recur


def _zeros(net: Net, layer: int) -> str:
    return net.const(f"zeros{layer}", np.zeros((1, WIDTH), np.float32))


def _position(net: Net, value: str, t: int, name: str) -> str:
    bounds = (net.const(f"{name}.{key}", np.asarray([at])) for key, at in (("s", t), ("e", t + 1), ("a", 0)))
    return net.add("Slice", value, *bounds)


POSITIONS = 24
UNROLLED = {
    f"unrolled, {start}, {join}": lambda start=start, join=join: model(unrolled(start, join), POSITIONS)  # type: ignore[misc]
    for start in ("state", "zeros", "none")
    for join in ("Concat", "ScatterND")
}
SEQUENCES = {
    "Scan": lambda: model(scan(explicit=True)),
    "Scan from zero": lambda: model(scan(explicit=False)),
    "Loop": lambda: model(loop(explicit=True)),
    "Loop from zero": lambda: model(loop(explicit=False)),
    "Scan, fixed": lambda: model(scan(explicit=True), POSITIONS),
    "Loop from zero, fixed": lambda: model(loop(explicit=False), POSITIONS),
    **UNROLLED,
}
