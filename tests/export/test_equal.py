"""What is exported computes what the PyTorch module computes, however the checkpoint is stored."""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path

import numpy as np
import onnx
import pytest
from checkpoints import FIXTURE, TOKENIZER, bfloat16, make_checkpoint, shard, tensors
from running import Run, assert_same, expected, in_onnxruntime, in_the_interpreter
from tritloom.export import export_checkpoint
from tritloom.export.config import read_config
from tritloom.frontend import Imported, import_onnx
from tritloom.ir.tern import TableOp, WeightOp

FORMS = (False, True)
LAYERS = 3
LOWER_BOUNDS_IN_GRAPH = {"Softmax", "CumSum", "Gather", "Squeeze", "Slice", "Sub", "Reshape", "Constant", "Cast"}
"""What torch computes lower bounds with in a naive export."""


def weights_of(imported: Imported) -> list[WeightOp]:
    return [op for op in imported.module.ops if isinstance(op, WeightOp)]


@pytest.mark.parametrize("external", [None, True])
@pytest.mark.parametrize("naive", FORMS)
def test_equals_the_pytorch_module(tmp_path: Path, naive: bool, external: bool | None) -> None:
    path = tmp_path / "model.onnx"
    export_checkpoint(FIXTURE, path, naive=naive, external_data=external)
    assert path.with_name("model.onnx.data").exists() == bool(external)
    onnx.checker.check_model(str(path), full_check=True)
    tokens, wanted = expected()
    assert_same(in_onnxruntime(path, tokens), wanted)
    assert_same(in_the_interpreter(path, tokens), wanted)


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
@pytest.mark.parametrize("naive", FORMS)
def test_equals_the_module_on_these_weights_where_torch_is_installed(
    tmp_path: Path, repository: Path, monkeypatch: pytest.MonkeyPatch, naive: bool
) -> None:
    torch = pytest.importorskip("torch")
    monkeypatch.syspath_prepend(str(repository / "examples" / "matmulfree"))
    from model import MatMulFreeLM, ModelConfig

    try:
        config = read_config(FIXTURE)
        module = MatMulFreeLM(ModelConfig(config.vocab, config.hidden, config.layers, config.intermediate)).eval()
    finally:
        for name in ("model", "scan"):
            sys.modules.pop(name, None)
    module.load_state_dict({name: torch.from_numpy(values) for name, values in tensors().items()})
    tokens, _ = expected()
    with torch.no_grad():
        logits, states = module(torch.tensor([tokens]), module.initial_states(1))
    path = tmp_path / "model.onnx"
    export_checkpoint(FIXTURE, path, naive=naive)
    wanted = Run(logits[0].numpy(), torch.cat(states).numpy())
    assert_same(in_onnxruntime(path, tokens), wanted)
    assert_same(in_the_interpreter(path, tokens), wanted)


def test_naive_and_baked_are_one_model(tmp_path: Path) -> None:
    for naive in FORMS:
        export_checkpoint(FIXTURE, tmp_path / f"{naive}.onnx", naive=naive)
    baked, quantised = (import_onnx(tmp_path / f"{naive}.onnx") for naive in FORMS)
    assert [op.sym_name.data for op in weights_of(baked)] == [op.sym_name.data for op in weights_of(quantised)]
    assert len(weights_of(baked)) == 6 * LAYERS + 1
    for one, other in zip(weights_of(baked), weights_of(quantised), strict=True):
        assert one.hash == other.hash
        np.testing.assert_array_max_ulp(np.float32(one.scale.value.data), np.float32(other.scale.value.data), maxulp=4)


def test_the_graph_is_the_one_that_torch_writes(tmp_path: Path, repository: Path) -> None:
    """The same kinds of nodes, as many of each, as in the committed export of a two-layer model."""
    path = tmp_path / "model.onnx"
    values = {name: array for name, array in tensors().items() if not name.startswith("model.layers.2.")}
    values["model.lower_bounds"] = values["model.lower_bounds"][:2]
    for naive, form in ((False, "baked"), (True, "naive")):
        export_checkpoint(make_checkpoint(tmp_path / form, values, num_hidden_layers=2), path, naive=naive, force=True)
        ours = Counter(node.op_type for node in onnx.load(path).graph.node)
        torchs = Counter(node.op_type for node in onnx.load(repository / f"tests/fixtures/tiny-{form}.onnx").graph.node)
        assert ours - torchs == Counter()
        assert set(torchs - ours) <= (LOWER_BOUNDS_IN_GRAPH if form == "naive" else set())


@pytest.mark.parametrize("naive", FORMS)
def test_sharded_equals_single(tmp_path: Path, naive: bool) -> None:
    single = make_checkpoint(tmp_path / "single")
    sharded = make_checkpoint(tmp_path / "sharded")
    shard(sharded, 3)
    for folder in (single, sharded):
        export_checkpoint(folder, folder / "out" / "model.onnx", naive=naive)
    assert (single / "out/model.onnx").read_bytes() == (sharded / "out/model.onnx").read_bytes()


@pytest.mark.parametrize("stored", ["f32", "f16"])
def test_stored_types(tmp_path: Path, stored: str) -> None:
    """bfloat16 values are float32's exactly, and float16's where they are small enough to be rounded."""
    values = tensors()
    if stored == "f16":
        values = {name: array.astype(np.float16) for name, array in values.items()}
    folder = make_checkpoint(tmp_path, values)
    export_checkpoint(folder, tmp_path / "out" / "model.onnx")
    imported = import_onnx(tmp_path / "out" / "model.onnx")
    tokens, wanted = expected()
    (table,) = (op for op in imported.module.ops if isinstance(op, TableOp))
    (graph_table,) = (
        tensor
        for tensor in onnx.load(tmp_path / "out" / "model.onnx").graph.initializer
        if tensor.name == "model.embeddings.weight"
    )
    assert graph_table.data_type == {"f32": onnx.TensorProto.FLOAT, "f16": onnx.TensorProto.FLOAT16}[stored]
    assert list(graph_table.dims) == [table.rows.value.data, table.cols.value.data]
    if stored == "f32":
        assert_same(in_the_interpreter(tmp_path / "out" / "model.onnx", tokens), wanted)
    else:
        assert_same(
            in_the_interpreter(tmp_path / "out" / "model.onnx", tokens),
            in_onnxruntime(tmp_path / "out" / "model.onnx", tokens),
        )


def test_bfloat16_table_stays_bfloat16(tmp_path: Path) -> None:
    export_checkpoint(FIXTURE, tmp_path / "model.onnx")
    (table,) = (t for t in onnx.load(tmp_path / "model.onnx").graph.initializer if t.name == "model.embeddings.weight")
    assert table.data_type == onnx.TensorProto.BFLOAT16
    assert table.raw_data == bfloat16(tensors()["model.embeddings.weight"]).tobytes()


def test_tied_embeddings(tmp_path: Path) -> None:
    values = tensors()
    values["model.embeddings.weight"] = values.pop("lm_head.weight")
    tied = make_checkpoint(tmp_path / "tied", values, tie_word_embeddings=True)
    untied = make_checkpoint(tmp_path / "untied", values | {"lm_head.weight": values["model.embeddings.weight"]})
    tokens, _ = expected()
    runs = []
    for folder in (tied, untied):
        export_checkpoint(folder, folder / "out" / "model.onnx")
        runs.append(in_the_interpreter(folder / "out" / "model.onnx", tokens))
    np.testing.assert_array_equal(runs[0].logits, runs[1].logits)


def test_without_lower_bounds_the_state_may_be_wider(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    values = tensors()
    del values["model.lower_bounds"]
    for name, array in values.items():
        if ".attn." in name:
            wide = [2 * dim if axis == ("o_proj" in name) else dim for axis, dim in enumerate(array.shape)]
            if array.ndim == 1:
                wide = [64] if "g_norm" in name or "o_proj" in name else [32]
            values[name] = random.standard_normal(wide).astype(np.float32)
    folder = make_checkpoint(tmp_path, values, use_lower_bound=False, expand_ratio=2)
    export_checkpoint(folder, tmp_path / "out" / "model.onnx")
    tokens, _ = expected()
    found = in_the_interpreter(tmp_path / "out" / "model.onnx", tokens)
    assert found.states.shape == (LAYERS, 64)
    assert_same(found, in_onnxruntime(tmp_path / "out" / "model.onnx", tokens))


def test_metadata_and_tokenizer(tmp_path: Path) -> None:
    folder = make_checkpoint(tmp_path / "checkpoint")
    done = export_checkpoint(folder, tmp_path / "out" / "model.onnx", naive=True)
    assert import_onnx(done.files[0]).metadata == {
        "tritloom.model_type": "hgrn_bit",
        "tritloom.form": "naive",
        "tritloom.tokenizer": "tokenizer.json",
        "tritloom.bos_token_id": "1",
        "tritloom.eos_token_id": "2",
        "tritloom.states": "state.0=state.0.out,state.1=state.1.out,state.2=state.2.out",
        "tritloom.ternary_weights": str(3 * (4 * 32 * 32 + 3 * 32 * 48) + 96 * 32),
    }
    assert (tmp_path / "out" / "tokenizer.json").read_text() == TOKENIZER
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["model.onnx", "tokenizer.json"]
    assert done.warnings == []


def test_intermediate_size_by_the_rule(tmp_path: Path) -> None:
    for hidden, wanted in ((1024, 2816), (2048, 5632), (2560, 6912)):
        folder = make_checkpoint(tmp_path, hidden_size=hidden, intermediate_size=None)
        assert read_config(folder).intermediate == wanted
    assert read_config(make_checkpoint(tmp_path, hidden_size=1024, intermediate_size=100)).intermediate == 100


@pytest.mark.parametrize(("hidden", "layers", "wanted"), [(1024, 24, 341.05), (2048, 24, 1298.7), (2560, 32, 2619.5)])
def test_ternary_weights_of_the_released_models(tmp_path: Path, hidden: int, layers: int, wanted: float) -> None:
    changes = {"hidden_size": hidden, "num_hidden_layers": layers, "vocab_size": 32000, "intermediate_size": None}
    assert read_config(make_checkpoint(tmp_path, **changes)).ternary_weights / 1e6 == pytest.approx(wanted, abs=0.06)
