//! The engine's memory: libc's, with a spare part for the moment when there is no more.

#ifndef SERVERLEDGE_MEMORY_H
#define SERVERLEDGE_MEMORY_H

#include <stdbool.h>

#include "quickjs.h"

extern const JSMallocFunctions memory_functions;

/* Whether an allocation has failed. The spare part has been given back then, so that the error can be told. */
extern bool memory_ran_out;

/* Sets the spare part aside, and makes room for what a short invocation needs. */
void memory_prepare(void);

#endif
