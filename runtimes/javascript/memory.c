//! Implements memory.h. The spare part is no block of libc's: every call begins with a copy of all memory, and pays for what
//! is only kept aside.

#include "memory.h"

#include <malloc.h>
#include <stdlib.h>
#include <string.h>

#include "stack.h"

/* Memory that the snapshot has beyond what is in use: an invocation that needs no more need not ask for it. */
#define HEADROOM_BYTES (64 * 1024)
/* How far into a page the heap begins: the multiple of 512 with which a short call writes the fewest pages (tests/guest.js,
   pagesChanged). */
#define PAGE_BYTES 4096
#define HEAP_OFFSET 2048
#define WASM_PAGE_BYTES (64 * 1024)
/* What libc has at the end of its memory, with its size. */
#define LIBC_END_BYTES 64
/* What libc aligns to, and the length that stands before a block of the spare part. */
#define ALIGNMENT 16

bool memory_ran_out;

/* Blocks are taken from its beginning, and never given back. */
static char *spare, *spare_end, *spare_begin;

void memory_begin(void) {
    /* Kept where the compiler sees no end of them: it may leave out what is allocated and not used. */
    static void *volatile first;
    first = malloc(ALIGNMENT);
    free(first);
    /* Never used: what comes next begins at the offset, however long the data before is. */
    first = malloc((HEAP_OFFSET - (uintptr_t)first) % PAGE_BYTES);
    if (first == NULL) abort();
    spare_begin = spare = (char *)ALIGNMENT, spare_end = (char *)SPARE_BYTES;
}

/* What is behind the last block is left as zeros, with which the memory's contents end then: a call may begin with a copy of
   these. Of libc's own marks only the size at the very end is there, which it does not read. */
void memory_prepare(void) {
    char *room = malloc(HEADROOM_BYTES), *end = (char *)(__builtin_wasm_memory_size(0) * WASM_PAGE_BYTES);
    if (room == NULL) return;
    memset(room, 0, HEADROOM_BYTES);
    char *behind = room + HEADROOM_BYTES;
    size_t length = end > behind + 2 * LIBC_END_BYTES ? (size_t)(end - behind) - 2 * LIBC_END_BYTES : 0;
    char *rest = malloc(length);
    bool is_last = rest >= behind && rest < behind + LIBC_END_BYTES;
    if (rest != NULL) memset(rest, 0, length);
    free(rest);
    free(room);
    if (is_last) memset(rest + length, 0, (size_t)(end - rest) - length);
}

void *memory_take(size_t size) { return malloc(size); }

void memory_give_back(void *memory) { free(memory); }

static bool is_spare(const void *memory) { return (char *)memory >= spare_begin && (char *)memory < spare_end; }

static size_t spare_size(const void *memory) { return *(size_t *)((char *)memory - ALIGNMENT); }

/* The allocation that fails is told so; those that follow, for the sake of the error, come from the spare part. */
static void *else_spare(void *memory, size_t size) {
    if (memory != NULL) return memory;
    if (!memory_ran_out) {
        memory_ran_out = true;
        return NULL;
    }
    size_t rounded = (size + ALIGNMENT - 1) & ~(size_t)(ALIGNMENT - 1);
    if (rounded < size || (size_t)(spare_end - spare) < ALIGNMENT + rounded) return NULL;
    char *taken = spare + ALIGNMENT;
    *(size_t *)spare = rounded;
    spare = taken + rounded;
    return taken;
}

static void *allocate(void *opaque, size_t size) {
    (void)opaque;
    return else_spare(malloc(size), size);
}

static void *allocate_zeroed(void *opaque, size_t count, size_t size) {
    (void)opaque;
    void *memory = calloc(count, size);
    if (memory != NULL || (count != 0 && size > SIZE_MAX / count)) return memory;
    memory = else_spare(NULL, count * size);
    return memory == NULL ? NULL : memset(memory, 0, count * size);
}

static void release(void *opaque, void *memory) {
    (void)opaque;
    if (!is_spare(memory)) free(memory);
}

static size_t usable_size(const void *memory) {
    return is_spare(memory) ? spare_size(memory) : malloc_usable_size((void *)memory);
}

static void *resize(void *opaque, void *memory, size_t size) {
    if (memory != NULL && is_spare(memory)) {
        if (size <= spare_size(memory)) return memory;
    } else {
        void *resized = realloc(memory, size);
        if (resized != NULL || size == 0) return resized;
    }
    void *moved = else_spare(NULL, size);
    if (moved == NULL || memory == NULL) return moved;
    size_t before = usable_size(memory);
    memcpy(moved, memory, before < size ? before : size);
    release(opaque, memory);
    return moved;
}

const JSMallocFunctions memory_functions = {allocate_zeroed, allocate, release, resize, usable_size};
