/*
 * backfill_sync_row.c
 *		dbops.backfill_sync(): the trigger that makes a row right as it is
 *		written; see backfill_sync.c.
 *
 * What it assigns is understood once a session and kept until something that
 * it depends on changes; a row costs the evaluation of its expressions, without
 * a statement and without a look into a catalog.
 *
 * The expressions are the table owner's, who wrote them or whose member did, so
 * they run with that role's rights, in a restricted context that the writer's
 * session is safe from, and with the search_path and settings of the
 * submission, so that the writer has no say in what they mean. A table that
 * has been given to a role that the backfill was not submitted for is left
 * alone: the former owner's code must not run with the new owner's rights.
 * Expressions that are made of the server's own immutable functions and types
 * alone can do no such harm, and are evaluated as they are.
 *
 * Where the expressions cannot be understood any more (a column was dropped),
 * the backfill itself cannot go on either, so nothing depends on the trigger
 * and the application is spared an error. The same holds for a trigger that a
 * dump has brought from another database, and for one that no backfill has made:
 * owners of partitioned tables may execute the function (backfill_trigger.c).
 */
#include "change/change.h"

#include "access/htup_details.h"
#include "access/transam.h"
#include "catalog/partition.h"
#include "catalog/pg_type.h"
#include "commands/trigger.h"
#include "executor/executor.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/clauses.h"
#include "optimizer/optimizer.h"
#include "parser/parsetree.h"
#include "rewrite/rewriteHandler.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/hsearch.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/plancache.h"
#include "utils/rel.h"

PG_FUNCTION_INFO_V1(dbops_backfill_sync);

/* What a trigger does to a row of its table, as this session understands it. */
typedef struct SyncChange
{
	MemoryContext memory;
	char	   *argument;		/* that it was made of */
	TupleDesc	desc;			/* of the table, when it was */
	BackfillChange *change;
	List	   *owners;			/* roles that it may run as */
	bool		stray;			/* it was made in another database */
	bool		known;			/* a backfill of the table has made it */
	CachedExpression *expressions;	/* the plain condition, the other one, the values; NULL: not understood */
	int			n_columns;
	int		   *columns;		/* that the values go to */
	bool		plain;			/* all of it runs nobody's code, whatever the settings are */
	bool		may_fail;		/* because of what is in a row */
} SyncChange;

/* One of the things that a trigger does, which are told apart by numbers. */
typedef struct SyncKey
{
	Oid			trigger;
	int			part;
} SyncKey;

/* Of the session, one for each of those; never removed, as triggers are few. */
typedef struct SyncEntry
{
	SyncKey		key;
	SyncChange *change;			/* or NULL */
	bool		warned;
} SyncEntry;

/* A statement's use of a trigger, in the memory of the statement. */
struct BackfillSync
{
	SyncChange *change;			/* lasts at least as long as the transaction */
	Oid			owner;
	bool		idle;			/* does nothing */
	ExprState  *plain_condition;
	ExprState  *condition;
	ExprState **expressions;
	ExprContext *context;
	Datum	   *values;
	bool	   *nulls;
	bool		applies;		/* to the row in work */
};

/* What is to be understood, on its way through the callbacks. */
typedef struct Understanding
{
	SyncChange *change;
	Relation	rel;
} Understanding;

static HTAB *entries = NULL;

static SyncEntry *find_entry(SyncKey key);
static bool is_current(const SyncChange *change, const char *argument, Relation rel);
static void forget(SyncEntry *entry);
static SyncChange *read_argument(const char *argument, Relation rel);
static bool is_home(const Jsonb *document);
static bool is_stray(SyncEntry *entry, const Trigger *trigger, Relation rel);
static bool is_known(SyncEntry *entry, const Trigger *trigger, Relation rel);
static void tell_idle(SyncEntry *entry, const Trigger *trigger, Relation rel, const char *why);
static bool understand(SyncEntry *entry, Relation rel);
static void understand_as_owner(void *arg);
static void analyze(void *arg);
static Query *analyze_update(const SyncChange *change, Relation rel);
static bool check_images(Node *node, void *rel);
static Node *compute_generated(Node *node, void *rel);
static List *split_condition(List *expressions);
static bool is_not_plain(Node *node, void *context);
static bool is_users(Oid function, void *context);
static void prepare(void *arg);
static void evaluate_as_owner(void *arg);
static void evaluate(BackfillSync *statement);
static bool holds(ExprState *condition, ExprContext *context);

/* backfill_sync() → trigger */
Datum
dbops_backfill_sync(PG_FUNCTION_ARGS)
{
	TriggerData *data = (TriggerData *) fcinfo->context;

	if (!CALLED_AS_TRIGGER(fcinfo) || !TRIGGER_FIRED_FOR_ROW(data->tg_event) ||
		!TRIGGER_FIRED_BEFORE(data->tg_event) || TRIGGER_FIRED_BY_DELETE(data->tg_event) ||
		data->tg_trigger->tgnargs != 1)
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("dbops.backfill_sync() is for the triggers that a backfill makes")));

	if (fcinfo->flinfo->fn_extra == NULL)
		fcinfo->flinfo->fn_extra = dbops_backfill_sync_begin(data, 0, data->tg_trigger->tgargs[0], false, fcinfo->flinfo->fn_mcxt);
	return PointerGetDatum(dbops_backfill_sync_row(fcinfo->flinfo->fn_extra, data));
}

/* Change the row that a trigger is called for. */
HeapTuple
dbops_backfill_sync_row(BackfillSync *statement, const TriggerData *data)
{
	bool		update = TRIGGER_FIRED_BY_UPDATE(data->tg_event);
	HeapTuple	row = update ? data->tg_newtuple : data->tg_trigtuple;

	if (statement->idle)
		return row;
	statement->context->ecxt_scantuple = update ? data->tg_newslot : data->tg_trigslot;
	statement->applies = holds(statement->plain_condition, statement->context);
	if (statement->applies && statement->change->plain)
		evaluate(statement);
	else if (statement->applies)
		dbops_run_as(statement->owner, evaluate_as_owner, statement);
	if (statement->applies)
		row = heap_modify_tuple_by_cols(row, RelationGetDescr(data->tg_relation),
										statement->change->n_columns, statement->change->columns,
										statement->values, statement->nulls);
	ResetExprContext(statement->context);
	return row;
}

/* Can a row make it fail? */
bool
dbops_backfill_sync_may_fail(const BackfillSync *statement)
{
	return !statement->idle && statement->change->may_fail;
}

/*
 * Make ready for the rows of a statement, in memory that lasts as long. argument:
 * what the part of the trigger does; known: dbops says so, and not only whoever
 * has made the trigger.
 */
BackfillSync *
dbops_backfill_sync_begin(const TriggerData *data, int part, const char *argument, bool known, MemoryContext memory)
{
	MemoryContext row = MemoryContextSwitchTo(memory);
	BackfillSync *statement = palloc0(sizeof(BackfillSync));
	SyncEntry  *entry = find_entry((SyncKey) {.trigger = data->tg_trigger->tgoid,.part = part});
	Relation	rel = data->tg_relation;

	if (!is_current(entry->change, argument, rel))
	{
		forget(entry);
		entry->change = read_argument(argument, rel);
		entry->change->known = known;
	}
	statement->change = entry->change;
	statement->owner = rel->rd_rel->relowner;
	statement->idle = is_stray(entry, data->tg_trigger, rel) ||
		!is_known(entry, data->tg_trigger, rel) ||
		!list_member_oid(entry->change->owners, statement->owner) ||
		(entry->change->expressions == NULL && !understand(entry, rel));
	if (!statement->idle)
	{
		statement->context = CreateStandaloneExprContext();
		if (entry->change->plain)
			prepare(statement);
		else
			dbops_run_as(statement->owner, prepare, statement);
	}
	MemoryContextSwitchTo(row);
	return statement;
}

static SyncEntry *
find_entry(SyncKey key)
{
	HASHCTL		control = {.keysize = sizeof(SyncKey),.entrysize = sizeof(SyncEntry)};
	SyncEntry  *entry;
	bool		found;

	if (entries == NULL)
		entries = hash_create("dbops triggers", 16, &control, HASH_ELEM | HASH_BLOBS);
	entry = hash_search(entries, &key, HASH_ENTER, &found);
	if (!found)
	{
		entry->change = NULL;
		entry->warned = false;
	}
	return entry;
}

/* Does it still say what the trigger does to its table? */
static bool
is_current(const SyncChange *change, const char *argument, Relation rel)
{
	return change != NULL &&
		(change->expressions == NULL || change->expressions->is_valid) &&
		strcmp(change->argument, argument) == 0 &&
		equalTupleDescs(change->desc, RelationGetDescr(rel));
}

/* Statements that are under way may use it until the transaction ends. */
static void
forget(SyncEntry *entry)
{
	SyncChange *change = entry->change;

	entry->change = NULL;
	if (change == NULL)
		return;
	if (change->expressions != NULL)
		FreeCachedExpression(change->expressions);
	MemoryContextSetParent(change->memory, TopTransactionContext);
}

/* Read the trigger's argument, into memory of the session. */
static SyncChange *
read_argument(const char *argument, Relation rel)
{
	MemoryContext memory = AllocSetContextCreate(CurTransactionContext, "dbops trigger", ALLOCSET_SMALL_SIZES);
	MemoryContext before = MemoryContextSwitchTo(memory);
	SyncChange *change = palloc0(sizeof(SyncChange));
	Jsonb	   *document = DatumGetJsonbP(DirectFunctionCall1(jsonb_in, CStringGetDatum(argument)));
	int64	   *owners;
	int			n = dbops_jsonb_integers(document, "owners", &owners);

	change->memory = memory;
	change->argument = pstrdup(argument);
	change->desc = CreateTupleDescCopyConstr(RelationGetDescr(rel));
	change->change = dbops_backfill_read_change(document);
	change->stray = !is_home(document);
	for (int i = 0; i < n; i++)
		change->owners = lappend_oid(change->owners, (Oid) owners[i]);
	MemoryContextSwitchTo(before);
	MemoryContextSetParent(memory, CacheMemoryContext);
	return change;
}

static bool
is_home(const Jsonb *document)
{
	const char *home = dbops_jsonb_text(document, "home");

	return home != NULL && strcmp(home, dbops_backfill_sync_home()) == 0;
}

/* Is it of no backfill that runs here? */
static bool
is_stray(SyncEntry *entry, const Trigger *trigger, Relation rel)
{
	if (entry->change->stray)
		tell_idle(entry, trigger, rel, "the backfill that made it is another database's");
	return entry->change->stray;
}

/* Is it a backfill's of this table at all, and not somebody's whose code must not run as the owner? */
static bool
is_known(SyncEntry *entry, const Trigger *trigger, Relation rel)
{
	SyncChange *change = entry->change;

	if (!change->known)
		change->known = dbops_backfill_sync_is_known(change->argument, RelationGetRelid(rel));
	if (!change->known)
		tell_idle(entry, trigger, rel, "no backfill of the table has made it");
	return change->known;
}

/* The writer is told once. */
static void
tell_idle(SyncEntry *entry, const Trigger *trigger, Relation rel, const char *why)
{
	Oid			root = RelationGetRelid(rel);

	if (entry->warned)
		return;
	entry->warned = true;
	if (trigger->tgisclone)
		root = llast_oid(get_partition_ancestors(root));
	ereport(WARNING,
			(errmsg("trigger \"%s\" of table \"%s\" does nothing, because %s",
					trigger->tgname, RelationGetRelationName(rel), why),
			 errhint("%s", dbops_backfill_trigger_drop_statement(root, trigger->tgname))));
}

/*
 * Understand what is assigned, with the owner's rights; false if that is no
 * longer possible, which the writer is told once.
 */
static bool
understand(SyncEntry *entry, Relation rel)
{
	Understanding understanding = {.change = entry->change,.rel = rel};
	ErrorData  *error;

	if (dbops_attempt(understand_as_owner, &understanding, &error))
		return true;
	if (ERRCODE_TO_CATEGORY(error->sqlerrcode) != ERRCODE_SYNTAX_ERROR_OR_ACCESS_RULE_VIOLATION)
		ReThrowError(error);
	if (!entry->warned)
		ereport(WARNING,
				(errmsg("the trigger of a backfill of table \"%s\" does nothing, because its expressions do not fit the table any more",
						RelationGetRelationName(rel)),
				 errdetail_internal("%s", error->message)));
	entry->warned = true;
	return false;
}

static void
understand_as_owner(void *arg)
{
	dbops_run_as(((Understanding *) arg)->rel->rd_rel->relowner, analyze, arg);
}

static void
analyze(void *arg)
{
	Understanding *understanding = arg;
	SyncChange *change = understanding->change;
	List	   *expressions;
	Query	   *query;
	ListCell   *cell;
	BackfillSync trial = {.change = change};

	dbops_backfill_use_meaning(change->change);
	query = analyze_update(change, understanding->rel);
	check_images(query->jointree->quals, understanding->rel);
	expressions = list_make1(query->jointree->quals);
	change->columns = MemoryContextAlloc(change->memory,
										 sizeof(int) * list_length(query->targetList));
	change->n_columns = 0;
	foreach(cell, query->targetList)
	{
		TargetEntry *target = lfirst_node(TargetEntry, cell);

		change->columns[change->n_columns++] = target->resno;
		expressions = lappend(expressions, target->expr);
	}
	expressions = (List *) compute_generated((Node *) expressions, understanding->rel);
	change->plain = !is_not_plain((Node *) expressions, NULL);
	change->may_fail = contain_leaked_vars((Node *) expressions);
	expressions = split_condition(expressions);
	change->expressions = GetCachedExpression((Node *) expressions);

	/* The rights on its functions are asked for here. */
	PG_TRY();
	{
		prepare(&trial);
	}
	PG_CATCH();
	{
		FreeCachedExpression(change->expressions);
		change->expressions = NULL;
		PG_RE_THROW();
	}
	PG_END_TRY();
}

/* Have the server analyze the UPDATE that a batch would do. */
static Query *
analyze_update(const SyncChange *change, Relation rel)
{
	const BackfillChange *texts = change->change;
	Query	   *query;

	query = dbops_fragment_analyze(psprintf("UPDATE ONLY %s AS %s SET %s WHERE (%s) AND (%s)",
											quote_qualified_identifier(get_namespace_name(RelationGetNamespace(rel)),
																	   RelationGetRelationName(rel)),
											texts->alias, texts->set_list, texts->matches, texts->pending));
	if (rt_fetch(query->resultRelation, query->rtable)->relid != RelationGetRelid(rel))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_TABLE),
				 errmsg("table \"%s\" has been renamed", RelationGetRelationName(rel))));
	return query;
}

/*
 * A comparison of the row with what is assigned was written for columns of
 * certain types. One that has another type now would fail with every row.
 */
static bool
check_images(Node *node, void *rel)
{
	ListCell   *is;
	ListCell   *shall_be;
	FuncExpr   *image = (FuncExpr *) node;

	if (node == NULL)
		return false;
	if (!IsA(node, FuncExpr) || image->funcid != F_RECORD_IMAGE_NE ||
		!IsA(linitial(image->args), RowExpr) || !IsA(lsecond(image->args), RowExpr))
		return expression_tree_walker(node, check_images, rel);
	forboth(is, linitial_node(RowExpr, image->args)->args,
			shall_be, lsecond_node(RowExpr, image->args)->args)
		if (exprType(lfirst(is)) != exprType(lfirst(shall_be)))
			ereport(ERROR,
					(errcode(ERRCODE_DATATYPE_MISMATCH),
					 errmsg("an assigned column of table \"%s\" has another type",
							RelationGetRelationName((Relation) rel))));
	return false;
}

/* A generated column has no value before its row is stored: put its expression in its place. */
static Node *
compute_generated(Node *node, void *rel)
{
	if (node == NULL)
		return NULL;
	if (IsA(node, Var))
	{
		AttrNumber	column = ((Var *) node)->varattno;

		if (column <= 0 ||
			TupleDescAttr(RelationGetDescr((Relation) rel), column - 1)->attgenerated == '\0')
			return copyObject(node);
		return build_column_default(rel, column);
	}
	return expression_tree_mutator(node, compute_generated, rel);
}

/*
 * Make two of the condition, which is the first of the expressions: what is
 * plain up to the first part that is not, and the rest. Most rows that are
 * written do not match, and shall be found out cheaply.
 */
static List *
split_condition(List *expressions)
{
	List	   *rest = list_copy(make_ands_implicit(linitial(expressions)));
	List	   *plain = NIL;

	while (rest != NIL && !is_not_plain(linitial(rest), NULL))
	{
		plain = lappend(plain, linitial(rest));
		rest = list_delete_first(rest);
	}
	linitial(expressions) = make_ands_explicit(rest);
	return lcons(make_ands_explicit(plain), expressions);
}

/* Look for what could run somebody's code, or depend on a setting. */
static bool
is_not_plain(Node *node, void *context)
{
	if (node == NULL)
		return false;
	switch (nodeTag(node))
	{
		case T_List:
		case T_CaseWhen:
			return expression_tree_walker(node, is_not_plain, context);
		case T_Var:
		case T_Const:
		case T_FuncExpr:
		case T_OpExpr:
		case T_DistinctExpr:
		case T_NullIfExpr:
		case T_ScalarArrayOpExpr:
		case T_BoolExpr:
		case T_RelabelType:
		case T_CoerceViaIO:
		case T_CaseExpr:
		case T_CaseTestExpr:
		case T_CoalesceExpr:
		case T_NullTest:
		case T_BooleanTest:
		case T_RowExpr:
		case T_ArrayExpr:
			break;
		default:
			return true;
	}
	return exprType(node) >= FirstNormalObjectId ||
		check_functions_in_node(node, is_users, NULL) ||
		expression_tree_walker(node, is_not_plain, context);
}

/* A function that is not the server's own, or does not always yield the same. */
static bool
is_users(Oid function, void *context)
{
	return function >= FirstNormalObjectId || func_volatile(function) != PROVOLATILE_IMMUTABLE;
}

/* Make the expressions ready to be evaluated, in the current memory, as who may execute what they call. */
static void
prepare(void *arg)
{
	BackfillSync *statement = arg;
	List	   *expressions = copyObject((List *) statement->change->expressions->expr);
	int			n = statement->change->n_columns;

	statement->values = palloc(sizeof(Datum) * n);
	statement->nulls = palloc(sizeof(bool) * n);
	statement->expressions = palloc(sizeof(ExprState *) * n);
	statement->plain_condition = ExecInitExpr(linitial(expressions), NULL);
	statement->condition = ExecInitExpr(lsecond(expressions), NULL);
	for (int i = 0; i < n; i++)
		statement->expressions[i] = ExecInitExpr(list_nth(expressions, i + 2), NULL);
}

static void
evaluate_as_owner(void *arg)
{
	BackfillSync *statement = arg;

	dbops_backfill_use_meaning(statement->change->change);
	evaluate(statement);
}

/* Find out whether the row is to be changed, and the values that it gets. */
static void
evaluate(BackfillSync *statement)
{
	statement->applies = holds(statement->condition, statement->context);
	for (int i = 0; statement->applies && i < statement->change->n_columns; i++)
		statement->values[i] = ExecEvalExprSwitchContext(statement->expressions[i], statement->context,
														 &statement->nulls[i]);
}

/* Is the condition true of the row? */
static bool
holds(ExprState *condition, ExprContext *context)
{
	bool		isnull;
	Datum		value = ExecEvalExprSwitchContext(condition, context, &isnull);

	return !isnull && DatumGetBool(value);
}
