/* One thread: streams need no locks, and the older wasi-libc has none. */
#define flockfile(stream) ((void)0)
#define funlockfile(stream) ((void)0)
