#include "requantise.h"

#include <string.h>

enum { ACCUMULATOR_PLANES = TLM_ACCUMULATOR_BITS / 4 };

/* Right shift towards minus infinity: C leaves >> of negative numbers to the implementation. */
TLM_INLINE int64_t shift_down(int64_t value, int32_t shift)
{
    return value < 0 ? ~(~value >> shift) : value >> shift;
}

TLM_INLINE void pack_lanes(const uint8_t *values, int32_t lanes, uint8_t *word)
{
    for (int32_t i = 0; i < lanes / 2; ++i) {
        word[i] = (uint8_t)((values[2 * i] & 15) | (values[2 * i + 1] << 4));
    }
}

TLM_CLONES
void tlm_requantise_word(const int32_t *acc, const uint8_t *residual_word, int32_t residual_signed, int32_t bias,
                         int32_t multiplier, int32_t shift, int32_t residual_multiplier, int32_t low, int32_t high,
                         int32_t lanes, int32_t valid_lanes, uint8_t *out_word)
{
    const int64_t round = shift > 0 ? (int64_t)1 << (shift - 1) : 0;
    const int32_t sign = residual_signed ? 8 : 0;
    int64_t sums[TLM_MAX_LANES];
    uint8_t values[TLM_MAX_LANES], nibbles[TLM_MAX_LANES];

    /* All lanes: whole vectors take less time than some. */
    for (int32_t lane = 0; lane < lanes; ++lane) { /* a factor of 32 bits: acc has 24, the sum 25 */
        sums[lane] = (int64_t)(int32_t)((uint32_t)acc[lane] + (uint32_t)bias) * multiplier + round;
    }
    if (residual_word) {
        tlm_split(residual_word, lanes, nibbles);
        for (int32_t lane = 0; lane < lanes; ++lane) {
            sums[lane] += ((nibbles[lane] ^ sign) - sign) * residual_multiplier;
        }
    }
    for (int32_t lane = 0; lane < lanes; ++lane) {
        const int64_t shifted = shift_down(sums[lane], shift);
        const int64_t raised = shifted < low ? low : shifted;
        values[lane] = (uint8_t)((raised > high ? high : raised) & 15);
    }
    memset(values + valid_lanes, 0, (size_t)(lanes - valid_lanes));
    pack_lanes(values, lanes, out_word);
}

void tlm_accumulator_plane(const int32_t *acc, int32_t bias, int32_t plane, int32_t lanes, int32_t valid_lanes,
                           uint8_t *out_word)
{
    uint8_t values[TLM_MAX_LANES] = {0};

    for (int32_t lane = 0; lane < valid_lanes; ++lane) {
        const uint32_t sum = (uint32_t)acc[lane] + (uint32_t)bias;
        values[lane] = (uint8_t)((sum >> (4 * plane)) & 15);
    }
    pack_lanes(values, lanes, out_word);
}

TLM_INLINE int32_t valid_lanes_of(int64_t tile, int32_t lanes, int64_t pixels)
{
    const int64_t left = pixels - tile * lanes;
    return left < lanes ? (int32_t)left : lanes;
}

void tlm_requantise_layer(const int32_t *acc, const uint8_t *residual_words, int32_t residual_signed,
                          const int32_t *bias, const int32_t *multiplier, const int32_t *shift,
                          int32_t residual_multiplier, int32_t low, int32_t high, int32_t lanes,
                          int32_t out_channels, int64_t pixels, uint8_t *out_words)
{
    const int64_t tiles = (pixels + lanes - 1) / lanes;
    const int32_t word_bytes = lanes / 2;

    for (int32_t channel = 0; channel < out_channels; ++channel) {
        for (int64_t tile = 0; tile < tiles; ++tile) {
            const int64_t word = channel * tiles + tile;
            const uint8_t *residual = residual_words ? residual_words + word * word_bytes : residual_words;
            tlm_requantise_word(acc + word * lanes, residual, residual_signed, bias[channel], multiplier[channel],
                                shift[channel], residual_multiplier, low, high, lanes,
                                valid_lanes_of(tile, lanes, pixels), out_words + word * word_bytes);
        }
    }
}

void tlm_accumulator_layer(const int32_t *acc, const int32_t *bias, int32_t lanes, int32_t out_channels,
                           int64_t pixels, uint8_t *out_words)
{
    const int64_t tiles = (pixels + lanes - 1) / lanes;
    const int32_t word_bytes = lanes / 2;

    for (int32_t channel = 0; channel < out_channels; ++channel) {
        for (int32_t plane = 0; plane < ACCUMULATOR_PLANES; ++plane) {
            uint8_t *row = out_words + ((int64_t)channel * ACCUMULATOR_PLANES + plane) * tiles * word_bytes;
            for (int64_t tile = 0; tile < tiles; ++tile) {
                tlm_accumulator_plane(acc + (channel * tiles + tile) * lanes, bias[channel], plane, lanes,
                                      valid_lanes_of(tile, lanes, pixels), row + tile * word_bytes);
            }
        }
    }
}
