/* SPDX-License-Identifier: MIT
 * Names of web servers and PEM texts: what TLS outside of libp2p needs beside certificates. Private to the
 * room. Pure functions. */
#ifndef LP2P_TLS_NAMES_H
#define LP2P_TLS_NAMES_H

#include "base/err.h"
#include "base/span.h"

#define LP2P_TLS_NAME_MAX 253 /* bytes of a DNS name */

/** The 4 or 16 bytes of an IP address as text; 0: it is none. */
size_t lp2p_tls_name_address(const char *name, uint8_t out[16]);

/** Takes the next block off the front of a PEM text (RFC 7468) whose label ends with `label` ("CERTIFICATE",
 * "PRIVATE KEY") and decodes it into `out` of cap bytes; other blocks are passed over. ENOTFOUND: there is
 * none left; EMALFORMED: the block is none (the text stands behind it); EOVERSIZE. */
enum lp2p_err lp2p_tls_pem_take(struct lp2p_span *text, const char *label, uint8_t *out, size_t cap,
                                size_t *len) LP2P_MUST_CHECK;

#endif
