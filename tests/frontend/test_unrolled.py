"""Sequences of a fixed number of positions, as torch's exporters and people write them, are one step."""

from __future__ import annotations

import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime as ort
import pytest
from onnx import TensorProto
from onnx_models import VOCABULARY, WIDTH, Net, random_trits
from sequences import POSITIONS, UNROLLED, model, unrolled
from skeleton import import_net, model_of, refusal, skeleton
from tritloom.frontend import Imported, import_onnx
from tritloom.frontend.steps import to_step

FOLDER = Path(__file__).resolve().parents[1] / "fixtures" / "exporters"
NAMES = [name for name in zipfile.ZipFile(FOLDER / "sequences.zip").namelist() if not name.startswith("gru.")]
GRUS = [name for name in zipfile.ZipFile(FOLDER / "sequences.zip").namelist() if name.startswith("gru.")]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("sequences")
    zipfile.ZipFile(FOLDER / "sequences.zip").extractall(place)
    with zipfile.ZipFile(FOLDER / "models.zip") as steps:
        steps.extract("baked.dynamo20.optimised.onnx", place)
    return place


@pytest.fixture(scope="module")
def step(folder: Path) -> Imported:
    """The export of one step of the same model."""
    return import_onnx(folder / "baked.dynamo20.optimised.onnx")


SIMPLER = ("legacy17.folded.onnx", "dynamo20.optimised.onnx")
"""Exporters that leave less to look through."""


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.long] if name.endswith(SIMPLER) else []) for name in NAMES]
)
def test_the_step_of_a_sequence(name: str, folder: Path, step: Imported) -> None:
    found = import_onnx(folder / name)
    assert skeleton(found) == skeleton(step)
    states = [(state.input.data, state.output.data) for state in model_of(found).states]
    assert len({state for state, _ in states}) == len({output for _, output in states}) == 2
    if ".given." in name:
        assert [source for source, _ in states] == ["state.0", "state.1"]


@pytest.mark.parametrize("name", GRUS)
def test_a_gru(name: str, folder: Path) -> None:
    """The step form in onnxruntime, position by position, against torch's logits of all positions."""
    expected = np.load(FOLDER / "gru.npz")
    net = ir.load(folder / name)
    to_step(net)
    session = ort.InferenceSession(ir.to_proto(net).SerializeToString(), providers=["CPUExecutionProvider"])
    (state,) = (arg for arg in session.get_inputs() if arg.name != "input_ids")
    h = np.zeros(state.shape, np.float32)
    rows = []
    for token in expected["tokens"]:
        logits, h = session.run(None, {"input_ids": np.asarray([[token]]), state.name: h})
        rows.append(logits.reshape(-1))
    np.testing.assert_allclose(rows, expected["logits"], rtol=1e-5, atol=1e-6)
    error = refusal(folder / name)  # its activations are float, and everything else is known
    assert error.message.splitlines()[:2] == [
        "7 nodes are not supported:",
        "  MatMul (7 nodes): its activations are float: no absmax quantiser is in front of it",
    ]


def cell(net: Net, x: str, h: str, t: int) -> str:
    """A gated cell that multiplies its state with a matrix first, as RNN and GRU cells do."""
    gate = net.add("Sigmoid", net.add("Add", x, net.bitlinear(h, f"r{t}", random_trits(seed=7))))
    return net.add("Add", net.add("Mul", gate, h), net.add("Mul", x, net.add("Sub", 1.0, gate)))


def cells(start: str, positions: int) -> Net:
    net = Net()
    x = net.bitlinear(net.token((positions,)), "i", random_trits(seed=5))
    zeros = np.zeros((1, WIDTH), np.float32)
    h, rows = net.const("zeros", zeros) if start == "zeros" else net.input("h", (1, WIDTH)), []
    for t in range(positions):
        bounds = [net.const(f"{t}{key}", np.asarray([at])) for key, at in (("s", t), ("e", t + 1), ("x", 0))]
        h = cell(net, net.add("Slice", x, *bounds) if positions > 1 else x, h, t)
        rows.append(h)
    if start == "state":
        net.output("h.out", h)
    whole = net.add("Concat", *rows, axis=0) if positions > 1 else rows[0]
    net.output("y", net.bitlinear(whole, "w", random_trits(VOCABULARY, WIDTH)), (positions, VOCABULARY))
    return net


@pytest.mark.parametrize("positions", [2, 5])
@pytest.mark.parametrize("start", ["state", "zeros"])
def test_a_cell_that_works_on_its_state_first(start: str, positions: int, tmp_path: Path) -> None:
    found = import_net(cells(start, positions), tmp_path)
    assert skeleton(found) == skeleton(import_net(cells("state", 1), tmp_path))
    assert len(model_of(found).states) == 1


# What is no step at every position

Change = Callable[[Net], None]


def changed(change: Change, start: str = "zeros") -> Net:
    net = model(unrolled(start, "Concat"), POSITIONS)
    change(net)
    return net


def node_of(net: Net, op: str, t: int) -> onnx.NodeProto:
    """The node of a position in the first layer's recurrence."""
    slices = [node.output[0] for node in net.nodes if node.op_type == "Slice" and f"f0.{t}.s" in node.input[1]]
    (mul,) = (node for node in net.nodes if node.op_type == "Mul" and node.input[0] in slices)
    if op == "Mul":
        return mul
    (add,) = (node for node in net.nodes if node.op_type == "Add" and mul.output[0] in node.input)
    return add


def another_operator(net: Net) -> None:
    node_of(net, "Add", 7).op_type = "Sub"


def another_state(net: Net) -> None:
    """A position that uses the one before the one before it."""
    node_of(net, "Mul", 7).input[1] = node_of(net, "Add", 5).output[0]


def another_position(net: Net) -> None:
    """A position that takes what belongs to another one."""
    (wrong,) = (node.output[0] for node in net.nodes if node.op_type == "Slice" and "f0.5.s" in node.input[1])
    node_of(net, "Mul", 7).input[0] = wrong


def another_scale(net: Net) -> None:
    """One position has a constant of its own."""
    add = node_of(net, "Add", 7)
    add.input[1] = net.add("Mul", add.input[1], 0.5)
    net.nodes.insert(net.nodes.index(add), net.nodes.pop())


def another_start(net: Net) -> None:
    (start,) = (tensor for tensor in net.initializers if tensor.name == "zeros0")
    start.CopyFrom(onnx.numpy_helper.from_array(np.full((1, WIDTH), 0.5, np.float32), "zeros0"))


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (another_operator, "position 7 does something else than the one before it"),
        (another_state, "position 7 does something else than the one before it"),
        (another_position, "position 7 does something else than the one before it"),
        (another_scale, "position 7 does something else than the one before it"),
        (another_start, "position 1 does something else than the one before it, which has"),
    ],
)
def test_positions_that_differ(change: Change, told: str, tmp_path: Path) -> None:
    error = refusal(changed(change).save(tmp_path))
    assert told in error.message
    assert "export one decoding step, with one token and its states as inputs and outputs" in f"{error} {error.hint}"


def along(build: Callable[[Net, str], str], positions: int = 4) -> Net:
    """A sequence without recurrence."""
    net = Net()
    x = build(net, net.token((positions,)))
    net.output("y", net.bitlinear(x, "w", random_trits(VOCABULARY, WIDTH)), (positions, VOCABULARY))
    return net


def dynamic(net: Net, x: str) -> str:
    """One scale for all positions: other numbers than a step's."""
    codes = net.add("DynamicQuantizeLinear", x, outputs=3)
    return net.add("DequantizeLinear", codes, f"{codes}_1", f"{codes}_2")


MIXED: dict[str, tuple[Callable[[Net, str], str], str]] = {
    "DynamicQuantizeLinear": (dynamic, "it may mix the positions of the sequence"),
    "CumSum": (
        lambda net, x: net.add("CumSum", x, net.const("axis", np.asarray(0))),
        "it may mix the positions of the sequence",
    ),
    "ReduceMax": (
        lambda net, x: net.add("Sub", x, net.add("ReduceMax", x, net.const("axis", np.asarray([0])))),
        "it reduces over the positions of the sequence",
    ),
    "Softmax": (lambda net, x: net.add("Softmax", x, axis=0), "it normalises over the positions of the sequence"),
    "MatMul": (
        lambda net, x: net.add("MatMul", net.add("MatMul", x, net.add("Transpose", x, perm=[1, 0])), x),
        "it multiplies positions with each other",
    ),
    "Concat": (
        lambda net, x: net.add(
            "Concat",
            net.const("first", np.zeros((1, WIDTH), np.float32)),
            net.add("Slice", x, *(net.const(f"b{i}", np.asarray([at])) for i, at in enumerate((0, -1, 0)))),
            axis=0,
        ),
        "it takes some of the positions",
    ),
    "a table of positions": (
        lambda net, x: net.add("Add", x, net.const("where", np.random.default_rng(3).normal(size=(4, WIDTH)))),
        "its constant 'where' differs from position to position",
    ),
    "Gather": (lambda net, x: net.add("Gather", x, net.const("order", np.asarray([3, 2, 1, 0]))), "it picks several"),
    "the last of all": (
        lambda net, x: net.add("Add", x, net.add("Gather", x, net.const("last", np.asarray([3])))),
        "it combines one position with all",
    ),
}


def weights_of_positions(net: Net, x: str) -> str:
    """[T, 1, d] times [T, d, d]: a matrix for every position."""
    rows = net.add("Unsqueeze", x, net.const("one", np.asarray([1])))
    matrices = np.stack([random_trits(seed=t) for t in range(4)]).astype(np.float32)
    return net.add("Squeeze", net.add("MatMul", rows, net.const("matrices", matrices)), "one")


MIXED["a matrix for every position"] = (
    weights_of_positions,
    "its constant 'matrices' differs from position to position",
)


@pytest.mark.parametrize("name", MIXED)
def test_positions_that_mix(name: str, tmp_path: Path) -> None:
    build, told = MIXED[name]
    error = refusal(along(build).save(tmp_path))
    assert told in error.message
    assert "node is not supported" in error.message or "2 nodes are not supported" in error.message


def test_no_recurrence(tmp_path: Path) -> None:
    """As many independent steps; a constant with the same row for every position is one row."""

    def shifted(net: Net, x: str) -> str:
        return net.add("Add", x, net.const("row", np.tile(np.linspace(0, 1, WIDTH, dtype=np.float32), (net_rows, 1))))

    net_rows = 4
    found = import_net(along(shifted), tmp_path)
    net_rows = 1
    assert skeleton(found) == skeleton(import_net(along(shifted, 1), tmp_path))


def test_the_last_position_alone(tmp_path: Path) -> None:
    """A sequence that gives the logits of its last token only."""
    net = Net()
    x = net.add("Gather", net.token((4,)), net.const("last", np.asarray([-1])))
    net.output("y", net.bitlinear(x, "w", random_trits(VOCABULARY, WIDTH)), (1, VOCABULARY))
    assert skeleton(import_net(net, tmp_path)) == skeleton(import_net(along(lambda _, x: x, 1), tmp_path))


def test_the_first_position_alone(tmp_path: Path) -> None:
    """It would be every step's, from states of zero."""
    net = model(unrolled("zeros", "Concat"), POSITIONS)
    net.output("first", node_of(net, "Add", 0).output[0])
    error = refusal(net.save(tmp_path))
    assert error.message == "output 'first' holds some of the positions of the sequence"


def test_a_state_of_two_starts(tmp_path: Path) -> None:
    """Where one use of a state begins with zeros and another with an input, it is not one state."""
    net = Net()
    x = net.token((4,))
    h, other, rows = net.input("h", (1, WIDTH)), net.const("zeros", np.zeros((1, WIDTH), np.float32)), []
    for t in range(4):
        bounds = [net.const(f"{t}{key}", np.asarray([at])) for key, at in (("s", t), ("e", t + 1), ("x", 0))]
        h = net.add("Add", net.add("Add", h, other), net.add("Slice", x, *bounds))
        other = h
        rows.append(h)
    net.output("h.out", h)
    net.output(
        "y", net.bitlinear(net.add("Concat", *rows, axis=0), "w", random_trits(VOCABULARY, WIDTH)), (4, VOCABULARY)
    )
    assert "does something else than the one before it" in refusal(net.save(tmp_path)).message


def test_states_that_are_alike(tmp_path: Path) -> None:
    """Two states with one update and starts of their own stay two, each with its own start."""
    net = Net()
    x = net.token((4,))
    f, c = net.add("Sigmoid", net.bitlinear(x, "f", random_trits(seed=1))), net.bitlinear(x, "c", random_trits(seed=2))
    rows = []
    for name in ("a", "b"):
        h, states = net.input(name, (1, WIDTH)), []
        for t in range(4):
            bounds = [net.const(f"{name}{t}{key}", np.asarray([at])) for key, at in (("s", t), ("e", t + 1), ("x", 0))]
            h = net.add("Add", net.add("Mul", net.add("Slice", f, *bounds), h), net.add("Slice", c, *bounds))
            states.append(h)
        net.output(f"{name}.out", h)
        rows.append(net.add("Concat", *states, axis=0))
    joined = net.add("Add", net.add("Mul", rows[0], 2.0), rows[1])
    net.output("y", net.bitlinear(joined, "w", random_trits(VOCABULARY, WIDTH)), (4, VOCABULARY))
    found = model_of(import_net(net, tmp_path))
    assert [(state.input.data, state.output.data) for state in found.states] == [("a", "a.out"), ("b", "b.out")]


def test_several_sequences(tmp_path: Path) -> None:
    net = Net()
    net.output("y", net.bitlinear(net.token((2, 4))), (2, 4, WIDTH))
    error = refusal(net.save(tmp_path))
    assert error.message == "input 'input_ids' has shape [2, 4]: several positions at once are not accepted"


def test_the_names_of_new_states(tmp_path: Path) -> None:
    """They are no other value's."""
    net = UNROLLED["unrolled, zeros, Concat"]()
    net.nodes[0].output[0] = "state.0"
    for node in net.nodes[1:]:
        for index, name in enumerate(node.input):
            if name == "v0":
                node.input[index] = "state.0"
    states = [(state.input.data, state.output.data) for state in model_of(import_net(net, tmp_path)).states]
    assert states == [("state.0.1", "state.0.1.out"), ("state.1", "state.1.out")]


def test_a_token_that_is_no_sequence_is_left_alone() -> None:
    net = Net()
    net.input("input_ids", (1, 1), TensorProto.INT64)
    net.output("y", net.bitlinear(net.add("Gather", net.const("t", np.ones((4, WIDTH), np.float32)), "input_ids")))
    assert not to_step(ir.from_proto(net.model()))
