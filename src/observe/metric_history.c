/*
 * metric_history.c
 *		metric_history(): how a figure has been.
 *
 * The time that is asked for is read from several tiers: the one that fits the
 * step; coarser ones for the time of which that one has nothing any more; finer
 * ones, and at last the ring, for what has not been rolled up yet. Each moment
 * is read once. Everything is put together into buckets of the step's length.
 *
 * On a standby the ring is its own, and what is stored is its primary's: no bucket
 * is of both, and each row says whose it is.
 */
#include "observe/history.h"

#include "access/xlog.h"
#include "catalog/pg_type.h"
#include "commands/dbcommands.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/guc.h"

#define DEFAULT_RANGE	USECS_PER_HOUR
#define FEW_POINTS		800		/* with a step that nobody has chosen */
#define LOCK_WAIT		1000	/* ms for each lock that somebody holds against all readers */
#define MOST_POINTS		100000
#define RING			(-1)	/* as a tier */

/* What is asked for. */
typedef struct Question
{
	int			position;
	bool		cluster;
	Oid			database;		/* InvalidOid: of the cluster */
	TimestampTz since;
	TimestampTz until;
	int64		step;			/* s */
} Question;

/* A bucket of the answer, in the making. */
typedef struct Answer
{
	const Question *question;
	ReturnSetInfo *result;
	int			tier;			/* that is being read */
	int			coarsest;		/* that is in the bucket */
	Bucket	   *part;			/* as it is read */
	Bucket	   *sum;
} Answer;

PG_FUNCTION_INFO_V1(dbops_metric_history);

static Question take_question(FunctionCallInfo fcinfo);
static void take_metric(FunctionCallInfo fcinfo, Question *question);
static int64 choose_step(TimestampTz range);
static void check_points(const Question *question);
static void tell_home(const Question *question);
static void gather(Answer *answer);
static int	tier_of_step(int64 step);
static TimestampTz oldest_of(int tier, const Question *question);
static TimestampTz read_tier(Answer *answer, int tier, TimestampTz since, TimestampTz until);
static void add_part(void *arg);
static void read_ring(Answer *answer, TimestampTz since);
static void add_sample(Answer *answer, const Sample *before, const Sample *sample);
static void begin_bucket(Answer *answer, TimestampTz at);
static void put_bucket(Answer *answer);
static const char *say_source(int tier);
static Datum number(double value, bool *isnull);

/* metric_history(metric, since, until, step, of_cluster) → SETOF record */
Datum
dbops_metric_history(PG_FUNCTION_ARGS)
{
	int			nest_level;
	Question	question = take_question(fcinfo);
	int			n_figures = dbops_metric_count(question.database);
	Answer		answer = {
		.question = &question,
		.result = (ReturnSetInfo *) fcinfo->resultinfo,
		.part = dbops_bucket_make(n_figures),.sum = dbops_bucket_make(n_figures)
	};

	InitMaterializedSRF(fcinfo, 0);
	tell_home(&question);
	nest_level = dbops_begin_bounded_wait(LOCK_WAIT);
	gather(&answer);
	AtEOXact_GUC(true, nest_level);
	return (Datum) 0;
}

/* ---- the question ---- */

static Question
take_question(FunctionCallInfo fcinfo)
{
	Question	question;

	take_metric(fcinfo, &question);
	dbops_history_range(fcinfo, 1, DEFAULT_RANGE, "an hour", &question.since, &question.until);
	question.step = PG_ARGISNULL(3) ? choose_step(question.until - question.since) :
		dbops_interval_ms(PG_GETARG_INTERVAL_P(3)) / 1000;
	if (question.step < 1)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("step must be at least a second"),
				 errhint("Leave it out to have one chosen that fits the range.")));
	check_points(&question);
	question.since = dbops_bucket_begin(question.since, question.step);
	return question;
}

/* A name that both have is this database's, unless the cluster's is asked for. */
static void
take_metric(FunctionCallInfo fcinfo, Question *question)
{
	char	   *name;

	dbops_require_argument(fcinfo, 0, "metric");
	name = dbops_text_argument(fcinfo, 0);
	question->cluster = PG_ARGISNULL(4) ? dbops_metric_position(MyDatabaseId, name) < 0 : PG_GETARG_BOOL(4);
	question->database = question->cluster ? InvalidOid : MyDatabaseId;
	question->position = dbops_metric_position(question->database, name);
	if (question->position < 0)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("there is no metric \"%s\"%s", name, PG_ARGISNULL(4) ? "" :
						question->cluster ? " of the cluster" : " of a database"),
				 errhint("SELECT name, database, about FROM dbops.metrics() lists them.")));
}

/* The finest for which there are not too many points. */
static int64
choose_step(TimestampTz range)
{
	int64		seconds = range / USECS_PER_SEC;

	if (seconds / (TICK / 1000) <= FEW_POINTS)
		return TICK / 1000;
	for (int tier = 0; tier < N_TIERS; tier++)
		if (seconds / dbops_history_tiers[tier].seconds <= FEW_POINTS)
			return dbops_history_tiers[tier].seconds;
	return dbops_history_tiers[N_TIERS - 1].seconds;
}

static void
check_points(const Question *question)
{
	if ((question->until - question->since) / USECS_PER_SEC / question->step > MOST_POINTS)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("there would be more than %d rows", MOST_POINTS),
				 errhint("Choose a longer step or a shorter range.")));
}

/* Say where the rest is, when somebody asks for the cluster's past elsewhere. */
static void
tell_home(const Question *question)
{
	Oid			home = dbops_home_database();
	char	   *name = OidIsValid(home) ? get_database_name(home) : NULL;

	if (question->cluster && name != NULL && home != MyDatabaseId)
		ereport(NOTICE,
				(errmsg("the cluster's history is in database \"%s\"; here is the last hour", name)));
}

/* ---- the answer ---- */

/* Read from the oldest to the newest. */
static void
gather(Answer *answer)
{
	const Question *question = answer->question;
	int			wanted = tier_of_step(question->step);
	TimestampTz at = question->since;

	for (int tier = N_TIERS - 1; tier > wanted; tier--)
		at = read_tier(answer, tier, at, oldest_of(tier - 1, question));
	for (int tier = wanted; tier > RING; tier--)
		at = read_tier(answer, tier, at, dbops_rolled_until(tier, question->cluster));
	read_ring(answer, at);
	put_bucket(answer);
}

/* The coarsest that has as many points as are asked for. */
static int
tier_of_step(int64 step)
{
	int			tier = N_TIERS - 1;

	while (tier > RING && dbops_history_tiers[tier].seconds > step)
		tier--;
	return tier;
}

/* From when on a tier has something; never if it has nothing. */
static TimestampTz
oldest_of(int tier, const Question *question)
{
	DbopsParam	param = dbops_param_bool(question->cluster);
	Sample		sample;
	Datum		oldest;

	if (tier == RING)
		return dbops_ring_read(question->database, DT_NOBEGIN, &sample, 1) > 0 ? sample.at : DT_NOEND;
	if (!dbops_store_value(psprintf("SELECT at FROM dbops.%s WHERE cluster = $1 ORDER BY at LIMIT 1",
									dbops_history_tables[tier].name), 1, &param, TIMESTAMPTZOID, &oldest))
		return DT_NOEND;
	return DatumGetTimestampTz(oldest);
}

/* Read a tier until a time, or as far as it goes. Returns from when on others are to be read. */
static TimestampTz
read_tier(Answer *answer, int tier, TimestampTz since, TimestampTz until)
{
	const Question *question = answer->question;
	int64		seconds = dbops_history_tiers[tier].seconds;

	until = Min(until, Min(question->until, dbops_rolled_until(tier, question->cluster)));
	if (until <= since)
		return since;
	answer->tier = tier;
	(void) dbops_bucket_load(tier, question->cluster, since, until, add_part, answer, answer->part);
	return dbops_bucket_begin(until - 1, seconds) + seconds * USECS_PER_SEC;
}

static void
add_part(void *arg)
{
	Answer	   *answer = arg;
	TimestampTz at = dbops_bucket_begin(answer->part->at, answer->question->step);

	if (answer->sum->n == 0 || answer->sum->at != at)
		begin_bucket(answer, at);
	answer->coarsest = Max(answer->coarsest, answer->tier);
	dbops_bucket_add(answer->sum, answer->part);
}

static void
read_ring(Answer *answer, TimestampTz since)
{
	Sample	   *samples = palloc(sizeof(Sample) * RING_TICKS);
	int			n = dbops_ring_read(answer->question->database, DT_NOBEGIN, samples, RING_TICKS);

	if (RecoveryInProgress())
		begin_bucket(answer, 0);
	answer->tier = RING;
	for (int i = 0; i < n; i++)
		if (samples[i].at >= since && samples[i].at < answer->question->until)
			add_sample(answer, (i > 0) ? &samples[i - 1] : NULL, &samples[i]);
	pfree(samples);
}

/* It stands for a part of the bucket before too. */
static void
add_sample(Answer *answer, const Sample *before, const Sample *sample)
{
	const Question *question = answer->question;
	TimestampTz length = question->step * USECS_PER_SEC;
	TimestampTz at = dbops_bucket_begin(sample->at, question->step);

	if (answer->sum->n > 0 && answer->sum->at != at)
		dbops_bucket_sample(answer->sum, question->database, before, sample, answer->sum->at + length);
	if (answer->sum->n == 0 || answer->sum->at != at)
		begin_bucket(answer, at);
	dbops_bucket_sample(answer->sum, question->database, before, sample, at + length);
}

static void
begin_bucket(Answer *answer, TimestampTz at)
{
	put_bucket(answer);
	dbops_bucket_clear(answer->sum, at);
	answer->coarsest = RING;
}

/* Give the bucket out, if there is anything in it. The last one counts as far as it goes. */
static void
put_bucket(Answer *answer)
{
	const Question *question = answer->question;
	const Bucket *sum = answer->sum;
	const BucketFigure *figure = &sum->figures[question->position];
	double		length = (Min(sum->at + question->step * USECS_PER_SEC, question->until) - sum->at) / (double) USECS_PER_SEC;
	Datum		values[11];
	bool		nulls[11] = {0};

	if (sum->n == 0)
		return;
	if (answer->coarsest > RING)
		length = Max(length, dbops_history_tiers[answer->coarsest].seconds);
	values[0] = TimestampTzGetDatum(sum->at);
	values[1] = Int32GetDatum(sum->n);
	values[2] = Float8GetDatum(Min(1, rint(sum->covered / length * 1000) / 1000));
	values[3] = BoolGetDatum(sum->reset);
	values[4] = CStringGetTextDatum(say_source(answer->coarsest));
	values[5] = number(figure->min, &nulls[5]);
	values[6] = number(dbops_bucket_average(figure), &nulls[6]);
	values[7] = number(figure->max, &nulls[7]);
	values[8] = number(figure->last, &nulls[8]);
	values[9] = number(figure->delta, &nulls[9]);
	values[10] = number((sum->span > 0) ? figure->delta / sum->span : NAN, &nulls[10]);
	tuplestore_putvalues(answer->result->setResult, answer->result->setDesc, values, nulls);
}

/* Which tier it is, and whose. */
static const char *
say_source(int tier)
{
	if (tier == RING)
		return "ring";
	return psprintf("%s%s", dbops_history_tiers[tier].name, RecoveryInProgress() ? " of the primary" : "");
}

/* What is not known is null. */
static Datum
number(double value, bool *isnull)
{
	*isnull = isnan(value);
	return *isnull ? (Datum) 0 : Float8GetDatum(value);
}
