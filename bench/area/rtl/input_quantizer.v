// float32 to a code of BITS, exactly: fixed point first, at most one code too low, then one compare of the float's
// bits, read as an ordered integer, with the smallest float of the next code.
// The fixed point has two bits of fraction and is never above x/step by 1/4 (SCALE is rounded down, a negative value is
// the complement): with 1/2 - 1/4 added, its floor is the code or one less.
module input_quantizer #(
    parameter BITS = 8,
    parameter [17:0] SCALE = 0,      // 1/step, its first 17 bits
    parameter integer EXPONENT = 0,  // |x|/step in quarters is mantissa * SCALE >> (EXPONENT - exponent)
    parameter signed [BITS+1:0] ZERO = 0  // zero point
) (
    input clk,
    input [31:0] x,
    output reg [BITS-1:0] code
);
  localparam FIXED = BITS + 3;  // magnitude: BITS + 1 whole bits, two of fraction

  // Stage 1, 2: the mantissa times the scale; how far to shift.
  reg [23:0] mantissa;
  reg [41:0] product;
  reg [5:0] shift_1, shift_2;
  reg far_1, far_2, huge_1, huge_2;
  reg [31:0] x_1, x_2, x_3, x_4, x_5;
  wire [9:0] distance = EXPONENT - x[30:23];
  always @(posedge clk) begin
    mantissa <= {|x[30:23], x[22:0]};
    shift_1 <= distance[5:0];
    huge_1 <= distance[9];                 // beyond every code
    far_1 <= !distance[9] && |distance[8:6];  // zero
    {shift_2, far_2, huge_2} <= {shift_1, far_1, huge_1};
    product <= mantissa * SCALE;
  end
  // Stage 3: fixed point, saturated.
  reg [FIXED-1:0] fixed;
  wire [41:0] shifted = product >> shift_2;
  wire over = |shifted[41:FIXED];
  always @(posedge clk)
    fixed <= huge_2 || (!far_2 && over) ? {FIXED{1'b1}} : far_2 ? {FIXED{1'b0}} : shifted[FIXED-1:0];
  // Stage 4: sign, zero point, clamp: a code that is right or one too low.
  reg [BITS-1:0] guess;
  wire signed [FIXED+1:0] signed_fixed = x_3[31] ? ~$signed({2'b0, fixed}) : $signed({2'b0, fixed});
  wire signed [FIXED+1:0] placed = signed_fixed + $signed({ZERO, 2'b01});  // + 1/2 - 1/4
  wire signed [FIXED-1:0] whole = placed >>> 2;
  always @(posedge clk) guess <= whole < 0 ? 0 : whole > (1 << BITS) - 1 ? (1 << BITS) - 1 : whole;
  // Stage 5, 6: the smallest float of the next code, as an ordered integer; one more if x reaches it.
  (* rom_style = "block" *) reg [31:0] next[0:(1<<BITS)-1];
  initial $readmemh("rom.hex", next);
  reg [31:0] bound;
  reg [BITS-1:0] low;
  wire [31:0] ordered = x_5 ^ {1'b0, {31{x_5[31]}}};
  always @(posedge clk) begin
    {x_1, x_2, x_3, x_4, x_5} <= {x, x_1, x_2, x_3, x_4};
    bound <= next[guess];
    low <= guess;
    code <= low + ($signed(ordered) >= $signed(bound));
  end
endmodule
