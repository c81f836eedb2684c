// Dot product of SIMD ternary weights with SIMD codes: add, subtract or skip; a register after each level of the tree.
// A weight is {negative, non-zero}. -x is ~x + 1, and that 1 enters as an adder's carry: SIMD - 1 adders and the
// accumulator take the SIMD of them.
module dot #(
    parameter SIMD = 16,
    parameter BITS = 8,    // of a code
    parameter KIND = 1,    // of the codes: 0 unsigned, 1 signed, 2 bipolar (one bit, 0 is -1)
    parameter LEVELS = $clog2(SIMD),
    parameter OPERAND = KIND == 1 ? BITS : BITS + 1,
    parameter OUT = OPERAND + LEVELS
) (
    input clk,
    input [SIMD*BITS-1:0] codes,
    input [2*SIMD-1:0] weights,
    output [OUT-1:0] sum,
    output carry  // still to be added to the sum
);
  genvar level, i;

  // Width and count of the operands of a level; an odd one passes to the next level.
  function integer count(input integer of_level);
    integer k;
    begin
      count = SIMD;
      for (k = 0; k < of_level; k = k + 1) count = (count + 1) / 2;
    end
  endfunction
  // Carries that the levels before have taken.
  function integer taken(input integer of_level);
    integer k;
    begin
      taken = 0;
      for (k = 0; k < of_level; k = k + 1) taken = taken + count(k) / 2;
    end
  endfunction

  generate
    for (level = 0; level <= LEVELS; level = level + 1) begin : tree
      localparam N = count(level);
      localparam W = OPERAND + level;
      localparam LEFT = SIMD - taken(level);  // carries still to be added
      wire [N*W-1:0] value;
      wire [LEFT-1:0] carries;
      if (level == 0) begin : gates
        for (i = 0; i < SIMD; i = i + 1) begin : gate
          wire negative = weights[2*i+1];
          wire non_zero = weights[2*i];
          if (KIND == 2) begin : bipolar  // -1, 0 or 1 in two bits: nothing to add
            assign value[i*W+:W] = {non_zero & (negative == codes[i]), non_zero};
            assign carries[i] = 1'b0;
          end else begin : integers
            wire signed [W-1:0] code = KIND ? $signed(codes[i*BITS+:BITS]) : $signed({1'b0, codes[i*BITS+:BITS]});
            assign value[i*W+:W] = non_zero ? (negative ? ~code : code) : {W{1'b0}};
            assign carries[i] = negative & non_zero;
          end
        end
      end else begin : adders
        localparam BELOW = count(level - 1);
        reg [N*W-1:0] sums;
        reg [LEFT-1:0] rest;
        for (i = 0; i < BELOW / 2; i = i + 1) begin : adder
          wire signed [W-2:0] a = tree[level-1].value[(2*i)*(W-1)+:W-1];
          wire signed [W-2:0] b = tree[level-1].value[(2*i+1)*(W-1)+:W-1];
          wire signed [W:0] added = $signed({a, 1'b1}) + $signed({b, tree[level-1].carries[i]});
          always @(posedge clk) sums[i*W+:W] <= added[W:1];
        end
        if (BELOW % 2) begin : odd
          wire signed [W-2:0] last = tree[level-1].value[(BELOW-1)*(W-1)+:W-1];
          always @(posedge clk) sums[(N-1)*W+:W] <= last;
        end
        always @(posedge clk) rest <= tree[level-1].carries[LEFT+BELOW/2-1:BELOW/2];
        assign value = sums;
        assign carries = rest;
      end
    end
  endgenerate

  assign sum = tree[LEVELS].value;
  assign carry = tree[LEVELS].carries[0];
endmodule
