/*
 * pause.c
 *		pause_jobs() and resume_jobs(): nothing new starts, steps end.
 *
 * The pause of a database is a row. That of the cluster is in shared memory,
 * changed when its transaction commits, and in a file, so that it outlives the
 * server: written under another name at the call, where that may fail, and
 * renamed at COMMIT, or PREPARE, under the lock that guards the memory. The file is where
 * base backups leave things out, because a copy of the server is not paused.
 */
#include "maintain/maintain.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "access/xact.h"
#include "catalog/pg_type.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "port/pg_crc32c.h"
#include "storage/fd.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

#define PAUSE_FILE		PG_STAT_TMP_DIR "/dbops.paused"
#define PAUSE_MAGIC		0x64625031
#define REASON_SIZE		256

PG_FUNCTION_INFO_V1(dbops_pause_jobs);
PG_FUNCTION_INFO_V1(dbops_resume_jobs);

/* Of the cluster. */
typedef struct Pause
{
	TimestampTz since;			/* 0: not paused */
	TimestampTz until;			/* DT_NOEND: until it is resumed */
	int			encoding;		/* of the texts */
	char		by[NAMEDATALEN];
	char		reason[REASON_SIZE];
} Pause;

typedef struct PauseFile
{
	uint32		magic;
	Pause		pause;
	pg_crc32c	crc;			/* of all before it */
} PauseFile;

/* A change that waits for its COMMIT. */
typedef struct PauseChange
{
	Pause		pause;
	char		file[MAXPGPATH];	/* to be renamed; empty: PAUSE_FILE goes */
	MemoryContextCallback cleanup;
} PauseChange;

static Pause *cluster_pause = NULL; /* NULL: not preloaded */
static LWLock *cluster_pause_lock = NULL;

static void restore(void *place);
static bool read_file(PauseFile *content);
static char *check_reason(FunctionCallInfo fcinfo);
static TimestampTz check_until(FunctionCallInfo fcinfo);
static bool check_whole_cluster(FunctionCallInfo fcinfo, int argument);
static void pause_database(const char *by, const char *reason, TimestampTz until);
static void pause_cluster(const char *by, const char *reason, TimestampTz until);
static bool resume_database(void);
static bool resume_cluster(void);
static Pause read_cluster(void);
static PauseChange *begin_change(void);
static void write_file(PauseChange *change);
static void fail_to_write(int file, const char *path);
static void remove_leftover(void *arg);
static void apply_change(void *arg);
static void sync_directory(void);
static void take_database_pause(HeapTuple row, TupleDesc desc, void *arg);
static char *describe(const char *what, const char *by, TimestampTz since,
					  TimestampTz until, const char *reason);
static const char *describe_time(TimestampTz time);
static const char *readable(const char *text, int encoding);

/* Ask for the shared memory. */
void
dbops_pause_init(void)
{
	dbops_shared_request("dbops pause", sizeof(Pause), restore,
						 (void **) &cluster_pause, &cluster_pause_lock);
}

/* Go on being paused after a restart. Runs in the postmaster: must not fail. */
static void
restore(void *place)
{
	PauseFile	content;

	if (read_file(&content))
		*(Pause *) place = content.pause;
}

/* Read the file; false if there is none, or none that is whole. */
static bool
read_file(PauseFile *content)
{
	int			file = BasicOpenFile(PAUSE_FILE, O_RDONLY | PG_BINARY);
	pg_crc32c	crc;
	ssize_t		got;

	if (file < 0 && errno == ENOENT)
		return false;
	got = (file < 0) ? -1 : read(file, content, sizeof(PauseFile));
	if (file >= 0)
		close(file);
	INIT_CRC32C(crc);
	COMP_CRC32C(crc, content, offsetof(PauseFile, crc));
	FIN_CRC32C(crc);
	if (got == sizeof(PauseFile) && content->magic == PAUSE_MAGIC && EQ_CRC32C(crc, content->crc))
		return true;
	ereport(LOG,
			(errmsg("dbops cannot read \"%s\": jobs are not paused", PAUSE_FILE)));
	return false;
}

/* ---- the calls ---- */

/* pause_jobs(reason text, until timestamptz, whole_cluster boolean) → void */
Datum
dbops_pause_jobs(PG_FUNCTION_ARGS)
{
	const char *by = GetUserNameFromId(GetUserId(), false);
	const char *reason = check_reason(fcinfo);
	TimestampTz until = check_until(fcinfo);

	if (check_whole_cluster(fcinfo, 2))
		pause_cluster(by, reason, until);
	else
		pause_database(by, reason, until);
	PG_RETURN_VOID();
}

/* resume_jobs(whole_cluster boolean) → boolean: whether they were paused */
Datum
dbops_resume_jobs(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(check_whole_cluster(fcinfo, 0) ? resume_cluster() : resume_database());
}

static char *
check_reason(FunctionCallInfo fcinfo)
{
	char	   *reason = PG_ARGISNULL(0) ? "" : text_to_cstring(PG_GETARG_TEXT_PP(0));

	if (strspn(reason, " \t\r\n") == strlen(reason))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("reason must not be empty"),
				 errhint("Say why, for those who wonder later why nothing runs.")));
	if (strlen(reason) >= REASON_SIZE)
		ereport(ERROR,
				(errcode(ERRCODE_STRING_DATA_RIGHT_TRUNCATION),
				 errmsg("reason must not be longer than %d bytes", REASON_SIZE - 1)));
	return reason;
}

static TimestampTz
check_until(FunctionCallInfo fcinfo)
{
	TimestampTz until = PG_ARGISNULL(1) ? DT_NOEND : PG_GETARG_TIMESTAMPTZ(1);

	if (until <= dbops_clock_now())
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("until must be in the future"),
				 errhint("Leave it out to pause until resume_jobs is called.")));
	return until;
}

static bool
check_whole_cluster(FunctionCallInfo fcinfo, int argument)
{
	if (PG_ARGISNULL(argument))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("whole_cluster must not be null")));
	if (PG_GETARG_BOOL(argument) && cluster_pause == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("the jobs of the whole cluster can be paused only when dbops is preloaded"),
				 errhint("Add dbops to shared_preload_libraries and restart the server.")));
	return PG_GETARG_BOOL(argument);
}

/* ---- a database ---- */

static void
pause_database(const char *by, const char *reason, TimestampTz until)
{
	DbopsParam	params[] = {
		dbops_param_text(by),
		dbops_param_time(dbops_clock_now()),
		dbops_param_time(until),
		dbops_param_text(reason)
	};

	dbops_store_each("INSERT INTO dbops.pause (paused_by, paused_at, paused_until, reason) VALUES ($1, $2, $3, $4)"
					 " ON CONFLICT (one) DO UPDATE SET paused_by = excluded.paused_by, paused_at = excluded.paused_at,"
					 " paused_until = excluded.paused_until, reason = excluded.reason",
					 lengthof(params), params, NULL, NULL);
}

static bool
resume_database(void)
{
	Datum		was_paused;

	dbops_at_commit(dbops_engine_wake_at_commit, NULL);
	return dbops_store_value("DELETE FROM dbops.pause RETURNING true", 0, NULL, BOOLOID, &was_paused);
}

/* ---- the cluster ---- */

static void
pause_cluster(const char *by, const char *reason, TimestampTz until)
{
	PauseChange *change = begin_change();

	change->pause.since = dbops_clock_now();
	change->pause.until = until;
	change->pause.encoding = GetDatabaseEncoding();
	strlcpy(change->pause.by, by, NAMEDATALEN);
	strlcpy(change->pause.reason, reason, REASON_SIZE);
	write_file(change);
	dbops_at_commit(apply_change, change);
}

static bool
resume_cluster(void)
{
	dbops_at_commit(apply_change, begin_change());
	return read_cluster().since != 0;
}

static Pause
read_cluster(void)
{
	Pause		pause = {0};

	if (cluster_pause == NULL)
		return pause;
	LWLockAcquire(cluster_pause_lock, LW_SHARED);
	pause = *cluster_pause;
	LWLockRelease(cluster_pause_lock);
	return pause;
}

/* Of this transaction; each call has its own, and its own file. */
static PauseChange *
begin_change(void)
{
	PauseChange *change = MemoryContextAllocZero(TopTransactionContext, sizeof(PauseChange));

	change->cleanup.func = remove_leftover;
	change->cleanup.arg = change;
	MemoryContextRegisterResetCallback(TopTransactionContext, &change->cleanup);
	return change;
}

/* Write what will be the file when the transaction has committed. */
static void
write_file(PauseChange *change)
{
	static uint32 number = 0;
	PauseFile	content;
	int			file;

	memset(&content, 0, sizeof(content));
	content.magic = PAUSE_MAGIC;
	content.pause = change->pause;
	INIT_CRC32C(content.crc);
	COMP_CRC32C(content.crc, &content, offsetof(PauseFile, crc));
	FIN_CRC32C(content.crc);

	snprintf(change->file, MAXPGPATH, "%s.%d.%u", PAUSE_FILE, MyProcPid, number++);
	file = OpenTransientFile(change->file, O_WRONLY | O_CREAT | O_TRUNC | PG_BINARY);
	if (file < 0)
		fail_to_write(file, change->file);
	errno = 0;
	if (write(file, &content, sizeof(content)) != sizeof(content))
	{
		errno = (errno != 0) ? errno : ENOSPC;
		fail_to_write(file, change->file);
	}
	if (pg_fsync(file) != 0)
		fail_to_write(file, change->file);
	CloseTransientFile(file);
}

static void
fail_to_write(int file, const char *path)
{
	ereport(ERROR,
			(errcode_for_file_access(),
			 errmsg("could not write file \"%s\": %m", path),
			 errdetail("The pause would not outlive the server."),
			 errhint("Make room in the data directory, or pause the jobs of single databases.")));
}

/* At the end of the transaction: what COMMIT has not renamed. */
static void
remove_leftover(void *arg)
{
	const PauseChange *change = arg;

	if (change->file[0] != '\0')
		(void) unlink(change->file);
}

/* At COMMIT: nothing may fail here any more, so what does is only logged. */
static void
apply_change(void *arg)
{
	PauseChange *change = arg;
	bool		pauses = (change->file[0] != '\0');
	int			result;

	LWLockAcquire(cluster_pause_lock, LW_EXCLUSIVE);
	*cluster_pause = change->pause;
	result = pauses ? rename(change->file, PAUSE_FILE) : unlink(PAUSE_FILE);
	LWLockRelease(cluster_pause_lock);
	if (result != 0 && (pauses || errno != ENOENT))
		ereport(LOG,
				(errcode_for_file_access(),
				 errmsg("could not %s file \"%s\": %m", pauses ? "write" : "remove", PAUSE_FILE)));
	sync_directory();
	if (!pauses)
		dbops_engine_wake_all();
}

/* Make the renaming itself durable. */
static void
sync_directory(void)
{
	int			directory = BasicOpenFile(PG_STAT_TMP_DIR, O_RDONLY | PG_BINARY);

	if (directory < 0)
		return;
	(void) pg_fsync(directory);
	close(directory);
}

/* ---- is it paused? ---- */

/*
 * Whether this database or the cluster is paused, and why, as a user reads it;
 * NULL: it is not. Needs a transaction.
 */
char *
dbops_gate_paused(void)
{
	Pause		pause = read_cluster();
	char	   *paused = NULL;

	if (pause.since != 0 && pause.until > dbops_clock_now())
		return describe("all databases paused", readable(pause.by, pause.encoding),
						pause.since, pause.until, readable(pause.reason, pause.encoding));
	dbops_store_each("SELECT paused_by, paused_at, paused_until, reason FROM dbops.pause",
					 0, NULL, take_database_pause, &paused);
	return paused;
}

/* A pause whose time has passed is none. */
static void
take_database_pause(HeapTuple row, TupleDesc desc, void *arg)
{
	TimestampTz until = dbops_row_time(row, desc, 3);

	if (until > dbops_clock_now())
		*(char **) arg = describe("paused", dbops_row_text(row, desc, 1),
								  dbops_row_time(row, desc, 2), until, dbops_row_text(row, desc, 4));
}

static char *
describe(const char *what, const char *by, TimestampTz since, TimestampTz until, const char *reason)
{
	return psprintf("%s by %s since %s%s%s: %s", what, by, describe_time(since),
					until == DT_NOEND ? "" : " until ",
					until == DT_NOEND ? "" : describe_time(until), reason);
}

/* To the second, as a copy: the server's own function has one buffer. */
static const char *
describe_time(TimestampTz time)
{
	return pstrdup(timestamptz_to_str(time - time % USECS_PER_SEC));
}

/* A text of another database may be in an encoding that this one has not. */
static const char *
readable(const char *text, int encoding)
{
	char	   *copy = pstrdup(text);

	if (encoding != GetDatabaseEncoding())
		for (char *c = copy; *c != '\0'; c++)
			if (IS_HIGHBIT_SET(*c))
				*c = '?';
	return copy;
}
