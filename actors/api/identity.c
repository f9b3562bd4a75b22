/* SPDX-License-Identifier: MIT
 * The identity of a configuration: given, from a file, or signed for elsewhere. */
#include "actors/api/config_private.h"

#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

bool lp2p_config_has_identity(const struct lp2p_config *config)
{
    return config != NULL && config->has_key;
}

/* What a PrivateKey protobuf should have looked like. */
#define EXPECTED                                                                                             \
    "expected a PrivateKey protobuf: Ed25519 (68 bytes, 08011240..), secp256k1, ECDSA P-256 or RSA of 2048 " \
    "to 8192 bits"

enum lp2p_err lp2p_config_key(struct lp2p_config *config, const void *protobuf, size_t len)
{
    if (config == NULL) {
        return LP2P_EINVAL;
    }
    struct lp2p_private_key key;
    enum lp2p_err err = protobuf == NULL    ? LP2P_EINVAL
                        : sodium_init() < 0 ? LP2P_EIO
                                            : lp2p_private_key_parse(lp2p_span(protobuf, len), &key);
    if (err != LP2P_OK) {
        return lp2p_config_fail(config, LP2P_EINVAL, "key: " EXPECTED ": %s", lp2p_strerror(err));
    }
    config->key = key;
    config->has_key = true;
    config->env_key = false;
    lp2p_private_key_wipe(&key);
    return LP2P_OK;
}

enum lp2p_err lp2p_config_key_type(struct lp2p_config *config, const char *type)
{
    if (config == NULL) {
        return LP2P_EINVAL;
    }
    if (type == NULL || !lp2p_key_type_parse(type, &config->key_type, &config->key_bits)) {
        return lp2p_config_fail(
            config, LP2P_EINVAL,
            "key type %.40s: expected ed25519, secp256k1, ecdsa, rsa, rsa-3072 or rsa-4096",
            type == NULL ? "" : type);
    }
    config->key_type_set = true;
    return LP2P_OK;
}

enum lp2p_err lp2p_config_signer(struct lp2p_config *config, const void *public_key, size_t len,
                                 lp2p_sign_fn fn, void *user)
{
    if (config == NULL) {
        return LP2P_EINVAL;
    }
    struct lp2p_public_key key;
    enum lp2p_err err = public_key == NULL || fn == NULL
                            ? LP2P_EINVAL
                            : lp2p_public_key_parse(lp2p_span(public_key, len), &key);
    if (err != LP2P_OK) {
        return lp2p_config_fail(config, LP2P_EINVAL,
                                "signer: expected a PublicKey protobuf and a function: %s",
                                lp2p_strerror(err));
    }
    lp2p_private_key_outside(&key, fn, user, &config->key);
    config->has_key = true;
    config->env_key = false;
    return LP2P_OK;
}

enum lp2p_err lp2p_config_data_dir(struct lp2p_config *config, const char *path)
{
    if (config == NULL) {
        return LP2P_EINVAL;
    }
    if (path == NULL || path[0] == '\0' || strlen(path) >= sizeof(config->data_dir)) {
        return lp2p_config_fail(config, LP2P_EINVAL, "data directory: expected a path of at most %zu bytes",
                                sizeof(config->data_dir) - 1);
    }
    memmove(config->data_dir, path, strlen(path) + 1);
    return LP2P_OK;
}

enum lp2p_err lp2p_config_own_identity(struct lp2p_config *config)
{
    char path[sizeof(config->data_dir) + 32];
    if (config->has_key || config->data_dir[0] == '\0') {
        return LP2P_OK;
    }
    if (mkdir(config->data_dir, 0700) != 0 && errno != EEXIST) {
        return lp2p_config_fail(config, LP2P_EIO, "data directory %.300s: %s", config->data_dir, strerror(errno));
    }
    (void)snprintf(path, sizeof(path), "%s/identity.key", config->data_dir);
    return lp2p_config_key_file(config, path, true);
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
    while (got < LP2P_PRIVATE_KEY_MAX && (n = read(fd, bytes + got, LP2P_PRIVATE_KEY_MAX - got)) > 0) {
        got += (size_t)n;
    }
    int reason = errno;
    (void)close(fd);
    if (n < 0) {
        return lp2p_config_fail(config, LP2P_EIO, "key file %.300s: %s", path, strerror(reason));
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
    static const char suffix[] = ".new";
    char temporary[4200]; /* not named after the process: in containers many have the same number, also one that was killed here */
    int n = snprintf(temporary, sizeof(temporary), "%s.XXXXXX%s", path, suffix);
    if (n < 0 || (size_t)n >= sizeof(temporary)) {
        errno = ENAMETOOLONG;
        return LP2P_EIO;
    }
    int fd = mkostemps(temporary, sizeof(suffix) - 1, O_CLOEXEC); /* mode 0600 */
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
    uint8_t bytes[LP2P_PRIVATE_KEY_MAX];
    size_t len = 0;
    enum lp2p_err err = lp2p_key_make(config->key_type, config->key_bits, bytes, sizeof(bytes), &len);
    if (err == LP2P_OK) {
        err = store(path, bytes, len);
    }
    sodium_memzero(bytes, sizeof(bytes));
    return err == LP2P_OK || err == LP2P_EEXIST
               ? LP2P_OK
               : lp2p_config_fail(config, err, "key file %.300s: cannot be created: %s", path,
                                  strerror(errno));
}

static enum lp2p_err take(struct lp2p_config *config, const char *path, struct lp2p_span bytes)
{
    struct lp2p_private_key key;
    enum lp2p_err err = sodium_init() < 0 ? LP2P_EIO : lp2p_private_key_parse(bytes, &key);
    if (err != LP2P_OK) {
        return lp2p_config_fail(config, LP2P_EINVAL, "key file %.200s: " EXPECTED ", found %zu bytes: %s",
                                path, bytes.len, lp2p_strerror(err));
    }
    if (config->key_type_set && key.public_key.type != config->key_type) {
        err = lp2p_config_fail(config, LP2P_EINVAL, "key file %.300s: expected a key of type %s, found %s",
                               path, lp2p_key_type_name(config->key_type),
                               lp2p_key_type_name(key.public_key.type));
    } else {
        config->key = key;
        config->has_key = true;
        config->env_key = false;
    }
    lp2p_private_key_wipe(&key);
    return err;
}

enum lp2p_err lp2p_config_key_file(struct lp2p_config *config, const char *path, bool create)
{
    if (config == NULL || path == NULL || path[0] == '\0') {
        return lp2p_config_fail(config, LP2P_EINVAL, "key file: a path is missing");
    }
    uint8_t bytes[LP2P_PRIVATE_KEY_MAX];
    size_t len = 0;
    config->detail[0] = '\0';
    enum lp2p_err err = load(config, path, bytes, &len);
    if (err == LP2P_ENOTFOUND && create) {
        config->detail[0] = '\0';
        err = create_file(config, path);
        err = err != LP2P_OK ? err : load(config, path, bytes, &len);
    }
    if (err == LP2P_OK) {
        err = take(config, path, lp2p_span(bytes, len));
    }
    sodium_memzero(bytes, sizeof(bytes));
    return err;
}
