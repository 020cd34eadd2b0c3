/*
 * backfill_spec.c
 *		A backfill as the document that its job keeps.
 *
 * It holds what was understood when the job was submitted: the texts as dbops
 * has written them out, with the moment of the submission in the place of
 * now(), and the roles whose tables the submitter might change.
 */
#include "change/change.h"

#include "utils/builtins.h"

static void put_request(DbopsJson *json, const BackfillRun *run);
static void put_owners(DbopsJson *json, List *leaves);
static char *copy_text(const Jsonb *object, const char *key);

Jsonb *
dbops_backfill_spec(const BackfillRun *run)
{
	DbopsJson	json = {0};

	dbops_json_object(&json, NULL);
	put_request(&json, run);
	dbops_backfill_put_change(&json, run->change);
	dbops_backfill_put_columns(&json, run->change);
	put_owners(&json, run->leaves);
	return dbops_json_finish(&json);
}

static void
put_request(DbopsJson *json, const BackfillRun *run)
{
	const BackfillRequest *request = &run->request;

	dbops_json_integer(json, "relid", request->relid);
	dbops_json_text(json, "table", run->progress.table);
	dbops_json_text(json, "set_clause", request->set_clause);
	dbops_json_text(json, "where_clause", request->where_clause);
	dbops_json_integer(json, "batch_size", request->batch_size);
	dbops_json_integer(json, "pause", request->limits.pause);
	dbops_json_boolean(json, "verify", request->verify);
	dbops_json_integer(json, "workers", request->workers);
	dbops_json_text(json, "method", dbops_backfill_method_name(request->method));
	dbops_json_boolean(json, "sync", request->sync);
	dbops_json_boolean(json, "app_writes", request->app_writes);
	dbops_json_boolean(json, "kept", request->kept);
	dbops_json_boolean(json, "quarantine", request->quarantine);
	dbops_json_integer(json, "max_errors", request->max_errors);
	dbops_json_decimal(json, "vacuum_every", request->vacuum_every);
	dbops_json_integer(json, "max_wal_per_s", request->limits.max_wal);
	dbops_json_integer(json, "batch_time", request->limits.batch_time);
	dbops_json_boolean(json, "yield", request->limits.yield);
}

/* Write the change as the member change; those settings hold that it was submitted with. */
void
dbops_backfill_put_change(DbopsJson *json, const BackfillChange *change)
{
	ListCell   *cell;

	dbops_json_object(json, "change");
	dbops_json_text(json, "path", change->path);
	dbops_json_text(json, "alias", change->alias);
	dbops_json_text(json, "set_list", change->set_list);
	dbops_json_text(json, "matches", change->matches);
	dbops_json_text(json, "pending", change->pending);
	dbops_json_boolean(json, "harmless_again", change->harmless_again);
	dbops_json_text(json, "null_column", change->null_column);
	dbops_json_array(json, "assigned");
	foreach(cell, change->assigned)
		dbops_json_text(json, NULL, lfirst(cell));
	dbops_json_array_end(json);
	dbops_json_document(json, "settings",
						change->settings ? change->settings : dbops_meaning_of_session());
	dbops_json_object_end(json);
}

static void
put_owners(DbopsJson *json, List *leaves)
{
	List	   *owners = NIL;
	ListCell   *cell;

	foreach(cell, leaves)
		owners = list_append_unique_oid(owners, ((BackfillLeaf *) lfirst(cell))->owner);
	dbops_json_array(json, "owners");
	foreach(cell, owners)
		dbops_json_integer(json, NULL, lfirst_oid(cell));
	dbops_json_array_end(json);
}

/* Read it back. */
void
dbops_backfill_read_spec(BackfillRun *run, Jsonb *spec)
{
	BackfillRequest *request = &run->request;
	int64	   *owners;
	int			n = dbops_jsonb_integers(spec, "owners", &owners);

	request->relid = (Oid) dbops_jsonb_integer(spec, "relid");
	request->set_clause = copy_text(spec, "set_clause");
	request->where_clause = copy_text(spec, "where_clause");
	request->batch_size = (int) dbops_jsonb_integer(spec, "batch_size");
	request->limits.pause = (long) dbops_jsonb_integer(spec, "pause");
	request->verify = dbops_jsonb_boolean(spec, "verify");
	request->workers = (int) dbops_jsonb_integer(spec, "workers");
	request->method = dbops_backfill_method(dbops_jsonb_text(spec, "method"));
	request->sync = dbops_jsonb_boolean(spec, "sync");
	request->app_writes = dbops_jsonb_boolean(spec, "app_writes");
	request->kept = dbops_jsonb_boolean(spec, "kept");
	request->quarantine = dbops_jsonb_boolean(spec, "quarantine");
	request->max_errors = (int) dbops_jsonb_integer(spec, "max_errors");
	request->vacuum_every = dbops_jsonb_decimal(spec, "vacuum_every");
	request->limits.max_wal = dbops_jsonb_integer(spec, "max_wal_per_s");
	request->limits.batch_time = (int) dbops_jsonb_integer(spec, "batch_time");
	request->limits.yield = dbops_jsonb_boolean(spec, "yield");
	for (int i = 0; i < n; i++)
		request->owners = lappend_oid(request->owners, (Oid) owners[i]);
	run->change = dbops_backfill_read_change(spec);
	run->change->relid = request->relid;
	run->change->used = dbops_backfill_take_columns(spec);
	dbops_backfill_progress_begin(&run->progress, copy_text(spec, "table"));
}

static char *
copy_text(const Jsonb *object, const char *key)
{
	return unconstify(char *, dbops_jsonb_text(object, key));
}

/* Read the member change. */
BackfillChange *
dbops_backfill_read_change(const Jsonb *document)
{
	const Jsonb *spec = dbops_jsonb_document(document, "change");
	BackfillChange *change = palloc0(sizeof(BackfillChange));

	change->path = copy_text(spec, "path");
	change->alias = copy_text(spec, "alias");
	change->set_list = copy_text(spec, "set_list");
	change->matches = copy_text(spec, "matches");
	change->pending = copy_text(spec, "pending");
	change->harmless_again = dbops_jsonb_boolean(spec, "harmless_again");
	change->null_column = copy_text(spec, "null_column");
	change->assigned = dbops_jsonb_texts(spec, "assigned");
	change->settings = dbops_jsonb_document(spec, "settings");
	return change;
}
