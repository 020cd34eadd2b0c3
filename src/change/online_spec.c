/*
 * online_spec.c
 *		A plan as the document that its job keeps, and what of it is reached.
 */
#include "change/online.h"

#include "catalog/pg_type.h"

static void put_terms(DbopsJson *json, const OnlinePlan *plan);
static void put_step(DbopsJson *json, const OnlineStep *step);
static OnlineStep *read_step(const Jsonb *document);
static List *read_tables(const Jsonb *document);

static const char *const kinds[] = {
	[ONLINE_SHORT] = "short",
	[ONLINE_SCAN] = "scan",
	[ONLINE_ALONE] = "alone",
	[ONLINE_BACKFILL] = "backfill",
	[ONLINE_REFUSE] = "refuse"
};

Jsonb *
dbops_online_spec(const OnlinePlan *plan)
{
	DbopsJson	json = {0};
	ListCell   *cell;

	dbops_json_object(&json, NULL);
	dbops_json_text(&json, "call", plan->call);
	dbops_json_text(&json, "name", plan->name);
	dbops_json_text(&json, "asked", plan->asked);
	dbops_json_integer(&json, "table", plan->table);
	dbops_json_text(&json, "columns", plan->columns);
	put_terms(&json, plan);
	dbops_json_array(&json, "steps");
	foreach(cell, plan->steps)
		put_step(&json, lfirst(cell));
	dbops_json_array_end(&json);
	return dbops_json_finish(&json);
}

static void
put_terms(DbopsJson *json, const OnlinePlan *plan)
{
	dbops_json_text(json, "again", plan->again);
	dbops_json_integer(json, "lock_timeout", plan->lock_timeout);
	dbops_json_integer(json, "max_wait", plan->max_wait);
}

/* What the same call, made again, may have otherwise: its own patience. */
Jsonb *
dbops_online_terms(const OnlinePlan *plan)
{
	DbopsJson	json = {0};

	dbops_json_object(&json, NULL);
	put_terms(&json, plan);
	return dbops_json_finish(&json);
}

static void
put_step(DbopsJson *json, const OnlineStep *step)
{
	ListCell   *cell;

	dbops_json_object(json, NULL);
	dbops_json_text(json, "kind", kinds[step->kind]);
	dbops_json_text(json, "sql", step->sql);
	dbops_json_text(json, "reached", step->reached);
	dbops_json_text(json, "why", step->why);
	dbops_json_text(json, "still", step->still);
	dbops_json_boolean(json, "ours", step->ours);
	dbops_json_boolean(json, "asks_ours", step->asks_ours);
	dbops_json_text(json, "then", step->then);
	dbops_json_integer(json, "holds", step->holds);
	dbops_json_integer(json, "index", step->index);
	dbops_json_array(json, "tables");
	foreach(cell, step->tables)
		dbops_json_integer(json, NULL, lfirst_oid(cell));
	dbops_json_array_end(json);
	dbops_json_integer(json, "table", step->table);
	dbops_json_text(json, "set_clause", step->set_clause);
	dbops_json_text(json, "where_clause", step->where_clause);
	dbops_json_boolean(json, "sync", step->sync);
	dbops_json_boolean(json, "stays", step->stays);
	dbops_json_text(json, "path", step->path);
	if (step->settings != NULL)
		dbops_json_document(json, "settings", step->settings);
	dbops_json_text(json, "seen", step->seen);
	dbops_json_text(json, "note", step->note);
	dbops_json_text(json, "otherwise", step->otherwise);
	dbops_json_text(json, "message", step->message);
	dbops_json_integer(json, "sqlerrcode", step->sqlerrcode);
	dbops_json_text(json, "hint", step->hint);
	dbops_json_object_end(json);
}

/* Read it back, into the current memory. */
OnlinePlan *
dbops_online_read_spec(const Jsonb *spec)
{
	OnlinePlan *plan = palloc0(sizeof(OnlinePlan));
	ListCell   *cell;

	plan->call = dbops_jsonb_text(spec, "call");
	plan->name = dbops_jsonb_text(spec, "name");
	plan->again = dbops_jsonb_text(spec, "again");
	plan->asked = dbops_jsonb_text(spec, "asked");
	plan->table = (Oid) dbops_jsonb_integer(spec, "table");
	plan->columns = dbops_jsonb_text(spec, "columns");
	plan->lock_timeout = (long) dbops_jsonb_integer(spec, "lock_timeout");
	plan->max_wait = (long) dbops_jsonb_integer(spec, "max_wait");
	foreach(cell, dbops_jsonb_documents(spec, "steps"))
		plan->steps = lappend(plan->steps, read_step(lfirst(cell)));
	return plan;
}

static OnlineStep *
read_step(const Jsonb *document)
{
	OnlineStep *step = palloc0(sizeof(OnlineStep));
	const char *kind = dbops_jsonb_text(document, "kind");

	while (strcmp(kinds[step->kind], kind) != 0)
		step->kind++;
	step->sql = dbops_jsonb_text(document, "sql");
	step->reached = dbops_jsonb_text(document, "reached");
	step->why = dbops_jsonb_text(document, "why");
	step->still = dbops_jsonb_text(document, "still");
	step->ours = dbops_jsonb_boolean(document, "ours");
	step->asks_ours = dbops_jsonb_boolean(document, "asks_ours");
	step->then = dbops_jsonb_text(document, "then");
	step->holds = dbops_jsonb_integer(document, "holds");
	step->index = (Oid) dbops_jsonb_integer(document, "index");
	step->tables = read_tables(document);
	step->table = (Oid) dbops_jsonb_integer(document, "table");
	step->set_clause = dbops_jsonb_text(document, "set_clause");
	step->where_clause = dbops_jsonb_text(document, "where_clause");
	step->sync = dbops_jsonb_boolean(document, "sync");
	step->stays = dbops_jsonb_boolean(document, "stays");
	step->path = dbops_jsonb_text(document, "path");
	step->settings = dbops_jsonb_document(document, "settings");
	step->seen = dbops_jsonb_text(document, "seen");
	step->note = dbops_jsonb_text(document, "note");
	step->otherwise = dbops_jsonb_text(document, "otherwise");
	step->message = dbops_jsonb_text(document, "message");
	step->sqlerrcode = (int) dbops_jsonb_integer(document, "sqlerrcode");
	step->hint = dbops_jsonb_text(document, "hint");
	return step;
}

static List *
read_tables(const Jsonb *document)
{
	List	   *tables = NIL;
	int64	   *numbers;
	int			n = dbops_jsonb_integers(document, "tables", &numbers);

	for (int i = 0; i < n; i++)
		tables = lappend_oid(tables, (Oid) numbers[i]);
	return tables;
}

/* Does the catalog say that nothing is left to be done of a step? */
bool
dbops_online_is_reached(const OnlineStep *step)
{
	return step->reached != NULL && dbops_online_is_so(step, step->reached);
}

/* Is an expression about a step true, as whoever may see what it is about? */
bool
dbops_online_is_so(const OnlineStep *step, const char *expression)
{
	bool		(*ask) (const char *, int, const DbopsParam *, Oid, Datum *) =
		step->asks_ours ? dbops_store_value : dbops_query_value;
	Datum		is_so;

	return ask(psprintf("SELECT %s", expression), 0, NULL, BOOLOID, &is_so) && DatumGetBool(is_so);
}

/* Is that so of all its steps? */
bool
dbops_online_is_complete(const OnlinePlan *plan)
{
	ListCell   *cell;

	foreach(cell, plan->steps)
		if (!dbops_online_is_reached(lfirst(cell)))
			return false;
	return true;
}
