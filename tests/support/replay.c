/* Repeats recorded calls of the kernels (recorded_kernels.py has the format) and compares all that they leave behind. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "calls.h"

enum { MAX_BUFFERS = 64, MAX_ARGUMENTS = 16 };

static const int64_t *at; /* what is read next */

static int64_t next(void) { return *at++; }

static int64_t call(int64_t function, const int64_t *a)
{
    switch (function) { CALLS }
    abort();
}

/* Bytes with pointers that mean this program's buffers. */
static void read_buffer(uint8_t *to, int64_t size, uint8_t *const *buffers)
{
    memcpy(to, at, (size_t)size);
    at += (size + 7) / 8;
    for (int64_t pointers = next(); pointers; pointers--) {
        const int64_t place = next(), buffer = next(), offset = next();
        const uint8_t *pointer = buffers[buffer] + offset;
        memcpy(to + place, &pointer, sizeof pointer);
    }
}

/* Steps over what read_buffer reads. */
static void skip_buffer(int64_t size)
{
    at += (size + 7) / 8;
    at += 3 * next();
}

static int repeat(void)
{
    const int64_t function = next(), arguments = next(), *words = at;
    at += 2 * arguments;
    const int64_t expected = next(), count = next(), *first = at;
    uint8_t *buffers[MAX_BUFFERS];
    int64_t sizes[MAX_BUFFERS], a[MAX_ARGUMENTS];
    for (int64_t i = 0; i < count; i++) { /* where each is, since they point to each other */
        buffers[i] = malloc((size_t)(sizes[i] = next()) + 1);
        skip_buffer(sizes[i]);
        skip_buffer(sizes[i]);
    }
    at = first;
    for (int64_t i = 0; i < count; i++) {
        at++;
        read_buffer(buffers[i], sizes[i], buffers);
        skip_buffer(sizes[i]);
    }
    for (int64_t i = 0; i < arguments; i++)
        a[i] = words[2 * i] < 0 ? words[2 * i + 1] : (int64_t)(intptr_t)(buffers[words[2 * i]] + words[2 * i + 1]);
    int wrong = call(function, a) != expected;
    at = first;
    for (int64_t i = 0; i < count; i++) {
        uint8_t *behind = malloc((size_t)sizes[i] + 1);
        at++;
        skip_buffer(sizes[i]);
        read_buffer(behind, sizes[i], buffers);
        wrong |= memcmp(behind, buffers[i], (size_t)sizes[i]) != 0;
        free(behind);
    }
    for (int64_t i = 0; i < count; i++) free(buffers[i]);
    return wrong;
}

int main(int argc, char **argv)
{
    FILE *file = argc == 2 ? fopen(argv[1], "rb") : NULL;
    if (!file) return 2;
    fseek(file, 0, SEEK_END);
    const long size = ftell(file);
    rewind(file);
    int64_t *recording = malloc((size_t)size + 8);
    if (fread(recording, 1, (size_t)size, file) != (size_t)size) return 2;
    enum { FUNCTIONS = sizeof names / sizeof *names };
    int calls[FUNCTIONS] = {0}, wrong[FUNCTIONS] = {0}, failed = 0;
    for (at = recording; at < recording + size / 8;) {
        const int64_t function = *at;
        calls[function]++;
        wrong[function] += repeat();
    }
    for (int i = 0; i < FUNCTIONS; i++) {
        printf("%s %d calls, %d differ\n", names[i], calls[i], wrong[i]);
        failed |= wrong[i] || !calls[i];
    }
    return failed;
}
