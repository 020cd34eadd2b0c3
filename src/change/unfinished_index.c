/*
 * unfinished_index.c
 *		Indexes that serve no query yet, or no more.
 *
 * What they are, and which of them somebody builds just now, is what
 * find_invalid_indexes() knows, which is asked. Where the same index stands
 * beside one, or it was being dropped, its end is the drop; any other was wanted,
 * and is built anew in its place. A partitioned one becomes valid when all below it
 * are, so that it comes after those, and of a tree only the topmost. One that a job
 * has begun, and has not ended, is the job's.
 */
#include "change/unfinished.h"

#include "utils/builtins.h"

/* One, as that report and the catalog have it. */
typedef struct InvalidIndex
{
	Oid			oid;
	const char *relname;
	const char *name;			/* qualified and quoted */
	Oid			table;
	const char *state;
	const char *reason;
	const char *safe;			/* to drop */
	const char *drop;			/* or NULL */
	TimestampTz since;
	bool		locks;			/* can only be built anew under a lock that keeps writers out */
	bool		partitioned;
	bool		of_constraint;
} InvalidIndex;

static void take_index(HeapTuple row, TupleDesc desc, void *arg);
static void put_index(ReportRow *row, const InvalidIndex *index);
static const char *finish(const InvalidIndex *index);
static const char *complete(const InvalidIndex *index);

void
dbops_unfinished_indexes(ReportRow *row)
{
	DbopsParam	param = dbops_unfinished_times_known();
	List	   *indexes = NIL;
	ListCell   *cell;

	dbops_store_each("SELECT c.oid, n.nspname::text, c.relname::text, f.table_name::oid, f.state, f.reason, f.safe_to_drop, f.statement, "
					 UNFINISHED_SINCE("i", "$1") ", i.indisexclusion OR n.nspname = 'pg_toast', c.relkind = 'I',"
					 " EXISTS (SELECT FROM pg_constraint k WHERE k.conindid = c.oid AND k.contype IN ('p', 'u', 'x'))"
					 " FROM dbops.find_invalid_indexes() f JOIN pg_index i ON i.indexrelid = f.index_name"
					 " JOIN pg_class c ON c.oid = f.index_name JOIN pg_namespace n ON n.oid = c.relnamespace"
					 " WHERE f.state <> 'in progress' AND NOT (c.relkind = 'I' AND EXISTS (SELECT FROM pg_inherits h"
					 " JOIN pg_index p ON p.indexrelid = h.inhparent AND NOT p.indisvalid WHERE h.inhrelid = c.oid))"
					 " AND NOT EXISTS (SELECT FROM dbops.job j JOIN dbops.job_cursor s ON s.job_id = j.id"
					 " WHERE j.kind = 'change' AND j.finished_at IS NULL"
					 " AND (s.position -> 'aim' ->> 'index' = c.oid::text OR s.position -> 'aim' ->> 'name' = c.relname::text"
					 " AND s.position -> 'aim' ->> 'schema' = c.relnamespace::text))"
					 " ORDER BY c.relkind = 'I', 2, 3",
					 1, &param, take_index, &indexes);
	foreach(cell, indexes)
		put_index(row, lfirst(cell));
}

static void
take_index(HeapTuple row, TupleDesc desc, void *arg)
{
	List	  **indexes = arg;
	InvalidIndex *index = palloc(sizeof(InvalidIndex));

	*index = (InvalidIndex) {
		.oid = dbops_row_oid(row, desc, 1),
		.relname = dbops_row_text(row, desc, 3),
		.name = dbops_quote_qualified(dbops_row_text(row, desc, 2), dbops_row_text(row, desc, 3)),
		.table = dbops_row_oid(row, desc, 4),
		.state = dbops_row_text(row, desc, 5),
		.reason = dbops_row_text(row, desc, 6),
		.safe = dbops_row_text(row, desc, 7),
		.drop = dbops_row_text(row, desc, 8),
		.since = dbops_row_time(row, desc, 9),
		.locks = dbops_row_bool(row, desc, 10),
		.partitioned = dbops_row_bool(row, desc, 11),
		.of_constraint = dbops_row_bool(row, desc, 12)
	};
	*indexes = lappend(*indexes, index);
}

static void
put_index(ReportRow *row, const InvalidIndex *index)
{
	dbops_unfinished_put(row, &(Unfinished) {
						 .kind = index->partitioned ? "index incomplete" : "index invalid",
						 .object = index->name,
						 .table = index->table,
						 .detail = index->partitioned ? index->reason : psprintf("%s: %s", index->state, index->reason),
						 .since = index->since,
						 .command = index->partitioned ? complete(index) : finish(index)
						 });
}

/* Nothing is said of one that may be at work elsewhere. */
static const char *
finish(const InvalidIndex *index)
{
	if (strcmp(index->safe, "unknown") == 0)
		return NULL;
	if (index->drop != NULL && strcmp(index->state, "left by a build") != 0)
		return index->drop;
	return psprintf("REINDEX INDEX %s%s;", index->locks ? "" : "CONCURRENTLY ", index->name);
}

/*
 * Have those built that partitions lack, and attached: by the call that would
 * create it. One of a constraint has no such call.
 */
static const char *
complete(const InvalidIndex *index)
{
	const char *definition = index->of_constraint ? NULL :
		dbops_unfinished_definition("pg_get_indexdef", index->oid, index->table);
	char	   *head = psprintf("INDEX %s ON ", quote_identifier(index->relname));
	const char *rest = (definition == NULL) ? NULL : strstr(definition, head);

	if (rest == NULL)
		return NULL;
	rest += strlen(head);
	if (strncmp(rest, "ONLY ", 5) != 0)
		return NULL;
	return psprintf("CALL dbops.create_index(%s);",
					dbops_quote_text(psprintf("%.*s%s", (int) (rest - definition), definition, rest + 5)));
}
