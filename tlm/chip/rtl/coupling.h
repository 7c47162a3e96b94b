// The C library of the verilated engine; read by the compiler and by cffi.
typedef struct Rtl Rtl;
typedef struct {
    int64_t cycles;
    uint32_t events;
    uint32_t completed;        // DMA channels, bit by bit
    uint32_t asleep;
    uint32_t fault, error_code, error_address;
    uint32_t group, tile, steps, fetch_cycles;
    uint32_t unwritten_sram, unwritten_port, unwritten_address;
    uint32_t served[3][3][8];  // accesses of the engine's ports: SRAM, port, bank
    uint32_t refused[2];       // writes, residual reads
    uint64_t header[7];
} RtlReport;
Rtl *rtl_new(void);
void rtl_delete(Rtl *);
void rtl_peek(Rtl *, int sram, int64_t address, uint8_t *data);
void rtl_poke(Rtl *, int sram, int64_t address, const uint8_t *data);
int rtl_written(Rtl *, int sram, int64_t address);
int rtl_register(Rtl *, int write, int offset, uint64_t *data);
int rtl_load(Rtl *, int sram, int64_t address, const uint8_t *data);
int rtl_store(Rtl *, int sram, int64_t address, uint8_t *data);
int32_t rtl_access(void *rtl, int32_t channel, int32_t sram, int32_t word, uint8_t *data);
void rtl_connect(Rtl *, int32_t (*advance)(void *dma, int64_t until_cycle), void *dma);
void rtl_advance(Rtl *, int64_t cycle, int64_t most_cycles, int dma_busy, RtlReport *);
// of a library that is built for waveforms; the results say whether the file took all
int rtl_waves_open(Rtl *, const char *path, int64_t clock_khz);
void rtl_waves_show(Rtl *, int64_t first, int64_t end);
int rtl_waves_close(Rtl *, int64_t cycle);
