/*
 * backup.c
 *		Which backup is the newest, of all that somebody has recorded?
 *
 * The server makes no catalog of its backups. What it has of a base backup is
 * the history file that pg_backup_stop, which every tool ends with, leaves in
 * pg_wal until the next one: when it ended, at which position, and its label.
 * A server that does not archive removes that at once. Whoever keeps records
 * of other backups registers as a source.
 */
#include "core/server.h"

#include <sys/stat.h>

#include "access/timeline.h"
#include "access/xlog.h"
#include "access/xlog_internal.h"
#include "pgtime.h"
#include "storage/fd.h"
#include "utils/datetime.h"

#define MAX_SOURCES			8
#define HISTORY_FILE_BYTES	4096	/* it has a dozen lines */

static DbopsBackupSource sources[MAX_SOURCES];
static int	n_sources = 0;

static bool newest_base_backup(DbopsBackup *newest);
static bool read_history_file(const char *name, List *timelines, DbopsBackup *backup);
static char *read_text(const char *path, TimestampTz *written);
static char *value_of(const char *text, const char *key);
static bool is_of_our_past(const char *name, const char *stop, List *timelines);
static bool parse_log_time(const char *text, TimestampTz *time);

/* Let base backups be known. */
void
dbops_backup_init(void)
{
	dbops_backup_source_register(newest_base_backup);
}

/* Add who records backups; called when the library is loaded. */
void
dbops_backup_source_register(DbopsBackupSource source)
{
	if (n_sources == MAX_SOURCES)
		elog(ERROR, "too many sources of backups");
	sources[n_sources++] = source;
}

/* Find the newest backup of all sources; false: none is recorded. */
bool
dbops_backup_newest(DbopsBackup *newest)
{
	bool		found = false;

	for (int i = 0; i < n_sources; i++)
	{
		DbopsBackup backup = {0};

		if (!sources[i] (&backup) || (found && backup.ended <= newest->ended))
			continue;
		*newest = backup;
		found = true;
	}
	return found;
}

/* ---- base backups ---- */

/* The newest one from which this server's present can be reached. */
static bool
newest_base_backup(DbopsBackup *newest)
{
	List	   *timelines = RecoveryInProgress() ? NIL : readTimeLineHistory(GetWALInsertionTimeLine());
	DIR		   *directory = AllocateDir(XLOGDIR);
	struct dirent *entry;
	bool		found = false;

	while ((entry = ReadDir(directory, XLOGDIR)) != NULL)
	{
		DbopsBackup backup = {0};

		if (!IsBackupHistoryFileName(entry->d_name) ||
			!read_history_file(entry->d_name, timelines, &backup) ||
			(found && backup.ended <= newest->ended))
			continue;
		*newest = backup;
		found = true;
	}
	FreeDir(directory);
	return found;
}

/*
 * Read when a backup ended; false if that is not to be had from this file, or
 * it is of another past. The file says the time in the zone that the log had
 * then; if that was another one the time of the file itself may be earlier,
 * and the earlier one counts.
 */
static bool
read_history_file(const char *name, List *timelines, DbopsBackup *backup)
{
	TimestampTz written;
	char	   *text = read_text(psprintf(XLOGDIR "/%s", name), &written);
	char	   *stop = (text == NULL) ? NULL : value_of(text, "STOP WAL LOCATION: ");
	char	   *time = (text == NULL) ? NULL : value_of(text, "STOP TIME: ");

	if (stop == NULL || time == NULL || !is_of_our_past(name, stop, timelines) ||
		!parse_log_time(time, &backup->ended))
		return false;
	backup->ended = Min(backup->ended, written);
	backup->label = value_of(text, "LABEL: ");
	return true;
}

/*
 * Was this server started from a base backup, and not as a standby that was
 * promoted since? begun: when the backup was. Its label is set aside at that
 * start, and stays.
 */
bool
dbops_backup_restored(TimestampTz *begun)
{
	TimestampTz written;
	char	   *text = read_text(BACKUP_LABEL_OLD, &written);
	char	   *time = (text == NULL) ? NULL : value_of(text, "START TIME: ");
	char	   *timeline = (text == NULL) ? NULL : value_of(text, "START TIMELINE: ");

	return time != NULL && timeline != NULL &&
		strtoul(timeline, NULL, 10) == GetWALInsertionTimeLine() && parse_log_time(time, begun);
}

/* The beginning of a file, and when it was written; NULL: it has gone. */
static char *
read_text(const char *path, TimestampTz *written)
{
	FILE	   *file = AllocateFile(path, "r");
	char	   *text = palloc0(HISTORY_FILE_BYTES + 1);
	struct stat status;

	if (file == NULL && errno == ENOENT)
		return NULL;
	if (file == NULL || fstat(fileno(file), &status) != 0 ||
		(fread(text, 1, HISTORY_FILE_BYTES, file) == 0 && ferror(file)))
		ereport(ERROR,
				(errcode_for_file_access(),
				 errmsg("could not read file \"%s\": %m", path)));
	FreeFile(file);
	*written = time_t_to_timestamptz(status.st_mtime);
	return text;
}

/* The rest of the line that begins so; NULL: there is none. */
static char *
value_of(const char *text, const char *key)
{
	for (const char *line = text; line != NULL && *line != '\0'; line = strchr(line, '\n'))
	{
		line += strspn(line, "\n");
		if (strncmp(line, key, strlen(key)) == 0)
			return pnstrdup(line + strlen(key), strcspn(line + strlen(key), "\n"));
	}
	return NULL;
}

/*
 * Is the end of a backup a position that this server has been at? It is not
 * where the server was recovered to an earlier one since.
 */
static bool
is_of_our_past(const char *name, const char *stop, List *timelines)
{
	uint32		high;
	uint32		low;
	uint32		timeline;

	if (sscanf(stop, "%X/%X", &high, &low) != 2 || sscanf(name, "%8X", &timeline) != 1)
		return false;
	return timelines == NIL ||
		tliOfPointInHistory(((uint64) high) << 32 | low, timelines) == timeline;
}

/* A time as the server's log has it, without the zone's name, which few can read. */
static bool
parse_log_time(const char *text, TimestampTz *time)
{
	struct pg_tm tm = {0};
	int			zone;

	if (sscanf(text, "%d-%d-%d %d:%d:%d", &tm.tm_year, &tm.tm_mon, &tm.tm_mday,
			   &tm.tm_hour, &tm.tm_min, &tm.tm_sec) != 6)
		return false;
	zone = DetermineTimeZoneOffset(&tm, log_timezone);
	return tm2timestamp(&tm, 0, &zone, time) == 0;
}
