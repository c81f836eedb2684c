# Vitis HLS: the order of its steps.

namespace eval stub {
  variable hls
  array set hls {project "" solution "" top "" files 0 testbench 0 part "" clock "" synthesised 0}
}

proc stub::hls_ready {command args} {
  variable hls
  foreach what [list project solution top part clock {*}$args] {
    if {$hls($what) eq "" || $hls($what) eq "0"} { fail "$command without $what" }
  }
}

stub::define hls::open_project { set stub::hls(project) [lindex $rest 0] }
stub::define hls::open_solution {
  if {$stub::hls(project) eq ""} { stub::fail "open_solution without a project" }
  if {[stub::option $options -flow_target vivado] ni {vivado vitis}} { stub::fail "open_solution -flow_target [dict get $options -flow_target]" }
  set stub::hls(solution) [lindex $rest 0]
  stub::note flow [stub::option $options -flow_target]
}
if {$stub::setting(component)} {
  stub::define hls::open_component {
    set stub::hls(project) [lindex $rest 0]
    set stub::hls(solution) [lindex $rest 0]
    stub::note flow [stub::option $options -flow_target]
  }
}
stub::define hls::set_top { set stub::hls(top) [lindex $rest 0] }
stub::define hls::add_files {
  if {$stub::hls(project) eq ""} { stub::fail "add_files without a project" }
  foreach file [lindex $rest 0] {
    if {!$stub::setting(any_file) && ![file exists $file]} { stub::fail "add_files: no $file" }
  }
  set stub::hls([expr {[dict exists $options -tb] ? "testbench" : "files"}]) 1
}
stub::define hls::set_part {
  set stub::hls(part) [lindex $rest 0]
  stub::note part [lindex $rest 0]
}
stub::define hls::create_clock {
  stub::need $options create_clock -period
  if {![regexp {^[0-9.]+(MHz|ns)?$} [dict get $options -period]]} { stub::fail "create_clock -period [dict get $options -period]" }
  set stub::hls(clock) [dict get $options -period]
  stub::note clock [dict get $options -period]
}
stub::define hls::set_clock_uncertainty {}
foreach command {config_export config_compile config_interface} {
  stub::define hls::$command {
    if {$stub::hls(solution) eq ""} { stub::fail "a configuration without a solution" }
    stub::note config {*}$options
  }
}
stub::define hls::csim_design { stub::hls_ready csim_design files testbench; stub::note step csim }
stub::define hls::csynth_design {
  stub::hls_ready csynth_design files
  set stub::hls(synthesised) 1
  stub::note step csynth
}
stub::define hls::cosim_design { stub::hls_ready cosim_design testbench synthesised; stub::note step cosim }
stub::define hls::export_design {
  stub::hls_ready export_design synthesised
  if {[stub::option $options -format ip_catalog] ni {ip_catalog xo}} { stub::fail "export_design -format [dict get $options -format]" }
  stub::note step export
  stub::note export {*}$options
}
