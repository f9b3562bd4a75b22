/* SPDX-License-Identifier: MIT
 * Handshakes by mbedTLS 3.6. Its reader of certificates refuses what libp2p's look like (a critical extension
 * that it does not know, an empty issuer), and its SSL layer offers no way around. So the build makes a copy
 * of that layer in which the one call of the reader leads to lp2p_tls_mbedtls_certificate below: there the
 * room's own judge has the first and last word, and mbedTLS gets the public key that it needs for
 * CertificateVerify. */
#include "base/check.h"
#include "tls/backend.h"
#include "tls/calendar.h"
#include "tls/certificate.h"
#include "tls/names.h"
#include "tls/record.h"

#include <mbedtls/pk.h>
#include <mbedtls/platform_util.h>
#include <mbedtls/ssl.h>
#include <mbedtls/x509_crt.h>
#include <psa/crypto.h>

#include <stdlib.h>

struct lp2p_tls_credentials {
    mbedtls_x509_crt chain, roots;
    mbedtls_pk_context key;
    bool has_chain;
};

struct lp2p_tls_engine {
    struct lp2p_tls_task task;
    mbedtls_ssl_context ssl;
    mbedtls_ssl_config conf;
    struct lp2p_span in; /* what is left of the record under way */
    struct lp2p_tls_secrets secrets;
    bool has_secrets;
    unsigned certificates; /* seen of the other side */
    enum lp2p_err verdict; /* what the judge said, or why the chain was refused */
};

/** What the copied SSL layer calls in place of mbedtls_x509_crt_parse_der. */
int lp2p_tls_mbedtls_certificate(mbedtls_x509_crt *chain, const unsigned char *bytes, size_t len);

/* The engine inside of whose step the calling thread is: the reader above is given nothing else to know it
 * by. */
static _Thread_local struct lp2p_tls_engine *stepping;

static const int suites[] = {MBEDTLS_TLS1_3_AES_128_GCM_SHA256, MBEDTLS_TLS1_3_CHACHA20_POLY1305_SHA256, 0};
static const uint16_t groups[] = {MBEDTLS_SSL_IANA_TLS_GROUP_X25519, MBEDTLS_SSL_IANA_TLS_GROUP_SECP256R1,
                                  MBEDTLS_SSL_IANA_TLS_GROUP_SECP384R1, 0};
static const uint16_t schemes[] = {MBEDTLS_TLS1_3_SIG_ECDSA_SECP256R1_SHA256,
                                   MBEDTLS_TLS1_3_SIG_ECDSA_SECP384R1_SHA384,
                                   MBEDTLS_TLS1_3_SIG_ECDSA_SECP521R1_SHA512,
                                   MBEDTLS_TLS1_3_SIG_RSA_PSS_RSAE_SHA256,
                                   MBEDTLS_TLS1_3_SIG_RSA_PSS_RSAE_SHA384,
                                   MBEDTLS_TLS1_3_SIG_RSA_PSS_RSAE_SHA512,
                                   MBEDTLS_TLS1_3_SIG_RSA_PKCS1_SHA256, /* in certificates only */
                                   MBEDTLS_TLS1_3_SIG_RSA_PKCS1_SHA384,
                                   MBEDTLS_TLS1_3_SIG_RSA_PKCS1_SHA512,
                                   MBEDTLS_TLS1_3_SIG_NONE};

static int fill_random(void *ctx, unsigned char *out, size_t len)
{
    lp2p_rand_fill(ctx, out, len);
    return 0;
}

/* Credentials */

static void credentials_free(struct lp2p_tls_credentials *credentials)
{
    if (credentials != NULL) {
        mbedtls_x509_crt_free(&credentials->chain);
        mbedtls_x509_crt_free(&credentials->roots);
        mbedtls_pk_free(&credentials->key);
        free(credentials);
    }
}

/** Why a certificate of ours cannot be read: its kind of key is unknown here, or it is none. The library's codes are
 * sums of a reason and what lay below it. */
static enum lp2p_err reading_error(int rc)
{
    int reason = -(-rc & ~0x7f);
    return reason == MBEDTLS_ERR_X509_UNKNOWN_SIG_ALG || reason == MBEDTLS_ERR_PK_UNKNOWN_PK_ALG ||
                   reason == MBEDTLS_ERR_PK_UNKNOWN_NAMED_CURVE
               ? LP2P_EUNSUPPORTED
               : LP2P_EMALFORMED;
}

static enum lp2p_err load(struct lp2p_tls_credentials *credentials, const struct lp2p_tls_material *material,
                          struct lp2p_rand *rand)
{
    for (size_t i = 0; i < material->chain_len; i++) {
        int rc =
            mbedtls_x509_crt_parse_der(&credentials->chain, material->chain[i].ptr, material->chain[i].len);
        if (rc != 0) {
            return reading_error(rc);
        }
    }
    for (size_t i = 0; i < material->roots_len; i++) {
        /* Bundles hold certificates that a library does not know to read: those vouch for nothing. */
        (void)mbedtls_x509_crt_parse_der(&credentials->roots, material->roots[i].ptr, material->roots[i].len);
    }
    credentials->has_chain = material->chain_len > 0;
    if (!credentials->has_chain) {
        return LP2P_OK;
    }
    if (mbedtls_pk_parse_key(&credentials->key, material->key.ptr, material->key.len, NULL, 0, fill_random,
                             rand) != 0 ||
        mbedtls_pk_check_pair(&credentials->chain.pk, &credentials->key, fill_random, rand) != 0) {
        return LP2P_EBADKEY;
    }
    return LP2P_OK;
}

static enum lp2p_err credentials_new(const struct lp2p_tls_material *material, const struct lp2p_rand *rand,
                                     struct lp2p_tls_credentials **out)
{
    struct lp2p_rand source = *rand;
    /* Counted by the library; the first call has to be over before any thread shakes hands. */
    if (psa_crypto_init() != PSA_SUCCESS) {
        return LP2P_ENOMEM;
    }
    struct lp2p_tls_credentials *credentials = calloc(1, sizeof(*credentials));
    if (credentials == NULL) {
        return LP2P_ENOMEM;
    }
    mbedtls_x509_crt_init(&credentials->chain);
    mbedtls_x509_crt_init(&credentials->roots);
    mbedtls_pk_init(&credentials->key);
    enum lp2p_err err = load(credentials, material, &source);
    if (err != LP2P_OK) {
        credentials_free(credentials);
        return err;
    }
    *out = credentials;
    return LP2P_OK;
}

/* The other side's certificate */

/** Fills in what a handshake needs of a certificate: its public key. */
static int take_key(mbedtls_x509_crt *chain, const unsigned char *bytes, size_t len)
{
    struct lp2p_tls_certificate certificate;
    if (lp2p_tls_certificate_read(lp2p_span(bytes, len), &certificate) != LP2P_OK) {
        return MBEDTLS_ERR_X509_BAD_INPUT_DATA;
    }
    unsigned char *at = (unsigned char *)(uintptr_t)certificate.public_key_info.ptr; /* only read */
    chain->version = 3;
    return mbedtls_pk_parse_subpubkey(&at, at + certificate.public_key_info.len, &chain->pk);
}

int lp2p_tls_mbedtls_certificate(mbedtls_x509_crt *chain, const unsigned char *bytes, size_t len)
{
    struct lp2p_tls_engine *engine = stepping;
    if (engine == NULL || engine->task.peer != LP2P_TLS_PEER_ASKED) {
        return mbedtls_x509_crt_parse_der_with_ext_cb(chain, bytes, len, 1, NULL, NULL);
    }
    if (engine->certificates++ > 0) {
        engine->verdict = LP2P_EPROTO; /* one certificate, not a chain */
        return MBEDTLS_ERR_X509_BAD_INPUT_DATA;
    }
    engine->verdict = engine->task.judge(engine->task.judge_ctx, lp2p_span(bytes, len));
    if (engine->verdict != LP2P_OK) {
        return MBEDTLS_ERR_X509_CERT_VERIFY_FAILED;
    }
    int rc = take_key(chain, bytes, len);
    if (rc != 0) {
        engine->verdict =
            LP2P_EUNSUPPORTED; /* a key that was judged good, but that mbedTLS does not know: Ed25519 */
    }
    return rc;
}

static int64_t seconds_of(const mbedtls_x509_time *date)
{
    return lp2p_tls_calendar_seconds(date->year, date->mon, date->day, date->hour, date->min, date->sec);
}

/** A server that is asked for by address has to be certified for it; the address is not sent, so the library
 * does not know. */
static bool certifies(const mbedtls_x509_crt *certificate, const uint8_t *address, size_t len)
{
    for (const mbedtls_x509_sequence *name = &certificate->subject_alt_names; name != NULL;
         name = name->next) {
        if (name->buf.tag == (MBEDTLS_ASN1_CONTEXT_SPECIFIC | MBEDTLS_X509_SAN_IP_ADDRESS) &&
            name->buf.len == len && memcmp(name->buf.p, address, len) == 0) {
            return true;
        }
    }
    return false;
}

static bool is_address(const struct lp2p_tls_task *task)
{
    uint8_t address[16];
    return task->server_name != NULL && lp2p_tls_name_address(task->server_name, address) > 0;
}

/** Web servers: dates by the given clock, not by the system's. */
static int check_web(void *ctx, mbedtls_x509_crt *certificate, int depth, uint32_t *flags)
{
    struct lp2p_tls_engine *engine = ctx;
    int64_t from = seconds_of(&certificate->valid_from), to = seconds_of(&certificate->valid_to);
    uint8_t address[16];
    size_t address_len = lp2p_tls_name_address(engine->task.server_name, address);
    if (depth == 0 && address_len > 0 && !certifies(certificate, address, address_len)) {
        *flags |= MBEDTLS_X509_BADCERT_CN_MISMATCH;
    }
    *flags &= ~(uint32_t)(MBEDTLS_X509_BADCERT_EXPIRED | MBEDTLS_X509_BADCERT_FUTURE);
    if (engine->task.wall_s < from || engine->task.wall_s > to) {
        *flags |= MBEDTLS_X509_BADCERT_EXPIRED;
    }
    if (engine->verdict == LP2P_OK && *flags != 0) {
        engine->verdict = (*flags & MBEDTLS_X509_BADCERT_EXPIRED) != 0       ? LP2P_EEXPIRED
                          : (*flags & MBEDTLS_X509_BADCERT_NOT_TRUSTED) != 0 ? LP2P_EAUTH
                          : (*flags & MBEDTLS_X509_BADCERT_CN_MISMATCH) != 0 ? LP2P_EWRONGPEER
                                                                             : LP2P_EAUTH;
    }
    return 0;
}

/* The engine */

static void on_secret(void *ctx, mbedtls_ssl_key_export_type type, const unsigned char *secret, size_t len,
                      const unsigned char client_random[32], const unsigned char server_random[32],
                      mbedtls_tls_prf_types prf)
{
    struct lp2p_tls_engine *engine = ctx;
    (void)client_random;
    (void)server_random;
    (void)prf;
    bool of_client = type == MBEDTLS_SSL_KEY_EXPORT_TLS1_3_CLIENT_APPLICATION_TRAFFIC_SECRET;
    if ((of_client || type == MBEDTLS_SSL_KEY_EXPORT_TLS1_3_SERVER_APPLICATION_TRAFFIC_SECRET) &&
        len == LP2P_TLS_SECRET) {
        memcpy(of_client == engine->task.server ? engine->secrets.recv : engine->secrets.send, secret, len);
        engine->has_secrets = !of_client; /* they come in this order */
    }
}

/** The suite stands in the server's first message, which goes in the clear (RFC 8446 section 4.1.3); the
 * library tells it only in the end. */
static void note_suite(struct lp2p_tls_engine *engine, struct lp2p_span record)
{
    size_t at = LP2P_TLS_HEAD + 4 + 2 + 32; /* heads of record and message, version, random */
    if (record.len > at && record.ptr[0] == 22 && record.ptr[LP2P_TLS_HEAD] == 2) {
        at += 1 + (size_t)record.ptr[at];
        if (record.len >= at + 2) {
            engine->secrets.suite = (enum lp2p_tls_suite)(record.ptr[at] << 8 | record.ptr[at + 1]);
        }
    }
}

static int on_send(void *ctx, const unsigned char *bytes, size_t len)
{
    struct lp2p_tls_engine *engine = ctx;
    if (engine->task.server) {
        note_suite(engine, lp2p_span(bytes, len));
    }
    return lp2p_tls_buffer_append(engine->task.out, lp2p_span(bytes, len)) == LP2P_OK
               ? (int)len
               : MBEDTLS_ERR_SSL_ALLOC_FAILED;
}

static int on_recv(void *ctx, unsigned char *bytes, size_t cap)
{
    struct lp2p_tls_engine *engine = ctx;
    size_t part = LP2P_MIN(cap, engine->in.len);
    if (part == 0) {
        return MBEDTLS_ERR_SSL_WANT_READ;
    }
    memcpy(bytes, engine->in.ptr, part);
    engine->in = lp2p_span_skip(engine->in, part);
    return (int)part;
}

static void engine_free(struct lp2p_tls_engine *engine)
{
    if (engine != NULL) {
        mbedtls_ssl_free(&engine->ssl);
        mbedtls_ssl_config_free(&engine->conf);
        mbedtls_platform_zeroize(engine, sizeof(*engine));
        free(engine);
    }
}

static int configure(struct lp2p_tls_engine *engine)
{
    mbedtls_ssl_config *conf = &engine->conf;
    const struct lp2p_tls_task *task = &engine->task;
    struct lp2p_tls_credentials *credentials =
        (struct lp2p_tls_credentials *)(uintptr_t)task->credentials; /* only read */
    int rc = mbedtls_ssl_config_defaults(conf, task->server ? MBEDTLS_SSL_IS_SERVER : MBEDTLS_SSL_IS_CLIENT,
                                         MBEDTLS_SSL_TRANSPORT_STREAM, MBEDTLS_SSL_PRESET_DEFAULT);
    mbedtls_ssl_conf_rng(conf, fill_random, (void *)(uintptr_t)task->rand);
    mbedtls_ssl_conf_min_tls_version(conf, MBEDTLS_SSL_VERSION_TLS1_3);
    mbedtls_ssl_conf_max_tls_version(conf, MBEDTLS_SSL_VERSION_TLS1_3);
    mbedtls_ssl_conf_tls13_key_exchange_modes(conf, MBEDTLS_SSL_TLS1_3_KEY_EXCHANGE_MODE_EPHEMERAL);
    mbedtls_ssl_conf_new_session_tickets(conf, 0);
    mbedtls_ssl_conf_session_tickets(conf, MBEDTLS_SSL_SESSION_TICKETS_DISABLED);
    mbedtls_ssl_conf_ciphersuites(conf, suites);
    mbedtls_ssl_conf_groups(conf, groups);
    mbedtls_ssl_conf_sig_algs(conf, schemes);
    switch (task->peer) {
    case LP2P_TLS_PEER_NOBODY:
    case LP2P_TLS_PEER_ANY:
        mbedtls_ssl_conf_authmode(conf, MBEDTLS_SSL_VERIFY_NONE);
        break;
    case LP2P_TLS_PEER_ASKED:
        /* The judge has the last word where the certificate is read; that there was one is looked at in the
         * end. */
        mbedtls_ssl_conf_authmode(conf, MBEDTLS_SSL_VERIFY_OPTIONAL);
        break;
    case LP2P_TLS_PEER_ROOTS:
        mbedtls_ssl_conf_authmode(conf, MBEDTLS_SSL_VERIFY_REQUIRED);
        mbedtls_ssl_conf_ca_chain(conf, &credentials->roots, NULL);
        mbedtls_ssl_conf_verify(conf, check_web, engine);
        break;
    }
    if (rc == 0 && credentials->has_chain) {
        rc = mbedtls_ssl_conf_own_cert(conf, &credentials->chain, &credentials->key);
    }
    return rc != 0 ? rc : mbedtls_ssl_conf_alpn_protocols(conf, (const char **)(uintptr_t)task->alpn);
}

static struct lp2p_tls_engine *engine_new(const struct lp2p_tls_task *task)
{
    struct lp2p_tls_engine *engine = calloc(1, sizeof(*engine));
    if (engine == NULL) {
        return NULL;
    }
    engine->task = *task;
    mbedtls_ssl_init(&engine->ssl);
    mbedtls_ssl_config_init(&engine->conf);
    if (configure(engine) != 0 || mbedtls_ssl_setup(&engine->ssl, &engine->conf) != 0 ||
        (!task->server &&
         mbedtls_ssl_set_hostname(&engine->ssl, is_address(task) ? NULL : task->server_name) != 0)) {
        engine_free(engine);
        return NULL;
    }
    mbedtls_ssl_set_bio(&engine->ssl, engine, on_send, on_recv, NULL);
    mbedtls_ssl_set_export_keys_cb(&engine->ssl, on_secret, engine);
    return engine;
}

/** The room's word for what the library says. */
static enum lp2p_err reason(const struct lp2p_tls_engine *engine, int rc)
{
    if (engine->verdict != LP2P_OK) {
        return engine->verdict;
    }
    switch (rc) {
    case MBEDTLS_ERR_SSL_ALLOC_FAILED:
    case MBEDTLS_ERR_X509_ALLOC_FAILED:
        return LP2P_ENOMEM;
    case MBEDTLS_ERR_SSL_BAD_PROTOCOL_VERSION:
        return LP2P_EVERSION;
    case MBEDTLS_ERR_SSL_NO_APPLICATION_PROTOCOL:
    case MBEDTLS_ERR_SSL_HANDSHAKE_FAILURE:
        return LP2P_ENEGOTIATION;
    case MBEDTLS_ERR_SSL_NO_CLIENT_CERTIFICATE:
        return LP2P_EPROTO;
    case MBEDTLS_ERR_SSL_FATAL_ALERT_MESSAGE:
        return LP2P_ECERTREFUSED; /* the plain alerts of a handshake's beginning are read before the library
                                     sees them */
    case MBEDTLS_ERR_SSL_INVALID_MAC:
    case MBEDTLS_ERR_SSL_BAD_CERTIFICATE:
        return LP2P_EAUTH;
    default:
        return LP2P_EMALFORMED;
    }
}

/** What is wrong with the certificate (RFC 8446 section 6.2), or with something else: that must not read like a
 * refusal of the certificate. */
static uint8_t alert_for(const struct lp2p_tls_engine *engine, enum lp2p_err err)
{
    if (engine->verdict == LP2P_OK && err != LP2P_EPROTO) {
        return err == LP2P_ENOMEM  ? MBEDTLS_SSL_ALERT_MSG_INTERNAL_ERROR
               : err == LP2P_EAUTH ? MBEDTLS_SSL_ALERT_MSG_DECRYPT_ERROR
                                   : MBEDTLS_SSL_ALERT_MSG_DECODE_ERROR;
    }
    switch (err) {
    case LP2P_EEXPIRED:
        return MBEDTLS_SSL_ALERT_MSG_CERT_EXPIRED;
    case LP2P_EUNSUPPORTED:
        return MBEDTLS_SSL_ALERT_MSG_UNSUPPORTED_CERT;
    case LP2P_EPROTO:
        return 116; /* certificate_required */
    default:
        return MBEDTLS_SSL_ALERT_MSG_BAD_CERT;
    }
}

/** A server that has sent its last message speaks with the keys of the application (RFC 8446 section 7.1);
 * mbedTLS sends its alerts with those of the handshake, so that no client can read why it was refused. Said
 * again, rightly. */
static void say_alert(struct lp2p_tls_engine *engine, size_t out_len, enum lp2p_err err)
{
    uint8_t record[LP2P_TLS_CLOSE_SIZE];
    struct lp2p_tls_buffer *out = engine->task.out;
    if (!engine->task.server || !engine->has_secrets) {
        return;
    }
    out->len = LP2P_MIN(out->len, out->at + out_len);
    size_t len = lp2p_tls_alert_record(&engine->secrets, alert_for(engine, err), record);
    (void)(lp2p_tls_buffer_append(out, lp2p_span(record, len)) == LP2P_OK); /* or it is not said */
}

static enum lp2p_err shake_on(struct lp2p_tls_engine *engine)
{
    stepping = engine;
    int rc = mbedtls_ssl_handshake(&engine->ssl);
    stepping = NULL;
    if (rc == MBEDTLS_ERR_SSL_WANT_READ || rc == MBEDTLS_ERR_SSL_WANT_WRITE) {
        return LP2P_EAGAIN;
    }
    if (rc != 0 || engine->verdict != LP2P_OK) {
        return reason(engine, rc); /* whatever the library makes of a certificate that we refused */
    }
    if (engine->task.peer == LP2P_TLS_PEER_ASKED && engine->certificates == 0) {
        return LP2P_EPROTO;
    }
    int suite = mbedtls_ssl_get_ciphersuite_id_from_ssl(&engine->ssl);
    engine->secrets.suite =
        suite == MBEDTLS_TLS1_3_AES_128_GCM_SHA256 ? LP2P_TLS_AES_128_GCM : LP2P_TLS_CHACHA20;
    return LP2P_OK;
}

static enum lp2p_err engine_step(struct lp2p_tls_engine *engine, struct lp2p_span record)
{
    size_t waiting = lp2p_tls_buffer_waiting(engine->task.out);
    bool had_secrets = engine->has_secrets;
    engine->in = record;
    enum lp2p_err err = shake_on(engine);
    if (err != LP2P_OK && err != LP2P_EAGAIN && err != LP2P_ECERTREFUSED && had_secrets) {
        say_alert(engine, waiting, err);
    }
    return err;
}

static void engine_result(const struct lp2p_tls_engine *engine, struct lp2p_tls_secrets *secrets, int *alpn)
{
    const char *chosen = mbedtls_ssl_get_alpn_protocol(&engine->ssl);
    *secrets = engine->secrets;
    *alpn = -1;
    for (int i = 0; chosen != NULL && engine->task.alpn[i] != NULL; i++) {
        if (strcmp(chosen, engine->task.alpn[i]) == 0) {
            *alpn = i;
        }
    }
}

const struct lp2p_tls_backend lp2p_tls_mbedtls = {
    .name = "mbedtls",
    .credentials_new = credentials_new,
    .credentials_free = credentials_free,
    .engine_new = engine_new,
    .engine_step = engine_step,
    .engine_result = engine_result,
    .engine_free = engine_free,
};
