/* SPDX-License-Identifier: MIT
 * What a library of ciphers brings to aead.c. Internal to the room. */
#ifndef LP2P_NOISE_AEAD_LIBRARY_H
#define LP2P_NOISE_AEAD_LIBRARY_H

#include "noise/aead.h"

#define LP2P_AEAD_NONCE 12
#define LP2P_AEAD_HASH_PARTS 3

/** One text under way: in place, the tag stands behind it. */
struct lp2p_aead_text {
    const uint8_t *nonce; /* LP2P_AEAD_NONCE bytes */
    struct lp2p_span ad;
    uint8_t *bytes;
    size_t len;
    const struct lp2p_secure_part
        *parts; /* sealing: what is not in `bytes` yet; NULL for a library that takes none */
    size_t parts_len;
};

struct lp2p_aead_library {
    const char *name;
    size_t len_min;   /* shorter texts go through libsodium */
    bool takes_parts; /* otherwise they are filled in first */
    /** Gets the library ready for all threads; false: it cannot be used. Called once. */
    bool (*init)(void);
    /** OK, or ENOMEM with nothing touched: libsodium does it then. */
    enum lp2p_err (*seal)(struct lp2p_aead *aead, const struct lp2p_aead_text *text);
    /** OK, EAUTH, or ENOMEM with nothing touched. */
    enum lp2p_err (*open)(struct lp2p_aead *aead, const struct lp2p_aead_text *text);
    /** Wipes and frees what the library keeps of this key. */
    void (*drop)(struct lp2p_aead *aead);
    /** SHA-256 of at most LP2P_AEAD_HASH_PARTS parts, one behind the other; false: libsodium does it. NULL: always. */
    bool (*hash)(const struct lp2p_span *parts, size_t len, uint8_t out[32]);
};

/** Which library seals the frames of new keys; NULL: libsodium. */
const struct lp2p_aead_library *lp2p_aead_library_chosen(void);

#ifdef LP2P_HAVE_LIBGCRYPT
extern const struct lp2p_aead_library lp2p_aead_libgcrypt;
#endif
#ifdef LP2P_HAVE_LIBCRYPTO
extern const struct lp2p_aead_library lp2p_aead_libcrypto;
#endif

#endif
