/*
 * maintain.h
 *		The area that works while nobody is connected: launcher, schedulers,
 *		runners, and the jobs and schedules that they serve.
 *
 * What must survive stands in tables and changes by transactions. Shared
 * memory holds only who is alive and who wants to be woken; when it is lost in
 * a crash nothing is lost with it. One LWLock guards all of it, held for
 * moments, never while anything is waited for.
 */
#ifndef DBOPS_MAINTAIN_H
#define DBOPS_MAINTAIN_H

#include "core/core.h"
#include "core/job.h"

#include "datatype/timestamp.h"
#include "nodes/pg_list.h"
#include "storage/condition_variable.h"
#include "storage/latch.h"
#include "utils/timestamp.h"

/* ---- engine.c: what the processes share ---- */

#define ENGINE_DATABASES	DBOPS_MOST_DATABASES
#define ENGINE_RUNNERS		64	/* the most that dbops.max_workers allows, and calls in the foreground */
#define ENGINE_WAITING		256 /* bytes of the text that says what is waited for */

typedef enum DatabaseState
{
	DATABASE_UNKNOWN,			/* nobody has looked for dbops there yet */
	DATABASE_ABSENT,			/* it has no dbops */
	DATABASE_ACTIVE				/* it has, and is looked after when due */
} DatabaseState;

typedef struct DatabaseEntry
{
	Oid			oid;			/* InvalidOid: the entry is free */
	DatabaseState state;
	TimestampTz next_due;		/* when a scheduler is wanted; DT_NOEND: not before a wake */
	bool		off;			/* dbops.enabled is off there, as a scheduler last saw it */
	bool		wake;			/* wanted since the last scheduler looked */
	bool		waits_for_worker;	/* a job there waits for a runner's slot */
	int			holds;			/* commands under way that need dbops out of the database */
	bool		scheduler_starting; /* registered, has not attached yet */
	pid_t		scheduler_pid;	/* 0: none */
	Latch	   *scheduler_latch;
	int			failures;		/* schedulers in a row that ended before their end */
	TimestampTz retry_at;		/* after a failure, not before */
	TimestampTz served;			/* when a scheduler was last started */
	TimestampTz reserved;		/* when a runner was last reserved for it */
	TimestampTz pruned;			/* when the history was last pruned */
	uint32		refusal;		/* stands for why no job runs there, as a scheduler last saw it; 0: they may */
} DatabaseEntry;

typedef enum RunnerState
{
	RUNNER_FREE,
	RUNNER_STARTING,			/* reserved by a scheduler; its process may not exist yet */
	RUNNER_RUNNING,
	RUNNER_DEAD					/* its process ended and left the job; the scheduler judges */
} RunnerState;

typedef struct RunnerSlot
{
	RunnerState state;
	uint32		generation;		/* tells this use of the slot from others */
	bool		foreground;		/* a session's CALL; not counted by dbops.max_workers */
	Oid			database;
	int64		job;
	int			worker;			/* 0: has claimed the job; others help that one */
	int			leader;			/* index of that one's slot */
	int			part;			/* of a shared phase, that it is at; 0: none */
	int			deaths;			/* of those that helped it and were not told to end */
	DbopsJobClass class;		/* of the phase that it is in */
	pid_t		pid;			/* 0: not known yet */
	bool		stop;			/* told to end; the job goes on later */
	bool		cancel;			/* told to end; the job is cancelled */
	bool		committed;		/* its command has committed something before it ended */
	bool		quit;			/* ended because the server did, by no fault of its own */
	TimestampTz since;			/* when it was reserved */
	char		waiting[ENGINE_WAITING];	/* what for, with figures; empty: it works */
	int64		done;			/* of total, within a step that takes long */
	int64		total;			/* 0: the cursor says */
} RunnerSlot;

/* The job whose process took the server down. */
typedef struct CrashedJob
{
	Oid			database;		/* InvalidOid: none, or nobody knows */
	int64		job;
	int			part;			/* of it that the process was at; 0: none */
} CrashedJob;

typedef struct Engine
{
	pid_t		launcher_pid;	/* 0: none */
	Latch	   *launcher_latch;
	bool		no_process_slot;	/* the last worker could not be registered */
	TimestampTz no_process_said;	/* when the log was told */
	bool		look_around;	/* databases may have come or gone */
	CrashedJob	crashed;		/* until the scheduler has judged it */
	ConditionVariable left;		/* a process has left its job */
	int			n_databases;	/* those before have been in use at some time; the others are free */
	DatabaseEntry databases[ENGINE_DATABASES];
	RunnerSlot	runners[ENGINE_RUNNERS];
} Engine;

extern Engine *dbops_engine;	/* NULL: not preloaded */
extern LWLock *dbops_engine_lock;

extern void dbops_engine_init(void);
extern DatabaseEntry *dbops_engine_database(Oid oid, bool create);	/* lock held */
extern void dbops_engine_wake_database(Oid oid);
extern void dbops_engine_wake_all(void);
extern void dbops_engine_wake_at_commit(void *unused);
extern void dbops_engine_note_no_process(void);
extern void dbops_engine_wake_launcher(void);	/* lock held */
extern void dbops_engine_await_leaver(long ms);
extern void dbops_engine_await_end(void);
extern void dbops_engine_retry_later(DatabaseEntry *entry); /* lock held */

/* Runner slots; an index of -1 is none. */
extern int	dbops_runner_reserve(int64 job, DbopsJobClass class, bool foreground);
extern void dbops_runner_release(int index);
extern void dbops_runner_abandon(int index);
extern int	dbops_runner_count(void);	/* lock held */
extern int	dbops_runner_find(Oid database, int64 job); /* lock held */
extern void dbops_runner_signal(RunnerSlot *slot, int signal);	/* lock held */
extern void dbops_runner_set_part(int index, int part);
extern bool dbops_runner_has(int64 job);
extern int64 dbops_runner_enter_class(int index, DbopsJobClass class);
extern bool dbops_class_conflict(DbopsJobClass a, DbopsJobClass b);
extern void dbops_runner_set_waiting(int index, const char *reason);
extern void dbops_runner_set_progress(int index, int64 done, int64 total);
extern void dbops_runner_cancel_at_commit(int64 job);

/* Keep dbops out of a database until this transaction ends. */
extern void dbops_engine_hold(Oid database);
extern void dbops_engine_stop_runners(Oid database);

/* ---- launcher.c, scheduler.c, runner.c ---- */

/* What a scheduler gives to a runner, in bgw_extra; bgw_main_arg is the slot. */
typedef struct RunnerArgs
{
	Oid			database;
	Oid			role;			/* to log in as; InvalidOid: the bootstrap superuser */
	uint32		generation;		/* of the slot */
} RunnerArgs;

extern void dbops_launcher_init(void);
extern PGDLLEXPORT void dbops_launcher_main(Datum arg);
extern PGDLLEXPORT void dbops_scheduler_main(Datum arg);
extern PGDLLEXPORT void dbops_runner_main(Datum arg);

/* ---- database_commands.c: DROP DATABASE and the like ---- */

extern void dbops_database_commands_init(void);

/* ---- identity.c: is this the database that the jobs are meant for? ---- */

/* Why this database runs nothing, as a user reads it; NULL: it may run. Needs a transaction. */
extern char *dbops_background_refusal(void);
extern char *dbops_identity_refusal(void);
extern void dbops_identity_follow(void);
extern void dbops_identity_init(void);

/* ---- crash.c: whose process took the server down? ---- */

extern void dbops_crash_prepare(Engine *engine);
extern void dbops_crash_watch(void);
extern bool dbops_crash_was_first(Oid database, int64 job, int *part);

/* ---- gate.c: conditions under which jobs wait ---- */

/*
 * Which gate is closed, with its figures, as a user reads it; NULL: none.
 * heavy: also those that only matter to who leaves dead rows or waits for old
 * snapshots.
 */
extern char *dbops_gate_closed(bool heavy);
extern bool dbops_gate_ignores(int pid);

/* ---- pause.c ---- */

extern void dbops_pause_init(void);

/* Whether this database or the cluster is paused, and why; NULL: it is not. */
extern char *dbops_gate_paused(void);

/* ---- zone.c: the clock of a time zone ---- */

#define ZONE_NEVER		PG_INT64_MAX
#define ZONE_LONGEST_JUMP	(2 * SECS_PER_DAY)	/* s; no clock has jumped farther, nor is farther from UTC */

/* A time in which the clock runs evenly; s since 1970. */
typedef struct ZoneStretch
{
	struct pg_tz *zone;
	int64		begin;
	int64		end;			/* the next begins; ZONE_NEVER: none does */
	int64		offset;			/* s that the clock is ahead of UTC */
	int64		before;			/* the same, just before the beginning */
} ZoneStretch;

extern void dbops_zone_begin(ZoneStretch *stretch, struct pg_tz *zone, int64 at);
extern bool dbops_zone_advance(ZoneStretch *stretch);
extern int64 dbops_zone_time_of(struct pg_tz *zone, int64 local);
extern int64 dbops_zone_local_at(struct pg_tz *zone, int64 at);
extern struct pg_tz *dbops_zone_require(const char *name);

/* ---- cron.c: when something recurs ---- */

typedef struct Cron Cron;

extern Cron *dbops_cron_parse(const char *text);
extern TimestampTz dbops_cron_next(const Cron *cron, TimestampTz after, struct pg_tz *zone);
extern bool dbops_cron_weekdays(const char *item, uint64 *days);

/* ---- window.c: when something may run ---- */

typedef struct Window Window;

extern Window *dbops_window_parse(const char *text);
extern bool dbops_window_open(const Window *window, TimestampTz at, struct pg_tz *zone);
extern TimestampTz dbops_window_next(const Window *window, TimestampTz after, struct pg_tz *zone);
extern TimestampTz dbops_window_end(const Window *window, TimestampTz at, struct pg_tz *zone);

/* How long there is a window, in s from now. */
typedef struct WindowTimes
{
	double		left;			/* until it closes; infinity: there is none, or it is closed and who works has decided that */
	double		again;			/* until it opens after that, or after the next one if it is closed */
	double		whole;			/* that it is open then */
} WindowTimes;

extern void dbops_window_times(const char *window, const char *zone, WindowTimes *times);

/* ---- recurrence.c: the times of a schedule ---- */

typedef struct Recurrence
{
	Cron	   *cron;
	Window	   *window;			/* or NULL */
	struct pg_tz *zone;
} Recurrence;

extern Recurrence dbops_recurrence(const char *schedule, const char *time_window, const char *time_zone);
extern TimestampTz dbops_recurrence_next(const Recurrence *recurrence, TimestampTz after);

/* ---- schedule.c: what is defined ---- */

typedef struct StoredSchedule
{
	const char *name;
	Oid			owner;
	const char *schedule;
	const char *command;
	const char *time_zone;
	const char *overlap;		/* skip, queue_one, cancel_old */
	const char *missed;			/* skip, once */
	long		jitter;			/* ms */
	const char *time_window;	/* or NULL */
	bool		active;
	long		timeout;		/* ms; 0: none */
	long		lock_timeout;	/* ms; 0: none */
	int			max_attempts;
	long		backoff;		/* ms */
	int			priority;
	bool		idempotent;
	const char *path;			/* search_path of the submission */
	bool		atomic;
	DbopsJobClass class;
	TimestampTz next_run;		/* 0: it is not active */
	bool		broken;			/* next_run is only when it is tried again */
} StoredSchedule;

extern StoredSchedule *dbops_schedule_load(const char *name);
extern StoredSchedule *dbops_schedule_lock_due(const char *name, TimestampTz now);

/* ---- due.c: what is due becomes jobs ---- */

typedef struct DueSource DueSource;

/* Something that recurs, and is due. */
typedef struct Due
{
	const DueSource *source;
	const char *key;			/* of its row, as text */
	const char *name;
	Oid			owner;
	bool		broken;			/* it was when it was last tried */
	TimestampTz now;
	int64		job;			/* what has become of it; 0: none */
} Due;

/* What it has to make up for. */
typedef struct DueTimes
{
	TimestampTz time;			/* the last that is not after now */
	TimestampTz next;			/* the first that is */
	int64		dropped;		/* before it */
	bool		missed;			/* it is long ago */
} DueTimes;

/* A table of what recurs: name, owner, next_run, last_run, last_job, skipped, note, broken. */
struct DueSource
{
	const char *noun;			/* what one is called */
	const char *table;			/* of schema dbops */
	const char *key;			/* its column */
	const char *is_key;			/* whether a row's is $1, a text */
	const char *active;			/* whether a row can be due at all */

	/* Lock one, and submit its job or note why there is none; nothing if it is locked or not due any more. */
	void		(*submit) (Due *due);
};

extern void dbops_due_submit(TimestampTz now, TimestampTz *next_due);
extern void dbops_due_require_role(Oid role);
extern DueTimes dbops_due_times(const Recurrence *recurrence, TimestampTz next_run, bool broken, TimestampTz now);
extern void dbops_due_note(const Due *due, const DueTimes *times, int64 skipped, const char *reason);

/* ---- schedule_submit.c: a schedule that is due becomes a job ---- */

extern const DueSource dbops_schedule_source;

/* ---- schedule_overlap.c: runs of one schedule follow each other ---- */

extern char *dbops_schedule_overlap(const StoredSchedule *schedule);
extern char *dbops_schedule_obstacle(int64 job);

/* ---- job_store.c: the transitions of a job's state ---- */

typedef struct StoredJob
{
	DbopsJob	job;			/* what its steps see */
	const char *state;
	const char *command;
	bool		atomic;
	bool		idempotent;
	DbopsJobClass class;
	const char *time_window;	/* or NULL */
	const char *time_zone;
	int			attempts;
	int			crashes;
	int64		crash_steps;	/* steps committed at the last crash */
	int			max_attempts;
	long		timeout;		/* ms; 0: none */
	long		lock_timeout;	/* ms; 0: none */
	long		backoff;		/* ms */
	TimestampTz run_after;
	int			runner_pid;		/* the process that has claimed it; 0: none */
	TimestampTz runner_start;
	int64		steps;			/* committed */
	bool		moved;			/* its work got on since it was claimed */
	int64		rows;			/* changed and committed by it, at least, as of its last step here */
	bool		attended;		/* the work of a call in the foreground, with which it ends */
	Oid			login;			/* whom its runner logs in as; set when that is chosen */
	ErrorData  *error;			/* that ended the last attempt, when it was run here; or NULL */
	Jsonb	   *ending;			/* how it ends, as soon as what it has left can be removed; or NULL */
} StoredJob;

typedef struct JobRequests
{
	bool		cancel;
	bool		pause;
	Jsonb	   *settings;		/* or NULL */
} JobRequests;

/* A job that is due; to be loaded only if its class lets it run. */
typedef struct QueuedJob
{
	int64		id;
	DbopsJobClass class;
} QueuedJob;

extern List *dbops_job_queue(TimestampTz now, TimestampTz *next_due);
extern StoredJob *dbops_job_load(int64 id);
extern bool dbops_job_lock(const StoredJob *job);
extern bool dbops_job_claim(StoredJob *job);
extern void dbops_job_block(StoredJob *job, int sqlstate, const char *message);
extern void dbops_job_succeed(StoredJob *job, Jsonb *result);
extern void dbops_job_fail(StoredJob *job, const ErrorData *error, bool repeatable);
extern void dbops_job_end_unfinished(StoredJob *job, const char *state, const char *message);
extern void dbops_job_requests(int64 id, JobRequests *requests);
extern void dbops_job_reap_slots(void);
extern bool dbops_job_reap_lost(void);
extern void dbops_job_prune(void);

/* ---- job_abandon.c: what a job that does not succeed leaves behind ---- */

extern const char *dbops_job_abandon(const StoredJob *job, long patience);
extern const char *dbops_job_keeps(const StoredJob *job);

/* ---- job_obstacle.c: why a job does not start ---- */

extern char *dbops_job_obstacle(const StoredJob *job, TimestampTz now);
extern char *dbops_job_obstacle_within(const StoredJob *job, TimestampTz now);
extern char *dbops_job_class_obstacle(int64 other);
extern char *dbops_job_waits_for(const StoredJob *job, TimestampTz now);
extern bool dbops_job_is_heavy(const StoredJob *job);
extern Oid	dbops_job_login(const StoredJob *job);
extern bool dbops_job_runs_as_owner(const StoredJob *job);
extern char *dbops_job_role_refusal(const StoredJob *job);

/* ---- runner.c: have a process started in a slot that is reserved ---- */

extern bool dbops_runner_start(int index, const StoredJob *job, Oid login);

/* ---- job_run.c: run a claimed job ---- */

extern void dbops_job_run(StoredJob *job, int slot);
extern void dbops_job_help(StoredJob *job, int slot);
extern ErrorData *dbops_job_take_error(int slot, MemoryContext context);
extern void dbops_job_explain_cancel(StoredJob *job, ErrorData *error);
extern void dbops_job_commit(void);
extern void dbops_job_run_failed(StoredJob *job, int slot, MemoryContext context);
extern void dbops_job_own_transaction(void);
extern bool dbops_job_has_committed(void);

/* ---- helper.c: a process that helps another one with a job ---- */

extern void dbops_helper_run(int index, MemoryContext context);
extern bool dbops_helper_is_wanted(int index, bool gives_way, int *working);
extern void dbops_helper_leave(int index, bool done);

/* ---- helper_keep.c: have enough of them ---- */

/* What a process remembers of those that help it. */
typedef struct HelpersKept
{
	TimestampTz looked;			/* when it last looked who is alive */
	TimestampTz start_at;		/* none is started before */
	int64		progress;		/* of the job, when deaths were last forgiven */
	int			forgiven;		/* deaths */
} HelpersKept;

extern void dbops_helpers_keep(StoredJob *job, int leader, HelpersKept *kept, int64 progress);
extern void dbops_helpers_end(int leader, bool at_once);
extern int	dbops_helpers_count(int leader, int *workers);	/* lock held */
extern bool dbops_helpers_give_way(void);	/* lock held */
extern void dbops_helpers_tell(int leader); /* lock held */
extern void dbops_helpers_await(int64 job);

/* ---- run_job.c: jobs in the foreground ---- */

extern void dbops_run_job_init(void);

/* ---- job_standstill.c: a job at work elsewhere ---- */

/* What is known of a job that is waited for. */
typedef struct JobProgress
{
	int64		id;
	long		patience;		/* ms that it may not get on for */
	int64		mark;			/* of where its cursor was at the last look */
	int64		began;			/* when the transaction did that its process was in, in microseconds; 0: none */
	TimestampTz moved_at;		/* when it was last seen to have got on, or that began to be looked at */
	char		waiting[ENGINE_WAITING];	/* what for, when it was last seen to wait; empty: it was not */
} JobProgress;

extern void dbops_job_require_progress(JobProgress *progress);

/* ---- command.c: a user's SQL ---- */

typedef struct CommandText
{
	bool		atomic;			/* all of it is one transaction */
	bool		repeatable;		/* by its nature, whatever the user says */
	DbopsJobClass class;
} CommandText;

extern CommandText dbops_command_check(const char *sql);
extern Jsonb *dbops_command_run(const char *sql, bool *committed);

/* ---- enqueue.c: arguments that several calls have ---- */

#define MAX_TIMEOUT		(365 * 86400000L)	/* ms */

extern long dbops_timeout_argument(FunctionCallInfo fcinfo, int number, const char *name);
extern int	dbops_attempts_argument(FunctionCallInfo fcinfo, int number);

/* ---- job_control.c ---- */

extern StoredJob *dbops_job_require(int64 id);
extern char *dbops_job_owner_name(const StoredJob *job);
extern bool dbops_job_cancel(int64 id);
extern bool dbops_job_end_unclaimed(int64 id);
extern bool dbops_job_has_ended(const StoredJob *job);
extern void dbops_job_refuse_unknown(int64 id);

#endif							/* DBOPS_MAINTAIN_H */
