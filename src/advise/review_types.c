/*
 * review_types.c
 *		Rules about the types of columns.
 *
 * To change a type rewrites the table under an exclusive lock, which each remedy
 * is only a part of: on a large table the change is made in steps. What a view or
 * the like depends on cannot be changed as it is, and the remedy says so.
 */
#include "advise/review.h"

/* Columns that are declared where they are, by a user. */
#define USERS_COLUMNS \
	"FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid WHERE a.attnum > 0 AND NOT a.attisdropped AND a.attinhcount = 0 AND " IS_TABLE("c")

/* Whether the server would refuse to change the column's type. */
#define IS_TIED \
	"(EXISTS (SELECT FROM pg_depend d WHERE d.refclassid = 'pg_class'::regclass AND d.refobjid = a.attrelid AND d.refobjsubid = a.attnum " \
	"AND (d.classid IN ('pg_rewrite'::regclass, 'pg_policy'::regclass, 'pg_trigger'::regclass, 'pg_proc'::regclass, 'pg_publication_rel'::regclass) " \
	"OR d.classid = 'pg_attrdef'::regclass AND EXISTS (SELECT FROM pg_attrdef e WHERE e.oid = d.objid AND e.adnum <> a.attnum))) " \
	"OR EXISTS (SELECT FROM pg_partitioned_table p WHERE p.partrelid = a.attrelid AND a.attnum = ANY (p.partattrs::int2[])) OR c.reloftype <> 0)"

#define CHANGE_TYPE(to) \
	"CASE WHEN " IS_TIED " THEN 'A view, a policy, a trigger or the partition key depends on it and must be created anew around the change of its type.' " \
	"ELSE format('ALTER TABLE %s ALTER COLUMN %I TYPE " to ";', c.oid::regclass, a.attname) END"

/* A name in lower case with its words apart, however it is written. */
#define WORDS(name) \
	"lower(regexp_replace(" name ", '([a-z0-9])([A-Z])', '\\1_\\2', 'g'))"

/* The defaults that ask the clock: CURRENT_TIMESTAMP and its like, now() and its like; one in a zone of its own is meant so. */
#define DEFAULT_IS_LOCAL_CLOCK \
	"EXISTS (SELECT FROM pg_attrdef e WHERE e.adrelid = a.attrelid AND e.adnum = a.attnum " \
	"AND e.adbin::text ~ 'SQLVALUEFUNCTION|:funcid (1299|2647|2648|2649) ' AND e.adbin::text !~ ':funcid (1159|2037|1026) ')"

static const DbopsRule rules[] = {
	{
		.name = "types.timestamp",
		.severity = DBOPS_INFO,
		.about = "columns of timestamp without time zone",
		.source = "PostgreSQL's wiki, pg-index-health",
		.sql = "SELECT format('%s.%I', c.oid::regclass, a.attname),"
		" CASE WHEN d.clock THEN 'it has no time zone and its default is the clock of the session: sessions in two zones write two values for one moment'"
		" ELSE 'it has no time zone: which moment a value means depends on who reads it' END,"
		" " CHANGE_TYPE("timestamptz USING %2$I AT TIME ZONE ''UTC''") ", CASE WHEN d.clock THEN 'warning' END"
		" FROM (SELECT a.*, " DEFAULT_IS_LOCAL_CLOCK " AS clock FROM pg_attribute a WHERE a.atttypid = 'timestamp'::regtype) d"
		" JOIN pg_attribute a ON a.attrelid = d.attrelid AND a.attnum = d.attnum JOIN pg_class c ON c.oid = a.attrelid"
		" WHERE a.attnum > 0 AND NOT a.attisdropped AND a.attinhcount = 0 AND " IS_TABLE("c")
	},
	{
		.name = "types.char",
		.severity = DBOPS_INFO,
		.about = "columns of char(n), which pads with blanks and forgets them when it compares",
		.source = "PostgreSQL's wiki, pg-index-health",
		.sql = "SELECT format('%s.%I', c.oid::regclass, a.attname), format('%s pads with blanks, which count in some places and not in others', format_type(a.atttypid, a.atttypmod)),"
		" " CHANGE_TYPE("text") " " USERS_COLUMNS " AND a.atttypid = 'bpchar'::regtype"
	},
	{
		.name = "types.money",
		.severity = DBOPS_WARNING,
		.about = "columns of money, whose meaning hangs on a setting of the server",
		.source = "PostgreSQL's wiki, pg-index-health",
		.sql = "SELECT format('%s.%I', c.oid::regclass, a.attname), 'what its values are, and how many digits they keep, follows from lc_monetary',"
		" " CHANGE_TYPE("numeric USING %2$I::numeric") " " USERS_COLUMNS " AND a.atttypid = 'money'::regtype"
	},
	{
		.name = "types.timetz",
		.severity = DBOPS_INFO,
		.about = "columns of time with time zone, which has no date to tell summer time by",
		.source = "PostgreSQL's manual",
		.sql = "SELECT format('%s.%I', c.oid::regclass, a.attname), 'a time of day with a zone and without a date says no moment',"
		" " CHANGE_TYPE("time USING %2$I::time") " " USERS_COLUMNS " AND a.atttypid = 'timetz'::regtype"
	},
	{
		.name = "types.float_amount",
		.severity = DBOPS_WARNING,
		.about = "amounts of money in floating point, by their names",
		.source = "PostgreSQL's manual",
		.sql = "SELECT format('%s.%I', c.oid::regclass, a.attname), format('%s cannot hold most decimal fractions: sums of money come out wrong', a.atttypid::regtype),"
		" " CHANGE_TYPE("numeric") " " USERS_COLUMNS " AND a.atttypid IN ('float4'::regtype, 'float8'::regtype)"
		" AND " WORDS("a.attname") " ~ '(^|_)(price|amount|balance|cost|fee|salary|tax|revenue|payment|subtotal|discount)(_|$)'"
		" AND " WORDS("a.attname") " !~ '(^|_)(rate|ratio|percent|percentage|pct|factor|score|time|seconds?|ms|hours?|weight|estimate|model)(_|$)'"
	},
	{
		.name = "types.serial",
		.severity = DBOPS_INFO,
		.about = "columns of serial, which identity columns have replaced",
		.source = "PostgreSQL's wiki, pg-index-health",
		.sql = "SELECT format('%s.%I', c.oid::regclass, a.attname), 'a serial column: rights on its sequence are apart from those on the table, and any INSERT may write a value of its own',"
		" CASE WHEN c.relkind = 'r' AND a.attnotnull AND (SELECT count(*) FROM pg_depend u WHERE u.classid = 'pg_attrdef'::regclass AND u.refclassid = 'pg_class'::regclass AND u.refobjid = s.oid) = 1"
		" THEN format('BEGIN; ALTER TABLE %1$s ALTER COLUMN %2$I DROP DEFAULT; ALTER SEQUENCE %3$s OWNED BY NONE; ALTER TABLE %1$s ALTER COLUMN %2$I ADD GENERATED BY DEFAULT AS IDENTITY;"
		" SELECT setval(pg_get_serial_sequence(%4$L, %5$L), s.last_value, s.is_called) FROM %3$s s; DROP SEQUENCE %3$s; COMMIT;',"
		" c.oid::regclass, a.attname, s.oid::regclass, c.oid::regclass::text, a.attname)"
		" ELSE 'Make it an identity column: ALTER TABLE ... ALTER COLUMN ... ADD GENERATED BY DEFAULT AS IDENTITY.' END"
		" FROM pg_depend d JOIN pg_class s ON s.oid = d.objid AND s.relkind = 'S' JOIN pg_attribute a ON a.attrelid = d.refobjid AND a.attnum = d.refobjsubid JOIN pg_class c ON c.oid = a.attrelid"
		" WHERE d.classid = 'pg_class'::regclass AND d.refclassid = 'pg_class'::regclass AND d.deptype = 'a' AND d.refobjsubid > 0 AND a.attinhcount = 0 AND " IS_TABLE("c")
		" AND EXISTS (SELECT FROM pg_depend u JOIN pg_attrdef e ON e.oid = u.objid WHERE u.classid = 'pg_attrdef'::regclass AND u.refclassid = 'pg_class'::regclass AND u.refobjid = s.oid AND e.adrelid = c.oid AND e.adnum = a.attnum)"
	},
	{
		.name = "types.json",
		.severity = DBOPS_INFO,
		.off = true,
		.about = "columns of json, which jsonb reads faster and can index",
		.source = "pg-index-health",
		.sql = "SELECT format('%s.%I', c.oid::regclass, a.attname), 'json is parsed again each time that it is read, and cannot be compared',"
		" " CHANGE_TYPE("jsonb") " " USERS_COLUMNS " AND a.atttypid = 'json'::regtype"
	},
	{
		.name = "types.varchar_limit",
		.severity = DBOPS_INFO,
		.off = true,
		.about = "columns of varchar(n), whose limit takes a migration to change",
		.source = "PostgreSQL's wiki",
		.sql = "SELECT format('%s.%I', c.oid::regclass, a.attname), format('%s takes no less room than text', format_type(a.atttypid, a.atttypmod)),"
		" " CHANGE_TYPE("text") " " USERS_COLUMNS " AND a.atttypid = 'varchar'::regtype AND a.atttypmod > 0"
	}
};

const DbopsRuleSet dbops_type_rules = {.review = "schema", .rules = rules, .n_rules = lengthof(rules)};
