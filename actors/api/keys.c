/* SPDX-License-Identifier: MIT
 * Keys for tools, and the identity file. */
#include "actors/api/config_private.h"
#include "actors/api/system_rand.h"

#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define KEY_FILE_MAX 4096

static void system_fill(void *ctx, void *out, size_t len)
{
    (void)ctx;
    randombytes_buf(out, len);
}

const struct lp2p_rand lp2p_system_rand = {system_fill, NULL};

const char *lp2p_version(void)
{
    return LP2P_VERSION_STRING;
}

void lp2p_free(void *ptr)
{
    free(ptr);
}

enum lp2p_err lp2p_key_generate(uint8_t out[68])
{
    if (out == NULL) {
        return LP2P_EINVAL;
    }
    if (sodium_init() < 0) {
        return LP2P_EIO;
    }
    struct lp2p_private_key key;
    lp2p_private_key_generate(&lp2p_system_rand, &key);
    lp2p_private_key_encode(&key, out);
    lp2p_private_key_wipe(&key);
    return LP2P_OK;
}

enum lp2p_err lp2p_key_peer_id(const void *protobuf, size_t len, char out[LP2P_PEER_TEXT_MAX])
{
    if (protobuf == NULL || out == NULL) {
        return LP2P_EINVAL;
    }
    struct lp2p_private_key key;
    enum lp2p_err err = lp2p_private_key_parse(lp2p_span(protobuf, len), &key);
    if (err != LP2P_OK) {
        return err == LP2P_EUNSUPPORTED ? err : LP2P_EINVAL;
    }
    struct lp2p_public_key public_key;
    struct lp2p_peer_id id;
    lp2p_private_key_public(&key, &public_key);
    lp2p_private_key_wipe(&key);
    lp2p_peer_id_from_key(&public_key, &id);
    lp2p_peer_id_text(&id, out);
    return LP2P_OK;
}

enum lp2p_err lp2p_peer_public_key(const char *peer, uint8_t *out, size_t cap, size_t *len)
{
    struct lp2p_peer_id id;
    struct lp2p_public_key key;
    if (peer == NULL || out == NULL || len == NULL ||
        lp2p_peer_id_from_text(lp2p_span_str(peer), &id) != LP2P_OK) {
        return LP2P_EINVAL;
    }
    enum lp2p_err err = lp2p_peer_id_key(&id, &key);
    if (err != LP2P_OK) {
        return err;
    }
    if (key.encoded_len > cap) {
        return LP2P_ELIMIT;
    }
    memcpy(out, key.encoded, key.encoded_len);
    *len = key.encoded_len;
    return LP2P_OK;
}

/* ---- the identity file */

/* Reads the whole file. ENOTFOUND when there is none. */
static enum lp2p_err load(struct lp2p_config *config, const char *path, uint8_t *bytes, size_t *len)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    struct stat st;
    if (fd < 0 || fstat(fd, &st) != 0) {
        int reason = errno;
        if (fd >= 0) {
            (void)close(fd);
        }
        return lp2p_config_fail(config, reason == ENOENT ? LP2P_ENOTFOUND : LP2P_EIO, "key file %.300s: %s",
                                path, strerror(reason));
    }
    size_t got = 0;
    ssize_t n = 0;
    while (got < KEY_FILE_MAX && (n = read(fd, bytes + got, KEY_FILE_MAX - got)) > 0) {
        got += (size_t)n;
    }
    (void)close(fd);
    if (n < 0) {
        return lp2p_config_fail(config, LP2P_EIO, "key file %.300s: cannot be read", path);
    }
    *len = got;
    if ((st.st_mode & 077) != 0) {
        /* A warning only: the file is the owner's to protect, and mounted secrets often look like this. */
        (void)lp2p_config_fail(config, LP2P_OK,
                               "key file %.300s has mode %03o: others can use this identity; expected 0600",
                               path, (unsigned)(st.st_mode & 0777));
    }
    return LP2P_OK;
}

static enum lp2p_err write_all(int fd, const uint8_t *bytes, size_t len)
{
    while (len > 0) {
        ssize_t n = write(fd, bytes, len);
        if (n <= 0) {
            return LP2P_EIO;
        }
        bytes += n;
        len -= (size_t)n;
    }
    return fsync(fd) == 0 ? LP2P_OK : LP2P_EIO;
}

/* The file appears with its whole content and its final mode, or not at all; link() does not replace one that
 * another process has made meanwhile. */
static enum lp2p_err store(const char *path, const uint8_t *bytes, size_t len)
{
    char temporary[4200];
    int n = snprintf(temporary, sizeof(temporary), "%s.%ld.new", path, (long)getpid());
    if (n < 0 || (size_t)n >= sizeof(temporary)) {
        errno = ENAMETOOLONG;
        return LP2P_EIO;
    }
    int fd = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0) {
        return LP2P_EIO;
    }
    enum lp2p_err err = write_all(fd, bytes, len);
    int reason = errno;
    err = close(fd) == 0 ? err : LP2P_EIO;
    if (err == LP2P_OK && link(temporary, path) != 0) {
        reason = errno;
        err = reason == EEXIST ? LP2P_EEXIST : LP2P_EIO;
    }
    (void)unlink(temporary);
    errno = reason;
    return err;
}

static enum lp2p_err create_file(struct lp2p_config *config, const char *path)
{
    uint8_t bytes[68];
    enum lp2p_err err = lp2p_key_generate(bytes);
    if (err == LP2P_OK) {
        err = store(path, bytes, sizeof(bytes));
    }
    sodium_memzero(bytes, sizeof(bytes));
    return err == LP2P_OK || err == LP2P_EEXIST
               ? LP2P_OK
               : lp2p_config_fail(config, err, "key file %.300s: cannot be created: %s", path,
                                  strerror(errno));
}

enum lp2p_err lp2p_config_key_file(struct lp2p_config *config, const char *path, bool create)
{
    if (config == NULL || path == NULL || path[0] == '\0') {
        return lp2p_config_fail(config, LP2P_EINVAL, "key file: a path is missing");
    }
    uint8_t bytes[KEY_FILE_MAX];
    size_t len = 0;
    config->detail[0] = '\0';
    enum lp2p_err err = load(config, path, bytes, &len);
    if (err == LP2P_ENOTFOUND && create) {
        config->detail[0] = '\0';
        err = create_file(config, path);
        err = err != LP2P_OK ? err : load(config, path, bytes, &len);
    }
    if (err == LP2P_OK) {
        struct lp2p_private_key key;
        err = lp2p_private_key_parse(lp2p_span(bytes, len), &key);
        if (err == LP2P_OK) {
            config->key = key;
            config->has_key = true;
            lp2p_private_key_wipe(&key);
        } else {
            err = lp2p_config_fail(config, LP2P_EINVAL,
                                   "key file %.300s: expected an Ed25519 PrivateKey protobuf (68 bytes, "
                                   "08011240...), found %zu bytes: %s",
                                   path, len, lp2p_strerror(err));
        }
    }
    sodium_memzero(bytes, sizeof(bytes));
    return err;
}
