/*
 * review_bloat.c
 *		Rules about tables and indexes that are much larger than they need be.
 *
 * Cheap whatever the size of the database: the statistics say which are the
 * largest, and of these alone some pages are read, at most 100 of each and what
 * is empty at the end. Judged is what is won at least, by the interval of so small
 * a sample. The reports look at all of them, and closer.
 */
#include "advise/review.h"
#include "advise/table_bloat.h"
#include "core/server.h"

#include "catalog/pg_index.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"

#define SMALLEST	"33554432"	/* bytes that are to be won */
#define WORTH_IT	40			/* percent of the file, at least */
#define FIRST_SAMPLE	25		/* blocks; doubled twice while they do not agree */
#define MUCH		(1024 * 1024 * 1024)	/* bytes from which on it is a warning */
#define LARGEST		50			/* that are looked at */

#define IS_LARGE "r.relpages::int8 * current_setting('block_size')::int8 >= " SMALLEST
#define LARGEST_FIRST " ORDER BY r.relpages DESC LIMIT " CppAsString2(LARGEST)

/* Tables of users and their TOAST tables, by how large VACUUM or ANALYZE last saw them. */
#define LARGE_TABLES \
	"SELECT x.* FROM (SELECT r.oid, false, " BLOAT_FILE ", r.relpages FROM pg_class r WHERE " IS_LARGE \
	" AND r.relkind IN ('r', 'm') AND r.relam = 2 AND " IS_USERS("r") \
	" UNION ALL SELECT c.oid, true, " BLOAT_FILE ", r.relpages FROM pg_class r JOIN pg_class c ON c.reltoastrelid = r.oid WHERE " IS_LARGE \
	" AND c.relkind IN ('r', 'm') AND c.relam = 2 AND " IS_USERS("c") ") x ORDER BY relpages DESC LIMIT " CppAsString2(LARGEST)

#define LARGE_INDEXES \
	"SELECT r.oid, false, " BLOAT_FILE " FROM pg_class r JOIN pg_index i ON i.indexrelid = r.oid WHERE " IS_LARGE \
	" AND r.relkind = 'i' AND r.relam = 403 AND i.indisvalid AND " IS_USERS("r") LARGEST_FIRST

typedef DbopsFinding (*Describe) (const Bloat *bloat, const char *object);

static void judge_tables(DbopsReview *review);
static void judge_indexes(DbopsReview *review);
static void judge(DbopsReview *review, const BloatKind *kind, const char *sql, Describe describe);
static void take_subject(HeapTuple row, TupleDesc desc, void *arg);
static void report(DbopsReview *review, const Bloat *bloat, Describe describe);
static DbopsFinding describe_table(const Bloat *bloat, const char *name);
static DbopsFinding describe_index(const Bloat *bloat, const char *name);
static bool keeps_exclusion(Oid index);
static const char *won(const Bloat *bloat, const char *how);

static const DbopsRule rules[] = {
	{
		.name = "tables.bloated",
		.severity = DBOPS_INFO,
		.about = "tables, among the 50 largest, of which a rewrite would win 40 percent and 32 MB or more, by a sample of at most 100 pages of each; find_bloated_tables() measures all",
		.source = "splinter 0020, check_postgres, pghero",
		.judge = judge_tables
	},
	{
		.name = "indexes.bloated",
		.severity = DBOPS_INFO,
		.about = "btrees, among the 50 largest, of which a rebuild would win 40 percent and 32 MB or more, by a sample of at most 100 pages of each; find_bloated_indexes() measures all",
		.source = "pghero, check_pgactivity, PMM",
		.judge = judge_indexes
	}
};

const DbopsRuleSet dbops_bloat_rules = {.review = "schema", .rules = rules, .n_rules = lengthof(rules)};

static void
judge_tables(DbopsReview *review)
{
	judge(review, &dbops_bloat_of_tables, LARGE_TABLES, describe_table);
}

static void
judge_indexes(DbopsReview *review)
{
	judge(review, &dbops_bloat_of_indexes, LARGE_INDEXES, describe_index);
}

/* Measure the largest of them, and report those that are worth it, and those of which that is not known. */
static void
judge(DbopsReview *review, const BloatKind *kind, const char *sql, Describe describe)
{
	BloatList	list = {
		.kind = kind,.min_percent = WORTH_IT,.min_bytes = strtol(SMALLEST, NULL, 10),.limit = LARGEST,.blocks = FIRST_SAMPLE
	};
	ListCell   *cell;

	review->state = &list;
	dbops_review_ask(review, sql, take_subject);
	dbops_bloat_list_measure(&list);
	foreach(cell, list.found)
		if (((Bloat *) lfirst(cell))->low >= WORTH_IT)
			report(review, lfirst(cell), describe);
	foreach(cell, list.skipped)
		report(review, lfirst(cell), describe);
}

static void
take_subject(HeapTuple row, TupleDesc desc, void *arg)
{
	DbopsReview *review = arg;

	dbops_bloat_list_add(row, desc, review->state);
}

static void
report(DbopsReview *review, const Bloat *bloat, Describe describe)
{
	const char *name = dbops_relation_name(bloat->relation);
	DbopsFinding finding;

	if (name == NULL)
		return;
	finding = describe(bloat, name);
	if (bloat->judged)
		finding.severity = (bloat->wasted >= MUCH) ? DBOPS_WARNING : DBOPS_INFO;
	else
	{
		finding.severity = DBOPS_UNKNOWN;
		finding.message = psprintf("how bloated it is could not be measured: %s", bloat->skipped);
		finding.remedy = "Look again later.";
	}
	dbops_review_report(review, finding);
}

/* What VACUUM does, which locks nobody out, comes first. */
static DbopsFinding
describe_table(const Bloat *base, const char *name)
{
	const TableBloat *bloat = (const TableBloat *) base;
	double		dead = bloat->figures[HEAP_DEAD_BYTES];
	DbopsFinding finding = {
		.object = bloat->toast ? psprintf("%s (TOAST)", name) : name,
		.remedy = psprintf("VACUUM %s;", name)
	};

	if (bloat->vacuum_returns > 0)
		finding.message = psprintf("%s; the end of the file is empty, %s at least, which VACUUM gives back",
								   won(base, "rewrite"), dbops_figure_bytes(bloat->vacuum_returns));
	else if (dead >= base->wasted / 2)
		finding.message = psprintf("%s; %s are dead rows, which VACUUM makes free for new ones", won(base, "rewrite"), dbops_figure_bytes(dead));
	else
	{
		finding.message = psprintf("%s; new rows fill that again, and where there will not be so many a rewrite gives it back: "
								   "VACUUM FULL keeps everybody from the table until it is done, readers too, and needs room for a copy; pg_repack lets them in",
								   won(base, "rewrite"));
		finding.remedy = psprintf("VACUUM FULL %s;", name);
	}
	return finding;
}

/* The index of an exclusion constraint cannot be rebuilt beside writers. */
static DbopsFinding
describe_index(const Bloat *bloat, const char *name)
{
	bool		alone = keeps_exclusion(bloat->relation);

	return (DbopsFinding)
	{
		.object = name,
			.message = psprintf("%s%s", won(bloat, "rebuild"),
								alone ? ", which keeps writers and new queries from the table until it is done, as the index is of an exclusion constraint" : ""),
			.remedy = psprintf("REINDEX INDEX %s%s;", alone ? "" : "CONCURRENTLY ", name)
	};
}

static bool
keeps_exclusion(Oid index)
{
	HeapTuple	row = SearchSysCache1(INDEXRELID, ObjectIdGetDatum(index));
	bool		exclusion;

	if (!HeapTupleIsValid(row))
		return false;
	exclusion = ((Form_pg_index) GETSTRUCT(row))->indisexclusion;
	ReleaseSysCache(row);
	return exclusion;
}

static const char *
won(const Bloat *bloat, const char *how)
{
	return psprintf("a %s would win about %s of %s, %.0f to %.0f percent", how, dbops_figure_bytes(bloat->wasted),
					dbops_figure_bytes(bloat->bytes), bloat->low, bloat->high);
}
