/*
 * advise.h
 *		What the files of advise share.
 */
#ifndef DBOPS_ADVISE_H
#define DBOPS_ADVISE_H

#include "core/page_sample.h"

#include "nodes/pg_list.h"
#include "nodes/primnodes.h"
#include "utils/hsearch.h"

/* ---- index_shape.c: an index as its catalog rows describe it ---- */

typedef struct DbopsIndex
{
	Oid			oid;			/* invalid while it exists only as advice */
	const char *advised_for;	/* the constraint that advice creates or repairs it for; or NULL */
	Oid			method;
	int			ncolumns;		/* INCLUDE's too */
	int			nkeys;
	AttrNumber	columns[INDEX_MAX_KEYS];	/* 0 is the next expression */
	Oid			opfamilies[INDEX_MAX_KEYS]; /* of the keys */
	Oid			types[INDEX_MAX_KEYS];	/* that the keys' operator classes take */
	Oid			collations[INDEX_MAX_KEYS]; /* of the keys */
	int16		options[INDEX_MAX_KEYS];	/* of the keys: INDOPTION_* */
	List	   *expressions;
	List	   *predicate;		/* as a list of conjuncts */
	bool		valid;
	bool		unique;
	bool		nulls_not_distinct; /* if unique */
	bool		immediate;		/* if unique: enforced at once, not when a transaction ends */
	bool		exclusion;
} DbopsIndex;

/* Reads the indexes of many tables in one pass over the catalog. */
typedef struct DbopsIndexReader DbopsIndexReader;

extern DbopsIndexReader *dbops_index_reader_begin(void);
extern List *dbops_index_read(DbopsIndexReader *reader, Oid table);
extern void dbops_index_reader_end(DbopsIndexReader *reader);
extern const DbopsIndex *dbops_index_find(List *indexes, Oid index);
extern Node *dbops_index_expression(const DbopsIndex *index, int key);
extern bool dbops_index_equal(const DbopsIndex *a, const DbopsIndex *b);
extern bool dbops_index_in_progress(Oid index);

/* ---- expression.c: simplifying what users wrote without running it ---- */

extern Node *dbops_expression_simplify(Node *expression);

/* ---- fkey_catalog.c: the foreign keys that users declared ---- */

typedef struct DbopsFkeyPair
{
	AttrNumber	column;			/* of the referencing table */
	AttrNumber	referenced;		/* of the referenced table */
	Oid			equality;		/* referenced value = referencing column */
} DbopsFkeyPair;

typedef enum DbopsFkeyFiring
{
	DBOPS_FIRES_NEVER,
	DBOPS_FIRES_IN_REPLICATION,
	DBOPS_FIRES
} DbopsFkeyFiring;

typedef struct DbopsFkey
{
	Oid			oid;
	Oid			table;			/* referencing */
	Oid			referenced;
	NameData	name;
	char		on_delete;		/* FKCONSTR_ACTION_* */
	char		on_update;
	bool		partitioned;	/* the referencing table has partitions */
	int			depth;			/* of a partitioned one, below the root */
	DbopsFkeyFiring firing;		/* when the server runs the lookup */
	int			npairs;
	DbopsFkeyPair pairs[FLEXIBLE_ARRAY_MEMBER];
} DbopsFkey;

extern List *dbops_fkey_collect(void);

/* ---- fkey_lookup.c: what a referential-integrity trigger looks for ---- */

typedef struct DbopsFkeyColumn
{
	AttrNumber	attnum;
	const char *name;
	Oid			collation;		/* of the column */
	Node	   *operand;		/* what is compared: the column, or a cast of it */
	Oid			index_operator; /* operand = value; invalid if there is none */
	Oid			lookup_collation;	/* what the comparison uses */
} DbopsFkeyColumn;

typedef struct DbopsFkeyLookup
{
	int			ncolumns;
	DbopsFkeyColumn *columns;
	List	   *clauses;		/* the WHERE of the lookup, over relation 1 */
} DbopsFkeyLookup;

extern DbopsFkeyLookup *dbops_fkey_lookup(const DbopsFkey *fkey, Oid table);

/* ---- fkey_coverage.c: whether an index serves that lookup ---- */

typedef enum DbopsCoverage
{
	DBOPS_COVERED,
	DBOPS_COVERAGE_UNKNOWN,
	DBOPS_PARTIAL,
	DBOPS_UNCOVERED
} DbopsCoverage;

/* Why an index does not serve, the nearest miss last. */
typedef enum DbopsObstacle
{
	DBOPS_NO_INDEX,
	DBOPS_NOT_LEADING,
	DBOPS_INCLUDED_ONLY,
	DBOPS_OTHER_OPERATOR,
	DBOPS_CAST,
	DBOPS_OTHER_COLLATION,
	DBOPS_UNPROVEN_PREDICATE,
	DBOPS_INVALID,
	DBOPS_LOSSY,				/* partial: the access method reads too much */
	DBOPS_SOME_COLUMNS,			/* partial: the rest is filtered */
	DBOPS_SEVERAL_INDEXES,		/* partial: each has some, together all */
	DBOPS_FOREIGN_METHOD		/* unknown */
} DbopsObstacle;

typedef struct DbopsVerdict
{
	DbopsCoverage coverage;
	DbopsObstacle obstacle;
	const DbopsIndex *index;	/* that the obstacle speaks of; or NULL */
	DbopsIndex *repairable;		/* would cover once rebuilt; or NULL */
} DbopsVerdict;

extern bool dbops_fkey_plainly_covered(const DbopsFkey *fkey, List *indexes);
extern DbopsVerdict dbops_fkey_judge(const DbopsFkeyLookup *lookup, List *indexes);
extern const DbopsIndex *dbops_fkey_served_by_advice(const DbopsFkeyLookup *lookup,
													 List *indexes);
extern bool dbops_fkey_operator_fits(Oid index_operator, Oid method, Oid opfamily);
extern char *dbops_fkey_obstacle(const DbopsVerdict *verdict);

/* ---- fkey_index.c: the index that would serve ---- */

typedef struct DbopsTableNode
{
	Oid			oid;
	Oid			schema;
	const char *schema_name;
	const char *name;
	bool		partitioned;
	List	   *children;		/* DbopsTableNode */
	List	   *indexes;		/* DbopsIndex */
	DbopsFkeyLookup *lookup;	/* of the foreign key that is being judged */
	DbopsVerdict verdict;		/* of leaves */
} DbopsTableNode;

extern bool dbops_fkey_index_design(const DbopsFkeyLookup *lookup,
									DbopsIndex *design, StringInfo keys);

/* ---- fkey_index_ddl.c: the statements that create it ---- */

extern HTAB *dbops_names_create(void);
extern char *dbops_fkey_index_ddl(const DbopsFkey *fkey, DbopsTableNode *root,
								  HTAB *names);

/* ---- fkey_row.c: what the report says about one foreign key ---- */

/* A foreign key's verdict over all leaves of its table. */
typedef struct DbopsFkeyOutcome
{
	DbopsVerdict worst;
	List	   *leaves;			/* not covered: DbopsTableNode */
	int			nleaves;
	int64		bytes;			/* of the leaves that are not covered */
	bool		vanished;		/* something was dropped meanwhile */
} DbopsFkeyOutcome;

extern HeapTuple dbops_fkey_row(const DbopsFkey *fkey, DbopsTableNode *tree,
								const DbopsFkeyOutcome *outcome, HTAB *names,
								TupleDesc desc, DbopsSeverity *severity);

#endif							/* DBOPS_ADVISE_H */
