#include "pool.h"

#include <stdlib.h>
#include <string.h>

#include "align.h"

void tlm_pool_step(int32_t *acc, const int8_t *activations, int32_t row, int32_t lanes)
{
    int32_t *maxima = acc + row * lanes;

    for (int32_t lane = 0; lane < lanes; ++lane) {
        if (activations[lane] > maxima[lane]) {
            maxima[lane] = activations[lane];
        }
    }
}

typedef struct pool_job {
    tlm_aligner_input input;
    tlm_align align;
} pool_job;

/* Valid taps of one channel, those of one pattern word; the maxima are kept as nibbles in the order of their values
 * until all are seen. */
static int64_t pool_channel(const pool_job *job, int32_t channel, int32_t first_tap, uint64_t valid_taps,
                            int32_t *maxima)
{
    const tlm_geometry *g = job->input.geometry;
    const int64_t plane_word = g->input_base_word + (int64_t)channel * g->input_plane_words;
    const uint8_t flip = g->input_signed ? 8 : 0; /* makes -8..7 ascend as 0..15 */
    uint8_t nibbles[TLM_MAX_LANES], largest[TLM_MAX_LANES];
    int64_t steps = 0;

    for (int32_t lane = 0; lane < g->lanes; ++lane) {
        largest[lane] = (uint8_t)(maxima[lane] + flip);
    }
    for (; valid_taps; valid_taps &= valid_taps - 1, ++steps) {
        const int32_t tap = first_tap + tlm_lowest_bit(valid_taps);
        const tlm_tap_source *source = &job->input.taps[tap];
        if (source->empty) {
            continue;
        }
        const int32_t status = job->align(&job->input, (tlm_step){plane_word, tap}, nibbles);
        if (status) {
            return status;
        }
        for (int32_t lane = 0; lane < g->lanes; ++lane) {
            const uint8_t value = (nibbles[lane] ^ flip) & source->pixel[lane]; /* padding: the lowest */
            largest[lane] = value > largest[lane] ? value : largest[lane];
        }
    }
    for (int32_t lane = 0; lane < g->lanes; ++lane) {
        maxima[lane] = largest[lane] - flip;
    }
    return steps;
}

static int64_t pool_group(const pool_job *job, const uint64_t *patterns, int32_t pattern_count, int32_t group,
                          int32_t *acc)
{
    const tlm_geometry *g = job->input.geometry;
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
        const int32_t tap_count = tlm_taps_of_pattern(g, index), first_tap = tlm_first_tap_of_pattern(g, index);
        for (int32_t row = tlm_first_channel_of_pattern(g, index); pattern; ++row, pattern >>= tap_count) {
            const int64_t more = pool_channel(job, first + row, first_tap, pattern & tlm_low_bits(tap_count),
                                              acc + row * g->lanes);
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
    const pool_job job = {{g, amem, amem_words, taps}, tlm_find_align(TLM_SIMD_BEST)};
    const int64_t steps = status ? status : pool_group(&job, patterns, pattern_count, group, acc);

    free(taps);
    return steps;
}

int64_t tlm_pool_layer(const tlm_geometry *g, const uint8_t *amem, int64_t amem_words, const uint64_t *patterns,
                       int32_t patterns_per_group, int32_t *acc)
{
    int64_t steps = 0;
    tlm_tap_source *taps = tlm_new_taps(g);
    const pool_job job = {{g, amem, amem_words, taps}, tlm_find_align(TLM_SIMD_BEST)};
    int32_t pass_acc[TLM_MAX_COLUMNS * TLM_MAX_LANES];

    for (int32_t tile = 0; steps >= 0 && tile < g->tile_count; ++tile) {
        steps = tlm_find_taps(g, amem_words, tile, taps);
        for (int32_t group = 0; steps >= 0 && group < tlm_groups(g); ++group) {
            const int64_t more =
                pool_group(&job, patterns + (int64_t)group * patterns_per_group, patterns_per_group, group, pass_acc);
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
