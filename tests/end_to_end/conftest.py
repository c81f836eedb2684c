from __future__ import annotations

import importlib.util
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from tritloom.api import compile_model
from tritloom.frontend import import_onnx
from tritloom.ir.mlir import ModuleOp
from tritloom.runtime import Bundle
from tritloom.verify.subject import open_subject
from tritloom.verify.weights import CachedStore

ROOT = Path(__file__).resolve().parents[2]
FIXTURES = ROOT / "tests" / "fixtures"
EXAMPLE = ROOT / "examples" / "matmulfree"
TOKENIZER = EXAMPLE / "tokenizer.json"


@dataclass(frozen=True)
class Compiled:
    """A bundle on disk, and the same model compiled in memory."""

    root: Path
    bundle: Bundle
    module: ModuleOp
    store: CachedStore

    @staticmethod
    def of(model: Path, board: str, output: Path, overlay: Path | None = None) -> Compiled:
        compile_model(model, board, output, tokenizer=TOKENIZER, overlay=overlay)
        imported = import_onnx(model)
        open_subject(output, None).lower(imported, [])
        return Compiled(output, Bundle.open(output), imported.module, CachedStore(imported.store))


@pytest.fixture(scope="package", autouse=True)
def kernels(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Where the compiled kernels of these tests lie: shared among them, apart from the user's."""
    pytest.importorskip("pynq")
    for tool in ("make", "g++"):
        if shutil.which(tool) is None:
            pytest.skip(f"{tool} is not installed")
    before = os.environ.get("XDG_CACHE_HOME")
    folder = tmp_path_factory.getbasetemp().parent / "kernels"
    os.environ["XDG_CACHE_HOME"] = str(folder)
    yield folder
    if before is None:
        del os.environ["XDG_CACHE_HOME"]
    else:
        os.environ["XDG_CACHE_HOME"] = before


@pytest.fixture(
    scope="package",
    params=[(form, board) for form in ("baked", "naive") for board in ("kv260", "pynq-z2")],
    ids=lambda param: "-".join(param),
)
def compiled(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, kernels: Path) -> Compiled:
    """Both exports for both boards."""
    form, board = request.param
    return Compiled.of(FIXTURES / f"tiny-{form}.onnx", board, tmp_path_factory.mktemp("bundles") / "bundle")


@pytest.fixture(scope="package")
def baked(tmp_path_factory: pytest.TempPathFactory, kernels: Path) -> Compiled:
    """The baked export for the kv260."""
    return Compiled.of(FIXTURES / "tiny-baked.onnx", "kv260", tmp_path_factory.mktemp("bundles") / "bundle")


@pytest.fixture(scope="session")
def amd_headers() -> Path:
    """AMD's ap_int.h and hls_stream.h out of the hls4ml wheel, which is not imported."""
    found = importlib.util.find_spec("hls4ml")
    if found is None or not found.submodule_search_locations:
        pytest.skip("AMD's ap_int.h is not here: pip install --no-deps hls4ml")
    folder = Path(found.submodule_search_locations[0]) / "templates" / "vivado" / "ap_types"
    if not (folder / "ap_int.h").is_file():
        pytest.skip("the hls4ml wheel has no ap_int.h")
    return folder
