/* SPDX-License-Identifier: MIT */
#include "dns_server.h"

#include "base/check.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#define RECORDS_MAX 256
#define MESSAGE_MAX 65535
#define NAME_MAX_ 256

enum { TYPE_A = 1, TYPE_TXT = 16, TYPE_AAAA = 28 };

struct record {
    char name[NAME_MAX_];
    unsigned type;
    uint32_t ttl;
    size_t len;
    uint8_t data[1100];
    bool behaviour;
    enum dns_answer how;
};

struct dns_server {
    int udp, tcp, stop[2];
    uint16_t port;
    char text[32];
    pthread_t thread;
    pthread_mutex_t lock;
    size_t len, questions_len;
    struct record records[RECORDS_MAX];
    struct { char name[NAME_MAX_]; unsigned id, type; bool over_tcp; } questions[1024];
};

struct out {
    size_t len;
    uint8_t bytes[MESSAGE_MAX];
};

static void put(struct out *out, const void *bytes, size_t len)
{
    if (out->len + len <= sizeof(out->bytes)) {
        memcpy(out->bytes + out->len, bytes, len);
        out->len += len;
    }
}

static void put16(struct out *out, unsigned value)
{
    const uint8_t bytes[] = {(uint8_t)(value >> 8), (uint8_t)value};
    put(out, bytes, 2);
}

static void put_answer(struct out *out, unsigned type, uint32_t ttl, const void *data, size_t len)
{
    put16(out, 0xc00c); /* the name of the question */
    put16(out, type);
    put16(out, 1);
    put16(out, ttl >> 16);
    put16(out, ttl & 0xffff);
    put16(out, (unsigned)len);
    put(out, data, len);
    unsigned count = (unsigned)(out->bytes[6] << 8 | out->bytes[7]) + 1;
    out->bytes[6] = (uint8_t)(count >> 8);
    out->bytes[7] = (uint8_t)count;
}

static size_t txt_data(const char *text, uint8_t *data)
{
    size_t len = 0, left = strlen(text);
    do {
        size_t part = left < 255 ? left : 255;
        data[len++] = (uint8_t)part;
        memcpy(data + len, text, part);
        len += part;
        text += part;
        left -= part;
    } while (left > 0);
    return len;
}

/** Reads the question: its name as text, its type; returns where it ends, 0: unreadable. */
static size_t read_question(const uint8_t *message, size_t len, char name[NAME_MAX_], unsigned *type)
{
    size_t at = 12, out = 0;
    while (at < len && message[at] != 0) {
        size_t label = message[at];
        if (label > 63 || at + 1 + label >= len || out + label + 2 > NAME_MAX_) {
            return 0;
        }
        memcpy(name + out, message + at + 1, label);
        out += label;
        name[out++] = '.';
        at += 1 + label;
    }
    name[out > 0 ? out - 1 : 0] = '\0';
    if (at + 5 > len) {
        return 0;
    }
    *type = (unsigned)(message[at + 1] << 8 | message[at + 2]);
    return at + 5;
}

static enum dns_answer behaviour(const struct dns_server *server, const char *name)
{
    for (size_t i = 0; i < server->len; i++) {
        const struct record *record = &server->records[i];
        if (record->behaviour && (strcasecmp(record->name, name) == 0 || strcmp(record->name, "*") == 0)) {
            return record->how;
        }
    }
    return DNS_RECORDS;
}

static void put_records(const struct dns_server *server, struct out *out, const char *name, unsigned type)
{
    bool exists = false;
    for (size_t i = 0; i < server->len; i++) {
        const struct record *record = &server->records[i];
        if (!record->behaviour && strcasecmp(record->name, name) == 0) {
            exists = true;
            if (record->type == type) {
                put_answer(out, type, record->ttl, record->data, record->len);
            }
        }
    }
    out->bytes[3] |= exists ? 0 : 3;
}

static void put_leading(struct out *out, const char *to)
{
    char text[NAME_MAX_ + 32];
    uint8_t data[512];
    (void)snprintf(text, sizeof(text), "dnsaddr=/dnsaddr/%s", to);
    put_answer(out, TYPE_TXT, 60, data, txt_data(text, data));
}

/** Who is answered too late asks again, with the same number: that is the same question. */
static void note_question(struct dns_server *server, const char *name, unsigned id, unsigned type, bool over_tcp)
{
    size_t i = 0;
    while (i < server->questions_len && (server->questions[i].id != id || server->questions[i].type != type ||
                                         server->questions[i].over_tcp != over_tcp || strcmp(server->questions[i].name, name) != 0)) {
        i++;
    }
    if (i == server->questions_len && i < 1024) {
        (void)snprintf(server->questions[i].name, NAME_MAX_, "%s", name);
        server->questions[i].id = id;
        server->questions[i].type = type;
        server->questions[i].over_tcp = over_tcp;
        server->questions_len++;
    }
}

static void answer(struct dns_server *server, const uint8_t *message, size_t len, bool over_tcp, struct out *out)
{
    char name[NAME_MAX_] = "", next[NAME_MAX_ + 16];
    unsigned type = 0;
    size_t end = len >= 12 ? read_question(message, len, name, &type) : 0;
    out->len = 0;
    if (end == 0) {
        return;
    }
    pthread_mutex_lock(&server->lock);
    note_question(server, name, (unsigned)(message[0] << 8 | message[1]), type, over_tcp);
    enum dns_answer how = behaviour(server, name);
    const uint8_t header[] = {message[0], message[1], 0x85, 0x80, 0, 1, 0, 0, 0, 0, 0, 0};
    put(out, header, sizeof(header));
    put(out, message + 12, end - 12);
    bool txt = type == TYPE_TXT;
    if (how == DNS_SILENCE) {
        out->len = 0;
    } else if (how == DNS_GARBAGE) {
        out->bytes[7] = 200;
        put(out, "\x3f\xff garbage", 10);
    } else if (how == DNS_FAILURE) {
        out->bytes[3] |= 2;
    } else if ((how == DNS_CUT || how == DNS_FLOOD) && !over_tcp) {
        out->bytes[2] |= 2;
    } else if (how == DNS_CHAIN && txt) {
        unsigned n = 0;
        (void)sscanf(name, "_dnsaddr.c%u.", &n);
        (void)snprintf(next, sizeof(next), "c%u.chain", n + 1);
        put_leading(out, next);
    } else if (how == DNS_LOOP && txt) {
        put_leading(out, name + strlen("_dnsaddr."));
    } else if (how == DNS_FLOOD && txt) {
        for (unsigned i = 0; out->len < MESSAGE_MAX - 64; i++) {
            uint8_t data[64];
            char text[48];
            (void)snprintf(text, sizeof(text), "dnsaddr=/ip4/10.%u.%u.%u/tcp/1", i >> 16, i >> 8 & 255, i & 255);
            put_answer(out, TYPE_TXT, 60, data, txt_data(text, data));
        }
    } else {
        put_records(server, out, name, type);
    }
    pthread_mutex_unlock(&server->lock);
}

static bool read_all(int fd, void *bytes, size_t len)
{
    for (size_t at = 0; at < len;) {
        ssize_t n = recv(fd, (uint8_t *)bytes + at, len - at, 0);
        if (n <= 0) {
            return false;
        }
        at += (size_t)n;
    }
    return true;
}

/** One connection at a time, one question after the other. The client ends it. */
static void serve_tcp(struct dns_server *server, struct out *out)
{
    int fd = accept(server->tcp, NULL, NULL);
    struct timeval patience = {.tv_usec = 300000};
    uint8_t head[2], message[1024];
    (void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
    while (fd >= 0 && read_all(fd, head, 2)) {
        size_t len = (size_t)head[0] << 8 | head[1];
        if (len > sizeof(message) || !read_all(fd, message, len)) {
            break;
        }
        answer(server, message, len, true, out);
        const uint8_t size[] = {(uint8_t)(out->len >> 8), (uint8_t)out->len};
        if (out->len > 0 && (send(fd, size, 2, MSG_NOSIGNAL) != 2 || send(fd, out->bytes, out->len, MSG_NOSIGNAL) < 0)) {
            break;
        }
    }
    (void)close(fd);
}

static void *serve(void *arg)
{
    struct dns_server *server = arg;
    struct out *out = malloc(sizeof(*out));
    LP2P_CHECK(out != NULL);
    for (;;) {
        struct pollfd fds[] = {{server->udp, POLLIN, 0}, {server->tcp, POLLIN, 0}, {server->stop[0], POLLIN, 0}};
        (void)poll(fds, 3, -1);
        if (fds[2].revents != 0) {
            break;
        }
        if (fds[1].revents != 0) {
            serve_tcp(server, out);
        }
        if (fds[0].revents != 0) {
            uint8_t message[1024];
            struct sockaddr_in from;
            socklen_t from_len = sizeof(from);
            ssize_t n = recvfrom(server->udp, message, sizeof(message), 0, (struct sockaddr *)&from, &from_len);
            if (n > 0) {
                answer(server, message, (size_t)n, false, out);
            }
            if (n > 0 && out->len > 0) {
                (void)sendto(server->udp, out->bytes, out->len, 0, (struct sockaddr *)&from, from_len);
            }
        }
    }
    free(out);
    return NULL;
}

/** One port free for both; another is tried when TCP's is taken. */
static bool bind_both(struct dns_server *server)
{
    struct sockaddr_in addr = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(addr);
    server->udp = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    server->tcp = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    LP2P_CHECK(server->udp >= 0 && server->tcp >= 0);
    LP2P_CHECK(bind(server->udp, (struct sockaddr *)&addr, len) == 0);
    LP2P_CHECK(getsockname(server->udp, (struct sockaddr *)&addr, &len) == 0);
    server->port = ntohs(addr.sin_port);
    if (bind(server->tcp, (struct sockaddr *)&addr, len) == 0 && listen(server->tcp, 16) == 0) {
        return true;
    }
    (void)close(server->udp);
    (void)close(server->tcp);
    return false;
}

struct dns_server *dns_server_new(void)
{
    struct dns_server *server = calloc(1, sizeof(*server));
    LP2P_CHECK(server != NULL);
    while (!bind_both(server)) {
    }
    (void)snprintf(server->text, sizeof(server->text), "127.0.0.1:%u", server->port);
    LP2P_CHECK(pipe(server->stop) == 0 && pthread_mutex_init(&server->lock, NULL) == 0);
    LP2P_CHECK(pthread_create(&server->thread, NULL, serve, server) == 0);
    return server;
}

void dns_server_free(struct dns_server *server)
{
    LP2P_CHECK(write(server->stop[1], "x", 1) == 1);
    pthread_join(server->thread, NULL);
    pthread_mutex_destroy(&server->lock);
    (void)close(server->stop[0]);
    (void)close(server->stop[1]);
    (void)close(server->udp);
    (void)close(server->tcp);
    free(server);
}

uint16_t dns_server_port(const struct dns_server *server)
{
    return server->port;
}

const char *dns_server_text(const struct dns_server *server)
{
    return server->text;
}

static struct record *add(struct dns_server *server, const char *name)
{
    pthread_mutex_lock(&server->lock);
    LP2P_CHECK(server->len < RECORDS_MAX);
    struct record *record = &server->records[server->len];
    (void)snprintf(record->name, sizeof(record->name), "%s", name);
    return record;
}

static void added(struct dns_server *server)
{
    server->len++;
    pthread_mutex_unlock(&server->lock);
}

void dns_server_a(struct dns_server *server, const char *name, const char *ip, uint32_t ttl_s)
{
    struct record *record = add(server, name);
    bool v6 = strchr(ip, ':') != NULL;
    record->type = v6 ? TYPE_AAAA : TYPE_A;
    record->len = v6 ? 16 : 4;
    record->ttl = ttl_s;
    LP2P_CHECK(inet_pton(v6 ? AF_INET6 : AF_INET, ip, record->data) == 1);
    added(server);
}

void dns_server_txt(struct dns_server *server, const char *name, const char *text, uint32_t ttl_s)
{
    struct record *record = add(server, name);
    LP2P_CHECK(strlen(text) <= 1024);
    record->type = TYPE_TXT;
    record->ttl = ttl_s;
    record->len = txt_data(text, record->data);
    added(server);
}

void dns_server_behave(struct dns_server *server, const char *name, enum dns_answer how)
{
    struct record *record = add(server, name);
    record->behaviour = true;
    record->how = how;
    added(server);
}

unsigned dns_server_questions(struct dns_server *server, const char *name)
{
    unsigned n = 0;
    pthread_mutex_lock(&server->lock);
    for (size_t i = 0; i < server->questions_len; i++) {
        n += name == NULL || strcasecmp(server->questions[i].name, name) == 0;
    }
    pthread_mutex_unlock(&server->lock);
    return n;
}
