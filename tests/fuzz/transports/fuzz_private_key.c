/* SPDX-License-Identifier: MIT
 * Private keys: what parses is written and read again as the same key, and its signatures verify. */
#include "base/check.h"
#include "wire/keys.h"

#include <stdbool.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct lp2p_private_key key, again;
    static uint8_t encoded[LP2P_PRIVATE_KEY_MAX], signature[LP2P_SIGNATURE_MAX];
    size_t len = 0;
    if (lp2p_private_key_parse(lp2p_span(data, size), &key) != LP2P_OK) {
        for (size_t i = 0; i < sizeof(key); i++) {
            LP2P_CHECK(((const uint8_t *)&key)[i] == 0); /* nothing of a refused secret stays */
        }
        return 0;
    }
    LP2P_CHECK(lp2p_private_key_encode(&key, encoded, sizeof(encoded), &len) == LP2P_OK);
    LP2P_CHECK(lp2p_private_key_parse(lp2p_span(encoded, len), &again) == LP2P_OK);
    LP2P_CHECK(memcmp(&key, &again, sizeof(key)) == 0);
    len = lp2p_private_key_sign(&key, lp2p_span(data, size), signature);
    LP2P_CHECK(len > 0);
    LP2P_CHECK(lp2p_public_key_verify(&key.public_key, lp2p_span(data, size), lp2p_span(signature, len)) ==
               LP2P_OK);
    return 0;
}
