/* SPDX-License-Identifier: MIT
 * Operations from the inside: made by the public API, finished by whichever actor did the work. Reference-counted, any thread.
 * This is the boundary between actors and foreign threads, so a mutex and a condition live here and nowhere between actors. */
#ifndef LP2P_ACTORS_OP_H
#define LP2P_ACTORS_OP_H

#include "actors/p2p.h"
#include "actors/shared.h"

/** One reference, held by the caller. NULL: no memory. */
struct lp2p_op *lp2p_op_new(struct lp2p_node *node);
struct lp2p_op *lp2p_op_ref(struct lp2p_op *op);  /* NULL-safe: fire and forget has no op */
void lp2p_op_drop(struct lp2p_op **op);           /* drops one reference and nulls; NULL-safe */

/* Results, to be set before finish by the one actor that owns the work. All are NULL-safe. */
void lp2p_op_set_bytes(struct lp2p_op *op, struct lp2p_span bytes); /* copies */
void lp2p_op_set_number(struct lp2p_op *op, uint64_t number);
void lp2p_op_set_left_out(struct lp2p_op *op, uint64_t peers);
void lp2p_op_set_peers(struct lp2p_op *op, struct lp2p_peer_info *const *peers, size_t len); /* takes references of its own */
void lp2p_op_set_stream(struct lp2p_op *op, struct lp2p_stream *stream);                     /* takes the handle over */
/** Ends the operation; the first finish wins, later ones change nothing. detail is a printf format or NULL. */
void lp2p_op_finish(struct lp2p_op *op, enum lp2p_err result, const char *detail, ...) __attribute__((format(printf, 3, 4)));
/** True when it is finished or canceled: the work may be given up. False for NULL. */
bool lp2p_op_done(const struct lp2p_op *op);

#endif
