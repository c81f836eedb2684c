"""What the verifiers of the `flow` dialect refuse: operation, text and message (see test_verifiers)."""

from __future__ import annotations

from modules_net import OUTPUT, net_text

WINDOW = (
    "kernel = [3 : i64, 3 : i64], strides = [1 : i64, 1 : i64], pads = [1 : i64, 1 : i64, 1 : i64, 1 : i64],"
    " dilations = [1 : i64, 1 : i64]"
)
SYMBOLS = (
    'tern.weight "dense" {rows = 4 : i64, cols = 18 : i64, scale = 1.0 : f32, hash = "h"}\n'
    'tern.weight "depthwise" {rows = 2 : i64, cols = 9 : i64, scale = 1.0 : f32, hash = "h"}\n'
    'tern.vector "four" {length = 4 : i64}\n'
    'tern.ranking "pair" {multipliers = 1 : i64, biases = 2 : i64, bits = 9 : i64, multiplier_bits = 0 : i64,'
    ' hash = "h"}\n'
)
LOAD = "%l = flow.load %x {beat_bits = 64 : i64} : tensor<4x4x2xf32> -> F1\n"
CODES = LOAD + "%q = flow.quantize %l @input : F1 -> I1\n"
DENSE = CODES + f"%w = flow.window %q {{{WINDOW}, pad_code = 0 : i64, groups = 1 : i64}} : I1 -> W1\n"
TWO_CHANNELS = (
    "%l = flow.load %x {beat_bits = 64 : i64} : tensor<4x4x2xf32> -> F2\n%q = flow.quantize %l @input : F2 -> I2\n"
    f"%w = flow.window %q {{{WINDOW}, pad_code = 0 : i64, groups = 2 : i64}} : I2 -> W2\n"
)
WINDOWS = CODES + f"%w = flow.window %q {{{WINDOW}, pad_code = 0 : i64, groups = 2 : i64}} : I1 -> W1\n"
TYPES = {
    "F": "tensor<4x4x2xf32>",
    "I": "tensor<4x4x2xui8>",
    "J": "tensor<4x4x4xui8>",
    "W": "tensor<4x4x18xui8>",
    "S": "tensor<4x4x4xsi14>",
    "D": "tensor<4x4x2xsi13>",
    "G": "tensor<1x1x2xui8>",
    "K": "tensor<4x4x4xsi2>",
    "P": "tensor<4x4x2xsi9>",
    "R": "tensor<4x4x2xsi8>",
    "N": "tensor<4x4x1xui1>",
    "L": "tensor<4x4x6xui8>",
    "M": "tensor<4x4x54xui8>",
}
TOP_K = "%t = flow.top_k %q @pair {k = 1 : i64, last = 0 : i64, pairs = 1 : i64} : I1 -> P2\n"


def flow(body: str, returned: str = "tern.return\n", outputs: str = OUTPUT) -> str:
    """A net with a body whose types are a letter of TYPES and the lanes; an error in it is told before the missing
    output is."""
    for letter, tensor in TYPES.items():
        for lanes in (1, 2, 3, 4, 6):
            stream = f"!flow.stream<{tensor}, lanes = {lanes}, depth = 2>"
            body = body.replace(f" {letter}{lanes}", f" {stream}")
    return net_text(body, returned, SYMBOLS, outputs=outputs)


FLOW_ERRORS: dict[str, list[tuple[str, str]]] = {
    "flow.stream": [
        (flow("%l = flow.load %x {beat_bits = 64 : i64} : tensor<4x4x2xf32> ->"
              " !flow.stream<tensor<4x4x2xf32>, lanes = 0, depth = 2>\n"), "!flow.stream: 0 lanes, depth 2"),
        (flow("%l = flow.load %x {beat_bits = 64 : i64} : tensor<4x4x2xf32> -> F3\n"),
         "!flow.stream: 3 lanes do not divide tensor<4x4x2xf32>"),
    ],
    "flow.load": [
        (flow(LOAD.replace("64", "48")), "flow.load: beats have 32, 64, 128 bits, not 48"),
        (flow(LOAD.replace("F1", "J1")), "flow.load: the stream carries another tensor"),
    ],
    "flow.store": [
        (flow(CODES + "%s = flow.store %q {beat_bits = 32 : i64} : I1 -> tensor<4x4x4xui8>\n"),
         "flow.store: the stream carries another tensor"),
    ],
    "flow.quantize": [
        (flow(CODES + "%r = flow.quantize %q @input : I1 -> I1\n"), "flow.quantize: the operand carries f32"),
        (flow(LOAD + "%q = flow.quantize %l @input : F1 -> I2\n"),
         "flow.quantize: its streams have [1, 2] lanes, not the same"),
    ],
    "flow.resize": [
        (flow(CODES + "%r = flow.resize %q : I1 -> J1\n"), "flow.resize: its streams carry different tensors"),
        (flow(WINDOWS + "%r = flow.resize %w : W1 -> W2\n%s = flow.resize %r : W2 -> W3\n"),
         "flow.resize: 3 lanes are no multiple of 2"),
    ],
    "flow.fork": [
        (flow(CODES + "%a = flow.fork %q : I1 -> I1\n"), "flow.fork: it has less than two results"),
    ],
    "flow.window": [
        (flow(CODES + f"%w = flow.window %q {{{WINDOW}, pad_code = 0 : i64, groups = 3 : i64}} : I1 -> W1\n"),
         "flow.window: 3 groups of 2 channels"),
        (flow(CODES + "%a, %b, %c = flow.fork %q : I1 -> I1, I1, I1\n%d = flow.concat %a, %b : I1, I1 -> J1\n"
              "%e = flow.concat %d, %c : J1, I1 -> L1\n%r = flow.resize %e : L1 -> L2\n"
              f"%w = flow.window %r {{{WINDOW}, pad_code = 0 : i64, groups = 2 : i64}} : L2 -> M2\n"),
         "flow.window: 2 lanes are no part of a group of 3 channels, and not whole groups"),
        (flow(CODES + f"%w = flow.window %q {{{WINDOW}, pad_code = 0 : i64, groups = 1 : i64}} : I1 -> J1\n"),
         "flow.window: the result carries tensor<4x4x4xui8>, not tensor<4x4x18xui8>"),
        (flow(CODES + "%r = flow.resize %q : I1 -> I4\n"
              f"%w = flow.window %r {{{WINDOW}, pad_code = 0 : i64, groups = 1 : i64}} : I4 -> W4\n"),
         "flow.window: 4 lanes do not divide 2 channels"),
    ],
    "flow.mvau": [
        (flow(DENSE + "%m = flow.mvau %w @dense {groups = 3 : i64} : W1 -> S1\n"),
         "flow.mvau: 3 groups of 4 result channels"),
        (flow(DENSE + "%m = flow.mvau %w @dense {groups = 1 : i64} : W1 -> D1\n"),
         "flow.mvau: the weight has another number of rows than the result channels"),
        (flow(CODES + "%m = flow.mvau %q @dense {groups = 1 : i64} : I1 -> S1\n"),
         "flow.mvau: vectors of 18 do not fit !flow.stream<tensor<4x4x2xui8>, lanes = 1, depth = 2>"),
        (flow(DENSE + "%r = flow.resize %w : W1 -> W4\n%m = flow.mvau %r @dense {groups = 1 : i64} : W4 -> S1\n"),
         "flow.mvau: 4 lanes in and 1 out are no parts of a group of 18 x 4, and not whole groups"),
        (flow(DENSE + "%m = flow.mvau %w @depthwise {groups = 2 : i64} : W1 -> D1\n"),
         "flow.mvau: windows of 1 groups for 2 groups"),
        (flow(TWO_CHANNELS + "%a = flow.resize %w : W2 -> W1\n"
              "%m = flow.mvau %a @depthwise {groups = 2 : i64} : W1 -> D1\n"),
         "flow.mvau: the words of windows of several groups cannot be regrouped"),
        (flow(WINDOWS + "%a = flow.resize %w : W1 -> W2\n"
              "%m = flow.mvau %a @depthwise {groups = 2 : i64} : W2 -> D2\n"),
         "flow.mvau: its words are of 2 groups, those of its windows of 1"),
    ],
    "flow.pool": [
        (flow(CODES + "%p = flow.pool %q {kind = #tern<pooling max>} : I1 -> W1\n"),
         "flow.pool: windows do not fit !flow.stream<tensor<4x4x2xui8>, lanes = 1, depth = 2>"),
        (flow(WINDOWS + "%r = flow.resize %w : W1 -> W2\n"
              "%p = flow.pool %r {kind = #tern<pooling max>} : W2 -> I2\n"),
         "flow.pool: the words of windows of several groups cannot be regrouped"),
    ],
    "flow.global_pool": [
        (flow(CODES + "%p = flow.global_pool %q {kind = #tern<pooling sum>} : I1 -> J1\n"),
         "flow.global_pool: the result is one pixel"),
    ],
    "flow.requantize": [
        (flow(CODES + "%r = flow.requantize %q @two {form = #tern<form thresholds>} : I1 -> I1\n"),
         "flow.requantize: the step function has another number of operands"),
        (flow(CODES + "%r = flow.requantize %q @input {form = #tern<form thresholds>, shift = 3 : i64} : I1 -> I1\n"),
         "flow.requantize: shift and multiplier_bits belong to the form multiply_shift"),
        (flow(CODES + "%a, %b = flow.fork %q : I1 -> I1, I1\n"
              "%r = flow.requantize %a, %b @two {form = #tern<form thresholds>} : I1, I1 -> I1\n"),
         "flow.requantize: thresholds are of one operand"),
    ],
    "flow.add": [
        (flow(CODES + "%a, %b = flow.fork %q : I1 -> I1, I1\n"
              "%s = flow.add %a, %b {factors = [1 : i64, 1 : i64]} : I1, I1 -> J1\n"),
         "flow.add: operands and result differ in shape"),
    ],
    "flow.concat": [
        (flow(CODES + "%a, %b = flow.fork %q : I1 -> I1, I1\n%s = flow.concat %a, %b : I1, I1 -> I1\n"),
         "flow.concat: the result has another number of channels than its operands together"),
    ],
    "flow.top_k": [
        (flow(CODES + "%r = flow.resize %q : I1 -> I4\n" + TOP_K.replace("%q", "%r").replace("I1", "I4")),
         "flow.top_k: 4 lanes do not divide 2 channels"),
        (flow(CODES + TOP_K.replace("k = 1", "k = 3")), "flow.top_k: 3 of 2 channels"),
        (flow(CODES + TOP_K.replace("P2", "P1")), "flow.top_k: the result is no word of 2 elements a vector"),
        (flow(CODES + TOP_K.replace("pairs = 1", "pairs = 0")),
         "flow.top_k: the result is no word of 1 elements a vector"),
        (flow(CODES + TOP_K.replace("P2", "R2")), "flow.top_k: tensor<4x4x2xsi8> does not hold what it keeps"),
        (flow(CODES + TOP_K.replace("@pair", "@input")), "flow.top_k: @input is no ranking"),
    ],
}  # fmt: skip

EVERY_FLOW_OP = flow(
    CODES
    + "%a, %b, %c = flow.fork %q : I1 -> I1, I1, I1\n"
    + f"%w = flow.window %a {{{WINDOW}, pad_code = 0 : i64, groups = 2 : i64}} : I1 -> W1\n"
    + """%m = flow.mvau %w @depthwise {groups = 2 : i64} : W1 -> D1
%p = flow.requantize %m @input {form = #tern<form thresholds>} : D1 -> I1
%r = flow.resize %b : I1 -> I2
%t = flow.resize %r : I2 -> I1
%d = flow.requantize %p, %t @two {form = #tern<form multiply_shift>, shift = 7 : i64, multiplier_bits = 9 : i64}
  : I1, I1 -> I1
%e, %f, %g = flow.fork %d : I1 -> I1, I1, I1
%s = flow.add %e, %f {factors = [2 : i64, 1 : i64]} : I1, I1 -> D1
%i = flow.requantize %s @input {form = #tern<form thresholds>} : D1 -> I1
%j = flow.concat %i, %g : I1, I1 -> J1
%k = flow.store %j {beat_bits = 32 : i64} : J1 -> tensor<4x4x4xui8>
%h, %o, %u, %tt = flow.fork %c : I1 -> I1, I1, I1, I1
%ab = flow.top_k %tt @pair {k = 1 : i64, last = 1 : i64, pairs = 0 : i64} : I1 -> N1
%v = flow.global_pool %h {kind = #tern<pooling max>} : I1 -> G1
"""
    + f"%y = flow.window %o {{{WINDOW}, pad_code = 0 : i64, groups = 1 : i64}} : I1 -> W1\n"
    + """%z = flow.mvau %y @dense {groups = 1 : i64} : W1 -> S1
"""
    + f"%n = flow.window %u {{{WINDOW}, pad_code = 0 : i64, groups = 2 : i64}} : I1 -> W1\n"
    + """%aa = flow.pool %n {kind = #tern<pooling max>} : W1 -> I1
"""
    + "%last = tern.scores %k {scale = @four, offset = @four} : tensor<4x4x4xui8> -> tensor<4x4x4xf32>\n",
    "tern.return %last : tensor<4x4x4xf32>\n",
    '#tern.port<"y", [4, 4, 4], [0, 1, 2]>',
)
