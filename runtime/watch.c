/* SPDX-License-Identifier: MIT */
#include "runtime/body.h"

#include "runtime/poller.h"

#include <stdlib.h>

static struct lp2p_watch *find(struct lp2p_actor *self, int fd)
{
    LP2P_LIST_FOREACH (it, &self->watches) {
        struct lp2p_watch *watch = LP2P_LIST_ENTRY(it, struct lp2p_watch, link);
        if (watch->fd == fd) {
            return watch;
        }
    }
    return NULL;
}

enum lp2p_err lp2p_fd_watch(struct lp2p_actor *self, int fd, unsigned interest)
{
    LP2P_CHECK_MAGIC(self, LP2P_ACTOR_MAGIC);
    interest &= LP2P_READABLE | LP2P_WRITABLE;
    struct lp2p_watch *watch = find(self, fd);
    if (watch != NULL) {
        unsigned before = watch->interest;
        watch->interest = interest;
        if (before == interest) {
            return LP2P_OK;
        }
        enum lp2p_err err = lp2p_poller_change(self->driver, watch);
        if (err != LP2P_OK) {
            watch->interest = before;
        }
        return err;
    }
    watch = calloc(1, sizeof(*watch));
    if (watch == NULL) {
        return LP2P_EIO;
    }
    *watch = (struct lp2p_watch){.body = self, .fd = fd, .interest = interest};
    if (lp2p_poller_add(self->driver, watch) != LP2P_OK) {
        free(watch);
        return LP2P_EIO;
    }
    lp2p_list_push_back(&self->watches, &watch->link);
    return LP2P_OK;
}

static void forget(struct lp2p_actor *self, struct lp2p_watch *watch)
{
    self->fds_ready -= watch->ready != 0;
    lp2p_poller_remove(self->driver, watch);
    lp2p_list_remove(&watch->link);
    free(watch);
}

void lp2p_fd_unwatch(struct lp2p_actor *self, int fd)
{
    LP2P_CHECK_MAGIC(self, LP2P_ACTOR_MAGIC);
    struct lp2p_watch *watch = find(self, fd);
    if (watch != NULL) {
        forget(self, watch);
    }
}

void lp2p_watches_fini(struct lp2p_actor *body)
{
    LP2P_LIST_FOREACH_SAFE (it, &body->watches) {
        forget(body, LP2P_LIST_ENTRY(it, struct lp2p_watch, link));
    }
}

bool lp2p_watches_next(struct lp2p_actor *body, int *fd, unsigned *ready)
{
    LP2P_LIST_FOREACH (it, &body->watches) {
        struct lp2p_watch *watch = LP2P_LIST_ENTRY(it, struct lp2p_watch, link);
        if (watch->ready != 0) {
            /* The interest may have changed since the kernel was asked. */
            *ready = watch->ready & (watch->interest | LP2P_HANGUP);
            *fd = watch->fd;
            watch->ready = 0;
            body->fds_ready--;
            return true;
        }
    }
    return false;
}
