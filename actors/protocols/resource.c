/* SPDX-License-Identifier: MIT */
#include "actors/protocols/resource.h"

#include "actors/protocols/json.h"

#include <stdio.h>
#include <stdlib.h>

#define TIME_MAX_MS                                                                                          \
    UINT64_C(9007199254740991) /* the largest integer that a number of JavaScript holds exactly */

enum lp2p_err lp2p_resource_key(const char *type, const char *id, char out[LP2P_RESOURCE_KEY_MAX],
                                const char **why)
{
    size_t type_len = strlen(type), id_len = strlen(id), slashes = 0;
    if (type_len == 0 || id_len == 0) {
        return lp2p_json_say(LP2P_EINVAL, "a resource needs a type and an id", why);
    }
    if (type_len >= LP2P_RESOURCE_TYPE_MAX || id_len >= LP2P_RESOURCE_ID_MAX) {
        return lp2p_json_say(LP2P_EINVAL, "the type or the id of the resource is too long", why);
    }
    for (size_t i = 0; i < type_len + id_len; i++) {
        slashes += (i < type_len ? type[i] : id[i - type_len]) == '/';
    }
    if (slashes > 1) {
        return lp2p_json_say(LP2P_EINVAL,
                             "type and id hold more than one '/' together, which other nodes refuse", why);
    }
    (void)snprintf(out, LP2P_RESOURCE_KEY_MAX, "resource:%s:%s", type, id);
    return lp2p_json_say(LP2P_OK, "", why);
}

/* ---- building */

static bool add_members(yyjson_mut_doc *doc, const char *type, const char *id, const char *creator,
                        struct lp2p_span data, uint64_t created_ms, uint64_t ttl_ms)
{
    yyjson_mut_val *root = yyjson_mut_obj(doc);
    yyjson_mut_doc_set_root(doc, root);
    if (root == NULL || !yyjson_mut_obj_add_str(doc, root, "resourceId", id) ||
        !yyjson_mut_obj_add_str(doc, root, "resourceType", type) ||
        !yyjson_mut_obj_add_str(doc, root, "creatorPeerId", creator)) {
        return false;
    }
    yyjson_mut_val *raw = yyjson_mut_rawn(doc, (const char *)data.ptr, data.len);
    if (raw == NULL || !yyjson_mut_obj_add_val(doc, root, "data", raw) ||
        !yyjson_mut_obj_add_uint(doc, root, "createdAt", created_ms)) {
        return false;
    }
    if (ttl_ms == 0) {
        return true;
    }
    uint64_t left = TIME_MAX_MS - LP2P_MIN(created_ms, TIME_MAX_MS);
    return yyjson_mut_obj_add_uint(doc, root, "expiresAt", created_ms + LP2P_MIN(ttl_ms, left));
}

enum lp2p_err lp2p_resource_build(const char *type, const char *id, const char *creator,
                                  struct lp2p_span data, uint64_t created_ms, uint64_t ttl_ms,
                                  struct lp2p_slice *json, const char **why)
{
    *json = (struct lp2p_slice){0};
    yyjson_doc *parsed;
    enum lp2p_err err = lp2p_json_read(data, LP2P_RESOURCE_VALUE_MAX, &parsed, NULL);
    yyjson_doc_free(parsed);
    if (err == LP2P_EOVERSIZE) {
        return lp2p_json_say(LP2P_ELIMIT, "the data is larger than the 16 KiB of a DHT value", why);
    }
    if (err != LP2P_OK) {
        return err == LP2P_ENOMEM ? err : lp2p_json_say(LP2P_EINVAL, "the data is not JSON", why);
    }
    yyjson_mut_doc *doc = yyjson_mut_doc_new(NULL);
    if (doc == NULL) {
        return LP2P_ENOMEM;
    }
    err = LP2P_ENOMEM;
    if (add_members(doc, type, id, creator, data, created_ms, ttl_ms)) {
        err = lp2p_json_write(doc, LP2P_RESOURCE_VALUE_MAX,
                              "the announcement is larger than the 16 KiB of a DHT value", json, why);
    }
    yyjson_mut_doc_free(doc);
    return err;
}

/* ---- checking */

static bool is_text(yyjson_val *root, const char *key, const char *text)
{
    struct lp2p_span value;
    return lp2p_json_string(lp2p_json_get(root, key), &value) && lp2p_span_eq_str(value, text);
}

static enum lp2p_err check_members(yyjson_val *root, const char *type, const char *id, uint64_t *expires_ms,
                                   const char **why)
{
    struct lp2p_span creator;
    double created = 0, expires = 0;
    if (!yyjson_is_obj(root)) {
        return lp2p_json_say(LP2P_EPROTO, "not an object", why);
    }
    if (!is_text(root, "resourceId", id) || !is_text(root, "resourceType", type)) {
        return lp2p_json_say(LP2P_EPROTO, "announces another resource", why);
    }
    if (!lp2p_json_string(lp2p_json_get(root, "creatorPeerId"), &creator) ||
        !lp2p_json_number(lp2p_json_get(root, "createdAt"), &created)) {
        return lp2p_json_say(LP2P_EPROTO, "creatorPeerId or createdAt is missing", why);
    }
    /* Absent, null and 0 mean the same to the TypeScript side: no expiry. */
    yyjson_val *value = lp2p_json_get(root, "expiresAt");
    if (value != NULL && !yyjson_is_null(value) && !lp2p_json_number(value, &expires)) {
        return lp2p_json_say(LP2P_EPROTO, "expiresAt is not a number", why);
    }
    if (expires < 0) {
        *expires_ms = 1; /* long ago */
    } else if (expires > 0) {
        *expires_ms = expires < (double)TIME_MAX_MS ? LP2P_MAX((uint64_t)expires, (uint64_t)1) : TIME_MAX_MS;
    }
    return lp2p_json_say(LP2P_OK, "", why);
}

enum lp2p_err lp2p_resource_check(struct lp2p_span json, const char *type, const char *id,
                                  uint64_t *expires_ms, const char **why)
{
    *expires_ms = 0;
    yyjson_doc *doc;
    enum lp2p_err err = lp2p_json_read(json, LP2P_RESOURCE_VALUE_MAX, &doc, why);
    if (err != LP2P_OK) {
        return err;
    }
    err = check_members(yyjson_doc_get_root(doc), type, id, expires_ms, why);
    yyjson_doc_free(doc);
    return err;
}
