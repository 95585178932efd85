//! Python's own library, as it lies in the module: each file compiled, packed by itself and unpacked when it is imported.

#ifndef SERVERLEDGE_LIBRARY_H
#define SERVERLEDGE_LIBRARY_H

#include <stdbool.h>
#include <stdint.h>

struct library_file {
    const char *name;
    /* Where the packed bytes begin, how many they are, and how many they become. */
    uint32_t at, packed, length;
    bool is_package;
};

extern const struct library_file library_files[];
extern const uint32_t library_count;

/* The file of this module; NULL if there is none. */
const struct library_file *library_find(const char *name);
/* The file's marshalled code, malloc'ed; NULL if there is no memory. */
char *library_unpack(const struct library_file *file);

#endif
