"""Fake vitis_hls, vitis-run, vivado and v++: they take the real command lines and play real behaviours.

`install(folder, ...)` puts programs of these names into a folder for the PATH; each runs this file, which finds
its part in `scenario.json` beside it. They are strict: an option that the release does not have, a missing
input, a wrong working folder is an error, so a build that goes through has called the tools right.

Where the messages come from (figures and paths are ours):
- II violation: Xilinx/SLASH#51 (HLS 200-880), definelicht/hlslib#51 (HLS 200-1470, SCHED 204-61, HLS 200-42)
- HLS fails on a source: Xilinx/Vitis_Libraries#101 (HLS 207-), ScaleHLS-HIDA#12 (200-1715, 200-70)
- licence: lowRISC/opentitan#18098, Xilinx/AVED#5 (Common 17-345), verilog-ethernet#146 (17-348)
- a failed run: VoltCyclone/PCILeechFWGenerator#408 (Common 17-69, Vivado 12-13638, Common 17-39)
- timing: ptrkrysik/uhd#3 (Timing 38-282); for v++ firesim#1293, xup_vitis_network_example#42 (VPL 101-2, 101-3, 60-773)
- out of resources: optimsoc#70, Xilinx/QNN-MO-PYNQ#12 (Place 30-640)
- killed: Xilinx/kria-vitis-platforms#1, chipsalliance/VeeRwolf#51 (rdiArgs.sh: ... Killed)
- version banners: vitis-run and Vivado from public logs; those of vitis_hls -version and v++ --version *assumed*
- a full disk: the message is Linux's, where it appears is *assumed*
- ending without product and without complaint: *assumed*
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

NAMES = ("vitis_hls", "vitis-run", "vivado", "v++")
HERE = Path(__file__).resolve()


def install(folder: Path, names: tuple[str, ...] = NAMES, version: str = "2024.1", **behaviour: object) -> Path:
    """Put fakes into `folder`.

    Args:
        folder: becomes the folder of the programs.
        names: which of the four.
        version: release that they claim to be.
        behaviour: `hls`, `synth`, `impl`: what happens in that stage; `seconds`: stage -> how long it takes;
            `starts`: whether the program can; `stubborn`: it ignores SIGTERM.
    """
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(HERE, folder / "fake.py")
    shutil.copyfile(HERE.with_name("fake_reports.py"), folder / "fake_reports.py")
    (folder / "scenario.json").write_text(json.dumps({"version": version, **behaviour}))
    for name in names:
        program = folder / name
        program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -S "{folder / "fake.py"}" {name} "$@"\n')
        program.chmod(0o755)
    return folder


def calls(folder: Path) -> list[list[str]]:
    """The command lines that the fakes of a folder were called with, those for the version left out."""
    log = folder / "calls.jsonl"
    return [json.loads(line)["command"] for line in log.read_text().splitlines()] if log.is_file() else []


# ---------------------------------------------------------------- the programs

BANNER = {
    "vivado": "vivado v{0} (64-bit)\nTool Version Limit: 2025.12\nSW Build 5076996 on Wed May 22 18:36:09 MDT 2024",
    "vitis_hls": "Vitis HLS - High-Level Synthesis from C, C++ and OpenCL v{0} (64-bit)\nSW Build 5069499",
    "vitis-run": "\n****** vitis-run v{0} (64-bit)\n  **** SW Build 5074859 on 2024-05-20-23:21:20",
    "v++": "\n****** v++ v{0} (64-bit)\n  **** SW Build 5074859 on 2024-05-20-23:21:20",
}


class Fake:
    """One call of a fake."""

    def __init__(self, name: str, arguments: list[str]) -> None:
        self.name, self.arguments = name, arguments
        self.scenario = json.loads(HERE.with_name("scenario.json").read_text())
        self.version: str = self.scenario["version"]

    def main(self) -> int:
        if self.arguments in (["-version"], ["--version"]):
            if self.scenario.get("starts") is False:
                say("loader: error while loading shared libraries: libtinfo.so.5: cannot open shared object file")
                return 127
            say(BANNER[self.name].format(self.version))
            return 0
        with HERE.with_name("calls.jsonl").open("a") as log:
            log.write(json.dumps({"command": [self.name, *self.arguments], "folder": str(Path.cwd())}) + "\n")
        say(BANNER[self.name].format(self.version))
        return {"vivado": vivado, "vitis_hls": vitis_hls, "vitis-run": vitis_run, "v++": vpp}[self.name](self)

    def behaviour(self, stage: str) -> str:
        """What is to happen in a stage, after the time that it takes."""
        if self.scenario.get("stubborn"):
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
        time.sleep(float(self.scenario.get("seconds", {}).get(stage, 0)))
        what = str(self.scenario.get(stage, "success"))
        if what == "killed":
            say(
                f'/tools/Xilinx/Vivado/{self.version}/bin/rdiArgs.sh: line 309: 38014 Killed    "$RDI_PROG" "$@"',
            )
            os.kill(os.getpid(), signal.SIGKILL)
        if what == "disk":
            say("ERROR: [Common 17-300] cannot write: No space left on device")
        return what


def say(*lines: str) -> None:
    sys.stdout.write("\n".join(lines) + "\n")
    sys.stdout.flush()


def need(condition: object, message: str) -> None:
    """A misuse of the fake: what the real tool would refuse, or do wrong in silence."""
    if not condition:
        say(f"ERROR: [fake] {message}")
        sys.exit(1)


def options(arguments: list[str], flags: set[str], valued: set[str]) -> tuple[dict[str, str], list[str]]:
    """Options and the rest; an unknown one is an error."""
    found, rest, todo = {}, [], list(arguments)
    while todo:
        word = todo.pop(0)
        if word in valued:
            need(todo, f"{word} takes a value")
            found[word] = todo.pop(0)
        elif word in flags:
            found[word] = ""
        else:
            need(not word.startswith("-"), f"unknown option {word}")
            rest.append(word)
    return found, rest


# ---------------------------------------------------------------- HLS


def vitis_hls(fake: Fake) -> int:
    need(fake.version < "2025.1", "vitis_hls is not part of this release")
    given, rest = options(fake.arguments, set(), {"-f"})
    need(given.keys() == {"-f"} and not rest, "usage: vitis_hls -f SCRIPT")
    return run_tcl(fake, Path(given["-f"]))


def vitis_run(fake: Fake) -> int:
    given, rest = options(fake.arguments, {"--tcl", "--package"}, {"--mode", "--config", "--work_dir"})
    need(given.get("--mode") == "hls", "--mode hls is missing")
    if "--package" in given:
        need((Path(given["--work_dir"]) / "hls" / "syn").is_dir(), "--work_dir holds no compiled component")
        return export(fake, Path(given["--work_dir"]) / "hls", config_text(fake, given))
    need(fake.version >= "2023.2", "unknown option --tcl")
    need(len(rest) == 1, "usage: vitis-run --mode hls --tcl SCRIPT; the script takes no arguments")
    return run_tcl(fake, Path(rest[0]))


PRELUDE = """
proc told {args} { puts "@[join $args \\x01]"; flush stdout; gets stdin reply; if {$reply ne "ok"} { exit 1 } }
foreach {name allowed} {
  open_project {-reset} open_solution {-reset -flow_target} set_top {} add_files {-cflags -tb} set_part {}
  create_clock {-period -name} config_compile {-unsafe_math_optimizations} config_export {-format}
  config_interface {-m_axi_addr64 -m_axi_conservative_mode} csynth_design {} csim_design {-O -argv}
  cosim_design {-argv} export_design {-format -vendor -library -ipname -version -display_name -output}
} {
  proc $name {args} [format {
    foreach word $args {
      set option [lindex [split $word =] 0]
      if {[string match -* $word] && $option ne "-std" && [lsearch -exact {%s} $option] < 0} {
        puts "ERROR: \\[HLS 200-101\\] '%s': Unknown option '$word'."
        exit 1
      }
    }
    told %s {*}$args
  } $allowed $name $name]
}
if {$components} {
  rename open_project {}
  rename open_solution {}
  proc open_component {args} { told open_component {*}$args }
}
"""


def run_tcl(fake: Fake, script: Path) -> int:
    """Run the script in tclsh, with stand-ins for the commands of HLS that report back here."""
    need(script.is_file(), f"no such script {script}")
    components = int(fake.name == "vitis-run" and fake.version >= "2024.2")
    process = subprocess.Popen(
        ["tclsh"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, bufsize=1
    )
    assert process.stdin is not None
    assert process.stdout is not None
    driver = Path(".fake_driver.tcl")
    driver.write_text(f"set components {components}\n{PRELUDE}\nset argv0 {{{script}}}\nsource {{{script}}}\n")
    process.stdin.write(f"source {driver}\n")
    solution, kernel = Path(), {}
    for line in process.stdout:
        if not line.startswith("@"):
            say(line.rstrip("\n"))
            continue
        command, *words = line[1:].rstrip("\n").split("\x01")
        kernel[command] = words
        if command == "open_project":
            solution = Path(words[-1]) / "solution1"
        elif command == "open_component":
            solution = Path(next(word for word in words if not word.startswith("-"))) / "hls"
        failed = (command == "csynth_design" and csynth(fake, solution, kernel)) or (
            command == "export_design" and export(fake, solution, "\n".join(words))
        )
        process.stdin.write("failed\n" if failed else "ok\n")
    driver.unlink()
    return process.wait()


def config_text(fake: Fake, given: dict[str, str]) -> str:
    text = Path(given["--config"]).read_text()
    old = "flow_target=" in text
    need(old == (fake.version < "2026.1"), f"the config file's flow option is not one of {fake.version}")
    return text


def csynth(fake: Fake, solution: Path, kernel: dict[str, list[str]]) -> int:
    """C synthesis: the log and csynth.xml."""
    from fake_reports import csynth_log, csynth_xml

    need(kernel.get("set_top") in (["tritloom"], ["tritloom_flow"]), "the top function is none of ours")
    part = kernel["set_part"][0]
    period = float(kernel["create_clock"][kernel["create_clock"].index("-period") + 1])
    what = fake.behaviour("hls")
    say("INFO: [HLS 200-10] Starting hardware synthesis ...")
    if what == "source":
        say(
            "ERROR: [HLS 207-3777] use of undeclared identifier 'Beat' (include/tritloom/readers.h:53:8)",
            "ERROR: [HLS 200-1715] Encountered problem during source synthesis",
            "ERROR: [HLS 200-70] Pre-synthesis failed.",
        )
        return 1
    if what in ("licence", "disk"):
        if what == "licence":
            say(licence("HLS", part))
        return 1
    if what == "silent":
        return 0
    reports = solution / "syn" / "report"
    reports.mkdir(parents=True)
    say(csynth_log(what))
    (reports / "csynth.xml").write_text(csynth_xml(what, fake.version, part, period))
    return 0


def export(fake: Fake, solution: Path, how: str) -> int:
    kernel_object = "format=xo" in how or "-format\nxo" in how
    if kernel_object:
        Path("tritloom.xo").write_bytes(b"xo of " + os.urandom(8))
        return 0
    need("xilinx.com" in how and "tritloom" in how, "vendor and name of the IP are not set")
    (solution / "impl" / "ip").mkdir(parents=True)
    (solution / "impl" / "ip" / "component.xml").write_text(f"<spirit:component stamp='{os.urandom(8).hex()}'/>\n")
    Path("tritloom.zip").write_bytes(b"PK")
    return 0


def licence(feature: str, part: str) -> str:
    device = re.split(r"-", part)[0]
    return (
        f"WARNING: [Common 17-348] Failed to get the license for feature '{feature}' and/or device '{device}'.\n"
        f"ERROR: [Common 17-345] A valid license was not found for feature '{feature}' and/or device '{device}'. "
        "Please run the Vivado License Manager for assistance in determining which features and devices are licensed."
    )


# ---------------------------------------------------------------- Vivado


def vivado(fake: Fake) -> int:
    flags, valued = {"-nojournal", "-nolog", "-notrace"}, {"-mode", "-source"}
    cut = fake.arguments.index("-tclargs")
    given, rest = options(fake.arguments[:cut], flags, valued)
    need(given.get("-mode") == "batch" and given.get("-source") == "build.tcl" and not rest, "usage")
    jobs, stage = fake.arguments[cut + 1 :]
    need(int(jobs) > 0 and stage in ("synth", "impl"), "usage: -tclargs JOBS synth|impl")
    need(Path("build.tcl").is_file(), "no build.tcl in this folder")
    part = re.search(r"-part \{?([\w-]+)", Path("build.tcl").read_text())
    need(part, "build.tcl creates no project")
    need(list(Path("../hls").glob("**/component.xml")), "no IP matches xilinx.com:hls:tritloom:*")
    return {"synth": synthesis, "impl": implementation}[stage](fake, part[1] if part else "")


def run_of(name: str, *lines: str) -> None:
    """The log of a run, which Vivado does in a process of its own."""
    folder = Path("build", "tritloom.runs", name)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "runme.log").write_text("\n".join(lines) + "\n")


def failed_run(name: str) -> int:
    say(
        f"[Mon Sep  7 18:46:12 2026] {name} finished",
        f"ERROR: [Vivado 12-13638] Failed runs(s) : '{name}'",
        "ERROR: [Common 17-39] 'wait_on_runs' failed due to earlier errors.",
        f"ERROR: [tritloom] {name} ended as 'ERROR'",
    )
    return 1


def synthesis(fake: Fake, part: str) -> int:
    what = fake.behaviour("synth")
    if what == "licence":
        run_of(
            "synth_1",
            licence("Synthesis", part),
            "ERROR: [Common 17-69] Command failed: Synthesis failed - please see the console",
        )
        return failed_run("synth_1")
    if what == "disk":
        return 1
    if what == "crash":
        say(
            "ERROR: [Common 17-70] Application Exception",
            "    while executing",
            '"generate_target all $design"',
            '    (file "build.tcl" line 140)',
        )
        return 1
    run_of("synth_1", "INFO: [Synth 8-7079] Multithreading enabled for synth_design")
    if what != "silent":
        Path("build/tritloom.runs/synth_1/tritloom_wrapper.dcp").write_bytes(b"dcp" + os.urandom(8))
        Path("build/tritloom.xpr").write_text("<Project/>")
    return 0


def implementation(fake: Fake, part: str) -> int:
    from fake_reports import power, timing, utilisation, utilisation_by_hierarchy

    need(Path("build/tritloom.xpr").is_file(), "there is no project build/tritloom.xpr")
    need(list(Path("build").glob("tritloom.runs/synth_1/*.dcp")), "synth_1 has not run")
    what = fake.behaviour("impl")
    if what == "resources":
        run_of(
            "impl_1",
            "ERROR: [Place 30-640] Place Check : This design requires more LUT as Logic cells than are available in "
            "the target device. This design requires 60002 of such cell types but only 53200 compatible sites are "
            "available in the target device. Please analyze your synthesis results and constraints.",
        )
        return failed_run("impl_1")
    if what == "disk":
        return 1
    slack = -0.333 if what == "timing" else 0.113
    Path("build/utilization.rpt").write_text(utilisation(fake.version, part))
    Path("build/utilization_hierarchical.rpt").write_text(utilisation_by_hierarchy(fake.version, part))
    Path("build/timing.rpt").write_text(timing(fake.version, slack))
    Path("build/power.rpt").write_text(power(fake.version))
    if what == "timing":
        run_of("impl_1", "CRITICAL WARNING: [Timing 38-282] The design failed to meet the timing requirements.")
        say("ERROR: [tritloom] timing is not met: worst setup slack is '-0.333' ns")
        return 1
    if what == "silent":
        return 0
    Path("build/products/tritloom.bit").write_bytes(b"" if what == "empty" else b"bit" + os.urandom(16))
    Path("build/products/tritloom.hwh").write_text(f"<EDKSYSTEM stamp='{os.urandom(8).hex()}'/>\n")
    return 0


# ---------------------------------------------------------------- v++


def vpp(fake: Fake) -> int:
    flags = {"-c", "-l", "--save-temps"}
    valued = {"--mode", "--config", "--work_dir", "-t", "--temp_dir", "--jobs", "--to_step", "--from_step", "-o"}
    given, rest = options(fake.arguments, flags, valued)
    if "-c" in given:
        need(fake.version >= "2023.1", "--mode: unknown option")
        need(given.get("--mode") == "hls", "only --mode hls is played")
        text = config_text(fake, given)
        part = re.search(r"^part=(.+)$", text, re.MULTILINE)
        clock = re.search(r"^clock=([\d.]+)ns$", text, re.MULTILINE)
        need(part and clock and "syn.top=tritloom" in text, "the config file lacks part, clock or top")
        kernel = {"set_top": ["tritloom"], "set_part": [part[1]], "create_clock": ["-period", clock[1]]}
        return csynth(fake, Path(given["--work_dir"]) / "hls", kernel)
    return link(fake, given, rest)


def link(fake: Fake, given: dict[str, str], rest: list[str]) -> int:
    need(given.get("-t") == "hw" and "-o" in given, "usage: v++ -l -t hw ... -o FILE KERNEL.xo")
    need("platform=" in Path(given["--config"]).read_text(), "no platform")
    need(len(rest) == 1 and Path(rest[0]).suffix == ".xo" and Path(rest[0]).is_file(), "no kernel object")
    vpl = Path(given["--temp_dir"], "link", "vivado", "vpl", "prj", "prj.runs")
    if given.get("--to_step") == "vpl.synth":
        if fake.behaviour("synth") == "licence":
            say(licence("Synthesis", "xcu250-figd2104-2L-e"))
            return 1
        (vpl / "synth_1").mkdir(parents=True)
        (vpl / "synth_1" / "top.dcp").write_bytes(os.urandom(8))
        return 0
    need(given.get("--from_step") == "vpl.impl" and list(vpl.glob("*/*.dcp")), "vpl.synth has not run")
    if fake.behaviour("impl") == "timing":
        (vpl / "impl_1").mkdir()
        (vpl / "impl_1" / "runme.log").write_text(
            "ERROR: [VPL 101-2] design did not meet timing - Design did not meet timing. One or more unscalable system "
            "clocks did not meet their required target frequency.\n"
            "ERROR: [VPL 101-3] sourcing script _full_write_bitstream_pre.tcl failed\n"
        )
        say(
            "ERROR: [VPL 60-773] In 'runme.log', caught Tcl error: problem implementing dynamic region, "
            "impl_1: write_bitstream ERROR"
        )
        return 1
    Path(given["-o"]).write_bytes(b"xclbin" + os.urandom(16))
    return 0


if __name__ == "__main__":
    sys.path.insert(0, str(HERE.parent))
    sys.exit(Fake(sys.argv[1], sys.argv[2:]).main())
