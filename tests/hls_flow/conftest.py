"""Where the AMD headers are, and the clean-up of what the session compiled."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import flow_library
import pytest


def amd_headers() -> Path | None:
    """AMD's ap_int.h and hls_stream.h out of the hls4ml wheel, which is not imported."""
    found = importlib.util.find_spec("hls4ml")
    if found is None or not found.submodule_search_locations:
        return None
    folder = Path(found.submodule_search_locations[0]) / "templates" / "vivado" / "ap_types"
    return folder if (folder / "ap_int.h").exists() else None


@pytest.fixture(scope="session")
def amd() -> Path:
    folder = amd_headers()
    if folder is None:
        pytest.skip("AMD's ap_int.h is not here: pip install --no-deps hls4ml")
    return folder


@pytest.fixture(scope="session", autouse=True)
def _clean() -> object:
    yield
    flow_library.clean()
