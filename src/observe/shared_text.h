/*
 * shared_text.h
 *		Texts in shared memory, of limited length.
 */
#ifndef DBOPS_SHARED_TEXT_H
#define DBOPS_SHARED_TEXT_H

#include "core/core.h"

extern void dbops_shared_text_put(char *place, const char *text, Size bytes);
extern char *dbops_shared_text_get(const char *place);
extern char *dbops_shared_text_from(const char *place, int encoding);

#endif							/* DBOPS_SHARED_TEXT_H */
