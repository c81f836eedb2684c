"""AMD's tools: find them, run them over a bundle, read their reports (docs/build.md). Not run on hardware."""

from __future__ import annotations

from .build import BuildOptions, BuildResult, Observer, StageResult, build_bundle
from .errors import ToolError
from .versions import Version

__all__ = ["BuildOptions", "BuildResult", "Observer", "StageResult", "ToolError", "Version", "build_bundle"]
