/* SPDX-License-Identifier: MIT */
#include "pnet/shake128.h"

#include "base/check.h"

#include <string.h>

static uint64_t turn(uint64_t word, unsigned by)
{
    return by == 0 ? word : word << by | word >> (64 - by);
}

/** The bits of a round's constant come from a shift register (FIPS 202, 3.2.5). */
static uint64_t next_constant(uint8_t *lfsr)
{
    uint64_t constant = 0;
    for (unsigned j = 0; j < 7; j++) {
        if ((*lfsr & 1) != 0) {
            constant |= UINT64_C(1) << ((1u << j) - 1);
        }
        *lfsr = (uint8_t)(*lfsr << 1 ^ ((*lfsr & 0x80) != 0 ? 0x71 : 0));
    }
    return constant;
}

/** theta: each column is mixed with its neighbours. */
static void mix_columns(uint64_t state[25])
{
    uint64_t column[5];
    for (unsigned x = 0; x < 5; x++) {
        column[x] = state[x] ^ state[x + 5] ^ state[x + 10] ^ state[x + 15] ^ state[x + 20];
    }
    for (unsigned i = 0; i < 25; i++) {
        state[i] ^= column[(i + 4) % 5] ^ turn(column[(i + 1) % 5], 1);
    }
}

/** rho and pi: each lane is turned and moves to its new place. */
static void move_lanes(uint64_t state[25])
{
    unsigned x = 1, y = 0;
    uint64_t lane = state[1];
    for (unsigned t = 0; t < 24; t++) {
        unsigned next_y = (2 * x + 3 * y) % 5;
        x = y;
        y = next_y;
        uint64_t there = state[x + 5 * y];
        state[x + 5 * y] = turn(lane, ((t + 1) * (t + 2) / 2) % 64);
        lane = there;
    }
}

/** chi: the only step that is not linear. */
static void combine_rows(uint64_t state[25])
{
    for (unsigned y = 0; y < 25; y += 5) {
        uint64_t row[5];
        memcpy(row, state + y, sizeof(row));
        for (unsigned x = 0; x < 5; x++) {
            state[y + x] = row[x] ^ (~row[(x + 1) % 5] & row[(x + 2) % 5]);
        }
    }
}

static void permute(uint64_t state[25])
{
    uint8_t lfsr = 1;
    for (unsigned round = 0; round < 24; round++) {
        mix_columns(state);
        move_lanes(state);
        combine_rows(state);
        state[0] ^= next_constant(&lfsr);
    }
}

static void absorb(uint64_t state[25], size_t at, uint8_t byte)
{
    state[at / 8] ^= (uint64_t)byte << (8 * (at % 8));
}

void lp2p_shake128(const uint8_t *in, size_t len, uint8_t *out, size_t out_len)
{
    uint64_t state[25] = {0};
    LP2P_CHECK(len < LP2P_SHAKE128_RATE && out_len <= LP2P_SHAKE128_RATE);
    for (size_t i = 0; i < len; i++) {
        absorb(state, i, in[i]);
    }
    absorb(state, len, 0x1f);
    absorb(state, LP2P_SHAKE128_RATE - 1, 0x80);
    permute(state);
    for (size_t i = 0; i < out_len; i++) {
        out[i] = (uint8_t)(state[i / 8] >> (8 * (i % 8)));
    }
}
