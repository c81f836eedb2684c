"""By hand, with torch and brevitas, from the top of the source tree: `python -m pytest examples/quantised`."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from brevitas.core.quant import IntQuant
from torch import nn

from examples.quantised.export import run_plain, run_qonnx, write
from examples.quantised.layers import TIE, Residual, clear_ties, conv, identity, linear, relu
from examples.quantised.quantisers import ImageInput, Quantiser, signed, unsigned

torch.set_num_threads(1)

pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.mark.parametrize("quantiser", [unsigned(2), unsigned(4), signed(5), unsigned(4, power_of_two=True)])
def test_the_fused_quantiser_is_brevitas(quantiser: Quantiser) -> None:
    x, g = torch.randn(64, 8), torch.randn(64, 8)
    results = []
    for module in (identity(quantiser), identity(quantiser.let(int_quant=IntQuant))):
        torch.manual_seed(0)
        for _ in range(40):
            module(torch.randn(64, 8))
        leaf = x.clone().requires_grad_()
        module.zero_grad()
        y = module(leaf)
        y.backward(g)
        (scale,) = module.parameters()
        results.append((y.detach(), leaf.grad, scale.grad))
    ours, theirs = results
    assert torch.equal(ours[0], theirs[0])
    assert len(ours[0].unique()) > 3
    torch.testing.assert_close(ours[1], theirs[1])
    torch.testing.assert_close(ours[2], theirs[2])


def test_ties_are_cleared_and_trits_kept() -> None:
    layer = linear(8, 8)
    with torch.no_grad():
        scale = layer.weight.abs().mean()
        layer.weight[0, 0] = 0.5000001 * scale
        layer.weight[0, 1] = -0.4999999 * scale
    before = layer.quant_weight().int()
    clear_ties(layer)
    assert torch.equal(layer.quant_weight().int(), before)
    distance = (layer.weight.abs() / layer.quant_weight().scale - 0.5).abs()
    assert float(distance.min()) > TIE


def small_net() -> nn.Module:
    """Both residual blocks and a pool, with statistics."""
    torch.manual_seed(0)
    net = nn.Sequential(
        identity(ImageInput),
        conv(1, 8, 3, stride=2, padding=1),
        nn.BatchNorm2d(8),
        relu(unsigned(4)),
        Residual(8, 4, 5, shared=True),
        nn.MaxPool2d(2),
        Residual(8, 4, 5, shared=False),
        nn.Flatten(),
        linear(8 * 9, 5, bias=True),
    )
    for _ in range(40):
        net(torch.rand(64, 1, 12, 12))
    return net.eval()


def test_the_four_forms(tmp_path: Path) -> None:
    net = small_net()
    clear_ties(net)
    codes = torch.randint(256, (24, 1, 12, 12), dtype=torch.uint8)
    x = (codes / 255).numpy()
    with torch.no_grad():
        expected = net(codes / 255).numpy()
    paths = write(net, torch.from_numpy(x[:1]), tmp_path, "net")
    scores = {
        "qonnx": run_qonnx(paths["qonnx"], x),
        "qcdq": run_plain(paths["qcdq"], x),
        "float": run_plain(paths["float"], codes.numpy()),
    }
    for answer in scores.values():
        np.testing.assert_allclose(answer, expected, rtol=0, atol=1e-6 * np.ptp(expected))
    integer = run_plain(paths["integer"], codes.numpy())
    assert np.corrcoef(integer.ravel(), expected.ravel())[0, 1] > 0.9
    operators = {node.op_type for node in onnx.load(paths["integer"]).graph.node}
    assert {"QLinearConv", "ConvInteger", "MatMulInteger"} <= operators
    assert not operators & {"Conv", "Gemm", "MatMul", "BatchNormalization"}
