// Testbench of the module engine: one run of a scenario, through the engine's own ports.
//
// The stimulus file has a line for each event: cycle, kind, flags, address, data. Kind 0 is a
// register access of the host, 1 to 3 a DMA load into AMem, WMem or IMem, 4 to 6 a DMA store out
// of them, 7 an interrupt. Flags are {write, 0, answer} of a register access, or the grant.
// In every cycle, all grants and the interrupt are compared; with each access, also the answer
// and what was read. At the end, every SRAM word that was written is read back.
// Prints PASS, or a FAIL line for each difference and stops; vvp -N then exits with status 1.
`timescale 1ns / 1ps

module engine_tb;
  parameter STIMULUS = "@STIMULUS@";
  localparam EVENTS = @EVENTS@;
  localparam CYCLES = @CYCLES@;
  localparam MOST_FAILURES = 20;
  // what the stimulus holds, so that nothing is left out
  localparam REGISTER_ACCESSES = @REGISTER_ACCESSES@;
  localparam GRANTS = @GRANTS@;
  localparam REFUSALS = @REFUSALS@;
  localparam WORDS = @WORDS@;
  localparam INTERRUPTS = @INTERRUPTS@;

  localparam DATA = @DATA@;  // bits of the widest word
  localparam REGISTERS = 0, LOAD = 1, STORE = 4, INTERRUPT = 7;
  localparam OK = 2'd0;

  reg [DATA+71:0] stimulus [0:EVENTS-1];
  reg [DATA+71:0] entry;
  wire [39:0] at = entry[DATA+32 +: 40];
  wire [3:0] kind = entry[DATA+28 +: 4];
  wire [3:0] flags = entry[DATA+24 +: 4];
  wire [23:0] address = entry[DATA +: 24];
  wire [DATA-1:0] data = entry[0 +: DATA];

  // the engine's ports; of three, AMem's is the lowest
  reg clk, rst, valid, write;
  reg [15:0] offset;
  reg [63:0] host_data, cycle;
  reg [2:0] load_valid, store_valid;
  reg [3*24-1:0] load_address, store_address;
  reg [3*DATA-1:0] load_data;
  wire [63:0] read;
  wire [1:0] answer;
  wire irq;
  wire [2:0] load_grant, store_grant;
  wire [24*DATA-1:0] words;  // eight banks of each SRAM

@INSTANCE@

  integer first, next, index, sram, failures;
  integer register_accesses, grants, refusals, words_read, interrupts;
  reg expected_irq;
  reg [2:0] expected_load_grant, expected_store_grant;
  reg [2:0] due;  // which SRAM's word comes in this cycle
  reg [3*3-1:0] due_bank;
  reg [3*DATA-1:0] due_data;

  function [2:0] bank_of(input integer sram, input [23:0] address);
    case (sram)
      0: bank_of = address % @AMEM_BANKS@;
      1: bank_of = address % @WMEM_BANKS@;
      default: bank_of = address % @IMEM_BANKS@;
    endcase
  endfunction

  task compare(input [8*20-1:0] port, input [DATA-1:0] expected, input [DATA-1:0] found);
    if (found !== expected && failures < MOST_FAILURES) begin
      failures = failures + 1;
      $display("FAIL in cycle %0d, %0s: expected %0h, found %0h", cycle, port, expected, found);
    end
  endtask

  task count(input [8*20-1:0] what, input integer expected, input integer found);
    if (found != expected) begin
      failures = failures + 1;
      $display("FAIL: %0d %0s compared, %0d expected", found, what, expected);
    end
  endtask

  // drive the wires of this cycle
  task put;
    begin
      first = next;
      valid = 0;
      load_valid = 0;
      store_valid = 0;
      expected_irq = 0;
      expected_load_grant = 0;
      expected_store_grant = 0;
      entry = stimulus[next];
      #1;
      while (next < EVENTS && at == cycle) begin
        if (kind == REGISTERS) begin
          valid = 1;
          write = flags[3];
          offset = address[15:0];
          host_data = flags[3] ? data[63:0] : 64'd0;
        end else if (kind == INTERRUPT) begin
          expected_irq = 1;
        end else if (kind < STORE) begin
          sram = kind - LOAD;
          load_valid[sram] = 1;
          load_address[sram*24 +: 24] = address;
          load_data[sram*DATA +: DATA] = data;
          expected_load_grant[sram] = flags[0];
        end else begin
          sram = kind - STORE;
          store_valid[sram] = 1;
          store_address[sram*24 +: 24] = address;
          expected_store_grant[sram] = flags[0];
        end
        next = next + 1;
        if (next < EVENTS) entry = stimulus[next];
        #1;
      end
    end
  endtask

  // compare the outputs of this cycle
  task check;
    begin
      compare("irq", expected_irq, irq);
      compare("load grants", expected_load_grant, load_grant);
      compare("store grants", expected_store_grant, store_grant);
      for (sram = 0; sram < 3; sram = sram + 1)
        if (due[sram]) begin
          words_read = words_read + 1;
          compare(sram == 0 ? "amem word" : sram == 1 ? "wmem word" : "imem word", due_data[sram*DATA +: DATA],
                  words[(sram*8 + due_bank[sram*3 +: 3])*DATA +: DATA]);
        end
      due = 0;
      for (index = first; index < next; index = index + 1) begin
        entry = stimulus[index];
        #1;
        if (kind == REGISTERS) begin
          register_accesses = register_accesses + 1;
          compare("register answer", flags[1:0], answer);
          if (!flags[3] && flags[1:0] == OK) compare("register read", data, read);
        end else if (kind == INTERRUPT) begin
          interrupts = interrupts + 1;
        end else if (!flags[0]) begin
          refusals = refusals + 1;
        end else begin
          grants = grants + 1;
          if (kind >= STORE) begin
            sram = kind - STORE;
            due[sram] = 1;
            due_bank[sram*3 +: 3] = bank_of(sram, address);
            due_data[sram*DATA +: DATA] = data;
          end
        end
      end
    end
  endtask

  initial begin
    $readmemh(STIMULUS, stimulus);
    failures = 0;
    register_accesses = 0;
    grants = 0;
    refusals = 0;
    words_read = 0;
    interrupts = 0;
    next = 0;
    due = 0;
    valid = 0;
    write = 0;
    offset = 0;
    host_data = 0;
    load_valid = 0;
    store_valid = 0;
    load_address = 0;
    store_address = 0;
    load_data = 0;
    cycle = 0;
    clk = 0;
    rst = 1;
    #1 clk = 1;
    #1 clk = 0;
    rst = 0;
    while (cycle < CYCLES && failures < MOST_FAILURES) begin
      put;
      #1 check;
      #1 clk = 1;
      #1 clk = 0;
      cycle = cycle + 1;
    end
    if (failures < MOST_FAILURES) begin
      count("register accesses", REGISTER_ACCESSES, register_accesses);
      count("grants", GRANTS, grants);
      count("refusals", REFUSALS, refusals);
      count("words read", WORDS, words_read);
      count("interrupts", INTERRUPTS, interrupts);
    end
    if (failures != 0) begin
      $display("FAIL: %0d differences after %0d of %0d cycles", failures, cycle, CYCLES);
      $stop;
    end else
      $display("PASS: %0d cycles; %0d register accesses, %0d DMA grants, %0d refusals, %0d words read, %0d interrupts",
               cycle, register_accesses, grants, refusals, words_read, interrupts);
    $finish;
  end
endmodule
