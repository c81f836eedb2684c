from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from tritloom.api import compile_model

ROOT = Path(__file__).resolve().parents[2]
BAKED = ROOT / "tests" / "fixtures" / "tiny-baked.onnx"
NAIVE = ROOT / "tests" / "fixtures" / "tiny-naive.onnx"
TEXT = ROOT / "examples" / "matmulfree" / "heldout.txt"
TOKENIZER = ROOT / "examples" / "matmulfree" / "tokenizer.json"


@pytest.fixture(scope="package", autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Compiled kernels of these tests, shared among them and with no other run."""
    pytest.importorskip("pynq")
    for tool in ("make", "g++"):
        if shutil.which(tool) is None:
            pytest.skip(f"{tool} is not installed")
    own = {"XDG_CACHE_HOME": str(tmp_path_factory.getbasetemp().parent / "verified-kernels"), "CXXFLAGS": "-O1"}
    before = {name: os.environ.get(name) for name in own}
    os.environ.update(own)
    yield
    for name, value in before.items():
        if value is None:
            del os.environ[name]
        else:
            os.environ[name] = value


@pytest.fixture(scope="package")
def bundle(tmp_path_factory: pytest.TempPathFactory, _own_cache: None) -> Path:
    """tiny-baked for the kv260."""
    output = tmp_path_factory.mktemp("verify") / "bundle"
    compile_model(BAKED, "kv260", output, tokenizer=TOKENIZER)
    return output


@pytest.fixture
def text() -> Path:
    return TEXT
