/* SPDX-License-Identifier: MIT */
#include "actors/link/web_files.h"

#include <errno.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#define FILE_BYTES_MAX (256u * 1024)
#define WHY_MAX 320

/** A whole file, to be wiped and freed. NULL: it cannot be read, or is too large; errno says which. */
static uint8_t *read_file(const char *path, size_t *len)
{
    FILE *file = fopen(path, "rbe");
    uint8_t *bytes = file == NULL ? NULL : malloc(FILE_BYTES_MAX + 1);
    if (bytes != NULL) {
        (void)setvbuf(file, NULL, _IONBF, 0); /* a buffer would keep the key */
        *len = fread(bytes, 1, FILE_BYTES_MAX + 1, file);
        int reason = ferror(file) ? errno : EFBIG;
        if (ferror(file) || *len > FILE_BYTES_MAX) {
            sodium_memzero(bytes, *len);
            free(bytes);
            bytes = NULL;
        }
        (void)fclose(file);
        errno = reason;
    } else if (file != NULL) {
        (void)fclose(file);
        errno = ENOMEM;
    }
    return bytes;
}

static uint64_t mix(uint64_t mark, uint64_t value)
{
    return (mark ^ value) * 0x100000001b3u;
}

/** Changes when a file was written or replaced. 0: one is not there. */
static uint64_t mark_of(const struct lp2p_config *config)
{
    const char *const paths[] = {config->web_certificate, config->web_key};
    uint64_t mark = 0xcbf29ce484222325u;
    for (size_t i = 0; i < LP2P_ARRAY_LEN(paths); i++) {
        struct stat st;
        if (stat(paths[i], &st) != 0) {
            return 0;
        }
        mark = mix(mark, (uint64_t)st.st_size);
        mark = mix(mark, (uint64_t)st.st_ino);
        mark = mix(mark, (uint64_t)st.st_mtim.tv_sec);
        mark = mix(mark, (uint64_t)st.st_mtim.tv_nsec);
    }
    return mark;
}

static void drop_bytes(uint8_t *bytes, size_t len)
{
    if (bytes != NULL) {
        sodium_memzero(bytes, len);
        free(bytes);
    }
}

static enum lp2p_err read_files(const struct lp2p_context *ctx, const struct lp2p_rand *rand, struct lp2p_tls_web **out)
{
    const struct lp2p_config *config = &ctx->config;
    size_t chain_len = 0, key_len = 0;
    uint8_t *chain = read_file(config->web_certificate, &chain_len);
    uint8_t *key = chain == NULL ? NULL : read_file(config->web_key, &key_len);
    enum lp2p_err err = key == NULL ? LP2P_EIO
                                    : lp2p_tls_web_server(NULL, lp2p_span(chain, chain_len), lp2p_span(key, key_len), rand, out);
    drop_bytes(chain, chain_len);
    drop_bytes(key, key_len);
    if (err != LP2P_OK) {
        char why[WHY_MAX];
        lp2p_web_files_explain(config, err, why, sizeof(why));
        lp2p_log(ctx, LP2P_LOG_ERROR, "listener", "certificate of wss: %s", why);
    }
    return err;
}

/** True when the file can be read and has this PEM label in it; else `out` tells what is wrong. */
static bool holds(const char *path, const char *label, const char *what, char *out, size_t cap)
{
    size_t len = 0;
    uint8_t *bytes = read_file(path, &len);
    if (bytes == NULL) {
        (void)snprintf(out, cap, "%.200s: %s", path, strerror(errno));
        return false;
    }
    bool found = memmem(bytes, len, label, strlen(label)) != NULL;
    if (!found) {
        (void)snprintf(out, cap, "%.200s: no %s in it; expected PEM text, with \"%s\"", path, what, label);
    }
    drop_bytes(bytes, len);
    return found;
}

void lp2p_web_files_explain(const struct lp2p_config *config, enum lp2p_err err, char *out, size_t cap)
{
    const char *chain = config->web_certificate, *key = config->web_key;
    out[0] = '\0';
    if (chain[0] == '\0' || !holds(chain, "-----BEGIN CERTIFICATE-----", "certificate", out, cap) ||
        !holds(key, "PRIVATE KEY-----", "private key", out, cap)) {
        return;
    }
    if (err == LP2P_EBADKEY) {
        (void)snprintf(out, cap, "the key in %.100s does not belong to the first certificate in %.100s, or cannot be used (encrypted?)",
                       key, chain);
    } else if (err == LP2P_EMALFORMED) {
        (void)snprintf(out, cap, "%.100s or %.100s is damaged, or of a kind that is not known here (RSA and ECDSA are)", chain, key);
    } else {
        (void)snprintf(out, cap, "%.100s or %.100s: %s", chain, key, lp2p_strerror(err));
    }
}

/** Browsers refuse a certificate outside of its dates, and a node hears nothing of that but connections that end. */
static void look_at_dates(struct lp2p_web_files *files, const struct lp2p_context *ctx, int64_t wall_s)
{
    int64_t from = 0, to = 0;
    char day[32] = "?";
    struct tm tm;
    if (files->web == NULL || lp2p_tls_web_validity(files->web, &from, &to) != LP2P_OK) {
        return;
    }
    enum lp2p_web_date now = wall_s < from ? LP2P_WEB_DATE_EARLY : wall_s > to ? LP2P_WEB_DATE_OVER : LP2P_WEB_DATE_GOOD;
    time_t edge = (time_t)(now == LP2P_WEB_DATE_EARLY ? from : to);
    const char *file = ctx->config.web_certificate[0] != '\0' ? ctx->config.web_certificate : "the one of our own making";
    if (now == files->said) {
        return;
    }
    files->said = now;
    if (gmtime_r(&edge, &tm) != NULL) {
        (void)strftime(day, sizeof(day), "%Y-%m-%d %H:%M UTC", &tm);
    }
    if (now == LP2P_WEB_DATE_OVER) {
        lp2p_log(ctx, LP2P_LOG_ERROR, "listener",
                 "certificate of wss: %.200s expired on %s: browsers refuse it. Renew it; a new file is read within seconds", file, day);
    } else if (now == LP2P_WEB_DATE_EARLY) {
        lp2p_log(ctx, LP2P_LOG_ERROR, "listener",
                 "certificate of wss: %.200s is not valid before %s: browsers refuse it until then. Is this machine's clock right?", file,
                 day);
    }
}

enum lp2p_err lp2p_web_files_load(struct lp2p_web_files *files, const struct lp2p_context *ctx, const struct lp2p_rand *rand,
                                  int64_t wall_s)
{
    static const char *const names[] = {"localhost", "127.0.0.1", "::1"};
    if (ctx->config.web_certificate[0] == '\0') {
        lp2p_log(ctx, LP2P_LOG_INFO, "listener", "wss with a certificate of our own making, for development");
        return lp2p_tls_web_self_made(NULL, names, LP2P_ARRAY_LEN(names), rand, wall_s, &files->web);
    }
    files->mark = mark_of(&ctx->config);
    enum lp2p_err err = read_files(ctx, rand, &files->web);
    look_at_dates(files, ctx, wall_s);
    return err;
}

static void reread(struct lp2p_web_files *files, const struct lp2p_context *ctx, const struct lp2p_rand *rand)
{
    struct lp2p_tls_web *web = NULL;
    if (ctx->config.web_certificate[0] == '\0') {
        return;
    }
    uint64_t mark = mark_of(&ctx->config);
    if (mark == 0 || mark == files->mark) {
        return;
    }
    files->mark = mark; /* also of files that are no good: they are told of once */
    if (read_files(ctx, rand, &web) == LP2P_OK) {
        lp2p_tls_web_release(files->web);
        files->web = web;
        files->said = LP2P_WEB_DATE_GOOD; /* of the new one nothing was told */
        lp2p_log(ctx, LP2P_LOG_INFO, "listener", "a new certificate was read from %s", ctx->config.web_certificate);
    }
}

void lp2p_web_files_refresh(struct lp2p_web_files *files, const struct lp2p_context *ctx, const struct lp2p_rand *rand, int64_t wall_s)
{
    reread(files, ctx, rand);
    look_at_dates(files, ctx, wall_s);
}

struct lp2p_tls_web *lp2p_web_files_hold(const struct lp2p_web_files *files)
{
    return files->web == NULL ? NULL : lp2p_tls_web_hold(files->web);
}

void lp2p_web_files_drop(struct lp2p_web_files *files)
{
    lp2p_tls_web_release(files->web);
    files->web = NULL;
}
