/*
 * twin_clone.c
 *		Indexes and constraints that name a column, for the column that is to take
 *		its place.
 *
 * Their copies have names of their own while both are there; the finish gives
 * them those of the originals. What the copies say is taken from the catalog, with
 * the new column in the place of the old one; everything else is as it was. Those
 * of partitions are copied one by one, and put together as the originals are.
 */
#include "change/twin.h"

#include "catalog/pg_class.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"

/* What is looked for, and what comes of it. */
typedef struct CloneLook
{
	const TwinColumn *column;
	const char *twin;			/* quoted */
	List	   *clones;
} CloneLook;

static List *look_up(const TwinColumn *column, const char *twin);
static List *look(const TwinColumn *column, const char *twin, const char *sql, DbopsRowCallback take);
static void take_check(HeapTuple row, TupleDesc desc, void *arg);
static void take_foreign_key(HeapTuple row, TupleDesc desc, void *arg);
static const char *foreign_key_refusal(const TwinClone *clone, HeapTuple row, TupleDesc desc);
static char *columns_in_parentheses(const CloneLook *look, List *names, bool replaced);
static void put_together(TwinClone *clone, List *clones);
static char *part_of(const TwinClone *clone);

/* Copies of all of them (TwinClone *), those of a table before those of its partitions, of each the indexes first; looked up once. */
List *
dbops_twin_clones(const TwinColumn *column, const char *twin)
{
	TwinColumn *keeper = unconstify(TwinColumn *, column);

	if (column->clones_for == NULL || strcmp(column->clones_for, twin) != 0)
	{
		keeper->clones = look_up(column, twin);
		keeper->clones_for = twin;
	}
	return column->clones;
}

static List *
look_up(const TwinColumn *column, const char *twin)
{
	List	   *clones = NIL;
	ListCell   *cell;

	foreach(cell, dbops_twin_columns(column))
	{
		const TwinColumn *each = lfirst(cell);

		clones = list_concat(clones, dbops_twin_index_clones(each, twin));
		clones = list_concat(clones,
							 look(each, twin,
								  "SELECT conname::text, pg_get_expr(conbin, conrelid), connoinherit, convalidated, coninhcount > 0,"
								  " to_jsonb(k) ->> 'conenforced' = 'false',"
								  " '; COMMENT ON CONSTRAINT ' || quote_ident(conname) || ' ON ' || $3 || ' IS ' || quote_literal(obj_description(k.oid, 'pg_constraint')), k.oid"
								  " FROM pg_constraint k WHERE conrelid = $1 AND contype = 'c' AND $2 = ANY (conkey) ORDER BY conname",
								  take_check));
		clones = list_concat(clones,
							 look(each, twin,
								  "SELECT k.conname::text, pg_get_constraintdef(k.oid), k.convalidated,"
								  " (SELECT array_agg(a.attname::text ORDER BY u.n) FROM unnest(k.conkey) WITH ORDINALITY u (attnum, n)"
								  " JOIN pg_attribute a ON a.attrelid = k.conrelid AND a.attnum = u.attnum), coalesce($2 = ANY (k.confdelsetcols), false),"
								  " (SELECT a.atttypid FROM pg_attribute a WHERE a.attrelid = k.confrelid AND a.attnum = k.confkey[array_position(k.conkey, $2::int2)]),"
								  " k.oid, k.conparentid, to_jsonb(k) ->> 'conenforced' = 'false', to_jsonb(k) ->> 'conperiod' = 'true',"
								  " '; COMMENT ON CONSTRAINT ' || quote_ident(k.conname) || ' ON ' || $3 || ' IS ' || quote_literal(obj_description(k.oid, 'pg_constraint'))"
								  " FROM pg_constraint k LEFT JOIN pg_constraint w ON w.oid = k.conparentid"
								  " WHERE k.conrelid = $1 AND k.contype = 'f' AND $2 = ANY (k.conkey) AND w.conrelid IS DISTINCT FROM k.conrelid ORDER BY k.conname",
								  take_foreign_key));
	}
	foreach(cell, clones)
		put_together(lfirst(cell), clones);
	return clones;
}

static List *
look(const TwinColumn *column, const char *twin, const char *sql, DbopsRowCallback take)
{
	CloneLook	look = {.column = column,.twin = quote_identifier(twin)};
	DbopsParam	params[] = {dbops_param_oid(column->relid), dbops_param_int4(column->attnum), dbops_param_text(column->table)};

	dbops_query_each_kept(sql, lengthof(params), params, take, &look);
	return look.clones;
}

/* That of a partition comes with the partitioned table's. */
static void
take_check(HeapTuple row, TupleDesc desc, void *arg)
{
	CloneLook  *look = arg;
	TwinClone  *clone = dbops_twin_new_clone(look->column, TWIN_CHECK, dbops_row_text(row, desc, 1));
	const char *expression = dbops_row_text(row, desc, 2);

	look->clones = lappend(look->clones, clone);
	clone->after = dbops_row_text(row, desc, 7);
	if (dbops_row_bool(row, desc, 5))
		return;
	clone->original = dbops_row_oid(row, desc, 8);
	clone->expressions = list_make1(unconstify(char *, expression));
	clone->valid = dbops_row_bool(row, desc, 4);
	if (dbops_row_bool(row, desc, 6))
		clone->refusal = "is not enforced";
	clone->definition = psprintf("CHECK (%s)%s", dbops_twin_rewrite(expression, look->column->name, look->twin),
								 dbops_row_bool(row, desc, 3) ? " NO INHERIT" : "");
}

/* The server writes the columns first, and all else behind them. */
static void
take_foreign_key(HeapTuple row, TupleDesc desc, void *arg)
{
	CloneLook  *look = arg;
	TwinClone  *clone = dbops_twin_new_clone(look->column, TWIN_FOREIGN_KEY, dbops_row_text(row, desc, 1));
	const char *definition = dbops_row_text(row, desc, 2);
	List	   *names = dbops_row_texts(row, desc, 4);
	Size		length;

	look->clones = lappend(look->clones, clone);
	clone->whole = get_rel_relkind(look->column->relid) == RELKIND_PARTITIONED_TABLE;
	clone->referenced_type = dbops_row_oid(row, desc, 6);
	clone->valid = dbops_row_bool(row, desc, 3);
	clone->original = dbops_row_oid(row, desc, 7);
	clone->original_whole = dbops_row_oid(row, desc, 8);
	clone->after = dbops_row_text(row, desc, 11);
	clone->refusal = foreign_key_refusal(clone, row, desc);
	if (clone->refusal != NULL)
		return;
	definition += strlen(columns_in_parentheses(look, names, false));
	length = strlen(definition);
	if (!clone->valid && length > strlen(" NOT VALID"))
		length -= strlen(" NOT VALID");
	clone->definition = psprintf("%s%.*s", columns_in_parentheses(look, names, true), (int) length, definition);
}

static const char *
foreign_key_refusal(const TwinClone *clone, HeapTuple row, TupleDesc desc)
{
	if (dbops_row_bool(row, desc, 5))
		return "names the column behind ON DELETE";
	if (dbops_row_bool(row, desc, 9))
		return "is not enforced";
	if (dbops_row_bool(row, desc, 10))
		return "is one of periods";
	return (clone->whole && !clone->valid) ? "is of a partitioned table, and not validated" : NULL;
}

static char *
columns_in_parentheses(const CloneLook *look, List *names, bool replaced)
{
	StringInfoData list;
	ListCell   *cell;

	initStringInfo(&list);
	appendStringInfoString(&list, "FOREIGN KEY (");
	foreach(cell, names)
	{
		bool		this = replaced && strcmp(lfirst(cell), look->column->name) == 0;

		appendStringInfo(&list, "%s%s", cell == list_head(names) ? "" : ", ",
						 this ? look->twin : quote_identifier(lfirst(cell)));
	}
	appendStringInfoChar(&list, ')');
	return list.data;
}

/* A partition's part of a copy may be there already: the server makes it with a partition that comes. */
static void
put_together(TwinClone *clone, List *clones)
{
	ListCell   *cell;
	char	   *name;

	foreach(cell, OidIsValid(clone->original_whole) ? clones : NIL)
	{
		const TwinClone *other = lfirst(cell);

		if (other->kind != TWIN_CHECK && other->original == clone->original_whole && (other->kind == TWIN_FOREIGN_KEY) == (clone->kind == TWIN_FOREIGN_KEY))
			clone->part_of = other;
	}
	name = (clone->part_of != NULL) ? part_of(clone) : NULL;
	if (name != NULL)
		clone->clone = name;
}

/* The name of the part that this table has of the copy of the whole; NULL: none. */
static char *
part_of(const TwinClone *clone)
{
	const TwinClone *whole = clone->part_of;
	DbopsParam	params[] = {
		dbops_param_oid(clone->column->relid),
		dbops_param_oid(whole->column->relid),
		dbops_param_text(whole->clone)
	};

	if (clone->kind == TWIN_FOREIGN_KEY)
		return dbops_query_text_kept("SELECT k.conname::text FROM pg_constraint k JOIN pg_constraint w ON w.oid = k.conparentid"
									 " WHERE k.conrelid = $1 AND w.conrelid = $2 AND w.conname = $3",
									 lengthof(params), params);
	return dbops_query_text_kept("SELECT c.relname::text FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid JOIN pg_inherits h ON h.inhrelid = c.oid"
								 " JOIN pg_index wi ON wi.indexrelid = h.inhparent JOIN pg_class w ON w.oid = h.inhparent"
								 " WHERE i.indrelid = $1 AND wi.indrelid = $2 AND w.relname = $3",
								 lengthof(params), params);
}
