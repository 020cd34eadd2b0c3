/*
 * page_sample.c
 *		Reading few pages of a relation that speak for all of them.
 *
 * The pages are divided into strata of equal length, and of each one page is
 * read at random. What differs along the file, as after the purge of a range
 * of keys, falls into the differences between strata and does no harm; pages
 * side by side would tell the same thing several times. If the answer is not
 * sharp enough each stratum is halved and a page of its other half is read, so
 * that nothing is read twice.
 *
 * Pages come through the buffer manager with the ring of sequential scans: the
 * cache keeps what it had. Reads are asked for in advance, take part in
 * vacuum's cost limits, and can be cancelled. A page that is damaged costs its
 * own answer and nothing else. The caller has opened and locked the relation,
 * so that it does not become shorter.
 *
 * Memory is bounded by the strata; where every page is read, by nothing at all.
 */
#include "core/page_sample.h"

#include <math.h>

#include "catalog/pg_class.h"
#include "commands/vacuum.h"
#include "common/pg_prng.h"
#include "miscadmin.h"
#include "utils/spccache.h"

#define NORMAL_95	1.96		/* standard errors on each side of 95 percent */

static void draw_pages(PageSample *sample);
static BlockNumber stratum_start(const PageSample *sample, int stratum);
static BlockNumber draw_page(const PageSample *sample, int stratum);
static void read_all(PageSample *sample);
static void read_on(void *arg);
static int64 steps(const PageSample *sample);
static void read_page(PageSample *sample, BlockNumber block, double *figures);
static void ask_ahead(PageSample *sample);
static void note_damage(PageSample *sample, BlockNumber block, const char *why);
static bool is_damage(const PageSample *sample, const ErrorData *error);
static void halve_stratum(const PageSample *from, int stratum, PageSample *into);
static double stratum_pages(const PageSample *sample, int stratum);
static double pages_answered(const PageSample *sample);
static double difference(const PageSample *sample, int one, int other, int figure);

/* Prepare to sample the blocks of an open relation from one up to before another. */
PageSample *
dbops_page_sample_begin(Relation relation, BlockNumber first, BlockNumber end,
						int strata, int nfigures, PageLook look, void *look_arg)
{
	PageSample *sample = palloc0(sizeof(PageSample));

	sample->relation = relation;
	sample->first = first;
	sample->pages = (end > first) ? end - first : 0;
	sample->look = look;
	sample->look_arg = look_arg;
	sample->nfigures = nfigures;
	sample->strata = (strata < sample->pages) ? strata : 0;
	sample->ring = GetAccessStrategy(BAS_BULKREAD);
	sample->ahead = get_tablespace_io_concurrency(relation->rd_rel->reltablespace);
	draw_pages(sample);
	return sample;
}

/* Make room for the strata, and choose a page of each. */
static void
draw_pages(PageSample *sample)
{
	int			strata = sample->strata;

	sample->figures = palloc0(sizeof(double) * sample->nfigures * Max(strata, 1));
	if (strata == 0)
		return;
	sample->blocks = palloc(sizeof(BlockNumber) * strata);
	sample->states = palloc(sizeof(PageState) * strata);
	for (int i = 0; i < strata; i++)
	{
		sample->blocks[i] = draw_page(sample, i);
		sample->states[i] = PAGE_CHOSEN;
	}
}

static BlockNumber
stratum_start(const PageSample *sample, int stratum)
{
	return sample->first + (BlockNumber) ((uint64) sample->pages * stratum / sample->strata);
}

static BlockNumber
draw_page(const PageSample *sample, int stratum)
{
	return pg_prng_uint64_range(&pg_global_prng_state, stratum_start(sample, stratum),
								stratum_start(sample, stratum + 1) - 1);
}

/* Read what has been chosen. */
void
dbops_page_sample_read(PageSample *sample)
{
	bool		active = VacuumCostActive;

	vacuum_costs_begin();
	PG_TRY();
	{
		read_all(sample);
	}
	PG_FINALLY();
	{
		VacuumCostActive = active;
	}
	PG_END_TRY();
}

/* Go on behind each page that cannot be read. */
static void
read_all(PageSample *sample)
{
	ErrorData  *error;

	sample->next = 0;
	while (!dbops_attempt(read_on, sample, &error))
	{
		BlockNumber block = (sample->strata == 0) ?
			sample->first + (BlockNumber) sample->next : sample->blocks[sample->next];

		if (!is_damage(sample, error))
			ReThrowError(error);
		sample->looking = false;
		note_damage(sample, block, error->message);
		FreeErrorData(error);
		sample->next++;
	}
}

static void
read_on(void *arg)
{
	PageSample *sample = arg;

	for (; sample->next < steps(sample); sample->next++)
	{
		if (sample->strata == 0)
			read_page(sample, sample->first + (BlockNumber) sample->next, sample->figures);
		else if (sample->states[sample->next] == PAGE_CHOSEN)
		{
			ask_ahead(sample);
			read_page(sample, sample->blocks[sample->next],
					  &sample->figures[sample->next * sample->nfigures]);
		}
	}
}

static int64
steps(const PageSample *sample)
{
	return (sample->strata == 0) ? sample->pages : sample->strata;
}

/* Add what a page says to figures. */
static void
read_page(PageSample *sample, BlockNumber block, double *figures)
{
	double	   *found = palloc0(sizeof(double) * sample->nfigures);
	bool		understood;
	Buffer		buffer;

	vacuum_delay_point(false);
	buffer = ReadBufferExtended(sample->relation, MAIN_FORKNUM, block, RBM_NORMAL, sample->ring);
	LockBuffer(buffer, BUFFER_LOCK_SHARE);
	sample->block = block;
	sample->looking = true;
	understood = sample->look(BufferGetPage(buffer), found, sample->look_arg);
	sample->looking = false;
	UnlockReleaseBuffer(buffer);

	sample->pages_read++;
	if (!understood)
		note_damage(sample, block, RELKIND_HAS_TABLE_AM(sample->relation->rd_rel->relkind) ?
					"its content is not that of a table" : "its content is not that of such an index");
	else
	{
		for (int i = 0; i < sample->nfigures; i++)
			figures[i] += found[i];
		if (sample->strata > 0)
			sample->states[sample->next] = PAGE_ANSWERED;
	}
	pfree(found);
}

/* Have the system fetch the page that is read some steps later. */
static void
ask_ahead(PageSample *sample)
{
	int64		later = sample->next + sample->ahead;

	if (sample->ahead > 0 && later < sample->strata && sample->states[later] == PAGE_CHOSEN)
		PrefetchBuffer(sample->relation, MAIN_FORKNUM, sample->blocks[later]);
}

static void
note_damage(PageSample *sample, BlockNumber block, const char *why)
{
	sample->damaged++;
	if (sample->strata > 0)
		sample->states[sample->next] = PAGE_DAMAGED;
	if (sample->damage == NULL)
		sample->damage = psprintf("block %u: %s", block, why);
}

/* Whether it is the page that failed, and not the server or the caller. What is said on a page is the page's. */
static bool
is_damage(const PageSample *sample, const ErrorData *error)
{
	if (sample->looking)
		return ERRCODE_TO_CATEGORY(error->sqlerrcode) != ERRCODE_INSUFFICIENT_RESOURCES;
	return error->sqlerrcode == ERRCODE_DATA_CORRUPTED ||
		error->sqlerrcode == ERRCODE_INDEX_CORRUPTED ||
		ERRCODE_TO_CATEGORY(error->sqlerrcode) == ERRCODE_TO_CATEGORY(ERRCODE_IO_ERROR);
}

/* Choose as many pages again and read them; false: that would soon be all pages. */
bool
dbops_page_sample_double(PageSample *sample)
{
	PageSample	twice = *sample;

	if (sample->strata == 0 || sample->strata > sample->pages / 2)
		return false;
	twice.strata = sample->strata * 2;
	draw_pages(&twice);
	for (int i = 0; i < sample->strata; i++)
		halve_stratum(sample, i, &twice);
	pfree(sample->blocks);
	pfree(sample->states);
	pfree(sample->figures);
	*sample = twice;
	dbops_page_sample_read(sample);
	return true;
}

/* Keep what is known of a stratum for that half of it in which the page was. */
static void
halve_stratum(const PageSample *from, int stratum, PageSample *into)
{
	BlockNumber block = from->blocks[stratum];
	int			half = (block < stratum_start(into, 2 * stratum + 1)) ? 2 * stratum : 2 * stratum + 1;

	into->blocks[half] = block;
	into->states[half] = from->states[stratum];
	memcpy(&into->figures[half * into->nfigures], &from->figures[stratum * from->nfigures],
		   sizeof(double) * from->nfigures);
}

/* A figure's sum over all pages, those that are damaged taken for average ones. */
double
dbops_page_sample_total(const PageSample *sample, int figure)
{
	double		total = 0;
	double		answered = pages_answered(sample);

	if (answered == 0)
		return 0;
	if (sample->strata == 0)
		return sample->figures[figure] * sample->pages / answered;
	for (int i = 0; i < sample->strata; i++)
		total += stratum_pages(sample, i) * sample->figures[i * sample->nfigures + figure];
	return total * sample->pages / answered;
}

static double
stratum_pages(const PageSample *sample, int stratum)
{
	if (sample->states[stratum] != PAGE_ANSWERED)
		return 0;
	return stratum_start(sample, stratum + 1) - stratum_start(sample, stratum);
}

static double
pages_answered(const PageSample *sample)
{
	double		pages = 0;

	if (sample->strata == 0)
		return (double) sample->pages - sample->damaged;
	for (int i = 0; i < sample->strata; i++)
		pages += stratum_pages(sample, i);
	return pages;
}

/*
 * Half of the 95 percent interval of such a sum. With one page in a stratum its
 * variance is taken from what it differs by from the one before; where that is
 * because the file changes there, it is rather too large.
 */
double
dbops_page_sample_error(const PageSample *sample, int figure)
{
	double		variance = 0;
	int			before = -1;

	for (int i = 0; i < sample->strata; i++)
	{
		if (sample->states[i] != PAGE_ANSWERED)
			continue;
		if (before >= 0)
			variance += difference(sample, before, i, figure) / 2;
		before = i;
	}
	if (sample->strata > 0)
		variance *= 1 - (double) sample->strata / sample->pages;
	return NORMAL_95 * sqrt(variance);
}

/* The square of what two strata differ by, taken as if every page of them did. */
static double
difference(const PageSample *sample, int one, int other, int figure)
{
	double		found = sample->figures[one * sample->nfigures + figure] -
		sample->figures[other * sample->nfigures + figure];

	return found * found * stratum_pages(sample, one) * stratum_pages(sample, other);
}
