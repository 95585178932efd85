//! The engine's memory: libc's, with a spare part for the moment when there is no more.

#ifndef SERVERLEDGE_MEMORY_H
#define SERVERLEDGE_MEMORY_H

#include <stdbool.h>

#include "quickjs.h"

extern const JSMallocFunctions memory_functions;

/* Whether an allocation has failed. The spare part is in use then, so that the error can be told. */
extern bool memory_ran_out;

/* Before the first allocation: puts the heap at its place. */
void memory_begin(void);

/* Makes room for what a short invocation needs. */
void memory_prepare(void);

/* Memory that may be refused: the engine goes on without. */
void *memory_take(size_t size);
void memory_give_back(void *memory);

#endif
