// Processes and streams of a DATAFLOW region.
//
// For synthesis, and for a sequential C simulation, a process is a plain function call and a stream
// an hls::stream. In the bounded simulation a process runs beside the others and a stream has its
// real depth. The front end of the HLS tool wants plain statements in a DATAFLOW region, and no C++
// template turns a statement into one: hence macros.
//
//   TRITLOOM_STREAM(type, name, depth);            hls::stream<type> name
//   TRITLOOM_STREAMS(type, name, count, depth);    hls::stream<type> name[count]
//   TRITLOOM_REGION(name);                         after the streams, before the processes
//   TRITLOOM_PROCESS(function(arguments));         a process
//   TRITLOOM_JOIN();                               the region's end
#ifndef TRITLOOM_PROCESS_H
#define TRITLOOM_PROCESS_H

#include <hls_stream.h>

#define TRITLOOM_PRAGMA(...) _Pragma(#__VA_ARGS__)

#ifdef TRITLOOM_BOUNDED

#include "emulation/region.h"

#define TRITLOOM_STREAM(type_, name_, depth_) hls::stream<type_> name_(#name_, depth_)
#define TRITLOOM_STREAMS(type_, name_, count_, depth_) \
  hls::stream<type_> name_[count_];                    \
  emulation::configure(name_, #name_, depth_)
#define TRITLOOM_REGION(name_) emulation::Region tritloom_region_
#define TRITLOOM_PROCESS(...) tritloom_region_.launch(#__VA_ARGS__, [&]() { __VA_ARGS__; })
#define TRITLOOM_JOIN() tritloom_region_.join()

#else

#define TRITLOOM_STREAM(type_, name_, depth_) \
  hls::stream<type_> name_(#name_);           \
  TRITLOOM_PRAGMA(HLS STREAM variable = name_ depth = depth_)
#define TRITLOOM_STREAMS(type_, name_, count_, depth_) \
  hls::stream<type_> name_[count_];                    \
  TRITLOOM_PRAGMA(HLS STREAM variable = name_ depth = depth_)
#define TRITLOOM_REGION(name_)
#define TRITLOOM_PROCESS(...) __VA_ARGS__
#define TRITLOOM_JOIN()

#endif

namespace loom {

// A sequential simulation runs one process to its end before the next begins.
#if defined(TRITLOOM_BOUNDED) || defined(__SYNTHESIS__)
constexpr bool SEQUENTIAL = false;
#else
constexpr bool SEQUENTIAL = true;
#endif

}  // namespace loom

#endif
