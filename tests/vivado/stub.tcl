# A small strict model of the Vivado commands that build.tcl uses. An unknown command, option, IP, pin or parameter
# is an error; validate_bd_design checks that every clock, reset, AXI port and interrupt is connected exactly once.
# Settings from the test: stub(wns), stub(progress), stub(hwh) (text of the .hwh), stub(ips), stub(boards), stub(ports).

array set stub_kind {}
array set stub_config {}
array set stub_driver {}
array set stub_intf {}
set stub_assigned 0
set stub_validated 0
set stub_log {}

proc stub_fail {message} { error "stub: $message" }
proc stub_note {args} { lappend ::stub_log $args }

# {direction role} of each pin; roles: clock reset interrupt. Interfaces: master or slave.
proc stub_pins {cell} {
  set kind $::stub_kind($cell)
  upvar #0 stub_config config
  switch $kind {
    proc_sys_reset { return {slowest_sync_clk in ext_reset_in in peripheral_aresetn out} }
    tritloom { return {ap_clk in ap_rst_n in interrupt out} }
    axi_intc { return {s_axi_aclk in s_axi_aresetn in intr in irq out} }
    smartconnect { return {aclk in aresetn in} }
    processing_system7 {
      set pins {FCLK_CLK0 out FCLK_RESET0_N out M_AXI_GP0_ACLK in}
      if {[stub_is $cell PCW_USE_FABRIC_INTERRUPT] && [stub_is $cell PCW_IRQ_F2P_INTR]} { lappend pins IRQ_F2P in }
      foreach n {0 1 2 3} { if {[stub_is $cell PCW_USE_S_AXI_HP$n]} { lappend pins S_AXI_HP${n}_ACLK in } }
      return $pins
    }
    zynq_ultra_ps_e {
      set pins {pl_clk0 out pl_resetn0 out}
      if {[stub_is $cell PSU__USE__M_AXI_GP0]} { lappend pins maxihpm0_fpd_aclk in }
      if {[stub_is $cell PSU__USE__IRQ0]} { lappend pins pl_ps_irq0 in }
      foreach {n name} {0 hpc0 1 hpc1 2 hp0 3 hp1 4 hp2 5 hp3} {
        if {[stub_is $cell PSU__USE__S_AXI_GP$n]} { lappend pins saxi${name}_fpd_aclk in }
      }
      return $pins
    }
  }
}

proc stub_intfs {cell} {
  set kind $::stub_kind($cell)
  switch $kind {
    tritloom {
      set found {s_axi_control slave m_axi_gains master m_axi_governor master m_axi_io master}
      for {set p 0} {$p < $::stub(ports)} {incr p} { lappend found m_axi_port$p master }
      return $found
    }
    axi_intc { return {s_axi slave} }
    smartconnect {
      set found {}
      for {set n 0} {$n < [stub_value $cell NUM_SI]} {incr n} { lappend found [format S%02d_AXI $n] slave }
      for {set n 0} {$n < [stub_value $cell NUM_MI]} {incr n} { lappend found [format M%02d_AXI $n] master }
      return $found
    }
    processing_system7 {
      set found {M_AXI_GP0 master}
      foreach n {0 1 2 3} { if {[stub_is $cell PCW_USE_S_AXI_HP$n]} { lappend found S_AXI_HP$n slave } }
      return $found
    }
    zynq_ultra_ps_e {
      set found {}
      if {[stub_is $cell PSU__USE__M_AXI_GP0]} { lappend found M_AXI_HPM0_FPD master }
      foreach {n name} {0 HPC0 1 HPC1 2 HP0 3 HP1 4 HP2 5 HP3} {
        if {[stub_is $cell PSU__USE__S_AXI_GP$n]} { lappend found S_AXI_${name}_FPD slave }
      }
      return $found
    }
    default { return {} }
  }
}

proc stub_value {cell name} {
  if {![info exists ::stub_config($cell,$name)]} { return 0 }
  return $::stub_config($cell,$name)
}
proc stub_is {cell name} { return [expr {[stub_value $cell $name] eq "1"}] }

set stub_parameters(zynq_ultra_ps_e) {PSU__FPGA_PL0_ENABLE PSU__CRL_APB__PL0_REF_CTRL__FREQMHZ PSU__USE__IRQ0
  PSU__USE__M_AXI_GP0 PSU__USE__M_AXI_GP1 PSU__USE__M_AXI_GP2}
foreach n {0 1 2 3 4 5} { lappend stub_parameters(zynq_ultra_ps_e) PSU__USE__S_AXI_GP$n PSU__SAXIGP${n}__DATA_WIDTH }
set stub_parameters(processing_system7) {PCW_EN_CLK0_PORT PCW_FPGA0_PERIPHERAL_FREQMHZ PCW_USE_FABRIC_INTERRUPT
  PCW_IRQ_F2P_INTR PCW_USE_M_AXI_GP0}
foreach n {0 1 2 3} { lappend stub_parameters(processing_system7) PCW_USE_S_AXI_HP$n PCW_S_AXI_HP${n}_DATA_WIDTH }
set stub_parameters(smartconnect) {NUM_SI NUM_MI}
set stub_parameters(axi_intc) {C_KIND_OF_INTR C_KIND_OF_EDGE C_IRQ_CONNECTION}
set stub_parameters(proc_sys_reset) {}
set stub_parameters(tritloom) {}

# ---------------------------------------------------------------- project commands
proc create_project {args} {
  if {[llength $args] != 5 || [lindex $args 0] ne "-force" || [lindex $args 3] ne "-part"} { stub_fail "create_project $args" }
  file mkdir [lindex $args 2]
  set ::stub_part [lindex $args 4]
}
proc current_project {} { return project }
proc current_fileset {} { return sources_1 }
proc update_ip_catalog {} {}
proc get_board_parts {quiet pattern} {
  if {$quiet ne "-quiet"} { stub_fail "get_board_parts $quiet" }
  return [lsearch -all -inline $::stub(boards) $pattern]
}
proc get_ipdefs {quiet pattern} {
  if {$quiet ne "-quiet"} { stub_fail "get_ipdefs $quiet" }
  return [lsearch -all -inline $::stub(ips) $pattern]
}
proc set_property {args} {
  if {[lindex $args 0] eq "-dict"} {
    lassign $args - properties cell
    if {![info exists ::stub_kind($cell)]} { stub_fail "set_property: no cell $cell" }
    foreach {name value} $properties {
      if {![regexp {^CONFIG\.(.+)$} $name - short]} { stub_fail "property $name" }
      if {$short ni $::stub_parameters($::stub_kind($cell))} { stub_fail "$::stub_kind($cell) has no parameter $short" }
      set ::stub_config($cell,$short) $value
    }
    return
  }
  lassign $args name value object
  if {[llength $args] != 3 || $name ni {board_part ip_repo_paths top}} { stub_fail "set_property $args" }
  stub_note property $name $value
}

# ---------------------------------------------------------------- block design
proc create_bd_design {name} { set ::stub_design $name }
proc create_bd_cell {args} {
  if {[lindex $args 0] ne "-type" || [lindex $args 1] ne "ip" || [lindex $args 2] ne "-vlnv"} { stub_fail "create_bd_cell $args" }
  lassign [lrange $args 3 4] vlnv name
  if {$vlnv ni $::stub(ips)} { stub_fail "no IP $vlnv" }
  if {[info exists ::stub_kind($name)]} { stub_fail "cell $name exists" }
  set ::stub_kind($name) [lindex [split $vlnv :] 2]
  return $name
}
proc get_bd_cells {name} {
  if {![info exists ::stub_kind($name)]} { stub_fail "no cell $name" }
  return $name
}
proc apply_bd_automation {args} {
  if {[lindex $args 0] ne "-rule" || [lindex $args 2] ne "-config" || [llength $args] != 5} { stub_fail "apply_bd_automation $args" }
  array set config [lindex $args 3]
  if {$config(apply_board_preset) != 1} { stub_fail "no board preset" }
}
proc get_bd_pins {path} {
  lassign [split $path /] cell pin
  if {![dict exists [stub_pins [get_bd_cells $cell]] $pin]} { stub_fail "$::stub_kind($cell) $cell has no pin $pin" }
  return $path
}
proc get_bd_intf_pins {path} {
  lassign [split $path /] cell pin
  if {![dict exists [stub_intfs [get_bd_cells $cell]] $pin]} { stub_fail "$::stub_kind($cell) $cell has no interface $pin" }
  return $path
}
proc stub_direction {path what} {
  lassign [split $path /] cell pin
  return [dict get [stub_$what $cell] $pin]
}
proc connect_bd_net {from to} {
  if {[stub_direction $from pins] ne "out"} { stub_fail "$from drives nothing" }
  if {[stub_direction $to pins] ne "in"} { stub_fail "$to is an output" }
  if {[info exists ::stub_driver($to)]} { stub_fail "$to is connected twice" }
  set ::stub_driver($to) $from
}
proc connect_bd_intf_net {master slave} {
  if {[stub_direction $master intfs] ne "master" || [stub_direction $slave intfs] ne "slave"} { stub_fail "direction of $master, $slave" }
  foreach {end other} [list $master $slave $slave $master] {
    if {[info exists ::stub_intf($end)]} { stub_fail "$end is connected twice" }
    set ::stub_intf($end) $other
  }
}
proc assign_bd_address {} { set ::stub_assigned 1 }
proc validate_bd_design {} {
  if {!$::stub_assigned} { stub_fail "no addresses assigned" }
  foreach cell [array names ::stub_kind] {
    foreach {pin direction} [stub_pins $cell] {
      if {$direction eq "in" && ![info exists ::stub_driver($cell/$pin)]} { stub_fail "$cell/$pin is not connected" }
    }
    foreach {pin direction} [stub_intfs $cell] {
      if {![info exists ::stub_intf($cell/$pin)]} { stub_fail "$cell/$pin is not connected" }
    }
  }
  set ::stub_validated 1
}
proc save_bd_design {} {}

# ---------------------------------------------------------------- products and runs
proc get_files {name} { return $name }
proc generate_target {what design} {
  if {!$::stub_validated} { stub_fail "generate_target before validate_bd_design" }
  if {$::stub(hwh) eq ""} { return }
  set folder [file join $::build $::stub_design.gen sources_1 bd $::stub_design hw_handoff]
  file mkdir $folder
  set handle [open [file join $folder $::stub_design.hwh] w]
  puts $handle $::stub(hwh)
  close $handle
}
proc make_wrapper {args} { return [file join $::build wrapper.v] }
proc add_files {args} {}
proc update_compile_order {args} {}
proc get_runs {name} {
  if {$name ni {synth_1 impl_1}} { stub_fail "run $name" }
  return $name
}
proc launch_runs {name args} { stub_note launch $name }
proc wait_on_run {name} {
  if {$name eq "impl_1"} {
    set folder [file join $::build $::stub_design.runs impl_1]
    file mkdir $folder
    close [open [file join $folder ${::stub_design}_wrapper.bit] w]
  }
}
proc get_property {name object} {
  switch $name {
    PROGRESS { return [expr {$object eq $::stub(fails) ? "40%" : "100%"}] }
    STATUS { return "synth_design ERROR" }
    DIRECTORY { return [file join $::build $::stub_design.runs $object] }
    STATS.WNS { return $::stub(wns) }
    STATS.WHS { return 0.011 }
    default { stub_fail "property $name" }
  }
}
proc open_run {name} {}
proc report_utilization {args} {}
proc report_timing_summary {args} {}
