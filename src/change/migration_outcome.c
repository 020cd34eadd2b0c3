/*
 * migration_outcome.c
 *		What has come of a statement that cannot share a transaction.
 *
 * Such a statement commits on its way. When its process has died, or it was cut
 * off, the catalog says how far it came, if it is known what was there before:
 * so the aim of a statement is noted before it is run for the first time, and
 * judged afterwards, however often. What a cut off statement leaves behind has
 * a remedy, which is to be run first.
 *
 *		CREATE INDEX		the index is there, is valid and of that table;
 *							an invalid one is dropped
 *		DROP INDEX			the index is not there
 *		REINDEX				all indexes have been replaced; those that it made
 *							on the way (_ccnew, _ccold) are dropped
 *		DETACH PARTITION	the partition is none; half a one is finished
 *
 * All of them CONCURRENTLY. Of others, such as VACUUM, only their own end tells
 * that they are done; to do them again is harmless.
 */
#include "change/migration_work.h"

#include "access/genam.h"
#include "catalog/index.h"
#include "catalog/namespace.h"
#include "catalog/pg_inherits.h"
#include "catalog/pg_type.h"
#include "utils/array.h"
#include "utils/lsyscache.h"

static void aim_at_index(DbopsJson *aim, const IndexStmt *statement);
static void refuse_taken_name(Oid index, const IndexStmt *statement);
static void aim_at_drop(DbopsJson *aim, const DropStmt *statement);
static void aim_at_reindex(DbopsJson *aim, const ReindexStmt *statement);
static void aim_at_detach(DbopsJson *aim, const AlterTableStmt *statement);
static const PartitionCmd *detached(const AlterTableStmt *statement);
static Oid	find_relation(const RangeVar *name);
static void judge_index(const Jsonb *aim, MigrationOutcome *outcome);
static void judge_drop(const Jsonb *aim, bool ran, MigrationOutcome *outcome);
static void judge_reindex(const Jsonb *aim, bool ran, MigrationOutcome *outcome);
static void take_leftover(HeapTuple row, TupleDesc desc, void *arg);
static void judge_detach(const Jsonb *aim, bool ran, MigrationOutcome *outcome);
static Oid	member(const Jsonb *aim, const char *key);

/* What REINDEX is about: $1 its kind, $2 the index, table or schema. */
#define REINDEX_SCOPE \
	"WITH named AS (SELECT $2 AS oid WHERE $1 IN ('index', 'table')" \
	" UNION SELECT relid FROM pg_partition_tree($2) WHERE $1 IN ('index', 'table')" \
	" UNION SELECT oid FROM pg_class WHERE relkind IN ('r', 'm') AND ($1 = 'schema' AND relnamespace = $2 OR $1 = 'database'))," \
	" heap AS (SELECT oid FROM named WHERE $1 <> 'index'" \
	" UNION SELECT i.indrelid FROM pg_index i JOIN named n ON n.oid = i.indexrelid WHERE $1 = 'index')," \
	" place AS (SELECT oid FROM heap UNION SELECT c.reltoastrelid FROM pg_class c JOIN heap USING (oid) WHERE c.reltoastrelid <> 0)," \
	" leftover AS (SELECT i.indexrelid, i.indrelid FROM pg_index i JOIN place p ON p.oid = i.indrelid" \
	" JOIN pg_class c ON c.oid = i.indexrelid WHERE NOT i.indisvalid AND c.relname ~ '_cc(new|old)[0-9]*$') "

/*
 * Note what a statement is to bring about, and what is there now: to be kept
 * until it is done. NULL: nobody can tell from outside. Refuses what the server
 * would refuse in a way that could not be told from a success.
 */
Jsonb *
dbops_migration_aim(const RawStmt *raw)
{
	DbopsJson	aim = {0};

	dbops_json_object(&aim, NULL);
	switch (nodeTag(raw->stmt))
	{
		case T_IndexStmt:
			aim_at_index(&aim, castNode(IndexStmt, raw->stmt));
			break;
		case T_DropStmt:
			aim_at_drop(&aim, castNode(DropStmt, raw->stmt));
			break;
		case T_ReindexStmt:
			aim_at_reindex(&aim, castNode(ReindexStmt, raw->stmt));
			break;
		case T_AlterTableStmt:
			aim_at_detach(&aim, castNode(AlterTableStmt, raw->stmt));
			break;
		default:
			dbops_json_text(&aim, "kind", "other");
	}
	return dbops_json_finish(&aim);
}

static void
aim_at_index(DbopsJson *aim, const IndexStmt *statement)
{
	Oid			table = find_relation(statement->relation);
	Oid			schema = OidIsValid(table) ? get_rel_namespace(table) : InvalidOid;
	Oid			index = OidIsValid(table) ? get_relname_relid(statement->idxname, schema) : InvalidOid;

	if (OidIsValid(index) && !statement->if_not_exists)
		refuse_taken_name(index, statement);
	dbops_json_text(aim, "kind", "create index");
	dbops_json_integer(aim, "table", table);
	dbops_json_integer(aim, "schema", schema);
	dbops_json_text(aim, "name", statement->idxname);
}

/* Once the statement has been begun, an index of that name would be taken for its work. */
static void
refuse_taken_name(Oid index, const IndexStmt *statement)
{
	bool		invalid = get_rel_relkind(index) == RELKIND_INDEX && !get_index_isvalid(index);

	ereport(ERROR,
			(errcode(ERRCODE_DUPLICATE_TABLE),
			 errmsg("relation \"%s\" already exists", statement->idxname),
			 invalid ? errdetail("It is an invalid index, which a build has left that was cut off, or one that is being built.") : 0,
			 invalid ? errhint("DROP INDEX CONCURRENTLY %s; or write IF NOT EXISTS, which builds it again where it is invalid.",
							   dbops_quote_relation(index)) : 0));
}

static void
aim_at_drop(DbopsJson *aim, const DropStmt *statement)
{
	RangeVar   *name = makeRangeVarFromNameList(linitial_node(List, statement->objects));
	Oid			index = find_relation(name);

	dbops_json_text(aim, "kind", "drop index");
	dbops_json_integer(aim, "table", OidIsValid(index) ? IndexGetRelation(index, true) : InvalidOid);
	dbops_json_integer(aim, "index", index);
}

static void
aim_at_reindex(DbopsJson *aim, const ReindexStmt *statement)
{
	const char *kind = "database";
	Oid			object = InvalidOid;
	Datum		scope;
	DbopsParam	params[2];

	if (statement->kind == REINDEX_OBJECT_INDEX || statement->kind == REINDEX_OBJECT_TABLE)
	{
		kind = (statement->kind == REINDEX_OBJECT_INDEX) ? "index" : "table";
		object = find_relation(statement->relation);
	}
	else if (statement->kind == REINDEX_OBJECT_SCHEMA)
	{
		kind = "schema";
		object = get_namespace_oid(statement->name, true);
	}
	params[0] = dbops_param_text(kind);
	params[1] = (DbopsParam) {.type = OIDOID,.value = ObjectIdGetDatum(object)};
	if (!dbops_query_value(REINDEX_SCOPE
						   "SELECT jsonb_build_object('kind', 'reindex', 'scope', $1, 'object', $2::int8,"
						   " 'table', (SELECT CASE WHEN count(*) = 1 THEN min(oid::int8) ELSE 0 END FROM heap),"
						   " 'indexes', (SELECT coalesce(jsonb_agg(i.indexrelid::int8), '[]') FROM pg_index i"
						   " JOIN pg_class c ON c.oid = i.indexrelid AND c.relkind = 'i'"
						   " WHERE i.indisvalid AND ($1 = 'index' AND i.indexrelid IN (SELECT oid FROM named)"
						   " OR $1 = 'table' AND i.indrelid IN (SELECT oid FROM place))),"
						   " 'invalid', (SELECT coalesce(jsonb_agg(indexrelid::int8), '[]') FROM leftover))",
						   lengthof(params), params, JSONBOID, &scope))
		elog(ERROR, "could not look at what is to be reindexed");
	dbops_json_text(aim, "kind", "reindex");
	dbops_json_integer(aim, "table", dbops_jsonb_integer(DatumGetJsonbP(scope), "table"));
	dbops_json_document(aim, "scope", DatumGetJsonbP(scope));
}

static void
aim_at_detach(DbopsJson *aim, const AlterTableStmt *statement)
{
	const PartitionCmd *command = detached(statement);

	if (command == NULL)
	{
		dbops_json_text(aim, "kind", "other");
		return;
	}
	dbops_json_text(aim, "kind", "detach");
	dbops_json_integer(aim, "table", find_relation(statement->relation));
	dbops_json_integer(aim, "partition", find_relation(command->name));
}

static const PartitionCmd *
detached(const AlterTableStmt *statement)
{
	const AlterTableCmd *command = linitial_node(AlterTableCmd, statement->cmds);

	return (command->subtype == AT_DetachPartition) ? castNode(PartitionCmd, command->def) : NULL;
}

/* What the statement would find; the server itself refuses what is not there. */
static Oid
find_relation(const RangeVar *name)
{
	return RangeVarGetRelid(name, NoLock, true);
}

/*
 * Judge by the catalog whether a statement is done. ran: it has been run to its
 * end, without an error, by who asks.
 */
MigrationOutcome
dbops_migration_outcome(const Jsonb *aim, bool ran)
{
	MigrationOutcome outcome = {.table = member(aim, "table")};
	const char *kind = dbops_jsonb_text(aim, "kind");

	if (strcmp(kind, "create index") == 0)
		judge_index(aim, &outcome);
	else if (strcmp(kind, "drop index") == 0)
		judge_drop(aim, ran, &outcome);
	else if (strcmp(kind, "reindex") == 0)
		judge_reindex(aim, ran, &outcome);
	else if (strcmp(kind, "detach") == 0)
		judge_detach(aim, ran, &outcome);
	else
		outcome.done = ran;
	return outcome;
}

static void
judge_index(const Jsonb *aim, MigrationOutcome *outcome)
{
	Oid			schema = member(aim, "schema");
	Oid			index = OidIsValid(schema) ? get_relname_relid(dbops_jsonb_text(aim, "name"), schema) : InvalidOid;

	if (!OidIsValid(index) || IndexGetRelation(index, true) != outcome->table)
		return;
	if (get_index_isvalid(index))
		outcome->done = true;
	else
		outcome->remedy = psprintf("DROP INDEX CONCURRENTLY IF EXISTS %s",
								   dbops_quote_relation(index));
}

/* One that was not there when it was begun is done if the server has nothing against it. */
static void
judge_drop(const Jsonb *aim, bool ran, MigrationOutcome *outcome)
{
	Oid			index = member(aim, "index");

	outcome->done = OidIsValid(index) ? get_rel_name(index) == NULL : ran;
}

static void
judge_reindex(const Jsonb *aim, bool ran, MigrationOutcome *outcome)
{
	Jsonb	   *scope = dbops_jsonb_document(aim, "scope");
	DbopsParam	params[] = {
		dbops_param_text(dbops_jsonb_text(scope, "scope")),
		{.type = OIDOID,.value = ObjectIdGetDatum(member(scope, "object"))},
		dbops_param_jsonb(scope)
	};
	Datum		replaced = BoolGetDatum(false);

	dbops_query_each(REINDEX_SCOPE
					 "SELECT indexrelid, indrelid FROM leftover"
					 " WHERE NOT $3 -> 'invalid' @> to_jsonb(indexrelid::int8) LIMIT 1",
					 lengthof(params), params, take_leftover, outcome);
	if (outcome->remedy != NULL)
		return;
	(void) dbops_query_value("SELECT jsonb_array_length($1 -> 'indexes') > 0 AND NOT EXISTS ("
							 " SELECT FROM jsonb_array_elements_text($1 -> 'indexes') i JOIN pg_class c ON c.oid = i::oid)",
							 1, &params[2], BOOLOID, &replaced);
	outcome->done = ran || DatumGetBool(replaced);
}

static void
take_leftover(HeapTuple row, TupleDesc desc, void *arg)
{
	MigrationOutcome *outcome = arg;

	outcome->table = dbops_row_oid(row, desc, 2);
	outcome->remedy = psprintf("DROP INDEX CONCURRENTLY IF EXISTS %s",
							   dbops_quote_relation(dbops_row_oid(row, desc, 1)));
}

static void
judge_detach(const Jsonb *aim, bool ran, MigrationOutcome *outcome)
{
	Oid			partition = member(aim, "partition");
	DbopsParam	params[] = {
		dbops_param_oid(outcome->table), dbops_param_oid(partition)
	};
	Datum		pending;

	if (!OidIsValid(partition) || !OidIsValid(outcome->table))
		outcome->done = ran;
	else if (!dbops_query_value("SELECT inhdetachpending FROM pg_inherits WHERE inhparent = $1 AND inhrelid = $2",
								lengthof(params), params, BOOLOID, &pending))
		outcome->done = true;
	else if (DatumGetBool(pending))
		outcome->remedy = psprintf("ALTER TABLE %s DETACH PARTITION %s FINALIZE",
								   dbops_quote_relation(outcome->table),
								   dbops_quote_relation(partition));
}

static Oid
member(const Jsonb *aim, const char *key)
{
	return (Oid) dbops_jsonb_integer(aim, key);
}
