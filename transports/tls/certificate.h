/* SPDX-License-Identifier: MIT
 * Certificates of libp2p (libp2p specs tls/tls.md, RFC 5280): a strict reader of the one form that they have,
 * the checks in the spec's order, and the making of our own. No library of TLS or X.509 is asked, so that all
 * backends judge alike; sizes are looked at before any arithmetic. Pure functions; private to the room. */
#ifndef LP2P_TLS_CERTIFICATE_H
#define LP2P_TLS_CERTIFICATE_H

#include "base/err.h"
#include "base/rand.h"
#include "wire/peer_id.h"

/** SignatureScheme of TLS (RFC 8446 section 4.2.3): what signs certificates here. */
enum lp2p_tls_scheme {
    LP2P_TLS_ECDSA_P256_SHA256 = 0x0403,
    LP2P_TLS_ECDSA_P384_SHA384 = 0x0503,
    LP2P_TLS_ECDSA_P521_SHA512 = 0x0603,
    LP2P_TLS_RSA_PKCS1_SHA256 = 0x0401,
    LP2P_TLS_RSA_PKCS1_SHA384 = 0x0501,
    LP2P_TLS_RSA_PKCS1_SHA512 = 0x0601,
    LP2P_TLS_RSA_PSS_SHA256 = 0x0804,
    LP2P_TLS_RSA_PSS_SHA384 = 0x0805,
    LP2P_TLS_RSA_PSS_SHA512 = 0x0806,
    LP2P_TLS_ED25519 = 0x0807
};

/** A certificate that was read; everything borrows from its bytes. */
struct lp2p_tls_certificate {
    struct lp2p_span signed_part, public_key_info, signature;
    enum lp2p_tls_scheme scheme;
    int64_t not_before_s, not_after_s;         /* seconds since 1970 */
    struct lp2p_span host_key, host_signature; /* out of the extension of libp2p */
};

/** Reads one certificate that fills `der` exactly (64 KiB at most; the owner's limit is another). EMALFORMED;
 * EOVERSIZE; EUNSUPPORTED (a signature algorithm); EBADKEY (the key is too small, too large, none, or not the
 * algorithm's); EPROTO (no extension of libp2p, two, or one that is not understood and critical). */
enum lp2p_err lp2p_tls_certificate_read(struct lp2p_span der,
                                        struct lp2p_tls_certificate *out) LP2P_MUST_CHECK;
/** Whether a signature of this kind costs more to verify than those of the keys that certificates of libp2p have
 * as a rule (P-256, Ed25519): the other side chooses it. */
bool lp2p_tls_scheme_is_costly(enum lp2p_tls_scheme scheme);
/** All checks of a peer's certificate that was read; who it proves (possession is TLS's business). EEXPIRED,
 * ESIGNATURE, EBADKEY, EUNSUPPORTED, EOVERSIZE, ENOMEM. */
enum lp2p_err lp2p_tls_certificate_check(const struct lp2p_tls_certificate *certificate, int64_t wall_s,
                                         struct lp2p_peer_id *peer) LP2P_MUST_CHECK;
/** Verifies a signature of this scheme with the key of a SubjectPublicKeyInfo that was read. ESIGNATURE;
 * EBADKEY; EUNSUPPORTED (not with this build's library). */
enum lp2p_err lp2p_tls_signature_check(enum lp2p_tls_scheme scheme, struct lp2p_span public_key_info,
                                       struct lp2p_span message, struct lp2p_span signature) LP2P_MUST_CHECK;

/* Making */

#define LP2P_TLS_KEY_DER_MAX 128
#define LP2P_TLS_OWN_MAX 4096 /* bytes of a certificate of ours: a host key and signature of RSA 8192 fit */

/** A P-256 key for certificates; secret. */
struct lp2p_tls_key {
    uint8_t secret[32];
    uint8_t point[65];
};
/** ENOMEM. */
enum lp2p_err lp2p_tls_key_generate(const struct lp2p_rand *rand, struct lp2p_tls_key *out) LP2P_MUST_CHECK;
/** SEC 1 form (RFC 5915); the bytes are secret. Returns their number. */
size_t lp2p_tls_key_der(const struct lp2p_tls_key *key, uint8_t out[LP2P_TLS_KEY_DER_MAX]);
/** The bytes that the identity key signs: the prefix and the certificate key's SubjectPublicKeyInfo. Returns
 * their number. */
size_t lp2p_tls_key_statement(const struct lp2p_tls_key *key, uint8_t out[LP2P_TLS_KEY_DER_MAX]);

struct lp2p_tls_make {
    const struct lp2p_tls_key *key;
    struct lp2p_span host_key, host_signature; /* the extension of libp2p; both empty: none */
    const char *const *names;                  /* of a web server: DNS names and IP addresses */
    size_t names_len;
    int64_t not_before_s, not_after_s;
    const struct lp2p_rand *rand;
};
/** A certificate signed by its own key; *len bytes at `out`. ELIMIT: it does not fit; ENOMEM; EINVAL: a name
 * that is none. */
enum lp2p_err lp2p_tls_certificate_make(const struct lp2p_tls_make *make, uint8_t out[LP2P_TLS_OWN_MAX],
                                        size_t *len) LP2P_MUST_CHECK;

#endif
