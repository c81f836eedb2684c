"""Which output is the new value of which state, and how it is renewed."""

from __future__ import annotations

from pathlib import Path

import onnx
from onnx_models import WIDTH, Net
from skeleton import import_net, model_of, op_names, refusal
from tritloom.frontend import import_onnx

OWN_OUTPUT = (
    "every state needs an output of its own, which holds its new value; name them in the metadata"
    " 'tritloom.states' = \"state.0=state.0.out,state.1=state.1.out,...\" (input=output)"
)


def gated(net: Net, x: str, state: str) -> str:
    forget = net.add("Sigmoid", x)
    return net.add("Add", net.add("Mul", state, forget), net.add("Mul", x, net.add("Sub", 1.0, forget)))


def test_recurrence(tmp_path: Path) -> None:
    net = Net()
    x, h = net.token(), net.input("h", (1, WIDTH))
    new = gated(net, x, h)
    net.output("y", net.add("Relu", new))
    net.output("h_next", new)
    imported = import_net(net, tmp_path)
    assert op_names(imported) == ["embedding", "sigmoid", "fill", "sub", "mul", "recurrence", "relu", "return"]
    assert [(s.input.data, s.output.data) for s in model_of(imported).states] == [("h", "h_next")]


def test_another_update_reads_and_writes_the_state(tmp_path: Path) -> None:
    net = Net()
    x, h = net.token(), net.input("h", (WIDTH,))
    new = net.add("Max", x, h)
    net.output("y", net.add("Relu", new))
    net.output("h_next", net.add("Reshape", new, net.const("shape", [WIDTH])), (WIDTH,))
    assert op_names(import_net(net, tmp_path)) == ["embedding", "read_state", "max", "relu", "write_state", "return"]


def test_a_state_read_beside_its_recurrence(tmp_path: Path) -> None:
    net = Net()
    x, h = net.token(), net.input("h", (1, 1, WIDTH))
    flat = net.add("Squeeze", h, net.const("axis", [0]))
    new = gated(net, x, flat)
    net.output("y", net.add("Sub", new, flat))
    net.output("h_next", net.add("Unsqueeze", new, net.const("front", [0])), (1, 1, WIDTH))
    names = op_names(import_net(net, tmp_path))
    assert names.count("recurrence") == names.count("read_state") == 1


def swapped(net: Net) -> None:
    """Two layers whose state outputs stand in the other order."""
    x = net.token()
    a, b = net.input("past_a", (1, WIDTH)), net.input("past_b", (1, WIDTH))
    first = gated(net, x, a)
    second = gated(net, net.bitlinear(first), b)
    net.output("logits", net.bitlinear(second, "head"))
    net.output("present_b", second)
    net.output("present_a", first)


def test_states_are_paired_by_structure(tmp_path: Path) -> None:
    net = Net()
    swapped(net)
    states = model_of(import_net(net, tmp_path)).states
    assert [(s.input.data, s.output.data) for s in states] == [("past_a", "present_a"), ("past_b", "present_b")]


def test_equal_distance_is_decided_by_name(tmp_path: Path) -> None:
    net = Net()
    x = net.token()
    a, b = net.input("past.k", (1, WIDTH)), net.input("past.v", (1, WIDTH))
    total = net.add("Add", a, b)
    net.output("logits", net.add("Relu", x))
    net.output("present.v", net.add("Add", total, x))
    net.output("present.k", net.add("Sub", total, x))
    states = model_of(import_net(net, tmp_path)).states
    assert [(s.input.data, s.output.data) for s in states] == [("past.k", "present.k"), ("past.v", "present.v")]


def with_metadata(net: Net, text: str, folder: Path) -> Path:
    model = net.model()
    onnx.helper.set_model_props(model, {"tritloom.states": text})
    path = folder / "model.onnx"
    onnx.save(model, str(path))
    return path


def test_metadata_has_the_last_word(tmp_path: Path) -> None:
    net = Net()
    swapped(net)
    path = with_metadata(net, "past_a=present_b,past_b=present_a", tmp_path)
    states = model_of(import_onnx(path)).states
    assert [(s.input.data, s.output.data) for s in states] == [("past_a", "present_b"), ("past_b", "present_a")]


def test_metadata_that_names_no_output(tmp_path: Path) -> None:
    net = Net()
    swapped(net)
    error = refusal(with_metadata(net, "past_a=present_a,past_b=nothing", tmp_path))
    assert error.message == (
        "metadata 'tritloom.states' binds state 'past_b' to no output of its shape and of its own:"
        " 'past_a=present_a,past_b=nothing'"
    )
    assert error.hint == f"{OWN_OUTPUT}; or remove the entry, and the states are paired by structure"


def test_metadata_that_names_one_output_twice(tmp_path: Path) -> None:
    net = Net()
    swapped(net)
    error = refusal(with_metadata(net, "past_a=present_a,past_b=present_a", tmp_path))
    assert error.message == (
        "metadata 'tritloom.states' binds state 'past_b' to no output of its shape and of its own:"
        " 'past_a=present_a,past_b=present_a'"
    )


def test_an_input_without_a_new_value(tmp_path: Path) -> None:
    net = Net()
    x, h = net.token(), net.input("h", (1, WIDTH))
    net.output("y", net.bitlinear(net.add("Add", x, h)))
    error = refusal(net.save(tmp_path))
    assert error.message == ("input 'h' [1, 8] is neither the token nor a state: no single output holds its new value")
    assert error.hint == f"{OWN_OUTPUT}; or remove the input"
