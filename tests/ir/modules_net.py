"""A feed-forward net as text with every operation of such nets, and small ones around a body."""

from __future__ import annotations

_HASH = 'hash = "h"'


def _weight(name: str, rows: int, cols: int) -> str:
    return f'tern.weight "{name}" {{rows = {rows} : i64, cols = {cols} : i64, scale = 1.0 : f32, {_HASH}}}\n'


def steps(name: str, channels: int, operands: int, low: int, levels: int, more: str = "") -> str:
    """The declaration of a step function, `more` being further properties."""
    numbers = {"channels": channels, "operands": operands, "low": low, "step": 1, "levels": levels}
    properties = ", ".join(f"{key} = {value} : i64" for key, value in numbers.items())
    return f'tern.steps "{name}" {{{properties}, {_HASH}{more}}}\n'


SYMBOLS = (
    _weight("filters", 4, 18)
    + _weight("rows", 3, 128)
    + steps("input", 1, 1, 0, 255)
    + steps("one", 4, 1, -2, 3)
    + steps("two", 1, 2, 0, 3)
    + steps("two.sum", 1, 1, 0, 3, ", sum_of = @two")
    + 'tern.vector "scale" {length = 3 : i64}\ntern.vector "offset" {length = 3 : i64}\n'
    + 'tern.ranking "order" {multipliers = 1 : i64, biases = 3 : i64, bits = 12 : i64, multiplier_bits = 0 : i64,'
    + f" {_HASH}}}\n"
)
WINDOW = (
    "kernel = [3 : i64, 3 : i64], strides = [1 : i64, 1 : i64], pads = [1 : i64, 1 : i64, 1 : i64, 1 : i64],"
    " dilations = [1 : i64, 1 : i64]"
)
HALVE = (
    "kernel = [2 : i64, 2 : i64], strides = [2 : i64, 2 : i64], pads = [0 : i64, 0 : i64, 0 : i64, 0 : i64],"
    " dilations = [1 : i64, 1 : i64]"
)
CONV = (
    f"%c = tern.conv2d %q @filters {{{WINDOW}, groups = 1 : i64, pad_code = 0 : i64}}"
    " : tensor<4x4x2xui8> -> tensor<4x4x4xsi13>\n"
)
QUANTIZE = "%q = tern.quantize %x @input : tensor<4x4x2xf32> -> tensor<4x4x2xui8>\n"
REQUANTIZE = "%r = tern.requantize %c @one : tensor<4x4x4xsi13> -> tensor<4x4x4xsi2>\n"
POOL = f"%p = tern.pool %r {{kind = #tern<pooling max>, {HALVE}}} : tensor<4x4x4xsi2> -> tensor<2x2x4xsi2>\n"
SUM = "%s = tern.sum %r, %r : tensor<4x4x4xsi2>, tensor<4x4x4xsi2> -> tensor<4x4x4xsi3>\n"
JOIN = "%j = tern.concat %t, %t : tensor<4x4x4xui2>, tensor<4x4x4xui2> -> tensor<4x4x8xui2>\n"
TWO = (
    "%t = tern.requantize %r, %s @two"
    " {form = #tern<form multiply_shift>, shift = 7 : i64, multiplier_bits = 9 : i64}"
    " : tensor<4x4x4xsi2>, tensor<4x4x4xsi3> -> tensor<4x4x4xui2>\n"
)
DENSE = "%d = tern.dense %j @rows : tensor<4x4x8xui2> -> tensor<3xsi10>\n"
SCORES = "%y = tern.scores %d {scale = @scale, offset = @offset} : tensor<3xsi10> -> tensor<3xf32>\n"
TOP_K = (
    '%i, %m = tern.top_k %d @order {k = 2 : i64, last = 0 : i64, ranks = #tern.port<"y", [3], [0]>}'
    " : tensor<3xsi10> -> tensor<2xui2>, tensor<2xsi10>\n"
)
SCORES_AT = (
    "%a = tern.scores_at %m, %i {scale = @scale, offset = @offset} : tensor<2xsi10>, tensor<2xui2> -> tensor<2xf32>\n"
)
ACTIVATION = "%e = tern.activation %y {kind = #tern<activation softmax>} : tensor<3xf32> -> tensor<3xf32>\n"
TAKE = "%k = tern.take %e, %i : tensor<3xf32>, tensor<2xui2> -> tensor<2xf32>\n"
UNPAIR = "%u, %v = tern.unpair %r : tensor<4x4x4xsi2> -> tensor<4x4x2xui2>, tensor<4x4x2xsi2>\n"
RANKED = TOP_K + SCORES_AT + ACTIVATION + TAKE + UNPAIR
BODY = QUANTIZE + CONV + REQUANTIZE + POOL + SUM + TWO + JOIN + DENSE + SCORES + RANKED
RETURN = "tern.return %y : tensor<3xf32>\n"
INPUT, OUTPUT = '#tern.port<"x", [2, 4, 4], [1, 2, 0]>', '#tern.port<"y", [3], [0]>'


def net_text(
    body: str = BODY,
    returned: str = RETURN,
    symbols: str = "",
    inputs: str = INPUT,
    outputs: str = OUTPUT,
) -> str:
    """A module whose net has the argument %x, tensor<4x4x2xf32>."""
    return (
        f"builtin.module {{\n{SYMBOLS}{symbols}"
        f'tern.net "n" inputs [{inputs}] outputs [{outputs}] {{\n^bb0(%x: tensor<4x4x2xf32>):\n{body}{returned}}}\n}}\n'
    )
