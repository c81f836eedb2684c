"""One error tells all that keeps a model from being imported: nodes and constants."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from onnx_models import WIDTH, Net, random_trits
from skeleton import refusal

WRONG = np.arange(WIDTH * WIDTH).reshape(WIDTH, WIDTH).astype(np.int8)


def test_every_matrix_that_is_not_ternary(tmp_path: Path) -> None:
    net = Net()
    first = net.bitlinear(net.token(), "first", WRONG)
    net.output("y", net.bitlinear(net.bitlinear(first, "second", random_trits()), "third", WRONG))
    message, *lines = refusal(net.save(tmp_path)).message.splitlines()
    assert message == "2 constants are not what the model needs:"
    assert [line.split(":")[0] for line in lines] == [
        "  tensor 'third' (int8, 8x8)",
        "  tensor 'first' (int8, 8x8)",
    ]
    assert "0 to 63 in 7 bins: 9 9 9 9 9 9 10; " in lines[0]


def test_nodes_and_constants_together(tmp_path: Path) -> None:
    net = Net()
    x = net.bitlinear(net.token(), "w", WRONG)
    y = net.bitlinear(net.add("Softplus", x), "v", scale=-0.5)
    net.output("y", y)
    error = refusal(net.save(tmp_path))
    lines = error.message.splitlines()
    assert lines[:2] == ["1 node is not supported:", "  Softplus: the vector unit has no such function"]
    assert lines[4] == "2 constants are not what the model needs:"
    assert lines[5].startswith("  the scale of tensor 'v' is -0.5 (at 'node_Gemm_")
    assert lines[6].startswith("  tensor 'w' (int8, 8x8): ")
    assert error.hint.startswith("docs/import.md lists what is recognised")


def test_a_matrix_used_twice_is_told_once(tmp_path: Path) -> None:
    net = Net()
    x = net.token()
    wrong = net.trits("w", WRONG)
    for _ in range(2):
        codes, step = net.quantize(x)
        x = net.add("Div", net.add("Gemm", codes, wrong, transB=1), step)
    net.output("y", x)
    assert refusal(net.save(tmp_path)).message.startswith("tensor 'w' (int8, 8x8) is not ternary: 64 distinct values\n")


def test_a_long_list_is_cut(tmp_path: Path) -> None:
    net = Net()
    x = net.token()
    for index in range(9):
        x = net.bitlinear(x, f"w{index}", WRONG)
    net.output("y", x)
    lines = refusal(net.save(tmp_path)).message.splitlines()
    assert len(lines) == 8
    assert lines[-1] == "  and 3 more"
