"""Block RAM, UltraRAM and distributed RAM against hand-counted memories."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tritloom.analysis.memory import Memory, Ports, bram36, lutram, place, uram

SIZES = st.integers(1, 20000)
WIDTHS = st.integers(1, 600)


@pytest.mark.parametrize(
    ("depth", "width", "ports", "blocks"),
    [
        (512, 128, Ports.SIMPLE, 2.0),  # two of 512 x 72
        (512, 256, Ports.SIMPLE, 4.0),  # four of 512 x 72, the last 40 bits wide
        (512, 36, Ports.SIMPLE, 0.5),
        (512, 37, Ports.SIMPLE, 1.0),
        (1024, 32, Ports.SIMPLE, 1.0),
        (1024, 32, Ports.TRUE, 1.0),
        (512, 72, Ports.TRUE, 2.0),  # no 512 x 72 with two independent ports
        (6144, 32, Ports.TRUE, 6.0),  # six of 1024 x 36
        (256, 32, Ports.SIMPLE, 0.5),
        (16384, 1, Ports.SIMPLE, 0.5),
        (0, 32, Ports.SIMPLE, 0.0),
    ],
)
def test_bram_by_hand(depth: int, width: int, ports: Ports, blocks: float) -> None:
    assert bram36(depth, width, ports) == blocks


@pytest.mark.parametrize(("depth", "width", "blocks"), [(4096, 72, 1), (4097, 72, 2), (4096, 73, 2), (6144, 32, 2)])
def test_uram_by_hand(depth: int, width: int, blocks: int) -> None:
    assert uram(depth, width) == blocks


def test_lutram_by_hand() -> None:
    assert lutram(64, 3) == 4  # one RAM64M
    assert lutram(65, 3) == 8
    assert lutram(39, 32) == 44


@given(SIZES, WIDTHS, st.sampled_from(list(Ports)))
def test_enough_bits(depth: int, width: int, ports: Ports) -> None:
    assert bram36(depth, width, ports) * 36 * 1024 >= depth * width
    assert uram(depth, width) * 288 * 1024 >= depth * width


@given(SIZES, WIDTHS, st.sampled_from(list(Ports)))
def test_larger_memories_take_no_less(depth: int, width: int, ports: Ports) -> None:
    blocks = bram36(depth, width, ports)
    assert bram36(depth + 1, width, ports) >= blocks
    assert bram36(depth, width + 1, ports) >= blocks


@given(SIZES, WIDTHS)
def test_two_full_ports_cost_no_less(depth: int, width: int) -> None:
    assert bram36(depth, width, Ports.TRUE) >= bram36(depth, width, Ports.SIMPLE)


def test_uram_only_where_it_pays() -> None:
    large = Memory("large", 4096, 64, may_be_uram=True)  # 8 BRAM or 1 URAM
    small = Memory("small", 1024, 32, may_be_uram=True)  # 1 BRAM or 1 URAM
    kinds = [placed.kind for placed in place([small, large], 4)]
    assert kinds == ["BRAM", "URAM"]
    assert [placed.kind for placed in place([small, large], 0)] == ["BRAM", "BRAM"]


def test_uram_goes_to_the_best_saving_first() -> None:
    better = Memory("better", 4096, 72, may_be_uram=True)  # 8 for 1
    worse = Memory("worse", 4096, 32, may_be_uram=True)  # 4 for 1
    assert [placed.kind for placed in place([worse, better], 1)] == ["BRAM", "URAM"]


def test_small_memories_are_distributed() -> None:
    (placed,) = place([Memory("small", 16, 32, copies=3)], 8)
    assert (placed.kind, placed.lut, placed.bram36) == ("LUTRAM", 3 * 44, 0.0)
