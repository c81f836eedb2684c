# The heart of the model: arguments checked against the catalogue, what went wrong, what was used.
# The catalogue (stub::command, stub::ip, stub::property) and the settings (stub::set) come from vivado_catalogue.py.

namespace eval stub {
  variable used {}
  variable log {}
}

proc stub::fail {message} { error "stub: $message" }

# Facts about a script: what it uses of the catalogue.
proc stub::use {kind args} { dict set ::stub::used "$kind [join $args]" 1 }

proc stub::note {args} { lappend ::stub::log [string map {\n { }} $args] }

# Options and positional arguments of a call, checked: {options positional}.
proc stub::arguments {name arguments} {
  variable command
  if {![info exists command($name)]} { fail "unknown command $name" }
  lassign $command($name) fewest most flags values
  set options {}
  set rest {}
  for {set at 0} {$at < [llength $arguments]} {incr at} {
    set word [lindex $arguments $at]
    # HLS writes a switch's value behind an equals sign.
    regexp {^(-[A-Za-z_0-9]+)=(.*)$} $word - word value
    if {$word in $flags} {
      dict set options $word [expr {[info exists value] ? $value : 1}]
      use option $name $word
    } elseif {$word in $values} {
      if {[incr at] >= [llength $arguments]} { fail "$name: $word needs a value" }
      dict set options $word [lindex $arguments $at]
      use option $name $word
    } elseif {[regexp {^-[A-Za-z_]} $word]} {
      fail "$name: unknown option $word"
    } else {
      lappend rest $word
    }
    unset -nocomplain value
  }
  if {[llength $rest] < $fewest || [llength $rest] > $most} {
    fail "$name takes $fewest to $most arguments, not [llength $rest]: $rest"
  }
  use command $name
  return [list $options $rest]
}

# Define a command of the model: its body sees `options` and `rest`.
proc stub::define {name body} {
  set public [expr {[string match hls::* $name] ? [string range $name 5 end] : $name}]
  if {[string match *::* $public]} { namespace eval [namespace qualifiers ::$public] {} }
  proc ::$public args "lassign \[stub::arguments [list $name] \$args\] options rest\n$body"
}

proc stub::option {options name {default ""}} {
  return [expr {[dict exists $options $name] ? [dict get $options $name] : $default}]
}

proc stub::need {options name args} {
  foreach option $args {
    if {![dict exists $options $option]} { fail "$name needs $option" }
  }
}

proc stub::check_property {kind name} {
  variable property
  if {![info exists property($kind)] || $name ni $property($kind)} { fail "$kind has no property $name" }
  use property $kind $name
}

# Leave what was used for the test, however the script ends.
proc stub::leave {} {
  variable used
  variable setting
  variable log
  if {![info exists setting(record)]} return
  set handle [open $setting(record) w]
  foreach fact [lsort [dict keys $used]] { puts $handle $fact }
  foreach entry $log { puts $handle "log $entry" }
  close $handle
}
