// The verilated engine as a C library: clocked in spans, with what observers want to know of each cycle.
//
// The circuit always stands in a cycle whose registers have settled. A register access or a DMA request is put on the
// wires of that cycle and answered at once; the next edge takes it and clears the wires.
#include "Vengine.h"
#include "Vengine___024root.h"
#include "chip.h"  // generated: sizes, and lists of SRAMs, banks, events and header words
#include "verilated.h"

#include "coupling_waves.h"

#include <cstdint>
#include <cstring>
#include <vector>

extern "C" {
#include "coupling.h"
}

struct Rtl {
    VerilatedContext context;
    Vengine top{&context};
    Waves waves;
    std::vector<uint8_t> written[3];
    int64_t settled_cycles = 0;  // since the circuit was last active
    bool wires_set = false;
    bool unwritten = false;  // the DMA's store reads such a word
    RtlReport *report = nullptr;
    int32_t (*advance_dma)(void *, int64_t) = nullptr;
    void *dma = nullptr;
    uint32_t served[3][3][8] = {};
    uint32_t refused[2] = {};
    uint32_t steps = 0, fetch_cycles = 0;
};

#define SEEN(name) top.observed___05F##name

static void clear_wires(Vengine &top) {
    top.valid = 0;
    top.write = 0;
#define X(number, name, bytes) \
    top.name##_dma_load___05Fvalid = 0; \
    top.name##_dma_load___05Fwrite = 0; \
    top.name##_dma_store___05Fvalid = 0;
    SRAM_LIST(X)
#undef X
}

static void edge(Rtl *rtl) {
    rtl->top.clk = 1;
    rtl->top.eval();
    if (rtl->wires_set) clear_wires(rtl->top);
    rtl->wires_set = false;
    rtl->top.clk = 0;
    rtl->top.eval();
}

static uint8_t *word_of(Rtl *rtl, int sram, int64_t address) {
    auto *root = rtl->top.rootp;
#define X(number, name, banks, bank) \
    if (sram == number && address % banks == bank) \
        return reinterpret_cast<uint8_t *>(&root->engine__DOT__##name##__DOT__bank_##bank##__DOT__words[address / banks]);
    BANK_LIST(X)
#undef X
    return nullptr;
}

static size_t word_bytes(int sram) {
#define X(number, name, bytes) \
    if (sram == number) return bytes;
    SRAM_LIST(X)
#undef X
    return 0;
}

// What this cycle shows; returns the events that stop a span.
static uint32_t observe(Rtl *rtl, RtlReport *report) {
    auto &top = rtl->top;
    uint32_t events = 0;
#define X(number, name) events |= static_cast<uint32_t>(SEEN(name)) << number;
    EVENT_LIST(X)
#undef X
    if (events) {
        // the header word that is read while a layer ends is the next one's
        memcpy(report->served, rtl->served, sizeof rtl->served);
        memset(rtl->served, 0, sizeof rtl->served);
    }
    bool later = events >> EVENT_layer_ended & 1;
    auto &served = events && !later ? report->served : rtl->served;
#define X(number, name, banks, bank) \
    if (SEEN(name##___05F##bank##___05Fvalid)) { \
        unsigned address = SEEN(name##___05F##bank##___05Faddress), port = SEEN(name##___05F##bank##___05Fport); \
        ++served[number][port][bank]; \
        if (SEEN(name##___05F##bank##___05Fwrite)) { \
            rtl->written[number][address] = 1; \
        } else if (!rtl->written[number][address]) { \
            report->unwritten_sram = number; \
            report->unwritten_port = port; \
            report->unwritten_address = address; \
            events |= 1u << EVENT_unwritten; \
        } \
    }
    BANK_LIST(X)
#undef X
    rtl->refused[0] += SEEN(refused_write);
    rtl->refused[1] += SEEN(refused_residual);
    if (events) {
        memcpy(report->refused, rtl->refused, sizeof rtl->refused);
        memset(rtl->refused, 0, sizeof rtl->refused);
    }
    if (events >> EVENT_pass_started & 1) rtl->steps = rtl->fetch_cycles = 0;
    rtl->steps += SEEN(step_done);
    rtl->fetch_cycles += SEEN(step);
    if (events) {
        report->fault = SEEN(fault);
        report->error_code = SEEN(error_code);
        report->error_address = SEEN(error_address);
        report->group = SEEN(group);
        report->tile = SEEN(tile);
        report->steps = rtl->steps;
        report->fetch_cycles = rtl->fetch_cycles;
#define X(number) report->header[number] = SEEN(header___05F##number);
        HEADER_LIST(X)
#undef X
    }
    return events;
}

extern "C" {

Rtl *rtl_new(void) {
    auto *rtl = new Rtl;
#define X(number, name, bytes) rtl->written[number].resize(name##_words);
    SRAM_LIST(X)
#undef X
    clear_wires(rtl->top);
    rtl->top.clk = 0;
    rtl->top.rst = 1;
    rtl->top.eval();
    edge(rtl);
    rtl->top.rst = 0;
    rtl->top.eval();
    return rtl;
}

void rtl_delete(Rtl *rtl) { delete rtl; }

void rtl_peek(Rtl *rtl, int sram, int64_t address, uint8_t *data) {
    memcpy(data, word_of(rtl, sram, address), word_bytes(sram));
}

void rtl_poke(Rtl *rtl, int sram, int64_t address, const uint8_t *data) {
    memcpy(word_of(rtl, sram, address), data, word_bytes(sram));
    rtl->written[sram][address] = 1;
}

int rtl_written(Rtl *rtl, int sram, int64_t address) { return rtl->written[sram][address]; }

int rtl_register(Rtl *rtl, int write, int offset, uint64_t *data) {
    auto &top = rtl->top;
    top.valid = 1;
    top.write = write;
    top.offset = offset;
    top.data = *data;
    top.eval();
    if (!write) *data = top.read;
    int answer = top.answer;
    if (write) {
        rtl->wires_set = true;
        rtl->settled_cycles = 0;
    } else {
        top.valid = 0;
        top.eval();
    }
    return answer;
}

int rtl_load(Rtl *rtl, int sram, int64_t address, const uint8_t *data) {
    auto &top = rtl->top;
    rtl->wires_set = true;
    int grant = 0;
#define X(number, name, bytes) \
    if (sram == number) { \
        top.name##_dma_load___05Fvalid = 1; \
        top.name##_dma_load___05Fwrite = 1; \
        top.name##_dma_load___05Faddress = address; \
        memcpy(&top.name##_dma_load___05Fdata, data, bytes); \
        top.eval(); \
        grant = top.name##_dma_load___05Fgrant; \
    }
    SRAM_LIST(X)
#undef X
    if (grant) rtl->written[sram][address] = 1;
    return grant;
}

int rtl_store(Rtl *rtl, int sram, int64_t address, uint8_t *data) {
    auto &top = rtl->top;
    rtl->wires_set = true;
    int grant = 0;
#define X(number, name, bytes) \
    if (sram == number) { \
        top.name##_dma_store___05Fvalid = 1; \
        top.name##_dma_store___05Faddress = address; \
        top.eval(); \
        grant = top.name##_dma_store___05Fgrant; \
    }
    SRAM_LIST(X)
#undef X
    if (grant) rtl_peek(rtl, sram, address, data);
    return grant;
}

int32_t rtl_access(void *self, int32_t channel, int32_t sram, int32_t word, uint8_t *data) {
    auto *rtl = static_cast<Rtl *>(self);
    if (!channel) return rtl_load(rtl, sram, word, data);
    int grant = rtl_store(rtl, sram, word, data);
    if (grant && !rtl->written[sram][word]) {
        rtl->unwritten = true;
        rtl->report->unwritten_sram = sram;
        rtl->report->unwritten_port = sram ? 2 : 4;  // the last one
        rtl->report->unwritten_address = word;
    }
    return grant;
}

void rtl_connect(Rtl *rtl, int32_t (*advance)(void *, int64_t), void *dma) {
    rtl->advance_dma = advance;
    rtl->dma = dma;
}

// Until something happened in a cycle. What the DMA does in it comes before its edge, what the circuit shows behind.
void rtl_advance(Rtl *rtl, int64_t cycle, int64_t most_cycles, int dma_busy, RtlReport *report) {
    int64_t now = cycle;
    uint32_t events = 0, completed = 0;
    rtl->report = report;
    while (now < cycle + most_cycles && !events) {
        if (dma_busy) completed = rtl->advance_dma(rtl->dma, now + 1);
        if (rtl->unwritten) events = 1u << EVENT_unwritten;
        if (completed || events) break;
        bool still = rtl->settled_cycles > SETTLE_CYCLES && !rtl->wires_set && !rtl->waves.shows(now);
        if (still && !dma_busy) break;
        ++now;
        if (still) continue;
        rtl->top.cycle = now - 1;
        rtl->waves.show(rtl->top, now - 1);
        edge(rtl);
        events = observe(rtl, report);
        rtl->settled_cycles = rtl->top.observed___05Factive ? 0 : rtl->settled_cycles + 1;
    }
    report->cycles = now - cycle;
    report->events = events;
    report->completed = completed;
    report->asleep = rtl->settled_cycles > SETTLE_CYCLES && !rtl->wires_set;
}

#ifdef TRACED
int rtl_waves_open(Rtl *rtl, const char *path, int64_t clock_khz) {
    rtl->waves.clock_khz = clock_khz;
    rtl->context.traceEverOn(true);
    rtl->top.trace(&rtl->waves.dump, 99);
    rtl->waves.dump.open(path);
    return rtl->waves.dump.isOpen();
}

void rtl_waves_show(Rtl *rtl, int64_t first, int64_t end) {
    rtl->waves.first = first;
    rtl->waves.end = end;
}

int rtl_waves_close(Rtl *rtl, int64_t cycle) {
    rtl->waves.show(rtl->top, cycle);
    rtl->waves.dump.flush();
    int whole = rtl->waves.dump.isOpen();  // it closes itself if the disk does not take all
    rtl->waves.dump.close();
    return whole;
}
#endif
}
