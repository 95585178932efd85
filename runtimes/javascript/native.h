//! The functions that the prelude gets from C.

#ifndef SERVERLEDGE_NATIVE_H
#define SERVERLEDGE_NATIVE_H

#include <stdbool.h>

#include "quickjs.h"

/* An object with the functions of native.c; an exception if there is no memory. */
JSValue native_functions(JSContext *context);

/* Reads the head of a request: its method, its URL and its headers, which are the JSON of a list of pairs, or that list.
   The byte behind the head is overwritten. False if something was thrown. */
bool native_request_head(JSContext *context, char *head, size_t length, JSValue parts[3]);

/* What a handler answers, from [status, pairs of headers, body]: the length of a head, the head in JSON, and the body, in
   memory of malloc; NULL if something was thrown. */
char *native_response(JSContext *context, JSValueConst parts, size_t *length);

/* Called when a random number is drawn before there is an invocation; may be NULL. */
extern void (*native_deploy_random_read)(void);

/* Draws from the system's randomness, the first time in an invocation that it is asked to. For Math.random. */
JSValue native_math_random(JSContext *context, JSValueConst self, int count, JSValueConst *arguments);

#endif
