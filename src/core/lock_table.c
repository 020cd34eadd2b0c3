/*
 * lock_table.c
 *		How full the server's table of locks is.
 *
 * It is shared by all: each session may use more than its part, and who finds it
 * full gets an error, whoever filled it.
 */
#include "core/server.h"

#include "access/twophase.h"
#include "miscadmin.h"
#include "storage/proc.h"
#include "storage/shmem.h"

/* Things that are locked, beside those in the fast path, of so many for which there is room. */
long
dbops_lock_table_used(long *room)
{
	static HTAB *table = NULL;	/* the server's own, as it is known by in shared memory; its entries are only counted */
	HASHCTL		options = {
		.keysize = sizeof(LOCKTAG),
		.entrysize = sizeof(LOCK),
		.num_partitions = NUM_LOCK_PARTITIONS
	};

	*room = (long) max_locks_per_xact * (MaxBackends + max_prepared_xacts);
	if (table == NULL)
		table = ShmemInitHash("LOCK hash", *room / 2, *room, &options, HASH_ELEM | HASH_BLOBS | HASH_PARTITION);
	return hash_get_num_entries(table);
}
