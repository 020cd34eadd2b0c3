/*
 * disk_usage.c
 *		disk_usage(): the disks of the server, and what the databases take.
 *
 * Places on one device share its room, which is told with each; the later ones
 * say whose they share. What a database takes is known if somebody measures it,
 * and as of when.
 */
#include "observe/report.h"

#include "access/xlog.h"
#include "access/xlog_internal.h"
#include "storage/fd.h"

PG_FUNCTION_INFO_V1(dbops_disk_usage);

static void put_disk(ReportRow *row, const Disk *disk);
static int64 wal_bytes(void);
static void put_database(ReportRow *row, const DatabaseSize *size);

/* disk_usage() → WAL, tablespaces, databases */
Datum
dbops_disk_usage(PG_FUNCTION_ARGS)
{
	ReportRow	row;
	Disks		disks = {0};
	Sizes		own = {0};
	ListCell   *cell;

	InitMaterializedSRF(fcinfo, 0);
	dbops_report_begin(&row, (ReturnSetInfo *) fcinfo->resultinfo);
	dbops_disks_read(&disks);
	foreach(cell, disks.list)
		put_disk(&row, lfirst(cell));
	dbops_sizes_read(&own);
	foreach(cell, dbops_sizes_list())
		put_database(&row, lfirst(cell));
	return (Datum) 0;
}

/* A disk that is missing, or does not answer, has no figures. */
static void
put_disk(ReportRow *row, const Disk *disk)
{
	bool		known = (disk->total > 0);

	dbops_report_text(row, disk->tablespace == NULL ? "WAL" : "tablespace");
	dbops_report_text(row, disk->tablespace == NULL ? "pg_wal" : disk->tablespace);
	dbops_report_bytes(row, disk->tablespace == NULL && !disk->missing ? wal_bytes() : -1);
	dbops_report_bytes(row, known ? disk->total : -1);
	dbops_report_bytes(row, known ? disk->used : -1);
	dbops_report_bytes(row, known ? disk->free : -1);
	dbops_report_decimal(row, known ? dbops_disk_free_percent(disk) : NAN);
	dbops_report_text(row, disk->same_as);
	dbops_report_time(row, known ? dbops_clock_now() : 0);
	dbops_report_put(row);
}

/* All files of WAL have one size, so that counting them is enough. */
static int64
wal_bytes(void)
{
	DIR		   *directory = AllocateDir(XLOGDIR);
	struct dirent *entry;
	int64		files = 0;

	while ((entry = ReadDir(directory, XLOGDIR)) != NULL)
	{
		CHECK_FOR_INTERRUPTS();
		if (IsXLogFileName(entry->d_name))
			files++;
	}
	FreeDir(directory);
	return files * wal_segment_size;
}

static void
put_database(ReportRow *row, const DatabaseSize *size)
{
	const char *name = dbops_database_name(size->database);

	if (name == NULL)
		return;
	dbops_report_text(row, "database");
	dbops_report_text(row, name);
	dbops_report_bytes(row, size->bytes);
	dbops_report_bytes(row, -1);
	dbops_report_bytes(row, -1);
	dbops_report_bytes(row, -1);
	dbops_report_decimal(row, NAN);
	dbops_report_text(row, NULL);
	dbops_report_time(row, size->measured_at);
	dbops_report_put(row);
}
