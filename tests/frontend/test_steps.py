"""Stacked states, Scan, Loop and unrolled sequences become the step function that an export of one step is."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime as ort
import pytest
from onnx_models import VOCABULARY, WIDTH, Net, random_trits
from sequences import LAYERS, POSITIONS, SEQUENCES, STACKED, loop, model, one_step, scan
from skeleton import import_net, model_of, refusal, skeleton
from tritloom.frontend.steps import step_of, to_step
from tritloom.ir.interpreter import Interpreter

TOKENS = np.random.default_rng(0).integers(0, VOCABULARY, POSITIONS)


@pytest.mark.parametrize("form", [*STACKED, *SEQUENCES])
def test_the_same_step(form: str, tmp_path: Path) -> None:
    found = import_net((STACKED | SEQUENCES)[form](), tmp_path)
    assert skeleton(found) == skeleton(import_net(one_step(), tmp_path))
    states = model_of(found).states
    assert [state.size.data for state in states] == [WIDTH] * LAYERS
    assert len({state.input.data for state in states} | {state.output.data for state in states}) == 2 * LAYERS


def sequence_logits(net: Net) -> np.ndarray:
    """Logits of all tokens at once, states from zero, in onnxruntime."""
    session = ort.InferenceSession(net.model().SerializeToString(), providers=["CPUExecutionProvider"])
    zeros = {arg.name: np.zeros(arg.shape, np.float32) for arg in session.get_inputs() if arg.name != "input_ids"}
    return session.run(["logits"], {"input_ids": TOKENS, **zeros})[0]


@pytest.mark.parametrize("form", SEQUENCES)
def test_a_sequence_is_its_steps(form: str, tmp_path: Path) -> None:
    net = SEQUENCES[form]()
    found = import_net(net, tmp_path)
    step = Interpreter(found.module, found.store).run(TOKENS.tolist())
    expected = sequence_logits(net)
    assert np.abs(step.outputs["logits"] - expected).max() < 1e-4 * np.abs(expected).max()


@pytest.mark.parametrize("form", [*STACKED, *SEQUENCES])
def test_onnxruntime_runs_the_step_form(form: str) -> None:
    """What verification compares with: the step form in onnxruntime, one token at a time."""
    model = ir.from_proto((STACKED | SEQUENCES)[form]().model())
    assert to_step(model)
    proto = ir.to_proto(model)
    onnx.checker.check_model(proto)
    rows = {}
    for name, graph in (("step form", proto), ("one step", one_step().model())):
        session = ort.InferenceSession(graph.SerializeToString(), providers=["CPUExecutionProvider"])
        inputs = [arg.name for arg in session.get_inputs() if arg.name != "input_ids"]
        outputs = [arg.name for arg in session.get_outputs() if arg.name != "logits"]
        shapes = {arg.name: [dim if isinstance(dim, int) else 1 for dim in arg.shape] for arg in session.get_inputs()}
        states = {name: np.zeros(shapes[name], np.float32) for name in inputs}
        rows[name] = []
        for token in TOKENS:
            logits, *new = session.run(["logits", *outputs], {"input_ids": np.asarray([token]), **states})
            states = {name: value.reshape(shapes[name]) for name, value in zip(inputs, new, strict=True)}
            rows[name].append(logits.reshape(-1))
    np.testing.assert_allclose(rows["step form"], rows["one step"], rtol=1e-5, atol=1e-6)


def test_a_model_that_is_a_step_is_left_alone() -> None:
    model = ir.from_proto(one_step().model())
    before = ir.to_proto(model).SerializeToString(deterministic=True)
    assert not to_step(model)
    assert ir.to_proto(model).SerializeToString(deterministic=True) == before


@pytest.mark.parametrize("recur", [scan, loop])
def test_a_state_that_starts_elsewhere(recur: Callable[[bool], object], tmp_path: Path) -> None:
    """A constant start that is not zero would silently be every step's."""
    net = model(recur(False))  # type: ignore[arg-type]
    for node in net.nodes:
        if node.op_type == "ConstantOfShape":
            node.attribute.append(onnx.helper.make_attribute("value", onnx.helper.make_tensor("v", 1, [1], [0.5])))
    error = refusal(net.save(tmp_path))
    assert f"  {'Scan' if recur is scan else 'Loop'} (2 nodes): " in error.message


def test_a_scan_from_the_end(tmp_path: Path) -> None:
    net = model(scan(False))  # type: ignore[arg-type]
    for node in net.nodes:
        if node.op_type == "Scan":
            node.attribute.append(onnx.helper.make_attribute("scan_input_directions", [1, 1]))
    assert "  Scan (2 nodes): it does not go once over the positions" in refusal(net.save(tmp_path)).message


def test_a_loop_that_takes_other_positions(tmp_path: Path) -> None:
    """The first iteration takes the position behind the first: with one position there is none."""
    net = model(loop(False))  # type: ignore[arg-type]
    for node in net.nodes:
        if node.op_type == "Loop":
            body = node.attribute[0].g
            one = onnx.numpy_helper.from_array(np.asarray(0), "shift")
            body.initializer.append(one)
            for gather in body.node:
                if gather.op_type == "Gather":
                    gather.input[1] = "shifted"
            body.node.insert(0, onnx.helper.make_node("Add", ["n", "shift"], ["shifted"]))
    assert "  Loop (2 nodes): it does not go once over the positions" in refusal(net.save(tmp_path)).message


def test_a_stack_that_is_used_as_a_whole(tmp_path: Path) -> None:
    net = STACKED["Gather"]()
    net.add("Relu", "h")
    error = refusal(net.save(tmp_path))
    assert error.message == f"input 'h' [{LAYERS}, {WIDTH}] stacks {LAYERS} states in one tensor"


def test_states_named_in_the_metadata(tmp_path: Path) -> None:
    proto = STACKED["Split"]().model()
    onnx.helper.set_model_props(proto, {"tritloom.states": "h=h.out"})
    onnx.save(proto, str(tmp_path / "m.onnx"))
    net = ir.load(str(tmp_path / "m.onnx"))
    to_step(net)
    assert net.metadata_props["tritloom.states"] == "h.0=h.out.0,h.1=h.out.1"


def test_a_net_is_left_alone() -> None:
    """Its QLinear operators round once; written out, as those of a step are, they would not."""
    net = Net()
    x = net.input("x", (1, WIDTH))
    zero, one = net.const("zero", np.asarray(0, np.int8)), net.const("one", np.asarray(1, np.float32))
    codes = net.add("QuantizeLinear", x, one, zero)
    weight = net.const("w", random_trits())
    product = net.add("QLinearMatMul", codes, one, zero, weight, one, zero, one, zero)
    net.output("y", net.add("DequantizeLinear", product, one, zero))
    proto = net.model()
    assert step_of(proto) is proto
