/*
 * migration_check.c
 *		check_migration(): what a migration would do, before it is deployed.
 *
 * depth plan says what the texts tell, and runs nothing. depth execute runs
 * them and rolls them back (migration_trial.c), unless their tables are so
 * large or so busy that this would be felt. Both answer with receipts, of
 * which the last sums up.
 */
#include "change/migration_plan.h"

#include "core/sql.h"

#include "access/xlog.h"
#include "catalog/pg_type.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "storage/lmgr.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"

PG_FUNCTION_INFO_V1(dbops_check_migration);
PG_FUNCTION_INFO_V1(dbops_check_migration_chain);

/* A table above this is tried only if that is forced. */
#define LARGE_TABLE_BYTES (100 * 1024 * 1024L)

/* So often others must be seen with a lock on a table for it to be busy. */
#define LOOKS 5
#define BUSY_LOOKS 3
#define LOOK_PAUSE 10L			/* ms */

static Datum check(FunctionCallInfo fcinfo, List *up, List *down);
static List *texts_argument(FunctionCallInfo fcinfo, int number);
static MigrationTrial *read_request(FunctionCallInfo fcinfo, List *up, List *down);
static MigrationText *read_text(const char *argument, const char *label, const char *sql);
static bool read_depth(FunctionCallInfo fcinfo);
static double limit_argument(FunctionCallInfo fcinfo, int number, const char *name);
static void foresee_all(MigrationTrial *trial);
static List *foresee(const MigrationText *text);
static void follow_path(Node *statement);
static Foreseen *foresee_statement(Node *statement, bool alone);
static bool has_plain_form(Node *statement);
static Jsonb *locks_document(const List *targets);
static void refuse_standby(void);
static void refuse_large_and_busy(const MigrationTrial *trial);
static List *targets_of(const MigrationTrial *trial);
static void refuse_large(const List *targets);
static void refuse_busy(const List *targets);
static bool is_locked_by_others(Oid relid);
static void put_summaries(MigrationTrial *trial);
static int	rank(const char *state);
static List *remarks(const MigrationTrial *trial);

/* check_migration(up_sql, down_sql, depth, force, max_duration, max_blocked, lock_timeout) → receipts */
Datum
dbops_check_migration(PG_FUNCTION_ARGS)
{
	dbops_require_argument(fcinfo, 0, "up_sql");
	return check(fcinfo, list_make1(text_to_cstring(PG_GETARG_TEXT_PP(0))),
				 PG_ARGISNULL(1) ? NIL : list_make1(text_to_cstring(PG_GETARG_TEXT_PP(1))));
}

/* The same for a chain of migrations that are to be applied in this order. */
Datum
dbops_check_migration_chain(PG_FUNCTION_ARGS)
{
	dbops_require_argument(fcinfo, 0, "up_sql");
	return check(fcinfo, texts_argument(fcinfo, 0),
				 PG_ARGISNULL(1) ? NIL : texts_argument(fcinfo, 1));
}

static Datum
check(FunctionCallInfo fcinfo, List *up, List *down)
{
	bool		execute = read_depth(fcinfo);
	MigrationTrial *trial = read_request(fcinfo, up, down);

	if (execute)
		refuse_standby();
	InitMaterializedSRF(fcinfo, 0);
	trial->rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	foresee_all(trial);
	if (!execute)
	{
		dbops_migration_plan(trial);
		return (Datum) 0;
	}
	if (!trial->force)
		refuse_large_and_busy(trial);
	dbops_migration_try(trial);
	put_summaries(trial);
	return (Datum) 0;
}

/* ---- arguments ---- */

/* A null among down texts says that there is none. */
static List *
texts_argument(FunctionCallInfo fcinfo, int number)
{
	ArrayType  *array = PG_GETARG_ARRAYTYPE_P(number);
	Datum	   *elements;
	bool	   *nulls;
	int			n;
	List	   *texts = NIL;

	deconstruct_array(array, TEXTOID, -1, false, TYPALIGN_INT, &elements, &nulls, &n);
	for (int i = 0; i < n; i++)
		texts = lappend(texts, nulls[i] ? NULL : TextDatumGetCString(elements[i]));
	return texts;
}

static MigrationTrial *
read_request(FunctionCallInfo fcinfo, List *up, List *down)
{
	MigrationTrial *trial = palloc0(sizeof(MigrationTrial));

	if (up == NIL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("up_sql holds no text"),
				 errhint("Give the texts in the order in which they are to be applied.")));
	if (down != NIL && list_length(down) != list_length(up))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("down_sql has %d texts, and up_sql %d", list_length(down), list_length(up)),
				 errhint("Give one down text for each up text, or NULL where there is none.")));
	trial->force = !PG_ARGISNULL(3) && PG_GETARG_BOOL(3);
	trial->max_duration = limit_argument(fcinfo, 4, "max_duration");
	trial->max_blocked = limit_argument(fcinfo, 5, "max_blocked");
	trial->lock_timeout = (long) limit_argument(fcinfo, 6, "lock_timeout");
	trial->n_texts = list_length(up);
	trial->texts = palloc0(sizeof(MigrationTried) * trial->n_texts);
	for (int i = 0; i < trial->n_texts; i++)
	{
		MigrationTried *tried = &trial->texts[i];
		const char *up_sql = list_nth(up, i);
		const char *down_sql = (down == NIL) ? NULL : dbops_migration_down_text(list_nth(down, i));

		if (up_sql == NULL)
			ereport(ERROR,
					(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
					 errmsg("text %d of up_sql must not be null", i + 1)));
		tried->label = (trial->n_texts > 1) ? psprintf("%d", i + 1) : NULL;
		tried->state = "not tried";
		tried->up = read_text("up_sql", tried->label, up_sql);
		tried->down = (down_sql == NULL) ? NULL : read_text("down_sql", tried->label, down_sql);
	}
	return trial;
}

/* Read a text; where there are several, messages say which: up_sql[2]. */
static MigrationText *
read_text(const char *argument, const char *label, const char *sql)
{
	return dbops_migration_text_read((label == NULL) ? argument : psprintf("%s[%s]", argument, label), sql);
}

/* Is it to be executed? */
static bool
read_depth(FunctionCallInfo fcinfo)
{
	const char *depth;

	dbops_require_argument(fcinfo, 2, "depth");
	depth = text_to_cstring(PG_GETARG_TEXT_PP(2));
	if (strcmp(depth, "execute") == 0)
		return true;
	if (strcmp(depth, "plan") != 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("depth must be plan or execute, not \"%s\"", depth)));
	return false;
}

/* A limit in ms. */
static double
limit_argument(FunctionCallInfo fcinfo, int number, const char *name)
{
	int64		ms;

	dbops_require_argument(fcinfo, number, name);
	ms = dbops_interval_ms(PG_GETARG_INTERVAL_P(number));
	if (ms <= 0 || ms > INT_MAX)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("%s must be more than 0 and at most 24 days", name)));
	return (double) ms;
}

/* ---- what the texts tell ---- */

static void
foresee_all(MigrationTrial *trial)
{
	for (int i = 0; i < trial->n_texts; i++)
	{
		MigrationTried *tried = &trial->texts[i];

		tried->foreseen_up = foresee(tried->up);
		if (tried->down != NULL)
			tried->foreseen_down = foresee(tried->down);
	}
}

/* One a statement, under the search_path that the text has set by then; the trees are not kept. */
static List *
foresee(const MigrationText *text)
{
	int			nest_level = NewGUCNestLevel();
	MemoryContext caller = CurrentMemoryContext;
	MemoryContext passing = AllocSetContextCreate(caller, "dbops statement", ALLOCSET_DEFAULT_SIZES);
	List	   *all = NIL;
	ListCell   *cell;

	foreach(cell, text->statements)
	{
		const MigrationStatement *statement = lfirst(cell);
		Node	   *tree;

		MemoryContextSwitchTo(passing);
		tree = dbops_migration_statement_parse(text, statement)->stmt;
		follow_path(tree);
		MemoryContextSwitchTo(caller);
		all = lappend(all, foresee_statement(tree, statement->alone));
		MemoryContextReset(passing);
	}
	MemoryContextDelete(passing);
	AtEOXact_GUC(false, nest_level);
	return all;
}

static void
follow_path(Node *statement)
{
	VariableSetStmt *set = (VariableSetStmt *) statement;

	if (IsA(statement, VariableSetStmt) && set->kind == VAR_SET_VALUE && strcmp(set->name, "search_path") == 0)
		dbops_set_nested("search_path", ExtractSetVariableArgs(set));
}

static Foreseen *
foresee_statement(Node *statement, bool alone)
{
	Foreseen   *foreseen = palloc0(sizeof(Foreseen));
	ListCell   *cell;

	foreseen->targets = dbops_migration_targets(statement);
	foreseen->effect = dbops_migration_effect(statement, NULL);
	foreseen->breaks = dbops_migration_breaks(statement);
	foreseen->alone = alone;
	foreseen->runnable = !alone || has_plain_form(statement);
	foreach(cell, foreseen->targets)
		foreseen->strongest = Max(foreseen->strongest, ((MigrationTarget *) lfirst(cell))->mode);
	foreseen->locks = locks_document(foreseen->targets);
	return foreseen;
}

/* Is there a form of it for a transaction? */
static bool
has_plain_form(Node *statement)
{
	if (IsA(statement, ReindexStmt))
		return ((ReindexStmt *) statement)->kind < REINDEX_OBJECT_SCHEMA;
	return dbops_sql_is_concurrent(statement);
}

static Jsonb *
locks_document(const List *targets)
{
	DbopsJson	json = {0};
	ListCell   *cell;

	dbops_json_object(&json, NULL);
	foreach(cell, targets)
	{
		const MigrationTarget *target = lfirst(cell);

		dbops_json_text(&json, dbops_migration_target_name(target->relid),
						GetLockmodeName(DEFAULT_LOCKMETHOD, target->mode));
	}
	return dbops_json_finish(&json);
}

/* A relation as a user writes it; its number, if it is gone. */
char *
dbops_migration_target_name(Oid relid)
{
	char	   *name = get_rel_name(relid);
	char	   *schema = (name == NULL) ? NULL : get_namespace_name(get_rel_namespace(relid));

	return (schema == NULL) ? psprintf("%u", relid) : dbops_quote_qualified(schema, name);
}

/* ---- what is not tried ---- */

static void
refuse_standby(void)
{
	if (!RecoveryInProgress() && !XactReadOnly)
		return;
	ereport(ERROR,
			(errcode(ERRCODE_READ_ONLY_SQL_TRANSACTION),
			 errmsg("a migration cannot be tried in a transaction that is read-only"),
			 errhint("Try it on the primary, or check_migration(..., depth => 'plan').")));
}

/* Refuse what the application would feel. */
static void
refuse_large_and_busy(const MigrationTrial *trial)
{
	List	   *targets = targets_of(trial);

	refuse_large(targets);
	refuse_busy(targets);
}

/* Tables that are more than read. */
static List *
targets_of(const MigrationTrial *trial)
{
	List	   *relids = NIL;

	for (int i = 0; i < trial->n_texts; i++)
	{
		List	   *foreseen = list_concat(list_copy(trial->texts[i].foreseen_up), trial->texts[i].foreseen_down);
		ListCell   *cell;
		ListCell   *inner;

		foreach(cell, foreseen)
			foreach(inner, ((Foreseen *) lfirst(cell))->targets)
				if (((MigrationTarget *) lfirst(inner))->mode > RowShareLock)
					relids = list_append_unique_oid(relids, ((MigrationTarget *) lfirst(inner))->relid);
	}
	return relids;
}

static void
refuse_large(const List *targets)
{
	ListCell   *cell;

	foreach(cell, targets)
	{
		int64		bytes = dbops_relation_bytes(lfirst_oid(cell));

		if (bytes > LARGE_TABLE_BYTES)
			ereport(ERROR,
					(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
					 errmsg("relation %s is too large to try a migration on: %s MB",
							dbops_migration_target_name(lfirst_oid(cell)), psprintf(INT64_FORMAT, bytes / (1024 * 1024))),
					 errdetail("A trial takes the locks and writes the WAL of the real run."),
					 errhint("Try it on a copy, see what depth => 'plan' says, or force => true, which ends when dbops.dry_run_max_hold is over.")));
	}
}

static void
refuse_busy(const List *targets)
{
	int		   *seen = palloc0(sizeof(int) * (list_length(targets) + 1));

	for (int look = 0; look < LOOKS; look++)
	{
		if (look > 0)
			dbops_clock_wait(LOOK_PAUSE);
		for (int i = 0; i < list_length(targets); i++)
			if (is_locked_by_others(list_nth_oid(targets, i)) && ++seen[i] >= BUSY_LOOKS)
				ereport(ERROR,
						(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
						 errmsg("relation %s is in use", dbops_migration_target_name(list_nth_oid(targets, i))),
						 errdetail("Other sessions had locks on it in %d of %d looks.", seen[i], look + 1),
						 errhint("Try it on a copy, see what depth => 'plan' says, or force => true, which ends when dbops.dry_run_max_hold is over.")));
	}
}

static bool
is_locked_by_others(Oid relid)
{
	DbopsParam	relation = dbops_param_oid(relid);
	Datum		found;

	return dbops_query_value("SELECT true FROM pg_locks WHERE locktype = 'relation' AND relation = $1"
							 " AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
							 " AND pid <> pg_backend_pid() LIMIT 1",
							 1, &relation, BOOLOID, &found);
}

/* ---- the end ---- */

/* One row a text, and of several one for all. */
static void
put_summaries(MigrationTrial *trial)
{
	MigrationReceipt row = {MIGRATION_RECEIPT};
	const MigrationTried *worst = &trial->texts[0];

	for (int i = 0; i < trial->n_texts; i++)
	{
		const MigrationTried *tried = &trial->texts[i];

		if (rank(tried->state) > rank(worst->state))
			worst = tried;
		if (trial->n_texts == 1)
			break;
		row.version = tried->label;
		row.state = tried->state;
		row.message = tried->message;
		dbops_migration_receipt_put(trial->rsinfo, &row);
	}
	row.version = NULL;
	row.state = worst->state;
	row.message = worst->message;
	if (trial->n_texts > 1 && rank(worst->state) > 0)
		row.message = psprintf("text %s: %s", worst->label, worst->message != NULL ? worst->message : worst->state);
	row.wal = trial->wal;
	row.duration = trial->duration;
	row.notices = remarks(trial);
	dbops_migration_receipt_put(trial->rsinfo, &row);
}

/* How far from a proof a state is. */
static int
rank(const char *state)
{
	static const char *const near[] = {"proved", "no down text", "not tried", "differs"};
	int			i = 0;

	while (i < lengthof(near) && strcmp(near[i], state) != 0)
		i++;
	return i;
}

/* What rolling back does not undo. */
static List *
remarks(const MigrationTrial *trial)
{
	List	   *remarks = NIL;

	if (trial->clock_runs)
		remarks = lappend(remarks, "standbys have had the strong locks and the WAL of the trial, although it was rolled back");
	if (trial->compared_all)
		remarks = lappend(remarks, "the whole schema was compared, as the texts touched much of it, or what any of it may be written with");
	if (trial->unreviewed != NULL)
		remarks = lappend(remarks, psprintf("the schema was not reviewed: %s", trial->unreviewed));
	return lappend(remarks,
				   "not undone: values drawn from sequences, advisory locks of the session, and what functions did outside of this database");
}
