/* SPDX-License-Identifier: MIT */
#include "vectors.h"

#include <stdio.h>
#include <stdlib.h>

static _Noreturn void give_up(const char *what, const char *name)
{
    printf("Bail out! vectors: %s: %s\n", what, name);
    exit(2);
}

yyjson_doc *vectors_load(const char *name)
{
    const char *dir = getenv("LP2P_VECTORS");
    if (dir == NULL) {
        give_up("LP2P_VECTORS is not set, wanted", name);
    }
    char path[1024];
    if ((size_t)snprintf(path, sizeof(path), "%s/%s", dir, name) >= sizeof(path)) {
        give_up("path too long", name);
    }
    yyjson_read_err err;
    yyjson_doc *doc = yyjson_read_file(path, 0, NULL, &err);
    if (doc == NULL) {
        give_up(err.msg, path);
    }
    return doc;
}

yyjson_val *vectors_get(yyjson_val *object, const char *key)
{
    yyjson_val *value = yyjson_obj_get(object, key);
    if (value == NULL) {
        give_up("no such member", key);
    }
    return value;
}

yyjson_val *vectors_array(yyjson_doc *doc, const char *key)
{
    yyjson_val *array = vectors_get(yyjson_doc_get_root(doc), key);
    if (!yyjson_is_arr(array) || yyjson_arr_size(array) == 0) {
        give_up("not an array with entries", key);
    }
    return array;
}

const char *vectors_str(yyjson_val *object, const char *key)
{
    const char *text = yyjson_get_str(vectors_get(object, key));
    if (text == NULL) {
        give_up("not a string", key);
    }
    return text;
}

struct lp2p_span vectors_text(yyjson_val *object, const char *key)
{
    const char *text = vectors_str(object, key);
    return lp2p_span(text, yyjson_get_len(vectors_get(object, key)));
}

uint64_t vectors_u64(yyjson_val *object, const char *key)
{
    yyjson_val *value = vectors_get(object, key);
    if (yyjson_is_uint(value)) {
        return yyjson_get_uint(value);
    }
    char *end = NULL;
    const char *text = vectors_str(object, key);
    uint64_t number = strtoull(text, &end, 10);
    if (end == text || *end != '\0') {
        give_up("not a number", key);
    }
    return number;
}

bool vectors_flag(yyjson_val *object, const char *key)
{
    return yyjson_get_bool(yyjson_obj_get(object, key));
}

static int nibble(char c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    if (c >= 'a' && c <= 'f') {
        return c - 'a' + 10;
    }
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

size_t vectors_unhex(const char *hex, uint8_t *out, size_t cap)
{
    size_t len = strlen(hex);
    if (len % 2 != 0 || len / 2 > cap) {
        give_up("hex of a wrong size", hex);
    }
    for (size_t i = 0; i < len / 2; i++) {
        int high = nibble(hex[2 * i]), low = nibble(hex[2 * i + 1]);
        if (high < 0 || low < 0) {
            give_up("not hex", hex);
        }
        out[i] = (uint8_t)(high << 4 | low);
    }
    return len / 2;
}

static uint8_t *must_alloc(size_t len)
{
    uint8_t *bytes = malloc(len == 0 ? 1 : len);
    if (bytes == NULL) {
        give_up("out of memory", "");
    }
    return bytes;
}

struct lp2p_span vectors_hex_text(const char *hex)
{
    size_t cap = strlen(hex) / 2;
    uint8_t *bytes = must_alloc(cap);
    return lp2p_span(bytes, vectors_unhex(hex, bytes, cap));
}

struct lp2p_span vectors_hex(yyjson_val *object, const char *key)
{
    return vectors_hex_text(vectors_str(object, key));
}

struct lp2p_span vectors_copy(struct lp2p_span bytes)
{
    uint8_t *copy = must_alloc(bytes.len);
    if (bytes.len > 0) {
        memcpy(copy, bytes.ptr, bytes.len);
    }
    return lp2p_span(copy, bytes.len);
}

void vectors_free(struct lp2p_span bytes)
{
    free((void *)(uintptr_t)bytes.ptr);
}
