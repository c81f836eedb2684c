// Stream FIFO. SHIFT: a shift register read at the place of the oldest word; otherwise a memory, and an output register.
module fifo #(
    parameter WIDTH = 16,
    parameter DEPTH = 32,
    parameter STYLE = 0,  // 0 shift register, 1 LUTRAM, 2 block RAM
    parameter ADDRESS = DEPTH > 1 ? $clog2(DEPTH) : 1
) (
    input clk,
    input in_valid,
    output in_ready,
    input [WIDTH-1:0] in_data,
    output out_valid,
    input out_ready,
    output [WIDTH-1:0] out_data
);
  generate
    if (STYLE == 0) begin : shift
      reg [ADDRESS:0] count = 0;
      reg [ADDRESS-1:0] oldest = {ADDRESS{1'b1}};  // count - 1
      wire push = in_valid && in_ready;
      wire pop = out_valid && out_ready;
      genvar i;
      for (i = 0; i < WIDTH; i = i + 1) begin : bits
        reg [DEPTH-1:0] held;
        always @(posedge clk) if (push) held <= {held[DEPTH-2:0], in_data[i]};
        assign out_data[i] = held[oldest];
      end
      always @(posedge clk) begin
        if (push && !pop) begin
          count  <= count + 1;
          oldest <= oldest + 1;
        end else if (pop && !push) begin
          count  <= count - 1;
          oldest <= oldest - 1;
        end
      end
      assign in_ready = count != DEPTH;
      assign out_valid = count != 0;
    end else begin : memory
      reg [ADDRESS-1:0] write = 0, read = 0;
      reg [ADDRESS:0] count = 0;  // in the memory
      reg valid = 0;
      reg [WIDTH-1:0] data;
      wire push = in_valid && in_ready;
      wire fetch = count != 0 && (!valid || out_ready);
      always @(posedge clk) begin
        if (push) write <= write == DEPTH - 1 ? 0 : write + 1;
        if (fetch) read <= read == DEPTH - 1 ? 0 : read + 1;
        count <= count + push - fetch;
        if (fetch) valid <= 1;
        else if (out_ready) valid <= 0;
      end
      if (STYLE == 1) begin : distributed
        (* ram_style = "distributed" *) reg [WIDTH-1:0] words[0:DEPTH-1];
        always @(posedge clk) begin
          if (push) words[write] <= in_data;
          if (fetch) data <= words[read];
        end
      end else begin : block
        (* ram_style = "block" *) reg [WIDTH-1:0] words[0:DEPTH-1];
        always @(posedge clk) begin
          if (push) words[write] <= in_data;
          if (fetch) data <= words[read];
        end
      end
      assign in_ready = count != DEPTH;
      assign out_valid = valid;
      assign out_data = data;
    end
  endgenerate
endmodule
