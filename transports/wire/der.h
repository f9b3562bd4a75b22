/* SPDX-License-Identifier: MIT
 * The little of DER (ITU-T X.690) that public keys, private keys and ECDSA signatures need, strict: definite lengths in
 * their shortest form, one-byte tags. For the rooms of transports/ alone. Pure functions. */
#ifndef LP2P_WIRE_DER_H
#define LP2P_WIRE_DER_H

#include "base/err.h"
#include "base/span.h"

enum {
    LP2P_DER_INTEGER = 0x02,
    LP2P_DER_BIT_STRING = 0x03,
    LP2P_DER_OCTET_STRING = 0x04,
    LP2P_DER_NULL = 0x05,
    LP2P_DER_OID = 0x06,
    LP2P_DER_SEQUENCE = 0x30,
    LP2P_DER_CONTEXT_0 = 0xa0,
    LP2P_DER_CONTEXT_1 = 0xa1
};

/** Takes the next element off the front of *in; it must have that tag. *content borrows from it. EMALFORMED.
 */
enum lp2p_err lp2p_der_take(struct lp2p_span *in, uint8_t tag, struct lp2p_span *content) LP2P_MUST_CHECK;
/** Takes a positive INTEGER in its shortest form; *number has no leading zero byte. EMALFORMED. */
enum lp2p_err lp2p_der_take_positive(struct lp2p_span *in, struct lp2p_span *number) LP2P_MUST_CHECK;
/** Takes a SubjectPublicKeyInfo (RFC 5280 section 4.1) that fills `in` exactly: the algorithm's OID, the rest
 * of its parameters, and the key's bytes. EMALFORMED. */
enum lp2p_err lp2p_der_public_key_info(struct lp2p_span in, struct lp2p_span *oid, struct lp2p_span *params,
                                       struct lp2p_span *key) LP2P_MUST_CHECK;

/** DER under way, written from the end of a buffer to its front, because the length of what is inside stands before it. The
 *  caller sizes the buffer: it must not run over. */
struct lp2p_der_out {
    uint8_t *bytes;
    size_t cap, at; /* what is written begins at `at` */
};
static inline struct lp2p_span lp2p_der_out(const struct lp2p_der_out *out)
{
    return lp2p_span(out->bytes + out->at, out->cap - out->at);
}
/** Puts bytes before what is there. */
void lp2p_der_put(struct lp2p_der_out *out, const uint8_t *bytes, size_t len);
/** Puts a positive INTEGER of big-endian bytes, not empty and without a leading zero byte. */
void lp2p_der_put_positive(struct lp2p_der_out *out, struct lp2p_span number);
/** Puts tag and length before what lies in front of `end`. */
void lp2p_der_wrap(struct lp2p_der_out *out, uint8_t tag, size_t end);

#endif
