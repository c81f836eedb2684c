// PASSES: choose-mapping

// TEST: store, add and logits
builtin.module {
  tern.table "t" {rows = 3 : i64, cols = 16 : i64, format = "f32"}
  tern.weight "w" {rows = 16 : i64, cols = 16 : i64, scale = 5.000000e-01 : f32, hash = "5341e6b2646979a70e57653007a1f310169421ec9bdd9f1a5648f75ade005af1"}
  tern.weight "w1" {rows = 16 : i64, cols = 16 : i64, scale = 5.000000e-01 : f32, hash = "5341e6b2646979a70e57653007a1f310169421ec9bdd9f1a5648f75ade005af1"}
  tern.model "m" token "ids" outputs ["y"] {
  ^bb0(%t: i64):
    %x = tern.embedding %t {table = @t} : tensor<16xf32>
    %c, %k = tern.quantize_absmax %x : tensor<16xf32> -> tensor<16xi8>
    %a = tern.linear %c, %k {weight = @w1} : tensor<16xi8> -> tensor<16xf32>
    %r = tern.relu %a : tensor<16xf32> -> tensor<16xf32>
    %d, %j = tern.quantize_absmax %r : tensor<16xf32> -> tensor<16xi8>
    %b = tern.linear %d, %j {weight = @w1} : tensor<16xi8> -> tensor<16xf32>
    %z = tern.add %x, %b : tensor<16xf32>, tensor<16xf32> -> tensor<16xf32>
    %hc, %hk = tern.quantize_absmax %z : tensor<16xf32> -> tensor<16xi8>
    %logits = tern.linear %hc, %hk {weight = @w} : tensor<16xi8> -> tensor<16xf32>
    tern.return %logits : tensor<16xf32>
  }
}
// AFTER
builtin.module {
  tern.vector "splat.1.16" {length = 16 : i64, splat = 1.000000e+00 : f32}
  tern.table "t" {rows = 3 : i64, cols = 16 : i64, format = "f32"}
  tern.weight "w" {rows = 16 : i64, cols = 16 : i64, scale = 5.000000e-01 : f32, hash = "5341e6b2646979a70e57653007a1f310169421ec9bdd9f1a5648f75ade005af1"}
  tern.weight "w1" {rows = 16 : i64, cols = 16 : i64, scale = 5.000000e-01 : f32, hash = "5341e6b2646979a70e57653007a1f310169421ec9bdd9f1a5648f75ade005af1"}
  tern.model "m" token "ids" outputs ["y"] {
  ^bb0(%t: i64):
    %x = engine.embed %t {table = @t} : !engine.vector<16>
    %c, %0 = engine.quantize %x {gain = @splat.1.16} : !engine.vector<16> -> !engine.codes<16>, !engine.norm
    %a = engine.linear %c {weight = @w1, epilogue = #engine<epilogue store>} : !engine.codes<16> -> !engine.vector<16>
    %r = engine.vector %a {function = #engine<function relu>} : !engine.vector<16> -> !engine.vector<16>
    %d, %1 = engine.quantize %r {gain = @splat.1.16} : !engine.vector<16> -> !engine.codes<16>, !engine.norm
    %z = engine.linear %d src %x {weight = @w1, epilogue = #engine<epilogue add>} : !engine.codes<16> src !engine.vector<16> -> !engine.vector<16>
    %hc, %2 = engine.quantize %z {gain = @splat.1.16} : !engine.vector<16> -> !engine.codes<16>, !engine.norm
    %logits = engine.linear %hc {weight = @w, epilogue = #engine<epilogue logits>} : !engine.codes<16> -> !engine.logits<16>
    tern.return %logits : !engine.logits<16>
  }
}

// TEST: a vector is received first of all
builtin.module {
  tern.weight "w" {rows = 16 : i64, cols = 16 : i64, scale = 5.000000e-01 : f32, hash = "5341e6b2646979a70e57653007a1f310169421ec9bdd9f1a5648f75ade005af1"}
  tern.weight "w1" {rows = 16 : i64, cols = 16 : i64, scale = 5.000000e-01 : f32, hash = "5341e6b2646979a70e57653007a1f310169421ec9bdd9f1a5648f75ade005af1"}
  tern.model "m" vector "x" outputs ["y"] {
  ^bb0(%x: tensor<16xf32>):
    %c, %k = tern.quantize_absmax %x : tensor<16xf32> -> tensor<16xi8>
    %a = tern.linear %c, %k {weight = @w1} : tensor<16xi8> -> tensor<16xf32>
    %r = tern.relu %a : tensor<16xf32> -> tensor<16xf32>
    %d, %j = tern.quantize_absmax %r : tensor<16xf32> -> tensor<16xi8>
    %b = tern.linear %d, %j {weight = @w1} : tensor<16xi8> -> tensor<16xf32>
    %z = tern.add %x, %b : tensor<16xf32>, tensor<16xf32> -> tensor<16xf32>
    %hc, %hk = tern.quantize_absmax %z : tensor<16xf32> -> tensor<16xi8>
    %logits = tern.linear %hc, %hk {weight = @w} : tensor<16xi8> -> tensor<16xf32>
    tern.return %logits : tensor<16xf32>
  }
}
// AFTER
builtin.module {
  tern.vector "splat.1.16" {length = 16 : i64, splat = 1.000000e+00 : f32}
  tern.weight "w" {rows = 16 : i64, cols = 16 : i64, scale = 5.000000e-01 : f32, hash = "5341e6b2646979a70e57653007a1f310169421ec9bdd9f1a5648f75ade005af1"}
  tern.weight "w1" {rows = 16 : i64, cols = 16 : i64, scale = 5.000000e-01 : f32, hash = "5341e6b2646979a70e57653007a1f310169421ec9bdd9f1a5648f75ade005af1"}
  tern.model "m" vector "x" outputs ["y"] {
  ^bb0(%x: tensor<16xf32>):
    %x_1 = engine.receive %x {onnx = ["x"], rows = 2048 : i64} : tensor<16xf32> -> !engine.vector<16>
    %c, %0 = engine.quantize %x_1 {gain = @splat.1.16} : !engine.vector<16> -> !engine.codes<16>, !engine.norm
    %a = engine.linear %c {weight = @w1, epilogue = #engine<epilogue store>} : !engine.codes<16> -> !engine.vector<16>
    %r = engine.vector %a {function = #engine<function relu>} : !engine.vector<16> -> !engine.vector<16>
    %d, %1 = engine.quantize %r {gain = @splat.1.16} : !engine.vector<16> -> !engine.codes<16>, !engine.norm
    %z = engine.linear %d src %x_1 {weight = @w1, epilogue = #engine<epilogue add>} : !engine.codes<16> src !engine.vector<16> -> !engine.vector<16>
    %hc, %2 = engine.quantize %z {gain = @splat.1.16} : !engine.vector<16> -> !engine.codes<16>, !engine.norm
    %logits = engine.linear %hc {weight = @w, epilogue = #engine<epilogue logits>} : !engine.codes<16> -> !engine.logits<16>
    tern.return %logits : !engine.logits<16>
  }
}

// TEST: of two products that are added the later takes the addition
builtin.module {
  tern.table "t" {rows = 3 : i64, cols = 16 : i64, format = "f32"}
  tern.weight "w" {rows = 16 : i64, cols = 16 : i64, scale = 5.000000e-01 : f32, hash = "5341e6b2646979a70e57653007a1f310169421ec9bdd9f1a5648f75ade005af1"}
  tern.weight "w1" {rows = 16 : i64, cols = 16 : i64, scale = 5.000000e-01 : f32, hash = "5341e6b2646979a70e57653007a1f310169421ec9bdd9f1a5648f75ade005af1"}
  tern.model "m" token "ids" outputs ["y"] {
  ^bb0(%t: i64):
    %x = tern.embedding %t {table = @t} : tensor<16xf32>
    %c, %k = tern.quantize_absmax %x : tensor<16xf32> -> tensor<16xi8>
    %a = tern.linear %c, %k {weight = @w1} : tensor<16xi8> -> tensor<16xf32>
    %b = tern.linear %c, %k {weight = @w1} : tensor<16xi8> -> tensor<16xf32>
    %z = tern.add %b, %a : tensor<16xf32>, tensor<16xf32> -> tensor<16xf32>
    %hc, %hk = tern.quantize_absmax %z : tensor<16xf32> -> tensor<16xi8>
    %logits = tern.linear %hc, %hk {weight = @w} : tensor<16xi8> -> tensor<16xf32>
    tern.return %logits : tensor<16xf32>
  }
}
// AFTER
builtin.module {
  tern.vector "splat.1.16" {length = 16 : i64, splat = 1.000000e+00 : f32}
  tern.table "t" {rows = 3 : i64, cols = 16 : i64, format = "f32"}
  tern.weight "w" {rows = 16 : i64, cols = 16 : i64, scale = 5.000000e-01 : f32, hash = "5341e6b2646979a70e57653007a1f310169421ec9bdd9f1a5648f75ade005af1"}
  tern.weight "w1" {rows = 16 : i64, cols = 16 : i64, scale = 5.000000e-01 : f32, hash = "5341e6b2646979a70e57653007a1f310169421ec9bdd9f1a5648f75ade005af1"}
  tern.model "m" token "ids" outputs ["y"] {
  ^bb0(%t: i64):
    %x = engine.embed %t {table = @t} : !engine.vector<16>
    %c, %0 = engine.quantize %x {gain = @splat.1.16} : !engine.vector<16> -> !engine.codes<16>, !engine.norm
    %a = engine.linear %c {weight = @w1, epilogue = #engine<epilogue store>} : !engine.codes<16> -> !engine.vector<16>
    %z = engine.linear %c src %a {weight = @w1, epilogue = #engine<epilogue add>} : !engine.codes<16> src !engine.vector<16> -> !engine.vector<16>
    %hc, %1 = engine.quantize %z {gain = @splat.1.16} : !engine.vector<16> -> !engine.codes<16>, !engine.norm
    %logits = engine.linear %hc {weight = @w, epilogue = #engine<epilogue logits>} : !engine.codes<16> -> !engine.logits<16>
    tern.return %logits : !engine.logits<16>
  }
}

// TEST: an addition of a constant is no epilogue
builtin.module {
  tern.table "t" {rows = 3 : i64, cols = 16 : i64, format = "f32"}
  tern.weight "w" {rows = 16 : i64, cols = 16 : i64, scale = 5.000000e-01 : f32, hash = "5341e6b2646979a70e57653007a1f310169421ec9bdd9f1a5648f75ade005af1"}
  tern.weight "w1" {rows = 16 : i64, cols = 16 : i64, scale = 5.000000e-01 : f32, hash = "5341e6b2646979a70e57653007a1f310169421ec9bdd9f1a5648f75ade005af1"}
  tern.model "m" token "ids" outputs ["y"] {
  ^bb0(%t: i64):
    %x = tern.embedding %t {table = @t} : tensor<16xf32>
    %c, %k = tern.quantize_absmax %x : tensor<16xf32> -> tensor<16xi8>
    %a = tern.linear %c, %k {weight = @w1} : tensor<16xi8> -> tensor<16xf32>
    %f = tern.fill 2.000000e+00 : f32 : tensor<16xf32>
    %z = tern.add %a, %f : tensor<16xf32>, tensor<16xf32> -> tensor<16xf32>
    %hc, %hk = tern.quantize_absmax %z : tensor<16xf32> -> tensor<16xi8>
    %logits = tern.linear %hc, %hk {weight = @w} : tensor<16xi8> -> tensor<16xf32>
    tern.return %logits : tensor<16xf32>
  }
}
// AFTER
builtin.module {
  tern.vector "splat.1.16" {length = 16 : i64, splat = 1.000000e+00 : f32}
  tern.table "t" {rows = 3 : i64, cols = 16 : i64, format = "f32"}
  tern.weight "w" {rows = 16 : i64, cols = 16 : i64, scale = 5.000000e-01 : f32, hash = "5341e6b2646979a70e57653007a1f310169421ec9bdd9f1a5648f75ade005af1"}
  tern.weight "w1" {rows = 16 : i64, cols = 16 : i64, scale = 5.000000e-01 : f32, hash = "5341e6b2646979a70e57653007a1f310169421ec9bdd9f1a5648f75ade005af1"}
  tern.model "m" token "ids" outputs ["y"] {
  ^bb0(%t: i64):
    %x = engine.embed %t {table = @t} : !engine.vector<16>
    %c, %0 = engine.quantize %x {gain = @splat.1.16} : !engine.vector<16> -> !engine.codes<16>, !engine.norm
    %a = engine.linear %c {weight = @w1, epilogue = #engine<epilogue store>} : !engine.codes<16> -> !engine.vector<16>
    %z = engine.vector %a {function = #engine<function add>, imm = 2.000000e+00 : f32} : !engine.vector<16> -> !engine.vector<16>
    %hc, %1 = engine.quantize %z {gain = @splat.1.16} : !engine.vector<16> -> !engine.codes<16>, !engine.norm
    %logits = engine.linear %hc {weight = @w, epilogue = #engine<epilogue logits>} : !engine.codes<16> -> !engine.logits<16>
    tern.return %logits : !engine.logits<16>
  }
}

// TEST: a product with two users is stored
builtin.module {
  tern.table "t" {rows = 3 : i64, cols = 16 : i64, format = "f32"}
  tern.weight "w" {rows = 16 : i64, cols = 16 : i64, scale = 5.000000e-01 : f32, hash = "5341e6b2646979a70e57653007a1f310169421ec9bdd9f1a5648f75ade005af1"}
  tern.weight "w1" {rows = 16 : i64, cols = 16 : i64, scale = 5.000000e-01 : f32, hash = "5341e6b2646979a70e57653007a1f310169421ec9bdd9f1a5648f75ade005af1"}
  tern.model "m" token "ids" outputs ["y"] {
  ^bb0(%t: i64):
    %x = tern.embedding %t {table = @t} : tensor<16xf32>
    %c, %k = tern.quantize_absmax %x : tensor<16xf32> -> tensor<16xi8>
    %a = tern.linear %c, %k {weight = @w1} : tensor<16xi8> -> tensor<16xf32>
    %p = tern.add %x, %a : tensor<16xf32>, tensor<16xf32> -> tensor<16xf32>
    %z = tern.mul %p, %a : tensor<16xf32>, tensor<16xf32> -> tensor<16xf32>
    %hc, %hk = tern.quantize_absmax %z : tensor<16xf32> -> tensor<16xi8>
    %logits = tern.linear %hc, %hk {weight = @w} : tensor<16xi8> -> tensor<16xf32>
    tern.return %logits : tensor<16xf32>
  }
}
// AFTER
builtin.module {
  tern.vector "splat.1.16" {length = 16 : i64, splat = 1.000000e+00 : f32}
  tern.table "t" {rows = 3 : i64, cols = 16 : i64, format = "f32"}
  tern.weight "w" {rows = 16 : i64, cols = 16 : i64, scale = 5.000000e-01 : f32, hash = "5341e6b2646979a70e57653007a1f310169421ec9bdd9f1a5648f75ade005af1"}
  tern.weight "w1" {rows = 16 : i64, cols = 16 : i64, scale = 5.000000e-01 : f32, hash = "5341e6b2646979a70e57653007a1f310169421ec9bdd9f1a5648f75ade005af1"}
  tern.model "m" token "ids" outputs ["y"] {
  ^bb0(%t: i64):
    %x = engine.embed %t {table = @t} : !engine.vector<16>
    %c, %0 = engine.quantize %x {gain = @splat.1.16} : !engine.vector<16> -> !engine.codes<16>, !engine.norm
    %a = engine.linear %c {weight = @w1, epilogue = #engine<epilogue store>} : !engine.codes<16> -> !engine.vector<16>
    %p = engine.vector %x, %a {function = #engine<function add>} : !engine.vector<16>, !engine.vector<16> -> !engine.vector<16>
    %z = engine.vector %p, %a {function = #engine<function mul>} : !engine.vector<16>, !engine.vector<16> -> !engine.vector<16>
    %hc, %1 = engine.quantize %z {gain = @splat.1.16} : !engine.vector<16> -> !engine.codes<16>, !engine.norm
    %logits = engine.linear %hc {weight = @w, epilogue = #engine<epilogue logits>} : !engine.codes<16> -> !engine.logits<16>
    tern.return %logits : !engine.logits<16>
  }
}

// TEST: elementwise with constants on either side
builtin.module {
  tern.table "t" {rows = 3 : i64, cols = 16 : i64, format = "f32"}
  tern.weight "w" {rows = 16 : i64, cols = 16 : i64, scale = 5.000000e-01 : f32, hash = "5341e6b2646979a70e57653007a1f310169421ec9bdd9f1a5648f75ade005af1"}
  tern.weight "w1" {rows = 16 : i64, cols = 16 : i64, scale = 5.000000e-01 : f32, hash = "5341e6b2646979a70e57653007a1f310169421ec9bdd9f1a5648f75ade005af1"}
  tern.vector "g" {length = 16 : i64}
  tern.model "m" token "ids" outputs ["y"] {
  ^bb0(%t: i64):
    %x = tern.embedding %t {table = @t} : tensor<16xf32>
    %f = tern.load @g : tensor<16xf32>
    %p = tern.mul %f, %x : tensor<16xf32>, tensor<16xf32> -> tensor<16xf32>
    %o = tern.fill 1.000000e+00 : f32 : tensor<16xf32>
    %z = tern.sub %o, %p : tensor<16xf32>, tensor<16xf32> -> tensor<16xf32>
    %hc, %hk = tern.quantize_absmax %z : tensor<16xf32> -> tensor<16xi8>
    %logits = tern.linear %hc, %hk {weight = @w} : tensor<16xi8> -> tensor<16xf32>
    tern.return %logits : tensor<16xf32>
  }
}
// AFTER
builtin.module {
  tern.vector "splat.1.16" {length = 16 : i64, splat = 1.000000e+00 : f32}
  tern.table "t" {rows = 3 : i64, cols = 16 : i64, format = "f32"}
  tern.weight "w" {rows = 16 : i64, cols = 16 : i64, scale = 5.000000e-01 : f32, hash = "5341e6b2646979a70e57653007a1f310169421ec9bdd9f1a5648f75ade005af1"}
  tern.weight "w1" {rows = 16 : i64, cols = 16 : i64, scale = 5.000000e-01 : f32, hash = "5341e6b2646979a70e57653007a1f310169421ec9bdd9f1a5648f75ade005af1"}
  tern.vector "g" {length = 16 : i64}
  tern.model "m" token "ids" outputs ["y"] {
  ^bb0(%t: i64):
    %x = engine.embed %t {table = @t} : !engine.vector<16>
    %p = engine.vector %x {function = #engine<function mul>, stream = @g} : !engine.vector<16> -> !engine.vector<16>
    %0 = engine.vector %p {function = #engine<function mul>, imm = 0.000000e+00 : f32} : !engine.vector<16> -> !engine.vector<16>
    %1 = engine.vector %0 {function = #engine<function add>, imm = 1.000000e+00 : f32} : !engine.vector<16> -> !engine.vector<16>
    %z = engine.vector %1, %p {function = #engine<function sub>} : !engine.vector<16>, !engine.vector<16> -> !engine.vector<16>
    %hc, %2 = engine.quantize %z {gain = @splat.1.16} : !engine.vector<16> -> !engine.codes<16>, !engine.norm
    %logits = engine.linear %hc {weight = @w, epilogue = #engine<epilogue logits>} : !engine.codes<16> -> !engine.logits<16>
    tern.return %logits : !engine.logits<16>
  }
}

// TEST: a recurrence that is not fused, its forget gate a constant
builtin.module {
  tern.table "t" {rows = 3 : i64, cols = 16 : i64, format = "f32"}
  tern.weight "w" {rows = 16 : i64, cols = 16 : i64, scale = 5.000000e-01 : f32, hash = "5341e6b2646979a70e57653007a1f310169421ec9bdd9f1a5648f75ade005af1"}
  tern.weight "w1" {rows = 16 : i64, cols = 16 : i64, scale = 5.000000e-01 : f32, hash = "5341e6b2646979a70e57653007a1f310169421ec9bdd9f1a5648f75ade005af1"}
  tern.vector "g" {length = 16 : i64}
  tern.model "m" token "ids" outputs ["y"] {
  ^bb0(%t: i64, %s: !tern.state<16, "h" -> "h.out">):
    %x = tern.embedding %t {table = @t} : tensor<16xf32>
    %f = tern.load @g : tensor<16xf32>
    %n, %z = tern.recurrence %f, %x, %s : tensor<16xf32>, tensor<16xf32>, !tern.state<16, "h" -> "h.out"> -> !tern.state<16, "h" -> "h.out">, tensor<16xf32>
    %hc, %hk = tern.quantize_absmax %z : tensor<16xf32> -> tensor<16xi8>
    %logits = tern.linear %hc, %hk {weight = @w} : tensor<16xi8> -> tensor<16xf32>
    tern.return %logits, %n : tensor<16xf32>, !tern.state<16, "h" -> "h.out">
  }
}
// AFTER
builtin.module {
  tern.vector "splat.1.16" {length = 16 : i64, splat = 1.000000e+00 : f32}
  tern.table "t" {rows = 3 : i64, cols = 16 : i64, format = "f32"}
  tern.weight "w" {rows = 16 : i64, cols = 16 : i64, scale = 5.000000e-01 : f32, hash = "5341e6b2646979a70e57653007a1f310169421ec9bdd9f1a5648f75ade005af1"}
  tern.weight "w1" {rows = 16 : i64, cols = 16 : i64, scale = 5.000000e-01 : f32, hash = "5341e6b2646979a70e57653007a1f310169421ec9bdd9f1a5648f75ade005af1"}
  tern.vector "g" {length = 16 : i64}
  tern.model "m" token "ids" outputs ["y"] {
  ^bb0(%t: i64, %s: !tern.state<16, "h" -> "h.out">):
    %x = engine.embed %t {table = @t} : !engine.vector<16>
    %0 = engine.load_state %s : !tern.state<16, "h" -> "h.out"> -> !engine.vector<16>
    %1 = engine.vector %0 {function = #engine<function mul>, stream = @g} : !engine.vector<16> -> !engine.vector<16>
    %2 = engine.vector %1, %x {function = #engine<function add>} : !engine.vector<16>, !engine.vector<16> -> !engine.vector<16>
    %n = engine.store_state %2, %s : !engine.vector<16>, !tern.state<16, "h" -> "h.out"> -> !tern.state<16, "h" -> "h.out">
    %z = engine.load_state %n : !tern.state<16, "h" -> "h.out"> -> !engine.vector<16>
    %hc, %3 = engine.quantize %z {gain = @splat.1.16} : !engine.vector<16> -> !engine.codes<16>, !engine.norm
    %logits = engine.linear %hc {weight = @w, epilogue = #engine<epilogue logits>} : !engine.codes<16> -> !engine.logits<16>
    tern.return %logits, %n : !engine.logits<16>, !tern.state<16, "h" -> "h.out">
  }
}

// TEST: hgrn with an epilogue
builtin.module {
  tern.table "t" {rows = 3 : i64, cols = 16 : i64, format = "f32"}
  tern.weight "w" {rows = 16 : i64, cols = 16 : i64, scale = 5.000000e-01 : f32, hash = "5341e6b2646979a70e57653007a1f310169421ec9bdd9f1a5648f75ade005af1"}
  tern.weight "w1" {rows = 16 : i64, cols = 16 : i64, scale = 5.000000e-01 : f32, hash = "5341e6b2646979a70e57653007a1f310169421ec9bdd9f1a5648f75ade005af1"}
  tern.vector "g" {length = 16 : i64}
  tern.model "m" token "ids" outputs ["y"] {
  ^bb0(%t: i64, %s: !tern.state<16, "h" -> "h.out">):
    %x = tern.embedding %t {table = @t} : tensor<16xf32>
    %c, %k = tern.quantize_absmax %x : tensor<16xf32> -> tensor<16xi8>
    %a = tern.linear %c, %k {weight = @w1} : tensor<16xi8> -> tensor<16xf32>
    %n, %z = tern.hgrn %a, %x, %s {lower = @g} : tensor<16xf32>, tensor<16xf32>, !tern.state<16, "h" -> "h.out"> -> !tern.state<16, "h" -> "h.out">, tensor<16xf32>
    %hc, %hk = tern.quantize_absmax %z : tensor<16xf32> -> tensor<16xi8>
    %logits = tern.linear %hc, %hk {weight = @w} : tensor<16xi8> -> tensor<16xf32>
    tern.return %logits, %n : tensor<16xf32>, !tern.state<16, "h" -> "h.out">
  }
}
// AFTER
builtin.module {
  tern.vector "splat.1.16" {length = 16 : i64, splat = 1.000000e+00 : f32}
  tern.table "t" {rows = 3 : i64, cols = 16 : i64, format = "f32"}
  tern.weight "w" {rows = 16 : i64, cols = 16 : i64, scale = 5.000000e-01 : f32, hash = "5341e6b2646979a70e57653007a1f310169421ec9bdd9f1a5648f75ade005af1"}
  tern.weight "w1" {rows = 16 : i64, cols = 16 : i64, scale = 5.000000e-01 : f32, hash = "5341e6b2646979a70e57653007a1f310169421ec9bdd9f1a5648f75ade005af1"}
  tern.vector "g" {length = 16 : i64}
  tern.model "m" token "ids" outputs ["y"] {
  ^bb0(%t: i64, %s: !tern.state<16, "h" -> "h.out">):
    %x = engine.embed %t {table = @t} : !engine.vector<16>
    %c, %0 = engine.quantize %x {gain = @splat.1.16} : !engine.vector<16> -> !engine.codes<16>, !engine.norm
    %z, %n = engine.linear %c src %x state %s {weight = @w1, epilogue = #engine<epilogue hgrn>, lower = @g} : !engine.codes<16> src !engine.vector<16> state !tern.state<16, "h" -> "h.out"> -> !engine.vector<16>, !tern.state<16, "h" -> "h.out">
    %hc, %1 = engine.quantize %z {gain = @splat.1.16} : !engine.vector<16> -> !engine.codes<16>, !engine.norm
    %logits = engine.linear %hc {weight = @w, epilogue = #engine<epilogue logits>} : !engine.codes<16> -> !engine.logits<16>
    tern.return %logits, %n : !engine.logits<16>, !tern.state<16, "h" -> "h.out">
  }
}

// TEST: hgrn whose forget gate is no product
builtin.module {
  tern.table "t" {rows = 3 : i64, cols = 16 : i64, format = "f32"}
  tern.weight "w" {rows = 16 : i64, cols = 16 : i64, scale = 5.000000e-01 : f32, hash = "5341e6b2646979a70e57653007a1f310169421ec9bdd9f1a5648f75ade005af1"}
  tern.weight "w1" {rows = 16 : i64, cols = 16 : i64, scale = 5.000000e-01 : f32, hash = "5341e6b2646979a70e57653007a1f310169421ec9bdd9f1a5648f75ade005af1"}
  tern.vector "g" {length = 16 : i64}
  tern.model "m" token "ids" outputs ["y"] {
  ^bb0(%t: i64, %s: !tern.state<16, "h" -> "h.out">):
    %x = tern.embedding %t {table = @t} : tensor<16xf32>
    %i = tern.relu %x : tensor<16xf32> -> tensor<16xf32>
    %n, %z = tern.hgrn %x, %i, %s {lower = @g} : tensor<16xf32>, tensor<16xf32>, !tern.state<16, "h" -> "h.out"> -> !tern.state<16, "h" -> "h.out">, tensor<16xf32>
    %hc, %hk = tern.quantize_absmax %z : tensor<16xf32> -> tensor<16xi8>
    %logits = tern.linear %hc, %hk {weight = @w} : tensor<16xi8> -> tensor<16xf32>
    tern.return %logits, %n : tensor<16xf32>, !tern.state<16, "h" -> "h.out">
  }
}
// AFTER
builtin.module {
  tern.vector "splat.1.16" {length = 16 : i64, splat = 1.000000e+00 : f32}
  tern.table "t" {rows = 3 : i64, cols = 16 : i64, format = "f32"}
  tern.weight "w" {rows = 16 : i64, cols = 16 : i64, scale = 5.000000e-01 : f32, hash = "5341e6b2646979a70e57653007a1f310169421ec9bdd9f1a5648f75ade005af1"}
  tern.weight "w1" {rows = 16 : i64, cols = 16 : i64, scale = 5.000000e-01 : f32, hash = "5341e6b2646979a70e57653007a1f310169421ec9bdd9f1a5648f75ade005af1"}
  tern.vector "g" {length = 16 : i64}
  tern.model "m" token "ids" outputs ["y"] {
  ^bb0(%t: i64, %s: !tern.state<16, "h" -> "h.out">):
    %x = engine.embed %t {table = @t} : !engine.vector<16>
    %i = engine.vector %x {function = #engine<function relu>} : !engine.vector<16> -> !engine.vector<16>
    %0 = engine.vector %x {function = #engine<function sigmoid>} : !engine.vector<16> -> !engine.vector<16>
    %1 = engine.vector %0 {function = #engine<function mul>, imm = 0.000000e+00 : f32} : !engine.vector<16> -> !engine.vector<16>
    %2 = engine.vector %1 {function = #engine<function add>, imm = 1.000000e+00 : f32} : !engine.vector<16> -> !engine.vector<16>
    %3 = engine.vector %2 {function = #engine<function sub>, stream = @g} : !engine.vector<16> -> !engine.vector<16>
    %4 = engine.vector %3, %0 {function = #engine<function mul>} : !engine.vector<16>, !engine.vector<16> -> !engine.vector<16>
    %5 = engine.vector %4 {function = #engine<function add>, stream = @g} : !engine.vector<16> -> !engine.vector<16>
    %6 = engine.vector %2, %5 {function = #engine<function sub>} : !engine.vector<16>, !engine.vector<16> -> !engine.vector<16>
    %7 = engine.vector %i {function = #engine<function silu>} : !engine.vector<16> -> !engine.vector<16>
    %8 = engine.vector %7, %6 {function = #engine<function mul>} : !engine.vector<16>, !engine.vector<16> -> !engine.vector<16>
    %9 = engine.load_state %s : !tern.state<16, "h" -> "h.out"> -> !engine.vector<16>
    %10 = engine.vector %9, %5 {function = #engine<function mul>} : !engine.vector<16>, !engine.vector<16> -> !engine.vector<16>
    %11 = engine.vector %10, %8 {function = #engine<function add>} : !engine.vector<16>, !engine.vector<16> -> !engine.vector<16>
    %n = engine.store_state %11, %s : !engine.vector<16>, !tern.state<16, "h" -> "h.out"> -> !tern.state<16, "h" -> "h.out">
    %12 = engine.load_state %n : !tern.state<16, "h" -> "h.out"> -> !engine.vector<16>
    %z = engine.vector %12 {function = #engine<function silu>} : !engine.vector<16> -> !engine.vector<16>
    %hc, %13 = engine.quantize %z {gain = @splat.1.16} : !engine.vector<16> -> !engine.codes<16>, !engine.norm
    %logits = engine.linear %hc {weight = @w, epilogue = #engine<epilogue logits>} : !engine.codes<16> -> !engine.logits<16>
    tern.return %logits, %n : !engine.logits<16>, !tern.state<16, "h" -> "h.out">
  }
}

// TEST: swiglu whose operand has another user
builtin.module {
  tern.table "t" {rows = 3 : i64, cols = 16 : i64, format = "f32"}
  tern.weight "w" {rows = 16 : i64, cols = 16 : i64, scale = 5.000000e-01 : f32, hash = "5341e6b2646979a70e57653007a1f310169421ec9bdd9f1a5648f75ade005af1"}
  tern.weight "w2" {rows = 32 : i64, cols = 16 : i64, scale = 5.000000e-01 : f32, hash = "076a27c79e5ace2a3d47f9dd2e83e4ff6ea8872b3c2218f66c92b89b55f36560"}
  tern.model "m" token "ids" outputs ["y"] {
  ^bb0(%t: i64):
    %x = tern.embedding %t {table = @t} : tensor<16xf32>
    %c, %k = tern.quantize_absmax %x : tensor<16xf32> -> tensor<16xi8>
    %a = tern.linear %c, %k {weight = @w2} : tensor<16xi8> -> tensor<32xf32>
    %g = tern.swiglu %a : tensor<32xf32> -> tensor<16xf32>
    %p = tern.slice %a {offset = 16 : i64} : tensor<32xf32> -> tensor<16xf32>
    %z = tern.mul %g, %p : tensor<16xf32>, tensor<16xf32> -> tensor<16xf32>
    %hc, %hk = tern.quantize_absmax %z : tensor<16xf32> -> tensor<16xi8>
    %logits = tern.linear %hc, %hk {weight = @w} : tensor<16xi8> -> tensor<16xf32>
    tern.return %logits : tensor<16xf32>
  }
}
// AFTER
builtin.module {
  tern.vector "splat.1.16" {length = 16 : i64, splat = 1.000000e+00 : f32}
  tern.table "t" {rows = 3 : i64, cols = 16 : i64, format = "f32"}
  tern.weight "w" {rows = 16 : i64, cols = 16 : i64, scale = 5.000000e-01 : f32, hash = "5341e6b2646979a70e57653007a1f310169421ec9bdd9f1a5648f75ade005af1"}
  tern.weight "w2" {rows = 32 : i64, cols = 16 : i64, scale = 5.000000e-01 : f32, hash = "076a27c79e5ace2a3d47f9dd2e83e4ff6ea8872b3c2218f66c92b89b55f36560"}
  tern.model "m" token "ids" outputs ["y"] {
  ^bb0(%t: i64):
    %x = engine.embed %t {table = @t} : !engine.vector<16>
    %c, %0 = engine.quantize %x {gain = @splat.1.16} : !engine.vector<16> -> !engine.codes<16>, !engine.norm
    %a = engine.linear %c {weight = @w2, epilogue = #engine<epilogue store>} : !engine.codes<16> -> !engine.vector<32>
    %1 = engine.view %a {offset = 0 : i64} : !engine.vector<32> -> !engine.vector<16>
    %2 = engine.view %a {offset = 16 : i64} : !engine.vector<32> -> !engine.vector<16>
    %3 = engine.vector %1 {function = #engine<function silu>} : !engine.vector<16> -> !engine.vector<16>
    %g = engine.vector %3, %2 {function = #engine<function mul>} : !engine.vector<16>, !engine.vector<16> -> !engine.vector<16>
    %p = engine.view %a {offset = 16 : i64} : !engine.vector<32> -> !engine.vector<16>
    %z = engine.vector %g, %p {function = #engine<function mul>} : !engine.vector<16>, !engine.vector<16> -> !engine.vector<16>
    %hc, %4 = engine.quantize %z {gain = @splat.1.16} : !engine.vector<16> -> !engine.codes<16>, !engine.norm
    %logits = engine.linear %hc {weight = @w, epilogue = #engine<epilogue logits>} : !engine.codes<16> -> !engine.logits<16>
    tern.return %logits : !engine.logits<16>
  }
}

// TEST: an output that is no product
builtin.module {
  tern.table "t" {rows = 3 : i64, cols = 16 : i64, format = "f32"}
  tern.model "m" token "ids" outputs ["y"] {
  ^bb0(%t: i64):
    %x = tern.embedding %t {table = @t} : tensor<16xf32>
    tern.return %x : tensor<16xf32>
  }
}
// AFTER
refused: the engine mapping cannot take:
  tern.return (no ONNX node): the engine gives one output, the rows of a last ternary product (the logits)

// TEST: two outputs
builtin.module {
  tern.table "t" {rows = 3 : i64, cols = 16 : i64, format = "f32"}
  tern.weight "w" {rows = 16 : i64, cols = 16 : i64, scale = 5.000000e-01 : f32, hash = "5341e6b2646979a70e57653007a1f310169421ec9bdd9f1a5648f75ade005af1"}
  tern.model "m" token "ids" outputs ["y", "z"] {
  ^bb0(%t: i64):
    %x = tern.embedding %t {table = @t} : tensor<16xf32>
    %hc, %hk = tern.quantize_absmax %x : tensor<16xf32> -> tensor<16xi8>
    %logits = tern.linear %hc, %hk {weight = @w} : tensor<16xi8> -> tensor<16xf32>
    tern.return %logits, %x : tensor<16xf32>, tensor<16xf32>
  }
}
// AFTER
refused: the engine mapping cannot take:
  tern.return (no ONNX node): the engine gives one output, the rows of a last ternary product (the logits)

// TEST: a product that was not fused
builtin.module {
  tern.table "t" {rows = 3 : i64, cols = 16 : i64, format = "f32"}
  tern.weight "w" {rows = 16 : i64, cols = 16 : i64, scale = 5.000000e-01 : f32, hash = "5341e6b2646979a70e57653007a1f310169421ec9bdd9f1a5648f75ade005af1"}
  tern.weight "w1" {rows = 16 : i64, cols = 16 : i64, scale = 5.000000e-01 : f32, hash = "5341e6b2646979a70e57653007a1f310169421ec9bdd9f1a5648f75ade005af1"}
  tern.vector "g" {length = 16 : i64}
  tern.model "m" token "ids" outputs ["y"] {
  ^bb0(%t: i64):
    %x = tern.embedding %t {table = @t} : tensor<16xf32>
    %m = tern.rms_norm %x {gain = @g, eps = 1.000000e-06 : f32} : tensor<16xf32> -> tensor<16xf32>
    %c, %k = tern.quantize_absmax %x : tensor<16xf32> -> tensor<16xi8>
    %a = tern.dot %c {weight = @w} : tensor<16xi8> -> tensor<16xi32>
    %b = tern.dequantize %a, %k {weight_scale = 5.000000e-01 : f32} : tensor<16xi32> -> tensor<16xf32>
    %z = tern.add %m, %b : tensor<16xf32>, tensor<16xf32> -> tensor<16xf32>
    %hc, %hk = tern.quantize_absmax %z : tensor<16xf32> -> tensor<16xi8>
    %logits = tern.linear %hc, %hk {weight = @w} : tensor<16xi8> -> tensor<16xf32>
    tern.return %logits : tensor<16xf32>
  }
}
// AFTER
refused: the engine mapping cannot take:
  tern.dot (no ONNX node): the engine has no instruction for it

// TEST: a slice off the grid of 16
builtin.module {
  tern.table "t" {rows = 3 : i64, cols = 32 : i64, format = "f32"}
  tern.weight "w" {rows = 16 : i64, cols = 16 : i64, scale = 5.000000e-01 : f32, hash = "5341e6b2646979a70e57653007a1f310169421ec9bdd9f1a5648f75ade005af1"}
  tern.model "m" token "ids" outputs ["y"] {
  ^bb0(%t: i64):
    %x = tern.embedding %t {table = @t} : tensor<32xf32>
    %z = tern.slice %x {offset = 8 : i64} : tensor<32xf32> -> tensor<16xf32>
    %hc, %hk = tern.quantize_absmax %z : tensor<16xf32> -> tensor<16xi8>
    %logits = tern.linear %hc, %hk {weight = @w} : tensor<16xi8> -> tensor<16xf32>
    tern.return %logits : tensor<16xf32>
  }
}
// AFTER
refused: the engine mapping cannot take:
  tern.slice (no ONNX node): offset 8 is not a multiple of 16

// TEST: the old state read after it was written
builtin.module {
  tern.table "t" {rows = 3 : i64, cols = 16 : i64, format = "f32"}
  tern.weight "w" {rows = 16 : i64, cols = 16 : i64, scale = 5.000000e-01 : f32, hash = "5341e6b2646979a70e57653007a1f310169421ec9bdd9f1a5648f75ade005af1"}
  tern.weight "w1" {rows = 16 : i64, cols = 16 : i64, scale = 5.000000e-01 : f32, hash = "5341e6b2646979a70e57653007a1f310169421ec9bdd9f1a5648f75ade005af1"}
  tern.model "m" token "ids" outputs ["y"] {
  ^bb0(%t: i64, %s: !tern.state<16, "h" -> "h.out">):
    %x = tern.embedding %t {table = @t} : tensor<16xf32>
    %n = tern.write_state %x, %s : tensor<16xf32>, !tern.state<16, "h" -> "h.out"> -> !tern.state<16, "h" -> "h.out">
    %z = tern.read_state %s : !tern.state<16, "h" -> "h.out"> -> tensor<16xf32>
    %hc, %hk = tern.quantize_absmax %z : tensor<16xf32> -> tensor<16xi8>
    %logits = tern.linear %hc, %hk {weight = @w} : tensor<16xi8> -> tensor<16xf32>
    tern.return %logits, %n : tensor<16xf32>, !tern.state<16, "h" -> "h.out">
  }
}
// AFTER
refused: the engine mapping cannot take:
  tern.read_state (no ONNX node): it reads or writes state 'h' again after its new value is there

// TEST: two embedding tables
builtin.module {
  tern.table "t" {rows = 3 : i64, cols = 16 : i64, format = "f32"}
  tern.weight "w" {rows = 16 : i64, cols = 16 : i64, scale = 5.000000e-01 : f32, hash = "5341e6b2646979a70e57653007a1f310169421ec9bdd9f1a5648f75ade005af1"}
  tern.weight "w1" {rows = 16 : i64, cols = 16 : i64, scale = 5.000000e-01 : f32, hash = "5341e6b2646979a70e57653007a1f310169421ec9bdd9f1a5648f75ade005af1"}
  tern.table "t2" {rows = 3 : i64, cols = 16 : i64, format = "f32"}
  tern.model "m" token "ids" outputs ["y"] {
  ^bb0(%t: i64):
    %x = tern.embedding %t {table = @t} : tensor<16xf32>
    %e = tern.embedding %t {table = @t2} : tensor<16xf32>
    %z = tern.add %x, %e : tensor<16xf32>, tensor<16xf32> -> tensor<16xf32>
    %hc, %hk = tern.quantize_absmax %z : tensor<16xf32> -> tensor<16xi8>
    %logits = tern.linear %hc, %hk {weight = @w} : tensor<16xi8> -> tensor<16xf32>
    tern.return %logits : tensor<16xf32>
  }
}
// AFTER
refused: the engine mapping cannot take:
  tern.embedding (no ONNX node): the engine reads one embedding table

// TEST: constants that were not folded
builtin.module {
  tern.table "t" {rows = 3 : i64, cols = 16 : i64, format = "f32"}
  tern.weight "w" {rows = 16 : i64, cols = 16 : i64, scale = 5.000000e-01 : f32, hash = "5341e6b2646979a70e57653007a1f310169421ec9bdd9f1a5648f75ade005af1"}
  tern.weight "w1" {rows = 16 : i64, cols = 16 : i64, scale = 5.000000e-01 : f32, hash = "5341e6b2646979a70e57653007a1f310169421ec9bdd9f1a5648f75ade005af1"}
  tern.model "m" token "ids" outputs ["y"] {
  ^bb0(%t: i64):
    %x = tern.embedding %t {table = @t} : tensor<16xf32>
    %f = tern.fill 2.000000e+00 : f32 : tensor<16xf32>
    %p = tern.silu %f : tensor<16xf32> -> tensor<16xf32>
    %u = tern.add %f, %f : tensor<16xf32>, tensor<16xf32> -> tensor<16xf32>
    %z = tern.mul %p, %x : tensor<16xf32>, tensor<16xf32> -> tensor<16xf32>
    %hc, %hk = tern.quantize_absmax %z : tensor<16xf32> -> tensor<16xi8>
    %logits = tern.linear %hc, %hk {weight = @w} : tensor<16xi8> -> tensor<16xf32>
    tern.return %logits : tensor<16xf32>
  }
}
// AFTER
refused: the engine mapping cannot take:
  tern.silu (no ONNX node): an operand is a constant: fold it in the model
  tern.add (no ONNX node): both operands are constants: fold them in the model

// TEST: a norm and a mean that no quantiser takes in
builtin.module {
  tern.table "t" {rows = 3 : i64, cols = 16 : i64, format = "f32"}
  tern.weight "w" {rows = 16 : i64, cols = 16 : i64, scale = 5.000000e-01 : f32, hash = "5341e6b2646979a70e57653007a1f310169421ec9bdd9f1a5648f75ade005af1"}
  tern.vector "g" {length = 16 : i64}
  tern.vector "b" {length = 16 : i64}
  tern.model "m" token "ids" outputs ["y"] {
  ^bb0(%t: i64):
    %x = tern.embedding %t {table = @t} : tensor<16xf32>
    %d = tern.center %x : tensor<16xf32> -> tensor<16xf32>
    %m = tern.rms_norm %d {gain = @g, eps = 1.000000e-06 : f32} : tensor<16xf32> -> tensor<16xf32>
    %b = tern.load @b : tensor<16xf32>
    %z = tern.add %m, %b : tensor<16xf32>, tensor<16xf32> -> tensor<16xf32>
    %hc, %hk = tern.quantize_absmax %z : tensor<16xf32> -> tensor<16xi8>
    %logits = tern.linear %hc, %hk {weight = @w} : tensor<16xi8> -> tensor<16xf32>
    tern.return %logits : tensor<16xf32>
  }
}
// AFTER
builtin.module {
  tern.vector "splat.1.16" {length = 16 : i64, splat = 1.000000e+00 : f32}
  tern.table "t" {rows = 3 : i64, cols = 16 : i64, format = "f32"}
  tern.weight "w" {rows = 16 : i64, cols = 16 : i64, scale = 5.000000e-01 : f32, hash = "5341e6b2646979a70e57653007a1f310169421ec9bdd9f1a5648f75ade005af1"}
  tern.vector "g" {length = 16 : i64}
  tern.vector "b" {length = 16 : i64}
  tern.model "m" token "ids" outputs ["y"] {
  ^bb0(%t: i64):
    %x = engine.embed %t {table = @t} : !engine.vector<16>
    %0 = engine.reduce %x : !engine.vector<16> -> !engine.norm
    %d = engine.vector %x, %0 {function = #engine<function sub>} : !engine.vector<16>, !engine.norm -> !engine.vector<16>
    %1 = engine.reduce %d {eps = 1.000000e-06 : f32} : !engine.vector<16> -> !engine.norm
    %2 = engine.vector %d, %1 {function = #engine<function mul>} : !engine.vector<16>, !engine.norm -> !engine.vector<16>
    %m = engine.vector %2 {function = #engine<function mul>, stream = @g} : !engine.vector<16> -> !engine.vector<16>
    %z = engine.vector %m {function = #engine<function add>, stream = @b} : !engine.vector<16> -> !engine.vector<16>
    %hc, %3 = engine.quantize %z {gain = @splat.1.16} : !engine.vector<16> -> !engine.codes<16>, !engine.norm
    %logits = engine.linear %hc {weight = @w, epilogue = #engine<epilogue logits>} : !engine.codes<16> -> !engine.logits<16>
    tern.return %logits : !engine.logits<16>
  }
}

// TEST: quantisers of a range and of a step, scales and bias of rows
builtin.module {
  tern.table "t" {rows = 3 : i64, cols = 16 : i64, format = "f32"}
  tern.weight "w" {rows = 16 : i64, cols = 16 : i64, scale = 5.000000e-01 : f32, hash = "5341e6b2646979a70e57653007a1f310169421ec9bdd9f1a5648f75ade005af1"}
  tern.vector "v" {length = 16 : i64}
  tern.vector "b" {length = 16 : i64}
  tern.model "m" token "ids" outputs ["y"] {
  ^bb0(%t: i64):
    %x = tern.embedding %t {table = @t} : tensor<16xf32>
    %c, %k, %o = tern.quantize_range %x : tensor<16xf32> -> tensor<16xi8>
    %y = tern.linear %c, %k less %o {weight = @w, row_scales = @v, bias = @b} : tensor<16xi8> -> tensor<16xf32>
    %z = tern.add %x, %y : tensor<16xf32>, tensor<16xf32> -> tensor<16xf32>
    %hc, %hk, %ho = tern.quantize_static %z {step = 5.000000e-01 : f32, zero_code = 3 : i64, low = -128 : i64, high = 127 : i64, offset = 128 : i64} : tensor<16xf32> -> tensor<16xi8>
    %logits = tern.linear %hc, %hk less %ho {weight = @w, row_scales = @v, bias = @b} : tensor<16xi8> -> tensor<16xf32>
    tern.return %logits : tensor<16xf32>
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
    %x = engine.embed %t {table = @t} : !engine.vector<16>
    %c = engine.quantize_range %x : !engine.vector<16> -> !engine.codes<16, zero>
    %z = engine.linear %c src %x {weight = @w, epilogue = #engine<epilogue add>, row_scales = @v, bias = @b} : !engine.codes<16, zero> src !engine.vector<16> -> !engine.vector<16>
    %hc = engine.quantize_static %z {step = 5.000000e-01 : f32, zero_code = 3 : i64, low = -128 : i64, high = 127 : i64, offset = 128 : i64} : !engine.vector<16> -> !engine.codes<16, zero>
    %logits = engine.linear %hc {weight = @w, epilogue = #engine<epilogue logits>, row_scales = @v, bias = @b} : !engine.codes<16, zero> -> !engine.logits<16>
    tern.return %logits : !engine.logits<16>
  }
}

// TEST: a step whose zero is 0
builtin.module {
  tern.table "t" {rows = 3 : i64, cols = 16 : i64, format = "f32"}
  tern.weight "w" {rows = 16 : i64, cols = 16 : i64, scale = 5.000000e-01 : f32, hash = "5341e6b2646979a70e57653007a1f310169421ec9bdd9f1a5648f75ade005af1"}
  tern.model "m" token "ids" outputs ["y"] {
  ^bb0(%t: i64):
    %x = tern.embedding %t {table = @t} : tensor<16xf32>
    %hc, %hk, %ho = tern.quantize_static %x {step = 5.000000e-01 : f32, zero_code = 0 : i64, low = -7 : i64, high = 7 : i64, offset = 0 : i64} : tensor<16xf32> -> tensor<16xi8>
    %logits = tern.linear %hc, %hk {weight = @w} : tensor<16xi8> -> tensor<16xf32>
    tern.return %logits : tensor<16xf32>
  }
}
// AFTER
builtin.module {
  tern.table "t" {rows = 3 : i64, cols = 16 : i64, format = "f32"}
  tern.weight "w" {rows = 16 : i64, cols = 16 : i64, scale = 5.000000e-01 : f32, hash = "5341e6b2646979a70e57653007a1f310169421ec9bdd9f1a5648f75ade005af1"}
  tern.model "m" token "ids" outputs ["y"] {
  ^bb0(%t: i64):
    %x = engine.embed %t {table = @t} : !engine.vector<16>
    %hc = engine.quantize_static %x {step = 5.000000e-01 : f32, zero_code = 0 : i64, low = -7 : i64, high = 7 : i64, offset = 0 : i64} : !engine.vector<16> -> !engine.codes<16>
    %logits = engine.linear %hc {weight = @w, epilogue = #engine<epilogue logits>} : !engine.codes<16> -> !engine.logits<16>
    tern.return %logits : !engine.logits<16>
  }
}
