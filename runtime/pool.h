/* SPDX-License-Identifier: MIT
 * Memory that travels between threads: messages and slabs. Each thread keeps a few free pieces of each size; what is
 * more goes in batches through a global stack, bounded as well; nobody waits for it: who finds it in use asks the heap.
 * Under AddressSanitizer and ThreadSanitizer everything comes from malloc, so that leaks and races are found. */
#ifndef LP2P_RUNTIME_POOL_H
#define LP2P_RUNTIME_POOL_H

#include "base/buf.h"

/** Memory of at least size bytes, not zeroed; NULL when memory is short. To be freed with the same size; any thread. */
void *lp2p_pool_alloc(size_t size);
void lp2p_pool_free(void *ptr, size_t size);

/** A slab of at least cap bytes with one reference (with its header 96, 128, 256, 512 or 1,024 bytes, or
 *  4 KiB, 16 KiB, 66 KiB without it; larger ones from the heap);
 *  NULL when memory is short. Any thread may drop it. */
struct lp2p_buf *lp2p_pool_buf(size_t cap);
#define LP2P_POOL_BUF_MAX (66u * 1024u)

/** Whether the calling thread's cache holds anything; gives all of it to the global stacks or back to the heap. */
bool lp2p_pool_thread_holds(void);
void lp2p_pool_thread_flush(void);

#endif
