/* SPDX-License-Identifier: MIT
 * Setters for what stands at the doors: secure channels, certificates, proxies, the key of a private network. */
#include "actors/api/config_private.h"
#include "wire/ip_text.h"

#include <errno.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum lp2p_err lp2p_config_security(struct lp2p_config *config, const char *list)
{
    static const char expected[] = "a list of: noise, tls (each at most once)";
    const char *chosen[LP2P_ARRAY_LEN(config->security)];
    struct lp2p_span item = {0};
    size_t count = 0;
    if (config == NULL) {
        return LP2P_EINVAL;
    }
    for (const char *rest = list == NULL ? "" : list; lp2p_config_next_item(&rest, &item); count++) {
        const char *name = lp2p_span_eq_str(item, "noise") ? "noise" : lp2p_span_eq_str(item, "tls") ? "tls" : NULL;
        if (name == NULL || count == LP2P_ARRAY_LEN(chosen) || (count > 0 && strcmp(chosen[0], name) == 0)) {
            return lp2p_config_bad_item(config, "security", item, expected);
        }
        chosen[count] = name;
    }
    if (count == 0) {
        return lp2p_config_bad_item(config, "security", lp2p_span("", 0), expected);
    }
    for (size_t i = 0; i < count; i++) {
        (void)snprintf(config->security[i], sizeof(config->security[i]), "%s", chosen[i]);
    }
    config->security_len = count;
    return LP2P_OK;
}

static bool fits(const char *path)
{
    return path != NULL && path[0] != '\0' && strlen(path) < LP2P_PATH_MAX;
}

enum lp2p_err lp2p_config_tls_files(struct lp2p_config *config, const char *certificate, const char *key)
{
    if (config == NULL) {
        return LP2P_EINVAL;
    }
    if (!fits(certificate) || !fits(key)) {
        return lp2p_config_fail(config, LP2P_EINVAL,
                                "certificate and key: expected two paths of PEM files, each shorter than %d bytes", LP2P_PATH_MAX);
    }
    (void)snprintf(config->web_certificate, sizeof(config->web_certificate), "%s", certificate);
    (void)snprintf(config->web_key, sizeof(config->web_key), "%s", key);
    return LP2P_OK;
}

/** IP or IP/BITS. */
static bool read_cidr(struct lp2p_span text, struct lp2p_cidr *out)
{
    const uint8_t *slash = text.len == 0 ? NULL : memchr(text.ptr, '/', text.len);
    struct lp2p_span ip = slash == NULL ? text : lp2p_span(text.ptr, (size_t)(slash - text.ptr));
    *out = (struct lp2p_cidr){0};
    if (lp2p_ip4_from_text(ip, out->ip)) {
        out->ip_len = 4;
    } else if (lp2p_ip6_from_text(ip, out->ip)) {
        out->ip_len = 16;
    } else {
        return false;
    }
    out->bits = (uint8_t)(out->ip_len * 8);
    if (slash == NULL) {
        return true;
    }
    unsigned bits = 0;
    struct lp2p_span digits = lp2p_span_skip(text, ip.len + 1);
    for (size_t i = 0; i < digits.len; i++) {
        if (digits.ptr[i] < '0' || digits.ptr[i] > '9' || digits.len > 3) {
            return false;
        }
        bits = bits * 10 + (unsigned)(digits.ptr[i] - '0');
    }
    if (digits.len == 0 || bits > out->bits) {
        return false;
    }
    out->bits = (uint8_t)bits;
    return true;
}

enum lp2p_err lp2p_config_trusted_proxies(struct lp2p_config *config, const char *list)
{
    static const char expected[] = "a list of IP addresses and networks, e.g. 127.0.0.1,10.0.0.0/8";
    struct lp2p_cidr nets[LP2P_PROXIES_MAX];
    struct lp2p_span item = {0};
    size_t count = 0;
    if (config == NULL) {
        return LP2P_EINVAL;
    }
    for (const char *rest = list == NULL ? "" : list; lp2p_config_next_item(&rest, &item); count++) {
        if (count == LP2P_PROXIES_MAX || !read_cidr(item, &nets[count])) {
            return lp2p_config_bad_item(config, "trusted proxies", item, expected);
        }
    }
    memcpy(config->proxies, nets, count * sizeof(nets[0]));
    config->proxies_len = count;
    return LP2P_OK;
}

enum lp2p_err lp2p_config_swarm_key_file(struct lp2p_config *config, const char *path)
{
    uint8_t text[LP2P_PNET_FILE_MAX + 1];
    if (config == NULL) {
        return LP2P_EINVAL;
    }
    FILE *file = path == NULL ? NULL : fopen(path, "rbe");
    if (file == NULL) {
        int reason = path == NULL ? EINVAL : errno;
        return lp2p_config_fail(config, path == NULL ? LP2P_EINVAL : reason == ENOENT ? LP2P_ENOTFOUND : LP2P_EIO,
                                "swarm key %.300s: %s", path == NULL ? "" : path,
                                path == NULL ? "expected a path" : strerror(reason));
    }
    (void)setvbuf(file, NULL, _IONBF, 0); /* a buffer would keep the key */
    size_t len = fread(text, 1, sizeof(text), file);
    int reason = ferror(file) ? errno : 0;
    (void)fclose(file);
    if (reason != 0) {
        sodium_memzero(text, sizeof(text));
        return lp2p_config_fail(config, LP2P_EIO, "swarm key %.300s: %s", path, strerror(reason));
    }
    struct lp2p_pnet_key key;
    enum lp2p_err err = lp2p_pnet_key_read(lp2p_span(text, len), &key); /* what fills `text` is too long */
    sodium_memzero(text, sizeof(text));
    if (err != LP2P_OK) { /* a key that was read before stays */
        return lp2p_config_fail(config, LP2P_EINVAL,
                                "swarm key %.300s: expected three lines: /key/swarm/psk/1.0.0/, then /base16/, /base64/ or /bin/, "
                                "then 32 bytes written so", path);
    }
    config->swarm_key = key;
    config->has_swarm_key = true;
    lp2p_pnet_key_wipe(&key);
    return LP2P_OK;
}
