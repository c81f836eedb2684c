"""The escape code and the order of weights in memory, against an encoder written from docs/encoding.md."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tritloom.ir import encoding
from tritloom.ir.encoding import InvalidCode, decode_slices, encode_slices, pack_linear, pad_page, unpack_linear

INVALID = [*range(216, 224), *range(251, 256)]


def slow_byte(trits: tuple[int, ...]) -> int:
    d = [t + 1 for t in trits]
    triple, pair = d[0] + 3 * d[1] + 9 * d[2], d[3] + 3 * d[4]
    return 8 * triple + pair if pair < 8 else 224 + triple


def slow_images(trits: np.ndarray, slices_per_cycle: int, ports: int) -> list[bytes]:
    """Consumption order of docs/encoding.md, byte by byte."""
    rows, length = trits.shape
    share = slices_per_cycle // ports
    images = [bytearray() for _ in range(ports)]

    def trit(row: int, column: int) -> int:
        return int(trits[row, column]) if row < rows and column < length else 0

    for group in range(-(-rows // slices_per_cycle)):
        for k in range(-(-length // 80)):
            for port in range(ports):
                for slot in range(share):
                    row = group * slices_per_cycle + port * share + slot
                    for byte in range(16):
                        digits = tuple(trit(row, 80 * k + byte + 16 * i) for i in range(5))
                        images[port].append(slow_byte(digits))
    return [bytes(image) for image in images]


@st.composite
def matrices(draw: st.DrawFn) -> np.ndarray:
    rows, length = draw(st.integers(1, 20)), draw(st.integers(1, 250))
    return np.random.default_rng(draw(st.integers(0, 2**32 - 1))).integers(-1, 2, (rows, length)).astype(np.int8)


arrays = st.sampled_from([(1, 1), (2, 1), (2, 2), (4, 4), (4, 2), (8, 2), (12, 3), (16, 4)])


def test_every_byte_is_one_code_or_refused() -> None:
    codes = {slow_byte(trits): trits for trits in itertools.product((-1, 0, 1), repeat=5)}
    assert sorted({*range(256)} - codes.keys()) == INVALID
    for byte, trits in codes.items():
        assert encoding.DECODE_TABLE[byte].tolist() == list(trits)
        slices = np.full((1, 1, 16), byte, np.uint8)
        assert (encode_slices(decode_slices(slices)) == slices).all()


@pytest.mark.parametrize("byte", INVALID)
def test_invalid_bytes_are_refused(byte: int) -> None:
    image = np.full((2, 3, 16), 108, np.uint8)
    image[1, 0, 5] = byte
    with pytest.raises(InvalidCode, match=rf"^byte {byte} at offset 53 encodes no trits$"):
        decode_slices(image)


def test_five_zeros_are_108() -> None:
    assert slow_byte((0,) * 5) == 108 == encoding.ZERO_BYTE
    assert set(pack_linear(np.zeros((3, 5), np.int8), 4, 2)[1]) == {108}


def test_a_slice_spreads_its_trits_over_the_bytes() -> None:
    for position in range(80):
        trits = np.zeros((1, 80), np.int8)
        trits[0, position] = 1
        image = encode_slices(trits)[0, 0]
        changed = [byte for byte in range(16) if image[byte] != 108]
        assert changed == [position % 16]
        assert encoding.DECODE_TABLE[image[position % 16]][position // 16] == 1


@settings(deadline=None)
@given(trits=matrices(), array=arrays)
def test_images_are_those_of_the_slow_encoder(trits: np.ndarray, array: tuple[int, int]) -> None:
    assert pack_linear(trits, *array) == slow_images(trits, *array)


@settings(deadline=None)
@given(trits=matrices(), array=arrays)
def test_unpacking_gives_the_matrix_back(trits: np.ndarray, array: tuple[int, int]) -> None:
    assert (unpack_linear(pack_linear(trits, *array), *trits.shape, array[0]) == trits).all()


def test_padding_of_rows_and_groups_is_zero() -> None:
    images = pack_linear(np.ones((3, 81), np.int8), 2, 1)
    whole = unpack_linear(images, 4, 160, 2)
    assert (whole[:3, :81] == 1).all()
    assert (whole[3] == 0).all()
    assert (whole[:, 81:] == 0).all()


@pytest.mark.parametrize(("length", "wanted"), [(0, 4096), (1, 4096), (4096, 4096), (4097, 8192)])
def test_pages(length: int, wanted: int) -> None:
    padded = pad_page(b"\x01" * length, 108)
    assert len(padded) == wanted
    assert padded == b"\x01" * length + b"\x6c" * (wanted - length)


def test_slices() -> None:
    assert [encoding.slices_of(length) for length in (1, 80, 81, 160)] == [1, 1, 2, 2]


def test_the_table_is_what_manifests_name() -> None:
    assert (encoding.ENCODING_NAME, encoding.ENCODING_VERSION) == ("escape5", 1)
    assert encoding.table_hash() == "a095b6ea1ddaba3cb2b0e5c3ded7a9e484f9115c06e0ec0e419070fe1b1a39e2"
