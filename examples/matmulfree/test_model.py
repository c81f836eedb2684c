"""Checks of the training code; they need torch, so they run by hand: `pytest test_model.py`."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import onnxruntime as ort
import pytest
import torch
from torch import Tensor

sys.path.insert(0, str(Path(__file__).parent))

from checkpoint import load_model, save_model
from export import FORMS, TIE, clear_ties, export, model_metadata
from model import BitLinear, MatMulFreeLM, ModelConfig, quantize_weights
from scan import linear_scan

CONFIG = ModelConfig(vocab=64, hidden=32, layers=3, intermediate=64)


def make_model(ternary: bool = True) -> MatMulFreeLM:
    """A small model with random gains, bounds and weights."""
    torch.manual_seed(0)
    model = MatMulFreeLM(ModelConfig(64, 32, 3, 64, ternary=ternary)).eval()
    with torch.no_grad():
        model.model.embeddings.weight.normal_()
        model.model.lower_bounds.normal_()
        for name, parameter in model.named_parameters():
            if name.endswith("norm.weight"):
                parameter.mul_(1 + 0.2 * torch.randn_like(parameter))
    return model


def run_onnx(path: Path, ids: Tensor, layers: int, width: int) -> np.ndarray:
    """Teacher-forced logits [T, V] of an export, with graph optimisations off."""
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = ort.InferenceSession(str(path), options)
    states = {f"state.{n}": np.zeros((1, width), np.float32) for n in range(layers)}
    rows = []
    for token in ids.tolist():
        logits, *new = session.run(None, {"input_ids": np.array([token]), **states})
        states = dict(zip(states, new, strict=True))
        rows.append(logits[0])
    return np.stack(rows)


def test_scan_equals_loop_and_so_do_its_gradients() -> None:
    torch.manual_seed(0)
    f = torch.rand(2, 13, 5, dtype=torch.float64, requires_grad=True)
    c, h0 = torch.randn(2, 13, 5, dtype=torch.float64, requires_grad=True), torch.randn(2, 5)
    h, rows = h0.double(), []
    for t in range(13):
        h = f[:, t] * h + c[:, t]
        rows.append(h)
    loop, scan = torch.stack(rows, 1), linear_scan(f, c, h0.double())
    torch.testing.assert_close(scan, loop)
    weight = torch.randn_like(loop)
    expected = torch.autograd.grad((loop * weight).sum(), (f, c))
    actual = torch.autograd.grad((scan * weight).sum(), (f, c))
    torch.testing.assert_close(actual, expected)


@pytest.mark.parametrize("ternary", [True, False])
def test_step_path_equals_sequence_path(ternary: bool) -> None:
    model = make_model(ternary)
    ids = torch.randint(64, (2, 17))
    with torch.no_grad():
        sequence, last = model(ids, model.initial_states(2))
        states, rows = model.initial_states(2), []
        for t in range(17):
            logits, states = model.step(ids[:, t], states)
            rows.append(logits)
    torch.testing.assert_close(torch.stack(rows, 1), sequence, atol=1e-4, rtol=1e-4)
    for state, expected in zip(states, last, strict=True):
        torch.testing.assert_close(state, expected, atol=1e-5, rtol=1e-5)


def test_straight_through_gradient_is_that_of_the_fake_quantised_product() -> None:
    torch.manual_seed(0)
    bit = BitLinear(16, 8, ternary=True)
    with torch.no_grad():
        bit.weight.normal_()
    x = torch.randn(3, 4, 16)
    grad = torch.autograd.grad(bit(x).square().sum(), bit.weight)[0]
    trits, beta = quantize_weights(bit.weight)
    w = (trits * beta).detach().requires_grad_()
    y = bit.norm(x)
    s = 127 / y.abs().amax(-1, keepdim=True)
    out = ((y * s).round() / s) @ w.t()
    torch.testing.assert_close(grad, torch.autograd.grad(out.square().sum(), w)[0])


def test_checkpoint_round_trip(tmp_path: Path) -> None:
    model = make_model()
    save_model(model, tmp_path / "model.safetensors")
    loaded = load_model(tmp_path / "model.safetensors")
    assert loaded.config == model.config
    for name, tensor in model.state_dict().items():
        assert torch.equal(loaded.state_dict()[name], tensor)


def test_clearing_ties_keeps_the_trits() -> None:
    model = make_model()
    head = model.lm_head
    with torch.no_grad():
        head.weight[0, :8] = (0.5 + torch.linspace(-1, 1, 8) * TIE / 2) * quantize_weights(head.weight)[1]
    before = quantize_weights(head.weight)[0]
    clear_ties(model)
    after, beta = quantize_weights(head.weight)
    assert torch.equal(after, before)
    assert float((head.weight.abs() / beta - 0.5).abs().min().detach()) > TIE


@pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning")
def test_naive_and_baked_exports_equal_the_model(tmp_path: Path) -> None:
    model = make_model()
    ids = torch.randint(64, (24,))
    with torch.no_grad():
        expected = model(ids.unsqueeze(0), model.initial_states(1))[0][0].numpy()
    for form in FORMS:
        path = tmp_path / f"{form}.onnx"
        export(model, form, path, model_metadata(model, "tokenizer.json"))
        logits = run_onnx(path, ids, CONFIG.layers, CONFIG.hidden)
        # a code that falls on the other side of a tie moves a logit by about a percent
        assert np.abs(logits - expected).max() < 0.02 * np.abs(expected).max()
        assert np.median(np.abs(logits - expected)) < 1e-5
