/* SPDX-License-Identifier: MIT
 * A placement that the node itself does not offer, for the table of decisions: the muxer apart from its connection. The
 * program is linked with --wrap=lp2p_spawn, so that the child spec of a muxer can be changed on its way to the runtime; the
 * node is the one that is shipped. */
#include "node.h"

#include "runtime/actor.h"
#include "runtime/supervisor.h"

#include <string.h>

static bool apart;

enum lp2p_err __real_lp2p_spawn(struct lp2p_actor *self, struct lp2p_ref sup, const struct lp2p_child_spec *spec,
                                struct lp2p_ref *out);
enum lp2p_err __wrap_lp2p_spawn(struct lp2p_actor *self, struct lp2p_ref sup, const struct lp2p_child_spec *spec,
                                struct lp2p_ref *out);

enum lp2p_err __wrap_lp2p_spawn(struct lp2p_actor *self, struct lp2p_ref sup, const struct lp2p_child_spec *spec,
                                struct lp2p_ref *out)
{
    struct lp2p_child_spec changed = *spec;
    if (apart && strcmp(spec->ops->name, "muxer") == 0) {
        /* Any thread of the io group, the least loaded: on an idle node not the connection's, which has just been taken. */
        changed.placement = (struct lp2p_placement){.place = LP2P_PLACE_GROUP, .group = 0};
    }
    return __real_lp2p_spawn(self, sup, &changed, out);
}

void node_muxer_apart(void)
{
    apart = true;
}
