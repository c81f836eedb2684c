// The K largest of the keys that come between `first` and the next `first`, LANES a cycle, and what goes with them: the
// largest first, of equal ones that which came first. A word is put in order, then merged with the list.
module top_k #(
    parameter KEY = 16,
    parameter DATA = 12,
    parameter K = 1,
    parameter LANES = 1
) (
    input clk,
    input valid,
    input first,
    input [LANES*KEY-1:0] keys,
    input [LANES*DATA-1:0] data,
    output [K*DATA-1:0] best
);
  localparam SORTED = K < LANES ? K : LANES;
  localparam PLACE = $clog2(LANES + 1);

  reg [PLACE-1:0] place[0:LANES-1];
  reg signed [KEY-1:0] word_key[0:SORTED-1];
  reg [DATA-1:0] word_data[0:SORTED-1];
  integer i, j, at;
  always @* begin
    for (j = 0; j < LANES; j = j + 1) place[j] = 0;
    for (j = 1; j < LANES; j = j + 1)
      for (i = 0; i < j; i = i + 1)
        if ($signed(keys[j*KEY+:KEY]) > $signed(keys[i*KEY+:KEY])) place[i] = place[i] + 1'b1;
        else place[j] = place[j] + 1'b1;
    for (at = 0; at < SORTED; at = at + 1) begin
      word_key[at]  = keys[KEY-1:0];
      word_data[at] = data[DATA-1:0];
      for (j = 1; j < LANES; j = j + 1)
        if (place[j] == at) begin
          word_key[at]  = keys[j*KEY+:KEY];
          word_data[at] = data[j*DATA+:DATA];
        end
    end
  end

  reg signed [KEY-1:0] later_key[0:SORTED-1];
  reg [DATA-1:0] later_data[0:SORTED-1];
  reg merge, anew;
  generate
    if (LANES > 1) begin : pipelined
      always @(posedge clk) begin
        merge <= valid;
        anew  <= first;
        for (at = 0; at < SORTED; at = at + 1) begin
          later_key[at]  <= word_key[at];
          later_data[at] <= word_data[at];
        end
      end
    end else begin : direct
      always @* begin
        merge = valid;
        anew = first;
        later_key[0] = word_key[0];
        later_data[0] = word_data[0];
      end
    end
  endgenerate

  reg signed [KEY-1:0] key[0:K-1];
  reg [DATA-1:0] held[0:K-1];
  reg signed [KEY-1:0] next_key[0:K-1];
  reg [DATA-1:0] next_held[0:K-1];
  reg [K-1:0] ahead[0:SORTED-1];
  integer m, n, by;
  always @* begin
    for (m = 0; m < SORTED; m = m + 1)
      for (n = 0; n < K; n = n + 1) ahead[m][n] = anew || later_key[m] > key[n];
    for (n = 0; n < K; n = n + 1) begin
      next_key[n]  = anew ? {1'b1, {(KEY - 1) {1'b0}}} : key[n];
      next_held[n] = held[n];
      for (by = 1; by <= n && by <= SORTED; by = by + 1)
        if (!anew && ahead[by-1][n-by] && (by == SORTED || !ahead[by%SORTED][n-by])) begin
          next_key[n]  = key[n-by];
          next_held[n] = held[n-by];
        end
      for (m = 0; m <= n && m < SORTED; m = m + 1)
        if (ahead[m][n-m] && (n == m || !ahead[m][n-m-(n > m)])) begin
          next_key[n]  = later_key[m];
          next_held[n] = later_data[m];
        end
    end
  end

  always @(posedge clk)
    if (merge)
      for (n = 0; n < K; n = n + 1) begin
        key[n]  <= next_key[n];
        held[n] <= next_held[n];
      end

  genvar g;
  generate
    for (g = 0; g < K; g = g + 1) begin : out
      assign best[g*DATA+:DATA] = held[g];
    end
  endgenerate
endmodule
