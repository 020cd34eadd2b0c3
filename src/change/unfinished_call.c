/*
 * unfinished_call.c
 *		The call that does again what failed, as psql runs it.
 *
 * It is put together from what the job was given. Arguments with their default
 * are left out, and everything stands on one line.
 */
#include "change/unfinished.h"

#include "change/migration.h"

#include "lib/stringinfo.h"

static void add(StringInfo call, const char *name, const char *value);
static void add_text(StringInfo call, const char *name, const char *text);
static void add_texts(StringInfo call, const char *name, const List *texts);

/*
 * start_backfill, as a job's spec has it (see backfill_spec.c); where no process
 * would do that, batched_backfill, of which not each call is a job.
 */
char *
dbops_unfinished_backfill_call(Oid table, const Jsonb *spec, bool background)
{
	bool		keyset = strcmp(dbops_jsonb_text(spec, "method"), "keyset") == 0;
	StringInfoData call;

	initStringInfo(&call);
	appendStringInfo(&call, "%s(%s, %s", background ? "SELECT dbops.start_backfill" : "CALL dbops.batched_backfill",
					 dbops_quote_text(dbops_quote_relation(table)), dbops_quote_text(dbops_jsonb_text(spec, "set_clause")));
	if (dbops_jsonb_text(spec, "where_clause") != NULL)
		appendStringInfo(&call, ", %s", dbops_quote_text(dbops_jsonb_text(spec, "where_clause")));
	if (dbops_jsonb_integer(spec, "batch_size") != 10000)
		add(&call, "batch_size", psprintf(INT64_FORMAT, dbops_jsonb_integer(spec, "batch_size")));
	if (dbops_jsonb_integer(spec, "pause") > 0)
		add(&call, "pause", psprintf("'" INT64_FORMAT " ms'", dbops_jsonb_integer(spec, "pause")));
	if (!keyset && !dbops_jsonb_boolean(spec, "verify"))
		add(&call, "verify", "false");
	if (dbops_jsonb_integer(spec, "workers") > 1)
		add(&call, "workers", psprintf(INT64_FORMAT, dbops_jsonb_integer(spec, "workers")));
	if (keyset)
		add(&call, "method", "'keyset'");
	if (dbops_jsonb_boolean(spec, "sync"))
		add(&call, "sync", "true");
	if (dbops_jsonb_boolean(spec, "app_writes"))
		add(&call, "app_writes", "true");
	if (dbops_jsonb_boolean(spec, "quarantine"))
		add(&call, "on_error", "'quarantine'");
	if (dbops_jsonb_decimal(spec, "vacuum_every") > 0)
		add(&call, "vacuum_every", psprintf("%g", dbops_jsonb_decimal(spec, "vacuum_every")));
	if (dbops_jsonb_integer(spec, "max_wal_per_s") > 0)
		add(&call, "max_wal_per_s", psprintf(INT64_FORMAT, dbops_jsonb_integer(spec, "max_wal_per_s")));
	appendStringInfoString(&call, ");");
	return call.data;
}

/* apply_migration with what the ledger has, or rollback_migration. NULL: the ledger has no text. */
char *
dbops_unfinished_migration_call(const Jsonb *spec)
{
	const Migration *migration = dbops_migration_load(dbops_jsonb_text(spec, "project"), dbops_jsonb_text(spec, "version"));
	bool		up = strcmp(dbops_jsonb_text(spec, "direction"), "up") == 0;
	StringInfoData call;

	if (migration == NULL || migration->up_sql == NULL)
		return NULL;
	initStringInfo(&call);
	appendStringInfo(&call, "SELECT * FROM dbops.%s(%s", up ? "apply_migration" : "rollback_migration",
					 dbops_quote_text(migration->version));
	if (up)
	{
		appendStringInfo(&call, ", %s", dbops_quote_text(migration->up_sql));
		add_text(&call, "down_sql", migration->down_sql);
		add_text(&call, "name", migration->name);
		add_texts(&call, "requires", migration->requires);
		add_texts(&call, "environments", migration->environments);
		if (migration->repeatable)
			add(&call, "repeatable", "true");
		add_text(&call, "verify_sql", migration->verify_sql);
	}
	if (strcmp(migration->project, "default") != 0)
		add_text(&call, "project", migration->project);
	appendStringInfoString(&call, ");");
	return call.data;
}

static void
add(StringInfo call, const char *name, const char *value)
{
	appendStringInfo(call, ", %s => %s", name, value);
}

static void
add_text(StringInfo call, const char *name, const char *text)
{
	if (text != NULL)
		add(call, name, dbops_quote_text(text));
}

static void
add_texts(StringInfo call, const char *name, const List *texts)
{
	StringInfoData array;
	ListCell   *cell;

	if (texts == NIL)
		return;
	initStringInfo(&array);
	foreach(cell, texts)
		appendStringInfo(&array, "%s%s", cell == list_head(texts) ? "" : ", ", dbops_quote_text(lfirst(cell)));
	add(call, name, psprintf("ARRAY[%s]", array.data));
}
