/*
 * partition_obstacle.c
 *		Why a partition cannot be dropped, as far as that can be known before.
 *
 * It is asked before a partition is detached: one that is detached and cannot
 * be dropped then is missing from the table, and its rows are nowhere.
 */
#include "maintain/hold.h"
#include "maintain/partition.h"

#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "catalog/pg_inherits.h"
#include "catalog/pg_namespace.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/rls.h"

static void look(void *arg);
static const char *find_obstacle(const PartitionSet *set, const Partition *partition);
static const char *find_hidden(const PartitionSet *set, const Partition *partition);
static bool hides_rows(Oid relid, Oid role);
static const char *find_owner(const PartitionSet *set, const Partition *partition);
static const char *role_name(Oid role);
static const char *find_dependent(Oid partition);
static const char *find_reference(const PartitionSet *set, const Partition *partition);
static List *references_to(const Partition *partition);
static void take_reference(HeapTuple row, TupleDesc desc, void *arg);
static void look_for_rows(void *arg);
static void ask(void *arg);

/* A look for what keeps a partition. */
typedef struct ObstacleLook
{
	const PartitionSet *set;
	const Partition *partition;
	const char *obstacle;
} ObstacleLook;

/* Say why a partition cannot be dropped; NULL: it can. Where that cannot be seen it is kept. */
const char *
dbops_partition_obstacle(const PartitionSet *set, const Partition *partition)
{
	ObstacleLook question = {.set = set,.partition = partition};
	ErrorData  *error;

	if (dbops_attempt(look, &question, &error))
		return question.obstacle;
	if (dbops_partition_met_lock(error))
		ReThrowError(error);
	return psprintf("it cannot be seen whether it may go: %s", error->message);
}

static void
look(void *arg)
{
	ObstacleLook *question = arg;

	question->obstacle = find_obstacle(question->set, question->partition);
}

static const char *
find_obstacle(const PartitionSet *set, const Partition *partition)
{
	const char *obstacle;

	if (partition->relkind == RELKIND_FOREIGN_TABLE)
		return "it is a foreign table, whose rows are elsewhere";
	obstacle = find_hidden(set, partition);
	if (obstacle != NULL)
		return obstacle;
	if (dbops_hold_any(partition->relid, InvalidOid))
		return "a hold is on rows of it";
	obstacle = find_owner(set, partition);
	if (obstacle == NULL)
		obstacle = find_dependent(partition->relid);
	return (obstacle != NULL) ? obstacle : find_reference(set, partition);
}

/* Rows that are hidden from who looks at them may be held, and are not archived. */
static const char *
find_hidden(const PartitionSet *set, const Partition *partition)
{
	ListCell   *cell;

	foreach(cell, find_all_inheritors(partition->relid, NoLock, NULL))
		if (hides_rows(lfirst_oid(cell), dbops_relation_owner(set->parent)) ||
			hides_rows(lfirst_oid(cell), dbops_relation_owner(partition->relid)))
			return "row-level security hides rows of it from the owner";
	return NULL;
}

static bool
hides_rows(Oid relid, Oid role)
{
	return check_enable_rls(relid, role, true) == RLS_ENABLED;
}

/* The parent's owner may detach it, and drops it only if it is his or in a schema of his. */
static const char *
find_owner(const PartitionSet *set, const Partition *partition)
{
	Oid			owner = dbops_relation_owner(set->parent);

	if (object_ownercheck(RelationRelationId, partition->relid, owner) ||
		object_ownercheck(NamespaceRelationId, get_rel_namespace(partition->relid), owner))
		return NULL;
	return psprintf("it belongs to role %s, and the table to %s", role_name(dbops_relation_owner(partition->relid)), role_name(owner));
}

static const char *
role_name(Oid role)
{
	const char *name = GetUserNameFromId(role, true);

	return (name != NULL) ? quote_identifier(name) : psprintf("%u", role);
}

/* What DROP TABLE would refuse to leave behind, of the partition or one within it; NULL: nothing. */
static const char *
find_dependent(Oid partition)
{
	DbopsParam	params[] = {
		dbops_param_oid(partition),
		dbops_param_oids(find_all_inheritors(partition, NoLock, NULL))
	};

	return dbops_query_text("SELECT coalesce('view ' || r.ev_class::regclass, pg_describe_object(d.classid, d.objid, d.objsubid))"
					 " || ' depends on ' || CASE WHEN d.refobjid = $1 THEN 'it' ELSE 'its partition ' || d.refobjid::regclass END"
					 " FROM pg_depend d"
					 " LEFT JOIN pg_rewrite r ON d.classid = 'pg_rewrite'::regclass AND r.oid = d.objid"
					 " LEFT JOIN pg_constraint c ON d.classid = 'pg_constraint'::regclass AND c.oid = d.objid"
					 " WHERE d.refclassid = 'pg_class'::regclass AND d.refobjid = ANY ($2) AND d.deptype = 'n'"
					 " AND (c.oid IS NULL OR c.conparentid = 0 AND c.conrelid <> ALL ($2))"
					 " AND NOT EXISTS (SELECT FROM pg_attrdef a WHERE d.classid = 'pg_attrdef'::regclass AND a.oid = d.objid AND a.adrelid = ANY ($2))"
					 " ORDER BY 1 LIMIT 1",
							lengthof(params), params);
}

/* A foreign key that points at the parent. */
typedef struct Reference
{
	const char *name;
	const char *sql;			/* is there a row that it keeps? */
	Oid			role;			/* that asks */
	bool		found;
} Reference;

/*
 * Which foreign key has rows that reference the partition's; NULL: none. The
 * server looks for them too when it detaches, also among the partition's own rows,
 * and may not read what the owner may not; under its locks, and for about as long
 * as it takes here.
 */
static const char *
find_reference(const PartitionSet *set, const Partition *partition)
{
	Oid			owner = dbops_relation_owner(set->parent);
	Oid			role = dbops_acts_for(owner) ? owner : GetUserId();
	TimestampTz began = GetCurrentTimestamp();
	ListCell   *cell;

	foreach(cell, references_to(partition))
	{
		Reference  *reference = lfirst(cell);
		ErrorData  *error;

		reference->role = role;
		if (!dbops_attempt(look_for_rows, reference, &error) && dbops_partition_met_lock(error))
			ReThrowError(error);
		if (error != NULL)
			return psprintf("it cannot be seen whether foreign key %s has rows that reference it: %s", reference->name, error->message);
		if (reference->found)
			return psprintf("foreign key %s has rows that reference it", reference->name);
	}
	if (dbops_max_detach_time > 0 && TimestampDifferenceExceeds(began, GetCurrentTimestamp(), dbops_max_detach_time))
		return dbops_partition_too_long(dbops_partition_references(partition));
	return NULL;
}

/* Those of the server's own look; of Reference *. */
static List *
references_to(const Partition *partition)
{
	DbopsParam	param = dbops_param_oid(partition->relid);
	List	   *references = NIL;

	dbops_query_each("SELECT format('%I of table %s', r.conname, c.conrelid::regclass),"
					 " format('SELECT true FROM %I.%I f JOIN %I.%I p ON %s LIMIT 1',"
					 "  fn.nspname, ft.relname, pn.nspname, pt.relname,"
					 "  (SELECT string_agg(format('f.%I = p.%I', fa.attname, pa.attname), ' AND ' ORDER BY k.n)"
					 "   FROM unnest(c.conkey, c.confkey) WITH ORDINALITY k(f, p, n)"
					 "   JOIN pg_attribute fa ON fa.attrelid = c.conrelid AND fa.attnum = k.f"
					 "   JOIN pg_attribute pa ON pa.attrelid = c.confrelid AND pa.attnum = k.p))"
					 " FROM pg_constraint c JOIN pg_constraint r ON r.oid = c.conparentid"
					 " JOIN pg_class ft ON ft.oid = c.conrelid JOIN pg_namespace fn ON fn.oid = ft.relnamespace"
					 " JOIN pg_class pt ON pt.oid = c.confrelid JOIN pg_namespace pn ON pn.oid = pt.relnamespace"
					 " WHERE c.contype = 'f' AND c.confrelid = $1 AND NOT ft.relispartition"
					 " ORDER BY 1",
					 1, &param, take_reference, &references);
	return references;
}

static void
take_reference(HeapTuple row, TupleDesc desc, void *arg)
{
	Reference  *reference = palloc0(sizeof(Reference));

	reference->name = dbops_row_text(row, desc, 1);
	reference->sql = dbops_row_text(row, desc, 2);
	*(List **) arg = lappend(*(List **) arg, reference);
}

static void
look_for_rows(void *arg)
{
	dbops_run_as(((Reference *) arg)->role, ask, arg);
}

static void
ask(void *arg)
{
	Reference  *reference = arg;
	Datum		found;

	dbops_set_nested("row_security", "off");
	reference->found = dbops_query_value(reference->sql, 0, NULL, BOOLOID, &found);
}

/* From which foreign keys do others refer to it? */
const char *
dbops_partition_references(const Partition *partition)
{
	const char *references = NULL;
	ListCell   *cell;

	foreach(cell, references_to(partition))
	{
		const Reference *reference = lfirst(cell);

		references = (references == NULL) ? reference->name : psprintf("%s, %s", references, reference->name);
	}
	return references;
}

/* Say why it stays, and what to do; NULL: no foreign key refers to it. */
const char *
dbops_partition_too_long(const char *references)
{
	return references == NULL ? NULL :
		psprintf("the server would look through foreign key %s for longer than dbops.max_detach_time while others wait:"
				 " at a quiet time SET dbops.max_detach_time = 0 and CALL the run in that session", references);
}
