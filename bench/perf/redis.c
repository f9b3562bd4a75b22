/* SPDX-License-Identifier: MIT */
#include "perf.h"

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

/** A server that answers PING; it may start after us. */
static redisContext *reach(const char *addr, uint64_t end)
{
    char host[256];
    const char *colon = strrchr(addr, ':');
    if (colon == NULL || (size_t)(colon - addr) >= sizeof(host)) {
        perf_die("REDIS_ADDR", "expected host:port");
    }
    (void)snprintf(host, sizeof(host), "%.*s", (int)(colon - addr), addr);
    while (perf_now_ns() < end) {
        redisContext *redis = redisConnectWithTimeout(host, atoi(colon + 1), (struct timeval){.tv_sec = 5});
        redisReply *pong = redis != NULL && redis->err == 0 ? redisCommand(redis, "PING") : NULL;
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
    perf_die("no answer from redis", addr);
}

void perf_redis_set(const char *addr, const char *key, const char *value, unsigned timeout_s)
{
    redisContext *redis = reach(addr, perf_now_ns() + timeout_s * 1000000000ull);
    redisReply *reply = redisCommand(redis, "SET %s %s", key, value);
    if (reply == NULL || reply->type == REDIS_REPLY_ERROR) {
        perf_die("redis SET", reply != NULL ? reply->str : redis->errstr);
    }
    freeReplyObject(reply);
    redisFree(redis);
}

char *perf_redis_get(const char *addr, const char *key, unsigned timeout_s)
{
    uint64_t end = perf_now_ns() + timeout_s * 1000000000ull;
    redisContext *redis = reach(addr, end);
    while (perf_now_ns() < end) {
        redisReply *reply = redisCommand(redis, "GET %s", key);
        if (reply == NULL || reply->type == REDIS_REPLY_ERROR) {
            perf_die("redis GET", reply != NULL ? reply->str : redis->errstr);
        }
        char *text = reply->type == REDIS_REPLY_STRING ? strdup(reply->str) : NULL;
        freeReplyObject(reply);
        if (text != NULL) {
            redisFree(redis);
            return text;
        }
        nap();
    }
    perf_die("nobody has set", key);
}
#else
void perf_redis_set(const char *addr, const char *key, const char *value, unsigned timeout_s)
{
    (void)addr;
    (void)key;
    (void)value;
    (void)timeout_s;
    perf_die("redis", "built without hiredis");
}

char *perf_redis_get(const char *addr, const char *key, unsigned timeout_s)
{
    (void)addr;
    (void)key;
    (void)timeout_s;
    perf_die("redis", "built without hiredis");
}
#endif
