"""One language model through every exporter of torch, in four forms (tests/fixtures/exporters/generate.py): one IR."""

from __future__ import annotations

import re
import zipfile
from functools import cache
from pathlib import Path

import numpy as np
import onnx
import pytest
from skeleton import model_of, scales, skeleton
from tritloom.backend.images import build_images
from tritloom.frontend import Imported, import_onnx
from tritloom.ir.canonical import canonical
from tritloom.ir.engine import kernel_of
from tritloom.ir.interpreter import Interpreter
from tritloom.ir.text import ir_text
from tritloom.passes import CompilerContext, default_passes, run_passes
from tritloom.targets import load_target

FOLDER = Path(__file__).resolve().parents[1] / "fixtures" / "exporters"
NAMES = zipfile.ZipFile(FOLDER / "models.zip").namelist()
REFERENCE = "baked.dynamo20.onnx"
_NUMBER = re.compile(r"-?\d+\.\d+(?:e[+-]\d+)?")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("exporters")
    zipfile.ZipFile(FOLDER / "models.zip").extractall(place)
    return place


@cache
def imported(path: Path) -> Imported:
    return import_onnx(path)


def images(model: Imported) -> dict[str, bytes]:
    module = model.module.clone()
    run_passes(module, default_passes(), CompilerContext(store=model.store, target=load_target("kv260")))
    kernel = kernel_of(module)
    assert kernel is not None
    return build_images(module, model.store, kernel.kernel_limits()).data


def rounded(text: str) -> str:
    """Scales to six digits, and the states by number: a stack has other names for them."""
    text = re.sub(r'<16, "[^"]*" -> "[^"]*">', "<16>", text)
    return _NUMBER.sub(lambda found: f"{float(found.group()):.5e}", text)


def test_the_exporters_differ(folder: Path) -> None:
    graphs = {name: onnx.load(folder / name) for name in NAMES}
    opsets = {model.opset_import[0].version for model in graphs.values()}
    assert opsets == {13, 15, 17, 18, 20, 23}
    assert len({tuple(node.op_type for node in model.graph.node) for model in graphs.values()}) > len(NAMES) / 3


@pytest.mark.parametrize("name", NAMES)
def test_one_ir(name: str, folder: Path) -> None:
    """The same operations, trits and vectors in the same order; scales within 4 ulp."""
    found, wanted = imported(folder / name), imported(folder / REFERENCE)
    assert skeleton(found) == skeleton(wanted)
    np.testing.assert_array_max_ulp(np.float32(scales(found)), np.float32(scales(wanted)), maxulp=4)
    texts = [rounded(ir_text(canonical(each.module), locations=False)) for each in (found, wanted)]
    assert texts[0] == texts[1]


@pytest.mark.parametrize("name", NAMES)
def test_the_logits_of_torch(name: str, folder: Path) -> None:
    expected = np.load(FOLDER / "expected.npz")
    model = imported(folder / name)
    step = Interpreter(model.module, model.store).run(expected["tokens"].tolist())
    logits = step.outputs["logits"]
    assert np.abs(logits - expected["logits"]).max() < 1e-5 * np.abs(expected["logits"]).max()
    for found, wanted in zip(step.states.values(), expected["states"], strict=True):
        np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", [f"{form}.legacy17.folded.onnx" for form in ("baked", "naive", "residue", "stacked")])
def test_the_packed_weights_are_the_same_bytes(name: str, folder: Path) -> None:
    found, wanted = images(imported(folder / name)), images(imported(folder / REFERENCE))
    ports = [image for image in wanted if image.startswith("port")]
    assert ports
    assert all(found[port] == wanted[port] for port in [*ports, "embedding"])


@pytest.mark.parametrize("name", [name for name in NAMES if name.startswith("baked")])
def test_shapes_and_types_are_inferred(name: str, folder: Path, tmp_path: Path) -> None:
    """Exporters may leave them out, and tools remove them: then CastLike does not say what it casts to."""
    model = onnx.load(folder / name)
    del model.graph.value_info[:]
    onnx.save(model, tmp_path / name)
    assert skeleton(import_onnx(tmp_path / name)) == skeleton(imported(folder / name))


def test_the_names_of_states(folder: Path) -> None:
    states = [state.input.data for state in model_of(imported(folder / "naive.legacy13.onnx")).states]
    assert states == ["state.0", "state.1"]
