"""Instructions as bytes, and the limits of a kernel."""

from __future__ import annotations

import dataclasses
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tritloom.ir.instruction import INSTRUCTION_BYTES, Instruction, Opcode
from tritloom.ir.kernel import KernelLimits

WORD = st.integers(0, 2**32 - 1)
FLOAT = st.floats(width=32, allow_nan=False)

# docs/kernel.md: the word of each field; the first word holds opcode, func and flags.
WORDS = {
    "length": 1, "rows": 2, "src0": 3, "src1": 4, "dst": 5, "state": 6, "slot": 7, "slices": 11, "op": 13,
}  # fmt: skip
FLOATS = {"scale": 8, "eps0": 9, "eps1": 10, "imm": 12}

instructions = st.builds(
    Instruction,
    opcode=st.sampled_from(Opcode),
    func=st.integers(0, 255),
    flags=st.integers(0, 2**16 - 1),
    **dict.fromkeys(WORDS, WORD),
    **dict.fromkeys(FLOATS, FLOAT),
)


@given(instruction=instructions)
def test_decoding_is_the_inverse(instruction: Instruction) -> None:
    data = instruction.encode()
    assert len(data) == INSTRUCTION_BYTES
    assert Instruction.decode(data) == instruction
    assert struct.pack("<16I", *instruction.words()) == data


@given(instruction=instructions)
def test_fields_stand_where_the_document_says(instruction: Instruction) -> None:
    words = instruction.words()
    assert words[0] == instruction.opcode | instruction.func << 8 | instruction.flags << 16
    assert all(words[word] == getattr(instruction, field) for field, word in WORDS.items())
    for field, word in FLOATS.items():
        assert struct.pack("<I", words[word]) == struct.pack("<f", getattr(instruction, field))
    assert words[14:] == (0, 0)


@pytest.mark.parametrize("length", [0, 63, 65])
def test_a_wrong_length_is_refused(length: int) -> None:
    with pytest.raises(ValueError, match=f"an instruction has 64 bytes, not {length}"):
        Instruction.decode(bytes(length))


@pytest.mark.parametrize("opcode", [0, 5, 255])
def test_an_unknown_opcode_is_refused(opcode: int) -> None:
    with pytest.raises(ValueError, match=str(opcode)):
        Instruction.decode(bytes([opcode]) + bytes(63))


GOOD = KernelLimits(4, 128, 4, 8, k_max=1040, vector_words=8192, state_words=4096, program_max=256)


def test_what_follows_from_the_limits() -> None:
    assert (GOOD.slices, GOOD.trits_per_cycle) == (4, 320)
    wide = dataclasses.replace(GOOD, port_bits=512)
    assert (wide.slices, wide.trits_per_cycle) == (16, 1280)
    assert KernelLimits(**{k: v for k, v in GOOD.as_dict().items() if k != "slices"}) == GOOD
    assert GOOD.as_dict()["slices"] == 4


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("ports", 0, "ports must be 1 to 32"),
        ("ports", 33, "ports must be 1 to 32"),
        ("port_bits", 64, "port_bits must be 128 or 512"),
        ("lanes", 2, "lanes must be 4, 8 or 16"),
        ("lanes", 12, "lanes must be 4, 8 or 16"),
        ("batch", 0, "batch must be at least 1"),
        ("k_max", 0, "k_max must be a multiple of 80"),
        ("k_max", 96, "k_max must be a multiple of 80"),
        ("vector_words", 8, "vector_words must be a multiple of 16"),
        ("vector_words", -16, "vector_words must be a multiple of 16"),
        ("state_words", 8, "state_words must be a multiple of 16"),
        ("state_words", -16, "state_words must be a multiple of 16"),
        ("code_slots", 0, "code_slots must be at least 1"),
        ("program_max", 0, "program_max must be at least 1"),
        ("topk", 0, "topk must be at least 1"),
        ("port_fifo", 0, "port_fifo and gain_fifo must be at least 1"),
        ("gain_fifo", 0, "port_fifo and gain_fifo must be at least 1"),
        ("burst_beats", 0, "burst_beats and outstanding must be at least 1"),
        ("outstanding", 0, "burst_beats and outstanding must be at least 1"),
    ],
)
def test_limits_that_no_kernel_has(field: str, value: int, message: str) -> None:
    with pytest.raises(ValueError, match=f"^kernel limits: {message}$"):
        dataclasses.replace(GOOD, **{field: value})


@pytest.mark.parametrize("field", ["ports", "batch"])
def test_the_smallest_limits(field: str) -> None:
    assert getattr(dataclasses.replace(GOOD, **{field: 1}), field) == 1
    assert dataclasses.replace(GOOD, state_words=0).state_words == 0
