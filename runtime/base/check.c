/* SPDX-License-Identifier: MIT */
#include "base/check.h"

#include <stdio.h>
#include <stdlib.h>

_Noreturn void lp2p_check_failed(const char *file, int line, const char *cond)
{
    fprintf(stderr, "lotus-p2p: check failed at %s:%d: %s\n", file, line, cond);
    abort();
}
