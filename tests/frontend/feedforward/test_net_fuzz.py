"""Mutated nets end in success or in our error: no crash, no hang.

`pytest -m long tests/frontend/feedforward/test_net_fuzz.py` runs all 5,000.
"""

from __future__ import annotations

import random
import time
import warnings
from functools import cache
from pathlib import Path

import numpy as np
import onnx
import pytest
from frontend.mutations import mutated
from onnx import helper, numpy_helper
from tritloom.errors import InputError
from tritloom.frontend import import_onnx
from tritloom.frontend.feedforward.results import ENDINGS
from tritloom.frontend.feedforward.table import READERS

FILES = sorted((Path(__file__).parents[2] / "fixtures" / "feedforward").glob("*.onnx"))
SAMPLE, ALL, SHARDS = 120, 5000, 10
OPERATORS = sorted(READERS.keys() | {("", op_type) for op_type in ENDINGS})
LONGEST = 10.0
"""Seconds that one import may take."""


@cache
def original(index: int) -> onnx.ModelProto:
    return onnx.load(str(FILES[index]))


def damaged(seed: int) -> bytes:
    """A mutated net. Some end in an operator behind the scores, in some an operator is another that nets have."""
    chance = random.Random(seed)
    model = onnx.ModelProto()
    model.CopyFrom(original(seed % len(FILES)))
    if chance.random() < 0.5:
        model = ended(model, chance.choice(sorted(ENDINGS)), chance)
    if chance.random() < 0.5:
        node = chance.choice(model.graph.node)
        domains = {opset.domain for opset in model.opset_import}
        node.domain, node.op_type = chance.choice([found for found in OPERATORS if found[0] in domains])
    return mutated(model, seed)


def ended(model: onnx.ModelProto, op_type: str, chance: random.Random) -> onnx.ModelProto:
    """With an operator behind the graph's output; sometimes what it reads stays an output."""
    graph = model.graph
    (scores,) = graph.output
    inputs, outputs = [scores.name], [onnx.ValueInfoProto(name="ended")]
    if op_type == "TopK":
        graph.initializer.append(numpy_helper.from_array(np.array([2]), "ended_k"))
        inputs, outputs = [*inputs, "ended_k"], [*outputs, onnx.ValueInfoProto(name="ended_indices")]
    names = [output.name for output in outputs]
    graph.node.append(helper.make_node(op_type, inputs, names, name="ending", axis=chance.choice([-1, 1])))
    kept = chance.sample([scores, *outputs], chance.randint(1, 1 + len(outputs)))
    del graph.output[:]
    graph.output.extend(kept)
    return onnx.shape_inference.infer_shapes(model)


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
