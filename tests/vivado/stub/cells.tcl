# Cells of a block design: what an IP has, with its parameters as they are set.

namespace eval stub {
  variable cell_ip
  variable parameter
  array set cell_ip {}
  array set parameter {}
}

# `/ps/clk` and `ps/clk` are one: paths are kept without the leading slash.
proc stub::path {name} { return [string trimleft $name /] }

proc stub::kind {vlnv} {
  variable kernels
  lassign [split $vlnv :] vendor library name
  if {$vendor ne "" && [info exists kernels($vendor:$library:$name)]} { return hls_kernel }
  return $name
}

# What is installed, with the versions: settings of the test.
proc stub::installed {pattern} {
  variable setting
  set pattern [expr {[llength [split $pattern :]] == 3 ? "$pattern:*" : $pattern}]
  return [lsearch -all -inline $setting(ips) $pattern]
}

proc stub::parameter {cell name} {
  variable parameter
  variable ip
  variable cell_ip
  if {[info exists parameter($cell,$name)]} { return $parameter($cell,$name) }
  set defaults [dict get $ip([kind $cell_ip($cell)]) defaults]
  return [expr {[dict exists $defaults $name] ? [dict get $defaults $name] : ""}]
}

proc stub::set_parameter {cell name value} {
  variable parameter
  variable ip
  variable cell_ip
  set kind [kind $cell_ip($cell)]
  variable setting
  set learn [expr {$setting(learn) && $kind in {processing_system7 zynq_ultra_ps_e}}]
  if {!$learn && $name ni [dict get $ip($kind) parameters]} { fail "$kind $cell has no parameter $name" }
  set allowed [dict get $ip($kind) allowed]
  if {[dict exists $allowed $name] && $value ni [dict get $allowed $name]} {
    fail "$kind $cell: $name cannot be '$value'; it takes [dict get $allowed $name]"
  }
  use parameter $kind $name
  set parameter($cell,$name) $value
}

# Does a row of the catalogue hold for a cell? `each NAME` gives the numbers, otherwise {{}} or nothing.
proc stub::instances {cell condition} {
  if {[regexp {^each (\w+)$} $condition - name]} {
    set numbers {}
    for {set n 0} {$n < [parameter $cell $name]} {incr n} { lappend numbers $n }
    return $numbers
  }
  if {$condition eq ""} { return {{}} }
  set text $condition
  foreach {whole name} [regexp -all -inline {\$(\w+)} $condition] {
    set text [string map [list $whole "{[parameter $cell $name]}"] $text]
  }
  return [expr {[expr $text] ? {{}} : {}}]
}

proc stub::numbered {name number} { return [expr {$number eq "" ? $name : [format $name $number]}] }

# Pins of a cell: name -> {role direction}.
proc stub::pins {cell} {
  variable ip
  variable cell_ip
  set found {}
  foreach row [dict get $ip([kind $cell_ip($cell)]) pins] {
    lassign $row name role direction condition
    foreach number [instances $cell $condition] { dict set found [numbered $name $number] [list $role $direction] }
  }
  return $found
}

# Interfaces of a cell: name -> {protocol mode clock}.
proc stub::interfaces {cell} {
  variable ip
  variable cell_ip
  variable kernels
  set found {}
  foreach row [dict get $ip([kind $cell_ip($cell)]) interfaces] {
    lassign $row name protocol mode clock condition
    foreach number [instances $cell $condition] {
      dict set found [numbered $name $number] [list $protocol $mode [numbered $clock $number]]
    }
  }
  lassign [split $cell_ip($cell) :] vendor library name
  if {[info exists kernels($vendor:$library:$name)]} {
    foreach {name protocol mode} $kernels($vendor:$library:$name) { dict set found $name [list $protocol $mode ap_clk] }
  }
  return $found
}

# Address spaces of a cell: path -> master interface. A kernel has one for each m_axi interface.
proc stub::spaces {cell} {
  variable ip
  variable cell_ip
  set present [interfaces $cell]
  set found {}
  foreach row [dict get $ip([kind $cell_ip($cell)]) spaces] {
    lassign $row name interface
    if {[dict exists $present $interface]} { dict set found $cell/$name $interface }
  }
  if {[kind $cell_ip($cell)] eq "hls_kernel"} {
    dict for {name facts} $present {
      if {[lrange $facts 0 1] eq {axi master}} { dict set found $cell/Data_$name $name }
    }
  }
  return $found
}

# Segments behind a slave interface: path -> {offset range}.
proc stub::segments {cell interface} {
  variable ip
  variable cell_ip
  set found {}
  foreach row [dict get $ip([kind $cell_ip($cell)]) segments] {
    lassign $row name of offset range condition
    if {$of eq $interface && [llength [instances $cell $condition]] > 0} {
      dict set found $cell/$name [list $offset $range]
    }
  }
  return $found
}
