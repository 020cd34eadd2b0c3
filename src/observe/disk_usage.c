/*
 * disk_usage.c
 *		disk_usage(): the disks of the server, and what the databases take.
 *
 * Places on one device share its room, which is told with each; the later ones
 * say whose they share. What a database takes is known if somebody measures it,
 * and as of when. How they grow, the histories of the last week tell.
 */
#include "observe/report.h"

#include "observe/growth.h"

#include "access/xlog.h"
#include "access/xlog_internal.h"
#include "storage/fd.h"

PG_FUNCTION_INFO_V1(dbops_disk_usage);

/* How much more of a disk is used each day. */
typedef struct DiskGrowth
{
	const char *disk;
	double		bytes;
} DiskGrowth;

#define GROWTH_QUERY \
	"SELECT disk, regr_slope(used_bytes, extract(epoch FROM at)::float8) * 86400 FROM dbops.disk_1h" \
	" WHERE at > $1 - interval '7 days' AND at <= $1 GROUP BY disk HAVING max(at) - min(at) >= interval '23 hours'"

static List *read_growths(void);
static void take_growth(HeapTuple row, TupleDesc desc, void *arg);
static double growth_of(const List *growths, const Disk *disk);
static void put_disk(ReportRow *row, const Disk *disk, double growth);
static void put_growth(ReportRow *row, double bytes);
static int64 wal_bytes(void);
static void put_database(ReportRow *row, const DatabaseSize *size);

/* disk_usage() → WAL, tablespaces, databases */
Datum
dbops_disk_usage(PG_FUNCTION_ARGS)
{
	ReportRow	row;
	Disks		disks = {0};
	Sizes		own = {0};
	List	   *growths = read_growths();
	ListCell   *cell;

	InitMaterializedSRF(fcinfo, 0);
	dbops_report_begin(&row, (ReturnSetInfo *) fcinfo->resultinfo);
	dbops_disks_read(&disks);
	foreach(cell, disks.list)
		put_disk(&row, lfirst(cell), growth_of(growths, lfirst(cell)));
	dbops_sizes_read(&own);
	foreach(cell, dbops_sizes_list())
		put_database(&row, lfirst(cell));
	return (Datum) 0;
}

/* List of DiskGrowth *. */
static List *
read_growths(void)
{
	DbopsParam	now = dbops_param_time(dbops_clock_now());
	List	   *growths = NIL;

	dbops_store_each(GROWTH_QUERY, 1, &now, take_growth, &growths);
	return growths;
}

static void
take_growth(HeapTuple row, TupleDesc desc, void *arg)
{
	List	  **growths = arg;
	DiskGrowth *growth = palloc(sizeof(DiskGrowth));

	growth->disk = dbops_row_text(row, desc, 1);
	growth->bytes = dbops_row_float8(row, desc, 2);
	*growths = lappend(*growths, growth);
}

/* Those that share a disk have one history. */
static double
growth_of(const List *growths, const Disk *disk)
{
	const char *name = (disk->same_as != NULL) ? disk->same_as : disk->name;
	ListCell   *cell;

	foreach(cell, growths)
	{
		const DiskGrowth *growth = lfirst(cell);

		if (strcmp(growth->disk, name) == 0)
			return growth->bytes;
	}
	return NAN;
}

static void
put_growth(ReportRow *row, double bytes)
{
	if (isnan(bytes))
		dbops_report_null(row);
	else
		dbops_report_bigint(row, llround(bytes));
}

/* A disk that is missing, or does not answer, has no figures. */
static void
put_disk(ReportRow *row, const Disk *disk, double growth)
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
	put_growth(row, growth);
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
	put_growth(row, dbops_growth_per_day(size->database));
	dbops_report_put(row);
}
