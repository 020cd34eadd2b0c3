/*
 * partition_turn_refuse.c
 *		What must be changed before a plain table can become a partition: all of
 *		it at once, each with its remedy.
 *
 * What the server would refuse is to be found before the application's table
 * is touched, and what it would not refuse and an application would miss, such
 * as a view that goes on to read the first partition alone. What is not asked
 * of the catalog here is found by the rehearsal.
 */
#include "maintain/partition_turn.h"

#include "utils/builtins.h"

/* Each tells of what is in the way; $1 is the table, $2 the column. */
static const char *const questions[] = {
	"SELECT format('%s %s lacks column %s: ALTER TABLE %s DROP CONSTRAINT %I, ADD %s (%s, %I)',"
	"  CASE contype WHEN 'p' THEN 'primary key' ELSE 'unique constraint' END, quote_ident(conname), quote_ident(a.attname),"
	"  c.conrelid::regclass, conname, CASE contype WHEN 'p' THEN 'PRIMARY KEY' ELSE 'UNIQUE' END,"
	"  (SELECT string_agg(quote_ident(k.attname), ', ' ORDER BY o) FROM unnest(conkey) WITH ORDINALITY u(n, o)"
	"   JOIN pg_attribute k ON k.attrelid = c.conrelid AND k.attnum = u.n), a.attname)"
	" FROM pg_constraint c JOIN pg_attribute a ON a.attrelid = c.conrelid AND a.attnum = $2"
	" WHERE c.conrelid = $1 AND contype IN ('p', 'u') AND NOT $2::int2 = ANY (conkey)",
	"SELECT format('unique index %s lacks the column: DROP INDEX %s', i.indexrelid::regclass, i.indexrelid::regclass)"
	" FROM pg_index i WHERE indrelid = $1 AND indisunique AND NOT $2::int2 = ANY (indkey)"
	"  AND NOT EXISTS (SELECT FROM pg_constraint WHERE conindid = i.indexrelid)",
	"SELECT format('exclusion constraint %I', conname) FROM pg_constraint WHERE conrelid = $1 AND contype = 'x'",
	"SELECT format('constraint %I is not validated: ALTER TABLE %s VALIDATE CONSTRAINT %I', conname, conrelid::regclass, conname)"
	" FROM pg_constraint WHERE conrelid = $1 AND NOT convalidated AND conname <> '" PARTITION_TABLE_PROOF "'",
	"SELECT format('constraint %I is NO INHERIT, as none of a partitioned table can be: ALTER TABLE %s DROP CONSTRAINT %I', conname, conrelid::regclass, conname)"
	" FROM pg_constraint WHERE conrelid = $1 AND connoinherit AND contype IN ('c', 'n')",
	"SELECT format('index %s is not valid', indexrelid::regclass) FROM pg_index WHERE indrelid = $1 AND NOT indisvalid",
	"SELECT format('foreign key %I of table %s references it: ALTER TABLE %s DROP CONSTRAINT %I', conname, conrelid::regclass, conrelid::regclass, conname)"
	" FROM pg_constraint WHERE confrelid = $1 AND contype = 'f' AND conparentid = 0",
	"SELECT DISTINCT format('view %s depends on it: drop it, and make it again afterwards', r.ev_class::regclass)"
	" FROM pg_depend d JOIN pg_rewrite r ON d.classid = 'pg_rewrite'::regclass AND r.oid = d.objid"
	" WHERE d.refclassid = 'pg_class'::regclass AND d.refobjid = $1 AND r.ev_class <> $1",
	"SELECT DISTINCT format('%s depends on it: drop it, and make it again afterwards', pg_describe_object(d.classid, d.objid, 0))"
	" FROM pg_depend d LEFT JOIN pg_policy l ON d.classid = 'pg_policy'::regclass AND l.oid = d.objid"
	" WHERE (d.classid = 'pg_proc'::regclass OR l.polrelid <> $1)"
	" AND (d.refclassid = 'pg_class'::regclass AND d.refobjid = $1 OR d.refclassid = 'pg_type'::regclass"
	"  AND d.refobjid IN (SELECT unnest(ARRAY[t.oid, t.typarray]) FROM pg_type t WHERE t.typrelid = $1))",
	"SELECT format('trigger %I: drop it, and make it again afterwards', tgname) FROM pg_trigger WHERE tgrelid = $1 AND NOT tgisinternal",
	"SELECT format('rule %I', rulename) FROM pg_rewrite WHERE ev_class = $1",
	"SELECT format('policy %I: drop it, and make it again afterwards', polname) FROM pg_policy WHERE polrelid = $1",
	"SELECT format('row security is forced on its owner, who sees no row then: ALTER TABLE %s NO FORCE ROW LEVEL SECURITY, and force it again afterwards', c.oid::regclass)"
	" FROM pg_class c JOIN pg_roles r ON r.oid = c.relowner WHERE c.oid = $1 AND relrowsecurity AND relforcerowsecurity AND NOT rolsuper AND NOT rolbypassrls",
	"SELECT format('it is in publication %I: take it out, and put it in again afterwards', pubname)"
	" FROM pg_publication_rel r JOIN pg_publication p ON p.oid = r.prpubid WHERE prrelid = $1",
	"SELECT format('publication %I would publish its partitions by their own names: ALTER PUBLICATION %I SET (publish_via_partition_root = true)', pubname, pubname)"
	" FROM pg_publication p WHERE NOT pubviaroot AND (puballtables OR EXISTS (SELECT FROM pg_publication_namespace JOIN pg_class c ON c.relnamespace = pnnspid"
	"  WHERE pnpubid = p.oid AND c.oid = $1))",
	"SELECT 'it inherits, or is inherited from' FROM pg_inherits WHERE inhrelid = $1 OR inhparent = $1",
	"SELECT 'it is a table of a type' FROM pg_class WHERE oid = $1 AND reloftype <> 0",
	"SELECT format('column %I can be null: rows without a time have no partition', attname) FROM pg_attribute WHERE attrelid = $1 AND attnum = $2 AND NOT attnotnull"
};

static char *all_questions(void);
static void take_obstacle(HeapTuple row, TupleDesc desc, void *arg);

/* Refuse what could not follow to the new table. */
void
dbops_partition_turn_refuse(const PartitionTurn *turn)
{
	DbopsParam	params[] = {dbops_param_oid(turn->table), dbops_param_int4(turn->attnum)};
	StringInfoData all;

	initStringInfo(&all);
	dbops_query_each(all_questions(), lengthof(params), params, take_obstacle, &all);
	if (all.len > 0)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("table %s cannot become a partition as it is", turn->name),
				 errdetail_internal("%s", pnstrdup(all.data, all.len - 1)),
				 errhint("Change that first, and CALL again; dry_run => true changes nothing.")));
}

static char *
all_questions(void)
{
	StringInfoData sql;

	initStringInfo(&sql);
	for (int i = 0; i < lengthof(questions); i++)
		appendStringInfo(&sql, "%s%s", i == 0 ? "SELECT what FROM (" : " UNION ALL ", questions[i]);
	appendStringInfoString(&sql, ") obstacles(what) ORDER BY what COLLATE \"C\"");
	return sql.data;
}

static void
take_obstacle(HeapTuple row, TupleDesc desc, void *arg)
{
	appendStringInfo(arg, "%s\n", dbops_row_text(row, desc, 1));
}
