/* SPDX-License-Identifier: MIT
 * The public calls that ask an actor for something and give an operation for its answer. */
#include "actors/api/node.h"
#include "actors/api/op_private.h"
#include "wire/cid.h"

#include <stdio.h>
#include <stdlib.h>

#define KEY_MAX 512            /* bytes of a DHT key, as dht/kad.h */
#define VALUE_MAX (16u * 1024) /* bytes of a DHT value */

/* ---- helpers */

enum lp2p_err lp2p_node_op(struct lp2p_node *node, struct lp2p_op **out, struct lp2p_op **op)
{
    *op = NULL;
    if (node == NULL) {
        return LP2P_EINVAL;
    }
    if (out == NULL) {
        return LP2P_OK; /* fire and forget */
    }
    *out = NULL;
    return lp2p_op_make(node->gate, op);
}

enum lp2p_err lp2p_node_submit(struct lp2p_node *node, enum lp2p_gate_to to, struct lp2p_msg *msg,
                               struct lp2p_op *op, struct lp2p_op **out)
{
    enum lp2p_err err = lp2p_gate_post(node->gate, to, msg);
    if (err != LP2P_OK) {
        lp2p_op_free(op);
        return err == LP2P_EGONE ? LP2P_ESTATE : err;
    }
    if (out != NULL) {
        *out = op;
    }
    return LP2P_OK;
}

enum lp2p_err lp2p_parse_peer(const char *text, struct lp2p_peer_id *out)
{
    if (text == NULL) {
        return LP2P_EINVAL;
    }
    if (text[0] == '/') {
        struct lp2p_multiaddr addr;
        return lp2p_multiaddr_from_text(text, &addr, NULL) == LP2P_OK &&
                       lp2p_multiaddr_peer(&addr, out) == LP2P_OK
                   ? LP2P_OK
                   : LP2P_EINVAL;
    }
    return lp2p_peer_id_from_text(lp2p_span_str(text), out) == LP2P_OK ? LP2P_OK : LP2P_EINVAL;
}

/* Peer and, when the text is a multiaddr, the address to dial it by. With any: the multiaddr may lack the
 * peer. */
static enum lp2p_err parse_target(const char *text, bool any, struct lp2p_peer_id *peer,
                                  struct lp2p_addrs **addrs)
{
    *addrs = NULL;
    *peer = (struct lp2p_peer_id){0};
    enum lp2p_err err = lp2p_parse_peer(text, peer);
    if (text == NULL || text[0] != '/') {
        return err;
    }
    struct lp2p_multiaddr addr;
    if (lp2p_multiaddr_from_text(text, &addr, NULL) != LP2P_OK || (err != LP2P_OK && !any)) {
        return LP2P_EINVAL;
    }
    lp2p_multiaddr_strip_peer(&addr);
    if (addr.len == 0) {
        return peer->len > 0 ? LP2P_OK : LP2P_EINVAL; /* "/p2p/ID" alone is a peer id */
    }
    *addrs = lp2p_addrs_new(&addr, 1);
    return *addrs == NULL ? LP2P_ENOMEM : LP2P_OK;
}

static enum lp2p_err no_memory(struct lp2p_op *op)
{
    lp2p_op_free(op);
    return LP2P_ENOMEM;
}

/* ---- connections */

enum lp2p_err lp2p_node_connect(struct lp2p_node *node, const char *multiaddr, struct lp2p_op **out)
{
    struct lp2p_peer_id peer;
    struct lp2p_addrs *addrs;
    struct lp2p_op *op;
    enum lp2p_err err = parse_target(multiaddr, true, &peer, &addrs);
    if (err != LP2P_OK || (err = lp2p_node_op(node, out, &op)) != LP2P_OK) {
        lp2p_addrs_drop(&addrs);
        return err;
    }
    struct lp2p_m_connect *m = LP2P_NEW(CONNECT, connect);
    if (m == NULL) {
        lp2p_addrs_drop(&addrs);
        return no_memory(op);
    }
    m->peer = peer;
    m->addrs = addrs;
    m->op = lp2p_op_ref(op);
    return lp2p_node_submit(node, LP2P_TO_SWARM, &m->msg, op, out);
}

enum lp2p_err lp2p_node_disconnect(struct lp2p_node *node, const char *peer_or_multiaddr,
                                   struct lp2p_op **out)
{
    struct lp2p_peer_id peer;
    struct lp2p_op *op;
    enum lp2p_err err = lp2p_parse_peer(peer_or_multiaddr, &peer);
    if (err != LP2P_OK || (err = lp2p_node_op(node, out, &op)) != LP2P_OK) {
        return err;
    }
    struct lp2p_m_disconnect *m = LP2P_NEW(DISCONNECT, disconnect);
    if (m == NULL) {
        return no_memory(op);
    }
    m->peer = peer;
    m->op = lp2p_op_ref(op);
    return lp2p_node_submit(node, LP2P_TO_SWARM, &m->msg, op, out);
}

enum lp2p_err lp2p_node_protect(struct lp2p_node *node, const char *peer, bool protect)
{
    struct lp2p_peer_id id;
    enum lp2p_err err = node == NULL ? LP2P_EINVAL : lp2p_parse_peer(peer, &id);
    if (err != LP2P_OK) {
        return err;
    }
    struct lp2p_m_protect *m = LP2P_NEW(PROTECT, protect);
    if (m == NULL) {
        return LP2P_ENOMEM;
    }
    m->peer = id;
    m->protect = protect;
    return lp2p_node_submit(node, LP2P_TO_SWARM, &m->msg, NULL, NULL);
}

static enum lp2p_err tag(struct lp2p_node *node, struct lp2p_m_tag *m, const char *peer, struct lp2p_op **out)
{
    struct lp2p_op *op;
    struct lp2p_msg *msg = m == NULL ? NULL : &m->msg;
    enum lp2p_err err = m == NULL ? LP2P_ENOMEM : lp2p_parse_peer(peer, &m->peer);
    if (err == LP2P_OK) {
        err = lp2p_node_op(node, out, &op);
    }
    if (err != LP2P_OK) {
        lp2p_msg_drop(&msg);
        return err;
    }
    m->op = lp2p_op_ref(op);
    return lp2p_node_submit(node, LP2P_TO_SWARM, &m->msg, op, out);
}

enum lp2p_err lp2p_node_tag(struct lp2p_node *node, const char *peer, const char *name, int value,
                            struct lp2p_op **op)
{
    if (node == NULL || name == NULL || name[0] == '\0' ||
        strlen(name) >= sizeof(((struct lp2p_m_tag *)0)->name)) {
        return LP2P_EINVAL;
    }
    struct lp2p_m_tag *m = LP2P_NEW(TAG, tag);
    if (m != NULL) {
        memcpy(m->name, name, strlen(name) + 1);
        m->value = value;
    }
    return tag(node, m, peer, op);
}

enum lp2p_err lp2p_node_forget(struct lp2p_node *node, const char *peer, struct lp2p_op **op)
{
    return node == NULL ? LP2P_EINVAL : tag(node, LP2P_NEW(FORGET, tag), peer, op);
}

/* ---- streams */

static enum lp2p_err open_stream(struct lp2p_node *node, const char *peer, const char *const *protocols,
                                 size_t protocols_len, int resident, struct lp2p_op **out)
{
    struct lp2p_peer_id id;
    struct lp2p_addrs *addrs;
    struct lp2p_op *op = NULL;
    enum lp2p_err err = parse_target(peer, false, &id, &addrs);
    struct lp2p_m_peer_stream_open *m = NULL;
    if (err == LP2P_OK && (err = lp2p_node_op(node, out, &op)) == LP2P_OK) {
        m = LP2P_NEW(PEER_STREAM_OPEN, peer_stream_open);
        err = m == NULL ? no_memory(op) : LP2P_OK;
    }
    if (err != LP2P_OK) {
        lp2p_addrs_drop(&addrs);
        return err;
    }
    m->peer = id;
    m->hints = addrs;
    m->resident = resident;
    m->op = lp2p_op_ref(op);
    m->protocols_len = (unsigned)protocols_len;
    for (size_t i = 0; i < protocols_len; i++) {
        (void)snprintf(m->protocols[i], sizeof(m->protocols[i]), "%s", protocols[i]);
    }
    return lp2p_node_submit(node, LP2P_TO_SWARM, &m->msg, op, out);
}

enum lp2p_err lp2p_node_ping(struct lp2p_node *node, const char *peer, struct lp2p_op **out)
{
    static const char *const protocol = "/ipfs/ping/1.0.0";
    return open_stream(node, peer, &protocol, 1, LP2P_RESIDENT_PING, out);
}

enum lp2p_err lp2p_stream_open(struct lp2p_node *node, const char *peer, const char *const *protocols,
                               size_t protocols_len, struct lp2p_op **out)
{
    const size_t max = LP2P_ARRAY_LEN(((struct lp2p_m_peer_stream_open *)NULL)->protocols);
    if (out == NULL || protocols == NULL || protocols_len == 0 || protocols_len > max) {
        return LP2P_EINVAL; /* without an op nobody could take the stream */
    }
    for (size_t i = 0; i < protocols_len; i++) {
        if (protocols[i] == NULL || protocols[i][0] != '/' || strlen(protocols[i]) >= LP2P_PROTOCOL_ID_MAX) {
            return LP2P_EINVAL;
        }
    }
    return open_stream(node, peer, protocols, protocols_len, LP2P_RESIDENT_STREAMS, out);
}

/* ---- DHT */

static enum lp2p_err dht(struct lp2p_node *node, enum lp2p_dht_verb verb, struct lp2p_span key,
                         struct lp2p_span value, unsigned max, struct lp2p_op **out)
{
    struct lp2p_op *op;
    if (node == NULL || key.ptr == NULL || key.len == 0 || key.len > KEY_MAX ||
        (value.ptr == NULL && value.len > 0)) {
        return LP2P_EINVAL;
    }
    if (value.len > VALUE_MAX) {
        return LP2P_ELIMIT;
    }
    enum lp2p_err err = lp2p_node_op(node, out, &op);
    if (err != LP2P_OK) {
        return err;
    }
    if (node->ctx.config.dht_mode == LP2P_DHT_OFF) {
        lp2p_op_finish(op, LP2P_ESTATE, "the DHT is off in this node's configuration");
        if (out != NULL) {
            *out = op;
        }
        return LP2P_OK;
    }
    struct lp2p_m_dht_request *m = LP2P_NEW(DHT_REQUEST, dht_request);
    if (m == NULL) {
        return no_memory(op);
    }
    m->verb = verb;
    m->key = lp2p_slice_copy(key.ptr, key.len);
    m->value = value.len == 0 ? (struct lp2p_slice){0} : lp2p_slice_copy(value.ptr, value.len);
    m->max = max;
    m->msg.bytes = (uint32_t)(key.len + value.len);
    if (m->key.buf == NULL || (value.len > 0 && m->value.buf == NULL)) {
        struct lp2p_msg *msg = &m->msg;
        lp2p_msg_drop(&msg);
        return no_memory(op);
    }
    m->op = lp2p_op_ref(op);
    return lp2p_node_submit(node, LP2P_TO_ROUTER, &m->msg, op, out);
}

enum lp2p_err lp2p_dht_put(struct lp2p_node *node, const void *key, size_t key_len, const void *value,
                           size_t value_len, struct lp2p_op **op)
{
    return dht(node, LP2P_DHT_PUT, lp2p_span(key, key_len), lp2p_span(value, value_len), 0, op);
}

enum lp2p_err lp2p_dht_get(struct lp2p_node *node, const void *key, size_t key_len, struct lp2p_op **op)
{
    return dht(node, LP2P_DHT_GET, lp2p_span(key, key_len), lp2p_span(NULL, 0), 0, op);
}

/* A CID's text stands for its multihash; anything else is taken as it is. */
static struct lp2p_span content_key(const void *key, size_t key_len, struct lp2p_cid *cid)
{
    if (key != NULL && lp2p_cid_from_text(lp2p_span(key, key_len), cid) == LP2P_OK) {
        return lp2p_span(cid->multihash, cid->multihash_len);
    }
    return lp2p_span(key, key_len);
}

enum lp2p_err lp2p_dht_provide(struct lp2p_node *node, const void *key, size_t key_len, struct lp2p_op **op)
{
    struct lp2p_cid cid;
    return dht(node, LP2P_DHT_PROVIDE, content_key(key, key_len, &cid), lp2p_span(NULL, 0), 0, op);
}

enum lp2p_err lp2p_dht_find_providers(struct lp2p_node *node, const void *key, size_t key_len, unsigned max,
                                      struct lp2p_op **op)
{
    struct lp2p_cid cid;
    return dht(node, LP2P_DHT_FIND_PROVIDERS, content_key(key, key_len, &cid), lp2p_span(NULL, 0), max, op);
}

enum lp2p_err lp2p_dht_find_peer(struct lp2p_node *node, const char *peer, struct lp2p_op **op)
{
    struct lp2p_peer_id id;
    enum lp2p_err err = lp2p_parse_peer(peer, &id);
    return err != LP2P_OK ? err
                          : dht(node, LP2P_DHT_FIND_PEER, lp2p_peer_id_span(&id), lp2p_span(NULL, 0), 0, op);
}

enum lp2p_err lp2p_dht_closest(struct lp2p_node *node, const void *key, size_t key_len, struct lp2p_op **op)
{
    struct lp2p_cid cid;
    struct lp2p_peer_id id;
    struct lp2p_span wanted = content_key(key, key_len, &cid);
    if (key != NULL && lp2p_peer_id_from_text(lp2p_span(key, key_len), &id) == LP2P_OK) {
        wanted = lp2p_peer_id_span(&id);
    }
    return dht(node, LP2P_DHT_CLOSEST, wanted, lp2p_span(NULL, 0), 0, op);
}

/* ---- resources */

/* type and id as they will stand in the key "resource:<type>:<id>". */
static bool resource_name_ok(const char *type, const char *id, size_t type_cap, size_t id_cap)
{
    if (type == NULL || id == NULL || type[0] == '\0' || id[0] == '\0' || strlen(type) >= type_cap ||
        strlen(id) >= id_cap) {
        return false;
    }
    size_t slashes = 0;
    for (const char *c = type; *c != '\0'; c++) {
        slashes += *c == '/';
    }
    for (const char *c = id; *c != '\0'; c++) {
        slashes += *c == '/';
    }
    return slashes <=
           1; /* js nodes take what is between two of them for the name of a validator, and drop the record */
}

enum lp2p_err lp2p_node_announce(struct lp2p_node *node, const char *type, const char *id, const char *json,
                                 uint64_t ttl_ms, struct lp2p_op **out)
{
    struct lp2p_op *op;
    if (json == NULL || strlen(json) > VALUE_MAX) {
        return json == NULL ? LP2P_EINVAL : LP2P_ELIMIT;
    }
    if (!resource_name_ok(type, id, sizeof(((struct lp2p_m_announce *)NULL)->type),
                          sizeof(((struct lp2p_m_announce *)NULL)->id))) {
        return LP2P_EINVAL;
    }
    enum lp2p_err err = lp2p_node_op(node, out, &op);
    if (err != LP2P_OK) {
        return err;
    }
    struct lp2p_m_announce *m = LP2P_NEW(ANNOUNCE, announce);
    if (m == NULL) {
        return no_memory(op);
    }
    (void)snprintf(m->type, sizeof(m->type), "%s", type);
    (void)snprintf(m->id, sizeof(m->id), "%s", id);
    m->json = lp2p_slice_copy(json, strlen(json));
    m->ttl_ms = ttl_ms;
    m->msg.bytes = m->json.len;
    if (m->json.buf == NULL) {
        struct lp2p_msg *msg = &m->msg;
        lp2p_msg_drop(&msg);
        return no_memory(op);
    }
    m->op = lp2p_op_ref(op);
    return lp2p_node_submit(node, LP2P_TO_RESOURCES, &m->msg, op, out);
}

static enum lp2p_err discover(struct lp2p_node *node, const char *type, const char *id, uint64_t timeout_ms,
                              bool local_only, struct lp2p_op **out)
{
    struct lp2p_op *op;
    if (!resource_name_ok(type, id, sizeof(((struct lp2p_m_discover *)NULL)->type),
                          sizeof(((struct lp2p_m_discover *)NULL)->id))) {
        return LP2P_EINVAL;
    }
    enum lp2p_err err = lp2p_node_op(node, out, &op);
    if (err != LP2P_OK) {
        return err;
    }
    struct lp2p_m_discover *m = LP2P_NEW(DISCOVER, discover);
    if (m == NULL) {
        return no_memory(op);
    }
    (void)snprintf(m->type, sizeof(m->type), "%s", type);
    (void)snprintf(m->id, sizeof(m->id), "%s", id);
    m->timeout_ms = timeout_ms;
    m->local_only = local_only;
    m->op = lp2p_op_ref(op);
    return lp2p_node_submit(node, LP2P_TO_RESOURCES, &m->msg, op, out);
}

enum lp2p_err lp2p_node_discover(struct lp2p_node *node, const char *type, const char *id,
                                 uint64_t timeout_ms, struct lp2p_op **op)
{
    return discover(node, type, id, timeout_ms, false, op);
}

enum lp2p_err lp2p_node_resource(struct lp2p_node *node, const char *type, const char *id, char **json)
{
    struct lp2p_op *op = NULL;
    if (json == NULL) {
        return LP2P_EINVAL;
    }
    *json = NULL;
    enum lp2p_err err = discover(node, type, id, LP2P_SYNC_WAIT_MS, true, &op);
    if (err != LP2P_OK) {
        return err;
    }
    err = lp2p_op_wait(op, LP2P_SYNC_WAIT_MS);
    err = err == LP2P_OK ? lp2p_op_result(op) : err;
    size_t len = 0;
    const char *bytes = lp2p_op_bytes(op, &len);
    if (err == LP2P_OK) {
        *json = bytes == NULL ? NULL : strndup(bytes, len);
        err = *json == NULL ? LP2P_ENOMEM : LP2P_OK;
    }
    lp2p_op_free(op);
    return err;
}
