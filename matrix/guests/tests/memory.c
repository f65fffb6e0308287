/* SPDX-License-Identifier: MIT */
/*
 * memory: every word of free RAM holds what was written to it: its own address, pseudo-random
 * words, and the complements of both. All of it is written before any is verified, so that two
 * addresses that reach the same cell show.
 */
#include <arch.h>
#include <guest.h>

typedef uintptr_t word;

#define WORD_BITS (sizeof(word) * 8)
/* A linear congruential generator as wide as a word (Knuth; Numerical Recipes). */
#define MULTIPLIER   (WORD_BITS == 64 ? (word)6364136223846793005ULL : (word)1664525)
#define INCREMENT    (WORD_BITS == 64 ? (word)1442695040888963407ULL : (word)1013904223)
#define SHOWN_ERRORS 4

struct pattern {
    const char *name;
    bool random;
    word inversion;
};

static const struct pattern patterns[] = {
    {"address in address", false, 0},
    {"complement of the address", false, ~(word)0},
    {"pseudo-random", true, 0},
    {"complement of pseudo-random", true, ~(word)0},
};

struct walk {
    word state;
    unsigned long long errors;
};

/* The low bits of such a generator are poor; the high ones are mixed in. */
static inline word random_word(word *state)
{
    *state = *state * MULTIPLIER + INCREMENT;
    return *state ^ *state >> WORD_BITS / 2;
}

static void write_range(const struct pattern *pattern, struct walk *walk, word *start, word *end)
{
    const word inversion = pattern->inversion;
    word state = walk->state;

    if (pattern->random) {
        for (word *at = start; at != end; at++)
            *at = random_word(&state) ^ inversion;
    } else {
        for (word *at = start; at != end; at++)
            *at = (word)at ^ inversion;
    }
    walk->state = state;
}

static void show_error(struct walk *walk, const volatile word *at, word expected)
{
    if (walk->errors++ < SHOWN_ERRORS)
        report_info("at 0x%lx: 0x%lx instead of 0x%lx", (unsigned long)at, (unsigned long)*at,
                    (unsigned long)expected);
}

static void verify_range(const struct pattern *pattern, struct walk *walk, const word *start,
                         const word *end)
{
    const word inversion = pattern->inversion;
    word state = walk->state;

    for (const word *at = start; at != end; at++) {
        const word value = pattern->random ? random_word(&state) : (word)at;

        if (__builtin_expect(*at != (value ^ inversion), 0))
            show_error(walk, at, value ^ inversion);
    }
    walk->state = state;
}

/* The range with this index, in whole words; false past the last one. */
static bool range_words(unsigned index, word **start, word **end)
{
    uintptr_t first, last;

    if (!arch_memory_free(index, &first, &last))
        return false;
    *start = (word *)((first + sizeof(word) - 1) & ~(sizeof(word) - 1));
    *end = (word *)(last & ~(sizeof(word) - 1));
    if (*end < *start)
        *end = *start;
    return true;
}

static unsigned long long check_pattern(const struct pattern *pattern, word seed)
{
    struct walk walk = {.state = seed};
    unsigned long long bytes = 0;
    word *start, *end;

    for (unsigned i = 0; range_words(i, &start, &end); i++)
        write_range(pattern, &walk, start, end);
    __asm__ volatile("" : : : "memory"); /* what is verified must come out of memory */
    walk.state = seed;
    for (unsigned i = 0; range_words(i, &start, &end); i++) {
        verify_range(pattern, &walk, start, end);
        bytes += (unsigned long long)(end - start) * sizeof(word);
    }
    report(!walk.errors && bytes, "%s: %llu MiB checked, %llu wrong words", pattern->name,
           bytes >> 20, walk.errors);
    return bytes;
}

void test_memory(const char *arguments)
{
    struct random random;
    unsigned long long bytes = 0;
    uintptr_t start, end;

    (void)arguments;
    for (unsigned i = 0; arch_memory_free(i, &start, &end); i++)
        report_info("range: 0x%lx to 0x%lx", (unsigned long)start, (unsigned long)end);
    random_seed(&random, arch_clock());
    for (size_t i = 0; i < ARRAY_LENGTH(patterns); i++)
        bytes = check_pattern(&patterns[i], (word)random_next(&random));
    report_info("checked: %llu of %llu MiB", bytes >> 20,
                (unsigned long long)arch_memory_size() >> 20);
}
