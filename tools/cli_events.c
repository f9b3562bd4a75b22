/* SPDX-License-Identifier: MIT
 * What a running node tells: events as lines, its actors as a table, until a signal ends it. */
#include "cli.h"

#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

#define LISTENING_MAX 64

void print_listening(const struct cli *cli, const char *address, const char *self)
{
    /* A listener that was restarted tells its addresses again; each is printed once. */
    static char *seen[LISTENING_MAX];
    static size_t seen_len;
    for (size_t i = 0; i < seen_len; i++) {
        if (strcmp(seen[i], address) == 0) {
            return;
        }
    }
    if (seen_len < LISTENING_MAX && (seen[seen_len] = strdup(address)) != NULL) {
        seen_len++;
    }
    if (cli->json) {
        struct line line = line_new("listening");
        line_str(&line, "address", address);
        line_str(&line, "peer", self);
        line_print(&line);
    } else {
        say(cli, "listening on %s", address);
    }
}

/* ---- people */

static void tell_message(const struct lp2p_event *event)
{
    printf("message from %s: ", event->peer->id);
    put_clean(stdout, event->message->json, event->message->json_len);
    putchar('\n');
    (void)fflush(stdout);
}

static bool tell(const struct cli *cli, const struct lp2p_event *event)
{
    const struct lp2p_peer *peer = event->peer;
    switch (event->kind) {
    case LP2P_EVENT_CONNECT:
        say(cli, "connected to %s (%s, %s, %s)", peer->id,
            peer->direction == LP2P_INBOUND ? "inbound" : "outbound", peer->remote_addr, peer->muxer);
        return true;
    case LP2P_EVENT_DISCONNECT:
        say(cli, "disconnected from %s: %s", peer->id,
            event->err == LP2P_OK ? "closed by this side" : lp2p_strerror(event->err));
        return true;
    case LP2P_EVENT_DISCOVERY:
        say(cli, "discovered %s (%s%s)", peer->id, peer->addrs_len > 0 ? peer->addrs[0] : "no address",
            peer->addrs_len > 1 ? ", ..." : "");
        return true;
    case LP2P_EVENT_UPDATE:
        say(cli, "updated %s (%s, %zu addresses, %zu protocols)", peer->id,
            peer->agent[0] == '\0' ? "agent unknown" : peer->agent, peer->addrs_len, peer->protocols_len);
        return true;
    case LP2P_EVENT_MESSAGE:
        tell_message(event);
        return true;
    case LP2P_EVENT_ERROR:
        say(cli, "error: %s: %s", lp2p_strerror(event->err), event->detail);
        return true;
    case LP2P_EVENT_RESTART:
        say(cli, "restarted %s after a failure", event->detail);
        return true;
    case LP2P_EVENT_LOST:
        say(cli, "%llu events were lost: the output is too slow", (unsigned long long)event->number);
        return true;
    case LP2P_EVENT_LISTENING:
        break;
    }
    return false;
}

/* ---- machines */

static void add_peer(struct line *line, const struct lp2p_event *event)
{
    const struct lp2p_peer *peer = event->peer;
    if (peer == NULL) {
        return;
    }
    line_str(line, "peer", peer->id);
    if (event->kind == LP2P_EVENT_CONNECT || event->kind == LP2P_EVENT_DISCOVERY ||
        event->kind == LP2P_EVENT_UPDATE) {
        line_strs(line, "addrs", peer->addrs, peer->addrs_len);
    }
    if (event->kind == LP2P_EVENT_CONNECT) {
        line_str(line, "remote_addr", peer->remote_addr);
        line_str(line, "direction", peer->direction == LP2P_INBOUND ? "inbound" : "outbound");
        line_str(line, "security", peer->security);
        line_str(line, "muxer", peer->muxer);
    }
    if (event->kind == LP2P_EVENT_UPDATE) {
        line_strs(line, "protocols", peer->protocols, peer->protocols_len);
        line_str(line, "agent_version", peer->agent);
    }
}

static void print_json(const struct lp2p_event *event)
{
    struct line line = line_new(lp2p_event_name(event->kind));
    add_peer(&line, event);
    switch (event->kind) {
    case LP2P_EVENT_MESSAGE:
        line_uint(&line, "bytes", event->message->json_len);
        line_json(&line, "message", event->message->json, event->message->json_len);
        break;
    case LP2P_EVENT_RESTART:
        line_str(&line, "name", event->detail);
        line_uint(&line, "generation", event->number);
        line_str(&line, "code", lp2p_errname(event->err));
        line_str(&line, "text", lp2p_strerror(event->err));
        break;
    case LP2P_EVENT_DISCONNECT:
    case LP2P_EVENT_ERROR:
        line_str(&line, "code", event->err == LP2P_OK ? "OK" : lp2p_errname(event->err));
        line_str(&line, "text", event->err == LP2P_OK ? "closed by this side" : lp2p_strerror(event->err));
        line_str(&line, "detail", event->detail);
        break;
    case LP2P_EVENT_LOST:
        line_uint(&line, "lost", event->number);
        break;
    default:
        break;
    }
    line_uint(&line, "time_ms", event->time_ms);
    line_print(&line);
}

bool print_event(const struct cli *cli, const struct lp2p_event *event, const char *self)
{
    if (event->kind == LP2P_EVENT_LISTENING) {
        print_listening(cli, event->detail, self);
        return true;
    }
    if (!cli->json) {
        return tell(cli, event);
    }
    print_json(event);
    return true;
}

/* ---- the table of actors, and all counters */

static void print_counters(const struct lp2p_stats *s)
{
    const struct {
        const char *name;
        uint64_t value;
    } all[] = {
#define ONE(field) {#field, s->field}
        ONE(connections), ONE(streams), ONE(known_peers), ONE(dht_peers), ONE(upgrades_pending), ONE(dials_pending),
        ONE(connections_opened), ONE(connections_closed), ONE(connections_trimmed), ONE(connections_refused),
        ONE(upgrades_failed), ONE(dials), ONE(dials_failed), ONE(dials_limited), ONE(bytes_in), ONE(bytes_out),
        ONE(messages_in), ONE(messages_out), ONE(messages_invalid), ONE(messages_duplicate), ONE(messages_dropped),
        ONE(messages_left_out), ONE(proxied_invalid), ONE(streams_opened), ONE(streams_refused), ONE(streams_reset), ONE(dht_requests_in),
        ONE(dht_requests_refused), ONE(dht_records), ONE(dht_providers), ONE(events_lost),
#undef ONE
    };
    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
        fprintf(stderr, "%s=%llu%s", all[i].name, (unsigned long long)all[i].value, i % 6 == 5 ? "\n" : " ");
    }
    fprintf(stderr, "\n");
}

static void print_stats(struct lp2p_node *node, size_t actors)
{
    struct lp2p_stats s;
    if (lp2p_node_stats(node, &s) != LP2P_OK) {
        return;
    }
    fprintf(stderr, "%zu actors, %llu threads, %llu restarts; %u connections (%u in, %u out; %u to %u wanted), %u streams, "
                    "%u known peers; up %.1f s\n",
            actors, (unsigned long long)s.threads, (unsigned long long)s.restarts, s.connections, s.inbound, s.outbound,
            s.connections_min, s.connections_max, s.streams, s.known_peers, (double)s.uptime_ms / 1e3);
    print_counters(&s);
    fprintf(stderr,
            "mdns: %llu queries, %llu answers, %llu packets, %llu invalid, %llu limited, %llu peers, %llu gone, %llu suppressed\n",
            (unsigned long long)s.mdns_queries, (unsigned long long)s.mdns_answers, (unsigned long long)s.mdns_packets,
            (unsigned long long)s.mdns_invalid, (unsigned long long)s.mdns_limited, (unsigned long long)s.mdns_peers,
            (unsigned long long)s.mdns_gone, (unsigned long long)s.mdns_suppressed);
}

void print_actors(struct lp2p_node *node)
{
    size_t cap = lp2p_node_actors(node, NULL, 0) + 32;
    struct lp2p_actor_info *actors = calloc(cap, sizeof(*actors));
    if (actors == NULL) {
        return;
    }
    size_t len = lp2p_node_actors(node, actors, cap);
    len = len < cap ? len : cap;
    fprintf(stderr, "%-28s %-12s %-15s %8s %10s %10s %8s %10s %11s %6s %6s %10s\n", "actor", "kind", "thread",
            "restarts", "msgs in", "msgs out", "refused", "busy ms", "longest us", "depth", "peak", "bytes");
    for (size_t i = 0; i < len; i++) {
        const struct lp2p_actor_info *a = &actors[i];
        fprintf(stderr, "%-28s %-12s %-15s %8u %10llu %10llu %8llu %10.1f %11.1f %6u %6u %10llu\n", a->id,
                a->kind, a->thread, a->restarts, (unsigned long long)a->msgs_in,
                (unsigned long long)a->msgs_out, (unsigned long long)a->sends_refused,
                (double)a->busy_ns / 1e6, (double)a->longest_ns / 1e3, a->depth, a->depth_peak,
                (unsigned long long)a->bytes);
    }
    print_stats(node, len);
    (void)fflush(stderr);
    free(actors);
}

/* ---- until a signal */

static void fill_signals(sigset_t *set)
{
    sigemptyset(set);
    sigaddset(set, SIGINT);
    sigaddset(set, SIGTERM);
    sigaddset(set, SIGUSR1);
    sigaddset(set, SIGHUP);
}

/* Whoever closes the terminal that a program runs in wants it to end; SIGHUP to a daemon asks it to read its files again. */
static bool in_terminal;

void cli_block_signals(void)
{
    in_terminal = isatty(STDOUT_FILENO) || isatty(STDIN_FILENO);
    sigset_t set;
    fill_signals(&set);
    (void)sigprocmask(SIG_BLOCK, &set, NULL);
    (void)signal(SIGPIPE, SIG_IGN);
}

static void print_stopped(const struct cli *cli, const char *reason)
{
    if (cli->json) {
        struct line line = line_new("stopped");
        line_str(&line, "reason", reason);
        line_print(&line);
    } else {
        say(cli, "stopped: %s", reason);
    }
}

static void print_waiting(const struct cli *cli, struct lp2p_node *node)
{
    struct lp2p_event *event;
    while ((event = lp2p_node_next_event(node, 0)) != NULL) {
        (void)print_event(cli, event, lp2p_node_peer_id(node));
        lp2p_event_free(event);
    }
}

/* True while the node runs; it may have given up by itself. */
static bool runs(struct lp2p_node *node)
{
    struct lp2p_stats stats;
    return lp2p_node_stats(node, &stats) == LP2P_OK && stats.actors > 0;
}

/* The reason to end, or NULL. */
static const char *on_signal(const struct cli *cli, struct lp2p_node *node, int number)
{
    switch (number) {
    case SIGTERM:
        return "SIGTERM";
    case SIGINT:
        return "SIGINT";
    case SIGHUP:
        if (cli->command != NULL || in_terminal) {
            return "SIGHUP";
        }
        fprintf(stderr, "%s: SIGHUP: certificates are read again whenever their files change; everything else takes a restart\n",
                cli->program);
        return NULL;
    default:
        print_actors(node);
        return NULL;
    }
}

int run_until_signal(const struct cli *cli, struct lp2p_node *node)
{
    sigset_t set;
    fill_signals(&set);
    struct pollfd fds[2] = {{.fd = signalfd(-1, &set, SFD_CLOEXEC), .events = POLLIN},
                            {.fd = lp2p_node_event_fd(node), .events = POLLIN}};
    const char *reason = NULL;
    while (reason == NULL) {
        (void)poll(fds, 2, 1000);
        print_waiting(cli, node);
        struct signalfd_siginfo info;
        if ((fds[0].revents & POLLIN) != 0 && read(fds[0].fd, &info, sizeof(info)) == (ssize_t)sizeof(info)) {
            reason = on_signal(cli, node, (int)info.ssi_signo);
        } else if (!runs(node) || ferror(stdout)) {
            reason = "failure";
        }
    }
    (void)close(fds[0].fd);
    (void)alarm(10); /* a node that does not end in time is ended by the system; its own limit is shorter */
    enum lp2p_err err = lp2p_node_stop(node);
    print_waiting(cli, node);
    print_stopped(cli, reason);
    return err == LP2P_OK && strcmp(reason, "failure") != 0 ? CLI_OK : CLI_FAILED;
}
