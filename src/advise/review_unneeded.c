/*
 * review_unneeded.c
 *		Rules about indexes that can go, and about tables that may lack one.
 *
 * They say what the reports of advise say, which know what is safe; of those that
 * nobody scans only such as can go are findings, for all others want looking at
 * again later.
 */
#include "advise/review.h"

/* An index in a schema that is reviewed. */
#define IS_REVIEWED(alias) \
	"EXISTS (SELECT FROM pg_class x WHERE x.oid = " alias " AND x.relnamespace = ANY ($2))"

static const DbopsRule rules[] = {
	{
		.name = "indexes.invalid",
		.severity = DBOPS_WARNING,
		.about = "indexes that cost writes and serve no query, as find_invalid_indexes() lists them",
		.source = "check_pgactivity, pghero",
		.sql = "SELECT f.index_name::text, format('%s: %s', f.state, f.reason), coalesce(f.statement, 'See the message.')"
		" FROM dbops.find_invalid_indexes() f WHERE f.state <> 'in progress' AND (" IS_REVIEWED("f.index_name")
		" OR EXISTS (SELECT FROM pg_index i JOIN pg_class c ON c.reltoastrelid = i.indrelid WHERE i.indexrelid = f.index_name AND c.relnamespace = ANY ($2)))",
		.as_owner = true
	},
	{
		.name = "indexes.duplicate",
		.severity = DBOPS_WARNING,
		.about = "indexes whose work another one does, as find_duplicate_indexes() lists them",
		.source = "guide 003's checklist, pghero, splinter 0009",
		.sql = "SELECT f.index_name::text, format('%s beside %s: %s', f.kind, f.replaced_by, f.reason), coalesce(f.statement, 'See the message.'),"
		" CASE f.safe_to_drop WHEN 'yes' THEN 'warning' ELSE 'info' END"
		" FROM dbops.find_duplicate_indexes() f WHERE " IS_REVIEWED("f.index_name"),
		.as_owner = true
	},
	{
		.name = "indexes.unused",
		.severity = DBOPS_INFO,
		.about = "indexes of 1 MB or more that nobody has scanned on any node, and that can go, as find_unused_indexes() lists them",
		.source = "guide 003's checklist, pghero",
		.sql = "SELECT f.index_name::text, format('%s, since %s on %s', f.reason, f.observed_since::date, array_to_string(f.nodes, ', ')), f.statement"
		" FROM dbops.find_unused_indexes(1048576) f WHERE f.safe_to_drop = 'yes' AND " IS_REVIEWED("f.index_name"),
		.as_owner = true
	},
	{
		.name = "tables.read_by_scans",
		.severity = DBOPS_INFO,
		.about = "large tables that are read mostly from end to end, as find_missing_indexes() lists them",
		.source = "guide 003's checklist, pghero",
		.sql = "SELECT f.table_name::text, format('%s sequential scans in which %s rows were read; %s', f.scans, f.rows_read, f.reason),"
		" coalesce('Look at its statements that compare ' || array_to_string(f.candidate_columns, ', ') || ' with EXPLAIN.', 'Look at its statements with EXPLAIN.')"
		" FROM dbops.find_missing_indexes() f WHERE " IS_REVIEWED("f.table_name"),
		.as_owner = true
	}
};

const DbopsRuleSet dbops_unneeded_rules = {.review = "schema", .rules = rules, .n_rules = lengthof(rules)};
