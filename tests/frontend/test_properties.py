"""Whatever the trits, the scale and the spelling are, the import finds them; no damage to a file ends in a crash."""

from __future__ import annotations

import contextlib
import random
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from numpy.typing import NDArray
from onnx.reference import ReferenceEvaluator
from onnx_models import WIDTH, Net
from skeleton import import_net, op_names, scales, weights
from tritloom.errors import InputError
from tritloom.frontend import import_onnx
from tritloom.ir.interpreter import Interpreter

SETTINGS = settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
SCALES = st.floats(2.0**-20, 2.0**10, width=32)
TRITS = arrays.arrays(np.int8, st.tuples(st.integers(1, 12), st.just(WIDTH)), elements=st.integers(-1, 1))
FORMS = st.sampled_from(["int8 Gemm", "int8 MatMul", "int8 transposed", "float", "float MatMul"])


def product(net: Net, codes: str, trits: NDArray[np.int8], form: str, scale: float) -> tuple[str, float]:
    """(product, scale that is still to be multiplied)."""
    floats = trits.astype(np.float32) * np.float32(scale)
    match form:
        case "int8 Gemm":
            return net.add("Gemm", codes, net.trits("w", trits), transB=1), scale
        case "int8 MatMul":
            return net.add("MatMul", codes, net.trits("w", trits.T)), scale
        case "int8 transposed":
            return net.add("MatMul", codes, net.add("Transpose", net.trits("w", trits), perm=[1, 0])), scale
        case "float":
            return net.add("Gemm", codes, net.const("w", floats), transB=1), 1.0
    return net.add("MatMul", codes, net.const("w", floats.T)), 1.0


@given(trits=TRITS, scale=SCALES, form=FORMS, late=st.booleans())
@SETTINGS
def test_trits_and_scale_come_back(
    trits: NDArray[np.int8], scale: float, form: str, late: bool, tmp_path: Path
) -> None:
    assume(trits.any())
    net = Net()
    codes, step = net.quantize(net.token())
    result, rest = product(net, codes if late else net.add("Div", codes, step), trits, form, scale)
    factor = net.add("Div", rest, step) if late else rest
    net.output("y", net.add("Mul", result, factor), (1, len(trits)))
    imported = import_net(net, tmp_path)
    assert op_names(imported) == ["embedding", "quantize_absmax", "dot", "dequantize", "return"]
    np.testing.assert_array_equal(imported.store.trits(weights(imported)[0].sym_name.data), trits)
    assert scales(imported) == [pytest.approx(scale, rel=1e-7)]


@given(
    masters=arrays.arrays(
        np.float32, (5, WIDTH), elements=st.floats(-4, 4, width=32).filter(lambda x: x == 0 or abs(x) > 1e-3)
    )
)
@SETTINGS
def test_masters_become_the_trits_of_the_graph(masters: NDArray[np.float32], tmp_path: Path) -> None:
    net = Net()
    net.output("y", net.naive_bitlinear(net.token(), masters), (1, 5))
    model = net.model()
    clipped = [node.output[0] for node in model.graph.node if node.op_type == "Clip"][-1]
    model.graph.output.append(onnx.helper.make_tensor_value_info(clipped, onnx.TensorProto.FLOAT, masters.shape))
    trits = ReferenceEvaluator(model).run([clipped], {"input_ids": np.asarray([0])})[0]
    imported = import_net(net, tmp_path)
    differing = np.count_nonzero(imported.store.trits("w") != trits)
    assert differing <= imported.near_ties.get("w", 0)


UNARY: dict[str, Callable[[Net, str], str]] = {
    op: (lambda net, x, op=op: net.add(op, x)) for op in ("Sigmoid", "Relu", "Neg", "Abs", "Identity")
}


@given(data=st.data())
@SETTINGS
def test_elementwise_graphs(data: st.DataObject, tmp_path: Path) -> None:
    net = Net()
    values = [net.token()]
    for _ in range(data.draw(st.integers(1, 8))):
        pick = st.sampled_from(values)
        if data.draw(st.booleans()):
            values.append(UNARY[data.draw(st.sampled_from(sorted(UNARY)))](net, data.draw(pick)))
        else:
            other = data.draw(st.one_of(pick, st.sampled_from([0.5, -2.0])))
            operands = data.draw(st.permutations([data.draw(pick), other]))
            values.append(net.add(data.draw(st.sampled_from(["Add", "Sub", "Mul", "Max", "Min"])), *operands))
    net.output("y", values[-1])
    imported = import_net(net, tmp_path)
    got = Interpreter(imported.module, imported.store).run([3]).outputs["y"]
    want = ReferenceEvaluator(net.model()).run(["y"], {"input_ids": np.asarray([3])})[0]
    np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-6)


def damaged(model: onnx.ModelProto, generator: random.Random) -> bytes:
    """A model with some nodes dropped or rewired, dimensions changed, or bytes flipped."""
    graph = model.graph
    names = [name for node in graph.node for name in node.output]
    for _ in range(generator.randint(1, 3)):
        node = generator.choice(graph.node)
        match generator.choice(["drop", "rewire", "operator", "dimension", "opset"]):
            case "drop":
                graph.node.remove(node)
            case "rewire":
                node.input[generator.randrange(len(node.input))] = generator.choice(names)
            case "operator":
                node.op_type = generator.choice(["Add", "Clip", "Gemm", "Split", "Reshape", "Gather", "If", "Pow"])
            case "dimension":
                dims = generator.choice([tensor for tensor in graph.initializer if tensor.dims]).dims
                dims[0] = generator.choice([0, 1, 2, -1, 10**12])
            case "opset":
                model.opset_import[0].version = generator.choice([1, 11, 13, 17, 23, 99])
    content = bytearray(model.SerializeToString())
    for _ in range(generator.choice([0, 0, 0, 3])):
        content[generator.randrange(len(content))] = generator.randrange(256)
    return bytes(content)


@pytest.mark.parametrize("seed", range(60))
def test_damage_ends_in_success_or_in_our_error(seed: int, repository: Path, tmp_path: Path) -> None:
    form = ("baked", "naive")[seed % 2]
    model = onnx.load(str(repository / "tests" / "fixtures" / f"tiny-{form}.onnx"))
    path = tmp_path / "model.onnx"
    path.write_bytes(damaged(model, random.Random(seed)))
    with contextlib.suppress(InputError):
        import_onnx(path)
