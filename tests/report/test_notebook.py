"""The bundle's notebook: valid JSON of nbformat 4.5, and its code cells run on the emulated device."""

from __future__ import annotations

import ast
import asyncio
import inspect
import json
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
from runtime.conftest import bundle, emulation, shared_cache  # noqa: F401
from runtime.fake_bundle import edit, fed_with_vectors
from runtime.fake_net import write_net
from support.classifiers import arg_max, samples, save
from tritloom.api import compile_model
from tritloom.report.notebook import notebook
from tritloom.report.render import Fed, render_notebook
from tritloom.runtime.sensors import Sensor


def rendered(fed: Fed) -> dict[str, Any]:
    data, target = SimpleNamespace(model="fake", version="0"), SimpleNamespace(title="Some Board")
    return dict(json.loads(render_notebook(cast(Any, data), cast(Any, target), fed)))


def execute(document: dict[str, Any]) -> dict[str, Any]:
    """Run the code cells as Jupyter does, in a running loop; the variables that they leave."""
    names: dict[str, Any] = {"__name__": "__main__"}

    async def run() -> None:
        for cell in document["cells"]:
            if cell["cell_type"] == "code":
                flags = ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
                code = compile("".join(cell["source"]), cell["id"], "exec", flags)
                result = eval(code, names)
                if inspect.isawaitable(result):
                    await result

    asyncio.run(run())
    return names


@contextmanager
def inside(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with monkeypatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("TRITLOOM_EMULATE", "1")
        patch.setitem(sys.modules, "matplotlib", None)
        yield


@pytest.mark.parametrize("fed", ["tokens", "vectors", "frames"])
def test_it_is_a_notebook(fed: Fed) -> None:
    document = rendered(fed)
    assert (document["nbformat"], document["nbformat_minor"]) == (4, 5)
    assert document["metadata"]["kernelspec"]["name"] == "python3"
    cells = document["cells"]
    assert len({cell["id"] for cell in cells}) == len(cells)
    for cell in cells:
        wanted = {"id", "cell_type", "metadata", "source"}
        assert set(cell) == wanted | ({"execution_count", "outputs"} if cell["cell_type"] == "code" else set())
        assert cell["source"]
        assert all(line.endswith("\n") for line in cell["source"][:-1])
    assert cells[0]["source"][0] == "# fake on Some Board\n"
    code = "".join(line for cell in cells if cell["cell_type"] == "code" for line in cell["source"])
    imported = {line.split()[1].partition(".")[0] for line in code.splitlines() if line.startswith(("import", "from"))}
    assert imported <= {"pathlib", "time", "numpy", "tritloom"}  # all that a board has; matplotlib is tried for


def test_it_runs_a_language_model(
    bundle: Path,  # noqa: F811
    emulation: None,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    document = rendered("tokens")
    with inside(bundle, monkeypatch):
        monkeypatch.setattr("tritloom.runtime.sensors.HWMON", bundle)
        names = execute(document)
        again = [{**cell, "id": cell["id"] + "-again"} for cell in document["cells"][:5]]
        execute({"cells": [*document["cells"], *again]})
    out = capsys.readouterr().out
    assert "fake on kv260, simulated on the emulated device\n" in out
    assert "ok     prompt equals steps - bit for bit\n" in out
    assert str(names["result"].text) in out
    assert "FAILED" not in out
    assert len(names["milliseconds"]) == 40
    assert len(names["rates"]) == 6
    assert "Latency (simulated on the emulated device): ms by step\n" in out
    assert "no power rails were found\n" in out


def test_it_runs_a_step_of_vectors(
    bundle: Path,  # noqa: F811
    emulation: None,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    edit(bundle, fed_with_vectors)
    with inside(bundle, monkeypatch):
        monkeypatch.setattr("tritloom.runtime.sensors.HWMON", bundle)
        names = execute(rendered("vectors"))
    out = capsys.readouterr().out
    assert "logits float32 (40, 64)\n" in out
    assert "FAILED" not in out
    assert (len(names["milliseconds"]), len(names["rates"])) == (40, 6)
    assert "Throughput (simulated on the emulated device): vectors/s by vectors\n" in out


def test_it_plots_where_matplotlib_is(
    bundle: Path,  # noqa: F811
    emulation: None,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    shown: list[str] = []

    class Axes:
        def plot(self, x: Any, y: Any, style: str) -> None:
            assert len(list(x)) == len(list(y)) > 1

        def set(self, title: str, xlabel: str, ylabel: str) -> None:
            shown.append(title)

        def grid(self, on: bool) -> None:
            assert on

    pyplot: Any = ModuleType("matplotlib.pyplot")
    pyplot.subplots = lambda figsize: (None, Axes())
    pyplot.show = lambda: None
    package: Any = ModuleType("matplotlib")
    package.pyplot = pyplot
    monkeypatch.setattr("tritloom.runtime.session.Session.sensors", lambda _: [Sensor("rail", "W", lambda: 2.5)])
    with inside(bundle, monkeypatch):
        monkeypatch.setitem(sys.modules, "matplotlib", package)
        monkeypatch.setitem(sys.modules, "matplotlib.pyplot", pyplot)
        execute(rendered("tokens"))
    label = "simulated on the emulated device"
    assert shown == [f"Latency ({label})", f"Prompt ({label})", "Power"]


def test_it_runs_a_feed_forward_net(
    tmp_path: Path,
    emulation: None,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    with inside(write_net(tmp_path / "net"), monkeypatch):
        names = execute(rendered("frames"))
    out = capsys.readouterr().out
    assert "fake-net on kv260, simulated on the emulated device\n" in out
    assert "scores float32 (16, 2, 3)\n" in out  # random frames; of a class for each of two places nothing is shown
    assert len(names["milliseconds"]) == 40
    assert "Throughput (simulated on the emulated device): frames/s by frames\n" in out


@pytest.fixture(scope="module")
def classifier(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The digits MLP that ends in ArgMax, its samples beside the model."""
    folder = tmp_path_factory.mktemp("classifier")
    compile_model(save(arg_max, folder), "pynq-z2", folder / "bundle")
    return folder / "bundle"


def of_bundle(folder: Path) -> dict[str, Any]:
    return dict(json.loads((folder / "notebook.ipynb").read_text(encoding="utf-8")))


def test_it_names_the_classes_of_samples(
    classifier: Path,
    emulation: None,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    images, labels = samples()
    with inside(classifier, monkeypatch):
        names = execute(of_bundle(classifier))
    assert np.array_equal(names["frames"], images[:64])
    assert np.array_equal(names["labels"], labels[:64])
    wrong = np.flatnonzero(names["found"] != labels[:64])
    out = capsys.readouterr().out
    assert f"{1 - len(wrong) / 64:.1%} of 64 held-out samples are right\n" in out
    assert f"\n0: class {labels[0]}\n1: class {labels[1]}\n" in out
    assert len(re.findall(r"^\d+: class \d", out, re.MULTILINE)) == 32
    assert len(re.findall(r"^\d+: class \d, is \d$", out, re.MULTILINE)) == np.count_nonzero(wrong < 32)


def test_it_shows_the_images_where_matplotlib_is(
    classifier: Path,
    emulation: None,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    images, labels = samples()
    shown: list[np.ndarray[Any, Any]] = []
    titles: list[str] = []

    class Axes:
        def axis(self, which: str) -> None:
            assert which == "off"

        def imshow(self, picture: np.ndarray[Any, Any], cmap: str) -> None:
            shown.append(picture)

        def set_title(self, title: str, fontsize: int) -> None:
            titles.append(title)

        def nothing(self, *_: Any, **__: Any) -> None:
            """What the other plots call."""

        plot = set = grid = nothing

    def subplots(rows: int = 1, columns: int = 1, **options: Any) -> tuple[None, Any]:
        grid = np.array([Axes() for _ in range(rows * columns)], object).reshape(rows, columns)
        return None, grid if rows > 1 else grid[0, 0]

    pyplot: Any = ModuleType("matplotlib.pyplot")
    pyplot.subplots, pyplot.show = subplots, lambda: None
    package: Any = ModuleType("matplotlib")
    package.pyplot = pyplot
    with inside(classifier, monkeypatch):
        monkeypatch.setitem(sys.modules, "matplotlib", package)
        monkeypatch.setitem(sys.modules, "matplotlib.pyplot", pyplot)
        execute(of_bundle(classifier))
    assert len(shown) == len(titles) == 32
    for picture, image in zip(shown, images, strict=False):
        np.testing.assert_allclose(picture, image.reshape(8, 8) / image.max(), atol=1e-6)
    assert titles[0] == f"0: class {labels[0]}"


def functions(session: Any) -> dict[str, Any]:
    """What the notebook defines to show samples."""
    cell = next(cell for cell in rendered("frames")["cells"] if "def picture(frame):" in "".join(cell["source"]))
    names: dict[str, Any] = {"np": np, "plt": None, "session": session}
    exec("".join(cell["source"]), names)
    return names


SCORES, BEST = np.float32([[1, 3, 2], [5, 4, 4]]), np.array([[2, 1], [0, 2]])


@pytest.mark.parametrize(
    ("outputs", "vectors", "wanted"),
    [
        ({"scores": SCORES}, 1, [1, 0]),
        ({"scores": SCORES.astype(np.int32)}, 1, [1, 0]),
        ({"scores": SCORES, "indices": BEST}, 1, [2, 0]),
        ({"values": SCORES, "indices": BEST[:, 0]}, 1, [2, 0]),
        ({"values": SCORES}, 1, None),
        ({"scores": SCORES[:, :1]}, 1, None),
        ({"indices": BEST}, 2, None),
    ],
)
def test_what_a_frame_is_taken_for(outputs: dict[str, Any], vectors: int, wanted: list[int] | None) -> None:
    made = [SimpleNamespace(value=value) for value in outputs]
    names = functions(SimpleNamespace(program=SimpleNamespace(outputs=made, vectors=vectors)))
    found = names["classes"](list(outputs.values()))
    assert (found if found is None else found.tolist()) == wanted


@pytest.mark.parametrize(
    ("shape", "wanted"),
    [
        ((64,), (8, 8)),
        ((60,), None),
        ((12, 32), (12, 32)),
        ((1, 28, 28), (28, 28)),
        ((28, 28, 1), (28, 28)),
        ((3, 9, 7), (9, 7, 3)),
        ((9, 7, 3), (9, 7, 3)),
        ((5, 9, 7), None),
    ],
)
def test_which_frames_are_pictures(shape: tuple[int, ...], wanted: tuple[int, ...] | None) -> None:
    names = functions(None)
    found = names["picture"](np.arange(np.prod(shape), dtype=np.uint8).reshape(shape))
    assert (found if wanted is None else found.shape) == wanted
    if found is not None:
        assert (found.min(), found.max()) == (0, 1)


def test_pixels_of_both_signs() -> None:
    found = functions(None)["picture"](np.int8([[-128, 0], [0, 127]]))
    np.testing.assert_allclose(found, [[0, 128 / 255], [128 / 255, 1]], rtol=1e-6)


def test_cells_from_a_script() -> None:
    script = "ignored\n# %% [markdown]\n#\n# # A\n# text\n\n\n# %%\n\nx = 1\n\n\ny = 2\n"
    document = json.loads(notebook(script))
    assert [(cell["cell_type"], "".join(cell["source"])) for cell in document["cells"]] == [
        ("markdown", "# A\ntext"),
        ("code", "x = 1\n\n\ny = 2"),
    ]
