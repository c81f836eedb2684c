"""How many vectors a start takes."""

from __future__ import annotations

import pytest
from tritloom.passes.choose_mapping import rows_fed
from tritloom.runtime.memory_map import TOKENS


@pytest.mark.parametrize(("length", "rows"), [(1, TOKENS), (128, TOKENS), (1000, 262), (4096, 64), (100_000, 64)])
def test_rows_of_a_mebibyte(length: int, rows: int) -> None:
    assert rows_fed(length) == rows
