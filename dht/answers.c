/* SPDX-License-Identifier: MIT */
#include "dht/answers.h"

#include "base/check.h"

#include <stdlib.h>

/* The place for one more value: a free one, or the least frequent of those that are not the best. */
static struct lp2p_kad_answer *place_for(struct lp2p_kad_answers *answers, const struct lp2p_kad_rules *rules,
                                         struct lp2p_span key, struct lp2p_span value)
{
    if (answers->len < LP2P_KAD_ANSWERS_MAX) {
        return &answers->list[answers->len++];
    }
    const struct lp2p_kad_answer *best = lp2p_kad_answers_best(answers, rules, key);
    if (!lp2p_kad_better(rules, key, value, lp2p_kad_answer_span(best))) {
        return NULL;
    }
    struct lp2p_kad_answer *victim = NULL;
    for (size_t i = 0; i < answers->len; i++) {
        struct lp2p_kad_answer *answer = &answers->list[i];
        if (answer != best && (victim == NULL || answer->count < victim->count)) {
            victim = answer;
        }
    }
    free(victim->bytes);
    return victim;
}

uint32_t lp2p_kad_answers_add(struct lp2p_kad_answers *answers, const struct lp2p_kad_rules *rules,
                              struct lp2p_span key, struct lp2p_span value)
{
    for (size_t i = 0; i < answers->len; i++) {
        if (lp2p_span_eq(lp2p_kad_answer_span(&answers->list[i]), value)) {
            answers->list[i].count++;
            return answers->list[i].serial;
        }
    }
    uint8_t *bytes = malloc(LP2P_MAX(value.len, 1u));
    struct lp2p_kad_answer *answer = bytes == NULL ? NULL : place_for(answers, rules, key, value);
    if (answer == NULL) {
        free(bytes);
        return LP2P_KAD_ANSWER_OTHER;
    }
    if (value.len > 0) {
        memcpy(bytes, value.ptr, value.len);
    }
    *answer = (struct lp2p_kad_answer){++answers->serial, 1, value.len, bytes};
    return answer->serial;
}

const struct lp2p_kad_answer *lp2p_kad_answers_best(const struct lp2p_kad_answers *answers,
                                                    const struct lp2p_kad_rules *rules, struct lp2p_span key)
{
    const struct lp2p_kad_answer *best = NULL;
    for (size_t i = 0; i < answers->len; i++) {
        const struct lp2p_kad_answer *answer = &answers->list[i];
        if (best == NULL ||
            lp2p_kad_better(rules, key, lp2p_kad_answer_span(answer), lp2p_kad_answer_span(best))) {
            best = answer;
        } else if (answer->count > best->count &&
                   !lp2p_kad_better(rules, key, lp2p_kad_answer_span(best), lp2p_kad_answer_span(answer))) {
            best = answer;
        }
    }
    return best;
}

void lp2p_kad_answers_fini(struct lp2p_kad_answers *answers)
{
    for (size_t i = 0; i < answers->len; i++) {
        free(answers->list[i].bytes);
    }
    *answers = (struct lp2p_kad_answers){0};
}
