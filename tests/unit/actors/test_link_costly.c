/* SPDX-License-Identifier: MIT
 * What strangers may make a listener verify: the kind of a TLS certificate's key is the other side's choice, whatever identity
 * it proves. */
#include "link_scene.h"
#include "vectors.h"

#include "tls/backend.h"

#include <sodium.h>
#include <string.h>

#define PEERS 6  /* at one time: all are past the first look at their share before one has shown its certificate */
#define SHARE 2  /* of one address */
#define ROUNDS 60

static struct lp2p_rate rate;

static void random_bytes(void *ctx, void *out, size_t len)
{
    (void)ctx;
    randombytes_buf(out, len);
}
static const struct lp2p_rand any_bytes = {random_bytes, NULL};

static enum lp2p_err sign(void *ctx, struct lp2p_span message, uint8_t *out, size_t *len)
{
    *len = lp2p_private_key_sign(ctx, message, out);
    return *len > 0 ? LP2P_OK : LP2P_EINVAL;
}

/** Besides Noise the node speaks TLS. */
static void with_tls(struct lp2p_context *ctx, struct lp2p_listener_arg *listener, void *arg)
{
    (void)listener;
    (void)arg;
    const struct lp2p_tls_identity_options options = {.public_key = lp2p_public_key_encoded(&ctx->public_key),
                                                      .sign = sign,
                                                      .sign_ctx = &ctx->key,
                                                      .muxers = &ctx->muxers[0]->protocol,
                                                      .muxers_len = 1,
                                                      .rand = &any_bytes,
                                                      .wall_s = 1700000000};
    assert_int_equal(lp2p_tls_identity_init(&ctx->tls, &options), LP2P_OK);
    ctx->security[ctx->security_len++] = (struct lp2p_security){&lp2p_tls_secure, &ctx->tls};
    ctx->verify_rate = &rate;
}

/** A stranger who proves an Ed25519 identity with this certificate. */
static struct lp2p_tls_identity identity_of(yyjson_val *vector)
{
    struct lp2p_span chain = vectors_hex(vector, "certificate"), key = vectors_hex(vector, "secret");
    const struct lp2p_tls_material material = {.chain = &chain, .chain_len = 1, .key = key};
    struct lp2p_tls_identity identity = {.backend = lp2p_tls_backend_default(),
                                         .alpn = {"/yamux/1.0.0", "libp2p"},
                                         .muxers_len = 1,
                                         .handshake_bytes_max = 32768,
                                         .certificate_bytes_max = 8192};
    assert_int_equal(identity.backend->credentials_new(&material, &any_bytes, &identity.credentials), LP2P_OK);
    vectors_free(chain);
    vectors_free(key);
    return identity;
}

struct stranger {
    struct raw *raw;
    struct lp2p_secure *secure;
    size_t greeting; /* bytes of the answer to multistream-select that have yet to come */
};

static const char HELLO[] = "\x13/multistream/1.0.0\n\x0b/tls/1.0.0\n";

static void turn(struct stranger *stranger)
{
    static uint8_t out[65536];
    struct raw *raw = stranger->raw;
    size_t used = 0, len;
    raw_receive(raw);
    size_t part = LP2P_MIN(stranger->greeting, raw->in_len);
    stranger->greeting -= part;
    memmove(raw->in, raw->in + part, raw->in_len - part);
    raw->in_len -= part;
    if (stranger->greeting > 0 || raw->ended) {
        return;
    }
    (void)!lp2p_tls_secure.feed(stranger->secure, lp2p_span(raw->in, raw->in_len), 0, &used);
    raw->in_len = 0;
    while ((len = lp2p_tls_secure.drain(stranger->secure, out, sizeof(out), 0)) > 0) {
        raw_send(raw, out, len);
    }
}

/** Strangers of one address knock together; how many are taken for peers. */
static unsigned taken(yyjson_val *vector, struct lp2p_rate allowed)
{
    struct scene scene = {.also = with_tls};
    struct stranger strangers[PEERS];
    struct lp2p_tls_identity identity = identity_of(vector);
    rate = allowed;
    scene_begin(&scene);
    unsigned before = node_look(scene.node).upgraded;
    for (size_t i = 0; i < PEERS; i++) {
        const struct lp2p_secure_start start = {
            .identity = &identity, .initiator = true, .rand = &any_bytes, .wall_s = 1700000000};
        strangers[i] = (struct stranger){raw_new_from(scene.world, scene.node, world_machine(scene.world, MACHINES)),
                                         lp2p_tls_secure.start(&start), sizeof(HELLO) - 1};
        raw_send(strangers[i].raw, HELLO, sizeof(HELLO) - 1);
    }
    for (int round = 0; round < ROUNDS; round++) {
        for (size_t i = 0; i < PEERS; i++) {
            turn(&strangers[i]);
        }
        world_pass(scene.world, LP2P_MS(5));
    }
    unsigned good = node_look(scene.node).upgraded - before;
    for (size_t i = 0; i < PEERS; i++) {
        lp2p_secure_free(strangers[i].secure);
        raw_free(strangers[i].raw);
    }
    lp2p_tls_identity_wipe(&identity);
    scene_end(&scene);
    return good;
}

/** Costly kinds of certificates use up the share of their address, though the identity inside is Ed25519, and before they are
 * verified; what peers have as a rule costs nothing. Control: without that limit all are taken. */
static void test_AH9_certificates_are_charged(void **state)
{
    (void)state;
    yyjson_doc *doc = vectors_load("tls-keys.json");
    size_t i, max;
    yyjson_val *vector;
    yyjson_arr_foreach(vectors_array(doc, "certificates"), i, max, vector)
    {
        bool costly = vectors_flag(vector, "costly");
        unsigned good = taken(vector, (struct lp2p_rate){LP2P_SEC(3600), SHARE});
        assert_in_range(good, costly ? SHARE : PEERS, costly ? SHARE + 1 : PEERS); /* a bucket's edge */
        if (costly) {
            assert_int_equal(taken(vector, (struct lp2p_rate){0, 0}), PEERS);
        }
    }
    yyjson_doc_free(doc);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_AH9_certificates_are_charged),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
