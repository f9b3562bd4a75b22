/* SPDX-License-Identifier: MIT
 * The different values that one get has received, how often each, and which is the best. Owned by its query;
 * bounded. */
#ifndef LP2P_DHT_ANSWERS_H
#define LP2P_DHT_ANSWERS_H

#include "dht/validator.h"

#define LP2P_KAD_ANSWERS_MAX 8  /* different values remembered */
#define LP2P_KAD_ANSWER_NONE 0u /* no value at all */
/* Some value that was not kept, as it was no better and the list was full. */
#define LP2P_KAD_ANSWER_OTHER UINT32_MAX

struct lp2p_kad_answer {
    uint32_t serial; /* names the value within this query */
    unsigned count;
    size_t len;
    uint8_t *bytes;
};

struct lp2p_kad_answers {
    struct lp2p_kad_answer list[LP2P_KAD_ANSWERS_MAX]; /* in order of arrival */
    size_t len;
    uint32_t serial;
};

/** Counts a valid value; returns its serial, or LP2P_KAD_ANSWER_OTHER when it was not kept. */
uint32_t lp2p_kad_answers_add(struct lp2p_kad_answers *answers, const struct lp2p_kad_rules *rules,
                              struct lp2p_span key, struct lp2p_span value);
/** The value that no other is better than; among equals the most frequent, then the first. NULL when there is
 * none. */
const struct lp2p_kad_answer *lp2p_kad_answers_best(const struct lp2p_kad_answers *answers,
                                                    const struct lp2p_kad_rules *rules, struct lp2p_span key);
void lp2p_kad_answers_fini(struct lp2p_kad_answers *answers);

static inline struct lp2p_span lp2p_kad_answer_span(const struct lp2p_kad_answer *answer)
{
    return lp2p_span(answer->bytes, answer->len);
}

#endif
