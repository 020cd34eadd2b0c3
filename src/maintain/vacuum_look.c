/*
 * vacuum_look.c
 *		Which tables are to be vacuumed or analyzed, and why.
 *
 * Autovacuum comes first: a table that is over one of its thresholds is its
 * business, until the table has been over twice that for hours. Since when is
 * remembered by the policy that looks, as is what had been counted of the
 * partitions of a table when that was analyzed last; autovacuum never analyzes
 * such a parent. What is urgent for other reasons is done at once.
 *
 * A reset of the statistics, or a crash, loses what the server has counted. What
 * had been over its thresholds then is remembered as before, until it is over
 * them again or is seen to have been vacuumed or analyzed.
 */
#include "maintain/vacuum.h"

#include "catalog/pg_statistic.h"
#include "core/server.h"
#include "utils/fmgrprotos.h"
#include "utils/syscache.h"

#define TIMES			2		/* of a threshold */
#define PATIENCE		(6 * 3600000)	/* ms over it until it is acted on */
#define PARENT_CHANGED	10.0	/* percent of the rows */
#define PARENT_LEAST	50		/* rows */
#define FREEZE_AHEAD	80.0	/* percent of the age at which wraparound is prevented */
#define FREEZE_NOW		95.0	/* the same, where that does not wait for another window */
#define FREEZE_EARLIEST	50.0	/* the same, where all of it is reached before another window */

/* What one look has in hand. */
typedef struct Looking
{
	const Policy *policy;
	int64		analyze_every;	/* ms; 0: never by age */
	bool		freeze_ahead;
	TimestampTz now;
	double		coming_xids;	/* until the next window after this one, or after the next one if it is closed; 0: there is none */
	TimestampTz counted_since;	/* at the earliest; 0: not known */
	bool		recounted;		/* since it looked last: what had been counted was lost */
	Jsonb	   *over;			/* as remembered: since when each table is; or NULL */
	Jsonb	   *lost;			/* as remembered: the same, its counters lost since; or NULL */
	Jsonb	   *parents;		/* as remembered: what had been counted of each; or NULL */
	DbopsJson	new_over;
	DbopsJson	new_lost;
	DbopsJson	new_parents;
	DbopsJson	new_paces;
	List	   *candidates;
} Looking;

/* A table that is being judged. */
typedef struct Judgement
{
	Looking    *looking;
	const VacuumFigures *figures;
	VacuumCandidate *candidate;
	StringInfoData due;			/* reasons to act at once */
	StringInfoData waiting;		/* reasons to act after some hours */
	VacuumCandidate later;		/* what those ask for */
} Judgement;

static void begin(Looking *looking, const Policy *policy);
static double coming_xids(const Policy *policy);
static VacuumScope scope_of(const Policy *policy, Oid only);
static void judge(Looking *looking, const VacuumFigures *figures);
static void judge_thresholds(Judgement *judgement, const VacuumThresholds *own);
static void compare(Judgement *judgement, bool *action, double rows, double threshold, const char *what);
static void judge_ages(Judgement *judgement, const VacuumThresholds *own);
static void judge_age(Judgement *judgement, int age, double coming, int limit, const char *what, const char *setting);
static void judge_statistics(Judgement *judgement);
static int64 parent_changed(Judgement *judgement);
static int64 counted_before(const VacuumFigures *figures, const Jsonb *noted);
static bool has_rows(const VacuumFigures *figures);
static bool has_statistics(const VacuumFigures *figures);
static void add_reason(StringInfo reasons, const char *reason);
static void act(Judgement *judgement, bool *action, double urgency, const char *reason);
static void conclude(Judgement *judgement);
static TimestampTz over_since(Judgement *judgement);
static void wait_or_act(Judgement *judgement);
static void keep_lost(Judgement *judgement);
static char *memory_key(Oid relid);
static int	by_urgency(const ListCell *a, const ListCell *b);
static VacuumLook finish(Looking *looking);

/* Look at the tables of a policy; only: at this one of them, or InvalidOid. */
VacuumLook
dbops_vacuum_look(const Policy *policy, Oid only)
{
	VacuumScope scope = scope_of(policy, only);
	Looking		looking = {0};
	ListCell   *cell;

	begin(&looking, policy);
	foreach(cell, dbops_vacuum_figures(&scope))
	{
		CHECK_FOR_INTERRUPTS();
		judge(&looking, lfirst(cell));
	}
	return finish(&looking);
}

static void
begin(Looking *looking, const Policy *policy)
{
	const char *every = dbops_jsonb_text(policy->spec, "analyze_every");

	looking->policy = policy;
	looking->now = dbops_clock_now();
	looking->freeze_ahead = dbops_jsonb_boolean(policy->spec, "freeze_ahead");
	if (every != NULL)
		looking->analyze_every = dbops_interval_ms(DatumGetIntervalP(DirectFunctionCall3(interval_in, CStringGetDatum(every),
																						 ObjectIdGetDatum(InvalidOid), Int32GetDatum(-1))));
	looking->coming_xids = coming_xids(policy);
	looking->counted_since = dbops_vacuum_counted_since();
	looking->recounted = (policy->memory != NULL && dbops_jsonb_integer(policy->memory, "counted") != looking->counted_since);
	looking->over = dbops_jsonb_document(policy->memory, "over");
	looking->lost = dbops_jsonb_document(policy->memory, "lost");
	looking->parents = dbops_jsonb_document(policy->memory, "parents");
	dbops_json_object(&looking->new_over, NULL);
	dbops_json_object(&looking->new_lost, NULL);
	dbops_json_object(&looking->new_parents, NULL);
	dbops_json_object(&looking->new_paces, NULL);
	dbops_vacuum_keep_paces(policy->memory, InvalidOid, &looking->new_paces);
}

/* How many will be given out until what is not done in this window, or the next one, can be done in another. */
static double
coming_xids(const Policy *policy)
{
	WindowTimes times;

	if (policy->time_window == NULL)
		return 0;
	dbops_past_mark();
	dbops_window_times(policy->time_window, policy->time_zone, &times);
	return times.again * dbops_past_xid_rate();
}

static VacuumScope
scope_of(const Policy *policy, Oid only)
{
	VacuumScope scope = {.relation = policy->relation,.only = only};
	ListCell   *cell;

	foreach(cell, dbops_policy_list(VACUUM_POLICY))
	{
		const Policy *other = lfirst(cell);

		if (OidIsValid(other->relation) && other->relation != policy->relation)
			scope.others = lappend_oid(scope.others, other->relation);
	}
	return scope;
}

/* ---- one table ---- */

static void
judge(Looking *looking, const VacuumFigures *figures)
{
	Judgement	judgement = {.looking = looking,.figures = figures};
	VacuumThresholds thresholds;

	if (OidIsValid(looking->policy->owner) && !dbops_may_maintain(figures->relid, looking->policy->owner))
		return;
	dbops_vacuum_keep_paces(looking->policy->memory, figures->relid, &looking->new_paces);
	judgement.candidate = palloc0(sizeof(VacuumCandidate));
	judgement.candidate->figures = figures;
	initStringInfo(&judgement.due);
	initStringInfo(&judgement.waiting);
	if (!figures->parent && dbops_vacuum_thresholds(figures->relid, InvalidOid, &thresholds))
	{
		judge_thresholds(&judgement, &thresholds);
		if (looking->freeze_ahead)
			judge_ages(&judgement, &thresholds);
	}
	if (figures->relid != StatisticRelationId)
		judge_statistics(&judgement);
	conclude(&judgement);
}

/* Is it over twice what autovacuum would act on? */
static void
judge_thresholds(Judgement *judgement, const VacuumThresholds *own)
{
	const VacuumFigures *figures = judgement->figures;
	VacuumCandidate *later = &judgement->later;
	VacuumThresholds toast;

	compare(judgement, &later->vacuum, figures->dead, own->dead, "dead rows");
	compare(judgement, &later->vacuum, figures->inserted, own->inserted, "rows inserted since VACUUM");
	if (figures->relid != StatisticRelationId)
		compare(judgement, &later->analyze, figures->changed, own->changed, "rows changed since ANALYZE");
	if (figures->toast_dead == 0 && figures->toast_inserted == 0)
		return;
	if (!dbops_vacuum_thresholds(figures->toast, figures->relid, &toast))
		return;
	compare(judgement, &later->vacuum, figures->toast_dead, toast.dead, "dead rows in its TOAST table");
	compare(judgement, &later->vacuum, figures->toast_inserted, toast.inserted, "rows inserted into its TOAST table since VACUUM");
}

static void
compare(Judgement *judgement, bool *action, double rows, double threshold, const char *what)
{
	if (threshold < 0 || rows <= TIMES * threshold)
		return;
	*action = true;
	judgement->later.urgency = Max(judgement->later.urgency, rows / Max(threshold, 1));
	add_reason(&judgement->waiting, psprintf("%.0f %s, where autovacuum should act on %.0f", rows, what, threshold));
}

/* Its TOAST table has ids, and settings, of its own. */
static void
judge_ages(Judgement *judgement, const VacuumThresholds *own)
{
	const VacuumFigures *figures = judgement->figures;
	double		coming = judgement->looking->coming_xids;
	VacuumThresholds toast;

	judge_age(judgement, figures->xid_age, coming, own->xid_age, "transaction id", "autovacuum_freeze_max_age");
	judge_age(judgement, figures->mxid_age, 0, own->mxid_age, "multixact id", "autovacuum_multixact_freeze_max_age");
	if (!dbops_vacuum_thresholds(figures->toast, figures->relid, &toast))
		return;
	judge_age(judgement, figures->toast_xid_age, coming, toast.xid_age,
			  "transaction id in its TOAST table", "autovacuum_freeze_max_age");
	judge_age(judgement, figures->toast_mxid_age, 0, toast.mxid_age,
			  "multixact id in its TOAST table", "autovacuum_multixact_freeze_max_age");
}

/* Autovacuum will soon have to freeze it, at whatever time of the day. coming: ids until another window. */
static void
judge_age(Judgement *judgement, int age, double coming, int limit, const char *what, const char *setting)
{
	double		percent = dbops_figure_percent(age, limit);
	bool		is_reached = (percent > FREEZE_EARLIEST && age + coming >= limit);

	if (percent <= FREEZE_AHEAD && !is_reached)
		return;
	judgement->candidate->freeze = true;
	judgement->candidate->urgent |= (is_reached || percent > FREEZE_NOW);
	act(judgement, &judgement->candidate->vacuum, 1e6 * percent,
		psprintf("its oldest %s is %d old, %.0f percent of %s (%d)%s", what, age, percent, setting, limit,
				 is_reached && age < limit ? psprintf(", and will be about %.0f before another window", age + coming) : ""));
}

/* Are its statistics missing or old? */
static void
judge_statistics(Judgement *judgement)
{
	const VacuumFigures *figures = judgement->figures;
	const Looking *looking = judgement->looking;
	bool		is_known = (figures->analyzed != 0);	/* when */
	bool	   *analyze = &judgement->candidate->analyze;
	int64		changed;
	double		percent;
	double		age;

	if (!has_rows(figures))
		return;
	if (!is_known && !has_statistics(figures))
	{
		act(judgement, analyze, 1, "it has never been analyzed");
		return;
	}
	changed = figures->parent ? parent_changed(judgement) : figures->changed;
	percent = dbops_figure_percent(changed, Max(Max(figures->leaf_rows, figures->rows), 1));
	age = (looking->now - (is_known ? figures->analyzed : looking->counted_since)) / (double) USECS_PER_SEC;
	if (figures->parent && changed > PARENT_LEAST && percent >= PARENT_CHANGED)
		act(judgement, analyze, percent / PARENT_CHANGED,
			psprintf("%.0f percent of the rows of its partitions changed since ANALYZE", Min(percent, 100)));
	else if (changed > 0 && looking->analyze_every > 0 && age * 1000 >= looking->analyze_every)
		act(judgement, analyze, 0,
			psprintf("its statistics are %s%s old, rows changed since: " INT64_FORMAT,
					 is_known ? "" : "at least ", dbops_figure_duration(age), changed));
}

/*
 * How many rows of the partitions were changed since the parent was analyzed.
 * What was counted by then, and how many rows the partitions were said to have,
 * is remembered: that their own statistics are older does not make it any less.
 */
static int64
parent_changed(Judgement *judgement)
{
	const VacuumFigures *figures = judgement->figures;
	Looking    *looking = judgement->looking;
	char	   *key = memory_key(figures->relid);
	Jsonb	   *noted = dbops_jsonb_document(looking->parents, key);
	bool		is_same = (noted != NULL && dbops_jsonb_integer(noted, "analyzed") == figures->analyzed);
	bool		is_newer = (noted != NULL && !is_same && figures->analyzed != 0);
	int64		base = dbops_jsonb_integer(noted, "changes");
	int64		rows = dbops_jsonb_integer(noted, "rows");

	if (!is_same || base > figures->leaf_changes)
		base = counted_before(figures, is_newer ? noted : NULL);
	if (is_newer)
		rows = figures->leaf_rows;
	else if (noted == NULL)
		rows = (figures->rows < 0) ? figures->leaf_rows : figures->rows;
	dbops_json_object(&looking->new_parents, key);
	dbops_json_integer(&looking->new_parents, "analyzed", figures->analyzed);
	dbops_json_integer(&looking->new_parents, "changes", base);
	dbops_json_integer(&looking->new_parents, "counted", figures->leaf_changes);
	dbops_json_integer(&looking->new_parents, "rows", rows);
	dbops_json_object_end(&looking->new_parents);
	return Max(figures->leaf_changes - base, Max(figures->leaf_rows - rows, rows - figures->leaf_rows));
}

/*
 * The changes that the latest ANALYZE of a parent has surely seen: what its
 * partitions have been analyzed for, and what had been counted when it was looked
 * at last. noted: then, if it was analyzed since; or NULL.
 */
static int64
counted_before(const VacuumFigures *figures, const Jsonb *noted)
{
	int64		counted = dbops_jsonb_integer(noted, "counted");

	return Max(figures->leaf_changes - figures->leaf_changed, (counted <= figures->leaf_changes) ? counted : 0);
}

static bool
has_rows(const VacuumFigures *figures)
{
	if (figures->parent)
		return figures->leaf_rows > 0;
	return figures->rows > 0 || figures->changed > 0 ||
		(figures->rows < 0 && dbops_relation_bytes(figures->relid) > 0);
}

/* The counters may have been lost, and the statistics be there. */
static bool
has_statistics(const VacuumFigures *figures)
{
	for (AttrNumber i = 1; SearchSysCacheExists2(ATTNUM, ObjectIdGetDatum(figures->relid), Int16GetDatum(i)); i++)
		if (SearchSysCacheExists3(STATRELATTINH, ObjectIdGetDatum(figures->relid), Int16GetDatum(i),
								  BoolGetDatum(figures->parent)))
			return true;
	return false;
}

static void
add_reason(StringInfo reasons, const char *reason)
{
	appendStringInfo(reasons, "%s%s", reasons->len > 0 ? "; " : "", reason);
}

/* There is a reason to do something at once. */
static void
act(Judgement *judgement, bool *action, double urgency, const char *reason)
{
	*action = true;
	judgement->candidate->urgency = Max(judgement->candidate->urgency, urgency);
	add_reason(&judgement->due, reason);
}

/* What has been over its thresholds for hours is acted on as well. */
static void
conclude(Judgement *judgement)
{
	VacuumCandidate *candidate = judgement->candidate;

	if (judgement->waiting.len > 0)
		wait_or_act(judgement);
	else
		keep_lost(judgement);
	candidate->reason = judgement->due.data;
	if (judgement->due.len > 0)
		judgement->looking->candidates = lappend(judgement->looking->candidates, candidate);
}

static void
wait_or_act(Judgement *judgement)
{
	Looking    *looking = judgement->looking;
	VacuumCandidate *candidate = judgement->candidate;
	const VacuumCandidate *later = &judgement->later;
	TimestampTz noted = over_since(judgement);

	candidate->since = (noted != 0) ? noted : looking->now;
	dbops_json_integer(&looking->new_over, memory_key(judgement->figures->relid), candidate->since);
	candidate->waits = !TimestampDifferenceExceeds(candidate->since, looking->now, PATIENCE);
	if (candidate->waits && judgement->due.len > 0)
	{
		candidate->waits = false;
		return;
	}
	candidate->vacuum |= later->vacuum;
	candidate->analyze |= later->analyze;
	candidate->urgency = Max(candidate->urgency, later->urgency);
	add_reason(&judgement->due, judgement->waiting.data);
}

/* As remembered; 0: it was not over its thresholds. */
static TimestampTz
over_since(Judgement *judgement)
{
	const Looking *looking = judgement->looking;
	char	   *key = memory_key(judgement->figures->relid);
	TimestampTz since = dbops_jsonb_integer(looking->over, key);

	return (since != 0) ? since : dbops_jsonb_integer(looking->lost, key);
}

/* It is not over its thresholds, as far as has been counted: had that been lost? */
static void
keep_lost(Judgement *judgement)
{
	Looking    *looking = judgement->looking;
	const VacuumFigures *figures = judgement->figures;
	char	   *key = memory_key(figures->relid);
	bool		was_lost = (looking->recounted || dbops_jsonb_integer(looking->lost, key) != 0);
	TimestampTz since = over_since(judgement);

	if (was_lost && since != 0 && figures->vacuumed == 0 && figures->analyzed == 0)
		dbops_json_integer(&looking->new_lost, key, since);
}

static char *
memory_key(Oid relid)
{
	return psprintf("%u", relid);
}

/* ---- all of them ---- */

static VacuumLook
finish(Looking *looking)
{
	VacuumLook	look = {.candidates = looking->candidates};
	DbopsJson	json = {0};
	ListCell   *cell;

	dbops_json_object(&json, NULL);
	dbops_json_integer(&json, "counted", looking->counted_since);
	dbops_json_document(&json, "over", dbops_json_finish(&looking->new_over));
	dbops_json_document(&json, "lost", dbops_json_finish(&looking->new_lost));
	dbops_json_document(&json, "parents", dbops_json_finish(&looking->new_parents));
	dbops_json_document(&json, "paces", dbops_json_finish(&looking->new_paces));
	look.memory = dbops_json_finish(&json);
	list_sort(look.candidates, by_urgency);
	foreach(cell, look.candidates)
		if (!((VacuumCandidate *) lfirst(cell))->waits)
			look.due++;
	return look;
}

/* Those that are due come first. */
static int
by_urgency(const ListCell *a, const ListCell *b)
{
	const VacuumCandidate *one = lfirst(a);
	const VacuumCandidate *other = lfirst(b);

	if (one->waits != other->waits)
		return one->waits ? 1 : -1;
	if (one->urgency != other->urgency)
		return one->urgency > other->urgency ? -1 : 1;
	return one->figures->relid < other->figures->relid ? -1 : 1;
}

/* What does it, as SQL. */
const char *
dbops_vacuum_statement(const VacuumCandidate *candidate)
{
	const char *table = dbops_quote_relation(candidate->figures->relid);

	if (!candidate->vacuum)
		return psprintf("ANALYZE %s", table);
	if (!candidate->freeze && !candidate->analyze)
		return psprintf("VACUUM %s", table);
	return psprintf("VACUUM (%s%s%s) %s", candidate->freeze ? "FREEZE" : "",
					candidate->freeze && candidate->analyze ? ", " : "", candidate->analyze ? "ANALYZE" : "", table);
}
