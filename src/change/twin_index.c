/*
 * twin_index.c
 *		Indexes that name a column, for the column that is to take its place.
 *
 * They are told as the catalog has them, with the new column in the place of the
 * old one. What an index has besides its definition (comment, statistics targets,
 * being the replica identity or the order of CLUSTER) its copy gets in the end,
 * when it has its name.
 */
#include "change/twin.h"

#include "catalog/pg_class.h"
#include "utils/builtins.h"

/* What is looked for, and what comes of it. */
typedef struct IndexLook
{
	const TwinColumn *column;
	const char *twin;			/* quoted */
	List	   *clones;
} IndexLook;

static void take_index(HeapTuple row, TupleDesc desc, void *arg);
static void put_rule(const IndexLook *look, TwinClone *clone, HeapTuple row, TupleDesc desc);
static char *tail(const IndexLook *look, TwinClone *clone, HeapTuple row, TupleDesc desc);
static char *constraint(const IndexLook *look, const TwinClone *clone, HeapTuple row, TupleDesc desc);
static void put_elements(StringInfo text, const IndexLook *look, TwinClone *clone, HeapTuple row, TupleDesc desc);
static void put_storage(StringInfo text, HeapTuple row, TupleDesc desc, const char *place);
static char *elements(const IndexLook *look, TwinClone *clone, List *columns, List *endings, List *is_column, int from, int to);

/* Copies of those of one table (TwinClone *). OFFSET 0 has the server look a row up, where it would read a whole catalog for each table. */
List *
dbops_twin_index_clones(const TwinColumn *column, const char *twin)
{
	IndexLook	look = {.column = column,.twin = quote_identifier(twin)};
	DbopsParam	params[] = {
		dbops_param_oid(column->relid),
		dbops_param_int4(column->attnum),
		dbops_param_text(column->table),
		dbops_param_text(column->schema)
	};

	dbops_query_each_kept("SELECT x.relname::text, i.indisunique, am.amname::text, x.relkind::text, k.conname::text, coalesce(k.condeferrable, false),"
						  " coalesce(k.condeferred, false), i.indnullsnotdistinct, i.indnkeyatts::int4,"
						  " pg_get_expr(i.indpred, i.indrelid),"
						  " (SELECT string_agg(format('%I=%L', split_part(o, '=', 1), substr(o, strpos(o, '=') + 1)), ', ') FROM unnest(x.reloptions) o),"
						  " (SELECT spcname::text FROM pg_tablespace t WHERE t.oid = x.reltablespace),"
						  " array_agg(pg_get_indexdef(i.indexrelid, e.n::int4, false) ORDER BY e.n),"
						  " array_agg(CASE WHEN e.n > i.indnkeyatts THEN '' ELSE concat("
						  "  CASE WHEN col.oid <> coalesce(a.attcollation, 0) THEN format(' COLLATE %I.%I', cn.nspname, col.collname) END,"
						  "  CASE WHEN NOT op.opcdefault OR o.options IS NOT NULL THEN format(' %I.%I', opn.nspname, op.opcname) END,"
						  "  '(' || o.options || ')',"
						  "  CASE WHEN pg_indexam_has_property(am.oid, 'can_order') AND (i.indoption[e.n - 1]::int4 & 1) <> 0 THEN ' DESC' END,"
						  "  CASE WHEN NOT pg_indexam_has_property(am.oid, 'can_order') THEN '' WHEN (i.indoption[e.n - 1]::int4 & 2) <> 0 THEN ' NULLS FIRST' ELSE ' NULLS LAST' END)"
						  "  END ORDER BY e.n),"
						  " array_agg(CASE WHEN i.indkey[e.n - 1] = $2 THEN 'this' WHEN i.indkey[e.n - 1] = 0 THEN 'expression' ELSE 'other' END ORDER BY e.n),"
						  " max(op.oid::int8) FILTER (WHERE i.indkey[e.n - 1] = $2), bool_and(op.opcdefault) FILTER (WHERE i.indkey[e.n - 1] = $2), am.oid,"
						  " i.indexrelid, (SELECT p.indexrelid FROM pg_inherits h JOIN pg_index p ON p.indexrelid = h.inhparent WHERE h.inhrelid = i.indexrelid AND p.indisvalid),"
						  " concat('; COMMENT ON INDEX ' || n.name || ' IS ' || quote_literal(obj_description(x.oid, 'pg_class')),"
						  "  '; COMMENT ON CONSTRAINT ' || quote_ident(k.conname) || ' ON ' || $3 || ' IS ' || quote_literal(obj_description(k.oid, 'pg_constraint')),"
						  "  (SELECT string_agg(format('; ALTER INDEX %s ALTER COLUMN %s SET STATISTICS %s', n.name, s.attnum, s.attstattarget), '' ORDER BY s.attnum)"
						  "  FROM pg_attribute s WHERE s.attrelid = x.oid AND s.attstattarget >= 0 AND i.indkey[s.attnum - 1] = 0),"
						  "  CASE WHEN i.indisclustered THEN format('; ALTER TABLE %s CLUSTER ON %I', $3, x.relname) END,"
						  "  CASE WHEN i.indisreplident THEN format('; ALTER TABLE ONLY %s REPLICA IDENTITY USING INDEX %I', $3, x.relname) END)"
						  " FROM pg_index i JOIN pg_class x ON x.oid = i.indexrelid JOIN pg_am am ON am.oid = x.relam"
						  " LEFT JOIN pg_constraint k ON k.conindid = i.indexrelid AND k.conrelid = i.indrelid AND k.contype = 'u'"
						  " CROSS JOIN LATERAL (SELECT format('%I.%I', $4, x.relname)) n (name)"
						  " CROSS JOIN LATERAL generate_series(1, i.indnatts) e (n)"
						  " LEFT JOIN LATERAL (SELECT * FROM pg_opclass WHERE oid = i.indclass[e.n - 1] OFFSET 0) op ON true LEFT JOIN pg_namespace opn ON opn.oid = op.opcnamespace"
						  " LEFT JOIN LATERAL (SELECT * FROM pg_collation WHERE oid = i.indcollation[e.n - 1] OFFSET 0) col ON true LEFT JOIN pg_namespace cn ON cn.oid = col.collnamespace"
						  " LEFT JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = i.indkey[e.n - 1]"
						  " LEFT JOIN LATERAL (SELECT attoptions FROM pg_attribute WHERE attrelid = i.indexrelid AND attnum = e.n OFFSET 0) ia ON true"
						  " LEFT JOIN LATERAL (SELECT string_agg(u, ', ') FROM unnest(ia.attoptions) u WHERE u !~ '^pg_attver=') o (options) ON true"
						  " WHERE i.indrelid = $1 AND i.indisvalid AND ($2 = ANY (i.indkey::int2[]) OR EXISTS (SELECT FROM pg_depend d"
						  " WHERE d.classid = 'pg_class'::regclass AND d.objid = i.indexrelid AND d.refclassid = 'pg_class'::regclass AND d.refobjid = $1 AND d.refobjsubid = $2))"
						  " GROUP BY x.oid, i.indexrelid, am.oid, k.oid, n.name ORDER BY x.relname",
						  lengthof(params), params, take_index, &look);
	return look.clones;
}

TwinClone *
dbops_twin_new_clone(const TwinColumn *column, TwinCloneKind kind, const char *name)
{
	TwinClone  *clone = palloc0(sizeof(TwinClone));

	clone->kind = kind;
	clone->column = column;
	clone->name = name;
	clone->clone = dbops_twin_clone_name(name);
	return clone;
}

static void
take_index(HeapTuple row, TupleDesc desc, void *arg)
{
	IndexLook  *look = arg;
	const char *name = dbops_row_text(row, desc, 5);
	TwinClone  *clone = dbops_twin_new_clone(look->column, name != NULL ? TWIN_UNIQUE : TWIN_INDEX, dbops_row_text(row, desc, 1));

	look->clones = lappend(look->clones, clone);
	clone->constraint = name;
	clone->unique = dbops_row_bool(row, desc, 2);
	clone->whole = dbops_row_text(row, desc, 4)[0] == RELKIND_PARTITIONED_INDEX;
	clone->deferrable = dbops_row_bool(row, desc, 6);
	clone->deferred = dbops_row_bool(row, desc, 7);
	clone->operators = (Oid) dbops_row_int8(row, desc, 16);
	clone->operators_default = dbops_row_bool(row, desc, 17);
	clone->method = dbops_row_oid(row, desc, 18);
	clone->original = dbops_row_oid(row, desc, 19);
	clone->original_whole = dbops_row_oid(row, desc, 20);
	clone->after = dbops_row_text(row, desc, 21);
	if (clone->unique)
		put_rule(look, clone, row, desc);
	clone->definition = (clone->whole && name != NULL) ? constraint(look, clone, row, desc) : tail(look, clone, row, desc);
}

/* What it is unique on, and among which rows. */
static void
put_rule(const IndexLook *look, TwinClone *clone, HeapTuple row, TupleDesc desc)
{
	const char *predicate = dbops_row_text(row, desc, 10);
	TwinClone	passing = {0};

	clone->keys = elements(look, &passing, dbops_row_texts(row, desc, 13), NIL, dbops_row_texts(row, desc, 15), 0, dbops_row_int4(row, desc, 9));
	clone->condition = dbops_row_bool(row, desc, 8) ? "true" : psprintf("ROW(%s) IS NOT NULL", clone->keys);
	if (predicate != NULL)
		clone->condition = psprintf("%s AND (%s)", clone->condition, dbops_twin_rewrite(predicate, look->column->name, look->twin));
}

/* What stands behind the table in CREATE INDEX. */
static char *
tail(const IndexLook *look, TwinClone *clone, HeapTuple row, TupleDesc desc)
{
	const char *predicate = dbops_row_text(row, desc, 10);
	StringInfoData text;

	initStringInfo(&text);
	appendStringInfo(&text, "USING %s ", quote_identifier(dbops_row_text(row, desc, 3)));
	put_elements(&text, look, clone, row, desc);
	if (dbops_row_bool(row, desc, 8))
		appendStringInfoString(&text, " NULLS NOT DISTINCT");
	put_storage(&text, row, desc, "TABLESPACE");
	if (predicate != NULL)
	{
		clone->expressions = lappend(clone->expressions, unconstify(char *, predicate));
		appendStringInfo(&text, " WHERE %s", dbops_twin_rewrite(predicate, look->column->name, look->twin));
	}
	return text.data;
}

/* What stands behind the name of the constraint of a partitioned table, which takes those of its partitions over. */
static char *
constraint(const IndexLook *look, const TwinClone *clone, HeapTuple row, TupleDesc desc)
{
	List	   *columns = dbops_row_texts(row, desc, 13);
	List	   *is_column = dbops_row_texts(row, desc, 15);
	int			keys = dbops_row_int4(row, desc, 9);
	StringInfoData text;

	initStringInfo(&text);
	appendStringInfo(&text, "UNIQUE%s (%s)", dbops_row_bool(row, desc, 8) ? " NULLS NOT DISTINCT" : "",
					 elements(look, NULL, columns, NIL, is_column, 0, keys));
	if (list_length(columns) > keys)
		appendStringInfo(&text, " INCLUDE (%s)", elements(look, NULL, columns, NIL, is_column, keys, list_length(columns)));
	put_storage(&text, row, desc, "USING INDEX TABLESPACE");
	appendStringInfo(&text, "%s%s", clone->deferrable ? " DEFERRABLE" : "", clone->deferred ? " INITIALLY DEFERRED" : "");
	return text.data;
}

static void
put_elements(StringInfo text, const IndexLook *look, TwinClone *clone, HeapTuple row, TupleDesc desc)
{
	int			keys = dbops_row_int4(row, desc, 9);
	List	   *columns = dbops_row_texts(row, desc, 13);
	List	   *endings = dbops_row_texts(row, desc, 14);
	List	   *is_column = dbops_row_texts(row, desc, 15);

	appendStringInfo(text, "(%s)", elements(look, clone, columns, endings, is_column, 0, keys));
	if (list_length(columns) > keys)
		appendStringInfo(text, " INCLUDE (%s)", elements(look, clone, columns, endings, is_column, keys, list_length(columns)));
}

static void
put_storage(StringInfo text, HeapTuple row, TupleDesc desc, const char *place)
{
	const char *options = dbops_row_text(row, desc, 11);
	const char *tablespace = dbops_row_text(row, desc, 12);

	if (options != NULL)
		appendStringInfo(text, " WITH (%s)", options);
	if (tablespace != NULL)
		appendStringInfo(text, " %s %s", place, quote_identifier(tablespace));
}

/* What an index has, from one to before another one; a constraint has plain columns. */
static char *
elements(const IndexLook *look, TwinClone *clone, List *columns, List *endings, List *is_column, int from, int to)
{
	StringInfoData list;

	initStringInfo(&list);
	for (int i = from; i < to; i++)
	{
		const char *text = list_nth(columns, i);
		const char *kind = list_nth(is_column, i);

		if (strcmp(kind, "this") == 0)
			text = look->twin;
		else if (strcmp(kind, "expression") == 0)
		{
			clone->expressions = lappend(clone->expressions, unconstify(char *, text));
			text = dbops_twin_rewrite(text, look->column->name, look->twin);
		}
		appendStringInfo(&list, "%s%s%s", list.len > 0 ? ", " : "", text, endings == NIL ? "" : (char *) list_nth(endings, i));
	}
	return list.data;
}
