// The circuit's own signals as a value change dump, in a library that is built with -DTRACED.
#ifdef TRACED
#include "Vengine__Syms.h"
#include "verilated_vcd_c.h"

struct Waves {
    VerilatedVcdC dump;
    int64_t clock_khz = 1;
    int64_t first = 0, end = 0;  // cycles that are written
    int64_t next = 0;            // no cycle before it can be written any more

    uint64_t start_ps(int64_t cycle) const { return static_cast<unsigned __int128>(cycle) * 1000000000 / clock_khz; }

    bool shows(int64_t cycle) const { return cycle >= first && cycle < end && cycle >= next; }

    // The values that a cycle has settled to, over the whole of it; only the clock changes within.
    void show(Vengine &top, int64_t cycle) {
        if (!shows(cycle)) return;
        next = cycle + 1;
        write(top, 1, start_ps(cycle));
        write(top, 0, (start_ps(cycle) + start_ps(cycle + 1)) / 2);
    }

    void write(Vengine &top, int clk, uint64_t time_ps) {
        top.clk = clk;
        top.rootp->vlSymsp->__Vm_activity = true;  // else a dump looks at no signal without an evaluation before it
        dump.dump(time_ps);
    }
};
#else
struct Waves {
    bool shows(int64_t) const { return false; }
    void show(Vengine &, int64_t) {}
};
#endif
