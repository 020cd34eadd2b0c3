/*
 * starts.c
 *		How the server came to run: was it shut down before, has it crashed since?
 *
 * When a process crashes, the server ends all of them and begins anew, with new
 * shared memory, but the postmaster goes on. So the postmaster counts: each time
 * that shared memory is filled but for the first. What it has counted it puts
 * there, for all who come later. Whether the server was shut down stands in its
 * control file until it runs. A base backup was not, and says so by its label.
 *
 * The kernel kills for want of memory, and that is a crash. How many it had killed
 * is noted each time, since the memory of samples is new as well.
 */
#include "core/server.h"

#include <unistd.h>

#include "access/xlog.h"
#include "catalog/pg_control.h"
#include "common/controldata_utils.h"
#include "miscadmin.h"

/* In the postmaster, and inherited from it. */
static Starts counted;
static int	n_starts = 0;
static double kills_seen;

static Starts *shared_starts = NULL;	/* or NULL */
static LWLock *shared_starts_lock = NULL;

static bool was_shut_down(void);
static void count_start(void *piece);
static void note_crash(void);

/* Look at the control file before the server changes it, and count from now on. */
void
dbops_starts_init(void)
{
	if (!process_shared_preload_libraries_in_progress)
		return;
	counted.unclean = !was_shut_down();
	dbops_shared_request("dbops starts", sizeof(Starts), count_start,
						 (void **) &shared_starts, &shared_starts_lock);
}

static bool
was_shut_down(void)
{
	bool		sound;
	ControlFileData *control = get_controlfile(DataDir, &sound);
	DBState		state = control->state;

	pfree(control);
	return !sound || state == DB_SHUTDOWNED || state == DB_SHUTDOWNED_IN_RECOVERY ||
		access(BACKUP_LABEL_FILE, F_OK) == 0;
}

/* Runs in the postmaster: must not fail. */
static void
count_start(void *piece)
{
	double		kills = dbops_host_kills();

	counted.kills = (n_starts == 0 || isnan(kills) || isnan(kills_seen)) ? 0 : Max(0, kills - kills_seen);
	kills_seen = kills;
	if (n_starts++ > 0)
		note_crash();
	*(Starts *) piece = counted;
}

static void
note_crash(void)
{
	memmove(&counted.crashed_at[1], &counted.crashed_at[0], sizeof(TimestampTz) * (KNOWN_CRASHES - 1));
	counted.crashed_at[0] = GetCurrentTimestamp();
	counted.crashes++;
}

/* Read what was counted; false: nobody has, since dbops is not preloaded. */
bool
dbops_starts_read(Starts *starts)
{
	if (shared_starts == NULL)
		return false;
	*starts = *shared_starts;
	return true;
}
