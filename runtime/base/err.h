/* SPDX-License-Identifier: MIT
 * Error codes of every room, from the one table in err.def. Values only: any thread. */
#ifndef LP2P_BASE_ERR_H
#define LP2P_BASE_ERR_H

/** 0 is success, every failure is negative. Functions that return it must be checked. */
enum lp2p_err {
#define LP2P_ERR(name, code, fault, text) LP2P_##name = (code),
#include "base/err.def"
#undef LP2P_ERR
};

/** Whose fault an error is; decides between restart (OURS), closing a connection (PEER) and a message to the user. */
enum lp2p_fault { LP2P_FAULT_NONE, LP2P_FAULT_OURS, LP2P_FAULT_USER, LP2P_FAULT_NET, LP2P_FAULT_LIMIT, LP2P_FAULT_PEER };

/* With clang, where a cast to void says "ignored on purpose"; gcc takes no such word, and every build is also made with clang. */
#if defined(__clang__)
#define LP2P_MUST_CHECK __attribute__((warn_unused_result))
#else
#define LP2P_MUST_CHECK
#endif

/** Text for people, e.g. "the deadline passed"; never NULL, static. */
const char *lp2p_strerror(enum lp2p_err err);
/** Name for machines, e.g. "ETIMEDOUT"; "EUNKNOWN" for a code not in the table. */
const char *lp2p_errname(enum lp2p_err err);
enum lp2p_fault lp2p_err_fault(enum lp2p_err err);

#endif
