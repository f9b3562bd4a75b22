/* SPDX-License-Identifier: MIT
 * The secure channels of a node, made from its configuration and identity. Called when it is made and when it is freed. */
#ifndef LP2P_API_SECURITY_H
#define LP2P_API_SECURITY_H

#include "actors/context.h"

/** Fills the table of channels, with their identities, and what secure WebSocket needs. The context's key and muxers are
 *  there. What was made before an error is wiped by lp2p_security_fini. */
enum lp2p_err lp2p_security_init(struct lp2p_context *ctx) LP2P_MUST_CHECK;
void lp2p_security_fini(struct lp2p_context *ctx);

#endif
