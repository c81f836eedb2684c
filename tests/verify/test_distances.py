"""The figures of the local and the global test, and their limits."""

from __future__ import annotations

import numpy as np
import pytest
from tritloom.verify.device import DeviceTrace, Expected, compare_traces, describe
from tritloom.verify.drift import Distance, code_lengths, distance, limits, measure


def of(disagreements: int, rms: float, bits: float) -> Distance:
    return Distance(512, disagreements, rms, bits, 5.0)


def test_code_lengths() -> None:
    logits = np.log(np.array([[0.5, 0.25, 0.25], [0.125, 0.75, 0.125]], np.float32)) + np.float32(100)
    assert code_lengths(logits, [0, 2]) == pytest.approx([1.0, 3.0], abs=1e-4)


def test_distance_to_itself_is_zero() -> None:
    logits = np.random.default_rng(0).standard_normal((6, 9)).astype(np.float32)
    found = distance(logits, logits, [1, 2, 3, 4, 5, 6])
    assert (found.disagreements, found.rms, found.bits, found.agreement) == (0, 0.0, 0.0, 1.0)
    assert found.text() == "argmax 100.00% (0 differ), logits 0.00e+00 rms, bits per token off by 0.00e+00"


def test_a_quarter_off() -> None:
    wanted = np.ones((2, 4), np.float32)
    assert distance(wanted * np.float32(1.25), wanted, []).rms == pytest.approx(0.25)


@pytest.mark.parametrize(
    ("control", "expected"),
    [
        (of(100, 2e-2, 1e-2), {"disagreements": 150.0, "rms": 3e-2, "bits": 1.5e-2}),
        (of(4, 2e-2, 1e-2), {"disagreements": 10.0, "rms": 3e-2, "bits": 1.5e-2}),
        (of(0, 0.0, 0.0), {"disagreements": 3.0, "rms": 3.5e-3, "bits": 5e-3}),
    ],
    ids=["many", "few: by chance", "control of zero"],
)
def test_limits(control: Distance, expected: dict[str, float]) -> None:
    assert limits(control, 512) == pytest.approx(expected)


def test_a_float64_control_has_half_of_the_rounding() -> None:
    assert limits(of(100, 2e-2, 1e-2), 512, double=True)["rms"] == pytest.approx(3e-2 * 2**0.5)


def test_few_tokens_or_no_control_leave_coarse_limits() -> None:
    coarse = {"disagreements": 10.0, "rms": 0.05, "bits": 0.1}
    assert limits(None, 200) == pytest.approx(coarse)
    assert limits(of(0, 1e-4, 1e-5), 200) == pytest.approx(coarse)
    assert limits(of(0, 0.1, 0.1), 200) == pytest.approx({"disagreements": 10.0, "rms": 0.15, "bits": 0.15})


def test_coarse_limits_say_why() -> None:
    wanted = np.random.default_rng(2).standard_normal((512, 4)).astype(np.float32)
    assert measure(wanted, wanted, wanted, []).coarse == ""
    assert measure(wanted[:9], wanted[:9], wanted[:9], []).coarse == "fewer than 512 tokens"
    assert measure(wanted, wanted, None, []).coarse == "no control"
    assert measure(wanted[:9], wanted[:9], None, []).coarse == "fewer than 512 tokens and no control"


def test_what_exceeds_is_named() -> None:
    random = np.random.default_rng(1)
    wanted = random.standard_normal((512, 20)).astype(np.float32)
    near = (wanted + random.standard_normal(wanted.shape) * 1e-3).astype(np.float32)
    far = (wanted + random.standard_normal(wanted.shape) * 1e-2).astype(np.float32)
    found = measure(far, wanted, near, [0] * 512)
    assert not found.passed
    assert any(text.startswith("rms ") and " exceeds 0.0035" in text for text in found.exceeded)
    assert measure(near, wanted, far, [0] * 512).passed


def test_nan_never_passes() -> None:
    wanted = np.ones((2, 4), np.float32)
    broken = wanted.copy()
    broken[0, 0] = np.nan
    assert not measure(broken, wanted, wanted.astype(np.float64), [1, 1]).passed


# Differences on the device.


def test_floats_differ_by_ulp() -> None:
    a = np.array([1.0, 2.0, -3.0], np.float32)
    b = a.copy()
    b[2] = np.nextafter(np.nextafter(b[2], np.float32(0)), np.float32(0))
    assert describe(a, b, "out") == (
        "element 2: device -3, interpreter -2.99999952, off by 2 ulp; 1 of 3 elements differ"
    )


def test_zeros_of_either_sign_differ() -> None:
    found = describe(np.array([-0.0], np.float32), np.array([0.0], np.float32), "out")
    assert found == "element 0: device -0, interpreter 0, off by 0 ulp; 1 of 1 elements differ"


def test_codes_and_sums_differ_by_units() -> None:
    codes = np.array([3, -128], np.int8), np.array([3, 127], np.int8)
    assert describe(*codes, "codes").endswith("device -128, interpreter 127, off by 255 codes; 1 of 2 elements differ")
    sums = np.array([70000], np.int32), np.array([70001], np.int32)
    assert "off by 1 units of the sum" in describe(*sums, "acc")
    assert "device int8 [2], interpreter int32 [1]" in describe(codes[0], sums[0], "acc")


def expected() -> Expected:
    rows = {(0, "out"): np.ones((2, 3), np.float32), (1, "codes"): np.ones((2, 3), np.int8)}
    return Expected(rows, np.ones((2, 3), np.float32), {}, ["engine.embed (ONNX a)", "engine.quantize (ONNX b)"])


def trace_of(wanted: Expected) -> DeviceTrace:
    trace = DeviceTrace()
    for position in range(2):
        for (instruction, what), rows in wanted.rows.items():
            trace(position, instruction, position, what, rows[position].copy())
    return trace


def test_the_first_difference_in_the_devices_order_is_named() -> None:
    trace = trace_of(expected())
    assert compare_traces(trace, expected()) == ([], 0)
    trace.rows[(1, "codes", 0)][2] = 5
    trace.rows[(0, "out", 1)][0] = 5
    (finding,), wrong = compare_traces(trace, expected())
    assert wrong == 2
    assert finding.startswith("instruction 1, engine.quantize (ONNX b): 'codes' at position 0, element 2: device 5")


def test_a_tensor_too_few_and_one_too_many() -> None:
    trace = trace_of(expected())
    del trace.rows[(1, "codes", 1)]
    assert compare_traces(trace, expected()) == (
        ["instruction 1, engine.quantize (ONNX b): no 'codes' at position 1"],
        1,
    )
    trace = trace_of(expected())
    trace(0, 9, 0, "out", np.ones(3, np.float32))
    (finding,), _ = compare_traces(trace, expected())
    assert finding == "instruction 9, not in the compiled program: 'out' at position 0, the interpreter has none"
