/*
 * drop_column_depend.c
 *		What the server knows to depend on a column.
 *
 * pg_depend says of each object whether it goes with what it depends on, or
 * keeps that from being dropped. What goes takes along what goes with it in turn;
 * what depends on any of these and does not go is in the way. Of views the views
 * on them are named too, level by level, since one that is created anew has all
 * of those created anew. For who reads it, the rule of a view is the view, and
 * the default of a generated column is the column.
 */
#include "change/drop_column.h"

#include "lib/stringinfo.h"

#define MOST_LINES	100			/* of a list */

/* The column and what goes with it; see COLUMN_AND_BELOW. */
#define WHAT_GOES \
	COLUMN_AND_BELOW ", goes (classid, objid, objsubid) AS (SELECT 'pg_class'::regclass::oid, relid, attnum FROM own" \
	" UNION SELECT d.classid, d.objid, d.objsubid FROM goes g JOIN pg_depend d" \
	" ON d.refclassid = g.classid AND d.refobjid = g.objid AND (g.objsubid = 0 OR d.refobjsubid = g.objsubid)" \
	" WHERE d.deptype IN ('a', 'i', 'P', 'S'))"

/* Dependents d as who reads it knows them. */
#define SHOWN_AS \
	" LEFT JOIN pg_rewrite w ON d.classid = 'pg_rewrite'::regclass AND w.oid = d.objid" \
	" LEFT JOIN pg_class v ON v.oid = w.ev_class AND v.relkind IN ('v', 'm')" \
	" LEFT JOIN pg_attrdef f ON d.classid = 'pg_attrdef'::regclass AND f.oid = d.objid" \
	" LEFT JOIN pg_attribute n ON n.attrelid = f.adrelid AND n.attnum = f.adnum AND n.attgenerated <> ''" \
	" CROSS JOIN LATERAL (SELECT CASE WHEN v.oid IS NOT NULL OR n.attrelid IS NOT NULL THEN 'pg_class'::regclass::oid ELSE d.classid END," \
	" coalesce(v.oid, n.attrelid, d.objid), coalesce(n.attnum::integer, CASE WHEN v.oid IS NULL THEN d.objsubid ELSE 0 END)) s (classid, objid, objsubid)"

/* What is in the way, with what it depends on; of views those on them. Clones of what stands at a parent are left out. */
#define WHAT_BLOCKS \
	WHAT_GOES ", blocks (level, classid, objid, objsubid, onclass, onobj, onsub) AS (" \
	"SELECT 1, s.classid, s.objid, s.objsubid, g.classid, g.objid, g.objsubid FROM goes g JOIN pg_depend d" \
	" ON d.refclassid = g.classid AND d.refobjid = g.objid AND (g.objsubid = 0 OR d.refobjsubid = g.objsubid) AND d.deptype = 'n'" SHOWN_AS \
	" WHERE (d.classid, d.objid, d.objsubid) NOT IN (SELECT classid, objid, objsubid FROM goes)" \
	" AND NOT EXISTS (SELECT FROM pg_trigger t WHERE d.classid = 'pg_trigger'::regclass AND t.oid = d.objid AND t.tgparentid <> 0)" \
	" AND NOT EXISTS (SELECT FROM pg_constraint k WHERE d.classid = 'pg_constraint'::regclass AND k.oid = d.objid AND k.conparentid <> 0)" \
	" AND NOT coalesce(n.attinhcount > 0 AND n.attrelid <> $1, false)" \
	" UNION SELECT b.level + 1, s.classid, s.objid, s.objsubid, b.classid, b.objid, 0 FROM blocks b" \
	" JOIN pg_class o ON b.classid = 'pg_class'::regclass AND o.oid = b.objid AND b.objsubid = 0 AND o.relkind IN ('v', 'm')" \
	" JOIN pg_depend d ON d.refclassid = b.classid AND d.refobjid = b.objid AND d.deptype = 'n'" SHOWN_AS \
	" WHERE (s.classid, s.objid) <> (b.classid, b.objid))"

/* A list on its way into a message. */
typedef struct Lines
{
	int			n;
	StringInfoData text;
	List	   *kinds;			/* of char *, each once, as pg_identify_object() calls them */
} Lines;

static void list(const ColumnDrop *drop, const char *sql, Lines *lines);
static void add_line(HeapTuple row, TupleDesc desc, void *arg);
static char *what_to_do(const Lines *lines);

/* Refuse while something is there that the server would not drop the column without. */
void
dbops_drop_column_refuse_dependents(const ColumnDrop *drop)
{
	Lines		lines = {0};

	list(drop, WHAT_BLOCKS " SELECT format('%s depends on %s', object, ref), kind FROM (SELECT DISTINCT ON (classid, objid, objsubid) level,"
		 " pg_describe_object(classid, objid, objsubid) AS object, pg_describe_object(onclass, onobj, onsub) AS ref,"
		 " (pg_identify_object(classid, objid, objsubid)).type AS kind FROM blocks"
		 " ORDER BY classid, objid, objsubid, level, onclass, onobj, onsub) x ORDER BY level, object COLLATE \"C\"", &lines);
	if (lines.n > 0)
		ereport(ERROR,
				(errcode(ERRCODE_DEPENDENT_OBJECTS_STILL_EXIST),
				 errmsg("cannot drop column %s of %s while %d other object%s on it", drop->name, drop->table_name,
						lines.n, lines.n == 1 ? " depends" : "s depend"),
				 errdetail_internal("%s", lines.text.data),
				 errhint("Nothing of that is dropped along. First %s; then call again.", what_to_do(&lines))));
}

/* List what goes with it; what belongs to something listed, or is a partition's part of it, is not told. */
void
dbops_drop_column_tell_lost(const ColumnDrop *drop)
{
	Lines		lines = {0};

	list(drop, WHAT_GOES " SELECT object, '' FROM (SELECT pg_describe_object(g.classid, g.objid, g.objsubid) || CASE WHEN i.indnatts > 1 OR cardinality(k.conkey) > 1"
		 " OR t.stxkeys[1] IS NOT NULL THEN ', which is of other columns too' ELSE '' END AS object"
		 " FROM goes g LEFT JOIN pg_index i ON g.classid = 'pg_class'::regclass AND i.indexrelid = g.objid"
		 " LEFT JOIN pg_constraint k ON g.classid = 'pg_constraint'::regclass AND k.oid = g.objid"
		 " LEFT JOIN pg_statistic_ext t ON g.classid = 'pg_statistic_ext'::regclass AND t.oid = g.objid"
		 " WHERE g.classid NOT IN ('pg_attrdef'::regclass, 'pg_trigger'::regclass, 'pg_type'::regclass) AND coalesce(k.conparentid = 0 AND k.contype <> 'n', true)"
		 " AND NOT (g.classid = 'pg_class'::regclass AND EXISTS (SELECT FROM own WHERE own.relid = g.objid))"
		 " AND NOT EXISTS (SELECT FROM pg_inherits h WHERE g.classid = 'pg_class'::regclass AND h.inhrelid = g.objid)"
		 " AND NOT EXISTS (SELECT FROM pg_constraint c WHERE g.classid = 'pg_class'::regclass AND c.conindid = g.objid AND c.contype IN ('p', 'u', 'x'))) x"
		 " ORDER BY object COLLATE \"C\"", &lines);
	if (lines.n > 0)
		ereport(NOTICE,
				(errmsg("%d object%s with column %s of %s", lines.n, lines.n == 1 ? " goes" : "s go", drop->name, drop->table_name),
				 errdetail_internal("%s", lines.text.data)));
}

static void
list(const ColumnDrop *drop, const char *sql, Lines *lines)
{
	DbopsParam	params[] = {dbops_param_oid(drop->table), dbops_param_text(drop->column)};

	initStringInfo(&lines->text);
	dbops_query_each(sql, lengthof(params), params, add_line, lines);
	if (lines->n > MOST_LINES)
		appendStringInfo(&lines->text, "\nand %d more", lines->n - MOST_LINES);
}

static void
add_line(HeapTuple row, TupleDesc desc, void *arg)
{
	Lines	   *lines = arg;
	char	   *kind = dbops_row_text(row, desc, 2);

	if (lines->n++ < MOST_LINES)
		appendStringInfo(&lines->text, "%s%s", lines->n > 1 ? "\n" : "", dbops_row_text(row, desc, 1));
	if (!dbops_texts_have(lines->kinds, kind))
		lines->kinds = lappend(lines->kinds, kind);
}

/* Say how the column is taken out of each kind. */
static char *
what_to_do(const Lines *lines)
{
	static const char *const remedies[][2] = {
		{"view", "drop the views and create them without the column, in one transaction"},
		{"materialized view", "drop the materialized views and create them without it"},
		{"table column", "drop the generated columns, or ALTER COLUMN ... DROP EXPRESSION"},
		{"policy", "ALTER POLICY ... USING an expression without it"},
		{"trigger", "drop the triggers and create them without it in UPDATE OF and WHEN"},
		{"publication relation", "ALTER PUBLICATION ... SET TABLE without it in the list of columns and the row filter"},
		{"function", "CREATE OR REPLACE FUNCTION with a body without it"},
		{"procedure", "CREATE OR REPLACE PROCEDURE with a body without it"},
		{"rule", "CREATE OR REPLACE RULE without it"},
		{"table constraint", "ALTER TABLE ... DROP CONSTRAINT"},
		{"default value", "ALTER COLUMN ... DROP DEFAULT"}
	};
	StringInfoData text;

	initStringInfo(&text);
	for (int i = 0; i < lengthof(remedies); i++)
		if (dbops_texts_have(lines->kinds, remedies[i][0]))
			appendStringInfo(&text, "%s%s", text.len > 0 ? "; " : "", remedies[i][1]);
	return text.len > 0 ? text.data : pstrdup("drop or change these");
}
