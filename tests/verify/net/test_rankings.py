"""Nets that end in a ranking: what is compared, and planted faults."""

from __future__ import annotations

import dataclasses
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.classifiers import everything, probable_three, save, top_three
from tritloom.api import compile_model
from tritloom.frontend import Imported, import_onnx
from tritloom.ir import tern
from tritloom.ir.interpreter.net import NetInterpreter
from tritloom.verify.net_outputs import output_checks

from .planting import failures, imported_wrong, number_of_table, restate, tables_of, tampered, verified, without_device


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("rankings")


@pytest.fixture(scope="module")
def ranked(folder: Path, _own_cache: None) -> Path:
    """The best three, by the fabric."""
    compile_model(save(top_three, folder), "pynq-z2", folder / "ranked")
    return folder / "ranked"


@pytest.fixture(scope="module")
def scored(folder: Path, _own_cache: None) -> Path:
    """Scores, shares and the label, by the host."""
    compile_model(save(everything, folder), "pynq-z2", folder / "scored")
    return folder / "scored"


def test_what_is_compared(ranked: Path, scored: Path) -> None:
    report = verified(ranked, frames=40)
    assert report.passed
    assert re.match(r"values within \S+ of their range \(limit 1e-06\)$", report.check("values").detail)
    assert re.match(r"120 of 120 indices are onnxruntime \S+; accuracy 100", report.check("indices").detail)
    assert report.check("ranking").detail == "the keys in weights.h order the scores of 100 pairs of channels"
    assert "'values', 'indices', 40 frames, bit for bit" in report.check("device, fast build").detail
    report = verified(scored, frames=40, after_each_pass=True)
    assert report.passed
    names = [check.name for check in report.checks]
    assert names[2:5] == ["scores 'scores'", "scores 'shares'", "indices"]
    assert "ranking" not in names  # the host ranks: the manifest has the keys
    assert report.check("scores 'shares'").detail.startswith("40 of 40 classes equal, scores 'shares' within ")


def test_a_bias_of_a_key(ranked: Path, tmp_path: Path) -> None:
    """By more than the scores of two classes ever lie apart: the device shows it too."""
    (name,) = (name for name in tables_of(ranked, "bias") if "order" in name)
    edit = number_of_table(name, 4, lambda value: value + 4000)
    found = failures(verified(tampered(ranked, tmp_path / "bundle", "hls/weights.h", edit)))
    assert found.keys() == {"sources", "ranking", "device, fast build", "device, bounded build"}
    assert "top_k_indices_order @indices.order (ONNX top_k" in found["ranking"]
    assert re.search(r"channel \d at -?\d+ has key -?\d+, channel \d at -?\d+ has -?\d+: ", found["ranking"])
    assert re.search(r"frame \d+, '(values|indices)' \[\d\]: device ", found["device, fast build"])


def test_a_bias_that_is_off_by_one(ranked: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two fractions of a step change places: no frame need show it."""
    without_device(monkeypatch)
    (name,) = (name for name in tables_of(ranked, "bias") if "order" in name)
    edit = number_of_table(name, 4, lambda value: value + 1)
    found = failures(verified(tampered(ranked, tmp_path / "bundle", "hls/weights.h", edit)))
    assert found.keys() == {"sources", "ranking"}


def test_the_order_of_equals(ranked: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    without_device(monkeypatch)
    bundle = tampered(
        ranked, tmp_path / "bundle", "hls/config.h", lambda text: text.replace("bool LAST = false", "bool LAST = true")
    )
    assert failures(verified(bundle)).keys() == {"sources"}


def test_a_ranking_that_is_imported_wrong(ranked: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the smallest, and of sums without their biases."""

    def smallest(imported: Imported) -> None:
        (name,) = imported.store.rankings
        keys = imported.store.rankings[name]
        imported.store.rankings[name] = dataclasses.replace(keys, multiplier=-keys.multiplier, bias=-keys.bias)

    def unbiased(imported: Imported) -> None:
        (name,) = imported.store.rankings
        keys = imported.store.rankings[name]
        imported.store.rankings[name] = dataclasses.replace(keys, bias=np.zeros(1, np.int64))

    without_device(monkeypatch)
    for fault in (smallest, unbiased):
        imported_wrong(monkeypatch, fault)
        found = failures(verified(ranked, frames=200))
        assert re.search(
            r"frame \d+, place \[0, \d\]: \d, onnxruntime \S+ has \d; their values differ by ", found["indices"]
        )
        assert "values are not onnxruntime" in found["values"]
        assert "sources" in found


def test_a_function_that_is_imported_wrong(scored: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fault(imported: Imported) -> None:
        (op,) = (op for op in imported.module.walk() if isinstance(op, tern.ActivationOp))
        op.properties["kind"] = tern.ActivationAttr(tern.Activation.SIGMOID)

    without_device(monkeypatch)
    imported_wrong(monkeypatch, fault)
    found = failures(verified(scored))
    assert found.keys() == {"scores 'shares'", "compiled"}
    assert found["compiled"].endswith("'shares': 24 of 24 frames differ, the first is frame 0")


def test_keys_in_the_manifest(scored: Path, tmp_path: Path) -> None:
    """The host ranks by them."""
    bundle = tampered(scored, tmp_path / "bundle", "README.md", lambda text: text + "\n")

    def worse(outputs: list[dict[str, Any]]) -> list[dict[str, Any]]:
        outputs[2]["rank"]["bias"][3] += 4000
        return outputs

    outputs = json.loads((bundle / "manifest.json").read_text())["program"]["outputs"]
    restate(bundle, outputs=worse(outputs))
    found = failures(verified(bundle))
    assert found.keys() == {"device, fast build", "device, bounded build"}
    assert re.search(r"frame \d+, 'label' \[\]: device 3, interpreter \d", found["device, fast build"])


def test_equal_values_may_come_in_either_order(tmp_path: Path) -> None:
    """By 1e-6 of the range of what is ranked; not an index that is none, nor values further apart."""
    path = save(probable_three, tmp_path)
    imported = import_onnx(path)
    _, check = output_checks(imported.module, None)
    values = np.zeros((1, 10), np.float32)
    values[0, [2, 5, 7]] = [1.0, 0.5, 0.5 + 4e-7]
    truth = {"shares": values, "indices": np.array([[2, 7, 5]], np.uint8)}
    for ours, equal, passed in (
        ([2, 7, 5], 3, True),
        ([2, 5, 7], 1, True),
        ([2, 7, 4], 2, False),
        ([2, 7, 99], 2, False),
        ([7, 2, 5], 1, False),
    ):
        _, check = output_checks(imported.module, None)
        here = {"indices": np.array([ours], np.uint8)}
        check.add(here, here, truth, np.array([False]))
        found = check.check(here, "the judge")
        assert (found.passed, found.figures["equal"]) == (passed, equal), ours
    assert "2 at a tie" not in found.detail


def test_a_frame_at_a_tie_is_compared_by_the_references_codes(tmp_path: Path) -> None:
    imported = import_onnx(save(top_three, tmp_path))
    frame = np.full((1, 64), 7, np.uint8)
    right = NetInterpreter(imported.module, imported.store).run({"x": frame})
    wrong = {**right, "indices": right["indices"][:, ::-1]}
    truth = {**right, "scores": np.arange(10, dtype=np.float32)[np.newaxis]}
    for tied in (True, False):
        _, check = output_checks(imported.module, None)
        check.add(wrong, right, truth, np.array([tied]))
        assert check.check(wrong, "the judge").passed == tied
