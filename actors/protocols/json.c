/* SPDX-License-Identifier: MIT */
#include "actors/protocols/json.h"

#include <stdlib.h>

#define NUMBER_TEXT_MAX 64 /* digits beyond say nothing to a double */

/* Counts open brackets outside of strings. The parser itself is not recursive; the bound is for whoever walks
 * the value. */
static bool too_deep(struct lp2p_span text)
{
    bool in_string = false;
    size_t depth = 0;
    for (size_t i = 0; i < text.len; i++) {
        uint8_t c = text.ptr[i];
        if (in_string) {
            if (c == '\\') {
                i++;
            } else if (c == '"') {
                in_string = false;
            }
        } else if (c == '"') {
            in_string = true;
        } else if (c == '[' || c == '{') {
            if (++depth > LP2P_JSON_DEPTH_MAX) {
                return true;
            }
        } else if ((c == ']' || c == '}') && depth > 0) {
            depth--;
        }
    }
    return false;
}

enum lp2p_err lp2p_json_read(struct lp2p_span text, size_t max, yyjson_doc **out, const char **why)
{
    *out = NULL;
    if (text.len > max) {
        return lp2p_json_say(LP2P_EOVERSIZE, "larger than allowed", why);
    }
    if (text.len == 0) {
        return lp2p_json_say(LP2P_EMALFORMED, "empty", why);
    }
    if (too_deep(text)) {
        return lp2p_json_say(LP2P_EMALFORMED, "nested too deeply", why);
    }
    yyjson_read_err err;
    /* Without the in-place flag the parser copies its input and does not write to it. */
    *out = yyjson_read_opts((char *)(uintptr_t)text.ptr, text.len, YYJSON_READ_NUMBER_AS_RAW, NULL, &err);
    if (*out != NULL) {
        return lp2p_json_say(LP2P_OK, "", why);
    }
    if (err.code == YYJSON_READ_ERROR_MEMORY_ALLOCATION) {
        return lp2p_json_say(LP2P_ENOMEM, "out of memory", why);
    }
    return lp2p_json_say(LP2P_EMALFORMED, err.msg, why);
}

yyjson_val *lp2p_json_get(yyjson_val *object, const char *key)
{
    yyjson_val *found = NULL;
    yyjson_obj_iter iter;
    if (!yyjson_obj_iter_init(object, &iter)) {
        return NULL;
    }
    for (yyjson_val *name = yyjson_obj_iter_next(&iter); name != NULL; name = yyjson_obj_iter_next(&iter)) {
        if (yyjson_equals_str(name, key)) {
            found = yyjson_obj_iter_get_val(name);
        }
    }
    return found;
}

bool lp2p_json_string(yyjson_val *value, struct lp2p_span *out)
{
    if (!yyjson_is_str(value)) {
        return false;
    }
    *out = lp2p_span(yyjson_get_str(value), yyjson_get_len(value));
    return true;
}

bool lp2p_json_number(yyjson_val *value, double *out)
{
    char text[NUMBER_TEXT_MAX + 1];
    size_t len = yyjson_is_raw(value) ? yyjson_get_len(value) : 0;
    if (len == 0 || len > NUMBER_TEXT_MAX) {
        return false;
    }
    memcpy(text, yyjson_get_raw(value), len);
    text[len] = '\0';
    yyjson_doc *doc = yyjson_read(text, len, 0);
    yyjson_val *number = yyjson_doc_get_root(doc);
    bool ok = yyjson_is_num(number);
    if (ok) {
        *out = yyjson_is_real(number)   ? yyjson_get_real(number)
               : yyjson_is_sint(number) ? (double)yyjson_get_sint(number)
                                        : (double)yyjson_get_uint(number);
    }
    yyjson_doc_free(doc);
    return ok;
}

enum lp2p_err lp2p_json_say(enum lp2p_err err, const char *text, const char **why)
{
    if (why != NULL) {
        *why = text;
    }
    return err;
}

enum lp2p_err lp2p_json_write(yyjson_mut_doc *doc, size_t max, const char *too_long, struct lp2p_slice *json,
                              const char **why)
{
    size_t len = 0;
    yyjson_write_err err;
    char *text = yyjson_mut_write_opts(doc, YYJSON_WRITE_NOFLAG, NULL, &len, &err);
    if (text == NULL) {
        bool not_utf8 = err.code == YYJSON_WRITE_ERROR_INVALID_STRING;
        return not_utf8 ? lp2p_json_say(LP2P_EINVAL, "a text is not UTF-8", why) : LP2P_ENOMEM;
    }
    enum lp2p_err result = LP2P_OK;
    if (len > max) {
        result = lp2p_json_say(LP2P_ELIMIT, too_long, why);
    } else {
        *json = lp2p_slice_copy(text, len);
        result = json->buf == NULL ? LP2P_ENOMEM : LP2P_OK;
    }
    free(text);
    return result;
}
