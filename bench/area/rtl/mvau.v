// Ternary matrix-vector unit: a vector of FOLD words of SIMD codes comes in once and is replayed for each of the
// NEURONS groups of PE rows; every cycle PE rows take a word. Out come PE totals after the last word of a group.
module mvau #(
    parameter PE = 4,
    parameter SIMD = 16,
    parameter BITS = 8,
    parameter KIND = 1,
    parameter FOLD = 16,     // words of a row
    parameter NEURONS = 16,  // groups of rows
    parameter ACC = 20,
    parameter WEIGHTS = 1    // 0: no memory, the weights come in
) (
    input clk,
    input in_valid,
    output in_ready,
    input [SIMD*BITS-1:0] in_data,
    input [2*PE*SIMD-1:0] in_weights,
    output out_valid,  // the totals are taken when they are valid
    output [PE*ACC-1:0] out_data
);
  localparam LEVELS = $clog2(SIMD);
  localparam OUT = (KIND == 1 ? BITS : BITS + 1) + LEVELS;
  localparam WORD = $clog2(FOLD);
  localparam ADDRESS = $clog2(FOLD * NEURONS);

  reg [WORD-1:0] word = 0;
  reg [$clog2(NEURONS)-1:0] group = 0;
  reg [ADDRESS-1:0] address = 0;
  wire first_group = group == 0;
  wire last_word = word == FOLD - 1;
  wire step = in_valid || !first_group;
  assign in_ready = first_group;

  reg [SIMD*BITS-1:0] held[0:FOLD-1];
  reg [SIMD*BITS-1:0] codes;
  wire [SIMD*BITS-1:0] replayed = held[word];
  always @(posedge clk) begin
    if (step) begin
      codes <= first_group ? in_data : replayed;
      word <= last_word ? 0 : word + 1;
      if (last_word) group <= group == NEURONS - 1 ? 0 : group + 1;
      address <= address == FOLD * NEURONS - 1 ? 0 : address + 1;
    end
    if (in_valid && first_group) held[word] <= in_data;
  end

  wire [2*PE*SIMD-1:0] weights;
  generate
    if (WEIGHTS) begin : stored
      (* rom_style = "block" *) reg [2*PE*SIMD-1:0] words[0:FOLD*NEURONS-1];
      reg [2*PE*SIMD-1:0] read;
      initial $readmemh("rom.hex", words);
      always @(posedge clk) if (step) read <= words[address];
      assign weights = read;
    end else begin : given
      reg [2*PE*SIMD-1:0] read;
      always @(posedge clk) if (step) read <= in_weights;
      assign weights = read;
    end
  endgenerate

  // Along with the data through the tree: valid, first and last word of a group.
  reg [LEVELS:0] valid = 0, first = 0, last = 0;
  reg done = 0;
  always @(posedge clk) begin
    valid <= {valid, step};
    first <= {first, word == 0};
    last <= {last, last_word};
    done <= valid[LEVELS] && last[LEVELS];
  end
  assign out_valid = done;

  genvar i;
  generate
    for (i = 0; i < PE; i = i + 1) begin : row
      wire [OUT-1:0] sum;
      wire carry;
      dot #(
          .SIMD(SIMD),
          .BITS(BITS),
          .KIND(KIND)
      ) tree (
          .clk(clk),
          .codes(codes),
          .weights(weights[2*SIMD*i+:2*SIMD]),
          .sum(sum),
          .carry(carry)
      );
      accumulate #(
          .IN (OUT),
          .ACC(ACC)
      ) total (
          .clk(clk),
          .valid(valid[LEVELS]),
          .first(first[LEVELS]),
          .sum(sum),
          .carry(carry),
          .total(out_data[ACC*i+:ACC])
      );
    end
  endgenerate
endmodule
