//! References to what is in the snapshot, which are not counted: a count that changes is a page that each invocation has to
//! copy, and that has to be put back after it. What is in the snapshot is never freed, as PEP 683 has it for Python.
//!
//! Included in QuickJS's source, where `JS_REF_COUNT` is (build.sh puts these functions in place of its additions and
//! subtractions). The collector of cycles still adds and subtracts, and leaves all counts as they were.

/* At least this is the count of what is never freed. */
#define IMMORTAL_COUNT (1 << 30)

static inline void immortal_refer(const void *object) {
    if (JS_REF_COUNT(object) < IMMORTAL_COUNT) JS_REF_COUNT(object)++;
}

/* How many references are left. */
static inline int immortal_release(const void *object) {
    int count = JS_REF_COUNT(object);
    if (count < IMMORTAL_COUNT) JS_REF_COUNT(object) = --count;
    return count;
}

static inline void immortal_make(const void *object) {
    if (JS_REF_COUNT(object) < IMMORTAL_COUNT) JS_REF_COUNT(object) += IMMORTAL_COUNT;
}
