/* SPDX-License-Identifier: MIT
 * The ceiling: the smallest program that moves the same bytes with the same cipher over the same sockets. Two processes and a
 * TCP connection over loopback; frames of 65,535 bytes, sealed with ChaCha20-Poly1305 by one library; no protocol at all. The forked
 * process is the server, whose cost is printed: it receives (up), sends (down), or answers (ping).
 *
 *   bench_ceiling up|down|ping libgcrypt|libcrypto|libsodium|plain [SECONDS] */
#include "figures.h"

#include <arpa/inet.h>
#include <errno.h>
#include <gcrypt.h>
#include <netinet/tcp.h>
#include <openssl/evp.h>
#include <signal.h>
#include <sodium.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define FRAME_MAX 65535u
#define TAG 16u
#define PLAIN_MAX (FRAME_MAX - TAG)
#define FRAMES_EACH 4u /* frames in one write */
#define PING 64u       /* plain bytes of a round trip: a yamux header and 32 bytes, and some more */

enum cipher { PLAIN, SODIUM, CRYPTO, GCRYPT };
static const char *const CIPHERS[] = {"plain", "libsodium", "libcrypto", "libgcrypt"};

struct seal {
    enum cipher cipher;
    EVP_CIPHER_CTX *evp; /* the key stays in it */
    gcry_cipher_hd_t gcrypt;
    bool encrypt;
    uint64_t nonce;
};

static const uint8_t KEY[32] = {1, 2, 3};

_Noreturn static void fail(const char *what)
{
    (void)fprintf(stderr, "ceiling: %s: %s\n", what, strerror(errno));
    exit(1);
}

static uint64_t now_ns(void)
{
    struct timespec ts;
    (void)clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

static void seal_init(struct seal *s, enum cipher cipher, bool encrypt)
{
    *s = (struct seal){.cipher = cipher, .encrypt = encrypt};
    if (cipher == CRYPTO) {
        s->evp = EVP_CIPHER_CTX_new();
        if (s->evp == NULL || EVP_CipherInit_ex(s->evp, EVP_chacha20_poly1305(), NULL, KEY, NULL, encrypt) != 1) {
            fail("libcrypto");
        }
    }
    if (cipher == GCRYPT && (gcry_cipher_open(&s->gcrypt, GCRY_CIPHER_CHACHA20, GCRY_CIPHER_MODE_POLY1305, 0) != 0 ||
                             gcry_cipher_setkey(s->gcrypt, KEY, sizeof(KEY)) != 0)) {
        fail("libgcrypt");
    }
}

static void crypt_gcrypt(struct seal *s, const uint8_t nonce[12], uint8_t *bytes, size_t len)
{
    gcry_error_t err = gcry_cipher_setiv(s->gcrypt, nonce, 12);
    gcry_cipher_final(s->gcrypt);
    if (s->encrypt) {
        err |= gcry_cipher_encrypt(s->gcrypt, bytes, len, NULL, 0);
        err |= gcry_cipher_gettag(s->gcrypt, bytes + len, TAG);
    } else {
        err |= gcry_cipher_decrypt(s->gcrypt, bytes, len, NULL, 0);
        err |= gcry_cipher_checktag(s->gcrypt, bytes + len, TAG);
    }
    if (err != 0) {
        fail("tag");
    }
}

/** In place; the tag is at bytes + len. */
static void crypt_frame(struct seal *s, uint8_t *bytes, size_t len)
{
    uint8_t nonce[12] = {0};
    int n;
    memcpy(nonce + 4, &s->nonce, sizeof(s->nonce));
    s->nonce++;
    if (s->cipher == SODIUM && s->encrypt) {
        (void)crypto_aead_chacha20poly1305_ietf_encrypt_detached(bytes, bytes + len, NULL, bytes, len, NULL, 0, NULL, nonce, KEY);
    } else if (s->cipher == SODIUM) {
        if (crypto_aead_chacha20poly1305_ietf_decrypt_detached(bytes, NULL, bytes, len, bytes + len, NULL, 0, nonce, KEY) != 0) {
            fail("tag");
        }
    } else if (s->cipher == CRYPTO) {
        int ok = EVP_CipherInit_ex(s->evp, NULL, NULL, NULL, nonce, -1);
        if (!s->encrypt) {
            ok &= EVP_CIPHER_CTX_ctrl(s->evp, EVP_CTRL_AEAD_SET_TAG, TAG, bytes + len);
        }
        ok &= EVP_CipherUpdate(s->evp, bytes, &n, bytes, (int)len) & EVP_CipherFinal_ex(s->evp, bytes + len, &n);
        if (s->encrypt) {
            ok &= EVP_CIPHER_CTX_ctrl(s->evp, EVP_CTRL_AEAD_GET_TAG, TAG, bytes + len);
        }
        if (ok != 1) {
            fail("tag");
        }
    } else if (s->cipher == GCRYPT) {
        crypt_gcrypt(s, nonce, bytes, len);
    }
}

static bool write_all(int fd, const uint8_t *bytes, size_t len)
{
    while (len > 0) {
        ssize_t n = send(fd, bytes, len, MSG_NOSIGNAL);
        if (n < 0) {
            return false;
        }
        bytes += n;
        len -= (size_t)n;
    }
    return true;
}

/** At least `want` bytes in the buffer, more if they are there; false at the end. */
static bool read_some(int fd, uint8_t *buf, size_t *have, size_t want, size_t cap)
{
    while (*have < want) {
        ssize_t n = recv(fd, buf + *have, cap - *have, 0);
        if (n <= 0) {
            return false;
        }
        *have += (size_t)n;
    }
    return true;
}

static void put_frame(struct seal *s, uint8_t *frame, size_t plain)
{
    frame[0] = (uint8_t)((plain + TAG) >> 8);
    frame[1] = (uint8_t)(plain + TAG);
    crypt_frame(s, frame + 2, plain);
}

/** Opens frames until the end or the time is over; with `answer` each is sealed again and sent back. Bytes of plaintext. */
static uint64_t serve(int fd, enum cipher cipher, bool answer, double seconds)
{
    static uint8_t in[512u * 1024];
    struct seal open, reply;
    size_t have = 0;
    uint64_t begun = now_ns(), bytes = 0;
    seal_init(&open, cipher, false);
    seal_init(&reply, cipher, true);
    while ((double)(now_ns() - begun) < seconds * 1e9 && read_some(fd, in, &have, 2, sizeof(in))) {
        size_t at = 0;
        while (have - at >= 2) {
            size_t len = (size_t)in[at] << 8 | in[at + 1];
            if (have - at < 2 + len) {
                break;
            }
            crypt_frame(&open, in + at + 2, len - TAG);
            if (answer) {
                put_frame(&reply, in + at, len - TAG);
                if (!write_all(fd, in + at, 2 + len)) {
                    return bytes;
                }
            }
            at += 2 + len;
            bytes += len - TAG;
        }
        memmove(in, in + at, have - at);
        have -= at;
        if (have >= 2 && !read_some(fd, in, &have, have + 1, sizeof(in))) {
            return bytes;
        }
    }
    return bytes;
}

/** Sends full frames until the time is over or the other side has gone; how many bytes of plaintext. */
static uint64_t send_frames(int fd, enum cipher cipher, double seconds)
{
    static uint8_t out[FRAMES_EACH * (2 + FRAME_MAX)];
    struct seal s;
    seal_init(&s, cipher, true);
    uint64_t begun = now_ns(), bytes = 0;
    while ((double)(now_ns() - begun) < seconds * 1e9) {
        for (unsigned i = 0; i < FRAMES_EACH; i++) {
            put_frame(&s, out + i * (2 + FRAME_MAX), PLAIN_MAX);
        }
        if (!write_all(fd, out, sizeof(out))) {
            break;
        }
        bytes += FRAMES_EACH * PLAIN_MAX;
    }
    return bytes;
}

static void bulk(int fd, enum cipher cipher, double seconds, bool up, pid_t server)
{
    struct bench_cost before = bench_cost_of(server);
    uint64_t begun = now_ns(), bytes = up ? send_frames(fd, cipher, seconds) : serve(fd, cipher, false, seconds);
    bench_print("result", "seconds", (double)(now_ns() - begun) / 1e9, "bytes", (double)bytes, "count", 1.0, "server_cpu_s",
                (double)(bench_cost_of(server).cpu_ns - before.cpu_ns) / 1e9, NULL);
}

static void ping(int fd, enum cipher cipher, double seconds, pid_t server)
{
    uint8_t frame[2 + PING + TAG];
    struct seal out, back;
    struct bench_samples samples = {0};
    seal_init(&out, cipher, true);
    seal_init(&back, cipher, false);
    struct bench_cost before = bench_cost_of(server);
    uint64_t begun = now_ns();
    while ((double)(now_ns() - begun) < seconds * 1e9) {
        size_t have = 0;
        uint64_t sent = now_ns();
        put_frame(&out, frame, PING);
        if (!write_all(fd, frame, sizeof(frame)) || !read_some(fd, frame, &have, sizeof(frame), sizeof(frame))) {
            fail("round trip");
        }
        crypt_frame(&back, frame + 2, PING);
        bench_samples_add(&samples, now_ns() - sent);
    }
    bench_print("result", "seconds", (double)(now_ns() - begun) / 1e9, "count", (double)samples.len, "p50_us",
                bench_samples_at(&samples, 0.5) / 1e3, "p99_us", bench_samples_at(&samples, 0.99) / 1e3, "server_cpu_s",
                (double)(bench_cost_of(server).cpu_ns - before.cpu_ns) / 1e9, NULL);
}

static void pair(int *server_fd, int *client_fd)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(at);
    int one = 1;
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    *client_fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (listener < 0 || *client_fd < 0 || bind(listener, (struct sockaddr *)&at, len) != 0 || listen(listener, 1) != 0 ||
        getsockname(listener, (struct sockaddr *)&at, &len) != 0 || connect(*client_fd, (struct sockaddr *)&at, len) != 0) {
        fail("sockets");
    }
    *server_fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
    (void)setsockopt(*server_fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    (void)setsockopt(*client_fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    (void)close(listener);
}

int main(int argc, char **argv)
{
    int server_fd, client_fd;
    unsigned cipher = 0;
    const char *mode = argc > 2 ? argv[1] : "";
    double seconds = argc > 3 ? strtod(argv[3], NULL) : 2;
    bool up = strcmp(mode, "up") == 0, down = strcmp(mode, "down") == 0;
    while (argc > 2 && cipher < 4 && strcmp(argv[2], CIPHERS[cipher]) != 0) {
        cipher++;
    }
    if ((!up && !down && strcmp(mode, "ping") != 0) || cipher == 4) {
        (void)fprintf(stderr, "usage: bench_ceiling up|down|ping libgcrypt|libcrypto|libsodium|plain [SECONDS]\n");
        return 2;
    }
    if (sodium_init() < 0 || gcry_check_version(NULL) == NULL) {
        fail("libraries");
    }
    (void)gcry_control(GCRYCTL_DISABLE_SECMEM, 0);
    (void)gcry_control(GCRYCTL_INITIALIZATION_FINISHED, 0);
    pair(&server_fd, &client_fd);
    pid_t server = fork();
    if (server == 0) {
        (void)close(client_fd);
        /* To the end of the connection, which the client decides on. */
        (void)(down ? send_frames(server_fd, cipher, 1e6) : serve(server_fd, cipher, !up, 1e6));
        _exit(0);
    }
    (void)close(server_fd);
    if (up || down) {
        bulk(client_fd, cipher, seconds, up, server);
    } else {
        ping(client_fd, cipher, seconds, server);
    }
    (void)close(client_fd);
    (void)waitpid(server, NULL, 0);
    return 0;
}
