// PARALLEL channels a cycle: the largest code, or the sum, of those that come between `first` and the next `first`.
module pool #(
    parameter BITS = 8,
    parameter PARALLEL = 4,
    parameter AVERAGE = 0,
    parameter OUT = 8
) (
    input clk,
    input valid,
    input first,
    input [PARALLEL*BITS-1:0] codes,
    output reg [PARALLEL*OUT-1:0] result
);
  genvar i;
  generate
    for (i = 0; i < PARALLEL; i = i + 1) begin : lanes
      wire [BITS-1:0] code = codes[i*BITS+:BITS];
      wire [OUT-1:0] held = result[i*OUT+:OUT];
      if (AVERAGE) begin : sum
        always @(posedge clk) if (valid) result[i*OUT+:OUT] <= code + (first ? {OUT{1'b0}} : held);
      end else begin : largest
        always @(posedge clk) if (valid && (first || code > held)) result[i*OUT+:OUT] <= code;
      end
    end
  endgenerate
endmodule
