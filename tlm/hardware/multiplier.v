// Yosys replaces multipliers of at least 4x4 bits by these. Two bits of B choose 0, 1, 2 or 3 times A;
// three times A is worked out once. A row of a signed A has its sign inverted, so that it needs no
// extension; the sum starts from what this adds too much.

(* techmap_celltype = "$mul" *)
module radix_4 (A, B, Y);
    parameter A_SIGNED = 0, B_SIGNED = 0, A_WIDTH = 1, B_WIDTH = 1, Y_WIDTH = 1;
    parameter _TECHMAP_CONSTMSK_B_ = 0, _TECHMAP_CONSTVAL_B_ = 0;
    localparam [B_WIDTH-1:0] ZEROS = _TECHMAP_CONSTMSK_B_ & ~_TECHMAP_CONSTVAL_B_;
    localparam BITS = B_WIDTH - B_SIGNED, DIGITS = (BITS + 1) / 2, WIDTH = A_WIDTH + 2;
    localparam [Y_WIDTH-1:0] INVERTED = A_SIGNED ? {{Y_WIDTH{1'b0}}, {DIGITS{2'b01}}} << (WIDTH - 1) : 0;
    input [A_WIDTH-1:0] A;
    input [B_WIDTH-1:0] B;
    output [Y_WIDTH-1:0] Y;
    wire _TECHMAP_FAIL_ = B_WIDTH < 4 || A_WIDTH < B_WIDTH;

    wire [WIDTH-1:0] once = {{2{A_SIGNED && A[A_WIDTH-1]}}, A};
    wire [WIDTH-1:0] twice = {once, 1'b0};
    wire [WIDTH-1:0] thrice = once + twice;
    wire [2*DIGITS-1:0] digits = B[BITS-1:0];
    wire [Y_WIDTH*(DIGITS+1)-1:0] sums;
    assign sums[0 +: Y_WIDTH] = -INVERTED;
    genvar at;
    generate
        for (at = 0; at < DIGITS; at = at + 1) begin : digit
            wire [1:0] value = digits[2*at +: 2];
            wire [WIDTH-1:0] row =
                (once & {WIDTH{value == 1}}) | (twice & {WIDTH{value == 2}}) | (thrice & {WIDTH{value == 3}});
            wire [Y_WIDTH-1:0] shifted = {{Y_WIDTH{1'b0}}, row ^ (A_SIGNED << (WIDTH - 1))} << 2 * at;
            assign sums[Y_WIDTH*(at+1) +: Y_WIDTH] = sums[Y_WIDTH*at +: Y_WIDTH] + shifted;
        end
        // the highest bit of a signed B counts less than nothing
        if (B_SIGNED && !ZEROS[B_WIDTH-1]) begin : negative
            wire [Y_WIDTH-1:0] row = {{Y_WIDTH{A[A_WIDTH-1]}}, A} << BITS;
            assign Y = sums[Y_WIDTH*DIGITS +: Y_WIDTH] - (row & {Y_WIDTH{B[B_WIDTH-1]}});
        end else
            assign Y = sums[Y_WIDTH*DIGITS +: Y_WIDTH];
    endgenerate
endmodule

(* techmap_celltype = "$mul" *)
module shorter_second (A, B, Y);
    parameter A_SIGNED = 0, B_SIGNED = 0, A_WIDTH = 1, B_WIDTH = 1, Y_WIDTH = 1;
    input [A_WIDTH-1:0] A;
    input [B_WIDTH-1:0] B;
    output [Y_WIDTH-1:0] Y;
    wire _TECHMAP_FAIL_ = A_WIDTH >= B_WIDTH || A_WIDTH < 4;
    \$mul #(.A_SIGNED(B_SIGNED), .B_SIGNED(A_SIGNED), .A_WIDTH(B_WIDTH), .B_WIDTH(A_WIDTH), .Y_WIDTH(Y_WIDTH))
        _TECHMAP_REPLACE_ (.A(B), .B(A), .Y(Y));
endmodule
