/*
 * online_index.h
 *		Indexes that are built and dropped while others write.
 */
#ifndef DBOPS_ONLINE_INDEX_H
#define DBOPS_ONLINE_INDEX_H

#include "change/online.h"

#include "nodes/parsenodes.h"

/* A column of an index, or an expression. */
typedef struct IndexColumn
{
	const IndexElem *element;	/* as the server has analyzed it */
	AttrNumber	attribute;		/* 0: an expression */
	Node	   *expression;		/* to be compared with what the catalog has; NULL: a column */
	Oid			collation;
	Oid			opclass;
	int16		option;			/* direction, and where NULLs go; as pg_index.indoption */
	Datum		settings;		/* of the operator class; 0: none */
} IndexColumn;

/* What is asked for, with all names resolved. */
typedef struct IndexDefinition
{
	const IndexStmt *statement;
	Oid			table;
	Oid			schema;
	const char *relname;
	char		relkind;
	Oid			method;
	bool		ordered;		/* the method knows directions */
	IndexColumn *columns;
	int			n_columns;
	int			n_keys;			/* the first of them; the others are included */
	List	   *predicate;		/* NIL: all rows */
	Datum		settings;		/* WITH; 0: none */
	Oid			tablespace;		/* InvalidOid: not asked for */
	const char *tail;			/* the statement's text behind the name of the table */
	bool		to_come;		/* columns that are not there are yet to come */
	const char *why;			/* it is wanted, as a user reads it; or NULL */
} IndexDefinition;

/* ---- online_index_read.c: a definition as a user writes it ---- */

extern IndexStmt *dbops_online_index_parse(const char *text);
extern IndexDefinition *dbops_online_index_read(Oid table, IndexStmt *statement, const char *text, bool to_come);

/* ---- online_index_text.c: the statement that builds it ---- */

extern const char *dbops_online_index_tail(const IndexDefinition *definition);
extern char *dbops_online_index_statement(const IndexDefinition *definition, const char *options, const char *name);
extern IndexDefinition *dbops_online_index_read_for(const IndexDefinition *definition, Oid table);

/* ---- online_index_same.c: is an index what is asked for? ---- */

extern bool dbops_online_index_is_same(const IndexDefinition *definition, Oid index, bool storage);
extern bool dbops_online_index_is_whole(Oid index);
extern List *dbops_online_index_same_ones(const IndexDefinition *definition, bool whole);

/* ---- online_index_name.c: the name that the server would choose ---- */

extern char *dbops_online_index_usual_name(const IndexDefinition *definition);
extern char *dbops_online_index_choose_name(const IndexDefinition *definition, Oid parent, const List *taken);
extern char *dbops_online_index_full_name(Oid schema, const char *name);

/* ---- online_index_tree.c: a partitioned table's ---- */

extern void dbops_online_index_plan_tree(OnlinePlan *plan, const IndexDefinition *definition, const char *name);

/* ---- online_index_busy.c: others who are at work on a table or an index ---- */

extern void dbops_online_index_lock_table(Oid table);
extern void dbops_online_index_refuse_busy(const OnlinePlan *plan, Oid index);
extern char *dbops_online_watch(int pid, int64 *done, int64 *total);

/* ---- online_index_build.c: the steps that build one ---- */

extern void dbops_online_index_plan(OnlinePlan *plan, const IndexDefinition *definition, const char *name);
extern void dbops_online_index_refuse_twins(OnlinePlan *plan, const IndexDefinition *definition);
extern void dbops_online_index_plan_build(OnlinePlan *plan, const IndexDefinition *definition, const char *name, const char *unless);

/* ---- online_key_index.c: indexes that other calls come with ---- */

extern IndexDefinition *dbops_online_key_index(Oid table, List *columns, bool unique);

#endif							/* DBOPS_ONLINE_INDEX_H */
