// PASSES: verify-schedule

// TEST: a sound program is left as it is
builtin.module {
  engine.kernel "pynq-z2" {limits = {ports = 2 : i64, port_bits = 128 : i64, batch = 1 : i64, lanes = 4 : i64, k_max = 80 : i64, vector_words = 1024 : i64, state_words = 1024 : i64, program_max = 128 : i64, code_slots = 3 : i64, topk = 8 : i64, port_fifo = 512 : i64, gain_fifo = 512 : i64, burst_beats = 16 : i64, outstanding = 8 : i64}}
  tern.table "t" {rows = 3 : i64, cols = 16 : i64, format = "f32"}
  tern.vector "w1" {length = 16 : i64}
  tern.vector "w2" {length = 16 : i64}
  tern.vector "w3" {length = 16 : i64}
  tern.weight "w" {rows = 16 : i64, cols = 16 : i64, scale = 5.000000e-01 : f32, hash = "5341e6b2646979a70e57653007a1f310169421ec9bdd9f1a5648f75ade005af1"}
  tern.model "m" token "ids" outputs ["y"] {
  ^bb0(%t: i64):
    %x = engine.embed %t {table = @t, address = 0 : i64} : !engine.vector<16>
    %c, %n = engine.quantize %x {gain = @w1, eps0 = 1.000000e-06 : f32, slot = 0 : i64} : !engine.vector<16> -> !engine.codes<16>, !engine.norm
    %a = engine.linear %c src %x {weight = @w, epilogue = #engine<epilogue add>, address = 16 : i64} : !engine.codes<16> src !engine.vector<16> -> !engine.vector<16>
    %hc, %hn = engine.quantize %a {gain = @w1, eps0 = 1.000000e-06 : f32, slot = 0 : i64} : !engine.vector<16> -> !engine.codes<16>, !engine.norm
    %y = engine.linear %hc {weight = @w, epilogue = #engine<epilogue logits>} : !engine.codes<16> -> !engine.logits<16>
    tern.return %y : !engine.logits<16>
  }
}
// AFTER
unchanged

// TEST: a result over its operand
builtin.module {
  engine.kernel "pynq-z2" {limits = {ports = 2 : i64, port_bits = 128 : i64, batch = 1 : i64, lanes = 4 : i64, k_max = 80 : i64, vector_words = 1024 : i64, state_words = 1024 : i64, program_max = 128 : i64, code_slots = 3 : i64, topk = 8 : i64, port_fifo = 512 : i64, gain_fifo = 512 : i64, burst_beats = 16 : i64, outstanding = 8 : i64}}
  tern.table "t" {rows = 3 : i64, cols = 16 : i64, format = "f32"}
  tern.vector "w1" {length = 16 : i64}
  tern.vector "w2" {length = 16 : i64}
  tern.vector "w3" {length = 16 : i64}
  tern.weight "w" {rows = 16 : i64, cols = 16 : i64, scale = 5.000000e-01 : f32, hash = "5341e6b2646979a70e57653007a1f310169421ec9bdd9f1a5648f75ade005af1"}
  tern.model "m" token "ids" outputs ["y"] {
  ^bb0(%t: i64):
    %x = engine.embed %t {table = @t, address = 0 : i64} : !engine.vector<16>
    %c, %n = engine.quantize %x {gain = @w1, eps0 = 1.000000e-06 : f32, slot = 0 : i64} : !engine.vector<16> -> !engine.codes<16>, !engine.norm
    %a = engine.linear %c src %x {weight = @w, epilogue = #engine<epilogue add>, address = 0 : i64} : !engine.codes<16> src !engine.vector<16> -> !engine.vector<16>
    %hc, %hn = engine.quantize %a {gain = @w1, eps0 = 1.000000e-06 : f32, slot = 0 : i64} : !engine.vector<16> -> !engine.codes<16>, !engine.norm
    %y = engine.linear %hc {weight = @w, epilogue = #engine<epilogue logits>} : !engine.codes<16> -> !engine.logits<16>
    tern.return %y : !engine.logits<16>
  }
}
// AFTER
refused: verify-schedule: instruction 2, engine.linear (): its result lies over an operand

// TEST: no addresses
builtin.module {
  engine.kernel "pynq-z2" {limits = {ports = 2 : i64, port_bits = 128 : i64, batch = 1 : i64, lanes = 4 : i64, k_max = 80 : i64, vector_words = 1024 : i64, state_words = 1024 : i64, program_max = 128 : i64, code_slots = 3 : i64, topk = 8 : i64, port_fifo = 512 : i64, gain_fifo = 512 : i64, burst_beats = 16 : i64, outstanding = 8 : i64}}
  tern.table "t" {rows = 3 : i64, cols = 16 : i64, format = "f32"}
  tern.vector "w1" {length = 16 : i64}
  tern.vector "w2" {length = 16 : i64}
  tern.vector "w3" {length = 16 : i64}
  tern.weight "w" {rows = 16 : i64, cols = 16 : i64, scale = 5.000000e-01 : f32, hash = "5341e6b2646979a70e57653007a1f310169421ec9bdd9f1a5648f75ade005af1"}
  tern.model "m" token "ids" outputs ["y"] {
  ^bb0(%t: i64):
    %x = engine.embed %t {table = @t} : !engine.vector<16>
    %c, %n = engine.quantize %x {gain = @w1, eps0 = 1.000000e-06 : f32} : !engine.vector<16> -> !engine.codes<16>, !engine.norm
    %a = engine.linear %c src %x {weight = @w, epilogue = #engine<epilogue add>} : !engine.codes<16> src !engine.vector<16> -> !engine.vector<16>
    %hc, %hn = engine.quantize %a {gain = @w1, eps0 = 1.000000e-06 : f32} : !engine.vector<16> -> !engine.codes<16>, !engine.norm
    %y = engine.linear %hc {weight = @w, epilogue = #engine<epilogue logits>} : !engine.codes<16> -> !engine.logits<16>
    tern.return %y : !engine.logits<16>
  }
}
// AFTER
refused: pass 'verify-schedule': engine.embed has no address: run plan-memory first

// TEST: no kernel
builtin.module {
  tern.table "t" {rows = 3 : i64, cols = 16 : i64, format = "f32"}
  tern.vector "w1" {length = 16 : i64}
  tern.vector "w2" {length = 16 : i64}
  tern.vector "w3" {length = 16 : i64}
  tern.weight "w" {rows = 16 : i64, cols = 16 : i64, scale = 5.000000e-01 : f32, hash = "5341e6b2646979a70e57653007a1f310169421ec9bdd9f1a5648f75ade005af1"}
  tern.model "m" token "ids" outputs ["y"] {
  ^bb0(%t: i64):
    %x = engine.embed %t {table = @t, address = 0 : i64} : !engine.vector<16>
    %c, %n = engine.quantize %x {gain = @w1, eps0 = 1.000000e-06 : f32, slot = 0 : i64} : !engine.vector<16> -> !engine.codes<16>, !engine.norm
    %a = engine.linear %c src %x {weight = @w, epilogue = #engine<epilogue add>, address = 16 : i64} : !engine.codes<16> src !engine.vector<16> -> !engine.vector<16>
    %hc, %hn = engine.quantize %a {gain = @w1, eps0 = 1.000000e-06 : f32, slot = 0 : i64} : !engine.vector<16> -> !engine.codes<16>, !engine.norm
    %y = engine.linear %hc {weight = @w, epilogue = #engine<epilogue logits>} : !engine.codes<16> -> !engine.logits<16>
    tern.return %y : !engine.logits<16>
  }
}
// AFTER
refused: pass 'verify-schedule' needs a kernel, and the module has no engine.kernel
