"""A checkpoint of 300 million parameters is exported one block at a time."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from checkpoints import config
from tritloom.export.config import read_config
from tritloom.export.layout import expected_shapes
from tritloom.frontend import import_onnx

HIDDEN, LAYERS, VOCABULARY = 1024, 20, 32000
LARGEST_RSS = 200 << 20
"""Bytes; numpy and onnx-ir alone take about 75 MiB, the model 0.6 GB (bfloat16) to 1.3 GB (naive)."""

EXPORT = """
import re, sys
from pathlib import Path
from tritloom.export import export_checkpoint
export_checkpoint(Path(sys.argv[1]), Path(sys.argv[2]), naive=sys.argv[3] == "naive")
print(re.search(r"VmHWM:\\s+(\\d+) kB", Path("/proc/self/status").read_text())[1])
"""


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Random bfloat16 weights, one block of them again and again."""
    folder = tmp_path_factory.mktemp("large")
    entries = config(hidden_size=HIDDEN, num_hidden_layers=LAYERS, vocab_size=VOCABULARY, intermediate_size=None)
    (folder / "config.json").write_text(json.dumps(entries))
    noise = (np.random.default_rng(0).standard_normal(1 << 20).astype(np.float32).view(np.uint32) >> 16).astype("<u2")
    header, at = {}, 0
    for name, shape in expected_shapes(read_config(folder)).items():
        end = at + 2 * int(np.prod(shape))
        header[name] = {"dtype": "BF16", "shape": list(shape), "data_offsets": [at, end]}
        at = end
    text = json.dumps(header).encode()
    with (folder / "model.safetensors").open("wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        for start in range(0, at, noise.nbytes):
            file.write(noise.tobytes()[: at - start])
    assert at > 2 * 300_000_000
    return folder


@pytest.mark.long
@pytest.mark.parametrize("form", ["baked", "naive"])
def test_memory_is_bounded(checkpoint: Path, tmp_path: Path, form: str) -> None:
    output = tmp_path / "model.onnx"
    ran = subprocess.run(
        [sys.executable, "-c", EXPORT, str(checkpoint), str(output), form], capture_output=True, text=True, check=True
    )
    assert int(ran.stdout) * 1024 < LARGEST_RSS
    data = output.with_name("model.onnx.data")
    assert data.stat().st_size > (300_000_000 if form == "baked" else 1_200_000_000)
    assert output.stat().st_size < 1 << 20
    if form == "baked":
        assert len(import_onnx(output).stages) == 3
    data.unlink()
