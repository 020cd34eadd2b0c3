/*
 * new_column.h
 *		A column as add_column is asked for it.
 */
#ifndef DBOPS_NEW_COLUMN_H
#define DBOPS_NEW_COLUMN_H

#include "change/constraint.h"

typedef struct NewColumn
{
	Oid			table;
	const char *name;
	Oid			type;
	int32		typmod;
	char	   *type_sql;		/* qualified and quoted */
	OnlineExpression *value;	/* default; or NULL */
	bool		not_null;
	bool		with_index;

	/* What is there. */
	bool		exists;
	bool		has_not_null;
	bool		has_value;		/* that default */
} NewColumn;

/* ---- new_column.c ---- */

extern void dbops_new_column_read(OnlinePlan *plan, FunctionCallInfo fcinfo, NewColumn *column);

#endif							/* DBOPS_NEW_COLUMN_H */
