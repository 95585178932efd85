//! Implements memory.h. What is freed at deploy is wiped, so that it is no part of the snapshot: the linker leads `free` and
//! `realloc` here (`--wrap`).
//!
//! An invocation pays for each page that it writes. CPython's allocator has a page for each size of blocks, and libc's puts
//! them where there happens to be room. So the first small blocks of an invocation lie closely one behind the other in a room
//! of their own; one that is freed is the next of its size to be given. An invocation that needs more than the room writes
//! many pages anyway: all further blocks, and all larger ones, come from those two, which give freed memory to any size.

#include "memory.h"

#include <Python.h>
#include <malloc.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* The room has no larger blocks. */
#define SMALL_BYTES_MAX 512
#define ALIGNMENT 8
/* Most invocations need no more. */
#define ROOM_BYTES (512u << 10)
/* The room begins at a multiple of this: that of WebAssembly's own pages. */
#define ROOM_ALIGNMENT (64u << 10)
/* What libc has beyond that. An invocation whose memory need not grow can be followed by another one in the same place. */
#define HEADROOM_BYTES (2u << 20)

static bool is_deploy = true;

/* === libc's === */

void __real_free(void *memory);
void *__real_realloc(void *memory, size_t size);

void __wrap_free(void *memory) {
    if (is_deploy && memory != NULL) memset(memory, 0, malloc_usable_size(memory));
    __real_free(memory);
}

void *__wrap_realloc(void *memory, size_t size) {
    if (!is_deploy || memory == NULL || size == 0) return __real_realloc(memory, size);
    size_t before = malloc_usable_size(memory);
    if (size <= before && size * 2 > before) return memory;
    void *moved = malloc(size);
    if (moved == NULL) return NULL;
    memcpy(moved, memory, before < size ? before : size);
    __wrap_free(memory);
    return moved;
}

/* === the first small blocks of an invocation === */

/* Before each block stands its size, which is that of what can be asked for and of the mark itself. */
typedef uint32_t mark;

static PyMemAllocatorEx before[1];
/* The room, and the part of it that no block was cut from yet. */
static char *room, *rest;
/* Freed blocks of each size, each with the next one. */
static void *freed[(SMALL_BYTES_MAX + sizeof(mark)) / ALIGNMENT + 2];

static bool is_in_room(const void *memory) { return (size_t)((const char *)memory - room) < ROOM_BYTES; }

static mark size_of(const void *block) { return ((const mark *)block)[-1]; }

/* A block of the room; NULL if it is used up. */
static void *take(size_t size) {
    size_t whole = (size + sizeof(mark) + ALIGNMENT - 1) & ~(size_t)(ALIGNMENT - 1);
    void **first = &freed[whole / ALIGNMENT];
    if (*first != NULL) {
        void *block = *first;
        *first = *(void **)block;
        return block;
    }
    /* A block begins at a multiple of the alignment, and its mark before that. */
    if ((size_t)(room + ROOM_BYTES - rest) < whole + ALIGNMENT) return NULL;
    char *block = rest + ALIGNMENT;
    ((mark *)block)[-1] = whole;
    rest += whole;
    return block;
}

static void *allocate(void *libc, size_t size) {
    void *block = size > SMALL_BYTES_MAX ? NULL : take(size == 0 ? 1 : size);
    return block == NULL ? before->malloc(before->ctx, size) : block;
}

static void *allocate_zeroed(void *libc, size_t count, size_t size) {
    if (count != 0 && size > SMALL_BYTES_MAX / count) return before->calloc(before->ctx, count, size);
    void *block = take(count * size == 0 ? 1 : count * size);
    return block == NULL ? before->calloc(before->ctx, count, size) : memset(block, 0, count * size);
}

static void give_back(void *libc, void *memory) {
    if (memory == NULL) return;
    if (!is_in_room(memory)) {
        before->free(before->ctx, memory);
        return;
    }
    void **first = &freed[size_of(memory) / ALIGNMENT];
    *(void **)memory = *first;
    *first = memory;
}

static void *resize(void *libc, void *memory, size_t size) {
    if (memory == NULL) return allocate(libc, size);
    if (!is_in_room(memory)) return before->realloc(before->ctx, memory, size);
    size_t room = size_of(memory) - sizeof(mark);
    if (size <= room && size * 2 >= room) return memory;
    void *moved = allocate(libc, size);
    if (moved == NULL) return NULL;
    memcpy(moved, memory, size < room ? size : room);
    give_back(libc, memory);
    return moved;
}

/* === the end of a deploy === */

void memory_settle(void) {
    room = aligned_alloc(ROOM_ALIGNMENT, ROOM_BYTES);
    if (room == NULL) abort();
    memset(room, 0, ROOM_BYTES);
    rest = room;
    __wrap_free(malloc(HEADROOM_BYTES));
    is_deploy = false;
    PyMemAllocatorEx invocation = {NULL, allocate, allocate_zeroed, resize, give_back};
    PyMem_GetAllocator(PYMEM_DOMAIN_OBJ, before);
    PyMem_SetAllocator(PYMEM_DOMAIN_MEM, &invocation);
    PyMem_SetAllocator(PYMEM_DOMAIN_OBJ, &invocation);
}
