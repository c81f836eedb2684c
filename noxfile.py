"""The runtime's tests on each pynq that its boards' images have: `nox` runs all that this machine has a Python for.

`make test` covers 3.1.2 on the present Python; this covers the others. A session needs the interpreter of its image
on the path (python3.10, python3.11, python3.12; pyenv does); one that is missing is skipped.
"""

from __future__ import annotations

import nox

nox.options.error_on_missing_interpreters = False
nox.options.default_venv_backend = "venv"

IMAGES = (
    ("3.0.1", "3.10"),  # Kria (KV260, KR260, KD240), Ultra96-V2, RFSoC4x2
    ("3.1.2", "3.11"),  # PYNQ-Z1, PYNQ-Z2, ZCU104, AUP-ZU3
    ("4.0.0", "3.12"),  # ZCU104; no Zynq-7000
)
"""Versions of pynq, and the Python that their tests run on here; the images of 3.1 have 3.10."""


@nox.session(name="runtime")
@nox.parametrize(
    ("python", "pynq"),
    [nox.param(python, pynq, id=f"pynq-{pynq}") for pynq, python in IMAGES],
)
def runtime(session: nox.Session, pynq: str) -> None:
    """The runtime, its emulated device in strict mode, and Alveo over a stand-in for pyxrt."""
    pins = ("numpy<2", "pycparser<3", "setuptools<81", "wheel")
    session.install(*pins)
    session.install(f"pynq=={pynq}", *pins)
    session.install("hypothesis>=6.100", "pytest>=8", "tokenizers>=0.20")
    session.run(
        "python", "-c", "import pynq, sys; print('pynq', pynq.__version__, 'on Python', sys.version.split()[0])"
    )
    session.run("python", "-m", "pytest", "tests/runtime", *session.posargs, env={"PYTHONPATH": "compiler"})
