/*
 * ddl_guard_judge.c
 *		What the rules of lint_sql() find in a statement that is about to run.
 *
 * Only what touches a relation that is large is held against the rules. Where the
 * names in it tell that it touches none, nothing else is asked: the server pays for
 * each subtransaction by what the transaction has made by then. All the rest
 * is done in a subtransaction that is undone, with its locks, and waits for none
 * of them: a lock that is not free makes the statement one that could not be
 * judged. What the transaction has locked by now counts, as
 * it does in a text; comments do not, since who is guarded writes them.
 */
#include "change/ddl_guard.h"

#include "change/migration_watch.h"
#include "core/sql.h"

#include "access/xact.h"
#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "catalog/pg_inherits.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "storage/proc.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"

#define LONGEST_WAIT	1		/* ms, the shortest that there is */

/* A statement on its way to the rules. */
typedef struct Judging
{
	const GuardedStatement *guarded;
	LintText	text;
	LintStatement statement;
	Node	   *tree;			/* as the parser makes it */
	int64		bytes;			/* of what it touches, or as much as counts as large */
	Lint		lint;
	List	   *findings;		/* of LintFinding *: those that count */
} Judging;

static void look(void *arg);
static void judge(void *arg);
static void read_text(Judging *judging);
static void parse(void *arg);
static bool is_tree_of(const Node *tree, const Node *statement);
static bool is_small_by_names(Node *statement);
static bool takes_along(const AlterTableCmd *command);
static bool are_small_alone(const DropStmt *statement);
static bool has_triggers(Oid relid);
static bool are_own_alone(const List *names);
static int64 bytes_touched(Node *tree);
static bool hides_relations(Node *tree);
static bool drops_extension(Node *tree);
static int64 bytes_of(Oid relid, bool only);
static bool is_own_alone(Oid relid);
static const char *lock_timeout(const GuardedStatement *guarded);
static void note_locks(Lint *lint);
static void choose(Judging *judging);
static bool counts(const Judging *judging, LintFinding *finding);

/* Find what is dangerous (List of LintFinding *), in the current memory; NIL and an error: it could not be judged. */
List *
dbops_guard_judge(const GuardedStatement *guarded, ErrorData **error)
{
	Judging    *judging;

	if (is_small_by_names(guarded->node))
		return NIL;
	judging = palloc0(sizeof(Judging));
	judging->guarded = guarded;
	return dbops_attempt(look, judging, error) ? judging->findings : NIL;
}

static void
look(void *arg)
{
	dbops_look(judge, arg);
}

static void
judge(void *arg)
{
	Judging    *judging = arg;
	int			nest_level;

	judging->lint.limits.lock_timeout = lock_timeout(judging->guarded);
	nest_level = dbops_begin_bounded_wait(LONGEST_WAIT);
	dbops_set_nested("client_min_messages", "error");
	read_text(judging);
	judging->bytes = bytes_touched(judging->tree);
	if (judging->bytes >= dbops_guard_min_bytes() || hides_relations(judging->tree))
	{
		judging->lint.memory = CurrentMemoryContext;
		judging->lint.text = &judging->text;
		judging->lint.statement = &judging->statement;
		dbops_lint_begin_alone(&judging->lint);
		note_locks(&judging->lint);
		dbops_lint_judge_alone(&judging->lint, judging->tree);
		choose(judging);
	}
	AtEOXact_GUC(false, nest_level);
}

/* ---- the statement ---- */

/* Rules take words out of the text: the tree is to be that of these words. */
static void
read_text(Judging *judging)
{
	const GuardedStatement *guarded = judging->guarded;
	const char *begin = guarded->query + Max(guarded->location, 0);
	ErrorData  *error;

	judging->text.sql = guarded->length > 0 ? pnstrdup(begin, guarded->length) : pstrdup(begin);
	if (!dbops_attempt(parse, judging, &error) || !is_tree_of(judging->tree, guarded->node))
	{
		judging->text.sql = guarded->query;
		judging->tree = copyObject(guarded->node);
	}
	judging->statement.text = &judging->text;
	judging->statement.line = 1;
	judging->statement.length = strlen(judging->text.sql);
	judging->statement.alone = dbops_sql_must_be_alone(judging->tree);
	judging->text.statements = list_make1(&judging->statement);
}

static void
parse(void *arg)
{
	Judging    *judging = arg;
	List	   *parsed = raw_parser(judging->text.sql, RAW_PARSE_DEFAULT);

	judging->tree = (list_length(parsed) == 1) ? linitial_node(RawStmt, parsed)->stmt : NULL;
}

/* The query of CREATE TABLE AS has been analyzed by now. */
static bool
is_tree_of(const Node *tree, const Node *statement)
{
	return tree != NULL && nodeTag(tree) == nodeTag(statement) &&
		(equal(tree, statement) || IsA(statement, CreateTableAsStmt));
}

/* ---- how large is what it touches? ---- */

/* Is all that it touches what it names, and that small? */
static bool
is_small_by_names(Node *statement)
{
	ListCell   *cell;

	switch (nodeTag(statement))
	{
		case T_AlterTableStmt:
			foreach(cell, ((AlterTableStmt *) statement)->cmds)
				if (takes_along(lfirst_node(AlterTableCmd, cell)))
					return false;
			if (((AlterTableStmt *) statement)->objtype == OBJECT_TYPE)
				return false;
			break;
		case T_GrantStmt:
			return ((GrantStmt *) statement)->targtype == ACL_TARGET_OBJECT && ((GrantStmt *) statement)->objtype == OBJECT_TABLE &&
				are_own_alone(((GrantStmt *) statement)->objects);
		case T_DropStmt:
			return are_small_alone((DropStmt *) statement);
		case T_CreateStmt:
		case T_CreateSeqStmt:
		case T_CreateTrigStmt:
		case T_CreatePolicyStmt:
		case T_AlterSeqStmt:
		case T_CommentStmt:
		case T_CreateFunctionStmt:
		case T_IndexStmt:
		case T_RuleStmt:
		case T_ViewStmt:
			break;
		default:
			return false;
	}
	return bytes_touched(statement) < dbops_guard_min_bytes();
}

static bool
takes_along(const AlterTableCmd *command)
{
	return command->subtype == AT_DropColumn || command->subtype == AT_DropConstraint || command->subtype == AT_AlterColumnType;
}

static bool
are_own_alone(const List *names)
{
	ListCell   *cell;

	foreach(cell, names)
	{
		Oid			relid = dbops_migration_find_relation(lfirst_node(RangeVar, cell));

		if (!OidIsValid(relid) || !is_own_alone(relid))
			return false;
	}
	return true;
}

/* Small tables that no key refers to or from, and that are part of no other: nothing goes along but what is theirs. */
static bool
are_small_alone(const DropStmt *statement)
{
	ListCell   *cell;

	if (statement->removeType != OBJECT_TABLE || statement->behavior == DROP_CASCADE)
		return false;
	foreach(cell, statement->objects)
	{
		Oid			relid = dbops_migration_find_relation(makeRangeVarFromNameList(lfirst_node(List, cell)));

		if (!OidIsValid(relid) || has_superclass(relid) || has_triggers(relid) || bytes_of(relid, false) >= dbops_guard_min_bytes())
			return false;
	}
	return true;
}

/* Foreign keys are triggers, too. */
static bool
has_triggers(Oid relid)
{
	HeapTuple	row = SearchSysCache1(RELOID, ObjectIdGetDatum(relid));
	bool		has = true;

	if (HeapTupleIsValid(row))
	{
		has = ((Form_pg_class) GETSTRUCT(row))->relhastriggers;
		ReleaseSysCache(row);
	}
	return has;
}

/* Of one relation; more than is asked for is not counted. */
static int64
bytes_touched(Node *tree)
{
	bool		only = dbops_lint_is_only(tree);
	int64		bytes = 0;
	ListCell   *cell;

	foreach(cell, dbops_migration_targets(tree))
	{
		const MigrationTarget *target = lfirst(cell);

		if (bytes >= dbops_guard_min_bytes())
			break;
		if (target->mode > AccessShareLock)
			bytes = Max(bytes, bytes_of(target->relid, only));
	}
	return bytes;
}

/* Does it name relations nowhere, or where only rules look for them? */
static bool
hides_relations(Node *tree)
{
	switch (nodeTag(tree))
	{
		case T_GrantStmt:
		case T_CreatePublicationStmt:
		case T_AlterPublicationStmt:
		case T_CreateSchemaStmt:
			return true;
		default:
			return drops_extension(tree);
	}
}

/* Whatever is of its types goes with it. */
static bool
drops_extension(Node *tree)
{
	return IsA(tree, DropStmt) && ((DropStmt *) tree)->removeType == OBJECT_EXTENSION;
}

/* With its partitions and children, but where only it is meant. */
static int64
bytes_of(Oid relid, bool only)
{
	int64		bytes = 0;
	ListCell   *cell;

	if (is_own_alone(relid))
		return 0;
	if (only)
		return dbops_relation_bytes(relid);
	foreach(cell, find_all_inheritors(relid, NoLock, NULL))
	{
		if (bytes >= dbops_guard_min_bytes())
			break;
		bytes += dbops_relation_bytes(lfirst_oid(cell));
	}
	return bytes;
}

/* Does nobody else know it, as it is temporary or was made by this transaction? */
static bool
is_own_alone(Oid relid)
{
	return get_rel_persistence(relid) == RELPERSISTENCE_TEMP ||
		(TransactionIdIsValid(GetTopTransactionIdIfAny()) && dbops_relation_is_new(relid));
}

/* The setting that bounds this, in bytes. */
int64
dbops_guard_min_bytes(void)
{
	return Max(dbops_guard_min_size * INT64CONST(1024), 1);
}

/* ---- what is around it ---- */

/* As it will be while the statement runs. */
static const char *
lock_timeout(const GuardedStatement *guarded)
{
	int			ms = LockTimeout;

	if ((guarded->kind & GUARD_WAITS) != 0 && dbops_ddl_lock_timeout > 0 && (ms == 0 || ms > dbops_ddl_lock_timeout))
		ms = dbops_ddl_lock_timeout;
	return psprintf("%d", ms);
}

/* What earlier statements of the transaction keep others out of. */
static void
note_locks(Lint *lint)
{
	const HeldLocks *held;

	if (!IsTransactionBlock())
		return;
	held = dbops_locks_held();
	for (int i = 0; i < held->n; i++)
		if ((held->locks[i].modes & LOCKBIT_ON(AccessExclusiveLock)) != 0 &&
			!dbops_relation_is_new(held->locks[i].relid))
			dbops_lint_hold(lint, held->locks[i].relid);
}

/* ---- which findings count? ---- */

/* Those of large relations, but for what is muted. */
static void
choose(Judging *judging)
{
	DbopsCheckScope here = {.database = MyDatabaseId,.connected = true};
	const DbopsOverrides *overrides;
	ListCell   *cell;

	if (judging->lint.findings == NIL)
		return;
	overrides = dbops_override_read(&here);
	foreach(cell, judging->lint.findings)
	{
		LintFinding *finding = lfirst(cell);

		if (counts(judging, finding) &&
			dbops_override_muted_until(overrides, finding->rule->name, finding->key) == 0)
			judging->findings = lappend(judging->findings, finding);
	}
}

/* What names no table is about all that the statement touches. */
static bool
counts(const Judging *judging, LintFinding *finding)
{
	if (finding->table == NULL)
		return judging->bytes >= dbops_guard_min_bytes() || drops_extension(judging->tree);
	if (finding->table->is_new || is_own_alone(finding->table->relid))
		return false;
	dbops_lint_look(finding->table);
	finding->bytes = judging->lint.only ? finding->table->own_bytes : finding->table->bytes;
	return finding->bytes >= dbops_guard_min_bytes();
}
