"""Nets whose branches part and meet again, as hypothesis draws them."""

from __future__ import annotations

from dataclasses import dataclass

from hypothesis import strategies as st
from tritloom.ir import tern
from tritloom.ir.mlir import ModuleOp, SSAValue
from tritloom.ir.tern import Window

from .nets import NetBuilder, square


@dataclass(repr=False)
class SkipNet:
    """A net that was drawn; what hypothesis shows of it is its IR."""

    net: NetBuilder
    module: ModuleOp

    def __repr__(self) -> str:
        return str(self.module)


@dataclass
class Wiring:
    """Appends layers to a net; all values have the same channels, in codes of 2 bits."""

    draw: st.DrawFn
    net: NetBuilder

    def one_of(self, *choices: str) -> str:
        return self.draw(st.sampled_from(choices))

    def unit(self, value: SSAValue, stride: int = 1) -> SSAValue:
        """A layer of one operand."""
        channels = tern.shape_of(value)[2]
        kind = self.one_of("3x3", "3x3", "dilated", "1x1", "groups", "depthwise", "pool")
        if kind == "pool":
            return self.net.pool(value, tern.Pooling.MAX, square(3, stride, 1))
        window = {"1x1": square(1, stride), "dilated": Window([3, 3], [stride] * 2, [2] * 4, [2, 2])}
        groups = {"groups": 2, "depthwise": channels}.get(kind, 1)
        sums = self.net.conv(value, channels, window.get(kind, square(3, stride, 1)), groups)
        return self.net.requantize(sums)

    def join(self, a: SSAValue, b: SSAValue) -> SSAValue:
        kind = self.one_of("requantize", "requantize", "sum", "concat")
        if kind == "requantize":
            return self.net.requantize(a, b)
        if kind == "sum":
            return self.net.requantize(self.net.add(tern.SumOp(a, b)))
        both = self.net.add(tern.ConcatOp([a, b]))
        return self.net.requantize(self.net.conv(both, tern.shape_of(a)[2], square(1)))

    def chain(self, value: SSAValue, most: int, stride: int, level: int) -> SSAValue:
        """Layers, now and then a block within the block."""
        for index in range(self.draw(st.integers(1, most))):
            step = stride if index == 0 else 1
            nests = level < 2 and step == 1 and self.draw(st.integers(0, 3)) == 0
            value = self.block(value, level + 1) if nests else self.unit(value, step)
        return value

    def block(self, value: SSAValue, level: int = 0) -> SSAValue:
        """Two or three branches, a skip among them or not."""
        large = min(tern.shape_of(value)[:2]) > 3
        stride = self.draw(st.sampled_from([1, 1, 2])) if large and level == 0 else 1
        branches = [self.chain(value, 3, stride, level)]
        for _ in range(self.draw(st.integers(1, 2))):
            skips = stride == 1 and self.draw(st.booleans())
            branches.append(value if skips else self.chain(value, 2, stride, level))
        joined, *others = self.draw(st.permutations(branches))
        for other in others:
            joined = self.join(joined, other)
        return joined

    def web(self, value: SSAValue) -> SSAValue:
        """Layers and joins of any values before, whatever crosses."""
        values, unused = [value], [value]
        for _ in range(self.draw(st.integers(3, 8))):
            first, second = (self.draw(st.sampled_from(values[-4:])) for _ in range(2))
            joins = first is not second and self.draw(st.booleans())
            values.append(self.join(first, second) if joins else self.unit(first))
            used = [first, second] if joins else [first]
            unused = [each for each in unused if all(each is not other for other in used)] + [values[-1]]
        joined, *others = unused
        for other in others:
            joined = self.join(joined, other)
        return joined


@st.composite
def skip_nets(draw: st.DrawFn) -> SkipNet:
    size = [draw(st.integers(3, 6)) for _ in range(2)]
    net = NetBuilder(
        (*size, draw(st.sampled_from([2, 4]))), tern.integer_type(8, signed=False), draw(st.integers(0, 99))
    )
    wiring = Wiring(draw, net)
    value = net.requantize(net.input)
    for _ in range(draw(st.integers(1, 2))):
        value = wiring.block(value) if draw(st.booleans()) else wiring.web(value)
    if draw(st.integers(0, 3)) == 0:  # pools of the whole image beside each other
        rows, columns, _ = tern.shape_of(value)
        whole = Window([rows, columns], [1, 1], [0] * 4, [1, 1])
        kinds = tern.Pooling.MAX, tern.Pooling.SUM
        value = wiring.join(*(net.requantize(net.pool(value, kind, whole)) for kind in kinds))
    return SkipNet(net, net.finish(net.dense(value, 3)))
