//! Implements library.h. `pack.py` writes the table and the bytes.

#include "library.h"

#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "library-table.h"

static const unsigned char packed_bytes[] = {
#embed "library.bin"
};

const uint32_t library_count = sizeof library_files / sizeof *library_files;

static int compare(const void *name, const void *file) { return strcmp(name, ((const struct library_file *)file)->name); }

const struct library_file *library_find(const char *name) {
    return bsearch(name, library_files, library_count, sizeof *library_files, compare);
}

char *library_unpack(const struct library_file *file) {
    char *bytes = malloc(file->length);
    uLongf length = file->length;
    if (bytes == NULL) return NULL;
    int done = uncompress((Bytef *)bytes, &length, packed_bytes + file->at, file->packed);
    if (done == Z_OK && length == file->length) return bytes;
    free(bytes);
    if (done == Z_MEM_ERROR) return NULL;
    /* The bytes are ours, and tested. */
    abort();
}
