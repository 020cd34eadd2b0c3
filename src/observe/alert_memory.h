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
#define ALERTS_OF_CLUSTER	128 /* places of them that databases leave to the cluster's */
#define ALERTS_OF_ONE	768		/* that one database may have at most */
#define UNPLACED		1024	/* that are known to have had no place */
#define NEWS			256
#define LOADED			(DBOPS_MOST_DATABASES + 1)	/* the cluster's and those of each database */

/* Whose alerts are here, and where what was told of them is written down. */
typedef struct AlertLoaded
{
	Oid			database;		/* InvalidOid: the cluster's */
	Oid			keeper;			/* the database that has the table */
	Oid			table;			/* another one is of another installation */
} AlertLoaded;

/* An alert that had no place. */
typedef struct AlertUnplaced
{
	uint64		hash;			/* of its key; 0: free */
	Oid			database;		/* InvalidOid: the cluster's */
	TimestampTz at;				/* it was last turned away */
} AlertUnplaced;

typedef struct AlertMemory
{
	TimestampTz began;			/* the server was started or promoted */
	bool		home_is_read;	/* on a standby: what the home database silences is known */
	uint32		turn;
	uint32		full;			/* the turn in which none was left to give way */
	uint64		next_number;	/* of news */
	int			n_loaded;
	int			next_loaded;	/* to give way when there are LOADED */
	AlertLoaded loaded[LOADED];
	uint64		hashes[ALERTS]; /* 0: the entry is free */
	Oid			owners[ALERTS]; /* beside them: the databases of the entries */
	AlertEntry	entries[ALERTS];
	AlertUnplaced unplaced[UNPLACED];
	AlertNews	news[NEWS];
} AlertMemory;

extern AlertMemory *dbops_alert_memory(void);
extern bool dbops_alert_entry_is_over(const AlertEntry *entry);
extern void dbops_alert_unload(Oid database);	/* the lock is held */

/* Does a database keep the alerts of another, or of the cluster? */
extern bool dbops_alert_concerns(Oid database, bool home, Oid entry_database);

/* ---- alert_place.c: who gets a place; the lock is held ---- */

extern int	dbops_alert_place(Oid database);	/* -1: there is none */
extern void dbops_alert_place_refuse(Oid database, uint64 hash);
extern void dbops_alert_place_give(uint64 hash);

#endif							/* DBOPS_ALERT_MEMORY_H */
