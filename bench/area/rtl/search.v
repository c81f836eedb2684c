// Code = how many of 2^STEPS - 1 ascending thresholds a key reaches: a binary search, a step a stage.
// Stage k reads one of 2^k thresholds of the channel and finds bit STEPS-1-k of the code; two registers a stage.
module search_stage #(
    parameter STAGE = 0,
    parameter KEY = 24,
    parameter STEPS = 8,
    parameter CHANNEL = 0,  // bits of the channel's number
    parameter BLOCK = 0,
    parameter ADDRESS = STAGE + CHANNEL ? STAGE + CHANNEL : 1
) (
    input clk,
    input [KEY-1:0] key_in,  // signed
    input [STEPS+CHANNEL-1:0] found_in,  // the code's first bits, then the channel
    output reg [KEY-1:0] key_out,
    output reg [STEPS+CHANNEL-1:0] found_out
);
  wire [ADDRESS-1:0] address = STAGE + CHANNEL ? found_in : 0;
  wire [KEY-1:0] threshold;
  generate
    if (BLOCK) begin : block
      (* rom_style = "block" *) reg [KEY-1:0] words[0:(1<<(STAGE+CHANNEL))-1];
      reg [KEY-1:0] read;
      initial $readmemh({"stage", 8'd48 + STAGE[7:0], ".hex"}, words);
      always @(posedge clk) read <= words[address];
      assign threshold = read;
    end else begin : distributed
      (* rom_style = "logic" *) reg [KEY-1:0] words[0:(1<<(STAGE+CHANNEL))-1];
      reg [KEY-1:0] read;
      initial $readmemh({"stage", 8'd48 + STAGE[7:0], ".hex"}, words);
      always @(posedge clk) read <= words[address];
      assign threshold = read;
    end
  endgenerate

  reg [KEY-1:0] key;
  reg [STEPS+CHANNEL-1:0] found;
  wire reached = $signed(key) >= $signed(threshold);
  always @(posedge clk) begin
    key <= key_in;
    found <= found_in;
    key_out <= key;
    // Channel in the high bits, the code's bits below it.
    found_out <= (found << 1) | reached;
  end
endmodule

module search #(
    parameter KEY = 24,
    parameter STEPS = 8,
    parameter CHANNEL = 0,
    parameter BLOCK_FROM = 9,  // stages from this one on read block RAM
    parameter CHANNEL_PORT = CHANNEL ? CHANNEL : 1
) (
    input clk,
    input [KEY-1:0] key,
    input [CHANNEL_PORT-1:0] channel,
    output [STEPS-1:0] code
);
  wire [KEY-1:0] keys[0:STEPS];
  wire [STEPS+CHANNEL-1:0] found[0:STEPS];
  assign keys[0] = key;
  assign found[0] = CHANNEL ? channel : 0;
  genvar k;
  generate
    for (k = 0; k < STEPS; k = k + 1) begin : stages
      search_stage #(
          .STAGE(k),
          .KEY(KEY),
          .STEPS(STEPS),
          .CHANNEL(CHANNEL),
          .BLOCK(k >= BLOCK_FROM)
      ) stage (
          .clk(clk),
          .key_in(keys[k]),
          .found_in(found[k]),
          .key_out(keys[k+1]),
          .found_out(found[k+1])
      );
    end
  endgenerate
  assign code = found[STEPS];
endmodule
