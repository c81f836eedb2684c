"""Mutated nets end in success or in our error: no crash, no hang.

`pytest -m long tests/frontend/feedforward/test_net_fuzz.py` runs all 5,000.
"""

from __future__ import annotations

import random
import time
import warnings
from functools import cache
from pathlib import Path

import onnx
import pytest
from frontend.mutations import mutated
from tritloom.errors import InputError
from tritloom.frontend import import_onnx
from tritloom.frontend.feedforward.table import READERS

FILES = sorted((Path(__file__).parents[2] / "fixtures" / "feedforward").glob("*.onnx"))
SAMPLE, ALL, SHARDS = 120, 5000, 10
LONGEST = 10.0
"""Seconds that one import may take."""


@cache
def original(index: int) -> onnx.ModelProto:
    return onnx.load(str(FILES[index]))


def damaged(seed: int) -> bytes:
    """A mutated net; of every second one an operator, too, has become another that nets have."""
    chance = random.Random(seed)
    model = onnx.ModelProto()
    model.CopyFrom(original(seed % len(FILES)))
    if seed % 2:
        node = chance.choice(model.graph.node)
        node.domain, node.op_type = chance.choice(sorted(READERS))
    return mutated(model, seed)


def outcome(seed: int, path: Path) -> bool:
    """Whether a mutated net is imported; it is refused by an InputError otherwise."""
    path.write_bytes(damaged(seed))
    start = time.perf_counter()
    try:
        import_onnx(path)
    except InputError:
        accepted = False
    except Exception as error:
        raise AssertionError(f"mutation {seed} of {FILES[seed % len(FILES)].name}") from error
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
