// PASSES: absorb-scales

// TEST: a factor in front of a norm
builtin.module {
  tern.table "t" {rows = 3 : i64, cols = 16 : i64, format = "f32"}
  tern.vector "w1" {length = 16 : i64}
  tern.vector "w2" {length = 16 : i64}
  tern.vector "w3" {length = 16 : i64}
  tern.model "m" token "ids" outputs ["y"] {
  ^bb0(%t: i64):
    %x = tern.embedding %t {table = @t} : tensor<16xf32>
    %f = tern.fill 2.000000e+00 : f32 : tensor<16xf32>
    %p = tern.mul %x, %f : tensor<16xf32>, tensor<16xf32> -> tensor<16xf32>
    %y = tern.rms_norm %p {gain = @w1, eps = 1.000000e+00 : f32} : tensor<16xf32> -> tensor<16xf32>
    tern.return %y : tensor<16xf32>
  }
}
// AFTER
builtin.module {
  tern.table "t" {rows = 3 : i64, cols = 16 : i64, format = "f32"}
  tern.vector "w1" {length = 16 : i64}
  tern.vector "w2" {length = 16 : i64}
  tern.vector "w3" {length = 16 : i64}
  tern.model "m" token "ids" outputs ["y"] {
  ^bb0(%t: i64):
    %x = tern.embedding %t {table = @t} : tensor<16xf32>
    %y = tern.rms_norm %x {gain = @w1, eps = 2.500000e-01 : f32} : tensor<16xf32> -> tensor<16xf32>
    tern.return %y : tensor<16xf32>
  }
}

// TEST: a divisor in front of a norm
builtin.module {
  tern.table "t" {rows = 3 : i64, cols = 16 : i64, format = "f32"}
  tern.vector "w1" {length = 16 : i64}
  tern.vector "w2" {length = 16 : i64}
  tern.vector "w3" {length = 16 : i64}
  tern.model "m" token "ids" outputs ["y"] {
  ^bb0(%t: i64):
    %x = tern.embedding %t {table = @t} : tensor<16xf32>
    %f = tern.fill 2.000000e+00 : f32 : tensor<16xf32>
    %p = tern.div %x, %f : tensor<16xf32>, tensor<16xf32> -> tensor<16xf32>
    %y = tern.rms_norm %p {gain = @w1, eps = 1.000000e+00 : f32} : tensor<16xf32> -> tensor<16xf32>
    tern.return %y : tensor<16xf32>
  }
}
// AFTER
builtin.module {
  tern.table "t" {rows = 3 : i64, cols = 16 : i64, format = "f32"}
  tern.vector "w1" {length = 16 : i64}
  tern.vector "w2" {length = 16 : i64}
  tern.vector "w3" {length = 16 : i64}
  tern.model "m" token "ids" outputs ["y"] {
  ^bb0(%t: i64):
    %x = tern.embedding %t {table = @t} : tensor<16xf32>
    %y = tern.rms_norm %x {gain = @w1, eps = 4.000000e+00 : f32} : tensor<16xf32> -> tensor<16xf32>
    tern.return %y : tensor<16xf32>
  }
}

// TEST: in front of a folded norm: the first epsilon alone
builtin.module {
  tern.table "t" {rows = 3 : i64, cols = 16 : i64, format = "f32"}
  tern.vector "w1" {length = 16 : i64}
  tern.vector "w2" {length = 16 : i64}
  tern.vector "w3" {length = 16 : i64}
  tern.weight "w" {rows = 16 : i64, cols = 16 : i64, scale = 5.000000e-01 : f32, hash = "5341e6b2646979a70e57653007a1f310169421ec9bdd9f1a5648f75ade005af1"}
  tern.model "m" token "ids" outputs ["y"] {
  ^bb0(%t: i64):
    %x = tern.embedding %t {table = @t} : tensor<16xf32>
    %f = tern.fill 4.000000e+00 : f32 : tensor<16xf32>
    %p = tern.mul %f, %x : tensor<16xf32>, tensor<16xf32> -> tensor<16xf32>
    %c, %k, %g = tern.norm_quantize %p {gain = @w1, first_gain = @w2, eps0 = 1.000000e+00 : f32, eps1 = 1.000000e+00 : f32} : tensor<16xf32> -> tensor<16xi8>
    %y = tern.linear %c, %k {weight = @w} : tensor<16xi8> -> tensor<16xf32>
    tern.return %y : tensor<16xf32>
  }
}
// AFTER
builtin.module {
  tern.table "t" {rows = 3 : i64, cols = 16 : i64, format = "f32"}
  tern.vector "w1" {length = 16 : i64}
  tern.vector "w2" {length = 16 : i64}
  tern.vector "w3" {length = 16 : i64}
  tern.weight "w" {rows = 16 : i64, cols = 16 : i64, scale = 5.000000e-01 : f32, hash = "5341e6b2646979a70e57653007a1f310169421ec9bdd9f1a5648f75ade005af1"}
  tern.model "m" token "ids" outputs ["y"] {
  ^bb0(%t: i64):
    %x = tern.embedding %t {table = @t} : tensor<16xf32>
    %c, %k, %g = tern.norm_quantize %x {gain = @w1, first_gain = @w2, eps0 = 6.250000e-02 : f32, eps1 = 1.000000e+00 : f32} : tensor<16xf32> -> tensor<16xi8>
    %y = tern.linear %c, %k {weight = @w} : tensor<16xi8> -> tensor<16xf32>
    tern.return %y : tensor<16xf32>
  }
}

// TEST: quantisers that share a factor
builtin.module {
  tern.table "t" {rows = 3 : i64, cols = 16 : i64, format = "f32"}
  tern.vector "w1" {length = 16 : i64}
  tern.vector "w2" {length = 16 : i64}
  tern.vector "w3" {length = 16 : i64}
  tern.weight "w" {rows = 16 : i64, cols = 16 : i64, scale = 5.000000e-01 : f32, hash = "5341e6b2646979a70e57653007a1f310169421ec9bdd9f1a5648f75ade005af1"}
  tern.model "m" token "ids" outputs ["y"] {
  ^bb0(%t: i64):
    %x = tern.embedding %t {table = @t} : tensor<16xf32>
    %f = tern.fill 4.000000e+00 : f32 : tensor<16xf32>
    %p = tern.mul %f, %x : tensor<16xf32>, tensor<16xf32> -> tensor<16xf32>
    %c, %k, %g = tern.norm_quantize %p {gain = @w1, eps0 = 1.000000e+00 : f32} : tensor<16xf32> -> tensor<16xi8>
    %d, %j, %o = tern.norm_quantize %p norm %g {gain = @w2, eps0 = 1.000000e+00 : f32} : tensor<16xf32> -> tensor<16xi8>
    %a = tern.linear %c, %k {weight = @w} : tensor<16xi8> -> tensor<16xf32>
    %b = tern.linear %d, %j {weight = @w} : tensor<16xi8> -> tensor<16xf32>
    %y = tern.add %a, %b : tensor<16xf32>, tensor<16xf32> -> tensor<16xf32>
    tern.return %y : tensor<16xf32>
  }
}
// AFTER
builtin.module {
  tern.table "t" {rows = 3 : i64, cols = 16 : i64, format = "f32"}
  tern.vector "w1" {length = 16 : i64}
  tern.vector "w2" {length = 16 : i64}
  tern.vector "w3" {length = 16 : i64}
  tern.weight "w" {rows = 16 : i64, cols = 16 : i64, scale = 5.000000e-01 : f32, hash = "5341e6b2646979a70e57653007a1f310169421ec9bdd9f1a5648f75ade005af1"}
  tern.model "m" token "ids" outputs ["y"] {
  ^bb0(%t: i64):
    %x = tern.embedding %t {table = @t} : tensor<16xf32>
    %c, %k, %g = tern.norm_quantize %x {gain = @w1, eps0 = 6.250000e-02 : f32} : tensor<16xf32> -> tensor<16xi8>
    %d, %j, %o = tern.norm_quantize %x norm %g {gain = @w2, eps0 = 6.250000e-02 : f32} : tensor<16xf32> -> tensor<16xi8>
    %a = tern.linear %c, %k {weight = @w} : tensor<16xi8> -> tensor<16xf32>
    %b = tern.linear %d, %j {weight = @w} : tensor<16xi8> -> tensor<16xf32>
    %y = tern.add %a, %b : tensor<16xf32>, tensor<16xf32> -> tensor<16xf32>
    tern.return %y : tensor<16xf32>
  }
}

// TEST: a negative factor
builtin.module {
  tern.table "t" {rows = 3 : i64, cols = 16 : i64, format = "f32"}
  tern.vector "w1" {length = 16 : i64}
  tern.vector "w2" {length = 16 : i64}
  tern.vector "w3" {length = 16 : i64}
  tern.model "m" token "ids" outputs ["y"] {
  ^bb0(%t: i64):
    %x = tern.embedding %t {table = @t} : tensor<16xf32>
    %f = tern.fill -2.000000e+00 : f32 : tensor<16xf32>
    %p = tern.mul %x, %f : tensor<16xf32>, tensor<16xf32> -> tensor<16xf32>
    %y = tern.rms_norm %p {gain = @w1, eps = 1.000000e-06 : f32} : tensor<16xf32> -> tensor<16xf32>
    tern.return %y : tensor<16xf32>
  }
}
// AFTER
unchanged

// TEST: zero
builtin.module {
  tern.table "t" {rows = 3 : i64, cols = 16 : i64, format = "f32"}
  tern.vector "w1" {length = 16 : i64}
  tern.vector "w2" {length = 16 : i64}
  tern.vector "w3" {length = 16 : i64}
  tern.model "m" token "ids" outputs ["y"] {
  ^bb0(%t: i64):
    %x = tern.embedding %t {table = @t} : tensor<16xf32>
    %f = tern.fill 0.000000e+00 : f32 : tensor<16xf32>
    %p = tern.mul %x, %f : tensor<16xf32>, tensor<16xf32> -> tensor<16xf32>
    %y = tern.rms_norm %p {gain = @w1, eps = 1.000000e-06 : f32} : tensor<16xf32> -> tensor<16xf32>
    tern.return %y : tensor<16xf32>
  }
}
// AFTER
unchanged

// TEST: a constant divided by the vector
builtin.module {
  tern.table "t" {rows = 3 : i64, cols = 16 : i64, format = "f32"}
  tern.vector "w1" {length = 16 : i64}
  tern.vector "w2" {length = 16 : i64}
  tern.vector "w3" {length = 16 : i64}
  tern.model "m" token "ids" outputs ["y"] {
  ^bb0(%t: i64):
    %x = tern.embedding %t {table = @t} : tensor<16xf32>
    %f = tern.fill 2.000000e+00 : f32 : tensor<16xf32>
    %p = tern.div %f, %x : tensor<16xf32>, tensor<16xf32> -> tensor<16xf32>
    %y = tern.rms_norm %p {gain = @w1, eps = 1.000000e-06 : f32} : tensor<16xf32> -> tensor<16xf32>
    tern.return %y : tensor<16xf32>
  }
}
// AFTER
unchanged

// TEST: an epsilon that would overflow
builtin.module {
  tern.table "t" {rows = 3 : i64, cols = 16 : i64, format = "f32"}
  tern.vector "w1" {length = 16 : i64}
  tern.vector "w2" {length = 16 : i64}
  tern.vector "w3" {length = 16 : i64}
  tern.model "m" token "ids" outputs ["y"] {
  ^bb0(%t: i64):
    %x = tern.embedding %t {table = @t} : tensor<16xf32>
    %f = tern.fill 1.000000e-30 : f32 : tensor<16xf32>
    %p = tern.mul %x, %f : tensor<16xf32>, tensor<16xf32> -> tensor<16xf32>
    %y = tern.rms_norm %p {gain = @w1, eps = 1.000000e-06 : f32} : tensor<16xf32> -> tensor<16xf32>
    tern.return %y : tensor<16xf32>
  }
}
// AFTER
unchanged

// TEST: an epsilon that would become subnormal
builtin.module {
  tern.table "t" {rows = 3 : i64, cols = 16 : i64, format = "f32"}
  tern.vector "w1" {length = 16 : i64}
  tern.vector "w2" {length = 16 : i64}
  tern.vector "w3" {length = 16 : i64}
  tern.model "m" token "ids" outputs ["y"] {
  ^bb0(%t: i64):
    %x = tern.embedding %t {table = @t} : tensor<16xf32>
    %f = tern.fill 1.000000e+18 : f32 : tensor<16xf32>
    %p = tern.mul %x, %f : tensor<16xf32>, tensor<16xf32> -> tensor<16xf32>
    %y = tern.rms_norm %p {gain = @w1, eps = 1.000000e-06 : f32} : tensor<16xf32> -> tensor<16xf32>
    tern.return %y : tensor<16xf32>
  }
}
// AFTER
unchanged

// TEST: a vector of factors
builtin.module {
  tern.table "t" {rows = 3 : i64, cols = 16 : i64, format = "f32"}
  tern.vector "w1" {length = 16 : i64}
  tern.vector "w2" {length = 16 : i64}
  tern.vector "w3" {length = 16 : i64}
  tern.model "m" token "ids" outputs ["y"] {
  ^bb0(%t: i64):
    %x = tern.embedding %t {table = @t} : tensor<16xf32>
    %f = tern.load @w2 : tensor<16xf32>
    %p = tern.mul %x, %f : tensor<16xf32>, tensor<16xf32> -> tensor<16xf32>
    %y = tern.rms_norm %p {gain = @w1, eps = 1.000000e-06 : f32} : tensor<16xf32> -> tensor<16xf32>
    tern.return %y : tensor<16xf32>
  }
}
// AFTER
unchanged
