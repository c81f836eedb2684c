// PASSES: fuse-gates

// TEST: swiglu
builtin.module {
  tern.table "t" {rows = 3 : i64, cols = 32 : i64, format = "f32"}
  tern.model "m" token "ids" outputs ["y"] {
  ^bb0(%t: i64):
    %x = tern.embedding %t {table = @t} : tensor<32xf32>
    %u = tern.slice %x {offset = 0 : i64} : tensor<32xf32> -> tensor<16xf32>
    %v = tern.slice %x {offset = 16 : i64} : tensor<32xf32> -> tensor<16xf32>
    %g = tern.silu %u : tensor<16xf32> -> tensor<16xf32>
    %y = tern.mul %g, %v : tensor<16xf32>, tensor<16xf32> -> tensor<16xf32>
    tern.return %y : tensor<16xf32>
  }
}
// AFTER
builtin.module {
  tern.table "t" {rows = 3 : i64, cols = 32 : i64, format = "f32"}
  tern.model "m" token "ids" outputs ["y"] {
  ^bb0(%t: i64):
    %x = tern.embedding %t {table = @t} : tensor<32xf32>
    %y = tern.swiglu %x : tensor<32xf32> -> tensor<16xf32>
    tern.return %y : tensor<16xf32>
  }
}

// TEST: swiglu, the operands exchanged
builtin.module {
  tern.table "t" {rows = 3 : i64, cols = 32 : i64, format = "f32"}
  tern.model "m" token "ids" outputs ["y"] {
  ^bb0(%t: i64):
    %x = tern.embedding %t {table = @t} : tensor<32xf32>
    %u = tern.slice %x {offset = 0 : i64} : tensor<32xf32> -> tensor<16xf32>
    %v = tern.slice %x {offset = 16 : i64} : tensor<32xf32> -> tensor<16xf32>
    %g = tern.silu %u : tensor<16xf32> -> tensor<16xf32>
    %y = tern.mul %v, %g : tensor<16xf32>, tensor<16xf32> -> tensor<16xf32>
    tern.return %y : tensor<16xf32>
  }
}
// AFTER
builtin.module {
  tern.table "t" {rows = 3 : i64, cols = 32 : i64, format = "f32"}
  tern.model "m" token "ids" outputs ["y"] {
  ^bb0(%t: i64):
    %x = tern.embedding %t {table = @t} : tensor<32xf32>
    %y = tern.swiglu %x : tensor<32xf32> -> tensor<16xf32>
    tern.return %y : tensor<16xf32>
  }
}

// TEST: silu of the second half
builtin.module {
  tern.table "t" {rows = 3 : i64, cols = 32 : i64, format = "f32"}
  tern.model "m" token "ids" outputs ["y"] {
  ^bb0(%t: i64):
    %x = tern.embedding %t {table = @t} : tensor<32xf32>
    %u = tern.slice %x {offset = 0 : i64} : tensor<32xf32> -> tensor<16xf32>
    %v = tern.slice %x {offset = 16 : i64} : tensor<32xf32> -> tensor<16xf32>
    %g = tern.silu %v : tensor<16xf32> -> tensor<16xf32>
    %y = tern.mul %g, %u : tensor<16xf32>, tensor<16xf32> -> tensor<16xf32>
    tern.return %y : tensor<16xf32>
  }
}
// AFTER
unchanged

// TEST: halves of two vectors
builtin.module {
  tern.table "t" {rows = 3 : i64, cols = 32 : i64, format = "f32"}
  tern.model "m" token "ids" outputs ["y"] {
  ^bb0(%t: i64):
    %x = tern.embedding %t {table = @t} : tensor<32xf32>
    %r = tern.relu %x : tensor<32xf32> -> tensor<32xf32>
    %u = tern.slice %x {offset = 0 : i64} : tensor<32xf32> -> tensor<16xf32>
    %v = tern.slice %r {offset = 16 : i64} : tensor<32xf32> -> tensor<16xf32>
    %g = tern.silu %u : tensor<16xf32> -> tensor<16xf32>
    %y = tern.mul %g, %v : tensor<16xf32>, tensor<16xf32> -> tensor<16xf32>
    tern.return %y : tensor<16xf32>
  }
}
// AFTER
unchanged

// TEST: parts that are not the whole vector
builtin.module {
  tern.table "t" {rows = 3 : i64, cols = 40 : i64, format = "f32"}
  tern.model "m" token "ids" outputs ["y"] {
  ^bb0(%t: i64):
    %x = tern.embedding %t {table = @t} : tensor<40xf32>
    %u = tern.slice %x {offset = 0 : i64} : tensor<40xf32> -> tensor<16xf32>
    %v = tern.slice %x {offset = 16 : i64} : tensor<40xf32> -> tensor<16xf32>
    %g = tern.silu %u : tensor<16xf32> -> tensor<16xf32>
    %y = tern.mul %g, %v : tensor<16xf32>, tensor<16xf32> -> tensor<16xf32>
    tern.return %y : tensor<16xf32>
  }
}
// AFTER
unchanged

// TEST: hgrn without bound
builtin.module {
  tern.table "t" {rows = 3 : i64, cols = 16 : i64, format = "f32"}
  tern.model "m" token "ids" outputs ["y"] {
  ^bb0(%t: i64, %s: !tern.state<16, "h" -> "h.out">):
    %x = tern.embedding %t {table = @t} : tensor<16xf32>
    %i = tern.relu %x : tensor<16xf32> -> tensor<16xf32>
    %f = tern.sigmoid %x : tensor<16xf32> -> tensor<16xf32>
    %one = tern.fill 1.000000e+00 : f32 : tensor<16xf32>
    %r = tern.sub %one, %f : tensor<16xf32>, tensor<16xf32> -> tensor<16xf32>
    %u = tern.silu %i : tensor<16xf32> -> tensor<16xf32>
    %v = tern.mul %u, %r : tensor<16xf32>, tensor<16xf32> -> tensor<16xf32>
    %n, %h = tern.recurrence %f, %v, %s : tensor<16xf32>, tensor<16xf32>, !tern.state<16, "h" -> "h.out"> -> !tern.state<16, "h" -> "h.out">, tensor<16xf32>
    %o = tern.silu %h : tensor<16xf32> -> tensor<16xf32>
    tern.return %o, %n : tensor<16xf32>, !tern.state<16, "h" -> "h.out">
  }
}
// AFTER
builtin.module {
  tern.table "t" {rows = 3 : i64, cols = 16 : i64, format = "f32"}
  tern.model "m" token "ids" outputs ["y"] {
  ^bb0(%t: i64, %s: !tern.state<16, "h" -> "h.out">):
    %x = tern.embedding %t {table = @t} : tensor<16xf32>
    %i = tern.relu %x : tensor<16xf32> -> tensor<16xf32>
    %n, %h = tern.hgrn %x, %i, %s : tensor<16xf32>, tensor<16xf32>, !tern.state<16, "h" -> "h.out"> -> !tern.state<16, "h" -> "h.out">, tensor<16xf32>
    tern.return %h, %n : tensor<16xf32>, !tern.state<16, "h" -> "h.out">
  }
}

// TEST: hgrn with a bound, 1 - lb a constant
builtin.module {
  tern.table "t" {rows = 3 : i64, cols = 16 : i64, format = "f32"}
  tern.vector "lb" {length = 16 : i64}
  tern.vector "one_minus.lb" {length = 16 : i64}
  tern.vector "other" {length = 16 : i64}
  tern.model "m" token "ids" outputs ["y"] {
  ^bb0(%t: i64, %s: !tern.state<16, "h" -> "h.out">):
    %x = tern.embedding %t {table = @t} : tensor<16xf32>
    %i = tern.relu %x : tensor<16xf32> -> tensor<16xf32>
    %e = tern.sigmoid %x : tensor<16xf32> -> tensor<16xf32>
    %lb = tern.load @lb : tensor<16xf32>
    %om = tern.load @one_minus.lb : tensor<16xf32>
    %p = tern.mul %om, %e : tensor<16xf32>, tensor<16xf32> -> tensor<16xf32>
    %f = tern.add %lb, %p : tensor<16xf32>, tensor<16xf32> -> tensor<16xf32>
    %one = tern.fill 1.000000e+00 : f32 : tensor<16xf32>
    %r = tern.sub %one, %f : tensor<16xf32>, tensor<16xf32> -> tensor<16xf32>
    %u = tern.silu %i : tensor<16xf32> -> tensor<16xf32>
    %v = tern.mul %u, %r : tensor<16xf32>, tensor<16xf32> -> tensor<16xf32>
    %n, %h = tern.recurrence %f, %v, %s : tensor<16xf32>, tensor<16xf32>, !tern.state<16, "h" -> "h.out"> -> !tern.state<16, "h" -> "h.out">, tensor<16xf32>
    %o = tern.silu %h : tensor<16xf32> -> tensor<16xf32>
    tern.return %o, %n : tensor<16xf32>, !tern.state<16, "h" -> "h.out">
  }
}
// AFTER
builtin.module {
  tern.table "t" {rows = 3 : i64, cols = 16 : i64, format = "f32"}
  tern.vector "lb" {length = 16 : i64}
  tern.vector "one_minus.lb" {length = 16 : i64}
  tern.vector "other" {length = 16 : i64}
  tern.model "m" token "ids" outputs ["y"] {
  ^bb0(%t: i64, %s: !tern.state<16, "h" -> "h.out">):
    %x = tern.embedding %t {table = @t} : tensor<16xf32>
    %i = tern.relu %x : tensor<16xf32> -> tensor<16xf32>
    %n, %h = tern.hgrn %x, %i, %s {lower = @lb} : tensor<16xf32>, tensor<16xf32>, !tern.state<16, "h" -> "h.out"> -> !tern.state<16, "h" -> "h.out">, tensor<16xf32>
    tern.return %h, %n : tensor<16xf32>, !tern.state<16, "h" -> "h.out">
  }
}

// TEST: hgrn with a bound, 1 - lb computed, operands exchanged
builtin.module {
  tern.table "t" {rows = 3 : i64, cols = 16 : i64, format = "f32"}
  tern.vector "lb" {length = 16 : i64}
  tern.vector "one_minus.lb" {length = 16 : i64}
  tern.vector "other" {length = 16 : i64}
  tern.model "m" token "ids" outputs ["y"] {
  ^bb0(%t: i64, %s: !tern.state<16, "h" -> "h.out">):
    %x = tern.embedding %t {table = @t} : tensor<16xf32>
    %i = tern.relu %x : tensor<16xf32> -> tensor<16xf32>
    %e = tern.sigmoid %x : tensor<16xf32> -> tensor<16xf32>
    %lb = tern.load @lb : tensor<16xf32>
    %w = tern.fill 1.000000e+00 : f32 : tensor<16xf32>
    %om = tern.sub %w, %lb : tensor<16xf32>, tensor<16xf32> -> tensor<16xf32>
    %p = tern.mul %e, %om : tensor<16xf32>, tensor<16xf32> -> tensor<16xf32>
    %f = tern.add %p, %lb : tensor<16xf32>, tensor<16xf32> -> tensor<16xf32>
    %one = tern.fill 1.000000e+00 : f32 : tensor<16xf32>
    %r = tern.sub %one, %f : tensor<16xf32>, tensor<16xf32> -> tensor<16xf32>
    %u = tern.silu %i : tensor<16xf32> -> tensor<16xf32>
    %v = tern.mul %u, %r : tensor<16xf32>, tensor<16xf32> -> tensor<16xf32>
    %n, %h = tern.recurrence %f, %v, %s : tensor<16xf32>, tensor<16xf32>, !tern.state<16, "h" -> "h.out"> -> !tern.state<16, "h" -> "h.out">, tensor<16xf32>
    %o = tern.silu %h : tensor<16xf32> -> tensor<16xf32>
    tern.return %o, %n : tensor<16xf32>, !tern.state<16, "h" -> "h.out">
  }
}
// AFTER
builtin.module {
  tern.table "t" {rows = 3 : i64, cols = 16 : i64, format = "f32"}
  tern.vector "lb" {length = 16 : i64}
  tern.vector "one_minus.lb" {length = 16 : i64}
  tern.vector "other" {length = 16 : i64}
  tern.model "m" token "ids" outputs ["y"] {
  ^bb0(%t: i64, %s: !tern.state<16, "h" -> "h.out">):
    %x = tern.embedding %t {table = @t} : tensor<16xf32>
    %i = tern.relu %x : tensor<16xf32> -> tensor<16xf32>
    %n, %h = tern.hgrn %x, %i, %s {lower = @lb} : tensor<16xf32>, tensor<16xf32>, !tern.state<16, "h" -> "h.out"> -> !tern.state<16, "h" -> "h.out">, tensor<16xf32>
    tern.return %h, %n : tensor<16xf32>, !tern.state<16, "h" -> "h.out">
  }
}

// TEST: a constant other than 1 - lb
builtin.module {
  tern.table "t" {rows = 3 : i64, cols = 16 : i64, format = "f32"}
  tern.vector "lb" {length = 16 : i64}
  tern.vector "one_minus.lb" {length = 16 : i64}
  tern.vector "other" {length = 16 : i64}
  tern.model "m" token "ids" outputs ["y"] {
  ^bb0(%t: i64, %s: !tern.state<16, "h" -> "h.out">):
    %x = tern.embedding %t {table = @t} : tensor<16xf32>
    %i = tern.relu %x : tensor<16xf32> -> tensor<16xf32>
    %e = tern.sigmoid %x : tensor<16xf32> -> tensor<16xf32>
    %lb = tern.load @lb : tensor<16xf32>
    %om = tern.load @other : tensor<16xf32>
    %p = tern.mul %om, %e : tensor<16xf32>, tensor<16xf32> -> tensor<16xf32>
    %f = tern.add %lb, %p : tensor<16xf32>, tensor<16xf32> -> tensor<16xf32>
    %one = tern.fill 1.000000e+00 : f32 : tensor<16xf32>
    %r = tern.sub %one, %f : tensor<16xf32>, tensor<16xf32> -> tensor<16xf32>
    %u = tern.silu %i : tensor<16xf32> -> tensor<16xf32>
    %v = tern.mul %u, %r : tensor<16xf32>, tensor<16xf32> -> tensor<16xf32>
    %n, %h = tern.recurrence %f, %v, %s : tensor<16xf32>, tensor<16xf32>, !tern.state<16, "h" -> "h.out"> -> !tern.state<16, "h" -> "h.out">, tensor<16xf32>
    %o = tern.silu %h : tensor<16xf32> -> tensor<16xf32>
    tern.return %o, %n : tensor<16xf32>, !tern.state<16, "h" -> "h.out">
  }
}
// AFTER
unchanged

// TEST: f - 1 in place of 1 - f
builtin.module {
  tern.table "t" {rows = 3 : i64, cols = 16 : i64, format = "f32"}
  tern.model "m" token "ids" outputs ["y"] {
  ^bb0(%t: i64, %s: !tern.state<16, "h" -> "h.out">):
    %x = tern.embedding %t {table = @t} : tensor<16xf32>
    %i = tern.relu %x : tensor<16xf32> -> tensor<16xf32>
    %f = tern.sigmoid %x : tensor<16xf32> -> tensor<16xf32>
    %one = tern.fill 1.000000e+00 : f32 : tensor<16xf32>
    %r = tern.sub %f, %one : tensor<16xf32>, tensor<16xf32> -> tensor<16xf32>
    %u = tern.silu %i : tensor<16xf32> -> tensor<16xf32>
    %v = tern.mul %u, %r : tensor<16xf32>, tensor<16xf32> -> tensor<16xf32>
    %n, %h = tern.recurrence %f, %v, %s : tensor<16xf32>, tensor<16xf32>, !tern.state<16, "h" -> "h.out"> -> !tern.state<16, "h" -> "h.out">, tensor<16xf32>
    %o = tern.silu %h : tensor<16xf32> -> tensor<16xf32>
    tern.return %o, %n : tensor<16xf32>, !tern.state<16, "h" -> "h.out">
  }
}
// AFTER
unchanged

// TEST: 1 - x in place of 1 - f
builtin.module {
  tern.table "t" {rows = 3 : i64, cols = 16 : i64, format = "f32"}
  tern.model "m" token "ids" outputs ["y"] {
  ^bb0(%t: i64, %s: !tern.state<16, "h" -> "h.out">):
    %x = tern.embedding %t {table = @t} : tensor<16xf32>
    %i = tern.relu %x : tensor<16xf32> -> tensor<16xf32>
    %f = tern.sigmoid %x : tensor<16xf32> -> tensor<16xf32>
    %one = tern.fill 1.000000e+00 : f32 : tensor<16xf32>
    %r = tern.sub %one, %x : tensor<16xf32>, tensor<16xf32> -> tensor<16xf32>
    %u = tern.silu %i : tensor<16xf32> -> tensor<16xf32>
    %v = tern.mul %u, %r : tensor<16xf32>, tensor<16xf32> -> tensor<16xf32>
    %n, %h = tern.recurrence %f, %v, %s : tensor<16xf32>, tensor<16xf32>, !tern.state<16, "h" -> "h.out"> -> !tern.state<16, "h" -> "h.out">, tensor<16xf32>
    %o = tern.silu %h : tensor<16xf32> -> tensor<16xf32>
    tern.return %o, %n : tensor<16xf32>, !tern.state<16, "h" -> "h.out">
  }
}
// AFTER
unchanged

// TEST: the state has another user than silu
builtin.module {
  tern.table "t" {rows = 3 : i64, cols = 16 : i64, format = "f32"}
  tern.model "m" token "ids" outputs ["y"] {
  ^bb0(%t: i64, %s: !tern.state<16, "h" -> "h.out">):
    %x = tern.embedding %t {table = @t} : tensor<16xf32>
    %i = tern.relu %x : tensor<16xf32> -> tensor<16xf32>
    %f = tern.sigmoid %x : tensor<16xf32> -> tensor<16xf32>
    %one = tern.fill 1.000000e+00 : f32 : tensor<16xf32>
    %r = tern.sub %one, %f : tensor<16xf32>, tensor<16xf32> -> tensor<16xf32>
    %u = tern.silu %i : tensor<16xf32> -> tensor<16xf32>
    %v = tern.mul %u, %r : tensor<16xf32>, tensor<16xf32> -> tensor<16xf32>
    %n, %h = tern.recurrence %f, %v, %s : tensor<16xf32>, tensor<16xf32>, !tern.state<16, "h" -> "h.out"> -> !tern.state<16, "h" -> "h.out">, tensor<16xf32>
    %o = tern.silu %h : tensor<16xf32> -> tensor<16xf32>
    %k = tern.add %o, %h : tensor<16xf32>, tensor<16xf32> -> tensor<16xf32>
    tern.return %k, %n : tensor<16xf32>, !tern.state<16, "h" -> "h.out">
  }
}
// AFTER
unchanged

// TEST: the state goes to a sigmoid
builtin.module {
  tern.table "t" {rows = 3 : i64, cols = 16 : i64, format = "f32"}
  tern.model "m" token "ids" outputs ["y"] {
  ^bb0(%t: i64, %s: !tern.state<16, "h" -> "h.out">):
    %x = tern.embedding %t {table = @t} : tensor<16xf32>
    %i = tern.relu %x : tensor<16xf32> -> tensor<16xf32>
    %f = tern.sigmoid %x : tensor<16xf32> -> tensor<16xf32>
    %one = tern.fill 1.000000e+00 : f32 : tensor<16xf32>
    %r = tern.sub %one, %f : tensor<16xf32>, tensor<16xf32> -> tensor<16xf32>
    %u = tern.silu %i : tensor<16xf32> -> tensor<16xf32>
    %v = tern.mul %u, %r : tensor<16xf32>, tensor<16xf32> -> tensor<16xf32>
    %n, %h = tern.recurrence %f, %v, %s : tensor<16xf32>, tensor<16xf32>, !tern.state<16, "h" -> "h.out"> -> !tern.state<16, "h" -> "h.out">, tensor<16xf32>
    %o = tern.sigmoid %h : tensor<16xf32> -> tensor<16xf32>
    tern.return %o, %n : tensor<16xf32>, !tern.state<16, "h" -> "h.out">
  }
}
// AFTER
unchanged
