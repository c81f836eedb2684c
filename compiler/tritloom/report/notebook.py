"""A Jupyter notebook (nbformat 4.5) from a Python script in percent format, as editors know it.

A line ``# %%`` begins a code cell, ``# %% [markdown]`` one of text, whose lines are comments.
"""

from __future__ import annotations

import json
from typing import Any

_MARK = "# %%"
_TEXT = "# %% [markdown]"


def notebook(script: str) -> str:
    """The notebook as JSON; the same text for the same script.

    >>> document = json.loads(notebook("# %% [markdown]\\n# # Title\\n\\n# %%\\nprint(1)\\n"))
    >>> [(cell["cell_type"], cell["source"]) for cell in document["cells"]]
    [('markdown', ['# Title']), ('code', ['print(1)'])]
    """
    cells: list[tuple[bool, list[str]]] = []
    for line in script.splitlines():
        if line.startswith(_MARK):
            cells.append((line.rstrip() == _TEXT, []))
        elif cells:
            cells[-1][1].append(line)
    document = {
        "cells": [_cell(index, is_text, lines) for index, (is_text, lines) in enumerate(cells)],
        "metadata": {
            "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
            "language_info": {"name": "python"},
        },
        "nbformat": 4,
        "nbformat_minor": 5,
    }
    return json.dumps(document, indent=1, ensure_ascii=False) + "\n"


def _cell(index: int, is_text: bool, lines: list[str]) -> dict[str, Any]:
    if is_text:
        lines = [line.removeprefix("#").removeprefix(" ") for line in lines]
    text = "\n".join(lines).strip("\n")
    common = {"id": f"cell-{index}", "metadata": {}, "source": text.splitlines(keepends=True)}
    if is_text:
        return {"cell_type": "markdown", **common}
    return {"cell_type": "code", "execution_count": None, "outputs": [], **common}
