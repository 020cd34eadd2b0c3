/*
 * migration_repair.c
 *		repair_checksums: the ledger takes texts over that only look different.
 *
 * A licence header or another indentation changes every file of a folder and
 * nothing in the database. Such texts are the same to the server, token by
 * token, and only such are taken over: a text that says something else is an
 * error, and then nothing is repaired.
 */
#include "change/migration.h"

#include "catalog/pg_type.h"
#include "utils/builtins.h"
#include "utils/tuplestore.h"

PG_FUNCTION_INFO_V1(dbops_repair_checksums);

static void require_pairs(const List *versions, const List *texts);
static const char *repair(const char *project, const char *version, const char *up_sql,
						  const char *reason);
static const char *compare_with_checksum(const Migration *known, const char *up_sql);
static void store_text(const Migration *known, const char *up_sql, const char *reason);
static char *find_checksum(const Migration *known);
static void put(ReturnSetInfo *rsinfo, const char *version, const char *outcome);

/* repair_checksums(versions text[], up_sql text[], project text, reason text) → rows, one a version */
Datum
dbops_repair_checksums(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	const char *reason = dbops_text_argument(fcinfo, 3);
	const char *project;
	List	   *versions;
	List	   *texts;

	dbops_require_argument(fcinfo, 0, "versions");
	dbops_require_argument(fcinfo, 1, "up_sql");
	InitMaterializedSRF(fcinfo, 0);
	versions = dbops_texts(PG_GETARG_ARRAYTYPE_P(0));
	texts = dbops_texts(PG_GETARG_ARRAYTYPE_P(1));
	project = dbops_migration_version_argument(fcinfo, 2, "project");
	require_pairs(versions, texts);
	dbops_migration_begin(project, NULL, MIGRATION_PATIENCE);
	for (int i = 0; i < list_length(versions); i++)
		put(rsinfo, list_nth(versions, i), repair(project, list_nth(versions, i), list_nth(texts, i), reason));
	return (Datum) 0;
}

static void
require_pairs(const List *versions, const List *texts)
{
	if (list_length(versions) != list_length(texts))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("%d versions are given with %d texts", list_length(versions), list_length(texts)),
				 errhint("Give the text of each version, in the same order.")));
	for (int i = 0; i < list_length(versions); i++)
		if (list_nth(versions, i) == NULL || list_nth(texts, i) == NULL)
			ereport(ERROR,
					(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
					 errmsg("versions and up_sql must not have a null")));
}

/* Take over one text, and say what it is to the one that was applied. */
static const char *
repair(const char *project, const char *version, const char *up_sql, const char *reason)
{
	Migration  *known = dbops_migration_find(project, version);
	Migration	wanted = {.project = project,.version = version,.up_sql = up_sql};
	const char *outcome;

	if (known->up_sql == NULL)
		outcome = compare_with_checksum(known, up_sql);
	else if (strcmp(known->up_sql, up_sql) == 0)
		return "identical";
	else
	{
		dbops_migration_hold_against(known, &wanted);
		outcome = "cosmetic";
	}
	if (outcome == NULL)
		return "text not known";
	store_text(known, up_sql, reason);
	return outcome;
}

/* Of what another tool has applied only the checksum is known, if that; NULL: nothing. */
static const char *
compare_with_checksum(const Migration *known, const char *up_sql)
{
	ChecksumFit fit = dbops_migration_checksum_fit(known->project, known->version, up_sql);

	if (fit == CHECKSUM_DIFFERS)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("the text of migration \"%s\" of project \"%s\" does not have the checksum that was imported from %s",
						known->version, known->project, known->origin),
				 errdetail("A checksum does not tell whether only comments or white space differ."),
				 errhint("Give the text as it was applied first.")));
	return (fit == CHECKSUM_FITS) ? "checksum fits" : NULL;
}

static void
store_text(const Migration *known, const char *up_sql, const char *reason)
{
	Migration	repaired = *known;
	DbopsJson	details = {0};

	dbops_json_object(&details, NULL);
	dbops_json_text(&details, "from", find_checksum(known));
	repaired.up_sql = up_sql;
	dbops_migration_store(&repaired);
	dbops_json_text(&details, "to", find_checksum(known));
	dbops_migration_note(known->project, known->version, "repair", reason, dbops_json_finish(&details));
}

/* In hexadecimal digits; NULL: there is none. */
static char *
find_checksum(const Migration *known)
{
	DbopsParam	params[] = {dbops_param_text(known->project), dbops_param_text(known->version)};
	Datum		digits;

	if (!dbops_store_value("SELECT encode(checksum, 'hex') FROM dbops.migration WHERE project = $1 AND version = $2",
						   lengthof(params), params, TEXTOID, &digits))
		return NULL;
	return TextDatumGetCString(digits);
}

static void
put(ReturnSetInfo *rsinfo, const char *version, const char *outcome)
{
	Datum		values[] = {CStringGetTextDatum(version), CStringGetTextDatum(outcome)};
	bool		nulls[] = {false, false};

	tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
}
