/*
 * schema_tables.c
 *		The queries of a snapshot for tables and their parts.
 *
 * None of them has the server write a definition: it would open the table.
 * Keys, checks and indexes come in the parts that the catalogs consist of,
 * which also says more exactly what differs. Parts are named by their table
 * and their own name; that is how a comparison knows whose parts they are.
 *
 * What belongs to one object comes from a correlated subquery, by an index:
 * for a group that is joined the planner would need to know how many there
 * are. Everything else is joined by hashing.
 */
#include "change/schema.h"

/* Relations that are the users'; "some": only those that are asked for. */
#define RELATIONS(kinds, some) \
	"(SELECT c.*, quote_ident(n.nspname) || '.' || quote_ident(c.relname) AS object" \
	" FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace" \
	" WHERE c.relkind IN (" kinds ") AND" SCHEMA_CHOSEN "AND" SCHEMA_NOT_MEMBER("pg_class", "c.oid") some("c.oid") ") r "

/* The names of columns whose numbers an array has. */
#define COLUMNS(numbers, table) \
	"(SELECT array_agg((SELECT quote_ident(a.attname) FROM pg_attribute a WHERE a.attrelid = " table " AND a.attnum = k.number)" \
	" ORDER BY k.place) FROM unnest(" numbers ") WITH ORDINALITY AS k (number, place))"

/* The same of keys, with what is not usual of each; an expression has a place, (?). */
#define KEYS(numbers, classes, collations, flags, table, index, count) \
	"(SELECT array_agg(" \
	" CASE WHEN k.number = 0 THEN '(?)' || CASE WHEN k.collated IN (0, 100) THEN '' ELSE ' COLLATE ' || k.collated::regcollation::text END" \
	" ELSE (SELECT quote_ident(a.attname) || CASE WHEN k.collated IN (0, a.attcollation) THEN '' ELSE ' COLLATE ' || k.collated::regcollation::text END" \
	"  FROM pg_attribute a WHERE a.attrelid = " table " AND a.attnum = k.number) END" \
	" || CASE WHEN (SELECT o.opcdefault FROM pg_opclass o WHERE o.oid = k.class) THEN ''" \
	"  ELSE (SELECT ' ' || CASE WHEN pg_opclass_is_visible(o.oid) THEN '' ELSE quote_ident(n.nspname) || '.' END || quote_ident(o.opcname)" \
	"  FROM pg_opclass o JOIN pg_namespace n ON n.oid = o.opcnamespace WHERE o.oid = k.class) END" \
	" || coalesce((SELECT ' (' || array_to_string(i.attoptions, ', ') || ')' FROM pg_attribute i WHERE i.attrelid = " index " AND i.attnum = k.place), '')" \
	" || CASE k.flags & 3 WHEN 1 THEN ' DESC NULLS LAST' WHEN 3 THEN ' DESC' WHEN 2 THEN ' NULLS FIRST' ELSE '' END" \
	" ORDER BY k.place) FROM unnest(" numbers "::int2[], " classes "::oid[], " collations "::oid[], " flags ") WITH ORDINALITY AS k (number, class, collated, flags, place)" \
	" WHERE k.place <= " count ")"

/*
 * The order of a table's columns is an attribute of the table: one that is
 * dropped would otherwise change all that follow it.
 */
#define TABLE_SQL(some) \
	"SELECT r.object, r.oid AS _number, pg_get_userbyid(r.relowner) AS owner, r.relpersistence = 'u' AS unlogged," \
	" (SELECT array_agg(quote_ident(a.attname) ORDER BY a.attnum) FROM pg_attribute a WHERE a.attrelid = r.oid AND a.attnum > 0 AND NOT a.attisdropped) AS columns," \
	" CASE WHEN r.reltablespace <> 0 THEN (SELECT s.spcname FROM pg_tablespace s WHERE s.oid = r.reltablespace) END AS tablespace," \
	" (SELECT nullif(m.amname, 'heap') FROM pg_am m WHERE m.oid = r.relam) AS access_method," \
	" CASE WHEN r.relkind <> 'f' THEN CASE r.relreplident WHEN 'f' THEN 'full' WHEN 'n' THEN 'nothing' WHEN 'i' THEN 'index' END END AS replica_identity," \
	" r.relrowsecurity AS row_security, r.relforcerowsecurity AS force_row_security," \
	" CASE WHEN r.reloftype <> 0 THEN format_type(r.reloftype, NULL) END AS of_type," \
	" CASE p.partstrat WHEN 'r' THEN 'range' WHEN 'l' THEN 'list' WHEN 'h' THEN 'hash' END AS partitioned_by," \
	" CASE WHEN p.partrelid IS NOT NULL THEN " \
	KEYS("p.partattrs", "p.partclass", "p.partcollation", "NULL::int2[]", "r.oid", "0", "p.partnatts") " END AS partition_key," \
	" p.partexprs AS _expressions, r.oid AS _table, r.relpartbound AS partition_bound," \
	" CASE WHEN r.relispartition THEN (SELECT i.inhparent::regclass::text FROM pg_inherits i WHERE i.inhrelid = r.oid LIMIT 1) END AS partition_of," \
	" CASE WHEN r.relispartition THEN (SELECT i.inhdetachpending FROM pg_inherits i WHERE i.inhrelid = r.oid LIMIT 1) END AS detaching," \
	" CASE WHEN NOT r.relispartition THEN (SELECT array_agg(i.inhparent::regclass::text ORDER BY i.inhseqno) FROM pg_inherits i WHERE i.inhrelid = r.oid) END AS inherits," \
	" CASE WHEN r.relkind = 'f' THEN (SELECT s.srvname FROM pg_foreign_table f JOIN pg_foreign_server s ON s.oid = f.ftserver WHERE f.ftrelid = r.oid) END AS server," \
	" CASE WHEN r.relkind = 'f' THEN (SELECT f.ftoptions FROM pg_foreign_table f WHERE f.ftrelid = r.oid) END AS foreign_options," \
	" r.reloptions AS options," \
	" CASE WHEN r.reltoastrelid <> 0 THEN (SELECT t.reloptions FROM pg_class t WHERE t.oid = r.reltoastrelid) END AS toast_options," \
	" d.description AS comment, r.relacl AS grants, r.relowner AS _owner," \
	" CASE WHEN r.relacl IS NOT NULL THEN acldefault('r', r.relowner) END AS _default" \
	" FROM " RELATIONS("'r', 'p', 'f'", some) \
	" LEFT JOIN pg_partitioned_table p ON p.partrelid = r.oid" \
	SCHEMA_COMMENT("pg_class", "r.oid")

/* Of NOT NULL constraints with names of their own (18) only what is unusual. */
#define COLUMN_SQL(some) \
	"SELECT r.object || '.' || quote_ident(a.attname) AS object, r.oid AS _number, format_type(a.atttypid, a.atttypmod) AS type," \
	" a.attnotnull AS not_null," \
	" CASE WHEN n.conname <> r.relname || '_' || a.attname || '_not_null' THEN n.conname END AS not_null_name," \
	" NOT n.convalidated AS not_null_not_valid, n.connoinherit AS not_null_no_inherit," \
	" CASE WHEN a.attgenerated = '' THEN f.adbin END AS \"default\"," \
	" CASE WHEN a.attgenerated <> '' THEN f.adbin END AS generated, a.attgenerated = 'v' AS virtual, r.oid AS _table," \
	" CASE a.attidentity WHEN 'a' THEN 'always' WHEN 'd' THEN 'by default' END AS identity," \
	" CASE WHEN a.attcollation <> t.typcollation THEN a.attcollation::regcollation::text END AS collation," \
	" CASE WHEN a.attstorage <> t.typstorage THEN CASE a.attstorage WHEN 'p' THEN 'plain' WHEN 'e' THEN 'external' WHEN 'm' THEN 'main' ELSE 'extended' END END AS storage," \
	" CASE a.attcompression WHEN 'p' THEN 'pglz' WHEN 'l' THEN 'lz4' END AS compression," \
	" nullif(a.attstattarget, -1)::int AS statistics, a.attoptions AS options, a.attfdwoptions AS foreign_options," \
	" a.attinhcount > 0 AS inherited, a.attinhcount > 0 AND a.attislocal AS local, d.description AS comment," \
	" a.attacl AS grants, r.relowner AS _owner" \
	" FROM " RELATIONS("'r', 'p', 'f', 'v', 'm', 'c'", some) \
	" JOIN pg_attribute a ON a.attrelid = r.oid AND a.attnum > 0 AND NOT a.attisdropped" \
	" JOIN pg_type t ON t.oid = a.atttypid" \
	" LEFT JOIN pg_attrdef f ON f.adrelid = a.attrelid AND f.adnum = a.attnum" \
	" LEFT JOIN pg_constraint n ON n.contype = 'n' AND n.conrelid = a.attrelid AND n.conkey[1] = a.attnum" \
	" LEFT JOIN pg_description d ON d.objoid = r.oid AND d.classoid = 'pg_class'::regclass AND d.objsubid = a.attnum"

/* Those of a foreign key that the server adds for partitions on the other side are not the users', unless their triggers are disabled. */
#define CONSTRAINT_SQL(some) \
	"SELECT coalesce(r.object, t.object) || '.' || quote_ident(c.conname) AS object, coalesce(r.oid, t.oid) AS _number," \
	" CASE c.contype WHEN 'p' THEN 'primary key' WHEN 'u' THEN 'unique' WHEN 'f' THEN 'foreign key' WHEN 'x' THEN 'exclude' ELSE 'check' END AS type," \
	" CASE WHEN c.contype IN ('p', 'u', 'f') THEN " COLUMNS("c.conkey", "c.conrelid") " END AS columns," \
	" CASE WHEN c.contype = 'f' THEN c.confrelid::regclass::text END AS \"references\"," \
	" CASE WHEN c.contype = 'f' THEN " COLUMNS("c.confkey", "c.confrelid") " END AS referenced_columns," \
	" CASE WHEN c.contype = 'f' THEN CASE c.confdeltype WHEN 'r' THEN 'restrict' WHEN 'c' THEN 'cascade' WHEN 'n' THEN 'set null' WHEN 'd' THEN 'set default' END END AS on_delete," \
	" CASE WHEN c.contype = 'f' THEN CASE c.confupdtype WHEN 'r' THEN 'restrict' WHEN 'c' THEN 'cascade' WHEN 'n' THEN 'set null' WHEN 'd' THEN 'set default' END END AS on_update," \
	" CASE WHEN c.confdelsetcols IS NOT NULL THEN " COLUMNS("c.confdelsetcols", "c.conrelid") " END AS on_delete_columns," \
	" CASE WHEN c.contype = 'f' THEN CASE c.confmatchtype WHEN 'f' THEN 'full' WHEN 'p' THEN 'partial' END END AS match," \
	" c.conbin AS \"check\", c.conrelid AS _table," \
	" CASE WHEN c.contype = 'x' THEN (SELECT array_agg(o.operator::regoper::text ORDER BY o.place) FROM unnest(c.conexclop) WITH ORDINALITY AS o (operator, place)) END AS operators," \
	" NOT c.convalidated AS not_valid, " CONSTRAINT_IS_NOT_ENFORCED("c") " AS not_enforced, " CONSTRAINT_HAS_PERIOD("c") " AS period," \
	" c.contype = 'c' AND c.connoinherit AS no_inherit," \
	" c.condeferrable AS deferrable, c.condeferred AS initially_deferred," \
	" CASE WHEN c.contype IN ('f', 'p', 'u', 'x') THEN (SELECT array_agg(DISTINCT CASE e.tgenabled WHEN 'D' THEN 'no' WHEN 'R' THEN 'replica' ELSE 'always' END" \
	"  || CASE WHEN e.tgrelid = c.conrelid THEN '' ELSE ' on the referenced table' END) FROM pg_trigger e" \
	"  WHERE e.tgconstraint = c.oid AND e.tgisinternal AND e.tgenabled <> 'O') END AS enabled," \
	" c.coninhcount > 0 AS inherited, c.coninhcount > 0 AND c.conislocal AS local, d.description AS comment" \
	" FROM pg_constraint c LEFT JOIN " RELATIONS("'r', 'p', 'f'", some) " ON r.oid = c.conrelid" \
	" LEFT JOIN (SELECT t.oid, quote_ident(n.nspname) || '.' || quote_ident(t.typname) AS object" \
	"  FROM pg_type t JOIN pg_namespace n ON n.oid = t.typnamespace" \
	"  WHERE t.typtype = 'd' AND" SCHEMA_CHOSEN "AND" SCHEMA_NOT_MEMBER("pg_type", "t.oid") some("t.oid") ") t ON t.oid = c.contypid" \
	SCHEMA_COMMENT("pg_constraint", "c.oid") \
	" WHERE c.contype IN ('c', 'f', 'p', 'u', 'x') AND (r.oid IS NOT NULL OR t.oid IS NOT NULL)" \
	" AND NOT (c.contype = 'f' AND c.conparentid <> 0 AND (SELECT o.conrelid FROM pg_constraint o WHERE o.oid = c.conparentid) = c.conrelid" \
	" AND NOT EXISTS (SELECT FROM pg_trigger e WHERE e.tgconstraint = c.oid AND e.tgisinternal AND e.tgenabled <> 'O'))"

#define INDEX_SQL(some) \
	"SELECT quote_ident(n.nspname) || '.' || quote_ident(i.relname) AS object, r.oid AS _number, r.object AS \"table\"," \
	" CASE WHEN x.indisunique OR x.indisexclusion THEN (SELECT r.object || '.' || quote_ident(c.conname) FROM pg_constraint c" \
	"  WHERE c.conrelid = x.indrelid AND c.conindid = x.indexrelid AND c.contype IN ('p', 'u', 'x')) END AS \"constraint\"," \
	" m.amname AS method," \
	" " KEYS("x.indkey", "x.indclass", "x.indcollation", "x.indoption::int2[]", "x.indrelid", "x.indexrelid", "x.indnkeyatts") " AS keys," \
	" CASE WHEN x.indnatts > x.indnkeyatts THEN " COLUMNS("(x.indkey::int2[])[x.indnkeyatts : ]", "x.indrelid") " END AS include," \
	" CASE WHEN x.indexprs IS NOT NULL THEN (SELECT array_agg('key ' || a.attnum || ': ' || a.attstattarget ORDER BY a.attnum) FROM pg_attribute a" \
	"  WHERE a.attrelid = x.indexrelid AND a.attstattarget >= 0) END AS statistics," \
	" x.indisunique AS \"unique\", x.indnullsnotdistinct AS nulls_not_distinct," \
	" x.indpred AS \"where\", x.indexprs AS _expressions, x.indrelid AS _table," \
	" NOT x.indisvalid AS not_valid, NOT x.indisready AS not_ready," \
	" x.indisclustered AS clustered, x.indisreplident AS replica_identity," \
	" CASE WHEN i.relispartition THEN (SELECT h.inhparent::regclass::text FROM pg_inherits h WHERE h.inhrelid = i.oid) END AS partition_of," \
	" CASE WHEN i.reltablespace <> 0 THEN (SELECT s.spcname FROM pg_tablespace s WHERE s.oid = i.reltablespace) END AS tablespace," \
	" i.reloptions AS options, d.description AS comment" \
	" FROM pg_index x JOIN " RELATIONS("'r', 'p', 'm'", some) " ON r.oid = x.indrelid" \
	" JOIN pg_class i ON i.oid = x.indexrelid JOIN pg_namespace n ON n.oid = i.relnamespace JOIN pg_am m ON m.oid = i.relam" \
	SCHEMA_COMMENT("pg_class", "i.oid")

#define TRIGGER_SQL(some) \
	"SELECT r.object || '.' || quote_ident(t.tgname) AS object, r.oid AS _number," \
	" CASE t.tgenabled WHEN 'D' THEN 'no' WHEN 'R' THEN 'replica' WHEN 'A' THEN 'always' END AS enabled," \
	" CASE WHEN t.tgtype & 2 <> 0 THEN 'before' WHEN t.tgtype & 64 <> 0 THEN 'instead of' ELSE 'after' END AS timing," \
	" concat_ws(' or ', CASE WHEN t.tgtype & 4 <> 0 THEN 'insert' END, CASE WHEN t.tgtype & 16 <> 0 THEN 'update' END," \
	"  CASE WHEN t.tgtype & 8 <> 0 THEN 'delete' END, CASE WHEN t.tgtype & 32 <> 0 THEN 'truncate' END) AS events," \
	" t.tgtype & 1 <> 0 AS for_each_row," \
	" CASE WHEN t.tgattr[0] IS NOT NULL THEN " COLUMNS("t.tgattr::int2[]", "t.tgrelid") " END AS columns," \
	" t.tgfoid::regprocedure::text AS function," \
	" CASE WHEN t.tgnargs > 0 THEN (string_to_array(encode(t.tgargs, 'escape'), '\\000'))[1 : t.tgnargs] END AS arguments," \
	" t.tgqual AS \"when\", r.oid AS _table, true AS _old_and_new," \
	" t.tgoldtable AS old_table, t.tgnewtable AS new_table," \
	" t.tgconstraint <> 0 AS is_constraint, t.tgdeferrable AS deferrable, t.tginitdeferred AS initially_deferred," \
	" CASE WHEN t.tgconstrrelid <> 0 THEN t.tgconstrrelid::regclass::text END AS from_table," \
	" t.tgparentid <> 0 AS inherited, d.description AS comment" \
	" FROM " RELATIONS("'r', 'p', 'f', 'v'", some) " JOIN pg_trigger t ON t.tgrelid = r.oid AND NOT t.tgisinternal" \
	SCHEMA_COMMENT("pg_trigger", "t.oid")

/* An expression with a subquery locks what that reads. */
#define POLICY_SQL(some) \
	"SELECT r.object || '.' || quote_ident(p.polname) AS object, r.oid AS _number," \
	" CASE p.polcmd WHEN 'r' THEN 'select' WHEN 'a' THEN 'insert' WHEN 'w' THEN 'update' WHEN 'd' THEN 'delete' ELSE 'all' END AS command," \
	" NOT p.polpermissive AS restrictive," \
	" (SELECT array_agg(x.name ORDER BY x.name) FROM (SELECT CASE WHEN o = 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(o)) END COLLATE \"C\" AS name" \
	"  FROM unnest(p.polroles) o) x) AS roles," \
	" p.polqual AS \"using\", p.polwithcheck AS with_check, r.oid AS _table, d.description AS comment" \
	" FROM " RELATIONS("'r', 'p'", some) " JOIN pg_policy p ON p.polrelid = r.oid" \
	SCHEMA_COMMENT("pg_policy", "p.oid")

#define SEQUENCE_SQL(some) \
	"SELECT r.object, r.oid AS _number, pg_get_userbyid(r.relowner) AS owner, r.relpersistence = 'u' AS unlogged, format_type(s.seqtypid, NULL) AS type," \
	" nullif(s.seqstart, 1) AS start, nullif(s.seqincrement, 1) AS increment, nullif(s.seqmin, 1) AS minimum," \
	" nullif(s.seqmax, CASE s.seqtypid WHEN 20 THEN 9223372036854775807 WHEN 23 THEN 2147483647 ELSE 32767 END) AS maximum," \
	" nullif(s.seqcache, 1) AS cache, s.seqcycle AS cycle," \
	" (SELECT o.refobjid::regclass::text || '.' || (SELECT quote_ident(a.attname) FROM pg_attribute a WHERE a.attrelid = o.refobjid AND a.attnum = o.refobjsubid)" \
	"  FROM pg_depend o WHERE o.classid = 'pg_class'::regclass AND o.objid = r.oid AND o.objsubid = 0" \
	"  AND o.refclassid = 'pg_class'::regclass AND o.refobjsubid > 0 AND o.deptype IN ('a', 'i') LIMIT 1) AS owned_by," \
	" d.description AS comment, r.relacl AS grants, r.relowner AS _owner," \
	" CASE WHEN r.relacl IS NOT NULL THEN acldefault('s', r.relowner) END AS _default" \
	" FROM " RELATIONS("'S'", some) " JOIN pg_sequence s ON s.seqrelid = r.oid" \
	SCHEMA_COMMENT("pg_class", "r.oid")

/* The server locks what a query reads when it writes it. */
#define VIEW_SQL(kind, some) \
	"SELECT r.object, r.oid AS _number, pg_get_userbyid(r.relowner) AS owner, pg_get_viewdef(r.oid) AS definition, r.reloptions AS options," \
	" CASE WHEN r.reltablespace <> 0 THEN (SELECT s.spcname FROM pg_tablespace s WHERE s.oid = r.reltablespace) END AS tablespace," \
	" (SELECT nullif(m.amname, 'heap') FROM pg_am m WHERE m.oid = r.relam) AS access_method," \
	" d.description AS comment, r.relacl AS grants, r.relowner AS _owner," \
	" CASE WHEN r.relacl IS NOT NULL THEN acldefault('r', r.relowner) END AS _default" \
	" FROM " RELATIONS("'" kind "'", some) SCHEMA_COMMENT("pg_class", "r.oid")

#define RULE_SQL(some) \
	"SELECT r.object || '.' || quote_ident(w.rulename) AS object, r.oid AS _number, pg_get_ruledef(w.oid) AS definition," \
	" CASE w.ev_enabled WHEN 'D' THEN 'no' WHEN 'R' THEN 'replica' WHEN 'A' THEN 'always' END AS enabled, d.description AS comment" \
	" FROM " RELATIONS("'r', 'p', 'f', 'v', 'm'", some) " JOIN pg_rewrite w ON w.ev_class = r.oid AND w.rulename <> '_RETURN'" \
	SCHEMA_COMMENT("pg_rewrite", "w.oid")

#define STATISTICS_SQL(some) \
	"SELECT quote_ident(n.nspname) || '.' || quote_ident(s.stxname) AS object, r.oid AS _number, r.object AS \"table\", pg_get_userbyid(s.stxowner) AS owner," \
	" CASE WHEN s.stxkeys[0] IS NOT NULL THEN " COLUMNS("s.stxkeys::int2[]", "s.stxrelid") " END AS columns, s.stxexprs AS expressions, s.stxrelid AS _table," \
	" concat_ws(', ', CASE WHEN 'd' = ANY (s.stxkind) THEN 'ndistinct' END, CASE WHEN 'f' = ANY (s.stxkind) THEN 'dependencies' END," \
	"  CASE WHEN 'm' = ANY (s.stxkind) THEN 'mcv' END) AS kinds," \
	" nullif(s.stxstattarget, -1)::int AS target, d.description AS comment" \
	" FROM pg_statistic_ext s JOIN pg_namespace n ON n.oid = s.stxnamespace JOIN " RELATIONS("'r', 'p', 'f', 'm'", some) " ON r.oid = s.stxrelid" \
	SCHEMA_COMMENT("pg_statistic_ext", "s.oid")

const SchemaKind dbops_schema_tables[] = {
	{"sequence", SEQUENCE_SQL(SCHEMA_ALL), SEQUENCE_SQL(SCHEMA_SOME)},
	{"table", TABLE_SQL(SCHEMA_ALL), TABLE_SQL(SCHEMA_SOME)},
	{"view", VIEW_SQL("v", SCHEMA_ALL), VIEW_SQL("v", SCHEMA_SOME)},
	{"materialized view", VIEW_SQL("m", SCHEMA_ALL), VIEW_SQL("m", SCHEMA_SOME)},
	{"column", COLUMN_SQL(SCHEMA_ALL), COLUMN_SQL(SCHEMA_SOME)},
	{"constraint", CONSTRAINT_SQL(SCHEMA_ALL), CONSTRAINT_SQL(SCHEMA_SOME)},
	{"index", INDEX_SQL(SCHEMA_ALL), INDEX_SQL(SCHEMA_SOME)},
	{"statistics", STATISTICS_SQL(SCHEMA_ALL), STATISTICS_SQL(SCHEMA_SOME)},
	{"rule", RULE_SQL(SCHEMA_ALL), RULE_SQL(SCHEMA_SOME)},
	{"trigger", TRIGGER_SQL(SCHEMA_ALL), TRIGGER_SQL(SCHEMA_SOME)},
	{"policy", POLICY_SQL(SCHEMA_ALL), POLICY_SQL(SCHEMA_SOME)},
	{NULL}
};
