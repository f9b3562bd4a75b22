/* SPDX-License-Identifier: MIT
 * lp2p key gen, lp2p key show. */
#include "lp2p.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static void wipe(void *bytes, size_t len)
{
    explicit_bzero(bytes, len);
}

static const char *file_of(const struct cli *cli)
{
    if (cli->args_len == 1 && cli->text[OPT_KEY] != NULL) {
        cli_usage(cli, "a file was given twice: %.100s and --key %.100s", cli->args[0], cli->text[OPT_KEY]);
    }
    return cli->args_len == 1 ? cli->args[0] : cli->text[OPT_KEY];
}

/* The type as the specs write it. */
static const char *spec_name(const char *type)
{
    static const char *const names[][2] = {
        {"ed25519", "Ed25519"}, {"secp256k1", "Secp256k1"}, {"ecdsa", "ECDSA"}, {"rsa", "RSA"}};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (strcmp(type, names[i][0]) == 0) {
            return names[i][1];
        }
    }
    return type;
}

/* `key`: printed too when it went to no file. */
static int report(const struct cli *cli, const uint8_t *key, size_t len, const char *file, bool with_secret)
{
    char peer[LP2P_PEER_TEXT_MAX], cid[LP2P_PEER_TEXT_MAX];
    uint8_t public_key[LP2P_KEY_PUBLIC_MAX];
    size_t public_len = 0;
    const char *type = NULL;
    enum lp2p_err err = lp2p_key_peer_id(key, len, peer);
    if (err == LP2P_OK) {
        err = lp2p_key_public(key, len, public_key, sizeof(public_key), &public_len, &type);
    }
    if (err == LP2P_OK) {
        err = lp2p_peer_texts(peer, NULL, cid);
    }
    if (err != LP2P_OK) {
        return cli_fail_code(
            cli, err, "%.300s: expected a PrivateKey protobuf (Ed25519, secp256k1, ECDSA P-256 or RSA)",
            file == NULL ? "key" : file);
    }
    struct line line = cli_result(cli);
    line_str(&line, "peer", peer);
    line_str(&line, "peer_cid", cid);
    line_str(&line, "type", spec_name(type));
    line_base64(&line, "public_key_base64", public_key, public_len);
    line_str(&line, "file", file);
    if (with_secret) {
        line_base64(&line, "private_key_base64", key, len);
    }
    if (cli->json) {
        line_print(&line);
    } else {
        say(cli, "peer id      %s", peer);
        say(cli, "as CID       %s", cid);
        say(cli, "type         %s", spec_name(type));
        say(cli, "public key   %s", yyjson_mut_get_str(yyjson_mut_obj_get(line.root, "public_key_base64")));
        if (with_secret) {
            say(cli, "private key  %s",
                yyjson_mut_get_str(yyjson_mut_obj_get(line.root, "private_key_base64")));
        } else {
            say(cli, "file         %s", file);
        }
        yyjson_mut_doc_free(line.doc);
    }
    return CLI_OK;
}

int command_key_gen(struct cli *cli)
{
    const char *file = file_of(cli);
    uint8_t key[LP2P_KEY_MAX];
    size_t len = 0;
    const char *type = cli->text[OPT_KEY_TYPE] == NULL ? "ed25519" : cli->text[OPT_KEY_TYPE];
    enum lp2p_err err = lp2p_key_generate_type(type, key, sizeof(key), &len);
    if (err == LP2P_EINVAL) {
        cli_usage(cli,
                  "option --key-type %.40s: expected ed25519, secp256k1, ecdsa, rsa, rsa-3072 or rsa-4096",
                  type);
    }
    if (err != LP2P_OK) {
        return cli_fail_code(cli, err, "no random source");
    }
    if (file != NULL) {
        int fd = open(file, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600); /* never over another identity */
        bool bad = fd < 0 || write(fd, key, len) != (ssize_t)len || fsync(fd) != 0;
        int reason = errno;
        bad = (fd >= 0 && close(fd) != 0) || bad;
        if (bad) {
            wipe(key, sizeof(key));
            return cli_fail_code(cli, reason == EEXIST ? LP2P_EEXIST : LP2P_EIO, "%.300s: %s%s", file,
                                 strerror(reason), reason == EEXIST ? "; no identity is written over, give another name" : "");
        }
    }
    int code = report(cli, key, len, file, file == NULL);
    wipe(key, sizeof(key));
    return code;
}

int command_key_show(struct cli *cli)
{
    const char *file = file_of(cli);
    uint8_t bytes[LP2P_KEY_MAX];
    if (file == NULL) {
        cli_usage(cli, "a file is missing: expected the path of an identity");
    }
    int fd = open(file, O_RDONLY | O_CLOEXEC);
    ssize_t len = fd < 0 ? -1 : read(fd, bytes, sizeof(bytes));
    int reason = errno;
    struct stat st;
    if (fd >= 0) {
        if (fstat(fd, &st) == 0 && (st.st_mode & 077) != 0) {
            fprintf(stderr, "lp2p: warning: %s has mode %03o: others can use this identity; expected 0600\n",
                    file, (unsigned)(st.st_mode & 0777));
        }
        (void)close(fd);
    }
    if (len < 0) {
        return cli_fail_code(cli, reason == ENOENT ? LP2P_ENOTFOUND : LP2P_EIO, "%.300s: %s", file,
                             strerror(reason));
    }
    int code = report(cli, bytes, (size_t)len, file, false);
    wipe(bytes, sizeof(bytes));
    return code;
}
