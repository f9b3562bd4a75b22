/* SPDX-License-Identifier: MIT
 * Public keys: parsing is idempotent, verification takes any signature. The first byte is the
 * key's share. */
#include "base/check.h"
#include "wire/keys.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_key(const struct lp2p_public_key *key)
{
    struct lp2p_public_key again;
    LP2P_CHECK(key->data_offset + key->data_len == key->encoded_len &&
               key->encoded_len <= sizeof(key->encoded));
    LP2P_CHECK(lp2p_public_key_parse(lp2p_public_key_encoded(key), &again) == LP2P_OK);
    LP2P_CHECK(again.type == key->type &&
               lp2p_span_eq(lp2p_public_key_encoded(&again), lp2p_public_key_encoded(key)));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1) {
        return 0;
    }
    struct lp2p_span rest = lp2p_span(data + 1, size - 1);
    struct lp2p_span first = lp2p_span(rest.ptr, rest.len * data[0] / 255),
                     second = lp2p_span_skip(rest, first.len);
    struct lp2p_public_key key;
    for (int type = -1; type <= 4; type++) {
        enum lp2p_err err = type < 0 ? lp2p_public_key_parse(first, &key)
                                     : lp2p_public_key_make((enum lp2p_key_type)type, first, &key);
        if (err == LP2P_OK) {
            check_key(&key);
            /* Nobody signs by chance. */
            LP2P_CHECK(lp2p_public_key_verify(&key, lp2p_span_str("message"), second) != LP2P_OK);
        }
    }
    return 0;
}
