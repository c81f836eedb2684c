// PASSES: merge-linears

// TEST: two products of the same codes
builtin.module {
  tern.table "t" {rows = 3 : i64, cols = 16 : i64, format = "f32"}
  tern.weight "w1" {rows = 16 : i64, cols = 16 : i64, scale = 5.000000e-01 : f32, hash = "5341e6b2646979a70e57653007a1f310169421ec9bdd9f1a5648f75ade005af1"}
  tern.weight "w2" {rows = 16 : i64, cols = 16 : i64, scale = 5.000000e-01 : f32, hash = "5341e6b2646979a70e57653007a1f310169421ec9bdd9f1a5648f75ade005af1"}
  tern.model "m" token "ids" outputs ["y"] {
  ^bb0(%t: i64):
    %x = tern.embedding %t {table = @t} : tensor<16xf32>
    %c, %k = tern.quantize_absmax %x : tensor<16xf32> -> tensor<16xi8>
    %a = tern.linear %c, %k {weight = @w1} : tensor<16xi8> -> tensor<16xf32>
    %b = tern.linear %c, %k {weight = @w2} : tensor<16xi8> -> tensor<16xf32>
    %y = tern.mul %a, %b : tensor<16xf32>, tensor<16xf32> -> tensor<16xf32>
    tern.return %y : tensor<16xf32>
  }
}
// AFTER
builtin.module {
  tern.table "t" {rows = 3 : i64, cols = 16 : i64, format = "f32"}
  tern.weight "w1" {rows = 16 : i64, cols = 16 : i64, scale = 5.000000e-01 : f32, hash = "5341e6b2646979a70e57653007a1f310169421ec9bdd9f1a5648f75ade005af1"}
  tern.weight "w2" {rows = 16 : i64, cols = 16 : i64, scale = 5.000000e-01 : f32, hash = "5341e6b2646979a70e57653007a1f310169421ec9bdd9f1a5648f75ade005af1"}
  tern.weight "w1.and.w2" {parts = [@w1, @w2], rows = 32 : i64, cols = 16 : i64, scale = 5.000000e-01 : f32, hash = "076a27c79e5ace2a3d47f9dd2e83e4ff6ea8872b3c2218f66c92b89b55f36560"}
  tern.model "m" token "ids" outputs ["y"] {
  ^bb0(%t: i64):
    %x = tern.embedding %t {table = @t} : tensor<16xf32>
    %c, %k = tern.quantize_absmax %x : tensor<16xf32> -> tensor<16xi8>
    %0 = tern.linear %c, %k {weight = @w1.and.w2} : tensor<16xi8> -> tensor<32xf32>
    %a = tern.slice %0 {offset = 0 : i64} : tensor<32xf32> -> tensor<16xf32>
    %b = tern.slice %0 {offset = 16 : i64} : tensor<32xf32> -> tensor<16xf32>
    %y = tern.mul %a, %b : tensor<16xf32>, tensor<16xf32> -> tensor<16xf32>
    tern.return %y : tensor<16xf32>
  }
}

// TEST: a part that is no multiple of 16 comes last
builtin.module {
  tern.table "t" {rows = 3 : i64, cols = 16 : i64, format = "f32"}
  tern.weight "w1" {rows = 20 : i64, cols = 16 : i64, scale = 5.000000e-01 : f32, hash = "7b6436b0c98f62380866d9432c2af0ee08ce16a171bda6951aecd95ee1307d61"}
  tern.weight "w2" {rows = 16 : i64, cols = 16 : i64, scale = 5.000000e-01 : f32, hash = "5341e6b2646979a70e57653007a1f310169421ec9bdd9f1a5648f75ade005af1"}
  tern.model "m" token "ids" outputs ["y"] {
  ^bb0(%t: i64):
    %x = tern.embedding %t {table = @t} : tensor<16xf32>
    %c, %k = tern.quantize_absmax %x : tensor<16xf32> -> tensor<16xi8>
    %a = tern.linear %c, %k {weight = @w1} : tensor<16xi8> -> tensor<20xf32>
    %b = tern.linear %c, %k {weight = @w2} : tensor<16xi8> -> tensor<16xf32>
    %e = tern.slice %a {offset = 0 : i64} : tensor<20xf32> -> tensor<16xf32>
    %y = tern.mul %e, %b : tensor<16xf32>, tensor<16xf32> -> tensor<16xf32>
    tern.return %y : tensor<16xf32>
  }
}
// AFTER
builtin.module {
  tern.table "t" {rows = 3 : i64, cols = 16 : i64, format = "f32"}
  tern.weight "w1" {rows = 20 : i64, cols = 16 : i64, scale = 5.000000e-01 : f32, hash = "7b6436b0c98f62380866d9432c2af0ee08ce16a171bda6951aecd95ee1307d61"}
  tern.weight "w2" {rows = 16 : i64, cols = 16 : i64, scale = 5.000000e-01 : f32, hash = "5341e6b2646979a70e57653007a1f310169421ec9bdd9f1a5648f75ade005af1"}
  tern.weight "w2.and.w1" {parts = [@w2, @w1], rows = 36 : i64, cols = 16 : i64, scale = 5.000000e-01 : f32, hash = "1a0295f4bf5986c5f74eca9153a6a4cb10b073a01a76ba4a457fd862c78966a4"}
  tern.model "m" token "ids" outputs ["y"] {
  ^bb0(%t: i64):
    %x = tern.embedding %t {table = @t} : tensor<16xf32>
    %c, %k = tern.quantize_absmax %x : tensor<16xf32> -> tensor<16xi8>
    %0 = tern.linear %c, %k {weight = @w2.and.w1} : tensor<16xi8> -> tensor<36xf32>
    %b = tern.slice %0 {offset = 0 : i64} : tensor<36xf32> -> tensor<16xf32>
    %a = tern.slice %0 {offset = 16 : i64} : tensor<36xf32> -> tensor<20xf32>
    %e = tern.slice %a {offset = 0 : i64} : tensor<20xf32> -> tensor<16xf32>
    %y = tern.mul %e, %b : tensor<16xf32>, tensor<16xf32> -> tensor<16xf32>
    tern.return %y : tensor<16xf32>
  }
}

// TEST: unequal scales
builtin.module {
  tern.table "t" {rows = 3 : i64, cols = 16 : i64, format = "f32"}
  tern.weight "w1" {rows = 16 : i64, cols = 16 : i64, scale = 5.000000e-01 : f32, hash = "5341e6b2646979a70e57653007a1f310169421ec9bdd9f1a5648f75ade005af1"}
  tern.weight "w2" {rows = 16 : i64, cols = 16 : i64, scale = 2.500000e-01 : f32, hash = "5341e6b2646979a70e57653007a1f310169421ec9bdd9f1a5648f75ade005af1"}
  tern.model "m" token "ids" outputs ["y"] {
  ^bb0(%t: i64):
    %x = tern.embedding %t {table = @t} : tensor<16xf32>
    %c, %k = tern.quantize_absmax %x : tensor<16xf32> -> tensor<16xi8>
    %a = tern.linear %c, %k {weight = @w1} : tensor<16xi8> -> tensor<16xf32>
    %b = tern.linear %c, %k {weight = @w2} : tensor<16xi8> -> tensor<16xf32>
    %y = tern.mul %a, %b : tensor<16xf32>, tensor<16xf32> -> tensor<16xf32>
    tern.return %y : tensor<16xf32>
  }
}
// AFTER
unchanged

// TEST: both parts no multiple of 16
builtin.module {
  tern.table "t" {rows = 3 : i64, cols = 16 : i64, format = "f32"}
  tern.weight "w1" {rows = 20 : i64, cols = 16 : i64, scale = 5.000000e-01 : f32, hash = "7b6436b0c98f62380866d9432c2af0ee08ce16a171bda6951aecd95ee1307d61"}
  tern.weight "w2" {rows = 20 : i64, cols = 16 : i64, scale = 5.000000e-01 : f32, hash = "7b6436b0c98f62380866d9432c2af0ee08ce16a171bda6951aecd95ee1307d61"}
  tern.model "m" token "ids" outputs ["y"] {
  ^bb0(%t: i64):
    %x = tern.embedding %t {table = @t} : tensor<16xf32>
    %c, %k = tern.quantize_absmax %x : tensor<16xf32> -> tensor<16xi8>
    %a = tern.linear %c, %k {weight = @w1} : tensor<16xi8> -> tensor<20xf32>
    %b = tern.linear %c, %k {weight = @w2} : tensor<16xi8> -> tensor<20xf32>
    %y = tern.mul %a, %b : tensor<20xf32>, tensor<20xf32> -> tensor<20xf32>
    tern.return %y : tensor<20xf32>
  }
}
// AFTER
unchanged

// TEST: a product whose epilogue is an addition
builtin.module {
  tern.table "t" {rows = 3 : i64, cols = 16 : i64, format = "f32"}
  tern.weight "w1" {rows = 16 : i64, cols = 16 : i64, scale = 5.000000e-01 : f32, hash = "5341e6b2646979a70e57653007a1f310169421ec9bdd9f1a5648f75ade005af1"}
  tern.weight "w2" {rows = 16 : i64, cols = 16 : i64, scale = 5.000000e-01 : f32, hash = "5341e6b2646979a70e57653007a1f310169421ec9bdd9f1a5648f75ade005af1"}
  tern.model "m" token "ids" outputs ["y"] {
  ^bb0(%t: i64):
    %x = tern.embedding %t {table = @t} : tensor<16xf32>
    %c, %k = tern.quantize_absmax %x : tensor<16xf32> -> tensor<16xi8>
    %a = tern.linear %c, %k {weight = @w1} : tensor<16xi8> -> tensor<16xf32>
    %b = tern.linear %c, %k {weight = @w2} : tensor<16xi8> -> tensor<16xf32>
    %p = tern.add %x, %a : tensor<16xf32>, tensor<16xf32> -> tensor<16xf32>
    %y = tern.mul %p, %b : tensor<16xf32>, tensor<16xf32> -> tensor<16xf32>
    tern.return %y : tensor<16xf32>
  }
}
// AFTER
unchanged

// TEST: the product that gives the logits
builtin.module {
  tern.table "t" {rows = 3 : i64, cols = 16 : i64, format = "f32"}
  tern.weight "w1" {rows = 16 : i64, cols = 16 : i64, scale = 5.000000e-01 : f32, hash = "5341e6b2646979a70e57653007a1f310169421ec9bdd9f1a5648f75ade005af1"}
  tern.weight "w2" {rows = 16 : i64, cols = 16 : i64, scale = 5.000000e-01 : f32, hash = "5341e6b2646979a70e57653007a1f310169421ec9bdd9f1a5648f75ade005af1"}
  tern.model "m" token "ids" outputs ["y", "z"] {
  ^bb0(%t: i64):
    %x = tern.embedding %t {table = @t} : tensor<16xf32>
    %c, %k = tern.quantize_absmax %x : tensor<16xf32> -> tensor<16xi8>
    %a = tern.linear %c, %k {weight = @w1} : tensor<16xi8> -> tensor<16xf32>
    %b = tern.linear %c, %k {weight = @w2} : tensor<16xi8> -> tensor<16xf32>
    %r = tern.relu %a : tensor<16xf32> -> tensor<16xf32>
    tern.return %b, %r : tensor<16xf32>, tensor<16xf32>
  }
}
// AFTER
unchanged

// TEST: codes of two quantisers
builtin.module {
  tern.table "t" {rows = 3 : i64, cols = 16 : i64, format = "f32"}
  tern.weight "w1" {rows = 16 : i64, cols = 16 : i64, scale = 5.000000e-01 : f32, hash = "5341e6b2646979a70e57653007a1f310169421ec9bdd9f1a5648f75ade005af1"}
  tern.weight "w2" {rows = 16 : i64, cols = 16 : i64, scale = 5.000000e-01 : f32, hash = "5341e6b2646979a70e57653007a1f310169421ec9bdd9f1a5648f75ade005af1"}
  tern.model "m" token "ids" outputs ["y"] {
  ^bb0(%t: i64):
    %x = tern.embedding %t {table = @t} : tensor<16xf32>
    %c, %k = tern.quantize_absmax %x : tensor<16xf32> -> tensor<16xi8>
    %d, %j = tern.quantize_absmax %x : tensor<16xf32> -> tensor<16xi8>
    %a = tern.linear %c, %k {weight = @w1} : tensor<16xi8> -> tensor<16xf32>
    %b = tern.linear %d, %j {weight = @w2} : tensor<16xi8> -> tensor<16xf32>
    %y = tern.mul %a, %b : tensor<16xf32>, tensor<16xf32> -> tensor<16xf32>
    tern.return %y : tensor<16xf32>
  }
}
// AFTER
unchanged
