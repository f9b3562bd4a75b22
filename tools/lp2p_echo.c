/* SPDX-License-Identifier: MIT
 * lp2p echo: bytes over many streams, each compared with what comes back. One thread for each stream that is
 * open. */
#include "lp2p.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define CHUNK 65536

struct echo {
    struct session *session;
    const char *protocol;
    uint64_t streams, bytes;
    int timeout_ms;
    pthread_mutex_t lock;
    uint64_t started, done, failed; /* guarded by lock */
    struct failure first;           /* of the failed ones */
};

static uint8_t byte_at(uint64_t stream, uint64_t offset)
{
    return (uint8_t)(stream * 31 + offset * 7 + (offset >> 8));
}

/* Reads and compares; to the end of the stream with `all`, else what is there. */
static enum lp2p_err compare(struct echo *echo, struct lp2p_stream *stream, uint64_t number, uint64_t *back,
                             bool all, char *why)
{
    uint8_t chunk[CHUNK];
    for (;;) {
        size_t got = 0;
        enum lp2p_err err = lp2p_stream_read(stream, chunk, sizeof(chunk), all ? echo->timeout_ms : 0, &got);
        if (err != LP2P_OK) {
            return err == LP2P_EAGAIN ? LP2P_OK : err;
        }
        if (got == 0) {
            if (*back != echo->bytes) {
                (void)snprintf(why, 128, "the peer ended after %llu of %llu bytes", (unsigned long long)*back,
                               (unsigned long long)echo->bytes);
            }
            return *back == echo->bytes ? LP2P_OK : LP2P_ETRUNCATED;
        }
        for (size_t i = 0; i < got; i++) {
            if (*back + i >= echo->bytes || chunk[i] != byte_at(number, *back + i)) {
                (void)snprintf(why, 128, "byte %llu is not the one that was sent",
                               (unsigned long long)(*back + i));
                return LP2P_EPROTO;
            }
        }
        *back += got;
    }
}

/* Writing and reading take turns, so that neither side waits for the other with full windows. */
static enum lp2p_err exchange(struct echo *echo, struct lp2p_stream *stream, uint64_t number, char *why)
{
    uint8_t chunk[CHUNK];
    uint64_t sent = 0, back = 0;
    enum lp2p_err err = LP2P_OK;
    while (sent < echo->bytes && err == LP2P_OK) {
        size_t want = echo->bytes - sent < sizeof(chunk) ? (size_t)(echo->bytes - sent) : sizeof(chunk),
               put = 0, got = 0;
        for (size_t i = 0; i < want; i++) {
            chunk[i] = byte_at(number, sent + i);
        }
        err = lp2p_stream_write(stream, chunk, want, 0, &put);
        sent += put;
        if (err == LP2P_EAGAIN || (err == LP2P_OK && put < want)) {
            uint8_t one;
            err = lp2p_stream_read(stream, &one, 1, 20,
                                   &got); /* waits for the peer, and takes one byte if there is one */
            if (err == LP2P_OK && (got == 0 || one != byte_at(number, back))) {
                (void)snprintf(why, 128, "the peer %s",
                               got == 0 ? "ended too early" : "gave back other bytes");
                return got == 0 ? LP2P_ETRUNCATED : LP2P_EPROTO;
            }
            back += got;
            err = err == LP2P_ETIMEDOUT ? LP2P_OK : err;
        }
        err = err == LP2P_OK ? compare(echo, stream, number, &back, false, why) : err;
    }
    if (err == LP2P_OK) {
        err = lp2p_stream_close_write(stream);
    }
    return err == LP2P_OK ? compare(echo, stream, number, &back, true, why) : err;
}

static void run_stream(struct echo *echo, uint64_t number)
{
    struct failure failure = {.code = LP2P_OK};
    struct lp2p_op *op = NULL;
    enum lp2p_err err = lp2p_stream_open(echo->session->node, echo->session->peer, &echo->protocol, 1, &op);
    if (err == LP2P_OK) {
        err = lp2p_op_wait(op, echo->timeout_ms) == LP2P_OK ? lp2p_op_result(op) : LP2P_ETIMEDOUT;
        if (err != LP2P_OK) {
            lp2p_op_cancel(op);
            failure_of_op(&failure, op, echo->session->target);
            failure.stage = err == LP2P_ERESET ? "protocol" : failure.stage;
        }
    }
    struct lp2p_stream *stream = err == LP2P_OK ? lp2p_op_stream(op) : NULL;
    lp2p_op_free(op);
    if (stream != NULL) {
        char why[128] = "";
        err = exchange(echo, stream, number, why);
        failure = (struct failure){.code = err, .stage = "stream", .address = echo->session->target};
        (void)snprintf(failure.detail, sizeof(failure.detail), "stream %llu: %s", (unsigned long long)number,
                       why[0] != '\0' ? why : lp2p_strerror(err));
        if (err != LP2P_OK) {
            lp2p_stream_reset(stream);
        }
        lp2p_stream_free(stream);
    }
    failure.code = err;
    pthread_mutex_lock(&echo->lock);
    echo->done++;
    if (err != LP2P_OK && echo->failed++ == 0) {
        echo->first = failure;
    }
    progress(echo->session->cli, echo->done, echo->streams, "streams");
    pthread_mutex_unlock(&echo->lock);
}

static void *work(void *arg)
{
    struct echo *echo = arg;
    for (;;) {
        pthread_mutex_lock(&echo->lock);
        uint64_t number = echo->started;
        echo->started += number < echo->streams;
        pthread_mutex_unlock(&echo->lock);
        if (number >= echo->streams) {
            return NULL;
        }
        run_stream(echo, number);
    }
}

static void add_members(const struct echo *echo, struct line *line, uint64_t duration_ns)
{
    line_uint(line, "streams", echo->streams);
    line_uint(line, "streams_ok", echo->streams - echo->failed);
    line_uint(line, "streams_failed", echo->failed);
    line_uint(line, "bytes_per_stream", echo->bytes);
    line_uint(line, "bytes_total", echo->bytes * (echo->streams - echo->failed));
    line_ms(line, "duration_ms", duration_ns);
}

static int report(struct echo *echo, uint64_t duration_ns)
{
    const struct cli *cli = echo->session->cli;
    if (echo->failed > 0) {
        struct line line = line_new("error");
        session_describe(echo->session, &line);
        add_members(echo, &line, duration_ns);
        return cli_fail(cli, &echo->first, &line);
    }
    if (cli->json) {
        struct line line = cli_result(cli);
        session_describe(echo->session, &line);
        add_members(echo, &line, duration_ns);
        line_print(&line);
    } else {
        progress_end(cli);
        double seconds = (double)duration_ns / 1e9;
        say(cli, "%llu streams of %llu bytes came back right in %.3f s (%.2f MiB/s each way)",
            (unsigned long long)echo->streams, (unsigned long long)echo->bytes, seconds,
            (double)(echo->bytes * echo->streams) / 1048576.0 / seconds);
    }
    return CLI_OK;
}

static void run_all(struct echo *echo, uint64_t parallel)
{
    pthread_t *threads = calloc((size_t)parallel, sizeof(*threads));
    size_t len = 0;
    while (threads != NULL && len < parallel && pthread_create(&threads[len], NULL, work, echo) == 0) {
        len++;
    }
    if (len == 0) {
        (void)work(echo);
    }
    for (size_t i = 0; i < len; i++) {
        (void)pthread_join(threads[i], NULL);
    }
    free(threads);
}

int command_echo(struct cli *cli)
{
    struct session session;
    struct echo echo = {.session = &session, .lock = PTHREAD_MUTEX_INITIALIZER};
    echo.protocol = cli->text[OPT_PROTOCOL_ID] == NULL ? "/echo/1.0.0" : cli->text[OPT_PROTOCOL_ID];
    echo.bytes = (cli->given & CLI_BIT(OPT_BYTES)) ? cli->number[OPT_BYTES] : 1u << 20;
    echo.streams = (cli->given & CLI_BIT(OPT_STREAMS)) ? cli->number[OPT_STREAMS] : 1;
    uint64_t parallel = (cli->given & CLI_BIT(OPT_PARALLEL)) ? cli->number[OPT_PARALLEL] : 16;
    if (echo.protocol[0] != '/' || strlen(echo.protocol) > 159) {
        cli_usage(cli, "option --protocol-id %.100s: expected a protocol id such as /echo/1.0.0",
                  echo.protocol);
    }
    int code = session_start(&session, cli, "off");
    echo.timeout_ms = session_timeout_ms(&session);
    if (code == CLI_OK) {
        code = session_dial(&session, cli->args[0]);
    }
    if (code == CLI_OK) {
        uint64_t start = cli_clock_ns();
        progress(cli, 0, echo.streams, "streams");
        run_all(&echo, parallel < echo.streams ? parallel : echo.streams);
        code = report(&echo, cli_clock_ns() - start);
    }
    session_end(&session);
    return code;
}
