/*
 * vacuum_job.c
 *		The job of a vacuum policy: the tables that are due, one after the other.
 *
 * For each table:
 *
 *		look	is it still due, and can anything be done? What the server has
 *				counted of it so far is noted, and it is vacuumed after the step.
 *				In a window only what will be done before that closes is begun,
 *				but for rows that are to be frozen and cannot wait for another
 *		judge	the counters say whether that was done
 *
 * A process may die at any point, and another one judges: what no counter shows
 * is done again. VACUUM goes at the pace of autovacuum, waits for nobody, and
 * gives way to who waits for its table, unless rows are to be frozen at once.
 */
#include "maintain/vacuum.h"

#include "utils/builtins.h"

#define MOST_TABLES		1000	/* of one job; the next one goes on */
#define LOCK_TIMEOUT	"1000"	/* ms, for the partitions that are read to analyze their parent */

/* What one process has in hand. */
typedef struct VacuumWork
{
	MemoryContext memory;
	DbopsVacuum vacuum;			/* is done after the step */
	bool		ran;			/* it was, by this process */
	int64		took;			/* ms */
} VacuumWork;

/* Where a job is, as its position keeps it. */
typedef struct VacuumPlace
{
	int64	   *tables;
	int			n_tables;
	int			next;			/* index of the table in work */
	int			vacuumed;		/* tables so far */
	int			analyzed;
	int			skipped;
	int			failed;
	Jsonb	   *begun;			/* what was noted of the table; NULL: it was not begun */
} VacuumPlace;

static void *open_job(DbopsJob *job);
static Jsonb *result(DbopsJob *job, void *state);
static void do_step(DbopsJob *job, void *state, DbopsStep *step);
static void finish(DbopsJob *job, DbopsStep *step);
static VacuumPlace find_tables(const Policy *policy);
static VacuumPlace read_place(const Jsonb *position);
static Jsonb *write_place(const VacuumPlace *place);
static void begin_table(DbopsJob *job, VacuumWork *work, VacuumPlace *place, DbopsStep *step);
static bool can_be_done(DbopsJob *job, const Policy *policy, VacuumCandidate *candidate, VacuumForecast *forecast);
static const char *vacuum_obstacle(const Policy *policy, VacuumCandidate *candidate, VacuumForecast *forecast);
static void skip(DbopsJob *job, const VacuumCandidate *candidate, const char *reason);
static Jsonb *describe(const VacuumCandidate *candidate, const VacuumForecast *forecast, const VacuumProof *proof);
static void have_run(VacuumWork *work, const VacuumPlace *place, DbopsStep *step);
static void run_outside(void *arg);
static void judge_table(DbopsJob *job, VacuumWork *work, VacuumPlace *place, DbopsStep *step);
static void learn(DbopsJob *job, const VacuumWork *work, const VacuumPlace *place);
static void note_outcome(DbopsJob *job, VacuumWork *work, VacuumPlace *place, bool vacuumed, bool analyzed);
static const char *action_name(bool vacuum, bool freeze, bool analyze);

static const DbopsPhase phases[] = {
	{.name = "tables",.class = DBOPS_CLASS_PLAIN,.gets_on = true,.step = do_step}
};

static const DbopsJobKind kind = {
	.name = "vacuum",
	.unit = "tables",
	.phases = phases,
	.n_phases = lengthof(phases),
	.open = open_job,
	.result = result
};

void
dbops_vacuum_job_init(void)
{
	dbops_job_kind_register(&kind);
}

static void *
open_job(DbopsJob *job)
{
	VacuumWork *work = palloc0(sizeof(VacuumWork));

	work->memory = CurrentMemoryContext;
	return work;
}

/* How many tables, in a sentence. */
static Jsonb *
result(DbopsJob *job, void *state)
{
	VacuumPlace place = read_place(job->position);
	DbopsJson	json = {0};

	dbops_json_object(&json, NULL);
	dbops_json_integer(&json, "vacuumed", place.vacuumed);
	dbops_json_integer(&json, "analyzed", place.analyzed);
	dbops_json_integer(&json, "skipped", place.skipped);
	dbops_json_integer(&json, "failed", place.failed);
	dbops_json_text(&json, "message", psprintf("%d vacuumed, %d analyzed, %d skipped, %d failed; see dbops.maintenance_report()",
											   place.vacuumed, place.analyzed, place.skipped, place.failed));
	return dbops_json_finish(&json);
}

/* Find the tables, begin the next one, or see what has become of it. */
static void
do_step(DbopsJob *job, void *state, DbopsStep *step)
{
	VacuumPlace place;

	if (job->position == NULL)
		place = find_tables(dbops_policy_of_job(job));
	else
	{
		place = read_place(job->position);
		if (place.next >= place.n_tables)
			finish(job, step);
		else if (place.begun == NULL)
			begin_table(job, state, &place, step);
		else
			judge_table(job, state, &place, step);
	}
	step->position = write_place(&place);
	step->done = place.next;
	step->total = place.n_tables;
}

/* What was remembered of the tables is not true any more. */
static void
finish(DbopsJob *job, DbopsStep *step)
{
	Policy	   *policy = dbops_policy_of_job(job);

	dbops_policy_remember(policy->id, dbops_vacuum_look(policy, InvalidOid).memory);
	step->finished = true;
}

/* The tables that are due, the most urgent first. */
static VacuumPlace
find_tables(const Policy *policy)
{
	VacuumLook	look = dbops_vacuum_look(policy, InvalidOid);
	VacuumPlace place = {.n_tables = Min(look.due, MOST_TABLES)};

	place.tables = palloc(sizeof(int64) * (place.n_tables + 1));
	for (int i = 0; i < place.n_tables; i++)
		place.tables[i] = ((VacuumCandidate *) list_nth(look.candidates, i))->figures->relid;
	return place;
}

static VacuumPlace
read_place(const Jsonb *position)
{
	VacuumPlace place = {
		.next = dbops_jsonb_integer(position, "next"),
		.vacuumed = dbops_jsonb_integer(position, "vacuumed"),
		.analyzed = dbops_jsonb_integer(position, "analyzed"),
		.skipped = dbops_jsonb_integer(position, "skipped"),
		.failed = dbops_jsonb_integer(position, "failed"),
		.begun = dbops_jsonb_document(position, "begun")
	};

	place.n_tables = dbops_jsonb_integers(position, "tables", &place.tables);
	return place;
}

static Jsonb *
write_place(const VacuumPlace *place)
{
	DbopsJson	json = {0};

	dbops_json_object(&json, NULL);
	dbops_json_array(&json, "tables");
	for (int i = 0; i < place->n_tables; i++)
		dbops_json_integer(&json, NULL, place->tables[i]);
	dbops_json_array_end(&json);
	dbops_json_integer(&json, "next", place->next);
	dbops_json_integer(&json, "vacuumed", place->vacuumed);
	dbops_json_integer(&json, "analyzed", place->analyzed);
	dbops_json_integer(&json, "skipped", place->skipped);
	dbops_json_integer(&json, "failed", place->failed);
	if (place->begun != NULL)
		dbops_json_document(&json, "begun", place->begun);
	return dbops_json_finish(&json);
}

/* ---- one table ---- */

/* Have it vacuumed if it is still due and can be; else go on to the next. */
static void
begin_table(DbopsJob *job, VacuumWork *work, VacuumPlace *place, DbopsStep *step)
{
	Oid			relid = place->tables[place->next];
	Policy	   *policy = dbops_policy_of_job(job);
	VacuumLook	look = dbops_vacuum_look(policy, relid);
	VacuumCandidate *candidate = (look.due > 0) ? linitial(look.candidates) : NULL;
	VacuumForecast forecast;
	VacuumProof proof;

	if (candidate == NULL || !can_be_done(job, policy, candidate, &forecast) || !dbops_vacuum_proof(relid, &proof))
	{
		place->skipped += (candidate != NULL);
		place->next++;
		return;
	}
	place->begun = describe(candidate, &forecast, &proof);
	have_run(work, place, step);
}

/* Is there anything to do that is not in vain, and fits the window? What is not is left out. */
static bool
can_be_done(DbopsJob *job, const Policy *policy, VacuumCandidate *candidate, VacuumForecast *forecast)
{
	const char *obstacle = dbops_vacuum_locked(candidate->figures->relid);

	if (obstacle != NULL)
	{
		skip(job, candidate, obstacle);
		return false;
	}
	obstacle = candidate->vacuum ? vacuum_obstacle(policy, candidate, forecast) : NULL;
	if (obstacle != NULL)
	{
		VacuumCandidate left_out = *candidate;

		left_out.analyze = false;
		skip(job, &left_out, obstacle);
		candidate->vacuum = candidate->freeze = false;
	}
	if (candidate->vacuum || !candidate->analyze)
		return candidate->vacuum;
	*forecast = dbops_vacuum_forecast(policy, candidate);
	obstacle = dbops_vacuum_too_long(policy, forecast);
	if (obstacle != NULL)
		skip(job, candidate, obstacle);
	return obstacle == NULL;
}

/* What speaks against a vacuum now; NULL: nothing. What is urgent is begun even so, and says it. */
static const char *
vacuum_obstacle(const Policy *policy, VacuumCandidate *candidate, VacuumForecast *forecast)
{
	const char *obstacle = dbops_vacuum_in_vain(candidate);

	if (obstacle != NULL)
		return obstacle;
	*forecast = dbops_vacuum_forecast(policy, candidate);
	obstacle = dbops_vacuum_too_long(policy, forecast);
	if (obstacle == NULL || !candidate->urgent)
		return obstacle;
	candidate->reason = psprintf("%s; it cannot wait for another window, though %s", candidate->reason, obstacle);
	return NULL;
}

static void
skip(DbopsJob *job, const VacuumCandidate *candidate, const char *reason)
{
	MaintenanceNote note = {
		MAINTENANCE_NOTE,.kind = VACUUM_POLICY,
		.object = dbops_quote_relation(candidate->figures->relid),
		.action = action_name(candidate->vacuum, candidate->freeze, candidate->analyze),
		.outcome = "skipped",.message = psprintf("%s (%s)", reason, candidate->reason),.job = job->id
	};

	dbops_maintenance_note(&note);
}

/* What is to be done, and what has been counted by now. */
static Jsonb *
describe(const VacuumCandidate *candidate, const VacuumForecast *forecast, const VacuumProof *proof)
{
	DbopsJson	json = {0};

	dbops_json_object(&json, NULL);
	dbops_json_text(&json, "object", dbops_quote_relation(candidate->figures->relid));
	dbops_json_boolean(&json, "vacuum", candidate->vacuum);
	dbops_json_boolean(&json, "freeze", candidate->freeze);
	dbops_json_boolean(&json, "analyze", candidate->analyze);
	dbops_json_boolean(&json, "urgent", candidate->urgent);
	dbops_json_text(&json, "reason", candidate->reason);
	dbops_json_integer(&json, "dead", candidate->figures->dead + candidate->figures->toast_dead);
	dbops_json_integer(&json, "bytes", dbops_relation_bytes(candidate->figures->relid));
	dbops_json_integer(&json, "pages", (int64) forecast->pages);
	dbops_json_integer(&json, "vacuums", proof->vacuums);
	dbops_json_integer(&json, "analyzes", proof->analyzes);
	dbops_json_integer(&json, "vacuum_time", proof->vacuumed);
	dbops_json_integer(&json, "analyze_time", proof->analyzed);
	dbops_json_integer(&json, "frozen", proof->frozen);
	return dbops_json_finish(&json);
}

/* Vacuum after this step, as slowly as autovacuum does. */
static void
have_run(VacuumWork *work, const VacuumPlace *place, DbopsStep *step)
{
	MemoryContext passing = MemoryContextSwitchTo(work->memory);

	work->vacuum = (DbopsVacuum)
	{
		.relid = place->tables[place->next],
		.vacuum = dbops_jsonb_boolean(place->begun, "vacuum"),
		.freeze = dbops_jsonb_boolean(place->begun, "freeze"),
		.analyze = dbops_jsonb_boolean(place->begun, "analyze"),
		.stays = dbops_jsonb_boolean(place->begun, "urgent")
	};
	work->ran = false;
	step->outside = run_outside;
	step->outside_arg = work;
	step->outside_what = psprintf("%s of %s",
								  action_name(work->vacuum.vacuum, work->vacuum.freeze, work->vacuum.analyze),
								  dbops_jsonb_text(place->begun, "object"));
	MemoryContextSwitchTo(passing);
	dbops_job_setting_put("lock_timeout", LOCK_TIMEOUT);
	dbops_job_setting_put("vacuum_cost_delay", psprintf("%g", dbops_vacuum_cost_delay()));
	dbops_job_setting_put("vacuum_cost_limit", psprintf("%d", dbops_vacuum_cost_limit()));
}

static void
run_outside(void *arg)
{
	VacuumWork *work = arg;
	MemoryContext passing = MemoryContextSwitchTo(work->memory);
	TimestampTz began = GetCurrentTimestamp();

	dbops_vacuum_at_top(&work->vacuum);
	MemoryContextSwitchTo(passing);
	work->took = TimestampDifferenceMilliseconds(began, GetCurrentTimestamp());
	work->ran = true;
}

/* See by the counters what was done; what another process had begun is begun again. */
static void
judge_table(DbopsJob *job, VacuumWork *work, VacuumPlace *place, DbopsStep *step)
{
	const Jsonb *begun = place->begun;
	VacuumProof proof;
	bool		failed = work->ran && work->vacuum.error != NULL && !work->vacuum.gave_way;
	bool		there = dbops_vacuum_proof(place->tables[place->next], &proof);
	bool		vacuumed = there && dbops_jsonb_boolean(begun, "vacuum") &&
		(proof.vacuums > dbops_jsonb_integer(begun, "vacuums") || proof.vacuumed > dbops_jsonb_integer(begun, "vacuum_time") ||
		 proof.frozen != dbops_jsonb_integer(begun, "frozen"));
	bool		analyzed = there && dbops_jsonb_boolean(begun, "analyze") &&
		(proof.analyzes > dbops_jsonb_integer(begun, "analyzes") || proof.analyzed > dbops_jsonb_integer(begun, "analyze_time"));

	if (there && !work->ran && !vacuumed && !analyzed)
	{
		have_run(work, place, step);
		return;
	}
	if (there)
		note_outcome(job, work, place, vacuumed, analyzed);
	if (vacuumed && work->ran && work->vacuum.error == NULL)
		learn(job, work, place);
	place->vacuumed += vacuumed;
	place->analyzed += analyzed;
	place->failed += failed;
	place->skipped += (!vacuumed && !analyzed && !failed);
	place->begun = NULL;
	place->next++;
}

/* Remember how fast it went. */
static void
learn(DbopsJob *job, const VacuumWork *work, const VacuumPlace *place)
{
	Policy	   *policy = dbops_policy_of_job(job);
	Jsonb	   *memory = dbops_vacuum_learn(policy, work->vacuum.relid, work->vacuum.freeze,
											dbops_jsonb_integer(place->begun, "pages"), work->took);

	if (memory != NULL)
		dbops_policy_remember(policy->id, memory);
}

/* Note what was done; what no counter shows was kept from being done. */
static void
note_outcome(DbopsJob *job, VacuumWork *work, VacuumPlace *place, bool vacuumed, bool analyzed)
{
	const Jsonb *begun = place->begun;
	Oid			relid = place->tables[place->next];
	bool		any = vacuumed || analyzed;
	const ErrorData *error = work->ran ? work->vacuum.error : NULL;
	MaintenanceNote note = {
		MAINTENANCE_NOTE,.kind = VACUUM_POLICY,
		.object = dbops_jsonb_text(begun, "object"),
		.action = any ? action_name(vacuumed, dbops_jsonb_boolean(begun, "freeze"), analyzed) :
			action_name(dbops_jsonb_boolean(begun, "vacuum"), dbops_jsonb_boolean(begun, "freeze"), dbops_jsonb_boolean(begun, "analyze")),
		.outcome = any ? "done" : (error != NULL && !work->vacuum.gave_way) ? "failed" : "skipped",
		.message = dbops_jsonb_text(begun, "reason"),
		.job = job->id
	};

	if (error != NULL)
		note.message = psprintf("%s (%s)", error->message, note.message);
	else if (!any)
		note.message = psprintf("locked by others meanwhile (%s)", note.message);
	if (vacuumed)
	{
		VacuumScope scope = {.relation = InvalidOid,.only = relid};
		List	   *figures = dbops_vacuum_figures(&scope);

		note.bytes_before = dbops_jsonb_integer(begun, "bytes");
		note.bytes_after = dbops_relation_bytes(relid);
		if (figures != NIL)
			note.rows = Max(dbops_jsonb_integer(begun, "dead") - ((VacuumFigures *) linitial(figures))->dead, 0);
	}
	if (any && work->ran)
		note.duration = work->took;
	dbops_maintenance_note(&note);
}

static const char *
action_name(bool vacuum, bool freeze, bool analyze)
{
	if (!vacuum)
		return "analyze";
	return psprintf("vacuum%s%s", freeze ? " freeze" : "", analyze ? " and analyze" : "");
}
