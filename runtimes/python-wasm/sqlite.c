//! Implements sqlite.h.

#include "sqlite.h"

#include <sqlite3.h>
#include <unistd.h>

#define ENTROPY_BYTES_MAX 256

PyMODINIT_FUNC PyInit__sqlite3(void);

static bool is_used;

/* SQLite itself would look for a file, and then take the time. */
static int randomness(sqlite3_vfs *files, int length, char *bytes) {
    for (int done = 0; done < length; done += ENTROPY_BYTES_MAX) {
        int rest = length - done;
        if (getentropy(bytes + done, (size_t)(rest < ENTROPY_BYTES_MAX ? rest : ENTROPY_BYTES_MAX)) != 0) return done;
    }
    return length;
}

PyObject *sqlite_module(void) {
    if (sqlite3_initialize() != SQLITE_OK) return PyErr_NoMemory();
    sqlite3_vfs_find(NULL)->xRandomness = randomness;
    is_used = true;
    return PyInit__sqlite3();
}

void sqlite_forget_randomness(void) {
    if (is_used) sqlite3_randomness(0, NULL);
}
