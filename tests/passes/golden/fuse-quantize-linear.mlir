// PASSES: fuse-quantize-linear

// TEST: product and rescale
builtin.module {
  tern.table "t" {rows = 3 : i64, cols = 16 : i64, format = "f32"}
  tern.weight "w" {rows = 16 : i64, cols = 16 : i64, scale = 5.000000e-01 : f32, hash = "5341e6b2646979a70e57653007a1f310169421ec9bdd9f1a5648f75ade005af1"}
  tern.model "m" token "ids" outputs ["y"] {
  ^bb0(%t: i64):
    %x = tern.embedding %t {table = @t} : tensor<16xf32>
    %c, %k = tern.quantize_absmax %x : tensor<16xf32> -> tensor<16xi8>
    %a = tern.dot %c {weight = @w} : tensor<16xi8> -> tensor<16xi32>
    %y = tern.dequantize %a, %k {weight_scale = 5.000000e-01 : f32} : tensor<16xi32> -> tensor<16xf32>
    tern.return %y : tensor<16xf32>
  }
}
// AFTER
builtin.module {
  tern.table "t" {rows = 3 : i64, cols = 16 : i64, format = "f32"}
  tern.weight "w" {rows = 16 : i64, cols = 16 : i64, scale = 5.000000e-01 : f32, hash = "5341e6b2646979a70e57653007a1f310169421ec9bdd9f1a5648f75ade005af1"}
  tern.model "m" token "ids" outputs ["y"] {
  ^bb0(%t: i64):
    %x = tern.embedding %t {table = @t} : tensor<16xf32>
    %c, %k = tern.quantize_absmax %x : tensor<16xf32> -> tensor<16xi8>
    %y = tern.linear %c, %k {weight = @w} : tensor<16xi8> -> tensor<16xf32>
    tern.return %y : tensor<16xf32>
  }
}

// TEST: the product stays for its other user
builtin.module {
  tern.table "t" {rows = 3 : i64, cols = 16 : i64, format = "f32"}
  tern.weight "w" {rows = 16 : i64, cols = 16 : i64, scale = 5.000000e-01 : f32, hash = "5341e6b2646979a70e57653007a1f310169421ec9bdd9f1a5648f75ade005af1"}
  tern.model "m" token "ids" outputs ["y"] {
  ^bb0(%t: i64):
    %x = tern.embedding %t {table = @t} : tensor<16xf32>
    %c, %k = tern.quantize_absmax %x : tensor<16xf32> -> tensor<16xi8>
    %a = tern.dot %c {weight = @w} : tensor<16xi8> -> tensor<16xi32>
    %y = tern.dequantize %a, %k {weight_scale = 5.000000e-01 : f32} : tensor<16xi32> -> tensor<16xf32>
    %z = tern.dequantize %a, %k {weight_scale = 2.500000e-01 : f32} : tensor<16xi32> -> tensor<16xf32>
    %o = tern.add %y, %z : tensor<16xf32>, tensor<16xf32> -> tensor<16xf32>
    tern.return %o : tensor<16xf32>
  }
}
// AFTER
builtin.module {
  tern.table "t" {rows = 3 : i64, cols = 16 : i64, format = "f32"}
  tern.weight "w" {rows = 16 : i64, cols = 16 : i64, scale = 5.000000e-01 : f32, hash = "5341e6b2646979a70e57653007a1f310169421ec9bdd9f1a5648f75ade005af1"}
  tern.model "m" token "ids" outputs ["y"] {
  ^bb0(%t: i64):
    %x = tern.embedding %t {table = @t} : tensor<16xf32>
    %c, %k = tern.quantize_absmax %x : tensor<16xf32> -> tensor<16xi8>
    %a = tern.dot %c {weight = @w} : tensor<16xi8> -> tensor<16xi32>
    %y = tern.linear %c, %k {weight = @w} : tensor<16xi8> -> tensor<16xf32>
    %z = tern.dequantize %a, %k {weight_scale = 2.500000e-01 : f32} : tensor<16xi32> -> tensor<16xf32>
    %o = tern.add %y, %z : tensor<16xf32>, tensor<16xf32> -> tensor<16xf32>
    tern.return %o : tensor<16xf32>
  }
}

// TEST: another scale than the weight's
builtin.module {
  tern.table "t" {rows = 3 : i64, cols = 16 : i64, format = "f32"}
  tern.weight "w" {rows = 16 : i64, cols = 16 : i64, scale = 5.000000e-01 : f32, hash = "5341e6b2646979a70e57653007a1f310169421ec9bdd9f1a5648f75ade005af1"}
  tern.model "m" token "ids" outputs ["y"] {
  ^bb0(%t: i64):
    %x = tern.embedding %t {table = @t} : tensor<16xf32>
    %c, %k = tern.quantize_absmax %x : tensor<16xf32> -> tensor<16xi8>
    %a = tern.dot %c {weight = @w} : tensor<16xi8> -> tensor<16xi32>
    %y = tern.dequantize %a, %k {weight_scale = 2.500000e-01 : f32} : tensor<16xi32> -> tensor<16xf32>
    tern.return %y : tensor<16xf32>
  }
}
// AFTER
unchanged

// TEST: the scale of other codes
builtin.module {
  tern.table "t" {rows = 3 : i64, cols = 16 : i64, format = "f32"}
  tern.weight "w" {rows = 16 : i64, cols = 16 : i64, scale = 5.000000e-01 : f32, hash = "5341e6b2646979a70e57653007a1f310169421ec9bdd9f1a5648f75ade005af1"}
  tern.model "m" token "ids" outputs ["y"] {
  ^bb0(%t: i64):
    %x = tern.embedding %t {table = @t} : tensor<16xf32>
    %c, %k = tern.quantize_absmax %x : tensor<16xf32> -> tensor<16xi8>
    %r = tern.relu %x : tensor<16xf32> -> tensor<16xf32>
    %d, %j = tern.quantize_absmax %r : tensor<16xf32> -> tensor<16xi8>
    %a = tern.dot %c {weight = @w} : tensor<16xi8> -> tensor<16xi32>
    %y = tern.dequantize %a, %j {weight_scale = 5.000000e-01 : f32} : tensor<16xi32> -> tensor<16xf32>
    tern.return %y : tensor<16xf32>
  }
}
// AFTER
unchanged

// TEST: the norm factor in place of the scale
builtin.module {
  tern.table "t" {rows = 3 : i64, cols = 16 : i64, format = "f32"}
  tern.vector "w1" {length = 16 : i64}
  tern.weight "w" {rows = 16 : i64, cols = 16 : i64, scale = 5.000000e-01 : f32, hash = "5341e6b2646979a70e57653007a1f310169421ec9bdd9f1a5648f75ade005af1"}
  tern.model "m" token "ids" outputs ["y"] {
  ^bb0(%t: i64):
    %x = tern.embedding %t {table = @t} : tensor<16xf32>
    %c, %k, %f = tern.norm_quantize %x {gain = @w1, eps0 = 1.000000e-06 : f32} : tensor<16xf32> -> tensor<16xi8>
    %a = tern.dot %c {weight = @w} : tensor<16xi8> -> tensor<16xi32>
    %y = tern.dequantize %a, %f {weight_scale = 5.000000e-01 : f32} : tensor<16xi32> -> tensor<16xf32>
    tern.return %y : tensor<16xf32>
  }
}
// AFTER
unchanged

// TEST: scales of rows and a bias join the product
builtin.module {
  tern.table "t" {rows = 3 : i64, cols = 16 : i64, format = "f32"}
  tern.weight "w" {rows = 16 : i64, cols = 16 : i64, scale = 5.000000e-01 : f32, hash = "5341e6b2646979a70e57653007a1f310169421ec9bdd9f1a5648f75ade005af1"}
  tern.vector "v" {length = 16 : i64}
  tern.vector "b" {length = 16 : i64}
  tern.model "m" token "ids" outputs ["y"] {
  ^bb0(%t: i64):
    %x = tern.embedding %t {table = @t} : tensor<16xf32>
    %c, %k = tern.quantize_absmax %x : tensor<16xf32> -> tensor<16xi8>
    %a = tern.dot %c {weight = @w} : tensor<16xi8> -> tensor<16xi32>
    %r = tern.dequantize %a, %k {weight_scale = 5.000000e-01 : f32} : tensor<16xi32> -> tensor<16xf32>
    %u = tern.load @v : tensor<16xf32>
    %m = tern.mul %u, %r : tensor<16xf32>, tensor<16xf32> -> tensor<16xf32>
    %b = tern.load @b : tensor<16xf32>
    %y = tern.add %m, %b : tensor<16xf32>, tensor<16xf32> -> tensor<16xf32>
    tern.return %y : tensor<16xf32>
  }
}
// AFTER
builtin.module {
  tern.table "t" {rows = 3 : i64, cols = 16 : i64, format = "f32"}
  tern.weight "w" {rows = 16 : i64, cols = 16 : i64, scale = 5.000000e-01 : f32, hash = "5341e6b2646979a70e57653007a1f310169421ec9bdd9f1a5648f75ade005af1"}
  tern.vector "v" {length = 16 : i64}
  tern.vector "b" {length = 16 : i64}
  tern.model "m" token "ids" outputs ["y"] {
  ^bb0(%t: i64):
    %x = tern.embedding %t {table = @t} : tensor<16xf32>
    %c, %k = tern.quantize_absmax %x : tensor<16xf32> -> tensor<16xi8>
    %y = tern.linear %c, %k {weight = @w, row_scales = @v, bias = @b} : tensor<16xi8> -> tensor<16xf32>
    tern.return %y : tensor<16xf32>
  }
}

// TEST: a bias in front of scales: the scales stay
builtin.module {
  tern.table "t" {rows = 3 : i64, cols = 16 : i64, format = "f32"}
  tern.weight "w" {rows = 16 : i64, cols = 16 : i64, scale = 5.000000e-01 : f32, hash = "5341e6b2646979a70e57653007a1f310169421ec9bdd9f1a5648f75ade005af1"}
  tern.vector "v" {length = 16 : i64}
  tern.vector "b" {length = 16 : i64}
  tern.model "m" token "ids" outputs ["y"] {
  ^bb0(%t: i64):
    %x = tern.embedding %t {table = @t} : tensor<16xf32>
    %c, %k = tern.quantize_absmax %x : tensor<16xf32> -> tensor<16xi8>
    %r = tern.linear %c, %k {weight = @w} : tensor<16xi8> -> tensor<16xf32>
    %b = tern.load @b : tensor<16xf32>
    %m = tern.add %r, %b : tensor<16xf32>, tensor<16xf32> -> tensor<16xf32>
    %u = tern.load @v : tensor<16xf32>
    %y = tern.mul %m, %u : tensor<16xf32>, tensor<16xf32> -> tensor<16xf32>
    tern.return %y : tensor<16xf32>
  }
}
// AFTER
builtin.module {
  tern.table "t" {rows = 3 : i64, cols = 16 : i64, format = "f32"}
  tern.weight "w" {rows = 16 : i64, cols = 16 : i64, scale = 5.000000e-01 : f32, hash = "5341e6b2646979a70e57653007a1f310169421ec9bdd9f1a5648f75ade005af1"}
  tern.vector "v" {length = 16 : i64}
  tern.vector "b" {length = 16 : i64}
  tern.model "m" token "ids" outputs ["y"] {
  ^bb0(%t: i64):
    %x = tern.embedding %t {table = @t} : tensor<16xf32>
    %c, %k = tern.quantize_absmax %x : tensor<16xf32> -> tensor<16xi8>
    %m = tern.linear %c, %k {weight = @w, bias = @b} : tensor<16xi8> -> tensor<16xf32>
    %u = tern.load @v : tensor<16xf32>
    %y = tern.mul %m, %u : tensor<16xf32>, tensor<16xf32> -> tensor<16xf32>
    tern.return %y : tensor<16xf32>
  }
}

// TEST: a second bias stays
builtin.module {
  tern.table "t" {rows = 3 : i64, cols = 16 : i64, format = "f32"}
  tern.weight "w" {rows = 16 : i64, cols = 16 : i64, scale = 5.000000e-01 : f32, hash = "5341e6b2646979a70e57653007a1f310169421ec9bdd9f1a5648f75ade005af1"}
  tern.vector "v" {length = 16 : i64}
  tern.vector "b" {length = 16 : i64}
  tern.model "m" token "ids" outputs ["y"] {
  ^bb0(%t: i64):
    %x = tern.embedding %t {table = @t} : tensor<16xf32>
    %c, %k = tern.quantize_absmax %x : tensor<16xf32> -> tensor<16xi8>
    %r = tern.linear %c, %k {weight = @w} : tensor<16xi8> -> tensor<16xf32>
    %b = tern.load @b : tensor<16xf32>
    %m = tern.add %r, %b : tensor<16xf32>, tensor<16xf32> -> tensor<16xf32>
    %u = tern.load @v : tensor<16xf32>
    %y = tern.add %m, %u : tensor<16xf32>, tensor<16xf32> -> tensor<16xf32>
    tern.return %y : tensor<16xf32>
  }
}
// AFTER
builtin.module {
  tern.table "t" {rows = 3 : i64, cols = 16 : i64, format = "f32"}
  tern.weight "w" {rows = 16 : i64, cols = 16 : i64, scale = 5.000000e-01 : f32, hash = "5341e6b2646979a70e57653007a1f310169421ec9bdd9f1a5648f75ade005af1"}
  tern.vector "v" {length = 16 : i64}
  tern.vector "b" {length = 16 : i64}
  tern.model "m" token "ids" outputs ["y"] {
  ^bb0(%t: i64):
    %x = tern.embedding %t {table = @t} : tensor<16xf32>
    %c, %k = tern.quantize_absmax %x : tensor<16xf32> -> tensor<16xi8>
    %m = tern.linear %c, %k {weight = @w, bias = @b} : tensor<16xi8> -> tensor<16xf32>
    %u = tern.load @v : tensor<16xf32>
    %y = tern.add %m, %u : tensor<16xf32>, tensor<16xf32> -> tensor<16xf32>
    tern.return %y : tensor<16xf32>
  }
}

// TEST: a product with another user keeps its constant beside it
builtin.module {
  tern.table "t" {rows = 3 : i64, cols = 16 : i64, format = "f32"}
  tern.weight "w" {rows = 16 : i64, cols = 16 : i64, scale = 5.000000e-01 : f32, hash = "5341e6b2646979a70e57653007a1f310169421ec9bdd9f1a5648f75ade005af1"}
  tern.vector "b" {length = 16 : i64}
  tern.model "m" token "ids" outputs ["y"] {
  ^bb0(%t: i64):
    %x = tern.embedding %t {table = @t} : tensor<16xf32>
    %c, %k = tern.quantize_absmax %x : tensor<16xf32> -> tensor<16xi8>
    %r = tern.linear %c, %k {weight = @w} : tensor<16xi8> -> tensor<16xf32>
    %b = tern.load @b : tensor<16xf32>
    %m = tern.add %r, %b : tensor<16xf32>, tensor<16xf32> -> tensor<16xf32>
    %y = tern.mul %m, %r : tensor<16xf32>, tensor<16xf32> -> tensor<16xf32>
    tern.return %y : tensor<16xf32>
  }
}
// AFTER
unchanged

// TEST: codes of a range are taken less their zero
builtin.module {
  tern.table "t" {rows = 3 : i64, cols = 16 : i64, format = "f32"}
  tern.weight "w" {rows = 16 : i64, cols = 16 : i64, scale = 5.000000e-01 : f32, hash = "5341e6b2646979a70e57653007a1f310169421ec9bdd9f1a5648f75ade005af1"}
  tern.model "m" token "ids" outputs ["y"] {
  ^bb0(%t: i64):
    %x = tern.embedding %t {table = @t} : tensor<16xf32>
    %c, %k, %z = tern.quantize_range %x : tensor<16xf32> -> tensor<16xi8>
    %a = tern.dot %c less %z {weight = @w} : tensor<16xi8> -> tensor<16xi32>
    %y = tern.dequantize %a, %k {weight_scale = 5.000000e-01 : f32} : tensor<16xi32> -> tensor<16xf32>
    tern.return %y : tensor<16xf32>
  }
}
// AFTER
builtin.module {
  tern.table "t" {rows = 3 : i64, cols = 16 : i64, format = "f32"}
  tern.weight "w" {rows = 16 : i64, cols = 16 : i64, scale = 5.000000e-01 : f32, hash = "5341e6b2646979a70e57653007a1f310169421ec9bdd9f1a5648f75ade005af1"}
  tern.model "m" token "ids" outputs ["y"] {
  ^bb0(%t: i64):
    %x = tern.embedding %t {table = @t} : tensor<16xf32>
    %c, %k, %z = tern.quantize_range %x : tensor<16xf32> -> tensor<16xi8>
    %y = tern.linear %c, %k less %z {weight = @w} : tensor<16xi8> -> tensor<16xf32>
    tern.return %y : tensor<16xf32>
  }
}
