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
struct Node;
struct ObjectAddress;

/* ---- ddl_log.c: the record ---- */

extern void dbops_ddl_log_init(void);
extern void dbops_ddl_log_unheard(struct Node *statement);
extern void dbops_ddl_log_note(const char *command, List *objects, const char *text);

/* ---- ddl_log_text.c: which text does what is recorded? ---- */

extern void dbops_ddl_text_init(void);
extern char *dbops_ddl_text(void);

/* ---- ddl_log_name.c: what is it called? ---- */

extern char *dbops_ddl_name(Oid class, const char *identity, List *names, List *arguments);
extern char *dbops_ddl_name_of(const struct ObjectAddress *address);
extern int	dbops_ddl_whole_length(const char *name);
extern bool dbops_ddl_is_temporary(const char *name);
extern List *dbops_ddl_names(List *known, const struct ObjectAddress *address,
							 const struct CollectedCommand *command);

/* ---- ddl_log_along.c: what does a command change along? ---- */

typedef struct DdlAlong
{
	const struct Node *statement;
	MemoryContext parent;
	MemoryContext memory;		/* of the lists; NULL: nothing was noted */
	List	   *objects;		/* of ObjectAddress * */
	List	   *wholes;			/* those with all their parts */
	List	   *constraints;	/* numbers of those that the server made for itself */
	List	   *old_names;		/* of char * */
	List	   *old_wholes;
} DdlAlong;

extern void dbops_ddl_along_init(void);
extern DdlAlong *dbops_ddl_along_begin(DdlAlong *along);
extern void dbops_ddl_along_end(DdlAlong *outer);
extern List *dbops_ddl_along_names(List *known, List **wholes);

#endif							/* DBOPS_DDL_LOG_H */
