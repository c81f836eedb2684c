"""However the weights are written, the import gives one IR, and it agrees with onnxruntime on each of the graphs."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
import pytest
from forms import FORMS, lm, runnable, saved
from skeleton import import_model, model_of, op_counts, scales, skeleton
from tritloom.frontend import Imported, import_onnx
from tritloom.ir.mlir import Context
from tritloom.passes.fuse_quantize_linear import FuseQuantizeLinear
from tritloom.verify.local import check_local, needed_tensors
from tritloom.verify.reference import Interface, Reference

TOKENS = [3, 0, 7, 7, 21]


@cache
def canonical(per_channel: bool, folder: Path) -> Imported:
    return import_model(lm("int8 Gemm", per_channel), folder)


@pytest.mark.parametrize("per_channel", [False, True], ids=["per tensor", "per channel"])
@pytest.mark.parametrize("form", FORMS)
def test_every_form_is_one_model(
    form: str, per_channel: bool, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    imported = import_model(lm(form, per_channel), tmp_path)
    expected = canonical(per_channel, tmp_path_factory.getbasetemp())
    assert skeleton(imported) == skeleton(expected)
    pairs = [np.asarray(scales(each), np.float32) for each in (imported, expected)]
    np.testing.assert_array_max_ulp(*pairs, maxulp=4)
    assert op_counts(imported)["dequantize"] == 7
    assert op_counts(imported).get("load", 0) == (7 if per_channel else 0)
    FuseQuantizeLinear().apply(Context(), imported.module)
    assert op_counts(imported)["linear"] == 7


@pytest.mark.parametrize("per_channel", [False, True], ids=["per tensor", "per channel"])
@pytest.mark.parametrize("form", FORMS)
def test_every_form_agrees_with_onnxruntime(form: str, per_channel: bool, tmp_path: Path) -> None:
    model = lm(form, per_channel)
    imported = import_onnx(saved(model, tmp_path, "model"))
    reference = Reference(saved(runnable(model), tmp_path, "runnable"), Interface.of(model_of(imported)))
    tensors = reference.run(TOKENS, needed_tensors(imported.module, reference)).values
    result = check_local(imported.module, imported.store, tensors, TOKENS, reference)
    assert result.findings == []
    assert result.compared > 30
