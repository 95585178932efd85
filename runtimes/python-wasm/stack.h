//! The shadow stack, in which C keeps what needs an address. It begins at address 0 and is used from its end.

#ifndef SERVERLEDGE_STACK_H
#define SERVERLEDGE_STACK_H

#include <stdint.h>

static inline uintptr_t stack_pointer(void) {
    uintptr_t pointer;
    __asm__ volatile(".globaltype __stack_pointer, i32\nglobal.get __stack_pointer\nlocal.set %0" : "=r"(pointer));
    return pointer;
}

/* Whoever calls this has nothing on the stack, or puts the pointer back. */
static inline void set_stack_pointer(uintptr_t pointer) {
    __asm__ volatile(".globaltype __stack_pointer, i32\nlocal.get %0\nglobal.set __stack_pointer" : : "r"(pointer) : "memory");
}

#endif
