/* SPDX-License-Identifier: MIT
 * Peers that are not ours: plain OpenSSL on the other side, with one fault each, against both roles of the
 * channel and all backends. */
#include "tls_craft.h"

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/rsa.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <cmocka.h>

static const char *const YAMUX[] = {"/yamux/1.0.0"};
static const uint8_t ALPN_BOTH[] = "\x0c/yamux/1.0.0\x06libp2p", ALPN_OTHER[] = "\x08http/1.1",
                     ALPN_LIBP2P[] = "\x06libp2p";

/** How the other side deviates. */
struct manners {
    const char *name;
    bool old_version, no_certificate, two_certificates, tickets, no_alpn;
    struct lp2p_span alpn;
    size_t padding; /* bytes of an extension that nobody knows */
    bool no_extension, bad_word, old_dates;
    bool bad_self; /* signed by another key of its kind; only with `key` */
    const char *key; /* of the certificate, by its name in OpenSSL; NULL: P-256 */
    const char *groups, *suites;
    bool no_compat;      /* without the empty records that old middleboxes want to see */
    unsigned fragment;   /* bytes of a record; 0: as many as there are */
    unsigned block;      /* records are filled up to a multiple of it */
    enum lp2p_err err;     /* what ours says of it as the listener */
    bool also_as_listener; /* the same of ours as the dialer */
};

static const struct manners GOOD = {.name = "good", .also_as_listener = true};
static const struct manners FAULTS[] = {
    {.name = "chain of two", .two_certificates = true, .err = LP2P_EPROTO, .also_as_listener = true},
    {.name = "no extension", .no_extension = true, .err = LP2P_EPROTO, .also_as_listener = true},
    {.name = "bad signature", .bad_word = true, .err = LP2P_ESIGNATURE, .also_as_listener = true},
    {.name = "expired", .old_dates = true, .err = LP2P_EEXPIRED, .also_as_listener = true},
    {.name = "TLS 1.2", .old_version = true, .err = LP2P_EVERSION, .also_as_listener = true},
    {.name = "no client certificate", .no_certificate = true, .err = LP2P_EPROTO},
    {.name = "other ALPN", .alpn = {ALPN_OTHER, sizeof(ALPN_OTHER) - 1}, .err = LP2P_ENEGOTIATION},
    {.name = "certificate of 15 KiB", .padding = 15000, .err = LP2P_EOVERSIZE, .also_as_listener = true},
    {.name = "certificate of 64 KiB", .padding = 64000, .err = LP2P_EOVERSIZE, .also_as_listener = true},
};

struct peer {
    SSL_CTX *ctx;
    SSL *ssl;
    struct kit_node node;
};

static int anything(X509_STORE_CTX *store, void *ctx)
{
    (void)store;
    (void)ctx;
    return 1;
}

static int choose(SSL *ssl, const unsigned char **out, unsigned char *out_len, const unsigned char *in,
                  unsigned int in_len, void *ctx)
{
    (void)ssl;
    (void)in_len;
    (void)ctx;
    *out = in + 1;
    *out_len = in[0];
    return SSL_TLSEXT_ERR_OK;
}

static EVP_PKEY *make_key(const char *name)
{
    if (strncmp(name, "RSA", 3) == 0) {
        return EVP_PKEY_Q_keygen(NULL, NULL, "RSA", (size_t)2048);
    }
    return strcmp(name, "ED25519") == 0 ? EVP_PKEY_Q_keygen(NULL, NULL, name)
                                        : EVP_PKEY_Q_keygen(NULL, NULL, "EC", name);
}

/** With the hash that belongs to the key; "RSA-PSS" names the padding. */
static int sign_certificate(X509 *x, EVP_PKEY *pkey, const char *name)
{
    const EVP_MD *md = strcmp(name, "ED25519") == 0 ? NULL
                       : strcmp(name, "P-384") == 0 ? EVP_sha384()
                       : strcmp(name, "P-521") == 0 ? EVP_sha512()
                                                    : EVP_sha256();
    EVP_PKEY_CTX *options = NULL; /* belongs to the digest's context */
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    assert_int_equal(EVP_DigestSignInit(ctx, &options, md, NULL, pkey), 1);
    if (strcmp(name, "RSA-PSS") == 0) {
        assert_int_equal(EVP_PKEY_CTX_set_rsa_padding(options, RSA_PKCS1_PSS_PADDING), 1);
        assert_int_equal(EVP_PKEY_CTX_set_rsa_pss_saltlen(options, RSA_PSS_SALTLEN_DIGEST), 1);
    }
    int len = X509_sign_ctx(x, ctx);
    EVP_MD_CTX_free(ctx);
    return len;
}

/** A certificate with a key of another kind, made by OpenSSL. */
static void load_other_key(struct peer *peer, const char *name, bool bad_self)
{
    static const uint8_t prefix[] = "libp2p-tls-handshake:";
    uint8_t statement[600], signature[64], *info = NULL;
    struct craft_bytes *value = calloc(1, sizeof(*value));
    EVP_PKEY *pkey = make_key(name);
    int len = i2d_PUBKEY(pkey, &info);
    assert_in_range(len, 1, sizeof(statement) - 21);
    memcpy(statement, prefix, 21);
    memcpy(statement + 21, info, (size_t)len);
    crypto_sign_detached(signature, NULL, statement, 21 + (size_t)len, peer->node.sk);
    craft_put(value, 0x04, peer->node.key.encoded, peer->node.key.encoded_len);
    craft_put(value, 0x04, signature, sizeof(signature));
    craft_wrap(value, 0, 0x30);
    X509 *x = X509_new();
    X509_set_version(x, 2);
    ASN1_INTEGER_set(X509_get_serialNumber(x), 7);
    ASN1_TIME_set(X509_getm_notBefore(x), (time_t)(KIT_NOW - 1000));
    ASN1_TIME_set(X509_getm_notAfter(x), (time_t)(KIT_NOW + 1000));
    X509_set_pubkey(x, pkey);
    ASN1_OBJECT *oid = OBJ_txt2obj("1.3.6.1.4.1.53594.1.1", 1);
    ASN1_OCTET_STRING *octets = ASN1_OCTET_STRING_new();
    ASN1_OCTET_STRING_set(octets, value->bytes, (int)value->len);
    X509_EXTENSION *extension = X509_EXTENSION_create_by_OBJ(NULL, oid, 1, octets);
    X509_add_ext(x, extension, -1);
    EVP_PKEY *signer = bad_self ? make_key(name) : pkey;
    assert_true(sign_certificate(x, signer, name) > 0);
    if (signer != pkey) {
        EVP_PKEY_free(signer);
    }
    assert_int_equal(SSL_CTX_use_certificate(peer->ctx, x), 1);
    assert_int_equal(SSL_CTX_use_PrivateKey(peer->ctx, pkey), 1);
    X509_EXTENSION_free(extension);
    ASN1_OCTET_STRING_free(octets);
    ASN1_OBJECT_free(oid);
    X509_free(x);
    EVP_PKEY_free(pkey);
    OPENSSL_free(info);
    free(value);
}

static void load_certificate(struct peer *peer, const struct manners *how)
{
    struct craft_bytes *value = calloc(1, sizeof(*value)), *list = calloc(1, sizeof(*list)),
                       *der = calloc(1, sizeof(*der));
    struct lp2p_tls_key key;
    struct kit_node other;
    uint8_t key_der[LP2P_TLS_KEY_DER_MAX], *padding = calloc(1, how->padding + 1);
    kit_node_keys(&other, 99);
    assert_int_equal(lp2p_tls_key_generate(&kit_rand, &key), LP2P_OK);
    struct kit_node liar = peer->node;
    memcpy(liar.sk, other.sk, sizeof(liar.sk));
    craft_signed_key(value, how->bad_word ? &liar : &peer->node, &key);
    craft_extension(list,
                    how->no_extension ? lp2p_span(CRAFT_OTHER, sizeof(CRAFT_OTHER))
                                      : lp2p_span(CRAFT_LIBP2P, sizeof(CRAFT_LIBP2P)),
                    false, lp2p_span(value->bytes, value->len));
    if (how->padding > 0) {
        craft_extension(list, lp2p_span(CRAFT_OTHER, sizeof(CRAFT_OTHER)), false,
                        lp2p_span(padding, how->padding));
    }
    const struct craft craft = {.key = &key,
                                .extensions = lp2p_span(list->bytes, list->len),
                                .from_s = how->old_dates ? KIT_NOW - 9000 : 0,
                                .to_s = how->old_dates ? KIT_NOW - 8000 : 0};
    craft_make(&craft, der);
    const uint8_t *at = key_der;
    EVP_PKEY *pkey = d2i_AutoPrivateKey(NULL, &at, (long)lp2p_tls_key_der(&key, key_der));
    assert_int_equal(SSL_CTX_use_certificate_ASN1(peer->ctx, (int)der->len, der->bytes), 1);
    assert_int_equal(SSL_CTX_use_PrivateKey(peer->ctx, pkey), 1);
    if (how->two_certificates) {
        at = der->bytes;
        X509 *again = d2i_X509(NULL, &at, (long)der->len);
        assert_int_equal(SSL_CTX_add1_chain_cert(peer->ctx, again), 1);
        X509_free(again);
    }
    EVP_PKEY_free(pkey);
    free(padding);
    free(value);
    free(list);
    free(der);
}

static void peer_init(struct peer *peer, const struct manners *how, bool server)
{
    kit_node_keys(&peer->node, 50);
    peer->ctx = SSL_CTX_new(TLS_method());
    if (how->old_version) {
        SSL_CTX_set_max_proto_version(peer->ctx, TLS1_2_VERSION);
    }
    SSL_CTX_set_cert_verify_callback(peer->ctx, anything, NULL);
    SSL_CTX_set_verify(peer->ctx, SSL_VERIFY_PEER, NULL);
    SSL_CTX_set_alpn_select_cb(peer->ctx, choose, NULL);
    if (how->key != NULL) {
        load_other_key(peer, how->key, how->bad_self);
    } else if (!how->no_certificate) {
        load_certificate(peer, how);
    }
    if (how->groups != NULL) {
        assert_int_equal(SSL_CTX_set1_groups_list(peer->ctx, how->groups), 1);
    }
    if (how->suites != NULL) {
        assert_int_equal(SSL_CTX_set_ciphersuites(peer->ctx, how->suites), 1);
    }
    if (how->no_compat) {
        SSL_CTX_clear_options(peer->ctx, SSL_OP_ENABLE_MIDDLEBOX_COMPAT);
    }
    if (how->fragment > 0) {
        assert_int_equal(SSL_CTX_set_max_send_fragment(peer->ctx, how->fragment), 1);
    }
    if (how->block > 0) {
        assert_int_equal(SSL_CTX_set_block_padding(peer->ctx, how->block), 1);
    }
    peer->ssl = SSL_new(peer->ctx);
    SSL_set_bio(peer->ssl, BIO_new(BIO_s_mem()), BIO_new(BIO_s_mem()));
    if (server) {
        SSL_set_accept_state(peer->ssl);
        return;
    }
    SSL_set_connect_state(peer->ssl);
    struct lp2p_span alpn = how->alpn.len > 0 ? how->alpn : lp2p_span(ALPN_BOTH, sizeof(ALPN_BOTH) - 1);
    if (!how->no_alpn) {
        assert_int_equal(SSL_set_alpn_protos(peer->ssl, alpn.ptr, (unsigned int)alpn.len), 0);
    }
}

static void peer_fini(struct peer *peer)
{
    SSL_free(peer->ssl);
    SSL_CTX_free(peer->ctx);
    ERR_clear_error();
}

/** Shakes hands as far as it goes; the verdict of ours. Frames are not touched: *rest has what came behind
 * the handshake. */
static enum lp2p_err shake(struct peer *peer, struct lp2p_secure *ours, struct craft_bytes *rest)
{
    enum lp2p_err err = LP2P_OK;
    rest->len = 0;
    for (int round = 0; round < 12; round++) {
        uint8_t bytes[20000];
        size_t len = lp2p_tls_secure.drain(ours, bytes, sizeof(bytes), 0);
        if (len > 0) {
            BIO_write(SSL_get_rbio(peer->ssl), bytes, (int)len);
        }
        (void)SSL_do_handshake(peer->ssl);
        int got;
        while ((got = BIO_read(SSL_get_wbio(peer->ssl), bytes, sizeof(bytes))) > 0) {
            size_t used = 0;
            if (err == LP2P_OK) {
                err = lp2p_tls_secure.feed(ours, lp2p_span(bytes, (size_t)got), 0, &used);
            }
            if (err == LP2P_OK) {
                craft_add(rest, bytes + used, (size_t)got - used);
            }
        }
    }
    return err;
}

struct listener {
    struct kit_node node;
    struct lp2p_secure *secure;
    unsigned asked; /* whether something costly may be verified */
    enum lp2p_err answer;
};

static enum lp2p_err on_costly(void *ctx, lp2p_time now)
{
    struct listener *ours = ctx;
    (void)now;
    ours->asked++;
    return ours->answer;
}

/** One meeting with a peer of these manners; ours is the listener, or the dialer. */
static struct lp2p_secure_event meet(struct listener *ours, const struct manners *how, bool dial,
                                     enum lp2p_err *err)
{
    struct peer peer;
    struct craft_bytes *rest = calloc(1, sizeof(*rest));
    peer_init(&peer, how, dial);
    const struct lp2p_secure_start start = {.identity = &ours->node.identity,
                                            .initiator = dial,
                                            .expected = dial ? &peer.node.id : NULL,
                                            .rand = &kit_rand,
                                            .wall_s = KIT_NOW,
                                            .costly = on_costly,
                                            .costly_ctx = ours};
    ours->asked = 0;
    ours->secure = lp2p_tls_secure.start(&start);
    assert_non_null(ours->secure);
    *err = shake(&peer, ours->secure, rest);
    struct lp2p_secure_event event = kit_next(ours->secure);
    if (event.kind == LP2P_SECURE_ESTABLISHED) {
        assert_true(lp2p_peer_id_eq(&event.peer, &peer.node.id));
        /* What was said after the handshake (tickets, when ours dials) is read and ignored. */
        size_t one = 0;
        for (size_t at = 0; at < rest->len; at += one) {
            struct lp2p_span plain;
            assert_int_equal(lp2p_tls_secure.frame_size(lp2p_span(rest->bytes + at, rest->len - at), &one),
                             LP2P_OK);
            assert_int_equal(lp2p_tls_secure.open(ours->secure, rest->bytes + at, one, &plain), LP2P_OK);
            assert_int_equal(plain.len, 0);
        }
        /* Data both ways. */
        uint8_t frame[2000], bytes[2000];
        size_t size = 0;
        memcpy(frame + 5, "from ours", 9);
        assert_int_equal(lp2p_tls_secure.seal(ours->secure, frame, 9, &size), LP2P_OK);
        BIO_write(SSL_get_rbio(peer.ssl), frame, (int)size);
        assert_int_equal(SSL_read(peer.ssl, bytes, sizeof(bytes)), 9);
        assert_memory_equal(bytes, "from ours", 9);
        assert_int_equal(SSL_write(peer.ssl, "to ours", 7), 7);
        size = (size_t)BIO_read(SSL_get_wbio(peer.ssl), bytes, sizeof(bytes));
        struct lp2p_span plain;
        assert_int_equal(lp2p_tls_secure.open(ours->secure, bytes, size, &plain), LP2P_OK);
        assert_true(lp2p_span_eq_str(plain, "to ours"));
        /* New keys, asked for by the other side, and a clean end. */
        assert_int_equal(SSL_key_update(peer.ssl, SSL_KEY_UPDATE_REQUESTED), 1);
        assert_int_equal(SSL_write(peer.ssl, "again", 5), 5);
        size = (size_t)BIO_read(SSL_get_wbio(peer.ssl), bytes, sizeof(bytes));
        for (size_t at = 0; at < size; at += one) {
            assert_int_equal(lp2p_tls_secure.frame_size(lp2p_span(bytes + at, size - at), &one), LP2P_OK);
            assert_int_equal(lp2p_tls_secure.open(ours->secure, bytes + at, one, &plain), LP2P_OK);
        }
        assert_true(lp2p_span_eq_str(plain, "again"));
        memcpy(frame + 5, "new keys", 8);
        assert_int_equal(lp2p_tls_secure.seal(ours->secure, frame, 8, &size), LP2P_OK);
        BIO_write(SSL_get_rbio(peer.ssl), frame, (int)size);
        assert_int_equal(SSL_read(peer.ssl, bytes, sizeof(bytes)), 8);
        size = lp2p_tls_secure.finish(ours->secure, frame);
        BIO_write(SSL_get_rbio(peer.ssl), frame, (int)size);
        assert_int_equal(SSL_read(peer.ssl, bytes, sizeof(bytes)), 0);
        assert_int_equal(SSL_get_shutdown(peer.ssl) & SSL_RECEIVED_SHUTDOWN, SSL_RECEIVED_SHUTDOWN);
    }
    lp2p_secure_free(ours->secure);
    peer_fini(&peer);
    free(rest);
    return event;
}

static void test_tls_peers_good(void **state)
{
    (void)state;
    for (size_t i = 0; i < LP2P_ARRAY_LEN(kit_backends); i++) {
        struct listener ours = {.answer = LP2P_OK};
        enum lp2p_err err;
        kit_node_init(&ours.node, 1, kit_backends[i], YAMUX, 1);
        for (int dial = 0; dial < 2; dial++) {
            struct lp2p_secure_event event = meet(&ours, &GOOD, dial != 0, &err);
            assert_int_equal(event.kind, LP2P_SECURE_ESTABLISHED);
            assert_int_equal(event.muxer, 0);
        }
        /* Without ALPN, or as rust: the muxer is negotiated later. */
        struct manners how = GOOD;
        how.no_alpn = true;
        assert_int_equal(meet(&ours, &how, false, &err).muxer, -1);
        how = GOOD;
        how.alpn = lp2p_span(ALPN_LIBP2P, sizeof(ALPN_LIBP2P) - 1);
        struct lp2p_secure_event event = meet(&ours, &how, false, &err);
        assert_int_equal(event.kind, LP2P_SECURE_ESTABLISHED);
        assert_int_equal(event.muxer, -1);
        lp2p_tls_identity_wipe(&ours.node.identity);
    }
}

static void test_AH11_tls_bad_peers(void **state)
{
    (void)state;
    for (size_t i = 0; i < LP2P_ARRAY_LEN(kit_backends); i++) {
        struct listener ours = {.answer = LP2P_OK};
        enum lp2p_err err;
        kit_node_init(&ours.node, 1, kit_backends[i], YAMUX, 1);
        for (size_t k = 0; k < LP2P_ARRAY_LEN(FAULTS); k++) {
            for (int dial = 0; dial <= (FAULTS[k].also_as_listener ? 1 : 0); dial++) {
                struct lp2p_secure_event event = meet(&ours, &FAULTS[k], dial != 0, &err);
                if (event.kind != LP2P_SECURE_FAILED || event.reason != FAULTS[k].err) {
                    print_message("# %s, %s, dial %d: %s, not %s\n", kit_backends[i]->name, FAULTS[k].name,
                                  dial, lp2p_errname(event.reason), lp2p_errname(FAULTS[k].err));
                }
                assert_int_equal(event.kind, LP2P_SECURE_FAILED);
                assert_int_equal(event.reason, FAULTS[k].err);
                assert_int_equal(event.reason, err);
                /* Alive: the next good one is taken. */
                assert_int_equal(meet(&ours, &GOOD, dial != 0, &err).kind, LP2P_SECURE_ESTABLISHED);
            }
        }
        lp2p_tls_identity_wipe(&ours.node.identity);
    }
}

/** The negative control of the row's sizes: without the limits, a large certificate is as good as any
 * (mbedTLS itself takes no message over 16 KiB). */
static void test_AH11_tls_control_without_limits(void **state)
{
    (void)state;
    for (size_t i = 0; i < LP2P_ARRAY_LEN(kit_backends); i++) {
        struct listener ours = {.answer = LP2P_OK};
        enum lp2p_err err;
        struct manners how = GOOD;
        how.padding = strcmp(kit_backends[i]->name, "openssl") == 0 ? 60000 : 15000;
        kit_node_init(&ours.node, 1, kit_backends[i], YAMUX, 1);
        assert_int_equal(meet(&ours, &how, false, &err).kind, LP2P_SECURE_FAILED);
        assert_int_equal(err, LP2P_EOVERSIZE);
        ours.node.identity.certificate_bytes_max = ours.node.identity.handshake_bytes_max = 200000;
        struct lp2p_secure_event event = meet(&ours, &how, false, &err);
        assert_int_equal(event.kind, LP2P_SECURE_ESTABLISHED);
        lp2p_tls_identity_wipe(&ours.node.identity);
    }
}

/** A certificate whose own key is Ed25519: legal and rare. OpenSSL can check its handshake, mbedTLS cannot
 * and says so. */
static void test_tls_peers_ed25519_certificate(void **state)
{
    (void)state;
    for (size_t i = 0; i < LP2P_ARRAY_LEN(kit_backends); i++) {
        struct listener ours = {.answer = LP2P_OK};
        enum lp2p_err err;
        struct manners how = GOOD;
        bool able = strcmp(kit_backends[i]->name, "openssl") == 0;
        how.key = "ED25519";
        kit_node_init(&ours.node, 1, kit_backends[i], YAMUX, 1);
        struct lp2p_secure_event event = meet(&ours, &how, false, &err);
        assert_int_equal(event.kind, able ? LP2P_SECURE_ESTABLISHED : LP2P_SECURE_FAILED);
        if (!able) {
            assert_int_not_equal(err, LP2P_OK);
        }
        lp2p_tls_identity_wipe(&ours.node.identity);
    }
}

/** Whoever speaks TLS 1.3 in another way than go, js and rust do is a good peer as well. */
static void test_tls_peers_odd_but_legal(void **state)
{
    (void)state;
    static uint8_t long_alpn[3 * 251 + 13]; /* three protocols that nobody knows, then ours: a first message in two records */
    for (size_t i = 0; i < 3; i++) {
        long_alpn[i * 251] = 250;
        memset(long_alpn + i * 251 + 1, 'x', 250);
    }
    memcpy(long_alpn + sizeof(long_alpn) - 13, ALPN_BOTH, 13);
    static const struct manners odd[] = {
        {.name = "key P-384", .key = "P-384"},
        {.name = "key P-521", .key = "P-521"},
        {.name = "key RSA", .key = "RSA"},
        {.name = "key RSA, signed with PSS", .key = "RSA-PSS"},
        {.name = "P-256 only", .groups = "P-256"},
        {.name = "P-384 only", .groups = "P-384"},
        {.name = "a first guess that we do not have", .groups = "X448:P-521:P-256"},
        {.name = "ChaCha20 only", .suites = "TLS_CHACHA20_POLY1305_SHA256"},
        {.name = "AES-256 first", .suites = "TLS_AES_256_GCM_SHA384:TLS_AES_128_GCM_SHA256"},
        {.name = "no middlebox mode", .no_compat = true},
        {.name = "messages in many records", .fragment = 512, .padding = 4000},
        {.name = "first message in many records", .fragment = 512, .alpn = {long_alpn, sizeof(long_alpn)}},
        {.name = "padded records", .block = 500},
        {.name = "padded pieces and another group", .block = 300, .fragment = 512, .groups = "P-521:P-384"},
    };
    for (size_t i = 0; i < LP2P_ARRAY_LEN(kit_backends); i++) {
        struct listener ours = {.answer = LP2P_OK};
        kit_node_init(&ours.node, 1, kit_backends[i], YAMUX, 1);
        for (size_t k = 0; k < LP2P_ARRAY_LEN(odd); k++) {
            for (int dial = 0; dial < 2; dial++) {
                enum lp2p_err err;
                struct lp2p_secure_event event = meet(&ours, &odd[k], dial != 0, &err);
                if (event.kind != LP2P_SECURE_ESTABLISHED) {
                    print_message("# %s, %s, dial %d: %s\n", kit_backends[i]->name, odd[k].name, dial,
                                  lp2p_errname(event.reason));
                }
                assert_int_equal(event.kind, LP2P_SECURE_ESTABLISHED);
                assert_int_equal(event.muxer, 0);
            }
        }
        lp2p_tls_identity_wipe(&ours.node.identity);
    }
}

/** Before a key is used that costs more than usual, somebody is asked who may refuse; then its signature, which is wrong
 * here, is not even looked at. */
static void test_AH9_tls_asks_before_costly_keys(void **state)
{
    (void)state;
    static const struct {
        struct manners how;
        bool costly;
    } cases[] = {
        {{.name = "P-256"}, false},          {{.name = "P-384", .key = "P-384"}, true},
        {{.name = "P-521", .key = "P-521"}, true}, {{.name = "RSA", .key = "RSA"}, true},
        {{.name = "RSA-PSS", .key = "RSA-PSS"}, true},
    };
    for (size_t i = 0; i < LP2P_ARRAY_LEN(kit_backends); i++) {
        struct listener ours = {.answer = LP2P_OK};
        kit_node_init(&ours.node, 1, kit_backends[i], YAMUX, 1);
        for (size_t k = 0; k < 2 * LP2P_ARRAY_LEN(cases); k++) {
            enum lp2p_err err;
            struct manners how = cases[k / 2].how;
            bool refused = k % 2 == 1;
            how.bad_self = refused && cases[k / 2].costly;
            ours.answer = refused ? LP2P_ELIMIT : LP2P_OK;
            struct lp2p_secure_event event = meet(&ours, &how, false, &err);
            assert_int_equal(ours.asked, cases[k / 2].costly);
            assert_int_equal(err, refused && cases[k / 2].costly ? LP2P_ELIMIT : LP2P_OK);
            assert_int_equal(event.kind == LP2P_SECURE_ESTABLISHED, err == LP2P_OK);
        }
        lp2p_tls_identity_wipe(&ours.node.identity);
    }
}

/** No name is sent, and what the first message offers is TLS 1.3 with no way to resume. */
static void test_tls_client_hello(void **state)
{
    (void)state;
    for (size_t i = 0; i < LP2P_ARRAY_LEN(kit_backends); i++) {
        struct kit_node node;
        uint8_t hello[2000];
        kit_node_init(&node, 1, kit_backends[i], YAMUX, 1);
        struct lp2p_secure *secure = kit_start(&node, true, NULL);
        size_t len = lp2p_tls_secure.drain(secure, hello, sizeof(hello), 0);
        assert_true(len > 50 && hello[0] == 22 && hello[5] == 1);
        size_t at = 5 + 4 + 2 + 32;
        at += 1 + (size_t)hello[at];                        /* session id */
        at += 2 + ((size_t)hello[at] << 8 | hello[at + 1]); /* suites */
        at += 1 + (size_t)hello[at];                        /* compression */
        at += 2;
        unsigned seen = 0;
        while (at + 4 <= len) {
            unsigned type = (unsigned)hello[at] << 8 | hello[at + 1];
            assert_true(type != 0 /* server_name */ && type != 35 /* ticket */ && type != 41 /* psk */ &&
                        type != 42 /* early data */);
            if (type == 43) { /* supported_versions: 1.3 alone */
                assert_memory_equal(hello + at + 4, "\x02\x03\x04", 3);
            }
            if (type == 16) { /* ALPN: the muxer, then libp2p */
                assert_memory_equal(hello + at + 6, "\x0c/yamux/1.0.0\x06libp2p", 20);
            }
            seen += type == 43 || type == 16;
            at += 4 + ((size_t)hello[at + 2] << 8 | hello[at + 3]);
        }
        assert_int_equal(at, len);
        assert_int_equal(seen, 2);
        lp2p_secure_free(secure);
        lp2p_tls_identity_wipe(&node.identity);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_tls_peers_good),
        cmocka_unit_test(test_AH11_tls_bad_peers),
        cmocka_unit_test(test_AH11_tls_control_without_limits),
        cmocka_unit_test(test_tls_peers_ed25519_certificate),
        cmocka_unit_test(test_tls_peers_odd_but_legal),
        cmocka_unit_test(test_AH9_tls_asks_before_costly_keys),
        cmocka_unit_test(test_tls_client_hello),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
