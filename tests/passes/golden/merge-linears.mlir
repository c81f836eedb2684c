// PASSES: merge-linears

// TEST: two products of the same codes
builtin.module {
  tern.table "t" {rows = 3 : i64, cols = 16 : i64, format = "f32"}
  tern.weight "w1" {rows = 16 : i64, cols = 16 : i64, scale = 0.5 : f32, hash = "5341e6b2646979a70e57653007a1f310169421ec9bdd9f1a5648f75ade005af1"}
  tern.weight "w2" {rows = 16 : i64, cols = 16 : i64, scale = 0.5 : f32, hash = "5341e6b2646979a70e57653007a1f310169421ec9bdd9f1a5648f75ade005af1"}
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
?

// TEST: a part that is no multiple of 16 comes last
builtin.module {
  tern.table "t" {rows = 3 : i64, cols = 16 : i64, format = "f32"}
  tern.weight "w1" {rows = 20 : i64, cols = 16 : i64, scale = 0.5 : f32, hash = "7b6436b0c98f62380866d9432c2af0ee08ce16a171bda6951aecd95ee1307d61"}
  tern.weight "w2" {rows = 16 : i64, cols = 16 : i64, scale = 0.5 : f32, hash = "5341e6b2646979a70e57653007a1f310169421ec9bdd9f1a5648f75ade005af1"}
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
?

// TEST: unequal scales
builtin.module {
  tern.table "t" {rows = 3 : i64, cols = 16 : i64, format = "f32"}
  tern.weight "w1" {rows = 16 : i64, cols = 16 : i64, scale = 0.5 : f32, hash = "5341e6b2646979a70e57653007a1f310169421ec9bdd9f1a5648f75ade005af1"}
  tern.weight "w2" {rows = 16 : i64, cols = 16 : i64, scale = 0.25 : f32, hash = "5341e6b2646979a70e57653007a1f310169421ec9bdd9f1a5648f75ade005af1"}
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
  tern.weight "w1" {rows = 20 : i64, cols = 16 : i64, scale = 0.5 : f32, hash = "7b6436b0c98f62380866d9432c2af0ee08ce16a171bda6951aecd95ee1307d61"}
  tern.weight "w2" {rows = 20 : i64, cols = 16 : i64, scale = 0.5 : f32, hash = "7b6436b0c98f62380866d9432c2af0ee08ce16a171bda6951aecd95ee1307d61"}
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
  tern.weight "w1" {rows = 16 : i64, cols = 16 : i64, scale = 0.5 : f32, hash = "5341e6b2646979a70e57653007a1f310169421ec9bdd9f1a5648f75ade005af1"}
  tern.weight "w2" {rows = 16 : i64, cols = 16 : i64, scale = 0.5 : f32, hash = "5341e6b2646979a70e57653007a1f310169421ec9bdd9f1a5648f75ade005af1"}
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
  tern.weight "w1" {rows = 16 : i64, cols = 16 : i64, scale = 0.5 : f32, hash = "5341e6b2646979a70e57653007a1f310169421ec9bdd9f1a5648f75ade005af1"}
  tern.weight "w2" {rows = 16 : i64, cols = 16 : i64, scale = 0.5 : f32, hash = "5341e6b2646979a70e57653007a1f310169421ec9bdd9f1a5648f75ade005af1"}
  tern.model "m" token "ids" outputs ["y"] {
  ^bb0(%t: i64):
    %x = tern.embedding %t {table = @t} : tensor<16xf32>
    %c, %k = tern.quantize_absmax %x : tensor<16xf32> -> tensor<16xi8>
    %a = tern.linear %c, %k {weight = @w1} : tensor<16xi8> -> tensor<16xf32>
    %b = tern.linear %c, %k {weight = @w2} : tensor<16xi8> -> tensor<16xf32>
    %r = tern.relu %a : tensor<16xf32> -> tensor<16xf32>
    %p = tern.max %r, %x : tensor<16xf32>, tensor<16xf32> -> tensor<16xf32>
    tern.return %b : tensor<16xf32>
  }
}
// AFTER
unchanged

// TEST: codes of two quantisers
builtin.module {
  tern.table "t" {rows = 3 : i64, cols = 16 : i64, format = "f32"}
  tern.weight "w1" {rows = 16 : i64, cols = 16 : i64, scale = 0.5 : f32, hash = "5341e6b2646979a70e57653007a1f310169421ec9bdd9f1a5648f75ade005af1"}
  tern.weight "w2" {rows = 16 : i64, cols = 16 : i64, scale = 0.5 : f32, hash = "5341e6b2646979a70e57653007a1f310169421ec9bdd9f1a5648f75ade005af1"}
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
