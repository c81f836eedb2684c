"""The bundle's notebook: valid JSON of nbformat 4.5, and its code cells run on the emulated device."""

from __future__ import annotations

import ast
import asyncio
import inspect
import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any, cast

import pytest
from runtime.conftest import bundle, emulation, shared_cache  # noqa: F401
from runtime.fake_net import write_net
from tritloom.report.notebook import notebook
from tritloom.report.render import render_notebook
from tritloom.runtime.sensors import Sensor


def rendered(language_model: bool) -> dict[str, Any]:
    data, target = SimpleNamespace(model="fake", version="0"), SimpleNamespace(title="Some Board")
    return dict(json.loads(render_notebook(cast(Any, data), cast(Any, target), language_model)))


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


@pytest.mark.parametrize("language_model", [True, False])
def test_it_is_a_notebook(language_model: bool) -> None:
    document = rendered(language_model)
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
    assert imported <= {"time", "numpy", "tritloom"}  # all that a board has; matplotlib is tried for


def test_it_runs_a_language_model(
    bundle: Path,  # noqa: F811
    emulation: None,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    document = rendered(True)
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
        execute(rendered(True))
    label = "simulated on the emulated device"
    assert shown == [f"Latency ({label})", f"Prompt ({label})", "Power"]


def test_it_runs_a_feed_forward_net(
    tmp_path: Path,
    emulation: None,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    with inside(write_net(tmp_path / "net"), monkeypatch):
        names = execute(rendered(False))
    out = capsys.readouterr().out
    assert "fake-net on kv260, simulated on the emulated device\n" in out
    assert "scores float32 (1, 2, 3)\n" in out
    assert len(names["milliseconds"]) == 40
    assert "Throughput (simulated on the emulated device): frames/s by frames\n" in out


def test_cells_from_a_script() -> None:
    script = "ignored\n# %% [markdown]\n#\n# # A\n# text\n\n\n# %%\n\nx = 1\n\n\ny = 2\n"
    document = json.loads(notebook(script))
    assert [(cell["cell_type"], "".join(cell["source"])) for cell in document["cells"]] == [
        ("markdown", "# A\ntext"),
        ("code", "x = 1\n\n\ny = 2"),
    ]
