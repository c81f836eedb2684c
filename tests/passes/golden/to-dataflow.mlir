// PASSES: to-dataflow

// TEST: windows, products, a pool, a skip behind a fork
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
    %1 = tern.conv2d %0 @w0 {kernel = [3 : i64, 3 : i64], strides = [1 : i64, 1 : i64], pads = [1 : i64, 1 : i64, 1 : i64, 1 : i64], dilations = [1 : i64, 1 : i64], groups = 1 : i64, pad_code = 0 : i64} : tensor<4x4x2xui8> -> tensor<4x4x4xsi14>
    %2 = tern.requantize %1 @q1 {form = #tern<form thresholds>} : tensor<4x4x4xsi14> -> tensor<4x4x4xui2>
    %3 = tern.conv2d %2 @w2 {kernel = [3 : i64, 3 : i64], strides = [1 : i64, 1 : i64], pads = [1 : i64, 1 : i64, 1 : i64, 1 : i64], dilations = [1 : i64, 1 : i64], groups = 4 : i64, pad_code = 0 : i64} : tensor<4x4x4xui2> -> tensor<4x4x4xsi6>
    %4 = tern.requantize %3, %2 @q3 {form = #tern<form multiply_shift>, shift = 11 : i64, multiplier_bits = 7 : i64} : tensor<4x4x4xsi6>, tensor<4x4x4xui2> -> tensor<4x4x4xsi4>
    %5 = tern.pool %4 {kind = #tern<pooling max>, kernel = [2 : i64, 2 : i64], strides = [2 : i64, 2 : i64], pads = [0 : i64, 0 : i64, 0 : i64, 0 : i64], dilations = [1 : i64, 1 : i64]} : tensor<4x4x4xsi4> -> tensor<2x2x4xsi4>
    %6 = tern.dense %5 @w4 : tensor<2x2x4xsi4> -> tensor<3xsi9>
    %7 = tern.scores %6 {scale = @v5, offset = @v6} : tensor<3xsi9> -> tensor<3xf32>
    tern.return %7 : tensor<3xf32>
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

// TEST: quantisers without a form
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
    %1 = tern.conv2d %0 @w0 {kernel = [3 : i64, 3 : i64], strides = [1 : i64, 1 : i64], pads = [1 : i64, 1 : i64, 1 : i64, 1 : i64], dilations = [1 : i64, 1 : i64], groups = 1 : i64, pad_code = 0 : i64} : tensor<4x4x2xui8> -> tensor<4x4x4xsi14>
    %2 = tern.requantize %1 @q1 : tensor<4x4x4xsi14> -> tensor<4x4x4xui2>
    %3 = tern.conv2d %2 @w2 {kernel = [3 : i64, 3 : i64], strides = [1 : i64, 1 : i64], pads = [1 : i64, 1 : i64, 1 : i64, 1 : i64], dilations = [1 : i64, 1 : i64], groups = 4 : i64, pad_code = 0 : i64} : tensor<4x4x4xui2> -> tensor<4x4x4xsi6>
    %4 = tern.requantize %3, %2 @q3 : tensor<4x4x4xsi6>, tensor<4x4x4xui2> -> tensor<4x4x4xsi4>
    %5 = tern.pool %4 {kind = #tern<pooling max>, kernel = [2 : i64, 2 : i64], strides = [2 : i64, 2 : i64], pads = [0 : i64, 0 : i64, 0 : i64, 0 : i64], dilations = [1 : i64, 1 : i64]} : tensor<4x4x4xsi4> -> tensor<2x2x4xsi4>
    %6 = tern.dense %5 @w4 : tensor<2x2x4xsi4> -> tensor<3xsi9>
    %7 = tern.scores %6 {scale = @v5, offset = @v6} : tensor<3xsi9> -> tensor<3xf32>
    tern.return %7 : tensor<3xf32>
  }
}
// AFTER
refused: pass 'to-dataflow' needs the integer form of every requantiser

// TEST: the largest is found on the fabric
builtin.module {
  tern.weight "w0" {rows = 6 : i64, cols = 8 : i64, scale = 1.000000e+00 : f32, hash = "6dce521f2004a40b7531eadddfc7104023fd4cfa64a04f8c91f7f2546681c839"}
  tern.ranking "r1" {multipliers = 1 : i64, biases = 6 : i64, bits = 15 : i64, multiplier_bits = 0 : i64, hash = "4c9022b3fac3387b4a3374e793c735fffc20bdbf22b42ebc55c045d2b941a164"}
  tern.net "net" inputs [#tern.port<"x", [8], [0]>] outputs [#tern.port<"label", [1], [0], i64>] {
  ^bb0(%0: tensor<8xui8>):
    %1 = tern.dense %0 @w0 : tensor<8xui8> -> tensor<6xsi12>
    %2, %3 = tern.top_k %1 @r1 {k = 1 : i64, last = 0 : i64} : tensor<6xsi12> -> tensor<1xui3>, tensor<1xsi12>
    tern.return %2 : tensor<1xui3>
  }
}
// AFTER
builtin.module {
  tern.weight "w0" {rows = 6 : i64, cols = 8 : i64, scale = 1.000000e+00 : f32, hash = "6dce521f2004a40b7531eadddfc7104023fd4cfa64a04f8c91f7f2546681c839"}
  tern.ranking "r1" {multipliers = 1 : i64, biases = 6 : i64, bits = 15 : i64, multiplier_bits = 0 : i64, hash = "4c9022b3fac3387b4a3374e793c735fffc20bdbf22b42ebc55c045d2b941a164"}
  tern.net "net" inputs [#tern.port<"x", [8], [0]>] outputs [#tern.port<"label", [1], [0], i64>] {
  ^bb0(%0: tensor<8xui8>):
    %1 = flow.load %0 {beat_bits = 128 : i64} : tensor<8xui8> -> !flow.stream<tensor<8xui8>, lanes = 1, depth = 2>
    %2 = flow.mvau %1 @w0 {groups = 1 : i64} : !flow.stream<tensor<8xui8>, lanes = 1, depth = 2> -> !flow.stream<tensor<6xsi12>, lanes = 1, depth = 2>
    %3 = flow.top_k %2 @r1 {k = 1 : i64, last = 0 : i64, pairs = 0 : i64} : !flow.stream<tensor<6xsi12>, lanes = 1, depth = 2> -> !flow.stream<tensor<1xui3>, lanes = 1, depth = 2>
    %4 = flow.store %3 {beat_bits = 128 : i64} : !flow.stream<tensor<1xui3>, lanes = 1, depth = 2> -> tensor<1xui3>
    tern.return %4 : tensor<1xui3>
  }
}

// TEST: pairs, whose scores are the host's
builtin.module {
  tern.weight "w0" {rows = 6 : i64, cols = 8 : i64, scale = 1.000000e+00 : f32, hash = "6dce521f2004a40b7531eadddfc7104023fd4cfa64a04f8c91f7f2546681c839"}
  tern.ranking "r1" {multipliers = 1 : i64, biases = 1 : i64, bits = 13 : i64, multiplier_bits = 0 : i64, hash = "4ea2ed1420659bf15773230715e87b4408625eaf88869b7e8bb51c42889579d6"}
  tern.vector "v2" {length = 6 : i64}
  tern.vector "v3" {length = 6 : i64}
  tern.net "net" inputs [#tern.port<"x", [8], [0]>] outputs [#tern.port<"values", [2], [0]>, #tern.port<"indices", [2], [0], i64>] {
  ^bb0(%0: tensor<8xui8>):
    %1 = tern.dense %0 @w0 : tensor<8xui8> -> tensor<6xsi12>
    %2, %3 = tern.top_k %1 @r1 {k = 2 : i64, last = 1 : i64} : tensor<6xsi12> -> tensor<2xui3>, tensor<2xsi12>
    %4 = tern.scores_at %3, %2 {scale = @v2, offset = @v3} : tensor<2xsi12>, tensor<2xui3> -> tensor<2xf32>
    tern.return %4, %2 : tensor<2xf32>, tensor<2xui3>
  }
}
// AFTER
builtin.module {
  tern.weight "w0" {rows = 6 : i64, cols = 8 : i64, scale = 1.000000e+00 : f32, hash = "6dce521f2004a40b7531eadddfc7104023fd4cfa64a04f8c91f7f2546681c839"}
  tern.ranking "r1" {multipliers = 1 : i64, biases = 1 : i64, bits = 13 : i64, multiplier_bits = 0 : i64, hash = "4ea2ed1420659bf15773230715e87b4408625eaf88869b7e8bb51c42889579d6"}
  tern.vector "v2" {length = 6 : i64}
  tern.vector "v3" {length = 6 : i64}
  tern.net "net" inputs [#tern.port<"x", [8], [0]>] outputs [#tern.port<"values", [2], [0]>, #tern.port<"indices", [2], [0], i64>] {
  ^bb0(%0: tensor<8xui8>):
    %1 = flow.load %0 {beat_bits = 128 : i64} : tensor<8xui8> -> !flow.stream<tensor<8xui8>, lanes = 1, depth = 2>
    %2 = flow.mvau %1 @w0 {groups = 1 : i64} : !flow.stream<tensor<8xui8>, lanes = 1, depth = 2> -> !flow.stream<tensor<6xsi12>, lanes = 1, depth = 2>
    %3 = flow.top_k %2 @r1 {k = 2 : i64, last = 1 : i64, pairs = 1 : i64} : !flow.stream<tensor<6xsi12>, lanes = 1, depth = 2> -> !flow.stream<tensor<4xsi12>, lanes = 4, depth = 2>
    %4 = flow.store %3 {beat_bits = 128 : i64} : !flow.stream<tensor<4xsi12>, lanes = 4, depth = 2> -> tensor<4xsi12>
    %5, %6 = tern.unpair %4 : tensor<4xsi12> -> tensor<2xui3>, tensor<2xsi12>
    %7 = tern.scores_at %6, %5 {scale = @v2, offset = @v3} : tensor<2xsi12>, tensor<2xui3> -> tensor<2xf32>
    tern.return %7, %5 : tensor<2xf32>, tensor<2xui3>
  }
}

// TEST: the host ranks where it has the sums anyway
builtin.module {
  tern.weight "w0" {rows = 6 : i64, cols = 8 : i64, scale = 1.000000e+00 : f32, hash = "6dce521f2004a40b7531eadddfc7104023fd4cfa64a04f8c91f7f2546681c839"}
  tern.vector "v1" {length = 6 : i64}
  tern.vector "v2" {length = 6 : i64}
  tern.ranking "r3" {multipliers = 1 : i64, biases = 6 : i64, bits = 15 : i64, multiplier_bits = 0 : i64, hash = "4c9022b3fac3387b4a3374e793c735fffc20bdbf22b42ebc55c045d2b941a164"}
  tern.net "net" inputs [#tern.port<"x", [8], [0]>] outputs [#tern.port<"scores", [6], [0]>, #tern.port<"label", [1], [0], i64>] {
  ^bb0(%0: tensor<8xui8>):
    %1 = tern.dense %0 @w0 : tensor<8xui8> -> tensor<6xsi12>
    %2 = tern.scores %1 {scale = @v1, offset = @v2} : tensor<6xsi12> -> tensor<6xf32>
    %3, %4 = tern.top_k %1 @r3 {k = 1 : i64, last = 0 : i64} : tensor<6xsi12> -> tensor<1xui3>, tensor<1xsi12>
    %5 = tern.activation %2 {kind = #tern<activation softmax>} : tensor<6xf32> -> tensor<6xf32>
    tern.return %5, %3 : tensor<6xf32>, tensor<1xui3>
  }
}
// AFTER
builtin.module {
  tern.weight "w0" {rows = 6 : i64, cols = 8 : i64, scale = 1.000000e+00 : f32, hash = "6dce521f2004a40b7531eadddfc7104023fd4cfa64a04f8c91f7f2546681c839"}
  tern.vector "v1" {length = 6 : i64}
  tern.vector "v2" {length = 6 : i64}
  tern.ranking "r3" {multipliers = 1 : i64, biases = 6 : i64, bits = 15 : i64, multiplier_bits = 0 : i64, hash = "4c9022b3fac3387b4a3374e793c735fffc20bdbf22b42ebc55c045d2b941a164"}
  tern.net "net" inputs [#tern.port<"x", [8], [0]>] outputs [#tern.port<"scores", [6], [0]>, #tern.port<"label", [1], [0], i64>] {
  ^bb0(%0: tensor<8xui8>):
    %1 = flow.load %0 {beat_bits = 128 : i64} : tensor<8xui8> -> !flow.stream<tensor<8xui8>, lanes = 1, depth = 2>
    %2 = flow.mvau %1 @w0 {groups = 1 : i64} : !flow.stream<tensor<8xui8>, lanes = 1, depth = 2> -> !flow.stream<tensor<6xsi12>, lanes = 1, depth = 2>
    %3 = flow.store %2 {beat_bits = 128 : i64} : !flow.stream<tensor<6xsi12>, lanes = 1, depth = 2> -> tensor<6xsi12>
    %4 = tern.scores %3 {scale = @v1, offset = @v2} : tensor<6xsi12> -> tensor<6xf32>
    %5, %6 = tern.top_k %3 @r3 {k = 1 : i64, last = 0 : i64} : tensor<6xsi12> -> tensor<1xui3>, tensor<1xsi12>
    %7 = tern.activation %4 {kind = #tern<activation softmax>} : tensor<6xf32> -> tensor<6xf32>
    tern.return %7, %5 : tensor<6xf32>, tensor<1xui3>
  }
}

// TEST: two tensors
builtin.module {
  tern.weight "w0" {rows = 6 : i64, cols = 8 : i64, scale = 1.000000e+00 : f32, hash = "6dce521f2004a40b7531eadddfc7104023fd4cfa64a04f8c91f7f2546681c839"}
  tern.vector "v1" {length = 6 : i64}
  tern.vector "v2" {length = 6 : i64}
  tern.ranking "r3" {multipliers = 1 : i64, biases = 1 : i64, bits = 9 : i64, multiplier_bits = 0 : i64, hash = "4ea2ed1420659bf15773230715e87b4408625eaf88869b7e8bb51c42889579d6"}
  tern.net "net" inputs [#tern.port<"x", [8], [0]>] outputs [#tern.port<"scores", [6], [0]>, #tern.port<"label", [1], [0], i64>] {
  ^bb0(%0: tensor<8xui8>):
    %1 = tern.dense %0 @w0 : tensor<8xui8> -> tensor<6xsi12>
    %2 = tern.scores %1 {scale = @v1, offset = @v2} : tensor<6xsi12> -> tensor<6xf32>
    %3, %4 = tern.top_k %0 @r3 {k = 1 : i64, last = 0 : i64} : tensor<8xui8> -> tensor<1xui3>, tensor<1xui8>
    tern.return %2, %3 : tensor<6xf32>, tensor<1xui3>
  }
}
// AFTER
refused: the net's outputs, 'scores', 'label', are made of 2 tensors; the kernel writes one
