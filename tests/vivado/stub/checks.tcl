# What validate_bd_design refuses, and the stricter audit of a design of ours.

namespace eval stub { variable valid 0 }

# Both ends of an AXI connection run on one clock.
proc stub::check_clocks {} {
  variable peer
  variable driver
  foreach {end other} [array get peer] {
    set clocks {}
    foreach path [list $end $other] {
      lassign [split $path /] cell name
      if {$name eq ""} continue
      lassign [dict get [interfaces $cell] $name] protocol - clock
      if {$protocol ne "other" && [info exists driver($cell/$clock)]} { lappend clocks $driver($cell/$clock) }
    }
    if {[llength [lsort -unique $clocks]] > 1} { fail "$end and $other run on [join $clocks { and }]" }
  }
}

stub::define validate_bd_design {
  foreach cell [lsort [array names stub::cell_ip]] {
    dict for {pin facts} [stub::pins $cell] {
      if {$facts eq {clock in} && ![info exists stub::driver($cell/$pin)]} { stub::fail "clock pin $cell/$pin is not connected" }
    }
  }
  stub::check_clocks
  if {[set missing [stub::unmapped]] ne ""} { stub::fail "no address: [join $missing {, }]" }
  set stub::valid 1
}

# A design of ours: every clock, reset, interrupt and AXI port connected exactly once, every segment mapped.
proc stub::audit {} {
  variable cell_ip
  variable driver
  variable peer
  variable assigned
  variable preset
  foreach cell [lsort [array names cell_ip]] {
    dict for {pin facts} [pins $cell] {
      lassign $facts role direction
      # proc_sys_reset ties these two off itself.
      if {$pin in {aux_reset_in mb_debug_sys_rst}} continue
      if {$direction eq "in" && ![info exists driver($cell/$pin)]} { fail "$role $cell/$pin is not connected" }
      if {$role eq "interrupt" && $direction eq "out" && "$cell/$pin" ni [dict values [array get driver]]} {
        fail "interrupt $cell/$pin goes nowhere"
      }
    }
    dict for {name facts} [interfaces $cell] {
      if {![info exists peer($cell/$name)]} { fail "interface $cell/$name is not connected" }
    }
  }
  dict for {space reach} [map] {
    if {[dict size $reach] == 0} { fail "$space reaches nothing" }
    foreach segment [dict keys $reach] {
      if {![info exists assigned($space,$segment)]} { fail "$space has no address for $segment" }
    }
  }
  if {!$preset} { fail "the board's preset was not applied" }
  audit_interrupt
  audit_clock
}

# pynq looks for the controller between the kernel and the processing system, in edge mode.
proc stub::audit_interrupt {} {
  variable cell_ip
  foreach cell [array names cell_ip] {
    if {[kind $cell_ip($cell)] ne "axi_intc"} continue
    if {[parameter $cell C_KIND_OF_INTR.VALUE_SRC] ne "USER" || [parameter $cell C_KIND_OF_INTR] ne "0xFFFFFFFF"} {
      fail "$cell is not in edge mode"
    }
    if {[parameter $cell C_IRQ_CONNECTION] ne "1"} { fail "$cell: its output is a bus, not a single wire" }
    return
  }
  fail "there is no interrupt controller"
}

# Everything behind the clock wizard runs on its output, at the frequency of the board file.
proc stub::audit_clock {} {
  variable cell_ip
  variable driver
  variable setting
  foreach {path source} [array get driver] {
    lassign [split $path /] cell pin
    if {[dict exists [pins $cell] $pin] && [lindex [dict get [pins $cell] $pin] 0] eq "clock"
        && [kind $cell_ip($cell)] ne "clk_wiz" && [kind $cell_ip([lindex [split $source /] 0])] ne "clk_wiz"} {
      fail "$path runs on $source, not on the clock wizard"
    }
  }
  foreach cell [array names cell_ip] {
    if {[kind $cell_ip($cell)] eq "clk_wiz" && [parameter $cell CLKOUT1_REQUESTED_OUT_FREQ] != $setting(clock_mhz)} {
      fail "$cell makes [parameter $cell CLKOUT1_REQUESTED_OUT_FREQ] MHz, not $setting(clock_mhz)"
    }
  }
}
