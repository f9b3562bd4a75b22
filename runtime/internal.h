/* SPDX-License-Identifier: MIT
 * The structures that the files of this room share; nobody outside includes it.
 *
 * Four objects and who owns them:
 *   slot    an address: mailbox, generation, accounting. Memory is never given back before lp2p_rt_stop has joined all.
 *   seat    the binding of a slot to the thread that serves it. One per slot, embedded; a second one is made only when a
 *           stuck thread keeps the first ("condemned"). Never freed before the slot.
 *   body    one generation of an actor (struct lp2p_actor): state, timers, descriptors. Belongs to the thread of its seat.
 *   driver  a thread and its loop (or the simulated one). Recycled, never freed before the runtime.
 *
 * Who may serve a slot: the thread that has moved seat->run from IDLE to TURN, and only while seat->driver is that
 * thread's. Fields below are grouped by who writes them; "atomic" fields are touched with __atomic builtins only. */
#ifndef LP2P_RUNTIME_INTERNAL_H
#define LP2P_RUNTIME_INTERNAL_H

#include "base/heap.h"
#include "base/list.h"
#include "runtime/runtime.h"

#include <pthread.h>

/* seat->run: IDLE, TURN (between two handlers of a turn), CONDEMNED (taken away from its thread for good), or the time
 * at which the handler that runs now was entered. Only IDLE and a handler's time can be condemned. */
#define LP2P_RUN_IDLE 0u
#define LP2P_RUN_TURN 1u
#define LP2P_RUN_CONDEMNED UINT64_MAX

#define LP2P_MAILBOX_DEFAULT 1024u
#define LP2P_MAILBOX_LIMIT (1u << 24)
#define LP2P_STACK_KIB_DEFAULT 128u
#define LP2P_SHUTDOWN_MS_DEFAULT 5000u
#define LP2P_ACTORS_DEFAULT 4096u
#define LP2P_BATCH_MAX 64u           /* normal messages of one actor in one turn */
#define LP2P_KILL_GRACE_MS 1000u     /* from the forced end to giving an actor up as blocked */
#define LP2P_TIMER_FAR (LP2P_NEVER - 1) /* an armed entry that never fires: keeps its place in the heap */
#define LP2P_GROUP_NONE LP2P_GROUPS_MAX

/* slot->ctl: what supervisors ask of a slot; bits, so that asking needs no memory and cannot be refused. */
enum {
    LP2P_CTL_START = 1, /* make a body and run init */
    LP2P_CTL_FAIL = 2,  /* fail the generation in slot->fail_gen */
    LP2P_CTL_STOP = 4,  /* on_stop */
    LP2P_CTL_KILL = 8,  /* end now: the deadline has passed */
};

struct lp2p_slot;
struct lp2p_driver;
struct lp2p_child;

/** A child spec as the runtime keeps it: shared by the supervisor's record and by the bodies made from it. */
struct lp2p_child_info {
    uint32_t refs; /* atomic */
    uint32_t arg_taken; /* atomic; init has run: a TEMPORARY child's arg is no longer ours */
    struct lp2p_child_spec spec; /* spec.id points to id */
    char id[];
};

struct lp2p_seat {
    uint32_t scheduled; /* atomic; 1: the seat is in exactly one ready stack or run queue, or on its way there */
    uint64_t run;       /* atomic, see above */
    struct lp2p_driver *driver; /* atomic; who serves it; the janitor's when the slot has no thread */
    struct lp2p_seat *ready_next; /* of whoever holds the seat */
    struct lp2p_actor *body;      /* of the serving thread */
    struct lp2p_slot *slot;       /* constant */
    struct lp2p_seat *extra_next; /* constant once published in rt->extra_seats */
    bool resident, noticed; /* condemned: what it was; its thread has found out */
};

/** Messages of one lane in the order of their arrival; of the serving thread. */
struct lp2p_lane_queue {
    struct lp2p_msg *head, *tail;
    uint32_t len;
};

/** Counters of one generation; written by the serving thread, read by anyone (relaxed atomics). */
struct lp2p_slot_stats {
    uint64_t msgs_in, msgs_out, sends_refused, sends_dropped, turns, wakeups, busy_ns, longest_ns, account_bytes;
    uint32_t depth_peak, restarts;
};

#define LP2P_LABEL_WORDS 9 /* id 40, kind 16, thread 16 bytes, copied as words so that readers need no lock */

struct lp2p_slot {
    /* senders */
    ck_stack_t inbox;
    uint32_t depth[2];      /* atomic; bounded messages waiting, by lane */
    uint32_t ctl;           /* atomic; LP2P_CTL_* */
    uint32_t fail_gen;      /* atomic */
    uint64_t waiting_bytes; /* atomic */
    /* serving thread or supervisor in turn; read by senders */
    uint32_t gen;           /* atomic; of the present or next body; never 0 */
    uint32_t open;          /* atomic; 0: refuses everything */
    uint32_t live;          /* atomic; 1: a body is there (snapshot) */
    uint32_t lane_max;      /* atomic */
    struct lp2p_seat *seat; /* atomic */
    uint64_t sup;           /* atomic; packed ref of the supervisor that answers for this slot; 0: root or none */
    /* a supervisor's own slot: what lp2p_spawn must know about it, atomics */
    uint32_t spawn_open, dynamic_max, dynamic_count;
    /* serving thread */
    struct lp2p_lane_queue lanes[2];
    struct lp2p_list watchers; /* struct lp2p_ctl_monitor */
    /* handed over with START, by the supervisor or spawner */
    struct lp2p_child_info *info;
    struct lp2p_msg *started_msg, *ended_msg, *retire_msg; /* allocated ahead: notices cannot fail */
    uint32_t group; /* of its thread; LP2P_GROUP_NONE */
    bool resident;
    bool attached; /* under rt->lock: a thread was chosen for it */
    /* the supervisor that answers for the slot */
    struct lp2p_child *child;
    /* kept over generations of a supervisor: the slots of its static children (0: none) */
    uint32_t *statics;
    size_t statics_len;
    /* constant, or under rt->lock */
    uint32_t index;
    struct lp2p_slot *free_next;
    struct lp2p_seat first_seat;
    struct lp2p_slot_stats stats;
    uint32_t label_seq; /* atomic; odd while the labels change */
    uint64_t labels[LP2P_LABEL_WORDS];
};

/** One watched descriptor. */
struct lp2p_watch {
    struct lp2p_list link; /* body->watches */
    struct lp2p_actor *body;
    int fd;
    unsigned interest, ready;
};

#define LP2P_ACTOR_MAGIC LP2P_MAGIC('a', 'c', 't', 'r')

/** One generation of an actor. */
struct lp2p_actor {
    uint32_t magic;
    struct lp2p_rt *rt;
    struct lp2p_slot *slot;
    struct lp2p_seat *seat;
    struct lp2p_driver *driver;
    struct lp2p_ref ref;
    struct lp2p_child_info *info;
    const struct lp2p_actor_ops *ops;
    void *state;
    lp2p_time timers[LP2P_TIMERS_MAX];
    struct lp2p_heap_node timer_node; /* the earliest of them; always in the driver's heap */
    struct lp2p_list watches;
    struct lp2p_list link; /* driver->bodies */
    unsigned fds_ready;    /* watches with ready != 0 */
    unsigned group;        /* of its thread; LP2P_GROUP_NONE */
    bool timers_dirty;     /* timer_node is not where it belongs; put right at the end of the turn */
    bool broken;           /* memory was short where a call cannot say so: fails after this handler */
    bool fini_done;
};

/* What a sleeping driver waits on; the waker swaps in AWAKE and pays for what it found. */
enum lp2p_sleep { LP2P_AWAKE, LP2P_SLEEP_FUTEX, LP2P_SLEEP_EPOLL };

struct lp2p_poller {
    int epoll_fd, event_fd; /* -1 until the first descriptor is watched */
    unsigned watches;
    uint64_t owed; /* wake-ups that senders have promised to write; read when the thread ends */
};

enum lp2p_driver_kind { LP2P_DRIVER_SYSTEM, LP2P_DRIVER_FIXED, LP2P_DRIVER_EPHEMERAL };
enum lp2p_driver_state { LP2P_DRIVER_FREE, LP2P_DRIVER_RUNNING, LP2P_DRIVER_EXITED };

#define LP2P_RESIDENT_ENDED UINT32_MAX /* it was here and has ended for good: it is not made again by who asks for it */

struct lp2p_driver {
    struct lp2p_rt *rt;
    /* anyone, atomics */
    struct lp2p_seat *ready; /* stack of scheduled seats; LP2P_READY_CLOSED when the thread has ended */
    uint32_t sleeping;       /* enum lp2p_sleep; the futex word */
    uint32_t quit;
    uint32_t condemned; /* seats taken away from this thread that it has not noticed yet */
    uint32_t residents[LP2P_RESIDENTS_MAX]; /* slot index of the instance here; 0: none yet; or LP2P_RESIDENT_ENDED */
    /* the thread itself */
    struct lp2p_seat *run_head, *run_tail;
    size_t run_len;
    struct lp2p_heap timers;
    struct lp2p_poller poller;
    lp2p_time now;  /* of this turn */
    lp2p_time tick; /* last reading of the clock */
    lp2p_time polled; /* when descriptors were last looked at */
    lp2p_time stack_due; /* before this the stack's pages are not given back again */
    uintptr_t stack_low; /* its lowest address; 0: not asked for yet */
    struct lp2p_list bodies;
    struct lp2p_rand rand;
    uint8_t rand_bytes[64];
    size_t rand_left;
    /* under rt->lock */
    struct lp2p_list link; /* rt->drivers */
    enum lp2p_driver_kind kind;
    enum lp2p_driver_state state;
    unsigned group, number;
    unsigned attached, users; /* seats; seats that are not residents */
    bool closing;             /* takes no more seats */
    pthread_t thread;
    char name[16];
};

/** A resident spec of a group; under rt->lock. */
struct lp2p_resident_reg {
    struct lp2p_child_info *info; /* NULL: free */
    struct lp2p_ref sup;
};

struct lp2p_group {
    struct lp2p_group_config config;
    struct lp2p_resident_reg residents[LP2P_RESIDENTS_MAX];
};

/** A static child's name, for lp2p_whereis; under rt->lock. */
struct lp2p_name {
    struct lp2p_list link;
    uint32_t slot;
    char id[];
};

#define LP2P_SLOTS_CHUNK 64u
enum lp2p_root_state { LP2P_ROOT_STARTING, LP2P_ROOT_UP, LP2P_ROOT_ENDED };

struct lp2p_rt {
    struct lp2p_rt_config config;
    uint32_t posters;  /* atomic; foreign threads inside lp2p_post and its like */
    uint32_t closed;   /* atomic; lp2p_rt_stop has passed the point of no post */
    uint32_t quitting; /* atomic; drivers end, nothing is scheduled any more */
    /* atomics */
    struct lp2p_slot **chunks; /* array of chunk pointers, each published once */
    uint32_t slots_len, actors, actors_peak, threads;
    uint64_t restarts, abandoned, stale_msgs;
    /* under lock */
    pthread_mutex_t lock;
    pthread_cond_t changed; /* root state, ends of threads */
    struct lp2p_slot *free_slots, *free_slots_tail;
    struct lp2p_list drivers;
    struct lp2p_driver *janitor; /* constant after start: serves slots that have no thread of their own */
    struct lp2p_driver *zombie;  /* the last thread that ended; joined by the next one */
    struct lp2p_seat *extra_seats;
    struct lp2p_list names;
    struct lp2p_group groups[LP2P_GROUPS_MAX];
    struct lp2p_slot *root;
    enum lp2p_root_state root_state;
    bool stopping; /* lp2p_rt_stop was called */
    bool leaked;   /* it has returned, but left threads behind: they end alone */
    enum lp2p_err root_reason;
    char failed_id[64];
    /* simulation */
    lp2p_time sim_now;
    struct lp2p_rand_seeded sim_choice, sim_rand;
    uint32_t sim_residents[LP2P_GROUPS_MAX][LP2P_RESIDENTS_MAX]; /* its one thread is in every group */
};

extern __thread struct lp2p_driver *lp2p_current_driver;

static inline uint64_t lp2p_ref_pack(struct lp2p_ref ref)
{
    return (uint64_t)ref.slot << 32 | ref.gen;
}

static inline struct lp2p_ref lp2p_ref_unpack(uint64_t packed)
{
    return (struct lp2p_ref){(uint32_t)(packed >> 32), (uint32_t)packed};
}

/** The residents of that group on that thread, LP2P_RESIDENTS_MAX atomics. */
static inline uint32_t *lp2p_residents_of(struct lp2p_driver *driver, unsigned group)
{
    return driver->rt->config.simulated ? driver->rt->sim_residents[group] : driver->residents;
}

/** Adds to a counter that only the caller writes. */
static inline void lp2p_count(uint64_t *counter, uint64_t n)
{
    __atomic_store_n(counter, __atomic_load_n(counter, __ATOMIC_RELAXED) + n, __ATOMIC_RELAXED);
}

#endif
