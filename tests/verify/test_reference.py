"""onnxruntime as the judge: intermediate tensors, states, external data, float64, hoisted constants."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from tritloom.errors import InputError
from tritloom.frontend import import_onnx
from tritloom.ir import tern
from tritloom.verify.local import needed_tensors
from tritloom.verify.reference import Interface, Reference
from tritloom.verify.variants import gain_names
from tritloom.verify.weights import check_weights

from .conftest import BAKED, NAIVE

INTERFACE = Interface("input_ids", "logits", (("state.0", "state.0.out"), ("state.1", "state.1.out")))
TOKENS = [3, 1, 4]


def plain(path: Path) -> np.ndarray:
    """Logits of TOKENS by onnxruntime alone, without any optimisation."""
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = ort.InferenceSession(str(path), options)
    states = {f"state.{i}": np.zeros((1, 128), np.float32) for i in range(2)}
    rows = []
    for token in TOKENS:
        logits, *after = session.run(
            ["logits", "state.0.out", "state.1.out"], {"input_ids": np.array([token]), **states}
        )
        states = dict(zip(states, after, strict=True))
        rows.append(logits[0])
    return np.stack(rows)


@pytest.mark.parametrize("path", [BAKED, NAIVE], ids=["baked", "naive"])
def test_it_is_onnxruntime_bit_for_bit(path: Path) -> None:
    """Constants computed once, and tensors made outputs, change no number."""
    recording = Reference(path, INTERFACE).run(TOKENS, ["mul_3", "clamp_1"])
    assert np.array_equal(recording.values["logits"], plain(path))
    assert recording.values["mul_3"].shape == (3, 128)
    assert not recording.values["state.0"][0].any()
    assert np.array_equal(recording.values["state.0"][1], recording.values["state.0.out"][0])
    assert np.array_equal(recording.states["state.1"], recording.values["state.1.out"][2])


def test_states_can_be_given() -> None:
    reference = Reference(BAKED, INTERFACE)
    whole = reference.run(TOKENS)
    first = reference.run(TOKENS[:2])
    second = reference.run(TOKENS[2:], states=first.states)
    assert np.array_equal(second.values["logits"][0], whole.values["logits"][2])


@pytest.mark.parametrize("path", [BAKED, NAIVE], ids=["baked", "naive"])
def test_float64_is_near_and_not_the_same(path: Path) -> None:
    single = Reference(path, INTERFACE).run(TOKENS).values["logits"]
    double = Reference(path, INTERFACE, double=True).run(TOKENS).values["logits"]
    assert double.dtype == np.float64
    error = np.abs(double - single).max() / np.abs(double).max()
    assert 0 < error < 0.05


def test_external_data_stays_where_it_is(tmp_path: Path) -> None:
    model = onnx.load(BAKED)
    onnx.save(model, tmp_path / "model.onnx", save_as_external_data=True, location="weights.bin", size_threshold=512)
    reference = Reference(tmp_path / "model.onnx", INTERFACE)
    assert np.array_equal(reference.run(TOKENS).values["logits"], plain(BAKED))
    imported = import_onnx(tmp_path / "model.onnx")
    result = check_weights(imported.module, imported.store, reference)
    assert (result.findings, result.compared, result.trits) == ([], 13, 786432)


def test_tensors_before_rounding_and_matrices_are_found() -> None:
    reference = Reference(NAIVE, INTERFACE)
    imported = import_onnx(NAIVE)
    tensors = needed_tensors(imported.module, reference)
    codes = [
        name
        for op in next(op for op in imported.module.ops if isinstance(op, tern.ModelOp)).body.block.ops
        if isinstance(op, tern.QuantizeAbsmaxOp)
        for name in [op.attributes["onnx"].data[0].data]
    ]
    assert len(codes) == 13
    assert {reference.rounded(name) for name in codes} <= set(tensors)
    assert reference.rounded("logits") is None
    found = reference.matrix("logits")
    assert found is not None
    assert reference.matrices([found.tensor])[found.tensor].shape == (2048, 128)


def test_gains_are_found_and_bounds_are_not() -> None:
    reference = Reference(BAKED, INTERFACE)
    names = gain_names(import_onnx(BAKED).module, reference)
    assert len(names) == 20
    assert all("norm" in name for name in names)


def test_trits_of_masters_differ_at_ties_only() -> None:
    """onnxruntime sums mean|W| in float32, the importer in float64."""
    imported = import_onnx(NAIVE)
    result = check_weights(imported.module, imported.store, Reference(NAIVE, INTERFACE))
    assert result.findings == []
    assert result.compared == 13
    assert sum(result.ties.values()) <= 5
    assert result.judged.keys() == result.ties.keys()


def test_a_wrong_trit_is_named() -> None:
    imported = import_onnx(BAKED)
    trits = imported.store.trits("lm_head").copy()
    trits[7, 9] = 1 if trits[7, 9] < 1 else -1
    imported.store.add("lm_head", lambda: trits)
    (finding,) = check_weights(imported.module, imported.store, Reference(BAKED, INTERFACE)).findings
    assert finding.startswith("@lm_head (ONNX tensor '")
    assert "differs in 1 of 262144 trits; row 7, column 9: " in finding


def test_no_model() -> None:
    with pytest.raises(InputError, match="cannot read"):
        Reference(Path("/nowhere/model.onnx"), INTERFACE)


def test_what_onnxruntime_refuses_is_an_error_of_ours(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"onnxruntime \S+ refuses tiny-baked\.onnx"):
        Reference(BAKED, INTERFACE).run(TOKENS, ["no such tensor"])
    (tmp_path / "text.onnx").write_text("this is no model")
    with pytest.raises(InputError, match="is no ONNX file"):
        Reference(tmp_path / "text.onnx", INTERFACE)
