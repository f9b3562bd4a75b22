/* SPDX-License-Identifier: MIT
 * Bytes from outside into a TLS handshake of either role, of the channel and of the web's sessions, with the
 * build's own backend. Some inputs go in as a change to a good flight, so that what lies behind the first message
 * is reached; some are a script for two sessions of the web that talk over a line which may cut, change and add bytes. */
#include "base/check.h"
#include "tls/session.h"
#include "tls/tls.h"

#include <sodium.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define NOW ((int64_t)1795000000)

static struct lp2p_rand_seeded generator;
static struct lp2p_rand source;
static struct lp2p_tls_identity identity;
static struct lp2p_tls_web *server, *client;
static uint8_t secret[64];

static enum lp2p_err sign(void *ctx, struct lp2p_span message, uint8_t *out, size_t *len)
{
    (void)ctx;
    crypto_sign_detached(out, NULL, message.ptr, message.len, secret);
    *len = 64;
    return LP2P_OK;
}

static void prepare(void)
{
    static const char *const muxers[] = {"/yamux/1.0.0"}, *const names[] = {"localhost"};
    uint8_t seed[32] = {1}, public_key[32];
    struct lp2p_public_key key;
    lp2p_rand_seeded_init(&generator, 1);
    source = lp2p_rand_seeded_source(&generator);
    crypto_sign_seed_keypair(public_key, secret, seed);
    LP2P_CHECK(lp2p_public_key_make(LP2P_KEY_ED25519, lp2p_span(public_key, 32), &key) == LP2P_OK);
    const struct lp2p_tls_identity_options options = {.public_key = lp2p_public_key_encoded(&key),
                                                      .sign = sign,
                                                      .muxers = muxers,
                                                      .muxers_len = 1,
                                                      .rand = &source,
                                                      .wall_s = NOW};
    LP2P_CHECK(lp2p_tls_identity_init(&identity, &options) == LP2P_OK);
    LP2P_CHECK(lp2p_tls_web_self_made(NULL, names, 1, &source, NOW, &server) == LP2P_OK);
    LP2P_CHECK(lp2p_tls_web_client_unverified(NULL, &source, &client) == LP2P_OK);
}

static struct lp2p_secure *start(bool initiator)
{
    const struct lp2p_secure_start how = {
        .identity = &identity, .initiator = initiator, .rand = &source, .wall_s = NOW};
    struct lp2p_secure *secure = lp2p_tls_secure.start(&how);
    LP2P_CHECK(secure != NULL);
    return secure;
}

static enum lp2p_err feed_pieces(struct lp2p_secure *secure, struct lp2p_span in)
{
    enum lp2p_err err = LP2P_OK;
    struct lp2p_secure_event event;
    for (size_t step = 1; in.len > 0 && err == LP2P_OK; step = step * 3 % 1021) {
        size_t used = 0, part = LP2P_MIN(step, in.len);
        uint8_t *copy = malloc(part);
        memcpy(copy, in.ptr, part);
        err = lp2p_tls_secure.feed(secure, lp2p_span(copy, part), 0, &used);
        free(copy);
        LP2P_CHECK(used <= part);
        lp2p_tls_secure.next(secure, &event);
        LP2P_CHECK((event.kind == LP2P_SECURE_FAILED) == (err != LP2P_OK));
        if (used < part) {
            break;
        }
        in = lp2p_span_skip(in, used);
    }
    return err;
}

static void raw(bool initiator, struct lp2p_span in)
{
    uint8_t out[4096];
    struct lp2p_secure *secure = start(initiator);
    (void)lp2p_tls_secure.drain(secure, out, sizeof(out), 0);
    (void)feed_pieces(secure, in);
    while (lp2p_tls_secure.drain(secure, out, sizeof(out), 0) > 0) {
    }
    lp2p_tls_secure.free(secure);
}

/** Flight number `flight` of a good handshake, changed by the input: pairs of a place and what is added
 * there. */
static void changed(unsigned flight, struct lp2p_span in)
{
    struct lp2p_secure *ends[2] = {start(true), start(false)};
    uint8_t wire[8192];
    size_t used = 0;
    bool same = true;
    for (unsigned f = 0; f <= flight; f++) {
        size_t len = lp2p_tls_secure.drain(ends[f % 2], wire, sizeof(wire), 0);
        for (size_t i = 0; f == flight && i + 2 < in.len; i += 3) {
            wire[((size_t)in.ptr[i] << 8 | in.ptr[i + 1]) % len] ^= in.ptr[i + 2];
            same = same && in.ptr[i + 2] == 0;
        }
        enum lp2p_err err = lp2p_tls_secure.feed(ends[1 - f % 2], lp2p_span(wire, len), 0, &used);
        LP2P_CHECK(f == flight || err == LP2P_OK);
        if (f == flight && flight == 2 && err == LP2P_OK) {
            struct lp2p_secure_event event;
            lp2p_tls_secure.next(ends[1], &event);
            /* Only padding of a record's head may differ: the version in it is not looked at. */
            LP2P_CHECK(same || event.kind != LP2P_SECURE_ESTABLISHED || in.len > 2);
        }
    }
    lp2p_tls_secure.free(ends[0]);
    lp2p_tls_secure.free(ends[1]);
}

static void session(bool is_server, struct lp2p_span in)
{
    struct lp2p_tls_session *one =
        lp2p_tls_session_new(is_server ? server : client, is_server ? NULL : "localhost", &source, NOW);
    uint8_t out[4096];
    size_t used = 0;
    LP2P_CHECK(one != NULL);
    enum lp2p_err err = lp2p_tls_session_feed(one, in, 0, &used);
    LP2P_CHECK(used <= in.len);
    LP2P_CHECK(err == LP2P_OK || lp2p_tls_session_state(one) == LP2P_TLS_SESSION_ENDED);
    while (lp2p_tls_session_drain(one, out, sizeof(out), 0) > 0) {
    }
    lp2p_tls_session_free(one);
}

/* ---- two sessions and a line */

#define TALK_LINE_MAX (1u << 17)

struct talk {
    struct lp2p_tls_session *ends[2];
    uint8_t line[2][TALK_LINE_MAX]; /* of what each end has said, what is still on the way */
    size_t len[2];
    uint32_t written[2], got[2]; /* plain bytes of each end, and of them what the other end has read */
};

static uint8_t plain_byte(uint32_t number)
{
    return (uint8_t)(number * 7 + (number >> 8));
}

static void talk_write(struct talk *talk, int end, size_t len)
{
    uint8_t plain[16384];
    size_t put = 0;
    len = LP2P_MIN(len, sizeof(plain));
    for (size_t i = 0; i < len; i++) {
        plain[i] = plain_byte(talk->written[end] + (uint32_t)i);
    }
    enum lp2p_err err = lp2p_tls_session_write(talk->ends[end], lp2p_span(plain, len), &put);
    LP2P_CHECK(put <= len && (err == LP2P_OK || put == 0));
    talk->written[end] += (uint32_t)put;
}

/** Puts what an end has to say on the line, and gives `cap` bytes of the line to the other end. */
static void talk_carry(struct talk *talk, int from, size_t cap)
{
    size_t used = 0, room = TALK_LINE_MAX - talk->len[from];
    talk->len[from] += lp2p_tls_session_drain(talk->ends[from], talk->line[from] + talk->len[from], room, 0);
    cap = LP2P_MIN(cap, talk->len[from]);
    enum lp2p_err err = lp2p_tls_session_feed(talk->ends[1 - from], lp2p_span(talk->line[from], cap), 0, &used);
    LP2P_CHECK(used <= cap);
    LP2P_CHECK(err == LP2P_OK || lp2p_tls_session_state(talk->ends[1 - from]) == LP2P_TLS_SESSION_ENDED);
    memmove(talk->line[from], talk->line[from] + used, talk->len[from] - used);
    talk->len[from] -= used;
}

/** Whatever was done to the line: what is read is what was written, from the beginning, without a gap. */
static void talk_read(struct talk *talk, int end, size_t cap)
{
    uint8_t plain[16384];
    size_t got = 0;
    enum lp2p_err err = lp2p_tls_session_read(talk->ends[end], plain, LP2P_MIN(cap, sizeof(plain)), &got);
    LP2P_CHECK(err == LP2P_OK || got == 0);
    LP2P_CHECK(err != LP2P_EAGAIN || !lp2p_tls_session_holds_input(talk->ends[end]));
    uint32_t *number = &talk->got[1 - end];
    for (size_t i = 0; i < got; i++) {
        LP2P_CHECK(*number < talk->written[1 - end] && plain[i] == plain_byte(*number));
        ++*number;
    }
}

/** One step of the script: what, and a number. */
static void talk_step(struct talk *talk, uint8_t what, uint8_t number)
{
    int end = what & 1;
    switch (what >> 1 & 7) {
    case 0:
        talk_write(talk, end, number * (size_t)67);
        break;
    case 1:
        talk_carry(talk, end, number);
        break;
    case 2:
        talk_carry(talk, end, TALK_LINE_MAX);
        break;
    case 3:
        talk_read(talk, end, number * (size_t)67);
        break;
    case 4:
        lp2p_tls_session_close(talk->ends[end]);
        break;
    case 5: /* a byte changes on the way */
        if (talk->len[end] > 0) {
            talk->line[end][number % talk->len[end]] ^= (uint8_t)(1u << (what >> 5));
        }
        break;
    case 6: /* a byte more */
        if (talk->len[end] < TALK_LINE_MAX) {
            talk->line[end][talk->len[end]++] = number;
        }
        break;
    default: /* the line is cut, and goes on with what follows */
        talk->len[end] -= LP2P_MIN(talk->len[end], (size_t)number);
        break;
    }
}

static void talk_run(bool open, struct lp2p_span in)
{
    static struct talk talk;
    memset(talk.len, 0, sizeof(talk.len));
    memset(talk.written, 0, sizeof(talk.written));
    memset(talk.got, 0, sizeof(talk.got));
    talk.ends[0] = lp2p_tls_session_new(client, "localhost", &source, NOW);
    talk.ends[1] = lp2p_tls_session_new(server, NULL, &source, NOW);
    LP2P_CHECK(talk.ends[0] != NULL && talk.ends[1] != NULL);
    for (int i = 0; open && i < 4; i++) {
        talk_carry(&talk, i % 2, TALK_LINE_MAX);
    }
    for (int i = 0; open && i < 2; i++) {
        LP2P_CHECK(lp2p_tls_session_state(talk.ends[i]) == LP2P_TLS_SESSION_OPEN);
    }
    for (size_t i = 0; i + 1 < in.len && i < 1000; i += 2) {
        talk_step(&talk, in.ptr[i], in.ptr[i + 1]);
    }
    for (int i = 0; i < 2; i++) {
        LP2P_CHECK(lp2p_tls_session_memory_bytes(talk.ends[i]) < 4 * (size_t)TALK_LINE_MAX);
        lp2p_tls_session_free(talk.ends[i]);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0 || size > 40000) {
        return 0;
    }
    if (identity.credentials == NULL) {
        prepare();
    }
    struct lp2p_span in = lp2p_span(data + 1, size - 1);
    switch (data[0] % 9) {
    case 0:
    case 1:
        raw(data[0] % 2 == 0, in);
        break;
    case 2:
    case 3:
    case 4:
        changed(data[0] % 9 - 2, in);
        break;
    case 5:
    case 6:
        session(data[0] % 9 == 6, in);
        break;
    default:
        talk_run(data[0] % 9 == 7, in);
        break;
    }
    return 0;
}
