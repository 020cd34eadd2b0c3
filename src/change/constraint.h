/*
 * constraint.h
 *		What the calls share that add a column, or make rows obey a rule.
 */
#ifndef DBOPS_CONSTRAINT_H
#define DBOPS_CONSTRAINT_H

#include "change/online.h"

#include "nodes/bitmapset.h"

/* ---- online_expression.c: an expression of the caller's ---- */

typedef struct OnlineExpression
{
	Node	   *tree;			/* as the server would store it */
	char	   *sql;			/* the same wherever pg_catalog comes first, whatever else the search_path has */
	bool		is_volatile;	/* every row gets a value of its own */
	bool		is_null;		/* it is NULL for every row */
	bool		has_subselect;
} OnlineExpression;

extern OnlineExpression *dbops_online_condition(Oid table, const char *text);
extern OnlineExpression *dbops_online_fill(Oid table, const char *column, const char *text);
extern OnlineExpression *dbops_online_default(Oid table, const char *column, Oid type, int32 typmod, const char *text);
extern AttrNumber dbops_online_only_column(const OnlineExpression *expression);
extern char *dbops_online_same_read(Oid table, const OnlineExpression *expression);
extern bool dbops_online_is_stored_as(const OnlineExpression *expression, const char *stored);

/* ---- online_column.c: columns as arguments ---- */

/* SQL: a table, by its OID, and all below it. */
#define ONLINE_TREE "WITH RECURSIVE tree(oid) AS (SELECT %u::oid UNION" \
	" SELECT i.inhrelid FROM pg_inherits i JOIN tree ON tree.oid = i.inhparent)"

typedef struct OnlineColumns
{
	int			n;
	AttrNumber *numbers;
	List	   *names;			/* of char * */
	char	   *list;			/* quoted, with commas */
	char	   *joined;			/* for names made of them */
} OnlineColumns;

extern void dbops_online_take_for_rows(OnlinePlan *plan, Oid table);
extern void dbops_online_lock_for_plan(Oid table);
extern void dbops_online_add_refusal(OnlinePlan *plan, OnlineStep step);
extern OnlineColumns *dbops_online_columns(FunctionCallInfo fcinfo, int argument, const char *name, Oid table);
extern OnlineColumns *dbops_online_columns_of(Oid table, List *names);
extern AttrNumber dbops_online_column_number(Oid table, const char *column);
extern void dbops_online_require_room(Oid table);
extern void dbops_online_refuse_detaching(Oid table);
extern char *dbops_online_column_nowhere(Oid table, const char *column);
extern List *dbops_online_leaves(Oid table);
extern DbopsParam dbops_online_numbers(const OnlineColumns *columns);

/* ---- online_same.c: what names stand for ---- */

extern char *dbops_online_same_columns(const OnlineColumns *columns, Oid table);

/* ---- online_name.c: names of what is added ---- */

/* What is to get a name. */
typedef struct OnlineNaming
{
	Oid			table;
	const char *given;			/* by the caller; or NULL */
	List	   *same;			/* names of what is there and is the same */
	List	   *usable;			/* names of relations that are a part of it */
	bool		is_constraint;
	bool		is_relation;	/* it has an index */
	const List *taken;			/* names of relations to come, or of constraints below the table, full ones */
	const char *columns;		/* joined; or NULL */
	const char *label;			/* such as "key" */
} OnlineNaming;

extern char *dbops_online_name(const OnlineNaming *naming);
extern List *dbops_online_names(const char *sql, int nparams, const DbopsParam *params);

/* ---- online_not_null.c: the steps to a column without NULL ---- */

typedef struct OnlineNotNull
{
	Oid			table;
	const char *column;			/* that may be yet to come */
	bool		is_row;			/* of a composite type, of which IS NULL says something else */
	const char *fill;			/* expression for rows with NULL; or NULL */
	bool		sync;			/* rows that are written meanwhile are to be filled too, until the next step is done */
} OnlineNotNull;

extern char *dbops_online_own_name(const char *prefix, const char *column);
extern void dbops_online_add_not_null(OnlinePlan *plan, const OnlineNotNull *what);
extern void dbops_online_add_fill(OnlinePlan *plan, const OnlineNotNull *what, const char *reached, const char *why);
extern char *dbops_online_is_not_null(Oid table, const char *column);
extern bool dbops_online_proves_not_null(Oid table, const char *column);
extern void dbops_online_add_proven_not_null(OnlinePlan *plan, const OnlineNotNull *what);

/* ---- online_part.c: a constraint of a table, or of each that holds rows of a partitioned one ---- */

/* One of these tables. */
typedef struct OnlinePart
{
	Oid			table;
	const char *name;			/* of its constraint */
	const char *unless;			/* SQL: the partitioned table has it, and nothing is to be done; NULL: this one is not partitioned */
	Oid			referred;		/* its rows are to refer to this table; or InvalidOid */
} OnlinePart;

/* Names the constraint in a table; given: by the caller, or NULL; taken: as in OnlineNaming. */
typedef char *(*OnlineNamer) (const void *request, Oid table, const char *given, const List *taken);

extern void dbops_online_take_name(OnlinePlan *plan, const char *name);
extern List *dbops_online_parts(OnlinePlan *plan, const char *name, OnlineNamer name_it, const void *request);
extern void dbops_online_add_look(OnlinePlan *plan, OnlineStep look);
extern void dbops_online_add_proven(OnlinePlan *plan, const OnlinePart *part, const char *definition, const char *rows);
extern char *dbops_online_part_there(const OnlinePart *part);
extern void dbops_online_add_whole(OnlinePlan *plan, const char *name, const char *definition, const List *parts);

/* ---- online_key_index.c: an index on columns of a table ---- */

extern void dbops_online_add_index(OnlinePlan *plan, Oid table, List *columns, const char *why);

/* ---- online_tell.c: what a new column sets off elsewhere ---- */

extern void dbops_online_tell_published(Oid table, const char *column);
extern void dbops_online_tell_subscribed(Oid table, const char *column);
extern void dbops_online_tell_fired(Oid table, const char *column);

#endif							/* DBOPS_CONSTRAINT_H */
