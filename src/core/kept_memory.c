/*
 * kept_memory.c
 *		Shared memory that outlives a clean restart.
 *
 * The server keeps its statistics when it is stopped and started again. Who
 * compares them with what they were must keep that too: the postmaster writes it
 * to a file when it exits as it was told to, and reads it when the next one fills
 * its memory. The file is removed as soon as it has been read. So after a crash,
 * in a base backup and in a cluster that pg_upgrade has made there is none, and
 * everything begins anew, as the server's own statistics do.
 *
 * A file that is torn, or of another server version or another layout, is not
 * used, and the log says so.
 */
#include "core/core.h"

#include <unistd.h>

#include "catalog/catversion.h"
#include "pgstat.h"
#include "port/pg_crc32c.h"
#include "storage/fd.h"
#include "storage/ipc.h"

#define MAGIC			0x64624d31

/* What the file begins with; the content follows, and a checksum of both. */
typedef struct Header
{
	uint32		magic;
	uint32		server;			/* the version of its catalogs, which is that of its files */
	uint32		version;		/* of the layout of the content */
	uint32		unused;
	uint64		size;			/* bytes of the content */
	TimestampTz stopped;
} Header;

static bool read_file(const DbopsKeptMemory *kept, const char *path);
static bool read_content(const DbopsKeptMemory *kept, FILE *file, Header *header);
static bool is_ours(const DbopsKeptMemory *kept, const Header *header);
static void keep_at_exit(int code, Datum arg);
static void write_file(const DbopsKeptMemory *kept, Size size, const char *path);
static bool write_content(const DbopsKeptMemory *kept, Size size, FILE *file);
static pg_crc32c checksum(const Header *header, const void *content);

/*
 * Fill new, zeroed memory with what was kept of it, and have it kept. False:
 * there is nothing, and it is zeroed. Runs in the postmaster: must not fail.
 */
bool
dbops_memory_restore(DbopsKeptMemory *kept, void *piece)
{
	char		path[MAXPGPATH];
	bool		restored;

	kept->piece = piece;
	on_shmem_exit(keep_at_exit, PointerGetDatum(kept));
	snprintf(path, MAXPGPATH, "%s/%s", PGSTAT_STAT_PERMANENT_DIRECTORY, kept->file_name);
	restored = read_file(kept, path);
	if (!restored)
		memset(piece, 0, kept->size);
	if (unlink(path) != 0 && errno != ENOENT)
		ereport(LOG,
				(errcode_for_file_access(),
				 errmsg("could not remove file \"%s\": %m", path)));
	return restored;
}

static bool
read_file(const DbopsKeptMemory *kept, const char *path)
{
	FILE	   *file = AllocateFile(path, PG_BINARY_R);
	Header		header;
	bool		restored;

	if (file == NULL && errno == ENOENT)
		return false;
	restored = file != NULL && read_content(kept, file, &header) &&
		kept->is_sound(kept->piece, header.size, header.stopped);
	if (file != NULL)
		FreeFile(file);
	if (!restored)
		ereport(LOG,
				(errmsg("dbops cannot use \"%s\" and goes on as if it were not there", path)));
	return restored;
}

/* False: it is not of this server and this layout, or not whole. */
static bool
read_content(const DbopsKeptMemory *kept, FILE *file, Header *header)
{
	pg_crc32c	crc;

	return fread(header, sizeof(Header), 1, file) == 1 && is_ours(kept, header) &&
		fread(kept->piece, header->size, 1, file) == 1 &&
		fread(&crc, sizeof(crc), 1, file) == 1 && fgetc(file) == EOF &&
		EQ_CRC32C(crc, checksum(header, kept->piece));
}

static bool
is_ours(const DbopsKeptMemory *kept, const Header *header)
{
	return header->magic == MAGIC && header->server == CATALOG_VERSION_NO &&
		header->version == kept->version && header->size > 0 && header->size <= kept->size;
}

/* Not where memory may be damaged. */
static void
keep_at_exit(int code, Datum arg)
{
	const DbopsKeptMemory *kept = (const DbopsKeptMemory *) DatumGetPointer(arg);
	char		path[MAXPGPATH];
	Size		size;

	if (code != 0)
		return;
	size = kept->keep(kept->piece);
	if (size == 0)
		return;
	snprintf(path, MAXPGPATH, "%s/%s", PGSTAT_STAT_PERMANENT_DIRECTORY, kept->file_name);
	write_file(kept, size, path);
}

/* Write it under another name first, so that there is never half a file. */
static void
write_file(const DbopsKeptMemory *kept, Size size, const char *path)
{
	char		temporary[MAXPGPATH + 4];
	FILE	   *file;
	bool		written;

	snprintf(temporary, sizeof(temporary), "%s.tmp", path);
	file = AllocateFile(temporary, PG_BINARY_W);
	written = (file != NULL && write_content(kept, size, file));
	if (file != NULL && FreeFile(file) != 0)
		written = false;
	if (written)
		(void) durable_rename(temporary, path, LOG);
	else
	{
		ereport(LOG,
				(errcode_for_file_access(),
				 errmsg("could not write file \"%s\": %m", temporary)));
		(void) unlink(temporary);
	}
}

static bool
write_content(const DbopsKeptMemory *kept, Size size, FILE *file)
{
	Header		header;
	pg_crc32c	crc;

	memset(&header, 0, sizeof(header));
	header.magic = MAGIC;
	header.server = CATALOG_VERSION_NO;
	header.version = kept->version;
	header.size = size;
	header.stopped = GetCurrentTimestamp();
	crc = checksum(&header, kept->piece);
	return fwrite(&header, sizeof(header), 1, file) == 1 &&
		fwrite(kept->piece, size, 1, file) == 1 &&
		fwrite(&crc, sizeof(crc), 1, file) == 1;
}

static pg_crc32c
checksum(const Header *header, const void *content)
{
	pg_crc32c	crc;

	INIT_CRC32C(crc);
	COMP_CRC32C(crc, header, sizeof(Header));
	COMP_CRC32C(crc, content, header->size);
	FIN_CRC32C(crc);
	return crc;
}
