#include "mac.h"

#include <stdlib.h>
#include <string.h>

#include "taps.h"

/* Steps are taken four at a time, so that a row of sums is loaded and stored once for four of them. */
enum { BLOCK_STEPS = 4 };

/* A product is at most 15 * 8 = 120 in magnitude: 256 of them fit 16 bits (30,720), so that the vector units work on
 * twice as many lanes as with 32-bit sums. After 256 steps the sums are added to the accumulators. */
enum { STEPS_PER_SUM = 256 };

typedef struct step_block {
    int16_t activations[BLOCK_STEPS][TLM_MAX_LANES];
    int16_t weights[BLOCK_STEPS][TLM_MAX_COLUMNS];
    int32_t steps;
    int32_t steps_in_sums;
    int16_t sums[TLM_MAX_COLUMNS * TLM_MAX_LANES];
} step_block;

typedef struct memories {
    const uint8_t *amem, *wmem;
    int64_t amem_words, wmem_words;
} memories;

TLM_INLINE int16_t weight_of(const uint8_t *word, int32_t column)
{
    return (int16_t)((((word[column / 2] >> (4 * (column % 2))) & 15) ^ 8) - 8);
}

void tlm_mask(const uint8_t *word, const int32_t *select, int32_t lanes, int32_t is_signed, int32_t fill,
              int8_t *activations)
{
    const int32_t sign = is_signed ? 8 : 0;

    for (int32_t lane = 0; lane < lanes; ++lane) {
        const int32_t value = (word[lane / 2] >> (4 * (lane % 2))) & 15;
        activations[lane] = (int8_t)(select[lane] < 0 ? fill : (value ^ sign) - sign);
    }
}

TLM_CLONES
void tlm_mac_step(int32_t *acc, const int8_t *activations, const uint8_t *weight_word, int32_t lanes,
                  int32_t columns)
{
    for (int32_t column = 0; column < columns; ++column) {
        const int32_t weight = weight_of(weight_word, column);
        int32_t *row = acc + column * lanes;
        for (int32_t lane = 0; lane < lanes; ++lane) {
            row[lane] = tlm_wrap24(row[lane] + activations[lane] * weight);
        }
    }
}

TLM_INLINE void unpack_weights(const uint8_t *word, int32_t columns, int16_t *weights)
{
    for (int32_t i = 0; i < columns / 2; ++i) {
        weights[2 * i] = (int16_t)(((word[i] & 15) ^ 8) - 8);
        weights[2 * i + 1] = (int16_t)(((word[i] >> 4) ^ 8) - 8);
    }
}

TLM_INLINE void gather_lanes(const memories *m, int64_t plane_byte, const tlm_tap_source *source, int32_t lanes,
                             int32_t sign, int16_t *activations)
{
    uint8_t nibbles[TLM_MAX_LANES];

    tlm_gather_nibbles(m->amem, m->amem_words * (lanes / 2), plane_byte, source, lanes, nibbles);
    for (int32_t lane = 0; lane < lanes; ++lane) {
        activations[lane] = (int16_t)((nibbles[lane] ^ sign) - sign);
    }
}

TLM_INLINE void add_lanes(step_block *block, int32_t lanes, int32_t columns)
{
    const int16_t *a0 = block->activations[0], *a1 = block->activations[1];
    const int16_t *a2 = block->activations[2], *a3 = block->activations[3];

    for (int32_t column = 0; column < columns; ++column) {
        const int16_t w0 = block->weights[0][column], w1 = block->weights[1][column];
        const int16_t w2 = block->weights[2][column], w3 = block->weights[3][column];
        int16_t *row = block->sums + column * lanes;
        for (int32_t lane = 0; lane < lanes; ++lane) {
            row[lane] = (int16_t)(row[lane] + a0[lane] * w0 + a1[lane] * w1 + a2[lane] * w2 + a3[lane] * w3);
        }
    }
}

/* One step's activations and weights, unpacked. The switches give the compiler constant trip counts, hence whole
 * vectors. */
TLM_CLONES
void tlm_internal_fetch(const memories *m, int64_t plane_byte, const tlm_tap_source *source,
                        const uint8_t *weight_word, const tlm_geometry *g, step_block *block);
TLM_CLONES
void tlm_internal_fetch(const memories *m, int64_t plane_byte, const tlm_tap_source *source,
                        const uint8_t *weight_word, const tlm_geometry *g, step_block *block)
{
    const int32_t sign = g->input_signed ? 8 : 0;
    int16_t *activations = block->activations[block->steps], *weights = block->weights[block->steps];

    switch (g->lanes) {
    case 8: gather_lanes(m, plane_byte, source, 8, sign, activations); break;
    case 16: gather_lanes(m, plane_byte, source, 16, sign, activations); break;
    case 32: gather_lanes(m, plane_byte, source, 32, sign, activations); break;
    default: gather_lanes(m, plane_byte, source, 64, sign, activations); break;
    }
    switch (g->columns) {
    case 8: unpack_weights(weight_word, 8, weights); break;
    case 16: unpack_weights(weight_word, 16, weights); break;
    case 32: unpack_weights(weight_word, 32, weights); break;
    default: unpack_weights(weight_word, 64, weights); break;
    }
    ++block->steps;
}

TLM_CLONES
void tlm_internal_add(step_block *block, int32_t lanes, int32_t columns);
TLM_CLONES
void tlm_internal_add(step_block *block, int32_t lanes, int32_t columns)
{
    switch (lanes) {
    case 8: add_lanes(block, 8, columns); break;
    case 16: add_lanes(block, 16, columns); break;
    case 32: add_lanes(block, 32, columns); break;
    default: add_lanes(block, 64, columns); break;
    }
}

static void flush_sums(step_block *block, int32_t lanes, int32_t columns, int32_t *acc)
{
    for (int32_t i = 0; i < columns * lanes; ++i) {
        acc[i] = tlm_wrap24(acc[i] + block->sums[i]);
    }
    memset(block->sums, 0, sizeof block->sums[0] * (size_t)(columns * lanes));
    block->steps_in_sums = 0;
}

static void run_block(step_block *block, int32_t lanes, int32_t columns, int32_t *acc)
{
    for (int32_t step = block->steps; step < BLOCK_STEPS; ++step) {
        memset(block->activations[step], 0, sizeof block->activations[step]);
    }
    tlm_internal_add(block, lanes, columns);
    block->steps = 0;
    block->steps_in_sums += BLOCK_STEPS;
    if (block->steps_in_sums == STEPS_PER_SUM) {
        flush_sums(block, lanes, columns, acc);
    }
}

static int64_t run_channel(const tlm_geometry *g, const memories *m, const tlm_tap_source *taps, int32_t channel,
                           uint64_t valid_taps, int64_t weight_word, step_block *block, int32_t *acc)
{
    const int64_t base = g->input_base_word + (int64_t)channel * g->input_plane_words;

    for (int32_t tap = 0; valid_taps; ++tap, valid_taps >>= 1) {
        if (!(valid_taps & 1)) {
            continue;
        }
        if (weight_word >= m->wmem_words) {
            return TLM_E_WMEM;
        }
        if (!taps[tap].empty) {
            if (base + taps[tap].last_word >= m->amem_words) {
                return TLM_E_AMEM;
            }
            tlm_internal_fetch(m, base * (g->lanes / 2), &taps[tap], m->wmem + weight_word * (g->columns / 2), g,
                               block);
            if (block->steps == BLOCK_STEPS) {
                run_block(block, g->lanes, g->columns, acc);
            }
        }
        ++weight_word;
    }
    return weight_word;
}

static int64_t run_pass(const tlm_geometry *g, const memories *m, const tlm_tap_source *taps, int64_t first_weight_word,
                        const uint64_t *patterns, int32_t pattern_count, int32_t *acc)
{
    int64_t weight_word = first_weight_word;
    step_block block = {.steps = 0};

    if (first_weight_word < 0) {
        return TLM_E_WMEM;
    }
    if (g->kind != TLM_CONVOLUTION || pattern_count != tlm_patterns_of_group(g, 0)) {
        return TLM_E_PATTERN;
    }
    memset(acc, 0, sizeof *acc * (size_t)(g->columns * g->lanes));
    for (int32_t index = 0; index < pattern_count; ++index) {
        uint64_t pattern = patterns[index];
        if (!tlm_pattern_is_legal(g, 0, index, pattern)) {
            return TLM_E_PATTERN;
        }
        const int32_t tap_count = tlm_taps_of_pattern(g, index);
        const tlm_tap_source *sources = taps + tlm_first_tap_of_pattern(g, index);
        for (int32_t c = tlm_first_channel_of_pattern(g, index); pattern; ++c, pattern >>= tap_count) {
            weight_word = run_channel(g, m, sources, c, pattern & tlm_low_bits(tap_count), weight_word, &block, acc);
            if (weight_word < 0) {
                return weight_word;
            }
        }
    }
    run_block(&block, g->lanes, g->columns, acc);
    flush_sums(&block, g->lanes, g->columns, acc);
    return weight_word - first_weight_word;
}

int64_t tlm_mac_pass(const tlm_geometry *g, const uint8_t *amem, int64_t amem_words, const uint8_t *wmem,
                     int64_t wmem_words, int64_t first_weight_word, const uint64_t *patterns, int32_t pattern_count,
                     int32_t tile, int32_t *acc)
{
    const memories m = {amem, wmem, amem_words, wmem_words};
    tlm_tap_source *taps = tlm_new_taps(g);
    const int32_t status = tlm_find_taps(g, tile, taps);
    const int64_t used = status ? status : run_pass(g, &m, taps, first_weight_word, patterns, pattern_count, acc);

    free(taps);
    return used;
}

int64_t tlm_mac_layer(const tlm_geometry *g, const uint8_t *amem, int64_t amem_words, const uint8_t *wmem,
                      int64_t wmem_words, int64_t first_weight_word, const uint64_t *patterns,
                      int32_t patterns_per_group, int32_t *acc)
{
    const memories m = {amem, wmem, amem_words, wmem_words};
    int64_t consumed = 0;
    tlm_tap_source *taps = tlm_new_taps(g);
    int32_t pass_acc[TLM_MAX_COLUMNS * TLM_MAX_LANES];

    /* Tiles outside, groups inside (the engine does it the other way round, the values are the same): the sources of
     * a tile are found once, and the groups' weight words follow each other. */
    for (int32_t tile = 0; consumed >= 0 && tile < g->tile_count; ++tile) {
        consumed = tlm_find_taps(g, tile, taps);
        for (int32_t group = 0; consumed >= 0 && group < tlm_groups(g); ++group) {
            const int32_t first = group * g->columns;
            const int64_t used = run_pass(g, &m, taps, first_weight_word + consumed,
                                          patterns + (int64_t)group * patterns_per_group, patterns_per_group, pass_acc);
            if (used < 0) {
                consumed = used;
                break;
            }
            consumed += used;
            for (int32_t row = 0; row < tlm_group_channels(g, group); ++row) {
                memcpy(acc + ((int64_t)(first + row) * g->tile_count + tile) * g->lanes, pass_acc + row * g->lanes,
                       sizeof *acc * (size_t)g->lanes);
            }
        }
    }
    free(taps);
    return consumed;
}

const char *tlm_simd(void)
{
#ifdef TLM_HAVE_TARGET_CLONES
    __builtin_cpu_init();
    if (__builtin_cpu_supports("x86-64-v4")) {
        return "x86-64-v4";
    }
    if (__builtin_cpu_supports("x86-64-v3")) {
        return "x86-64-v3";
    }
#endif
    return "default";
}
