/*
 * job.h
 *		Jobs, for the areas that have work done in the background.
 *
 * A job kind is a table: its phases, each a function that does one step. The
 * engine begins a transaction, locks the job's cursor, calls the step, writes
 * the cursor and commits; then it looks at requests and gates. So a step does
 * one transaction's work and neither commits nor sleeps: it says how long to
 * wait. What a step did and where to go on are committed together.
 *
 * The same steps serve a call in the foreground that has no job: the engine
 * then keeps the cursor in memory.
 *
 * A phase can be shared: its work is cut into parts, and several processes do
 * the same steps, each on a part of its own (job_part.c).
 */
#ifndef DBOPS_JOB_H
#define DBOPS_JOB_H

#include "core/core.h"

#include "nodes/pg_list.h"

/* What a phase is like for others; see dbops_class_conflict. */
typedef enum DbopsJobClass
{
	DBOPS_CLASS_PLAIN,			/* nobody has to wait for it */
	DBOPS_CLASS_BATCHES,		/* changes many rows in short transactions */
	DBOPS_CLASS_SNAPSHOT,		/* holds one snapshot for long */
	DBOPS_CLASS_CONCURRENT_DDL	/* waits for every older snapshot of its database */
} DbopsJobClass;

/* A phase that several processes share, as one of them sees it. */
typedef struct DbopsShare
{
	int			wanted;			/* processes that may work on it, this one too; the kind says so */
	int			working;		/* that do */
	bool		looked;			/* for parts that an earlier process has left */
	bool		shared;			/* the phase is cut into parts */
	int			part;			/* the one in work, from 1; 0: none */
	Jsonb	   *position;		/* where that begins, in the step that takes it; or NULL */
	bool		idle;			/* no part is left to be taken */
	int			unclaimed;		/* parts that nobody has taken; known to the first */
	int64		done;			/* of all other parts, as of looked_at; known to the first */
	int64		total;
	int64		rows;
	TimestampTz looked_at;
} DbopsShare;

/* A job as its steps see it. Lives as long as it is worked on. */
typedef struct DbopsJob
{
	int64		id;				/* 0: a call in the foreground that has no job */
	const char *kind;
	const char *name;			/* what people call it, such as the table; or NULL */
	Oid			owner;			/* the role that it runs as */
	const char *path;			/* search_path of the submission */
	Jsonb	   *spec;			/* what was asked for; the kind's own */
	Jsonb	   *settings;		/* what tune_job has changed since; or NULL */
	bool		foreground;		/* a session waits for it and sees notices */
	int			phase;			/* index into the kind's phases */
	Jsonb	   *position;		/* where the phase goes on; NULL: at its beginning */
	void	   *call;			/* what a call in the foreground hands to open; or NULL */
	const struct DbopsJobKeeper *keeper;	/* who keeps it; or NULL */
	int			worker;			/* 0: the process that has claimed it; others help that */
	DbopsShare	share;
} DbopsJob;

/*
 * What a step has done. Zeroed before each; text and jsonb may be in the step's
 * memory, which is current when it is called and passes with it.
 */
typedef struct DbopsStep
{
	bool		finished;		/* the phase is done */
	Jsonb	   *position;		/* where the next step goes on; NULL: as before */
	int64		done;			/* of total, in the kind's unit; for progress */
	int64		total;
	int64		rows;			/* changed by the job so far */
	long		pause;			/* ms to wait before the next step */
	const char *waiting;		/* what for, if it is not just a pause; or NULL */
	int			goto_phase;		/* phase to go on with when finished; 0: the next one */
	Oid			vacuum;			/* table to be vacuumed after the step; InvalidOid: none */

	/*
	 * Called after the step's commit, with no connection open, for what refuses
	 * to stand inside anything; it may end transactions and is in one when it
	 * returns. An error is the job's. The argument lasts as long as the state.
	 * If the process dies in it, nobody knows what it has done: the next step
	 * finds out. NULL: nothing is called.
	 */
	DbopsCallback outside;
	void	   *outside_arg;
	const char *outside_what;	/* is done by it, as a user reads it */
} DbopsStep;

/* A part of a phase, as it is cut. One without anything to do is only gathered. */
typedef struct DbopsPart
{
	Jsonb	   *position;		/* where it begins */
	int64		total;			/* in the kind's unit */
	int64		done;			/* of that; if it is all, the part is finished */
} DbopsPart;

typedef struct DbopsPhase
{
	const char *name;			/* shown to users */
	DbopsJobClass class;
	bool		timed;			/* the job's timeout holds for each step */
	bool		gets_on;		/* more of done gets the job on, not just more rows */

	/*
	 * With job->share.part the step is one of that part, and position, finished
	 * and figures are the part's.
	 */
	void		(*step) (DbopsJob *job, void *state, DbopsStep *step);

	/*
	 * Cut what is left of the phase into parts (of DbopsPart *), and say where
	 * the phase stands without them in step->position; NIL: it is not to be
	 * shared now. NULL: it never is.
	 */
	List	   *(*share) (DbopsJob *job, void *state, DbopsStep *step);

	/*
	 * When all parts are done, take over what each says; a step that is not a
	 * part's follows in the same transaction.
	 */
	void		(*gather) (DbopsJob *job, void *state, Jsonb *position);
} DbopsPhase;

typedef struct DbopsJobKind
{
	const char *name;
	const char *unit;			/* of done and total, such as "blocks" */
	const DbopsPhase *phases;
	int			n_phases;

	/*
	 * Called once in each process that works on the job, in a transaction and
	 * in memory that lasts until the work ends; what it returns is given to
	 * the steps. It takes over from job->position, also where all phases are
	 * done and only the result is missing.
	 */
	void	   *(*open) (DbopsJob *job);

	/*
	 * Called when the last phase is done: the result that the job keeps, an
	 * object, or NULL. Its member message becomes the job's message.
	 */
	Jsonb	   *(*result) (DbopsJob *job, void *state);

	/* Show who waits for it how far it is, while others do what is left; or NULL. */
	void		(*report) (DbopsJob *job, void *state);

	/* Called when a process leaves the job, done or not, or after an error; or NULL. */
	void		(*leave) (void);

	/*
	 * Called when a job ends for good other than by success, in the transaction
	 * that records the end: remove what must not stay. patience: ms that may
	 * pass with tries. Returns what could not be removed and why, as a user
	 * reads it, and then the job does not end; NULL: nothing is left. Or NULL.
	 */
	const char *(*abandon) (const DbopsJob *job, long patience);

	/* What abandon removes is removed whenever a process leaves the job: a step makes it again. */
	bool		passing;

	/* The result of a job that ends so: what was done and stays done. Or NULL. */
	Jsonb	   *(*remains) (const DbopsJob *job);

	/* ms that a call in the foreground waits for jobs that its own must not run beside; NULL: as long as they take. */
	long		(*patience) (const DbopsJob *job);

	/* What stays in place while a job is blocked or paused, as a user reads it; NULL: nothing. Or NULL. */
	const char *(*keeps) (const DbopsJob *job);

	/*
	 * Say what a process of the job does outside, seen from another one, with
	 * its figures, if there are any. Or NULL.
	 */
	char	   *(*watch) (int pid, int64 *done, int64 *total);

	/*
	 * Check what tune_job is to change, raising an error; NULL: nothing of it
	 * can be tuned.
	 */
	void		(*check_settings) (Jsonb *settings);

	/* Its steps run SQL of the user's: only a session of the job's own role does them. */
	bool		as_owner;

	/*
	 * What a human must set right ends it, instead of having it wait, and so do
	 * locks, for which its steps wait themselves: whoever asks for the same
	 * again has it go on where it was.
	 */
	bool		asked_again;
} DbopsJobKind;

extern void dbops_job_kind_register(const DbopsJobKind *kind);
extern const DbopsJobKind *dbops_job_kind_find(const char *name);

/* ---- job_work.c: do the steps of a job ---- */

/* How the engine keeps a job that is stored; see job_work.c for the order. */
typedef struct DbopsJobKeeper
{
	/* In the step's transaction, before the step: lock the cursor. */
	void		(*begin) (DbopsJob *job, void *arg);

	/* In the same transaction, after it: write the cursor. */
	void		(*save) (DbopsJob *job, const DbopsStep *step, void *arg);

	/*
	 * In a step that takes long: tell others how far it is; false: give the
	 * step up.
	 */
	bool		(*during) (DbopsJob *job, int64 done, int64 total, const char *waiting, void *arg);

	/* Before a part of a shared phase is worked on: remember which; 0: none. */
	void		(*take_part) (DbopsJob *job, int part, void *arg);

	/* Between steps: wait as long as something asks for it; false: leave the job. */
	bool		(*between) (DbopsJob *job, const DbopsStep *step, void *arg);
	void	   *arg;
} DbopsJobKeeper;

extern bool dbops_job_goes_on(DbopsJob *job, int64 done, int64 total, const char *waiting);
extern bool dbops_job_work(const DbopsJobKind *kind, DbopsJob *job,
						   const DbopsJobKeeper *keeper, Jsonb **result);

/* ---- job_setting.c: settings of the session that a job changes ---- */

extern void dbops_job_setting_put(const char *name, const char *value);
extern void dbops_job_settings_restore(void);

/* ---- job_part.c: share a phase among several processes ---- */

extern void dbops_job_part_step(const DbopsJobKind *kind, DbopsJob *job, void *state, DbopsStep *step);
typedef void (*DbopsPartCallback) (const Jsonb *position, void *arg);
extern void dbops_job_part_each(int64 job, DbopsPartCallback each, void *arg);
extern void dbops_job_part_release(int64 job, const int *alive, int n_alive);
extern bool dbops_job_part_fail(int64 job, int worker, const ErrorData *error);
extern int	dbops_job_part_crashes(int64 job, int part);

/* ---- job_gate.c: gates for work in the foreground ---- */

extern void dbops_job_gate_hook(char *(*closed) (void));
extern void dbops_job_gates_begin(void);
extern void dbops_job_gates_note(long ms);
extern double dbops_job_gates_waited(void);
extern void dbops_job_await_gates(void);
extern void dbops_job_tell_gate(const char *reason);

/* ---- job_submit.c: put a job in the queue ---- */

typedef struct DbopsJobRequest
{
	const char *kind;
	const char *name;			/* or NULL */
	Oid			owner;			/* the role that it runs as */
	const char *path;			/* search_path to run with */
	const char *command;		/* SQL, of kind command only; or NULL */
	Jsonb	   *spec;			/* or NULL */
	DbopsJobClass class;		/* of its first phase */
	bool		atomic;			/* its work commits together with its success */
	bool		idempotent;		/* doing it twice does no harm; work in steps without it is never given up */
	int			priority;		/* the highest goes first */
	TimestampTz run_after;		/* 0: now */
	long		timeout;		/* ms, of the command or of each step; 0: none */
	long		lock_timeout;	/* ms; 0: none */
	int			max_attempts;
	long		backoff;		/* ms before the second attempt; doubles, up to 1 hour */
	const char *dedupe_key;		/* while one with it is live, no second; or NULL */
	const char *schedule;		/* that it comes from; or NULL */
	const char *time_window;	/* when it may run; or NULL: at any time */
	const char *time_zone;		/* that the window is in; or NULL */
	bool		here;			/* the submitter goes on with dbops_job_run_here */
} DbopsJobRequest;

/* Values that submissions begin with. */
#define DBOPS_JOB_REQUEST \
	.timeout = 3600 * 1000L, .lock_timeout = 0, .max_attempts = 3, .backoff = 30 * 1000L

extern int64 dbops_job_submit(const DbopsJobRequest *request);
extern void dbops_job_submitted_hook(DbopsCallback hook);
extern bool dbops_job_workers_exist(void);
extern void dbops_job_run_here_hook(void (*hook) (int64 id));
extern void dbops_job_run_here(int64 id);
extern void dbops_job_have_done_hook(void (*hook) (int64 id, const Jsonb *terms, long patience));
extern void dbops_job_have_done(int64 id, const Jsonb *terms, long patience);

extern void dbops_job_end_idle_hook(bool (*hook) (int64 id));
extern bool dbops_job_end_idle(int64 id);

#endif							/* DBOPS_JOB_H */
