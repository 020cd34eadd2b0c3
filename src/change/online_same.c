/*
 * online_same.c
 *		Are the tables and columns of a step those that it was planned for?
 *
 * A plan is text with names, and may wait for long: others can swap a table, or
 * its columns, for another of the same name meanwhile. So what the names stood
 * for is noted with the plan, and looked at again when the step has its locks,
 * under which no name changes.
 */
#include "change/constraint.h"

#include "change/migration.h"

#include "core/sql.h"

#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "storage/lmgr.h"
#include "utils/inval.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"

static Oid	table_of(const RawStmt *raw);

/* The tables that statements are about and that are there (OIDs). */
List *
dbops_online_tables_of(List *statements)
{
	List	   *tables = NIL;
	ListCell   *cell;

	foreach(cell, statements)
	{
		Oid			table = table_of(lfirst_node(RawStmt, cell));

		if (OidIsValid(table))
			tables = list_append_unique_oid(tables, table);
	}
	return tables;
}

/* What a statement names first; an index may come and go. */
static Oid
table_of(const RawStmt *raw)
{
	List	   *targets = dbops_migration_targets(raw->stmt);
	Oid			relid = targets == NIL ? InvalidOid : ((const MigrationTarget *) linitial(targets))->relid;
	char		relkind = get_rel_relkind(relid);

	return (relkind == RELKIND_RELATION || relkind == RELKIND_PARTITIONED_TABLE) ? relid : InvalidOid;
}

/* Refuse a step whose tables, or the columns of its plan, are others by now. */
void
dbops_online_require_same(const OnlinePlan *plan, const OnlineStep *step, List *statements)
{
	ListCell   *cell;

	foreach(cell, dbops_online_tables_of(statements))
		if (!list_member_oid(step->tables, lfirst_oid(cell)))
			ereport(ERROR,
					(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
					 errmsg("table %s has got its name meanwhile, and is not the one that was to be changed",
							dbops_quote_relation(lfirst_oid(cell))),
					 errhint("Make the same call again, for the table that is meant.")));
	if (plan->columns != NULL && !dbops_online_is_so(step, plan->columns))
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("a column of table %s that was to be changed has got another name meanwhile, or has been dropped",
						dbops_quote_relation(plan->table)),
				 errhint("Make the same call again, for the columns that are meant.")));
}

/*
 * Have the index that a step drops keep its name, until the transaction ends, or
 * for the session until the lock is released; an error where it has another one.
 * The lock on its table keeps nobody from renaming it.
 */
LOCKTAG
dbops_online_keep_index(const OnlineStep *step, bool for_session)
{
	LOCKTAG		tag;
	const DropStmt *drop = castNode(DropStmt, linitial_node(RawStmt, dbops_sql_parse(step->sql, RAW_PARSE_DEFAULT))->stmt);
	RangeVar   *name = makeRangeVarFromNameList(linitial_node(List, drop->objects));

	SET_LOCKTAG_RELATION(tag, MyDatabaseId, step->index);
	if (LockAcquire(&tag, ShareUpdateExclusiveLock, for_session, true) == LOCKACQUIRE_NOT_AVAIL)
		ereport(ERROR,
				(errcode(ERRCODE_LOCK_NOT_AVAILABLE),
				 errmsg("index %s is being changed by another session", NameListToString(linitial_node(List, drop->objects)))));
	AcceptInvalidationMessages();
	if (RangeVarGetRelid(name, NoLock, true) == step->index)
		return tag;
	if (for_session)
		(void) LockRelease(&tag, ShareUpdateExclusiveLock, true);
	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg_internal("%s", step->message),
			 errhint("Make the same call again: it goes by what is there now.")));
}

/* SQL: columns of a table have the names that they have now. */
char *
dbops_online_same_columns(const OnlineColumns *columns, Oid table)
{
	StringInfoData pairs;
	ListCell   *cell;

	initStringInfo(&pairs);
	foreach(cell, columns->names)
		appendStringInfo(&pairs, "%s(%d, %s)", pairs.len > 0 ? ", " : "", columns->numbers[foreach_current_index(cell)],
						 quote_literal_cstr(lfirst(cell)));
	return psprintf("(SELECT count(*) = %d FROM pg_attribute WHERE attrelid = %u AND (attnum, attname) IN (%s))",
					columns->n, table, pairs.data);
}
