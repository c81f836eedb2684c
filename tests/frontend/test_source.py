"""Steps that are fed with a vector of floats: which models are, which input is the vector, and their numbers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from numpy.typing import NDArray
from onnx import TensorProto
from onnx_models import WIDTH, Net, random_trits
from sequences import SEQUENCES, STACKED, one_step
from skeleton import import_model, import_net, model_of, op_names, refusal
from tritloom.errors import InputError
from tritloom.frontend import Imported, import_onnx
from tritloom.ir.canonical import canonical
from tritloom.ir.interpreter import Interpreter
from tritloom.ir.tern import NetOp
from tritloom.ir.text import ir_text, parse_ir
from tritloom.ptq import quantise, write

F32 = NDArray[np.float32]
ACCEPTED = "a step takes one vector of floats, [d], [1, d] or [1, 1, d], and states of such shapes"


def recurrent(net: Net, vector: str = "x", state: str = "h", shape: Any = (1, WIDTH)) -> Net:
    """h' = f*h + (1-f)*c of two products of the vector, and a head."""
    x, h = net.input(vector, shape), net.input(state, (1, WIDTH))
    x = x if len(shape) == 2 else net.add("Reshape", x, net.const("flat", np.asarray([1, WIDTH])))
    forget = net.add("Sigmoid", net.bitlinear(x, "f", random_trits(seed=1)))
    value = net.add("Mul", net.bitlinear(x, "c", random_trits(seed=2)), net.add("Sub", 1.0, forget))
    new = net.add("Add", net.add("Mul", h, forget), value)
    net.output("y", net.bitlinear(new, "head", random_trits(seed=3)))
    net.output(f"{state}.out", new)
    return net


def rows(count: int, length: int = WIDTH, seed: int = 0) -> F32:
    return np.random.default_rng(seed).standard_normal((count, length), dtype=np.float32)


def judged(path: Path, fed: F32, states: Mapping[str, str], source: str = "x") -> list[F32]:
    """onnxruntime's first output at every position."""
    session = ort.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    shapes = {arg.name: [dim if isinstance(dim, int) else 1 for dim in arg.shape] for arg in session.get_inputs()}
    current = {name: np.zeros(shapes[name], np.float32) for name in states}
    names = [arg.name for arg in session.get_outputs()]
    found = []
    for row in fed:
        outputs = dict(zip(names, session.run(None, {source: row.reshape(shapes[source]), **current}), strict=True))
        current = {name: outputs[out].reshape(shapes[name]) for name, out in states.items()}
        found.append(outputs[names[0]].reshape(-1))
    return found


def agrees(imported: Imported, wanted: list[F32], fed: F32) -> None:
    """The interpreter is where onnxruntime is, all positions at once, one by one, and fed as lists."""
    interpreter = Interpreter(imported.module, imported.store)
    (got,) = interpreter.run(fed).outputs.values()
    assert np.abs(got - np.stack(wanted)).max() < 1e-5 * np.abs(wanted).max() + 1e-6
    states, one_by_one = interpreter.zero_states(), []
    for row in fed:
        step = interpreter.run(row.tolist(), states)
        states = step.states
        one_by_one.append(next(iter(step.outputs.values()))[0])
    assert np.stack(one_by_one).tobytes() == got.tobytes()


@pytest.mark.parametrize("shape", [(WIDTH,), (1, WIDTH), (1, 1, WIDTH), ("batch", WIDTH), ("batch", "time", WIDTH)])
def test_a_vector_and_a_state(shape: tuple[int | str, ...], tmp_path: Path) -> None:
    net = recurrent(Net(), shape=shape)
    imported = import_net(net, tmp_path)
    model = model_of(imported)
    assert (model.source, model.token, model.vector_length) == ("x", None, WIDTH)
    assert [(s.input.data, s.output.data) for s in model.states] == [("h", "h.out")]
    assert "embedding" not in op_names(imported)
    agrees(imported, judged(tmp_path / "net.onnx", rows(12), {"h": "h.out"}), rows(12))


def test_a_state_that_is_read_and_written(tmp_path: Path) -> None:
    """One position at a time."""
    net = Net()
    x, h = net.input("x", (1, WIDTH)), net.input("h", (1, WIDTH))
    new = net.add("Max", net.add("Mul", h, 0.5), net.bitlinear(net.add("Add", x, h), "w"))
    net.output("y", net.bitlinear(new, "head", random_trits(seed=3)))
    net.output("h.out", new)
    imported = import_net(net, tmp_path)
    assert {"read_state", "write_state"} <= set(op_names(imported))
    agrees(imported, judged(tmp_path / "net.onnx", rows(12), {"h": "h.out"}), rows(12))


def test_the_text_of_the_ir(tmp_path: Path) -> None:
    module = import_net(recurrent(Net()), tmp_path).module
    assert '"net" vector "x" outputs ["y"]' in ir_text(module)
    assert parse_ir(ir_text(module)).is_structurally_equivalent(module)
    assert '"net" vector "x" outputs ["y"]' in ir_text(canonical(module))


def layer_norm(net: Net, x: str) -> str:
    return net.add("LayerNormalization", x, net.const("g", np.ones(WIDTH, np.float32)), axis=-1)


def static(net: Net, x: str) -> str:
    """A static quantiser, as the nets have it."""
    step = net.const(f"step{len(net.nodes)}", np.asarray(0.03, np.float32))
    zero = net.const(f"zero{len(net.nodes)}", np.asarray(0, np.int8))
    return net.add("DequantizeLinear", net.add("QuantizeLinear", x, step, zero), step, zero)


def product(net: Net, x: str, name: str = "w") -> str:
    matrix = random_trits(seed=len(name)).astype(np.float32) * np.float32(0.25)
    return net.add("MatMul", x, net.const(name, np.ascontiguousarray(matrix.T)))


def dynamic(net: Net, x: str) -> str:
    return net.bitlinear(x)


def lowest_and_highest(net: Net, x: str) -> str:
    """max|x| as the larger of the largest and of minus the smallest."""
    low = net.add("Neg", net.add("ReduceMin", x, net.axes(), keepdims=1))
    largest = net.add("Max", net.add("ReduceMax", x, net.axes(), keepdims=1), low)
    step = net.add("Div", 127.0, largest)
    codes = net.add("Clip", net.add("Round", net.add("Mul", x, step)), -128.0, 127.0)
    return product(net, net.add("Div", codes, step))


def dynamic_quantize_linear(net: Net, x: str) -> str:
    codes = net.add("DynamicQuantizeLinear", x, outputs=3)
    return product(net, net.add("DequantizeLinear", codes, f"{codes}_1", f"{codes}_2"))


def normed(net: Net, x: str) -> str:
    return product(net, static(net, net.rms_norm(x)))


def squared(net: Net, x: str) -> str:
    mean = net.add("ReduceMean", net.add("Mul", x, x), net.axes(), keepdims=1)
    return product(net, static(net, net.add("Div", x, net.add("Sqrt", net.add("Add", mean, 1e-6)))))


def layer_normed(net: Net, x: str) -> str:
    return product(net, static(net, layer_norm(net, x)))


STEPS: dict[str, Callable[[Net, str], str]] = {
    "dynamic absmax": dynamic,
    "of the lowest and the highest": lowest_and_highest,
    "DynamicQuantizeLinear": dynamic_quantize_linear,
    "RMSNorm of Pow": normed,
    "RMSNorm of Mul": squared,
    "LayerNormalization": layer_normed,
}


@pytest.mark.parametrize("name", STEPS)
def test_what_makes_a_step(name: str, tmp_path: Path) -> None:
    net = Net()
    net.output("y", STEPS[name](net, net.input("x", ("batch", WIDTH))))
    imported = import_net(net, tmp_path)
    assert model_of(imported).vector_length == WIDTH
    agrees(imported, judged(tmp_path / "net.onnx", rows(8), {}), rows(8))


def quantised_net(net: Net, x: str) -> str:
    return product(net, static(net, net.add("Relu", product(net, static(net, x)))), "w2")


def pooled(net: Net, x: str) -> str:
    """ReduceMax and ReduceMean as pooling, absmean of weights in the graph: none computes a scale from the input."""
    masters = net.const("m", np.random.default_rng(0).normal(size=(WIDTH, WIDTH)).astype(np.float32))
    beta = net.add("Clip", net.add("ReduceMax", net.add("Abs", masters), keepdims=0), 1e-5)
    trits = net.add("Clip", net.add("Round", net.add("Div", masters, beta)), -1.0, 1.0)
    return net.add("MatMul", static(net, x), net.add("Mul", trits, beta))


@pytest.mark.parametrize("build", [quantised_net, pooled])
@pytest.mark.parametrize("shape", [(1, WIDTH), ("batch", WIDTH)])
def test_a_net_stays_a_net(build: Callable[[Net, str], str], shape: tuple[int | str, ...], tmp_path: Path) -> None:
    net = Net()
    net.output("y", build(net, net.input("x", shape)), (shape[0], WIDTH))
    assert any(isinstance(op, NetOp) for op in import_net(net, tmp_path).module.ops)


def test_several_vectors_at_once_are_a_net(tmp_path: Path) -> None:
    net = Net()
    net.output("y", dynamic(net, net.input("x", (4, WIDTH))), (4, WIDTH))
    assert (
        "it computes a scale from each input: an integer net has static scales only"
        in refusal(net.save(tmp_path)).message
    )


def refused(model: onnx.ModelProto, folder: Path) -> InputError:
    path = folder / "model.onnx"
    onnx.save(model, str(path))
    return refusal(path)


def layers(order: list[str]) -> Net:
    """Two layers, each with a state that adds its own input: the vector, too, is added to a state."""
    net = Net()
    for name in order:
        net.input(name, (1, WIDTH))
    first = net.add("Add", net.add("Mul", "a", net.add("Sigmoid", net.bitlinear("x", "p"))), "x")
    second = net.add("Add", net.add("Mul", "b", net.add("Sigmoid", net.bitlinear(first, "q"))), first)
    net.output("y", net.bitlinear(second, "head"))
    net.output("b.new", second)
    net.output("a.new", first)
    return net


@pytest.mark.parametrize("order", [["x", "a", "b"], ["a", "x", "b"], ["b", "a", "x"]])
def test_the_vector_is_found_wherever_it_stands(order: list[str], tmp_path: Path) -> None:
    model = model_of(import_net(layers(order), tmp_path))
    assert model.source == "x"
    states = [(state.input.data, state.output.data) for state in model.states]
    assert states == [(name, f"{name}.new") for name in order if name != "x"]


def with_metadata(net: Net, text: str) -> onnx.ModelProto:
    model = net.model()
    onnx.helper.set_model_props(model, {"tritloom.states": text})
    return model


def test_the_metadata_says_what_is_a_state(tmp_path: Path) -> None:
    imported = import_model(with_metadata(recurrent(Net(), "one", "two"), "two=two.out"), tmp_path)
    assert model_of(imported).source == "one"


def test_alike_inputs(tmp_path: Path) -> None:
    """Nothing tells which of two inputs is the state."""
    net = Net()
    total = net.add("Add", net.input("one", (1, WIDTH)), net.input("other", (1, WIDTH)))
    net.output("y", net.bitlinear(total))
    net.output("z", total)
    error = refusal(net.save(tmp_path))
    assert error.message == (
        "nothing tells which input is the vector and which are states: 'one' FLOAT [1, 8], 'other' FLOAT [1, 8]"
    )
    imported = import_model(with_metadata(net, "other=z"), tmp_path)
    assert model_of(imported).source == "one"


def test_two_vectors(tmp_path: Path) -> None:
    net = recurrent(Net())
    net.outputs.clear()
    net.nodes = [node for node in net.nodes if not node.name.startswith("node_output")]
    net.output("y", net.bitlinear(net.add("Add", net.input("z", (1, WIDTH)), net.nodes[-1].output[0]), "last"))
    net.output("h.out", next(node.output[0] for node in net.nodes if node.op_type == "Add"))
    error = refusal(net.save(tmp_path))
    assert error.message == ("the model takes more than one vector: 'x' FLOAT [1, 8], 'z' FLOAT [1, 8] are no states")
    assert error.hint.startswith(f"{ACCEPTED}; every state needs an output of its own")


def test_no_vector(tmp_path: Path) -> None:
    """All inputs are states by the metadata."""
    error = refused(with_metadata(recurrent(Net()), "x=y,h=h.out"), tmp_path)
    assert error.message == (
        "the model takes no vector and no token: all its inputs are states: 'x' FLOAT [1, 8], 'h' FLOAT [1, 8]"
    )


def test_an_unknown_length(tmp_path: Path) -> None:
    model = with_metadata(recurrent(Net(), shape=(1, "d")), "h=h.out")
    error = refused(model, tmp_path)
    assert error.message == "dynamic dimensions that cannot be resolved: [1, d] of input 'x'"


def test_a_vector_of_halves(tmp_path: Path) -> None:
    net = recurrent(Net())
    net.inputs[0].type.tensor_type.elem_type = TensorProto.DOUBLE
    net.nodes.insert(0, onnx.helper.make_node("Cast", ["x"], ["narrow"], to=TensorProto.FLOAT))
    for node in net.nodes[1:]:
        node.input[:] = ["narrow" if name == "x" else name for name in node.input]
    model = with_metadata(net, "h=h.out")
    error = refused(model, tmp_path)
    assert error.message == "the model takes more than a token and states: 'x' DOUBLE [1, 8]"


def float_net(net: Net, x: str) -> str:
    return product(net, net.add("Relu", product(net, x, "w1")), "w22")


def test_a_float_net_becomes_a_step_only_when_asked(tmp_path: Path) -> None:
    net = Net()
    net.output("y", float_net(net, net.input("x", ("batch", WIDTH))), ("batch", WIDTH))
    path = net.save(tmp_path)
    assert "its activations are float: the input is not quantised" in refusal(path).message
    with pytest.raises(InputError, match="its activations are float: the input is not quantised"):
        quantise(path, "absmean", activations=False)
    found = quantise(path, None, activations=True)
    assert len(found.products) == 2
    written = tmp_path / "codes.onnx"
    write(found.model, written, force=False)
    imported = import_onnx(written)
    assert model_of(imported).vector_length == WIDTH
    agrees(imported, judged(written, rows(8), {}), rows(8))


def test_what_no_quantiser_helps_keeps_its_refusal(tmp_path: Path) -> None:
    """A net that is refused for another reason is told why no net takes it."""
    net = Net()
    x = net.input("x", ("batch", WIDTH))
    net.output("y", net.add("Mish", product(net, static(net, x))), ("batch", WIDTH))
    path = net.save(tmp_path)
    told = refusal(path).message
    with pytest.raises(InputError) as caught:
        quantise(path, None, activations=True)
    assert "Mish" in told
    assert "Mish" in caught.value.message


def test_a_step_of_static_quantisers_alone_is_none(tmp_path: Path) -> None:
    """It would compile as a step, but nothing in the file that is written would say that it is one."""
    net = Net()
    inner = net.add("Gelu", product(net, static(net, net.input("x", (1, WIDTH))), "w1"))
    net.output("y", product(net, static(net, inner), "w22"))
    path = net.save(tmp_path)
    told = refusal(path).message
    assert "Gelu: it is no rising function" in told
    with pytest.raises(InputError) as caught:
        quantise(path, None, activations=True)
    assert caught.value.message == told


def test_a_static_net_has_nothing_to_quantise(tmp_path: Path) -> None:
    net = Net()
    net.output("y", quantised_net(net, net.input("x", (1, WIDTH))))
    found = quantise(net.save(tmp_path), None, activations=True)
    assert not found.products
    assert any(isinstance(op, NetOp) for op in found.imported.module.ops)


FREE = [form for form in SEQUENCES if "fixed" not in form and "unrolled" not in form]
"""Forms whose number of positions is free. A fixed one may be that of frames, and the model a net."""


@pytest.mark.parametrize("form", [*FREE, *STACKED])
def test_sequences_and_stacks_of_vectors(form: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A sequence of vectors is its step, as one of tokens is."""
    monkeypatch.setattr(Net, "token", lambda net, shape: net.input("input_ids", (shape[0], WIDTH)))
    outputs = []
    for name, build in (("step", one_step), ("form", (SEQUENCES | STACKED)[form])):
        (tmp_path / name).mkdir()
        imported = import_net(build(), tmp_path / name)
        assert model_of(imported).source == "input_ids"
        outputs += Interpreter(imported.module, imported.store).run(rows(6)).outputs.values()
    assert outputs[0].tobytes() == outputs[1].tobytes()


def test_several_positions_of_a_step(tmp_path: Path) -> None:
    """The metadata, if it is empty, says that the model is a step without states."""
    net = Net()
    net.output("y", dynamic(net, net.input("x", (4, WIDTH))), (4, WIDTH))
    error = refused(with_metadata(net, ""), tmp_path)
    assert error.message == "input 'x' [4, 8] holds 4 vectors"
    assert error.hint == f"{ACCEPTED}: export one position"


def test_no_input(tmp_path: Path) -> None:
    net = Net()
    net.output("y", dynamic(net, net.const("x", np.ones((1, WIDTH), np.float32))))
    error = refused(with_metadata(net, ""), tmp_path)
    assert error.message == "the model has no input: neither a token nor a vector"
