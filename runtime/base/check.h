/* SPDX-License-Identifier: MIT
 * Checks that stay on in every build. A failed check is a bug of ours: it ends the process, because threads
 * share memory and going on would be a guess. Never check what a remote peer or a user can cause: return an error. */
#ifndef LP2P_BASE_CHECK_H
#define LP2P_BASE_CHECK_H

#include <stddef.h>
#include <stdint.h>

/** Prints file, line and condition to standard error and aborts. The only thing the library ever prints. */
_Noreturn void lp2p_check_failed(const char *file, int line, const char *cond);

#define LP2P_CHECK(cond)                                         \
    do {                                                         \
        if (__builtin_expect(!(cond), 0)) {                      \
            lp2p_check_failed(__FILE__, __LINE__, #cond);        \
        }                                                        \
    } while (0)

/** Structures that travel as void pointers start with a magic; the cast back proves it. */
#define LP2P_MAGIC(a, b, c, d) ((uint32_t)(a) << 24 | (uint32_t)(b) << 16 | (uint32_t)(c) << 8 | (uint32_t)(d))
#define LP2P_CHECK_MAGIC(ptr, value) LP2P_CHECK((ptr) != NULL && (ptr)->magic == (value))

#define LP2P_ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))
#define LP2P_CONTAINER_OF(ptr, type, member) ((type *)(void *)((char *)(ptr)-offsetof(type, member)))
#define LP2P_MIN(a, b) ((a) < (b) ? (a) : (b))
#define LP2P_MAX(a, b) ((a) > (b) ? (a) : (b))

#endif
