/*
 * retention_sql.c
 *		Statements about old rows.
 *
 * A row is deleted if it is old and nothing keeps it: the filter, a hold on it
 * or on a row that would go with it, or a row that refers to it and may not be
 * without it. Rows of the same table, and of one with a policy of its own, do not
 * go with others, whatever the foreign key says: each goes when it is old itself,
 * and is archived. What keeps a row is asked in the statement that deletes it.
 *
 * Infinite times and nulls are not old.
 */
#include "maintain/retention.h"

#include "catalog/pg_inherits.h"
#include "catalog/pg_type.h"
#include "nodes/parsenodes.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"

/* What is being written. */
typedef struct Writing
{
	StringInfo	text;
	List	   *path;			/* OIDs of tables from the first to the one that is looked at */
	int			names;			/* that were given to rows */
	Oid			role;			/* with whose rights it runs */
} Writing;

static void add_holds(StringInfo text, List *conditions, const char *row);
static void add_holds_below(StringInfo text, Oid relid, Oid role, const char *row);
static char *is_elsewhere(Oid partition, const char *row);
static void add_kept(Writing *writing, Oid relid, const char *row);
static void add_foreign(Writing *writing, const RetentionReference *reference);
static void add_reference_to_partition(Writing *writing, const RetentionReference *reference, const char *row);
static void add_reference(Writing *writing, const RetentionReference *reference, const char *row);
static bool keeps_rows(const RetentionReference *reference);
static char *in_row(const char *condition, const char *row);
static char *range_condition(const RetentionSpec *spec, RetentionRange range);
static char *archiving(const char *delete, const char *columns, const char *archive, bool override);

/* The rows that are meant, of those that are before the cutoff. */
char *
dbops_retention_meant(const RetentionSpec *spec)
{
	StringInfoData text;

	initStringInfo(&text);
	if (spec->clock.unit == 0)
		appendStringInfo(&text, RETENTION_ROW ".%s OPERATOR(pg_catalog.>) '-infinity'::%s",
						 quote_identifier(spec->column), format_type_be(spec->clock.type));
	else
		appendStringInfoString(&text, "true");
	if (spec->condition != NULL)
		appendStringInfo(&text, " AND (%s)", spec->condition);
	return text.data;
}

/* Of those, the rows that nothing keeps. */
char *
dbops_retention_expired(const RetentionSpec *spec, Oid relid, Oid beside)
{
	StringInfoData text;
	Writing		writing = {.text = &text,.role = spec->owner};

	initStringInfo(&text);
	appendStringInfoString(&text, dbops_retention_meant(spec));
	add_holds(&text, dbops_hold_conditions(relid, beside, spec->owner), RETENTION_ROW);
	add_kept(&writing, relid, RETENTION_ROW);
	return text.data;
}

/* Rows for which a hold's predicate is true stay; where it is null they do not. */
static void
add_holds(StringInfo text, List *conditions, const char *row)
{
	ListCell   *cell;

	foreach(cell, conditions)
		appendStringInfo(text, " AND (%s) IS NOT TRUE", in_row(lfirst(cell), row));
}

/* A hold on a partition is on those rows only that are in it. */
static void
add_holds_below(StringInfo text, Oid relid, Oid role, const char *row)
{
	ListCell   *cell;

	foreach(cell, dbops_hold_partitions(relid))
	{
		appendStringInfo(text, " AND (%s OR true", is_elsewhere(lfirst_oid(cell), row));
		add_holds(text, dbops_hold_conditions_alone(lfirst_oid(cell), role), row);
		appendStringInfoChar(text, ')');
	}
}

/* The row is in none of the tables that a partition consists of. */
static char *
is_elsewhere(Oid partition, const char *row)
{
	StringInfoData text;
	ListCell   *cell;

	initStringInfo(&text);
	foreach(cell, find_all_inheritors(partition, NoLock, NULL))
		appendStringInfo(&text, "%s%u", text.len > 0 ? "," : "", lfirst_oid(cell));
	return psprintf("%s.tableoid OPERATOR(pg_catalog.<>) ALL ('{%s}'::pg_catalog.oid[])", row, text.data);
}

/* A condition with the row under another name: of a subselect, where only that name is seen. */
static char *
in_row(const char *condition, const char *row)
{
	if (strcmp(row, RETENTION_ROW) == 0)
		return pstrdup(condition);
	return psprintf("SELECT %s FROM (SELECT %s.*) AS " RETENTION_ROW, condition, row);
}

/* Nothing that refers to the row must stay. */
static void
add_kept(Writing *writing, Oid relid, const char *row)
{
	ListCell   *cell;

	writing->path = lappend_oid(writing->path, relid);
	foreach(cell, dbops_retention_references(relid))
	{
		const RetentionReference *reference = lfirst(cell);

		if (dbops_retention_is_foreign(reference, writing->role))
		{
			add_foreign(writing, reference);
			continue;
		}
		if (!keeps_rows(reference))
			continue;
		if (reference->referred == relid)
			add_reference(writing, reference, row);
		else
			add_reference_to_partition(writing, reference, row);
	}
	writing->path = list_delete_last(writing->path);
}

/*
 * A table of another role is not named here (retention_foreign.c). If it refers
 * to a row that goes along, and could keep it but by what the server refuses
 * itself, that row does not go along.
 */
static void
add_foreign(Writing *writing, const RetentionReference *reference)
{
	if (list_length(writing->path) > 1 && REFERENCE_GOES_ALONG(reference) &&
		dbops_retention_foreign_keeps(reference, linitial_oid(writing->path)))
		appendStringInfoString(writing->text, " AND false");
}

/* Nothing that refers to the row must stay, if the row is in the partition that is referred to. */
static void
add_reference_to_partition(Writing *writing, const RetentionReference *reference, const char *row)
{
	StringInfo	text = writing->text;
	StringInfoData kept;

	initStringInfo(&kept);
	writing->text = &kept;
	add_reference(writing, reference, row);
	writing->text = text;
	if (kept.len > 0)
		appendStringInfo(text, " AND (%s OR true%s)", is_elsewhere(reference->referred, row), kept.data);
}

/*
 * Can a row that refers keep the one that it refers to? One that would go with
 * it does if it is held, or kept by others; one that would only lose its
 * reference does if it is held.
 */
static bool
keeps_rows(const RetentionReference *reference)
{
	if (!REFERENCE_GOES_ALONG(reference) || reference->on_delete == FKCONSTR_ACTION_CASCADE)
		return true;
	return dbops_hold_on_rows(reference->table);
}

/*
 * Where tables refer to each other in a circle, any row that refers keeps its
 * row, if there are holds. A row that refers to itself, or to one that goes along
 * with it, does not keep itself.
 */
static void
add_reference(Writing *writing, const RetentionReference *reference, const char *row)
{
	char	   *other = psprintf("row%d", ++writing->names);
	Oid			first = linitial_oid(writing->path);
	bool		goes_too = (reference->on_delete == FKCONSTR_ACTION_CASCADE);
	bool		stays = dbops_retention_keeps_cascaded(reference, first);
	bool		circle = list_member_oid(writing->path, reference->table);
	bool		only = (get_rel_relkind(reference->table) == RELKIND_RELATION);
	StringInfoData kept;
	Writing		inner = {.text = &kept,.path = writing->path,.names = writing->names,.role = writing->role};

	initStringInfo(&kept);
	if (goes_too && circle && !stays && !dbops_hold_on_rows(reference->table) && !dbops_retention_must_lock(reference->table, first))
		return;
	if (!circle && !stays && REFERENCE_GOES_ALONG(reference))
	{
		add_holds(&kept, dbops_hold_conditions(reference->table, InvalidOid, writing->role), other);
		add_holds_below(&kept, reference->table, writing->role, other);
		if (goes_too)
			add_kept(&inner, reference->table, other);
		writing->names = inner.names;
		if (kept.len == 0)
			return;				/* nothing can keep those rows */
	}
	appendStringInfo(writing->text, " AND NOT EXISTS (SELECT FROM %s%s AS %s WHERE %s", only ? "ONLY " : "",
					 dbops_quote_relation(reference->table), other,
					 dbops_retention_reference_join(reference, row, other));
	if (dbops_retention_is_same_tree(reference->table, first))
		appendStringInfo(writing->text, " AND (%s.ctid OPERATOR(pg_catalog.<>) " RETENTION_ROW ".ctid"
						 " OR %s.tableoid OPERATOR(pg_catalog.<>) " RETENTION_ROW ".tableoid)", other, other);
	if (kept.len > 0)
		appendStringInfo(writing->text, " AND NOT (true%s)", kept.data);
	appendStringInfoString(writing->text, ")");
}

/* The statement that deletes the rows of a range, and archives them. */
char *
dbops_retention_delete(const RetentionSpec *spec, const RetentionLeaf *leaf, const char *expired,
					   RetentionRange range)
{
	char	   *delete = psprintf("DELETE FROM ONLY %s AS " RETENTION_ROW " WHERE %s AND %s", leaf->name,
								  range_condition(spec, range), expired);
	char	   *columns;
	Oid			archive;
	bool		override;

	if (spec->archive == NULL)
		return delete;
	columns = dbops_retention_archive_columns(spec, leaf->relid, &archive, &override);
	return archiving(delete, columns, dbops_quote_relation(archive), override);
}

/* The statement that locks the rows of a range, and says where they are. */
char *
dbops_retention_lock(const RetentionSpec *spec, const RetentionLeaf *leaf, const char *expired,
					 RetentionRange range, bool skip_locked)
{
	return psprintf("SELECT " RETENTION_ROW ".ctid FROM ONLY %s AS " RETENTION_ROW " WHERE %s AND %s FOR UPDATE OF " RETENTION_ROW "%s",
					leaf->name, range_condition(spec, range), expired, skip_locked ? " SKIP LOCKED" : "");
}

static char *
range_condition(const RetentionSpec *spec, RetentionRange range)
{
	const char *column = psprintf(RETENTION_ROW ".%s", quote_identifier(spec->column));

	switch (range)
	{
		case RANGE_KEYS:
			return psprintf("%s OPERATOR(pg_catalog.>=) $1 AND %s OPERATOR(pg_catalog.<) $2", column, column);
		case RANGE_BLOCKS:
			return psprintf(RETENTION_ROW ".ctid OPERATOR(pg_catalog.>=) $1 AND " RETENTION_ROW ".ctid OPERATOR(pg_catalog.<) $2"
							" AND %s OPERATOR(pg_catalog.<) $3", column);
		case RANGE_PLACES:
			return psprintf(RETENTION_ROW ".ctid OPERATOR(pg_catalog.=) ANY ($1) AND %s OPERATOR(pg_catalog.<) $2", column);
	}
	return NULL;				/* keep compiler quiet */
}

/* Have what is deleted inserted by the same statement; it says how many rows each was. */
static char *
archiving(const char *delete, const char *columns, const char *archive, bool override)
{
	return psprintf("WITH gone AS (%s RETURNING %s),"
					" kept AS (INSERT INTO %s (%s)%s SELECT %s FROM gone RETURNING 1)"
					" SELECT (SELECT pg_catalog.count(*) FROM gone), (SELECT pg_catalog.count(*) FROM kept)",
					delete, columns, archive, columns, override ? " OVERRIDING SYSTEM VALUE" : "", columns);
}
