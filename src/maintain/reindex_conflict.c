/*
 * reindex_conflict.c
 *		INSERT ... ON CONFLICT beside the rebuild of a unique index.
 *
 * While a unique index is rebuilt concurrently there are two of it, and the
 * sessions do not change over at one moment. Up to 18 an INSERT ... ON CONFLICT
 * can then find its conflict in the other one and fail with a duplicate key, or
 * a deadlock, that an application does not expect. 19 has mended that (commits
 * bc32a12e0d, 2bc7e886fc, 90eae926ab) and the older servers will not get it.
 *
 * Whether there are such statements is only known where pg_stat_statements is
 * at work, and only of those that it has kept; a text that has the table's name,
 * or that of a table that it is a part of, counts as one.
 */
#include "maintain/reindex.h"

#include "catalog/pg_class.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"

typedef struct Search
{
	Oid			function;		/* pg_stat_statements() */
	Oid			table;
	bool		found;
} Search;

static const char *auto_reason(const ReindexIndex *index);
static Oid	find_statements(void);
static void search_statements(void *arg);

/* Why a unique index is not to be rebuilt; NULL: it may be. Nobody inserts into a TOAST table himself. */
const char *
dbops_reindex_conflict(const ReindexIndex *index, const char *unique)
{
	if (!REINDEX_DISTURBS_ON_CONFLICT || !index->unique || strcmp(unique, "yes") == 0)
		return NULL;
	if (get_rel_relkind(index->table) == RELKIND_TOASTVALUE)
		return NULL;
	if (strcmp(unique, "no") == 0)
		return "it is unique, and unique_indexes is no";
	return auto_reason(index);
}

static const char *
auto_reason(const ReindexIndex *index)
{
	Search		search = {.function = find_statements(),.table = index->table};
	ErrorData  *error;

	if (!OidIsValid(search.function) || !dbops_attempt(search_statements, &search, &error))
		return "it is unique: INSERT ... ON CONFLICT on its table may fail while it is rebuilt, and without pg_stat_statements "
			"nobody knows whether there are any; unique_indexes => 'yes' rebuilds it all the same";
	if (search.found)
		return "it is unique, and pg_stat_statements shows an INSERT ... ON CONFLICT on its table, which may fail while it is "
			"rebuilt; unique_indexes => 'yes' rebuilds it all the same";
	return NULL;
}

/* The function that shows statements, if it does; InvalidOid: there is none, or nothing is recorded. */
static Oid
find_statements(void)
{
	DbopsExtension extension = dbops_extension_find("pg_stat_statements");
	const char *track = GetConfigOption("pg_stat_statements.track", true, false);

	if (!OidIsValid(extension.oid) || track == NULL || strcmp(track, "none") == 0)
		return InvalidOid;
	return dbops_extension_function(extension.oid, "pg_stat_statements", 1);
}

/* It is one of the extension's own, found by its membership, so it is called with all rights: texts are not shown. */
static void
search_statements(void *arg)
{
	Search	   *search = arg;
	DbopsParam	params[] = {dbops_param_oid(search->table), dbops_param_oid(MyDatabaseId)};
	char	   *function = quote_qualified_identifier(get_namespace_name(get_func_namespace(search->function)),
													  get_func_name(search->function));
	Datum		found;

	search->found = dbops_store_value(psprintf("SELECT true FROM %s(true) s, pg_class c"
											   " WHERE s.dbid = $2 AND s.query ~* 'on\\s+conflict'"
											   " AND c.oid IN (SELECT $1 UNION SELECT relid FROM pg_partition_ancestors($1))"
											   " AND s.query ~* ('(^|\\W)' || regexp_replace(c.relname, '(\\W)', '\\\\\\1', 'g') || '(\\W|$)') LIMIT 1",
											   function),
									  lengthof(params), params, BOOLOID, &found);
}
