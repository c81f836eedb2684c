// PASSES: fold

// TEST: as fast as fits
builtin.module {
  tern.weight "w0" {rows = 4 : i64, cols = 18 : i64, scale = 1.000000e+00 : f32, hash = "ad458f05c5166672c7ea2f3cd7dec97c6ffd78dc6f6a84a70fb4484e1b11a5e9"}
  tern.steps "q1" {channels = 4 : i64, operands = 1 : i64, low = 0 : i64, step = 1 : i64, levels = 3 : i64, hash = "aca98824f2fb9a84f6eb970752ca199debadefe9326b1cb099f14b0a0dfe274e"}
  tern.weight "w2" {rows = 4 : i64, cols = 9 : i64, scale = 1.000000e+00 : f32, hash = "862a3f2851d86db4449089ed7ea2bbe8a5b1a2348cb7dd05ad32bfe19be19bf4"}
  tern.steps "q3" {channels = 4 : i64, operands = 2 : i64, low = -8 : i64, step = 1 : i64, levels = 15 : i64, hash = "17e1e4ca0d4db51ad564007c0966ef6b687b6ab180f145676cd5b3a6d09aca81"}
  tern.weight "w4" {rows = 3 : i64, cols = 16 : i64, scale = 1.000000e+00 : f32, hash = "59b6740d05f6bccb444386b269c90a1bca7f5a770a4c3d785f581742ed3d53ed"}
  tern.vector "v5" {length = 3 : i64}
  tern.vector "v6" {length = 3 : i64}
  tern.net "net" inputs [#tern.port<"x", [4, 4, 2], [0, 1, 2]>] outputs [#tern.port<"y", [3], [0]>] {
  ^bb0(%0: tensor<4x4x2xui8>):
    %1 = flow.load %0 {beat_bits = 128 : i64} : tensor<4x4x2xui8> -> !flow.stream<tensor<4x4x2xui8>, lanes = 1, depth = 2>
    %2 = flow.window %1 {kernel = [3 : i64, 3 : i64], strides = [1 : i64, 1 : i64], pads = [1 : i64, 1 : i64, 1 : i64, 1 : i64], dilations = [1 : i64, 1 : i64], pad_code = 0 : i64, groups = 1 : i64} : !flow.stream<tensor<4x4x2xui8>, lanes = 1, depth = 2> -> !flow.stream<tensor<4x4x18xui8>, lanes = 1, depth = 2>
    %3 = flow.mvau %2 @w0 {groups = 1 : i64} : !flow.stream<tensor<4x4x18xui8>, lanes = 1, depth = 2> -> !flow.stream<tensor<4x4x4xsi14>, lanes = 1, depth = 2>
    %4 = flow.requantize %3 @q1 {form = #tern<form thresholds>} : !flow.stream<tensor<4x4x4xsi14>, lanes = 1, depth = 2> -> !flow.stream<tensor<4x4x4xui2>, lanes = 1, depth = 2>
    %5, %6 = flow.fork %4 : !flow.stream<tensor<4x4x4xui2>, lanes = 1, depth = 2> -> !flow.stream<tensor<4x4x4xui2>, lanes = 1, depth = 2>, !flow.stream<tensor<4x4x4xui2>, lanes = 1, depth = 2>
    %7 = flow.window %5 {kernel = [3 : i64, 3 : i64], strides = [1 : i64, 1 : i64], pads = [1 : i64, 1 : i64, 1 : i64, 1 : i64], dilations = [1 : i64, 1 : i64], pad_code = 0 : i64, groups = 4 : i64} : !flow.stream<tensor<4x4x4xui2>, lanes = 1, depth = 2> -> !flow.stream<tensor<4x4x36xui2>, lanes = 1, depth = 2>
    %8 = flow.mvau %7 @w2 {groups = 4 : i64} : !flow.stream<tensor<4x4x36xui2>, lanes = 1, depth = 2> -> !flow.stream<tensor<4x4x4xsi6>, lanes = 1, depth = 2>
    %9 = flow.requantize %8, %6 @q3 {form = #tern<form multiply_shift>, shift = 11 : i64, multiplier_bits = 7 : i64} : !flow.stream<tensor<4x4x4xsi6>, lanes = 1, depth = 2>, !flow.stream<tensor<4x4x4xui2>, lanes = 1, depth = 2> -> !flow.stream<tensor<4x4x4xsi4>, lanes = 1, depth = 2>
    %10 = flow.window %9 {kernel = [2 : i64, 2 : i64], strides = [2 : i64, 2 : i64], pads = [0 : i64, 0 : i64, 0 : i64, 0 : i64], dilations = [1 : i64, 1 : i64], pad_code = -8 : i64, groups = 4 : i64} : !flow.stream<tensor<4x4x4xsi4>, lanes = 1, depth = 2> -> !flow.stream<tensor<2x2x16xsi4>, lanes = 1, depth = 2>
    %11 = flow.pool %10 {kind = #tern<pooling max>} : !flow.stream<tensor<2x2x16xsi4>, lanes = 1, depth = 2> -> !flow.stream<tensor<2x2x4xsi4>, lanes = 1, depth = 2>
    %12 = flow.mvau %11 @w4 {groups = 1 : i64} : !flow.stream<tensor<2x2x4xsi4>, lanes = 1, depth = 2> -> !flow.stream<tensor<3xsi9>, lanes = 1, depth = 2>
    %13 = flow.store %12 {beat_bits = 128 : i64} : !flow.stream<tensor<3xsi9>, lanes = 1, depth = 2> -> tensor<3xsi9>
    %14 = tern.scores %13 {scale = @v5, offset = @v6} : tensor<3xsi9> -> tensor<3xf32>
    tern.return %14 : tensor<3xf32>
  }
}
// AFTER
builtin.module {
  tern.weight "w0" {rows = 4 : i64, cols = 18 : i64, scale = 1.000000e+00 : f32, hash = "ad458f05c5166672c7ea2f3cd7dec97c6ffd78dc6f6a84a70fb4484e1b11a5e9"}
  tern.steps "q1" {channels = 4 : i64, operands = 1 : i64, low = 0 : i64, step = 1 : i64, levels = 3 : i64, hash = "aca98824f2fb9a84f6eb970752ca199debadefe9326b1cb099f14b0a0dfe274e"}
  tern.weight "w2" {rows = 4 : i64, cols = 9 : i64, scale = 1.000000e+00 : f32, hash = "862a3f2851d86db4449089ed7ea2bbe8a5b1a2348cb7dd05ad32bfe19be19bf4"}
  tern.steps "q3" {channels = 4 : i64, operands = 2 : i64, low = -8 : i64, step = 1 : i64, levels = 15 : i64, hash = "17e1e4ca0d4db51ad564007c0966ef6b687b6ab180f145676cd5b3a6d09aca81"}
  tern.weight "w4" {rows = 3 : i64, cols = 16 : i64, scale = 1.000000e+00 : f32, hash = "59b6740d05f6bccb444386b269c90a1bca7f5a770a4c3d785f581742ed3d53ed"}
  tern.vector "v5" {length = 3 : i64}
  tern.vector "v6" {length = 3 : i64}
  tern.net "net" inputs [#tern.port<"x", [4, 4, 2], [0, 1, 2]>] outputs [#tern.port<"y", [3], [0]>] {
  ^bb0(%0: tensor<4x4x2xui8>):
    %1 = flow.load %0 {beat_bits = 32 : i64} : tensor<4x4x2xui8> -> !flow.stream<tensor<4x4x2xui8>, lanes = 1, depth = 2>
    %2 = flow.resize %1 : !flow.stream<tensor<4x4x2xui8>, lanes = 1, depth = 2> -> !flow.stream<tensor<4x4x2xui8>, lanes = 2, depth = 2>
    %3 = flow.window %2 {kernel = [3 : i64, 3 : i64], strides = [1 : i64, 1 : i64], pads = [1 : i64, 1 : i64, 1 : i64, 1 : i64], dilations = [1 : i64, 1 : i64], pad_code = 0 : i64, groups = 1 : i64} : !flow.stream<tensor<4x4x2xui8>, lanes = 2, depth = 2> -> !flow.stream<tensor<4x4x18xui8>, lanes = 2, depth = 2>
    %4 = flow.mvau %3 @w0 {groups = 1 : i64} : !flow.stream<tensor<4x4x18xui8>, lanes = 2, depth = 2> -> !flow.stream<tensor<4x4x4xsi14>, lanes = 4, depth = 2>
    %5 = flow.requantize %4 @q1 {form = #tern<form thresholds>} : !flow.stream<tensor<4x4x4xsi14>, lanes = 4, depth = 2> -> !flow.stream<tensor<4x4x4xui2>, lanes = 4, depth = 2>
    %6, %7 = flow.fork %5 : !flow.stream<tensor<4x4x4xui2>, lanes = 4, depth = 2> -> !flow.stream<tensor<4x4x4xui2>, lanes = 4, depth = 2>, !flow.stream<tensor<4x4x4xui2>, lanes = 4, depth = 2>
    %8 = flow.window %6 {kernel = [3 : i64, 3 : i64], strides = [1 : i64, 1 : i64], pads = [1 : i64, 1 : i64, 1 : i64, 1 : i64], dilations = [1 : i64, 1 : i64], pad_code = 0 : i64, groups = 4 : i64} : !flow.stream<tensor<4x4x4xui2>, lanes = 4, depth = 2> -> !flow.stream<tensor<4x4x36xui2>, lanes = 4, depth = 2>
    %9 = flow.mvau %8 @w2 {groups = 4 : i64} : !flow.stream<tensor<4x4x36xui2>, lanes = 4, depth = 2> -> !flow.stream<tensor<4x4x4xsi6>, lanes = 4, depth = 2>
    %10 = flow.resize %9 : !flow.stream<tensor<4x4x4xsi6>, lanes = 4, depth = 2> -> !flow.stream<tensor<4x4x4xsi6>, lanes = 1, depth = 2>
    %11 = flow.resize %7 : !flow.stream<tensor<4x4x4xui2>, lanes = 4, depth = 2> -> !flow.stream<tensor<4x4x4xui2>, lanes = 1, depth = 2>
    %12 = flow.requantize %10, %11 @q3 {form = #tern<form multiply_shift>, shift = 11 : i64, multiplier_bits = 7 : i64} : !flow.stream<tensor<4x4x4xsi6>, lanes = 1, depth = 2>, !flow.stream<tensor<4x4x4xui2>, lanes = 1, depth = 2> -> !flow.stream<tensor<4x4x4xsi4>, lanes = 1, depth = 2>
    %13 = flow.window %12 {kernel = [2 : i64, 2 : i64], strides = [2 : i64, 2 : i64], pads = [0 : i64, 0 : i64, 0 : i64, 0 : i64], dilations = [1 : i64, 1 : i64], pad_code = -8 : i64, groups = 4 : i64} : !flow.stream<tensor<4x4x4xsi4>, lanes = 1, depth = 2> -> !flow.stream<tensor<2x2x16xsi4>, lanes = 1, depth = 2>
    %14 = flow.pool %13 {kind = #tern<pooling max>} : !flow.stream<tensor<2x2x16xsi4>, lanes = 1, depth = 2> -> !flow.stream<tensor<2x2x4xsi4>, lanes = 1, depth = 2>
    %15 = flow.mvau %14 @w4 {groups = 1 : i64} : !flow.stream<tensor<2x2x4xsi4>, lanes = 1, depth = 2> -> !flow.stream<tensor<3xsi9>, lanes = 1, depth = 2>
    %16 = flow.store %15 {beat_bits = 32 : i64} : !flow.stream<tensor<3xsi9>, lanes = 1, depth = 2> -> tensor<3xsi9>
    %17 = tern.scores %16 {scale = @v5, offset = @v6} : tensor<3xsi9> -> tensor<3xf32>
    tern.return %17 : tensor<3xf32>
  }
}

// TEST: folded already
builtin.module {
  tern.weight "w0" {rows = 4 : i64, cols = 18 : i64, scale = 1.000000e+00 : f32, hash = "ad458f05c5166672c7ea2f3cd7dec97c6ffd78dc6f6a84a70fb4484e1b11a5e9"}
  tern.steps "q1" {channels = 4 : i64, operands = 1 : i64, low = 0 : i64, step = 1 : i64, levels = 3 : i64, hash = "aca98824f2fb9a84f6eb970752ca199debadefe9326b1cb099f14b0a0dfe274e"}
  tern.weight "w2" {rows = 4 : i64, cols = 9 : i64, scale = 1.000000e+00 : f32, hash = "862a3f2851d86db4449089ed7ea2bbe8a5b1a2348cb7dd05ad32bfe19be19bf4"}
  tern.steps "q3" {channels = 4 : i64, operands = 2 : i64, low = -8 : i64, step = 1 : i64, levels = 15 : i64, hash = "17e1e4ca0d4db51ad564007c0966ef6b687b6ab180f145676cd5b3a6d09aca81"}
  tern.weight "w4" {rows = 3 : i64, cols = 16 : i64, scale = 1.000000e+00 : f32, hash = "59b6740d05f6bccb444386b269c90a1bca7f5a770a4c3d785f581742ed3d53ed"}
  tern.vector "v5" {length = 3 : i64}
  tern.vector "v6" {length = 3 : i64}
  tern.net "net" inputs [#tern.port<"x", [4, 4, 2], [0, 1, 2]>] outputs [#tern.port<"y", [3], [0]>] {
  ^bb0(%0: tensor<4x4x2xui8>):
    %1 = flow.load %0 {beat_bits = 32 : i64} : tensor<4x4x2xui8> -> !flow.stream<tensor<4x4x2xui8>, lanes = 1, depth = 2>
    %2 = flow.resize %1 : !flow.stream<tensor<4x4x2xui8>, lanes = 1, depth = 2> -> !flow.stream<tensor<4x4x2xui8>, lanes = 2, depth = 2>
    %3 = flow.window %2 {kernel = [3 : i64, 3 : i64], strides = [1 : i64, 1 : i64], pads = [1 : i64, 1 : i64, 1 : i64, 1 : i64], dilations = [1 : i64, 1 : i64], pad_code = 0 : i64, groups = 1 : i64} : !flow.stream<tensor<4x4x2xui8>, lanes = 2, depth = 2> -> !flow.stream<tensor<4x4x18xui8>, lanes = 2, depth = 2>
    %4 = flow.mvau %3 @w0 {groups = 1 : i64} : !flow.stream<tensor<4x4x18xui8>, lanes = 2, depth = 2> -> !flow.stream<tensor<4x4x4xsi14>, lanes = 4, depth = 2>
    %5 = flow.requantize %4 @q1 {form = #tern<form thresholds>} : !flow.stream<tensor<4x4x4xsi14>, lanes = 4, depth = 2> -> !flow.stream<tensor<4x4x4xui2>, lanes = 4, depth = 2>
    %6, %7 = flow.fork %5 : !flow.stream<tensor<4x4x4xui2>, lanes = 4, depth = 2> -> !flow.stream<tensor<4x4x4xui2>, lanes = 4, depth = 2>, !flow.stream<tensor<4x4x4xui2>, lanes = 4, depth = 2>
    %8 = flow.window %6 {kernel = [3 : i64, 3 : i64], strides = [1 : i64, 1 : i64], pads = [1 : i64, 1 : i64, 1 : i64, 1 : i64], dilations = [1 : i64, 1 : i64], pad_code = 0 : i64, groups = 4 : i64} : !flow.stream<tensor<4x4x4xui2>, lanes = 4, depth = 2> -> !flow.stream<tensor<4x4x36xui2>, lanes = 4, depth = 2>
    %9 = flow.mvau %8 @w2 {groups = 4 : i64} : !flow.stream<tensor<4x4x36xui2>, lanes = 4, depth = 2> -> !flow.stream<tensor<4x4x4xsi6>, lanes = 4, depth = 2>
    %10 = flow.resize %9 : !flow.stream<tensor<4x4x4xsi6>, lanes = 4, depth = 2> -> !flow.stream<tensor<4x4x4xsi6>, lanes = 1, depth = 2>
    %11 = flow.resize %7 : !flow.stream<tensor<4x4x4xui2>, lanes = 4, depth = 2> -> !flow.stream<tensor<4x4x4xui2>, lanes = 1, depth = 2>
    %12 = flow.requantize %10, %11 @q3 {form = #tern<form multiply_shift>, shift = 11 : i64, multiplier_bits = 7 : i64} : !flow.stream<tensor<4x4x4xsi6>, lanes = 1, depth = 2>, !flow.stream<tensor<4x4x4xui2>, lanes = 1, depth = 2> -> !flow.stream<tensor<4x4x4xsi4>, lanes = 1, depth = 2>
    %13 = flow.window %12 {kernel = [2 : i64, 2 : i64], strides = [2 : i64, 2 : i64], pads = [0 : i64, 0 : i64, 0 : i64, 0 : i64], dilations = [1 : i64, 1 : i64], pad_code = -8 : i64, groups = 4 : i64} : !flow.stream<tensor<4x4x4xsi4>, lanes = 1, depth = 2> -> !flow.stream<tensor<2x2x16xsi4>, lanes = 1, depth = 2>
    %14 = flow.pool %13 {kind = #tern<pooling max>} : !flow.stream<tensor<2x2x16xsi4>, lanes = 1, depth = 2> -> !flow.stream<tensor<2x2x4xsi4>, lanes = 1, depth = 2>
    %15 = flow.mvau %14 @w4 {groups = 1 : i64} : !flow.stream<tensor<2x2x4xsi4>, lanes = 1, depth = 2> -> !flow.stream<tensor<3xsi9>, lanes = 1, depth = 2>
    %16 = flow.store %15 {beat_bits = 32 : i64} : !flow.stream<tensor<3xsi9>, lanes = 1, depth = 2> -> tensor<3xsi9>
    %17 = tern.scores %16 {scale = @v5, offset = @v6} : tensor<3xsi9> -> tensor<3xf32>
    tern.return %17 : tensor<3xf32>
  }
}
// AFTER
refused: the stages are folded already
