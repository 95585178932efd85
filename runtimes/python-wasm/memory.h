//! The memory of the interpreter: libc's and CPython's own while a function is loaded; for an invocation, one that writes few pages.

#ifndef SERVERLEDGE_MEMORY_H
#define SERVERLEDGE_MEMORY_H

/* At the end of a deploy, when all that is left is to be kept: leaves zeros where nothing is in use, and makes room for what an
   invocation needs. From now on the first small blocks come from that room, one behind the other. */
void memory_settle(void);

#endif
