/* SPDX-License-Identifier: MIT */
#include "actors/resolver/resolution.h"

#include "base/check.h"
#include "wire/endpoint.h"

#include <stdio.h>
#include <stdlib.h>

/** An address with a name in it. */
struct item {
    struct lp2p_multiaddr addr;
    unsigned depth;   /* of /dnsaddr */
    unsigned waiting; /* questions of it that are not answered */
    unsigned found;
    enum lp2p_err err; /* of the answers so far */
};

struct asked {
    struct lp2p_dns_question question;
    unsigned item;
    bool given, answered;
};

struct lp2p_resolution {
    unsigned asked_len, items_len;
    struct asked asked[LP2P_RESOLVE_LOOKUPS_MAX];
    struct item items[LP2P_RESOLVE_LOOKUPS_MAX];
    size_t len;
    struct lp2p_multiaddr addrs[LP2P_RESOLVE_ADDRS_MAX], names[LP2P_RESOLVE_ADDRS_MAX];
    enum lp2p_err err;
    char text[LP2P_RESOLVE_TEXT_MAX];
};

/** Where the first name of an address lies. */
struct place {
    struct lp2p_span before, after;
    uint32_t code;
    char name[LP2P_RESOLVE_NAME_MAX];
};

static bool find_name(const struct lp2p_multiaddr *addr, struct place *out)
{
    struct lp2p_span rest = lp2p_multiaddr_span(addr);
    struct lp2p_ma_component part;
    for (;;) {
        size_t at = addr->len - rest.len;
        if (lp2p_ma_next(&rest, &part) != LP2P_OK) {
            return false;
        }
        if (part.code >= LP2P_MA_DNS && part.code <= LP2P_MA_DNSADDR) {
            *out = (struct place){lp2p_span(addr->bytes, at), rest, part.code, ""};
            /* A name that is too long is no name: it is asked as the empty one, which does not exist. */
            size_t len = part.value.len < LP2P_RESOLVE_NAME_MAX - 10 ? part.value.len : 0;
            for (size_t i = 0; i < len; i++) {
                char c = (char)part.value.ptr[i];
                out->name[i] = c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
            }
            return true;
        }
    }
}

static void note(struct lp2p_resolution *resolution, const char *name, enum lp2p_err err, const char *what)
{
    size_t len = strlen(resolution->text);
    if (strstr(resolution->text, name) == NULL) { /* one text for each name */
        (void)snprintf(resolution->text + len, sizeof(resolution->text) - len, "%s%s: %s", len > 0 ? ", " : "",
                       name[0] != '\0' ? name : "the name", what);
    }
    resolution->err = resolution->err == LP2P_OK ? err : resolution->err;
}

static const char *words(enum lp2p_err err)
{
    switch (err) {
    case LP2P_OK:
        return "the name has no such records";
    case LP2P_ENOTFOUND:
        return "the name does not exist";
    case LP2P_ETIMEDOUT:
        return "no name server answered in time";
    case LP2P_ECONNREFUSED:
        return "the name server cannot be reached";
    case LP2P_EUNREACHABLE:
        return "the name server could not answer";
    case LP2P_EMALFORMED:
        return "the name server's answer is malformed";
    default:
        return lp2p_strerror(err);
    }
}

static void found(struct lp2p_resolution *resolution, const struct lp2p_multiaddr *addr, const struct lp2p_multiaddr *name)
{
    for (size_t i = 0; i < resolution->len; i++) {
        if (lp2p_multiaddr_eq(&resolution->addrs[i], addr)) {
            return;
        }
    }
    if (resolution->len < LP2P_RESOLVE_ADDRS_MAX) {
        resolution->addrs[resolution->len] = *addr;
        resolution->names[resolution->len++] = *name;
    }
}

static void ask(struct lp2p_resolution *resolution, unsigned item, enum lp2p_dns_kind kind, const char *name)
{
    struct asked *asked = &resolution->asked[resolution->asked_len++];
    *asked = (struct asked){.item = item};
    asked->question.kind = kind;
    (void)snprintf(asked->question.name, sizeof(asked->question.name), "%s%s",
                   kind == LP2P_DNS_TEXT ? "_dnsaddr." : "", name);
    resolution->items[item].waiting++;
}

/** Takes in an address: it is a result, or there is something to ask about it. */
static void add(struct lp2p_resolution *resolution, const struct lp2p_multiaddr *addr, const struct lp2p_multiaddr *name,
                unsigned depth)
{
    struct place place;
    if (!find_name(addr, &place)) {
        found(resolution, addr, name);
        return;
    }
    for (unsigned i = 0; i < resolution->items_len; i++) {
        if (lp2p_multiaddr_eq(&resolution->items[i].addr, addr)) {
            return; /* a loop, or the same by two ways */
        }
    }
    if (place.code == LP2P_MA_DNSADDR && depth >= LP2P_RESOLVE_DEPTH_MAX) {
        note(resolution, place.name, LP2P_ELIMIT, "too many names that lead to names");
        return;
    }
    unsigned questions = place.code == LP2P_MA_DNS ? 2 : 1;
    if (resolution->asked_len + questions > LP2P_RESOLVE_LOOKUPS_MAX) {
        note(resolution, place.name, LP2P_ELIMIT, "not asked: too many names");
        return;
    }
    unsigned item = resolution->items_len++;
    resolution->items[item] = (struct item){.addr = *addr, .depth = depth + (place.code == LP2P_MA_DNSADDR ? 1 : 0)};
    if (place.code == LP2P_MA_DNSADDR) {
        ask(resolution, item, LP2P_DNS_TEXT, place.name);
    }
    if (place.code == LP2P_MA_DNS || place.code == LP2P_MA_DNS6) {
        ask(resolution, item, LP2P_DNS_IP6, place.name);
    }
    if (place.code == LP2P_MA_DNS || place.code == LP2P_MA_DNS4) {
        ask(resolution, item, LP2P_DNS_IP4, place.name);
    }
}

struct lp2p_resolution *lp2p_resolution_new(const struct lp2p_multiaddr *addr)
{
    struct lp2p_resolution *resolution = calloc(1, sizeof(*resolution));
    if (resolution != NULL) {
        add(resolution, addr, addr, 0);
    }
    return resolution;
}

void lp2p_resolution_free(struct lp2p_resolution *resolution)
{
    free(resolution);
}

bool lp2p_resolution_next(struct lp2p_resolution *resolution, unsigned *number, struct lp2p_dns_question *out)
{
    for (unsigned i = 0; i < resolution->asked_len; i++) {
        struct asked *asked = &resolution->asked[i];
        if (!asked->given) {
            asked->given = true;
            *number = i;
            *out = asked->question;
            return true;
        }
    }
    return false;
}

/** before + middle + after as one address; false when that is none, or too long. */
static bool put_together(struct lp2p_span before, struct lp2p_span middle, struct lp2p_span after, struct lp2p_multiaddr *out)
{
    uint8_t bytes[3 * LP2P_MULTIADDR_MAX];
    size_t len = 0;
    const struct lp2p_span parts[] = {before, middle, after};
    for (size_t i = 0; i < LP2P_ARRAY_LEN(parts); i++) {
        if (parts[i].len > 0) {
            memcpy(bytes + len, parts[i].ptr, parts[i].len);
            len += parts[i].len;
        }
    }
    return lp2p_multiaddr_parse(lp2p_span(bytes, len), out) == LP2P_OK;
}

/** True when the address ends with these components. That the tail begins where a component begins has to be seen too. */
static bool ends_with(const struct lp2p_multiaddr *addr, struct lp2p_span tail)
{
    struct lp2p_span rest = lp2p_multiaddr_span(addr);
    struct lp2p_ma_component part;
    while (rest.len > tail.len) {
        if (lp2p_ma_next(&rest, &part) != LP2P_OK) {
            return false;
        }
    }
    return lp2p_span_eq(rest, tail);
}

static void use(struct lp2p_resolution *resolution, struct item *item, const struct lp2p_multiaddr *record)
{
    const struct lp2p_multiaddr from = item->addr;
    struct place place;
    struct lp2p_multiaddr whole;
    LP2P_CHECK(find_name(&from, &place));
    if (place.code == LP2P_MA_DNSADDR) {
        /* The record stands for the whole rest of the address, which only says which records are meant. */
        if (ends_with(record, place.after) &&
            put_together(place.before, lp2p_multiaddr_span(record), (struct lp2p_span){0}, &whole)) {
            item->found++;
            add(resolution, &whole, &from, item->depth);
        }
        return;
    }
    if (put_together(place.before, lp2p_multiaddr_span(record), place.after, &whole)) {
        item->found++;
        add(resolution, &whole, &from, item->depth);
    }
}

void lp2p_resolution_answer(struct lp2p_resolution *resolution, unsigned number, enum lp2p_err err,
                            const struct lp2p_addrs *records)
{
    LP2P_CHECK(number < resolution->asked_len && !resolution->asked[number].answered);
    struct asked *asked = &resolution->asked[number];
    struct item *item = &resolution->items[asked->item];
    asked->answered = true;
    item->waiting--;
    item->err = item->err == LP2P_OK || item->err == LP2P_ENOTFOUND ? err : item->err;
    for (uint32_t i = 0; err == LP2P_OK && records != NULL && i < records->len; i++) {
        use(resolution, item, &records->items[i]);
    }
    if (item->waiting == 0 && item->found == 0) {
        bool filtered = item->err == LP2P_OK && records != NULL && records->len > 0;
        enum lp2p_err why = item->err == LP2P_OK ? LP2P_ENOTFOUND : item->err;
        note(resolution, asked->question.name, why, filtered ? "no record for this peer" : words(item->err));
    }
}

bool lp2p_resolution_done(const struct lp2p_resolution *resolution)
{
    for (unsigned i = 0; i < resolution->asked_len; i++) {
        if (!resolution->asked[i].answered) {
            return false;
        }
    }
    return true;
}

enum lp2p_err lp2p_resolution_result(const struct lp2p_resolution *resolution, const struct lp2p_multiaddr **addrs,
                                     const struct lp2p_multiaddr **names, size_t *len, const char **text)
{
    *addrs = resolution->addrs;
    *names = resolution->names;
    *len = resolution->len;
    *text = resolution->text;
    if (resolution->len > 0) {
        return LP2P_OK;
    }
    return resolution->err == LP2P_OK ? LP2P_ETIMEDOUT : resolution->err;
}
