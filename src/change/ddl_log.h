/*
 * ddl_log.h
 *		What the parts of recording DDL tell each other.
 *
 * Two event triggers write down what was done to the schema in no migration. An
 * object has the name that schema_snapshot() gives it, so that what differs can
 * be found in the log.
 */
#ifndef DBOPS_DDL_LOG_H
#define DBOPS_DDL_LOG_H

#include "core/core.h"

struct CollectedCommand;
struct ObjectAddress;

/* ---- ddl_log.c: the record ---- */

extern void dbops_ddl_log_init(void);
extern void dbops_ddl_log_note(const char *command, List *objects, const char *text);

/* ---- ddl_log_text.c: which text does what is recorded? ---- */

extern void dbops_ddl_text_init(void);
extern char *dbops_ddl_text(void);

/* ---- ddl_log_name.c: what is it called? ---- */

extern char *dbops_ddl_name(Oid class, const char *identity, List *names, List *arguments);
extern List *dbops_ddl_names(List *known, const struct ObjectAddress *address,
							 const struct CollectedCommand *command);

#endif							/* DBOPS_DDL_LOG_H */
