"""Images are as long as what the program takes of them."""

from __future__ import annotations

import pytest
from support.synthetic import synthetic_model
from tritloom.backend import images
from tritloom.errors import TritloomError
from tritloom.ir.engine import kernel_of
from tritloom.passes import CompilerContext, default_passes, run_passes
from tritloom.targets import load_target


@pytest.mark.parametrize("part", ["_gain_image", "_port_images"])
def test_a_short_image_is_a_fault_of_the_compiler(part: str, monkeypatch: pytest.MonkeyPatch) -> None:
    module, store = synthetic_model()
    run_passes(module, default_passes(), CompilerContext(store=store, target=load_target("kv260")))
    kernel = kernel_of(module)
    assert kernel is not None
    limits = kernel.kernel_limits()
    made = images.build_images(module, store, limits)
    assert len(made.data["port0"]) % 4096 == 0
    assert 0 < made.port_beats * 16 <= len(made.data["port0"])
    whole = getattr(images, part)
    monkeypatch.setattr(images, part, lambda *given: whole(*given)[:-1])
    with pytest.raises(TritloomError, match="for a program that takes"):
        images.build_images(module, store, limits)
