"""A sequence in onnxruntime, all positions at once, against the steps that it was made into."""

from __future__ import annotations

import sys
import zipfile
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import numpy_helper
from tritloom.frontend import import_onnx
from tritloom.frontend.steps import step_of
from tritloom.ir import tern
from tritloom.verify.reference import Interface, Reference
from tritloom.verify.whole import check_whole

from .conftest import BAKED

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "frontend"))

from onnx_models import WIDTH, Net
from sequences import SEQUENCES, one_step

ARCHIVE = Path(__file__).resolve().parents[1] / "fixtures" / "exporters" / "sequences.zip"
TOKENS = [3, 1, 4, 1, 5, 9, 2, 6, 5, 3, 5, 8]


def reference(path: Path) -> Reference:
    module = import_onnx(path).module
    return Reference(path, Interface.of(next(op for op in module.ops if isinstance(op, tern.ModelOp))))


@pytest.mark.parametrize(
    "name", ["inplace.given.legacy13.onnx", "tokens.zero.legacy13.onnx", "stack.none.dynamo18.onnx"]
)
def test_exports(name: str, tmp_path: Path) -> None:
    zipfile.ZipFile(ARCHIVE).extract(name, tmp_path)
    check = check_whole(reference(tmp_path / name), TOKENS, TOKENS[1:])
    assert check is not None
    assert check.passed
    assert check.figures["positions"] == 4
    assert check.figures["arithmetic"] == "float64"


@pytest.mark.parametrize("form", SEQUENCES)
def test_forms(form: str, tmp_path: Path) -> None:
    check = check_whole(reference(SEQUENCES[form]().save(tmp_path)), TOKENS, TOKENS[1:])
    assert check is not None
    assert check.passed
    assert check.figures["arithmetic"] == "float64"
    assert check.figures["positions"] == (24 if "fixed" in form or "unrolled" in form else 16)


@pytest.mark.parametrize("form", ["Scan", "Scan from zero", "Loop from zero"])
def test_vectors(form: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Net, "token", lambda net, shape: net.input("input_ids", (shape[0], WIDTH)))
    rows = np.random.default_rng(0).standard_normal((12, WIDTH), dtype=np.float32)
    check = check_whole(reference(SEQUENCES[form]().save(tmp_path)), rows, [])
    assert check is not None
    assert check.passed
    assert check.figures["positions"] == 16
    assert check.figures["arithmetic"] == "float64"


@pytest.mark.parametrize("form", ["Scan", "Loop from zero", "unrolled, state, Concat"])
def test_another_step(form: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A step that leaves out the state of one layer is found."""
    found = reference(SEQUENCES[form]().save(tmp_path))

    def wrong(proto: onnx.ModelProto) -> onnx.ModelProto:
        step = step_of(proto)
        *_, state = step.graph.input
        shape = [dim.dim_value for dim in state.type.tensor_type.shape.dim]
        step.graph.initializer.append(numpy_helper.from_array(np.zeros(shape, np.float32), "nothing"))
        for node in step.graph.node:
            node.input[:] = ["nothing" if name == state.name else name for name in node.input]
        return step

    monkeypatch.setattr("tritloom.verify.reference.step_of", wrong)
    check = check_whole(found, TOKENS, TOKENS[1:])
    assert check is not None
    assert not check.passed
    assert "the steps are not the sequence" in check.detail


def test_a_step_has_no_such_check(tmp_path: Path) -> None:
    assert check_whole(reference(BAKED), TOKENS, TOKENS[1:]) is None
    assert check_whole(reference(one_step().save(tmp_path)), TOKENS, TOKENS[1:]) is None
