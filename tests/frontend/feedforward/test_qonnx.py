"""QONNX and FINN operators against qonnx's executor: its stored scores, and itself where it is installed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from checking import check_scores, import_model
from qonnx_nets import BREVITAS, FINN, NETS, ROUNDINGS, STORED, channels_last, executed, inputs, model
from tritloom.ir.interpreter.net import NetInterpreter

EXACT = {f"rounding {mode}" for mode in ROUNDINGS} | {"narrow, unsigned", "one bit, signed", "Trunc behind an average"}
"""Powers of two throughout."""


@pytest.fixture(scope="module")
def stored() -> dict[str, np.ndarray]:
    return dict(np.load(STORED))


def scores(name: str, folder: Path, domain: str) -> np.ndarray:
    imported = import_model(model(name, domain), folder)
    return NetInterpreter(imported.module, imported.store).run({"x": inputs(name)})["y"]


@pytest.mark.parametrize("name", NETS)
def test_the_stored_scores(name: str, stored: dict[str, np.ndarray], tmp_path: Path) -> None:
    assert np.ptp(stored[name]) > 0
    check_scores(scores(name, tmp_path, "qonnx.custom_op.general"), stored[name], exact=name in EXACT)


@pytest.mark.parametrize("name", ["narrow, signed, zero point", "BipolarQuant", "Trunc behind an average"])
def test_other_domains(name: str, stored: dict[str, np.ndarray], tmp_path: Path) -> None:
    for domain in (BREVITAS, FINN):
        check_scores(scores(name, tmp_path, domain), stored[name], exact=name in EXACT)


def test_channels_last(stored: dict[str, np.ndarray], tmp_path: Path) -> None:
    imported = import_model(channels_last(), tmp_path)
    ours = NetInterpreter(imported.module, imported.store).run({"x": inputs("channels first")})["y"]
    check_scores(ours, stored["channels first"], exact=False)


def test_roundings_differ(stored: dict[str, np.ndarray]) -> None:
    """The nets tell the rounding modes apart."""
    distinct = {mode: stored[f"rounding {mode}"] for mode in ROUNDINGS if mode != "HALF_EVEN"}
    assert len({values.tobytes() for values in distinct.values()}) == len(distinct)


@pytest.mark.parametrize("name", NETS)
def test_the_executor_of_today(name: str, stored: dict[str, np.ndarray]) -> None:
    pytest.importorskip("qonnx")
    np.testing.assert_allclose(executed(name), stored[name], rtol=1e-6, atol=1e-6)
