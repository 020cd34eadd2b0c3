/*
 * checks_replication.c
 *		Checks of who should replicate from this server and what is kept for them.
 */
#include "observe/checks.h"

#include "access/transam.h"
#include "access/twophase.h"
#include "access/xlog.h"
#include "access/xlogrecovery.h"
#include "replication/slot.h"
#include "replication/syncrep.h"
#include "replication/walsender.h"
#include "replication/walsender_private.h"
#include "storage/proc.h"
#include "storage/spin.h"
#include "utils/builtins.h"
#include "utils/varlena.h"

static const void *look(const DbopsCheckScope *scope);
static void judge_missing(const void *facts, DbopsCheckRun *run);
static List *connected_standbys(void);
static void judge_synchronous(const void *facts, DbopsCheckRun *run);
static int	count_synchronous(void);
static void judge_paused(const void *facts, DbopsCheckRun *run);
static void judge_inactive(const void *facts, DbopsCheckRun *run);
static List *inactive_slots(void);
static bool keeps_something(const ReplicationSlot *slot);
static void judge_horizon(const void *facts, DbopsCheckRun *run);
static void look_at_processes(TransactionId next, int32 *age, const char **holder);
static void look_at_prepared(TransactionId next, int32 *age, const char **holder);
static void look_at_slots(TransactionId next, int32 *age, const char **holder);
static void keep_older(TransactionId next, TransactionId xid, const char *name, int32 *age, const char **holder);

static const DbopsCheck checks[] = {
	{
		.name = "horizon.age",
		.about = "transaction ids given out since the oldest whose rows cannot be removed",
		.judge = judge_horizon,
		.reach = DBOPS_REACH_CLUSTER,
		.threshold = {
			.unit = "ids", .warning = 10000000, .critical = 50000000, .clear = 20, .source = "pganalyze, check_pgactivity"
		}
	},
	{
		.name = "replication.inactive_slots",
		.about = "slots that nobody uses, and that keep WAL or rows",
		.judge = judge_inactive,
		.reach = DBOPS_REACH_CLUSTER,
		.threshold = {
			.unit = "count", .warning = 0, .critical = NO_THRESHOLD,
			.duration = 30 * SECS_PER_MINUTE, .source = "postgres_exporter, pgmonitor"
		}
	},
	{
		.name = "replication.missing",
		.about = "standbys of dbops.expected_standbys that are not connected",
		.judge = judge_missing,
		.reach = DBOPS_REACH_CLUSTER,
		.threshold = {
			.unit = "count", .warning = NO_THRESHOLD, .critical = 0,
			.duration = SECS_PER_MINUTE, .source = "check_pgactivity, temBoard"
		}
	},
	{
		.name = "replication.paused",
		.about = "whether replay has been told to pause on this standby",
		.judge = judge_paused,
		.reach = DBOPS_REACH_CLUSTER,
		.threshold = {
			.unit = "count", .warning = 0, .critical = NO_THRESHOLD,
			.duration = 10 * SECS_PER_MINUTE, .source = "check_pgactivity"
		}
	},
	{
		.name = "replication.synchronous",
		.about = "synchronous standbys that are missing, so that commits wait",
		.judge = judge_synchronous,
		.reach = DBOPS_REACH_CLUSTER,
		.threshold = {
			.unit = "count", .warning = NO_THRESHOLD, .critical = 0, .source = "CloudNativePG"
		}
	}
};

const DbopsCheckSet dbops_replication_checks_set = {
	.look = look,
	.checks = checks,
	.n_checks = lengthof(checks),
	.reach = DBOPS_REACH_CLUSTER
};

/* Each check looks for itself. */
static const void *
look(const DbopsCheckScope *scope)
{
	return NULL;
}

static void
judge_missing(const void *facts, DbopsCheckRun *run)
{
	List	   *expected;
	List	   *connected = connected_standbys();
	StringInfoData missing;
	int			n = 0;
	ListCell   *cell;

	if (RecoveryInProgress())
	{
		dbops_check_report_value(run, 0, NAN, (DbopsFinding) {.message = "this server is a standby: its primary judges who is connected"});
		return;
	}
	if (!SplitIdentifierString(pstrdup(dbops_expected_standbys), ',', &expected))
	{
		dbops_check_report_unknown(run, NULL, "dbops.expected_standbys is no list of names", "ALTER SYSTEM SET dbops.expected_standbys = 'a, b'; SELECT pg_reload_conf();");
		return;
	}
	initStringInfo(&missing);
	foreach(cell, expected)
		if (!dbops_texts_have(connected, lfirst(cell)))
			appendStringInfo(&missing, "%s%s", n++ == 0 ? "" : ", ", (const char *) lfirst(cell));
	dbops_check_report_value(run, n, NAN, (DbopsFinding)
							 {
								 .message = expected == NIL ? "no standby is expected: dbops.expected_standbys is empty" :
									 n == 0 ? "every standby that is expected is connected" : psprintf("not connected: %s", missing.data),
								 .remedy = "See the standby's log for why it does not connect, or take it out of dbops.expected_standbys."
							 });
}

/* Their application names (of char *). */
static List *
connected_standbys(void)
{
	List	   *names = NIL;
	ListCell   *cell;

	foreach(cell, dbops_standbys_read(dbops_written()))
	{
		const char *name = dbops_standby_name(((const Standby *) lfirst(cell))->pid);

		if (name != NULL)
			names = lappend(names, unconstify(char *, name));
	}
	return names;
}

static void
judge_synchronous(const void *facts, DbopsCheckRun *run)
{
	int			wanted = (SyncRepConfig == NULL || RecoveryInProgress()) ? 0 : SyncRepConfig->num_sync;
	int			there = (wanted == 0) ? 0 : count_synchronous();

	dbops_check_report_value(run, Max(0, wanted - there), NAN, (DbopsFinding)
							 {
								 .message = wanted == 0 ? "no standby is synchronous" :
									 psprintf("%s connected; a commit needs %d", dbops_figure_count(there, "synchronous standby is", "synchronous standbys are"), wanted),
								 .remedy = "Bring a standby of synchronous_standby_names back, or ALTER SYSTEM RESET synchronous_standby_names; SELECT pg_reload_conf();"
							 });
}

/* Standbys that may be synchronous and have caught up. */
static int
count_synchronous(void)
{
	int			n = 0;

	for (int i = 0; i < max_wal_senders; i++)
	{
		WalSnd	   *sender = &WalSndCtl->walsnds[i];

		SpinLockAcquire(&sender->mutex);
		if (sender->pid != 0 && sender->sync_standby_priority > 0 &&
			(sender->state == WALSNDSTATE_STREAMING || sender->state == WALSNDSTATE_STOPPING))
			n++;
		SpinLockRelease(&sender->mutex);
	}
	return n;
}

static void
judge_paused(const void *facts, DbopsCheckRun *run)
{
	bool		paused = RecoveryInProgress() && GetRecoveryPauseState() != RECOVERY_NOT_PAUSED;

	dbops_check_report_value(run, paused ? 1 : 0, NAN, (DbopsFinding)
							 {
								 .message = !RecoveryInProgress() ? "this server is no standby" :
									 paused ? "replay was told to pause" : "replay goes on",
								 .remedy = "SELECT pg_wal_replay_resume();"
							 });
}

static void
judge_inactive(const void *facts, DbopsCheckRun *run)
{
	List	   *slots = inactive_slots();
	ListCell   *cell;

	if (slots == NIL)
		dbops_check_report_value(run, 0, NAN, (DbopsFinding) {.message = "every slot is in use"});
	foreach(cell, slots)
		dbops_check_report_value(run, list_length(slots), NAN, (DbopsFinding)
								 {
									 .object = quote_identifier(lfirst(cell)),
									 .message = "nobody uses the slot",
									 .remedy = psprintf("Bring its consumer back, or SELECT pg_drop_replication_slot(%s);", quote_literal_cstr(lfirst(cell)))
								 });
}

/* Their names (of char *). A slot that was invalidated keeps nothing any more, and one that nobody has used keeps nothing yet. */
static List *
inactive_slots(void)
{
	List	   *names = NIL;

	LWLockAcquire(ReplicationSlotControlLock, LW_SHARED);
	for (int i = 0; i < max_replication_slots; i++)
	{
		ReplicationSlot *slot = &ReplicationSlotCtl->replication_slots[i];
		NameData	name;
		bool		inactive;

		if (!slot->in_use)
			continue;
		SpinLockAcquire(&slot->mutex);
		inactive = slot->active_pid == 0 && slot->data.persistency != RS_TEMPORARY &&
			!slot_is_invalidated(slot) && !slot_is_synced(slot) && keeps_something(slot);
		name = slot->data.name;
		SpinLockRelease(&slot->mutex);
		if (inactive)
			names = lappend(names, pstrdup(NameStr(name)));
	}
	LWLockRelease(ReplicationSlotControlLock);
	return names;
}

static bool
keeps_something(const ReplicationSlot *slot)
{
	return !XLogRecPtrIsInvalid(slot->data.restart_lsn) ||
		TransactionIdIsValid(slot->data.xmin) || TransactionIdIsValid(slot->data.catalog_xmin);
}

/* Whoever it is: a session, a prepared transaction, a slot, or a standby by its feedback. */
static void
judge_horizon(const void *facts, DbopsCheckRun *run)
{
	TransactionId next = ReadNextTransactionId();
	int32		age = 0;
	const char *holder = NULL;

	/* A snapshot goes back to what the others keep. */
	look_at_prepared(next, &age, &holder);
	look_at_slots(next, &age, &holder);
	look_at_processes(next, &age, &holder);
	dbops_check_report_value(run, age, NAN, (DbopsFinding)
							 {
								 .message = holder == NULL ? "nothing keeps dead rows" :
									 psprintf("%s keeps the dead rows of the last %s", holder, dbops_figure_count(age, "transaction id", "transaction ids")),
								 .remedy = "End the transaction, or drop the slot if nobody needs it: vacuum cannot remove what it keeps."
							 });
}

static void
look_at_processes(TransactionId next, int32 *age, const char **holder)
{
	int			n;
	Process    *processes = dbops_processes_read(&n);

	for (int i = 0; i < n; i++)
		if (processes[i].holds_horizon && TransactionIdIsNormal(processes[i].xmin))
			keep_older(next, processes[i].xmin, psprintf("process %d", processes[i].pid), age, holder);
}

static void
look_at_prepared(TransactionId next, int32 *age, const char **holder)
{
	for (int i = 0; i < max_prepared_xacts; i++)
		keep_older(next, PreparedXactProcs[i].xid, "a prepared transaction", age, holder);
}

static void
look_at_slots(TransactionId next, int32 *age, const char **holder)
{
	LWLockAcquire(ReplicationSlotControlLock, LW_SHARED);
	for (int i = 0; i < max_replication_slots; i++)
	{
		ReplicationSlot *slot = &ReplicationSlotCtl->replication_slots[i];
		TransactionId xmin;
		TransactionId catalog_xmin;
		NameData	name;

		if (!slot->in_use)
			continue;
		SpinLockAcquire(&slot->mutex);
		xmin = slot->effective_xmin;
		catalog_xmin = slot->effective_catalog_xmin;
		name = slot->data.name;
		SpinLockRelease(&slot->mutex);
		keep_older(next, xmin, psprintf("slot %s", NameStr(name)), age, holder);
		keep_older(next, catalog_xmin, psprintf("slot %s, in catalogs,", NameStr(name)), age, holder);
	}
	LWLockRelease(ReplicationSlotControlLock);
}

static void
keep_older(TransactionId next, TransactionId xid, const char *name, int32 *age, const char **holder)
{
	if (!TransactionIdIsNormal(xid) || (int32) (next - xid) <= *age)
		return;
	*age = (int32) (next - xid);
	*holder = name;
}
