"""Every verifier refuses what it should, in words. A verifier that never runs fails here."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest
import tritloom.ir
from flow_errors import EVERY_FLOW_OP, FLOW_ERRORS
from modules import EQ, SYMBOLS, E, Q, X, module_text, spelled
from net_errors import NET_ERRORS
from tritloom.ir.engine import engine_length
from tritloom.ir.flow import stream_element, stream_of
from tritloom.ir.mlir import VerifyException, i64
from tritloom.ir.tern import ModelOp, NetOp
from tritloom.ir.text import IrSyntaxError, parse_ir

LIMITS = (
    "ports = 2 : i64, port_bits = 128 : i64, batch = 1 : i64, lanes = 4 : i64, k_max = 80 : i64,"
    " vector_words = 1024 : i64, state_words = 1024 : i64, program_max = 128 : i64"
)
NQ = "tern.norm_quantize %x {gain = @g, eps0 = 1.0e-06 : f32} : V16 -> C16\n"
STATIC = (
    "%c, %k, %z = tern.quantize_static %x {step = 0.5 : f32, zero_code = 3 : i64, low = -8 : i64, high = 7 : i64,"
    " offset = 0 : i64} : V16 -> C16\n"
)
ESTATIC = STATIC.replace("%c, %k, %z = tern", "%c = engine").replace("V16 -> C16", "EV16 -> EZ16")
ST_OTHER = "%n, %h = {} : V16, V16, ST -> OTHER, V16"


def model(text: str) -> str:
    return spelled("builtin.module {\n" + SYMBOLS + text + "\n}")


def declared(text: str) -> str:
    return "builtin.module {\n" + text + "\n}"


ERRORS: dict[str, list[tuple[str, str]]] = {
    "tern.weight": [
        (declared('tern.weight "w" {rows = 0 : i64, cols = 1 : i64, scale = 1.0 : f32, hash = ""}'),
         "weight @w: rows and cols must be positive"),
        (declared('tern.weight "w" {rows = 1 : i64, cols = 1 : i64, scale = 0.0 : f32, hash = ""}'),
         "weight @w: the scale must be positive and finite"),
        (declared('tern.weight "w" {rows = 1 : i64, cols = 1 : i64, scale = 0x7F800000 : f32, hash = ""}'),
         "weight @w: the scale must be positive and finite"),
        (declared('tern.weight "w" {rows = 1 : i64, cols = 1 : i64, scale = 0x7FC00000 : f32, hash = ""}'),
         "weight @w: the scale must be positive and finite"),
        (module_text("", 'tern.weight "j" {rows = 16 : i64, cols = 16 : i64, scale = 1.0 : f32, hash = "",'
                         " parts = [@j]}"),
         "weight @j: its parts must stand above it"),
        (module_text("", 'tern.weight "j" {rows = 33 : i64, cols = 16 : i64, scale = 1.0 : f32, hash = "",'
                         " parts = [@w, @w]}"),
         "weight @j: its parts have another number of rows together"),
        (module_text("", 'tern.weight "j" {rows = 32 : i64, cols = 8 : i64, scale = 1.0 : f32, hash = "",'
                         " parts = [@w, @w]}"),
         "weight @j: its parts have another number of columns"),
        (module_text("", 'tern.weight "j" {rows = 16 : i64, cols = 16 : i64, scale = 1.0 : f32, hash = "",'
                         " parts = [@g]}"),
         "tern.weight: @g is not a weight"),
    ],
    "tern.vector": [
        (declared('tern.vector "v" {length = 0 : i64}'), "vector @v: the length must be positive"),
        (module_text("", 'tern.vector "v" {length = 16 : i64, factors = [@g], splat = 1.0 : f32}'),
         "vector @v: it has either factors or splat"),
        (module_text("", 'tern.vector "v" {length = 16 : i64, factors = [@g, @v]}'),
         "vector @v: its factors must stand above it"),
        (module_text("", 'tern.vector "v" {length = 16 : i64, factors = [@g32]}'),
         "tern.vector: @g32 has 32 elements, the operand 16"),
        (module_text("", 'tern.vector "v" {length = 16 : i64, factors = [@nothing]}'),
         "tern.vector: @nothing names no constant of the module"),
    ],
    "tern.table": [
        (declared('tern.table "t" {rows = 1 : i64, cols = 0 : i64, format = "f32"}'),
         "table @t: rows and cols must be positive"),
        (declared('tern.table "t" {rows = 1 : i64, cols = 1 : i64, format = "f64"}'),
         "table @t: format f64 is not one of ('f32', 'f16', 'bf16')"),
    ],
    "tern.state": [
        (model('tern.model "m" token "i" outputs [] {\n^bb0(%t: i64, %s: !tern.state<0, "a" -> "b">):\n'
               'tern.return %s : !tern.state<0, "a" -> "b">\n}'),
         "a state has at least one element, not 0"),
    ],
    "tern.model": [
        (model('tern.model "m" token "i" outputs [] {\n^bb0(%t: f32):\ntern.return\n}'),
         "tern.model: the first argument must be the token, an i64"),
        (model('tern.model "m" outputs [] {\n^bb0(%t: i64):\ntern.return\n}'),
         "tern.model: it is fed with a token or with a vector"),
        (model('tern.model "m" token "i" vector "x" outputs [] {\n^bb0(%t: i64):\ntern.return\n}'),
         "tern.model: it is fed with a token or with a vector"),
        *((model(f'tern.model "m" vector "x" outputs [] {{\n^bb0(%t: {kind}):\ntern.return\n}}'),
           "tern.model: the first argument must be the vector, a tensor of f32 of one dimension")
          for kind in ("i64", "C16", "tensor<1x16xf32>")),
        (model('tern.model "m" vector "x" outputs [] {\n^bb0(%t: V16, %v: V16):\ntern.return\n}'),
         "tern.model: every argument after the vector must be a !tern.state"),
        (model('tern.model "m" token "i" outputs [] {\n^bb0(%t: i64, %v: V16):\ntern.return\n}'),
         "tern.model: every argument after the token must be a !tern.state"),
        (model('tern.model "m" token "i" outputs [] {\n^bb0(%t: i64, %a: ST, %b: ST):\ntern.return %a, %b : ST, ST\n}'),
         "tern.model: two states have the same input or output name"),
        (model('tern.model "m" token "i" outputs ["y"] {\n^bb0(%t: i64):\ntern.return\n}'),
         "tern.model: tern.return has 0 values, not 1"),
        (model('tern.model "m" token "i" outputs [] {\n^bb0(%t: i64, %s: ST):\n' + X + "tern.return %x : V16\n}"),
         "tern.model: the returned states do not match the arguments"),
    ],
    "tern.embedding": [
        (module_text("%x = tern.embedding %t {table = @t} : V32"),
         "tern.embedding: the symbol must name a table as wide as the result"),
        (module_text("%x = tern.embedding %t {table = @g} : V16"),
         "tern.embedding: the symbol must name a table as wide as the result"),
    ],
    "tern.rms_norm": [
        (module_text(X + "%y = tern.rms_norm %x {gain = @g, eps = -1.0 : f32} : V16 -> V16"),
         "tern.rms_norm: eps must not be negative"),
        (module_text(X + "%y = tern.rms_norm %x {gain = @g, eps = 1.0 : f32} : V16 -> V32"),
         "tern.rms_norm: operands and results differ in length: [16, 32]"),
        (module_text(X + "%y = tern.rms_norm %x {gain = @w, eps = 1.0 : f32} : V16 -> V16"),
         "tern.rms_norm: @w is not a vector"),
        (module_text(X + "%y = tern.rms_norm %x {gain = @g32, eps = 1.0 : f32} : V16 -> V16"),
         "tern.rms_norm: @g32 has 32 elements, the operand 16"),
    ],
    "tern.quantize_absmax": [
        (module_text(X + "%c, %k = tern.quantize_absmax %x : V16 -> C32"),
         "tern.quantize_absmax: operand and codes differ in length"),
        (module_text(X + "%c, %k = tern.quantize_absmax %x : V16 -> V16"),
         "tern.quantize_absmax: a tensor of i8 is needed, not tensor<16xf32>"),
    ],
    "tern.quantize_range": [
        (module_text(X + "%c, %k, %z = tern.quantize_range %x : V16 -> C32"),
         "tern.quantize_range: operand and codes differ in length"),
    ],
    "tern.quantize_static": [
        (module_text(X + STATIC.replace("C16", "C32")), "tern.quantize_static: operand and codes differ in length"),
        (module_text(X + STATIC.replace("0.5", "0.0")), "tern.quantize_static: the step must be positive and finite"),
        (module_text(X + STATIC.replace("0.5", "0x7FC00000")),
         "tern.quantize_static: the step must be positive and finite"),
        (module_text(X + STATIC.replace("low = -8", "low = -129")),
         "tern.quantize_static: low and high must be codes from -128 to 127, in order"),
        (module_text(X + STATIC.replace("low = -8", "low = 8")),
         "tern.quantize_static: low and high must be codes from -128 to 127, in order"),
        (module_text(X + STATIC.replace("zero_code = 3", "zero_code = 128")),
         "tern.quantize_static: the code of zero must lie between -128 and 127"),
    ],
    "tern.dot": [
        (module_text(X + STATIC + "%a = tern.dot %c {weight = @w} : C16 -> A16"),
         "tern.dot: zero must be that of the quantiser that made the codes, if it is not 0"),
        (module_text(X + STATIC.replace("zero_code = 3", "zero_code = 0")
                     + "%a = tern.dot %c less %z {weight = @w} : C16 -> A16"),
         "tern.dot: zero must be that of the quantiser that made the codes, if it is not 0"),
        (module_text("%x = tern.fill 1.0 : f32 : V65794\n%c, %k, %z = tern.quantize_range %x : V65794 -> C65794\n"
                     "%a = tern.dot %c less %z {weight = @v} : C65794 -> A1",
                     'tern.weight "v" {rows = 1 : i64, cols = 65794 : i64, scale = 1.0 : f32, hash = ""}'),
         "tern.dot: 65794 columns overflow an exact sum (at most 65793)"),
        (module_text(Q + "%a = tern.dot %c {weight = @g} : C16 -> A16"), "tern.dot: @g is not a weight"),
        (module_text(X + "%a = tern.dot %x {weight = @w} : V16 -> A16"),
         "tern.dot: a tensor of i8 is needed, not tensor<16xf32>"),
        (module_text(Q + "%a = tern.dot %c {weight = @w} : C16 -> V16"),
         "tern.dot: a tensor of i32 is needed, not tensor<16xf32>"),
        (module_text(Q + "%a = tern.dot %c {weight = @w32} : C16 -> A16"), "tern.dot: @w32 has 32 rows, the result 16"),
        (module_text(Q + "%a = tern.dot %c {weight = @v} : C16 -> A16",
                     'tern.weight "v" {rows = 16 : i64, cols = 8 : i64, scale = 1.0 : f32, hash = ""}'),
         "tern.dot: @v has 8 columns, the codes 16"),
        (module_text("%x = tern.fill 1.0 : f32 : V132105\n%c, %k = tern.quantize_absmax %x : V132105 -> C132105\n"
                     "%a = tern.dot %c {weight = @v} : C132105 -> A1",
                     'tern.weight "v" {rows = 1 : i64, cols = 132105 : i64, scale = 1.0 : f32, hash = ""}'),
         "tern.dot: 132105 columns overflow an exact sum (at most 132104)"),
    ],
    "tern.dequantize": [
        (module_text(Q + "%y = tern.dequantize %c, %k {weight_scale = 1.0 : f32} : C16 -> V16"),
         "tern.dequantize: a tensor of i32 is needed, not tensor<16xi8>"),
        (module_text(Q + "%a = tern.dot %c {weight = @w} : C16 -> A16\n"
                         "%y = tern.dequantize %a, %k {weight_scale = 1.0 : f32} : A16 -> V32"),
         "tern.dequantize: sums and result differ in length"),
    ],
    "tern.linear": [
        (module_text(Q + "%y = tern.linear %c, %k {weight = @w, bias = @g32} : C16 -> V16"),
         "tern.linear: @g32 has 32 elements, the operand 16"),
        (module_text(Q + "%y = tern.linear %c, %k {weight = @w32, row_scales = @g} : C16 -> V32"),
         "tern.linear: @g has 16 elements, the operand 32"),
        (module_text(Q + "%d, %j = tern.quantize_absmax %x : V16 -> C16\n"
                         "%y = tern.linear %c, %j {weight = @w} : C16 -> V16"),
         "tern.linear: the scale must come from the quantiser that made the codes"),
        (module_text(X + "%c, %k, %f = " + NQ + "%y = tern.linear %c, %f {weight = @w} : C16 -> V16"),
         "tern.linear: the scale must come from the quantiser that made the codes"),
    ],
    "tern.recurrence": [
        (module_text("%x = tern.fill 1.0 : f32 : V32\n%n, %h = tern.recurrence %x, %x, %s : V32, V32, ST -> ST, V32"),
         "tern.recurrence: operands and state differ in length"),
        (module_text(X + ST_OTHER.format("tern.recurrence %x, %x, %s")), "tern.recurrence: the state changes its type"),
    ],
    "tern.read_state": [
        (module_text("%y = tern.read_state %s : ST -> V32"), "tern.read_state: state and result differ in length"),
    ],
    "tern.write_state": [
        (module_text(X + "%n = tern.write_state %x, %s : V16, ST -> OTHER"),
         "tern.write_state: value and state differ"),
        (module_text("%x = tern.fill 1.0 : f32 : V32\n%n = tern.write_state %x, %s : V32, ST -> ST"),
         "tern.write_state: value and state differ"),
    ],
    "tern.norm_quantize": [
        (module_text(X + "%c, %k, %f = " + NQ.replace("gain = @g", "gain = @g, first_gain = @g2")),
         "tern.norm_quantize: first_gain and eps1 go together"),
        (module_text(X + "%c, %k, %f = " + NQ.replace("C16", "C32")),
         "tern.norm_quantize: operand and codes differ in length"),
        (module_text(X + "%c, %k, %f = " + NQ.replace("1.0e-06", "-1.0e-06")),
         "tern.norm_quantize: an epsilon must not be negative"),
        (module_text(X + "%c, %k, %f = " + NQ + "%y = tern.relu %x : V16 -> V16\n"
                     "%d, %j, %e = tern.norm_quantize %y norm %f {gain = @g, eps0 = 1.0e-06 : f32} : V16 -> C16"),
         "tern.norm_quantize: norm must be the factor of a norm_quantize of the same vector, norms and epsilons"),
        (module_text(X + "%c, %k, %f = " + NQ
                     + "%d, %j, %e = tern.norm_quantize %x norm %k {gain = @g, eps0 = 1.0e-06 : f32} : V16 -> C16"),
         "tern.norm_quantize: norm must be the factor of a norm_quantize of the same vector, norms and epsilons"),
        (module_text(X + "%c, %k, %f = " + NQ
                     + "%d, %j, %e = tern.norm_quantize %x norm %f {gain = @g, eps0 = 1.0e-05 : f32} : V16 -> C16"),
         "tern.norm_quantize: norm must be the factor of a norm_quantize of the same vector, norms and epsilons"),
    ],
    "tern.swiglu": [
        (module_text(X + "%y = tern.swiglu %x : V16 -> V16"),
         "tern.swiglu: the operand must be twice as long as the result"),
    ],
    "tern.hgrn": [
        (module_text("%x = tern.fill 1.0 : f32 : V32\n%n, %h = tern.hgrn %x, %x, %s : V32, V32, ST -> ST, V32"),
         "tern.hgrn: operands and state differ in length"),
        (module_text(X + ST_OTHER.format("tern.hgrn %x, %x, %s")), "tern.hgrn: the state changes its type"),
        (module_text(X + "%n, %h = tern.hgrn %x, %x, %s {lower = @g32} : V16, V16, ST -> ST, V16"),
         "tern.hgrn: @g32 has 32 elements, the operand 16"),
    ],
    "tern, elementwise": [
        (module_text(X + "%y = tern.add %x, %x : V16, V16 -> V32"),
         "tern.add: operands and results differ in length: [16, 32]"),
        (module_text(X + "%y = tern.relu %x : V16 -> V32"),
         "tern.relu: operands and results differ in length: [16, 32]"),
        (module_text(Q + "%y = tern.mul %c, %c : C16, C16 -> V16"),
         "tern.mul: a tensor of f32 is needed, not tensor<16xi8>"),
        (module_text("%y = tern.load @g : V32"), "tern.load: @g has 16 elements, the operand 32"),
        (module_text("%y = tern.fill 1.0 : f32 : C16"), "tern.fill: a tensor of f32 is needed, not tensor<16xi8>"),
        (module_text("%y = tern.fill 1.0 : f32 : tensor<?xf32>"),
         "a one-dimensional tensor of a fixed size is needed, not tensor<?xf32>"),
        (module_text("%y = tern.fill 1.0 : f32 : tensor<4x4xf32>"),
         "a one-dimensional tensor of a fixed size is needed, not tensor<4x4xf32>"),
        (module_text(X + "%y = tern.slice %x {offset = 8 : i64} : V16 -> V16"),
         "tern.slice: elements 8 to 24 of a vector of 16"),
        (module_text(X + "%y = tern.slice %x {offset = -8 : i64} : V16 -> V8"),
         "tern.slice: elements -8 to 0 of a vector of 16"),
    ],
    "engine.embed": [
        (module_text("%x = engine.embed %t {table = @t} : EV32"),
         "engine.embed: the symbol must name a table as wide as the result"),
        (module_text("%x = engine.embed %t {table = @t, address = 8 : i64} : EV16"),
         "engine.embed: address 8 is not a multiple of 16"),
        (module_text("%x = engine.embed %t {table = @t, address = -16 : i64} : EV16"),
         "engine.embed: address -16 is not a multiple of 16"),
    ],
    "engine.receive": [
        (module_text(X + "%y = engine.receive %x {rows = 64 : i64} : V16 -> EV32"),
         "engine.receive: vector and result differ in length"),
        (module_text(X + "%y = engine.receive %x {rows = 0 : i64} : V16 -> EV16"),
         "engine.receive: rows must be positive"),
        (module_text(X + "%y = engine.receive %x {rows = 64 : i64, address = 8 : i64} : V16 -> EV16"),
         "engine.receive: address 8 is not a multiple of 16"),
    ],
    "engine.quantize": [
        (module_text(EQ.replace("gain = @g", "gain = @g, first_gain = @g2")),
         "engine.quantize: first_gain and eps1 go together"),
        (module_text(EQ.replace("gain = @g, eps0", "gain = @g, first_gain = @g2, eps1")),
         "engine.quantize: eps1 needs eps0"),
        (module_text(EQ.replace("EC16", "EC32")), "engine.quantize: operands and codes differ in length"),
        (module_text(EQ.replace("1.0e-06", "-1.0e-06")), "engine.quantize: an epsilon must not be negative"),
        (module_text(EQ.replace("gain = @g", "gain = @g32")), "engine.quantize: @g32 is not a vector of 16 elements"),
        (module_text(EQ.replace("gain = @g", "slot = -1 : i64, gain = @g")), "engine.quantize: slot -1 is negative"),
        (module_text(EQ + "%d, %m = engine.quantize %x norm %n {gain = @g} : EV16 norm EN -> EC16, EN"),
         "engine.quantize: norm must be the factor of a quantize of the same vector, norms and epsilons"),
        (module_text(EQ + "%d, %m = engine.quantize %x norm %n {gain = @g, eps0 = 1.0 : f32}"
                     " : EV16 norm EN -> EC16, EN"),
         "engine.quantize: norm must be the factor of a quantize of the same vector, norms and epsilons"),
    ],
    "engine.quantize_range": [
        (module_text(E + "%c = engine.quantize_range %x : EV16 -> EZ32"),
         "engine.quantize_range: the codes are as long as the operand, and have a zero"),
        (module_text(E + "%c = engine.quantize_range %x : EV16 -> EC16"),
         "engine.quantize_range: the codes are as long as the operand, and have a zero"),
        (module_text(E + "%c = engine.quantize_range %x {slot = -1 : i64} : EV16 -> EZ16"),
         "engine.quantize_range: slot -1 is negative"),
    ],
    "engine.quantize_static": [
        (module_text(E + ESTATIC.replace("EZ16", "EC16")),
         "engine.quantize_static: the codes are as long as the operand, and have a zero if its code is not 0"),
        (module_text(E + ESTATIC.replace("0.5", "-0.5")),
         "engine.quantize_static: the step must be positive and finite"),
        (module_text(E + ESTATIC.replace("{step", "{slot = -1 : i64, step")),
         "engine.quantize_static: slot -1 is negative"),
    ],
    "engine.reduce": [
        (module_text(E + "%n = engine.reduce %x {eps = -1.0 : f32} : EV16 -> EN"),
         "engine.reduce: eps must not be negative"),
    ],
    "engine.linear": [
        (module_text(EQ + "%y = engine.linear %c {weight = @w32, bias = @g, epilogue = #engine<epilogue swiglu>}"
                     " : EC16 -> EV16"),
         "engine.linear: @g is not a vector of 32 elements"),
        (module_text(EQ + "%y = engine.linear %c {weight = @w, row_scales = @g32, epilogue = #engine<epilogue store>}"
                     " : EC16 -> EV16"),
         "engine.linear: @g32 is not a vector of 16 elements"),
        (module_text(EQ + "%y = engine.linear %c {weight = @v, epilogue = #engine<epilogue store>} : EC16 -> EV16",
                     'tern.weight "v" {rows = 16 : i64, cols = 8 : i64, scale = 1.0 : f32, hash = ""}'),
         "engine.linear: @v and the codes differ in length"),
        (module_text(EQ + "%y = engine.linear %c {weight = @w, epilogue = #engine<epilogue store>} : EC16 -> EV32"),
         "engine.linear: @w has 16 rows, the result 32"),
        (module_text(EQ + "%y = engine.linear %c {weight = @w32, epilogue = #engine<epilogue swiglu>} : EC16 -> EV32"),
         "engine.linear: @w32 has 32 rows, the result 32"),
        (module_text(EQ + "%y = engine.linear %c {weight = @w, epilogue = #engine<epilogue add>} : EC16 -> EV16"),
         "engine.linear: src belongs to the epilogues add and hgrn"),
        (module_text(EQ + "%y = engine.linear %c src %x {weight = @w, epilogue = #engine<epilogue store>}"
                     " : EC16 src EV16 -> EV16"),
         "engine.linear: src belongs to the epilogues add and hgrn"),
        (module_text(EQ + "%y = engine.linear %c src %x {weight = @w, epilogue = #engine<epilogue hgrn>}"
                     " : EC16 src EV16 -> EV16"),
         "engine.linear: state and lower belong to the epilogue hgrn"),
        (module_text(EQ + "%y = engine.linear %c {weight = @w, lower = @g, epilogue = #engine<epilogue store>}"
                     " : EC16 -> EV16"),
         "engine.linear: state and lower belong to the epilogue hgrn"),
        (module_text(EQ + "%y = engine.linear %c src %x {weight = @w32, epilogue = #engine<epilogue add>}"
                     " : EC16 src EV16 -> EV32"),
         "engine.linear: src and result differ in length"),
        (module_text(EQ + "%v = engine.linear %c {weight = @w32, epilogue = #engine<epilogue store>} : EC16 -> EV32\n"
                     "%y, %n2 = engine.linear %c src %v state %s {weight = @w32, lower = @g32,"
                     " epilogue = #engine<epilogue hgrn>} : EC16 src EV32 state ST -> EV32, ST"),
         "engine.linear: state and result differ in length"),
        (module_text(EQ + "%y, %n2 = engine.linear %c src %x state %s {weight = @w, lower = @g,"
                     " epilogue = #engine<epilogue hgrn>} : EC16 src EV16 state ST -> EV16, OTHER"),
         "engine.linear: the state changes its type"),
        (module_text(EQ + "%y = engine.linear %c {weight = @w, epilogue = #engine<epilogue logits>} : EC16 -> EV16"),
         "engine.linear: the epilogue logits makes !engine.logits, the others vectors"),
        (module_text(EQ + "%y = engine.linear %c {weight = @w, epilogue = #engine<epilogue store>} : EC16 -> EL16"),
         "engine.linear: the epilogue logits makes !engine.logits, the others vectors"),
        (module_text(EQ + "%y, %n2 = engine.linear %c src %x state %s {weight = @w, lower = @g,"
                     " state_address = 8 : i64, epilogue = #engine<epilogue hgrn>}"
                     " : EC16 src EV16 state ST -> EV16, ST"),
         "engine.linear: state_address 8 is not a multiple of 16"),
    ],
    "engine.vector": [
        (module_text(E + "%y = engine.vector %x {function = #engine<function add>} : EV16 -> EV16"),
         "engine.vector: add has 0 second operands"),
        (module_text(E + "%y = engine.vector %x, %x {function = #engine<function add>, imm = 1.0 : f32}"
                     " : EV16, EV16 -> EV16"),
         "engine.vector: add has 2 second operands"),
        (module_text(E + "%y = engine.vector %x {function = #engine<function silu>, imm = 1.0 : f32} : EV16 -> EV16"),
         "engine.vector: silu has 1 second operands"),
        (module_text(E + "%y = engine.vector %x {function = #engine<function silu>} : EV16 -> EV32"),
         "engine.vector: operand and result differ in length"),
        (module_text(EQ + "%v = engine.linear %c {weight = @w32, epilogue = #engine<epilogue store>} : EC16 -> EV32\n"
                     "%y = engine.vector %x, %v {function = #engine<function add>} : EV16, EV32 -> EV16"),
         "engine.vector: the operands differ in length"),
        (module_text(E + "%y = engine.vector %x {function = #engine<function add>, stream = @w} : EV16 -> EV16"),
         "engine.vector: @w is not a vector of 16 elements"),
    ],
    "engine, states and views": [
        (module_text("%y = engine.load_state %s : ST -> EV32"), "engine.load_state: state and result differ in length"),
        (module_text(E + "%n = engine.store_state %x, %s : EV16, ST -> OTHER"),
         "engine.store_state: value and state differ"),
        (module_text(E + "%y = engine.view %x {offset = 16 : i64} : EV16 -> EV16"),
         "engine.view: offset 16 is not a multiple of 16 inside the vector"),
        (module_text(E + "%y = engine.view %x {offset = 8 : i64} : EV16 -> EV8"),
         "engine.view: offset 8 is not a multiple of 16 inside the vector"),
    ],
    "engine, types and attributes": [
        (module_text("%x = engine.embed %t {table = @t} : EV0"), "a vector has at least one element, not 0"),
        (declared('tern.weight "w" {rows = 1 : i64, cols = 1 : i64, scale = 1.0 : f32, hash = "",'
                  " layout = #engine.packed<escape5, slice = 64, ports = [1 : i64]>}"),
         "#engine.packed: a slice holds 80 trits, not 64"),
        (declared('tern.weight "w" {rows = 1 : i64, cols = 1 : i64, scale = 1.0 : f32, hash = "",'
                  ' layout = #engine.packed<escape5, slice = 80, ports = ["1"]>}'),
         "#engine.packed: ports must be an array of integers, the rows of each port"),
    ],
    "engine.kernel": [
        (declared(f'engine.kernel "b" {{limits = {{{LIMITS.replace("lanes = 4", "lanes = 5")}}}}}'),
         "engine.kernel: kernel limits: lanes must be 4, 8 or 16"),
        (declared(f'engine.kernel "b" {{limits = {{{LIMITS.replace("ports = 2 : i64, ", "")}}}}}'),
         "engine.kernel: KernelLimits.__init__() missing 1 required positional argument: 'ports'"),
        (declared(f'engine.kernel "b" {{limits = {{{LIMITS}, wheels = 4 : i64}}}}'),
         "engine.kernel: KernelLimits.__init__() got an unexpected keyword argument 'wheels'"),
    ],
    **NET_ERRORS,
    **FLOW_ERRORS,
}  # fmt: skip
CASES = [
    pytest.param(text, message, id=f"{op} {i}") for op, all_ in ERRORS.items() for i, (text, message) in enumerate(all_)
]
# What text cannot say, since the parser or xDSL refuses it first.
NO_ENGINE_VALUE = "an engine vector or codes are needed, not i64"
NO_RETURN = "tern.model: the body must end in tern.return"
NO_STREAM = "a !flow.stream is needed, not i64"
NO_INTEGERS = "a stream of integers is needed, not x"
NO_NET_RETURN = "tern.net: the body must end in tern.return"


@pytest.mark.parametrize(("text", "message"), CASES)
def test_it_is_refused(text: str, message: str) -> None:
    with pytest.raises(IrSyntaxError) as caught:
        parse_ir(text, "bad.mlir")
    assert message in str(caught.value)


def test_length_of_what_the_engine_does_not_know() -> None:
    token = ModelOp("m", "ids", [], []).body.block.args[0]
    assert token.type == i64
    with pytest.raises(VerifyException, match=f"^{NO_ENGINE_VALUE}$"):
        engine_length(token)


def test_a_model_without_return() -> None:
    with pytest.raises(VerifyException, match=f"^{NO_RETURN}$"):
        ModelOp("m", "ids", [], []).verify_()


def test_a_net_without_return() -> None:
    with pytest.raises(VerifyException, match=f"^{NO_NET_RETURN}$"):
        NetOp("n", [], [], []).verify_()


def _patterns() -> list[tuple[str, str]]:
    """Every message that a verifier of the dialects can give, as a regular expression."""
    found = []
    for path in sorted(Path(tritloom.ir.__file__).parent.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if not (isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call)):
                continue
            if isinstance(node.exc.func, ast.Name) and node.exc.func.id == "VerifyException":
                message = node.exc.args[0]
                parts = message.values if isinstance(message, ast.JoinedStr) else [message]
                pattern = "".join(re.escape(str(p.value)) if isinstance(p, ast.Constant) else ".+" for p in parts)
                found.append((f"{path.name}:{node.lineno}", pattern))
    return found


@pytest.mark.parametrize(("where", "pattern"), _patterns())
def test_every_message_is_tested(where: str, pattern: str) -> None:
    messages = [message for cases in ERRORS.values() for _, message in cases] + [
        NO_ENGINE_VALUE,
        NO_RETURN,
        NO_NET_RETURN,
        NO_STREAM,
        NO_INTEGERS,
    ]
    assert any(re.fullmatch(pattern, message) for message in messages), f"{where} has no negative test"


def test_streams_are_asked_for() -> None:
    value = ModelOp("m", "t", [], []).body.block.args[0]
    with pytest.raises(VerifyException, match=f"^{NO_STREAM}$"):
        stream_of(value)
    load = next(op for op in parse_ir(EVERY_FLOW_OP).walk() if op.name == "flow.load")
    with pytest.raises(VerifyException, match="^a stream of integers is needed, not"):
        stream_element(load.results[0])


def test_every_verifier_is_found_by_its_name() -> None:
    """A method named `_verify` or `verify` on an operation never runs."""
    for path in Path(tritloom.ir.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ClassDef) and node.name.endswith("Op"):
                names = {item.name for item in node.body if isinstance(item, ast.FunctionDef)}
                assert not names & {"_verify", "verify", "__verify__"}, node.name
