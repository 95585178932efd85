//! QuickJS itself, compiled together with the few functions of ours that need its internals.
//!
//! For WASI, QuickJS has no stack limit, and it reads the clock by itself. Both are changed from here. Its source is
//! as it was published but for the larger stack frames that stack-frames.awk gives to some functions.

#include <sys/time.h>
#include <time.h>

#include "host.h"

/* Time comes from the host, coarse, and is constant while the snapshot is made. */
#define clock_gettime host_clock_gettime
#define gettimeofday host_gettimeofday

/* See stack-frames.awk. The assembly keeps the array from being optimised away. */
#define STACK_FRAME(bytes) char frame_[bytes]; __asm__ volatile("" : : "r"(frame_) : "memory")

#include "quickjs-framed.c"

#include "engine.h"

void engine_limit_stack(JSRuntime *runtime, uintptr_t lowest) { runtime->stack_limit = lowest; }

/* The state must not be zero. */
void engine_seed_random(JSContext *context, uint64_t seed) { context->random_state = seed != 0 ? seed : 1; }

JSValue engine_random(JSContext *context, JSValueConst self, int count, JSValueConst *arguments) {
    return js_math_random(context, self, count, arguments);
}
