/*
 * migration_trial.c
 *		Run migrations for real, prove that their down texts undo them, and undo
 *		all of it.
 *
 * Everything happens in one subtransaction that is rolled back, whatever comes
 * of it: the up texts in their order, and right behind each its down text, in a
 * subtransaction of its own, so that the next one finds what the up texts have
 * made. What the schema was before an up text and is behind its down text says
 * whether that restores what was there. Only the first of these states is
 * described as a whole, when nothing is locked yet.
 *
 * While a lock stronger than ROW EXCLUSIVE is held on a table that others use,
 * they wait. So locks are waited for only briefly, and a clock runs from the
 * beginning of the first command that takes such a lock, in the text or in a
 * function: when dbops.dry_run_max_hold is over the trial ends where it is. It
 * is started for a command whose text tells so, or does not tell, and when the
 * command has ended the locks that are held say whether it has to go on.
 */
#include "change/migration_plan.h"
#include "change/migration_watch.h"

#include "access/xact.h"
#include "commands/trigger.h"
#include "miscadmin.h"
#include "storage/ipc.h"
#include "storage/lock.h"
#include "utils/timeout.h"

/* Differences that a summary names; the others have rows of their own. */
#define NAMED_DIFFERENCES 3

/* ms after which the clock rings again. */
#define RING_AGAIN 100

/* A review may take this part of dbops.dry_run_max_hold. */
#define REVIEW_SHARE 3

static MigrationTrial *running = NULL;
static HeldLocks *locks_before;	/* by this session, when the trial began */
static int	clock_level;		/* of subtransactions, that the clock was started in */
static int	strong_level;		/* of those, that a strong lock was first seen in */
static TimeoutId hold_clock = 0;
static volatile sig_atomic_t time_is_over;

static bool has_down_text(const MigrationTrial *trial);
static void try_all(void *arg);
static void review_again(MigrationTrial *trial);
static void compare_reviews(const MigrationTrial *trial);
static void try_up(MigrationTrial *trial, MigrationTried *tried);
static void try_down(MigrationTrial *trial);
static void prove(void *arg);
static bool ends_the_call(const ErrorData *error);
static void try_text(MigrationTrial *trial, MigrationTried *tried, const MigrationText *text,
					 List *foreseen, const char *direction);
static void try_statements(MigrationTrial *trial);
static void leave_out(MigrationTrial *trial);
static void begin_command(Node *statement);
static bool has_strong_target(const List *targets);
static void end_command(void);
static void take_receipt(const MigrationReceipt *receipt, void *arg);
static List *flags_of(const MigrationTrial *trial, const MigrationReceipt *receipt, const Foreseen *foreseen);
static void check_deferred(void);
static bool holds_strong_lock(const MigrationTrial *trial);
static bool has_strong_mode(LOCKMASK modes);
static void start_clock(MigrationTrial *trial);
static void withdraw_clock(MigrationTrial *trial);
static void end_subxact(SubXactEvent event, SubTransactionId mine, SubTransactionId parent, void *arg);
static void stop_clock(void);
static void ring(void);
static void judge(MigrationTrial *trial, MigrationTried *tried);
static void put_difference(MigrationTrial *trial, const SchemaDifference *difference);
static char *describe_difference(const SchemaDifference *difference);
static void take_failure(MigrationTrial *trial, const ErrorData *error);

/*
 * Try what the trial says, and put a row for each statement and each
 * difference. What came of each text stands in it afterwards.
 */
void
dbops_migration_try(MigrationTrial *trial)
{
	MemoryContext context = CurrentMemoryContext;

	if (running != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("a migration that is tried cannot try others"),
				 errhint("Call check_migration() for each of them, or once with an array of texts.")));
	if (has_down_text(trial))
		trial->before = dbops_schema_state_take(NULL);
	trial->review = dbops_migration_review_take();
	time_is_over = false;
	PG_TRY();
	{
		running = trial;
		locks_before = dbops_locks_held();
		dbops_migration_command_begins = begin_command;
		dbops_migration_command_ends = end_command;
		dbops_look(try_all, trial);
		stop_clock();
	}
	PG_CATCH();
	{
		ErrorData  *error;

		stop_clock();
		MemoryContextSwitchTo(context);
		error = CopyErrorData();
		/* All that it may have left behind has been rolled back. */
		if (!time_is_over && ends_the_call(error))
			PG_RE_THROW();
		FlushErrorState();
		take_failure(trial, error);
	}
	PG_END_TRY();
	compare_reviews(trial);
	if (trial->before != NULL)
		dbops_schema_state_release(trial->before);
}

static bool
has_down_text(const MigrationTrial *trial)
{
	for (int i = 0; i < trial->n_texts; i++)
		if (trial->texts[i].down != NULL)
			return true;
	return false;
}

static void
try_all(void *arg)
{
	MigrationTrial *trial = arg;

	for (int i = 0; i < trial->n_texts; i++)
	{
		try_up(trial, &trial->texts[i]);
		if (i == trial->n_texts - 1)
			review_again(trial);
		if (trial->texts[i].down != NULL)
			try_down(trial);
	}
}

/* When all up texts have run: what they add to the findings of the schema review, unless others would wait for that. */
static void
review_again(MigrationTrial *trial)
{
	const MigrationReview *before = trial->review;

	if (before->error == NULL && trial->clock_runs && before->duration > dbops_dry_run_max_hold / REVIEW_SHARE)
		trial->unreviewed = psprintf("that takes %.0f ms, for which its locks would have been held", before->duration);
	else if (before->error != NULL)
		trial->unreviewed = before->error;
	if (trial->unreviewed != NULL)
		return;
	trial->review_after = dbops_migration_review_take();
	trial->unreviewed = trial->review_after->error;
}

/* All is undone: what is as the texts had it all the same is what others have committed meanwhile. */
static void
compare_reviews(const MigrationTrial *trial)
{
	if (trial->review_after != NULL && trial->review_after->error == NULL)
		dbops_migration_review_compare(trial->rsinfo, trial->review, trial->review_after);
}

static void
try_up(MigrationTrial *trial, MigrationTried *tried)
{
	if (tried->down != NULL)
		tried->before = (tried == trial->texts) ? trial->before : dbops_schema_state_take(trial->before);
	try_text(trial, tried, tried->up, tried->foreseen_up, "up");
	if (tried->down == NULL)
		tried->state = "no down text";
}

/* Whatever comes of it is rolled back, and the next text is tried all the same, unless the time is over. */
static void
try_down(MigrationTrial *trial)
{
	MemoryContext context = CurrentMemoryContext;

	PG_TRY();
	{
		dbops_look(prove, trial);
	}
	PG_CATCH();
	{
		ErrorData  *error;

		MemoryContextSwitchTo(context);
		error = CopyErrorData();
		if (time_is_over || ends_the_call(error))
			PG_RE_THROW();
		FlushErrorState();
		take_failure(trial, error);
	}
	PG_END_TRY();
}

static void
prove(void *arg)
{
	MigrationTrial *trial = arg;

	try_text(trial, trial->tried, trial->tried->down, trial->tried->foreseen_down, "down");
	judge(trial, trial->tried);
}

static bool
ends_the_call(const ErrorData *error)
{
	return error->sqlerrcode == ERRCODE_QUERY_CANCELED ||
		ERRCODE_TO_CATEGORY(error->sqlerrcode) == ERRCODE_OPERATOR_INTERVENTION;
}

/* Run all statements of a text, and have its constraints checked at once. */
static void
try_text(MigrationTrial *trial, MigrationTried *tried, const MigrationText *text,
		 List *foreseen, const char *direction)
{
	int			n = list_length(text->statements);

	trial->tried = tried;
	trial->text = text;
	trial->foreseen = foreseen;
	trial->direction = direction;
	trial->next = 0;
	while (trial->next < n)
	{
		if (((Foreseen *) list_nth(foreseen, trial->next))->runnable)
			try_statements(trial);
		else
			leave_out(trial);
	}
	check_deferred();
	if (time_is_over)
		ereport(ERROR, (errcode(ERRCODE_QUERY_CANCELED), errmsg("canceling statement due to user request")));
}

/* Run from the next statement on up to one that cannot be rolled back. */
static void
try_statements(MigrationTrial *trial)
{
	MigrationRun run = {
		.text = trial->text,.version = trial->tried->label ? trial->tried->label : "tried",
		.direction = trial->direction,
		.first = trial->next + 1,.last = trial->next + 1,
		.lock_timeout = trial->lock_timeout,.plainly = true,
		.each = take_receipt,.arg = trial
	};

	while (run.last < list_length(trial->foreseen) &&
		   ((Foreseen *) list_nth(trial->foreseen, run.last))->runnable)
		run.last++;
	dbops_migration_run(&run);
}

/* Put a row for a statement that is not run. */
static void
leave_out(MigrationTrial *trial)
{
	const MigrationStatement *statement = list_nth(trial->text->statements, trial->next);
	const Foreseen *foreseen = list_nth(trial->foreseen, trial->next);
	MigrationReceipt row = {
		MIGRATION_RECEIPT,.version = trial->tried->label,.direction = trial->direction,
		.step = statement->number,.line = statement->line,.command = statement->command,
		.state = "not run",.effect = foreseen->effect,.locks = foreseen->locks,
		.message = "it cannot be rolled back"
	};

	row.flags = list_make1("outside of transactions");
	dbops_migration_receipt_put(trial->rsinfo, &row);
	trial->next++;
}

/*
 * Constraints that are deferred would say at COMMIT what they have to say. A
 * trigger cannot leave the role that the following texts are tried as.
 */
static void
check_deferred(void)
{
	ConstraintsSetStmt all = {.type = T_ConstraintsSetStmt,.constraints = NIL,.deferred = false};
	Oid			user;
	int			context;

	GetUserIdAndSecContext(&user, &context);
	SetUserIdAndSecContext(user, context | SECURITY_LOCAL_USERID_CHANGE);
	AfterTriggerSetState(&all);
	SetUserIdAndSecContext(user, context);
}

/*
 * A command begins, in a function of the user's perhaps. If it is to lock
 * others out, or its text does not tell, the clock runs from now on.
 */
static void
begin_command(Node *statement)
{
	List	   *targets;

	if (running->clock_runs)
		return;
	targets = dbops_migration_targets(statement);
	if (targets == NIL ? !dbops_migration_locks_nothing(statement) : has_strong_target(targets))
		start_clock(running);
}

static bool
has_strong_target(const List *targets)
{
	ListCell   *cell;

	foreach(cell, targets)
	{
		const MigrationTarget *target = lfirst(cell);

		if (target->mode > RowExclusiveLock && !dbops_relation_is_new(target->relid))
			return true;
	}
	return false;
}

/* A command has ended: what it has locked, in whatever way, tells whether the clock has to run. */
static void
end_command(void)
{
	if (running->locks_others_out)
		return;
	running->locks_others_out = holds_strong_lock(running);
	strong_level = GetCurrentTransactionNestLevel();
	if (running->locks_others_out)
		start_clock(running);
	else
		withdraw_clock(running);
}

/* A statement has ended. */
static void
take_receipt(const MigrationReceipt *receipt, void *arg)
{
	MigrationTrial *trial = arg;
	const Foreseen *foreseen = list_nth(trial->foreseen, receipt->step - 1);
	MigrationReceipt row = *receipt;

	end_command();
	row.version = trial->tried->label;
	row.flags = flags_of(trial, receipt, foreseen);
	if (foreseen->alone)
		row.locks = foreseen->locks;
	dbops_migration_receipt_put(trial->rsinfo, &row);
	trial->wal += Max(receipt->wal, 0);
	trial->duration += Max(receipt->duration, 0);
	trial->next = receipt->step;
}

static List *
flags_of(const MigrationTrial *trial, const MigrationReceipt *receipt, const Foreseen *foreseen)
{
	List	   *flags = list_copy(receipt->flags);

	if (foreseen->breaks && strcmp(trial->direction, "up") == 0)
		flags = lappend(flags, "breaking");
	if (foreseen->alone)
		flags = lappend(flags, "outside of transactions");
	if (receipt->duration > trial->max_duration)
		flags = lappend(flags, "slow");
	if (Max(receipt->blocked_for, foreseen->strongest > RowExclusiveLock ? receipt->duration : 0) > trial->max_blocked)
		flags = lappend(flags, "blocking");
	return flags;
}

/* ---- the clock ---- */

/* Does the trial lock others out of a table? Those that it has made are nobody else's, and some it may have found locked. */
static bool
holds_strong_lock(const MigrationTrial *trial)
{
	HeldLocks  *held = dbops_locks_held();
	bool		strong = false;

	for (int i = 0; i < held->n && !strong; i++)
		strong = has_strong_mode(held->locks[i].modes & ~dbops_locks_on(locks_before, held->locks[i].relid)) &&
			!dbops_relation_is_new(held->locks[i].relid);
	dbops_locks_free(held);
	return strong;
}

static bool
has_strong_mode(LOCKMASK modes)
{
	return modes >= LOCKBIT_ON(ShareUpdateExclusiveLock);
}

/*
 * Unless it runs already; it is not stopped before all is rolled back, and
 * rings again for code that has caught the cancel.
 */
static void
start_clock(MigrationTrial *trial)
{
	if (trial->clock_runs)
		return;
	trial->clock_runs = true;
	clock_level = GetCurrentTransactionNestLevel();
	if (hold_clock == 0)
	{
		hold_clock = RegisterTimeout(USER_TIMEOUT, ring);
		RegisterSubXactCallback(end_subxact, NULL);
	}
	enable_timeout_every(hold_clock,
						 TimestampTzPlusMilliseconds(GetCurrentTimestamp(), dbops_dry_run_max_hold),
						 RING_AGAIN);
}

/* No lock was behind it. If it has rung, the statement ends all the same. */
static void
withdraw_clock(MigrationTrial *trial)
{
	if (!trial->clock_runs || time_is_over)
		return;
	disable_timeout(hold_clock, false);
	trial->clock_runs = false;
}

/* What was rolled back leaves none of its locks behind, nor does a command that has failed, and was caught. */
static void
end_subxact(SubXactEvent event, SubTransactionId mine, SubTransactionId parent, void *arg)
{
	int			level = GetCurrentTransactionNestLevel();

	if (running == NULL)
		return;
	if (event == SUBXACT_EVENT_COMMIT_SUB)
	{
		clock_level = Min(clock_level, level - 1);
		strong_level = Min(strong_level, level - 1);
	}
	else if (event == SUBXACT_EVENT_ABORT_SUB)
	{
		if (level <= strong_level)
			running->locks_others_out = false;
		if (level <= clock_level && !running->locks_others_out)
			withdraw_clock(running);
	}
}

static void
stop_clock(void)
{
	running = NULL;
	dbops_migration_command_begins = NULL;
	dbops_migration_command_ends = NULL;
	if (hold_clock != 0)
		disable_timeout(hold_clock, false);
	if (time_is_over)
		QueryCancelPending = false;
}

/* Runs in the signal's handler: cancel the statement as a user would. */
static void
ring(void)
{
	if (proc_exit_inprogress)
		return;
	time_is_over = true;
	InterruptPending = true;
	QueryCancelPending = true;
}

/* ---- what came of it ---- */

/* Compare what a down text has left with what was there before its up text. */
static void
judge(MigrationTrial *trial, MigrationTried *tried)
{
	List	   *differences = dbops_schema_state_compare(tried->before, &trial->compared_all);
	StringInfoData message;
	int			named = 0;
	ListCell   *cell;

	if (differences == NIL)
	{
		tried->state = "proved";
		tried->message = "the down text restores the schema exactly";
		return;
	}
	initStringInfo(&message);
	foreach(cell, differences)
	{
		const SchemaDifference *difference = lfirst(cell);

		put_difference(trial, difference);
		if (named++ < NAMED_DIFFERENCES)
			appendStringInfo(&message, "%s%s", named > 1 ? "; " : "after the down text: ",
							 describe_difference(difference));
	}
	if (named > NAMED_DIFFERENCES)
		appendStringInfo(&message, "; and %d more", named - NAMED_DIFFERENCES);
	tried->state = "differs";
	tried->message = message.data;
}

static void
put_difference(MigrationTrial *trial, const SchemaDifference *difference)
{
	MigrationReceipt row = {
		MIGRATION_RECEIPT,.version = trial->tried->label,.direction = "down",.state = "differs",
		.message = describe_difference(difference)
	};

	dbops_migration_receipt_put(trial->rsinfo, &row);
}

/* Say it in one line: changed column public.t.x, type: integer, now bigint. */
static char *
describe_difference(const SchemaDifference *difference)
{
	StringInfoData text;

	initStringInfo(&text);
	appendStringInfo(&text, "%s %s %s", difference->change, difference->kind, difference->object);
	if (difference->attribute != NULL)
		appendStringInfo(&text, ", %s", difference->attribute);
	if (strcmp(difference->change, "changed") == 0)
		appendStringInfo(&text, ": %s, now %s", difference->old ? difference->old : "none",
						 difference->new ? difference->new : "none");
	return text.data;
}

/* The trial has ended at a statement; those behind it were not tried. */
static void
take_failure(MigrationTrial *trial, const ErrorData *error)
{
	MigrationTried *tried = trial->tried;
	MigrationReceipt row = {
		MIGRATION_RECEIPT,.version = tried->label,.direction = trial->direction,.message = error->message
	};

	if (time_is_over)
	{
		tried->state = "stopped";
		tried->message = psprintf("others would have had to wait for its locks for longer than dbops.dry_run_max_hold, %d ms",
								  dbops_dry_run_max_hold);
	}
	else if (error->sqlerrcode == ERRCODE_UNSAFE_NEW_ENUM_VALUE_USAGE)
	{
		tried->state = "not provable in one transaction";
		tried->message = psprintf("%s: that takes a COMMIT between two texts", error->message);
	}
	else if (error->sqlerrcode == ERRCODE_LOCK_NOT_AVAILABLE)
	{
		tried->state = "locked";
		tried->message = psprintf("%s within %ld ms", error->message, trial->lock_timeout);
	}
	else
	{
		tried->state = "failed";
		tried->message = psprintf("the %s text fails: %s", trial->direction, error->message);
	}
	if (trial->next < list_length(trial->text->statements))
	{
		const MigrationStatement *statement = list_nth(trial->text->statements, trial->next);

		row.step = statement->number;
		row.line = statement->line;
		row.command = statement->command;
	}
	row.state = tried->state;
	if (time_is_over)
		row.message = tried->message;
	dbops_migration_receipt_put(trial->rsinfo, &row);
}
