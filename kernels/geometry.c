#include "geometry.h"

int32_t tlm_tap_words(const tlm_geometry *g, int32_t tile, int32_t tap, int32_t *words, int32_t *select)
{
    const int64_t first_pixel = ((int64_t)g->first_tile + tile) * g->lanes;
    const int64_t pixels = (int64_t)g->out_height * g->out_width;
    const int64_t shift_y = (int64_t)(tap / g->kernel_w) * g->dilation_y - g->pad_top;
    const int64_t shift_x = (int64_t)(tap % g->kernel_w) * g->dilation_x - g->pad_left;
    int64_t out_y = first_pixel / g->out_width;
    int64_t out_x = first_pixel % g->out_width;
    int32_t count = 0, log_lanes = 3; /* lanes are 8 .. 64, a power of two */

    while (1 << log_lanes < g->lanes) {
        ++log_lanes;
    }
    for (int32_t lane = 0; lane < g->lanes; ++lane) {
        const int64_t y = out_y * g->stride_y + shift_y;
        const int64_t x = out_x * g->stride_x + shift_x;
        select[lane] = -1;
        if (first_pixel + lane < pixels && y >= 0 && y < g->height && x >= 0 && x < g->width) {
            /* Source pixels rise with the lane, so equal words are neighbours. */
            const int64_t source = y * g->width + x;
            const int32_t word = (int32_t)(source >> log_lanes) - g->input_first_word;
            if (count == 0 || words[count - 1] != word) {
                words[count++] = word;
            }
            select[lane] = (count - 1) * g->lanes + (int32_t)(source & (g->lanes - 1));
        }
        if (++out_x == g->out_width) {
            out_x = 0;
            ++out_y;
        }
    }
    return count;
}
