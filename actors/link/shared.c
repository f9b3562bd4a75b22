/* SPDX-License-Identifier: MIT */
#include "actors/shared.h"

#include "wire/endpoint.h"

#include <stdlib.h>

/* All counts work alike: taking a reference needs no order, because who takes one holds one; the release of
 * the last holder pairs with the acquire of whoever frees. */
static void take(uint32_t *refs)
{
    __atomic_fetch_add(refs, 1, __ATOMIC_RELAXED);
}

static bool was_last(uint32_t *refs)
{
    return __atomic_sub_fetch(refs, 1, __ATOMIC_ACQ_REL) == 0;
}

struct lp2p_addrs *lp2p_addrs_new(const struct lp2p_multiaddr *items, size_t len)
{
    if (len > UINT16_MAX) {
        return NULL;
    }
    struct lp2p_addrs *addrs = malloc(sizeof(*addrs) + len * sizeof(addrs->items[0]));
    if (addrs == NULL) {
        return NULL;
    }
    addrs->refs = 1;
    addrs->len = (uint32_t)len;
    if (len > 0) {
        memcpy(addrs->items, items, len * sizeof(addrs->items[0]));
    }
    return addrs;
}

struct lp2p_addrs *lp2p_addrs_ref(struct lp2p_addrs *addrs)
{
    if (addrs != NULL) {
        take(&addrs->refs);
    }
    return addrs;
}

void lp2p_addrs_drop(struct lp2p_addrs **addrs)
{
    struct lp2p_addrs *old = *addrs;
    *addrs = NULL;
    if (old != NULL && was_last(&old->refs)) {
        free(old);
    }
}

void lp2p_addrs_filter(struct lp2p_addrs **addrs, enum lp2p_ma_scope source)
{
    size_t kept = 0;
    for (uint32_t i = 0; *addrs != NULL && i < (*addrs)->len; i++) {
        kept += lp2p_addr_plausible(&(*addrs)->items[i], source);
    }
    if (*addrs == NULL || kept == (*addrs)->len) {
        return;
    }
    struct lp2p_multiaddr *items = kept > 0 ? calloc(kept, sizeof(*items)) : NULL;
    size_t len = 0;
    for (uint32_t i = 0; items != NULL && i < (*addrs)->len; i++) {
        if (lp2p_addr_plausible(&(*addrs)->items[i], source)) {
            items[len++] = (*addrs)->items[i];
        }
    }
    lp2p_addrs_drop(addrs);
    *addrs = lp2p_addrs_new(items, len);
    free(items);
}

bool lp2p_addrs_have(const struct lp2p_addrs *addrs, const struct lp2p_multiaddr *addr)
{
    for (uint32_t i = 0; addrs != NULL && i < addrs->len; i++) {
        if (lp2p_multiaddr_eq(&addrs->items[i], addr)) {
            return true;
        }
    }
    return false;
}

struct lp2p_peer_info *lp2p_peer_info_new(void)
{
    struct lp2p_peer_info *info = calloc(1, sizeof(*info));
    if (info != NULL) {
        info->refs = 1;
        info->muxer = info->security = "";
    }
    return info;
}

struct lp2p_peer_info *lp2p_peer_info_ref(struct lp2p_peer_info *info)
{
    if (info != NULL) {
        take(&info->refs);
    }
    return info;
}

void lp2p_peer_info_drop(struct lp2p_peer_info **info)
{
    struct lp2p_peer_info *old = *info;
    *info = NULL;
    if (old != NULL && was_last(&old->refs)) {
        lp2p_addrs_drop(&old->addrs);
        lp2p_strings_drop(&old->protocols);
        free(old);
    }
}

bool lp2p_peer_info_speaks(const struct lp2p_peer_info *info, const char *protocol)
{
    if (info == NULL || info->protocols == NULL) {
        return false;
    }
    for (uint32_t i = 0; i < info->protocols->len; i++) {
        if (strcmp(info->protocols->items[i], protocol) == 0) {
            return true;
        }
    }
    return false;
}

struct lp2p_strings *lp2p_strings_new(const struct lp2p_span *items, size_t len)
{
    if (len > UINT16_MAX) {
        return NULL;
    }
    size_t size = sizeof(struct lp2p_strings) + len * sizeof(const char *);
    for (size_t i = 0; i < len; i++) {
        if (items[i].len >= SIZE_MAX / 2 - size) {
            return NULL;
        }
        size += items[i].len + 1;
    }
    struct lp2p_strings *strings = malloc(size);
    if (strings == NULL) {
        return NULL;
    }
    char *text = (char *)&strings->items[len];
    strings->refs = 1;
    strings->len = 0;
    for (size_t i = 0; i < len; i++) {
        if (items[i].len > 0) {
            if (memchr(items[i].ptr, 0, items[i].len) != NULL) {
                continue;
            }
            memcpy(text, items[i].ptr, items[i].len);
        }
        text[items[i].len] = '\0';
        strings->items[strings->len++] = text;
        text += items[i].len + 1;
    }
    return strings;
}

struct lp2p_strings *lp2p_strings_ref(struct lp2p_strings *strings)
{
    if (strings != NULL) {
        take(&strings->refs);
    }
    return strings;
}

void lp2p_strings_drop(struct lp2p_strings **strings)
{
    struct lp2p_strings *old = *strings;
    *strings = NULL;
    if (old != NULL && was_last(&old->refs)) {
        free(old);
    }
}

struct lp2p_protocols *lp2p_protocols_new(size_t len)
{
    if (len > UINT16_MAX) {
        return NULL;
    }
    struct lp2p_protocols *protocols = calloc(1, sizeof(*protocols) + len * sizeof(protocols->items[0]));
    if (protocols == NULL) {
        return NULL;
    }
    protocols->refs = 1;
    protocols->len = (uint32_t)len;
    return protocols;
}

struct lp2p_protocols *lp2p_protocols_ref(struct lp2p_protocols *protocols)
{
    if (protocols != NULL) {
        take(&protocols->refs);
    }
    return protocols;
}

void lp2p_protocols_drop(struct lp2p_protocols **protocols)
{
    struct lp2p_protocols *old = *protocols;
    *protocols = NULL;
    if (old != NULL && was_last(&old->refs)) {
        free(old);
    }
}

int lp2p_protocols_find(const struct lp2p_protocols *protocols, struct lp2p_span id)
{
    if (protocols == NULL || id.len == 0 || id.len >= LP2P_PROTOCOL_ID_MAX) {
        return -1;
    }
    for (uint32_t i = 0; i < protocols->len; i++) {
        if (lp2p_span_eq_str(id, protocols->items[i].id)) {
            return (int)i;
        }
    }
    return -1;
}

struct lp2p_self *lp2p_self_info_new(void)
{
    struct lp2p_self *self_info = calloc(1, sizeof(*self_info));
    if (self_info != NULL) {
        self_info->refs = 1;
    }
    return self_info;
}

struct lp2p_self *lp2p_self_info_ref(struct lp2p_self *self_info)
{
    if (self_info != NULL) {
        take(&self_info->refs);
    }
    return self_info;
}

void lp2p_self_info_drop(struct lp2p_self **self_info)
{
    struct lp2p_self *old = *self_info;
    *self_info = NULL;
    if (old != NULL && was_last(&old->refs)) {
        lp2p_addrs_drop(&old->addrs);
        lp2p_addrs_drop(&old->listening);
        lp2p_strings_drop(&old->protocols);
        lp2p_slice_drop(&old->message);
        lp2p_slice_drop(&old->record);
        free(old);
    }
}
