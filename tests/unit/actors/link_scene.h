/* SPDX-License-Identifier: MIT
 * A node behind limits of the test's choice, in the simulation, and what it says about those whom it refuses. */
#ifndef LP2P_TESTS_LINK_SCENE_H
#define LP2P_TESTS_LINK_SCENE_H

#include "link_raw.h"

#define MACHINES 2000 /* first number of the machines here: 10.0.7.208 */

struct scene {
    struct world *world;
    struct node *node;
    struct lp2p_inbound_limits limits;
    const char *proxy; /* a proxy is trusted, by its address */
    unsigned doors;    /* further kinds on the same port */
    world_prepare also; /* what else each node needs; its arg is the scene */
    char log[2048];    /* what was said about refusals, newest first */
    unsigned lines;
};

void scene_begin(struct scene *scene);
/** Places, counters and descriptors are all given back, and an honest peer is served. */
void scene_end(struct scene *scene);
/** Connections that were refused so far. */
uint64_t scene_refused(const struct scene *scene);

#endif
