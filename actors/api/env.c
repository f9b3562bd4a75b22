/* SPDX-License-Identifier: MIT
 * The .env file, read as dotenv reads it for Lotus nodes: P2P_MIN_CONNECTIONS and P2P_MAX_CONNECTIONS, each
 * as `Number(value) || default`, and the identity. The environment of the process is not consulted, as there.
 */
#include "actors/api/config_private.h"

#include <errno.h>
#include <math.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>

#define ENV_FILE_MAX (1024 * 1024)

/* ---- lines */

static bool is_blank(uint8_t c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\v' || c == '\f';
}

static bool is_name(uint8_t c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           c == '.' || c == '-';
}

static void skip_blanks(struct lp2p_span *rest)
{
    while (rest->len > 0 && is_blank(rest->ptr[0])) {
        *rest = lp2p_span_skip(*rest, 1);
    }
}

static struct lp2p_span take_name(struct lp2p_span *rest)
{
    size_t len = 0;
    while (len < rest->len && is_name(rest->ptr[len])) {
        len++;
    }
    struct lp2p_span name = lp2p_span(rest->ptr, len);
    *rest = lp2p_span_skip(*rest, len);
    return name;
}

static void skip_line(struct lp2p_span *rest)
{
    const uint8_t *end = rest->len == 0 ? NULL : memchr(rest->ptr, '\n', rest->len);
    *rest = end == NULL ? lp2p_span(NULL, 0) : lp2p_span_skip(*rest, (size_t)(end - rest->ptr) + 1);
}

/* A quoted value may go over several lines; without its closing quote it is not a quoted value. */
static bool take_quoted(struct lp2p_span *rest, struct lp2p_span *value)
{
    uint8_t quote = rest->len > 0 ? rest->ptr[0] : 0;
    if (quote != '"' && quote != '\'' && quote != '`') {
        return false;
    }
    for (size_t i = 1; i < rest->len; i++) {
        if (rest->ptr[i] == '\\' && i + 1 < rest->len && rest->ptr[i + 1] == quote) {
            i++;
        } else if (rest->ptr[i] == quote) {
            *value = lp2p_span(rest->ptr + 1, i - 1);
            *rest = lp2p_span_skip(*rest, i + 1);
            return true;
        }
    }
    return false;
}

static struct lp2p_span take_plain(struct lp2p_span *rest)
{
    size_t len = 0;
    while (len < rest->len && rest->ptr[len] != '\n' && rest->ptr[len] != '#') {
        len++;
    }
    size_t used = len;
    while (len > 0 && is_blank(rest->ptr[len - 1])) {
        len--;
    }
    struct lp2p_span value = lp2p_span(rest->ptr, len);
    *rest = lp2p_span_skip(*rest, used);
    return value;
}

/* One entry off the front; false for a line that is none. */
static bool take_entry(struct lp2p_span *rest, struct lp2p_span *name, struct lp2p_span *value)
{
    skip_blanks(rest);
    *name = take_name(rest);
    if (lp2p_span_eq_str(*name, "export") && rest->len > 0 && is_blank(rest->ptr[0])) {
        skip_blanks(rest);
        *name = take_name(rest);
    }
    skip_blanks(rest);
    if (name->len == 0 || rest->len == 0 || (rest->ptr[0] != '=' && rest->ptr[0] != ':')) {
        return false;
    }
    *rest = lp2p_span_skip(*rest, 1);
    skip_blanks(rest);
    if (!take_quoted(rest, value)) {
        *value = take_plain(rest);
    }
    return true;
}

bool lp2p_env_find(struct lp2p_span text, const char *wanted, char *out, size_t cap)
{
    bool found = false;
    while (text.len > 0) {
        struct lp2p_span name, value;
        if (take_entry(&text, &name, &value) && lp2p_span_eq_str(name, wanted)) {
            size_t len = LP2P_MIN(value.len, cap - 1);
            if (len > 0) {
                memcpy(out, value.ptr, len);
            }
            out[len] = '\0';
            found = true; /* the last one counts */
        }
        skip_line(&text);
    }
    return found;
}

/* ---- numbers */

/* Number() reads 0x, 0o and 0b without sign; what does not fit the digits makes it NaN. */
static double radix_number(const char *digits, int radix)
{
    double value = 0;
    if (*digits == '\0') {
        return NAN;
    }
    for (; *digits != '\0'; digits++) {
        int digit = *digits >= '0' && *digits <= '9'   ? *digits - '0'
                    : *digits >= 'a' && *digits <= 'f' ? *digits - 'a' + 10
                    : *digits >= 'A' && *digits <= 'F' ? *digits - 'A' + 10
                                                       : 99;
        if (digit >= radix) {
            return NAN;
        }
        value = value * radix + digit;
    }
    return value;
}

double lp2p_env_number(const char *text)
{
    char trimmed[64];
    while (is_blank((uint8_t)*text) || *text == '\n') {
        text++;
    }
    size_t len = strlen(text);
    while (len > 0 && (is_blank((uint8_t)text[len - 1]) || text[len - 1] == '\n')) {
        len--;
    }
    if (len == 0) {
        return 0;
    }
    if (len >= sizeof(trimmed)) {
        return NAN;
    }
    memcpy(trimmed, text, len);
    trimmed[len] = '\0';
    if (trimmed[0] == '0' && len > 1 && strchr("xXoObB", trimmed[1]) != NULL) {
        int radix = trimmed[1] == 'x' || trimmed[1] == 'X'   ? 16
                    : trimmed[1] == 'o' || trimmed[1] == 'O' ? 8
                                                             : 2;
        return radix_number(trimmed + 2, radix);
    }
    /* strtod reads more than Number does: hex floats, "inf", "nan(..)". */
    if (strspn(trimmed, "0123456789.eE+-") != len) {
        return strcmp(trimmed, "Infinity") == 0 || strcmp(trimmed, "+Infinity") == 0 ? INFINITY : NAN;
    }
    char *end = NULL;
    double value = strtod(trimmed, &end);
    return end == trimmed + len ? value : NAN;
}

static bool is_there(struct lp2p_span file, const char *name)
{
    char text[2];
    bool there = lp2p_env_find(file, name, text, sizeof(text));
    sodium_memzero(text, sizeof(text)); /* the beginning of a key, perhaps */
    return there;
}

/* `Number(text) || fallback`, for a count of connections: what JavaScript would take but makes no sense as
 * one (negative, without end) leaves the default too. */
static unsigned count_of(struct lp2p_span file, const char *name, unsigned fallback)
{
    char text[64];
    if (!lp2p_env_find(file, name, text, sizeof(text))) {
        return fallback;
    }
    double value = lp2p_env_number(text);
    return isnan(value) || value < 1 || value > 65536 ? fallback : (unsigned)value;
}

/* An operator who names a file has something in it in mind: a misspelled name would go unnoticed otherwise. */
static void warn_of_nothing(struct lp2p_config *config, const char *path, struct lp2p_span file)
{
    static const char *const names[] = {"P2P_MIN_CONNECTIONS", "P2P_MAX_CONNECTIONS", "P2P_PRIVATE_KEY_BASE64",
                                        "P2P_PRIVATE_KEY_RAW_BASE64"};
    for (size_t i = 0; i < LP2P_ARRAY_LEN(names); i++) {
        if (is_there(file, names[i])) {
            return;
        }
    }
    (void)lp2p_config_fail(config, LP2P_OK, "%.300s: none of the names that are read is in it: %s, %s, %s, %s", path, names[0],
                           names[1], names[2], names[3]);
}

/* ---- the file */

static enum lp2p_err read_file(struct lp2p_config *config, const char *path, char **text, size_t *len)
{
    FILE *file = fopen(path, "re");
    if (file == NULL) {
        int reason = errno;
        return lp2p_config_fail(config, reason == ENOENT || reason == ENOTDIR ? LP2P_ENOTFOUND : LP2P_EIO,
                                "%.300s: %s", path, strerror(reason));
    }
    (void)setvbuf(file, NULL, _IONBF, 0); /* a buffer would keep the identity */
    char *bytes = malloc(ENV_FILE_MAX + 1);
    size_t got = bytes == NULL ? 0 : fread(bytes, 1, ENV_FILE_MAX + 1, file);
    int reason = bytes == NULL ? ENOMEM : ferror(file) ? errno : 0;
    (void)fclose(file);
    if (reason != 0 || got > ENV_FILE_MAX) {
        if (bytes != NULL) {
            sodium_memzero(bytes, got);
        }
        free(bytes);
        return reason != 0 ? lp2p_config_fail(config, reason == ENOMEM ? LP2P_ENOMEM : LP2P_EIO, "%.300s: %s", path, strerror(reason))
                           : lp2p_config_fail(config, LP2P_EIO, "%.300s: larger than %d bytes", path, ENV_FILE_MAX);
    }
    *text = bytes;
    *len = got;
    return LP2P_OK;
}

/* ---- the identity */

/* Base64, padded or not. False when the name is not there, or empty. */
static bool find_base64(struct lp2p_span file, const char *name, uint8_t *out, size_t cap, size_t *len,
                        bool *bad)
{
    static const int variants[] = {sodium_base64_VARIANT_ORIGINAL, sodium_base64_VARIANT_ORIGINAL_NO_PADDING};
    char text[LP2P_PRIVATE_KEY_MAX * 4 / 3 + 8];
    bool found = lp2p_env_find(file, name, text, sizeof(text)) && text[0] != '\0';
    *bad = found;
    for (size_t i = 0; *bad && i < LP2P_ARRAY_LEN(variants); i++) {
        *bad = sodium_base642bin(out, cap, text, strlen(text), NULL, len, NULL, variants[i]) != 0;
    }
    sodium_memzero(text, sizeof(text));
    return found;
}

static enum lp2p_err load_key(struct lp2p_config *config, struct lp2p_span file)
{
    static const uint8_t ed25519_head[] = {0x08, 0x01, 0x12, 0x40};
    const char *name = "P2P_PRIVATE_KEY_BASE64";
    uint8_t bytes[LP2P_PRIVATE_KEY_MAX], *raw = bytes + sizeof(ed25519_head);
    size_t len = 0;
    bool bad = false;
    if (!find_base64(file, name, bytes, sizeof(bytes), &len, &bad)) {
        name = "P2P_PRIVATE_KEY_RAW_BASE64";
        if (!find_base64(file, name, raw, sizeof(bytes) - sizeof(ed25519_head), &len, &bad)) {
            return LP2P_OK;
        }
        bad = bad || len != 64;
        memcpy(bytes, ed25519_head, sizeof(ed25519_head));
        len += sizeof(ed25519_head);
    }
    enum lp2p_err err = bad ? LP2P_EINVAL : lp2p_config_key(config, bytes, len);
    sodium_memzero(bytes, sizeof(bytes));
    config->env_key = err == LP2P_OK;
    return err == LP2P_OK
               ? err
               : lp2p_config_fail(config, LP2P_EINVAL, "%s: expected the base64 of %s", name,
                                  strstr(name, "RAW") == NULL ? "a PrivateKey protobuf"
                                                              : "64 bytes: Ed25519 seed and public key");
}

enum lp2p_err lp2p_config_load_env(struct lp2p_config *config, const char *path)
{
    if (config == NULL) {
        return LP2P_EINVAL;
    }
    const char *name = path == NULL ? ".env" : path;
    char *text = NULL;
    size_t len = 0;
    config->detail[0] = '\0';
    enum lp2p_err err = read_file(config, name, &text, &len);
    if (err != LP2P_OK) {
        return err;
    }
    struct lp2p_span file = lp2p_span(text, len);
    unsigned min = count_of(file, "P2P_MIN_CONNECTIONS", LP2P_CONNECTIONS_MIN_DEFAULT);
    unsigned max = count_of(file, "P2P_MAX_CONNECTIONS", LP2P_CONNECTIONS_MAX_DEFAULT);
    bool env_min = count_of(file, "P2P_MIN_CONNECTIONS", 0) != 0, env_max = count_of(file, "P2P_MAX_CONNECTIONS", 0) != 0;
    err = load_key(config, file);
    if (err == LP2P_OK) {
        warn_of_nothing(config, name, file);
    }
    sodium_memzero(text, len);
    free(text);
    if (err != LP2P_OK) {
        return err;
    }
    /* Lotus takes the two without comparing them; a maximum alone below the default minimum is meant as one.
     */
    err = lp2p_config_connections(config, LP2P_MIN(min, max), max);
    config->env_min = env_min && min <= max;
    config->env_max = env_max;
    return err;
}
