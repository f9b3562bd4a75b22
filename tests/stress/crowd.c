/* SPDX-License-Identifier: MIT
 * A crowd of nodes around one hub, through the public interface only: connections are held while messages flow in both directions,
 * then one component of the hub after the other is made to fail, and nobody else may notice.
 *
 * The hub lives in this process; the crowd in child processes (this program again, with "crowd ADDR COUNT FIRST"), so that the
 * hub's threads and memory can be told apart from theirs. Environment: LP2P_CROWD_PEERS (200), LP2P_CROWD_SECONDS (5),
 * LP2P_CROWD_IO_THREADS (0: a thread for each connection), LP2P_CROWD_REPORT=1 prints the actors and the memory. */
#include "actors/p2p.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define PROCESSES 4
#define PEERS_MAX 512
#define ACTORS_MAX 4096
#define MESSAGE_INTERVAL_MS 500
#define PATIENCE_MS 60000

struct seen {
    char id[LP2P_PEER_TEXT_MAX];
    unsigned long next, gaps, count; /* next expected number, holes in the sequence, messages */
};

/** What one handler of the hub has seen of each peer. Its lock is the test's own. */
struct ledger {
    pthread_mutex_t lock;
    struct seen peers[PEERS_MAX];
    size_t len;
    atomic_uint starts;
};
static struct ledger talk = {.lock = PTHREAD_MUTEX_INITIALIZER}, other = {.lock = PTHREAD_MUTEX_INITIALIZER};
static atomic_ulong disconnects, restarts;
static int checks, failures;

static void check(int ok, const char *what)
{
    checks++;
    failures += !ok;
    printf("%s %d - %s\n", ok ? "ok" : "not ok", checks, what);
    fflush(stdout);
}

static unsigned setting(const char *name, unsigned fallback)
{
    const char *text = getenv(name);
    return text != NULL ? (unsigned)strtoul(text, NULL, 10) : fallback;
}

static long now_ms(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return ts.tv_sec * 1000L + ts.tv_nsec / 1000000;
}

/** Waits until the condition holds; the step is only how often it is looked at. */
static int until(int (*holds)(void *arg), void *arg, long patience_ms)
{
    const struct timespec step = {0, 10000000};
    for (long end = now_ms() + patience_ms; now_ms() < end; nanosleep(&step, NULL)) {
        if (holds(arg)) {
            return 1;
        }
    }
    return holds(arg);
}

static struct seen *seen_of(struct ledger *ledger, const char *peer)
{
    for (size_t i = 0; i < ledger->len; i++) {
        if (strcmp(ledger->peers[i].id, peer) == 0) {
            return &ledger->peers[i];
        }
    }
    if (ledger->len == PEERS_MAX) {
        abort();
    }
    struct seen *seen = &ledger->peers[ledger->len++];
    *seen = (struct seen){.next = 0};
    snprintf(seen->id, sizeof(seen->id), "%s", peer);
    return seen;
}

static enum lp2p_err on_message(void *user, struct lp2p_node *node, const struct lp2p_message *message, const char *peer)
{
    (void)node;
    struct ledger *ledger = (struct ledger *)user;
    unsigned long n = strtoul(message->payload, NULL, 10);
    pthread_mutex_lock(&ledger->lock);
    struct seen *seen = seen_of(ledger, peer);
    seen->gaps += seen->count > 0 && n != seen->next;
    seen->next = n + 1;
    seen->count++;
    pthread_mutex_unlock(&ledger->lock);
    return LP2P_OK;
}

static enum lp2p_err on_start(void *user, struct lp2p_node *node, unsigned n)
{
    (void)node;
    (void)n;
    atomic_fetch_add(&((struct ledger *)user)->starts, 1);
    return LP2P_OK;
}

static void on_event(void *user, struct lp2p_node *node, const struct lp2p_event *event)
{
    (void)user;
    (void)node;
    if (event->kind == LP2P_EVENT_DISCONNECT) {
        atomic_fetch_add(&disconnects, 1);
    } else if (event->kind == LP2P_EVENT_RESTART) {
        atomic_fetch_add(&restarts, 1);
    }
}

/* ---- crowd */

static void must(enum lp2p_err err, const char *what)
{
    if (err != LP2P_OK) {
        fprintf(stderr, "crowd: %s: %s\n", what, lp2p_strerror(err));
        exit(1);
    }
}

static struct lp2p_node *crowd_node(const char *hub)
{
    struct lp2p_config *config = lp2p_config_new();
    struct lp2p_node *node = NULL;
    char detail[LP2P_DETAIL_MAX];
    must(lp2p_config_bootstrap(config, hub), lp2p_config_detail(config));
    must(lp2p_config_connections(config, 1, 4), lp2p_config_detail(config));
    must(lp2p_config_dht(config, "client", NULL), lp2p_config_detail(config));
    must(lp2p_config_io_threads(config, 1), lp2p_config_detail(config));
    must(lp2p_node_new(config, &node, detail), detail);
    must(lp2p_node_start(node, detail), detail);
    lp2p_config_free(config);
    return node;
}

static void crowd_send(struct lp2p_node *node, const char *hub, const char *protocol, unsigned long n)
{
    char payload[32];
    snprintf(payload, sizeof(payload), "%lu", n);
    const struct lp2p_message message = {.type = "data-message", .protocol = protocol, .payload = payload};
    /* Not connected at the moment (the hub's side was made to fail): the next round tries again with the next number. */
    (void)lp2p_node_send_to(node, hub, &message, NULL, NULL);
}

/** Until standard input ends: every node sends a numbered message to each of the two handlers of the hub. */
static int crowd_main(const char *hub, unsigned count)
{
    const char *hub_id = strrchr(hub, '/') + 1;
    struct lp2p_node **nodes = calloc(count, sizeof(struct lp2p_node *));
    for (unsigned i = 0; i < count; i++) {
        nodes[i] = crowd_node(hub);
    }
    long next = now_ms();
    for (unsigned long n = 0; getppid() != 1; n++) {
        for (unsigned i = 0; i < count; i++) {
            if (lp2p_node_is_connected(nodes[i], hub_id)) {
                crowd_send(nodes[i], hub_id, "talk", n);
                crowd_send(nodes[i], hub_id, "other", n);
            }
        }
        next += MESSAGE_INTERVAL_MS;
        fd_set set;
        FD_ZERO(&set);
        FD_SET(0, &set);
        long rest = next - now_ms();
        struct timeval wait = {rest > 0 ? rest / 1000 : 0, rest > 0 ? rest % 1000 * 1000 : 0};
        if (select(1, &set, NULL, NULL, &wait) != 0) {
            break; /* the parent is done */
        }
    }
    for (unsigned i = 0; i < count; i++) {
        lp2p_node_free(nodes[i]);
    }
    free(nodes);
    return 0;
}

/* ---- hub */

static struct lp2p_node *hub_node(unsigned peers)
{
    struct lp2p_config *config = lp2p_config_new();
    struct lp2p_node *node = NULL;
    char detail[LP2P_DETAIL_MAX] = "";
    must(lp2p_config_listen(config, "/ip4/127.0.0.1/tcp/0"), lp2p_config_detail(config));
    must(lp2p_config_connections(config, 0, peers + 50), lp2p_config_detail(config));
    must(lp2p_config_dht(config, "server", NULL), lp2p_config_detail(config));
    must(lp2p_config_io_threads(config, setting("LP2P_CROWD_IO_THREADS", 0)), lp2p_config_detail(config));
    must(lp2p_node_new(config, &node, detail), detail);
    must(lp2p_node_on_event(node, on_event, NULL), "on_event");
    const struct lp2p_handler handlers[2] = {
        {.size = sizeof(handlers[0]), .name = "talk", .user = &talk, .handle_message = on_message, .on_start = on_start},
        {.size = sizeof(handlers[0]), .name = "other", .user = &other, .handle_message = on_message, .on_start = on_start}};
    must(lp2p_node_register(node, &handlers[0]), "register");
    must(lp2p_node_register(node, &handlers[1]), "register");
    must(lp2p_node_start(node, detail), detail);
    lp2p_config_free(config);
    return node;
}

struct crowd {
    pid_t pid[PROCESSES];
    int stop[PROCESSES]; /* write ends: closing one ends that process */
};

static void crowd_start(struct crowd *crowd, const char *self, const char *addr, unsigned peers)
{
    for (unsigned i = 0; i < PROCESSES; i++) {
        int ends[2];
        char count[16];
        snprintf(count, sizeof(count), "%u", peers / PROCESSES + (i < peers % PROCESSES));
        if (pipe(ends) != 0 || (crowd->pid[i] = fork()) < 0) {
            perror("crowd");
            exit(1);
        }
        if (crowd->pid[i] == 0) {
            dup2(ends[0], 0);
            close(ends[0]);
            close(ends[1]);
            for (unsigned j = 0; j < i; j++) {
                close(crowd->stop[j]);
            }
            execl(self, self, "crowd", addr, count, (char *)NULL);
            _exit(127);
        }
        close(ends[0]);
        crowd->stop[i] = ends[1];
    }
}

static int crowd_end(struct crowd *crowd)
{
    int ok = 1;
    for (unsigned i = 0; i < PROCESSES; i++) {
        close(crowd->stop[i]);
    }
    for (unsigned i = 0; i < PROCESSES; i++) {
        int status;
        ok &= waitpid(crowd->pid[i], &status, 0) == crowd->pid[i] && WIFEXITED(status) && WEXITSTATUS(status) == 0;
    }
    return ok;
}

struct hub {
    struct lp2p_node *node;
    unsigned peers;
    unsigned long least; /* messages that each peer must have delivered */
};

static int all_connected(void *arg)
{
    struct hub *hub = (struct hub *)arg;
    struct lp2p_stats stats;
    return lp2p_node_stats(hub->node, &stats) == LP2P_OK && stats.connections == hub->peers;
}

static int all_delivered(struct ledger *ledger, const struct hub *hub)
{
    pthread_mutex_lock(&ledger->lock);
    int ok = ledger->len == hub->peers;
    for (size_t i = 0; i < ledger->len; i++) {
        ok &= ledger->peers[i].count >= hub->least;
    }
    pthread_mutex_unlock(&ledger->lock);
    return ok;
}

static int talk_delivered(void *arg)
{
    return all_delivered(&talk, (struct hub *)arg);
}

static int both_delivered(void *arg)
{
    return all_delivered(&talk, (struct hub *)arg) && all_delivered(&other, (struct hub *)arg);
}

static void clear(struct ledger *ledger)
{
    pthread_mutex_lock(&ledger->lock);
    ledger->len = 0;
    pthread_mutex_unlock(&ledger->lock);
}

/** Peers with a hole in their sequence of messages. */
static unsigned with_gaps(struct ledger *ledger)
{
    unsigned n = 0;
    pthread_mutex_lock(&ledger->lock);
    for (size_t i = 0; i < ledger->len; i++) {
        n += ledger->peers[i].gaps > 0;
    }
    pthread_mutex_unlock(&ledger->lock);
    return n;
}

static void print_status(const char *name)
{
    FILE *file = fopen("/proc/self/status", "r");
    char line[256];
    while (file != NULL && fgets(line, sizeof(line), file) != NULL) {
        if (strncmp(line, name, strlen(name)) == 0) {
            printf("# %s", line);
        }
    }
    if (file != NULL) {
        fclose(file);
    }
}

static void report(struct lp2p_node *node)
{
    static struct lp2p_actor_info info[ACTORS_MAX];
    size_t n = lp2p_node_actors(node, info, ACTORS_MAX);
    print_status("VmRSS");
    print_status("Threads");
    printf("# %-22s %-10s %-15s %8s %10s %10s %8s %9s %9s %6s %6s %8s\n", "actor", "kind", "thread", "restarts", "msgs_in",
           "msgs_out", "refused", "busy_ms", "longest_us", "depth", "peak", "bytes");
    unsigned shown = 0;
    for (size_t i = 0; i < n && i < ACTORS_MAX; i++) {
        int link = strncmp(info[i].id, "conn-", 5) == 0 || strncmp(info[i].id, "muxer-", 6) == 0 ||
                   strchr(info[i].id, '@') != NULL;
        if (link && shown++ >= 12) {
            continue; /* one of two hundred looks like the other */
        }
        printf("# %-22s %-10s %-15s %8u %10llu %10llu %8llu %9.1f %9.1f %6u %6u %8llu\n", info[i].id, info[i].kind,
               info[i].thread, info[i].restarts, (unsigned long long)info[i].msgs_in, (unsigned long long)info[i].msgs_out,
               (unsigned long long)info[i].sends_refused, (double)info[i].busy_ns / 1e6, (double)info[i].longest_ns / 1e3,
               info[i].depth, info[i].depth_peak, (unsigned long long)info[i].bytes);
    }
    printf("# %zu actors, of which %u of connections and on their threads\n", n, shown);
}

static void hold(struct hub *hub)
{
    hub->least = setting("LP2P_CROWD_SECONDS", 5) * 1000UL / MESSAGE_INTERVAL_MS;
    long patience = PATIENCE_MS + 3L * (long)hub->least * MESSAGE_INTERVAL_MS;
    check(until(both_delivered, hub, patience), "messages of every peer arrive at both handlers the whole time");
    check(all_connected(hub) && atomic_load(&disconnects) == 0, "no connection was lost");
    check(with_gaps(&talk) == 0 && with_gaps(&other) == 0, "no message was lost or reordered");
    if (setting("LP2P_CROWD_REPORT", 0)) {
        report(hub->node);
    }
}

static int has_restarted(void *arg)
{
    return atomic_load(&restarts) >= *(unsigned long *)arg;
}

/** The component comes back, and `bystander` sees every message of every peer without a hole. */
static void fail_permanent(struct hub *hub, const char *id, struct ledger *bystander)
{
    char text[128];
    unsigned long want = atomic_load(&restarts) + 1, lost = atomic_load(&disconnects);
    clear(&talk);
    clear(&other);
    hub->least = 4;
    snprintf(text, sizeof(text), "%s is made to fail and is restarted", id);
    check(lp2p_node_fail_actor(hub->node, id) == LP2P_OK && until(has_restarted, &want, PATIENCE_MS), text);
    snprintf(text, sizeof(text), "%s: messages flow on, also to it", id);
    check(until(both_delivered, hub, PATIENCE_MS), text);
    snprintf(text, sizeof(text), "%s: nobody else noticed", id);
    check(with_gaps(bystander) == 0 && atomic_load(&disconnects) == lost, text);
}

static int one_more_disconnect(void *arg)
{
    return atomic_load(&disconnects) >= *(unsigned long *)arg;
}

static void fail_connection(struct hub *hub)
{
    static struct lp2p_actor_info info[ACTORS_MAX];
    size_t n = lp2p_node_actors(hub->node, info, ACTORS_MAX);
    const char *victim = NULL;
    for (size_t i = 0; i < n && i < ACTORS_MAX && victim == NULL; i++) {
        victim = strncmp(info[i].id, "conn-", 5) == 0 ? info[i].id : NULL;
    }
    unsigned long before = atomic_load(&restarts), want = atomic_load(&disconnects) + 1;
    clear(&talk);
    clear(&other);
    hub->least = 4;
    check(victim != NULL && lp2p_node_fail_actor(hub->node, victim) == LP2P_OK && until(one_more_disconnect, &want, PATIENCE_MS),
          "a connection is made to fail: its peer is disconnected");
    check(until(all_connected, hub, PATIENCE_MS), "connection: the peer comes back by its own population rule");
    check(until(talk_delivered, hub, PATIENCE_MS), "connection: messages of every peer flow on");
    check(with_gaps(&talk) <= 1 && atomic_load(&disconnects) == want, "connection: nobody else noticed");
    check(atomic_load(&restarts) == before, "connection: nothing was restarted for it");
}

int main(int argc, char **argv)
{
    signal(SIGPIPE, SIG_IGN);
    if (argc == 4 && strcmp(argv[1], "crowd") == 0) {
        return crowd_main(argv[2], (unsigned)strtoul(argv[3], NULL, 10));
    }
    struct hub hub = {.peers = setting("LP2P_CROWD_PEERS", 200)};
    hub.node = hub_node(hub.peers);
    char addr[1][LP2P_ADDR_TEXT_MAX];
    if (lp2p_node_addrs(hub.node, addr, 1) != 1) {
        fprintf(stderr, "crowd: the hub has no address\n");
        return 1;
    }
    struct crowd crowd;
    crowd_start(&crowd, argv[0], addr[0], hub.peers);
    check(until(all_connected, &hub, PATIENCE_MS), "every peer connects");
    hold(&hub);
    fail_connection(&hub);
    fail_permanent(&hub, "listener-0", &talk);
    fail_permanent(&hub, "router", &talk);
    fail_permanent(&hub, "proto:talk", &other);
    check(crowd_end(&crowd), "the crowd ends cleanly");
    lp2p_node_free(hub.node);
    printf("1..%d\n", checks);
    return failures != 0;
}
