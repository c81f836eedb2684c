"""Whole texts of the errors of an export; where one is raised, nothing is written."""

from __future__ import annotations

import errno
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from checkpoints import bfloat16, config, make_checkpoint, shard, tensors, write_index
from tritloom.errors import InputError
from tritloom.export import export_checkpoint

CUT_OFF = "the download or copy was cut off, or Git LFS left a pointer: fetch the file again"
FETCH_CONFIG = "fetch the file again, or copy it from the model that was trained"


def refusal(folder: Path, output: Path | None = None, **options: Any) -> tuple[str, str]:
    """Message and hint of the error that an export ends in, the folder left out of the message."""
    output = output or folder / "out" / "model.onnx"
    before = sorted(output.parent.glob("*")) if output.parent.exists() else []
    with pytest.raises(InputError) as caught:
        export_checkpoint(folder, output, **options)
    after = sorted(output.parent.glob("*")) if output.parent.exists() else []
    assert after == before
    return caught.value.message.replace(str(folder), "DIR"), caught.value.hint


@pytest.mark.parametrize(
    ("changes", "message", "hint"),
    [
        (
            {"model_type": "llama"},
            'DIR/config.json describes a model of type "llama"',
            'supported: "hgrn_bit", the MatMul-free LM (HGRNBitForCausalLM); export other models to ONNX yourself',
        ),
        (
            {"model_type": None},
            "DIR/config.json describes a model of type null",
            'supported: "hgrn_bit", the MatMul-free LM (HGRNBitForCausalLM); export other models to ONNX yourself',
        ),
        ({"hidden_size": None}, "DIR/config.json has no 'hidden_size'", FETCH_CONFIG),
        (
            {"hidden_size": "32"},
            'DIR/config.json: hidden_size is "32", not a whole number from 1 to 16,777,216',
            FETCH_CONFIG,
        ),
        (
            {"num_hidden_layers": 0},
            "DIR/config.json: num_hidden_layers is 0, not a whole number from 1 to 1,024",
            FETCH_CONFIG,
        ),
        ({"rms_norm_eps": -1}, "DIR/config.json: rms_norm_eps is -1, not a number from 0 to 1,000", FETCH_CONFIG),
        (
            {"hidden_ratio": 1e308},
            "DIR/config.json: hidden_ratio is 1e+308, not a number from 0 to 1,000",
            FETCH_CONFIG,
        ),
        ({"use_lower_bound": 1}, "DIR/config.json: use_lower_bound is 1, not true or false", FETCH_CONFIG),
        ({"bos_token_id": 96}, "DIR/config.json: bos_token_id is 96, not a token below 96", FETCH_CONFIG),
        (
            {"use_short_conv": True},
            "DIR/config.json: use_short_conv = true is not supported",
            "supported: false, as in the released models",
        ),
        ({"hidden_act": "gelu"}, 'DIR/config.json: hidden_act = "gelu" is not supported', 'supported: "swish"'),
        (
            {"expand_ratio": 2},
            "DIR/config.json: expand_ratio = 2 is not supported",
            "supported: 1, or another ratio with use_lower_bound = false",
        ),
        (
            {"quantization_config": {"quant_method": "bitblas"}},
            "DIR/config.json describes a checkpoint that is already quantised (quantization_config)",
            "give the checkpoint with float master weights that it was made from",
        ),
    ],
)
def test_configurations(tmp_path: Path, changes: dict[str, Any], message: str, hint: str) -> None:
    assert refusal(make_checkpoint(tmp_path, **changes)) == (message, hint)


def test_config_missing_or_damaged(tmp_path: Path) -> None:
    folder = make_checkpoint(tmp_path)
    path = folder / "config.json"
    path.write_text('{"model_type": ')
    message = "DIR/config.json is no JSON: Expecting value: line 1 column 16 (char 15)"
    assert refusal(folder) == (message, FETCH_CONFIG)
    path.write_text("[]")
    assert refusal(folder) == ("DIR/config.json holds no JSON object", FETCH_CONFIG)
    path.unlink()
    assert refusal(folder) == ("DIR holds no config.json", "give the folder of a checkpoint, as it was saved")


def test_missing_extra_misshapen_and_mistyped_tensors_in_one_list(tmp_path: Path) -> None:
    values = tensors()
    del values["model.norm.weight"], values["model.layers.1.attn.f_proj.weight"]
    values["model.layers.3.attn_norm.weight"] = np.ones(32, np.float32)
    values["model.layers.0.mlp.gate_proj.weight"] = np.ones((48, 32), np.float32)
    values["lm_head.norm.weight"] = np.ones((1, 32), np.float32)
    values["model.layers.2.attn.o_proj.weight"] = np.ones((32, 32), np.int8)
    message, hint = refusal(make_checkpoint(tmp_path, values))
    assert message == (
        "the tensors of DIR are not those that its config.json asks for: 2 missing, 1 extra, 2 misshapen,"
        " 1 of another type\n"
        "  missing: model.layers.1.attn.f_proj.weight [32, 32]\n"
        "  missing: model.norm.weight [32]\n"
        "  extra: model.layers.3.attn_norm.weight [32]\n"
        "  misshapen: model.layers.0.mlp.gate_proj.weight is [48, 32], not [96, 32]\n"
        "  misshapen: lm_head.norm.weight is [1, 32], not [32]\n"
        "  of another type: model.layers.2.attn.o_proj.weight is I8, not one of F32, F16, BF16"
    )
    assert hint == "supported: HGRNBitForCausalLM as released, float masters, with its own config.json"


def test_a_config_of_another_size_is_seen_in_the_shapes(tmp_path: Path) -> None:
    message, _ = refusal(make_checkpoint(tmp_path, hidden_size=64, intermediate_size=None))
    assert message.splitlines()[0].endswith("asks for: 50 misshapen")
    assert "  misshapen: model.lower_bounds is [3, 32], not [3, 64]" in message.splitlines()
    assert "  misshapen: model.layers.2.mlp.gate_proj.weight is [96, 32], not [512, 64]" in message.splitlines()


@pytest.mark.parametrize("naive", [False, True])
@pytest.mark.parametrize(
    ("name", "bad"),
    [
        ("model.layers.1.attn.i_proj.weight", np.nan),
        ("lm_head.weight", np.inf),
        ("model.embeddings.weight", np.nan),
        ("model.layers.0.mlp.down_proj.norm.weight", -np.inf),
        ("model.lower_bounds", np.nan),
    ],
)
def test_nan_and_infinity(tmp_path: Path, name: str, bad: float, naive: bool) -> None:
    values = tensors()
    values[name].reshape(-1)[7] = bad
    assert refusal(make_checkpoint(tmp_path, values), naive=naive) == (
        f"tensor '{name}' of DIR/model.safetensors holds values that are NaN or infinite"
        f" (the first, {bad}, at element 7 of {values[name].size:,})",
        "the training diverged or the file is damaged: use an earlier checkpoint, or fetch it again",
    )


def test_nan_in_bfloat16(tmp_path: Path) -> None:
    values = tensors()
    values["model.norm.weight"][3] = np.nan
    message, _ = refusal(make_checkpoint(tmp_path, {name: bfloat16(array) for name, array in values.items()}))
    assert "(the first, nan, at element 3 of 32)" in message


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


def longer(path: Path) -> None:
    path.write_bytes(path.read_bytes() + b"end")


def cut_header(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:100])


def empty(path: Path) -> None:
    path.write_bytes(b"")


def pointer(path: Path) -> None:
    path.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n")


def pickle(path: Path) -> None:
    path.write_bytes(b"PK\x03\x04" + bytes(range(256)))


def no_json(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[8] = ord("[")
    path.write_bytes(bytes(data))


def with_entry(**changes: Any) -> Callable[[Path], None]:
    """Damage by a change of one tensor's entry in the header."""

    def damage(path: Path) -> None:
        data = path.read_bytes()
        length = int.from_bytes(data[:8], "little")
        header = json.loads(data[8 : 8 + length])
        header["model.norm.weight"] |= changes
        text = json.dumps(header).encode()
        path.write_bytes(len(text).to_bytes(8, "little") + text + data[8 + length :])

    return damage


DAMAGED_HEADER = "DIR/model.safetensors is no safetensors file: its header is damaged"


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (truncate, "DIR/model.safetensors is truncated: it has {size:,} bytes of {whole:,}"),
        (cut_header, "DIR/model.safetensors is truncated: it has 100 bytes of at least {header:,}"),
        (empty, "DIR/model.safetensors is no safetensors file"),
        (pointer, "DIR/model.safetensors is no safetensors file"),
        (pickle, "DIR/model.safetensors is no safetensors file"),
        (no_json, DAMAGED_HEADER),
        (longer, "DIR/model.safetensors is damaged: 3 bytes follow its last tensor"),
        (with_entry(data_offsets=[0, 64]), "DIR/model.safetensors is damaged: its tensors overlap, or leave gaps"),
        (with_entry(shape=[31]), DAMAGED_HEADER),
        (with_entry(shape=[-32]), DAMAGED_HEADER),
        (with_entry(shape=32), DAMAGED_HEADER),
        (with_entry(data_offsets=[0]), DAMAGED_HEADER),
        (with_entry(data_offsets=[-64, 0]), DAMAGED_HEADER),
        (with_entry(data_offsets=[64, 0]), DAMAGED_HEADER),
        (with_entry(data_offsets=["0", "64"]), DAMAGED_HEADER),
    ],
)
def test_damaged_safetensors(tmp_path: Path, damage: Callable[[Path], None], message: str) -> None:
    folder = make_checkpoint(tmp_path)
    path = folder / "model.safetensors"
    whole, header = path.stat().st_size, 8 + int.from_bytes(path.read_bytes()[:8], "little")
    damage(path)
    expected = message.format(size=path.stat().st_size, whole=whole, header=header)
    assert refusal(folder) == (expected, CUT_OFF)


@pytest.mark.parametrize("seed", range(40))
def test_changed_bytes_end_in_success_or_a_clear_error(tmp_path: Path, seed: int) -> None:
    """Bytes of the header, or of config.json, are replaced by others that JSON likes."""
    random = np.random.default_rng(seed)
    folder = make_checkpoint(tmp_path)
    path = folder / ("config.json" if seed % 4 == 0 else "model.safetensors")
    data = bytearray(path.read_bytes())
    end = len(data) if seed % 4 == 0 else int.from_bytes(data[:8], "little") + 8
    for at in random.integers(0, end, 1 + seed // 8):
        data[at] = random.choice(np.frombuffer(b'0159-eE".,:[]{}nN \\\xff\x00', np.uint8))
    path.write_bytes(bytes(data))
    error: InputError | None = None
    try:
        export_checkpoint(folder, folder / "out" / "model.onnx")
    except InputError as refused:
        error = refused
    assert (folder / "out" / "model.onnx").is_file() == (error is None)
    assert error is None or (str(folder) in error.message and error.hint)


def test_no_weights(tmp_path: Path) -> None:
    folder = make_checkpoint(tmp_path)
    (folder / "model.safetensors").unlink()
    message = "DIR holds neither model.safetensors nor model.safetensors.index.json"
    assert refusal(folder) == (message, "give the folder of a checkpoint, with config.json beside the weights")
    (folder / "pytorch_model.bin").write_bytes(b"PK")
    hint = "save it as safetensors: model.save_pretrained(folder, safe_serialization=True)"
    assert refusal(folder) == (message, hint)


def test_shards(tmp_path: Path) -> None:
    folder = make_checkpoint(tmp_path)
    index = shard(folder, 2)
    second = "model-00002-of-00002.safetensors"
    where = "DIR/model.safetensors.index.json"
    write_index(folder, index | {"a": second, "b": second})
    assert refusal(folder) == (
        f"{where} names tensors that their shards do not hold:\n  a ({second})\n  b ({second})",
        "index and shards belong to different checkpoints: fetch all files again",
    )
    write_index(folder, index | {"a": "../model.safetensors"})
    message = f"{where} names a shard outside its folder: '../model.safetensors'"
    assert refusal(folder) == (message, "shards lie beside the index: fetch it again")
    write_index(folder, {name: file for name, file in index.items() if file != second})
    assert refusal(folder)[0].splitlines()[0].endswith(f"{list(index.values()).count(second)} missing")
    write_index(folder, index)
    (folder / second).unlink()
    assert refusal(folder) == (f"shard {second} of {where} is missing", "fetch all files of the checkpoint")
    (folder / "model.safetensors.index.json").write_text('{"weight_map": []}')
    message = f"{where} has no 'weight_map' of tensors to files"
    assert refusal(folder) == (message, "fetch the file again")
    (folder / "model.safetensors.index.json").write_text("{")
    assert refusal(folder)[0].startswith(f"{where} is no JSON: ")


def test_existing_outputs_stay_without_force(tmp_path: Path) -> None:
    folder = make_checkpoint(tmp_path / "checkpoint")
    output = tmp_path / "model.onnx"
    hint = "choose another name, or replace it with --force"
    for name in ("model.onnx", "model.onnx.data", "tokenizer.json"):
        (tmp_path / name).write_text("mine")
        assert refusal(folder, output, external_data=True) == (f"{tmp_path / name} exists", hint)
        assert (tmp_path / name).read_text() == "mine"
        (tmp_path / name).unlink()
    (tmp_path / "model.onnx").write_text("mine")
    done = export_checkpoint(folder, output, force=True, external_data=True)
    assert sorted(path.name for path in done.files) == ["model.onnx", "model.onnx.data", "tokenizer.json"]
    again = export_checkpoint(folder, output, force=True)
    assert again.files == [output]
    assert again.warnings == [f"{output}.data is of an earlier export, and not needed any more"]


def test_a_failed_export_leaves_the_old_one(tmp_path: Path) -> None:
    values = tensors()
    values["lm_head.weight"][0, 0] = np.nan
    folder = make_checkpoint(tmp_path / "checkpoint", values)
    for name in ("model.onnx", "model.onnx.data"):
        (tmp_path / name).write_text("mine")
    refusal(folder, tmp_path / "model.onnx", force=True, external_data=True)
    assert {path.name for path in tmp_path.iterdir()} == {"checkpoint", "model.onnx", "model.onnx.data"}
    assert (tmp_path / "model.onnx").read_text() == "mine"


def test_output_names(tmp_path: Path) -> None:
    folder = make_checkpoint(tmp_path / "checkpoint")
    assert refusal(folder, tmp_path / "out") == (
        f"the output {tmp_path / 'out'} has no name that ends in .onnx",
        "give one: -o model.onnx",
    )
    (tmp_path / "out.onnx").mkdir()
    assert refusal(folder, tmp_path / "out.onnx", force=True) == (
        f"{tmp_path / 'out.onnx'} is a folder",
        "give the name of a file: -o model.onnx",
    )


def test_full_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*arguments: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("tritloom.export.writer._copy", full)
    folder = make_checkpoint(tmp_path / "checkpoint")
    assert refusal(folder, tmp_path / "out" / "model.onnx", external_data=True) == (
        f"cannot write {tmp_path / 'out' / 'model.onnx'}: No space left on device",
        "is the disk full? -o names another place",
    )
    assert list((tmp_path / "out").iterdir()) == []


def test_the_fixture_is_as_released() -> None:
    assert config()["architectures"] == ["HGRNBitForCausalLM"]
