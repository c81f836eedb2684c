"""Mutated graphs of every form end in success or in our error: no crash, no hang, no memory without bounds.

`pytest -m long tests/frontend/test_fuzz.py` runs all 5,000.
"""

from __future__ import annotations

import resource
import time
import warnings
import zipfile
from collections.abc import Callable, Iterator
from functools import cache, partial
from pathlib import Path

import onnx
import pytest
from forms import FORMS, lm
from general_model import general_model
from mutations import mutated
from sequences import SEQUENCES, STACKED
from test_gru import gru
from tritloom.errors import InputError
from tritloom.frontend import import_onnx

EXPORTED = Path(__file__).resolve().parents[1] / "fixtures" / "exporters"
SAMPLE, ALL, SHARDS = 170, 5000, 10
LONGEST = 10.0
"""Seconds that one import may take."""
MEMORY = 2 << 30
"""Bytes of private memory that the imports may add to what the process has already."""
MODELS: dict[str, Callable[[], onnx.ModelProto]] = {
    **{form: partial(lm, form) for form in FORMS},
    **{f"{form}, by row": partial(lm, form, True) for form in FORMS},
    **{form: lambda build=build: build().model() for form, build in (STACKED | SEQUENCES).items()},
    "GRU": lambda: gru().model(),
    "general": lambda: general_model().model(),
    "general, of a vector": lambda: general_model("vector").model(),
    "unoptimised": lambda: exported("models.zip", "residue.dynamo20.onnx"),
    **{
        name: lambda name=name: exported("sequences.zip", f"{name}.onnx")
        for name in ("inplace.given.legacy13", "tokens.zero.dynamo18", "gru.any.zero.batch.legacy17.folded")
    },
}


def exported(archive: str, name: str) -> onnx.ModelProto:
    return onnx.load_from_string(zipfile.ZipFile(EXPORTED / archive).read(name))


def private_memory() -> int:
    """Bytes that count towards the limit: other tests of this process leave stacks and emulated memory reserved."""
    pages = int(Path("/proc/self/statm").read_text().split()[5])
    return pages * resource.getpagesize()


@pytest.fixture(autouse=True)
def bounded_memory() -> Iterator[None]:
    """What a process allocates beyond the limit is refused, which ends the import with an error that is not ours."""
    soft, hard = resource.getrlimit(resource.RLIMIT_DATA)
    resource.setrlimit(resource.RLIMIT_DATA, (private_memory() + MEMORY, hard))
    yield
    resource.setrlimit(resource.RLIMIT_DATA, (soft, hard))


@cache
def model(name: str) -> onnx.ModelProto:
    return MODELS[name]()


def outcome(seed: int, path: Path) -> bool:
    """Whether mutated graph number `seed` is imported; it is refused by an InputError otherwise."""
    name = list(MODELS)[seed % len(MODELS)]
    path.write_bytes(mutated(model(name), seed))
    start = time.perf_counter()
    try:
        import_onnx(path)
    except InputError:
        accepted = False
    except Exception as error:
        raise AssertionError(f"mutation {seed} of '{name}'") from error
    else:
        accepted = True
    assert time.perf_counter() - start < LONGEST, f"mutation {seed}"
    return accepted


def fuzz(seeds: range, path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        accepted = [outcome(seed, path) for seed in seeds]
    assert 0 < sum(accepted) < len(seeds)


def test_a_sample(tmp_path: Path) -> None:
    fuzz(range(SAMPLE), tmp_path / "model.onnx")


@pytest.mark.long
@pytest.mark.parametrize("shard", range(SHARDS))
def test_all(shard: int, tmp_path: Path) -> None:
    fuzz(range(shard, ALL, SHARDS), tmp_path / "model.onnx")
