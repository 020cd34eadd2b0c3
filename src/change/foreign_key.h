/*
 * foreign_key.h
 *		A foreign key as add_foreign_key is asked for it.
 */
#ifndef DBOPS_FOREIGN_KEY_H
#define DBOPS_FOREIGN_KEY_H

#include "change/constraint.h"

#include "nodes/parsenodes.h"

/* What becomes of rows that refer to one which is deleted or gets another key. */
typedef struct ForeignKeyAction
{
	const char *name;			/* as SQL has it */
	char		code;			/* as the catalog has it */
} ForeignKeyAction;

typedef struct ForeignKey
{
	Oid			table;
	OnlineColumns *columns;
	Oid			referenced;
	OnlineColumns *referenced_columns;
	List	   *operators;		/* qualified names of what tells them equal, referenced column first; in their order */
	List	   *collations;		/* COLLATE for the referencing column, or nothing; in their order */
	const char *name;			/* given, or NULL */
	const ForeignKeyAction *on_delete;
	const ForeignKeyAction *on_update;
	bool		create_index;
	bool		can_look;		/* the table's owner sees all rows of the referenced one */
} ForeignKey;

/* ---- foreign_key.c ---- */

extern void dbops_foreign_key_read(OnlinePlan *plan, FunctionCallInfo fcinfo, ForeignKey *key);

#endif							/* DBOPS_FOREIGN_KEY_H */
