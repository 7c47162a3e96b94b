#include "geometry.h"

static int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }

/* Source pixels rise with the lane, so equal words are neighbours. */
static int32_t add_word(int32_t *words, int32_t count, int32_t word)
{
    if (count == 0 || words[count - 1] != word) {
        words[count++] = word;
    }
    return count;
}

int32_t tlm_tap_words(const tlm_geometry *g, int32_t tile, int32_t tap, int32_t *words, int32_t *select)
{
    const int64_t first_pixel = ((int64_t)g->first_tile + tile) * g->lanes;
    const int64_t shift_y = (int64_t)(tap / g->kernel_w) * g->dilation_y - g->pad_top;
    const int64_t shift_x = (int64_t)(tap % g->kernel_w) * g->dilation_x - g->pad_left;
    int64_t out_y = first_pixel / g->out_width;
    int64_t out_x = first_pixel % g->out_width;
    const int32_t log_lanes = tlm_lowest_bit((uint64_t)g->lanes); /* lanes are 8 .. 64, a power of two */
    int32_t count = 0;

    for (int32_t lane = 0, next; lane < g->lanes; lane = next, out_x = 0, ++out_y) { /* one row of the output */
        const int64_t y = out_y * g->stride_y + shift_y, x = out_x * g->stride_x + shift_x;
        next = (int32_t)least(g->lanes, lane + g->out_width - out_x);
        int32_t first = (int32_t)least(next, lane + (x < 0 ? (-x + g->stride_x - 1) / g->stride_x : 0));
        int32_t end = (int32_t)least(next, lane + (g->width - x + g->stride_x - 1) / g->stride_x);
        if (out_y >= g->out_height || y < 0 || y >= g->height || end <= first) {
            end = first = next;
        }
        int64_t source = y * g->width + x + (int64_t)(first - lane) * g->stride_x;
        if (!select && g->stride_x <= g->lanes) { /* no word between the first and the last is left out */
            const int64_t last = (source + (int64_t)(end - 1 - first) * g->stride_x) >> log_lanes;
            for (int64_t word = source >> log_lanes; first < end && word <= last; ++word) {
                count = add_word(words, count, (int32_t)word - g->input_first_word);
            }
            continue;
        }
        for (; select && lane < first; ++lane) {
            select[lane] = -1;
        }
        for (; first < end; ++first, source += g->stride_x) {
            count = add_word(words, count, (int32_t)(source >> log_lanes) - g->input_first_word);
            if (select) {
                select[first] = (count - 1) * g->lanes + (int32_t)(source & (g->lanes - 1));
            }
        }
        for (; select && first < next; ++first) {
            select[first] = -1;
        }
    }
    return count;
}
