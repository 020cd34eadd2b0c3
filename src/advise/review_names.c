/*
 * review_names.c
 *		Rules about names and comments.
 *
 * Most of it is taste and off until somebody asks for it. Comments are counted by
 * schema, since a schema that has none has none hundreds of times.
 */
#include "advise/review.h"
#include "advise/review_sql.h"

#define STYLE(name) \
	"CASE WHEN " name " ~ '[A-Z]' THEN 'in capitals' WHEN " name " ~ '_' THEN 'with underscores' END"

static const DbopsRule rules[] = {
	{
		.name = "names.reserved",
		.severity = DBOPS_INFO,
		.about = "tables and columns named by words that SQL reserves, which must be quoted for ever",
		.source = "pg-index-health, SchemaCrawler",
		.sql = "SELECT x.object, format('%s is a reserved word and must be quoted in every statement', x.name), x.remedy FROM ("
		"SELECT c.oid::regclass::text AS object, c.relname AS name, format('Rename the table, as to %I, with a view of the old name until nobody uses it.', c.relname || '_') AS remedy"
		" FROM pg_class c WHERE " IS_TABLE("c")
		" UNION ALL SELECT format('%s.%I', c.oid::regclass, a.attname), a.attname, format('Rename the column, as to %I, when nothing names it any more.', a.attname || '_')"
		" " USERS_COLUMNS
		") x JOIN pg_get_keywords() w ON w.word = x.name AND w.catcode IN ('R', 'T')"
	},
	{
		.name = "names.long",
		.severity = DBOPS_INFO,
		.about = "tables and columns whose names fill the 63 bytes that a name can have",
		.source = "pg-index-health",
		.sql = "SELECT x.object, format('its name has %s of at most 63 bytes: the server may have cut it, and cuts what is named after it', octet_length(x.name)), 'Give it a shorter name when nothing names it by this one any more.' FROM ("
		"SELECT c.oid::regclass::text AS object, c.relname::text AS name FROM pg_class c WHERE " IS_TABLE("c")
		" UNION ALL SELECT format('%s.%I', c.oid::regclass, a.attname), a.attname::text"
		" " USERS_COLUMNS
		") x WHERE octet_length(x.name) >= 60"
	},
	{
		.name = "names.quoted",
		.severity = DBOPS_INFO,
		.off = true,
		.about = "tables whose names must be quoted, as for capitals or blanks",
		.source = "pg-index-health, SchemaCrawler",
		.sql = "SELECT c.oid::regclass::text, 'its name must be quoted in every statement',"
		" format('Rename it, as to %I, when nothing names it by this one any more.', regexp_replace(" WORDS("c.relname") ", '[^a-z0-9_]+', '_', 'g'))"
		" FROM pg_class c WHERE c.relname !~ '^[a-z_][a-z0-9_$]*$' AND " IS_TABLE("c")
	},
	{
		.name = "names.mixed",
		.severity = DBOPS_INFO,
		.off = true,
		.about = "schemas in which tables are named in several ways",
		.source = "guide 000's checklist, SchemaCrawler",
		.sql = "SELECT quote_ident(n.nspname), format('names of tables are written in several ways: %s', string_agg(format('%s %s', s.count, s.style), ', ' ORDER BY s.count DESC, s.style)),"
		" 'Decide for one way, and rename the few.'"
		" FROM (SELECT c.relnamespace, " STYLE("c.relname") " AS style, count(*) AS count FROM pg_class c WHERE " IS_TABLE("c") " GROUP BY 1, 2) s"
		" JOIN pg_namespace n ON n.oid = s.relnamespace WHERE s.style IS NOT NULL GROUP BY n.oid, n.nspname HAVING count(*) > 1"
	},
	{
		.name = "tables.undocumented",
		.severity = DBOPS_INFO,
		.about = "tables without a comment, of each schema",
		.source = "guide 000's checklist, SchemaCrawler",
		.sql = "SELECT quote_ident(x.nspname), format(CASE WHEN x.missing = 1 THEN '%s of %s tables has no comment: %s' ELSE '%s of %s tables have no comment: %s' END, x.missing, x.count,"
		" array_to_string(x.names[1:10], ', ') || CASE WHEN x.missing > 10 THEN ' and others' ELSE '' END),"
		" 'Say with COMMENT ON TABLE what a row of each is.'"
		" FROM (SELECT t.nspname, count(*) AS count, count(*) FILTER (WHERE t.missing) AS missing, array_agg(t.name ORDER BY t.name) FILTER (WHERE t.missing) AS names"
		" FROM (SELECT n.nspname, c.oid::regclass::text AS name, NOT EXISTS (SELECT FROM pg_description d WHERE d.objoid = c.oid AND d.classoid = 'pg_class'::regclass AND d.objsubid = 0) AS missing"
		" FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE " IS_TABLE("c") ") t GROUP BY t.nspname) x WHERE x.missing > 0"
	},
	{
		.name = "columns.undocumented",
		.severity = DBOPS_INFO,
		.off = true,
		.about = "columns without a comment, of each table",
		.source = "SchemaCrawler, pg-index-health",
		.sql = "SELECT c.oid::regclass::text, format(CASE WHEN count(*) = 1 THEN '%s column has no comment: %s' ELSE '%s columns have no comment: %s' END, count(*), string_agg(quote_ident(a.attname), ', ' ORDER BY a.attnum)),"
		" 'Say with COMMENT ON COLUMN what each of them says, in which unit.'"
		" FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid WHERE a.attnum > 0 AND NOT a.attisdropped AND " IS_TABLE("c")
		" AND NOT EXISTS (SELECT FROM pg_description d WHERE d.objoid = c.oid AND d.classoid = 'pg_class'::regclass AND d.objsubid = a.attnum) GROUP BY c.oid"
	}
};

const DbopsRuleSet dbops_name_rules = {.review = "schema", .rules = rules, .n_rules = lengthof(rules)};
