#include "pool.h"

#include <stdlib.h>
#include <string.h>

#include "taps.h"

void tlm_pool_step(int32_t *acc, const int8_t *activations, int32_t row, int32_t lanes)
{
    int32_t *maxima = acc + row * lanes;

    for (int32_t lane = 0; lane < lanes; ++lane) {
        if (activations[lane] > maxima[lane]) {
            maxima[lane] = activations[lane];
        }
    }
}

/* Valid taps of one channel, those of one pattern word; the maxima are kept as nibbles in the order of their values
 * until all are seen. */
static int64_t pool_channel(const tlm_geometry *g, const uint8_t *amem, int64_t amem_words, const tlm_tap_source *taps,
                            int32_t channel, uint64_t valid_taps, int32_t *maxima)
{
    const int64_t base = g->input_base_word + (int64_t)channel * g->input_plane_words;
    const int32_t flip = g->input_signed ? 8 : 0; /* makes -8..7 ascend as 0..15 */
    uint8_t word[TLM_MAX_LANES / 2], largest[TLM_MAX_LANES];
    int64_t steps = 0;

    for (int32_t lane = 0; lane < g->lanes; ++lane) {
        largest[lane] = (uint8_t)(maxima[lane] + flip);
    }

    for (int32_t tap = 0; valid_taps; ++tap, valid_taps >>= 1) {
        const tlm_tap_source *source = &taps[tap];
        if (!(valid_taps & 1)) {
            continue;
        }
        ++steps;
        if (source->empty) {
            continue;
        }
        if (base + source->last_word >= amem_words) {
            return TLM_E_AMEM;
        }
        tlm_gather_word(amem + base * (g->lanes / 2), source, g->lanes, word);
        for (int32_t lane = 0; lane < g->lanes; ++lane) {
            const int32_t nibble = (word[lane / 2] >> 4 * (lane % 2) & 15) ^ flip;
            const uint8_t value = (uint8_t)(nibble & source->keep[lane / 2] >> 4 * (lane % 2)); /* padding: the lowest */
            largest[lane] = value > largest[lane] ? value : largest[lane];
        }
    }
    for (int32_t lane = 0; lane < g->lanes; ++lane) {
        maxima[lane] = largest[lane] - flip;
    }
    return steps;
}

static int64_t pool_group(const tlm_geometry *g, const uint8_t *amem, int64_t amem_words, const tlm_tap_source *taps,
                          const uint64_t *patterns, int32_t pattern_count, int32_t group, int32_t *acc)
{
    const int32_t first = tlm_first_channel(g, group);
    int64_t steps = 0;

    if (g->kind != TLM_MAX_POOLING || pattern_count != tlm_patterns_of_group(g, 0)) {
        return TLM_E_PATTERN;
    }
    for (int32_t i = 0; i < g->columns * g->lanes; ++i) {
        acc[i] = g->input_signed ? -8 : 0;
    }
    for (int32_t index = 0; index < pattern_count; ++index) {
        uint64_t pattern = patterns[index];
        if (!tlm_pattern_is_legal(g, group, index, pattern)) {
            return TLM_E_PATTERN;
        }
        const int32_t tap_count = tlm_taps_of_pattern(g, index);
        const tlm_tap_source *sources = taps + tlm_first_tap_of_pattern(g, index);
        for (int32_t row = tlm_first_channel_of_pattern(g, index); pattern; ++row, pattern >>= tap_count) {
            const int64_t more = pool_channel(g, amem, amem_words, sources, first + row,
                                              pattern & tlm_low_bits(tap_count), acc + row * g->lanes);
            if (more < 0) {
                return more;
            }
            steps += more;
        }
    }
    return steps;
}

int64_t tlm_pool_pass(const tlm_geometry *g, const uint8_t *amem, int64_t amem_words, const uint64_t *patterns,
                      int32_t pattern_count, int32_t group, int32_t tile, int32_t *acc)
{
    tlm_tap_source *taps = tlm_new_taps(g);
    const int32_t status = tlm_find_taps(g, amem_words, tile, taps);
    const int64_t steps =
        status ? status : pool_group(g, amem, amem_words, taps, patterns, pattern_count, group, acc);

    free(taps);
    return steps;
}

int64_t tlm_pool_layer(const tlm_geometry *g, const uint8_t *amem, int64_t amem_words, const uint64_t *patterns,
                       int32_t patterns_per_group, int32_t *acc)
{
    int64_t steps = 0;
    tlm_tap_source *taps = tlm_new_taps(g);
    int32_t pass_acc[TLM_MAX_COLUMNS * TLM_MAX_LANES];

    for (int32_t tile = 0; steps >= 0 && tile < g->tile_count; ++tile) {
        steps = tlm_find_taps(g, amem_words, tile, taps);
        for (int32_t group = 0; steps >= 0 && group < tlm_groups(g); ++group) {
            const int64_t more =
                pool_group(g, amem, amem_words, taps, patterns + (int64_t)group * patterns_per_group,
                           patterns_per_group, group, pass_acc);
            if (more < 0) {
                steps = more;
                break;
            }
            steps += more;
            for (int32_t row = 0; row < tlm_group_channels(g, group); ++row) {
                const int64_t channel = (int64_t)group * g->columns + row;
                memcpy(acc + (channel * g->tile_count + tile) * g->lanes, pass_acc + row * g->lanes,
                       sizeof *acc * (size_t)g->lanes);
            }
        }
    }
    free(taps);
    return steps;
}
