/*
 * review_keys.c
 *		Rules about what tells rows apart: primary keys, unique keys, the identity
 *		that logical replication needs.
 *
 * A partition is judged with its root, but for replication, which looks at each.
 * The templates of pg_partman hold no rows.
 */
#include "advise/review.h"

/* A unique index that could be the primary key as it stands. */
#define BEST_KEY \
	"LEFT JOIN LATERAL (SELECT i.indexrelid, x.relname, k.oid AS constraint, x.relam = 403 AND NOT i.indoption::int2[] && '{1,2,3}'::int2[] AND c.relkind = 'r' AS as_is, " \
	"(SELECT string_agg(quote_ident(a.attname), ', ' ORDER BY u.n) FROM unnest(i.indkey::int2[]) WITH ORDINALITY u (attnum, n) " \
	"JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = u.attnum WHERE u.n <= i.indnkeyatts) AS columns " \
	"FROM pg_index i JOIN pg_class x ON x.oid = i.indexrelid LEFT JOIN pg_constraint k ON k.conindid = i.indexrelid AND k.conrelid = c.oid AND k.contype = 'u' " \
	"WHERE i.indrelid = c.oid AND i.indisunique AND i.indisvalid AND i.indimmediate AND i.indpred IS NULL AND i.indexprs IS NULL " \
	"AND NOT EXISTS (SELECT FROM unnest(i.indkey::int2[]) WITH ORDINALITY u (attnum, n) JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = u.attnum " \
	"WHERE u.n <= i.indnkeyatts AND NOT a.attnotnull) ORDER BY i.indnkeyatts, i.indexrelid LIMIT 1) best ON true "

/* A column that is numbered by a sequence, and a name that no column has yet. */
#define NUMBERED_COLUMN \
	"LEFT JOIN LATERAL (SELECT a.attname FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped AND a.attnotnull " \
	"AND (a.attidentity <> '' OR EXISTS (SELECT FROM pg_depend d JOIN pg_class q ON q.oid = d.objid AND q.relkind = 'S' WHERE d.classid = 'pg_class'::regclass AND d.refclassid = 'pg_class'::regclass " \
	"AND d.refobjid = c.oid AND d.refobjsubid = a.attnum AND d.deptype = 'a')) ORDER BY a.attnum LIMIT 1) numbered ON true " \
	"CROSS JOIN LATERAL (SELECT n.name FROM unnest(ARRAY['id', 'row_id', 'row_number_' || c.oid]) WITH ORDINALITY n (name, place) " \
	"WHERE NOT EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attname = n.name) ORDER BY n.place LIMIT 1) free "

static const DbopsRule rules[] = {
	{
		.name = "tables.no_primary_key",
		.severity = DBOPS_WARNING,
		.about = "tables without a primary key",
		.source = "splinter 0004, pg-index-health, SchemaCrawler",
		.sql = "SELECT c.oid::regclass::text,"
		" CASE WHEN best.columns IS NOT NULL THEN format('it has no primary key, though (%s) could be it', best.columns)"
		" ELSE 'it has no primary key: nothing names one row, and logical replication cannot change one' END,"
		" CASE WHEN best.as_is AND best.constraint IS NULL THEN format('ALTER TABLE %s ADD CONSTRAINT %2$I PRIMARY KEY USING INDEX %2$I;', c.oid::regclass, best.relname)"
		" WHEN best.columns IS NOT NULL THEN format('ALTER TABLE %s ADD PRIMARY KEY (%s);', c.oid::regclass, best.columns)"
		" WHEN numbered.attname IS NOT NULL AND c.relkind = 'r' THEN format('ALTER TABLE %s ADD PRIMARY KEY (%I);', c.oid::regclass, numbered.attname)"
		" WHEN c.relkind = 'r' AND c.reloftype = 0 THEN format('ALTER TABLE %s ADD COLUMN %I bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY;', c.oid::regclass, free.name)"
		" ELSE 'Add a primary key; that of a partitioned table must have the columns of the partition key.' END,"
		" CASE WHEN best.columns IS NOT NULL THEN 'info' END"
		" FROM pg_class c " BEST_KEY NUMBERED_COLUMN
		" WHERE " IS_TABLE("c") " AND c.relnatts > 0"
		" AND NOT (c.relname LIKE 'template\\_%' AND c.relnamespace = (SELECT n.oid FROM pg_namespace n WHERE n.nspname = 'partman'))"
		" AND NOT EXISTS (SELECT FROM pg_index p WHERE p.indrelid = c.oid AND p.indisprimary)"
	},
	{
		.name = "tables.no_replica_identity",
		.severity = DBOPS_CRITICAL,
		.about = "published tables whose rows can be neither updated nor deleted, for want of a replica identity",
		.source = "PostgreSQL's manual, splinter",
		.sql = "WITH RECURSIVE up (leaf, oid, schema) AS ("
		"SELECT c.oid, c.oid, c.relnamespace FROM pg_class c WHERE c.relkind = 'r' AND c.relpersistence = 'p' AND " IS_USERS("c")
		" AND (c.relreplident = 'n' OR (c.relreplident = 'd' AND NOT EXISTS (SELECT FROM pg_index i WHERE i.indrelid = c.oid AND i.indisprimary AND i.indimmediate AND i.indisvalid))"
		" OR (c.relreplident = 'i' AND NOT EXISTS (SELECT FROM pg_index i WHERE i.indrelid = c.oid AND i.indisreplident AND i.indimmediate AND i.indisvalid)))"
		" UNION ALL SELECT up.leaf, p.oid, p.relnamespace FROM up JOIN pg_inherits h ON h.inhrelid = up.oid JOIN pg_class p ON p.oid = h.inhparent AND p.relkind = 'p'),"
		" published (name, relation, schema, all_tables) AS ("
		"SELECT p.pubname, r.prrelid, n.pnnspid, p.puballtables FROM pg_publication p LEFT JOIN pg_publication_rel r ON r.prpubid = p.oid"
		" LEFT JOIN pg_publication_namespace n ON n.pnpubid = p.oid WHERE p.pubupdate OR p.pubdelete)"
		" SELECT up.leaf::regclass::text, format('UPDATE and DELETE of its rows fail, since it is published by %s without a replica identity',"
		" string_agg(DISTINCT quote_ident(b.name), ', ')), format('ALTER TABLE %s REPLICA IDENTITY FULL;', up.leaf::regclass)"
		" FROM up JOIN published b ON b.all_tables OR b.relation = up.oid OR b.schema = up.schema GROUP BY up.leaf"
	},
	{
		.name = "constraints.nullable_unique",
		.severity = DBOPS_INFO,
		.about = "unique keys of several columns, of which a null in one lets duplicates in",
		.source = "guide 001's checklist, PostgreSQL's manual",
		.sql = "SELECT format('%s.%I', c.oid::regclass, x.relname),"
		" format('rows with a null in %s are never duplicates of each other, whatever the other columns hold', nulls.columns),"
		" CASE WHEN k.oid IS NOT NULL AND i.indnkeyatts = i.indnatts AND NOT k.condeferrable AND NOT EXISTS (SELECT FROM pg_constraint f WHERE f.conindid = i.indexrelid AND f.contype = 'f')"
		" THEN format('ALTER TABLE %s DROP CONSTRAINT %I, ADD CONSTRAINT %2$I UNIQUE NULLS NOT DISTINCT (%s);', c.oid::regclass, k.conname, nulls.keys)"
		" ELSE 'Declare the columns NOT NULL, or make the index anew as NULLS NOT DISTINCT, and drop this one when the other one is valid.' END"
		" FROM pg_index i JOIN pg_class c ON c.oid = i.indrelid JOIN pg_class x ON x.oid = i.indexrelid"
		" LEFT JOIN pg_constraint k ON k.conindid = i.indexrelid AND k.conrelid = c.oid AND k.contype = 'u'"
		" CROSS JOIN LATERAL (SELECT string_agg(quote_ident(a.attname), ', ' ORDER BY u.n) FILTER (WHERE NOT a.attnotnull) AS columns,"
		" string_agg(quote_ident(a.attname), ', ' ORDER BY u.n) AS keys"
		" FROM unnest(i.indkey::int2[]) WITH ORDINALITY u (attnum, n) JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = u.attnum WHERE u.n <= i.indnkeyatts) nulls"
		" WHERE i.indisunique AND NOT i.indisprimary AND i.indnkeyatts > 1 AND i.indpred IS NULL AND i.indexprs IS NULL AND NOT i.indnullsnotdistinct AND NOT i.indisexclusion"
		" AND nulls.columns IS NOT NULL AND " IS_TABLE("c")
	},
	{
		.name = "constraints.not_valid",
		.severity = DBOPS_WARNING,
		.about = "constraints that existing rows need not fulfil",
		.source = "pg-index-health",
		.sql = "SELECT format('%s.%I', k.conrelid::regclass, k.conname), 'rows that were there before need not fulfil it, and the planner may not rely on it',"
		" format('ALTER TABLE %s VALIDATE CONSTRAINT %I;', k.conrelid::regclass, k.conname)"
		" FROM pg_constraint k JOIN pg_class c ON c.oid = k.conrelid"
		" WHERE NOT k.convalidated AND k.conparentid = 0 AND k.coninhcount = 0 AND NOT (" CONSTRAINT_IS_NOT_ENFORCED("k") ") AND " IS_USERS("c")
	},
	{
		.name = "constraints.not_enforced",
		.severity = DBOPS_INFO,
		.about = "constraints that are declared and not enforced",
		.source = "PostgreSQL 18's manual",
		.sql = "SELECT format('%s.%I', k.conrelid::regclass, k.conname), 'it is declared and nobody checks it',"
		" 'ALTER TABLE ... ALTER CONSTRAINT ... ENFORCED, where the rows fulfil it; or drop it.'"
		" FROM pg_constraint k JOIN pg_class c ON c.oid = k.conrelid"
		" WHERE (" CONSTRAINT_IS_NOT_ENFORCED("k") ") AND k.conparentid = 0 AND k.coninhcount = 0 AND " IS_USERS("c")
	},
	{
		.name = "triggers.disabled",
		.severity = DBOPS_WARNING,
		.about = "triggers that do not fire, those of foreign keys too",
		.source = "check_postgres",
		.sql = "SELECT format('%s.%I', t.tgrelid::regclass, t.tgname),"
		" CASE WHEN t.tgisinternal THEN format('the trigger of constraint %I is disabled, so that nothing checks it', k.conname) ELSE 'the trigger is disabled' END,"
		" CASE WHEN t.tgisinternal THEN format('ALTER TABLE %s ENABLE TRIGGER ALL;', t.tgrelid::regclass)"
		" ELSE format('ALTER TABLE %s ENABLE TRIGGER %I;', t.tgrelid::regclass, t.tgname) END,"
		" CASE WHEN t.tgisinternal THEN 'critical' END"
		" FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid LEFT JOIN pg_constraint k ON k.oid = t.tgconstraint"
		" WHERE t.tgenabled = 'D' AND t.tgparentid = 0 AND " IS_USERS("c")
	}
};

const DbopsRuleSet dbops_key_rules = {.review = "schema", .rules = rules, .n_rules = lengthof(rules)};
