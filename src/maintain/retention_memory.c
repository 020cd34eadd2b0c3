/*
 * retention_memory.c
 *		What a retention policy remembers from one run to the next.
 */
#include "maintain/retention.h"

#include <math.h>

static int64 position(const Jsonb *memory, const char *key);
static List *along(const Jsonb *memory, const char *key);
static void put_along(DbopsJson *json, const char *key, const List *along);
static void put_position(DbopsJson *json, const char *key, int64 position);

/* Read it; a policy that has not run yet remembers nothing. */
RetentionMemory *
dbops_retention_memory(const Jsonb *memory)
{
	RetentionMemory *read = palloc0(sizeof(RetentionMemory));
	int64	   *left;
	int			n = dbops_jsonb_integers(memory, "left", &left);

	read->allowed = dbops_cutoff_read(memory);
	read->confirmed = position(memory, "confirmed");
	read->confirmed_rows = dbops_jsonb_decimal(memory, "confirmed_rows");
	read->confirmed_along = along(memory, "confirmed_along");
	read->shown = position(memory, "shown");
	read->shown_rows = dbops_jsonb_decimal(memory, "shown_rows");
	read->shown_along = along(memory, "shown_along");
	read->oldest = position(memory, "oldest");
	read->backlog_rows = dbops_jsonb_decimal(memory, "backlog_rows");
	read->backlog_bytes = dbops_jsonb_decimal(memory, "backlog_bytes");
	read->rate = dbops_jsonb_decimal(memory, "rate");
	read->last_run = dbops_jsonb_integer(memory, "last_run");
	read->last_success = dbops_jsonb_integer(memory, "last_success");
	read->stopped = dbops_jsonb_text(memory, "stopped");
	read->settled = dbops_jsonb_integer(memory, "settled");
	for (int i = Max(n - RETENTION_BACKLOGS, 0); i < n; i++)
		read->left[read->n_left++] = left[i];
	return read;
}

static int64
position(const Jsonb *memory, const char *key)
{
	int64		value = dbops_jsonb_integer(memory, key);

	return value == 0 ? RETENTION_NONE : value;
}

/* Pairs of a table and a number of rows. */
static List *
along(const Jsonb *memory, const char *key)
{
	List	   *read = NIL;
	int64	   *pairs;
	int			n = dbops_jsonb_integers(memory, key, &pairs);

	for (int i = 0; i + 1 < n; i += 2)
	{
		RetentionAlong *one = palloc(sizeof(RetentionAlong));

		one->table = (Oid) pairs[i];
		one->rows = pairs[i + 1];
		read = lappend(read, one);
	}
	return read;
}

Jsonb *
dbops_retention_memory_put(const RetentionMemory *memory)
{
	DbopsJson	json = {0};

	dbops_json_object(&json, NULL);
	dbops_cutoff_put(&json, &memory->allowed);
	put_position(&json, "confirmed", memory->confirmed);
	dbops_json_decimal(&json, "confirmed_rows", memory->confirmed_rows);
	put_along(&json, "confirmed_along", memory->confirmed_along);
	put_position(&json, "shown", memory->shown);
	dbops_json_decimal(&json, "shown_rows", memory->shown_rows);
	put_along(&json, "shown_along", memory->shown_along);
	put_position(&json, "oldest", memory->oldest);
	dbops_json_decimal(&json, "backlog_rows", memory->backlog_rows);
	dbops_json_decimal(&json, "backlog_bytes", memory->backlog_bytes);
	dbops_json_decimal(&json, "rate", memory->rate);
	dbops_json_integer(&json, "last_run", memory->last_run);
	dbops_json_integer(&json, "last_success", memory->last_success);
	dbops_json_text(&json, "stopped", memory->stopped);
	dbops_json_integer(&json, "settled", memory->settled);
	dbops_json_array(&json, "left");
	for (int i = 0; i < memory->n_left; i++)
		dbops_json_integer(&json, NULL, memory->left[i]);
	dbops_json_array_end(&json);
	return dbops_json_finish(&json);
}

static void
put_position(DbopsJson *json, const char *key, int64 position)
{
	if (position != RETENTION_NONE)
		dbops_json_integer(json, key, position);
}

static void
put_along(DbopsJson *json, const char *key, const List *along)
{
	ListCell   *cell;

	if (along == NIL)
		return;
	dbops_json_array(json, key);
	foreach(cell, along)
	{
		const RetentionAlong *one = lfirst(cell);

		dbops_json_integer(json, NULL, one->table);
		dbops_json_integer(json, NULL, (int64) ceil(one->rows));
	}
	dbops_json_array_end(json);
}

/* Remember that a run with this cutoff is allowed, and when that was. It confirms nothing. */
void
dbops_retention_allow(RetentionMemory *memory, int64 cutoff)
{
	memory->allowed = dbops_cutoff_mark(cutoff);
	dbops_retention_forget_shown(memory);
}

/* What was refused is asked for anew, or not any more. */
void
dbops_retention_forget_shown(RetentionMemory *memory)
{
	if (memory->shown != RETENTION_NONE)
		memory->stopped = NULL;
	memory->shown = RETENTION_NONE;
}

/* Somebody has confirmed: as many rows as were shown, or as would be shown now. */
void
dbops_retention_confirm(RetentionMemory *memory, const RetentionSpec *spec, int64 cutoff)
{
	RetentionEstimate estimate = {.oldest = RETENTION_NONE,.exact = true};

	if (memory->shown != RETENTION_NONE)
	{
		memory->confirmed = Min(memory->shown, cutoff);
		memory->confirmed_rows = memory->shown_rows;
		memory->confirmed_along = memory->shown_along;
	}
	else
	{
		dbops_retention_estimate_all(spec, cutoff, RETENTION_NONE, &estimate);
		memory->confirmed = cutoff;
		memory->confirmed_rows = dbops_retention_countable(spec, &estimate);
		dbops_retention_remember_along(&memory->confirmed_along, dbops_retention_cascades(spec, cutoff));
	}
	dbops_retention_allow(memory, memory->confirmed);
}
