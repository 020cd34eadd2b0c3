/*
 * retention_cascade.c
 *		How many rows of other tables would go along with old ones.
 *
 * A few old rows may take most of another table along, so that their own number
 * says nothing about it. Blocks are drawn from all over that table, and for each
 * row it is asked whether the one that it refers to is old and goes: that is
 * found by the key that is referred to, whatever else there is.
 *
 * It is seen with the rights of the policy's owner. What is another role's, or
 * hidden, is not known, and is not counted.
 */
#include "maintain/retention.h"

#include <math.h>

#include "access/relation.h"
#include "catalog/pg_class.h"
#include "catalog/pg_inherits.h"
#include "catalog/pg_type.h"
#include "core/server.h"
#include "nodes/parsenodes.h"
#include "storage/bufmgr.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/rls.h"
#include "utils/snapmgr.h"

#define SAMPLE_TIME		1000	/* ms for all tables, of each of which some rows are looked at in any case */

/* Tables are being found. */
typedef struct Finding
{
	const RetentionSpec *spec;
	int64		cutoff;
	List	   *path;			/* OIDs of tables from the first to the one that is referred to */
	List	   *found;			/* of RetentionCascade * */
} Finding;

/* A table that holds rows, on its way through the sampling. */
typedef struct Part
{
	const char *name;
	int64		begins;			/* its first block, of those of all parts */
	int64		blocks;
	DbopsStatement *statement;	/* NULL: not prepared yet */
} Part;

/* A look at a table. */
typedef struct Look
{
	const RetentionSpec *spec;
	RetentionCascade *cascade;
	int64		cutoff;
	TimestampTz end;
	List	   *parts;			/* of Part * */
	int64		blocks;
	int64		seen;			/* blocks */
} Look;

static void find(Finding *finding, Oid relid, const char *gone);
static const char *goes(const Finding *finding, const RetentionReference *reference, const char *gone);
static const char *old_rows(const Finding *finding, Oid relid);
static RetentionCascade *add(Finding *finding, const RetentionReference *reference, const char *condition);
static bool may_read(Oid relid, Oid role);
static void measure(const RetentionSpec *spec, RetentionCascade *cascade, int64 cutoff, TimestampTz end);
static void add_part(Look *look, Oid relid);
static void look(void *arg);
static void look_as_owner(void *arg);
static void count_blocks(void *arg, int64 from, int64 to);
static void count_part(Look *look, Part *part, int64 from, int64 to);
static void take_counts(HeapTuple row, TupleDesc desc, void *arg);
static double confirmed(const List *along, Oid table);

/* The tables whose rows would go along with those that are old, and how many would, of RetentionCascade *. */
List *
dbops_retention_cascades(const RetentionSpec *spec, int64 cutoff)
{
	Finding		finding = {.spec = spec,.cutoff = cutoff};
	TimestampTz end = TimestampTzPlusMilliseconds(GetCurrentTimestamp(), SAMPLE_TIME);
	ListCell   *cell;

	if (dbops_retention_unindexed(spec->relid) != NULL)
		return NIL;				/* no run begins there */
	find(&finding, spec->relid, NULL);
	foreach(cell, finding.found)
		measure(spec, lfirst(cell), cutoff, end);
	return finding.found;
}

/* Add the tables whose rows refer to those that are gone; gone: the condition of one of these, by the name RETENTION_ALONG; NULL: they are old. */
static void
find(Finding *finding, Oid relid, const char *gone)
{
	ListCell   *cell;

	finding->path = lappend_oid(finding->path, relid);
	foreach(cell, dbops_retention_references(relid))
	{
		const RetentionReference *reference = lfirst(cell);
		const char *condition;

		if (reference->on_delete != FKCONSTR_ACTION_CASCADE || list_member_oid(finding->path, reference->table) ||
			dbops_retention_keeps_cascaded(reference, finding->spec->relid))
			continue;
		condition = goes(finding, reference, gone);
		if (!add(finding, reference, condition)->hidden)
			find(finding, reference->table, condition);
	}
	finding->path = list_delete_last(finding->path);
}

/* The condition of a row that refers, by the name RETENTION_ALONG. */
static const char *
goes(const Finding *finding, const RetentionReference *reference, const char *gone)
{
	const char *only = (get_rel_relkind(reference->referred) == RELKIND_RELATION) ? "ONLY " : "";
	const char *table = dbops_quote_relation(reference->referred);

	if (gone == NULL)
		return psprintf("EXISTS (SELECT FROM %s%s AS " RETENTION_ROW " WHERE %s AND %s)", only, table,
						dbops_retention_reference_join(reference, RETENTION_ROW, RETENTION_ALONG),
						old_rows(finding, reference->referred));
	return psprintf("EXISTS (SELECT FROM (SELECT " RETENTION_ALONG ".*) AS dbops_refers CROSS JOIN LATERAL"
					" (SELECT FROM %s%s AS " RETENTION_ALONG " WHERE %s AND %s) AS dbops_referred)", only, table,
					dbops_retention_reference_join(reference, RETENTION_ALONG, "dbops_refers"), gone);
}

/* The condition of the rows that are old and go one by one. */
static const char *
old_rows(const Finding *finding, Oid relid)
{
	const RetentionSpec *spec = finding->spec;
	StringInfoData tables;
	ListCell   *cell;

	initStringInfo(&tables);
	foreach(cell, dbops_retention_tables(spec, finding->cutoff, false))
		appendStringInfo(&tables, "%s%u", tables.len > 0 ? "," : "", lfirst_oid(cell));
	return psprintf(RETENTION_ROW ".%s OPERATOR(pg_catalog.<) $3 AND " RETENTION_ROW ".tableoid OPERATOR(pg_catalog.=) ANY ('{%s}'::pg_catalog.oid[]) AND %s",
					quote_identifier(spec->column), tables.data, dbops_retention_expired(spec, relid, InvalidOid));
}

/* Rows of a table may go along by several foreign keys. */
static RetentionCascade *
add(Finding *finding, const RetentionReference *reference, const char *condition)
{
	RetentionCascade *cascade;
	ListCell   *cell;

	foreach(cell, finding->found)
	{
		cascade = lfirst(cell);
		if (cascade->table != reference->table)
			continue;
		cascade->condition = psprintf("%s OR %s", cascade->condition, condition);
		return cascade;
	}
	cascade = palloc0(sizeof(RetentionCascade));
	cascade->table = reference->table;
	cascade->name = dbops_quote_relation(reference->table);
	cascade->condition = condition;
	cascade->direct = (list_length(finding->path) == 1);
	cascade->hidden = !may_read(reference->table, finding->spec->owner);
	finding->found = lappend(finding->found, cascade);
	return cascade;
}

/* All rows of it, and of the tables that it consists of? Not of another role's: to plan that would run its functions. */
static bool
may_read(Oid relid, Oid role)
{
	ListCell   *cell;

	foreach(cell, find_all_inheritors(relid, NoLock, NULL))
		if (dbops_relation_owner(lfirst_oid(cell)) != role || pg_class_aclcheck(lfirst_oid(cell), role, ACL_SELECT) != ACLCHECK_OK ||
			check_enable_rls(lfirst_oid(cell), role, true) == RLS_ENABLED)
			return false;
	return true;
}

/* ---- how many ---- */

static void
measure(const RetentionSpec *spec, RetentionCascade *cascade, int64 cutoff, TimestampTz end)
{
	Look		at = {.spec = spec,.cascade = cascade,.cutoff = cutoff,.end = end};
	ListCell   *cell;

	if (cascade->hidden)
		return;
	if (get_rel_relkind(cascade->table) == RELKIND_RELATION)
		add_part(&at, cascade->table);
	else
		foreach(cell, find_all_inheritors(cascade->table, NoLock, NULL))
			if (get_rel_relkind(lfirst_oid(cell)) == RELKIND_RELATION)
				add_part(&at, lfirst_oid(cell));
	if (at.blocks > 0)
		dbops_query_inside(look, &at);
	cascade->exact = (at.seen >= at.blocks);
	cascade->rows *= at.blocks / Max((double) at.seen, 1);
	cascade->gone *= at.blocks / Max((double) at.seen, 1);
}

static void
add_part(Look *at, Oid relid)
{
	Relation	rel = try_relation_open(relid, AccessShareLock);
	Part	   *part;

	if (rel == NULL)
		return;
	part = palloc0(sizeof(Part));
	part->name = dbops_quote_relation(relid);
	part->begins = at->blocks;
	part->blocks = RelationGetNumberOfBlocks(rel);
	at->blocks += part->blocks;
	at->parts = lappend(at->parts, part);
	relation_close(rel, NoLock);
}

static void
look(void *arg)
{
	Look	   *at = arg;

	dbops_run_as(at->spec->owner, look_as_owner, at);
}

static void
look_as_owner(void *arg)
{
	Look	   *at = arg;
	ListCell   *cell;

	dbops_retention_pin_settings(at->spec);
	dbops_set_nested("plan_cache_mode", "force_generic_plan");
	dbops_set_nested("row_security", "off");
	PushActiveSnapshot(GetTransactionSnapshot());
	dbops_retention_sample(at->blocks, at->end, count_blocks, at);
	PopActiveSnapshot();
	foreach(cell, at->parts)
		if (((Part *) lfirst(cell))->statement != NULL)
			dbops_statement_free(((Part *) lfirst(cell))->statement);
}

/* Blocks of all parts, one after the other. */
static void
count_blocks(void *arg, int64 from, int64 to)
{
	Look	   *at = arg;
	ListCell   *cell;

	CHECK_FOR_INTERRUPTS();
	foreach(cell, at->parts)
	{
		Part	   *part = lfirst(cell);
		int64		first = Max(from - part->begins, 0);
		int64		last = Min(to - part->begins, part->blocks);

		if (first < last)
			count_part(at, part, first, last);
	}
	at->seen += to - from;
}

static void
count_part(Look *at, Part *part, int64 from, int64 to)
{
	Oid			types[] = {TIDOID, TIDOID, at->spec->clock.type};
	ItemPointerData bounds[2];
	Datum		values[3];

	if (part->statement == NULL)
		part->statement = dbops_statement_prepare(psprintf("SELECT pg_catalog.count(*), pg_catalog.count(*) FILTER (WHERE %s)"
														   " FROM ONLY %s AS " RETENTION_ALONG
														   " WHERE " RETENTION_ALONG ".ctid OPERATOR(pg_catalog.>=) $1"
														   " AND " RETENTION_ALONG ".ctid OPERATOR(pg_catalog.<) $2",
														   at->cascade->condition, part->name), lengthof(types), types);
	ItemPointerSet(&bounds[0], (BlockNumber) from, 0);
	ItemPointerSet(&bounds[1], (BlockNumber) to, 0);
	values[0] = PointerGetDatum(&bounds[0]);
	values[1] = PointerGetDatum(&bounds[1]);
	values[2] = dbops_partition_value(&at->spec->clock, at->cutoff);
	dbops_statement_run(part->statement, values, true, take_counts, at->cascade);
}

static void
take_counts(HeapTuple row, TupleDesc desc, void *arg)
{
	RetentionCascade *cascade = arg;

	cascade->rows += dbops_row_int8(row, desc, 1);
	cascade->gone += dbops_row_int8(row, desc, 2);
}

/* ---- what may go ---- */

/* Would more of another table go along than may at once, and nobody has confirmed? As a user reads it; NULL: no. */
const char *
dbops_retention_too_many_along(const RetentionMemory *memory, const List *cascades)
{
	ListCell   *cell;

	foreach(cell, cascades)
	{
		const RetentionCascade *cascade = lfirst(cell);
		double		unconfirmed = cascade->gone - confirmed(memory->confirmed_along, cascade->table);

		if (!cascade->hidden && unconfirmed * 100.0 > cascade->rows * dbops_max_retention_percent)
			return psprintf("%s%.0f of %.0f rows (%.0f %%) of table %s go along with them, which is more than dbops.max_retention_percent (%d) allows at once",
							cascade->exact ? "" : "about ", cascade->gone, cascade->rows,
							dbops_figure_percent(cascade->gone, cascade->rows), cascade->name, dbops_max_retention_percent);
	}
	return NULL;
}

static double
confirmed(const List *along, Oid table)
{
	ListCell   *cell;

	foreach(cell, along)
		if (((RetentionAlong *) lfirst(cell))->table == table)
			return ((RetentionAlong *) lfirst(cell))->rows;
	return 0;
}

/* Keep how many rows are shown to somebody. */
void
dbops_retention_remember_along(List **along, const List *cascades)
{
	ListCell   *cell;

	*along = NIL;
	foreach(cell, cascades)
	{
		const RetentionCascade *cascade = lfirst(cell);
		RetentionAlong *one = palloc(sizeof(RetentionAlong));

		one->table = cascade->table;
		one->rows = cascade->gone * (cascade->exact ? 1 : 1 + RETENTION_SAMPLE_ERROR);
		*along = lappend(*along, one);
	}
}

/* Of what was confirmed, what has gone already does not count again. */
void
dbops_retention_limit_along(List *along, const List *cascades)
{
	ListCell   *confirmed_cell;
	ListCell   *cell;

	foreach(confirmed_cell, along)
	{
		RetentionAlong *one = lfirst(confirmed_cell);
		double		gone = 0;

		foreach(cell, cascades)
			if (((RetentionCascade *) lfirst(cell))->table == one->table)
				gone = ((RetentionCascade *) lfirst(cell))->gone * (1 + RETENTION_SAMPLE_ERROR);
		one->rows = Min(one->rows, gone);
	}
}
