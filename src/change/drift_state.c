/*
 * drift_state.c
 *		The state of the schema that migrations have left.
 *
 * When a migration ends, what it has touched is described again, and only that:
 * which objects these are, the catalogs tell of what has come and gone since it
 * began (schema_touched.c). What it has not touched keeps the state in which the
 * last migration that did has left it, so that a later one hides no drift. All
 * is described before the first migration, when it has locked nothing yet, and
 * where that cannot be told in parts. What was done in steps: drift_steps.c.
 *
 * No migration fails for it, nor waits long: where the state cannot be taken, that
 * is written down, and the next one takes all of it.
 *
 * Numbers of objects are those of one database, so in a copy of it all is taken
 * anew.
 */
#include "change/drift.h"

#include "access/xlog.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/snapmgr.h"

/* What is to be kept, for whom. */
typedef struct Keeping
{
	const char *project;
	const char *version;
	bool		in_steps;
	DriftWatch *watch;			/* NULL: all of it */
} Keeping;

static const char *present_snapshot(void);
static bool is_known(void);
static void keep_or_say(Keeping *keeping);
static void keep(void *arg);
static bool keep_touched(const Keeping *keeping);
static void keep_all_but_theirs(const Keeping *keeping);
static Jsonb *describe(const SchemaTouched *touched, List **many);
static void take_few(void *arg);
static void store_few(const DriftWatch *watch, const Jsonb *after);
static void say_missed(const char *why);
static void note_state(const char *seen, const char *missed);
static List *numbers_of(const List *parts, const List *theirs);
static void take_number(HeapTuple row, TupleDesc desc, void *arg);
static void store(const List *parts, const SchemaTouched *touched, const List *but, const char *project, const char *version);
static void arrays_of(const List *parts, DbopsParam *numbers, DbopsParam *documents);

/* Remember how the schema is before a migration; needs a transaction that lasts until its end. */
void
dbops_drift_begin(DriftWatch *watch, const char *project, const char *version)
{
	ErrorData  *error = NULL;

	*watch = (DriftWatch) {.project = project,.version = version};
	if (!dbops_record_ddl)
		return;
	dbops_drift_know();
	if (dbops_attempt(take_few, watch, &error))
		watch->before = RegisterSnapshot(GetLatestSnapshot());
	else
		say_missed(error->message);
}

/* Of kinds of which there are few, all is described before and after. */
static void
take_few(void *arg)
{
	DriftWatch *watch = arg;
	SchemaTouched nothing = {0};
	List	   *many;

	watch->seen = present_snapshot();
	watch->few = describe(&nothing, &many);
}

static const char *
present_snapshot(void)
{
	return dbops_query_text("SELECT pg_current_snapshot()::text", 0, NULL);
}

/* See that there is a state. */
void
dbops_drift_know(void)
{
	Keeping		keeping = {0};

	if (dbops_record_ddl && !is_known())
		keep_or_say(&keeping);
}

/* Keep the state of what it has touched. */
void
dbops_drift_end(DriftWatch *watch)
{
	Keeping		keeping = {.project = watch->project,.version = watch->version,.watch = watch};

	if (watch->before == NULL)
		return;
	keep_or_say(&keeping);
	UnregisterSnapshot(watch->before);
	watch->before = NULL;
}

/* Keep the state that a migration in steps has left. */
void
dbops_drift_end_steps(const char *project, const char *version)
{
	Keeping		keeping = {.project = project,.version = version,.in_steps = true};

	if (dbops_record_ddl)
		keep_or_say(&keeping);
}

/* Is there a state of this database, as this version describes it? */
static bool
is_known(void)
{
	DbopsParam	params[] = {
		dbops_param_int8((int64) GetSystemIdentifier()),
		dbops_param_oid(MyDatabaseId),
		dbops_param_int4(SNAPSHOT_FORMAT)
	};
	Datum		known;

	return dbops_store_value_kept("SELECT bool_and(missed IS NULL AND cluster = $1 AND database = $2 AND format = $3) FROM dbops.drift_state",
								  lengthof(params), params, BOOLOID, &known) && DatumGetBool(known);
}

static void
keep_or_say(Keeping *keeping)
{
	ErrorData  *error = NULL;

	if (!dbops_attempt(keep, keeping, &error))
		say_missed(error->message);
}

static void
keep(void *arg)
{
	const Keeping *keeping = arg;

	if (keeping->in_steps && is_known())
		dbops_drift_take_steps(keeping->project, keeping->version);
	else if (keeping->watch == NULL || !is_known())
		dbops_drift_store_all(keeping->project, keeping->version);
	else if (!keep_touched(keeping))
		keep_all_but_theirs(keeping);
}

/* What is told of no object by itself may be the migration's, and what others are known to have done is not. */
static void
keep_all_but_theirs(const Keeping *keeping)
{
	Drift		drift = dbops_drift_find();

	dbops_drift_store_all_but(&drift, dbops_drift_theirs(&drift, NIL), keeping->project, keeping->version);
}

/* False: which objects it has touched cannot be told. */
static bool
keep_touched(const Keeping *keeping)
{
	SchemaTouched touched = dbops_schema_touched(keeping->watch->before, NIL);
	List	   *many;
	Jsonb	   *few;

	if (touched.anything)
		return false;
	few = describe(&touched, &many);
	dbops_drift_store(many, &touched, keeping->project, keeping->version);
	if (VARSIZE(few) != VARSIZE(keeping->watch->few) || memcmp(few, keeping->watch->few, VARSIZE(few)) != 0)
		store_few(keeping->watch, few);
	return true;
}

/* Describe all kinds of which there are few, and what was touched of the others, in parts. */
static Jsonb *
describe(const SchemaTouched *touched, List **many)
{
	List	   *numbers;
	Jsonb	   *document = dbops_schema_snapshot_some(touched, &numbers);
	Jsonb	   *few = NULL;
	ListCell   *cell;

	*many = NIL;
	foreach(cell, dbops_drift_parts(document, numbers))
	{
		DriftPart  *part = lfirst(cell);

		if (OidIsValid(part->number))
			*many = lappend(*many, part);
		else
			few = part->document;
	}
	if (few == NULL)
		elog(ERROR, "the database is not in a snapshot of its schema");
	return few;
}

static void
say_missed(const char *why)
{
	note_state(NULL, why);
}

/* seen: the snapshot in which all was described; or missed: why something was not. */
static void
note_state(const char *seen, const char *missed)
{
	DbopsParam	params[] = {
		dbops_param_time(dbops_clock_now()),
		dbops_param_int8((int64) GetSystemIdentifier()),
		dbops_param_oid(MyDatabaseId),
		dbops_param_int4(SNAPSHOT_FORMAT),
		dbops_param_text(missed),
		dbops_param_text(seen)
	};

	dbops_store_each_kept("INSERT INTO dbops.drift_state (at, cluster, database, format, missed, seen, transaction_id)"
						  " VALUES ($1, $2, $3, $4, $5, $6::pg_snapshot, pg_current_xact_id()::text::bigint)",
						  lengthof(params), params, NULL, NULL);
}

/* ---- what is kept ---- */

/* Store the state of all as it is now; whose it is cannot be told where there was none. */
void
dbops_drift_store_all(const char *project, const char *version)
{
	SchemaTouched all = {.anything = true};
	List	   *numbers;
	const char *seen = present_snapshot();
	Jsonb	   *document = dbops_schema_snapshot_some(&all, &numbers);
	bool		known = is_known();

	if (!known)
		dbops_store_each("DELETE FROM dbops.drift_part", 0, NULL, NULL, NULL);
	dbops_drift_store(dbops_drift_parts(document, numbers), &all, known ? project : NULL, known ? version : NULL);
	dbops_store_each("DELETE FROM dbops.drift_state", 0, NULL, NULL, NULL);
	note_state(seen, NULL);
}

/* Store the state of all as it was found, but for what others did: that stays as the state has it, with all of its part. */
void
dbops_drift_store_all_but(const Drift *drift, const List *theirs, const char *project, const char *version)
{
	List	   *parts = dbops_drift_parts(drift->now, drift->numbers);
	SchemaTouched kept = {.numbers = numbers_of(parts, theirs)};
	List	   *taken = NIL;
	ListCell   *cell;

	foreach(cell, parts)
		if (!dbops_schema_is_touched(&kept, ((const DriftPart *) lfirst(cell))->number))
			taken = lappend(taken, lfirst(cell));
	store(taken, NULL, kept.numbers, project, version);
	foreach(cell, theirs)
		if (dbops_drift_is_of_few(lfirst(cell)))
			dbops_drift_store_object(lfirst(cell), drift->state, false);
}

/* The numbers of the parts that have, or are to have, something of what others did; sorted. */
static List *
numbers_of(const List *parts, const List *theirs)
{
	List	   *kinds = NIL;
	List	   *objects = NIL;
	List	   *numbers = NIL;
	DbopsParam	params[4];
	ListCell   *cell;

	foreach(cell, theirs)
	{
		const SchemaDifference *difference = lfirst(cell);

		kinds = lappend(kinds, unconstify(char *, difference->kind));
		objects = lappend(objects, unconstify(char *, difference->object));
	}
	arrays_of(parts, &params[0], &params[1]);
	params[2] = dbops_param_texts(kinds);
	params[3] = dbops_param_texts(objects);
	if (theirs != NIL)
		dbops_store_each("SELECT DISTINCT p.number"
						 " FROM (SELECT number, document FROM dbops.drift_part UNION ALL SELECT * FROM unnest($1, $2)) p (number, document),"
						 " jsonb_each(p.document) k, jsonb_object_keys(k.value) o"
						 " WHERE p.number <> 0 AND (k.key, o) IN (SELECT * FROM unnest($3, $4)) ORDER BY 1",
						 lengthof(params), params, take_number, &numbers);
	return numbers;
}

static void
take_number(HeapTuple row, TupleDesc desc, void *arg)
{
	List	  **numbers = arg;

	*numbers = lappend_oid(*numbers, dbops_row_oid(row, desc, 1));
}

/* Is it of a kind of which there are few? */
bool
dbops_drift_is_of_few(const SchemaDifference *difference)
{
	const SchemaKind *all[] = {dbops_schema_tables, dbops_schema_objects, dbops_schema_database};

	for (int i = 0; i < lengthof(all); i++)
		for (const SchemaKind *kind = all[i]; kind->name != NULL; kind++)
			if (strcmp(kind->name, difference->kind) == 0)
				return kind->some_sql == NULL;
	return true;
}

/* Store parts, which are all that there is of what was touched. What is as it was known keeps whose it is. */
void
dbops_drift_store(const List *parts, const SchemaTouched *touched, const char *project, const char *version)
{
	store(parts, touched->anything ? NULL : touched, NIL, project, version);
}

/* touched: NULL: they are all there is; but: numbers of parts that stay as they are. */
static void
store(const List *parts, const SchemaTouched *touched, const List *but, const char *project, const char *version)
{
	DbopsParam	numbers;
	DbopsParam	documents;
	DbopsParam	gone[4];
	DbopsParam	came[6];
	DbopsParam	anew[2];
	List	   *objects = NIL;
	ListCell   *cell;

	arrays_of(parts, &numbers, &documents);
	gone[0] = numbers;
	gone[1] = dbops_param_bool(touched == NULL);
	gone[2] = dbops_param_oids(touched == NULL ? NIL : touched->numbers);
	gone[3] = dbops_param_oids(but);
	came[0] = numbers;
	came[1] = documents;
	came[2] = dbops_param_time(dbops_clock_now());
	came[3] = dbops_param_text(project);
	came[4] = dbops_param_text(version);
	foreach(cell, parts)
		objects = lappend(objects, unconstify(char *, ((const DriftPart *) lfirst(cell))->object));
	came[5] = dbops_param_texts(objects);
	anew[0] = numbers;
	anew[1] = came[5];
	dbops_store_each("DELETE FROM dbops.drift_part p WHERE ($2 OR p.number = ANY ($3)) AND p.number <> ALL ($4)"
					 " AND NOT EXISTS (SELECT FROM unnest($1) n WHERE n = p.number)",
					 lengthof(gone), gone, NULL, NULL);
	dbops_store_each("INSERT INTO dbops.drift_part AS p (number, document, object, at, project, version)"
					 " SELECT n.number, n.document, nullif(n.object, ''), $3, $4, $5 FROM unnest($1, $2, $6) AS n (number, document, object)"
					 " WHERE NOT EXISTS (SELECT FROM dbops.drift_part k WHERE k.number = n.number AND k.document = n.document)"
					 " ON CONFLICT (number) DO UPDATE SET document = excluded.document, object = excluded.object, at = excluded.at, taken = NULL,"
					 " project = coalesce(excluded.project, p.project), version = coalesce(excluded.version, p.version)",
					 lengthof(came), came, NULL, NULL);
	/* What had the name of one of them has another one by now, or is gone. */
	dbops_store_each("DELETE FROM dbops.drift_part WHERE object = ANY ($2) AND number <> ALL ($1)",
					 lengthof(anew), anew, NULL, NULL);
}

static void
arrays_of(const List *parts, DbopsParam *numbers, DbopsParam *documents)
{
	int			n = list_length(parts);
	Datum	   *oids = palloc_extended(sizeof(Datum) * (n + 1), MCXT_ALLOC_HUGE);
	Datum	   *jsonbs = palloc_extended(sizeof(Datum) * (n + 1), MCXT_ALLOC_HUGE);
	ListCell   *cell;

	foreach(cell, parts)
	{
		const DriftPart *part = lfirst(cell);

		oids[foreach_current_index(cell)] = ObjectIdGetDatum(part->number);
		jsonbs[foreach_current_index(cell)] = JsonbPGetDatum(part->document);
	}
	*numbers = dbops_param_array(oids, n, OIDOID);
	*documents = dbops_param_array(jsonbs, n, JSONBOID);
}

/* Store one object of the kinds of which there are few as it is in a document: taken now, or left as it was. */
void
dbops_drift_store_object(const SchemaDifference *difference, const Jsonb *document, bool is_taken)
{
	DbopsParam	params[] = {
		dbops_param_text(difference->kind),
		dbops_param_text(difference->object),
		dbops_param_jsonb(document),
		dbops_param_time(dbops_clock_now()),
		dbops_param_bool(is_taken)
	};

	dbops_store_each("UPDATE dbops.drift_part SET taken = coalesce(taken, '{}')"
					 " || jsonb_build_object($1 || ' ' || $2, CASE WHEN $5 THEN $4 ELSE (SELECT min(at) FROM dbops.drift_state) END),"
					 " document = document || jsonb_build_object($1,"
					 " (coalesce(document -> $1, '{}') - $2) || CASE WHEN $3 -> $1 ? $2"
					 " THEN jsonb_build_object($2, $3 -> $1 -> $2) ELSE '{}' END) WHERE number = 0",
					 lengthof(params), params, NULL, NULL);
}

/*
 * Store what has changed since of the kinds of which there are few, but for what
 * others are known to have changed meanwhile. They may have begun a day before.
 */
static void
store_few(const DriftWatch *watch, const Jsonb *after)
{
#define OBJECTS(document) \
	"(SELECT k.key AS kind, o.key AS object, o.value AS attributes FROM jsonb_each(" document ") k," \
	" jsonb_each(k.value) o)"
	DbopsParam	params[] = {
		dbops_param_jsonb(watch->few),
		dbops_param_jsonb(after),
		dbops_param_time(dbops_clock_now()),
		dbops_param_text(watch->seen)
	};

	dbops_store_each("WITH others AS (SELECT DISTINCT unnest(objects) AS object FROM dbops.ddl_log WHERE at >= $3 - interval '1 day'"
					 " AND NOT pg_visible_in_snapshot(transaction_id::text::xid8, $4::pg_snapshot)),"
					 " x AS MATERIALIZED (SELECT kind, object, c.changed, CASE WHEN c.changed THEN a.attributes ELSE s.attributes END AS attributes"
					 "  FROM " OBJECTS("(SELECT document FROM dbops.drift_part WHERE number = 0)") " s FULL JOIN " OBJECTS("$1") " b USING (kind, object)"
					 "  FULL JOIN " OBJECTS("$2") " a USING (kind, object) LEFT JOIN others o USING (object),"
					 "  LATERAL (SELECT b.attributes IS DISTINCT FROM a.attributes AND o.object IS NULL AS changed) c)"
					 " UPDATE dbops.drift_part SET document = (SELECT coalesce(jsonb_object_agg(y.kind, y.objects), '{}')"
					 "  FROM (SELECT kind, jsonb_object_agg(object, attributes) AS objects FROM x WHERE attributes IS NOT NULL GROUP BY kind) y),"
					 " taken = coalesce(taken, '{}') || (SELECT coalesce(jsonb_object_agg(kind || ' ' || object, $3), '{}') FROM x WHERE changed)"
					 " WHERE number = 0",
					 lengthof(params), params, NULL, NULL);
}

/* The state as one document; NULL: there is none. */
Jsonb *
dbops_drift_state(void)
{
	Datum		document;
	bool		found = dbops_store_value("SELECT jsonb_object_agg(x.kind, x.objects) FROM ("
										  " SELECT k.key AS kind, jsonb_object_agg(o.key, o.value) AS objects"
										  " FROM dbops.drift_part p, jsonb_each(p.document) k, jsonb_each(k.value) o GROUP BY k.key) x"
										  " WHERE EXISTS (SELECT FROM dbops.drift_state)",
										  0, NULL, JSONBOID, &document);

	return found ? DatumGetJsonbP(document) : NULL;
}
