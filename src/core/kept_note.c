/*
 * kept_note.c
 *		A note about the cluster that outlives the server: who, why, until when.
 *
 * It is in shared memory, changed when its transaction commits, and in a file,
 * so that it outlives the server: written under another name at the call, where
 * that may fail, and renamed at COMMIT under the lock that guards the memory. A
 * transaction that does that cannot be prepared. The file is where base backups leave things out, because the note
 * is not about a copy of the server. All of it works on a standby.
 */
#include "core/core.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "access/xact.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "port/pg_crc32c.h"
#include "storage/fd.h"
#include "utils/memutils.h"

#define MAGIC			0x64625031
#define REFUSAL			"begun or ended a pause of all jobs or maintenance mode"

typedef struct NoteFile
{
	uint32		magic;
	DbopsNote	note;
	pg_crc32c	crc;			/* of all before it */
} NoteFile;

/* A change that waits for its COMMIT. */
typedef struct Change
{
	DbopsKeptNote *kept;
	DbopsNote	note;
	DbopsCallback removed;		/* when it is no more; or NULL */
	char		file[MAXPGPATH];	/* to be renamed; empty: the kept one goes */
	MemoryContextCallback cleanup;
} Change;

static void path_of(const DbopsKeptNote *kept, char *path);
static bool read_file(const char *path, NoteFile *content);
static Change *begin_change(DbopsKeptNote *kept);
static void write_file(Change *change);
static void fail_to_write(int file, const char *path);
static void remove_leftover(void *arg);
static void apply_change(void *arg);
static void sync_directory(void);
static const char *readable(const char *text, int encoding);

/* Fill the new memory after a restart. Runs in the postmaster: must not fail. */
void
dbops_note_restore(const DbopsKeptNote *kept, DbopsNote *place)
{
	char		path[MAXPGPATH];
	NoteFile	content;

	path_of(kept, path);
	if (read_file(path, &content))
		*place = content.note;
}

static void
path_of(const DbopsKeptNote *kept, char *path)
{
	snprintf(path, MAXPGPATH, "%s/%s", PG_STAT_TMP_DIR, kept->file_name);
}

/* Read the file; false if there is none, or none that is whole. */
static bool
read_file(const char *path, NoteFile *content)
{
	int			file = BasicOpenFile(path, O_RDONLY | PG_BINARY);
	pg_crc32c	crc;
	ssize_t		got;

	if (file < 0 && errno == ENOENT)
		return false;
	got = (file < 0) ? -1 : read(file, content, sizeof(NoteFile));
	if (file >= 0)
		close(file);
	INIT_CRC32C(crc);
	COMP_CRC32C(crc, content, offsetof(NoteFile, crc));
	FIN_CRC32C(crc);
	if (got == sizeof(NoteFile) && content->magic == MAGIC && EQ_CRC32C(crc, content->crc))
		return true;
	ereport(LOG,
			(errmsg("dbops cannot read \"%s\" and goes on as if it were not there", path)));
	return false;
}

/* Keep a note from the COMMIT of this transaction on. */
void
dbops_note_keep(DbopsKeptNote *kept, const char *by, const char *reason, TimestampTz until)
{
	Change	   *change = begin_change(kept);

	change->note.since = dbops_clock_now();
	change->note.until = until;
	change->note.encoding = GetDatabaseEncoding();
	strlcpy(change->note.by, by, sizeof(change->note.by));
	strlcpy(change->note.reason, reason, sizeof(change->note.reason));
	write_file(change);
	dbops_at_commit_only(apply_change, change, REFUSAL);
}

/* Forget it likewise, and then call back, where nothing may fail. */
void
dbops_note_remove(DbopsKeptNote *kept, DbopsCallback removed)
{
	Change	   *change = begin_change(kept);

	change->removed = removed;
	dbops_at_commit_only(apply_change, change, REFUSAL);
}

/* Read it, its texts as this database can show them; since is 0 where there is none. */
DbopsNote
dbops_note_read(const DbopsKeptNote *kept)
{
	DbopsNote	note = {0};

	if (kept->place == NULL)
		return note;
	LWLockAcquire(kept->lock, LW_SHARED);
	note = *kept->place;
	LWLockRelease(kept->lock);
	strlcpy(note.by, readable(note.by, note.encoding), sizeof(note.by));
	strlcpy(note.reason, readable(note.reason, note.encoding), sizeof(note.reason));
	return note;
}

/* Of this transaction; each call has its own, and its own file. */
static Change *
begin_change(DbopsKeptNote *kept)
{
	Change	   *change = MemoryContextAllocZero(TopTransactionContext, sizeof(Change));

	change->kept = kept;
	change->cleanup.func = remove_leftover;
	change->cleanup.arg = change;
	MemoryContextRegisterResetCallback(TopTransactionContext, &change->cleanup);
	return change;
}

/* Write what will be the file when the transaction has committed. */
static void
write_file(Change *change)
{
	static uint32 number = 0;
	NoteFile	content;
	int			file;

	memset(&content, 0, sizeof(content));
	content.magic = MAGIC;
	content.note = change->note;
	INIT_CRC32C(content.crc);
	COMP_CRC32C(content.crc, &content, offsetof(NoteFile, crc));
	FIN_CRC32C(content.crc);

	snprintf(change->file, MAXPGPATH, "%s/%s.%d.%u", PG_STAT_TMP_DIR,
			 change->kept->file_name, MyProcPid, number++);
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
			 errdetail("What it says would not outlive the server."),
			 errhint("Make room in the data directory.")));
}

/* At the end of the transaction: what COMMIT has not renamed. */
static void
remove_leftover(void *arg)
{
	const Change *change = arg;

	if (change->file[0] != '\0')
		(void) unlink(change->file);
}

/* At COMMIT: nothing may fail here any more, so what does is only logged. */
static void
apply_change(void *arg)
{
	Change	   *change = arg;
	bool		keeps = (change->file[0] != '\0');
	char		path[MAXPGPATH];
	int			result;

	path_of(change->kept, path);
	LWLockAcquire(change->kept->lock, LW_EXCLUSIVE);
	*change->kept->place = change->note;
	result = keeps ? rename(change->file, path) : unlink(path);
	LWLockRelease(change->kept->lock);
	if (result != 0 && (keeps || errno != ENOENT))
		ereport(LOG,
				(errcode_for_file_access(),
				 errmsg("could not %s file \"%s\": %m", keeps ? "write" : "remove", path)));
	sync_directory();
	if (!keeps && change->removed != NULL)
		change->removed(NULL);
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
