/* SPDX-License-Identifier: MIT */
#include "actors/link/carrier_layer.h"

#include "base/check.h"

#include <stdlib.h>

void lp2p_layer_init(struct lp2p_layer *layer, const struct lp2p_carrier_ops *ops, struct lp2p_carrier **below,
                     size_t own_bytes)
{
    *layer = (struct lp2p_layer){.base = {ops, (*below)->net, (*below)->fd, 0, (*below)->bottom, 0},
                                  .below = *below,
                                  .own_bytes = own_bytes};
    *below = NULL;
    lp2p_layer_account(layer, 0);
}

static void drop_held(struct lp2p_layer *layer)
{
    free(layer->held);
    layer->held = NULL;
    layer->held_at = layer->held_len = layer->held_cap = 0;
}

void lp2p_layer_fini(struct lp2p_layer *layer)
{
    drop_held(layer);
    lp2p_carrier_close(&layer->below);
}

void lp2p_layer_account(struct lp2p_layer *layer, size_t extra)
{
    layer->base.memory_bytes = layer->own_bytes + layer->held_cap + extra + layer->below->memory_bytes;
}

uint8_t *lp2p_layer_hold(struct lp2p_layer *layer, size_t len)
{
    if (layer->held_cap - layer->held_len < len) {
        size_t kept = layer->held_len - layer->held_at;
        uint8_t *bytes = malloc(kept + len);
        if (bytes == NULL) {
            return NULL;
        }
        if (kept > 0) {
            memcpy(bytes, layer->held + layer->held_at, kept);
        }
        free(layer->held);
        layer->held = bytes;
        layer->held_at = 0;
        layer->held_len = kept;
        layer->held_cap = kept + len;
    }
    return layer->held + layer->held_len;
}

enum lp2p_err lp2p_layer_flush(struct lp2p_layer *layer)
{
    struct lp2p_carrier *below = layer->below;
    while (layer->held_at < layer->held_len) {
        struct iovec iov = {layer->held + layer->held_at, layer->held_len - layer->held_at};
        size_t put = 0;
        enum lp2p_err err = below->ops->writev(below, &iov, 1, &put);
        layer->held_at += put;
        if (err != LP2P_OK) {
            return err;
        }
    }
    drop_held(layer);
    if (lp2p_carrier_wants_write(below)) {
        size_t put = 0;
        enum lp2p_err err = below->ops->writev(below, NULL, 0, &put);
        return err == LP2P_OK && lp2p_carrier_wants_write(below) ? LP2P_EAGAIN : err;
    }
    return LP2P_OK;
}

bool lp2p_layer_wants_write(const struct lp2p_layer *layer)
{
    return layer->held_at < layer->held_len || lp2p_carrier_wants_write(layer->below);
}

enum lp2p_err lp2p_layer_read_below(struct lp2p_layer *layer, void *out, size_t len, size_t *got)
{
    return layer->below->ops->read(layer->below, out, len, got);
}

size_t lp2p_iov_bytes(const struct lp2p_iov_at *place)
{
    size_t sum = 0;
    for (int i = 0; i < place->left; i++) {
        sum += place->iov[i].iov_len;
    }
    return sum - place->at;
}

int lp2p_iov_peek(const struct lp2p_iov_at *place, size_t len, struct iovec *out, int cap)
{
    int n = 0;
    size_t at = place->at;
    for (int i = 0; i < place->left && n < cap && len > 0; i++) {
        size_t part = LP2P_MIN(len, place->iov[i].iov_len - at);
        if (part > 0) {
            out[n++] = (struct iovec){(uint8_t *)place->iov[i].iov_base + at, part};
        }
        len -= part;
        at = 0;
    }
    return n;
}

void lp2p_iov_skip(struct lp2p_iov_at *place, size_t len)
{
    while (place->left > 0 && len >= place->iov->iov_len - place->at) {
        len -= place->iov->iov_len - place->at;
        place->iov++;
        place->left--;
        place->at = 0;
    }
    LP2P_CHECK(place->left > 0 || len == 0);
    place->at += len;
}

size_t lp2p_iov_copy(struct lp2p_iov_at *place, uint8_t *out, size_t len)
{
    size_t done = 0;
    while (done < len && place->left > 0) {
        size_t part = LP2P_MIN(len - done, place->iov->iov_len - place->at);
        if (part > 0) {
            memcpy(out + done, (const uint8_t *)place->iov->iov_base + place->at, part);
        }
        lp2p_iov_skip(place, part);
        done += part;
    }
    return done;
}
