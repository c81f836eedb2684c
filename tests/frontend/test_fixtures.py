"""The exported language models: what they become, and that their spelling does not matter."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx_models import scrambled, shuffled
from skeleton import import_model, model_of, op_counts, scales, skeleton, weights
from tritloom.frontend import Imported, import_onnx
from tritloom.ir.locations import onnx_names
from tritloom.ir.tern import DequantizeOp, DotOp, QuantizeAbsmaxOp, RecurrenceOp
from tritloom.ir.text import ir_text, parse_ir

FORMS = ("baked", "naive")


def fixture_path(repository: Path, form: str) -> Path:
    return repository / "tests" / "fixtures" / f"tiny-{form}.onnx"


@pytest.fixture(scope="module")
def imported(request: pytest.FixtureRequest) -> dict[str, Imported]:
    root = Path(__file__).resolve().parents[2]
    return {form: import_onnx(fixture_path(root, form)) for form in FORMS}


@pytest.fixture(params=FORMS)
def form(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def test_operations_of_the_tiny_model(imported: dict[str, Imported], form: str) -> None:
    layers = 2
    assert op_counts(imported[form]) == {
        "embedding": 1,
        "rms_norm": 9 * layers + 2,
        "quantize_absmax": 6 * layers + 1,
        "dot": 6 * layers + 1,
        "dequantize": 6 * layers + 1,
        "sigmoid": 2 * layers,
        "silu": 2 * layers,
        "recurrence": layers,
        "slice": 2 * layers,
        "fill": layers,
        "sub": layers,
        "load": 2 * (layers - 1),
        "mul": 4 * layers + (layers - 1),
        "add": 2 * layers + (layers - 1),
        "return": 1,
    }


def test_interface_of_the_tiny_model(imported: dict[str, Imported], form: str) -> None:
    model = model_of(imported[form])
    assert model.token.data == "input_ids"
    assert model.output_names == ["logits"]
    pairs = [(state.size.data, state.input.data, state.output.data) for state in model.states]
    assert pairs == [(128, "state.0", "state.0.out"), (128, "state.1", "state.1.out")]
    assert imported[form].metadata["tritloom.model_type"] == "hgrn_bit"
    stages = imported[form].stages
    assert [stage.name for stage in stages] == ["fold-constants", "recognise-ternary", "import"]
    assert all(stage.seconds >= 0.0 for stage in stages)
    assert stages[1].before > stages[1].after


def test_symbols_are_named_after_the_checkpoint(imported: dict[str, Imported], form: str) -> None:
    assert [op.sym_name.data for op in weights(imported[form])][:3] == [
        "layers.0.attn.f_proj",
        "layers.0.attn.i_proj",
        "layers.0.attn.g_proj",
    ]


def test_naive_and_baked_are_one_model(imported: dict[str, Imported]) -> None:
    assert skeleton(imported["naive"]) == skeleton(imported["baked"])
    np.testing.assert_array_max_ulp(
        np.asarray(scales(imported["naive"]), np.float32), np.asarray(scales(imported["baked"]), np.float32), maxulp=4
    )


def test_masters_near_a_rounding_boundary_are_counted(imported: dict[str, Imported]) -> None:
    assert imported["baked"].near_ties == {}
    assert set(imported["naive"].near_ties) <= {op.sym_name.data for op in weights(imported["naive"])}


def test_each_quantiser_is_followed_by_its_product(imported: dict[str, Imported], form: str) -> None:
    ops = list(model_of(imported[form]).body.block.ops)
    for index, op in enumerate(ops):
        if isinstance(op, QuantizeAbsmaxOp):
            assert isinstance(ops[index + 1], DotOp)
            assert isinstance(ops[index + 2], DequantizeOp)


def test_locations_name_onnx_nodes(imported: dict[str, Imported], form: str, repository: Path) -> None:
    nodes = {node.name: node.op_type for node in onnx.load(fixture_path(repository, form)).graph.node}
    for op in model_of(imported[form]).body.block.ops:
        assert set(onnx_names(op)) <= set(nodes)
        if isinstance(op, DotOp | DequantizeOp):
            assert nodes[onnx_names(op)[0]] == "Gemm"
        if isinstance(op, RecurrenceOp):
            assert [nodes[name] for name in onnx_names(op)] == ["Mul", "Add"]


def test_text_parses_back_with_locations(imported: dict[str, Imported], form: str) -> None:
    text = ir_text(imported[form].module, locations=True)
    assert 'loc("' in text
    assert ir_text(parse_ir(text), locations=True) == text


@pytest.mark.parametrize("seed", range(3))
def test_names_do_not_matter(
    imported: dict[str, Imported], form: str, seed: int, repository: Path, tmp_path: Path
) -> None:
    model = scrambled(onnx.load(fixture_path(repository, form)), seed)
    assert skeleton(import_model(model, tmp_path)) == skeleton(imported[form])


@pytest.mark.parametrize("seed", range(3))
def test_node_order_does_not_matter(
    imported: dict[str, Imported], form: str, seed: int, repository: Path, tmp_path: Path
) -> None:
    model = shuffled(onnx.load(fixture_path(repository, form)), seed)
    again = import_model(model, tmp_path)
    assert ir_text(again.module) == ir_text(imported[form].module)


def test_stated_shapes_are_not_needed(
    imported: dict[str, Imported], form: str, repository: Path, tmp_path: Path
) -> None:
    model = onnx.load(fixture_path(repository, form))
    del model.graph.value_info[:]
    assert skeleton(import_model(model, tmp_path)) == skeleton(imported[form])


def test_external_data(imported: dict[str, Imported], form: str, repository: Path, tmp_path: Path) -> None:
    model = onnx.load(fixture_path(repository, form))
    path = tmp_path / "model.onnx"
    onnx.save(model, str(path), save_as_external_data=True, location="model.onnx.data", size_threshold=256)
    again = import_onnx(path)
    assert ir_text(again.module) == ir_text(imported[form].module)
    assert isinstance(again.store.loaders["embeddings"](), np.ndarray)
    name = weights(again)[0].sym_name.data
    np.testing.assert_array_equal(again.store.trits(name), imported[form].store.trits(name))


def test_symbolic_batch_and_position(imported: dict[str, Imported], repository: Path, tmp_path: Path) -> None:
    model = onnx.load(fixture_path(repository, "baked"))
    for value in (*model.graph.input, *model.graph.output, *model.graph.value_info):
        dims = value.type.tensor_type.shape.dim
        if len(dims) and dims[0].dim_value == 1:
            dims[0].dim_param = "batch"
    assert skeleton(import_model(model, tmp_path)) == skeleton(imported["baked"])
