#include "mac.h"

#include <stdlib.h>
#include <string.h>

#include "dot.h"
#include "taps.h"

typedef struct memories {
    const uint8_t *amem, *wmem;
    int64_t amem_words, wmem_words;
} memories;

/* A step whose words are in the memories, and where they are. */
typedef struct mac_step {
    const tlm_tap_source *source;
    int64_t plane_byte;
    const uint8_t *weight_word;
} mac_step;

enum { BLOCK_STEPS = TLM_DOT_STEPS * TLM_DOT_QUADS };

/* Steps are found first, then unpacked, multiplied and added, up to 256 together. */
typedef struct step_block {
    mac_step steps[BLOCK_STEPS];
    int32_t count;
    tlm_dot_block dot;
} step_block;

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

/* What four steps, or fewer that are left, read. */
TLM_INLINE void fetch_steps(const memories *m, const mac_step *steps, int32_t count, int32_t lanes, int32_t columns,
                            tlm_step_words *activations, tlm_step_words *weights)
{
    for (int32_t step = 0; step < count; ++step) {
        tlm_gather_word(m->amem, m->amem_words * (lanes / 2), steps[step].plane_byte, steps[step].source, lanes,
                        activations->of_step[step]);
        memcpy(weights->of_step[step], steps[step].weight_word, (size_t)(columns / 2));
    }
}

/* All steps of the block, four at a time; what is missing to the last four is 0. */
TLM_CLONES
void tlm_internal_pack(const memories *m, const tlm_geometry *g, step_block *block);
TLM_CLONES
void tlm_internal_pack(const memories *m, const tlm_geometry *g, step_block *block)
{
    const uint8_t sign = g->input_signed ? 8 : 0;
    tlm_step_words activations = {{{0}}}, weights = {{{0}}};

    for (int32_t first = 0, quad = 0; first < block->count; first += TLM_DOT_STEPS, ++quad) {
        const mac_step *steps = block->steps + first;
        const int32_t left = block->count - first, count = left < TLM_DOT_STEPS ? left : TLM_DOT_STEPS;
        if (count < TLM_DOT_STEPS) {
            memset(&activations, 0, sizeof activations);
            memset(&weights, 0, sizeof weights);
        }
        if (g->lanes == 32 && g->columns == 32) { /* constants become whole vectors */
            fetch_steps(m, steps, count, 32, 32, &activations, &weights);
        } else {
            fetch_steps(m, steps, count, g->lanes, g->columns, &activations, &weights);
        }
        tlm_dot_pack(&activations, g->lanes, sign, sign, block->dot.activations + quad * g->lanes);
        tlm_dot_pack(&weights, g->columns, TLM_WEIGHT_OFFSET, 0, block->dot.weights + quad * g->columns);
    }
}

static void run_block(const memories *m, const tlm_geometry *g, tlm_dot dot, step_block *block, int32_t *acc)
{
    tlm_internal_pack(m, g, block);
    dot(&block->dot, (block->count + TLM_DOT_STEPS - 1) / TLM_DOT_STEPS, g->lanes, g->columns, acc);
    block->count = 0;
}

static int64_t run_channel(const tlm_geometry *g, const memories *m, const tlm_tap_source *taps, int32_t channel,
                           uint64_t valid_taps, int64_t weight_word, tlm_dot dot, step_block *block, int32_t *acc)
{
    const int64_t base = g->input_base_word + (int64_t)channel * g->input_plane_words;
    const int64_t plane_byte = base * (g->lanes / 2), weight_bytes = g->columns / 2;

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
            block->steps[block->count++] = (mac_step){&taps[tap], plane_byte, m->wmem + weight_word * weight_bytes};
            if (block->count == BLOCK_STEPS) {
                run_block(m, g, dot, block, acc);
            }
        }
        ++weight_word;
    }
    return weight_word;
}

static int64_t run_pass(const tlm_geometry *g, const memories *m, const tlm_tap_source *taps, int64_t first_weight_word,
                        const uint64_t *patterns, int32_t pattern_count, tlm_dot dot, int32_t *acc)
{
    int64_t weight_word = first_weight_word;
    step_block block; /* but for the count, written before it is read */

    block.count = 0;
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
            weight_word = run_channel(g, m, sources, c, pattern & tlm_low_bits(tap_count), weight_word, dot, &block, acc);
            if (weight_word < 0) {
                return weight_word;
            }
        }
    }
    run_block(m, g, dot, &block, acc);
    return weight_word - first_weight_word;
}

int64_t tlm_mac_pass(const tlm_geometry *g, const uint8_t *amem, int64_t amem_words, const uint8_t *wmem,
                     int64_t wmem_words, int64_t first_weight_word, const uint64_t *patterns, int32_t pattern_count,
                     int32_t tile, int32_t simd, int32_t *acc)
{
    const memories m = {amem, wmem, amem_words, wmem_words};
    tlm_tap_source *taps = tlm_new_taps(g);
    const tlm_dot dot = tlm_find_dot(simd);
    const int32_t status = dot ? tlm_find_taps(g, tile, taps) : TLM_E_SIMD;
    const int64_t used = status ? status : run_pass(g, &m, taps, first_weight_word, patterns, pattern_count, dot, acc);

    free(taps);
    return used;
}

int64_t tlm_mac_layer(const tlm_geometry *g, const uint8_t *amem, int64_t amem_words, const uint8_t *wmem,
                      int64_t wmem_words, int64_t first_weight_word, const uint64_t *patterns,
                      int32_t patterns_per_group, int32_t simd, int32_t *acc)
{
    const memories m = {amem, wmem, amem_words, wmem_words};
    const tlm_dot dot = tlm_find_dot(simd);
    int64_t consumed = dot ? 0 : TLM_E_SIMD;
    tlm_tap_source *taps = tlm_new_taps(g);
    int32_t pass_acc[TLM_MAX_COLUMNS * TLM_MAX_LANES];

    /* Tiles outside, groups inside (the engine does it the other way round, the values are the same): the sources of
     * a tile are found once, and the groups' weight words follow each other. */
    for (int32_t tile = 0; consumed >= 0 && tile < g->tile_count; ++tile) {
        consumed = tlm_find_taps(g, tile, taps);
        for (int32_t group = 0; consumed >= 0 && group < tlm_groups(g); ++group) {
            const int32_t first = group * g->columns;
            const int64_t used = run_pass(g, &m, taps, first_weight_word + consumed,
                                          patterns + (int64_t)group * patterns_per_group, patterns_per_group, dot,
                                          pass_acc);
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

