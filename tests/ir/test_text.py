"""The text form: it parses back, also in its generic form, with locations and with every operation in it."""

from __future__ import annotations

import contextlib
import random

import pytest
from flow_errors import EVERY_FLOW_OP
from modules import STATE, E, module_text, spelled
from modules_net import net_text
from support.synthetic import Shape, synthetic_model
from tritloom.ir.bindings import bind, bound_tensor
from tritloom.ir.engine import Engine
from tritloom.ir.flow import Flow
from tritloom.ir.locations import fused_location, location, onnx_names
from tritloom.ir.mlir import ModuleOp, Operation
from tritloom.ir.tern import NetOp, PortAttr, Tern
from tritloom.ir.text import IrSyntaxError, ir_text, parse_ir
from tritloom.passes import CompilerContext, default_passes, run_passes
from tritloom.targets import load_target

LIMITS = (
    "batch = 1 : i64, k_max = 80 : i64, lanes = 4 : i64, port_bits = 128 : i64, ports = 2 : i64,"
    " program_max = 128 : i64, state_words = 1024 : i64, vector_words = 1024 : i64"
)
EVERY_TERN_OP = module_text(
    """
%x = tern.embedding %t {table = @t} : V16
%y = tern.rms_norm %x {gain = @g, eps = 1.0e-06 : f32} : V16 -> V16
%c, %k = tern.quantize_absmax %y : V16 -> C16
%a = tern.dot %c {weight = @w32} : C16 -> A32
%d = tern.dequantize %a, %k {weight_scale = 0.5 : f32} : A32 -> V32
%l = tern.linear %c, %k {weight = @w} : C16 -> V16
%cr, %kr, %zr = tern.quantize_range %y : V16 -> C16
%ar = tern.dot %cr less %zr {weight = @w} : C16 -> A16
%lr = tern.linear %cr, %kr less %zr {weight = @w, row_scales = @g, bias = @g2} : C16 -> V16
%cs, %ks, %zs = tern.quantize_static %y
  {step = 0.5 : f32, zero_code = 3 : i64, low = -8 : i64, high = 7 : i64, offset = 0 : i64} : V16 -> C16
%n, %m, %f = tern.norm_quantize %x times %y {gain = @g, first_gain = @g2, eps0 = 1.0 : f32, eps1 = 2.0 : f32}
  : V16 times V16 -> C16
%n2, %m2, %f2 = tern.norm_quantize %x times %y norm %f
  {gain = @g2, first_gain = @g2, eps0 = 1.0 : f32, eps1 = 2.0 : f32} : V16 times V16 -> C16
%n3, %m3, %f3 = tern.norm_quantize %x {gain = @g, eps0 = 1.0 : f32} : V16 -> C16
%s1, %h1 = tern.recurrence %x, %y, %s : V16, V16, ST -> ST, V16
%s2, %h2 = tern.hgrn %x, %y, %s1 {lower = @g} : V16, V16, ST -> ST, V16
%s3, %h3 = tern.hgrn %x, %y, %s2 : V16, V16, ST -> ST, V16
%r = tern.read_state %s3 : ST -> V16
%s4 = tern.write_state %r, %s3 : V16, ST -> ST
%w = tern.swiglu %d : V32 -> V16
%o = tern.load @g : V16
%i = tern.fill 0.1 : f32 : V16
%p = tern.slice %d {offset = 16 : i64} : V32 -> V16
%b0 = tern.add %o, %i : V16, V16 -> V16
%b1 = tern.sub %o, %i : V16, V16 -> V16
%b2 = tern.mul %o, %i : V16, V16 -> V16
%b3 = tern.div %o, %i : V16, V16 -> V16
%b4 = tern.max %o, %i : V16, V16 -> V16
%b5 = tern.min %o, %i : V16, V16 -> V16
%u0 = tern.sigmoid %o : V16 -> V16
%u1 = tern.silu %o : V16 -> V16
%u2 = tern.sqrt %o : V16 -> V16
%u3 = tern.relu %o : V16 -> V16
%u4 = tern.center %o : V16 -> V16
""",
    """
tern.vector "gg2" {length = 16 : i64, factors = [@g, @g2]}
tern.vector "ones" {length = 16 : i64, splat = 1.0 : f32}
tern.weight "ww" {rows = 48 : i64, cols = 16 : i64, scale = 0.5 : f32, hash = "h", parts = [@w, @w32]}
""",
    "tern.return %s4 : ST",
)
EVERY_ENGINE_OP = module_text(
    E
    + """
%fed = tern.embedding %t {table = @t} : V16
%rx = engine.receive %fed {rows = 64 : i64, address = 32 : i64} : V16 -> EV16
%c, %n = engine.quantize %x {gain = @g, first_gain = @g2, eps0 = 1.0 : f32, eps1 = 2.0 : f32, slot = 2 : i64}
  : EV16 -> EC16, EN
%d, %m = engine.quantize %x norm %n {gain = @g2, first_gain = @g2, eps0 = 1.0 : f32, eps1 = 2.0 : f32}
  : EV16 norm EN -> EC16, EN
%e, %o = engine.quantize %x times %x {gain = @g} : EV16 times EV16 -> EC16, EN
%a = engine.linear %c {weight = @w, epilogue = #engine<epilogue store>, address = 16 : i64} : EC16 -> EV16
%b = engine.linear %c src %a {weight = @w, epilogue = #engine<epilogue add>} : EC16 src EV16 -> EV16
%f = engine.linear %d {weight = @w32, epilogue = #engine<epilogue swiglu>} : EC16 -> EV16
%h, %s1 = engine.linear %d src %a state %s {weight = @w, lower = @g, epilogue = #engine<epilogue hgrn>,
  state_address = 32 : i64} : EC16 src EV16 state ST -> EV16, ST
%v0 = engine.vector %a, %b {function = #engine<function max>} : EV16, EV16 -> EV16
%v1 = engine.vector %a {function = #engine<function div>, imm = 3.0 : f32} : EV16 -> EV16
%v2 = engine.vector %a {function = #engine<function sub>, stream = @g} : EV16 -> EV16
%r0 = engine.reduce %a : EV16 -> EN
%r1 = engine.reduce %a {eps = 1.0e-05 : f32} : EV16 -> EN
%v4 = engine.vector %a, %r1 {function = #engine<function mul>} : EV16, EN -> EV16
%qr = engine.quantize_range %a {slot = 1 : i64} : EV16 -> EZ16
%qs = engine.quantize_static %a
  {step = 0.5 : f32, zero_code = 0 : i64, low = -8 : i64, high = 7 : i64, offset = 0 : i64} : EV16 -> EC16
%al = engine.linear %qr {weight = @w, row_scales = @g, bias = @g2, epilogue = #engine<epilogue store>} : EZ16 -> EV16
%v3 = engine.vector %a {function = #engine<function silu>} : EV16 -> EV16
%l = engine.load_state %s1 : ST -> EV16
%s2 = engine.store_state %l, %s1 : EV16, ST -> ST
%w = engine.linear %c {weight = @w32, epilogue = #engine<epilogue store>} : EC16 -> EV32
%p = engine.view %w {offset = 16 : i64} : EV32 -> EV16
%y = engine.linear %e {weight = @w32, epilogue = #engine<epilogue logits>} : EC16 -> EL32
""",
    f'engine.kernel "kv260" {{limits = {{{LIMITS}}}}}\n'
    'tern.weight "packed" {rows = 2 : i64, cols = 80 : i64, scale = 1.0 : f32, hash = "h",'
    " layout = #engine.packed<escape5, slice = 80, ports = [1 : i64, 1 : i64]>}",
    "tern.return %s2 : ST",
)
FED_WITH_A_VECTOR = (
    module_text("%y = tern.relu %t : V16 -> V16")
    .replace('token "ids"', 'vector "x"')
    .replace("%t: i64", "%t: tensor<16xf32>")
)
EVERY = {
    "vector": FED_WITH_A_VECTOR,
    "tern": EVERY_TERN_OP,
    "net": net_text(),
    "engine": EVERY_ENGINE_OP,
    "flow": EVERY_FLOW_OP,
}
DIALECTS = {"tern": (Tern, ("tern", "net")), "engine": (Engine, ("engine",)), "flow": (Flow, ("flow",))}


@pytest.mark.parametrize("text", EVERY.values(), ids=EVERY)
@pytest.mark.parametrize("generic", [False, True])
def test_round_trip(text: str, generic: bool) -> None:
    module = parse_ir(text)
    printed = ir_text(module, generic=generic)
    again = parse_ir(printed)
    assert again.is_structurally_equivalent(module)
    assert ir_text(again, generic=generic) == printed


@pytest.mark.parametrize("name", DIALECTS)
def test_the_round_trip_covers_every_operation(name: str) -> None:
    dialect, texts = DIALECTS[name]
    wanted = {op.name for op in dialect.operations} - {"engine.kernel"}
    assert wanted <= {op.name for text in texts for op in parse_ir(EVERY[text]).walk()}


@pytest.mark.parametrize("text", EVERY.values(), ids=EVERY)
def test_locations_and_bindings_round_trip(text: str) -> None:
    module = parse_ir(text)
    ops = [op for op in module.walk() if not op.regions and op.name.split(".")[0] in DIALECTS]
    for index, op in enumerate(ops):
        if (loc := location([f"/a/{index}", "/b"][: index % 3])) is not None:
            op.location = loc
        bind(op, [f"tensor {index}.{result.index}" for result in op.results])
    printed = ir_text(module)
    again = parse_ir(printed)
    assert ir_text(again) == printed
    read = [op for op in again.walk() if not op.regions and op.name.split(".")[0] in DIALECTS]
    for index, (old, new) in enumerate(zip(ops, read, strict=True)):
        assert onnx_names(new) == onnx_names(old) == [f"/a/{index}", "/b"][: index % 3]
        assert [bound_tensor(result) for result in new.results] == [bound_tensor(result) for result in old.results]


def test_text_without_locations_has_none() -> None:
    module = parse_ir(EVERY_TERN_OP)
    assert "loc(" in ir_text(module)
    assert "loc(" not in ir_text(module, locations=False)


def test_what_is_bound() -> None:
    module = parse_ir(module_text("%x = tern.embedding %t {table = @t} : V16"))
    model = next(op for op in module.walk() if op.name == "tern.model")
    token, state = model.regions[0].block.args
    embedding = model.regions[0].block.first_op
    assert embedding is not None
    assert (bound_tensor(token), bound_tensor(state), bound_tensor(embedding.results[0])) == ("ids", "h", None)
    bind(embedding, [""])
    assert "onnx" not in embedding.attributes


def test_fused_locations_name_each_node_once() -> None:
    one, two = (op for op in parse_ir('builtin.module {tern.vector "a" {length = 1 : i64}\n'
                                      'tern.vector "b" {length = 1 : i64}}').ops)  # fmt: skip
    for op, names in ((one, ["/x", "/y"]), (two, ["/y", "/z"])):
        loc = location(names)
        assert loc is not None
        op.location = loc
    loc = fused_location(one, two)
    assert loc is not None
    one.location = loc
    assert onnx_names(one) == ["/x", "/y", "/z"]
    assert location([]) is None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("builtin.module {\n  tern.vextor\n}", "Operation tern.vextor is not registered"),
        ('builtin.module {\n  tern.vector "a" {length = 4 : i64}\n', "bad.mlir:"),
        ('builtin.module {tern.vector "a" {size = 4 : i64}}', "length"),
        ('builtin.module {tern.vector "a" {length = "4"}}', '"4" should be of base attribute integer'),
        ('builtin.module {tern.vector "a" {length = 4 : i64}\ntern.vector "a" {length = 4 : i64}}', "Redefinition"),
        (module_text("%y = engine.load_state %z : ST -> EV16"), "z"),
        (module_text(E + "%y = engine.vector %x {function = #engine<function tanh>} : EV16 -> EV16"), "bad.mlir:"),
        ('builtin.module {\ntern.vector "a {length = 4 : i64}\n}', "bad.mlir:2: a string is not closed"),
        (spelled("builtin.module {\n} }"), "bad.mlir:2:3"),
        ("", "bad.mlir"),
    ],
)
def test_bad_text_is_refused_with_its_place(text: str, message: str) -> None:
    with pytest.raises(IrSyntaxError) as caught:
        parse_ir(text, "bad.mlir")
    assert message in str(caught.value)


def test_an_invalid_operation_is_quoted() -> None:
    with pytest.raises(IrSyntaxError) as caught:
        parse_ir(module_text("%y = engine.load_state %s : ST -> EV32"), "bad.mlir")
    assert str(caught.value) == (
        "bad.mlir: engine.load_state: state and result differ in length\n"
        f"  in: %y = engine.load_state %s : {STATE} -> !engine.vector<32>"
    )


def _lowered() -> ModuleOp:
    module, store = synthetic_model(Shape(layers=1))
    run_passes(module, default_passes(), CompilerContext(store=store, target=load_target("pynq-z2")))
    return module


@pytest.mark.parametrize("source", ["tern", "engine"])
def test_damaged_text_gives_an_error_and_no_traceback(source: str) -> None:
    """Any damage either still parses or is an IrSyntaxError."""
    text = ir_text(synthetic_model(Shape(layers=1))[0] if source == "tern" else _lowered(), locations=False)
    chance = random.Random(7)
    for _ in range(150):
        start = chance.randrange(len(text))
        end = start + chance.randrange(1, 12)
        other = text[(at := chance.randrange(len(text))) : at + chance.randrange(4)]
        with contextlib.suppress(IrSyntaxError):
            parse_ir(text[:start] + other + text[end:])


def test_operations_are_documented() -> None:
    ops: list[type[Operation]] = [*Tern.operations, *Engine.operations]
    plain = {"tern.add", "tern.sub", "tern.mul", "tern.div", "tern.max", "tern.min"}
    plain |= {"tern.sigmoid", "tern.silu", "tern.sqrt", "tern.relu"}
    assert [op.name for op in ops if not op.__doc__ and op.name not in plain] == []


@pytest.mark.parametrize("name", ["é", "输入", 'a"b', "a\\C3", "line\nbreak\t"])
def test_names_beyond_ascii_are_read_back(name: str) -> None:
    module = parse_ir(net_text())
    net = next(op for op in module.walk() if isinstance(op, NetOp))
    port = net.input_ports[0]
    net.properties["inputs"] = type(net.inputs)([PortAttr.of(name, port.dimensions, port.order)])
    printed = ir_text(module)
    again = parse_ir(printed)
    assert next(op for op in again.walk() if isinstance(op, NetOp)).input_ports[0].tensor.data == name
    assert ir_text(again) == printed
