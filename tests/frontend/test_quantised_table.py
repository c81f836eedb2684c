"""GatherBlockQuantized: the table of floats is what onnxruntime computes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from forms import pack
from onnx import TensorProto, helper
from onnx_models import Net, random_trits
from skeleton import import_net, op_names, refusal

ROWS, COLUMNS, BLOCK = 5, 64, 16
KINDS = {
    "INT4": (-8, 8, 0),
    "UINT4": (0, 16, 0),
    "packed 2": (0, 4, 2),
    "packed 4": (0, 16, 4),
    "packed 8": (0, 256, 8),
}


def stored(net: Net, name: str, kind: str, codes: np.ndarray, bits: int) -> str:
    if bits:
        return net.const(name, pack(codes, bits))
    net.initializers.append(helper.make_tensor(name, getattr(TensorProto, kind), codes.shape, codes.ravel().tolist()))
    return name


def net_of(kind: str, zeros: bool, block: int = BLOCK, **attributes: int) -> Net:
    random, net = np.random.default_rng(0), Net(opset=21)
    low, high, bits = KINDS[kind]
    codes = random.integers(low, high, (ROWS, COLUMNS))
    scales = net.const("scales", random.uniform(0.01, 0.1, (ROWS, COLUMNS // BLOCK)).astype(np.float32))
    operands = [stored(net, "table", kind, codes, bits), net.input("ids", (1,), TensorProto.INT64), scales]
    if zeros:
        operands.append(stored(net, "zeros", kind, random.integers(low, high, (ROWS, COLUMNS // BLOCK)), bits))
    extra = {"bits": bits} if bits else {}
    x = net.add(
        "GatherBlockQuantized",
        *operands,
        domain="com.microsoft",
        gather_axis=0,
        quantize_axis=1,
        block_size=block,
        **extra,
        **attributes,
    )
    net.nodes.append(helper.make_node("Identity", [x], ["row"]))
    net.outputs.append(helper.make_tensor_value_info("row", TensorProto.FLOAT, (1, COLUMNS)))
    return net


@pytest.mark.parametrize("zeros", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_rows(kind: str, zeros: bool, tmp_path: Path) -> None:
    net = net_of(kind, zeros)
    session = ort.InferenceSession(net.model().SerializeToString(), providers=["CPUExecutionProvider"])
    rows = np.concatenate([session.run(["row"], {"ids": np.asarray([row])})[0] for row in range(ROWS)])
    imported = import_net(net, tmp_path)
    assert op_names(imported) == ["embedding", "return"]
    np.testing.assert_array_equal(imported.store.table("table"), rows)


def test_in_a_model(tmp_path: Path) -> None:
    net = net_of("packed 4", zeros=True)
    net.output("y", net.bitlinear("row", "w", random_trits(8, COLUMNS)))
    del net.outputs[0]
    assert op_names(import_net(net, tmp_path)) == ["embedding", "quantize_absmax", "dot", "dequantize", "return"]


@pytest.mark.parametrize("attributes", [{"block": 32}, {"block": 0}], ids=["blocks that do not fit", "no block"])
def test_sizes_that_do_not_fit(attributes: dict[str, int], tmp_path: Path) -> None:
    path = tmp_path / "net.onnx"
    onnx.save(net_of("INT4", False, **attributes).model(), path)  # type: ignore[arg-type]
    assert "  com.microsoft::GatherBlockQuantized: " in refusal(path).message
