"""What the host makes of a kernel's words: functions, rankings and layouts as the interpreter defines them."""

from __future__ import annotations

import json
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tritloom.ir import numerics
from tritloom.ir.ranking import best, ranking
from tritloom.runtime import BundleError, InputError, canonical_hash, load
from tritloom.runtime.activations import FUNCTIONS
from tritloom.runtime.net_manifest import Kept, NetOutput, NetPort, NetProgram, Rank
from tritloom.runtime.net_outputs import outputs_of

from .fake_net import SCORES, scores, write_net

F32 = np.float32
FRAMES, VECTORS, CHANNELS, K = 7, 3, 5, 2
SCALE, OFFSET = (0.5, -2.0, 0.25, 1.0, 3.0), (0.0, 0.125, -1.0, 2.0, 0.5)
RANK = {"k": 2, "last": False, "multiplier": [2], "bias": [0, 3, 1]}
INDICES: dict[str, Any] = {
    "name": "best", "dtype": "int64", "shape": [2, 2], "axes": [0, 1], "value": "indices", "rank": RANK
}  # fmt: skip
VALUES: dict[str, Any] = {**SCORES, "name": "values", "shape": [2, 2], "value": "values", "rank": RANK}


@pytest.mark.parametrize("name", FUNCTIONS)
@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_functions_are_the_interpreters_bit_for_bit(name: str, seed: int) -> None:
    random = np.random.default_rng(seed)
    x = (random.standard_normal((3, 1 + seed % 300)) * 10.0 ** random.integers(-3, 4)).astype(F32)
    x[0] = x[0, 0]
    assert FUNCTIONS[name](x).tobytes() == getattr(numerics, name)(x).tobytes()


def program(*outputs: NetOutput, kept: Kept | None = None) -> NetProgram:
    port = NetPort("x", "int8", (4,), (0,))
    return NetProgram("", "", "net", port, outputs, (), VECTORS, CHANNELS, kept, 4, 60, 0, 0.0)


def output(value: str, elements: int, **more: Any) -> NetOutput:
    """One whose elements come first in the model's layout, pixels last."""
    port = NetPort("y", more.pop("dtype", "float32"), (elements, VECTORS), (1, 0))
    vectors = {} if value == "indices" else {"scale": SCALE, "offset": OFFSET}
    return NetOutput(port, value, **vectors, **more)


def sums(seed: int = 0) -> np.ndarray:
    """Few values, so that some are equal."""
    return np.random.default_rng(seed).integers(-4, 5, (FRAMES, VECTORS, CHANNELS)).astype(np.int32)


def all_scores() -> np.ndarray:
    return sums().astype(F32) * np.array(SCALE, F32) + np.array(OFFSET, F32)


def rank(last: bool) -> Rank:
    return Rank(K, last, (1,), (0, 2, 0, 1, 0))


def indices(last: bool = False) -> np.ndarray:
    return best(sums().astype(np.int64) + np.array(rank(last).bias), K, last)


def made(of: NetProgram, words: np.ndarray) -> np.ndarray:
    """The output, pixels first again."""
    (found,) = outputs_of(of, words.reshape(FRAMES, -1).astype(np.int32))
    return found.transpose(0, 2, 1)


@pytest.mark.parametrize("function", [None, *FUNCTIONS])
def test_all_scores(function: str | None) -> None:
    wanted = all_scores() if function is None else getattr(numerics, function)(all_scores())
    found = made(program(output("scores", CHANNELS, function=function)), sums())
    assert (found.dtype, found.tobytes()) == (np.dtype("float32"), wanted.tobytes())


@pytest.mark.parametrize("last", [False, True])
def test_the_host_ranks_as_the_fabric(last: bool) -> None:
    found = made(program(output("indices", K, dtype="uint8", rank=rank(last))), sums())
    assert found.dtype == np.uint8
    assert np.array_equal(found, indices(last))
    assert not np.array_equal(found, indices(not last))


@pytest.mark.parametrize("function", [None, *FUNCTIONS])
def test_values_of_the_best(function: str | None) -> None:
    wanted = all_scores() if function is None else getattr(numerics, function)(all_scores())
    wanted = np.take_along_axis(wanted, indices(), axis=-1)
    found = made(program(output("values", K, function=function, rank=rank(False))), sums())
    assert found.tobytes() == wanted.tobytes()


@pytest.mark.parametrize("function", [None, "sigmoid"])
def test_what_the_kernel_keeps(function: str | None) -> None:
    """Pairs, or indices alone: the same as the host makes of all sums."""
    kept = np.take_along_axis(sums(), indices(), axis=-1)
    pairs = np.stack([indices(), kept], axis=-1)
    of = program(output("values", K, function=function), kept=Kept(K, sums=True))
    by_host = made(program(output("values", K, function=function, rank=rank(False))), sums())
    assert made(of, pairs).tobytes() == by_host.tobytes()
    of = program(output("indices", K, dtype="int64"), kept=Kept(K, sums=True))
    assert np.array_equal(made(of, pairs), indices())
    of = program(output("indices", K, dtype="int64"), kept=Kept(K, sums=False))
    assert np.array_equal(made(of, indices()), indices())


def test_keys_of_many_bits() -> None:
    """A multiplier of 50 bits, as the compiler makes it: no product overflows."""
    keys = ranking([Fraction(1), Fraction(3, 2**40)], [Fraction(0)], -1000, 1000)
    assert keys is not None
    tables = tuple(keys.multiplier.tolist()), tuple(keys.bias.tolist())
    one = NetOutput(NetPort("y", "int64", (1,), (0,)), "indices", rank=Rank(1, False, *tables))
    of = NetProgram("", "", "n", NetPort("x", "int8", (1,), (0,)), (one,), (), 1, 2, None, 4, 8, 0, 0.0)
    words = np.array([[1, -1000], [-1, 1000], [0, 1], [1000, 1000]], np.int32)
    assert outputs_of(of, words)[0].tolist() == [[0], [1], [1], [0]]


def test_a_session_of_several_outputs(tmp_path: Path, emulation: None) -> None:
    """Those that are asked for, in that order."""
    root = write_net(tmp_path / "net", outputs=[SCORES, INDICES, VALUES])
    frames = np.random.default_rng(1).integers(-100, 100, (300, 2, 4)).astype(np.int8)
    with load(root, "emulated") as session:
        assert [(arg.name, arg.shape, arg.type) for arg in session.get_outputs()] == [
            ("scores", ("frames", 2, 3), "tensor(float)"),
            ("best", ("frames", 2, 2), "tensor(int64)"),
            ("values", ("frames", 2, 2), "tensor(float)"),
        ]
        every = session.run(None, {"x": frames})
        assert [array.dtype.name for array in every] == ["float32", "int64", "float32"]
        assert np.array_equal(every[0], scores(frames))
        assert np.array_equal(every[2], np.take_along_axis(every[0], every[1], axis=-1))
        best_, values = session.run(["best", "values"], {"x": frames})
        assert np.array_equal(best_, every[1])
        assert np.array_equal(values, every[2])
        with pytest.raises(InputError, match="there is no output 'y'") as caught:
            session.run(["best", "y"], {"x": frames})
        assert caught.value.hint == "outputs: 'scores', 'best', 'values'"


def changed(**fields: Any) -> Callable[[dict[str, Any]], None]:
    """A change of the first output."""
    return lambda program: program["outputs"][0].update(fields)


def kept(**fields: Any) -> Callable[[dict[str, Any]], None]:
    """A kernel that keeps the best two."""
    return lambda program: program.update(
        kept={"k": 2, "sums": False}, output_bytes=16, outputs=[{**INDICES, **fields}]
    )


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (changed(value="classes"), r"`program.outputs\[0\].value` should be one of scores, values, indices"),
        (changed(function="tanh"), r"`program.outputs\[0\].function` should be one of sigmoid, softmax, log_softmax"),
        (changed(scale=[1.0]), r"`program.outputs\[0\]` does not have 3 channels"),
        (changed(dtype="bool"), r"`program.outputs\[0\].dtype` should be one of"),
        (changed(axes=[0, 0]), r"`program.outputs\[0\].axes` are no order of its axes"),
        (changed(value="indices"), r"`program.outputs\[0\].dtype` should be one of int8"),
        (changed(rank=RANK), "output 'scores' cannot be made of the sums"),
        (changed(value="values"), "output 'scores' cannot be made of the sums"),
        (changed(shape=[3, 3]), "output 'scores' cannot be made of the sums"),
        (changed(rank={**RANK, "k": 4}), r"`program.outputs\[0\].rank.k` should be an integer from 1 to 3"),
        (changed(rank={**RANK, "bias": [1, 2]}), r"`program.outputs\[0\].rank` has no keys of 3 channels"),
        (changed(rank={**RANK, "bias": [0.5]}), r"`program.outputs\[0\].rank.bias` should be a list of integers"),
        (changed(rank={**RANK, "bias": 3}), r"`program.outputs\[0\].rank.bias` should be a list of integers"),
        (changed(rank={**RANK, "multiplier": [2**63]}), "should be a list of integers from -9223372036854775808 to"),
        (changed(rank={**RANK, "last": 1}), r"`program.outputs\[0\].rank.last` should be true or false"),
        (lambda program: program.update(outputs=[]), r"the outputs are \[\]"),
        (lambda program: program.update(outputs=[SCORES, SCORES]), r"the outputs are \['scores', 'scores'\]"),
        (lambda program: program.update(vectors=3), "`program.output_bytes` is not 36 bytes in whole beats"),
        (kept(), "output 'best' cannot be made of the sums"),
        (kept(rank=None, shape=[2, 3]), "output 'best' cannot be made of the sums"),
        (kept(**{**VALUES, "rank": None}), "output 'values' cannot be made of the sums"),
        (kept(**SCORES), "output 'scores' cannot be made of the sums"),
    ],
)
def test_manifests_that_contradict_themselves(
    change: Callable[[dict[str, Any]], None], message: str, tmp_path: Path
) -> None:
    root = write_net(tmp_path / "net")
    path = root / "manifest.json"
    manifest = json.loads(path.read_text())
    change(manifest["program"])
    manifest["program"]["hash"] = canonical_hash(manifest["program"])
    path.write_text(json.dumps(manifest))
    with pytest.raises(BundleError, match=message):
        load(root, "emulated")


def test_softmax_needs_all_sums(tmp_path: Path) -> None:
    """Of pairs a sigmoid can be made, a softmax cannot."""
    root = write_net(tmp_path / "net")
    path = root / "manifest.json"
    manifest = json.loads(path.read_text())
    for function, works in (("sigmoid", True), ("softmax", False)):
        values = {**VALUES, "rank": None, "function": function}
        manifest["program"].update(kept={"k": 2, "sums": True}, outputs=[values])
        manifest["program"]["hash"] = canonical_hash(manifest["program"])
        path.write_text(json.dumps(manifest))
        if works:
            load(root, "emulated").close()
        else:
            with pytest.raises(BundleError, match="output 'values' cannot be made of the sums"):
                load(root, "emulated")
