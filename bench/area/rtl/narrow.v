// Stream of words to words of a RATIO-th of their width, the lowest one first.
module narrow #(
    parameter WIDTH = 8,  // going out
    parameter RATIO = 4
) (
    input clk,
    input in_valid,
    output in_ready,
    input [RATIO*WIDTH-1:0] in_data,
    output out_valid,
    input out_ready,
    output [WIDTH-1:0] out_data
);
  localparam COUNT = $clog2(RATIO + 1);
  reg [COUNT-1:0] count = 0;  // words left
  reg [RATIO*WIDTH-1:0] words;
  assign out_valid = count != 0;
  assign in_ready = count == 0 || (count == 1 && out_ready);
  assign out_data = words[WIDTH-1:0];
  always @(posedge clk) begin
    if (in_valid && in_ready) begin
      words <= in_data;
      count <= RATIO;
    end else if (out_valid && out_ready) begin
      words <= words >> WIDTH;
      count <= count - 1;
    end
  end
endmodule
