//! The functions that the prelude gets from C.

#ifndef SERVERLEDGE_NATIVE_H
#define SERVERLEDGE_NATIVE_H

#include "quickjs.h"

/* An object with the functions of native.c; an exception if there is no memory. */
JSValue native_functions(JSContext *context);

/* Called when a random number is drawn before there is an invocation; may be NULL. */
extern void (*native_deploy_random_read)(void);

/* Draws from the system's randomness, the first time in an invocation that it is asked to. For Math.random. */
JSValue native_math_random(JSContext *context, JSValueConst self, int count, JSValueConst *arguments);

#endif
