/* SPDX-License-Identifier: MIT
 * Counts the allocations of the bench node: malloc, calloc and realloc of the whole program, its libraries included, go through
 * here to glibc's. The counters lie in a file that the load client reads before and after a load, so that neither side
 * has to ask the other. Costs a thread-local load and an addition; without a file only the load. */
#include "node.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#ifdef __GLIBC__
extern void *__libc_malloc(size_t size);
extern void *__libc_calloc(size_t n, size_t size);
extern void *__libc_realloc(void *old, size_t size);

static uint64_t *cells; /* NULL: not counting */
static uint32_t cells_used;
static _Thread_local uint64_t *mine;

static void count(void)
{
    uint64_t *all = __atomic_load_n(&cells, __ATOMIC_RELAXED);
    if (all == NULL) {
        return;
    }
    if (mine == NULL) {
        mine = all + BENCH_CELL_WORDS * (__atomic_fetch_add(&cells_used, 1, __ATOMIC_RELAXED) % BENCH_CELLS);
    }
    /* Threads share a cell only when there are more of them than cells. */
    (void)__atomic_fetch_add(mine, 1, __ATOMIC_RELAXED);
}

void *malloc(size_t size)
{
    count();
    return __libc_malloc(size);
}

void *calloc(size_t n, size_t size)
{
    count();
    return __libc_calloc(n, size);
}

void *realloc(void *old, size_t size)
{
    count();
    return __libc_realloc(old, size);
}

bool node_count_allocations(const char *path)
{
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    void *map = MAP_FAILED;
    if (fd >= 0 && ftruncate(fd, (off_t)BENCH_COUNTERS_BYTES) == 0) {
        map = mmap(NULL, BENCH_COUNTERS_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    }
    if (fd >= 0) {
        (void)close(fd);
    }
    if (map == MAP_FAILED) {
        return false;
    }
    __atomic_store_n(&cells, map, __ATOMIC_RELAXED);
    return true;
}
#else
bool node_count_allocations(const char *path)
{
    (void)path;
    return false; /* another C library */
}
#endif
