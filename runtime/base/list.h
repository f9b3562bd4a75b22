/* SPDX-License-Identifier: MIT
 * Intrusive doubly linked list with a head node. Owned by one thread at a time. */
#ifndef LP2P_BASE_LIST_H
#define LP2P_BASE_LIST_H

#include "base/check.h"

#include <stdbool.h>

struct lp2p_list {
    struct lp2p_list *prev, *next; /* both NULL: an entry that is in no list */
};

static inline void lp2p_list_init(struct lp2p_list *head)
{
    head->prev = head->next = head;
}

static inline bool lp2p_list_empty(const struct lp2p_list *head)
{
    return head->next == head;
}

/** True while the entry is in a list (entries are zeroed before first use and by removal). */
static inline bool lp2p_list_linked(const struct lp2p_list *entry)
{
    return entry->next != NULL;
}

static inline void lp2p_list_insert_before(struct lp2p_list *where, struct lp2p_list *entry)
{
    LP2P_CHECK(entry->next == NULL);
    entry->prev = where->prev;
    entry->next = where;
    where->prev->next = entry;
    where->prev = entry;
}

static inline void lp2p_list_push_back(struct lp2p_list *head, struct lp2p_list *entry)
{
    lp2p_list_insert_before(head, entry);
}

static inline void lp2p_list_push_front(struct lp2p_list *head, struct lp2p_list *entry)
{
    lp2p_list_insert_before(head->next, entry);
}

/** Unlinks the entry; harmless when it is in no list. */
static inline void lp2p_list_remove(struct lp2p_list *entry)
{
    if (entry->next != NULL) {
        entry->prev->next = entry->next;
        entry->next->prev = entry->prev;
        entry->prev = entry->next = NULL;
    }
}

/** The first entry, unlinked, or NULL. */
static inline struct lp2p_list *lp2p_list_pop_front(struct lp2p_list *head)
{
    if (lp2p_list_empty(head)) {
        return NULL;
    }
    struct lp2p_list *entry = head->next;
    lp2p_list_remove(entry);
    return entry;
}

#define LP2P_LIST_ENTRY(ptr, type, member) LP2P_CONTAINER_OF(ptr, type, member)
#define LP2P_LIST_FOREACH(it, head) for (struct lp2p_list *it = (head)->next; it != (head); it = it->next)
/** As FOREACH; the body may remove `it`. */
#define LP2P_LIST_FOREACH_SAFE(it, head)                                                   \
    for (struct lp2p_list *it = (head)->next, *it##_next = it->next; it != (head);         \
         it = it##_next, it##_next = it->next)

#endif
