/* SPDX-License-Identifier: MIT
 * Key files of private networks: a file that is read gives the key that its base16 form gives; a bad one leaves nothing. */
#include "base/check.h"
#include "pnet/pnet.h"

#include <stdio.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct lp2p_pnet_key zero;
    struct lp2p_pnet_key key, again;
    memset(&key, 0xee, sizeof(key));
    enum lp2p_err err = lp2p_pnet_key_read(lp2p_span(data, size), &key);
    if (err != LP2P_OK) {
        LP2P_CHECK(err == LP2P_EMALFORMED && memcmp(&key, &zero, sizeof(key)) == 0);
        return 0;
    }
    char text[160];
    int len = snprintf(text, sizeof(text), "/key/swarm/psk/1.0.0/\n/base16/\n");
    for (size_t i = 0; i < sizeof(key.bytes); i++) {
        len += snprintf(text + len, sizeof(text) - (size_t)len, "%02x", key.bytes[i]);
    }
    LP2P_CHECK(lp2p_pnet_key_read(lp2p_span(text, (size_t)len), &again) == LP2P_OK);
    LP2P_CHECK(memcmp(&key, &again, sizeof(key)) == 0);
    return 0;
}
