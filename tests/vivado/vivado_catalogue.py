"""The catalogue behind the model of Vivado and Vitis HLS: read, checked, written as Tcl."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
FOLDER = HERE / "catalogue"
PUBLIC = HERE / "public"
STUB = HERE / "stub"
ROLES = {"clock", "reset", "interrupt", "data"}
PROTOCOLS = {"axi", "axis", "other"}


@dataclass(frozen=True)
class Citation:
    """An entry of the catalogue: the word as it stands in the public file."""

    entry: str
    word: str
    source: str


def _read(*names: str) -> dict[str, Any]:
    merged: dict[str, Any] = {}
    for name in names:
        merged |= tomllib.loads((FOLDER / name).read_text(encoding="utf-8"))
    return merged


@cache
def sources() -> dict[str, dict[str, str]]:
    """Public files by key."""
    return _read("sources.toml")


@cache
def commands() -> dict[str, dict[str, Any]]:
    return _read("commands.toml")


@cache
def ips() -> dict[str, dict[str, Any]]:
    return _read("ips.toml", "processing_systems.toml")


@cache
def properties() -> dict[str, dict[str, str]]:
    return _read("properties.toml")


def facts(script: str) -> list[str]:
    """What a public script uses, as `vivado_public.py --record` wrote it: one fact a line."""
    return (PUBLIC / f"{script}.txt").read_text(encoding="utf-8").splitlines()


def public_scripts() -> list[str]:
    """Keys of the public scripts whose facts are kept."""
    return sorted(path.stem for path in PUBLIC.glob("*.txt"))


@cache
def public_parameters(ip: str) -> dict[str, str]:
    """Parameters of a processing system that public scripts set: name -> the first script that sets it."""
    path = FOLDER / f"{ip}.txt"
    if not path.exists():
        return {}
    lines = (line.partition(":") for line in path.read_text(encoding="utf-8").splitlines())
    return {name: source for source, _, names in lines for name in names.split()}


def parameters(ip: str) -> dict[str, str]:
    """Every parameter of an IP that the model accepts, with its source."""
    return {**public_parameters(ip), **ips()[ip].get("parameters", {})}


def _word(name: str) -> str:
    """A name as a script writes it: the first of a numbered family stands for all."""
    return name.replace("%02d", "00").replace("%d", "0")


def citations() -> Iterator[Citation]:
    """Every entry with what to look for and where."""
    for name, command in commands().items():
        bare = name.removeprefix("hls::")
        yield Citation(f"command {name}", bare, command["source"])
        for option, source in {**command.get("flags", {}), **command.get("values", {})}.items():
            yield Citation(f"{name} {option}", option, source)
    for kind, names in properties().items():
        for name, source in names.items():
            yield Citation(f"property {kind} {name}", name, source)
    for ip, facts_of in ips().items():
        yield Citation(f"ip {ip}", "hls" if ip == "hls_kernel" else ip, facts_of["source"])
        for name, source in parameters(ip).items():
            yield Citation(f"{ip} {name}", name, source)
        for name in facts_of.get("preset", {}):
            yield Citation(f"{ip} preset {name}", name, facts_of["preset_source"])
        for row in facts_of.get("pins", []):
            yield Citation(f"{ip}/{row[0]}", _word(row[0]), row[-1])
        for row in facts_of.get("interfaces", []):
            yield Citation(f"{ip}/{row[0]}", _word(row[0]), row[-1])
        for row in (*facts_of.get("segments", []), *facts_of.get("spaces", [])):
            yield Citation(f"{ip}/{row[0]}", row[0], row[-1])


def _list(items: Any) -> str:
    """A Tcl list."""
    return " ".join("{" + (_list(item) if isinstance(item, list | tuple) else str(item)) + "}" for item in items)


def _dict(values: dict[str, Any]) -> str:
    return _list([word for pair in values.items() for word in pair])


def tcl(tool: str) -> str:
    """The catalogue of a tool as Tcl."""
    lines = ["namespace eval stub {}"]
    for name, command in commands().items():
        if command["tool"] == tool:
            entry = (
                *command["arguments"],
                _list(command.get("flags", {})),
                _list(command.get("values", {})),
            )
            lines.append(f"set stub::command({name}) [list {_list(entry)}]")
    lines += [f"set stub::property({kind}) {{{_list(names)}}}" for kind, names in properties().items()]
    for name, ip in ips().items():
        entry = {
            "parameters": _list(parameters(name)),
            "defaults": _dict(ip.get("defaults", {})),
            "allowed": _dict(ip.get("allowed", {})),
            "interconnect": int(ip.get("interconnect", False)),
            "pins": _list([row[:-1] for row in ip.get("pins", [])]),
            "interfaces": _list([row[:-1] for row in ip.get("interfaces", [])]),
            "segments": _list([row[:-1] for row in ip.get("segments", [])]),
            "spaces": _list([row[:-1] for row in ip.get("spaces", [])]),
            "window": ip.get("window", {}).get("offset", "0"),
        }
        if "preset" in ip or "external" in ip:
            entry["preset"] = _dict(ip.get("preset", {}))
        lines.append(f"set stub::ip({name}) {{{_dict(entry)}}}")
    return "\n".join(lines) + "\n"
