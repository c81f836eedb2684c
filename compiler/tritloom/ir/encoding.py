"""The escape code of ternary weights, five trits a byte, and the order of weights in memory (docs/encoding.md)."""

from __future__ import annotations

import hashlib
from typing import Final

import numpy as np
from numpy.typing import NDArray

ENCODING_NAME: Final = "escape5"
ENCODING_VERSION: Final = 1
TRITS_PER_BYTE: Final = 5
SLICE_BYTES: Final = 16
SLICE_TRITS: Final = SLICE_BYTES * TRITS_PER_BYTE
ZERO_BYTE: Final = 108
PAGE: Final = 4096

Bytes = NDArray[np.uint8]
Trits = NDArray[np.int8]


class InvalidCode(ValueError):
    """A byte that no five trits encode."""


def slices_of(length: int) -> int:
    """Slices that a row of `length` trits takes."""
    return -(-length // SLICE_TRITS)


def encode_slices(trits: Trits) -> Bytes:
    """Trits [rows, slices * 80] -> bytes [rows, slices, 16]; byte b of a slice holds trits b, b+16, ..., b+64."""
    rows, width = trits.shape
    digits = (trits.reshape(rows, width // SLICE_TRITS, TRITS_PER_BYTE, SLICE_BYTES) + 1).astype(np.uint8)
    triple = digits[:, :, 0] + 3 * digits[:, :, 1] + 9 * digits[:, :, 2]
    pair = digits[:, :, 3] + 3 * digits[:, :, 4]
    return np.where(pair < 8, 8 * triple + pair, 224 + triple).astype(np.uint8)


def _decode_table() -> NDArray[np.int8]:
    """256 x 5 trits; rows of invalid bytes hold 2."""
    table = np.full((256, TRITS_PER_BYTE), 2, np.int8)
    for byte in range(256):
        escaped = byte >> 5 == 7
        triple, pair = (byte & 31, 8) if escaped else (byte >> 3, byte & 7)
        if triple < 27:
            table[byte] = [triple % 3 - 1, triple // 3 % 3 - 1, triple // 9 - 1, pair % 3 - 1, pair // 3 - 1]
    return table


DECODE_TABLE: Final = _decode_table()


def decode_slices(image: Bytes) -> Trits:
    """Bytes [..., slices, 16] -> trits [..., slices * 80].

    Raises:
        InvalidCode: a byte outside the code, with its offset.
    """
    digits = DECODE_TABLE[image]
    if (bad := digits == 2).any():
        offset = int(np.flatnonzero(bad.any(axis=-1))[0])
        raise InvalidCode(f"byte {int(image.flat[offset])} at offset {offset} encodes no trits")
    trits = np.moveaxis(digits, -1, -2)
    return trits.reshape(*image.shape[:-2], -1)


def table_hash() -> str:
    """sha256 of the decode table: what a manifest states of the encoding."""
    return hashlib.sha256(DECODE_TABLE.tobytes()).hexdigest()


def pack_linear(trits: Trits, slices_per_cycle: int, ports: int) -> list[bytes]:
    """One matrix [rows, K] in consumption order, one run of bytes a port.

    Rows are taken in groups of `slices_per_cycle`; for each group, for each slice along K, every port holds its
    share of the group's slices. Short rows and groups are padded with zero trits.
    """
    rows, length = trits.shape
    groups, slices = -(-rows // slices_per_cycle), slices_of(length)
    padded = np.zeros((groups * slices_per_cycle, slices * SLICE_TRITS), np.int8)
    padded[:rows, :length] = trits
    image = encode_slices(padded).reshape(groups, ports, slices_per_cycle // ports, slices, SLICE_BYTES)
    ordered = image.transpose(1, 0, 3, 2, 4)
    return [np.ascontiguousarray(ordered[port]).tobytes() for port in range(ports)]


def unpack_linear(images: list[bytes], rows: int, length: int, slices_per_cycle: int) -> Trits:
    """Inverse of :func:`pack_linear`."""
    ports = len(images)
    groups, slices = -(-rows // slices_per_cycle), slices_of(length)
    shape = (groups, slices, slices_per_cycle // ports, SLICE_BYTES)
    runs = np.stack([np.frombuffer(image, np.uint8).reshape(shape) for image in images])
    ordered = runs.transpose(1, 0, 3, 2, 4).reshape(groups * slices_per_cycle, slices, SLICE_BYTES)
    return decode_slices(ordered)[:rows, :length]


def pad_page(image: bytes, fill: int) -> bytes:
    """Pad to a whole number of 4 KiB pages, at least one."""
    return image + bytes([fill]) * (-len(image) % PAGE or (0 if image else PAGE))
