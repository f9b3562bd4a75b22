/* SPDX-License-Identifier: MIT
 * Gives every committed input to its fuzz target once, with any compiler: replay FOLDER-OF-CORPORA... A case of TAP for each target.
 * The targets are compiled in under their own names (see meson.build). */
#include "targets.h"

#include "base/check.h"

#include <dirent.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

static const struct target {
    const char *name;
    int (*run)(const uint8_t *data, size_t size);
} targets[] = {
#define X(name) {"fuzz_" #name, fuzz_##name},
    REPLAY_TARGETS(X)
#undef X
};

/** One file, in memory of exactly its size. */
static void run_file(const struct target *target, const char *path)
{
    FILE *file = fopen(path, "rb");
    LP2P_CHECK(file != NULL && fseek(file, 0, SEEK_END) == 0);
    size_t size = (size_t)ftell(file);
    uint8_t *data = malloc(size > 0 ? size : 1), *exact = realloc(data, size > 0 ? size : 1);
    rewind(file);
    LP2P_CHECK(exact != NULL && fread(exact, 1, size, file) == size);
    (void)fclose(file);
    LP2P_CHECK(target->run(exact, size) == 0);
    free(exact);
}

/** Every file of the target's folder; their number. */
static unsigned run_folder(const struct target *target, const char *folder)
{
    char path[4096];
    unsigned files = 0;
    (void)snprintf(path, sizeof(path), "%s/%s", folder, target->name);
    DIR *dir = opendir(path);
    for (const struct dirent *entry; dir != NULL && (entry = readdir(dir)) != NULL;) {
        if (entry->d_name[0] != '.') {
            (void)snprintf(path, sizeof(path), "%s/%s/%s", folder, target->name, entry->d_name);
            fprintf(stderr, "# %s\n", path); /* the last one is where it ended */
            run_file(target, path);
            files++;
        }
    }
    if (dir != NULL) {
        (void)closedir(dir);
    }
    return files;
}

int main(int argc, char **argv)
{
    bool all = true;
    printf("1..%zu\n", LP2P_ARRAY_LEN(targets));
    for (size_t i = 0; i < LP2P_ARRAY_LEN(targets); i++) {
        const uint8_t none = 0;
        unsigned files = 0;
        (void)targets[i].run(&none, 0);
        for (int k = 1; k < argc; k++) {
            files += run_folder(&targets[i], argv[k]);
        }
        printf("%sok %zu - %s, %u inputs\n", files > 0 ? "" : "not ", i + 1, targets[i].name, files);
        (void)fflush(stdout);
        all = all && files > 0;
    }
    return all ? 0 : 1;
}
