/* SPDX-License-Identifier: MIT */
#include "actors/protocols/lotus_message.h"

#include "actors/protocols/json.h"

#include <math.h>
#include <sodium.h>
#include <stdlib.h>

static const char hash_key[] = "lotus-lib-p2p-message-hash-key";

/* ---- building */

/* base36(milliseconds) - 16 hex digits of randomness, as the TypeScript side makes them. */
#define MESSAGE_ID_MAX 40
static void make_id(uint64_t now_ms, const struct lp2p_rand *rand, char out[MESSAGE_ID_MAX])
{
    char digits[16];
    size_t len = 0;
    do {
        digits[len++] = "0123456789abcdefghijklmnopqrstuvwxyz"[now_ms % 36];
        now_ms /= 36;
    } while (now_ms > 0 && len < sizeof(digits));
    for (size_t i = 0; i < len; i++) {
        out[i] = digits[len - 1 - i];
    }
    out[len++] = '-';
    uint8_t random[8];
    lp2p_rand_fill(rand, random, sizeof(random));
    sodium_bin2hex(out + len, MESSAGE_ID_MAX - len, random, sizeof(random));
}

/* The payload is user's text: it goes out byte for byte, once it is known to be JSON. */
static enum lp2p_err check_payload(const char *payload, struct lp2p_span *out, const char **why)
{
    *out = lp2p_span_str(payload);
    yyjson_doc *doc;
    enum lp2p_err err = lp2p_json_read(*out, LP2P_LOTUS_MESSAGE_MAX, &doc, NULL);
    yyjson_doc_free(doc);
    switch (err) {
    case LP2P_OK:
    case LP2P_ENOMEM:
        return err;
    case LP2P_EOVERSIZE:
        return lp2p_json_say(LP2P_ELIMIT, "the payload is larger than the 100,000 bytes of a message", why);
    default:
        return lp2p_json_say(LP2P_EINVAL, "the payload is not JSON", why);
    }
}

static bool add_text(yyjson_mut_doc *doc, const char *key, const char *text)
{
    return text == NULL || yyjson_mut_obj_add_str(doc, yyjson_mut_doc_get_root(doc), key, text);
}

/* Members in the order of the TypeScript side; receivers do not depend on it. */
static bool add_members(yyjson_mut_doc *doc, const struct lp2p_message *message, const char *from,
                        struct lp2p_span payload, uint64_t now_ms, const char *id)
{
    yyjson_mut_val *root = yyjson_mut_obj(doc);
    yyjson_mut_doc_set_root(doc, root);
    bool ok = root != NULL && add_text(doc, "type", message->type) && add_text(doc, "from", from) &&
              add_text(doc, "to", message->to);
    if (ok && payload.len > 0) {
        yyjson_mut_val *raw = yyjson_mut_rawn(doc, (const char *)payload.ptr, payload.len);
        ok = raw != NULL && yyjson_mut_obj_add_val(doc, root, "payload", raw);
    }
    return ok && yyjson_mut_obj_add_uint(doc, root, "timestamp", now_ms) && add_text(doc, "messageId", id) &&
           add_text(doc, "protocol", message->protocol);
}

enum lp2p_err lp2p_lotus_message_build(const struct lp2p_message *message, const char *from, uint64_t now_ms,
                                       const struct lp2p_rand *rand, struct lp2p_slice *json,
                                       const char **why)
{
    *json = (struct lp2p_slice){0};
    (void)lp2p_json_say(LP2P_OK, "", why);
    if (message->type == NULL || message->type[0] == '\0') {
        return lp2p_json_say(LP2P_EINVAL, "a message needs a type", why);
    }
    struct lp2p_span payload = {0};
    if (message->payload != NULL) {
        enum lp2p_err err = check_payload(message->payload, &payload, why);
        if (err != LP2P_OK) {
            return err;
        }
    }
    char id[MESSAGE_ID_MAX];
    make_id(now_ms, rand, id);
    yyjson_mut_doc *doc = yyjson_mut_doc_new(NULL);
    if (doc == NULL) {
        return LP2P_ENOMEM;
    }
    enum lp2p_err err = LP2P_ENOMEM;
    if (add_members(doc, message, from, payload, now_ms, id)) {
        err =
            lp2p_json_write(doc, LP2P_LOTUS_MESSAGE_MAX,
                            "the message is larger than the 100,000 bytes that receivers accept", json, why);
    }
    yyjson_mut_doc_free(doc);
    return err;
}

/* ---- reading */

static const char *text_of(struct lp2p_span span)
{
    return span.ptr == NULL ? NULL : (const char *)span.ptr; /* the parser terminates its strings */
}

static enum lp2p_err check_fields(yyjson_val *root, uint64_t now_ms, struct lp2p_lotus_message *out,
                                  const char **why)
{
    double timestamp = 0;
    if (!yyjson_is_obj(root)) {
        return lp2p_json_say(LP2P_EPROTO, "not an object", why);
    }
    if (!lp2p_json_string(lp2p_json_get(root, "type"), &out->type) || out->type.len == 0) {
        return lp2p_json_say(LP2P_EPROTO, "type is not a non-empty string", why);
    }
    if (!lp2p_json_string(lp2p_json_get(root, "from"), &out->from) || out->from.len == 0) {
        return lp2p_json_say(LP2P_EPROTO, "from is not a non-empty string", why);
    }
    if (!lp2p_json_number(lp2p_json_get(root, "timestamp"), &timestamp) || timestamp == 0) {
        return lp2p_json_say(LP2P_EPROTO, "timestamp is not a non-zero number", why);
    }
    if (!lp2p_json_string(lp2p_json_get(root, "messageId"), &out->message_id) || out->message_id.len == 0) {
        return lp2p_json_say(LP2P_EPROTO, "messageId is not a non-empty string", why);
    }
    if (now_ms != 0 && fabs((double)now_ms - timestamp) > LP2P_LOTUS_SKEW_MS) {
        return lp2p_json_say(LP2P_EEXPIRED, "timestamp is more than five minutes away", why);
    }
    /* Informational members: of another type they count as absent. */
    (void)lp2p_json_string(lp2p_json_get(root, "to"), &out->to);
    (void)lp2p_json_string(lp2p_json_get(root, "protocol"), &out->protocol);
    out->view.timestamp_ms = timestamp > 0 && timestamp < 1e18 ? (uint64_t)timestamp : 0;
    return LP2P_OK;
}

static enum lp2p_err fill_view(yyjson_val *root, struct lp2p_span json, struct lp2p_lotus_message *out)
{
    yyjson_val *payload = lp2p_json_get(root, "payload");
    if (payload != NULL) {
        out->payload = yyjson_val_write(payload, YYJSON_WRITE_NOFLAG, NULL);
        if (out->payload == NULL) {
            return LP2P_ENOMEM;
        }
    }
    out->view.type = text_of(out->type);
    out->view.from = text_of(out->from);
    out->view.to = text_of(out->to);
    out->view.message_id = text_of(out->message_id);
    out->view.protocol = text_of(out->protocol);
    out->view.payload = out->payload;
    out->view.json = (const char *)json.ptr;
    out->view.json_len = json.len;
    lp2p_lotus_message_hash(out->type, out->from, out->to, out->message_id, out->hash);
    return LP2P_OK;
}

enum lp2p_err lp2p_lotus_message_parse(struct lp2p_span json, uint64_t now_ms, struct lp2p_lotus_message *out,
                                       const char **why)
{
    memset(out, 0, sizeof(*out));
    yyjson_doc *doc;
    enum lp2p_err err = lp2p_json_read(json, LP2P_LOTUS_MESSAGE_MAX, &doc, why);
    if (err != LP2P_OK) {
        return err;
    }
    out->doc = doc;
    yyjson_val *root = yyjson_doc_get_root(doc);
    err = check_fields(root, now_ms, out, why);
    if (err == LP2P_OK) {
        err = fill_view(root, json, out);
    }
    if (err != LP2P_OK) {
        lp2p_lotus_message_fini(out);
    }
    return err;
}

void lp2p_lotus_message_fini(struct lp2p_lotus_message *message)
{
    free(message->payload);
    yyjson_doc_free(message->doc);
    memset(message, 0, sizeof(*message));
}

void lp2p_lotus_message_hash(struct lp2p_span type, struct lp2p_span from, struct lp2p_span to,
                             struct lp2p_span message_id, uint8_t out[LP2P_LOTUS_HASH_BYTES])
{
    crypto_auth_hmacsha256_state state;
    crypto_auth_hmacsha256_init(&state, (const uint8_t *)hash_key, sizeof(hash_key) - 1);
    const struct lp2p_span parts[] = {type, from, to, message_id};
    for (size_t i = 0; i < LP2P_ARRAY_LEN(parts); i++) {
        if (parts[i].len > 0) {
            crypto_auth_hmacsha256_update(&state, parts[i].ptr, parts[i].len);
        }
    }
    crypto_auth_hmacsha256_final(&state, out);
}
