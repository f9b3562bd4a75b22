/* SPDX-License-Identifier: MIT
 * How certificates are signed: the algorithms that are taken, and whether one fits a key. Private to the
 * room. Pure functions. */
#ifndef LP2P_TLS_ALGORITHM_H
#define LP2P_TLS_ALGORITHM_H

#include "tls/certificate.h"

/** What the identity key signs begins with this (libp2p specs tls/tls.md). */
#define LP2P_TLS_STATEMENT "libp2p-tls-handshake:"

/** An AlgorithmIdentifier, with its tag and length. EUNSUPPORTED: none that is taken (MD5 and SHA-1 among
 * them). */
enum lp2p_err lp2p_tls_algorithm_read(struct lp2p_span algorithm, enum lp2p_tls_scheme *out) LP2P_MUST_CHECK;
/** Does the key of this SubjectPublicKeyInfo sign by this scheme, and is it of a size that we do arithmetic
 * with? RSA has 2048 to 8192 bits. EBADKEY; EMALFORMED. No arithmetic is done here. */
enum lp2p_err lp2p_tls_algorithm_fits(enum lp2p_tls_scheme scheme,
                                      struct lp2p_span public_key_info) LP2P_MUST_CHECK;

#endif
