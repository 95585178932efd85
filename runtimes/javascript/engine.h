//! What the rest of the guest needs from inside of QuickJS, beyond its public interface.

#ifndef SERVERLEDGE_ENGINE_H
#define SERVERLEDGE_ENGINE_H

#include <stddef.h>
#include <stdint.h>

#include "quickjs.h"

/* Calls may use the shadow stack down to this address; QuickJS then throws its stack overflow. */
void engine_limit_stack(JSRuntime *runtime, uintptr_t lowest);

/* Restarts the sequence behind Math.random. */
void engine_seed_random(JSContext *context, uint64_t seed);

/* From now on nothing is freed that there is now, and no references to it are counted. */
void engine_make_immortal(JSRuntime *runtime);

/* Lets go of what weak references keep to the end of a job. */
void engine_end_job(JSRuntime *runtime);

/* The next number of that sequence. */
JSValue engine_random(JSContext *context, JSValueConst self, int count, JSValueConst *arguments);

#endif
