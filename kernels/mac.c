#include "mac.h"

#include <stdlib.h>
#include <string.h>

#include "align.h"
#include "dot.h"

typedef struct mac_job {
    tlm_aligner_input input;
    const uint8_t *wmem;
    int64_t wmem_words;
    tlm_align_steps align;
    tlm_dot dot;
} mac_job;

enum { BLOCK_STEPS = TLM_DOT_STEPS * TLM_DOT_QUADS };

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

static int32_t at_most(int32_t count, int32_t most) { return count < most ? count : most; }

static int32_t quads_of(int32_t steps) { return (steps + TLM_DOT_STEPS - 1) / TLM_DOT_STEPS; }

/* Finds the steps in a pattern word, behind those that the group has. */
static int32_t find_steps(const tlm_geometry *g, int32_t index, uint64_t pattern, int64_t weight_words,
                          tlm_mac_group *group)
{
    const int32_t tap_count = tlm_taps_of_pattern(g, index), first_tap = tlm_first_tap_of_pattern(g, index);

    if (!tlm_pattern_is_legal(g, 0, index, pattern)) {
        return TLM_E_PATTERN;
    }
    for (int32_t channel = tlm_first_channel_of_pattern(g, index); pattern; ++channel, pattern >>= tap_count) {
        const int64_t plane_word = g->input_base_word + (int64_t)channel * g->input_plane_words;
        for (uint64_t taps = pattern & tlm_low_bits(tap_count); taps; taps &= taps - 1) {
            if (group->count == weight_words) {
                return TLM_E_WMEM;
            }
            group->steps[group->count++] = (tlm_step){plane_word, first_tap + tlm_lowest_bit(taps)};
        }
    }
    return 0;
}

TLM_INLINE void pack_columns(const uint8_t *restrict words, int32_t columns, int32_t count, uint32_t *restrict weights)
{
    const int32_t bytes = columns / 2;

    for (; count > 0; count -= TLM_DOT_STEPS, words += TLM_DOT_STEPS * bytes, weights += columns) {
        uint8_t four[TLM_DOT_STEPS][TLM_MAX_COLUMNS];
        if (count < TLM_DOT_STEPS) {
            memset(four, 0, sizeof four);
        }
        for (int32_t step = 0; step < TLM_DOT_STEPS && step < count; ++step) {
            tlm_split(words + step * bytes, columns, four[step]);
        }
        tlm_interleave(four, columns, TLM_WEIGHT_OFFSET, 0, weights);
    }
}

/* The weights of `count` words as tlm_dot takes them. */
TLM_CLONES
void tlm_internal_pack(const uint8_t *words, int32_t columns, int32_t count, uint32_t *weights);
TLM_CLONES
void tlm_internal_pack(const uint8_t *words, int32_t columns, int32_t count, uint32_t *weights)
{
    switch (columns) { /* constants for compilers, which then make whole vectors */
    case 8: pack_columns(words, 8, count, weights); break;
    case 16: pack_columns(words, 16, count, weights); break;
    case 32: pack_columns(words, 32, count, weights); break;
    default: pack_columns(words, 64, count, weights); break;
    }
}

/* A group's steps and weights. */
static int32_t prepare(const mac_job *job, int64_t first_weight_word, const uint64_t *patterns, int32_t pattern_count,
                       tlm_mac_group *group)
{
    const tlm_geometry *g = job->input.geometry;

    group->count = 0;
    for (int32_t index = 0; index < pattern_count; ++index) {
        const int32_t status = find_steps(g, index, patterns[index], job->wmem_words - first_weight_word, group);
        if (status) {
            return status;
        }
    }
    tlm_internal_pack(job->wmem + first_weight_word * (g->columns / 2), g->columns, group->count, group->weights);
    return 0;
}

/* One group of the tile that the taps are of. */
static int32_t run_pass(const mac_job *job, const tlm_mac_group *group, int32_t *acc)
{
    const int32_t lanes = job->input.geometry->lanes, columns = job->input.geometry->columns;
    _Alignas(TLM_ALIGNMENT) uint32_t activations[TLM_DOT_QUADS * TLM_MAX_LANES];

    memset(acc, 0, sizeof *acc * (size_t)(columns * lanes));
    for (int32_t first = 0; first < group->count; first += BLOCK_STEPS) {
        const int32_t count = at_most(group->count - first, BLOCK_STEPS);
        const int32_t status = job->align(&job->input, group->steps + first, count, activations);
        if (status) {
            return status;
        }
        job->dot(activations, group->weights + first / TLM_DOT_STEPS * columns, quads_of(count), lanes, columns, acc);
    }
    return 0;
}

static int32_t check(const mac_job *job, int64_t first_weight_word, int32_t pattern_count)
{
    const tlm_geometry *g = job->input.geometry;

    if (first_weight_word < 0 || first_weight_word > job->wmem_words) {
        return TLM_E_WMEM;
    }
    if (g->kind != TLM_CONVOLUTION || pattern_count != tlm_patterns_of_group(g, 0)) {
        return TLM_E_PATTERN;
    }
    return job->dot ? 0 : TLM_E_SIMD;
}

/* Whether the memories hold just what a group has been made of. */
static bool is_kept(const mac_job *job, int64_t first_weight_word, const uint64_t *patterns, int32_t pattern_count,
                    const tlm_mac_group *group)
{
    const int64_t bytes = job->input.geometry->columns / 2;

    return group->is_kept && group->count <= job->wmem_words - first_weight_word &&
           !memcmp(group->patterns, patterns, sizeof *patterns * (size_t)pattern_count) &&
           !memcmp(group->words, job->wmem + first_weight_word * bytes, (size_t)(group->count * bytes));
}

static int32_t keep(const mac_job *job, int64_t first_weight_word, const uint64_t *patterns, int32_t pattern_count,
                    tlm_mac_group *group)
{
    const int64_t bytes = job->input.geometry->columns / 2;
    const int32_t status = prepare(job, first_weight_word, patterns, pattern_count, group);

    group->is_kept = !status;
    if (!status) {
        memcpy(group->patterns, patterns, sizeof *patterns * (size_t)pattern_count);
        memcpy(group->words, job->wmem + first_weight_word * bytes, (size_t)(group->count * bytes));
    }
    return status;
}

int64_t tlm_mac_pass(const tlm_geometry *g, const uint8_t *amem, int64_t amem_words, const uint8_t *wmem,
                     int64_t wmem_words, int64_t first_weight_word, const uint64_t *patterns, int32_t pattern_count,
                     int32_t tile, int32_t simd, tlm_mac_group *group, int32_t *acc)
{
    mac_job job = {{g, amem, amem_words, NULL}, wmem, wmem_words, tlm_find_align_steps(simd), tlm_find_dot(simd)};
    int32_t status = check(&job, first_weight_word, pattern_count);

    if (!status && !is_kept(&job, first_weight_word, patterns, pattern_count, group)) {
        status = keep(&job, first_weight_word, patterns, pattern_count, group);
    }
    if (status) {
        return status;
    }
    tlm_tap_source *taps = tlm_new_taps(g);
    job.input.taps = taps;
    status = tlm_find_taps(g, amem_words, tile, taps);
    if (!status) {
        status = run_pass(&job, group, acc);
    }
    free(taps);
    return status ? status : group->count;
}

/* All groups of a layer. Returns the number of their weight words. */
static int64_t prepare_groups(const mac_job *job, int64_t first_weight_word, const uint64_t *patterns,
                              int32_t patterns_per_group, tlm_mac_group *groups)
{
    const tlm_geometry *g = job->input.geometry;
    int64_t weight_word = first_weight_word;
    tlm_mac_group group = groups[0];

    for (int32_t i = 0; i < tlm_groups(g); ++i, patterns += patterns_per_group) {
        const int32_t status = prepare(job, weight_word, patterns, patterns_per_group, &group);
        if (status) {
            return status;
        }
        groups[i] = group;
        weight_word += group.count;
        group.steps += group.count;
        group.weights += quads_of(group.count) * g->columns;
    }
    return weight_word - first_weight_word;
}

/* The groups of the tile that the taps are of, each to its channels' rows. */
static int32_t run_tile(const mac_job *job, const tlm_mac_group *groups, int32_t tile, int32_t *acc)
{
    const tlm_geometry *g = job->input.geometry;
    _Alignas(TLM_ALIGNMENT) int32_t pass_acc[TLM_MAX_COLUMNS * TLM_MAX_LANES];

    for (int32_t group = 0; group < tlm_groups(g); ++group) {
        const int64_t first = (int64_t)group * g->columns;
        const int32_t status = run_pass(job, &groups[group], pass_acc);
        if (status) {
            return status;
        }
        for (int32_t row = 0; row < tlm_group_channels(g, group); ++row) {
            memcpy(acc + ((first + row) * g->tile_count + tile) * g->lanes, pass_acc + row * g->lanes,
                   sizeof *acc * (size_t)g->lanes);
        }
    }
    return 0;
}

/* Tiles outside, groups inside (the engine does it the other way round, the values are the same): the sources of a tile
 * are found once. */
static int32_t run_tiles(mac_job *job, const tlm_mac_group *groups, tlm_tap_source *taps, int32_t *acc)
{
    const tlm_geometry *g = job->input.geometry;

    job->input.taps = taps;
    for (int32_t tile = 0; tile < g->tile_count; ++tile) {
        int32_t status = tlm_find_taps(g, job->input.amem_words, tile, taps);
        if (!status) {
            status = run_tile(job, groups, tile, acc);
        }
        if (status) {
            return status;
        }
    }
    return 0;
}

int64_t tlm_mac_layer(const tlm_geometry *g, const uint8_t *amem, int64_t amem_words, const uint8_t *wmem,
                      int64_t wmem_words, int64_t first_weight_word, const uint64_t *patterns,
                      int32_t patterns_per_group, int32_t simd, int32_t *acc)
{
    mac_job job = {{g, amem, amem_words, NULL}, wmem, wmem_words, tlm_find_align_steps(simd), tlm_find_dot(simd)};
    const int64_t status = check(&job, first_weight_word, patterns_per_group);

    if (status) {
        return status;
    }
    const int64_t words = wmem_words - first_weight_word, most = (int64_t)tlm_groups(g) * g->channels * tlm_taps(g);
    const size_t steps = (size_t)(words < most ? words : most), count = (size_t)tlm_groups(g);
    const size_t quads = steps / TLM_DOT_STEPS + count;
    tlm_mac_group *groups = calloc(count, sizeof *groups);
    tlm_step *all_steps = malloc((steps + 1) * sizeof *all_steps);
    uint32_t *weights = malloc(quads * (size_t)g->columns * sizeof *weights);
    tlm_tap_source *taps = tlm_new_taps(g);
    int64_t used = TLM_E_TAPS;

    if (groups && all_steps && weights) {
        groups[0] = (tlm_mac_group){.steps = all_steps, .weights = weights};
        used = prepare_groups(&job, first_weight_word, patterns, patterns_per_group, groups);
    }
    if (used >= 0) {
        const int32_t failed = run_tiles(&job, groups, taps, acc);
        used = failed ? failed : used;
    }
    free(groups);
    free(all_steps);
    free(weights);
    free(taps);
    return used;
}
