/*
 * verdict.c
 *		What all checks together say of the server.
 *
 * What is judged from memory is judged now. What needs catalogs or tables grows
 * with them, so it is served as it was judged last: by the scheduler, who puts
 * it on the board, or where there is none, as on a standby, by this session,
 * which keeps it for as long as its cost is small in that time. However old, it
 * says since when it is so. A change of what somebody has set has all of it
 * judged anew.
 *
 * The status, in the words that applications know, follows from the checks and
 * from nothing else, so that a threshold which somebody sets is the status' too.
 * A check that must be known and is not, or a collector that has stopped, is a
 * warning. What is advice, muted or turned off does not count.
 */
#include "observe/verdict.h"

#include "miscadmin.h"
#include "portability/instr_time.h"
#include "utils/guc.h"
#include "utils/memutils.h"

#include "observe/board.h"

#define BOARD_SERVES	1200.0	/* s: two rounds of the schedulers */
#define OWN_SERVES		1200.0	/* s, at most */
#define REUSE_FACTOR	1000.0	/* times its cost */
#define LOCK_WAIT		10		/* ms, of a check that needs a table of dbops */
#define STARTING		30.0	/* s without a sample, at first */

/* What this session has judged, in a memory context of its own. */
typedef struct Judged
{
	MemoryContext context;		/* NULL: nothing */
	List	   *findings;
	TimestampTz at;
	double		took;			/* ms */
	Oid			role;			/* that judged, and may have been refused something */
	uint64		settings;		/* mark of what users had changed */
} Judged;

static Judged own = {0};

static List *serve_catalogs(uint64 settings, bool in_full, TimestampTz *judged_at);
static bool read_board(uint64 settings, BoardSheet *sheet);
static bool own_serves(uint64 settings);
static List *judge_catalogs(uint64 settings);
static void select_check(List **findings, const DbopsCheck *check);
static void keep(const List *findings, double took, uint64 settings);
static DbopsFinding *copy_finding(const DbopsFinding *finding);
static void sum_up(Verdict *verdict);
static bool counts(const DbopsFinding *finding);
static DbopsSeverity severity_for_status(const DbopsFinding *finding);

/* Judge, as far as is asked for. */
void
dbops_verdict_reach(Verdict *verdict, VerdictDepth depth)
{
	DbopsCheckScope scope = {.database = MyDatabaseId, .connected = true, .sparing = (depth != VERDICT_ANEW)};
	int			nest_level = dbops_begin_bounded_wait(LOCK_WAIT);

	dbops_spell_names_as_keys();
	memset(verdict, 0, sizeof(Verdict));
	verdict->run = dbops_check_look_at(&scope);
	verdict->health = dbops_check_facts(verdict->run, &dbops_health_checks_set);
	verdict->findings = dbops_check_judge(verdict->run);
	verdict->judged_at = dbops_clock_now();
	if (scope.sparing)
	{
		List	   *served = serve_catalogs(dbops_check_mark(verdict->run), depth == VERDICT_IN_FULL, &verdict->judged_at);

		verdict->findings = dbops_check_adopt(verdict->run, served);
	}
	dbops_collector_state(&verdict->collector);
	sum_up(verdict);
	AtEOXact_GUC(true, nest_level);
}

/* Give the findings of one check, judging nothing else. */
List *
dbops_verdict_of_check(const DbopsCheck *check)
{
	DbopsCheckScope scope = {.database = MyDatabaseId,.connected = true};
	int			nest_level = dbops_begin_bounded_wait(LOCK_WAIT);
	DbopsCheckRun *run = dbops_check_begin(&scope);
	List	   *findings = NIL;
	BoardSheet	sheet;

	dbops_spell_names_as_keys();
	if (dbops_check_needs_catalogs(check) && read_board(dbops_check_mark(run), &sheet) && sheet.whole)
	{
		select_check(&sheet.findings, check);
		findings = dbops_check_adopt(run, sheet.findings);
	}
	if (findings == NIL)
		findings = dbops_check_judge_one(&scope, check);
	AtEOXact_GUC(true, nest_level);
	return findings;
}

static void
select_check(List **findings, const DbopsCheck *check)
{
	ListCell   *cell;

	foreach(cell, *findings)
		if (((const DbopsFinding *) lfirst(cell))->check != check)
			*findings = foreach_delete_current(*findings, cell);
}

/* ---- what needs catalogs ---- */

/* Findings of checks that need catalogs, as judged last, or now: also where somebody has changed a check since. */
static List *
serve_catalogs(uint64 settings, bool in_full, TimestampTz *judged_at)
{
	BoardSheet	sheet;

	if (read_board(settings, &sheet) && (sheet.whole || !in_full))
	{
		*judged_at = sheet.judged_at;
		return sheet.findings;
	}
	if (!own_serves(settings))
		return judge_catalogs(settings);
	*judged_at = own.at;
	return own.findings;
}

/* False: nothing stands there, or only what is too old, or what was held against other thresholds. */
static bool
read_board(uint64 settings, BoardSheet *sheet)
{
	dbops_board_read(MyDatabaseId, DBOPS_REACH_CATALOG, sheet);
	return sheet->findings != NIL && sheet->settings == settings && dbops_health_is_kept(sheet->judged_at, BOARD_SERVES);
}

static bool
own_serves(uint64 settings)
{
	return own.context != NULL && own.role == GetUserId() && own.settings == settings &&
		dbops_health_is_kept(own.at, Min(OWN_SERVES, own.took * REUSE_FACTOR / 1000));
}

static List *
judge_catalogs(uint64 settings)
{
	DbopsCheckScope scope = {.database = MyDatabaseId, .connected = true};
	instr_time	start;
	instr_time	end;
	List	   *findings;

	INSTR_TIME_SET_CURRENT(start);
	findings = dbops_check_judge_apart(&scope);
	INSTR_TIME_SET_CURRENT(end);
	INSTR_TIME_SUBTRACT(end, start);
	keep(findings, INSTR_TIME_GET_MILLISEC(end), settings);
	return findings;
}

static void
keep(const List *findings, double took, uint64 settings)
{
	MemoryContext caller;
	ListCell   *cell;

	if (own.context != NULL)
		MemoryContextDelete(own.context);
	own = (Judged) {.context = NULL};
	caller = MemoryContextSwitchTo(AllocSetContextCreate(TopMemoryContext, "dbops verdict",
														 ALLOCSET_DEFAULT_SIZES));
	foreach(cell, findings)
		own.findings = lappend(own.findings, copy_finding(lfirst(cell)));
	own.at = dbops_clock_now();
	own.took = took;
	own.role = GetUserId();
	own.settings = settings;
	own.context = MemoryContextSwitchTo(caller);
}

static DbopsFinding *
copy_finding(const DbopsFinding *finding)
{
	DbopsFinding *copy = palloc(sizeof(DbopsFinding));

	*copy = *finding;
	copy->judged_by = NULL;		/* which goes with the run */
	copy->check_name = pstrdup(finding->check_name);
	copy->key = pstrdup(finding->key);
	if (finding->object != NULL)
		copy->object = pstrdup(finding->object);
	if (finding->message != NULL)
		copy->message = pstrdup(finding->message);
	if (finding->remedy != NULL)
		copy->remedy = pstrdup(finding->remedy);
	if (finding->data != NULL)
	{
		copy->data = palloc(VARSIZE(finding->data));
		memcpy(copy->data, finding->data, VARSIZE(finding->data));
	}
	return copy;
}

/* ---- the sum of it ---- */

/* The status is that of the gravest finding that counts, so that it never says other than the checks beside it. */
static void
sum_up(Verdict *verdict)
{
	DbopsSeverity gravest = DBOPS_OK;
	ListCell   *cell;

	foreach(cell, verdict->findings)
	{
		const DbopsFinding *finding = lfirst(cell);

		verdict->muted += (finding->muted_until != 0);
		if (!counts(finding))
			continue;
		verdict->worst = Max(verdict->worst, finding->severity);
		if (severity_for_status(finding) < DBOPS_WARNING)
			continue;
		gravest = Max(gravest, severity_for_status(finding));
		verdict->reasons = lappend(verdict->reasons, unconstify(char *, finding->key));
	}
	if (strcmp(dbops_collector_word(&verdict->collector), "stale") == 0)
	{
		gravest = Max(gravest, DBOPS_WARNING);
		verdict->reasons = lappend(verdict->reasons, "collector");
		verdict->worst = Max(verdict->worst, DBOPS_WARNING);
	}
	verdict->status = gravest == DBOPS_CRITICAL ? "critical" : gravest == DBOPS_WARNING ? "warning" : "healthy";
}

static bool
counts(const DbopsFinding *finding)
{
	return finding->muted_until == 0 && !(finding->check != NULL && finding->check->advice);
}

/* What is not known is a warning where it must be known. */
static DbopsSeverity
severity_for_status(const DbopsFinding *finding)
{
	if (finding->severity == DBOPS_UNKNOWN && finding->check != NULL && finding->check->required)
		return DBOPS_WARNING;
	return finding->severity;
}

/* Since when a finding has been as it is, as far as somebody has noted it; 0: not known. */
TimestampTz
dbops_verdict_since(const DbopsFinding *finding)
{
	bool		of_cluster = (finding->check != NULL && finding->check->reach == DBOPS_REACH_CLUSTER);

	if (finding->since != 0 || finding->check == NULL)
		return finding->since;
	return dbops_board_since(of_cluster ? InvalidOid : MyDatabaseId, finding);
}

/* A server that has just started has no sample yet. */
const char *
dbops_collector_word(const CollectorState *state)
{
	double		up = (dbops_clock_now() - PgStartTime) / (double) USECS_PER_SEC;

	if (!state->preloaded || (state->last == 0 && dbops_ring_is_own()))
		return "none";
	if (!dbops_collector)
		return "off";
	if (isnan(state->age) && up < STARTING)
		return "starting";
	return state->stale ? "stale" : "ok";
}
