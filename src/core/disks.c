/*
 * disks.c
 *		How much room the file systems of WAL and of the tablespaces have.
 *
 * Free is what the server can still use (f_bavail, in units of f_frsize); the
 * blocks that only root may use count as neither used nor free, as in df.
 * Paths are not shown: whoever may watch the server need not know its disks.
 */
#include "core/server.h"

#include <math.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

#include "catalog/pg_tablespace_d.h"
#include "storage/fd.h"
#include "utils/builtins.h"

static void read_tablespaces(Disks *disks);
static void add_disk(Disks *disks, Oid oid, const char *tablespace, const char *path);
static const char *find_device(const Disks *disks, uint64 device);

/*
 * Ask every file system that holds something of the cluster. In a process that
 * must not hang, and of one that is known not to answer, it is as disk_watch.c has it.
 */
void
dbops_disks_read(Disks *disks)
{
	add_disk(disks, InvalidOid, NULL, "pg_wal");
	add_disk(disks, DEFAULTTABLESPACE_OID, "pg_default", "base");
	add_disk(disks, GLOBALTABLESPACE_OID, "pg_global", "global");
	read_tablespaces(disks);
}

/* Ask that of one tablespace, unless it is known not to answer; false: its figures are not known. */
bool
dbops_disk_of(Oid tablespace, Disk *disk)
{
	if (!dbops_disk_watched(tablespace, disk))
		dbops_disk_ask(tablespace == DEFAULTTABLESPACE_OID ? "base" : tablespace == GLOBALTABLESPACE_OID ? "global" :
					   psprintf("pg_tblspc/%u", tablespace), disk);
	return disk->silent == NULL && disk->total > 0;
}

/* Free of what is used or usable, in percent; NaN if it is not known. */
double
dbops_disk_free_percent(const Disk *disk)
{
	return dbops_figure_percent(disk->free, (double) disk->used + disk->free);
}

/* The other tablespaces have links, or directories, in pg_tblspc. */
static void
read_tablespaces(Disks *disks)
{
	DIR		   *links = AllocateDir("pg_tblspc");
	struct dirent *entry;

	while ((entry = ReadDir(links, "pg_tblspc")) != NULL)
	{
		Oid			oid = (Oid) strtoul(entry->d_name, NULL, 10);
		char	   *name = OidIsValid(oid) ? dbops_tablespace_name(oid) : NULL;

		if (name != NULL)
			add_disk(disks, oid, name, psprintf("pg_tblspc/%s", entry->d_name));
	}
	FreeDir(links);
}

static void
add_disk(Disks *disks, Oid oid, const char *tablespace, const char *path)
{
	Disk	   *disk = palloc0(sizeof(Disk));

	if (!dbops_disk_watched(oid, disk))
		dbops_disk_ask(path, disk);
	disk->tablespace = tablespace;
	disk->name = (tablespace == NULL) ? "WAL" : psprintf("tablespace %s", quote_identifier(tablespace));
	if (disk->total > 0)
		disk->same_as = find_device(disks, disk->device);
	disks->list = lappend(disks->list, disk);
}

/* Ask the file system of a directory, for as long as that may take; one that does not tell has a total of 0. */
void
dbops_disk_ask(const char *path, Disk *disk)
{
	struct statvfs room;
	struct stat status;

	if (stat(path, &status) == 0 && statvfs(path, &room) == 0)
	{
		disk->total = (int64) room.f_blocks * room.f_frsize;
		disk->used = (int64) (room.f_blocks - room.f_bfree) * room.f_frsize;
		disk->free = (int64) room.f_bavail * room.f_frsize;
		disk->files_free = dbops_figure_percent(room.f_favail, room.f_files);
		disk->read_only = (room.f_flag & ST_RDONLY) != 0;
		disk->device = (uint64) status.st_dev;
	}
	else
		disk->missing = (errno == ENOENT);
}

/* Name the first disk on a device. */
static const char *
find_device(const Disks *disks, uint64 device)
{
	ListCell   *cell;

	foreach(cell, disks->list)
	{
		const Disk *disk = lfirst(cell);

		if (disk->total > 0 && disk->device == device)
			return disk->name;
	}
	return NULL;
}
