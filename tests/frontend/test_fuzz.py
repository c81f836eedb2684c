"""Mutated graphs of every form end in success or in our error: no crash, no hang.

`pytest -m long tests/frontend/test_fuzz.py` runs all 5,000.
"""

from __future__ import annotations

import time
import warnings
from functools import cache
from pathlib import Path

import onnx
import pytest
from forms import FORMS, lm
from mutations import mutated
from tritloom.errors import InputError
from tritloom.frontend import import_onnx

SAMPLE, ALL, SHARDS = 170, 5000, 10
LONGEST = 10.0
"""Seconds that one import may take."""


@cache
def model(form: str, per_channel: bool) -> onnx.ModelProto:
    return lm(form, per_channel)


def outcome(seed: int, path: Path) -> bool:
    """Whether mutated graph number `seed` is imported; it is refused by an InputError otherwise."""
    names = list(FORMS)
    path.write_bytes(mutated(model(names[seed % len(names)], bool(seed // len(names) % 2)), seed))
    start = time.perf_counter()
    try:
        import_onnx(path)
    except InputError:
        accepted = False
    except Exception as error:
        raise AssertionError(f"mutation {seed} of '{names[seed % len(names)]}'") from error
    else:
        accepted = True
    assert time.perf_counter() - start < LONGEST, f"mutation {seed}"
    return accepted


def fuzz(seeds: range, path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        accepted = [outcome(seed, path) for seed in seeds]
    assert 0 < sum(accepted) < len(seeds)


def test_a_sample(tmp_path: Path) -> None:
    fuzz(range(SAMPLE), tmp_path / "model.onnx")


@pytest.mark.long
@pytest.mark.parametrize("shard", range(SHARDS))
def test_all(shard: int, tmp_path: Path) -> None:
    fuzz(range(shard, ALL, SHARDS), tmp_path / "model.onnx")
