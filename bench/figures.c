/* SPDX-License-Identifier: MIT */
#include "figures.h"

#include <dirent.h>
#include <fcntl.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

void bench_samples_add(struct bench_samples *samples, uint64_t ns)
{
    if (samples->len == samples->cap) {
        samples->cap = samples->cap == 0 ? 4096 : samples->cap * 2;
        samples->values = realloc(samples->values, samples->cap * sizeof(*samples->values));
        if (samples->values == NULL) {
            abort();
        }
    }
    samples->values[samples->len++] = ns;
}

static int by_size(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

double bench_samples_at(struct bench_samples *samples, double part)
{
    if (samples->len == 0) {
        return 0;
    }
    qsort(samples->values, samples->len, sizeof(*samples->values), by_size);
    double at = part * (double)(samples->len - 1);
    size_t low = (size_t)at;
    size_t high = low + 1 < samples->len ? low + 1 : low;
    double a = (double)samples->values[low], b = (double)samples->values[high];
    return a + (b - a) * (at - (double)low);
}

static void add_switches(pid_t pid, const char *task, struct bench_cost *cost)
{
    char path[320], line[256];
    unsigned long long n;
    (void)snprintf(path, sizeof(path), "/proc/%d/task/%s/status", (int)pid, task);
    FILE *file = fopen(path, "re");
    while (file != NULL && fgets(line, sizeof(line), file) != NULL) {
        char *found = strstr(line, "voluntary_ctxt_switches:");
        if (found != NULL && sscanf(strchr(found, ':') + 1, "%llu", &n) == 1) {
            cost->switches += n;
            cost->wakes += strncmp(line, "non", 3) == 0 ? 0 : n;
        }
    }
    if (file != NULL) {
        (void)fclose(file);
    }
}

struct bench_cost bench_cost_of(pid_t pid)
{
    struct bench_cost cost = {0};
    clockid_t clock;
    struct timespec ts;
    char path[64];
    if (pid == 0) {
        return cost;
    }
    if (clock_getcpuclockid(pid, &clock) == 0 && clock_gettime(clock, &ts) == 0) {
        cost.cpu_ns = (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
    }
    (void)snprintf(path, sizeof(path), "/proc/%d/task", (int)pid);
    DIR *dir = opendir(path);
    for (struct dirent *entry; dir != NULL && (entry = readdir(dir)) != NULL;) {
        if (entry->d_name[0] != '.') {
            add_switches(pid, entry->d_name, &cost);
            cost.threads++;
        }
    }
    if (dir != NULL) {
        (void)closedir(dir);
    }
    return cost;
}

uint64_t bench_counted(const char *path)
{
    uint64_t total = 0;
    int fd = path != NULL ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    if (fd < 0) {
        return 0;
    }
    const uint64_t *cells = mmap(NULL, BENCH_COUNTERS_BYTES, PROT_READ, MAP_SHARED, fd, 0);
    (void)close(fd);
    if (cells == MAP_FAILED) {
        return 0;
    }
    for (unsigned i = 0; i < BENCH_CELLS; i++) {
        total += __atomic_load_n(&cells[i * BENCH_CELL_WORDS], __ATOMIC_RELAXED);
    }
    (void)munmap((void *)(uintptr_t)cells, BENCH_COUNTERS_BYTES);
    return total;
}

void bench_print(const char *event, ...)
{
    va_list args;
    va_start(args, event);
    (void)printf("{\"event\":\"%s\"", event);
    for (const char *name = va_arg(args, const char *); name != NULL; name = va_arg(args, const char *)) {
        double value = va_arg(args, double);
        (void)printf(",\"%s\":%.*f", name, value == floor(value) ? 0 : 6, value);
    }
    va_end(args);
    (void)printf("}\n");
    (void)fflush(stdout);
}
