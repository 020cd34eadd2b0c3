/*
 * alert_memory.h
 *		What the memory of alerts is made of, for the files that keep it.
 *
 * All of it is guarded by one lock, but for a session's own.
 */
#ifndef DBOPS_ALERT_MEMORY_H
#define DBOPS_ALERT_MEMORY_H

#include "observe/alert.h"

#define ALERTS			1024
#define NEWS			256
#define LOADED			4097	/* the cluster and as many databases as are looked after; then the first is loaded again */

/* Whose alerts are here, and where what was told of them is written down. */
typedef struct AlertLoaded
{
	Oid			database;		/* InvalidOid: the cluster's */
	Oid			keeper;			/* the database that has the table */
	Oid			table;			/* another one is of another installation */
} AlertLoaded;

typedef struct AlertMemory
{
	TimestampTz began;			/* the server was started or promoted */
	bool		home_is_read;	/* on a standby: what the home database silences is known */
	uint32		turn;
	uint64		next_number;	/* of news */
	int			n_loaded;
	int			next_loaded;	/* to give way when there are LOADED */
	AlertLoaded loaded[LOADED];
	uint64		hashes[ALERTS]; /* 0: the entry is free */
	AlertEntry	entries[ALERTS];
	AlertNews	news[NEWS];
} AlertMemory;

extern AlertMemory *dbops_alert_memory(void);
extern void dbops_alert_unload(Oid database);	/* the lock is held */

/* Does a database keep the alerts of another, or of the cluster? */
extern bool dbops_alert_concerns(Oid database, bool home, Oid entry_database);

#endif							/* DBOPS_ALERT_MEMORY_H */
