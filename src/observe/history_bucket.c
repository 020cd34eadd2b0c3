/*
 * history_bucket.c
 *		The figures of a time, put together from smaller ones.
 *
 * What a bucket keeps of a figure can be put together further: the least and
 * the greatest, an average with its weight, the last, and how much there was of
 * a counter. How long the deltas run is kept too, so that a rate is right when
 * samples were missing; how much of the time was seen at all is the coverage.
 */
#include "observe/history.h"

#define TOO_FAR		USECS_PER_HOUR	/* between samples that are compared */
#define LATE		1.5			/* times its cadence that a sample may come late and still stand for all of it */

static double seconds_between(TimestampTz from, TimestampTz to);
static void add_gauge(BucketFigure *figure, double value);
static void add_counter(BucketFigure *figure, double before, double now, bool *reset);

Bucket *
dbops_bucket_make(int n_figures)
{
	Bucket	   *bucket = palloc0(offsetof(Bucket, figures) + sizeof(BucketFigure) * n_figures);

	bucket->n_figures = n_figures;
	dbops_bucket_clear(bucket, 0);
	return bucket;
}

/* Begin anew, at another time. */
void
dbops_bucket_clear(Bucket *bucket, TimestampTz at)
{
	bucket->at = at;
	bucket->n = 0;
	bucket->cadence = 0;
	bucket->covered = 0;
	bucket->span = 0;
	bucket->reset = false;
	for (int i = 0; i < bucket->n_figures; i++)
		bucket->figures[i] = (BucketFigure)
	{
		.min = NAN,.max = NAN,.last = NAN,.delta = NAN
	};
}

/*
 * Add a sample, in so far as it belongs to the bucket, which ends at a time. It
 * stands for the time since the one before, whose end may be in another bucket;
 * what was counted in that time belongs to where the sample is. previous is
 * NULL for the first one.
 */
void
dbops_bucket_sample(Bucket *bucket, Oid database, const Sample *previous, const Sample *sample, TimestampTz end)
{
	const Sample *before = (previous != NULL && sample->at - previous->at <= TOO_FAR) ? previous : NULL;
	TimestampTz cadence = sample->cadence * (USECS_PER_SEC / 1000);
	bool		late = before != NULL && sample->at - before->at > cadence * LATE;
	TimestampTz since = (before == NULL || late) ? sample->at - cadence : before->at;
	bool		anew = before != NULL && before->epoch != sample->epoch;

	bucket->covered += seconds_between(Max(since, bucket->at), Min(sample->at, end));
	if (sample->at < bucket->at || sample->at >= end)
		return;
	bucket->n++;
	bucket->cadence = sample->cadence;
	bucket->reset |= anew;
	if (before != NULL)
		bucket->span += seconds_between(anew ? Max(before->at, sample->at - cadence) : before->at, sample->at);
	for (int i = 0; i < bucket->n_figures; i++)
	{
		if (dbops_metric(database, i)->kind == METRIC_GAUGE)
			add_gauge(&bucket->figures[i], sample->values[i]);
		else if (before != NULL)
			add_counter(&bucket->figures[i], before->values[i], sample->values[i], &bucket->reset);
	}
}

static double
seconds_between(TimestampTz from, TimestampTz to)
{
	return Max(0, (to - from) / (double) USECS_PER_SEC);
}

static void
add_gauge(BucketFigure *figure, double value)
{
	BucketFigure one = {.min = value,.sum = value,.weight = 1,.max = value,.last = value,.delta = NAN};

	if (!isnan(value))
		dbops_bucket_add_figure(figure, &one);
}

/*
 * A counter that stands lower than before has begun anew, and there was at
 * least as much as it shows. Most of them outlive a restart of the server, so
 * that a new epoch alone says nothing of a counter that has grown.
 */
static void
add_counter(BucketFigure *figure, double before, double now, bool *reset)
{
	if (isnan(before) || isnan(now))
		return;
	*reset |= (now < before);
	figure->delta = (isnan(figure->delta) ? 0 : figure->delta) + (now < before ? now : now - before);
}

/* Add a bucket that is a part of it, later than those that were added. */
void
dbops_bucket_add(Bucket *sum, const Bucket *part)
{
	sum->n += part->n;
	sum->cadence = part->cadence;
	sum->covered += part->covered;
	sum->span += part->span;
	sum->reset |= part->reset;
	for (int i = 0; i < sum->n_figures; i++)
		dbops_bucket_add_figure(&sum->figures[i], &part->figures[i]);
}

void
dbops_bucket_add_figure(BucketFigure *sum, const BucketFigure *part)
{
	if (!isnan(part->min))
		sum->min = isnan(sum->min) ? part->min : Min(sum->min, part->min);
	if (!isnan(part->max))
		sum->max = isnan(sum->max) ? part->max : Max(sum->max, part->max);
	if (!isnan(part->last))
		sum->last = part->last;
	if (!isnan(part->delta))
		sum->delta = isnan(sum->delta) ? part->delta : sum->delta + part->delta;
	sum->sum += part->sum;
	sum->weight += part->weight;
}

/* NaN where nothing is known. */
double
dbops_bucket_average(const BucketFigure *figure)
{
	return (figure->weight > 0) ? figure->sum / figure->weight : NAN;
}
