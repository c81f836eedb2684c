# Commands of the block design: cells, pins, nets.

namespace eval stub {
  variable design ""
  variable driver
  variable peer
  variable port
  array set driver {}
  array set peer {}
  array set port {}
  variable preset 0
}

stub::define create_bd_design {
  if {$stub::project eq ""} { stub::fail "create_bd_design without a project" }
  set stub::design [lindex $rest 0]
  stub::touch [stub::design_file]
  return $stub::design
}
stub::define open_bd_design {
  set file [lindex $rest 0]
  if {![file exists $file]} { stub::fail "open_bd_design: no $file" }
  set stub::design [file rootname [file tail $file]]
}
stub::define current_bd_design {
  if {[llength $rest] > 0 && [lindex $rest 0] ne $stub::design} { stub::fail "current_bd_design: no design $rest" }
  return $stub::design
}
stub::define current_bd_instance { return / }

stub::define create_bd_cell {
  stub::need $options create_bd_cell -type -vlnv
  if {[dict get $options -type] ne "ip"} { stub::fail "create_bd_cell -type [dict get $options -type]" }
  if {$stub::design eq ""} { stub::fail "create_bd_cell without a design" }
  set name [lindex $rest 0]
  set found [stub::installed [dict get $options -vlnv]]
  if {[llength $found] == 0} { stub::fail "no IP [dict get $options -vlnv]" }
  if {[info exists stub::cell_ip($name)]} { stub::fail "there is a cell $name already" }
  set kind [stub::kind [lindex $found end]]
  if {![info exists stub::ip($kind)]} { stub::fail "the catalogue has no IP $kind" }
  stub::use ip $kind
  set stub::cell_ip($name) [lindex $found end]
  return /$name
}

stub::define get_bd_cells {
  if {[llength $rest] == 0} { return [lmap cell [lsort [array names stub::cell_ip]] {set cell /$cell}] }
  set name [stub::path [lindex $rest 0]]
  if {$name eq "" || $name eq "."} { return / }
  if {![info exists stub::cell_ip($name)]} { stub::fail "there is no cell $name" }
  return /$name
}

# The end of a net that a path names, and what it is: {path role direction}.
proc stub::pin {path} {
  variable cell_ip
  variable port
  set path [path $path]
  if {[info exists port($path)]} { return [list $path {*}$port($path)] }
  lassign [split $path /] cell name
  if {![info exists cell_ip($cell)]} { fail "there is no cell $cell" }
  set kind [kind $cell_ip($cell)]
  set pins [pins $cell]
  if {![dict exists $pins $name]} { fail "$kind $cell has no pin $name" }
  use pin $kind [regsub {\d+} $name N]
  return [list $path {*}[dict get $pins $name]]
}

stub::define get_bd_pins { return /[lindex [stub::pin [lindex $rest 0]] 0] }

stub::define get_bd_intf_pins {
  set path [stub::path [lindex $rest 0]]
  lassign [split $path /] cell name
  if {![info exists stub::cell_ip($cell)]} { stub::fail "there is no cell $cell" }
  set kind [stub::kind $stub::cell_ip($cell)]
  if {![dict exists [stub::interfaces $cell] $name]} { stub::fail "$kind $cell has no interface $name" }
  stub::use interface $kind [regsub {\d+} $name N]
  return /$path
}

# A port of the design is a pin seen from inside: an input drives.
stub::define create_bd_port {
  stub::need $options create_bd_port -dir
  set direction [dict get [dict create I out O in IO out] [dict get $options -dir]]
  set stub::port([lindex $rest 0]) [list data $direction]
  return /[lindex $rest 0]
}
stub::define get_bd_ports {
  if {![info exists stub::port([lindex $rest 0])]} { stub::fail "there is no port $rest" }
  return /[lindex $rest 0]
}
stub::define create_bd_intf_port {
  stub::need $options create_bd_intf_port -mode -vlnv
  set stub::port([lindex $rest 0]) {interface other}
  return /[lindex $rest 0]
}
stub::define get_bd_intf_ports {
  if {![info exists stub::port([lindex $rest 0])]} { stub::fail "there is no interface port $rest" }
  return /[lindex $rest 0]
}

# A clock input takes a clock only; everything else may carry levels of any role (a lock as a reset, a joined interrupt).
proc stub::fits {source target} {
  if {$target eq "clock" || $source eq "clock"} { return [expr {$source eq $target}] }
  if {$target eq "interrupt"} { return [expr {$source in {interrupt data}}] }
  if {$target eq "reset"} { return [expr {$source in {reset data}}] }
  return 1
}

stub::define connect_bd_net {
  set ends [lmap path $rest {stub::pin $path}]
  set outs [lsearch -all -inline -index 2 $ends out]
  set ins [lsearch -all -inline -index 2 $ends in]
  # A net that grows: any of its pins may stand for it.
  set known {}
  foreach end $ins {
    if {[info exists stub::driver([lindex $end 0])]} { lappend known $stub::driver([lindex $end 0]) }
  }
  set drivers [lsort -unique [concat [lmap end $outs {lindex $end 0}] $known]]
  if {[llength $drivers] > 1} { stub::fail "[join $drivers { and }] drive one net" }
  if {[llength $drivers] == 0} { stub::fail "connect_bd_net: nothing drives [join $rest]" }
  set source [stub::pin [lindex $drivers 0]]
  foreach end $ins {
    lassign $end path role
    if {$stub::setting(strict) && [info exists stub::driver($path)]} { stub::fail "$path is connected twice" }
    if {![stub::fits [lindex $source 1] $role]} {
      stub::fail "[lindex $source 0] ([lindex $source 1]) cannot drive $path ($role)"
    }
    set stub::driver($path) [lindex $drivers 0]
  }
}

stub::define connect_bd_intf_net {
  set ends [lmap path $rest {stub::path $path}]
  set facts [lmap end $ends {
    lassign [split $end /] cell name
    expr {$name eq "" ? {other port} : [lrange [dict get [stub::interfaces $cell] $name] 0 1]}
  }]
  if {[lindex $facts 0 0] ne [lindex $facts 1 0]} {
    stub::fail "[lindex $ends 0] ([lindex $facts 0 0]) and [lindex $ends 1] ([lindex $facts 1 0]) are not of one kind"
  }
  if {[lindex $facts 0 0] ne "other" && [lsort [list [lindex $facts 0 1] [lindex $facts 1 1]]] ne {master slave}} {
    stub::fail "[lindex $ends 0] and [lindex $ends 1] are both [lindex $facts 0 1]"
  }
  foreach end $ends other [lreverse $ends] {
    if {[info exists stub::peer($end)]} { stub::fail "$end is connected twice" }
    set stub::peer($end) $other
  }
}

stub::define apply_bd_automation {
  stub::need $options apply_bd_automation -rule -config
  set cell [stub::path [lindex $rest 0]]
  set kind [stub::kind $stub::cell_ip($cell)]
  if {[dict get $options -rule] ne "xilinx.com:bd_rule:$kind" || ![dict exists $stub::ip($kind) preset]} {
    stub::fail "apply_bd_automation: rule [dict get $options -rule] is not for $kind"
  }
  set config [dict get $options -config]
  foreach key [dict keys $config] {
    if {$key ni {make_external apply_board_preset Master Slave}} { stub::fail "apply_bd_automation: unknown $key" }
  }
  if {[dict get $config apply_board_preset] ne "1"} { stub::fail "apply_bd_automation without the board's preset" }
  if {$stub::board eq ""} { stub::fail "apply_bd_automation: the project has no board" }
  dict for {name value} [dict get $stub::ip($kind) preset] { set stub::parameter($cell,$name) $value }
  if {[dict exists $config make_external]} {
    foreach name [split [string map {" " ""} [dict get $config make_external]] ,] { set stub::peer($cell/$name) external }
  }
  set stub::preset 1
}
