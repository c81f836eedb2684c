from __future__ import annotations

import os
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
    before = os.environ.get("XDG_CACHE_HOME")
    os.environ["XDG_CACHE_HOME"] = str(tmp_path_factory.getbasetemp().parent / "kernels")
    yield
    if before is None:
        del os.environ["XDG_CACHE_HOME"]
    else:
        os.environ["XDG_CACHE_HOME"] = before


@pytest.fixture(scope="package")
def bundle(tmp_path_factory: pytest.TempPathFactory, _own_cache: None) -> Path:
    """tiny-baked for the kv260."""
    output = tmp_path_factory.mktemp("verify") / "bundle"
    compile_model(BAKED, "kv260", output, tokenizer=TOKENIZER)
    return output


@pytest.fixture
def text() -> Path:
    return TEXT
