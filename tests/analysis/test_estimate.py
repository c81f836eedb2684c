"""Whole programs: flagship sizes, resources, what fits, and what a refusal says."""

from __future__ import annotations

import dataclasses
import json

import pytest
from programs import EXAMPLE, M370, M1300, M2700, Shape, labels, program
from tritloom.analysis import (
    Estimate,
    ModelNeeds,
    ResourceUse,
    blocks,
    check_fits,
    choose_floats,
    default_limits,
    estimate,
)
from tritloom.analysis.area import array_cost
from tritloom.errors import InputError
from tritloom.targets import list_targets, load_target


def _estimate(shape: Shape, board: str) -> Estimate:
    target = load_target(board)
    return estimate(program(shape), default_limits(target, shape.needs()), target, labels=labels(shape))


def test_model_sizes() -> None:
    assert [shape.weights for shape in (M370, M1300, M2700)] == [341_049_344, 1_298_661_376, 2_619_473_920]


@pytest.mark.parametrize(
    ("shape", "board", "design"),
    [(M370, "kv260", 217), (M1300, "kv260", 59), (M2700, "kv260", 30), (M370, "pynq-z2", 22)],
)
def test_flagship_speed_is_near_the_first_model(shape: Shape, board: str, design: float) -> None:
    """An earlier cycle model, with 250-cycle barriers, four a layer; docs/estimate.md says where this one differs."""
    assert _estimate(shape, board).tokens_per_second == pytest.approx(design, rel=0.07)


def test_bytes_per_token_by_hand() -> None:
    found = _estimate(M370, "kv260")
    groups = 24 * (4 * 256 * 13 + 1408 * 13 + 256 * 36) + 8000 * 13
    # Two norms: w1 and w2 for the first of i, f, g, for o and for gate; w2 alone for f and g; down's one; the bound.
    gains = 24 * (2 * 1024 + 2 * 1024 + 2 * 1024 + 2 * 1024 + 2816 + 1024) + 2 * 1024
    assert found.weight_bytes == groups * 64
    assert found.gain_bytes == gains * 4
    assert found.bytes_per_token == found.weight_bytes + found.gain_bytes + 2048


def test_times_add_up() -> None:
    found = _estimate(EXAMPLE, "pynq-z2")
    assert sum(found.token.cycles_by_bound.values()) == pytest.approx(found.token.cycles)
    assert sum(row.cycles for row in found.instructions) + 300 == pytest.approx(found.token.cycles)


def test_a_batch_pays_for_a_prompt() -> None:
    found = _estimate(M370, "kv260")
    assert found.prompt.positions == 4
    assert found.tokens_per_second < found.prompt.tokens_per_second < 4 * found.tokens_per_second
    target = load_target("kv260")
    serial = estimate(program(M370), default_limits(target, M370.needs()), target, max_batch=1)
    assert serial.prompt.tokens_per_second == pytest.approx(serial.tokens_per_second)


@pytest.mark.parametrize("board", [target.name for target in list_targets()])
def test_no_more_than_the_memory_delivers(board: str) -> None:
    found = _estimate(EXAMPLE, board)
    assert 0 < found.bandwidth_share <= 1.02
    check_fits(found, load_target(board))


def test_labels_and_json() -> None:
    found = _estimate(EXAMPLE, "kv260")
    assert found.instructions[5].op == "tern.linear @layers.0.f_proj"
    assert found.instructions[5].onnx == "/model/layers.0/f_proj/MatMul"
    data = json.loads(json.dumps(found.as_dict()))
    assert (data["label"], data["board"]) == ("estimated", "kv260")
    assert data["cycles_per_token"] == round(found.cycles_per_token)


def test_given_images_count() -> None:
    target = load_target("kv260")
    limits = default_limits(target, EXAMPLE.needs())
    found = estimate(program(EXAMPLE), limits, target, images={"port0": 5000}, buffers={"state": 1})
    assert found.memory.contiguous == 8192 + 4096


def test_an_empty_program_is_refused() -> None:
    target = load_target("kv260")
    with pytest.raises(ValueError, match="no instructions"):
        estimate([], default_limits(target, EXAMPLE.needs()), target)


@pytest.mark.parametrize(("batch", "lut"), [(1, 4 * 1405), (2, 4 * 2438), (4, 4 * 4504), (3, 4 * (2438 + 1032))])
def test_array_from_the_measured_table(batch: int, lut: int) -> None:
    cost = array_cost(4, batch)
    assert (cost.lut, cost.ff) == (lut, 11 * 320 * batch)


def test_floats_go_where_the_part_has_room() -> None:
    kv260, zynq = load_target("kv260"), load_target("pynq-z2")
    plan = choose_floats(default_limits(kv260, M370.needs()), kv260)
    assert (plan.multiply, plan.add) == ("dsp", "dsp")
    plan = choose_floats(default_limits(zynq, M370.needs()), zynq)
    assert (plan.multiply, plan.add) == ("dsp", "fabric")


def test_state_is_in_uram_where_there_is_some() -> None:
    for board, kind in (("kv260", "uram"), ("kd240", "bram36")):
        target = load_target(board)
        found, _ = blocks(default_limits(target, M370.needs()), target)
        (state,) = (block for block in found if block.name == "state")
        assert getattr(state, kind) > 0


def test_limits_are_rounded_up() -> None:
    limits = default_limits(load_target("kv260"), ModelNeeds(1024, 4000, 2304, 77))
    assert (limits.k_max, limits.vector_words, limits.state_words) == (1040, 4096, 3072)
    assert (limits.program_max, limits.batch, limits.lanes, limits.ports) == (128, 4, 8, 4)


@pytest.mark.parametrize("board", [target.name for target in list_targets()])
@pytest.mark.parametrize("shape", [EXAMPLE, M370])
def test_the_next_batch_would_not_fit(board: str, shape: Shape) -> None:
    target = load_target(board)
    limits = default_limits(target, shape.needs())
    assert limits.batch <= target.kernel.batch
    assert limits.k_max >= shape.inner


def test_not_even_a_batch_of_one() -> None:
    with pytest.raises(InputError) as caught:
        default_limits(load_target("pynq-z2"), ModelNeeds(16000, 60000, 200_000, 400))
    assert caught.value.message.startswith("does not fit pynq-z2: BRAM (36 kbit) ")
    assert "too many; estimated, batch 1, 4 lanes, 2 ports)" in caught.value.message
    assert caught.value.hint == "try a board larger than pynq-z2 (`tritloom boards`)"


@pytest.mark.parametrize(
    ("use", "message", "hint"),
    [
        (
            ResourceUse("lut", 150000, 117120),
            (
                "does not fit kv260: LUT 150,000 of 117,120"
                " (1.28 times what the board has, 32,880 too many; estimated, batch 4, 8 lanes, 4 ports)"
            ),
            (
                "try a smaller batch (--batch 2), or fewer lanes (--lanes 4), or fewer weight ports"
                " (`kernel.ports` of a board file of your own), or a board larger than kv260 (`tritloom boards`)"
            ),
        ),
        (
            ResourceUse("uram", 8, 0),
            "does not fit kv260: URAM 8 of 0 (the board has none; estimated, batch 4, 8 lanes, 4 ports)",
            "try a smaller batch (--batch 2), or a board larger than kv260 (`tritloom boards`)",
        ),
    ],
)
def test_the_binding_resource_is_named(use: ResourceUse, message: str, hint: str) -> None:
    found = _estimate(EXAMPLE, "kv260")
    others = tuple(one for one in found.resources if one.resource != use.resource)
    with pytest.raises(InputError) as caught:
        check_fits(dataclasses.replace(found, resources=(*others, use)), load_target("kv260"))
    assert (caught.value.message, caught.value.hint) == (message, hint)


def test_cma_is_a_warning_ddr_an_error() -> None:
    target = load_target("pynq-z2")
    found = _estimate(M370, "pynq-z2")
    check_fits(found, target)
    assert any("the image's default is 128 MiB: add cma=256M" in warning for warning in found.warnings)
    small = target.model_copy(update={"memory": target.memory.model_copy(update={"size_mb": 256})})
    with pytest.raises(InputError) as caught:
        check_fits(_estimate(M1300, "pynq-z2"), small)
    assert caught.value.message == (
        "does not fit pynq-z2: 379 MiB of contiguous memory needed, 192 MiB can be had of 256 MiB (187 MiB too many)"
    )
    assert "a smaller model" in caught.value.hint
