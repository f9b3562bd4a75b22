/* SPDX-License-Identifier: MIT
 * What layers on a carrier share: the carrier below, and bytes on their way down that it did not take yet. Memory is held only
 * while there are some. Used by the carriers in this folder. */
#ifndef LP2P_ACTORS_LINK_CARRIER_LAYER_H
#define LP2P_ACTORS_LINK_CARRIER_LAYER_H

#include "actors/link/carrier.h"

#define LP2P_LAYER_HELD_MAX (64u * 1024) /* bytes of the layer above that are taken and not yet with the kernel */

/** Every layer begins with this. */
struct lp2p_layer {
    struct lp2p_carrier base;
    struct lp2p_carrier *below;
    size_t own_bytes; /* of the layer's struct */
    uint8_t *held;
    size_t held_at, held_len, held_cap;
};

/** Takes *below (nulled). */
void lp2p_layer_init(struct lp2p_layer *layer, const struct lp2p_carrier_ops *ops, struct lp2p_carrier **below,
                     size_t own_bytes);
/** Frees what is held and closes below. */
void lp2p_layer_fini(struct lp2p_layer *layer);
/** Sets base.memory_bytes; `extra` bytes of the layer's own beside its struct and what is held. */
void lp2p_layer_account(struct lp2p_layer *layer, size_t extra);

/** Room for `len` bytes behind what is held; NULL: no memory. They count when held_len is raised. */
uint8_t *lp2p_layer_hold(struct lp2p_layer *layer, size_t len);
/** Gives what is held to the carrier below, and makes that one flush. EAGAIN: something is left. */
enum lp2p_err lp2p_layer_flush(struct lp2p_layer *layer);
bool lp2p_layer_wants_write(const struct lp2p_layer *layer);
enum lp2p_err lp2p_layer_read_below(struct lp2p_layer *layer, void *out, size_t len, size_t *got);

/** A place in a vector of the layer above. */
struct lp2p_iov_at {
    const struct iovec *iov;
    int left; /* entries from `iov` on */
    size_t at; /* bytes of the first that are done */
};
size_t lp2p_iov_bytes(const struct lp2p_iov_at *place);
/** Copies up to len bytes and moves on. Returns how many. */
size_t lp2p_iov_copy(struct lp2p_iov_at *place, uint8_t *out, size_t len);
/** The next up to `cap` entries of up to len bytes in all, without moving on. */
int lp2p_iov_peek(const struct lp2p_iov_at *place, size_t len, struct iovec *out, int cap);
void lp2p_iov_skip(struct lp2p_iov_at *place, size_t len);

#endif
