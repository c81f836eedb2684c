// Sliding window over an image that comes as a stream: pixels row by row, a pixel's channels WORDS words of WIDTH bits.
// The words go round a line buffer of LINES lines; out come the KERNEL x KERNEL taps of each position, zero padded.
module window #(
    parameter WIDTH = 16,    // SIMD codes
    parameter WORDS = 1,     // a pixel
    parameter COLUMNS = 32,
    parameter ROWS = 32,
    parameter KERNEL = 3,
    parameter STRIDE = 1,
    parameter PAD = 1,
    parameter LINES = 4,     // power of two, more than KERNEL
    parameter BLOCK = 0
) (
    input clk,
    input in_valid,
    output in_ready,
    input [WIDTH-1:0] in_data,
    output reg out_valid,
    input out_ready,
    output [WIDTH-1:0] out_data
);
  localparam LINE = COLUMNS * WORDS;
  localparam DEPTH = LINES * LINE;
  localparam ADDRESS = $clog2(DEPTH);
  localparam OUT_COLUMNS = (COLUMNS + 2 * PAD - KERNEL) / STRIDE + 1;
  localparam OUT_ROWS = (ROWS + 2 * PAD - KERNEL) / STRIDE + 1;
  localparam CB = $clog2(COLUMNS + 2 * PAD + 1) + 1;
  localparam RB = $clog2(ROWS + 2 * PAD + 1) + 1;
  localparam WB = WORDS > 1 ? $clog2(WORDS) : 1;
  localparam KB = $clog2(KERNEL);

  // Writing: where, and how many lines are there in full.
  reg [ADDRESS-1:0] write = 0;
  reg [$clog2(LINE)-1:0] in_line = 0;
  reg [RB-1:0] lines = 0;  // written in full, this frame
  // Reading: the window's place, the tap, the word; the address of the tap's line and within it.
  reg signed [RB-1:0] top = -PAD;
  reg signed [CB-1:0] left = -PAD;
  reg [KB-1:0] ky = 0, kx = 0;
  reg [WB-1:0] word = 0;
  wire signed [RB-1:0] row = top + $signed({1'b0, ky});
  wire signed [CB-1:0] column = left + $signed({1'b0, kx});
  wire outside = row < 0 || row >= ROWS || column < 0 || column >= COLUMNS;
  wire signed [RB-1:0] bottom = top + KERNEL;
  wire here = $signed({1'b0, lines}) >= bottom || lines == ROWS;

  wire frame_done;
  assign in_ready = lines < ROWS && $signed({1'b0, lines}) < top + LINES;
  wire take = in_valid && in_ready;
  wire give = here && (!out_valid || out_ready);
  wire last_word = word == WORDS - 1;
  wire last_kx = kx == KERNEL - 1;
  wire last_ky = ky == KERNEL - 1;
  wire last_column = left == (OUT_COLUMNS - 1) * STRIDE - PAD;
  wire last_row = top == (OUT_ROWS - 1) * STRIDE - PAD;
  assign frame_done = give && last_word && last_kx && last_ky && last_column && last_row;

  always @(posedge clk) begin
    if (frame_done) begin
      write   <= 0;
      in_line <= 0;
      lines   <= 0;
    end else if (take) begin
      write   <= write == DEPTH - 1 ? 0 : write + 1;
      in_line <= in_line == LINE - 1 ? 0 : in_line + 1;
      lines   <= lines + (in_line == LINE - 1);
    end
    if (give) begin
      word <= last_word ? 0 : word + 1;
      if (last_word) begin
        kx <= last_kx ? 0 : kx + 1;
        if (last_kx) begin
          ky <= last_ky ? 0 : ky + 1;
          if (last_ky) begin
            left <= last_column ? -PAD : left + STRIDE;
            if (last_column) top <= last_row ? -PAD : top + STRIDE;
          end
        end
      end
    end
    if (give) out_valid <= 1;
    else if (out_ready) out_valid <= 0;
  end
  initial out_valid = 0;

  localparam LB = $clog2(LINES);
  wire [LB-1:0] line = row[LB-1:0];
  wire [ADDRESS-1:0] read = line * LINE + column * WORDS + word;
  reg padding = 0;
  reg [WIDTH-1:0] data;
  always @(posedge clk) if (give) padding <= outside;
  generate
    if (BLOCK) begin : block
      (* ram_style = "block" *) reg [WIDTH-1:0] buffer[0:DEPTH-1];
      always @(posedge clk) begin
        if (take) buffer[write] <= in_data;
        if (give) data <= buffer[read];
      end
    end else begin : distributed
      (* ram_style = "distributed" *) reg [WIDTH-1:0] buffer[0:DEPTH-1];
      always @(posedge clk) begin
        if (take) buffer[write] <= in_data;
        if (give) data <= buffer[read];
      end
    end
  endgenerate
  assign out_data = padding ? {WIDTH{1'b0}} : data;
endmodule
