# Project, files, properties, runs.

namespace eval stub {
  variable project ""
  variable folder ""
  variable part ""
  variable board ""
  variable top ""
  variable generated 0
  variable run_state
  array set run_state {synth_1 waiting impl_1 waiting}
  variable open_run ""
}

proc stub::touch {path {text ""}} {
  file mkdir [file dirname $path]
  set handle [open $path w]
  puts -nonewline $handle $text
  close $handle
}
proc stub::sources {} { variable folder; variable project; return [file join $folder $project.srcs sources_1] }
proc stub::design_file {} { variable design; return [file join [sources] bd $design $design.bd] }
proc stub::run_folder {run} { variable folder; variable project; return [file join $folder $project.runs $run] }
proc stub::known_run {name} {
  variable run_state
  if {![info exists run_state($name)]} { fail "there is no run $name" }
  return $name
}

stub::define create_project {
  lassign $rest name folder
  if {$stub::project ne ""} { stub::fail "create_project: project $stub::project is open" }
  set stub::folder [expr {$folder eq "" ? "." : $folder}]
  if {[file exists [file join $stub::folder $name.xpr]] && ![dict exists $options -force]} { stub::fail "create_project: $name exists" }
  set stub::project $name
  set stub::part [stub::option $options -part]
  if {$stub::part ni $stub::setting(parts)} { stub::fail "create_project: part '$stub::part' is not installed" }
  stub::touch [file join $stub::folder $name.xpr] "$name $stub::part"
}
stub::define open_project {
  set file [lindex $rest 0]
  if {![file exists $file]} { stub::fail "open_project: no $file" }
  set stub::project [file rootname [file tail $file]]
  set stub::folder [file dirname $file]
}
stub::define current_project {
  if {$stub::project eq ""} { stub::fail "no project is open" }
  return project
}
stub::define get_projects { return $stub::project }
stub::define current_fileset { return sources_1 }
stub::define update_ip_catalog {}
stub::define version { return $stub::setting(version) }
stub::define get_board_parts { return [lsearch -all -inline $stub::setting(boards) [lindex $rest 0]] }
stub::define set_param {
  if {[lindex $rest 0] ne "board.repoPaths"} { stub::fail "set_param: unknown parameter [lindex $rest 0]" }
}
stub::define xhub::get_xstores { return xilinx_board_store }
stub::define get_ipdefs { return [stub::installed [lindex $rest 0]] }
stub::define common::send_msg_id { stub::note {*}$rest }
stub::define common::send_gid_msg { stub::note {*}$rest }
stub::define add_files {
  foreach file [lindex $rest 0] {
    if {![file exists $file]} { stub::fail "add_files: no $file" }
  }
}
stub::define update_compile_order {
  stub::need $options update_compile_order -fileset
  if {[dict get $options -fileset] ni {sources_1 sim_1}} { stub::fail "no file set [dict get $options -fileset]" }
}
stub::define get_files {
  set name [lindex $rest 0]
  if {[file exists $name]} { return $name }
  if {$stub::design ne "" && $name eq "$stub::design.bd"} { return [stub::design_file] }
  if {[dict exists $options -quiet]} { return "" }
  stub::fail "get_files: no $name in the project"
}

stub::define set_property {
  if {[dict exists $options -dict]} {
    if {[llength $rest] != 1} { stub::fail "set_property -dict takes one object" }
    set pairs [dict get $options -dict]
    if {[llength $pairs] % 2} { stub::fail "set_property -dict: [llength $pairs] words" }
    foreach {name value} $pairs { stub::change [lindex $rest 0] $name $value }
  } else {
    if {[llength $rest] != 3} { stub::fail "set_property takes name, value, object" }
    stub::change [lindex $rest 2] [lindex $rest 0] [lindex $rest 1]
  }
}

proc stub::object_kind {object} {
  variable run_state
  variable cell_ip
  variable design
  if {$object eq "project"} { return project }
  if {$object eq "sources_1"} { return fileset }
  if {$object eq "xilinx_board_store"} { return store }
  if {[info exists run_state($object)]} { return run }
  if {$object eq "/" || [info exists cell_ip([path $object])]} { return cell }
  if {$object eq $design} { return design }
  if {[file exists $object]} { return file }
  fail "there is no object $object"
}

proc stub::change {object name value} {
  variable board
  variable top
  set kind [object_kind $object]
  if {$kind eq "cell" && [regexp {^CONFIG\.(.+)$} $name - short]} {
    set_parameter [path $object] $short $value
    return
  }
  check_property $kind $name
  if {$kind eq "run"} { fail "property $name of a run cannot be set" }
  if {[string tolower $name] eq "board_part"} {
    variable setting
    if {$value ni $setting(boards)} { fail "board part $value is not installed" }
    set board $value
  }
  if {$name eq "top"} { set top $value }
  note property $name $value
}

stub::define get_property {
  lassign $rest name object
  set kind [stub::object_kind $object]
  stub::check_property $kind $name
  switch $name {
    TYPE { return [expr {$object eq "/" ? "hier" : "ip"}] }
    NAME { return $object }
    LOCAL_ROOT_DIR { return [pwd] }
    PROGRESS { return [expr {$stub::run_state($object) eq "done" ? "100%" : "40%"}] }
    STATUS { return [expr {$stub::run_state($object) eq "done" ? "Complete!" : "synth_design ERROR"}] }
    DIRECTORY { return [stub::run_folder $object] }
    STATS.WNS { return $stub::setting(wns) }
    STATS.WHS { return $stub::setting(whs) }
  }
  stub::fail "property $name of $kind is not modelled"
}

stub::define generate_target {
  if {!$stub::valid} { stub::fail "generate_target before validate_bd_design" }
  if {[lindex $rest 0] ne "all"} { stub::fail "generate_target [lindex $rest 0]" }
  set stub::generated 1
  if {$stub::setting(hwh)} { stub::write_hwh }
}

proc stub::write_hwh {} {
  variable cell_ip
  variable folder
  variable project
  variable design
  set text "<EDKSYSTEM>\n"
  foreach cell [lsort [array names cell_ip]] {
    append text "<MODULE FULLNAME=\"/$cell\" MODTYPE=\"[lindex [split $cell_ip($cell) :] 2]\" VLNV=\"$cell_ip($cell)\">\n"
    foreach name [dict keys [interfaces $cell]] { append text "<BUSINTERFACE NAME=\"$name\"/>\n" }
    append text "</MODULE>\n"
  }
  touch [file join $folder $project.gen sources_1 bd $design hw_handoff $design.hwh] "$text</EDKSYSTEM>\n"
}

stub::define save_bd_design {}
stub::define make_wrapper {
  stub::need $options make_wrapper -files -top
  set wrapper [file join [stub::sources] bd $stub::design hdl ${stub::design}_wrapper.v]
  stub::touch $wrapper
  return $wrapper
}

stub::define get_runs { return [stub::known_run [lindex $rest 0]] }
stub::define reset_run { set stub::run_state([stub::known_run [lindex $rest 0]]) waiting }
stub::define launch_runs {
  set run [stub::known_run [lindex $rest 0]]
  if {$stub::run_state($run) ne "waiting"} { stub::fail "$run has run already: reset_run" }
  if {![string is integer -strict [stub::option $options -jobs 1]]} { stub::fail "launch_runs -jobs [dict get $options -jobs]" }
  set step [stub::option $options -to_step]
  if {$step ni {"" write_bitstream route_design}} { stub::fail "launch_runs -to_step $step" }
  set stub::run_state($run) [list launched $step]
  stub::note launch $run
}
stub::define wait_on_run {
  set run [stub::known_run [lindex $rest 0]]
  if {[lindex $stub::run_state($run) 0] ne "launched"} { stub::fail "wait_on_run $run: it was not launched" }
  set step [lindex $stub::run_state($run) 1]
  set stub::run_state($run) [expr {$run eq $stub::setting(fails) ? "failed" : "done"}]
  if {$run eq "impl_1" && $step eq "write_bitstream" && $stub::run_state($run) eq "done"} {
    set name [expr {$stub::top eq "" ? "${stub::project}_wrapper" : $stub::top}]
    stub::touch [file join [stub::run_folder impl_1] $name.bit] bits
    stub::touch [file join [stub::run_folder impl_1] ${name}_timing_summary_routed.rpt] "All user specified timing constraints are met.\n"
    if {$stub::design ne "" && !$stub::generated && $stub::setting(hwh)} { stub::write_hwh }
  }
}
stub::define open_run {
  set run [stub::known_run [lindex $rest 0]]
  if {$stub::run_state($run) ne "done"} { stub::fail "open_run $run: it is not complete" }
  set stub::open_run $run
}
foreach command {report_utilization report_timing_summary report_power} {
  stub::define $command {
    if {$stub::open_run eq ""} { stub::fail "a report without an open run" }
    stub::touch [stub::option $options -file] $stub::open_run
  }
}
stub::define write_hw_platform { stub::touch [lindex $rest 0] }
stub::define validate_hw_platform {
  if {![file exists [lindex $rest 0]]} { stub::fail "validate_hw_platform: no $rest" }
}
