"""Samples beside a model: which fit, and what of them goes into a bundle."""

from __future__ import annotations

import io
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.classifiers import DIGITS, arg_max, samples, save
from tritloom.api import compile_model
from tritloom.runtime import Bundle
from tritloom.runtime.net_manifest import NetPort
from tritloom.samples import Samples, bundled, samples_beside

FLOATS, BYTES = NetPort("x", "float32", (4,), (0,)), NetPort("x", "uint8", (4,), (0,))
IMAGES = np.arange(12, dtype=np.uint8).reshape(3, 4)


def beside(folder: Path, port: NetPort, **arrays: Any) -> Samples | None:
    np.savez(folder / "heldout.npz", **arrays)
    return samples_beside(folder / "net.onnx", {}, port)


def test_bytes_are_scaled_for_a_float_input(tmp_path: Path) -> None:
    found = beside(tmp_path, FLOATS, x=IMAGES, y=np.arange(3), scale=np.float32(1 / 255))
    assert found is not None
    assert found.values.tobytes() == (IMAGES.astype(np.float32) * np.float32(1 / 255)).tobytes()
    assert found.labels is not None
    raw = beside(tmp_path, BYTES, x=IMAGES, scale=np.float32(1 / 255))
    assert raw is not None
    assert np.array_equal(raw.values, IMAGES)
    assert beside(tmp_path, FLOATS, x=IMAGES) is None
    assert beside(tmp_path, FLOATS, x=IMAGES, scale=np.ones(3, np.float32)) is None
    assert beside(tmp_path, FLOATS, x=IMAGES.astype(np.int8), scale=np.float32(1)) is None


def test_a_bundle_has_few(tmp_path: Path) -> None:
    large = NetPort("x", "uint8", (300_000,), (0,))
    for port, count, wanted in ((BYTES, 100, 64), (BYTES, 5, 5), (large, 10, 3)):
        some = Samples(np.zeros((count, *port.shape), np.uint8), np.arange(count), "heldout.npz")
        content = bundled(some, port)
        assert content == bundled(some, port)
        arrays = np.load(io.BytesIO(content))
        assert (len(arrays["x"]), len(arrays["labels"])) == (wanted, wanted)


def test_compile_takes_them_along(tmp_path: Path) -> None:
    """Of a model that takes bytes, and of one that takes floats; a broken file is a warning."""
    shutil.copy(DIGITS / "mlp.onnx", tmp_path)
    images, labels = samples()
    for path, dtype in ((save(arg_max, tmp_path), np.uint8), (tmp_path / "mlp.onnx", np.float32)):
        compile_model(path, "pynq-z2", tmp_path / dtype.__name__)
        bundle = Bundle.open(tmp_path / dtype.__name__)
        assert "samples.npz" in bundle.files
        arrays = np.load(bundle.path("samples.npz"))
        assert arrays["x"].dtype == dtype
        np.testing.assert_allclose(arrays["x"] * (16 if dtype == np.float32 else 1), images[:64], atol=1e-5)
        assert np.array_equal(arrays["labels"], labels[:64])
    (tmp_path / "heldout.npz").write_bytes(b"no zip")
    result = compile_model(tmp_path / "mlp.onnx", "pynq-z2", tmp_path / "without")
    assert [text.partition(":")[0] for text in result.warnings] == ["no samples for the notebook"]
    assert "samples.npz" not in result.files


@pytest.mark.parametrize("example", ["digits", "fashion"])
def test_the_examples_say_what_a_byte_is_worth(example: str) -> None:
    arrays = np.load(DIGITS.parent / example / "heldout.npz")
    assert arrays["scale"] == np.float32({"digits": 1 / 16, "fashion": 1 / 255}[example])
