// Stream of words to words RATIO times as wide, the first one lowest.
module widen #(
    parameter WIDTH = 8,
    parameter RATIO = 4
) (
    input clk,
    input in_valid,
    output in_ready,
    input [WIDTH-1:0] in_data,
    output out_valid,
    input out_ready,
    output [RATIO*WIDTH-1:0] out_data
);
  localparam COUNT = $clog2(RATIO + 1);
  reg [COUNT-1:0] count = 0;
  reg [RATIO*WIDTH-1:0] words;
  assign out_valid = count == RATIO;
  assign in_ready = count != RATIO || out_ready;
  assign out_data = words;
  wire push = in_valid && in_ready;
  always @(posedge clk) begin
    if (push) words <= {in_data, words[RATIO*WIDTH-1:WIDTH]};
    count <= (out_valid && out_ready ? 0 : count) + push;
  end
endmodule
