/*
 * review_columns.c
 *		Rules about what columns may hold: NOT NULL, CHECK.
 *
 * Some judge by the statistics of ANALYZE, which are read with the rights of the
 * extension's owner; no value of a row is shown. A state beside a city is one of
 * those that countries are made of.
 */
#include "advise/review.h"
#include "advise/review_sql.h"

#define LEAST_ROWS	"1000"		/* that statistics must be of, to tell anything */

static const DbopsRule rules[] = {
	{
		.name = "tables.unconstrained",
		.severity = DBOPS_INFO,
		.about = "tables of three columns or more into which anything goes: no NOT NULL apart from the primary key, no CHECK, no other key",
		.source = "guide 001's checklist",
		.sql = "SELECT c.oid::regclass::text, 'apart from its primary key it has neither NOT NULL nor CHECK, UNIQUE or foreign keys',"
		" 'Declare what every row has and must be, with NOT NULL and CHECK.'"
		" FROM pg_class c WHERE " IS_TABLE("c") " AND c.relnatts >= 3"
		" AND (SELECT count(*) FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped) >= 3"
		" AND NOT EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped AND a.attnotnull"
		" AND NOT EXISTS (SELECT FROM pg_index p WHERE p.indrelid = c.oid AND p.indisprimary AND a.attnum = ANY (p.indkey::int2[])))"
		" AND NOT EXISTS (SELECT FROM pg_constraint k WHERE k.conrelid = c.oid AND k.contype IN ('c', 'f', 'u', 'x'))"
		" AND NOT EXISTS (SELECT FROM pg_index i WHERE i.indrelid = c.oid AND i.indisunique AND NOT i.indisprimary)"
		" AND NOT EXISTS (SELECT FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped AND t.typtype = 'd')"
	},
	{
		.name = "columns.unchecked_state",
		.severity = DBOPS_INFO,
		.about = "texts that name a state, and may be any text",
		.source = "guide 001's checklist",
		.sql = "SELECT format('%s.%I', c.oid::regclass, a.attname), 'it holds one of a few words, and nothing keeps another one out',"
		" 'Add a CHECK with the words that there are, as NOT VALID, and validate it.'"
		" FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid LEFT JOIN pg_statistic s ON s.starelid = c.oid AND s.staattnum = a.attnum AND NOT s.stainherit"
		" WHERE a.attnum > 0 AND NOT a.attisdropped AND a.attinhcount = 0 AND a.atttypid IN ('text'::regtype, 'varchar'::regtype) AND " IS_TABLE("c")
		" AND " WORDS("a.attname") " ~ '(^|_)(status|state)$' AND (s.stadistinct IS NULL OR s.stadistinct BETWEEN 1 AND 30)"
		" AND NOT EXISTS (SELECT FROM pg_constraint k WHERE k.conrelid = c.oid AND k.contype IN ('c', 'f') AND a.attnum = ANY (k.conkey))"
		" AND NOT (a.attname ~* 'state$' AND EXISTS (SELECT FROM pg_attribute p WHERE p.attrelid = c.oid AND p.attnum > 0 AND NOT p.attisdropped AND p.attname ~* '(city|zip_?code|postal|postcode|country|address_line)'))",
		.as_owner = true
	},
	{
		.name = "columns.never_null",
		.severity = DBOPS_INFO,
		.off = true,
		.about = "columns that may be null and never are, by statistics of at least " LEAST_ROWS " rows",
		.source = "guide 001's checklist",
		.sql = "SELECT format('%s.%I', c.oid::regclass, a.attname), format('none of the rows that ANALYZE has seen, of %s, has a null', c.reltuples::int8),"
		" format(E'ALTER TABLE %1$s ADD CONSTRAINT %3$I CHECK (%2$I IS NOT NULL) NOT VALID;\\nALTER TABLE %1$s VALIDATE CONSTRAINT %3$I;\\n"
		"ALTER TABLE %1$s ALTER COLUMN %2$I SET NOT NULL, DROP CONSTRAINT %3$I;', c.oid::regclass, a.attname, left(c.relname, 26) || '_' || left(a.attname, 26) || '_not_null')"
		" FROM pg_statistic s JOIN pg_attribute a ON a.attrelid = s.starelid AND a.attnum = s.staattnum JOIN pg_class c ON c.oid = a.attrelid"
		" WHERE s.stanullfrac = 0 AND NOT s.stainherit AND NOT a.attnotnull AND NOT a.attisdropped AND a.attinhcount = 0 AND c.reltuples >= " LEAST_ROWS " AND " IS_TABLE("c"),
		.as_owner = true
	},
	{
		.name = "columns.nullable_flag",
		.severity = DBOPS_INFO,
		.off = true,
		.about = "booleans that may be null, and so are neither",
		.source = "pg-index-health",
		.sql = "SELECT format('%s.%I', c.oid::regclass, a.attname), 'a null is neither true nor false, and NOT does not find it',"
		" format('ALTER TABLE %s ALTER COLUMN %I SET NOT NULL;', c.oid::regclass, a.attname)"
		" " USERS_COLUMNS " AND a.atttypid = 'bool'::regtype AND NOT a.attnotnull"
	}
};

const DbopsRuleSet dbops_column_rules = {.review = "schema", .rules = rules, .n_rules = lengthof(rules)};
