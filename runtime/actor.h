/* SPDX-License-Identifier: MIT
 * The actor: private state, a mailbox and an ops table. The unit of isolation, of accounting and of supervision.
 *
 * All functions that take `self` may be called only from that actor's own handlers. Handlers never block and never loop
 * on their own: the loop belongs to the thread that drives the actor, and an actor does not know which that is.
 * The exception is an actor with a thread of its own (LP2P_PLACE_OWN): if its handler blocks, it stalls only itself. */
#ifndef LP2P_RUNTIME_ACTOR_H
#define LP2P_RUNTIME_ACTOR_H

#include "base/rand.h"
#include "base/time.h"
#include "runtime/message.h"

struct lp2p_actor;
struct lp2p_rt;
struct lp2p_child_spec;

/** What a handler decided. FAIL means "our own fault": the supervisor acts. A misbehaving remote peer is STOP. */
enum lp2p_verdict { LP2P_CONTINUE, LP2P_STOP, LP2P_FAIL };

/** Readiness of a descriptor, level-triggered; HANGUP comes with either interest. */
enum { LP2P_READABLE = 1, LP2P_WRITABLE = 2, LP2P_HANGUP = 4 };

#define LP2P_TIMERS_MAX 8 /* timers 0..7 of each actor */

/** The behaviour of a kind of actor. Any handler but init may be NULL if it is never needed. */
struct lp2p_actor_ops {
    const char *name;  /* kind, e.g. "muxer" */
    size_t state_size; /* the runtime allocates the state, zeroes it, and wipes it after fini */
    /** arg is the child spec's. A failure ends the actor at once (fini is not called): undo what was done. */
    enum lp2p_err (*init)(struct lp2p_actor *self, void *state, const void *arg);
    /** What is left in *msg afterwards is dropped by the runtime; take it by nulling *msg. */
    enum lp2p_verdict (*on_msg)(struct lp2p_actor *self, void *state, struct lp2p_msg **msg);
    enum lp2p_verdict (*on_fd)(struct lp2p_actor *self, void *state, int fd, unsigned ready);
    enum lp2p_verdict (*on_timer)(struct lp2p_actor *self, void *state, unsigned timer);
    /** The supervisor asks to end. STOP: done. CONTINUE: still finishing, STOP will be returned by a later handler, and
     *  at the deadline of the child spec (shutdown_ms) the actor is ended. NULL: STOP at once. */
    enum lp2p_verdict (*on_stop)(struct lp2p_actor *self, void *state);
    /** After the last message and before the state is freed: close descriptors, drop references. */
    void (*fini)(struct lp2p_actor *self, void *state, enum lp2p_verdict why);
};

/** This actor's own exact address (with generation). */
struct lp2p_ref lp2p_self(const struct lp2p_actor *self);
struct lp2p_rt *lp2p_actor_rt(const struct lp2p_actor *self);
/** The id of its child spec, e.g. "conn:7"; valid while the actor lives. */
const char *lp2p_actor_id(const struct lp2p_actor *self);
/** Monotonic time, sampled once per turn; virtual in simulation. */
lp2p_time lp2p_now(const struct lp2p_actor *self);
/** Wall clock, milliseconds since 1970 (UTC); virtual in simulation. */
uint64_t lp2p_wall_ms(const struct lp2p_actor *self);
/** The system's random source (seeded in simulation); fit for keys outside of simulation. */
const struct lp2p_rand *lp2p_actor_rand(const struct lp2p_actor *self);

/** Sends *msg and nulls it. EFULL: the receiver's lane is full; EGONE: it has ended. On failure *msg is still yours. */
enum lp2p_err lp2p_send(struct lp2p_actor *self, struct lp2p_ref to, struct lp2p_msg **msg) LP2P_MUST_CHECK;
/** Sends to request->from with request->tag. EGONE also when the request came from a foreign thread. */
enum lp2p_err lp2p_reply(struct lp2p_actor *self, const struct lp2p_msg *request, struct lp2p_msg **msg) LP2P_MUST_CHECK;
/** As lp2p_send, but on failure the message is dropped and counted (`sends_dropped`): for what the receiver can lose. */
void lp2p_send_or_drop(struct lp2p_actor *self, struct lp2p_ref to, struct lp2p_msg **msg);
/** Gives up a message that could not be sent (`why`, or EGONE): who waits for its answer learns of it as if the receiver had
 *  ended without reading it (lp2p_msg_class.unread). Nulls *msg. */
void lp2p_unread(struct lp2p_actor *self, struct lp2p_msg **msg, enum lp2p_err why);

/** Sets timer 0..LP2P_TIMERS_MAX-1 to an absolute time; LP2P_NEVER clears it. It fires once. */
void lp2p_timer_set(struct lp2p_actor *self, unsigned timer, lp2p_time when);
lp2p_time lp2p_timer_get(const struct lp2p_actor *self, unsigned timer);

/** Watches a descriptor (interest 0: keep it registered, hear nothing but hang-up), or changes the interest.
 *  EIO when the kernel refuses. */
enum lp2p_err lp2p_fd_watch(struct lp2p_actor *self, int fd, unsigned interest) LP2P_MUST_CHECK;
/** Stops watching; to be called before the descriptor is closed or handed to another actor. */
void lp2p_fd_unwatch(struct lp2p_actor *self, int fd);

/** Asks for one LP2P_MSG_DOWN when `other` ends; comes at once (EGONE) if it has ended. With gen 0 the present holder
 *  of the slot is meant. The message is on the urgent lane and cannot be lost. */
void lp2p_monitor(struct lp2p_actor *self, struct lp2p_ref other);
void lp2p_demonitor(struct lp2p_actor *self, struct lp2p_ref other);

/** Starts a child under the supervisor `sup` (an actor whose ops are lp2p_supervisor_ops) and returns its address at
 *  once; messages sent to it wait until its init has run. The spec is copied; see supervisor.h for who owns spec->arg.
 *  EGONE: the supervisor is stopping. ELIMIT: no slot or no place under the supervisor. EIO: no thread. On failure
 *  nothing was taken. */
enum lp2p_err lp2p_spawn(struct lp2p_actor *self, struct lp2p_ref sup, const struct lp2p_child_spec *spec,
                         struct lp2p_ref *out) LP2P_MUST_CHECK;
/** Asks an actor to end as its supervisor would (on_stop, then shutdown_ms). A permanent child ended this way is not
 *  restarted and its spec is forgotten. Asynchronous; monitor it to know. */
void lp2p_stop(struct lp2p_actor *self, struct lp2p_ref who);

/** The instance, on this actor's own thread, of the resident child with that index (supervisor.h), made now where a thread that
 *  came later has none yet; NONE if there is none, or no memory for it. */
struct lp2p_ref lp2p_resident(const struct lp2p_actor *self, unsigned index);

/** Bytes that this actor keeps alive outside of messages (queues, partial frames), for its accounting; replaces the last. */
void lp2p_account_bytes(struct lp2p_actor *self, size_t bytes);

#endif
