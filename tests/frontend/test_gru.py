"""A GRU of one step: written out, it is what onnxruntime computes; with ternary weights it compiles."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime as ort
import pytest
from onnx_models import WIDTH, Net, random_trits
from skeleton import op_counts, refusal
from tritloom.frontend import import_model
from tritloom.frontend.contrib import STANDARD, lower_contrib
from tritloom.ptq import quantise
from tritloom.ptq.rewrite import unique_names

HIDDEN = 16


def gru(linear_before_reset: int = 1, bias: bool = True, positions: int | str = 1, **attributes: object) -> Net:
    """Embedding, GRU with weights of one scale a gate, and a ternary head."""
    random, net = np.random.default_rng(0), Net()
    scales = np.repeat([0.3, 0.5, 0.25], HIDDEN)[:, np.newaxis].astype(np.float32)
    x = net.add("Reshape", net.token(), net.const("three", np.asarray([1, 1, WIDTH])))
    if positions != 1:
        x = net.input("x", (positions, 1, WIDTH))
    weights = [
        net.const(name, (random_trits(3 * HIDDEN, cols, seed) * scales)[np.newaxis].astype(np.float32))
        for seed, (name, cols) in enumerate((("W", WIDTH), ("R", HIDDEN)))
    ]
    biases = net.const("B", random.normal(size=(1, 6 * HIDDEN)).astype(np.float32)) if bias else ""
    h = net.add("Reshape", net.input("h", (1, HIDDEN)), net.const("state", np.asarray([1, 1, HIDDEN])))
    operands = [x, *weights, biases, "", h]
    y = net.add("GRU", *operands, outputs=2, hidden_size=HIDDEN, linear_before_reset=linear_before_reset, **attributes)
    new = net.add("Reshape", f"{y}_1", net.const("flat", np.asarray([1, HIDDEN])))
    head = net.bitlinear(net.add("Reshape", y, "flat"), "head", random_trits(WIDTH, HIDDEN, 5))
    net.output("y", head)
    net.output("h_next", new, (1, HIDDEN))
    return net


def run(model: onnx.ModelProto) -> list[np.ndarray]:
    """Three steps."""
    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    h, found = np.random.default_rng(1).normal(size=(1, HIDDEN)).astype(np.float32), []
    for token in (3, 1, 4):
        y, h = session.run(["y", "h_next"], {"input_ids": np.asarray([token]), "h": h})
        found += [y, h]
    return found


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("linear_before_reset", [0, 1])
def test_written_out(linear_before_reset: int, bias: bool) -> None:
    proto = gru(linear_before_reset, bias).model()
    model = ir.from_proto(proto)
    lower_contrib(model, STANDARD)
    unique_names(model)
    written = ir.to_proto(model)
    assert "GRU" not in {node.op_type for node in written.graph.node}
    for ours, theirs in zip(run(written), run(proto), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("linear_before_reset", [0, 1])
def test_import(linear_before_reset: int, tmp_path: Path) -> None:
    found = quantise(gru(linear_before_reset).save(tmp_path), None, activations=True)
    counts = op_counts(found.imported)
    assert (counts["dot"], counts["recurrence"]) == (7, 1)
    assert found.matrices == []
    assert len(found.products) == 6
    import_model(found.model)  # what is written can be imported again


def test_float_activations_are_told_of_the_gru(tmp_path: Path) -> None:
    lines = refusal(gru().save(tmp_path)).message.splitlines()
    assert lines[1] == "  MatMul (6 nodes): its activations are float: no absmax quantiser is in front of it"
    assert "node_GRU_" in lines[2]


@pytest.mark.parametrize("attributes", [{"direction": "reverse"}, {"activations": ["Relu", "Tanh"]}, {"clip": 1.0}])
def test_another_kind_is_refused_by_name(attributes: dict[str, object], tmp_path: Path) -> None:
    error = refusal(gru(**attributes).save(tmp_path))  # type: ignore[arg-type]
    assert "  GRU: it is no plain GRU of one step" in error.message
