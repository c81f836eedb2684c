"""A classifier from its ONNX file to labels: compiled, verified, run in batches on the emulated device."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from support.classifiers import Outputs, arg_max, everything, probable_three, reference, samples, save, top_three
from tritloom.api import compile_model
from tritloom.runtime import load
from tritloom.verify import verify_bundle


@pytest.mark.parametrize("build", [arg_max, top_three, probable_three, everything])
def test_from_a_file_to_labels(build: Callable[[onnx.GraphProto], Outputs], tmp_path: Path) -> None:
    path = save(build, tmp_path)
    bundle = tmp_path / "bundle"
    compile_model(path, "pynq-z2", bundle)
    report = verify_bundle(bundle, frames=200)
    assert report.passed, "\n".join(report.lines())

    images, labels = samples()
    wanted = reference(path, images)
    with load(bundle, "emulated") as session:
        names = [arg.name for arg in session.get_outputs()]
        assert names == list(wanted)
        batches = [session.run(None, {"x": batch}) for batch in np.array_split(images, [1, 300, 301])]
        assert session.last_counters is not None
        assert session.last_counters.frames == 299
    found = {name: np.concatenate(parts) for name, parts in zip(names, zip(*batches, strict=True), strict=True)}
    for name, values in found.items():
        assert (values.dtype, values.shape) == (wanted[name].dtype, wanted[name].shape)
        if values.dtype.kind == "f":
            np.testing.assert_allclose(values, wanted[name], rtol=0, atol=1e-6 * np.ptp(wanted[name]))
        else:
            np.testing.assert_array_equal(values, wanted[name])
    if "label" in found:
        assert np.mean(found["label"] == labels) > 0.94


def test_what_leaves_the_chip(tmp_path: Path) -> None:
    """An index a frame, or k pairs; all sums where an output takes them."""
    words = {}
    for build in (arg_max, top_three, everything):
        bundle = tmp_path / build.__name__
        compile_model(save(build, tmp_path), "pynq-z2", bundle)
        with load(bundle, "emulated") as session:
            words[build.__name__] = session.program.words
    assert words == {"arg_max": 1, "top_three": 6, "everything": 10}
