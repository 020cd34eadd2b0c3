/*
 * archive.c
 *		What waits to be archived.
 */
#include "core/server.h"

#include "access/xlog.h"
#include "access/xlog_internal.h"
#include "common/string.h"
#include "storage/fd.h"

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
	static const char path[] = XLOGDIR "/archive_status";
	DIR		   *directory = AllocateDir(path);
	struct dirent *entry;
	int			waiting = 0;

	while (waiting < at_most && (entry = ReadDir(directory, path)) != NULL)
		if (pg_str_endswith(entry->d_name, ".ready"))
			waiting++;
	FreeDir(directory);
	return waiting;
}
