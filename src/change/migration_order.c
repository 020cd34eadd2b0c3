/*
 * migration_order.c
 *		Where a version stands among the others of its project.
 *
 * The order of versions is what people expect, and requires is what must be.
 * So a version that comes late is applied and reported, and one that misses
 * another that it requires is refused.
 */
#include "change/migration.h"

#include "lib/stringinfo.h"
#include "miscadmin.h"

/* A search for the way back to a version by what others require. */
typedef struct Search
{
	List	   *migrations;		/* of the project, of Migration * */
	const char *target;
	List	   *way;			/* of const char *: the versions from the first on */
	List	   *seen;			/* of const char * */
} Search;

static void note_version(HeapTuple row, TupleDesc desc, void *arg);
static char *later(char *version, const char *other);
static void refuse_cycle(const Migration *wanted, List *migrations);
static bool leads_back(Search *search, const char *version);
static char *join(const List *versions, const char *separator);
static const char *why_missing(const char *version, List *migrations, const MigrationOrder *order);

/* Look what the highest version is that was applied, and up to which versions a baseline covers all. */
MigrationOrder
dbops_migration_order(const char *project)
{
	DbopsParam	params[] = {dbops_param_text(project)};
	MigrationOrder order = {0};

	dbops_store_each_kept("SELECT version, state FROM dbops.migration"
						  " WHERE project = $1 AND state IN ('applied', 'baseline') AND NOT repeatable",
						  lengthof(params), params, note_version, &order);
	return order;
}

static void
note_version(HeapTuple row, TupleDesc desc, void *arg)
{
	MigrationOrder *order = arg;
	char	   *version = dbops_row_text(row, desc, 1);

	order->highest = later(order->highest, version);
	if (strcmp(dbops_row_text(row, desc, 2), "baseline") == 0)
		order->baseline = later(order->baseline, version);
}

static char *
later(char *version, const char *other)
{
	if (version != NULL && dbops_version_compare(version, other) >= 0)
		return version;
	return pstrdup(other);
}

/* Is a version that the ledger has no row for there by a baseline? */
bool
dbops_migration_is_covered(const MigrationOrder *order, const char *version)
{
	return order->baseline != NULL && dbops_version_compare(version, order->baseline) <= 0;
}

/* Refuse a migration that requires one which is not applied, or that is required by one of them. */
void
dbops_migration_require_others(const Migration *wanted, const MigrationOrder *order)
{
	List	   *migrations;
	ListCell   *cell;

	if (wanted->requires == NIL)
		return;
	migrations = dbops_migration_list(wanted->project);
	refuse_cycle(wanted, migrations);
	foreach(cell, wanted->requires)
	{
		const char *version = lfirst(cell);
		const char *why = why_missing(version, migrations, order);

		if (why != NULL)
			ereport(ERROR,
					(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
					 errmsg("migration \"%s\" of project \"%s\" requires \"%s\", which %s",
							wanted->version, wanted->project, version, why),
					 errhint("Apply \"%s\" first.", version)));
	}
}

/* Why a version does not count as applied; NULL: it does. */
static const char *
why_missing(const char *version, List *migrations, const MigrationOrder *order)
{
	const Migration *migration = dbops_migration_pick(migrations, version);

	if (migration == NULL)
		return dbops_migration_is_covered(order, version) ? NULL : "is not in the ledger";
	if (strcmp(migration->state, "applied") == 0 || strcmp(migration->state, "baseline") == 0)
		return NULL;
	if (strcmp(migration->state, "reverted") == 0)
		return "was rolled back";
	if (strcmp(migration->state, "skipped") == 0)
		return "was skipped, because it is for other environments";
	return "is done only in part";
}

static void
refuse_cycle(const Migration *wanted, List *migrations)
{
	Search		search = {.migrations = migrations,.target = wanted->version};
	ListCell   *cell;

	foreach(cell, wanted->requires)
		if (leads_back(&search, lfirst(cell)))
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("what migration \"%s\" of project \"%s\" requires, requires it",
							wanted->version, wanted->project),
					 errdetail("%s requires %s.", wanted->version, join(search.way, ", which requires ")),
					 errhint("Leave one of them out of requires.")));
}

/* Does a version require the target, itself or by others? Then the way is noted. */
static bool
leads_back(Search *search, const char *version)
{
	const Migration *migration = dbops_migration_pick(search->migrations, version);
	ListCell   *cell;

	check_stack_depth();
	if (dbops_texts_have(search->seen, version))
		return false;
	search->seen = lappend(search->seen, unconstify(char *, version));
	search->way = lappend(search->way, unconstify(char *, version));
	if (strcmp(version, search->target) == 0)
		return true;
	if (migration != NULL)
		foreach(cell, migration->requires)
			if (leads_back(search, lfirst(cell)))
				return true;
	search->way = list_delete_last(search->way);
	return false;
}

static char *
join(const List *versions, const char *separator)
{
	StringInfoData joined;
	ListCell   *cell;

	initStringInfo(&joined);
	foreach(cell, versions)
		appendStringInfo(&joined, "%s%s", joined.len > 0 ? separator : "", (char *) lfirst(cell));
	return joined.data;
}
