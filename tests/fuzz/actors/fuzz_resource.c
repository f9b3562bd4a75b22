/* SPDX-License-Identifier: MIT
 * Announcements of resources: the check of what comes from the DHT, and the input as the data of an
 * announcement of ours, which has to pass that check. */
#include "actors/protocols/resource.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint8_t *text = malloc(size > 0 ? size : 1);
    LP2P_CHECK(text != NULL);
    memcpy(text, data, size);
    const char *why = NULL;
    uint64_t expires_ms = 0;
    enum lp2p_err err = lp2p_resource_check(lp2p_span(text, size), "t", "i", &expires_ms, &why);
    LP2P_CHECK(why != NULL && expires_ms <= UINT64_C(9007199254740991));
    LP2P_CHECK(err == LP2P_OK || size == 0 || why[0] != '\0' || err == LP2P_ENOMEM);

    struct lp2p_slice json;
    err = lp2p_resource_build("t", "i", "me", lp2p_span(text, size), 5, 7, &json, &why);
    if (err == LP2P_OK) {
        LP2P_CHECK(lp2p_resource_check(lp2p_slice_span(&json), "t", "i", &expires_ms, &why) == LP2P_OK);
        LP2P_CHECK(expires_ms == 12);
        lp2p_slice_drop(&json);
    }
    free(text);

    /* Keys: never more than one '/' in what is accepted. */
    char type[LP2P_RESOURCE_TYPE_MAX + 8] = {0}, id[LP2P_RESOURCE_ID_MAX + 8] = {0},
                                       key[LP2P_RESOURCE_KEY_MAX];
    size_t half = size / 2;
    memcpy(type, data, LP2P_MIN(half, sizeof(type) - 1));
    memcpy(id, data + half, LP2P_MIN(size - half, sizeof(id) - 1));
    if (lp2p_resource_key(type, id, key, &why) == LP2P_OK) {
        char *slash = strchr(key, '/');
        LP2P_CHECK(slash == NULL || strchr(slash + 1, '/') == NULL);
        LP2P_CHECK(strlen(key) == strlen("resource::") + strlen(type) + strlen(id));
    }
    return 0;
}
