/*
 * review_references.c
 *		Rules about foreign keys.
 *
 * Only what was declared is judged: the constraints that the server keeps for
 * partitions are the same ones.
 */
#include "advise/review.h"

/* What is said of a constraint whose definition is what the server prints. */
#define IS_DECLARED_FKEY \
	"k.contype = 'f' AND k.conparentid = 0 AND " IS_USERS("c")

/* A domain counts as the type that it is over. */
#define BASE_TYPE(alias) \
	"(SELECT CASE WHEN y.typtype = 'd' THEN y.typbasetype ELSE y.oid END FROM pg_type y WHERE y.oid = " alias ".atttypid)"

static const DbopsRule rules[] = {
	{
		.name = "foreign_keys.unindexed",
		.severity = DBOPS_WARNING,
		.about = "foreign keys whose lookup no index serves, as find_unindexed_fkeys() lists them",
		.source = "guide 001's checklist, splinter 0001",
		.sql = "SELECT format('%s.%I', f.table_name, f.constraint_name), format('%s: %s', f.columns, f.reason),"
		" coalesce(f.create_index, 'See the message: another index helps this one too, or none can.'), f.severity"
		" FROM dbops.find_unindexed_fkeys() f JOIN pg_class c ON c.oid = f.table_name WHERE c.relpersistence <> 't'",
		.as_owner = true
	},
	{
		.name = "foreign_keys.action_unstated",
		.severity = DBOPS_INFO,
		.about = "foreign keys that do not say what becomes of rows whose referenced row is deleted",
		.source = "guide 001's checklist",
		.sql = "SELECT format('%s.%I', k.conrelid::regclass, k.conname),"
		" format('ON DELETE is left at NO ACTION: say whether rows go with their row of %s, stay without it, or keep it', k.confrelid::regclass),"
		" format(CASE WHEN c.relkind = 'p' THEN 'ALTER TABLE %1$s DROP CONSTRAINT %2$I, ADD CONSTRAINT %2$I %3$s ON DELETE RESTRICT;'"
		" ELSE 'ALTER TABLE %1$s DROP CONSTRAINT %2$I, ADD CONSTRAINT %2$I %3$s ON DELETE RESTRICT NOT VALID; ALTER TABLE %1$s VALIDATE CONSTRAINT %2$I;' END,"
		" k.conrelid::regclass, k.conname, regexp_replace(pg_get_constraintdef(k.oid), ' NOT VALID$| NOT ENFORCED$', ''))"
		" FROM pg_constraint k JOIN pg_class c ON c.oid = k.conrelid"
		" WHERE " IS_DECLARED_FKEY " AND k.confdeltype = 'a' AND NOT k.condeferrable AND NOT (" CONSTRAINT_HAS_PERIOD("k") ")"
	},
	{
		.name = "foreign_keys.cannot_set_null",
		.severity = DBOPS_WARNING,
		.about = "foreign keys that set columns to null which must not be null, so that the deletion fails",
		.source = "PostgreSQL's manual",
		.sql = "SELECT format('%s.%I', k.conrelid::regclass, k.conname),"
		" format('rows of %s that are referenced cannot be %s: that would set %s to null, which is NOT NULL', k.confrelid::regclass,"
		" CASE WHEN k.confdeltype = 'n' THEN 'deleted' ELSE 'given another key' END, string_agg(quote_ident(a.attname), ', ' ORDER BY a.attnum)),"
		" CASE WHEN bool_or(EXISTS (SELECT FROM pg_index i WHERE i.indrelid = c.oid AND i.indisprimary AND a.attnum = ANY (i.indkey::int2[])))"
		" THEN 'The column is part of the primary key: create the foreign key again with ON DELETE CASCADE or RESTRICT.'"
		" ELSE format('ALTER TABLE %s %s;', k.conrelid::regclass, string_agg(format('ALTER COLUMN %I DROP NOT NULL', a.attname), ', ' ORDER BY a.attnum)) END"
		" FROM pg_constraint k JOIN pg_class c ON c.oid = k.conrelid"
		" JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnotnull AND a.attnum = ANY (CASE WHEN k.confdeltype = 'n' THEN coalesce(k.confdelsetcols, k.conkey) ELSE k.conkey END)"
		" WHERE " IS_DECLARED_FKEY " AND (k.confdeltype = 'n' OR k.confupdtype = 'n')"
		" GROUP BY k.oid, c.oid, k.conrelid, k.conname, k.confrelid, k.confdeltype"
	},
	{
		.name = "foreign_keys.type_mismatch",
		.severity = DBOPS_INFO,
		.about = "foreign keys whose columns are of another type than those that they reference",
		.source = "pg-index-health, SchemaCrawler",
		.sql = "SELECT format('%s.%I', k.conrelid::regclass, k.conname),"
		" format('%I is %s and references %s of %s, which is %s%s', a.attname, a.atttypid::regtype, quote_ident(r.attname), k.confrelid::regclass, r.atttypid::regtype,"
		" CASE WHEN w.narrow THEN ': keys beyond its range cannot be referenced' ELSE ': each lookup compares across types' END),"
		" format('ALTER TABLE %s ALTER COLUMN %I TYPE %s;', k.conrelid::regclass, a.attname, format_type(r.atttypid, r.atttypmod)),"
		" CASE WHEN w.narrow THEN 'warning' END"
		" FROM pg_constraint k JOIN pg_class c ON c.oid = k.conrelid CROSS JOIN LATERAL unnest(k.conkey, k.confkey) u (mine, theirs)"
		" JOIN pg_attribute a ON a.attrelid = k.conrelid AND a.attnum = u.mine JOIN pg_attribute r ON r.attrelid = k.confrelid AND r.attnum = u.theirs"
		" CROSS JOIN LATERAL (SELECT " BASE_TYPE("a") " AS mine, " BASE_TYPE("r") " AS theirs) b"
		" CROSS JOIN LATERAL (SELECT array_position('{21,23,20}'::oid[], b.mine) < array_position('{21,23,20}'::oid[], b.theirs) AS narrow) w"
		" WHERE " IS_DECLARED_FKEY " AND b.mine <> b.theirs AND NOT (b.mine IN (25, 1043) AND b.theirs IN (25, 1043))"
	},
	{
		.name = "foreign_keys.duplicate",
		.severity = DBOPS_WARNING,
		.about = "foreign keys of the same columns to the same columns, each of which is checked",
		.source = "pg-index-health",
		.sql = "SELECT format('%s.%I', f.conrelid::regclass, f.conname),"
		" format('it checks what %I checks too%s', f.kept, CASE WHEN f.same THEN '' ELSE ', and the two do different things when a row is deleted or its key changes' END),"
		" CASE WHEN f.same THEN format('ALTER TABLE %s DROP CONSTRAINT %I;', f.conrelid::regclass, f.conname) ELSE 'Decide which of the two is meant, and drop the other.' END"
		" FROM (SELECT k.conrelid, k.conname, row_number() OVER w AS place, first_value(k.conname) OVER w AS kept,"
		" (k.confdeltype, k.confupdtype) IS NOT DISTINCT FROM (first_value(k.confdeltype) OVER w, first_value(k.confupdtype) OVER w) AS same"
		" FROM (SELECT k.*, (SELECT string_agg(u.mine || '=' || u.theirs, ',' ORDER BY u.mine, u.theirs) FROM unnest(k.conkey, k.confkey) u (mine, theirs)) AS pairs"
		" FROM pg_constraint k JOIN pg_class c ON c.oid = k.conrelid WHERE " IS_DECLARED_FKEY ") k"
		" WINDOW w AS (PARTITION BY k.conrelid, k.confrelid, k.pairs ORDER BY k.convalidated DESC, k.oid)) f WHERE f.place > 1"
	}
};

const DbopsRuleSet dbops_reference_rules = {.review = "schema", .rules = rules, .n_rules = lengthof(rules)};
