/* SPDX-License-Identifier: MIT */
#include "runtime/child.h"

#include <stdlib.h>
#include <string.h>

struct lp2p_child_info *lp2p_child_info_new(const struct lp2p_child_spec *spec, const char *id)
{
    size_t len = strlen(id) + 1;
    struct lp2p_child_info *info = malloc(sizeof(*info) + len);
    if (info != NULL) {
        *info = (struct lp2p_child_info){.refs = 1, .spec = *spec};
        memcpy(info->id, id, len);
        info->spec.id = info->id;
    }
    return info;
}

void lp2p_child_info_unref(struct lp2p_child_info **ref)
{
    struct lp2p_child_info *info = *ref;
    *ref = NULL;
    if (info == NULL || __atomic_fetch_sub(&info->refs, 1, __ATOMIC_ACQ_REL) != 1) {
        return;
    }
    if (info->spec.restart == LP2P_TEMPORARY && info->spec.arg_drop != NULL &&
        __atomic_load_n(&info->arg_taken, __ATOMIC_RELAXED) == 0) {
        info->spec.arg_drop((void *)(uintptr_t)info->spec.arg);
    }
    free(info);
}

struct lp2p_child *lp2p_child_new(struct lp2p_child_info *info)
{
    struct lp2p_child *child = calloc(1, sizeof(*child));
    if (child != NULL) {
        child->info = info;
        child->deadline = LP2P_NEVER;
    }
    return child;
}

void lp2p_child_free(struct lp2p_child *child)
{
    if (child != NULL) {
        lp2p_list_remove(&child->link);
        lp2p_child_info_unref(&child->info);
        free(child);
    }
}
