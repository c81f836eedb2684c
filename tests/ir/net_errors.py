"""What the verifiers of feed-forward nets refuse: operation, text and message (see test_verifiers)."""

from __future__ import annotations

from modules_net import (
    ACTIVATION,
    CONV,
    DENSE,
    JOIN,
    OUTPUT,
    POOL,
    QUANTIZE,
    REQUANTIZE,
    SCORES,
    SCORES_AT,
    SUM,
    TAKE,
    TOP_K,
    TWO,
    UNPAIR,
    net_text,
    steps,
)

Q, C, R = QUANTIZE, QUANTIZE + CONV, QUANTIZE + CONV + REQUANTIZE
T, D = R + SUM + TWO + JOIN, R + SUM + TWO + JOIN + DENSE
Y, K = D + SCORES, D + TOP_K


def cut(body: str) -> str:
    """A net that ends behind `body`: what is wrong in it is told before the missing output is."""
    return net_text(body, "tern.return\n")


NET_ERRORS: dict[str, list[tuple[str, str]]] = {
    "tern.steps": [
        (net_text(symbols=f'tern.steps "s" {{channels = 1 : i64, operands = 1 : i64, low = 0 : i64,'
                          f' {numbers}, hash = ""}}\n'),
         "steps @s: channels, operands, step and levels must be positive")
        for numbers in ("step = 0 : i64, levels = 1 : i64", "step = 1 : i64, levels = 0 : i64")
    ]
    + [
        (net_text(symbols=text), "steps @s: sum_of names steps of two operands above it")
        for text in (
            steps("s", 1, 1, 0, 3, ", sum_of = @one"),
            steps("s", 1, 1, 0, 3, ", sum_of = @scale"),
            steps("s", 1, 1, 0, 3, ", sum_of = @below") + steps("below", 1, 2, 0, 3),
        )
    ],
    "tern.net": [
        (net_text(returned="tern.return\n"), "tern.net: 1 names for 0 values"),
        (net_text(outputs=OUTPUT.replace("3", "4")), "tern.net: 'y' [4] is no tensor<3xf32>"),
        (net_text(returned="tern.return %d : tensor<3xsi10>\n", outputs=OUTPUT.replace("]>", "], i64>")),
         "tern.net: the outputs are f32 scores, or indices in ports of integers"),
        (net_text(returned="tern.return %i : tensor<2xui2>\n", outputs=OUTPUT.replace("3", "2")),
         "tern.net: the outputs are f32 scores, or indices in ports of integers"),
        (net_text(outputs=OUTPUT.replace("]>", "], i4>")), "#tern.port: no tensor of ONNX has elements of i4"),
        (net_text(inputs='#tern.port<"x", [2, 4, 4], [1, 2, 2]>'), "#tern.port: [2, 4, 4] with axes [1, 2, 2]"),
        (net_text(inputs='#tern.port<"x", [2, 0, 4], [0, 1, 2]>'), "#tern.port: [2, 0, 4] with axes [0, 1, 2]"),
    ],
    "tern.quantize": [
        (cut(Q.replace("@input", "@filters")), "tern.quantize: @filters is no step function"),
        (cut(Q.replace("@input", "@nothing")), "tern.quantize: @nothing names no constant of the module"),
        (cut(Q.replace("@input", "@two")), "tern.quantize: @two takes 2 operands, not 1"),
        (cut(Q.replace("@input", "@one")), "tern.quantize: @one has 4 channels"),
        (cut(Q.replace("ui8", "ui7")), "tern.quantize: codes 0 to 255 do not fit tensor<4x4x2xui7>"),
        (cut(Q.replace("ui8", "f32")), "a tensor of siN or uiN is needed, not tensor<4x4x2xf32>"),
        (cut(Q.replace("ui8", "i8")), "a tensor of siN or uiN is needed, not tensor<4x4x2xi8>"),
        (cut(Q.replace("4x4x2xui8", "4x4x3xui8")),
         "tern.quantize: operands and result differ in shape: [(4, 4, 2), (4, 4, 3)]"),
        (cut(Q.replace("4x4x2xui8", "4x8xui8")),
         "a tensor [H, W, C] or [K] of a fixed size is needed, not tensor<4x8xui8>"),
        (cut(Q.replace("4x4x2xui8", "?xui8")),
         "a tensor [H, W, C] or [K] of a fixed size is needed, not tensor<?xui8>"),
        (cut(C + "%z = tern.quantize %c @one : tensor<4x4x4xsi13> -> tensor<4x4x4xsi2>\n"),
         "tern.quantize: the operand is a tensor of f32"),
    ],
    "tern.requantize": [
        (cut(C + REQUANTIZE.replace("@one", "@one {form = #tern<form multiply_shift>}")),
         "tern.requantize: shift and multiplier_bits belong to the form multiply_shift"),
        (cut(C + REQUANTIZE.replace("@one", "@one {form = #tern<form thresholds>, shift = 3 : i64}")),
         "tern.requantize: shift and multiplier_bits belong to the form multiply_shift"),
        (cut(C + REQUANTIZE.replace("@one", "@one {shift = 3 : i64}")),
         "tern.requantize: shift and multiplier_bits belong to the form multiply_shift"),
        (cut("%r = tern.requantize %x @input : tensor<4x4x2xf32> -> tensor<4x4x2xui8>\n"),
         "a tensor of siN or uiN is needed, not tensor<4x4x2xf32>"),
    ],
    "tern.scores": [
        (cut(D + SCORES.replace("@offset", "@filters")), "tern.scores: @filters is not a vector"),
        (cut(D + SCORES.replace("tensor<3xf32>", "tensor<4xf32>")),
         "tern.scores: operand and result differ in shape"),
        (cut(T + (DENSE + SCORES).replace("si10", "si26")),
         "tern.scores: sums of more than 25 bits are no exact float32 numbers"),
    ],
    "tern.conv2d": [
        (cut(Q + CONV.replace("kernel = [3 : i64, 3 : i64]", "kernel = [3 : i64]")),
         "tern.conv2d: kernel, strides, pads or dilations are malformed"),
        (cut(Q + CONV.replace("kernel = [3 : i64, 3 : i64]", "kernel = [3 : i64, 0 : i64]")),
         "tern.conv2d: kernel, strides, pads or dilations are malformed"),
        (cut(Q + CONV.replace("pads = [1 : i64", "pads = [-1 : i64")),
         "tern.conv2d: kernel, strides, pads or dilations are malformed"),
        (cut(Q + CONV.replace("tensor<4x4x4xsi13>", "tensor<64xsi13>")),
         "tern.conv2d: operand and result are tensors [H, W, C]"),
        (cut(Q + CONV.replace("tensor<4x4x4xsi13>", "tensor<2x4x4xsi13>")),
         "tern.conv2d: the result has 2 x 4 pixels, not 4 x 4"),
        (cut(Q + CONV.replace("pad_code = 0", "pad_code = 256")),
         "tern.conv2d: the pad code 256 is no code of tensor<4x4x2xui8>"),
        (cut(Q + CONV.replace("groups = 1", "groups = 3")),
         "tern.conv2d: 3 groups of 2 channels and 4 filters"),
        (cut(Q + CONV.replace("groups = 1", "groups = 2")), "tern.conv2d: @filters is 4 x 18, not 4 x 9"),
        (cut(Q + CONV.replace("@filters", "@scale")), "tern.conv2d: @scale is not a weight"),
    ],
    "tern.dense": [
        (cut(T + DENSE.replace("@rows", "@filters")),
         "tern.dense: @filters does not take tensor<4x4x8xui2> to tensor<3xsi10>"),
        (cut(T + DENSE.replace("si10", "f32")), "a tensor of siN or uiN is needed, not tensor<3xf32>"),
    ],
    "tern.pool": [
        (cut(R + POOL.replace("tensor<2x2x4xsi2>", "tensor<2x2x3xsi2>")),
         "tern.pool: operand and result differ in channels"),
        (cut(R + POOL.replace("tensor<2x2x4xsi2>", "tensor<2x2x4xsi3>")),
         "tern.pool: a maximum has the type of its operand"),
    ],
    "tern.sum": [
        (cut(R + SUM.replace("%r, %r", "%r, %r {factors = [1 : i64, 0 : i64]}")),
         "tern.sum: factors are two positive integers"),
        (cut(R + SUM.replace("tensor<4x4x4xsi3>", "tensor<4x4x3xsi3>")),
         "tern.sum: operands and result differ in shape"),
        (cut(R + SUM.replace("si3", "si2")), "tern.sum: sums -4 to 2 do not fit tensor<4x4x4xsi2>"),
    ],
    "tern.concat": [
        (cut(T.replace("tensor<4x4x8xui2>", "tensor<4x2x8xui2>")),
         "tern.concat: operands and result differ in rows or columns"),
        (cut(T.replace("tensor<4x4x8xui2>", "tensor<4x4x4xui2>")),
         "tern.concat: the result has another number of channels than its operands together"),
        (cut(T.replace("tensor<4x4x8xui2>", "tensor<4x4x8xui3>")),
         "tern.concat: operands and result differ in element type"),
    ],
    "tern.ranking": [
        (net_text(symbols='tern.ranking "s" {multipliers = 1 : i64, biases = 1 : i64, bits = 0 : i64,'
                          ' multiplier_bits = 0 : i64, hash = ""}\n'),
         "ranking @s: multipliers, biases and bits must be positive"),
        (net_text(symbols='tern.ranking "s" {multipliers = 3 : i64, biases = 2 : i64, bits = 9 : i64,'
                          ' multiplier_bits = 0 : i64, hash = ""}\n'),
         "ranking @s: 3 multipliers and 2 biases"),
    ],
    "tern.top_k": [
        (cut(D + TOP_K.replace("@order", "@one")), "tern.top_k: @one is no ranking"),
        (cut(D + TOP_K.replace("%d", "%r").replace("3xsi10>", "4x4x4xsi2>")),
         "tern.top_k: @order has 3 channels, the operand 4"),
        (cut(D + TOP_K.replace("k = 2", "k = 0")), "tern.top_k: 0 of 3 channels"),
        (cut(D + TOP_K.replace("k = 2", "k = 4")), "tern.top_k: 4 of 3 channels"),
        (cut(D + TOP_K.replace("k = 2", "k = 1")), "tern.top_k: the results have no 1 channels"),
        (cut(D + TOP_K.replace("xui2", "xui1")), "tern.top_k: tensor<2xui1> does not hold indices of 3 channels"),
        (cut(D + TOP_K.replace("xui2", "xsi3")), "tern.top_k: tensor<2xsi3> does not hold indices of 3 channels"),
        (cut(D + TOP_K.replace("2xsi10", "2xsi11")), "tern.top_k: operand and sums differ in element type"),
    ],
    "tern.unpair": [
        (cut(R + UNPAIR.replace("4x4x2xui2", "4x4x3xui2")),
         "tern.unpair: the operand does not hold a pair for each index and sum"),
        (cut(R + UNPAIR.replace("4x4x2xsi2", "4x2x2xsi2")),
         "tern.unpair: the operand does not hold a pair for each index and sum"),
    ],
    "tern.scores_at": [
        (cut(T + (DENSE + TOP_K + SCORES_AT).replace("si10", "si26")),
         "tern.scores_at: sums of more than 25 bits are no exact float32 numbers"),
        (cut(K + SCORES_AT.replace("2xf32", "3xf32")), "tern.scores_at: operands and result differ in shape"),
        (cut(K + SCORES_AT.replace("scale = @scale", "scale = @order")), "tern.scores_at: @order is not a vector"),
    ],
    "tern.activation": [
        (cut(Y + ACTIVATION.replace("-> tensor<3xf32>", "-> tensor<1x1x3xf32>")),
         "tern.activation: operand and result are one tensor of f32"),
        (cut(D + ACTIVATION.replace("%y", "%d").replace("3xf32", "3xsi10")),
         "tern.activation: operand and result are one tensor of f32"),
    ],
    "tern.take": [
        (cut(Y + TOP_K + ACTIVATION + TAKE.replace("-> tensor<2xf32>", "-> tensor<3xf32>")),
         "tern.take: indices and result differ in shape"),
        (cut(Y + TOP_K + "%k = tern.take %x, %i : tensor<4x4x2xf32>, tensor<2xui2> -> tensor<2xf32>\n"),
         "tern.take: operand and result differ in rows or columns"),
    ],
}  # fmt: skip
