/*
 * schema_snapshot.c
 *		schema_snapshot(): what a database's schema is, as one document.
 *
 * {kind: {object: {attribute: value}}}, with names as SQL quotes them. Two
 * schemas that mean the same give the same document: it has nothing that
 * numbers or stores an object, and nothing that changes by itself. It sees
 * what the transaction has not committed yet, which is how a migration is
 * proved.
 *
 * The catalogs are read by one query a kind, all in one snapshot of the data,
 * so that the cost grows with the catalogs and not with searches for each
 * object; the planner is kept from what goes wrong on catalogs that nobody
 * has analyzed. Tables are not locked, with one exception: to write a
 * subquery (of a view, a rule, a policy or a function's body in standard SQL)
 * the server takes ACCESS SHARE on what it reads. That wait is bounded, and
 * those locks are given back at the end.
 */
#include "change/migration.h"
#include "change/schema.h"

#include "catalog/namespace.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "storage/proc.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"

PG_FUNCTION_INFO_V1(dbops_schema_snapshot);

/* ms that a subquery's table is waited for, where the session does not say less. */
#define LOCK_WAIT 5000

/* Settings that the texts which the server writes depend on, or the time that it takes. */
static const struct
{
	const char *name;
	const char *value;
}			settings[] = {
	{"bytea_output", "hex"},
	{"datestyle", "ISO, YMD"},
	{"enable_mergejoin", "off"},
	{"extra_float_digits", "1"},
	{"intervalstyle", "postgres"},
	{"jit", "off"},
	{"max_parallel_workers_per_gather", "0"},
	{"quote_all_identifiers", "off"},
	{"search_path", "pg_catalog, pg_temp"},
	{"standard_conforming_strings", "on"},
	{"timezone", "UTC"},
	{"work_mem", "64MB"},
};

/* Tries while other sessions drop what is read. */
#define MOST_TRIES 5

typedef struct SnapshotTry
{
	List	   *schemas;
	const SchemaTouched *only;
	Jsonb	   *result;
	List	   *numbers;
} SnapshotTry;

/* A snapshot that is being taken. */
typedef struct SchemaSnapshot
{
	List	   *schemas;		/* of char *; NIL: all */
	const SchemaTouched *only;	/* of kinds that are asked so; NULL: all */
	DbopsParam	params[3];		/* of the queries of kinds */
	MemoryContext caller;
	SchemaDocument document;
	SchemaPairs whole;			/* kinds */
	SchemaPairs kind;			/* objects of the one that is read */
	Jsonb	   *result;
	List	   *numbers;		/* of SchemaNumbers *, in the caller's memory as the result is */
} SchemaSnapshot;

static Jsonb *take_until_seen(SnapshotTry *try);
static void try_to_take(void *arg);
static List *names_of(ArrayType *array);
static void require_schemas(List *schemas);
static void take(void *arg);
static void set_settings(const SchemaSnapshot *snapshot);
static void put_header(SchemaSnapshot *snapshot);
static void choose_schemas(SchemaSnapshot *snapshot);
static void read_kinds(SchemaSnapshot *snapshot, const SchemaKind *kinds);
static void keep_numbers(SchemaSnapshot *snapshot, const char *kind);
static void explain_error(void *arg);
static void read_object(HeapTuple row, TupleDesc desc, void *arg);
static void require_space(const SchemaSnapshot *snapshot);
static DbopsParam param_names(List *names);

/* schema_snapshot(schemas text[]) → jsonb */
Datum
dbops_schema_snapshot(PG_FUNCTION_ARGS)
{
	List	   *schemas = NIL;

	if (!PG_ARGISNULL(0))
	{
		schemas = names_of(PG_GETARG_ARRAYTYPE_P(0));
		require_schemas(schemas);
	}
	PG_RETURN_JSONB_P(dbops_schema_snapshot_take(schemas));
}

/* Take a snapshot of some schemas, which need not exist, or of all that is the users'. */
Jsonb *
dbops_schema_snapshot_take(List *schemas)
{
	SnapshotTry try = {.schemas = schemas};

	return take_until_seen(&try);
}

/*
 * Take one of all schemas that has, of kinds of which there may be many, only
 * what was touched; with the numbers of the objects in it.
 */
Jsonb *
dbops_schema_snapshot_some(const SchemaTouched *only, List **numbers)
{
	SnapshotTry try = {.only = only->anything ? NULL : only};
	Jsonb	   *result = take_until_seen(&try);

	*numbers = try.numbers;
	return result;
}

/*
 * The server looks some definitions up as they are by then; where another
 * session has just dropped one, the snapshot is taken anew.
 */
static Jsonb *
take_until_seen(SnapshotTry *try)
{
	ErrorData  *error = NULL;

	for (int i = 0; i < MOST_TRIES; i++)
	{
		if (dbops_attempt(try_to_take, try, &error))
			return try->result;
		if (error->sqlerrcode != ERRCODE_INTERNAL_ERROR && error->sqlerrcode != ERRCODE_UNDEFINED_TABLE)
			ReThrowError(error);
	}
	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_IN_USE),
			 errmsg("other sessions change the schema while a snapshot of it is taken"),
			 errdetail("The last of %d tries said: %s", MOST_TRIES, error->message),
			 errhint("Try again when they have ended.")));
}

static void
try_to_take(void *arg)
{
	SnapshotTry *try = arg;
	SchemaSnapshot snapshot = {.schemas = try->schemas,.only = try->only,.caller = CurrentMemoryContext};

	snapshot.document.memory = AllocSetContextCreate(CurrentMemoryContext, "schema snapshot",
													 ALLOCSET_DEFAULT_SIZES);
	snapshot.document.scratch = AllocSetContextCreate(snapshot.document.memory, "schema snapshot row",
													  ALLOCSET_DEFAULT_SIZES);
	dbops_look(take, &snapshot);
	MemoryContextDelete(snapshot.document.memory);
	try->result = snapshot.result;
	try->numbers = snapshot.numbers;
}

static List *
names_of(ArrayType *array)
{
	Datum	   *elements;
	bool	   *nulls;
	int			count;
	List	   *names = NIL;

	deconstruct_array(array, TEXTOID, -1, false, TYPALIGN_INT, &elements, &nulls, &count);
	for (int i = 0; i < count; i++)
	{
		if (nulls[i])
			ereport(ERROR,
					(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
					 errmsg("schemas must not contain null")));
		names = lappend(names, TextDatumGetCString(elements[i]));
	}
	return names;
}

/* Refuse what would give an empty snapshot by mistake. */
static void
require_schemas(List *schemas)
{
	ListCell   *cell;

	if (schemas == NIL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("schemas must not be empty"),
				 errhint("Leave it out for all schemas.")));
	foreach(cell, schemas)
	{
		const char *name = lfirst(cell);

		get_namespace_oid(name, false);
		if (strncmp(name, "pg_", 3) == 0 || strcmp(name, "information_schema") == 0 ||
			strcmp(name, "dbops") == 0)
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("schema \"%s\" has no place in a snapshot", name),
					 errdetail("It belongs to the server or to dbops.")));
	}
}

static void
take(void *arg)
{
	SchemaSnapshot *snapshot = arg;
	JsonbValue	whole;
	MemoryContext work;

	set_settings(snapshot);
	PushActiveSnapshot(GetTransactionSnapshot());
	put_header(snapshot);
	choose_schemas(snapshot);
	read_kinds(snapshot, dbops_schema_tables);
	read_kinds(snapshot, dbops_schema_objects);
	if (snapshot->schemas == NIL)
		read_kinds(snapshot, dbops_schema_database);
	PopActiveSnapshot();

	whole = dbops_schema_object(&snapshot->document, &snapshot->whole);
	work = MemoryContextSwitchTo(snapshot->caller);
	snapshot->result = JsonbValueToJsonb(&whole);
	MemoryContextSwitchTo(work);
}

/* They are put back when the look is undone. All objects are joined by hashing, a few by indexes. */
static void
set_settings(const SchemaSnapshot *snapshot)
{
	dbops_set_local("enable_nestloop", snapshot->only != NULL ? "on" : "off");
	for (int i = 0; i < lengthof(settings); i++)
		dbops_set_local(settings[i].name, settings[i].value);
	if (LockTimeout == 0 || LockTimeout > LOCK_WAIT)
		dbops_set_local("lock_timeout", psprintf("%d", LOCK_WAIT));
}

/* Say what the document covers, so that only its like is compared with it. */
static void
put_header(SchemaSnapshot *snapshot)
{
	JsonbValue	schemas = {.type = jbvArray};
	ListCell   *cell;

	dbops_schema_pair(&snapshot->document, &snapshot->whole, "format",
					  dbops_schema_number(&snapshot->document, SNAPSHOT_FORMAT));
	if (snapshot->schemas == NIL)
		return;
	schemas.val.array.elems = palloc(sizeof(JsonbValue) * list_length(snapshot->schemas));
	foreach(cell, snapshot->schemas)
		schemas.val.array.elems[schemas.val.array.nElems++] =
			dbops_schema_text(&snapshot->document, lfirst(cell));
	dbops_schema_pair(&snapshot->document, &snapshot->whole, "schemas", schemas);
}

/* By number, so that the planner sees how much of a catalog they are. */
static void
choose_schemas(SchemaSnapshot *snapshot)
{
	DbopsParam	names = param_names(snapshot->schemas);
	Datum		oids;

	if (!dbops_query_value("SELECT array_agg(oid) FROM pg_namespace WHERE ($1 IS NULL OR nspname = ANY ($1))"
						   " AND NOT starts_with(nspname::text, 'pg_') AND nspname NOT IN ('information_schema', 'dbops')",
						   1, &names, OIDARRAYOID, &oids))
		oids = PointerGetDatum(construct_empty_array(OIDOID));
	snapshot->params[0] = (DbopsParam) {.type = OIDARRAYOID, .value = oids};
	snapshot->params[1] = dbops_param_bool(snapshot->schemas == NIL);
	if (snapshot->only != NULL)
		snapshot->params[2] = dbops_param_oids(snapshot->only->numbers);
}

static void
read_kinds(SchemaSnapshot *snapshot, const SchemaKind *kinds)
{
	for (const SchemaKind *kind = kinds; kind->name != NULL; kind++)
	{
		ErrorContextCallback context = {
			.previous = error_context_stack, .callback = explain_error,
			.arg = unconstify(char *, kind->name)
		};

		error_context_stack = &context;
		snapshot->kind = (SchemaPairs) {0};
		if (snapshot->only != NULL && kind->some_sql != NULL)
			dbops_query_seen(kind->some_sql, 3, snapshot->params, read_object, snapshot);
		else
			dbops_query_seen(kind->sql, 2, snapshot->params, read_object, snapshot);
		if (snapshot->kind.count > 0)
		{
			dbops_schema_pair(&snapshot->document, &snapshot->whole, kind->name,
							  dbops_schema_object(&snapshot->document, &snapshot->kind));
			keep_numbers(snapshot, kind->name);
		}
		error_context_stack = context.previous;
	}
}

/* The pairs have been put in order by now. */
static void
keep_numbers(SchemaSnapshot *snapshot, const char *kind)
{
	MemoryContext work = MemoryContextSwitchTo(snapshot->caller);
	SchemaNumbers *numbers = palloc(sizeof(SchemaNumbers));

	numbers->kind = kind;
	numbers->numbers = palloc_extended(sizeof(Oid) * snapshot->kind.count, MCXT_ALLOC_HUGE);
	for (int i = 0; i < snapshot->kind.count; i++)
		numbers->numbers[i] = snapshot->kind.pairs[i].order;
	snapshot->numbers = lappend(snapshot->numbers, numbers);
	MemoryContextSwitchTo(work);
}

/* Say what was read, and what is to be done where it is locked. */
static void
explain_error(void *arg)
{
	if (geterrcode() == ERRCODE_LOCK_NOT_AVAILABLE)
		errhint("Another session has locked a table that is read by a view, a rule, a policy or a function. Try again when it has ended.");
	errcontext("%s in a snapshot of the schema", (const char *) arg);
}

static void
read_object(HeapTuple row, TupleDesc desc, void *arg)
{
	SchemaSnapshot *snapshot = arg;

	dbops_schema_row(&snapshot->document, &snapshot->kind, row, desc);
	require_space(snapshot);
}

/* The members of a jsonb object take no more than that. */
static void
require_space(const SchemaSnapshot *snapshot)
{
	if (snapshot->document.size <= JENTRY_OFFLENMASK)
		return;
	ereport(ERROR,
			(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
			 errmsg("the schema is too large for one snapshot"),
			 errdetail("A snapshot has at most %d MB.", (JENTRY_OFFLENMASK + 1) / (1024 * 1024)),
			 errhint("Take one of some schemas, such as dbops.schema_snapshot('{%s}').",
					 snapshot->schemas == NIL ? "public" : (char *) linitial(snapshot->schemas))));
}

static DbopsParam
param_names(List *names)
{
	Datum	   *elements = palloc(sizeof(Datum) * (list_length(names) + 1));
	int			count = 0;
	ListCell   *cell;

	foreach(cell, names)
		elements[count++] = CStringGetTextDatum((char *) lfirst(cell));
	return (DbopsParam)
	{
		.type = TEXTARRAYOID, .isnull = (names == NIL),
		.value = PointerGetDatum(construct_array(elements, count, TEXTOID, -1, false, TYPALIGN_INT))
	};
}
