"""Compiling and running passes from Python: what the command line calls."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from tritloom.api import compile_model, optimise
from tritloom.errors import InputError
from tritloom.ir.text import ir_text

ROOT = Path(__file__).resolve().parent.parent
TINY = ROOT / "tests" / "fixtures" / "tiny-baked.onnx"


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("api")
    model = Path(shutil.copy(TINY, folder / "model.onnx"))
    compile_model(model, "kv260", folder / "bundle")
    return folder / "bundle"


def test_a_missing_tokenizer_is_a_warning(tmp_path: Path) -> None:
    model = Path(shutil.copy(TINY, tmp_path / "model.onnx"))
    result = compile_model(model, "kv260", tmp_path / "bundle")
    assert result.warnings[0] == (
        "no tokenizer.json beside the model: the bundle takes token ids only (--tokenizer FILE)"
    )
    shutil.copy(ROOT / "examples" / "matmulfree" / "tokenizer.json", tmp_path / "tokenizer.json")
    assert compile_model(model, "kv260", tmp_path / "second").warnings == []


@pytest.mark.parametrize(("lanes", "batch", "name"), [(16, None, "lanes 16"), (None, 1, "batch 1")])
def test_options_that_a_kernel_contradicts_are_refused(
    bundle: Path, tmp_path: Path, lanes: int | None, batch: int | None, name: str
) -> None:
    with pytest.raises(InputError, match=f"^--{name}, but the kernel of --overlay has"):
        compile_model(TINY, "kv260", tmp_path / "other", overlay=bundle, lanes=lanes, batch=batch)
    assert not (tmp_path / "other").exists()


def test_options_that_a_kernel_agrees_with_are_taken(bundle: Path, tmp_path: Path) -> None:
    compile_model(TINY, "kv260", tmp_path / "other", overlay=bundle, lanes=8, batch=4)
    kernels = [json.loads((folder / "manifest.json").read_text())["kernel"] for folder in (bundle, tmp_path / "other")]
    assert kernels[0] == kernels[1]


def test_a_batch_that_does_not_fit_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="^a batch of 99 does not fit pynq-z2$"):
        compile_model(TINY, "pynq-z2", tmp_path / "other", batch=99)


def test_passes_on_a_dump_find_the_bundles_model(bundle: Path) -> None:
    made = optimise(bundle / "ir" / "01-fuse-norm.mlir", "fuse-quantize-linear,fuse-gates")
    assert ir_text(made) == (bundle / "ir" / "03-fuse-gates.mlir").read_text()


def test_passes_that_read_weights_ask_for_the_model(bundle: Path, tmp_path: Path) -> None:
    alone = Path(shutil.copy(bundle / "ir" / "02-fuse-quantize-linear.mlir", tmp_path / "alone.mlir"))
    with pytest.raises(InputError) as refused:
        optimise(alone, "fuse-gates")
    assert refused.value.hint == "Give the model with --model."
