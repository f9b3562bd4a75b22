/* SPDX-License-Identifier: MIT */
#include "noise/aead.h"

#include "base/check.h"
#include "noise/aead_library.h"

#include <sodium.h>

/* The fastest first; libsodium, which is always there, is the last. */
static const struct lp2p_aead_library *const libraries[] = {
#ifdef LP2P_HAVE_LIBGCRYPT
    &lp2p_aead_libgcrypt,
#endif
#ifdef LP2P_HAVE_LIBCRYPTO
    &lp2p_aead_libcrypto,
#endif
    NULL,
};
#define SODIUM "libsodium"

enum { FRESH, BUSY, READY };
static int init_state;                         /* atomic */
static bool usable[LP2P_ARRAY_LEN(libraries)]; /* written before READY */
static const struct lp2p_aead_library *chosen; /* atomic; NULL: libsodium */

static const struct lp2p_aead_library *fastest(void)
{
    for (size_t i = 0; libraries[i] != NULL; i++) {
        if (usable[i]) {
            return libraries[i];
        }
    }
    return NULL;
}

void lp2p_noise_library_init(void)
{
    int fresh = FRESH;
    if (__atomic_load_n(&init_state, __ATOMIC_ACQUIRE) != FRESH ||
        !__atomic_compare_exchange_n(&init_state, &fresh, BUSY, false, __ATOMIC_ACQUIRE, __ATOMIC_ACQUIRE)) {
        return;
    }
    for (size_t i = 0; libraries[i] != NULL; i++) {
        usable[i] = libraries[i]->init();
    }
    __atomic_store_n(&chosen, fastest(), __ATOMIC_RELEASE);
    __atomic_store_n(&init_state, READY, __ATOMIC_RELEASE);
}

enum lp2p_err lp2p_noise_cipher(const char *name)
{
    lp2p_noise_library_init();
    if (name == NULL || strcmp(name, SODIUM) == 0) {
        __atomic_store_n(&chosen, name == NULL ? fastest() : NULL, __ATOMIC_RELEASE);
        return LP2P_OK;
    }
    for (size_t i = 0; libraries[i] != NULL; i++) {
        if (usable[i] && strcmp(name, libraries[i]->name) == 0) {
            __atomic_store_n(&chosen, libraries[i], __ATOMIC_RELEASE);
            return LP2P_OK;
        }
    }
    return LP2P_ENOTFOUND;
}

const char *lp2p_noise_cipher_name(void)
{
    lp2p_noise_library_init();
    const struct lp2p_aead_library *library = __atomic_load_n(&chosen, __ATOMIC_ACQUIRE);
    return library == NULL ? SODIUM : library->name;
}

const struct lp2p_aead_library *lp2p_aead_library_chosen(void)
{
    return __atomic_load_n(&chosen, __ATOMIC_ACQUIRE);
}

void lp2p_aead_init(struct lp2p_aead *aead, const uint8_t key[LP2P_AEAD_KEY], bool frames)
{
    *aead = (struct lp2p_aead){.nonce = 0};
    memcpy(aead->key, key, LP2P_AEAD_KEY);
    if (frames) {
        lp2p_noise_library_init(); /* nobody has forgotten it, but a test may */
        aead->library = __atomic_load_n(&chosen, __ATOMIC_ACQUIRE);
    }
}

void lp2p_aead_fini(struct lp2p_aead *aead)
{
    if (aead->library != NULL) {
        aead->library->drop(aead);
    }
    sodium_memzero(aead, sizeof(*aead));
}

static void nonce_bytes(uint64_t nonce, uint8_t out[LP2P_AEAD_NONCE])
{
    memset(out, 0, 4);
    for (int i = 0; i < 8; i++) {
        out[4 + i] = (uint8_t)(nonce >> (8 * i));
    }
}

static const struct lp2p_aead_library *library_for(const struct lp2p_aead *aead, size_t len)
{
    return aead->library != NULL && len >= aead->library->len_min ? aead->library : NULL;
}

static void fill_in(uint8_t *text, const struct lp2p_secure_part *parts, size_t parts_len)
{
    for (size_t i = 0; i < parts_len; i++) {
        memcpy(text + parts[i].at, parts[i].bytes.ptr, parts[i].bytes.len);
    }
}

static enum lp2p_err seal_text(struct lp2p_aead *aead, struct lp2p_aead_text text)
{
    uint8_t nonce[LP2P_AEAD_NONCE];
    const struct lp2p_aead_library *library = library_for(aead, text.len);
    enum lp2p_err err = LP2P_ENOMEM;
    if (aead->nonce == UINT64_MAX) {
        return LP2P_ELIMIT;
    }
    nonce_bytes(aead->nonce++, nonce);
    text.nonce = nonce;
    if (library != NULL) {
        if (!library->takes_parts) {
            fill_in(text.bytes, text.parts, text.parts_len);
            text.parts_len = 0;
        }
        err = library->seal(aead, &text);
    }
    if (err == LP2P_ENOMEM) {
        fill_in(text.bytes, text.parts, text.parts_len);
        crypto_aead_chacha20poly1305_ietf_encrypt_detached(text.bytes, text.bytes + text.len, NULL,
                                                           text.bytes, text.len, text.ad.ptr, text.ad.len,
                                                           NULL, nonce, aead->key);
        err = LP2P_OK;
    }
    return err;
}

enum lp2p_err lp2p_aead_seal(struct lp2p_aead *aead, struct lp2p_span ad, uint8_t *text, size_t len)
{
    return seal_text(aead, (struct lp2p_aead_text){.ad = ad, .bytes = text, .len = len});
}

enum lp2p_err lp2p_aead_seal_parts(struct lp2p_aead *aead, uint8_t *text, size_t len,
                                   const struct lp2p_secure_part *parts, size_t parts_len)
{
    return seal_text(
        aead, (struct lp2p_aead_text){.bytes = text, .len = len, .parts = parts, .parts_len = parts_len});
}

enum lp2p_err lp2p_aead_open(struct lp2p_aead *aead, struct lp2p_span ad, uint8_t *text, size_t len)
{
    uint8_t nonce[LP2P_AEAD_NONCE];
    const struct lp2p_aead_library *library = library_for(aead, len);
    enum lp2p_err err = LP2P_ENOMEM;
    if (aead->nonce == UINT64_MAX) {
        return LP2P_ELIMIT;
    }
    nonce_bytes(aead->nonce, nonce);
    if (library != NULL) {
        err = library->open(aead,
                            &(struct lp2p_aead_text){.nonce = nonce, .ad = ad, .bytes = text, .len = len});
    }
    if (err == LP2P_ENOMEM) {
        int bad = crypto_aead_chacha20poly1305_ietf_decrypt_detached(text, NULL, text, len, text + len,
                                                                     ad.ptr, ad.len, nonce, aead->key);
        err = bad == 0 ? LP2P_OK : LP2P_EAUTH;
    }
    if (err != LP2P_OK) {
        sodium_memzero(text, len); /* the libraries decrypt first and look at the tag last */
        return err;
    }
    aead->nonce++;
    return LP2P_OK;
}
