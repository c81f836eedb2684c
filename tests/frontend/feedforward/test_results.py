"""What stands behind the scores: indices, values and functions of them, against onnxruntime."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from checking import Array, check, import_model
from graphs import Graph, random_bytes, random_trits
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto
from tritloom.ir.tern import ActivationOp, ScoresAtOp, ScoresOp, TakeOp, TopKOp
from tritloom.survey import survey

CLASSES, PIXELS = 6, 9
Named = dict[str, tuple[str, int]]
"""Outputs: name -> value and type."""
INT64, FLOAT = TensorProto.INT64, TensorProto.FLOAT


def dense(g: Graph, x: str, rows: int, columns: int, bias: float, seed: int = 0) -> str:
    weight = np.random.default_rng(seed).integers(-1, 2, (rows, columns)).astype(np.float32) * np.float32(0.13)
    return g.add("Gemm", x, weight, np.linspace(-bias, bias, rows, dtype=np.float32), transB=1)


def scores(g: Graph, batch: int | str = "N") -> str:
    """Scores [N, 6] of one scale, with offsets."""
    hidden = g.quantised(dense(g, g.image([batch, PIXELS]), 12, PIXELS, 0.1), 0.05, bits=3)
    return dense(g, hidden, CLASSES, 12, 0.01, seed=1)


def pictures(g: Graph) -> str:
    """Scores [N, 6, 4, 4] of pixels, a scale for each class."""
    x = g.image(["N", 2, 4, 4])
    weight = random_trits(CLASSES, 2, 3, 3) * np.linspace(0.1, 0.7, CLASSES, dtype=np.float32).reshape(-1, 1, 1, 1)
    return g.add("Conv", x, weight, np.linspace(-1, 1, CLASSES, dtype=np.float32), pads=[1, 1, 1, 1])


def model(g: Graph, outputs: Named) -> onnx.ModelProto:
    """The graph with these outputs, whose shapes onnx infers."""
    for name, (value, kind) in outputs.items():
        g.nodes.append(onnx.helper.make_node("Identity", [value], [name], name=f"output_{name}"))
        g.outputs.append(onnx.helper.make_tensor_value_info(name, kind, None))
    return g.model()


def top(g: Graph, value: str, k: int, **attributes: object) -> tuple[str, str]:
    """Values and indices."""
    values = g.add("TopK", value, np.array([k]), outputs=2, **attributes)
    return values, g.nodes[-1].output[1]


def both(g: Graph, value: str, k: int = 3, **attributes: object) -> Named:
    values, indices = top(g, value, k, **attributes)
    return {"values": (values, FLOAT), "indices": (indices, INT64)}


def label(value: str, kind: int = INT64) -> Named:
    return {"label": (value, kind)}


Build = Callable[[Graph], Named]
FLAT: dict[str, Build] = {
    "ArgMax": lambda g: label(g.add("ArgMax", scores(g), axis=1)),
    "ArgMax of the last axis": lambda g: label(g.add("ArgMax", scores(g), axis=-1, keepdims=0)),
    "ArgMax, the last of equals": lambda g: label(g.add("ArgMax", scores(g), axis=1, select_last_index=1)),
    "ArgMin": lambda g: label(g.add("ArgMin", scores(g), axis=1, keepdims=0)),
    "ArgMin, the last of equals": lambda g: label(g.add("ArgMin", scores(g), axis=1, select_last_index=1)),
    "ArgMax, Cast": lambda g: label(g.add("Cast", g.add("ArgMax", scores(g), axis=1), to=TensorProto.UINT8), 2),
    "ArgMax, Squeeze": lambda g: label(g.add("Squeeze", g.add("ArgMax", scores(g), axis=1), np.array([1]))),
    "ArgMax, Reshape": lambda g: label(g.add("Reshape", g.add("ArgMax", scores(g), axis=1), np.array([-1]))),
    "Unsqueeze, ArgMax, Flatten": lambda g: label(
        g.add("Flatten", g.add("ArgMax", g.add("Unsqueeze", scores(g), np.array([1])), axis=2, keepdims=1))
    ),
    "TopK": lambda g: both(g, scores(g)),
    "TopK of all": lambda g: both(g, scores(g), CLASSES),
    "TopK of one": lambda g: both(g, scores(g), 1, axis=1),
    "TopK, smallest": lambda g: both(g, scores(g), largest=0),
    "indices of TopK": lambda g: {"i": (top(g, scores(g), 2)[1], INT64)},
    "values of TopK": lambda g: {"v": (top(g, scores(g), 2)[0], FLOAT)},
    "Softmax, ArgMax": lambda g: label(g.add("ArgMax", g.add("Softmax", scores(g)), axis=1)),
    "Softmax, TopK": lambda g: both(g, g.add("Softmax", scores(g))),
    "Sigmoid, TopK": lambda g: both(g, g.add("Sigmoid", scores(g))),
    "LogSoftmax, indices of TopK": lambda g: {"i": (top(g, g.add("LogSoftmax", scores(g)), 4)[1], INT64)},
    "Tanh, ArgMax": lambda g: label(g.add("ArgMax", g.add("Tanh", scores(g)), axis=1)),
    "negated": lambda g: label(g.add("ArgMax", g.add("Neg", scores(g)), axis=1)),
    "scale by class": lambda g: label(g.add("ArgMax", g.add("Mul", scores(g), SCALES), axis=1)),
    "codes": lambda g: label(g.add("ArgMax", g.quantised(scores(g), 0.1, zero=3, bits=3), axis=1)),
    "Softmax": lambda g: {"p": (g.add("Softmax", scores(g), axis=1), FLOAT)},
    "LogSoftmax": lambda g: {"p": (g.add("LogSoftmax", scores(g)), FLOAT)},
    "Sigmoid": lambda g: {"p": (g.add("Sigmoid", scores(g)), FLOAT)},
}
SCALES = np.float32([0.7, -0.9, 0.9, 0.81, 0.8, 1.1])


def many(g: Graph) -> Named:
    """Everything at once."""
    raw = scores(g)
    share = g.add("Softmax", raw)
    return {
        "scores": (raw, FLOAT),
        "share": (share, FLOAT),
        "label": (g.add("ArgMax", share, axis=1, keepdims=0), INT64),
        **both(g, raw),
    }


IMAGES: dict[str, Build] = {
    "ArgMax": lambda g: label(g.add("ArgMax", pictures(g), axis=1)),
    "ArgMax, no axis": lambda g: label(g.add("ArgMax", pictures(g), axis=1, keepdims=0)),
    "channels last": lambda g: label(
        g.add("ArgMax", g.add("Transpose", pictures(g), perm=[0, 2, 3, 1]), axis=-1, keepdims=0)
    ),
    "TopK": lambda g: both(g, pictures(g), axis=1),
    "Softmax": lambda g: {"p": (g.add("Softmax", pictures(g), axis=1), FLOAT)},
    "Softmax, TopK": lambda g: both(g, g.add("Softmax", pictures(g), axis=1), axis=1),
}
FLAT["many"] = many


@pytest.mark.parametrize("name", FLAT)
def test_of_vectors(name: str, tmp_path: Path) -> None:
    g = Graph()
    found = check(model(g, FLAT[name](g)), random_bytes(200, PIXELS), tmp_path)
    for values in found.scores.values():
        assert len(np.unique(values)) > 2


@pytest.mark.parametrize("name", IMAGES)
def test_of_every_pixel(name: str, tmp_path: Path) -> None:
    g = Graph()
    found = check(model(g, IMAGES[name](g)), random_bytes(20, 2, 4, 4), tmp_path)
    for values in found.scores.values():
        assert len(np.unique(values)) > 2


def count(build: Build, folder: Path) -> list[int]:
    """How many of each operation behind the sums."""
    g = Graph()
    module = import_model(model(g, build(g)), folder).module
    kinds = (ScoresOp, TopKOp, ScoresAtOp, TakeOp, ActivationOp)
    return [sum(isinstance(op, kind) for op in module.walk()) for kind in kinds]


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("ArgMax", [0, 1, 0, 0, 0]),
        ("TopK", [0, 1, 1, 0, 0]),
        ("indices of TopK", [0, 1, 0, 0, 0]),
        ("Softmax, ArgMax", [0, 1, 0, 0, 0]),
        ("Softmax, TopK", [1, 1, 0, 1, 1]),
        ("Sigmoid, TopK", [0, 1, 1, 0, 1]),
        ("many", [1, 2, 1, 0, 1]),
    ],
)
def test_nothing_is_made_that_no_output_needs(name: str, wanted: list[int], tmp_path: Path) -> None:
    assert count(FLAT[name], tmp_path) == wanted


def ties(g: Graph, op: str, **attributes: object) -> Named:
    """Sums of a few trits of bits: most of them are equal."""
    bits = g.add("Clip", g.input(["N", 4], TensorProto.UINT8), np.uint8(0), np.uint8(1))
    x = g.add("DequantizeLinear", bits, np.float32(0.5), np.uint8(0))
    raw = g.add("MatMul", x, random_trits(4, 5).astype(np.float32))
    if op == "TopK":
        return both(g, raw, 4, **attributes)
    return label(g.add(op, raw, axis=1, **attributes))


@pytest.mark.parametrize(
    ("op", "attributes"),
    [
        ("ArgMax", {}),
        ("ArgMax", {"select_last_index": 1}),
        ("ArgMin", {}),
        ("ArgMin", {"select_last_index": 1}),
        ("TopK", {}),
        ("TopK", {"largest": 0}),
    ],
)
def test_equal_scores_come_in_the_order_of_onnxruntime(op: str, attributes: dict[str, int], tmp_path: Path) -> None:
    g = Graph()
    x = np.random.default_rng(0).integers(0, 2, (64, 4)).astype(np.uint8)
    found = check(model(g, ties(g, op, **attributes)), x, tmp_path, exact=True)
    sums = (x @ random_trits(4, 5)).astype(int)
    assert any(len(set(row)) < 5 for row in sums.tolist())
    assert len(found.scores) == (2 if op == "TopK" else 1)


@settings(deadline=None, max_examples=40)
@given(seed=st.integers(0, 2**32 - 1), same=st.booleans())
def test_the_order_is_that_of_the_rational_scores(
    seed: int, same: bool, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Of integer sums with biases near each other, by one scale or by several; onnxruntime's in float64."""
    random = np.random.default_rng(seed)
    g = Graph()
    sums = g.add("MatMulInteger", g.input(["N", 5], TensorProto.INT8), random_trits(5, 7, seed=seed % 99))
    scale = random.uniform(0.5, 2, 1 if same else 7).astype(np.float32)
    offset = (random.integers(-3, 4, 7) * scale / 3).astype(np.float32)
    y = g.add("Add", g.add("Mul", g.add("Cast", sums, to=FLOAT), scale), offset)
    folder = tmp_path_factory.mktemp("order")
    x = random.integers(-2, 3, (60, 5)).astype(np.int8)
    found = check(model(g, both(g, y, 7)), x, folder)
    trits = random_trits(5, 7, seed=seed % 99).astype(np.int64)
    exact = (x.astype(np.int64) @ trits) * scale.astype(np.float64) + offset.astype(np.float64)
    ranked = np.take_along_axis(exact, found.scores["indices"], axis=1)
    assert (np.diff(ranked) <= 0).all()


def test_inspect_says_what_only_keeps_the_order(tmp_path: Path) -> None:
    g = Graph()
    raw = scores(g)
    outputs = label(g.add("ArgMax", g.add("Softmax", raw), axis=1))
    outputs["i"] = (top(g, g.add("Sigmoid", raw), 2)[1], INT64)
    outputs["p"] = (g.add("LogSoftmax", raw), FLOAT)
    onnx.save(model(g, outputs), str(tmp_path / "net.onnx"))
    became = {node.operator: node.became for node in survey(tmp_path / "net.onnx").nodes}
    assert became["Softmax"] == became["Sigmoid"] == "nothing: it keeps the order of what is ranked"
    assert became["ArgMax"] == became["TopK"] == "tern.top_k"
    assert became["LogSoftmax"] == "tern.scores, tern.activation"
    g = Graph()
    onnx.save(model(g, {"p": (g.add("Sigmoid", scores(g)), FLOAT)}), str(tmp_path / "sigmoid.onnx"))
    assert {node.operator: node.became for node in survey(tmp_path / "sigmoid.onnx").nodes}[
        "Sigmoid"
    ] == "tern.activation"


def test_a_softmax_before_opset_13(tmp_path: Path) -> None:
    """Its axis is 1 by default, and all behind it are flattened."""
    g = Graph(opset=12)
    check(model(g, {"p": (g.add("Softmax", scores(g)), FLOAT)}), random_bytes(20, PIXELS), tmp_path)


def test_outputs_have_the_types_of_the_file(tmp_path: Path) -> None:
    """Integer sums as they are; doubles."""
    g = Graph()
    x = g.input(["N", 5], TensorProto.INT8)
    sums = g.add("MatMulInteger", x, random_trits(5, 3))
    double = g.add("Cast", g.add("Cast", sums, to=FLOAT), to=TensorProto.DOUBLE)
    codes: Array = random_bytes(9, 5).view(np.int8)
    found = check(model(g, {"sums": (sums, TensorProto.INT32), "y": (double, TensorProto.DOUBLE)}), codes, tmp_path)
    assert [values.dtype.name for values in found.scores.values()] == ["int32", "float64"]
