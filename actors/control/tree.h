/* SPDX-License-Identifier: MIT
 * The supervision tree of a node as one table of child specs, and the threads it runs on. */
#ifndef LP2P_CONTROL_TREE_H
#define LP2P_CONTROL_TREE_H

#include "actors/context.h"

struct lp2p_tree;

/** Builds the specs for ctx->config and fills `config` (root, groups, actors_max). NULL: no memory. The tree must outlive the
 *  runtime; free it after lp2p_rt_stop. */
struct lp2p_tree *lp2p_tree_new(struct lp2p_context *ctx, struct lp2p_rt_config *config);
void lp2p_tree_free(struct lp2p_tree *tree);
/** Fills ctx->names; called by the first actor of the tree. */
void lp2p_tree_learn_names(struct lp2p_context *ctx, struct lp2p_rt *rt);

#endif
