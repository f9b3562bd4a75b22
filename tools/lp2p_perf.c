/* SPDX-License-Identifier: MIT
 * lp2p perf: the client of /perf/1.0.0 (libp2p specs perf/perf.md): eight bytes big-endian with what is asked
 * for, the upload, end of writing, then the download to its end. */
#include "lp2p.h"

#define CHUNK 65536

struct perf {
    struct session *session;
    struct lp2p_stream *stream;
    uint64_t up, down, up_ns, down_ns;
};

static enum lp2p_err write_all(struct perf *perf, const uint8_t *bytes, size_t len)
{
    enum lp2p_err err = LP2P_OK;
    for (size_t done = 0; done < len && err == LP2P_OK;) {
        size_t put = 0;
        err = lp2p_stream_write(perf->stream, bytes + done, len - done, session_timeout_ms(perf->session),
                                &put);
        done += put;
    }
    return err;
}

static enum lp2p_err upload(struct perf *perf)
{
    static const uint8_t zeros[CHUNK];
    uint8_t ask[8];
    for (size_t i = 0; i < 8; i++) {
        ask[i] = (uint8_t)(perf->down >> (56 - 8 * i));
    }
    enum lp2p_err err = write_all(perf, ask, sizeof(ask));
    for (uint64_t done = 0; done < perf->up && err == LP2P_OK;) {
        size_t n = perf->up - done < CHUNK ? (size_t)(perf->up - done) : CHUNK;
        err = write_all(perf, zeros, n);
        done += n;
        progress(perf->session->cli, done, perf->up + perf->down, "bytes");
    }
    return err == LP2P_OK ? lp2p_stream_close_write(perf->stream) : err;
}

/* The upload ends when the peer has it all, which its first byte or its end shows. */
static enum lp2p_err download(struct perf *perf, uint64_t start)
{
    uint8_t chunk[CHUNK];
    uint64_t done = 0, uploaded = 0;
    for (;;) {
        size_t got = 0;
        enum lp2p_err err =
            lp2p_stream_read(perf->stream, chunk, sizeof(chunk), session_timeout_ms(perf->session), &got);
        uploaded = uploaded == 0 ? cli_clock_ns() : uploaded;
        perf->up_ns = uploaded - start;
        perf->down_ns = cli_clock_ns() - uploaded;
        if (err != LP2P_OK) {
            return err;
        }
        if (got == 0) {
            return done == perf->down ? LP2P_OK : LP2P_ETRUNCATED;
        }
        done += got;
        if (done > perf->down) {
            return LP2P_EPROTO;
        }
        progress(perf->session->cli, perf->up + done, perf->up + perf->down, "bytes");
    }
}

static double mib_per_s(uint64_t bytes, uint64_t ns)
{
    return ns == 0 ? 0 : (double)bytes / 1048576.0 / ((double)ns / 1e9);
}

static void report(struct perf *perf)
{
    const struct cli *cli = perf->session->cli;
    if (cli->json) {
        struct line line = cli_result(cli);
        session_describe(perf->session, &line);
        line_uint(&line, "up_bytes", perf->up);
        line_uint(&line, "down_bytes", perf->down);
        line_ms(&line, "duration_ms", perf->up_ns + perf->down_ns);
        line_ms(&line, "up_ms", perf->up_ns);
        line_ms(&line, "down_ms", perf->down_ns);
        line_real(&line, "up_mib_per_s", mib_per_s(perf->up, perf->up_ns));
        line_real(&line, "down_mib_per_s", mib_per_s(perf->down, perf->down_ns));
        line_print(&line);
    } else {
        progress_end(cli);
        say(cli, "up %llu bytes in %.3f s (%.2f MiB/s), down %llu bytes in %.3f s (%.2f MiB/s)",
            (unsigned long long)perf->up, (double)perf->up_ns / 1e9, mib_per_s(perf->up, perf->up_ns),
            (unsigned long long)perf->down, (double)perf->down_ns / 1e9,
            mib_per_s(perf->down, perf->down_ns));
    }
}

static int measure(struct perf *perf)
{
    static const char *const protocol = "/perf/1.0.0";
    struct session *session = perf->session;
    struct lp2p_op *op = NULL;
    int code = session_finish(session, lp2p_stream_open(session->node, session->peer, &protocol, 1, &op), &op,
                              "opening a stream");
    if (code != CLI_OK) {
        return code;
    }
    perf->stream = lp2p_op_stream(op);
    lp2p_op_free(op);
    uint64_t start = cli_clock_ns();
    enum lp2p_err err = upload(perf);
    err = err == LP2P_OK ? download(perf, start) : err;
    lp2p_stream_free(perf->stream);
    if (err != LP2P_OK) {
        struct failure failure = {.code = err, .stage = "stream", .address = session->target};
        return cli_fail(session->cli, &failure, NULL);
    }
    report(perf);
    return CLI_OK;
}

int command_perf(struct cli *cli)
{
    struct session session;
    struct perf perf = {.session = &session};
    perf.up = (cli->given & CLI_BIT(OPT_UP)) ? cli->number[OPT_UP] : 10u << 20;
    perf.down = (cli->given & CLI_BIT(OPT_DOWN)) ? cli->number[OPT_DOWN] : 10u << 20;
    int code = session_start(&session, cli, "off");
    if (code == CLI_OK) {
        code = session_dial(&session, cli->args[0]);
    }
    if (code == CLI_OK) {
        progress(cli, 0, perf.up + perf.down, "bytes");
        code = measure(&perf);
    }
    session_end(&session);
    return code;
}
