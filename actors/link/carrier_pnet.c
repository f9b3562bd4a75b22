/* SPDX-License-Identifier: MIT */
#include "actors/link/carrier_pnet.h"

#include "actors/link/carrier_layer.h"
#include "base/check.h"

#include <stdlib.h>

struct pnet {
    struct lp2p_layer layer;
    struct lp2p_pnet_key key; /* wiped when both streams have begun */
    struct lp2p_pnet_stream send, recv;
    uint8_t nonce[LP2P_PNET_NONCE_BYTES]; /* the peer's */
    size_t nonce_len;                     /* of it that is there */
};

static struct pnet *pnet_of(struct lp2p_carrier *carrier)
{
    return LP2P_CONTAINER_OF(carrier, struct pnet, layer.base);
}

/** Done when our nonce is out. The peer's is not waited for: it may come with the peer's first bytes, and those may be an answer to
 *  ours. */
static enum lp2p_err pnet_set_up(struct lp2p_carrier *carrier, lp2p_time now)
{
    struct pnet *pnet = pnet_of(carrier);
    enum lp2p_err err = pnet->layer.below->ops->set_up(pnet->layer.below, now);
    if (err == LP2P_OK) {
        err = lp2p_layer_flush(&pnet->layer);
    }
    lp2p_layer_account(&pnet->layer, 0);
    return err;
}

/** Reads the peer's nonce and not a byte more. */
static enum lp2p_err read_nonce(struct pnet *pnet)
{
    while (pnet->nonce_len < sizeof(pnet->nonce)) {
        size_t got = 0;
        enum lp2p_err err = lp2p_layer_read_below(&pnet->layer, pnet->nonce + pnet->nonce_len,
                                                  sizeof(pnet->nonce) - pnet->nonce_len, &got);
        if (err != LP2P_OK) {
            return err;
        }
        if (got == 0) {
            return pnet->nonce_len == 0 ? LP2P_EEOF : LP2P_ETRUNCATED;
        }
        pnet->nonce_len += got;
    }
    lp2p_pnet_stream_init(&pnet->recv, &pnet->key, pnet->nonce);
    lp2p_pnet_key_wipe(&pnet->key);
    return LP2P_OK;
}

static enum lp2p_err pnet_read(struct lp2p_carrier *carrier, void *out, size_t len, size_t *got)
{
    struct pnet *pnet = pnet_of(carrier);
    *got = 0;
    if (pnet->nonce_len < sizeof(pnet->nonce)) {
        enum lp2p_err err = read_nonce(pnet);
        if (err != LP2P_OK) {
            return err == LP2P_EEOF ? LP2P_OK : err;
        }
    }
    enum lp2p_err err = lp2p_layer_read_below(&pnet->layer, out, len, got);
    if (err == LP2P_OK && *got > 0) {
        lp2p_pnet_stream_xor(&pnet->recv, out, out, *got);
    }
    lp2p_layer_account(&pnet->layer, 0);
    return err;
}

/** Takes a copy of up to LP2P_LAYER_HELD_MAX bytes and enciphers it; the caller's bytes stay as they are. */
static enum lp2p_err take(struct pnet *pnet, struct lp2p_iov_at *place, size_t *put)
{
    size_t len = LP2P_MIN(lp2p_iov_bytes(place), (size_t)LP2P_LAYER_HELD_MAX);
    uint8_t *out = lp2p_layer_hold(&pnet->layer, len);
    if (out == NULL) {
        return LP2P_ENOMEM;
    }
    size_t copied = lp2p_iov_copy(place, out, len);
    LP2P_CHECK(copied == len);
    lp2p_pnet_stream_xor(&pnet->send, out, out, len);
    pnet->layer.held_len += len;
    *put += len;
    return LP2P_OK;
}

static enum lp2p_err pnet_writev(struct lp2p_carrier *carrier, const struct iovec *iov, int iov_len, size_t *put)
{
    struct pnet *pnet = pnet_of(carrier);
    struct lp2p_iov_at place = {iov, iov_len, 0};
    *put = 0;
    enum lp2p_err err = lp2p_layer_flush(&pnet->layer);
    while (err == LP2P_OK && lp2p_iov_bytes(&place) > 0) {
        err = take(pnet, &place, put);
        if (err == LP2P_OK) {
            err = lp2p_layer_flush(&pnet->layer);
        }
    }
    lp2p_layer_account(&pnet->layer, 0);
    return err == LP2P_EAGAIN && *put > 0 ? LP2P_OK : err;
}

static bool pnet_wants_write(const struct lp2p_carrier *carrier)
{
    return lp2p_layer_wants_write(&LP2P_CONTAINER_OF(carrier, const struct pnet, layer.base)->layer);
}

static bool pnet_holds_input(const struct lp2p_carrier *carrier)
{
    return lp2p_carrier_holds_input(LP2P_CONTAINER_OF(carrier, const struct pnet, layer.base)->layer.below);
}

static void pnet_close(struct lp2p_carrier *carrier)
{
    struct pnet *pnet = pnet_of(carrier);
    lp2p_layer_fini(&pnet->layer);
    lp2p_pnet_stream_wipe(&pnet->send);
    lp2p_pnet_stream_wipe(&pnet->recv);
    lp2p_pnet_key_wipe(&pnet->key);
    free(pnet);
}

static const struct lp2p_carrier_ops pnet_ops = {
    .name = "pnet",
    .set_up = pnet_set_up,
    .read = pnet_read,
    .writev = pnet_writev,
    .wants_write = pnet_wants_write,
    .holds_input = pnet_holds_input,
    .close = pnet_close,
};

struct lp2p_carrier *lp2p_carrier_pnet(struct lp2p_carrier **below, const struct lp2p_pnet_key *key,
                                       const struct lp2p_rand *rand)
{
    struct pnet *pnet = calloc(1, sizeof(*pnet));
    uint8_t *nonce = malloc(LP2P_PNET_NONCE_BYTES);
    if (pnet == NULL || nonce == NULL) {
        free(pnet);
        free(nonce);
        return NULL;
    }
    lp2p_layer_init(&pnet->layer, &pnet_ops, below, sizeof(*pnet));
    lp2p_rand_fill(rand, nonce, LP2P_PNET_NONCE_BYTES);
    pnet->key = *key;
    lp2p_pnet_stream_init(&pnet->send, key, nonce);
    pnet->layer.held = nonce;
    pnet->layer.held_len = pnet->layer.held_cap = LP2P_PNET_NONCE_BYTES;
    lp2p_layer_account(&pnet->layer, 0);
    return &pnet->layer.base;
}
