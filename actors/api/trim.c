/* SPDX-License-Identifier: MIT
 * Gives back what only the start of a process needed: relocation and symbol tables that the dynamic loader read,
 * pages that came along around others, the tops of heaps. For daemons; the library never does it by itself. */
#include "actors/p2p.h"

#include <elf.h>
#include <link.h>
#include <malloc.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/mman.h>
#include <unistd.h>

/* A library whose code was itself relocated: its pages differ from the file. */
static bool is_patched(const struct dl_phdr_info *info)
{
    for (size_t i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *part = &info->dlpi_phdr[i];
        if (part->p_type != PT_DYNAMIC) {
            continue;
        }
        const ElfW(Dyn) *entry = (const ElfW(Dyn) *)(info->dlpi_addr + part->p_vaddr); // NOLINT: an address
        for (; entry->d_tag != DT_NULL; entry++) {
            if (entry->d_tag == DT_TEXTREL ||
                (entry->d_tag == DT_FLAGS && (entry->d_un.d_val & DF_TEXTREL) != 0)) {
                return true;
            }
        }
    }
    return false;
}

/* Pages of the file that were never written are dropped; who touches one again gets it from the page cache. */
static int drop_clean(struct dl_phdr_info *info, size_t size, void *user)
{
    (void)size;
    uintptr_t page = *(const uintptr_t *)user;
    if (is_patched(info)) {
        return 0;
    }
    for (size_t i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *part = &info->dlpi_phdr[i];
        uintptr_t begin = info->dlpi_addr + part->p_vaddr, end = begin + part->p_memsz;
        begin = (begin + page - 1) & ~(page - 1);
        end &= ~(page - 1);
        if (part->p_type == PT_LOAD && (part->p_flags & PF_W) == 0 && begin < end) {
            (void)madvise((void *)begin, end - begin, MADV_DONTNEED); // NOLINT: an address
        }
    }
    return 0;
}

void lp2p_process_trim(void)
{
    uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
#ifdef __GLIBC__
    (void)malloc_trim(0);
#endif
    (void)dl_iterate_phdr(drop_clean, &page);
}
