/*
 * disk_history.c
 *		How full each disk was, hour by hour.
 *
 * One row an hour for each device, in the home database; those that share one
 * are written under the first that is on it.
 */
#include "observe/history.h"
#include "observe/size_history.h"

static void write_disk(const Disk *disk, TimestampTz hour);

/* Write down how full the disks are now. */
void
dbops_disks_keep(void *arg)
{
	TimestampTz now = dbops_clock_now();
	TimestampTz hour = now - ((now % USECS_PER_HOUR) + USECS_PER_HOUR) % USECS_PER_HOUR;
	Disks		disks = {0};
	ListCell   *cell;

	if (!dbops_history_begin_partition(HISTORY_DISKS, hour))
		return;
	dbops_disks_read(&disks);
	foreach(cell, disks.list)
	{
		const Disk *disk = lfirst(cell);

		if (disk->total > 0 && disk->same_as == NULL)
			write_disk(disk, hour);
	}
}

/* The last look in an hour stands. */
static void
write_disk(const Disk *disk, TimestampTz hour)
{
	DbopsParam	params[] = {
		dbops_param_time(hour),
		dbops_param_text(disk->name),
		dbops_param_int8(disk->total),
		dbops_param_int8(disk->used),
		dbops_param_int8(disk->free)
	};

	dbops_store_each("INSERT INTO dbops.disk_1h (at, disk, total_bytes, used_bytes, free_bytes) VALUES ($1, $2, $3, $4, $5)"
					 " ON CONFLICT (at, disk) DO UPDATE SET total_bytes = excluded.total_bytes,"
					 " used_bytes = excluded.used_bytes, free_bytes = excluded.free_bytes",
					 lengthof(params), params, NULL, NULL);
}
