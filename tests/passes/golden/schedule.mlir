// PASSES: schedule

// TEST: each quantiser goes to its product
builtin.module {
  tern.table "t" {rows = 3 : i64, cols = 16 : i64, format = "f32"}
  tern.vector "w1" {length = 16 : i64}
  tern.vector "w2" {length = 16 : i64}
  tern.vector "w3" {length = 16 : i64}
  tern.weight "w" {rows = 16 : i64, cols = 16 : i64, scale = 5.000000e-01 : f32, hash = "5341e6b2646979a70e57653007a1f310169421ec9bdd9f1a5648f75ade005af1"}
  tern.model "m" token "ids" outputs ["y"] {
  ^bb0(%t: i64):
    %x = engine.embed %t {table = @t} : !engine.vector<16>
    %c, %n = engine.quantize %x {gain = @w1, eps0 = 1.000000e-06 : f32} : !engine.vector<16> -> !engine.codes<16>, !engine.norm
    %d, %m = engine.quantize %x norm %n {gain = @w2, eps0 = 1.000000e-06 : f32} : !engine.vector<16> norm !engine.norm -> !engine.codes<16>, !engine.norm
    %a = engine.linear %c {weight = @w, epilogue = #engine<epilogue store>} : !engine.codes<16> -> !engine.vector<16>
    %b = engine.linear %d {weight = @w, epilogue = #engine<epilogue store>} : !engine.codes<16> -> !engine.vector<16>
    %z = engine.vector %a, %b {function = #engine<function add>} : !engine.vector<16>, !engine.vector<16> -> !engine.vector<16>
    %hc, %hn = engine.quantize %z {gain = @w1, eps0 = 1.000000e-06 : f32} : !engine.vector<16> -> !engine.codes<16>, !engine.norm
    %y = engine.linear %hc {weight = @w, epilogue = #engine<epilogue logits>} : !engine.codes<16> -> !engine.logits<16>
    tern.return %y : !engine.logits<16>
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
    %x = engine.embed %t {table = @t} : !engine.vector<16>
    %c, %n = engine.quantize %x {gain = @w1, eps0 = 1.000000e-06 : f32} : !engine.vector<16> -> !engine.codes<16>, !engine.norm
    %a = engine.linear %c {weight = @w, epilogue = #engine<epilogue store>} : !engine.codes<16> -> !engine.vector<16>
    %d, %m = engine.quantize %x norm %n {gain = @w2, eps0 = 1.000000e-06 : f32} : !engine.vector<16> norm !engine.norm -> !engine.codes<16>, !engine.norm
    %b = engine.linear %d {weight = @w, epilogue = #engine<epilogue store>} : !engine.codes<16> -> !engine.vector<16>
    %z = engine.vector %a, %b {function = #engine<function add>} : !engine.vector<16>, !engine.vector<16> -> !engine.vector<16>
    %hc, %hn = engine.quantize %z {gain = @w1, eps0 = 1.000000e-06 : f32} : !engine.vector<16> -> !engine.codes<16>, !engine.norm
    %y = engine.linear %hc {weight = @w, epilogue = #engine<epilogue logits>} : !engine.codes<16> -> !engine.logits<16>
    tern.return %y : !engine.logits<16>
  }
}

// TEST: a shared factor that would be overwritten keeps its place
builtin.module {
  tern.table "t" {rows = 3 : i64, cols = 16 : i64, format = "f32"}
  tern.vector "w1" {length = 16 : i64}
  tern.vector "w2" {length = 16 : i64}
  tern.vector "w3" {length = 16 : i64}
  tern.weight "w" {rows = 16 : i64, cols = 16 : i64, scale = 5.000000e-01 : f32, hash = "5341e6b2646979a70e57653007a1f310169421ec9bdd9f1a5648f75ade005af1"}
  tern.model "m" token "ids" outputs ["y"] {
  ^bb0(%t: i64):
    %x = engine.embed %t {table = @t} : !engine.vector<16>
    %c, %n = engine.quantize %x {gain = @w1, eps0 = 1.000000e-06 : f32} : !engine.vector<16> -> !engine.codes<16>, !engine.norm
    %d, %m = engine.quantize %x norm %n {gain = @w2, eps0 = 1.000000e-06 : f32} : !engine.vector<16> norm !engine.norm -> !engine.codes<16>, !engine.norm
    %a = engine.linear %c {weight = @w, epilogue = #engine<epilogue store>} : !engine.codes<16> -> !engine.vector<16>
    %e, %o = engine.quantize %a {gain = @w1, eps0 = 1.000000e-06 : f32} : !engine.vector<16> -> !engine.codes<16>, !engine.norm
    %b = engine.linear %e {weight = @w, epilogue = #engine<epilogue store>} : !engine.codes<16> -> !engine.vector<16>
    %f = engine.linear %d {weight = @w, epilogue = #engine<epilogue store>} : !engine.codes<16> -> !engine.vector<16>
    %z = engine.vector %b, %f {function = #engine<function add>} : !engine.vector<16>, !engine.vector<16> -> !engine.vector<16>
    %hc, %hn = engine.quantize %z {gain = @w1, eps0 = 1.000000e-06 : f32} : !engine.vector<16> -> !engine.codes<16>, !engine.norm
    %y = engine.linear %hc {weight = @w, epilogue = #engine<epilogue logits>} : !engine.codes<16> -> !engine.logits<16>
    tern.return %y : !engine.logits<16>
  }
}
// AFTER
unchanged

// TEST: a factor that was overwritten is computed anew, and shared from there
builtin.module {
  tern.table "t" {rows = 3 : i64, cols = 16 : i64, format = "f32"}
  tern.vector "w1" {length = 16 : i64}
  tern.vector "w2" {length = 16 : i64}
  tern.vector "w3" {length = 16 : i64}
  tern.weight "w" {rows = 16 : i64, cols = 16 : i64, scale = 5.000000e-01 : f32, hash = "5341e6b2646979a70e57653007a1f310169421ec9bdd9f1a5648f75ade005af1"}
  tern.model "m" token "ids" outputs ["y"] {
  ^bb0(%t: i64):
    %x = engine.embed %t {table = @t} : !engine.vector<16>
    %c, %n = engine.quantize %x {gain = @w1, eps0 = 1.000000e-06 : f32} : !engine.vector<16> -> !engine.codes<16>, !engine.norm
    %a = engine.linear %c {weight = @w, epilogue = #engine<epilogue store>} : !engine.codes<16> -> !engine.vector<16>
    %e, %o = engine.quantize %a {gain = @w1, eps0 = 1.000000e-06 : f32} : !engine.vector<16> -> !engine.codes<16>, !engine.norm
    %b = engine.linear %e {weight = @w, epilogue = #engine<epilogue store>} : !engine.codes<16> -> !engine.vector<16>
    %d, %m = engine.quantize %x norm %n {gain = @w2, eps0 = 1.000000e-06 : f32} : !engine.vector<16> norm !engine.norm -> !engine.codes<16>, !engine.norm
    %f = engine.linear %d {weight = @w, epilogue = #engine<epilogue store>} : !engine.codes<16> -> !engine.vector<16>
    %i, %j = engine.quantize %x norm %n {gain = @w3, eps0 = 1.000000e-06 : f32} : !engine.vector<16> norm !engine.norm -> !engine.codes<16>, !engine.norm
    %g = engine.linear %i {weight = @w, epilogue = #engine<epilogue store>} : !engine.codes<16> -> !engine.vector<16>
    %p = engine.vector %b, %f {function = #engine<function add>} : !engine.vector<16>, !engine.vector<16> -> !engine.vector<16>
    %z = engine.vector %p, %g {function = #engine<function add>} : !engine.vector<16>, !engine.vector<16> -> !engine.vector<16>
    %hc, %hn = engine.quantize %z {gain = @w1, eps0 = 1.000000e-06 : f32} : !engine.vector<16> -> !engine.codes<16>, !engine.norm
    %y = engine.linear %hc {weight = @w, epilogue = #engine<epilogue logits>} : !engine.codes<16> -> !engine.logits<16>
    tern.return %y : !engine.logits<16>
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
    %x = engine.embed %t {table = @t} : !engine.vector<16>
    %c, %n = engine.quantize %x {gain = @w1, eps0 = 1.000000e-06 : f32} : !engine.vector<16> -> !engine.codes<16>, !engine.norm
    %a = engine.linear %c {weight = @w, epilogue = #engine<epilogue store>} : !engine.codes<16> -> !engine.vector<16>
    %e, %o = engine.quantize %a {gain = @w1, eps0 = 1.000000e-06 : f32} : !engine.vector<16> -> !engine.codes<16>, !engine.norm
    %b = engine.linear %e {weight = @w, epilogue = #engine<epilogue store>} : !engine.codes<16> -> !engine.vector<16>
    %d, %0 = engine.quantize %x {gain = @w2, eps0 = 1.000000e-06 : f32} : !engine.vector<16> -> !engine.codes<16>, !engine.norm
    %f = engine.linear %d {weight = @w, epilogue = #engine<epilogue store>} : !engine.codes<16> -> !engine.vector<16>
    %i, %j = engine.quantize %x norm %0 {gain = @w3, eps0 = 1.000000e-06 : f32} : !engine.vector<16> norm !engine.norm -> !engine.codes<16>, !engine.norm
    %g = engine.linear %i {weight = @w, epilogue = #engine<epilogue store>} : !engine.codes<16> -> !engine.vector<16>
    %p = engine.vector %b, %f {function = #engine<function add>} : !engine.vector<16>, !engine.vector<16> -> !engine.vector<16>
    %z = engine.vector %p, %g {function = #engine<function add>} : !engine.vector<16>, !engine.vector<16> -> !engine.vector<16>
    %hc, %hn = engine.quantize %z {gain = @w1, eps0 = 1.000000e-06 : f32} : !engine.vector<16> -> !engine.codes<16>, !engine.norm
    %y = engine.linear %hc {weight = @w, epilogue = #engine<epilogue logits>} : !engine.codes<16> -> !engine.logits<16>
    tern.return %y : !engine.logits<16>
  }
}

// TEST: already in order
builtin.module {
  tern.table "t" {rows = 3 : i64, cols = 16 : i64, format = "f32"}
  tern.vector "w1" {length = 16 : i64}
  tern.vector "w2" {length = 16 : i64}
  tern.vector "w3" {length = 16 : i64}
  tern.weight "w" {rows = 16 : i64, cols = 16 : i64, scale = 5.000000e-01 : f32, hash = "5341e6b2646979a70e57653007a1f310169421ec9bdd9f1a5648f75ade005af1"}
  tern.model "m" token "ids" outputs ["y"] {
  ^bb0(%t: i64):
    %x = engine.embed %t {table = @t} : !engine.vector<16>
    %c, %n = engine.quantize %x {gain = @w1, eps0 = 1.000000e-06 : f32} : !engine.vector<16> -> !engine.codes<16>, !engine.norm
    %a = engine.linear %c {weight = @w, epilogue = #engine<epilogue store>} : !engine.codes<16> -> !engine.vector<16>
    %hc, %hn = engine.quantize %a {gain = @w1, eps0 = 1.000000e-06 : f32} : !engine.vector<16> -> !engine.codes<16>, !engine.norm
    %y = engine.linear %hc {weight = @w, epilogue = #engine<epilogue logits>} : !engine.codes<16> -> !engine.logits<16>
    tern.return %y : !engine.logits<16>
  }
}
// AFTER
unchanged

// TEST: behind plan-memory
builtin.module {
  tern.table "t" {rows = 3 : i64, cols = 16 : i64, format = "f32"}
  tern.vector "w1" {length = 16 : i64}
  tern.vector "w2" {length = 16 : i64}
  tern.vector "w3" {length = 16 : i64}
  tern.weight "w" {rows = 16 : i64, cols = 16 : i64, scale = 5.000000e-01 : f32, hash = "5341e6b2646979a70e57653007a1f310169421ec9bdd9f1a5648f75ade005af1"}
  tern.model "m" token "ids" outputs ["y"] {
  ^bb0(%t: i64):
    %x = engine.embed %t {table = @t, address = 0 : i64} : !engine.vector<16>
    %c, %n = engine.quantize %x {gain = @w1, eps0 = 1.000000e-06 : f32} : !engine.vector<16> -> !engine.codes<16>, !engine.norm
    %a = engine.linear %c {weight = @w, epilogue = #engine<epilogue store>} : !engine.codes<16> -> !engine.vector<16>
    %hc, %hn = engine.quantize %a {gain = @w1, eps0 = 1.000000e-06 : f32} : !engine.vector<16> -> !engine.codes<16>, !engine.norm
    %y = engine.linear %hc {weight = @w, epilogue = #engine<epilogue logits>} : !engine.codes<16> -> !engine.logits<16>
    tern.return %y : !engine.logits<16>
  }
}
// AFTER
refused: pass 'schedule' would invalidate the addresses that 'plan-memory' has given

// TEST: before choose-mapping
builtin.module {
  tern.table "t" {rows = 3 : i64, cols = 16 : i64, format = "f32"}
  tern.model "m" token "ids" outputs ["y"] {
  ^bb0(%t: i64):
    %x = tern.embedding %t {table = @t} : tensor<16xf32>
    tern.return %x : tensor<16xf32>
  }
}
// AFTER
refused: pass 'schedule' needs the instructions of the engine

// TEST: a reduction takes the register: the quantiser stays in front of it
builtin.module {
  tern.table "t" {rows = 3 : i64, cols = 16 : i64, format = "f32"}
  tern.weight "w" {rows = 16 : i64, cols = 16 : i64, scale = 5.000000e-01 : f32, hash = "5341e6b2646979a70e57653007a1f310169421ec9bdd9f1a5648f75ade005af1"}
  tern.vector "g" {length = 16 : i64}
  tern.model "m" token "ids" outputs ["y"] {
  ^bb0(%t: i64):
    %x = engine.embed %t {table = @t} : !engine.vector<16>
    %c, %n = engine.quantize %x {gain = @g, eps0 = 1.000000e-06 : f32} : !engine.vector<16> -> !engine.codes<16>, !engine.norm
    %d, %m = engine.quantize %x norm %n {gain = @g, eps0 = 1.000000e-06 : f32} : !engine.vector<16> norm !engine.norm -> !engine.codes<16>, !engine.norm
    %a = engine.linear %c {weight = @w, epilogue = #engine<epilogue store>} : !engine.codes<16> -> !engine.vector<16>
    %r = engine.reduce %a : !engine.vector<16> -> !engine.norm
    %b = engine.vector %a, %r {function = #engine<function sub>} : !engine.vector<16>, !engine.norm -> !engine.vector<16>
    %y = engine.linear %d {weight = @w, epilogue = #engine<epilogue logits>} : !engine.codes<16> -> !engine.logits<16>
    tern.return %y : !engine.logits<16>
  }
}
// AFTER
unchanged
