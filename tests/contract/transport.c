/* SPDX-License-Identifier: MIT
 * The program of the official transport interop suites, in both spellings of the environment (README of the
 * tests): the listener tells its address through redis and serves ping; the dialer connects, pings once and
 * prints how long both took, as one JSON object (lower-case variables) or as YAML (upper-case ones). Standard
 * output carries that only. */
#include "contract.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

struct job {
    const char *transport, *security, *muxer, *ip, *redis;
    char key[128], listen[LP2P_ADDR_TEXT_MAX];
    bool unified, dialer, log;
    uint64_t end_ns; /* of the whole test */
};

/** A variable that is spelled in one way or the other, according to the contract. */
static const char *either(const struct job *job, const char *upper, const char *lower, const char *otherwise)
{
    return contract_variable(job->unified ? upper : lower, otherwise);
}

static const char *one_of(const char *what, const char *value, const char *first, const char *second)
{
    if (value != NULL && (strcmp(value, first) == 0 || strcmp(value, second) == 0)) {
        return value;
    }
    (void)fprintf(stderr, "%s: %s or %s is needed with this transport\n", what, first, second);
    contract_die(what, value != NULL ? value : "not set");
}

static struct job read_job(uint64_t now)
{
    struct job job = {.unified = contract_variable("IS_DIALER", NULL) != NULL};
    const char *role = either(&job, "IS_DIALER", "is_dialer", NULL),
               *test = contract_variable("TEST_KEY", NULL);
    if (role == NULL || (job.unified && test == NULL)) {
        contract_die("environment",
                     "IS_DIALER, TEST_KEY, TRANSPORT, .. or is_dialer, transport, .. are needed");
    }
    if (strcmp(role, "true") != 0 && strcmp(role, "false") != 0) {
        contract_die("neither dialer nor listener (expected true or false)", role);
    }
    job.dialer = strcmp(role, "true") == 0;
    job.transport = either(&job, "TRANSPORT", "transport", "");
    job.ip = either(&job, "LISTENER_IP", "ip", "0.0.0.0");
    job.redis = either(&job, "REDIS_ADDR", "redis_addr", job.unified ? "transport-redis:6379" : "redis:6379");
    job.log = strcmp(contract_variable("DEBUG", "false"), "true") == 0;
    contract_listen(job.transport, job.ip,
                    job.listen); /* of the dialer too: it says whether the transport is known */
    job.security = one_of("secure channel", either(&job, "SECURE_CHANNEL", "security", NULL), "noise", "tls");
    job.muxer = one_of("muxer", either(&job, "MUXER", "muxer", NULL), "yamux", "mplex");
    (void)snprintf(job.key, sizeof(job.key), "%s%s", job.unified ? test : "",
                   job.unified ? "_listener_multiaddr" : "listenerAddr");
    /* js nodes know the old variable by a shorter name. */
    uint64_t seconds =
        job.unified ? contract_number("TEST_TIMEOUT_SECS", 180)
                    : contract_number("test_timeout_seconds", contract_number("test_timeout_secs", 180));
    if (seconds == 0 || seconds > 86400) {
        contract_die("time limit", "expected 1 to 86400 seconds");
    }
    job.end_ns = now + seconds * 1000000000u;
    return job;
}

static int left_ms(const struct job *job)
{
    uint64_t now = contract_now_ns();
    return now < job->end_ns ? (int)((job->end_ns - now) / 1000000u) : 0;
}

static int listener(const struct job *job)
{
    struct lp2p_node *node = contract_start(&(struct contract_setup){
        .listen = job->listen, .security = job->security, .muxers = job->muxer, .log = job->log});
    const char *addr = contract_published(node);
    (void)fprintf(stderr, "listening on %s\n", addr);
    contract_redis_push(job->redis, job->key, addr, job->end_ns);
    int code = contract_wait_end(job->end_ns); /* the harness ends it before */
    lp2p_node_free(node);
    if (code == 0) {
        contract_die("listener", "not ended within the time limit");
    }
    return code;
}

static int dialer(const struct job *job)
{
    char peer[LP2P_PEER_TEXT_MAX];
    struct lp2p_op *op = NULL;
    struct lp2p_node *node = contract_start(
        &(struct contract_setup){.security = job->security, .muxers = job->muxer, .log = job->log});
    char *addr = contract_redis_pop(job->redis, job->key, job->end_ns);
    if (strstr(addr, "/p2p/") == NULL) { /* whoever answers there would be taken */
        contract_die("address without a peer id", addr);
    }
    (void)fprintf(stderr, "dialing %s\n", addr);
    uint64_t begun = contract_now_ns();
    contract_connect(node, addr, left_ms(job), peer);
    enum lp2p_err err = lp2p_node_ping(node, peer, &op);
    op = contract_finish(err, op, "ping", left_ms(job));
    double both_ms = (double)(contract_now_ns() - begun) / 1e6, ping_ms = (double)lp2p_op_number(op) / 1e6;
    lp2p_op_free(op);
    /* The third l of the second JSON key is part of the contract. */
    (void)printf(job->unified ? "latency:\n  handshake_plus_one_rtt: %.3f\n  ping_rtt: %.3f\n  unit: ms\n"
                              : "{\"handshakePlusOneRTTMillis\": %.3f, \"pingRTTMilllis\": %.3f}\n",
                 both_ms, ping_ms);
    (void)fflush(stdout);
    free(addr);
    lp2p_node_free(node);
    return 0;
}

int main(void)
{
    contract_signals();
    struct job job = read_job(contract_now_ns());
    return job.dialer ? dialer(&job) : listener(&job);
}
