"""Micro-modules as text, for tests of the dialects."""

from __future__ import annotations

import re

SYMBOLS = """
tern.table "t" {rows = 3 : i64, cols = 16 : i64, format = "f32"}
tern.vector "g" {length = 16 : i64}
tern.vector "g2" {length = 16 : i64}
tern.vector "g32" {length = 32 : i64}
tern.weight "w" {rows = 16 : i64, cols = 16 : i64, scale = 0.5 : f32, hash = "h"}
tern.weight "w32" {rows = 32 : i64, cols = 16 : i64, scale = 0.5 : f32, hash = "h"}
"""
STATE = '!tern.state<16, "h" -> "h.out">'

_SHORT = [
    (r"\bV(\d+)\b", r"tensor<\1xf32>"),
    (r"\bC(\d+)\b", r"tensor<\1xi8>"),
    (r"\bA(\d+)\b", r"tensor<\1xi32>"),
    (r"\bEV(\d+)\b", r"!engine.vector<\1>"),
    (r"\bEC(\d+)\b", r"!engine.codes<\1>"),
    (r"\bEZ(\d+)\b", r"!engine.codes<\1, zero>"),
    (r"\bEL(\d+)\b", r"!engine.logits<\1>"),
    (r"\bEN\b", "!engine.norm"),
    (r"\bST\b", STATE),
    (r"\bST32\b", STATE.replace("16", "32")),
    (r"\bOTHER\b", STATE.replace('"h"', '"k"')),
]


def spelled(text: str) -> str:
    """V16, C16, A16 for tensors, EV16, EC16, EZ16, EL16, EN for the engine's types, ST for a state."""
    for short, long in _SHORT:
        text = re.sub(short, long, text)
    return text


def module_text(body: str, symbols: str = "", returned: str | None = None) -> str:
    """A module whose model has a token %t and a state %s; `body` ends in a return of its own, or `returned` is it."""
    end = "tern.return %s : ST" if returned is None else returned
    return spelled(
        f"""builtin.module {{
{SYMBOLS}{symbols}
tern.model "m" token "ids" outputs [] {{
^bb0(%t: i64, %s: ST):
{body}
{end}
}}
}}
"""
    )


X = "%x = tern.embedding %t {table = @t} : V16\n"
Q = X + "%c, %k = tern.quantize_absmax %x : V16 -> C16\n"
E = "%x = engine.embed %t {table = @t} : EV16\n"
EQ = E + "%c, %n = engine.quantize %x {gain = @g, eps0 = 1.0e-06 : f32} : EV16 -> EC16, EN\n"
