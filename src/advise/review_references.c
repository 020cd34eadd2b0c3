/*
 * review_references.c
 *		Rules about foreign keys.
 *
 * Only what was declared is judged: the constraints that the server keeps for
 * partitions are the same ones.
 */
#include "advise/review.h"
#include "advise/review_sql.h"

/* What is said of a constraint whose definition is what the server prints. */
#define IS_DECLARED_FKEY \
	"k.contype = 'f' AND k.conparentid = 0 AND " IS_USERS("c")

/* A domain counts as the type that it is over. */
#define BASE_TYPE(alias) \
	"(SELECT CASE WHEN y.typtype = 'd' THEN y.typbasetype ELSE y.oid END FROM pg_type y WHERE y.oid = " alias ".atttypid)"

/* What is lost when it is dropped and made anew as pg_get_constraintdef() prints it. */
#define IS_MORE_THAN_DECLARED \
	"(EXISTS (SELECT FROM pg_description e WHERE e.objoid = k.oid AND e.classoid = 'pg_constraint'::regclass) " \
	"OR EXISTS (SELECT FROM pg_trigger t WHERE t.tgconstraint = k.oid AND t.tgrelid IN (k.conrelid, k.confrelid) AND t.tgenabled <> 'O'))"

/* What the server does with rows, beyond the columns. */
#define BEHAVIOUR \
	"concat_ws(' ', k.confdeltype, k.confupdtype, k.confmatchtype, k.condeferrable, k.condeferred, k.confdelsetcols, " CONSTRAINT_IS_NOT_ENFORCED("k") ", " CONSTRAINT_HAS_PERIOD("k") ", " \
	"(SELECT string_agg(DISTINCT t.tgenabled::text, '' ORDER BY t.tgenabled::text) FROM pg_trigger t WHERE t.tgconstraint = k.oid))"

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
		" CASE WHEN " IS_MORE_THAN_DECLARED " THEN 'Make it anew with an ON DELETE clause, and with its comment and the states of its triggers.' ELSE"
		" format(CASE WHEN c.relkind = 'p' THEN 'ALTER TABLE %1$s DROP CONSTRAINT %2$I, ADD CONSTRAINT %2$I %3$s ON DELETE RESTRICT;'"
		" ELSE E'ALTER TABLE %1$s DROP CONSTRAINT %2$I, ADD CONSTRAINT %2$I %3$s ON DELETE RESTRICT NOT VALID;\\nALTER TABLE %1$s VALIDATE CONSTRAINT %2$I;' END,"
		" k.conrelid::regclass, k.conname, regexp_replace(pg_get_constraintdef(k.oid), ' NOT VALID$', '')) END"
		" FROM pg_constraint k JOIN pg_class c ON c.oid = k.conrelid"
		" WHERE " IS_DECLARED_FKEY " AND k.confdeltype = 'a' AND NOT k.condeferrable AND NOT (" CONSTRAINT_HAS_PERIOD("k") ") AND NOT (" CONSTRAINT_IS_NOT_ENFORCED("k") ")"
	},
	{
		.name = "foreign_keys.cannot_set_null",
		.severity = DBOPS_WARNING,
		.about = "foreign keys that set columns to null which must not be null, so that the deletion fails",
		.source = "PostgreSQL's manual",
		.sql = "SELECT format('%s.%I', x.conrelid::regclass, x.conname),"
		" concat_ws('; ', CASE WHEN x.by_delete IS NOT NULL THEN format('rows of %s that are referenced cannot be deleted: that would set %s to null, which is NOT NULL', x.confrelid::regclass, x.by_delete) END,"
		" CASE WHEN x.by_update IS NOT NULL THEN format('rows of %s that are referenced cannot be given another key: that would set %s to null, which is NOT NULL', x.confrelid::regclass, x.by_update) END),"
		" 'Make the foreign key anew with another action, as CASCADE or RESTRICT; or, where a row may be without what it references, allow nulls.'"
		" FROM (SELECT k.conrelid, k.conname, k.confrelid,"
		" string_agg(quote_ident(a.attname), ', ' ORDER BY a.attnum) FILTER (WHERE k.confdeltype = 'n' AND a.attnum = ANY (coalesce(k.confdelsetcols, k.conkey))) AS by_delete,"
		" string_agg(quote_ident(a.attname), ', ' ORDER BY a.attnum) FILTER (WHERE k.confupdtype = 'n') AS by_update"
		" FROM pg_constraint k JOIN pg_class c ON c.oid = k.conrelid JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnotnull AND a.attnum = ANY (k.conkey)"
		" WHERE " IS_DECLARED_FKEY " AND 'n' IN (k.confdeltype, k.confupdtype) GROUP BY k.oid, k.conrelid, k.conname, k.confrelid) x"
		" WHERE x.by_delete IS NOT NULL OR x.by_update IS NOT NULL"
	},
	{
		.name = "foreign_keys.type_mismatch",
		.severity = DBOPS_INFO,
		.about = "foreign keys whose columns are of another type than those that they reference",
		.source = "pg-index-health, SchemaCrawler",
		.sql = "SELECT format('%s.%I', k.conrelid::regclass, k.conname),"
		" format('%I is %s and references %s of %s, which is %s%s', a.attname, a.atttypid::regtype, quote_ident(r.attname), k.confrelid::regclass, r.atttypid::regtype,"
		" CASE WHEN w.narrow THEN ': keys beyond its range cannot be referenced" REWRITES "' ELSE ': each lookup compares across types' END),"
		" CASE WHEN w.narrow AND (a.atttypid <> b.mine OR r.atttypid <> b.theirs) THEN 'Give the column a domain over the wider type, with the checks of the one that it has.'"
		" WHEN w.narrow THEN " CHANGE_TYPE("format('ALTER TABLE %s ALTER COLUMN %I TYPE %s;', k.conrelid::regclass, a.attname, format_type(r.atttypid, r.atttypmod))")
		" ELSE format('Give both the same type, the wider one: that of %s in %s, if what it holds is to grow.', quote_ident(r.attname), k.confrelid::regclass) END,"
		" CASE WHEN w.narrow THEN 'warning' END"
		" FROM pg_constraint k JOIN pg_class c ON c.oid = k.conrelid CROSS JOIN LATERAL unnest(k.conkey, k.confkey) u (mine, theirs)"
		" JOIN pg_attribute a ON a.attrelid = k.conrelid AND a.attnum = u.mine JOIN pg_attribute r ON r.attrelid = k.confrelid AND r.attnum = u.theirs"
		" CROSS JOIN LATERAL (SELECT " BASE_TYPE("a") " AS mine, " BASE_TYPE("r") " AS theirs) b"
		" CROSS JOIN LATERAL (SELECT array_position('{21,23,20}'::oid[], b.mine) < array_position('{21,23,20}'::oid[], b.theirs) AS narrow) w"
		" WHERE " IS_DECLARED_FKEY " AND a.atttypid <> r.atttypid AND b.mine <> b.theirs AND NOT (b.mine IN (25, 1043) AND b.theirs IN (25, 1043))"
	},
	{
		.name = "foreign_keys.duplicate",
		.severity = DBOPS_WARNING,
		.about = "foreign keys of the same columns to the same columns, each of which is checked",
		.source = "pg-index-health",
		.sql = "SELECT format('%s.%I', f.conrelid::regclass, f.conname),"
		" format('it checks what %I checks too%s', f.kept, CASE WHEN f.same THEN '' ELSE ', and the two do not do the same' END),"
		" CASE WHEN f.same THEN format('ALTER TABLE %s DROP CONSTRAINT %I;', f.conrelid::regclass, f.conname) ELSE 'Decide which of the two is meant, and drop the other.' END"
		" FROM (SELECT k.conrelid, k.conname, row_number() OVER w AS place, first_value(k.conname) OVER w AS kept,"
		" k.behaviour = first_value(k.behaviour) OVER w AS same"
		" FROM (SELECT k.*, " BEHAVIOUR " AS behaviour, (SELECT string_agg(u.mine || '=' || u.theirs, ',' ORDER BY u.mine, u.theirs) FROM unnest(k.conkey, k.confkey) u (mine, theirs)) AS pairs"
		" FROM pg_constraint k JOIN pg_class c ON c.oid = k.conrelid WHERE " IS_DECLARED_FKEY ") k"
		" WINDOW w AS (PARTITION BY k.conrelid, k.confrelid, k.pairs ORDER BY k.convalidated DESC, k.oid)) f WHERE f.place > 1"
	}
};

const DbopsRuleSet dbops_reference_rules = {.review = "schema", .rules = rules, .n_rules = lengthof(rules)};
