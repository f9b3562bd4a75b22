/* SPDX-License-Identifier: MIT */
#include "actors/link/carrier_layer.h"
#include "actors/link/carrier_ws.h"

#include "base/check.h"

#include <stdlib.h>

struct preread {
    struct lp2p_layer layer;
    uint8_t *bytes; /* NULL: all were read */
    size_t at, len;
};

static struct preread *preread_of(struct lp2p_carrier *carrier)
{
    return LP2P_CONTAINER_OF(carrier, struct preread, layer.base);
}

static void account(struct preread *preread)
{
    lp2p_layer_account(&preread->layer, preread->bytes == NULL ? 0 : preread->len);
}

static enum lp2p_err preread_set_up(struct lp2p_carrier *carrier, lp2p_time now)
{
    struct lp2p_carrier *below = preread_of(carrier)->layer.below;
    return below->ops->set_up(below, now);
}

static enum lp2p_err preread_read(struct lp2p_carrier *carrier, void *out, size_t len, size_t *got)
{
    struct preread *preread = preread_of(carrier);
    if (preread->bytes == NULL) {
        enum lp2p_err err = lp2p_layer_read_below(&preread->layer, out, len, got);
        account(preread);
        return err;
    }
    *got = LP2P_MIN(len, preread->len - preread->at);
    memcpy(out, preread->bytes + preread->at, *got);
    preread->at += *got;
    if (preread->at == preread->len) {
        free(preread->bytes);
        preread->bytes = NULL;
        account(preread);
    }
    return LP2P_OK;
}

static enum lp2p_err preread_writev(struct lp2p_carrier *carrier, const struct iovec *iov, int iov_len,
                                    size_t *put)
{
    struct preread *preread = preread_of(carrier);
    struct lp2p_carrier *below = preread->layer.below;
    enum lp2p_err err = below->ops->writev(below, iov, iov_len, put);
    account(preread);
    return err;
}

static bool preread_wants_write(const struct lp2p_carrier *carrier)
{
    return lp2p_carrier_wants_write(LP2P_CONTAINER_OF(carrier, const struct preread, layer.base)->layer.below);
}

static bool preread_holds_input(const struct lp2p_carrier *carrier)
{
    const struct preread *preread = LP2P_CONTAINER_OF(carrier, const struct preread, layer.base);
    return preread->bytes != NULL || lp2p_carrier_holds_input(preread->layer.below);
}

static void preread_close(struct lp2p_carrier *carrier)
{
    struct preread *preread = preread_of(carrier);
    lp2p_layer_fini(&preread->layer);
    free(preread->bytes);
    free(preread);
}

static const struct lp2p_carrier_ops preread_ops = {
    .name = "tcp", /* it lies on the socket, and is no stage of its own to who reads an error */
    .set_up = preread_set_up,
    .read = preread_read,
    .writev = preread_writev,
    .wants_write = preread_wants_write,
    .holds_input = preread_holds_input,
    .close = preread_close,
};

struct lp2p_carrier *lp2p_carrier_preread(struct lp2p_carrier **below, struct lp2p_span bytes)
{
    if (bytes.len == 0) {
        struct lp2p_carrier *same = *below;
        *below = NULL;
        return same;
    }
    struct preread *preread = calloc(1, sizeof(*preread));
    uint8_t *copy = malloc(bytes.len);
    if (preread == NULL || copy == NULL) {
        free(preread);
        free(copy);
        return NULL;
    }
    memcpy(copy, bytes.ptr, bytes.len);
    lp2p_layer_init(&preread->layer, &preread_ops, below, sizeof(*preread));
    preread->bytes = copy;
    preread->len = bytes.len;
    account(preread);
    return &preread->layer.base;
}
