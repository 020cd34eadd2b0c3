/*
 * schema.h
 *		What the parts of a snapshot of the schema tell each other.
 *
 * A kind of objects is a query. Its first column names each object as SQL
 * does; the others are attributes under their own names, and what becomes of
 * a value is said by its type (schema_row.c). What is at its default is left
 * null, so that documents stay small and read well.
 */
#ifndef DBOPS_SCHEMA_H
#define DBOPS_SCHEMA_H

#include "core/core.h"

#include "utils/jsonb.h"
#include "utils/snapshot.h"

/* Changes with what the document says of the same schema. */
#define SNAPSHOT_FORMAT 1

typedef struct SchemaKind
{
	const char *name;
	const char *sql;			/* $1: the chosen schemas, as oid[]; $2: they are all */
	const char *some_sql;		/* $3: the numbers of the objects that are asked for, as oid[]; or NULL */
} SchemaKind;

/* ---- schema_tables.c, schema_objects.c, schema_database.c: the queries ---- */

extern const SchemaKind dbops_schema_tables[];	/* what belongs to relations */
extern const SchemaKind dbops_schema_objects[]; /* what else is in schemas */
extern const SchemaKind dbops_schema_database[];	/* what is not, so taken with all schemas only */

/*
 * Kinds of which there may be many are asked for some objects, too. Their
 * column _number has what the object goes with: a table's number, or its own.
 */
#define SCHEMA_ALL(oid) ""
#define SCHEMA_SOME(oid) " AND " oid " = ANY ($3)"

/*
 * The same schemas in all of them: n is pg_namespace. Members of extensions
 * are left out, as the extension stands for them.
 */
#define SCHEMA_CHOSEN " n.oid = ANY ($1) "
#define SCHEMA_NOT_MEMBER(catalog, oid) \
	" NOT EXISTS (SELECT FROM pg_depend m WHERE m.classid = '" catalog "'::regclass AND m.objid = " oid \
	" AND m.refclassid = 'pg_extension'::regclass AND m.deptype = 'e') "
#define SCHEMA_COMMENT(catalog, oid) \
	" LEFT JOIN pg_description d ON d.objoid = " oid " AND d.classoid = '" catalog "'::regclass AND d.objsubid = 0 "

/* ---- schema_row.c: a row as a name and its attributes ---- */

typedef struct SchemaPairs
{
	JsonbPair  *pairs;
	int			count;
	int			capacity;
} SchemaPairs;

/* A document that is being put together. */
typedef struct SchemaDocument
{
	MemoryContext memory;		/* of the document's parts */
	MemoryContext scratch;		/* of one row */
	int64		size;			/* bytes that it will have at most */
} SchemaDocument;

/* In pairs of objects, the order that has no use elsewhere is the object's number, or 0. */
extern void dbops_schema_pair(SchemaDocument *document, SchemaPairs *pairs,
							  const char *key, JsonbValue value);
extern JsonbValue dbops_schema_object(SchemaDocument *document, SchemaPairs *pairs);
extern JsonbValue dbops_schema_text(SchemaDocument *document, const char *text);
extern JsonbValue dbops_schema_number(SchemaDocument *document, int64 number);
extern void dbops_schema_row(SchemaDocument *document, SchemaPairs *objects,
							 HeapTuple row, TupleDesc desc);

/* ---- schema_expression.c: stored expressions as SQL ---- */

extern List *dbops_schema_expressions(const char *tree, Oid table, bool old_and_new);

/* ---- schema_touched.c: what may have changed since ---- */

typedef struct SchemaTouched
{
	bool		anything;
	List	   *numbers;		/* of the objects otherwise, sorted */
} SchemaTouched;

extern SchemaTouched dbops_schema_touched(Snapshot since, const List *always);
extern bool dbops_schema_is_touched(const SchemaTouched *touched, Oid number);

/* ---- schema_literal.c: what is written with names that nothing records ---- */

extern List *dbops_schema_with_literals(void);

/* ---- schema_snapshot.c: a snapshot, as a whole or in part ---- */

/* The numbers of a kind's objects, in the order of the document. */
typedef struct SchemaNumbers
{
	const char *kind;
	Oid		   *numbers;
} SchemaNumbers;

extern Jsonb *dbops_schema_snapshot_some(const SchemaTouched *only, List **numbers);

/* ---- schema_diff.c: what belongs to what ---- */

extern const char *dbops_schema_whole_of(const char *kind, const char *object);

#endif							/* DBOPS_SCHEMA_H */
