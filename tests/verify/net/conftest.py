from __future__ import annotations

from pathlib import Path

import pytest
from tritloom.api import compile_model

ROOT = Path(__file__).resolve().parents[3]
FIXTURES = ROOT / "tests" / "fixtures" / "feedforward"
POOLS = FIXTURES / "pools.qcdq.onnx"
CNN = FIXTURES / "cnn.qcdq.onnx"


@pytest.fixture(scope="package")
def pools(tmp_path_factory: pytest.TempPathFactory, _own_cache: None) -> Path:
    """Convolutions, pools and a flattened image, for the PYNQ-Z2."""
    output = tmp_path_factory.mktemp("net") / "pools"
    compile_model(POOLS, "pynq-z2", output)
    return output


@pytest.fixture(scope="package")
def cnn(tmp_path_factory: pytest.TempPathFactory, _own_cache: None) -> Path:
    """Convolutions with two skips, for the PYNQ-Z2."""
    output = tmp_path_factory.mktemp("net") / "cnn"
    compile_model(CNN, "pynq-z2", output)
    return output
