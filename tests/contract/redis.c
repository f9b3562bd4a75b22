/* SPDX-License-Identifier: MIT */
#include "contract.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#ifdef HAVE_HIREDIS
#include <hiredis/hiredis.h>
#include <sys/time.h>

static void nap(void)
{
    (void)nanosleep(&(struct timespec){.tv_nsec = 200000000}, NULL);
}

/** Whole seconds until then, at least one: what is left for a call. */
static unsigned seconds_left(uint64_t end_ns)
{
    uint64_t now = contract_now_ns();
    return now < end_ns ? (unsigned)((end_ns - now + 999999999u) / 1000000000u) : 1;
}

/** A server that answers PING; it may start after us. */
static redisContext *reach(const char *addr, uint64_t end_ns)
{
    char host[256];
    const char *colon = strrchr(addr, ':');
    if (colon == NULL || (size_t)(colon - addr) >= sizeof(host)) {
        contract_die("address of redis: expected host:port, not", addr);
    }
    (void)snprintf(host, sizeof(host), "%.*s", (int)(colon - addr), addr);
    while (contract_now_ns() < end_ns) {
        redisContext *redis = redisConnectWithTimeout(host, atoi(colon + 1), (struct timeval){.tv_sec = 5});
        redisReply *pong = NULL;
        if (redis != NULL && redis->err == 0) {
            /* A little more than is left, so that a server that waits for us answers first. */
            (void)redisSetTimeout(redis, (struct timeval){.tv_sec = seconds_left(end_ns) + 2});
            pong = redisCommand(redis, "PING");
        }
        bool good = pong != NULL && pong->type == REDIS_REPLY_STATUS;
        freeReplyObject(pong);
        if (good) {
            return redis;
        }
        if (redis != NULL) {
            redisFree(redis);
        }
        nap();
    }
    contract_die("no answer from redis", addr);
}

/** The answer; dies without one. */
static redisReply *answer(redisContext *redis, redisReply *reply, const char *command)
{
    if (reply == NULL || reply->type == REDIS_REPLY_ERROR) {
        (void)fprintf(stderr, "redis: %s\n", command);
        contract_die("redis", reply != NULL ? reply->str : redis->errstr);
    }
    return reply;
}

void contract_redis_set(const char *addr, const char *key, const char *value, uint64_t end_ns)
{
    redisContext *redis = reach(addr, end_ns);
    freeReplyObject(answer(redis, redisCommand(redis, "SET %s %s", key, value), "SET"));
    redisFree(redis);
}

char *contract_redis_get(const char *addr, const char *key, uint64_t end_ns)
{
    redisContext *redis = reach(addr, end_ns);
    while (contract_now_ns() < end_ns) {
        redisReply *reply = answer(redis, redisCommand(redis, "GET %s", key), "GET");
        char *text = reply->type == REDIS_REPLY_STRING ? strdup(reply->str) : NULL;
        freeReplyObject(reply);
        if (text != NULL) {
            redisFree(redis);
            return text;
        }
        nap();
    }
    contract_die("nobody has set", key);
}

void contract_redis_push(const char *addr, const char *key, const char *value, uint64_t end_ns)
{
    redisContext *redis = reach(addr, end_ns);
    freeReplyObject(answer(redis, redisCommand(redis, "DEL %s", key), "DEL"));
    freeReplyObject(answer(redis, redisCommand(redis, "RPUSH %s %s", key, value), "RPUSH"));
    redisFree(redis);
}

char *contract_redis_pop(const char *addr, const char *key, uint64_t end_ns)
{
    redisContext *redis = reach(addr, end_ns);
    redisReply *reply = answer(redis, redisCommand(redis, "BLPOP %s %u", key, seconds_left(end_ns)), "BLPOP");
    if (reply->type != REDIS_REPLY_ARRAY || reply->elements != 2 ||
        reply->element[1]->type != REDIS_REPLY_STRING) {
        contract_die("nobody has pushed", key);
    }
    char *text = strdup(reply->element[1]->str);
    if (text == NULL) {
        contract_die("redis", "no memory");
    }
    freeReplyObject(reply);
    redisFree(redis);
    return text;
}
#else
void contract_redis_set(const char *addr, const char *key, const char *value, uint64_t end_ns)
{
    (void)key;
    (void)value;
    (void)end_ns;
    contract_die("built without hiredis, cannot reach redis", addr);
}

char *contract_redis_get(const char *addr, const char *key, uint64_t end_ns)
{
    (void)key;
    (void)end_ns;
    contract_die("built without hiredis, cannot reach redis", addr);
}

void contract_redis_push(const char *addr, const char *key, const char *value, uint64_t end_ns)
{
    contract_redis_set(addr, key, value, end_ns);
}

char *contract_redis_pop(const char *addr, const char *key, uint64_t end_ns)
{
    return contract_redis_get(addr, key, end_ns);
}
#endif
