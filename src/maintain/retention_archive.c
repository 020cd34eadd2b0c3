/*
 * retention_archive.c
 *		Where rows go that are deleted: a table with the same columns.
 *
 * Columns are matched by name and type each time a statement is made, since
 * either table may have been altered. What the archive could not hold is
 * refused, as nothing may be lost on the way.
 */
#include "maintain/retention.h"

#include "access/htup_details.h"
#include "access/relation.h"
#include "catalog/pg_class.h"
#include "catalog/pg_type.h"
#include "catalog/pg_inherits.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/rls.h"

/* A question whether a partition can be archived. */
typedef struct Asking
{
	const RetentionSpec *spec;
	Oid			partition;
} Asking;

static void ask(void *arg);
static Oid	find_archive(const RetentionSpec *spec);
static void check_archive(const RetentionSpec *spec, Relation archive);
static void check_partitions(Relation archive);
static void add_column(StringInfo columns, Form_pg_attribute column, Relation archive);
static void check_rest(TupleDesc source, Relation archive);
static Form_pg_attribute find_column(TupleDesc desc, const char *name);
static void take_count(HeapTuple row, TupleDesc desc, void *arg);
static void refuse(Relation archive, const char *detail);

/*
 * The columns that are copied, as SQL; the archive, and whether it has an
 * identity that is to be overridden. Refuses what does not match (42804).
 */
char *
dbops_retention_archive_columns(const RetentionSpec *spec, Oid leaf, Oid *archive, bool *override)
{
	Relation	source = relation_open(leaf, AccessShareLock);
	Relation	target = relation_open(find_archive(spec), AccessShareLock);
	TupleDesc	desc = RelationGetDescr(source);
	StringInfoData columns;

	check_archive(spec, target);
	initStringInfo(&columns);
	*override = false;
	for (int i = 0; i < desc->natts; i++)
		if (!TupleDescAttr(desc, i)->attisdropped)
			add_column(&columns, TupleDescAttr(desc, i), target);
	check_rest(desc, target);
	for (int i = 0; i < RelationGetDescr(target)->natts; i++)
		*override |= (TupleDescAttr(RelationGetDescr(target), i)->attidentity != '\0');
	*archive = RelationGetRelid(target);
	relation_close(target, NoLock);
	relation_close(source, NoLock);
	return columns.data;
}

/* Refuse to take a partition away whose rows the archive could not take. */
void
dbops_retention_check_archive(const RetentionSpec *spec, Oid partition)
{
	Oid			archive;
	bool		override;

	if (spec->archive == NULL)
		return;
	(void) dbops_retention_archive_columns(spec, partition, &archive, &override);
	if (pg_class_aclcheck(partition, spec->owner, ACL_SELECT) == ACLCHECK_OK)
		return;
	ereport(ERROR,
			(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
			 errmsg("the owner of table %s may not read its partition %s, which is to be archived", spec->table,
					dbops_quote_relation(partition)),
			 errhint("GRANT SELECT ON %s TO %s;", dbops_quote_relation(partition),
					 quote_identifier(GetUserNameFromId(spec->owner, false)))));
}

/* The same as a user reads it; NULL: the archive can take them. */
const char *
dbops_retention_archive_obstacle(const RetentionSpec *spec, Oid partition)
{
	Asking		asking = {spec, partition};
	ErrorData  *error;

	if (dbops_attempt(ask, &asking, &error))
		return NULL;
	return psprintf("its rows cannot be archived: %s%s%s", error->message, error->detail != NULL ? ": " : "",
					error->detail != NULL ? error->detail : "");
}

static void
ask(void *arg)
{
	const Asking *asking = arg;

	dbops_retention_check_archive(asking->spec, asking->partition);
}

static Oid
find_archive(const RetentionSpec *spec)
{
	DbopsParam	param = dbops_param_text(spec->archive);
	Datum		found;

	if (!dbops_query_value("SELECT to_regclass($1)::oid", 1, &param, OIDOID, &found))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_TABLE),
				 errmsg("archive table %s does not exist", spec->archive),
				 errhint("Create it, or call dbops.set_retention again.")));
	return DatumGetObjectId(found);
}

/* Refuse what is no place for rows that must not be lost. */
static void
check_archive(const RetentionSpec *spec, Relation archive)
{
	char		kind = archive->rd_rel->relkind;

	if (kind != RELKIND_RELATION && kind != RELKIND_PARTITIONED_TABLE)
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("archive \"%s\" is not a table of this database", RelationGetRelationName(archive)),
				 errdetail_relkind_not_supported(kind),
				 errhint("Rows are deleted and archived by one statement; copy them elsewhere from a table.")));
	if (archive->rd_rel->relpersistence != RELPERSISTENCE_PERMANENT)
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("archive table \"%s\" does not survive a crash", RelationGetRelationName(archive)),
				 errhint("ALTER TABLE ... SET LOGGED, or name another table.")));
	check_partitions(archive);
	if (dbops_retention_is_same_tree(spec->relid, RelationGetRelid(archive)))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("table \"%s\" cannot be its own archive", RelationGetRelationName(archive))));
	if (archive->rd_rules != NULL)
		refuse(archive, "It has rules, which can put rows elsewhere.");
	if (check_enable_rls(RelationGetRelid(archive), spec->owner, true) == RLS_ENABLED)
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("row-level security of archive table \"%s\" is in force for the owner of table %s, with whose rights rows are archived",
						RelationGetRelationName(archive), spec->table),
				 errhint("ALTER TABLE ... NO FORCE ROW LEVEL SECURITY where both have one owner, or give that owner BYPASSRLS.")));
	if (pg_class_aclcheck(RelationGetRelid(archive), spec->owner, ACL_INSERT) != ACLCHECK_OK)
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("permission denied for table %s", RelationGetRelationName(archive)),
				 errdetail("Rows are archived with the rights of the owner of table %s.", spec->table),
				 errhint("GRANT INSERT ON %s to that role.", spec->archive)));
}

/* The rows of a partitioned archive are in its partitions. */
static void
check_partitions(Relation archive)
{
	ListCell   *cell;

	if (archive->rd_rel->relkind != RELKIND_PARTITIONED_TABLE)
		return;
	foreach(cell, find_all_inheritors(RelationGetRelid(archive), NoLock, NULL))
	{
		Oid			relid = lfirst_oid(cell);
		char		kind = get_rel_relkind(relid);

		if ((kind == RELKIND_RELATION || kind == RELKIND_PARTITIONED_TABLE) &&
			get_rel_persistence(relid) == RELPERSISTENCE_PERMANENT)
			continue;
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("partition %s of archive \"%s\" does not keep rows safely", dbops_quote_relation(relid),
						RelationGetRelationName(archive)),
				 errdetail(kind == RELKIND_FOREIGN_TABLE ? "It is a foreign table." : "It does not survive a crash."),
				 errhint("Detach it, or name another archive.")));
	}
}

/* A column that the archive computes itself is left to it. */
static void
add_column(StringInfo columns, Form_pg_attribute column, Relation archive)
{
	char	   *name = NameStr(column->attname);
	Form_pg_attribute twin = find_column(RelationGetDescr(archive), name);

	if (twin == NULL)
		refuse(archive, psprintf("It has no column %s.", quote_identifier(name)));
	if (twin->atttypid != column->atttypid ||
		(twin->atttypmod != column->atttypmod && twin->atttypmod != -1))
		refuse(archive, psprintf("Its column %s is of type %s, not %s.", quote_identifier(name),
								 format_type_with_typemod(twin->atttypid, twin->atttypmod),
								 format_type_with_typemod(column->atttypid, column->atttypmod)));
	if (twin->attgenerated != '\0')
		return;
	appendStringInfo(columns, "%s%s", columns->len > 0 ? ", " : "", quote_identifier(name));
}

/* Refuse an archive that asks for more than the table has. */
static void
check_rest(TupleDesc source, Relation archive)
{
	TupleDesc	desc = RelationGetDescr(archive);

	for (int i = 0; i < desc->natts; i++)
	{
		Form_pg_attribute column = TupleDescAttr(desc, i);

		if (column->attisdropped || !column->attnotnull || column->atthasdef || column->attidentity != '\0' ||
			find_column(source, NameStr(column->attname)) != NULL)
			continue;
		refuse(archive, psprintf("Its column %s must not be null and has no default, and the table has no such column.",
								 quote_identifier(NameStr(column->attname))));
	}
}

static Form_pg_attribute
find_column(TupleDesc desc, const char *name)
{
	for (int i = 0; i < desc->natts; i++)
	{
		Form_pg_attribute column = TupleDescAttr(desc, i);

		if (!column->attisdropped && strcmp(NameStr(column->attname), name) == 0)
			return column;
	}
	return NULL;
}

/* Copy all rows of a detached partition; a trigger must not leave any out. */
void
dbops_retention_copy(const char *sql, const char *table, const char *archive)
{
	DbopsStatement *statement = dbops_statement_prepare(sql, 0, NULL);
	DbopsStatement *count = dbops_statement_prepare(psprintf("SELECT pg_catalog.count(*) FROM %s", table), 0, NULL);
	int64		rows = 0;
	int64		copied = dbops_statement_run(statement, NULL, false, NULL, NULL);

	dbops_statement_run(count, NULL, false, take_count, &rows);
	dbops_statement_free(statement);
	dbops_statement_free(count);
	if (copied != rows)
		dbops_retention_refuse_archive(archive, copied, rows);
}

static void
take_count(HeapTuple row, TupleDesc desc, void *arg)
{
	*(int64 *) arg = dbops_row_int8(row, desc, 1);
}

/* A trigger of the archive leaves rows out: nothing may be lost. */
void
dbops_retention_refuse_archive(const char *archive, int64 archived, int64 rows)
{
	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg("archive table %s took " INT64_FORMAT " of " INT64_FORMAT " rows", archive, archived, rows),
			 errdetail("Nothing was deleted: a trigger of the archive leaves rows out."),
			 errhint("Drop that trigger, or name another archive.")));
}

static void
refuse(Relation archive, const char *detail)
{
	ereport(ERROR,
			(errcode(ERRCODE_DATATYPE_MISMATCH),
			 errmsg("table \"%s\" cannot be the archive: its columns do not match", RelationGetRelationName(archive)),
			 errdetail("%s", detail),
			 errhint("Columns are matched by name and type. CREATE TABLE ... (LIKE ... ) makes a table that fits.")));
}
