/* SPDX-License-Identifier: MIT
 * Noise XX secure channel of libp2p (libp2p specs noise/README.md), a machine for the handshake and in-place sealing and
 * opening of transport frames. Owned by one actor; may be handed over between actors when the handshake is done. */
#ifndef LP2P_NOISE_H
#define LP2P_NOISE_H

#include "base/rand.h"
#include "base/time.h"
#include "secure/secure.h"
#include "wire/peer_id.h"

#define LP2P_NOISE_FRAME_MAX 65535                                 /* bytes after the length prefix */
#define LP2P_NOISE_TAG 16                                          /* bytes */
#define LP2P_NOISE_PREFIX 2                                        /* bytes: big-endian length */
#define LP2P_NOISE_PLAIN_MAX (LP2P_NOISE_FRAME_MAX - LP2P_NOISE_TAG) /* bytes of plaintext in one frame */
#define LP2P_NOISE_MUXERS_MAX 4

/** What a node brings to each handshake; shared by all of them, read-only, outlives them. */
struct lp2p_noise_identity {
    const struct lp2p_private_key *key;
    uint8_t static_secret[32], static_public[32]; /* X25519 */
    uint16_t payload_signature_len;
    uint8_t payload_signature[LP2P_SIGNATURE_MAX]; /* made once for static_public */
    const char *muxers[LP2P_NOISE_MUXERS_MAX];    /* our list for stream_muxers, preference order; empty: extension not sent */
    size_t muxers_len;
};
/** Makes the static key and the signature. ESIGNATURE: the key did not sign (an Ed25519 key of this process always does). */
enum lp2p_err lp2p_noise_identity_init(struct lp2p_noise_identity *identity, const struct lp2p_private_key *key,
                                       const char *const *muxers, size_t muxers_len, const struct lp2p_rand *rand);
void lp2p_noise_identity_wipe(struct lp2p_noise_identity *identity);

enum lp2p_noise_event_kind { LP2P_NOISE_NONE, LP2P_NOISE_ESTABLISHED, LP2P_NOISE_FAILED };
struct lp2p_noise_event {
    enum lp2p_noise_event_kind kind;
    enum lp2p_err reason;     /* FAILED: EMALFORMED, EAUTH, ESIGNATURE, EBADKEY, EWRONGPEER, EOVERSIZE, ENEGOTIATION (no common muxer) */
    struct lp2p_peer_id peer; /* ESTABLISHED: proven */
    struct lp2p_public_key key;
    int muxer;                /* index in our list agreed by stream_muxers; -1: negotiate it by multistream-select */
};

struct lp2p_noise; /* opaque; small after the handshake */

/** `expected` (may be NULL) is the peer id that the dialer wants; copied. NULL when memory is short. */
struct lp2p_noise *lp2p_noise_new(const struct lp2p_noise_identity *identity, bool initiator,
                                  const struct lp2p_peer_id *expected, const struct lp2p_rand *rand);
/** The same with a prologue that both sides must bring (webrtc-direct: the hashes of the certificates); read during the call. */
struct lp2p_noise *lp2p_noise_new_with_prologue(const struct lp2p_noise_identity *identity, bool initiator,
                                                const struct lp2p_peer_id *expected, struct lp2p_span prologue,
                                                const struct lp2p_rand *rand);
void lp2p_noise_free(struct lp2p_noise *noise); /* wipes keys; may be NULL */

/** The same channel behind the interface of all; its identity is a struct lp2p_noise_identity. */
extern const struct lp2p_secure_ops lp2p_noise_secure;

/* Handshake. */

/** Consumes handshake bytes, never a byte of the first transport frame. An error is also reported as FAILED. */
enum lp2p_err lp2p_noise_feed(struct lp2p_noise *noise, struct lp2p_span in, lp2p_time now, size_t *used) LP2P_MUST_CHECK;
void lp2p_noise_next(struct lp2p_noise *noise, struct lp2p_noise_event *event);
size_t lp2p_noise_drain(struct lp2p_noise *noise, uint8_t *out, size_t cap, lp2p_time now);
lp2p_time lp2p_noise_deadline(const struct lp2p_noise *noise); /* LP2P_NEVER: the caller owns the upgrade's deadline */

/* Transport, after ESTABLISHED. */

/** Total bytes of the frame at the front of `in`, with its prefix; 0: the prefix is not complete yet. EMALFORMED: shorter
 *  than a tag. */
enum lp2p_err lp2p_noise_frame_size(struct lp2p_span in, size_t *size) LP2P_MUST_CHECK;
/** Decrypts one whole frame (prefix included) in place. *plain points into the frame. EAUTH is final. */
enum lp2p_err lp2p_noise_open(struct lp2p_noise *noise, uint8_t *frame, size_t size, struct lp2p_span *plain) LP2P_MUST_CHECK;
/** Encrypts in place: the plaintext of plain_len (<= LP2P_NOISE_PLAIN_MAX) bytes lies at frame + LP2P_NOISE_PREFIX and there
 *  is room for the tag behind it. Returns the size of the whole frame. ELIMIT: the nonce is used up. */
enum lp2p_err lp2p_noise_seal(struct lp2p_noise *noise, uint8_t *frame, size_t plain_len, size_t *size) LP2P_MUST_CHECK;
/** The same for a plaintext with parts that still lie elsewhere. */
enum lp2p_err lp2p_noise_seal_parts(struct lp2p_noise *noise, uint8_t *frame, size_t plain_len, const struct lp2p_secure_part *parts,
                                    size_t parts_len, size_t *size) LP2P_MUST_CHECK;

#endif
