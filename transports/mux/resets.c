/* SPDX-License-Identifier: MIT */
#include "mux/resets.h"

#include "base/check.h"

#include <stdlib.h>
#include <string.h>

enum lp2p_err lp2p_mux_resets_push(struct lp2p_mux_resets *resets, uint64_t key, uint32_t code)
{
    if (resets->len == LP2P_MUX_RESETS_MAX) {
        return LP2P_ELIMIT;
    }
    if (resets->head > 0 && resets->head + resets->len == resets->cap) {
        memmove(resets->entries, resets->entries + resets->head, resets->len * sizeof(*resets->entries));
        resets->head = 0;
    }
    if (resets->len == resets->cap) {
        uint32_t cap = resets->cap == 0 ? 4 : resets->cap * 2;
        struct lp2p_mux_reset *entries = realloc(resets->entries, cap * sizeof(*entries));
        if (entries == NULL) {
            return LP2P_ENOMEM;
        }
        resets->entries = entries;
        resets->cap = cap;
    }
    resets->entries[resets->head + resets->len++] = (struct lp2p_mux_reset){key, code};
    return LP2P_OK;
}

struct lp2p_mux_reset lp2p_mux_resets_pop(struct lp2p_mux_resets *resets)
{
    LP2P_CHECK(resets->len > 0);
    struct lp2p_mux_reset oldest = resets->entries[resets->head++];
    resets->len--;
    if (resets->len == 0) {
        lp2p_mux_resets_clear(resets);
    }
    return oldest;
}

void lp2p_mux_resets_clear(struct lp2p_mux_resets *resets)
{
    free(resets->entries);
    *resets = (struct lp2p_mux_resets){0};
}
