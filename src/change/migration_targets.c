/*
 * migration_targets.c
 *		What a statement will lock and do, as far as its text tells.
 *
 * Nothing is run and no lock is taken: names are looked up as they stand, so
 * that a table which an earlier statement is to create is not found yet. What a
 * statement locks without naming it is found in the catalog. The
 * modes of ALTER TABLE are the server's own; the others are those that its
 * commands are documented to take (explicit locking, and the page of each
 * command). What a statement really did is what its receipt says.
 */
#include "change/migration.h"

#include "core/sql.h"

#include "catalog/heap.h"
#include "catalog/index.h"
#include "catalog/namespace.h"
#include "catalog/partition.h"
#include "catalog/pg_class.h"
#include "catalog/pg_inherits.h"
#include "commands/defrem.h"
#include "commands/tablecmds.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "utils/hsearch.h"
#include "utils/lsyscache.h"

/* From so many on they are found by a hash. */
#define MANY_TARGETS	32

/* Targets on their way through the statement. */
typedef struct Gathering
{
	List	   *targets;		/* of MigrationTarget * */
	HTAB	   *known;			/* the same by OID, where they are many; or NULL */
	bool		along;			/* what comes now is not named */
	List	   *hidden;			/* names of WITH queries, of char *, which are no tables */
} Gathering;

static void gather_ddl(Gathering *gathering, Node *statement);
static void gather_along(Gathering *gathering, Node *statement);
static void gather_alter_table(Gathering *gathering, const AlterTableStmt *statement);
static void gather_alter_index(Gathering *gathering, const AlterTableStmt *statement);
static void gather_create_table(Gathering *gathering, const CreateStmt *statement);
static void gather_referenced(Gathering *gathering, const Constraint *constraint);
static void gather_keys(Gathering *gathering, const RangeVar *name, const AlterTableCmd *command);
static void gather_drop(Gathering *gathering, const DropStmt *statement);
static void gather_parts_of_index(Gathering *gathering, List *name, LOCKMODE mode);
static void gather_default(Gathering *gathering, const RangeVar *parent);
static void gather_owner(Gathering *gathering, List *name);
static void gather_truncate(Gathering *gathering, const TruncateStmt *statement);
static void gather_vacuum(Gathering *gathering, const VacuumStmt *statement);
static bool gather_query(Node *node, void *arg);
static void gather_written(Gathering *gathering, Node *node);
static void hide(Gathering *gathering, const WithClause *with);
static void add_all(Gathering *gathering, List *names, LOCKMODE mode);
static void add_name(Gathering *gathering, const RangeVar *name, LOCKMODE mode);
static void add_oids(Gathering *gathering, const List *relids, LOCKMODE mode);
static void add(Gathering *gathering, Oid relid, LOCKMODE mode);
static MigrationTarget *find_target(Gathering *gathering, Oid relid);
static void note_target(HTAB *known, MigrationTarget *target);
static bool is_hidden(const Gathering *gathering, const RangeVar *name);
static int	effect_rank(const char *effect);
static const char *effect_of_command(const AlterTableCmd *command);
static const char *effect_of_column(const ColumnDef *column);
static const char *effect_of_constraint(const Constraint *constraint);

/* A target by its OID. */
typedef struct KnownTarget
{
	Oid			relid;
	MigrationTarget *target;
} KnownTarget;

/* From harmless to grave. */
static const char *const effects[] = {"metadata", "rows", "scan", "index build", "rewrite"};

/* List the relations that exist and that a statement locks, those that it names first, with the mode it takes (of MigrationTarget *). */
List *
dbops_migration_targets(Node *statement)
{
	Gathering	gathering = {0};

	switch (nodeTag(statement))
	{
		case T_SelectStmt:
		case T_InsertStmt:
		case T_UpdateStmt:
		case T_DeleteStmt:
		case T_MergeStmt:
			(void) gather_query(statement, &gathering);
			break;
		case T_CreateTableAsStmt:
			/* It is a Query when it begins to run, and names nothing where a prepared statement is executed. */
			if (IsA(((CreateTableAsStmt *) statement)->query, SelectStmt))
				(void) gather_query(((CreateTableAsStmt *) statement)->query, &gathering);
			break;
		case T_ViewStmt:
			add_name(&gathering, ((ViewStmt *) statement)->view, AccessExclusiveLock);
			(void) gather_query(((ViewStmt *) statement)->query, &gathering);
			break;
		default:
			gather_ddl(&gathering, statement);
			gather_along(&gathering, statement);
	}
	return gathering.targets;
}

static void
gather_ddl(Gathering *gathering, Node *statement)
{
	switch (nodeTag(statement))
	{
		case T_AlterTableStmt:
			gather_alter_table(gathering, (AlterTableStmt *) statement);
			break;
		case T_CreateStmt:
			gather_create_table(gathering, (CreateStmt *) statement);
			break;
		case T_DropStmt:
			gather_drop(gathering, (DropStmt *) statement);
			break;
		case T_VacuumStmt:
			gather_vacuum(gathering, (VacuumStmt *) statement);
			break;
		case T_IndexStmt:
			add_name(gathering, ((IndexStmt *) statement)->relation,
					 ((IndexStmt *) statement)->concurrent ? ShareUpdateExclusiveLock : ShareLock);
			break;
		case T_ReindexStmt:
			add_name(gathering, ((ReindexStmt *) statement)->relation,
					 dbops_sql_must_be_alone(statement) ? ShareUpdateExclusiveLock : ShareLock);
			break;
		case T_TruncateStmt:
			gather_truncate(gathering, (TruncateStmt *) statement);
			break;
		case T_RenameStmt:
			add_name(gathering, ((RenameStmt *) statement)->relation, AccessExclusiveLock);
			break;
		case T_AlterObjectSchemaStmt:
			add_name(gathering, ((AlterObjectSchemaStmt *) statement)->relation, AccessExclusiveLock);
			break;
		case T_ClusterStmt:
			add_name(gathering, ((ClusterStmt *) statement)->relation, AccessExclusiveLock);
			break;
		case T_RefreshMatViewStmt:
			add_name(gathering, ((RefreshMatViewStmt *) statement)->relation,
					 ((RefreshMatViewStmt *) statement)->concurrent ? ExclusiveLock : AccessExclusiveLock);
			break;
		case T_CreateTrigStmt:
			add_name(gathering, ((CreateTrigStmt *) statement)->relation, ShareRowExclusiveLock);
			break;
		case T_RuleStmt:
			add_name(gathering, ((RuleStmt *) statement)->relation, AccessExclusiveLock);
			break;
		case T_CreatePolicyStmt:
			add_name(gathering, ((CreatePolicyStmt *) statement)->table, AccessExclusiveLock);
			break;
		case T_AlterPolicyStmt:
			add_name(gathering, ((AlterPolicyStmt *) statement)->table, AccessExclusiveLock);
			break;
		case T_AlterSeqStmt:
			add_name(gathering, ((AlterSeqStmt *) statement)->sequence, ShareRowExclusiveLock);
			break;
		case T_LockStmt:
			add_all(gathering, ((LockStmt *) statement)->relations, ((LockStmt *) statement)->mode);
			break;
		case T_CreateStatsStmt:
			add_all(gathering, ((CreateStatsStmt *) statement)->relations, ShareUpdateExclusiveLock);
			break;
		case T_CopyStmt:
			add_name(gathering, ((CopyStmt *) statement)->relation,
					 ((CopyStmt *) statement)->is_from ? RowExclusiveLock : AccessShareLock);
			break;
		default:
			break;
	}
}

/* What is dropped, changed or read along is locked against everybody, but for a domain's tables. */
static void
gather_along(Gathering *gathering, Node *statement)
{
	ListCell   *cell;

	gathering->along = true;
	foreach(cell, dbops_migration_along(statement))
		add(gathering, ((const MigrationAlong *) lfirst(cell))->relid, IsA(statement, AlterDomainStmt) ? ShareLock : AccessExclusiveLock);
	add_oids(gathering, dbops_migration_tables_of_whole(statement),
			 !IsA(statement, ReindexStmt) ? AccessExclusiveLock :
			 dbops_sql_is_concurrent(statement) ? ShareUpdateExclusiveLock : ShareLock);
}

/* The mode of the table itself is the server's own judgement. */
static void
gather_alter_table(Gathering *gathering, const AlterTableStmt *statement)
{
	ListCell   *cell;

	if (statement->objtype == OBJECT_TYPE)
		return;
	if (statement->objtype == OBJECT_INDEX)
	{
		gather_alter_index(gathering, statement);
		return;
	}
	add_name(gathering, statement->relation, AlterTableGetLockLevel(statement->cmds));
	foreach(cell, statement->cmds)
	{
		const AlterTableCmd *command = lfirst_node(AlterTableCmd, cell);

		gather_keys(gathering, statement->relation, command);
		if (command->def != NULL && IsA(command->def, PartitionCmd))
			add_name(gathering, ((PartitionCmd *) command->def)->name,
					 command->subtype == AT_DetachPartition && ((PartitionCmd *) command->def)->concurrent ?
					 ShareUpdateExclusiveLock : AccessExclusiveLock);
		if (command->subtype == AT_AttachPartition || command->subtype == AT_DetachPartition)
			gather_default(gathering, statement->relation);
		if (command->def != NULL && IsA(command->def, Constraint))
			gather_referenced(gathering, (Constraint *) command->def);
		if (command->def != NULL && IsA(command->def, ColumnDef))
		{
			ListCell   *inner;

			foreach(inner, ((ColumnDef *) command->def)->constraints)
				gather_referenced(gathering, lfirst_node(Constraint, inner));
		}
	}
}

/* The table stays open to all who do not use the index. */
static void
gather_alter_index(Gathering *gathering, const AlterTableStmt *statement)
{
	ListCell   *cell;

	add(gathering, dbops_migration_find_relation(statement->relation), AlterTableGetLockLevel(statement->cmds));
	foreach(cell, statement->cmds)
	{
		const AlterTableCmd *command = lfirst_node(AlterTableCmd, cell);

		if (command->def != NULL && IsA(command->def, PartitionCmd))
			add(gathering, dbops_migration_find_relation(((PartitionCmd *) command->def)->name), AccessExclusiveLock);
	}
}

/* A new table locks its parents, and what its foreign keys refer to. */
static void
gather_create_table(Gathering *gathering, const CreateStmt *statement)
{
	ListCell   *cell;
	ListCell   *inner;

	add_all(gathering, statement->inhRelations,
			statement->partbound != NULL ? AccessExclusiveLock : ShareUpdateExclusiveLock);
	if (statement->partbound != NULL)
		gather_default(gathering, linitial_node(RangeVar, statement->inhRelations));
	foreach(cell, statement->tableElts)
	{
		Node	   *element = lfirst(cell);

		if (IsA(element, Constraint))
			gather_referenced(gathering, (Constraint *) element);
		else if (IsA(element, ColumnDef))
			foreach(inner, ((ColumnDef *) element)->constraints)
				gather_referenced(gathering, lfirst_node(Constraint, inner));
	}
	foreach(cell, statement->constraints)
		gather_referenced(gathering, lfirst_node(Constraint, cell));
}

static void
gather_referenced(Gathering *gathering, const Constraint *constraint)
{
	if (constraint->contype == CONSTR_FOREIGN)
		add_name(gathering, constraint->pktable, ShareRowExclusiveLock);
}

/* Foreign keys that go, if only to come again, are locked at their other end too. */
static void
gather_keys(Gathering *gathering, const RangeVar *name, const AlterTableCmd *command)
{
	Oid			relid = dbops_migration_find_relation(name);

	if (command->subtype == AT_DropColumn || command->subtype == AT_AlterColumnType)
		add_oids(gathering, dbops_migration_tables_of_column_keys(relid, command->name), AccessExclusiveLock);
	else if (command->subtype == AT_DropConstraint)
		add_oids(gathering, dbops_migration_tables_of_key(relid, command->name), AccessExclusiveLock);
}

static void
gather_drop(Gathering *gathering, const DropStmt *statement)
{
	ListCell   *cell;

	foreach(cell, statement->objects)
	{
		Node	   *object = lfirst(cell);
		LOCKMODE	mode = statement->concurrent ? ShareUpdateExclusiveLock : AccessExclusiveLock;

		switch (statement->removeType)
		{
			case OBJECT_TABLE:
				add_oids(gathering, dbops_migration_tables_of_column_keys(
						 dbops_migration_find_relation(makeRangeVarFromNameList(castNode(List, object))), NULL), mode);
				/* FALLTHROUGH */
			case OBJECT_INDEX:
				gather_parts_of_index(gathering, castNode(List, object), mode);
				/* FALLTHROUGH */
			case OBJECT_SEQUENCE:
			case OBJECT_VIEW:
			case OBJECT_MATVIEW:
			case OBJECT_FOREIGN_TABLE:
				add_name(gathering, makeRangeVarFromNameList(castNode(List, object)), mode);
				break;
			case OBJECT_TRIGGER:
			case OBJECT_POLICY:
			case OBJECT_RULE:
				gather_owner(gathering, castNode(List, object));
				break;
			default:
				break;
		}
	}
}

/* An index of a partitioned table has all of its partitions locked. */
static void
gather_parts_of_index(Gathering *gathering, List *name, LOCKMODE mode)
{
	Oid			index = dbops_migration_find_relation(makeRangeVarFromNameList(name));

	if (!OidIsValid(index) || get_rel_relkind(index) != RELKIND_PARTITIONED_INDEX)
		return;
	add_name(gathering, makeRangeVarFromNameList(name), mode);
	gathering->along = true;
	add_oids(gathering, find_all_inheritors(IndexGetRelation(index, false), NoLock, NULL), mode);
	gathering->along = false;
}

/* The default partition has another bound when one beside it comes or goes. */
static void
gather_default(Gathering *gathering, const RangeVar *parent)
{
	Oid			relid = dbops_migration_find_relation(parent);

	if (!OidIsValid(relid))
		return;
	gathering->along = true;
	add(gathering, get_default_partition_oid(relid), AccessExclusiveLock);
	gathering->along = false;
}

/* The table that a trigger, a policy or a rule is of. */
static void
gather_owner(Gathering *gathering, List *name)
{
	if (list_length(name) > 1)
		add_name(gathering,
				 makeRangeVarFromNameList(list_truncate(list_copy(name), list_length(name) - 1)),
				 AccessExclusiveLock);
}

/* With CASCADE all that refers to it is emptied too, and so on. */
static void
gather_truncate(Gathering *gathering, const TruncateStmt *statement)
{
	List	   *relids = NIL;
	List	   *others;
	ListCell   *cell;

	add_all(gathering, statement->relations, AccessExclusiveLock);
	if (statement->behavior != DROP_CASCADE)
		return;
	foreach(cell, gathering->targets)
		relids = list_concat_unique_oid(relids, find_all_inheritors(((const MigrationTarget *) lfirst(cell))->relid, NoLock, NULL));
	while ((others = heap_truncate_find_FKs(relids)) != NIL)
	{
		add_oids(gathering, others, AccessExclusiveLock);
		foreach(cell, others)
			relids = list_concat_unique_oid(relids, find_all_inheritors(lfirst_oid(cell), NoLock, NULL));
	}
}

static void
gather_vacuum(Gathering *gathering, const VacuumStmt *statement)
{
	LOCKMODE	mode = ShareUpdateExclusiveLock;
	ListCell   *cell;

	foreach(cell, statement->options)
		if (strcmp(lfirst_node(DefElem, cell)->defname, "full") == 0)
			mode = defGetBoolean(lfirst_node(DefElem, cell)) ? AccessExclusiveLock : ShareUpdateExclusiveLock;
	foreach(cell, statement->rels)
		add_name(gathering, lfirst_node(VacuumRelation, cell)->relation, mode);
}

/* Tables that a query reads or writes, in subqueries too. */
static bool
gather_query(Node *node, void *arg)
{
	Gathering  *gathering = arg;

	if (node == NULL)
		return false;
	if (IsA(node, RangeVar))
	{
		add_name(gathering, (RangeVar *) node, AccessShareLock);
		return false;
	}
	gather_written(gathering, node);
	return raw_expression_tree_walker(node, gather_query, arg);
}

/* What a query writes to, and the names of its WITH queries, before the rest of it is looked at. */
static void
gather_written(Gathering *gathering, Node *node)
{
	switch (nodeTag(node))
	{
		case T_SelectStmt:
			hide(gathering, ((SelectStmt *) node)->withClause);
			break;
		case T_InsertStmt:
			hide(gathering, ((InsertStmt *) node)->withClause);
			add_name(gathering, ((InsertStmt *) node)->relation, RowExclusiveLock);
			break;
		case T_UpdateStmt:
			hide(gathering, ((UpdateStmt *) node)->withClause);
			add_name(gathering, ((UpdateStmt *) node)->relation, RowExclusiveLock);
			break;
		case T_DeleteStmt:
			hide(gathering, ((DeleteStmt *) node)->withClause);
			add_name(gathering, ((DeleteStmt *) node)->relation, RowExclusiveLock);
			break;
		case T_MergeStmt:
			hide(gathering, ((MergeStmt *) node)->withClause);
			add_name(gathering, ((MergeStmt *) node)->relation, RowExclusiveLock);
			break;
		default:
			break;
	}
}

static void
hide(Gathering *gathering, const WithClause *with)
{
	ListCell   *cell;

	foreach(cell, with != NULL ? with->ctes : NIL)
		gathering->hidden = lappend(gathering->hidden, lfirst_node(CommonTableExpr, cell)->ctename);
}

static void
add_all(Gathering *gathering, List *names, LOCKMODE mode)
{
	ListCell   *cell;

	foreach(cell, names)
		if (IsA(lfirst(cell), RangeVar))
			add_name(gathering, lfirst(cell), mode);
}

/* A name that nothing has is no target; whoever locks an index locks its table too. */
static void
add_name(Gathering *gathering, const RangeVar *name, LOCKMODE mode)
{
	Oid			relid;
	Oid			table;

	if (name == NULL || is_hidden(gathering, name))
		return;
	relid = dbops_migration_find_relation(name);
	if (!OidIsValid(relid))
		return;
	add(gathering, relid, mode);
	table = IndexGetRelation(relid, true);
	if (OidIsValid(table))
		add(gathering, table, mode);
}

/* Look a relation up, without a lock and whether its schema may be used or not; InvalidOid: there is none. */
Oid
dbops_migration_find_relation(const RangeVar *name)
{
	Oid			schema;

	if (name->schemaname == NULL)
		return RelnameGetRelid(name->relname);
	schema = get_namespace_oid(name->schemaname, true);
	return OidIsValid(schema) ? get_relname_relid(name->relname, schema) : InvalidOid;
}

static void
add_oids(Gathering *gathering, const List *relids, LOCKMODE mode)
{
	ListCell   *cell;

	foreach(cell, relids)
		add(gathering, lfirst_oid(cell), mode);
}

/* Of several modes of a relation the strongest counts. */
static void
add(Gathering *gathering, Oid relid, LOCKMODE mode)
{
	MigrationTarget *target;

	if (!OidIsValid(relid))
		return;
	target = find_target(gathering, relid);
	if (target != NULL)
	{
		target->mode = Max(target->mode, mode);
		return;
	}
	target = palloc(sizeof(MigrationTarget));
	target->relid = relid;
	target->mode = mode;
	target->along = gathering->along;
	gathering->targets = lappend(gathering->targets, target);
	if (gathering->known != NULL)
		note_target(gathering->known, target);
}

static MigrationTarget *
find_target(Gathering *gathering, Oid relid)
{
	const KnownTarget *known;
	ListCell   *cell;

	if (gathering->known == NULL && list_length(gathering->targets) >= MANY_TARGETS)
	{
		HASHCTL		control = {.keysize = sizeof(Oid),.entrysize = sizeof(KnownTarget),.hcxt = CurrentMemoryContext};

		gathering->known = hash_create("dbops targets", 1024, &control, HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
		foreach(cell, gathering->targets)
			note_target(gathering->known, lfirst(cell));
	}
	if (gathering->known != NULL)
	{
		known = hash_search(gathering->known, &relid, HASH_FIND, NULL);
		return known == NULL ? NULL : known->target;
	}
	foreach(cell, gathering->targets)
		if (((const MigrationTarget *) lfirst(cell))->relid == relid)
			return lfirst(cell);
	return NULL;
}

static void
note_target(HTAB *known, MigrationTarget *target)
{
	((KnownTarget *) hash_search(known, &target->relid, HASH_ENTER, NULL))->target = target;
}

static bool
is_hidden(const Gathering *gathering, const RangeVar *name)
{
	return name->schemaname == NULL && dbops_texts_have(gathering->hidden, name->relname);
}

/*
 * Does a command lock nothing by itself that could keep others waiting? It runs
 * other commands, writes rows, or has nothing to do with tables.
 */
bool
dbops_migration_locks_nothing(Node *statement)
{
	switch (nodeTag(statement))
	{
		case T_AlterExtensionStmt:
		case T_CallStmt:
		case T_CheckPointStmt:
		case T_ClosePortalStmt:
		case T_ConstraintsSetStmt:
		case T_CopyStmt:
		case T_CreateExtensionStmt:
		case T_CreateSchemaStmt:
		case T_CreateTableAsStmt:
		case T_DeallocateStmt:
		case T_DeclareCursorStmt:
		case T_DiscardStmt:
		case T_DoStmt:
		case T_ExecuteStmt:
		case T_ExplainStmt:
		case T_FetchStmt:
		case T_GrantStmt:
		case T_ImportForeignSchemaStmt:
		case T_ListenStmt:
		case T_LoadStmt:
		case T_NotifyStmt:
		case T_PrepareStmt:
		case T_TransactionStmt:
		case T_UnlistenStmt:
		case T_VariableSetStmt:
		case T_VariableShowStmt:
			return true;
		default:
			return false;
	}
}

/*
 * Say the worst that a statement may do with its tables; NULL: not known, since
 * it runs other code. What the server can prove, or finds compatible, turns out
 * better; what new types of columns take is of_types, where somebody has found out.
 */
const char *
dbops_migration_effect(Node *statement, const char *of_types)
{
	const char *worst = effects[0];
	ListCell   *cell;

	switch (nodeTag(statement))
	{
		case T_SelectStmt:
		case T_CallStmt:
		case T_DoStmt:
			return NULL;
		case T_InsertStmt:
		case T_UpdateStmt:
		case T_DeleteStmt:
		case T_MergeStmt:
		case T_CopyStmt:
		case T_CreateTableAsStmt:
			return "rows";
		case T_IndexStmt:
		case T_ReindexStmt:
			return "index build";
		case T_ClusterStmt:
		case T_RefreshMatViewStmt:
			return "rewrite";
		case T_VacuumStmt:
			return "scan";
		case T_AlterDomainStmt:
			return dbops_migration_looks_at_rows((AlterDomainStmt *) statement) ? "scan" : worst;
		case T_AlterTableStmt:
			break;
		default:
			return worst;
	}
	foreach(cell, ((AlterTableStmt *) statement)->cmds)
	{
		const AlterTableCmd *command = lfirst_node(AlterTableCmd, cell);

		worst = dbops_migration_worse_effect(worst, command->subtype == AT_AlterColumnType && of_types != NULL ? of_types : effect_of_command(command));
	}
	return worst;
}

/* The worse of two effects, of which each may be NULL. */
const char *
dbops_migration_worse_effect(const char *one, const char *other)
{
	return one == NULL || (other != NULL && effect_rank(other) > effect_rank(one)) ? other : one;
}

static int
effect_rank(const char *effect)
{
	for (int i = 0; i < lengthof(effects); i++)
		if (strcmp(effects[i], effect) == 0)
			return i;
	return -1;
}

static const char *
effect_of_command(const AlterTableCmd *command)
{
	switch (command->subtype)
	{
		case AT_AddColumn:
			return effect_of_column((ColumnDef *) command->def);
		case AT_AddConstraint:
			return effect_of_constraint((Constraint *) command->def);
		case AT_SetNotNull:
		case AT_ValidateConstraint:
		case AT_AttachPartition:
			return "scan";
		case AT_AlterColumnType:
		case AT_SetLogged:
		case AT_SetUnLogged:
		case AT_SetAccessMethod:
		case AT_SetTableSpace:
			return "rewrite";
		default:
			return "metadata";
	}
}

/* A default that is computed may be volatile, and then each row gets one of its own. */
static const char *
effect_of_column(const ColumnDef *column)
{
	const char *worst = "metadata";
	ListCell   *cell;

	foreach(cell, column->constraints)
	{
		const Constraint *constraint = lfirst_node(Constraint, cell);
		const char *effect = effect_of_constraint(constraint);

		if (constraint->contype == CONSTR_DEFAULT && IsA(constraint->raw_expr, FuncCall))
			effect = "rewrite";
		worst = dbops_migration_worse_effect(worst, effect);
	}
	return worst;
}

static const char *
effect_of_constraint(const Constraint *constraint)
{
	switch (constraint->contype)
	{
		case CONSTR_CHECK:
		case CONSTR_FOREIGN:
		case CONSTR_NOTNULL:
			return constraint->skip_validation ? "metadata" : "scan";
		case CONSTR_PRIMARY:
		case CONSTR_UNIQUE:
		case CONSTR_EXCLUSION:
			return constraint->indexname != NULL ? "metadata" : "index build";
		case CONSTR_GENERATED:
			return is_virtual(constraint) ? "metadata" : "rewrite";
		case CONSTR_IDENTITY:
			return "rewrite";
		default:
			return "metadata";
	}
}
