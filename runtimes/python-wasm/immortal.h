//! Objects that nobody counts references to.

#ifndef SERVERLEDGE_IMMORTAL_H
#define SERVERLEDGE_IMMORTAL_H

/* Makes everything immortal that there is now: an invocation that only looks at an object does not write to its page. */
void make_all_immortal(void);

#endif
