/*
 * setting_history.c
 *		What settings are judged by that only samples can tell: what was counted in a
 *		time that is known, and how many sessions there were at most.
 *
 * The server's own counters run since somebody reset them, which may be years ago
 * or never. The home database has a month of samples, the others have an hour. On
 * a standby only those of its own memory count: what is stored is its primary's.
 */
#include "advise/setting_review.h"

#define WATCHED \
	"SELECT w.coverage * extract(epoch FROM least(w.at + interval '1 hour', $1) - w.at)::float8, w.delta, t.delta, r.delta, f.delta, m.delta, s.delta, n.maximum " \
	"FROM dbops.metric_history('wal.bytes', $1 - interval '7 days', $1, '1 hour', true) w " \
	"JOIN dbops.metric_history('checkpoints.timed', $1 - interval '7 days', $1, '1 hour', true) t USING (at, tier) " \
	"JOIN dbops.metric_history('checkpoints.requested', $1 - interval '7 days', $1, '1 hour', true) r USING (at, tier) " \
	"JOIN dbops.metric_history('wal.buffers_full', $1 - interval '7 days', $1, '1 hour', true) f USING (at, tier) " \
	"JOIN dbops.metric_history('temp.bytes', $1 - interval '7 days', $1, '1 hour', true) m USING (at, tier) " \
	"JOIN dbops.metric_history('sessions.opened', $1 - interval '7 days', $1, '1 hour', true) s USING (at, tier) " \
	"JOIN dbops.metric_history('replication.standbys', $1 - interval '7 days', $1, '1 hour', true) n USING (at, tier) " \
	"WHERE tier !~ 'primary'"

#define PEAK \
	"SELECT h.maximum, count(*) OVER ()::float8, to_char(h.at, 'YYYY-MM-DD HH24:MI') " \
	"FROM dbops.metric_history('connections.total', $1 - interval '30 days', $1, '1 hour', true) h " \
	"WHERE h.tier !~ 'primary' AND h.maximum IS NOT NULL ORDER BY h.maximum DESC, h.at DESC LIMIT 1"

/* As last measured; sizes are the same on a standby. */
#define SIZES \
	"SELECT (SELECT h.last FROM dbops.metric_history('databases.bytes', $1 - interval '1 hour', $1, '1 hour', true) h WHERE h.last > 0 ORDER BY h.at DESC LIMIT 1), " \
	"(SELECT h.last FROM dbops.metric_history('size', $1 - interval '1 hour', $1, '1 hour', false) h WHERE h.last > 0 ORDER BY h.at DESC LIMIT 1)"

static void ask(void *arg);
static void take_hour(HeapTuple row, TupleDesc desc, void *arg);
static double known(double figure);
static void take_peak(HeapTuple row, TupleDesc desc, void *arg);
static void take_sizes(HeapTuple row, TupleDesc desc, void *arg);

/* Look at the samples; where that fails, nothing of them is known. */
void
dbops_setting_history_read(SettingHistory *history)
{
	ErrorData  *error;

	*history = (SettingHistory) {.peak = NAN,.data = NAN,.data_here = NAN};
	if (!dbops_attempt(ask, history, &error))
		*history = (SettingHistory) {.peak = NAN,.data = NAN,.data_here = NAN};
}

static void
ask(void *arg)
{
	DbopsParam	now = dbops_param_time(dbops_clock_now());

	/* That this database has only an hour of it need not be told. */
	dbops_set_nested("client_min_messages", "warning");
	(void) dbops_store_each(WATCHED, 1, &now, take_hour, arg);
	(void) dbops_store_each(PEAK, 1, &now, take_peak, arg);
	(void) dbops_store_each(SIZES, 1, &now, take_sizes, arg);
}

static void
take_hour(HeapTuple row, TupleDesc desc, void *arg)
{
	SettingHistory *history = arg;
	SettingHour *hour = palloc(sizeof(SettingHour));

	history->time += known(dbops_row_float8(row, desc, 1));
	hour->wal = known(dbops_row_float8(row, desc, 2));
	hour->timed = known(dbops_row_float8(row, desc, 3));
	hour->requested = known(dbops_row_float8(row, desc, 4));
	history->hours = lappend(history->hours, hour);
	history->wal += hour->wal;
	history->wal_buffers_full += known(dbops_row_float8(row, desc, 5));
	history->temporary += known(dbops_row_float8(row, desc, 6));
	history->sessions += known(dbops_row_float8(row, desc, 7));
	history->standbys = Max(history->standbys, known(dbops_row_float8(row, desc, 8)));
}

/* What was not counted adds nothing. */
static double
known(double figure)
{
	return isnan(figure) ? 0 : figure;
}

static void
take_peak(HeapTuple row, TupleDesc desc, void *arg)
{
	SettingHistory *history = arg;

	history->peak = dbops_row_float8(row, desc, 1);
	history->peak_hours = dbops_row_float8(row, desc, 2);
	history->peak_at = dbops_row_text(row, desc, 3);
}

static void
take_sizes(HeapTuple row, TupleDesc desc, void *arg)
{
	SettingHistory *history = arg;

	history->data = dbops_row_float8(row, desc, 1);
	history->data_here = dbops_row_float8(row, desc, 2);
}
