/* SPDX-License-Identifier: MIT
 * A runtime: slots, threads, clock and the root supervisor. Several may live in one process; there are no globals but
 * the per-thread pools. The functions here may be called from any thread that is not one of the runtime's own, except
 * lp2p_post, lp2p_rt_snapshot and lp2p_whereis, which may be called from any thread. */
#ifndef LP2P_RUNTIME_RUNTIME_H
#define LP2P_RUNTIME_RUNTIME_H

#include "runtime/supervisor.h"

/** A group of threads that share actors. */
struct lp2p_group_config {
    const char *name;     /* thread names are "<name>-<n>", at most 15 bytes are kept */
    unsigned threads;     /* fixed number of threads; 0: one thread for each GROUP placement, ended with its last actor */
    unsigned threads_max; /* with threads == 0: beyond this many, actors share the least loaded thread */
    unsigned stack_kib;   /* 0: 128 */
};
#define LP2P_GROUPS_MAX 4

/** Descriptors below the platform boundary in a simulated runtime. */
struct lp2p_sim_io {
    void *ctx;
    /** Level-triggered readiness of a simulated descriptor (LP2P_READABLE | ...). */
    unsigned (*ready)(void *ctx, int fd);
    /** When a simulated descriptor may next become ready although nobody acts (packets in flight); LP2P_NEVER: not by itself. */
    lp2p_time (*next)(void *ctx);
    /** The virtual clock has moved to `now`. */
    void (*advance)(void *ctx, lp2p_time now);
};

struct lp2p_rt_config {
    unsigned actors_max; /* slots; 0: 4096. Memory is taken as slots are first used */
    struct lp2p_group_config groups[LP2P_GROUPS_MAX];
    unsigned groups_len;
    const struct lp2p_child_spec *root; /* spec of the root supervisor; borrowed for the life of the runtime */
    bool simulated;                     /* no thread at all: lp2p_sim_step drives everything, seeded, in virtual time */
    uint64_t seed;
    struct lp2p_sim_io sim_io;
    /** Called by the supervisors' threads, one call at a time per supervisor; must not block. May be NULL. */
    void (*on_sup_event)(void *user, const struct lp2p_sup_event *event);
    /** Called once when the root supervisor has failed (nothing of the runtime runs any more). May be NULL. */
    void (*on_root_failed)(void *user);
    void *user;
};

/** Starts the root supervisor and waits until all static children of the whole tree are up. On failure nothing is left
 *  running and *failed_id (may be NULL; at least 64 bytes) names the child whose init failed. */
enum lp2p_err lp2p_rt_start(const struct lp2p_rt_config *config, struct lp2p_rt **out, char *failed_id) LP2P_MUST_CHECK;
/** Stops the tree in reverse order, each child within its deadline, joins all threads and frees everything. Returns the
 *  number of actors that had to be abandoned (their threads and memory are leaked on purpose). */
unsigned lp2p_rt_stop(struct lp2p_rt **rt);

/** Sends from a foreign thread (or from any place without `self`); as lp2p_send with from = NONE. */
enum lp2p_err lp2p_post(struct lp2p_rt *rt, struct lp2p_ref to, struct lp2p_msg **msg) LP2P_MUST_CHECK;
/** The same for a caller that keeps lp2p_rt_stop from beginning meanwhile by a door of its own. */
enum lp2p_err lp2p_post_inside(struct lp2p_rt *rt, struct lp2p_ref to, struct lp2p_msg **msg) LP2P_MUST_CHECK;
/** Address (gen 0) of the static child with that id, anywhere in the tree; NONE if there is none. A supervisor gives all its
 *  static children their addresses before it starts the first of them, so siblings may look each other up in their init. */
struct lp2p_ref lp2p_whereis(struct lp2p_rt *rt, const char *id);
/** Makes an actor fail at its next turn, as if a handler had returned LP2P_FAIL: for tests and operators' drills. */
enum lp2p_err lp2p_rt_fail(struct lp2p_rt *rt, struct lp2p_ref who);

/** Accounting of one actor; counters since its start (restarts reset them), read without stopping anything. */
struct lp2p_actor_stats {
    struct lp2p_ref ref;
    char id[40];     /* child id */
    char kind[16];   /* ops->name */
    char thread[16]; /* name of its thread */
    unsigned restarts;      /* of this slot's child since the runtime started */
    uint64_t msgs_in, msgs_out;
    uint64_t sends_refused; /* EFULL verdicts this actor met as a sender */
    uint64_t sends_dropped; /* by lp2p_send_or_drop */
    uint64_t turns, wakeups; /* turns run; wake-ups it paid for as a sender */
    uint64_t busy_ns, longest_ns; /* time in handlers: total, longest one */
    uint64_t running_ns; /* how long its present handler has run; 0: none runs */
    uint32_t depth, depth_peak; /* messages waiting in the mailbox */
    uint64_t bytes; /* held: lp2p_account_bytes + payload of waiting messages */
};

/** Totals of the runtime. */
struct lp2p_rt_stats {
    unsigned actors, actors_peak, actors_max;
    unsigned threads;
    uint64_t restarts, abandoned; /* by all supervisors */
    uint64_t stale_msgs; /* messages that reached a slot after their receiver had ended; dropped */
};
void lp2p_rt_stats_get(struct lp2p_rt *rt, struct lp2p_rt_stats *out);
/** Copies the accounting of up to cap live actors; returns how many there are. Any thread, never blocks anyone. */
size_t lp2p_rt_snapshot(struct lp2p_rt *rt, struct lp2p_actor_stats *out, size_t cap);

/** Simulated runtime: runs one turn of one runnable actor, chosen by the seed, or moves the clock to the next deadline
 *  (never beyond `until`). False when nothing is left to do before `until`; the clock then stands at `until`. */
bool lp2p_sim_step(struct lp2p_rt *rt, lp2p_time until);
/** Steps until virtual time `until`. */
void lp2p_sim_run(struct lp2p_rt *rt, lp2p_time until);
lp2p_time lp2p_sim_now(struct lp2p_rt *rt);

#endif
