/* SPDX-License-Identifier: MIT
 * libgcrypt: setting a key costs about 100 ns, so that keys share contexts ("seats"). Each key has one place
 * on a shelf of the process; a seat is off the shelf while it is used, and it remembers whose key is in it.
 * So an idle connection holds none, a busy one finds its key in place, and a key that is dropped is found in
 * its place and nowhere else. */
#include "noise/aead_library.h"

#include <gcrypt.h>
#include <stdlib.h>

#define PLACES 64u /* of 1.2 KiB: at most 77 KiB in a process */

struct seat {
    gcry_cipher_hd_t handle;
    uint64_t owner; /* id of the key in it; 0: none */
};

static struct seat *shelf[PLACES]; /* atomic; NULL: empty, or in use */
static uint64_t last_id;           /* atomic */

static struct seat **place_of(const struct lp2p_aead *aead)
{
    return &shelf[aead->id % PLACES];
}

static void discard(struct seat *seat)
{
    if (seat != NULL) {
        gcry_cipher_close(seat->handle); /* wipes it */
        free(seat);
    }
}

static struct seat *new_seat(void)
{
    struct seat *seat = calloc(1, sizeof(*seat));
    if (seat == NULL ||
        gcry_cipher_open(&seat->handle, GCRY_CIPHER_CHACHA20, GCRY_CIPHER_MODE_POLY1305, 0) != 0) {
        free(seat);
        return NULL;
    }
    return seat;
}

/** A seat with the key in it, off the shelf. NULL: no memory. */
static struct seat *take(struct lp2p_aead *aead)
{
    if (aead->id == 0) {
        aead->id = __atomic_add_fetch(&last_id, 1, __ATOMIC_RELAXED);
    }
    struct seat *seat = __atomic_exchange_n(place_of(aead), NULL, __ATOMIC_ACQUIRE);
    if (seat == NULL) {
        seat = new_seat();
    }
    if (seat != NULL && seat->owner != aead->id) {
        if (gcry_cipher_setkey(seat->handle, aead->key, LP2P_AEAD_KEY) != 0) {
            discard(seat);
            return NULL;
        }
        seat->owner = aead->id;
    }
    return seat;
}

/** Back into its place, if that is empty; a key is never anywhere else. */
static void give_back(const struct lp2p_aead *aead, struct seat *seat)
{
    struct seat *empty = NULL;
    if (!__atomic_compare_exchange_n(place_of(aead), &empty, seat, false, __ATOMIC_RELEASE,
                                     __ATOMIC_RELAXED)) {
        discard(seat);
    }
}

static bool begin(struct seat *seat, const struct lp2p_aead_text *text)
{
    return gcry_cipher_setiv(seat->handle, text->nonce, LP2P_AEAD_NONCE) == 0 &&
           (text->ad.len == 0 || gcry_cipher_authenticate(seat->handle, text->ad.ptr, text->ad.len) == 0);
}

/** Piece by piece: what is in place already, and what is taken from elsewhere. */
static bool encrypt(gcry_cipher_hd_t handle, const struct lp2p_aead_text *text)
{
    size_t at = 0;
    for (size_t i = 0; i < text->parts_len; i++) {
        const struct lp2p_secure_part *part = &text->parts[i];
        if ((part->at > at && gcry_cipher_encrypt(handle, text->bytes + at, part->at - at, NULL, 0) != 0) ||
            gcry_cipher_encrypt(handle, text->bytes + part->at, part->bytes.len, part->bytes.ptr,
                                part->bytes.len) != 0) {
            return false;
        }
        at = part->at + part->bytes.len;
    }
    return (at == text->len && at > 0) ||
           gcry_cipher_encrypt(handle, text->bytes + at, text->len - at, NULL, 0) == 0;
}

static enum lp2p_err seal_text(struct lp2p_aead *aead, const struct lp2p_aead_text *text)
{
    struct seat *seat = take(aead);
    if (seat == NULL) {
        return LP2P_ENOMEM;
    }
    bool good = begin(seat, text) && encrypt(seat->handle, text) &&
                gcry_cipher_gettag(seat->handle, text->bytes + text->len, LP2P_AEAD_TAG) == 0;
    give_back(aead, seat);
    return good ? LP2P_OK : LP2P_EFAILED;
}

static enum lp2p_err open_text(struct lp2p_aead *aead, const struct lp2p_aead_text *text)
{
    struct seat *seat = take(aead);
    if (seat == NULL) {
        return LP2P_ENOMEM;
    }
    bool good = begin(seat, text) &&
                gcry_cipher_decrypt(seat->handle, text->bytes, text->len, NULL, 0) == 0 &&
                gcry_cipher_checktag(seat->handle, text->bytes + text->len, LP2P_AEAD_TAG) == 0;
    give_back(aead, seat);
    return good ? LP2P_OK : LP2P_EAUTH;
}

static void drop(struct lp2p_aead *aead)
{
    if (aead->id == 0) {
        return;
    }
    struct seat *seat = __atomic_exchange_n(place_of(aead), NULL, __ATOMIC_ACQUIRE);
    if (seat != NULL && seat->owner == aead->id) {
        discard(seat);
    } else if (seat != NULL) {
        give_back(aead, seat);
    }
    aead->id = 0;
}

static bool hash(const struct lp2p_span *parts, size_t len, uint8_t out[32])
{
    gcry_buffer_t buffers[LP2P_AEAD_HASH_PARTS];
    if (len > LP2P_AEAD_HASH_PARTS) {
        return false;
    }
    for (size_t i = 0; i < len; i++) {
        /* The library does not write through it, its interface only lacks the const. */
        buffers[i] = (gcry_buffer_t){.len = parts[i].len, .data = (void *)(uintptr_t)parts[i].ptr};
    }
    return gcry_md_hash_buffers(GCRY_MD_SHA256, 0, out, buffers, (int)len) == 0;
}

static bool init(void)
{
    /* A program that uses libgcrypt itself may have done all this. */
    if (gcry_control(GCRYCTL_INITIALIZATION_FINISHED_P) == 0) {
        if (gcry_check_version("1.9.0") == NULL) {
            return false;
        }
        gcry_control(GCRYCTL_DISABLE_SECMEM, 0);
        gcry_control(GCRYCTL_INITIALIZATION_FINISHED, 0);
    }
    /* In FIPS mode the cipher is not there. */
    struct seat *first = new_seat();
    discard(first);
    return first != NULL;
}

const struct lp2p_aead_library lp2p_aead_libgcrypt = {.name = "libgcrypt",
                                                      .len_min = 0,
                                                      .takes_parts = true,
                                                      .init = init,
                                                      .seal = seal_text,
                                                      .open = open_text,
                                                      .drop = drop,
                                                      .hash = hash};
