/*
 * review_sql.h
 *		What the queries of several rules are made of.
 */
#ifndef DBOPS_REVIEW_SQL_H
#define DBOPS_REVIEW_SQL_H

/* A name in lower case with its words apart, however it is written. */
#define WORDS(name) \
	"lower(regexp_replace(" name ", '([a-z0-9])([A-Z])', '\\1_\\2', 'g'))"

/* How much room a relation took when it was last vacuumed or analyzed. */
#define BYTES(alias) \
	"(" alias ".relpages::int8 * current_setting('block_size')::int8)"

/* Types that say when: date, timestamp, timestamptz. */
#define TYPES_OF_TIME	"(1082, 1114, 1184)"

/* Columns that are declared where they are, by a user. */
#define USERS_COLUMNS \
	"FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid WHERE a.attnum > 0 AND NOT a.attisdropped AND a.attinhcount = 0 AND " IS_TABLE("c")

/* What is below a table with row level security, as its partitions are; its policies do not hold for who names what is below it. */
#define BELOW \
	"below (relation, secured) AS (SELECT h.inhrelid, h.inhparent FROM pg_class t JOIN pg_inherits h ON h.inhparent = t.oid WHERE t.relrowsecurity AND t.relkind IN ('r', 'p') " \
	"UNION SELECT h.inhrelid, b.secured FROM below b JOIN pg_inherits h ON h.inhparent = b.relation)"

/* ---- changes of a column's type, of attribute a of relation c ---- */

/* Whether the server would refuse to change the column's type. */
#define IS_TIED \
	"(EXISTS (SELECT FROM pg_depend d WHERE d.refclassid = 'pg_class'::regclass AND d.refobjid = a.attrelid AND d.refobjsubid = a.attnum " \
	"AND (d.classid IN ('pg_rewrite'::regclass, 'pg_policy'::regclass, 'pg_trigger'::regclass, 'pg_proc'::regclass, 'pg_publication_rel'::regclass) " \
	"OR d.classid = 'pg_attrdef'::regclass AND EXISTS (SELECT FROM pg_attrdef e WHERE e.oid = d.objid AND e.adnum <> a.attnum))) " \
	"OR EXISTS (SELECT FROM pg_partitioned_table p WHERE p.partrelid = a.attrelid AND a.attnum = ANY (p.partattrs::int2[])) OR c.reloftype <> 0 " \
	"OR EXISTS (SELECT FROM pg_depend d WHERE d.refclassid = 'pg_type'::regclass AND d.refobjid IN (c.reltype, (SELECT y.typarray FROM pg_type y WHERE y.oid = c.reltype)) " \
	"AND d.classid = 'pg_class'::regclass AND d.objsubid > 0))"

/* Whether an expression, a foreign key or an operator class compares it, which may have no meaning for another type. */
#define IS_COMPARED \
	"(EXISTS (SELECT FROM pg_constraint k WHERE k.conrelid = a.attrelid AND k.contype = 'c' AND a.attnum = ANY (k.conkey)) " \
	"OR EXISTS (SELECT FROM pg_index i JOIN pg_depend d ON d.classid = 'pg_class'::regclass AND d.objid = i.indexrelid AND d.refclassid = 'pg_class'::regclass " \
	"AND d.refobjid = a.attrelid AND d.refobjsubid = a.attnum WHERE i.indrelid = a.attrelid AND (i.indexprs IS NOT NULL OR i.indpred IS NOT NULL)) " \
	"OR EXISTS (SELECT FROM pg_constraint k WHERE k.contype = 'f' AND (k.conrelid = a.attrelid AND a.attnum = ANY (k.conkey) OR k.confrelid = a.attrelid AND a.attnum = ANY (k.confkey))) " \
	"OR EXISTS (SELECT FROM pg_index i JOIN unnest(i.indkey::int2[], i.indclass::oid[]) u (attnum, class) ON u.attnum = a.attnum JOIN pg_opclass o ON o.oid = u.class AND NOT o.opcdefault WHERE i.indrelid = a.attrelid))"

/* From 1 GB on, and where the leaves are what is large. */
#define IS_LARGE \
	"(c.relkind = 'p' OR " BYTES("c") " >= 1073741824)"

#define IS_TIED_REMEDY \
	"'A view, a policy, a trigger, the partition key or a column of the table''s own type depends on it and must be created anew around the change of its type.'"

#define IS_LARGE_REMEDY \
	"'Change it in steps: another column that a trigger keeps, dbops.batched_backfill() for the rows that there are, and a swap of the names.'"

#define REWRITES	"; to change its type rewrites the table, and nobody can read it meanwhile"

/* Statements, or why it is more than one. */
#define CHANGE_TYPE(statements) \
	"CASE WHEN " IS_TIED " THEN " IS_TIED_REMEDY " WHEN " IS_LARGE " THEN " IS_LARGE_REMEDY " ELSE " statements " END"

#endif							/* DBOPS_REVIEW_SQL_H */
