/* SPDX-License-Identifier: MIT
 * TLS as the web has it, as a layer on any carrier: what makes ws into wss. It proves no peer id; the secure channel inside does. */
#ifndef LP2P_ACTORS_LINK_CARRIER_TLS_H
#define LP2P_ACTORS_LINK_CARRIER_TLS_H

#include "actors/link/carrier.h"
#include "tls/session.h"

/** Takes `*below` and a fresh `*session` (both nulled) when it succeeds; NULL: no memory, both stay the caller's. The random source of
 *  the session has to outlive set_up. */
struct lp2p_carrier *lp2p_carrier_tls(struct lp2p_carrier **below, struct lp2p_tls_session **session);

#endif
