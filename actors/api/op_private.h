/* SPDX-License-Identifier: MIT
 * What only the API's own files know of operations. */
#ifndef LP2P_API_OP_PRIVATE_H
#define LP2P_API_OP_PRIVATE_H

#include "actors/api/gate.h"
#include "actors/op.h"

/** As lp2p_op_new, with the reason: ENOMEM, ELIMIT (LP2P_OPS_MAX run), ESTATE (the gate is shut). */
enum lp2p_err lp2p_op_make(struct lp2p_gate *gate, struct lp2p_op **out) LP2P_MUST_CHECK;
/** The peers of a finished operation as they came; borrowed. */
struct lp2p_peer_info *const *lp2p_op_infos(const struct lp2p_op *op, size_t *len);
/** Finishes whatever runs; used when the gate is shut. */
void lp2p_ops_finish_all(struct lp2p_gate *gate, enum lp2p_err reason);
/** Calls the completion callbacks that wait; on the notifier's thread, and on the stopping thread when there
 * is none any more. */
void lp2p_ops_complete(struct lp2p_gate *gate);

#endif
