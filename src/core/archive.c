/*
 * archive.c
 *		What there is of WAL, and what waits to be archived.
 */
#include "core/server.h"

#include "access/xlog.h"
#include "access/xlog_internal.h"
#include "common/string.h"
#include "storage/fd.h"

static int	count_files(const char *path, bool (*counts) (const char *name), int at_most);
static bool is_ready(const char *name);
static bool is_wal(const char *name);

/* Does this server archive WAL? */
bool
dbops_archive_on(void)
{
	return RecoveryInProgress() ? XLogArchivingAlways() : XLogArchivingActive();
}

/*
 * Count the files that wait to be archived, no further than asked. The archiver
 * is told by files whose names say so.
 */
int
dbops_archive_waiting(int at_most)
{
	int			files;
	int			waiting;

	if (dbops_disk_watched_wal(&files, &waiting))
		return Min(waiting, at_most);
	return count_files(XLOGDIR "/archive_status", is_ready, at_most);
}

/* Count the files of WAL, no further than asked. */
int
dbops_wal_files(int at_most)
{
	int			files;
	int			waiting;

	if (dbops_disk_watched_wal(&files, &waiting))
		return Min(files, at_most);
	return count_files(XLOGDIR, is_wal, at_most);
}

static int
count_files(const char *path, bool (*counts) (const char *name), int at_most)
{
	DIR		   *directory = AllocateDir(path);
	struct dirent *entry;
	int			n = 0;

	while (n < at_most && (entry = ReadDir(directory, path)) != NULL)
		if (counts(entry->d_name))
			n++;
	FreeDir(directory);
	return n;
}

static bool
is_ready(const char *name)
{
	return pg_str_endswith(name, ".ready");
}

static bool
is_wal(const char *name)
{
	return IsXLogFileName(name) || IsPartialXLogFileName(name);
}
