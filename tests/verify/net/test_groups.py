"""Bundles with grouped convolutions: onnxruntime's codes, the emulated device bit for bit, and trits that are found."""

from __future__ import annotations

import re
from pathlib import Path

import onnx
import pytest
from support.feedforward import Net, resnext
from tritloom.api import compile_model
from tritloom.verify import verify_bundle

from .planting import failures, number_of_table, tables_of, tampered, verified, without_device


def pointwise() -> onnx.ModelProto:
    """Two groups of a pointwise convolution."""
    net = Net((6, 4, 4))
    x = net.relu(net.conv(net.image(), 8, 1, groups=2))
    return net.model(net.scores(net.average(x), 3))


@pytest.mark.parametrize(
    ("model", "fps", "traits"),
    [
        (resnext(8, 8, 2, 1), 2_000, {"INPUTS": 72, "OUTPUTS": 8, "GROUPS": 2}),
        (resnext(8, 8, 2, 1), None, {"GROUPS": 2, "INPUTS": 8, "OUTPUTS": 8, "TAPS": 9}),
        (pointwise(), None, {"INPUTS": 6, "OUTPUTS": 8, "VECTORS": 16}),
    ],
    ids=["in turn", "side by side", "hard-wired"],
)
def test_a_bundle(
    model: onnx.ModelProto, fps: int | None, traits: dict[str, int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    onnx.save(model, tmp_path / "net.onnx")
    bundle = tmp_path / "bundle"
    compile_model(tmp_path / "net.onnx", "kv260", bundle, fps=fps)
    structs = re.split("struct ", (bundle / "hls" / "config.h").read_text())
    wanted = [f"static constexpr unsigned {name} = {value};" for name, value in traits.items()]
    assert any(all(text in struct for text in wanted) for struct in structs)
    report = verify_bundle(bundle, frames=8, after_each_pass=True)
    assert [check.name for check in report.checks if not check.passed] == []

    without_device(monkeypatch)
    for number, table in enumerate(tables_of(bundle, "weights")):
        edit = number_of_table(table, 0, lambda word: word & ~3 if word & 3 else word | 1)
        found = failures(verified(tampered(bundle, tmp_path / str(number), "hls/weights.h", edit)))
        assert table.removesuffix("_weights") in found["weights"]
        assert "row 0, column 0: " in found["weights"]
