/*
 * statements.c
 *		The figures of pg_stat_statements, summed up.
 *
 * That they cannot be had is an answer, not an error.
 *
 * With thousands of statements a look takes milliseconds, so its figures are
 * kept while they are fresh: they are the whole cluster's and the same for
 * everybody who may look. What is kept is in shared memory when dbops is
 * preloaded; the lock is held for copying only. The home database looks once a
 * minute. By that the launcher judges, and sessions where looking is dear or
 * what it takes is not installed.
 */
#include "observe/statement.h"

#include "access/xlog.h"
#include "catalog/pg_proc.h"
#include "miscadmin.h"
#include "observe/metric.h"
#include "utils/acl.h"
#include "utils/guc_tables.h"

/* Whether the server is told to record statements; the worse come later. */
typedef enum Tracking
{
	TRACKING_ON,
	TRACKING_HIDDEN,			/* this session was given a value of its own */
	TRACKING_OFF
} Tracking;

#define DEAR			1.0		/* ms: more than a call of health may take */
#define KEPT_SERVES		120.0	/* s: two rounds of the home database */
#define KEPT_LASTS		300.0	/* s: for so long there is no reason to call it unknown */

static Statements *shared_figures = NULL;	/* or NULL */
static LWLock *shared_figures_lock = NULL;
static Statements own_figures;	/* when there are none */

static StatementsState find_out(Statements *statements);
static void read_tracked(Statements *statements);
static bool recall(Statements *statements);
static Statements *lock_figures(LWLockMode mode);
static void unlock_figures(void);
static Statements copy_figures(void);
static void keep(const Statements *statements);
static void read_statements(Statements *statements);
static void sum_up(const StatementLook *look, Statements *statements);
static Tracking find_tracking(void);
static Tracking find_setting_unlike(const char *name, const char *off);

/* Ask for the shared memory. */
void
dbops_statements_init(void)
{
	dbops_shared_request("dbops statements", sizeof(Statements), NULL,
						 (void **) &shared_figures, &shared_figures_lock);
}

/* Sum up the statements of the cluster, as far as they are recorded. */
void
dbops_statements_read(Statements *statements)
{
	Statements	kept;

	statements->state = find_out(statements);
	if (statements->state != STATEMENTS_MISSING && statements->state != STATEMENTS_TOO_OLD)
		return;
	if (MyDatabaseId != dbops_home_database() && dbops_statements_kept(&kept))
		*statements = kept;
}

static StatementsState
find_out(Statements *statements)
{
	DbopsExtension extension = dbops_extension_find("pg_stat_statements");
	Oid			function;

	if (extension.hidden)
		ereport(ERROR,
				(errcode(ERRCODE_LOCK_NOT_AVAILABLE),
				 errmsg("pg_extension is locked"),
				 errhint("Look again later.")));
	if (!OidIsValid(extension.oid))
		return STATEMENTS_MISSING;
	function = dbops_extension_function(extension.oid, "pg_stat_statements", 1);
	if (!OidIsValid(function))
		return STATEMENTS_TOO_OLD;
	if (object_aclcheck(ProcedureRelationId, function, GetUserId(), ACL_EXECUTE) != ACLCHECK_OK)
		return STATEMENTS_DENIED;
	read_tracked(statements);
	return statements->state;
}

/*
 * Read what is there, unless the server tracks nothing. Where what it is told
 * is hidden, only that there is something proves that it does.
 */
static void
read_tracked(Statements *statements)
{
	Tracking	tracking = find_tracking();

	if (tracking == TRACKING_OFF)
	{
		statements->state = STATEMENTS_OFF;
		return;
	}
	if (!recall(statements))
		read_statements(statements);
	if (tracking == TRACKING_HIDDEN && statements->state == STATEMENTS_READ &&
		statements->calls == 0)
		statements->state = STATEMENTS_NONE;
}

/* Give what was read before, if it is fresh, and of what is slow now. */
static bool
recall(Statements *statements)
{
	*statements = copy_figures();
	if (statements->slow_over != dbops_slow_query_time)
		return false;
	return dbops_health_is_fresh(statements->read_at, statements->took) ||
		(statements->kept && statements->took >= DEAR && dbops_health_is_kept(statements->read_at, KEPT_SERVES));
}

/* What somebody has read in the last minutes; false: nobody has. */
bool
dbops_statements_kept(Statements *statements)
{
	double		age;

	*statements = copy_figures();
	age = dbops_health_age(statements->read_at);
	if (age >= 0 && age < KEPT_LASTS && !RecoveryInProgress())
		return true;
	*statements = (Statements) {.state = STATEMENTS_UNSEEN};
	return false;
}

/* A session whose time a test has set has its own. */
static Statements *
lock_figures(LWLockMode mode)
{
	if (shared_figures == NULL || dbops_ring_is_own())
		return &own_figures;
	LWLockAcquire(shared_figures_lock, mode);
	return shared_figures;
}

static void
unlock_figures(void)
{
	if (shared_figures != NULL && !dbops_ring_is_own())
		LWLockRelease(shared_figures_lock);
}

static Statements
copy_figures(void)
{
	Statements	copy = *lock_figures(LW_SHARED);

	unlock_figures();
	return copy;
}

static void
keep(const Statements *statements)
{
	*lock_figures(LW_EXCLUSIVE) = *statements;
	unlock_figures();
}

static void
read_statements(Statements *statements)
{
	StatementLook look;

	memset(statements, 0, sizeof(Statements));
	statements->state = dbops_statements_look(&look, false);
	if (statements->state != STATEMENTS_READ)
		return;
	sum_up(&look, statements);
	keep(statements);
}

/* Keep what the background has seen. */
void
dbops_statements_note(const StatementLook *look)
{
	Statements	statements = {.state = STATEMENTS_READ,.kept = true};

	if (find_tracking() == TRACKING_OFF)
		return;
	sum_up(look, &statements);
	keep(&statements);
}

static void
sum_up(const StatementLook *look, Statements *statements)
{
	statements->read_at = look->at;
	statements->took = look->took;
	statements->slow_over = dbops_slow_query_time;
	for (int i = 0; i < look->n; i++)
	{
		const double *figures = look->statements[i].figures;

		statements->calls += (int64) figures[SF_CALLS];
		statements->total_time += figures[SF_TIME];
		if (figures[SF_TIME] > figures[SF_CALLS] * dbops_slow_query_time)
			statements->slow++;
	}
}

/*
 * Statements are recorded only if they are tracked and have an identity. What
 * counts is what the server tells most sessions, not what this one's role or
 * user has set.
 */
static Tracking
find_tracking(void)
{
	Tracking	track = find_setting_unlike("pg_stat_statements.track", "none");
	Tracking	query_id = find_setting_unlike("compute_query_id", "off");

	return Max(track, query_id);
}

/* Whether the server's value of an enum is another than the given one. */
static Tracking
find_setting_unlike(const char *name, const char *off)
{
	struct config_generic *setting = find_setting(name);
	struct config_enum *choice = (struct config_enum *) setting;

	if (setting == NULL || setting->vartype != PGC_ENUM)
		return TRACKING_ON;
	if (setting->reset_source > PGC_S_ARGV)
		return TRACKING_HIDDEN;
	return strcmp(config_enum_lookup_by_value(choice, choice->reset_val), off) == 0 ?
		TRACKING_OFF : TRACKING_ON;
}
