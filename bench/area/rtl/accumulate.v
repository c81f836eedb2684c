// Accumulator behind a dot-product tree: a row's words are added up, the first one replaces what was there.
module accumulate #(
    parameter IN = 12,
    parameter ACC = 20
) (
    input clk,
    input valid,
    input first,
    input signed [IN-1:0] sum,
    input carry,
    output reg signed [ACC-1:0] total
);
  wire signed [ACC:0] added = $signed({first ? {ACC{1'b0}} : total, 1'b1}) + $signed({sum, carry});
  always @(posedge clk) if (valid) total <= added[ACC:1];
endmodule
