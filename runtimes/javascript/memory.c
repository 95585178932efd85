//! Implements memory.h.

#include "memory.h"

#include <malloc.h>
#include <stdlib.h>

#define SPARE_BYTES (96 * 1024)
/* Memory that the snapshot has beyond what is in use: an invocation that needs no more need not ask for it. */
#define HEADROOM_BYTES (64 * 1024)

bool memory_ran_out;

static void *spare;

void memory_prepare(void) {
    if (spare == NULL) spare = malloc(SPARE_BYTES);
    free(malloc(HEADROOM_BYTES));
}

static void *checked(void *memory) {
    if (memory == NULL) {
        memory_ran_out = true;
        free(spare);
        spare = NULL;
    }
    return memory;
}

static void *allocate(void *opaque, size_t size) {
    (void)opaque;
    return checked(malloc(size));
}

static void *allocate_zeroed(void *opaque, size_t count, size_t size) {
    (void)opaque;
    return checked(calloc(count, size));
}

static void *resize(void *opaque, void *memory, size_t size) {
    (void)opaque;
    return checked(realloc(memory, size));
}

static void release(void *opaque, void *memory) {
    (void)opaque;
    free(memory);
}

static size_t usable_size(const void *memory) { return malloc_usable_size((void *)memory); }

const JSMallocFunctions memory_functions = {allocate_zeroed, allocate, release, resize, usable_size};
