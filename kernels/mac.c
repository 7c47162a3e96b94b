#include "mac.h"

#include <stdlib.h>
#include <string.h>

#include "dot.h"
#include "taps.h"

/* Which activations a step takes. */
typedef struct mac_step {
    int64_t plane_word; /* where the channel begins */
    int32_t tap;
} mac_step;

/* A group's steps, and their weights as tlm_dot takes them: the same for every tile. */
typedef struct mac_group {
    mac_step *steps;
    uint32_t *weights;
    int32_t count;
} mac_group;

typedef struct mac_job {
    const tlm_geometry *geometry;
    const uint8_t *amem, *wmem;
    int64_t amem_words, wmem_words;
    tlm_dot dot;
    mac_group *groups;
    mac_step *steps;      /* of all groups */
    uint32_t *weights;    /* likewise */
    tlm_tap_source *taps; /* of one tile */
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
static int32_t find_steps(const tlm_geometry *g, int32_t index, uint64_t pattern, int64_t weight_words, mac_group *group)
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
            group->steps[group->count++] = (mac_step){plane_word, first_tap + tlm_lowest_bit(taps)};
        }
    }
    return 0;
}

TLM_INLINE void pack_weights(const uint8_t *words, int32_t columns, mac_group *group)
{
    const int32_t bytes = columns / 2;

    for (int32_t first = 0; first < group->count; first += TLM_DOT_STEPS) {
        const int32_t count = at_most(group->count - first, TLM_DOT_STEPS);
        tlm_step_words four = {{{0}}};
        for (int32_t step = 0; step < count; ++step) {
            memcpy(four.of_step[step], words + (first + step) * bytes, (size_t)bytes);
        }
        tlm_dot_pack(&four, columns, TLM_WEIGHT_OFFSET, 0, group->weights + first / TLM_DOT_STEPS * columns);
    }
}

/* Each group's steps and weights. Returns the number of weight words. */
static int64_t prepare_groups(mac_job *job, int32_t group_count, int64_t first_weight_word, const uint64_t *patterns,
                              int32_t patterns_per_group)
{
    const tlm_geometry *g = job->geometry;
    int64_t weight_word = first_weight_word;
    mac_group group = {job->steps, job->weights, 0};

    for (int32_t i = 0; i < group_count; ++i) {
        for (int32_t index = 0; index < patterns_per_group; ++index) {
            const int32_t status = find_steps(g, index, *patterns++, job->wmem_words - weight_word, &group);
            if (status) {
                return status;
            }
        }
        if (g->columns == 32) { /* a constant becomes a whole vector */
            pack_weights(job->wmem + weight_word * 16, 32, &group);
        } else {
            pack_weights(job->wmem + weight_word * (g->columns / 2), g->columns, &group);
        }
        weight_word += group.count;
        job->groups[i] = group;
        group = (mac_group){group.steps + group.count, group.weights + quads_of(group.count) * g->columns, 0};
    }
    return weight_word - first_weight_word;
}

/* What four steps, or fewer that are left, read. */
TLM_INLINE int32_t fetch_steps(const mac_job *job, const mac_step *steps, int32_t count, int32_t lanes,
                               tlm_step_words *words)
{
    for (int32_t i = 0; i < count; ++i) {
        const tlm_tap_source *source = &job->taps[steps[i].tap];
        if (source->empty) {
            memset(words->of_step[i], 0, (size_t)(lanes / 2));
            continue;
        }
        if (!source->run && steps[i].plane_word + source->last_word >= job->amem_words) {
            return TLM_E_AMEM;
        }
        tlm_gather_word(job->amem + steps[i].plane_word * (lanes / 2), source, lanes, words->of_step[i]);
    }
    return 0;
}

/* The activations of steps, four at a time; what is missing to the last four is 0. */
TLM_CLONES
int32_t tlm_internal_pack(const mac_job *job, const mac_step *steps, int32_t count, uint32_t *activations);
TLM_CLONES
int32_t tlm_internal_pack(const mac_job *job, const mac_step *steps, int32_t count, uint32_t *activations)
{
    const int32_t lanes = job->geometry->lanes;
    const uint8_t sign = job->geometry->input_signed ? 8 : 0;
    tlm_step_words words = {{{0}}};

    for (; count > 0; count -= TLM_DOT_STEPS, steps += TLM_DOT_STEPS, activations += lanes) {
        if (count < TLM_DOT_STEPS) {
            memset(&words, 0, sizeof words);
        }
        const int32_t some = at_most(count, TLM_DOT_STEPS);
        const int32_t status = lanes == 32 ? fetch_steps(job, steps, some, 32, &words) /* constant: whole vectors */
                                           : fetch_steps(job, steps, some, lanes, &words);
        if (status) {
            return status;
        }
        tlm_dot_pack(&words, lanes, sign, sign, activations);
    }
    return 0;
}

/* One group of the tile that the taps are of. */
static int32_t run_pass(const mac_job *job, const mac_group *group, int32_t *acc)
{
    const int32_t lanes = job->geometry->lanes, columns = job->geometry->columns;
    uint32_t activations[TLM_DOT_QUADS * TLM_MAX_LANES];

    memset(acc, 0, sizeof *acc * (size_t)(columns * lanes));
    for (int32_t first = 0; first < group->count; first += BLOCK_STEPS) {
        const int32_t count = at_most(group->count - first, BLOCK_STEPS);
        const int32_t status = tlm_internal_pack(job, group->steps + first, count, activations);
        if (status) {
            return status;
        }
        job->dot(activations, group->weights + first / TLM_DOT_STEPS * columns, quads_of(count), lanes, columns, acc);
    }
    return 0;
}

/* Takes room, and prepares the groups. Returns the number of their weight words. */
static int64_t begin(mac_job *job, int32_t group_count, int64_t first_weight_word, const uint64_t *patterns,
                     int32_t patterns_per_group, int32_t simd)
{
    const tlm_geometry *g = job->geometry;
    const int64_t words = job->wmem_words - first_weight_word, most = (int64_t)group_count * g->channels * tlm_taps(g);
    const size_t steps = (size_t)(words < most ? words : most), groups = (size_t)group_count;
    const size_t quads = steps / TLM_DOT_STEPS + groups;

    if (first_weight_word < 0 || words < 0) {
        return TLM_E_WMEM;
    }
    if (g->kind != TLM_CONVOLUTION || patterns_per_group != tlm_patterns_of_group(g, 0)) {
        return TLM_E_PATTERN;
    }
    job->dot = tlm_find_dot(simd);
    job->groups = malloc(groups * sizeof *job->groups);
    job->steps = malloc((steps + 1) * sizeof *job->steps);
    job->weights = malloc((quads * (size_t)g->columns + TLM_DOT_ROOM) * sizeof *job->weights);
    job->taps = tlm_new_taps(g);
    if (!job->dot) {
        return TLM_E_SIMD;
    }
    return job->groups && job->steps && job->weights
               ? prepare_groups(job, group_count, first_weight_word, patterns, patterns_per_group)
               : TLM_E_TAPS;
}

static void end(mac_job *job)
{
    free(job->groups);
    free(job->steps);
    free(job->weights);
    free(job->taps);
}

int64_t tlm_mac_pass(const tlm_geometry *g, const uint8_t *amem, int64_t amem_words, const uint8_t *wmem,
                     int64_t wmem_words, int64_t first_weight_word, const uint64_t *patterns, int32_t pattern_count,
                     int32_t tile, int32_t simd, int32_t *acc)
{
    mac_job job = {.geometry = g, .amem = amem, .wmem = wmem, .amem_words = amem_words, .wmem_words = wmem_words};
    const int64_t used = begin(&job, 1, first_weight_word, patterns, pattern_count, simd);
    int32_t status = used < 0 ? (int32_t)used : tlm_find_taps(g, amem_words, tile, job.taps);

    if (!status) {
        status = run_pass(&job, job.groups, acc);
    }
    end(&job);
    return status ? status : used;
}

/* The groups of the tile that the taps are of, each to its channels' rows. */
static int32_t run_tile(const mac_job *job, int32_t tile, int32_t *acc)
{
    const tlm_geometry *g = job->geometry;
    int32_t pass_acc[TLM_MAX_COLUMNS * TLM_MAX_LANES];

    for (int32_t group = 0; group < tlm_groups(g); ++group) {
        const int64_t first = (int64_t)group * g->columns;
        const int32_t status = run_pass(job, &job->groups[group], pass_acc);
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

int64_t tlm_mac_layer(const tlm_geometry *g, const uint8_t *amem, int64_t amem_words, const uint8_t *wmem,
                      int64_t wmem_words, int64_t first_weight_word, const uint64_t *patterns,
                      int32_t patterns_per_group, int32_t simd, int32_t *acc)
{
    mac_job job = {.geometry = g, .amem = amem, .wmem = wmem, .amem_words = amem_words, .wmem_words = wmem_words};
    const int64_t used = begin(&job, tlm_groups(g), first_weight_word, patterns, patterns_per_group, simd);
    int32_t status = used < 0 ? (int32_t)used : 0;

    /* Tiles outside, groups inside (the engine does it the other way round, the values are the same): the sources of
     * a tile are found once. */
    for (int32_t tile = 0; !status && tile < g->tile_count; ++tile) {
        status = tlm_find_taps(g, amem_words, tile, job.taps);
        if (!status) {
            status = run_tile(&job, tile, acc);
        }
    }
    end(&job);
    return status ? status : used;
}
