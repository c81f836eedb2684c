// code = clamp((total * multiplier + offset) >> SHIFT), the rounding half in the offset; three registers deep.
module requantize #(
    parameter ACC = 24,
    parameter MULTIPLIER = 16,  // unsigned
    parameter OFFSET = 32,
    parameter SHIFT = 20,
    parameter OUT = 8,
    parameter SIGNED = 0  // the codes
) (
    input clk,
    input signed [ACC-1:0] total,
    input [MULTIPLIER-1:0] multiplier,
    input signed [OFFSET-1:0] offset,
    output reg [OUT-1:0] code
);
  localparam PRODUCT = ACC + MULTIPLIER + 1;
  localparam SHIFTED = PRODUCT - SHIFT;
  localparam signed [SHIFTED-1:0] HIGH = SIGNED ? (1 << (OUT - 1)) - 1 : (1 << OUT) - 1;
  localparam signed [SHIFTED-1:0] LOW = SIGNED ? -(1 << (OUT - 1)) : 0;

  reg signed [ACC-1:0] a;
  reg signed [MULTIPLIER:0] b;
  reg signed [OFFSET-1:0] c;
  reg signed [PRODUCT-1:0] product;
  wire signed [SHIFTED-1:0] shifted = product >>> SHIFT;
  always @(posedge clk) begin
    a <= total;
    b <= $signed({1'b0, multiplier});
    c <= offset;
    product <= a * b + c;
    code <= shifted > HIGH ? HIGH : shifted < LOW ? LOW : shifted;
  end
endmodule
