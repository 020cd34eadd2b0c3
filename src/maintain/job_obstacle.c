/*
 * job_obstacle.c
 *		Why a job does not start now, for the scheduler and for whoever asks.
 *
 * Both ask the same function, so that what a user reads is what holds the job
 * up, with the figures of the moment; nothing of it is stored.
 */
#include "maintain/maintain.h"

#include "access/htup_details.h"
#include "access/xlog.h"
#include "catalog/pg_database.h"
#include "miscadmin.h"
#include "pgtime.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/syscache.h"

static char *window_obstacle(const StoredJob *job, TimestampTz now);
static char *worker_obstacle(void);
static bool is_template(void);

/* Why a queued job does not start now; NULL: it may, if a process is to be had. */
char *
dbops_job_obstacle(const StoredJob *job, TimestampTz now)
{
	int64		other;
	char	   *reason;

	if (job->run_after > now)
		return psprintf(job->ending ? "for others to leave its table, to end; looks again at %s" : "until %s",
						timestamptz_to_str(job->run_after));
	if (job->ending != NULL)
		return NULL;
	if ((reason = dbops_schedule_obstacle(job->job.id)) != NULL)
		return reason;
	other = dbops_runner_enter_class(-1, job->class);
	if (other != 0)
		return dbops_job_class_obstacle(other);
	return dbops_job_obstacle_within(job, now);
}

/* Why one that is begun does not go on with its next step; NULL: it may. */
char *
dbops_job_obstacle_within(const StoredJob *job, TimestampTz now)
{
	char	   *reason;

	if ((reason = dbops_gate_paused()) != NULL)
		return reason;
	if ((reason = window_obstacle(job, now)) != NULL)
		return reason;
	return dbops_gate_closed(dbops_job_is_heavy(job));
}

/* Say that a job of a conflicting class is in the way. */
char *
dbops_job_class_obstacle(int64 other)
{
	return psprintf("for job " INT64_FORMAT ", because one of the two would wait for the other's snapshots", other);
}

/* Does it leave many dead rows, or wait for old snapshots, in the phase that it is in? */
bool
dbops_job_is_heavy(const StoredJob *job)
{
	const DbopsJobKind *kind = dbops_job_kind_find(job->job.kind);

	if (kind != NULL && job->job.phase < kind->n_phases)
		return kind->phases[job->job.phase].class != DBOPS_CLASS_PLAIN;
	return job->class != DBOPS_CLASS_PLAIN;
}

static char *
window_obstacle(const StoredJob *job, TimestampTz now)
{
	Window	   *window;
	pg_tz	   *zone;

	if (job->time_window == NULL)
		return NULL;
	window = dbops_window_parse(job->time_window);
	zone = (job->time_zone != NULL) ? pg_tzset(job->time_zone) : session_timezone;
	if (zone == NULL)
		return psprintf("because there is no time zone %s", job->time_zone);
	if (dbops_window_open(window, now, zone))
		return NULL;
	return psprintf("for the window %s (%s), which opens %s", job->time_window,
					pg_get_timezone_name(zone),
					timestamptz_to_str(dbops_window_next(window, now, zone)));
}

/*
 * What a queued job waits for, as a user reads it: also what keeps all jobs
 * from running.
 */
char *
dbops_job_waits_for(const StoredJob *job, TimestampTz now)
{
	char	   *reason;

	if (dbops_engine == NULL && job->ending != NULL)
		return "for cancel_job(), because dbops is not in shared_preload_libraries";
	if (dbops_engine == NULL)
		return "for CALL dbops.run_job(), because dbops is not in shared_preload_libraries";
	if (RecoveryInProgress())
		return "for this server's promotion, because it is a standby";
	if ((reason = dbops_identity_refusal()) != NULL)
		return reason;
	if ((reason = dbops_job_obstacle(job, now)) != NULL)
		return reason;
	return worker_obstacle();
}

/* Is there a process to be had? */
static char *
worker_obstacle(void)
{
	int			busy = 0;
	bool		no_process;
	bool		launcher;

	LWLockAcquire(dbops_engine_lock, LW_SHARED);
	no_process = dbops_engine->no_process_slot;
	launcher = (dbops_engine->launcher_pid != 0);
	for (int i = 0; i < ENGINE_RUNNERS; i++)
		if (dbops_engine->runners[i].state != RUNNER_FREE && !dbops_engine->runners[i].foreground)
			busy++;
	LWLockRelease(dbops_engine_lock);

	if (is_template())
		return "because this database is a template, in which nothing runs";
	if (!launcher)
		return "for the launcher, which is not running";
	if (busy >= dbops_max_workers)
		return psprintf("for one of %d workers (dbops.max_workers), which are busy", dbops_max_workers);
	if (no_process)
		return psprintf("for a process: all %d of max_worker_processes are in use", max_worker_processes);
	return "for the scheduler, which is about to start it";
}

/* The launcher leaves templates alone, for CREATE DATABASE. */
static bool
is_template(void)
{
	HeapTuple	row = SearchSysCache1(DATABASEOID, ObjectIdGetDatum(MyDatabaseId));
	bool		template = HeapTupleIsValid(row) && ((Form_pg_database) GETSTRUCT(row))->datistemplate;

	if (HeapTupleIsValid(row))
		ReleaseSysCache(row);
	return template;
}

/*
 * As whom a runner logs in. A role that cannot log in, where the server does
 * not allow that, has its steps done under its id by the superuser.
 */
Oid
dbops_job_login(const StoredJob *job)
{
	if (NOLOGIN_ROLES_RUN || dbops_role_can_login(job->job.owner))
		return job->job.owner;
	return InvalidOid;
}

/* Does it run SQL of the user's, for which nobody but its role will do? */
bool
dbops_job_runs_as_owner(const StoredJob *job)
{
	const DbopsJobKind *kind = dbops_job_kind_find(job->job.kind);

	return job->command != NULL || (kind != NULL && kind->as_owner);
}

/* Why no process can run this job as its role; NULL: one can. */
char *
dbops_job_role_refusal(const StoredJob *job)
{
	if (!SearchSysCacheExists1(AUTHOID, ObjectIdGetDatum(job->job.owner)))
		return psprintf("role with OID %u does not exist any more", job->job.owner);
	if (dbops_job_runs_as_owner(job) && !OidIsValid(dbops_job_login(job)))
		return psprintf("role \"%s\" cannot log in", GetUserNameFromId(job->job.owner, false));
	return NULL;
}
