/*
 * migration_apply.c
 *		apply_migration(): run a text and have it in the ledger.
 *
 * What can be known before is refused before: a text that does not parse, a
 * migration that misses another one. A text whose statements can share a
 * transaction is run at once, in the caller's transaction together with its row
 * in the ledger; so either both are there or neither. Any other is handed to a
 * job, which does it in steps.
 *
 * A text that was applied is recognised before anything is locked, so a
 * deployer may give all that it has each time.
 */
#include "change/migration.h"

#include "commands/dbcommands.h"
#include "miscadmin.h"
#include "utils/builtins.h"

PG_FUNCTION_INFO_V1(dbops_apply_migration);

/* A call of apply_migration. */
typedef struct Application
{
	Migration	wanted;			/* the row as it is to be */
	bool		for_here;		/* its environments include this one */
	const Migration *known;		/* the row as it was found; or NULL */
	MigrationOrder order;
	MigrationCall call;
} Application;

static void read_arguments(FunctionCallInfo fcinfo, Application *application);
static bool is_for_here(List *environments);
static bool is_applied_as_given(Application *application);
static bool has_other_down_text(const Migration *known, const Migration *wanted);
static bool is_orphan(const Migration *known);
static void read_texts(Application *application);
static void read_down_text(const char *down_sql);
static void offer_none(void *arg);
static void apply(Application *application);
static bool has_nothing_to_do(Application *application);
static bool keep_applied(Application *application, TextLikeness likeness);
static void keep_covered(Application *application);
static void take_down_text(Application *application);
static Jsonb *describe_down_text(const char *old);
static void skip(Application *application);
static void tell_out_of_order(const Application *application);
static bool is_out_of_order(const Application *application);
static void run_at_once(Application *application);
static void record_applied(void *arg);
static Jsonb *describe(const Application *application);
static void have_done_in_steps(Application *application);
static bool is_done_in_part(const Application *application);
static int	find_first_step(Application *application);
static void refuse_half_undone(const Migration *known);
static void report(Application *application, const char *state, const char *message);

/*
 * apply_migration(version text, up_sql text, down_sql text, name text,
 *		   project text, requires text[], environments text[], repeatable
 *		   bool, verify_sql text, lock_timeout interval, max_wait interval,
 *		   reason text) → setof migration_receipt
 */
Datum
dbops_apply_migration(PG_FUNCTION_ARGS)
{
	Application application = {0};

	read_arguments(fcinfo, &application);
	dbops_migration_call_begin(&application.call, fcinfo);

	if (!is_applied_as_given(&application))
	{
		read_texts(&application);
		dbops_migration_lock_project(application.wanted.project, application.wanted.version,
									 application.call.max_wait);
		apply(&application);
	}
	return (Datum) 0;
}

/* ---- what is asked for ---- */

static void
read_arguments(FunctionCallInfo fcinfo, Application *application)
{
	Migration  *wanted = &application->wanted;

	dbops_require_argument(fcinfo, 1, "up_sql");
	wanted->version = dbops_migration_version_argument(fcinfo, 0, "version");
	wanted->up_sql = dbops_text_argument(fcinfo, 1);
	wanted->down_sql = dbops_migration_down_text(dbops_text_argument(fcinfo, 2));
	wanted->name = dbops_text_argument(fcinfo, 3);
	wanted->project = dbops_migration_version_argument(fcinfo, 4, "project");
	wanted->requires = dbops_migration_versions_argument(fcinfo, 5, "requires");
	wanted->environments = dbops_migration_versions_argument(fcinfo, 6, "environments");
	wanted->repeatable = !PG_ARGISNULL(7) && PG_GETARG_BOOL(7);
	wanted->verify_sql = dbops_text_argument(fcinfo, 8);
	wanted->owner = dbops_migration_owner_current();
	wanted->origin = "dbops";
	application->call = (MigrationCall) {
		.project = wanted->project,.version = wanted->version,.direction = "up",
		.verify_sql = wanted->verify_sql,.record = record_applied,.arg = application
	};
	application->call.lock_timeout = dbops_migration_wait_argument(fcinfo, 9, "lock_timeout", 1);
	application->call.max_wait = dbops_migration_wait_argument(fcinfo, 10, "max_wait", 0);
	application->call.reason = dbops_text_argument(fcinfo, 11);
	application->for_here = is_for_here(wanted->environments);
}

/* Is one of the environments this database's, or is it for all? */
static bool
is_for_here(List *environments)
{
	if (environments == NIL)
		return true;
	if (dbops_environment[0] == '\0')
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("it is not known which environment this database is"),
				 errdetail("The migration is for certain environments only, and dbops.environment is not set."),
				 errhint("ALTER DATABASE %s SET dbops.environment = '%s', and connect anew.",
						 quote_identifier(get_database_name(MyDatabaseId)), (char *) linitial(environments))));
	return dbops_texts_have(environments, dbops_environment);
}

/* ---- what is there already ---- */

/*
 * Is all of it in the ledger as it is given, but for comments? Then that is
 * said, without parsing what may be large; but not while somebody else works on
 * the project, who may be about to take it back.
 */
static bool
is_applied_as_given(Application *application)
{
	const Migration *wanted = &application->wanted;
	const Migration *known;
	TextLikeness likeness;

	if (!dbops_migration_lock_project_at_once(wanted->project))
		return false;
	known = dbops_migration_load(wanted->project, wanted->version);
	if (known == NULL || strcmp(known->state, "applied") != 0 || known->up_sql == NULL ||
		has_other_down_text(known, wanted))
		return false;
	likeness = dbops_migration_text_compare(known->up_sql, wanted->up_sql).likeness;
	if (likeness == TEXTS_DIFFERENT)
		return false;
	dbops_migration_require_rights(wanted->project);
	application->known = known;
	return keep_applied(application, likeness);
}

/* No down text given is none to be taken over. Nobody can run one that was stored by a role that is gone. */
static bool
has_other_down_text(const Migration *known, const Migration *wanted)
{
	return wanted->down_sql != NULL &&
		(known->down_sql == NULL || strcmp(known->down_sql, wanted->down_sql) != 0 || is_orphan(known));
}

/* Is the role gone that has applied it? */
static bool
is_orphan(const Migration *known)
{
	return !OidIsValid(dbops_migration_owner_role(&known->owner));
}

/* Read all that was given to its end, so that a mistake is found before anything is done. */
static void
read_texts(Application *application)
{
	application->call.text = dbops_migration_text_read("up_sql", application->wanted.up_sql);
	if (application->wanted.down_sql != NULL)
		read_down_text(application->wanted.down_sql);
	if (application->wanted.verify_sql != NULL)
		(void) dbops_migration_text_read("verify_sql", application->wanted.verify_sql);
}

/* Histories of other tools have down texts that were never run: say that none is needed. */
static void
read_down_text(const char *down_sql)
{
	ErrorContextCallback context = {.previous = error_context_stack,.callback = offer_none};

	error_context_stack = &context;
	(void) dbops_migration_text_read("down_sql", down_sql);
	error_context_stack = context.previous;
}

static void
offer_none(void *arg)
{
	if (geterrcode() == ERRCODE_SYNTAX_ERROR)
		errhint("Mend down_sql, or leave it NULL for a migration that cannot be rolled back.");
}

/* Do what is to be done; the project is locked. */
static void
apply(Application *application)
{
	const Migration *wanted = &application->wanted;

	dbops_migration_require_rights(wanted->project);
	dbops_migration_require_idle(wanted->project, wanted->version);
	application->known = dbops_migration_load(wanted->project, wanted->version);
	application->order = dbops_migration_order(wanted->project);
	if (has_nothing_to_do(application))
		return;

	dbops_migration_require_others(wanted, &application->order);
	tell_out_of_order(application);
	dbops_migration_require_protection(wanted->project, wanted->version);
	dbops_migration_take_over(wanted->project, wanted->version, application->call.reason);
	if (application->call.text->in_steps || is_done_in_part(application))
		have_done_in_steps(application);
	else
		run_at_once(application);
}

static bool
has_nothing_to_do(Application *application)
{
	const char *state = (application->known != NULL) ? application->known->state : "";

	if (strcmp(state, "applied") == 0)
		return keep_applied(application, dbops_migration_hold_against(application->known, &application->wanted));
	if (strcmp(state, "baseline") == 0 ||
		(application->known == NULL && !application->wanted.repeatable &&
		 dbops_migration_is_covered(&application->order, application->wanted.version)))
	{
		keep_covered(application);
		return true;
	}
	if (application->for_here || is_done_in_part(application))
		return false;
	skip(application);
	return true;
}

/* Leave one that was applied as it is; false: it is repeatable, and its text has changed. */
static bool
keep_applied(Application *application, TextLikeness likeness)
{
	const Migration *known = application->known;

	if (likeness == TEXTS_DIFFERENT)
		return false;
	if (likeness == TEXTS_COSMETIC)
		ereport(NOTICE,
				(errmsg("migration \"%s\" of project \"%s\" is applied already, with other comments or white space",
						known->version, known->project),
				 errhint("Have the ledger keep the text as it is now: SELECT dbops.repair_checksums(ARRAY['%s'], ARRAY[up_sql], '%s');",
						 known->version, known->project)));
	else
		ereport(NOTICE,
				(errmsg("migration \"%s\" of project \"%s\" is applied already",
						known->version, known->project),
				 known->up_sql == NULL ? errdetail_internal("%s", dbops_migration_describe_unknown(known, application->wanted.up_sql)) : 0));
	take_down_text(application);
	report(application, likeness == TEXTS_COSMETIC ? "cosmetic" : "already applied", NULL);
	return true;
}

/*
 * Have the ledger keep the down text that is given from now on: it has not been
 * run yet, and may have been mended. It will be run by the role that has
 * applied the migration, so only that may say what; or, if it is gone, who gives
 * the text in its place, and is the owner from now on.
 */
static void
take_down_text(Application *application)
{
	Migration	changed = *application->known;

	if (!has_other_down_text(application->known, &application->wanted))
		return;
	if (!is_orphan(&changed) && dbops_migration_owner_role(&changed.owner) != GetUserId())
	{
		const char *owner = dbops_migration_owner_name(&changed.owner);

		ereport(NOTICE,
				(errmsg("the down text of migration \"%s\" stays as it was, because role \"%s\" has applied it",
						changed.version, owner),
				 errhint("SET ROLE %s, if you may, to have it replaced.", quote_identifier(owner))));
		return;
	}
	dbops_migration_take_over(changed.project, changed.version, application->call.reason);
	changed.owner = application->wanted.owner;
	changed.down_sql = application->wanted.down_sql;
	dbops_migration_store(&changed);
	dbops_migration_note(changed.project, changed.version, "repair", application->call.reason,
						 describe_down_text(application->known->down_sql));
	ereport(NOTICE,
			(errmsg("the down text of migration \"%s\" is now the one that was given", changed.version)));
}

/* What the log keeps of a down text that was replaced. */
static Jsonb *
describe_down_text(const char *old)
{
	DbopsJson	json = {0};

	dbops_json_object(&json, NULL);
	if (old != NULL)
		dbops_json_text(&json, "old_down_sql", old);
	dbops_json_boolean(&json, "down_sql_replaced", true);
	return dbops_json_finish(&json);
}

static void
keep_covered(Application *application)
{
	const Migration *wanted = &application->wanted;
	const char *baseline = (application->known != NULL) ? wanted->version : application->order.baseline;

	ereport(NOTICE,
			(errmsg("migration \"%s\" of project \"%s\" is covered by baseline \"%s\"; nothing is run",
					wanted->version, wanted->project, baseline)));
	report(application, "already applied", psprintf("covered by baseline %s", baseline));
}

/* Have the ledger say that a migration is for other environments than this one. */
static void
skip(Application *application)
{
	Migration  *wanted = &application->wanted;

	wanted->state = "skipped";
	dbops_migration_store(wanted);
	if (application->known == NULL || strcmp(application->known->state, "skipped") != 0)
		dbops_migration_note(wanted->project, wanted->version, "skip", application->call.reason, NULL);
	ereport(NOTICE,
			(errmsg("migration \"%s\" of project \"%s\" is skipped: it is not for environment \"%s\"",
					wanted->version, wanted->project, dbops_environment)));
	report(application, "skipped", psprintf("not for environment %s", dbops_environment));
}

static void
tell_out_of_order(const Application *application)
{
	if (is_out_of_order(application))
		ereport(NOTICE,
				(errmsg("migration \"%s\" of project \"%s\" is out of order: \"%s\" is applied already",
						application->wanted.version, application->wanted.project, application->order.highest)));
}

/* Has a later version been applied before it? Those that are repeatable have no place in the order. */
static bool
is_out_of_order(const Application *application)
{
	return !application->wanted.repeatable && application->order.highest != NULL &&
		dbops_version_compare(application->wanted.version, application->order.highest) < 0;
}

/* ---- at once ---- */

static void
run_at_once(Application *application)
{
	Migration  *wanted = &application->wanted;
	bool		again = application->known != NULL && strcmp(application->known->state, "applied") == 0;

	wanted->state = "applied";
	dbops_migration_call_run(&application->call);
	dbops_migration_note(wanted->project, wanted->version, again ? "apply_again" : "apply",
						 application->call.reason, describe(application));
	report(application, "applied", NULL);
}

static void
record_applied(void *arg)
{
	const Application *application = arg;
	const Migration *wanted = &application->wanted;

	dbops_migration_store(wanted);
	dbops_migration_clear_steps(wanted->project, wanted->version);
}

/* What the log keeps of an application. */
static Jsonb *
describe(const Application *application)
{
	DbopsJson	json = {0};

	dbops_migration_call_describe(&application->call, &json);
	if (is_out_of_order(application))
		dbops_json_text(&json, "out_of_order_after", application->order.highest);
	if (application->wanted.job != 0)
		dbops_json_integer(&json, "job_id", application->wanted.job);
	return dbops_json_finish(&json);
}

/* ---- in steps ---- */

/* Have a job do what is not done yet. It begins when the caller's transaction commits. */
static void
have_done_in_steps(Application *application)
{
	Migration  *wanted = &application->wanted;
	int			first = find_first_step(application);

	wanted->state = "running";
	dbops_migration_store(wanted);
	if (!is_done_in_part(application))
		dbops_migration_clear_steps(wanted->project, wanted->version);
	dbops_migration_plan_steps(wanted, application->call.text, "up", first);
	dbops_migration_call_submit(&application->call, wanted);
	dbops_migration_note(wanted->project, wanted->version, "start", application->call.reason, describe(application));
	report(application, "submitted", NULL);
}

/* Has a job done some of it? One that is still at work keeps others out. */
static bool
is_done_in_part(const Application *application)
{
	const Migration *known = application->known;

	return known != NULL && (strcmp(known->state, "failed") == 0 || strcmp(known->state, "running") == 0);
}

/* The first statement that is not done; those before it must be as they were. */
static int
find_first_step(Application *application)
{
	const Migration *known = application->known;
	int			done;

	if (!is_done_in_part(application))
		return 1;
	refuse_half_undone(known);
	done = dbops_migration_steps_done(known->project, known->version, "up");
	if (done > 0)
		dbops_migration_require_unchanged(known, application->call.text, done);
	return done + 1;
}

/* What its down text has undone in part is nowhere said. */
static void
refuse_half_undone(const Migration *known)
{
	if (dbops_migration_steps_are(known->project, known->version, "down", "pending"))
		return;
	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg("migration \"%s\" of project \"%s\" has been rolled back in part", known->version, known->project),
			 errhint("Go on with SELECT * FROM dbops.rollback_migration('%s', '%s'); or see dbops.resolve_migration().",
					 known->version, known->project)));
}

/* Return the row that sums up. */
static void
report(Application *application, const char *state, const char *message)
{
	dbops_migration_call_report(&application->call, state, message, application->wanted.job);
}
