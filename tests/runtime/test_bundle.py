"""Reading a bundle: everything that can be wrong with it has a message of its own."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from tritloom.runtime import Bundle, BundleError, canonical_hash

from .fake_bundle import edit, sha256, write_bundle


def test_a_sound_bundle_opens(bundle: Path) -> None:
    opened = Bundle.open(bundle)
    assert opened.program.vocab == 64
    assert opened.kernel.limits.ports == 2
    assert opened.image(opened.program.image("port0")).nbytes == 4096
    assert sorted(opened.hls_files) == ["hls/Makefile", "hls/fake_kernel.c"]


def test_canonical_hash_ignores_order_and_the_hash_itself() -> None:
    assert canonical_hash({"b": 1, "a": [1.5, None]}) == sha256(b'{"a":[1.5,null],"b":1}')
    assert canonical_hash({"a": 1, "hash": "x"}) == canonical_hash({"a": 1})
    with pytest.raises(ValueError, match="not JSON compliant"):
        canonical_hash({"a": float("nan")})


@pytest.mark.parametrize("name", ["weights/port1.bin", "weights/program.bin", "hls/fake_kernel.c", "tokenizer.json"])
def test_a_changed_byte_is_found(bundle: Path, name: str) -> None:
    data = bytearray((bundle / name).read_bytes())
    data[len(data) // 2] ^= 1
    (bundle / name).write_bytes(data)
    with pytest.raises(BundleError, match=f"{name} was changed") as caught:
        Bundle.open(bundle)
    assert "copy the bundle again" in caught.value.hint
    assert caught.value.exit_code == 2


def test_a_short_file_is_found(bundle: Path) -> None:
    (bundle / "weights/port0.bin").write_bytes(b"")
    with pytest.raises(BundleError, match="has 0 bytes, the manifest says 4096"):
        Bundle.open(bundle)


@pytest.mark.parametrize("name", ["weights/gains.bin", "hls/Makefile", "tokenizer.json"])
def test_a_missing_file_is_found(bundle: Path, name: str) -> None:
    (bundle / name).unlink()
    with pytest.raises(BundleError, match=f"{name} is missing"):
        Bundle.open(bundle)


def test_no_bundle(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="no such folder"):
        Bundle.open(tmp_path / "nowhere")
    with pytest.raises(BundleError, match="No such file"):
        Bundle.open(tmp_path)


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '{"schema": NaN}', "[" * 100_000, '"\\ud800"'])
def test_not_a_manifest(bundle: Path, text: str) -> None:
    (bundle / "manifest.json").write_text(text)
    with pytest.raises(BundleError):
        Bundle.open(bundle)


@pytest.mark.parametrize(("schema", "hint"), [(0, "compile the model again"), (2, "upgrade tritloom-runtime")])
def test_another_schema(bundle: Path, schema: int, hint: str) -> None:
    edit(bundle, lambda manifest: manifest.update(schema=schema))
    with pytest.raises(BundleError, match=f"has schema {schema}; this runtime reads schema 1") as caught:
        Bundle.open(bundle)
    assert hint in caught.value.hint


@pytest.mark.parametrize("part", ["kernel", "program"])
def test_a_changed_part_is_found_by_its_hash(bundle: Path, part: str) -> None:
    edit(bundle, lambda manifest: manifest[part].update(note="x"), rehash=False)
    with pytest.raises(BundleError, match=f"the hash of `{part}` does not match"):
        Bundle.open(bundle)


def test_a_program_for_another_kernel(bundle: Path) -> None:
    edit(bundle, lambda manifest: manifest["kernel"].update(clock_mhz=200.0))
    with pytest.raises(BundleError, match="the program was compiled for kernel") as caught:
        Bundle.open(bundle)
    assert "--overlay" in caught.value.hint


@pytest.mark.parametrize("name", ["../x", "/etc/passwd", "weights/../../x", "a\\b", "weights/\0"])
def test_paths_stay_inside(bundle: Path, name: str) -> None:
    edit(bundle, lambda manifest: manifest["files"].update({name: "0" * 64}))
    with pytest.raises(BundleError, match="leaves the bundle's folder"):
        Bundle.open(bundle)


def test_links_stay_inside(bundle: Path, tmp_path: Path) -> None:
    image = bundle / "weights/port1.bin"
    image.rename(tmp_path / "elsewhere.bin")
    image.symlink_to(tmp_path / "elsewhere.bin")
    with pytest.raises(BundleError, match="leaves the bundle's folder"):
        Bundle.open(bundle)


_WRONG: list[tuple[str, Any, str]] = [
    ("program.vocab", -1, "`program.vocab` should be an integer"),
    ("program.vocab", "64", "`program.vocab` should be an integer"),
    ("program.vocab", True, "`program.vocab` should be an integer"),
    ("program.vocab", 65, "logits_stride"),
    ("program.state_words", 65, "`program.state_words` should be an integer from 0 to 64"),
    ("program.instructions", 17, "`program.instructions`"),
    ("program.port_beats", 257, "image `port0` has 4096 bytes, 4112 are needed"),
    ("program.kind", "cnn", "should be one of lm"),
    ("program.images", [], "the images should be"),
    ("program.images", {}, "should be an array"),
    ("program.states", [3], r"`program.states\[0\]` should be an object"),
    ("program.logits_stride", 60, "logits_stride"),
    ("program.max_batch", 5, "`program.max_batch`"),
    ("program.tokenizer", 7, "`program.tokenizer` should be an object"),
    ("program.embedding", {"rows": 64, "row_bytes": 2**30}, "`program.embedding.row_bytes`"),
    ("program.estimate", {"cycles_per_token": "fast"}, "should be a number"),
    ("files", {"hls/top.cpp": 5}, "should be a sha256"),
    ("generator", None, "`generator` should be a string"),
]


@pytest.mark.parametrize(("path", "value", "message"), _WRONG)
def test_a_wrong_field_is_named(bundle: Path, path: str, value: object, message: str) -> None:
    *parents, key = path.split(".")

    def change(manifest: dict[str, Any]) -> None:
        for name in parents:
            manifest = manifest[name]
        manifest[key] = value

    edit(bundle, change)
    with pytest.raises(BundleError, match=message):
        Bundle.open(bundle)


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("vlnv", "xilinx.com:hls:other:1.0", "this runtime drives"),
        ("numerics", 3, "numerics version 3"),
        ("family", "versal", "one of zynq, zynqmp"),
        ("args", [], "`kernel.args` are not those"),
        ("clock_mhz", 0, "a clock of 0.0 MHz"),
    ],
)
def test_a_wrong_kernel_is_refused(bundle: Path, key: str, value: object, message: str) -> None:
    edit(bundle, lambda manifest: manifest["kernel"].update({key: value}))
    with pytest.raises(BundleError, match=message):
        Bundle.open(bundle)


def test_every_missing_field_is_an_error_of_ours(tmp_path: Path) -> None:
    root = write_bundle(tmp_path / "b")
    whole = json.loads((root / "manifest.json").read_text())
    for part in ("kernel", "program"):
        for key in whole[part]:
            manifest = json.loads(json.dumps(whole))
            del manifest[part][key]
            (root / "manifest.json").write_text(json.dumps(manifest))
            with pytest.raises(BundleError):
                Bundle.open(root)


def test_a_tokenizer_with_bos_outside_the_vocabulary(bundle: Path) -> None:
    edit(bundle, lambda manifest: manifest["program"]["tokenizer"].update(bos=64))
    with pytest.raises(BundleError, match="bos token 64 is outside"):
        Bundle.open(bundle).tokenizer()


def test_a_bundle_without_tokenizer(bundle: Path) -> None:
    edit(bundle, lambda manifest: manifest["program"].update(tokenizer=None))
    assert Bundle.open(bundle).tokenizer() is None
