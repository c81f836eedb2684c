"""The weight store: roots, products, joined weights, repeated values, unknown names."""

from __future__ import annotations

import numpy as np
import pytest
from tritloom.ir.mlir import ModuleOp
from tritloom.ir.store import UnknownSymbol, WeightStore, trits_hash
from tritloom.ir.tern import VectorOp, WeightOp

A, B, C = (np.array(v, np.float32) for v in ([0.1, 3.0], [0.7, 5.0], [1.3, 7.0]))
TOP, BOTTOM = np.array([[1, 0, -1]], np.int8), np.array([[0, 1, 1], [-1, -1, -1]], np.int8)


@pytest.fixture
def module() -> ModuleOp:
    made = ModuleOp([
        VectorOp("a", 2), VectorOp("b", 2), VectorOp("c", 2),
        VectorOp("abc", 2, ("a", "b", "c")), VectorOp("nested", 2, ("abc", "a")), VectorOp("half", 3, splat=0.5),
        WeightOp("top", 1, 3, 1.0, ""), WeightOp("bottom", 2, 3, 1.0, ""),
        WeightOp("both", 3, 3, 1.0, "", ("top", "bottom")), WeightOp("more", 4, 3, 1.0, "", ("both", "top")),
    ])  # fmt: skip
    made.verify()
    return made


@pytest.fixture
def store() -> WeightStore:
    made = WeightStore()
    for name, values in (("a", A), ("b", B), ("c", C), ("top", TOP), ("bottom", BOTTOM)):
        made.add(name, lambda values=values: values)
    return made


def test_roots(module: ModuleOp, store: WeightStore) -> None:
    assert store.vector(module, "a").tobytes() == A.tobytes()
    assert store.matrix(module, "top").tolist() == TOP.tolist()
    assert store.trits("bottom").dtype == np.int8


def test_products_are_multiplied_left_to_right(module: ModuleOp, store: WeightStore) -> None:
    assert store.vector(module, "abc").tobytes() == ((A * B) * C).tobytes()
    assert store.vector(module, "nested").tobytes() == (((A * B) * C) * A).tobytes()


def test_repeated_values(module: ModuleOp, store: WeightStore) -> None:
    half = store.vector(module, "half")
    assert half.dtype == np.float32
    assert half.tolist() == [0.5, 0.5, 0.5]


def test_joined_weights(module: ModuleOp, store: WeightStore) -> None:
    assert store.matrix(module, "both").tolist() == [*TOP.tolist(), *BOTTOM.tolist()]
    assert store.matrix(module, "more").tolist() == [*TOP.tolist(), *BOTTOM.tolist(), *TOP.tolist()]


def test_values_are_cast_as_they_are_loaded(module: ModuleOp) -> None:
    wide = WeightStore()
    wide.add("a", lambda: A.astype(np.float64))
    wide.add("top", lambda: TOP.astype(np.int64))
    assert wide.root_vector("a").dtype == np.float32
    assert wide.trits("top").dtype == np.int8


def test_nothing_is_kept() -> None:
    calls: list[int] = []
    store = WeightStore()

    def load() -> np.ndarray:
        calls.append(1)
        return A

    store.add("a", load)
    store.root_vector("a")
    store.root_vector("a")
    assert len(calls) == 2


@pytest.mark.parametrize("ask", ["vector", "matrix", "table"])
def test_unknown_symbols(module: ModuleOp, store: WeightStore, ask: str) -> None:
    with pytest.raises(UnknownSymbol) as caught:
        store.table("nothing") if ask == "table" else getattr(store, ask)(module, "nothing")
    assert caught.value.name == "nothing"
    assert str(caught.value) == (
        "the weight store has no values for @nothing: give the ONNX file that the IR was made from"
    )


def test_a_declared_symbol_without_values(module: ModuleOp) -> None:
    with pytest.raises(UnknownSymbol, match="no values for @a:"):
        WeightStore().vector(module, "abc")


def test_the_hash_depends_on_the_trits_alone() -> None:
    assert trits_hash(TOP) == trits_hash(np.asfortranarray(TOP.astype(np.int64)))
    assert trits_hash(TOP) != trits_hash(-TOP)
