/* SPDX-License-Identifier: MIT */
#include "runtime/message.h"

#include "runtime/control.h"
#include "runtime/pool.h"

#include <string.h>

const struct lp2p_msg_class LP2P_MSG_DOWN = {"DOWN", sizeof(struct lp2p_msg_down), LP2P_LANE_URGENT, NULL, NULL};

/* A DOWN may live in the memory of the monitor that it was: both have the larger one's size. */
static size_t memory_of(const struct lp2p_msg_class *cls)
{
    return cls == &LP2P_MSG_DOWN ? sizeof(struct lp2p_ctl_monitor) : cls->size;
}

struct lp2p_msg *lp2p_msg_new(const struct lp2p_msg_class *cls)
{
    size_t size = memory_of(cls);
    LP2P_CHECK(size >= sizeof(struct lp2p_msg) && size <= LP2P_MSG_SIZE_MAX);
    struct lp2p_msg *msg = lp2p_pool_alloc(size);
    if (msg != NULL) {
        memset(msg, 0, size);
        msg->cls = cls;
    }
    return msg;
}

void lp2p_msg_drop(struct lp2p_msg **ref)
{
    struct lp2p_msg *msg = *ref;
    *ref = NULL;
    if (msg == NULL) {
        return;
    }
    const struct lp2p_msg_class *cls = msg->cls;
    if (cls->drop != NULL) {
        cls->drop(msg);
    }
    lp2p_pool_free(msg, memory_of(cls));
}
