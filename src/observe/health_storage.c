/*
 * health_storage.c
 *		The document of health: sizes, growth and disks.
 *
 * Sizes are of a measurement that is kept, and growth is what the history told
 * when it was last asked.
 */
#include "observe/growth.h"
#include "observe/health_document.h"

#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"

static void put_largest_tables(DbopsJson *json, const Sizes *sizes);
static void put_disks(DbopsJson *json, const Disks *disks);
static void put_disk(DbopsJson *json, const char *key, const Disk *disk);

/* Put what the database holds, how fast that grows, and the disks that it is on. */
void
dbops_health_put_storage(DbopsJson *json, const Health *health)
{
	const Sizes *sizes = &health->sizes;

	dbops_json_object(json, "storage");
	if (dbops_health_stands(health, PART_SIZES) && sizes->measured_at != 0)
	{
		dbops_json_integer(json, "database_size", sizes->database);
		dbops_json_integer(json, "size_bytes", sizes->database);
		if (sizes->n_largest >= 0)
			put_largest_tables(json, sizes);
		else
			dbops_json_null(json, "largest_tables");
	}
	else
	{
		dbops_json_null(json, "database_size");
		dbops_json_null(json, "size_bytes");
		dbops_json_null(json, "largest_tables");
	}
	dbops_health_put_bytes(json, "growth_bytes_per_day", dbops_growth_per_day(MyDatabaseId));
	put_disks(json, dbops_health_stands(health, PART_DISKS) ? &health->disks : NULL);
	dbops_json_object_end(json);
}

/* WAL's comes first. */
static void
put_disks(DbopsJson *json, const Disks *disks)
{
	if (disks == NULL)
	{
		dbops_json_null(json, "wal");
		dbops_json_null(json, "tablespaces");
		return;
	}
	put_disk(json, "wal", linitial(disks->list));
	dbops_json_array(json, "tablespaces");
	for (int i = 1; i < list_length(disks->list); i++)
		put_disk(json, NULL, list_nth(disks->list, i));
	dbops_json_array_end(json);
}

/* Names are those of now, or numbers while somebody has locked their catalogs; a table that was dropped since is left out. */
static void
put_largest_tables(DbopsJson *json, const Sizes *sizes)
{
	dbops_json_array(json, "largest_tables");
	for (int i = 0; i < sizes->n_largest; i++)
	{
		Oid			relid = sizes->largest[i].relid;
		char	   *name = dbops_relation_name(relid);

		if (name == NULL)
			continue;
		dbops_json_object(json, NULL);
		dbops_json_text(json, "name", name);
		dbops_json_integer(json, "bytes", sizes->largest[i].bytes);
		dbops_json_integer(json, "size_bytes", sizes->largest[i].bytes);
		dbops_json_object_end(json);
	}
	dbops_json_array_end(json);
}

static void
put_disk(DbopsJson *json, const char *key, const Disk *disk)
{
	dbops_json_object(json, key);
	if (disk->tablespace != NULL)
		dbops_json_text(json, "name", disk->tablespace);
	if (disk->total > 0)
	{
		dbops_json_integer(json, "total_bytes", disk->total);
		dbops_json_integer(json, "used_bytes", disk->used);
		dbops_json_integer(json, "free_bytes", disk->free);
	}
	else
		dbops_json_null(json, "free_bytes");
	dbops_json_decimal(json, "free_percent", dbops_disk_free_percent(disk));
	dbops_json_text(json, "same_device_as", disk->same_as);
	dbops_json_object_end(json);
}

/* Whole bytes; NaN is null. */
void
dbops_health_put_bytes(DbopsJson *json, const char *key, double bytes)
{
	if (isfinite(bytes))
		dbops_json_integer(json, key, llround(bytes));
	else
		dbops_json_null(json, key);
}
