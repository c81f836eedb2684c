// Residual sum of two codes on their own scales: clamp((a*scale_a + b*scale_b + OFFSET) >> SHIFT), four registers deep.
module add #(
    parameter BITS = 8,
    parameter MULTIPLIER = 16,  // unsigned
    parameter SHIFT = 15,
    parameter OUT = 8
) (
    input clk,
    input signed [BITS-1:0] a,
    input signed [BITS-1:0] b,
    input [MULTIPLIER-1:0] scale_a,
    input [MULTIPLIER-1:0] scale_b,
    input signed [BITS+MULTIPLIER-1:0] offset,
    output reg signed [OUT-1:0] code
);
  localparam PRODUCT = BITS + MULTIPLIER + 2;
  localparam SHIFTED = PRODUCT - SHIFT;
  localparam signed [SHIFTED-1:0] HIGH = (1 << (OUT - 1)) - 1;
  localparam signed [SHIFTED-1:0] LOW = -(1 << (OUT - 1));

  reg signed [BITS-1:0] a_1, b_1, b_2;
  reg signed [MULTIPLIER:0] scale_a_1, scale_b_1, scale_b_2;
  reg signed [BITS+MULTIPLIER-1:0] offset_1;
  reg signed [PRODUCT-1:0] left, both;
  wire signed [SHIFTED-1:0] shifted = both >>> SHIFT;
  always @(posedge clk) begin
    a_1 <= a;
    b_1 <= b;
    b_2 <= b_1;
    scale_a_1 <= $signed({1'b0, scale_a});
    scale_b_1 <= $signed({1'b0, scale_b});
    scale_b_2 <= scale_b_1;
    offset_1 <= offset;
    left <= a_1 * scale_a_1 + offset_1;
    both <= b_2 * scale_b_2 + left;
    code <= shifted > HIGH ? HIGH : shifted < LOW ? LOW : shifted;
  end
endmodule
