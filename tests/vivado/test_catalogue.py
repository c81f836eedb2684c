"""The catalogue behind the model: every entry cites a public file, and what public scripts use is in it."""

from __future__ import annotations

import re

import pytest
import vivado_catalogue as catalogue


def test_every_entry_cites_a_public_file() -> None:
    cited = list(catalogue.citations())
    assert len(cited) > 1500
    unknown = {citation.source for citation in cited} - set(catalogue.sources())
    assert unknown == set()
    for entry in catalogue.sources().values():
        assert re.fullmatch(r"[\w-]+/[\w.-]+", entry["repository"])
        assert re.fullmatch(r"[0-9a-f]{40}", entry["commit"])
        assert entry["path"].endswith((".tcl", ".hwh", ".xml"))


def test_no_source_stands_idle() -> None:
    cited = {citation.source for citation in catalogue.citations()}
    scripts = set(catalogue.public_scripts())
    assert set(catalogue.sources()) - cited - scripts == set()


def test_rows_are_well_formed() -> None:
    for name, ip in catalogue.ips().items():
        for pin, role, direction, _, _ in ip.get("pins", []):
            assert (role in catalogue.ROLES, direction in ("in", "out")) == (True, True), f"{name}/{pin}"
        interfaces = {row[0] for row in ip.get("interfaces", [])}
        for interface, protocol, mode, clock, _, _ in ip.get("interfaces", []):
            assert (protocol in catalogue.PROTOCOLS, mode in ("master", "slave")) == (True, True), f"{name}/{interface}"
            assert clock in {row[0] for row in ip["pins"] if row[1] == "clock"} | {""}
        assert {row[1] for row in (*ip.get("segments", []), *ip.get("spaces", []))} <= interfaces


def test_conditions_ask_for_parameters_that_have_a_default() -> None:
    for name, ip in catalogue.ips().items():
        for row in (*ip.get("pins", []), *ip.get("interfaces", []), *ip.get("segments", [])):
            condition = row[-2]
            asked = set(re.findall(r"\$(\w+)", condition)) | set(re.findall(r"^each (\w+)$", condition))
            assert asked <= set(ip.get("defaults", {})), f"{name}: {condition}"


def test_ten_public_designs_are_kept_as_facts() -> None:
    assert len(catalogue.public_scripts()) >= 10


@pytest.mark.parametrize("script", catalogue.public_scripts())
def test_what_a_public_script_uses_is_in_the_catalogue(script: str) -> None:
    pins = {
        ip: {re.sub(r"%\d*d|\d+", "N", row[0], count=1) for row in facts.get("pins", [])}
        for ip, facts in catalogue.ips().items()
    }
    for fact in catalogue.facts(script):
        kind, *words = fact.split()
        if kind == "command":
            assert words[0] in catalogue.commands(), fact
        elif kind == "option":
            command = catalogue.commands()[words[0]]
            assert words[1] in {**command.get("flags", {}), **command.get("values", {})}, fact
        elif kind == "property":
            assert words[1] in catalogue.properties()[words[0]], fact
        elif kind == "parameter":
            assert words[1] in catalogue.parameters(words[0]), fact
        elif kind == "pin":
            assert words[1] in pins[words[0]], fact
        elif kind == "ip":
            assert words[0] in catalogue.ips(), fact
        else:
            assert kind in ("interface", "segment"), fact
