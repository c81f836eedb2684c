# The address map: what each master reaches, what is assigned, what is left out.

namespace eval stub {
  variable assigned
  variable excluded
  array set assigned {}
  array set excluded {}
}

# Segments that a master interface reaches, interconnects looked through: path -> {offset range slave}.
proc stub::reached {cell interface} {
  variable peer
  variable cell_ip
  variable ip
  if {![info exists peer($cell/$interface)]} { return {} }
  lassign [split $peer($cell/$interface) /] next slave
  if {$slave eq ""} { return {} }
  if {![dict get $ip([kind $cell_ip($next)]) interconnect]} {
    set found {}
    dict for {path facts} [segments $next $slave] { dict set found $path [list {*}$facts $next/$slave] }
    return $found
  }
  set found {}
  dict for {name facts} [interfaces $next] {
    if {[lindex $facts 1] eq "master"} { set found [dict merge $found [reached $next $name]] }
  }
  return $found
}

# Every address space of the design: path -> segments that it reaches.
proc stub::map {} {
  variable cell_ip
  set found {}
  foreach cell [array names cell_ip] {
    dict for {space interface} [spaces $cell] { dict set found $space [reached $cell $interface] }
  }
  return $found
}

stub::define get_bd_addr_spaces {
  set path [stub::path [lindex $rest 0]]
  if {![dict exists [stub::map] $path]} { stub::fail "there is no address space $path" }
  return $path
}

stub::define get_bd_addr_segs {
  set path [stub::path [lindex $rest 0]]
  foreach cell [array names stub::cell_ip] {
    foreach interface [dict keys [stub::interfaces $cell]] {
      if {[dict exists [stub::segments $cell $interface] $path]} {
        stub::use segment [stub::kind $stub::cell_ip($cell)] [join [lrange [split $path /] 1 end] /]
        return $path
      }
    }
  }
  foreach key [array names stub::assigned] {
    lassign [split $key ,] space segment
    if {[file dirname $path] eq $space} { return "$space,$segment" }
  }
  stub::fail "there is no address segment $path"
}

proc stub::assign {space segment offset range} {
  variable assigned
  variable cell_ip
  set reach [dict get [map] $space]
  if {![dict exists $reach $segment]} { fail "$space does not reach $segment" }
  if {![string is wideinteger -strict $offset] || ![string is wideinteger -strict $range] || $range <= 0} {
    fail "$segment: offset $offset, range $range"
  }
  if {$offset % $range != 0 && $range <= 0x40000000} { fail "$segment: offset $offset is not a multiple of its range $range" }
  foreach {key window} [array get assigned $space,*] {
    lassign $window other size
    if {$offset < $other + $size && $other < $offset + $range} { fail "$segment overlaps $key in $space" }
  }
  set assigned($space,$segment) [list $offset $range]
}

stub::define create_bd_addr_seg {
  stub::need $options create_bd_addr_seg -range -offset
  stub::assign [lindex $rest 0] [lindex $rest 1] [dict get $options -offset] [dict get $options -range]
}

stub::define assign_bd_address {
  if {[llength $rest] > 0} {
    stub::need $options assign_bd_address -offset -range -target_address_space
    stub::assign [dict get $options -target_address_space] [lindex $rest 0] [dict get $options -offset] [dict get $options -range]
    return
  }
  dict for {space reach} [stub::map] {
    set base 0
    foreach cell [array names stub::cell_ip] {
      if {[string match $cell/* $space]} { set base [dict get $stub::ip([stub::kind $stub::cell_ip($cell)]) window] }
    }
    dict for {segment facts} $reach {
      lassign $facts offset range
      if {[info exists stub::assigned($space,$segment)]} continue
      # A register block is put behind those before it, memory lies where it lies.
      if {[string match */Reg $segment]} { set offset $base; incr base $range }
      stub::assign $space $segment $offset $range
    }
  }
}

stub::define exclude_bd_addr_seg {
  lassign [split [lindex $rest 0] ,] space segment
  if {![info exists stub::assigned($space,$segment)]} { stub::fail "exclude_bd_addr_seg: $rest is not assigned" }
  unset stub::assigned($space,$segment)
  set stub::excluded($space,$segment) 1
}

# Slave interfaces that a space reaches and of which it has no segment, neither assigned nor excluded.
proc stub::unmapped {} {
  variable assigned
  variable excluded
  set missing {}
  dict for {space reach} [map] {
    set known {}
    dict for {segment facts} $reach {
      set slave [lindex $facts 2]
      if {[info exists assigned($space,$segment)] || [info exists excluded($space,$segment)]} { dict set known $slave 1 }
    }
    dict for {segment facts} $reach {
      if {![dict exists $known [lindex $facts 2]]} { lappend missing "$space to [lindex $facts 2]" }
    }
  }
  return [lsort -unique $missing]
}
