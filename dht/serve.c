/* SPDX-License-Identifier: MIT
 * The server: requests of other peers (libp2p specs kad-dht/README.md, "RPC messages"). The protocol has no
 * error answer: what is wrong is an error to our caller, which resets the stream. */
#include "dht/machine.h"

struct serving {
    struct lp2p_kad *kad;
    const struct lp2p_peer_id *from;
    const struct lp2p_kad_message *request;
    struct lp2p_kad_key target;
    lp2p_time now;
    uint64_t wall_ms;
    struct lp2p_kad_writer writer;
};

/* The k nearest peers that have an address, without the requester and without `except` (may be NULL). */
static size_t list_closer(const struct serving *s, const struct lp2p_peer_id *except,
                          struct lp2p_kad_listed *out)
{
    const struct lp2p_kad_entry *entries[LP2P_KAD_CLOSER_MAX];
    size_t k = s->kad->config.k;
    size_t found = lp2p_kad_table_nearest(&s->kad->table, &s->target, false, entries, 2 * k);
    size_t len = 0;
    for (size_t i = 0; i < found && len < k; i++) {
        const struct lp2p_kad_contact *contact = entries[i]->contact;
        if (contact->addrs_len > 0 && !lp2p_peer_id_eq(&contact->id, s->from) &&
            (except == NULL || !lp2p_peer_id_eq(&contact->id, except))) {
            out[len++] = (struct lp2p_kad_listed){.contact = contact, .connected = entries[i]->connected};
        }
    }
    return len;
}

/* The target itself comes first when its addresses are known, be it a server, a client, we or the requester.
 */
static struct lp2p_kad_contact *known_target(const struct serving *s, bool *connected)
{
    struct lp2p_kad_peer target;
    target.addrs_len = 0;
    target.connected = false;
    if (lp2p_peer_id_parse(s->request->key, &target.id) != LP2P_OK) {
        return NULL;
    }
    /* The point of the request is that of the peer: there is nothing to hash again. */
    const struct lp2p_kad_entry *entry = lp2p_kad_table_at(&s->kad->table, &s->target);
    if (entry != NULL && entry->contact->addrs_len > 0) {
        *connected = entry->connected;
        return lp2p_kad_contact_copy(entry->contact);
    }
    lp2p_kad_complete_peer(s->kad, &target);
    *connected = entry != NULL ? entry->connected : target.connected;
    return target.addrs_len == 0 ? NULL : lp2p_kad_contact_new(&target);
}

static enum lp2p_err serve_find_node(struct serving *s)
{
    enum lp2p_err err = lp2p_kad_write_head(&s->writer, LP2P_KAD_FIND_NODE, lp2p_span(NULL, 0),
                                            NULL); /* go leaves the key out */
    if (err != LP2P_OK) {
        return err;
    }
    struct lp2p_kad_listed peers[LP2P_KAD_K_MAX + 1];
    bool connected = false;
    struct lp2p_kad_contact *target = known_target(s, &connected);
    size_t len = 0;
    if (target != NULL) {
        peers[len++] = (struct lp2p_kad_listed){.contact = target, .connected = connected};
    }
    len += list_closer(s, target == NULL ? NULL : &target->id, peers + len);
    lp2p_kad_write_peers(&s->writer, peers, len);
    lp2p_kad_contact_free(target);
    return LP2P_OK;
}

static enum lp2p_err serve_get_value(struct serving *s)
{
    struct lp2p_span key = s->request->key;
    const struct lp2p_kad_value *held = lp2p_kad_store_get(&s->kad->store, &s->target, s->now);
    if (held != NULL &&
        lp2p_kad_validate(&s->kad->rules, key, lp2p_span(held->bytes, held->len)) != LP2P_OK) {
        held = NULL; /* it has become invalid since */
    }
    char time[LP2P_KAD_TIME_TEXT_MAX];
    struct lp2p_kad_record record;
    if (held != NULL) {
        lp2p_kad_time_text(held->wall_ms, time);
        record = (struct lp2p_kad_record){key, lp2p_span(held->bytes, held->len), lp2p_span_str(time)};
    }
    enum lp2p_err err =
        lp2p_kad_write_head(&s->writer, LP2P_KAD_GET_VALUE, key, held == NULL ? NULL : &record);
    if (err == LP2P_OK) {
        struct lp2p_kad_listed peers[LP2P_KAD_K_MAX];
        lp2p_kad_write_peers(&s->writer, peers, list_closer(s, NULL, peers));
    }
    return err;
}

/* Stored under our own clock; a worse value than the one held is refused. The echo carries what was
 * validated, nothing else. */
static enum lp2p_err serve_put_value(struct serving *s)
{
    struct lp2p_kad *kad = s->kad;
    struct lp2p_span key = s->request->key;
    struct lp2p_kad_record record;
    if (s->request->record.ptr == NULL || lp2p_kad_record_decode(s->request->record, &record) != LP2P_OK) {
        return LP2P_EMALFORMED;
    }
    if (!lp2p_span_eq(record.key, key)) {
        return LP2P_EBADRECORD;
    }
    if (record.value.len > LP2P_KAD_VALUE_MAX) {
        return LP2P_EOVERSIZE;
    }
    enum lp2p_err err = lp2p_kad_validate(&kad->rules, key, record.value);
    if (err != LP2P_OK) {
        return err;
    }
    const struct lp2p_kad_value *held = lp2p_kad_store_get(&kad->store, &s->target, s->now);
    if (held != NULL && lp2p_kad_better(&kad->rules, key, lp2p_span(held->bytes, held->len), record.value)) {
        return LP2P_EBADRECORD;
    }
    struct lp2p_kad_key source = lp2p_kad_key_of(lp2p_peer_id_span(s->from));
    err = lp2p_kad_store_put(&kad->store, &s->target, &source, record.value, s->now, s->wall_ms);
    if (err != LP2P_OK) {
        return err;
    }
    char time[LP2P_KAD_TIME_TEXT_MAX];
    lp2p_kad_time_text(s->wall_ms, time);
    record.time_text = lp2p_span_str(time);
    return lp2p_kad_write_head(&s->writer, LP2P_KAD_PUT_VALUE, key, &record);
}

/* Only what the sender says of itself counts, and only with an address. There is no answer. A full store is
 * no offence. */
static enum lp2p_err serve_add_provider(struct serving *s)
{
    for (size_t i = 0; i < s->request->providers_len; i++) {
        struct lp2p_kad_peer peer;
        if (lp2p_kad_hear(s->kad, s->request->providers[i], &peer) != LP2P_OK ||
            !lp2p_peer_id_eq(&peer.id, s->from) || peer.addrs_len == 0) {
            continue;
        }
        enum lp2p_err err = lp2p_kad_store_provide(&s->kad->store, &s->target, &peer, false, s->now);
        if (err == LP2P_ENOMEM) {
            return err;
        }
        break;
    }
    return LP2P_OK;
}

static enum lp2p_err serve_get_providers(struct serving *s)
{
    enum lp2p_err err = lp2p_kad_write_head(&s->writer, LP2P_KAD_GET_PROVIDERS, s->request->key, NULL);
    if (err != LP2P_OK) {
        return err;
    }
    struct lp2p_kad_listed peers[LP2P_KAD_K_MAX + LP2P_KAD_PROVIDERS_IN_MAX];
    const struct lp2p_kad_contact *providers[LP2P_KAD_PROVIDERS_IN_MAX];
    size_t closer_len = list_closer(s, NULL, peers);
    size_t len = lp2p_kad_store_providers(&s->kad->store, &s->target, s->now, &s->kad->rand, providers,
                                          LP2P_ARRAY_LEN(providers));
    for (size_t i = 0; i < len; i++) {
        peers[closer_len + i] = (struct lp2p_kad_listed){.contact = providers[i], .provider = true};
    }
    lp2p_kad_write_peers(&s->writer, peers, closer_len + len);
    return LP2P_OK;
}

static enum lp2p_err serve(struct serving *s)
{
    size_t key_len = s->request->key.len;
    bool provider = s->request->type == LP2P_KAD_ADD_PROVIDER || s->request->type == LP2P_KAD_GET_PROVIDERS;
    if (s->request->type != LP2P_KAD_PING &&
        (key_len < 1 || key_len > (provider ? LP2P_KAD_PROVIDER_KEY_MAX : LP2P_KAD_KEY_MAX))) {
        return LP2P_EMALFORMED;
    }
    s->target = lp2p_kad_key_of(s->request->key);
    switch (s->request->type) {
    case LP2P_KAD_PUT_VALUE:
        return serve_put_value(s);
    case LP2P_KAD_GET_VALUE:
        return serve_get_value(s);
    case LP2P_KAD_ADD_PROVIDER:
        return serve_add_provider(s);
    case LP2P_KAD_GET_PROVIDERS:
        return serve_get_providers(s);
    case LP2P_KAD_FIND_NODE:
        return serve_find_node(s);
    case LP2P_KAD_PING:
        return lp2p_kad_write_head(&s->writer, LP2P_KAD_PING, lp2p_span(NULL, 0), NULL);
    case LP2P_KAD_TYPES:
        break;
    }
    return LP2P_EUNSUPPORTED;
}

enum lp2p_err lp2p_kad_serve(struct lp2p_kad *kad, const struct lp2p_peer_id *from, struct lp2p_span request,
                             lp2p_time now, uint64_t wall_ms, uint8_t *out, size_t cap, size_t *len)
{
    lp2p_kad_release(kad);
    *len = 0;
    struct lp2p_kad_message message;
    enum lp2p_err err = LP2P_EUNSUPPORTED;
    if (kad->config.server) {
        err =
            request.len > LP2P_KAD_REQUEST_MAX ? LP2P_EOVERSIZE : lp2p_kad_message_decode(request, &message);
    }
    if (err == LP2P_OK) {
        kad->stats.requests_in[message.type]++;
        struct serving s = {.kad = kad,
                            .from = from,
                            .request = &message,
                            .now = now,
                            .wall_ms = wall_ms,
                            .writer = {out, cap, 0}};
        err = serve(&s);
        *len = err == LP2P_OK ? s.writer.len : 0;
    }
    kad->stats.requests_refused += err != LP2P_OK;
    return err;
}
