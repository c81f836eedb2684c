// PASSES: fuse-norm

// TEST: one norm
builtin.module {
  tern.table "t" {rows = 3 : i64, cols = 16 : i64, format = "f32"}
  tern.vector "w1" {length = 16 : i64}
  tern.vector "w2" {length = 16 : i64}
  tern.vector "w3" {length = 16 : i64}
  tern.weight "w" {rows = 16 : i64, cols = 16 : i64, scale = 5.000000e-01 : f32, hash = "5341e6b2646979a70e57653007a1f310169421ec9bdd9f1a5648f75ade005af1"}
  tern.model "m" token "ids" outputs ["y"] {
  ^bb0(%t: i64):
    %x = tern.embedding %t {table = @t} : tensor<16xf32>
    %n = tern.rms_norm %x {gain = @w1, eps = 1.000000e-06 : f32} : tensor<16xf32> -> tensor<16xf32>
    %c, %k = tern.quantize_absmax %n : tensor<16xf32> -> tensor<16xi8>
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
    %c, %k, %0 = tern.norm_quantize %x {gain = @w1, eps0 = 1.000000e-06 : f32} : tensor<16xf32> -> tensor<16xi8>
    %y = tern.linear %c, %k {weight = @w} : tensor<16xi8> -> tensor<16xf32>
    tern.return %y : tensor<16xf32>
  }
}

// TEST: two norms in a row
builtin.module {
  tern.table "t" {rows = 3 : i64, cols = 16 : i64, format = "f32"}
  tern.vector "w1" {length = 16 : i64}
  tern.vector "w2" {length = 16 : i64}
  tern.vector "w3" {length = 16 : i64}
  tern.weight "w" {rows = 16 : i64, cols = 16 : i64, scale = 5.000000e-01 : f32, hash = "5341e6b2646979a70e57653007a1f310169421ec9bdd9f1a5648f75ade005af1"}
  tern.model "m" token "ids" outputs ["y"] {
  ^bb0(%t: i64):
    %x = tern.embedding %t {table = @t} : tensor<16xf32>
    %n = tern.rms_norm %x {gain = @w1, eps = 1.000000e-06 : f32} : tensor<16xf32> -> tensor<16xf32>
    %m = tern.rms_norm %n {gain = @w2, eps = 1.000000e-05 : f32} : tensor<16xf32> -> tensor<16xf32>
    %c, %k = tern.quantize_absmax %m : tensor<16xf32> -> tensor<16xi8>
    %y = tern.linear %c, %k {weight = @w} : tensor<16xi8> -> tensor<16xf32>
    tern.return %y : tensor<16xf32>
  }
}
// AFTER
builtin.module {
  tern.table "t" {rows = 3 : i64, cols = 16 : i64, format = "f32"}
  tern.vector "w1" {length = 16 : i64}
  tern.vector "w2" {length = 16 : i64}
  tern.vector "w1.times.w2" {length = 16 : i64, factors = [@w1, @w2]}
  tern.vector "w3" {length = 16 : i64}
  tern.weight "w" {rows = 16 : i64, cols = 16 : i64, scale = 5.000000e-01 : f32, hash = "5341e6b2646979a70e57653007a1f310169421ec9bdd9f1a5648f75ade005af1"}
  tern.model "m" token "ids" outputs ["y"] {
  ^bb0(%t: i64):
    %x = tern.embedding %t {table = @t} : tensor<16xf32>
    %c, %k, %0 = tern.norm_quantize %x {gain = @w1.times.w2, first_gain = @w1, eps0 = 1.000000e-06 : f32, eps1 = 1.000000e-05 : f32} : tensor<16xf32> -> tensor<16xi8>
    %y = tern.linear %c, %k {weight = @w} : tensor<16xi8> -> tensor<16xf32>
    tern.return %y : tensor<16xf32>
  }
}

// TEST: two norms with a product between them, the gate on the left
builtin.module {
  tern.table "t" {rows = 3 : i64, cols = 16 : i64, format = "f32"}
  tern.vector "w1" {length = 16 : i64}
  tern.vector "w2" {length = 16 : i64}
  tern.vector "w3" {length = 16 : i64}
  tern.weight "w" {rows = 16 : i64, cols = 16 : i64, scale = 5.000000e-01 : f32, hash = "5341e6b2646979a70e57653007a1f310169421ec9bdd9f1a5648f75ade005af1"}
  tern.model "m" token "ids" outputs ["y"] {
  ^bb0(%t: i64):
    %x = tern.embedding %t {table = @t} : tensor<16xf32>
    %b = tern.relu %x : tensor<16xf32> -> tensor<16xf32>
    %n = tern.rms_norm %x {gain = @w1, eps = 1.000000e-06 : f32} : tensor<16xf32> -> tensor<16xf32>
    %p = tern.mul %b, %n : tensor<16xf32>, tensor<16xf32> -> tensor<16xf32>
    %m = tern.rms_norm %p {gain = @w2, eps = 1.000000e-06 : f32} : tensor<16xf32> -> tensor<16xf32>
    %c, %k = tern.quantize_absmax %m : tensor<16xf32> -> tensor<16xi8>
    %y = tern.linear %c, %k {weight = @w} : tensor<16xi8> -> tensor<16xf32>
    tern.return %y : tensor<16xf32>
  }
}
// AFTER
builtin.module {
  tern.table "t" {rows = 3 : i64, cols = 16 : i64, format = "f32"}
  tern.vector "w1" {length = 16 : i64}
  tern.vector "w2" {length = 16 : i64}
  tern.vector "w1.times.w2" {length = 16 : i64, factors = [@w1, @w2]}
  tern.vector "w3" {length = 16 : i64}
  tern.weight "w" {rows = 16 : i64, cols = 16 : i64, scale = 5.000000e-01 : f32, hash = "5341e6b2646979a70e57653007a1f310169421ec9bdd9f1a5648f75ade005af1"}
  tern.model "m" token "ids" outputs ["y"] {
  ^bb0(%t: i64):
    %x = tern.embedding %t {table = @t} : tensor<16xf32>
    %b = tern.relu %x : tensor<16xf32> -> tensor<16xf32>
    %c, %k, %0 = tern.norm_quantize %x times %b {gain = @w1.times.w2, first_gain = @w1, eps0 = 1.000000e-06 : f32, eps1 = 1.000000e-06 : f32} : tensor<16xf32> times tensor<16xf32> -> tensor<16xi8>
    %y = tern.linear %c, %k {weight = @w} : tensor<16xi8> -> tensor<16xf32>
    tern.return %y : tensor<16xf32>
  }
}

// TEST: (n*h)*sigmoid(h) becomes n*silu(h)
builtin.module {
  tern.table "t" {rows = 3 : i64, cols = 16 : i64, format = "f32"}
  tern.vector "w1" {length = 16 : i64}
  tern.vector "w2" {length = 16 : i64}
  tern.vector "w3" {length = 16 : i64}
  tern.weight "w" {rows = 16 : i64, cols = 16 : i64, scale = 5.000000e-01 : f32, hash = "5341e6b2646979a70e57653007a1f310169421ec9bdd9f1a5648f75ade005af1"}
  tern.model "m" token "ids" outputs ["y"] {
  ^bb0(%t: i64):
    %x = tern.embedding %t {table = @t} : tensor<16xf32>
    %h = tern.relu %x : tensor<16xf32> -> tensor<16xf32>
    %n = tern.rms_norm %x {gain = @w1, eps = 1.000000e-06 : f32} : tensor<16xf32> -> tensor<16xf32>
    %p = tern.mul %n, %h : tensor<16xf32>, tensor<16xf32> -> tensor<16xf32>
    %z = tern.sigmoid %h : tensor<16xf32> -> tensor<16xf32>
    %o = tern.mul %p, %z : tensor<16xf32>, tensor<16xf32> -> tensor<16xf32>
    %m = tern.rms_norm %o {gain = @w2, eps = 1.000000e-06 : f32} : tensor<16xf32> -> tensor<16xf32>
    %c, %k = tern.quantize_absmax %m : tensor<16xf32> -> tensor<16xi8>
    %y = tern.linear %c, %k {weight = @w} : tensor<16xi8> -> tensor<16xf32>
    tern.return %y : tensor<16xf32>
  }
}
// AFTER
builtin.module {
  tern.table "t" {rows = 3 : i64, cols = 16 : i64, format = "f32"}
  tern.vector "w1" {length = 16 : i64}
  tern.vector "w2" {length = 16 : i64}
  tern.vector "w1.times.w2" {length = 16 : i64, factors = [@w1, @w2]}
  tern.vector "w3" {length = 16 : i64}
  tern.weight "w" {rows = 16 : i64, cols = 16 : i64, scale = 5.000000e-01 : f32, hash = "5341e6b2646979a70e57653007a1f310169421ec9bdd9f1a5648f75ade005af1"}
  tern.model "m" token "ids" outputs ["y"] {
  ^bb0(%t: i64):
    %x = tern.embedding %t {table = @t} : tensor<16xf32>
    %h = tern.relu %x : tensor<16xf32> -> tensor<16xf32>
    %0 = tern.silu %h : tensor<16xf32> -> tensor<16xf32>
    %c, %k, %1 = tern.norm_quantize %x times %0 {gain = @w1.times.w2, first_gain = @w1, eps0 = 1.000000e-06 : f32, eps1 = 1.000000e-06 : f32} : tensor<16xf32> times tensor<16xf32> -> tensor<16xi8>
    %y = tern.linear %c, %k {weight = @w} : tensor<16xi8> -> tensor<16xf32>
    tern.return %y : tensor<16xf32>
  }
}

// TEST: two quantisers behind one first norm share the factor
builtin.module {
  tern.table "t" {rows = 3 : i64, cols = 16 : i64, format = "f32"}
  tern.vector "w1" {length = 16 : i64}
  tern.vector "w2" {length = 16 : i64}
  tern.vector "w3" {length = 16 : i64}
  tern.weight "w" {rows = 16 : i64, cols = 16 : i64, scale = 5.000000e-01 : f32, hash = "5341e6b2646979a70e57653007a1f310169421ec9bdd9f1a5648f75ade005af1"}
  tern.model "m" token "ids" outputs ["y"] {
  ^bb0(%t: i64):
    %x = tern.embedding %t {table = @t} : tensor<16xf32>
    %n = tern.rms_norm %x {gain = @w1, eps = 1.000000e-06 : f32} : tensor<16xf32> -> tensor<16xf32>
    %m = tern.rms_norm %n {gain = @w2, eps = 1.000000e-06 : f32} : tensor<16xf32> -> tensor<16xf32>
    %c, %k = tern.quantize_absmax %m : tensor<16xf32> -> tensor<16xi8>
    %a = tern.linear %c, %k {weight = @w} : tensor<16xi8> -> tensor<16xf32>
    %l = tern.rms_norm %n {gain = @w3, eps = 1.000000e-06 : f32} : tensor<16xf32> -> tensor<16xf32>
    %d, %j = tern.quantize_absmax %l : tensor<16xf32> -> tensor<16xi8>
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
  tern.vector "w1.times.w2" {length = 16 : i64, factors = [@w1, @w2]}
  tern.vector "w3" {length = 16 : i64}
  tern.vector "w1.times.w3" {length = 16 : i64, factors = [@w1, @w3]}
  tern.weight "w" {rows = 16 : i64, cols = 16 : i64, scale = 5.000000e-01 : f32, hash = "5341e6b2646979a70e57653007a1f310169421ec9bdd9f1a5648f75ade005af1"}
  tern.model "m" token "ids" outputs ["y"] {
  ^bb0(%t: i64):
    %x = tern.embedding %t {table = @t} : tensor<16xf32>
    %c, %k, %0 = tern.norm_quantize %x {gain = @w1.times.w2, first_gain = @w1, eps0 = 1.000000e-06 : f32, eps1 = 1.000000e-06 : f32} : tensor<16xf32> -> tensor<16xi8>
    %a = tern.linear %c, %k {weight = @w} : tensor<16xi8> -> tensor<16xf32>
    %d, %j, %1 = tern.norm_quantize %x norm %0 {gain = @w1.times.w3, first_gain = @w1, eps0 = 1.000000e-06 : f32, eps1 = 1.000000e-06 : f32} : tensor<16xf32> -> tensor<16xi8>
    %b = tern.linear %d, %j {weight = @w} : tensor<16xi8> -> tensor<16xf32>
    %y = tern.add %a, %b : tensor<16xf32>, tensor<16xf32> -> tensor<16xf32>
    tern.return %y : tensor<16xf32>
  }
}

// TEST: other first gain: no sharing
builtin.module {
  tern.table "t" {rows = 3 : i64, cols = 16 : i64, format = "f32"}
  tern.vector "w1" {length = 16 : i64}
  tern.vector "w2" {length = 16 : i64}
  tern.vector "w3" {length = 16 : i64}
  tern.weight "w" {rows = 16 : i64, cols = 16 : i64, scale = 5.000000e-01 : f32, hash = "5341e6b2646979a70e57653007a1f310169421ec9bdd9f1a5648f75ade005af1"}
  tern.model "m" token "ids" outputs ["y"] {
  ^bb0(%t: i64):
    %x = tern.embedding %t {table = @t} : tensor<16xf32>
    %n = tern.rms_norm %x {gain = @w1, eps = 1.000000e-06 : f32} : tensor<16xf32> -> tensor<16xf32>
    %m = tern.rms_norm %n {gain = @w2, eps = 1.000000e-06 : f32} : tensor<16xf32> -> tensor<16xf32>
    %c, %k = tern.quantize_absmax %m : tensor<16xf32> -> tensor<16xi8>
    %a = tern.linear %c, %k {weight = @w} : tensor<16xi8> -> tensor<16xf32>
    %o = tern.rms_norm %x {gain = @w3, eps = 1.000000e-06 : f32} : tensor<16xf32> -> tensor<16xf32>
    %l = tern.rms_norm %o {gain = @w2, eps = 1.000000e-06 : f32} : tensor<16xf32> -> tensor<16xf32>
    %d, %j = tern.quantize_absmax %l : tensor<16xf32> -> tensor<16xi8>
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
  tern.vector "w1.times.w2" {length = 16 : i64, factors = [@w1, @w2]}
  tern.vector "w3" {length = 16 : i64}
  tern.vector "w3.times.w2" {length = 16 : i64, factors = [@w3, @w2]}
  tern.weight "w" {rows = 16 : i64, cols = 16 : i64, scale = 5.000000e-01 : f32, hash = "5341e6b2646979a70e57653007a1f310169421ec9bdd9f1a5648f75ade005af1"}
  tern.model "m" token "ids" outputs ["y"] {
  ^bb0(%t: i64):
    %x = tern.embedding %t {table = @t} : tensor<16xf32>
    %c, %k, %0 = tern.norm_quantize %x {gain = @w1.times.w2, first_gain = @w1, eps0 = 1.000000e-06 : f32, eps1 = 1.000000e-06 : f32} : tensor<16xf32> -> tensor<16xi8>
    %a = tern.linear %c, %k {weight = @w} : tensor<16xi8> -> tensor<16xf32>
    %d, %j, %1 = tern.norm_quantize %x {gain = @w3.times.w2, first_gain = @w3, eps0 = 1.000000e-06 : f32, eps1 = 1.000000e-06 : f32} : tensor<16xf32> -> tensor<16xi8>
    %b = tern.linear %d, %j {weight = @w} : tensor<16xi8> -> tensor<16xf32>
    %y = tern.add %a, %b : tensor<16xf32>, tensor<16xf32> -> tensor<16xf32>
    tern.return %y : tensor<16xf32>
  }
}

// TEST: other second epsilon: no sharing
builtin.module {
  tern.table "t" {rows = 3 : i64, cols = 16 : i64, format = "f32"}
  tern.vector "w1" {length = 16 : i64}
  tern.vector "w2" {length = 16 : i64}
  tern.vector "w3" {length = 16 : i64}
  tern.weight "w" {rows = 16 : i64, cols = 16 : i64, scale = 5.000000e-01 : f32, hash = "5341e6b2646979a70e57653007a1f310169421ec9bdd9f1a5648f75ade005af1"}
  tern.model "m" token "ids" outputs ["y"] {
  ^bb0(%t: i64):
    %x = tern.embedding %t {table = @t} : tensor<16xf32>
    %n = tern.rms_norm %x {gain = @w1, eps = 1.000000e-06 : f32} : tensor<16xf32> -> tensor<16xf32>
    %m = tern.rms_norm %n {gain = @w2, eps = 1.000000e-06 : f32} : tensor<16xf32> -> tensor<16xf32>
    %c, %k = tern.quantize_absmax %m : tensor<16xf32> -> tensor<16xi8>
    %a = tern.linear %c, %k {weight = @w} : tensor<16xi8> -> tensor<16xf32>
    %o = tern.rms_norm %x {gain = @w1, eps = 1.000000e-06 : f32} : tensor<16xf32> -> tensor<16xf32>
    %l = tern.rms_norm %o {gain = @w3, eps = 2.000000e-06 : f32} : tensor<16xf32> -> tensor<16xf32>
    %d, %j = tern.quantize_absmax %l : tensor<16xf32> -> tensor<16xi8>
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
  tern.vector "w1.times.w2" {length = 16 : i64, factors = [@w1, @w2]}
  tern.vector "w3" {length = 16 : i64}
  tern.vector "w1.times.w3" {length = 16 : i64, factors = [@w1, @w3]}
  tern.weight "w" {rows = 16 : i64, cols = 16 : i64, scale = 5.000000e-01 : f32, hash = "5341e6b2646979a70e57653007a1f310169421ec9bdd9f1a5648f75ade005af1"}
  tern.model "m" token "ids" outputs ["y"] {
  ^bb0(%t: i64):
    %x = tern.embedding %t {table = @t} : tensor<16xf32>
    %c, %k, %0 = tern.norm_quantize %x {gain = @w1.times.w2, first_gain = @w1, eps0 = 1.000000e-06 : f32, eps1 = 1.000000e-06 : f32} : tensor<16xf32> -> tensor<16xi8>
    %a = tern.linear %c, %k {weight = @w} : tensor<16xi8> -> tensor<16xf32>
    %d, %j, %1 = tern.norm_quantize %x {gain = @w1.times.w3, first_gain = @w1, eps0 = 1.000000e-06 : f32, eps1 = 2.000000e-06 : f32} : tensor<16xf32> -> tensor<16xi8>
    %b = tern.linear %d, %j {weight = @w} : tensor<16xi8> -> tensor<16xf32>
    %y = tern.add %a, %b : tensor<16xf32>, tensor<16xf32> -> tensor<16xf32>
    tern.return %y : tensor<16xf32>
  }
}

// TEST: other factor between the norms: no sharing
builtin.module {
  tern.table "t" {rows = 3 : i64, cols = 16 : i64, format = "f32"}
  tern.vector "w1" {length = 16 : i64}
  tern.vector "w2" {length = 16 : i64}
  tern.vector "w3" {length = 16 : i64}
  tern.weight "w" {rows = 16 : i64, cols = 16 : i64, scale = 5.000000e-01 : f32, hash = "5341e6b2646979a70e57653007a1f310169421ec9bdd9f1a5648f75ade005af1"}
  tern.model "m" token "ids" outputs ["y"] {
  ^bb0(%t: i64):
    %x = tern.embedding %t {table = @t} : tensor<16xf32>
    %n = tern.rms_norm %x {gain = @w1, eps = 1.000000e-06 : f32} : tensor<16xf32> -> tensor<16xf32>
    %s = tern.silu %x : tensor<16xf32> -> tensor<16xf32>
    %u = tern.sigmoid %x : tensor<16xf32> -> tensor<16xf32>
    %p = tern.mul %n, %s : tensor<16xf32>, tensor<16xf32> -> tensor<16xf32>
    %q = tern.mul %n, %u : tensor<16xf32>, tensor<16xf32> -> tensor<16xf32>
    %m = tern.rms_norm %p {gain = @w2, eps = 1.000000e-06 : f32} : tensor<16xf32> -> tensor<16xf32>
    %c, %k = tern.quantize_absmax %m : tensor<16xf32> -> tensor<16xi8>
    %a = tern.linear %c, %k {weight = @w} : tensor<16xi8> -> tensor<16xf32>
    %l = tern.rms_norm %q {gain = @w3, eps = 1.000000e-06 : f32} : tensor<16xf32> -> tensor<16xf32>
    %d, %j = tern.quantize_absmax %l : tensor<16xf32> -> tensor<16xi8>
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
  tern.vector "w1.times.w2" {length = 16 : i64, factors = [@w1, @w2]}
  tern.vector "w3" {length = 16 : i64}
  tern.vector "w1.times.w3" {length = 16 : i64, factors = [@w1, @w3]}
  tern.weight "w" {rows = 16 : i64, cols = 16 : i64, scale = 5.000000e-01 : f32, hash = "5341e6b2646979a70e57653007a1f310169421ec9bdd9f1a5648f75ade005af1"}
  tern.model "m" token "ids" outputs ["y"] {
  ^bb0(%t: i64):
    %x = tern.embedding %t {table = @t} : tensor<16xf32>
    %s = tern.silu %x : tensor<16xf32> -> tensor<16xf32>
    %u = tern.sigmoid %x : tensor<16xf32> -> tensor<16xf32>
    %c, %k, %0 = tern.norm_quantize %x times %s {gain = @w1.times.w2, first_gain = @w1, eps0 = 1.000000e-06 : f32, eps1 = 1.000000e-06 : f32} : tensor<16xf32> times tensor<16xf32> -> tensor<16xi8>
    %a = tern.linear %c, %k {weight = @w} : tensor<16xi8> -> tensor<16xf32>
    %d, %j, %1 = tern.norm_quantize %x times %u {gain = @w1.times.w3, first_gain = @w1, eps0 = 1.000000e-06 : f32, eps1 = 1.000000e-06 : f32} : tensor<16xf32> times tensor<16xf32> -> tensor<16xi8>
    %b = tern.linear %d, %j {weight = @w} : tensor<16xi8> -> tensor<16xf32>
    %y = tern.add %a, %b : tensor<16xf32>, tensor<16xf32> -> tensor<16xf32>
    tern.return %y : tensor<16xf32>
  }
}

// TEST: the epsilons keep their order
builtin.module {
  tern.table "t" {rows = 3 : i64, cols = 16 : i64, format = "f32"}
  tern.vector "w1" {length = 16 : i64}
  tern.vector "w2" {length = 16 : i64}
  tern.vector "w3" {length = 16 : i64}
  tern.weight "w" {rows = 16 : i64, cols = 16 : i64, scale = 5.000000e-01 : f32, hash = "5341e6b2646979a70e57653007a1f310169421ec9bdd9f1a5648f75ade005af1"}
  tern.model "m" token "ids" outputs ["y"] {
  ^bb0(%t: i64):
    %x = tern.embedding %t {table = @t} : tensor<16xf32>
    %n = tern.rms_norm %x {gain = @w1, eps = 2.500000e-01 : f32} : tensor<16xf32> -> tensor<16xf32>
    %m = tern.rms_norm %n {gain = @w2, eps = 5.000000e-01 : f32} : tensor<16xf32> -> tensor<16xf32>
    %c, %k = tern.quantize_absmax %m : tensor<16xf32> -> tensor<16xi8>
    %y = tern.linear %c, %k {weight = @w} : tensor<16xi8> -> tensor<16xf32>
    tern.return %y : tensor<16xf32>
  }
}
// AFTER
builtin.module {
  tern.table "t" {rows = 3 : i64, cols = 16 : i64, format = "f32"}
  tern.vector "w1" {length = 16 : i64}
  tern.vector "w2" {length = 16 : i64}
  tern.vector "w1.times.w2" {length = 16 : i64, factors = [@w1, @w2]}
  tern.vector "w3" {length = 16 : i64}
  tern.weight "w" {rows = 16 : i64, cols = 16 : i64, scale = 5.000000e-01 : f32, hash = "5341e6b2646979a70e57653007a1f310169421ec9bdd9f1a5648f75ade005af1"}
  tern.model "m" token "ids" outputs ["y"] {
  ^bb0(%t: i64):
    %x = tern.embedding %t {table = @t} : tensor<16xf32>
    %c, %k, %0 = tern.norm_quantize %x {gain = @w1.times.w2, first_gain = @w1, eps0 = 2.500000e-01 : f32, eps1 = 5.000000e-01 : f32} : tensor<16xf32> -> tensor<16xi8>
    %y = tern.linear %c, %k {weight = @w} : tensor<16xi8> -> tensor<16xf32>
    tern.return %y : tensor<16xf32>
  }
}

// TEST: the norm stays for its other user
builtin.module {
  tern.table "t" {rows = 3 : i64, cols = 16 : i64, format = "f32"}
  tern.vector "w1" {length = 16 : i64}
  tern.vector "w2" {length = 16 : i64}
  tern.vector "w3" {length = 16 : i64}
  tern.weight "w" {rows = 16 : i64, cols = 16 : i64, scale = 5.000000e-01 : f32, hash = "5341e6b2646979a70e57653007a1f310169421ec9bdd9f1a5648f75ade005af1"}
  tern.model "m" token "ids" outputs ["y"] {
  ^bb0(%t: i64):
    %x = tern.embedding %t {table = @t} : tensor<16xf32>
    %n = tern.rms_norm %x {gain = @w1, eps = 1.000000e-06 : f32} : tensor<16xf32> -> tensor<16xf32>
    %c, %k = tern.quantize_absmax %n : tensor<16xf32> -> tensor<16xi8>
    %a = tern.linear %c, %k {weight = @w} : tensor<16xi8> -> tensor<16xf32>
    %y = tern.add %a, %n : tensor<16xf32>, tensor<16xf32> -> tensor<16xf32>
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
    %n = tern.rms_norm %x {gain = @w1, eps = 1.000000e-06 : f32} : tensor<16xf32> -> tensor<16xf32>
    %c, %k, %0 = tern.norm_quantize %x {gain = @w1, eps0 = 1.000000e-06 : f32} : tensor<16xf32> -> tensor<16xi8>
    %a = tern.linear %c, %k {weight = @w} : tensor<16xi8> -> tensor<16xf32>
    %y = tern.add %a, %n : tensor<16xf32>, tensor<16xf32> -> tensor<16xf32>
    tern.return %y : tensor<16xf32>
  }
}

// TEST: a quantiser without norm
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
// AFTER
unchanged

// TEST: a norm that is scaled before the quantiser
builtin.module {
  tern.table "t" {rows = 3 : i64, cols = 16 : i64, format = "f32"}
  tern.vector "w1" {length = 16 : i64}
  tern.vector "w2" {length = 16 : i64}
  tern.vector "w3" {length = 16 : i64}
  tern.weight "w" {rows = 16 : i64, cols = 16 : i64, scale = 5.000000e-01 : f32, hash = "5341e6b2646979a70e57653007a1f310169421ec9bdd9f1a5648f75ade005af1"}
  tern.model "m" token "ids" outputs ["y"] {
  ^bb0(%t: i64):
    %x = tern.embedding %t {table = @t} : tensor<16xf32>
    %n = tern.rms_norm %x {gain = @w1, eps = 1.000000e-06 : f32} : tensor<16xf32> -> tensor<16xf32>
    %f = tern.fill 2.000000e+00 : f32 : tensor<16xf32>
    %p = tern.mul %n, %f : tensor<16xf32>, tensor<16xf32> -> tensor<16xf32>
    %c, %k = tern.quantize_absmax %p : tensor<16xf32> -> tensor<16xi8>
    %y = tern.linear %c, %k {weight = @w} : tensor<16xi8> -> tensor<16xf32>
    tern.return %y : tensor<16xf32>
  }
}
// AFTER
unchanged

// TEST: sigmoid of another value: the product stays
builtin.module {
  tern.table "t" {rows = 3 : i64, cols = 16 : i64, format = "f32"}
  tern.model "m" token "ids" outputs ["y"] {
  ^bb0(%t: i64):
    %x = tern.embedding %t {table = @t} : tensor<16xf32>
    %h = tern.relu %x : tensor<16xf32> -> tensor<16xf32>
    %p = tern.mul %x, %h : tensor<16xf32>, tensor<16xf32> -> tensor<16xf32>
    %z = tern.sigmoid %p : tensor<16xf32> -> tensor<16xf32>
    %o = tern.mul %p, %z : tensor<16xf32>, tensor<16xf32> -> tensor<16xf32>
    tern.return %o : tensor<16xf32>
  }
}
// AFTER
unchanged

// TEST: already mapped to the engine
builtin.module {
  tern.table "t" {rows = 3 : i64, cols = 16 : i64, format = "f32"}
  tern.model "m" token "ids" outputs ["y"] {
  ^bb0(%t: i64):
    %x = engine.embed %t {table = @t} : !engine.vector<16>
    tern.return %x : !engine.vector<16>
  }
}
// AFTER
refused: pass 'fuse-norm' works on the tern dialect, but the model is already mapped to the engine
