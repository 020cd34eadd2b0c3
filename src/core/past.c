/*
 * past.c
 *		Where the server was, and when.
 *
 * The server does not record when a transaction id was given out or when WAL
 * reached a position. So it is noted here whenever somebody looks, at most once
 * a second; how old something is at least can be told from that. Of what is
 * long ago fewer marks are kept: how precise an age is goes with its length.
 *
 * The marks are shared, under a lock held for a moment; each session has its
 * own when dbops is not preloaded.
 */
#include "core/server.h"

#include "access/transam.h"

#define MARKS		256
#define APART		USECS_PER_SEC	/* the least between two marks */
#define RATE_MOST	(7 * USECS_PER_DAY)	/* that a rate is taken over */
#define RATE_LEAST	USECS_PER_HOUR

typedef struct Mark
{
	TimestampTz at;
	uint64		next_xid;		/* with its epoch */
	XLogRecPtr	written;
} Mark;

typedef struct Past
{
	int			n;
	Mark		marks[MARKS];	/* the oldest first */
} Past;

static Past *shared_past = NULL;	/* or NULL */
static LWLock *shared_past_lock = NULL;
static Past own_past;			/* when there is none */

static Past *lock_past(LWLockMode mode);
static void unlock_past(void);
static void forget_future(Past *past, TimestampTz now);
static void make_room(Past *past, TimestampTz now);

/* Ask for the shared memory. */
void
dbops_past_init(void)
{
	dbops_shared_request("dbops past", sizeof(Past), NULL,
						 (void **) &shared_past, &shared_past_lock);
}

/* Note where the server is now. */
void
dbops_past_mark(void)
{
	Mark		mark = {
		.at = dbops_clock_now(),
		.next_xid = U64FromFullTransactionId(ReadNextFullTransactionId()),
		.written = dbops_written()
	};
	Past	   *past = lock_past(LW_EXCLUSIVE);

	forget_future(past, mark.at);
	if (past->n == 0 || mark.at - past->marks[past->n - 1].at >= APART)
	{
		if (past->n == MARKS)
			make_room(past, mark.at);
		past->marks[past->n++] = mark;
	}
	unlock_past();
}

/* For how many seconds there has been WAL after a position, at least. */
double
dbops_past_since_written(XLogRecPtr position)
{
	TimestampTz now = dbops_clock_now();
	TimestampTz since = now;
	Past	   *past = lock_past(LW_SHARED);

	for (int i = past->n - 1; i >= 0 && past->marks[i].written > position; i--)
		since = Min(since, past->marks[i].at);
	unlock_past();
	return (now - since) / (double) USECS_PER_SEC;
}

/* How many seconds ago a transaction id was given out, at least. */
double
dbops_past_since_xid(TransactionId xid)
{
	TimestampTz now = dbops_clock_now();
	TimestampTz since = now;
	FullTransactionId next = ReadNextFullTransactionId();
	uint64		wanted = U64FromFullTransactionId(next) -
		(uint32) (XidFromFullTransactionId(next) - xid);
	Past	   *past = lock_past(LW_SHARED);

	for (int i = past->n - 1; i >= 0 && past->marks[i].next_xid > wanted; i--)
		since = Min(since, past->marks[i].at);
	unlock_past();
	return (now - since) / (double) USECS_PER_SEC;
}

/* How many transaction ids have been given out per second lately; 0: not known. */
double
dbops_past_xid_rate(void)
{
	TimestampTz now = dbops_clock_now();
	uint64		next = U64FromFullTransactionId(ReadNextFullTransactionId());
	double		rate = 0;
	Past	   *past = lock_past(LW_SHARED);

	for (int i = past->n - 1; i >= 0 && now - past->marks[i].at <= RATE_MOST; i--)
		if (now - past->marks[i].at >= RATE_LEAST)
			rate = (next - past->marks[i].next_xid) * (double) USECS_PER_SEC / (now - past->marks[i].at);
	unlock_past();
	return rate;
}

static Past *
lock_past(LWLockMode mode)
{
	if (shared_past == NULL)
		return &own_past;
	LWLockAcquire(shared_past_lock, mode);
	return shared_past;
}

static void
unlock_past(void)
{
	if (shared_past != NULL)
		LWLockRelease(shared_past_lock);
}

/* A clock that was set back makes what it said before worthless. */
static void
forget_future(Past *past, TimestampTz now)
{
	while (past->n > 0 && past->marks[past->n - 1].at > now)
		past->n--;
}

/* Drop the mark that is missed least: the gap it leaves is small for its age. */
static void
make_room(Past *past, TimestampTz now)
{
	Mark	   *marks = past->marks;
	int			least = 1;
	double		least_loss = -1;

	for (int i = 1; i < past->n - 1; i++)
	{
		double		loss = (marks[i + 1].at - marks[i - 1].at) / (double) (now - marks[i - 1].at + APART);

		if (least_loss < 0 || loss < least_loss)
		{
			least = i;
			least_loss = loss;
		}
	}
	past->n--;
	memmove(&marks[least], &marks[least + 1], sizeof(Mark) * (past->n - least));
}
