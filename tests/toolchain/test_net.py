"""A feed-forward net: another kernel name, stages in the place of instructions, a report of its own."""

from __future__ import annotations

from pathlib import Path

import pytest
from tritloom.api import compile_model
from tritloom.toolchain import BuildOptions, ToolError, build_bundle

from .conftest import Fakes

NET = Path(__file__).parents[2] / "examples" / "digits" / "mlp.onnx"


@pytest.fixture
def net(tmp_path: Path) -> Path:
    """The digits MLP for the KV260."""
    folder = tmp_path / "net"
    compile_model(NET, "kv260", folder)
    return folder


def test_hls_of_a_net(net: Path, fakes: Fakes) -> None:
    """No Vivado is asked for; the report gets the figures of HLS."""
    fakes("vitis-run", version="2025.1")
    result = build_bundle(net, BuildOptions(stop_after="hls"))
    assert [stage.name for stage in result.stages] == ["hls"]
    page = (net / "report" / "index.html").read_text()
    assert 'id="implementation"' in page
    assert "78,412" in page


def test_an_error_names_the_stage(net: Path, fakes: Fakes) -> None:
    fakes(hls="ii")
    with pytest.raises(ToolError) as caught:
        build_bundle(net, BuildOptions(stop_after="hls"))
    loop, stage = caught.value.message.splitlines()[1:3]
    assert loop.startswith("  loop VITIS_LOOP_")
    assert "(hls/include/tritloom/flow/mvau.h:" in loop
    assert stage == "  is stage mvau_slice_1 (ONNX node_linear, node__symbolic_2)"
