// PASSES: plan-memory

// TEST: a result lies beside the operands it is made of, and a dead vector's place is taken again
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
    %a = engine.linear %c {weight = @w, epilogue = #engine<epilogue store>} : !engine.codes<16> -> !engine.vector<16>
    %d, %m = engine.quantize %a {gain = @w1, eps0 = 1.000000e-06 : f32} : !engine.vector<16> -> !engine.codes<16>, !engine.norm
    %b = engine.linear %d src %a {weight = @w, epilogue = #engine<epilogue add>} : !engine.codes<16> src !engine.vector<16> -> !engine.vector<16>
    %hc, %hn = engine.quantize %b {gain = @w1, eps0 = 1.000000e-06 : f32} : !engine.vector<16> -> !engine.codes<16>, !engine.norm
    %y = engine.linear %hc {weight = @w, epilogue = #engine<epilogue logits>} : !engine.codes<16> -> !engine.logits<16>
    tern.return %y : !engine.logits<16>
  }
}
// AFTER
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
    %a = engine.linear %c {weight = @w, epilogue = #engine<epilogue store>, address = 0 : i64} : !engine.codes<16> -> !engine.vector<16>
    %d, %m = engine.quantize %a {gain = @w1, eps0 = 1.000000e-06 : f32, slot = 0 : i64} : !engine.vector<16> -> !engine.codes<16>, !engine.norm
    %b = engine.linear %d src %a {weight = @w, epilogue = #engine<epilogue add>, address = 16 : i64} : !engine.codes<16> src !engine.vector<16> -> !engine.vector<16>
    %hc, %hn = engine.quantize %b {gain = @w1, eps0 = 1.000000e-06 : f32, slot = 0 : i64} : !engine.vector<16> -> !engine.codes<16>, !engine.norm
    %y = engine.linear %hc {weight = @w, epilogue = #engine<epilogue logits>} : !engine.codes<16> -> !engine.logits<16>
    tern.return %y : !engine.logits<16>
  }
}

// TEST: two codes that live together take two slots
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
    %d, %m = engine.quantize %x norm %n {gain = @w2, eps0 = 1.000000e-06 : f32, slot = 1 : i64} : !engine.vector<16> norm !engine.norm -> !engine.codes<16>, !engine.norm
    %a = engine.linear %c {weight = @w, epilogue = #engine<epilogue store>, address = 0 : i64} : !engine.codes<16> -> !engine.vector<16>
    %b = engine.linear %d {weight = @w, epilogue = #engine<epilogue store>, address = 16 : i64} : !engine.codes<16> -> !engine.vector<16>
    %z = engine.vector %a, %b {function = #engine<function add>, address = 32 : i64} : !engine.vector<16>, !engine.vector<16> -> !engine.vector<16>
    %hc, %hn = engine.quantize %z {gain = @w1, eps0 = 1.000000e-06 : f32, slot = 0 : i64} : !engine.vector<16> -> !engine.codes<16>, !engine.norm
    %y = engine.linear %hc {weight = @w, epilogue = #engine<epilogue logits>} : !engine.codes<16> -> !engine.logits<16>
    tern.return %y : !engine.logits<16>
  }
}

// TEST: a view keeps its vector alive
builtin.module {
  engine.kernel "pynq-z2" {limits = {ports = 2 : i64, port_bits = 128 : i64, batch = 1 : i64, lanes = 4 : i64, k_max = 80 : i64, vector_words = 1024 : i64, state_words = 1024 : i64, program_max = 128 : i64, code_slots = 3 : i64, topk = 8 : i64, port_fifo = 512 : i64, gain_fifo = 512 : i64, burst_beats = 16 : i64, outstanding = 8 : i64}}
  tern.table "t" {rows = 3 : i64, cols = 32 : i64, format = "f32"}
  tern.vector "w1" {length = 16 : i64}
  tern.vector "w2" {length = 16 : i64}
  tern.vector "w3" {length = 16 : i64}
  tern.weight "w" {rows = 16 : i64, cols = 16 : i64, scale = 5.000000e-01 : f32, hash = "5341e6b2646979a70e57653007a1f310169421ec9bdd9f1a5648f75ade005af1"}
  tern.model "m" token "ids" outputs ["y"] {
  ^bb0(%t: i64):
    %x = engine.embed %t {table = @t} : !engine.vector<32>
    %v = engine.view %x {offset = 16 : i64} : !engine.vector<32> -> !engine.vector<16>
    %c, %n = engine.quantize %v {gain = @w1, eps0 = 1.000000e-06 : f32} : !engine.vector<16> -> !engine.codes<16>, !engine.norm
    %a = engine.linear %c src %v {weight = @w, epilogue = #engine<epilogue add>} : !engine.codes<16> src !engine.vector<16> -> !engine.vector<16>
    %hc, %hn = engine.quantize %a {gain = @w1, eps0 = 1.000000e-06 : f32} : !engine.vector<16> -> !engine.codes<16>, !engine.norm
    %y = engine.linear %hc {weight = @w, epilogue = #engine<epilogue logits>} : !engine.codes<16> -> !engine.logits<16>
    tern.return %y : !engine.logits<16>
  }
}
// AFTER
builtin.module {
  engine.kernel "pynq-z2" {limits = {ports = 2 : i64, port_bits = 128 : i64, batch = 1 : i64, lanes = 4 : i64, k_max = 80 : i64, vector_words = 1024 : i64, state_words = 1024 : i64, program_max = 128 : i64, code_slots = 3 : i64, topk = 8 : i64, port_fifo = 512 : i64, gain_fifo = 512 : i64, burst_beats = 16 : i64, outstanding = 8 : i64}}
  tern.table "t" {rows = 3 : i64, cols = 32 : i64, format = "f32"}
  tern.vector "w1" {length = 16 : i64}
  tern.vector "w2" {length = 16 : i64}
  tern.vector "w3" {length = 16 : i64}
  tern.weight "w" {rows = 16 : i64, cols = 16 : i64, scale = 5.000000e-01 : f32, hash = "5341e6b2646979a70e57653007a1f310169421ec9bdd9f1a5648f75ade005af1"}
  tern.model "m" token "ids" outputs ["y"] {
  ^bb0(%t: i64):
    %x = engine.embed %t {table = @t, address = 0 : i64} : !engine.vector<32>
    %v = engine.view %x {offset = 16 : i64} : !engine.vector<32> -> !engine.vector<16>
    %c, %n = engine.quantize %v {gain = @w1, eps0 = 1.000000e-06 : f32, slot = 0 : i64} : !engine.vector<16> -> !engine.codes<16>, !engine.norm
    %a = engine.linear %c src %v {weight = @w, epilogue = #engine<epilogue add>, address = 32 : i64} : !engine.codes<16> src !engine.vector<16> -> !engine.vector<16>
    %hc, %hn = engine.quantize %a {gain = @w1, eps0 = 1.000000e-06 : f32, slot = 0 : i64} : !engine.vector<16> -> !engine.codes<16>, !engine.norm
    %y = engine.linear %hc {weight = @w, epilogue = #engine<epilogue logits>} : !engine.codes<16> -> !engine.logits<16>
    tern.return %y : !engine.logits<16>
  }
}

// TEST: states
builtin.module {
  engine.kernel "pynq-z2" {limits = {ports = 2 : i64, port_bits = 128 : i64, batch = 1 : i64, lanes = 4 : i64, k_max = 80 : i64, vector_words = 1024 : i64, state_words = 1024 : i64, program_max = 128 : i64, code_slots = 3 : i64, topk = 8 : i64, port_fifo = 512 : i64, gain_fifo = 512 : i64, burst_beats = 16 : i64, outstanding = 8 : i64}}
  tern.table "t" {rows = 3 : i64, cols = 16 : i64, format = "f32"}
  tern.vector "w1" {length = 16 : i64}
  tern.vector "w2" {length = 16 : i64}
  tern.vector "w3" {length = 16 : i64}
  tern.weight "w" {rows = 16 : i64, cols = 16 : i64, scale = 5.000000e-01 : f32, hash = "5341e6b2646979a70e57653007a1f310169421ec9bdd9f1a5648f75ade005af1"}
  tern.model "m" token "ids" outputs ["y"] {
  ^bb0(%t: i64, %s: !tern.state<16, "h" -> "h.out">):
    %x = engine.embed %t {table = @t} : !engine.vector<16>
    %o = engine.load_state %s : !tern.state<16, "h" -> "h.out"> -> !engine.vector<16>
    %p = engine.vector %o, %x {function = #engine<function mul>} : !engine.vector<16>, !engine.vector<16> -> !engine.vector<16>
    %n = engine.store_state %p, %s : !engine.vector<16>, !tern.state<16, "h" -> "h.out"> -> !tern.state<16, "h" -> "h.out">
    %hc, %hn = engine.quantize %p {gain = @w1, eps0 = 1.000000e-06 : f32} : !engine.vector<16> -> !engine.codes<16>, !engine.norm
    %y = engine.linear %hc {weight = @w, epilogue = #engine<epilogue logits>} : !engine.codes<16> -> !engine.logits<16>
    tern.return %y, %n : !engine.logits<16>, !tern.state<16, "h" -> "h.out">
  }
}
// AFTER
builtin.module {
  engine.kernel "pynq-z2" {limits = {ports = 2 : i64, port_bits = 128 : i64, batch = 1 : i64, lanes = 4 : i64, k_max = 80 : i64, vector_words = 1024 : i64, state_words = 1024 : i64, program_max = 128 : i64, code_slots = 3 : i64, topk = 8 : i64, port_fifo = 512 : i64, gain_fifo = 512 : i64, burst_beats = 16 : i64, outstanding = 8 : i64}}
  tern.table "t" {rows = 3 : i64, cols = 16 : i64, format = "f32"}
  tern.vector "w1" {length = 16 : i64}
  tern.vector "w2" {length = 16 : i64}
  tern.vector "w3" {length = 16 : i64}
  tern.weight "w" {rows = 16 : i64, cols = 16 : i64, scale = 5.000000e-01 : f32, hash = "5341e6b2646979a70e57653007a1f310169421ec9bdd9f1a5648f75ade005af1"}
  tern.model "m" token "ids" outputs ["y"] {
  ^bb0(%t: i64, %s: !tern.state<16, "h" -> "h.out">):
    %x = engine.embed %t {table = @t, address = 0 : i64} : !engine.vector<16>
    %o = engine.load_state %s {address = 16 : i64, state_address = 0 : i64} : !tern.state<16, "h" -> "h.out"> -> !engine.vector<16>
    %p = engine.vector %o, %x {function = #engine<function mul>, address = 32 : i64} : !engine.vector<16>, !engine.vector<16> -> !engine.vector<16>
    %n = engine.store_state %p, %s {state_address = 0 : i64} : !engine.vector<16>, !tern.state<16, "h" -> "h.out"> -> !tern.state<16, "h" -> "h.out">
    %hc, %hn = engine.quantize %p {gain = @w1, eps0 = 1.000000e-06 : f32, slot = 0 : i64} : !engine.vector<16> -> !engine.codes<16>, !engine.norm
    %y = engine.linear %hc {weight = @w, epilogue = #engine<epilogue logits>} : !engine.codes<16> -> !engine.logits<16>
    tern.return %y, %n : !engine.logits<16>, !tern.state<16, "h" -> "h.out">
  }
}

// TEST: more slots than the kernel has
builtin.module {
  engine.kernel "pynq-z2" {limits = {ports = 2 : i64, port_bits = 128 : i64, batch = 1 : i64, lanes = 4 : i64, k_max = 80 : i64, vector_words = 1024 : i64, state_words = 1024 : i64, program_max = 128 : i64, code_slots = 1 : i64, topk = 8 : i64, port_fifo = 512 : i64, gain_fifo = 512 : i64, burst_beats = 16 : i64, outstanding = 8 : i64}}
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
refused: the model needs code_slots = 2, the kernel has 1

// TEST: more vector memory than the kernel has
builtin.module {
  engine.kernel "pynq-z2" {limits = {ports = 2 : i64, port_bits = 128 : i64, batch = 1 : i64, lanes = 4 : i64, k_max = 80 : i64, vector_words = 16 : i64, state_words = 1024 : i64, program_max = 128 : i64, code_slots = 3 : i64, topk = 8 : i64, port_fifo = 512 : i64, gain_fifo = 512 : i64, burst_beats = 16 : i64, outstanding = 8 : i64}}
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
refused: the model needs vector_words = 32, the kernel has 16

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
refused: pass 'plan-memory' needs the instructions of the engine
