/* SPDX-License-Identifier: MIT
 * Credentials of the web's TLS, counted. Private to the room. */
#ifndef LP2P_TLS_WEB_H
#define LP2P_TLS_WEB_H

#include "tls/backend.h"
#include "tls/session.h"

#include <stdatomic.h>

struct lp2p_tls_web {
    atomic_uint held;
    const struct lp2p_tls_backend *backend;
    struct lp2p_tls_credentials *credentials;
    enum lp2p_tls_peer peer; /* NOBODY: a server's */
    size_t certificate_len;
    uint8_t *certificate; /* of a server: the first one, DER */
};

#endif
