/*
 * retention_along.c
 *		Lock the rows that would go along with others, or change with them.
 *
 * When rows are gone, the server deletes or changes those that refer to them as
 * it finds them then. Whether a hold is on one of these was seen before that, by
 * the statement that deletes; meanwhile it may have been changed. A row may also
 * have come that does not go along, as it has a policy of its own. So where there
 * may be such rows all of these are locked first, and then the statement that
 * deletes sees them as they stay.
 *
 * It is done as the server would do it: level by level, row by row, by the same
 * comparison, and with the rights of the owner of the table that refers. So the
 * policy's owner needs no right to change these rows, and nothing is refused for
 * want of one: it is by the foreign key that they would go. What is waited for
 * counts as the batch's other waits for locks.
 *
 * Nobody can begin to refer to a row that is locked. Where tables refer to each
 * other in a circle, any row that refers keeps its row, so that there is nothing
 * to be followed.
 */
#include "maintain/retention.h"

#include "access/htup_details.h"
#include "catalog/pg_class.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "nodes/parsenodes.h"
#include "utils/datum.h"
#include "utils/lsyscache.h"

/* The keys of a row, of all references of its level. */
typedef struct Keys
{
	Datum	   *values;
	bool	   *nulls;
} Keys;

/* Rows of a table that are locked. */
typedef struct Level
{
	Oid			relid;
	List	   *path;			/* OIDs of the tables from the first to this one */
	List	   *references;		/* of RetentionReference *, to be followed from here */
	List	   *rows;			/* of Keys * */
	Oid		   *types;			/* of the keys; NULL: no row was found yet */
} Level;

/* One reference on its way through the callbacks. */
typedef struct Following
{
	const RetentionReference *reference;
	bool		wait;
	const Oid  *types;			/* of its keys */
	const Datum *keys;
	DbopsStatement *statement;	/* NULL: not prepared yet */
	Level	   *next;
} Following;

/* What is to be locked for. */
typedef struct Along
{
	const RetentionLeaf *leaf;
	Datum		places;
	bool		wait;			/* for rows that others have locked */
} Along;

static void lock_along(void *arg);
static Level *make_level(Oid relid, List *path);
static bool is_followed(const RetentionReference *reference, const List *path);
static void read_keys(const Along *along, Level *level);
static void take_plan(struct PlannedStmt *plan, void *arg);
static const char *keys_of(const Level *level);
static void take_keys(HeapTuple row, TupleDesc desc, void *arg);
static List *lock_referring(const Level *level, bool wait);
static List *begin_following(const Level *level, bool wait);
static bool has_null(const Keys *keys, int from, int count);
static void lock_as_owner(void *arg);

/*
 * Could a row that refers to one of this table keep it, though the server would
 * delete or change it too? first: the table whose rows are to be deleted.
 */
bool
dbops_retention_must_lock(Oid relid, Oid first)
{
	List	   *tables = list_make1_oid(relid);

	for (int i = 0; i < list_length(tables); i++)
	{
		ListCell   *cell;

		foreach(cell, dbops_retention_references(list_nth_oid(tables, i)))
		{
			const RetentionReference *reference = lfirst(cell);

			if (!REFERENCE_GOES_ALONG(reference))
				continue;
			if (dbops_hold_on_rows(reference->table) || dbops_retention_keeps_cascaded(reference, first))
				return true;
			if (reference->on_delete == FKCONSTR_ACTION_CASCADE)
				tables = list_append_unique_oid(tables, reference->table);
		}
	}
	return false;
}

/*
 * Lock all that the server would take along, or change, when the rows at these
 * places go, which are locked. Where others have locked any it fails: after a
 * wait, or at once.
 */
void
dbops_retention_lock_along(const RetentionLeaf *leaf, Datum places, bool wait)
{
	Along		along = {.leaf = leaf,.places = places,.wait = wait};

	dbops_query_inside(lock_along, &along);
}

static void
lock_along(void *arg)
{
	const Along *along = arg;
	Level	   *first = make_level(along->leaf->relid, NIL);
	List	   *levels = list_make1(first);

	if (first->references != NIL)
		read_keys(along, first);
	for (int i = 0; i < list_length(levels); i++)
		levels = list_concat(levels, lock_referring(list_nth(levels, i), along->wait));
}

static Level *
make_level(Oid relid, List *path)
{
	Level	   *level = palloc0(sizeof(Level));
	ListCell   *cell;

	level->relid = relid;
	level->path = lappend_oid(list_copy(path), relid);
	foreach(cell, dbops_retention_references(relid))
		if (is_followed(lfirst(cell), level->path))
			level->references = lappend(level->references, lfirst(cell));
	return level;
}

/* Does it lead to rows that may be held, or that may get others which do not go along? */
static bool
is_followed(const RetentionReference *reference, const List *path)
{
	if (!REFERENCE_GOES_ALONG(reference) || list_member_oid(path, reference->table) ||
		dbops_retention_keeps_cascaded(reference, linitial_oid(path)))
		return false;
	return dbops_hold_on_rows(reference->table) ||
		(reference->on_delete == FKCONSTR_ACTION_CASCADE && dbops_retention_must_lock(reference->table, linitial_oid(path)));
}

/* The keys of the rows that are to be deleted, in their order. */
static void
read_keys(const Along *along, Level *level)
{
	Oid			types[] = {TIDARRAYOID};
	DbopsScan	scan = {.relid = along->leaf->relid,.rows = 1000};
	DbopsStatement *statement = dbops_statement_prepare(psprintf("SELECT %s FROM ONLY %s AS " RETENTION_ROW
																 " WHERE " RETENTION_ROW ".ctid OPERATOR(pg_catalog.=) ANY ($1)",
																 keys_of(level), along->leaf->name),
														lengthof(types), types);

	dbops_scan_inspect(statement, &scan, take_plan, NULL);
	dbops_statement_run(statement, &along->places, false, take_keys, level);
	dbops_statement_free(statement);
}

static void
take_plan(struct PlannedStmt *plan, void *arg)
{
}

/* Those of each reference, one after the other. */
static const char *
keys_of(const Level *level)
{
	StringInfoData text;
	ListCell   *cell;

	initStringInfo(&text);
	foreach(cell, level->references)
		appendStringInfo(&text, "%s%s", text.len > 0 ? ", " : "", ((RetentionReference *) lfirst(cell))->keys);
	return text.data;
}

static void
take_keys(HeapTuple row, TupleDesc desc, void *arg)
{
	Level	   *level = arg;
	Keys	   *keys;

	if (level->references == NIL)
		return;
	keys = palloc(sizeof(Keys));
	keys->values = palloc(sizeof(Datum) * desc->natts);
	keys->nulls = palloc(sizeof(bool) * desc->natts);
	if (level->types == NULL)
		level->types = palloc(sizeof(Oid) * desc->natts);
	heap_deform_tuple(row, desc, keys->values, keys->nulls);
	for (int i = 0; i < desc->natts; i++)
	{
		level->types[i] = TupleDescAttr(desc, i)->atttypid;
		if (!keys->nulls[i])
			keys->values[i] = datumCopy(keys->values[i], TupleDescAttr(desc, i)->attbyval, TupleDescAttr(desc, i)->attlen);
	}
	level->rows = lappend(level->rows, keys);
}

/* Lock the rows that refer to those of a level; returns the levels that these are, of Level *. */
static List *
lock_referring(const Level *level, bool wait)
{
	List	   *followings = (level->rows != NIL) ? begin_following(level, wait) : NIL;
	List	   *next = NIL;
	ListCell   *row;
	ListCell   *cell;

	foreach(row, level->rows)
	{
		const Keys *keys = lfirst(row);
		int			at = 0;

		foreach(cell, followings)
		{
			Following  *following = lfirst(cell);
			int			count = following->reference->n_keys;

			following->keys = keys->values + at;
			if (!has_null(keys, at, count))
				dbops_run_as(dbops_relation_owner(following->reference->table), lock_as_owner, following);
			at += count;
		}
	}
	foreach(cell, followings)
	{
		Following  *following = lfirst(cell);

		next = lappend(next, following->next);
		if (following->statement != NULL)
			dbops_statement_free(following->statement);
	}
	return next;
}

static List *
begin_following(const Level *level, bool wait)
{
	List	   *followings = NIL;
	int			at = 0;
	ListCell   *cell;

	foreach(cell, level->references)
	{
		Following  *following = palloc0(sizeof(Following));

		following->reference = lfirst(cell);
		following->wait = wait;
		following->types = level->types + at;
		following->next = make_level(following->reference->table, level->path);
		followings = lappend(followings, following);
		at += following->reference->n_keys;
	}
	return followings;
}

/* Nothing refers to a key that has a null. */
static bool
has_null(const Keys *keys, int from, int count)
{
	for (int i = from; i < from + count; i++)
		if (keys->nulls[i])
			return true;
	return false;
}

static void
lock_as_owner(void *arg)
{
	Following  *following = arg;
	const RetentionReference *reference = following->reference;

	if (following->statement == NULL)
		following->statement =
			dbops_statement_prepare(psprintf("SELECT %s FROM %s%s AS " RETENTION_ROW " WHERE %s FOR UPDATE OF " RETENTION_ROW "%s",
											 keys_of(following->next),
											 get_rel_relkind(reference->table) == RELKIND_RELATION ? "ONLY " : "",
											 dbops_quote_relation(reference->table), reference->match,
											 following->wait ? "" : " NOWAIT"),
									reference->n_keys, following->types);
	dbops_statement_run(following->statement, following->keys, false, take_keys, following->next);
}
