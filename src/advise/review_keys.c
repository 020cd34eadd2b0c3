/*
 * review_keys.c
 *		Rules about what tells rows apart: primary keys, unique keys, the identity
 *		that logical replication needs.
 *
 * A partition is judged with its root, but for replication, which looks at each.
 * The templates of pg_partman hold no rows.
 */
#include "advise/review.h"
#include "advise/review_sql.h"

/* The columns of a key of index i of table c that a condition on attribute a is true of, in their order. */
#define KEY_COLUMNS(condition) \
	"(SELECT string_agg(quote_ident(a.attname), ', ' ORDER BY u.n) FROM unnest(i.indkey::int2[]) WITH ORDINALITY u (attnum, n) " \
	"JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = u.attnum WHERE u.n <= i.indnkeyatts AND " condition ")"

/* Whether a constraint can take index i: in the order of its columns, as PRIMARY KEY (...) would make it. */
#define IS_ORDINARY \
	"(NOT i.indoption::int2[] && '{1,2,3}'::int2[] AND NOT i.indnullsnotdistinct AND NOT EXISTS (SELECT FROM unnest(i.indkey::int2[], i.indclass::oid[], i.indcollation::oid[]) WITH ORDINALITY u (attnum, class, coll, n) " \
	"JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = u.attnum JOIN pg_opclass o ON o.oid = u.class WHERE u.n <= i.indnkeyatts AND (NOT o.opcdefault OR u.coll <> a.attcollation)))"

/* A unique index that could be the primary key as it stands. */
#define BEST_KEY \
	"LEFT JOIN LATERAL (SELECT i.indexrelid, x.relname, k.oid AS constraint, x.relam = 403 AND c.relkind = 'r' AND " IS_ORDINARY " AS as_is, " KEY_COLUMNS("true") " AS columns " \
	"FROM pg_index i JOIN pg_class x ON x.oid = i.indexrelid LEFT JOIN pg_constraint k ON k.conindid = i.indexrelid AND k.conrelid = c.oid AND k.contype = 'u' " \
	"WHERE i.indrelid = c.oid AND i.indisunique AND i.indisvalid AND i.indimmediate AND i.indpred IS NULL AND i.indexprs IS NULL " \
	"AND " KEY_COLUMNS("NOT a.attnotnull") " IS NULL ORDER BY i.indnkeyatts, i.indexrelid LIMIT 1) best ON true "

/* A unique index that tells rows apart, though it has an expression or columns that may be null. */
#define OTHER_KEY \
	"LEFT JOIN LATERAL (SELECT x.relname FROM pg_index i JOIN pg_class x ON x.oid = i.indexrelid WHERE i.indrelid = c.oid AND i.indisunique AND i.indisvalid AND i.indimmediate " \
	"AND i.indpred IS NULL ORDER BY i.indexprs IS NOT NULL, i.indnkeyatts, i.indexrelid LIMIT 1) other ON true "

/* A column that is numbered by a sequence, and a name that no column has yet. */
#define NUMBERED_COLUMN \
	"LEFT JOIN LATERAL (SELECT a.attname FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped AND a.attnotnull " \
	"AND (a.attidentity <> '' OR EXISTS (SELECT FROM pg_depend d JOIN pg_class q ON q.oid = d.objid AND q.relkind = 'S' WHERE d.classid = 'pg_class'::regclass AND d.refclassid = 'pg_class'::regclass " \
	"AND d.refobjid = c.oid AND d.refobjsubid = a.attnum AND d.deptype = 'a')) ORDER BY a.attnum LIMIT 1) numbered ON true " \
	"CROSS JOIN LATERAL (SELECT n.name FROM unnest(ARRAY['id', 'row_id', 'row_number_' || c.oid]) WITH ORDINALITY n (name, place) " \
	"WHERE NOT EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attname = n.name) ORDER BY n.place LIMIT 1) free "

/* Whether other servers have the table's columns, too, or this one has those of another. */
#define IS_REPLICATED \
	"(EXISTS (SELECT FROM pg_publication p WHERE p.puballtables) OR EXISTS (SELECT FROM pg_publication_rel p WHERE p.prrelid = c.oid) " \
	"OR EXISTS (SELECT FROM pg_publication_namespace p WHERE p.pnnspid = c.relnamespace) OR EXISTS (SELECT FROM pg_subscription_rel s WHERE s.srrelid = c.oid))"

static const DbopsRule rules[] = {
	{
		.name = "tables.no_primary_key",
		.severity = DBOPS_WARNING,
		.about = "tables without a primary key",
		.source = "splinter 0004, pg-index-health, SchemaCrawler",
		.sql = "SELECT c.oid::regclass::text,"
		" CASE WHEN best.columns IS NOT NULL THEN format('it has no primary key, though (%s) could be it', best.columns)"
		" WHEN numbered.attname IS NULL AND other.relname IS NOT NULL THEN format('it has no primary key, and its unique index %I cannot be one as it is, with columns that may be null or an expression', other.relname)"
		" ELSE 'it has no primary key: nothing names one row, and logical replication cannot change one' || CASE WHEN numbered.attname IS NULL AND c.relkind = 'r'"
		" THEN '; a column more rewrites the table, nobody can read it meanwhile, and an INSERT without a list of columns may fail then' ELSE '' END END,"
		" CASE WHEN best.as_is AND best.constraint IS NULL THEN format('ALTER TABLE %s ADD CONSTRAINT %2$I PRIMARY KEY USING INDEX %2$I;', c.oid::regclass, best.relname)"
		" WHEN best.columns IS NOT NULL THEN format('ALTER TABLE %s ADD PRIMARY KEY (%s);', c.oid::regclass, best.columns)"
		" WHEN numbered.attname IS NOT NULL AND c.relkind = 'r' THEN format('ALTER TABLE %s ADD PRIMARY KEY (%I);', c.oid::regclass, numbered.attname)"
		" WHEN other.relname IS NOT NULL THEN 'Declare the columns NOT NULL that tell its rows apart, and make them the primary key.'"
		" WHEN " IS_REPLICATED " THEN 'Find the columns that name a row, and add a primary key of them; a column more is to be added on the subscribers first, or replication stops.'"
		" WHEN c.relkind = 'r' AND c.reloftype = 0 AND NOT " IS_LARGE " AND NOT EXISTS (SELECT FROM pg_inherits h WHERE c.oid IN (h.inhparent, h.inhrelid)) THEN format('ALTER TABLE %s ADD COLUMN %I bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY;', c.oid::regclass, free.name)"
		" WHEN c.relkind = 'p' THEN 'Add a primary key; that of a partitioned table must have the columns of the partition key.'"
		" ELSE 'Find the columns that name a row, and add a primary key of them.' END,"
		" CASE WHEN best.columns IS NOT NULL THEN 'info' END"
		" FROM pg_class c " BEST_KEY OTHER_KEY NUMBERED_COLUMN
		" WHERE " IS_TABLE("c") " AND c.relnatts > 0"
		" AND NOT (c.relname LIKE 'template\\_%' AND EXISTS (SELECT FROM pg_namespace n WHERE n.oid = c.relnamespace AND n.nspname = 'partman'))"
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
		" published (leaf, name) AS ("
		"SELECT up.leaf, p.pubname FROM up JOIN pg_publication_rel r ON r.prrelid = up.oid JOIN pg_publication p ON p.oid = r.prpubid WHERE p.pubupdate OR p.pubdelete"
		" UNION SELECT up.leaf, p.pubname FROM up JOIN pg_publication_namespace n ON n.pnnspid = up.schema JOIN pg_publication p ON p.oid = n.pnpubid WHERE p.pubupdate OR p.pubdelete"
		" UNION SELECT up.leaf, p.pubname FROM up CROSS JOIN pg_publication p WHERE up.leaf = up.oid AND p.puballtables AND (p.pubupdate OR p.pubdelete))"
		" SELECT b.leaf::regclass::text, format('UPDATE and DELETE of its rows fail, since it is published by %s without a replica identity',"
		" string_agg(quote_ident(b.name), ', ' ORDER BY b.name)), CASE WHEN EXISTS (SELECT FROM pg_publication_rel r JOIN up ON up.oid = r.prrelid WHERE up.leaf = b.leaf AND r.prattrs IS NOT NULL)"
		" THEN 'Give it a primary key that the published columns include; with a list of columns, REPLICA IDENTITY FULL does not do.'"
		" ELSE format('ALTER TABLE %s REPLICA IDENTITY FULL;', b.leaf::regclass) END FROM published b GROUP BY b.leaf"
	},
	{
		.name = "constraints.nullable_unique",
		.severity = DBOPS_INFO,
		.about = "unique keys of several columns, of which a null in one lets duplicates in",
		.source = "guide 001's checklist, PostgreSQL's manual",
		.sql = "SELECT format('%s.%I', c.oid::regclass, x.relname), format('rows with a null in %s are never duplicates of each other, whatever the other columns hold', nulls.columns),"
		" 'If a row without such a value may be there only once, make a unique index with NULLS NOT DISTINCT, and drop this one when that is valid; if none may be there, declare the columns NOT NULL.'"
		" FROM pg_index i JOIN pg_class c ON c.oid = i.indrelid JOIN pg_class x ON x.oid = i.indexrelid"
		" CROSS JOIN LATERAL (SELECT " KEY_COLUMNS("NOT a.attnotnull") " AS columns) nulls"
		" WHERE i.indisunique AND NOT i.indisprimary AND i.indnkeyatts > 1 AND i.indpred IS NULL AND i.indexprs IS NULL AND NOT i.indnullsnotdistinct AND NOT i.indisexclusion"
		" AND nulls.columns IS NOT NULL AND " IS_TABLE("c")
	},
	{
		.name = "constraints.not_valid",
		.severity = DBOPS_WARNING,
		.about = "constraints that existing rows need not fulfil",
		.source = "pg-index-health",
		.sql = "SELECT k.object, k.message, k.remedy FROM " DBOPS_NOT_VALID_CONSTRAINTS " k LEFT JOIN pg_class c ON c.oid = k.relation"
		" WHERE CASE WHEN k.relation = 0 THEN k.namespace = ANY ($2) ELSE " IS_USERS("c") " END"
	},
	{
		.name = "constraints.not_enforced",
		.severity = DBOPS_INFO,
		.about = "constraints that are declared and not enforced",
		.source = "PostgreSQL 18's manual",
		.sql = "SELECT format('%s.%I', k.conrelid::regclass, k.conname), 'it is declared and nobody checks it',"
		" 'Have it enforced, where the rows fulfil it, or drop it.'"
		" FROM pg_constraint k JOIN pg_class c ON c.oid = k.conrelid"
		" WHERE (" CONSTRAINT_IS_NOT_ENFORCED("k") ") AND k.conparentid = 0 AND k.coninhcount = 0 AND " IS_USERS("c")
	},
	{
		.name = "triggers.disabled",
		.severity = DBOPS_WARNING,
		.about = "triggers that do not fire, those of foreign keys too",
		.source = "check_postgres",
		.sql = "SELECT t.object, t.message, t.remedy, CASE WHEN t.is_constraint THEN 'critical' END FROM " DBOPS_DISABLED_TRIGGERS " t JOIN pg_class c ON c.oid = t.relation WHERE " IS_USERS("c")
	}
};

const DbopsRuleSet dbops_key_rules = {.review = "schema", .rules = rules, .n_rules = lengthof(rules)};
