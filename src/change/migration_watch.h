/*
 * migration_watch.h
 *		What the parts of watching a statement share.
 */
#ifndef DBOPS_MIGRATION_WATCH_H
#define DBOPS_MIGRATION_WATCH_H

#include "change/migration.h"

#include "catalog/objectaccess.h"
#include "lib/ilist.h"
#include "storage/lockdefs.h"

/* ---- migration_locks.c: what this session holds, and who waits for it ---- */

typedef struct HeldLock
{
	Oid			relid;
	LOCKMASK	modes;
} HeldLock;

/* Locks on relations, in the order of their OIDs. */
typedef struct HeldLocks
{
	int			n;
	HeldLock   *locks;
} HeldLocks;

extern HeldLocks *dbops_locks_held(void);
extern HeldLocks *dbops_locks_join(const HeldLocks *some, const HeldLocks *others);
extern LOCKMASK dbops_locks_on(const HeldLocks *held, Oid relid);
extern void dbops_locks_count_blocked(int *sessions, double *longest);

/* ---- migration_objects.c: what a statement has done to objects ---- */

typedef enum ObjectEventKind
{
	OBJECT_CREATED,
	OBJECT_CHANGED,
	OBJECT_DROPPED,
	OBJECT_TRUNCATED
} ObjectEventKind;

/* The latest is the first of its list. */
typedef struct ObjectEvent
{
	slist_node	link;
	ObjectEventKind kind;
	bool		internal;		/* by the server, for something else */
	SubTransactionId subxact;	/* done in this one, or by now its parent */
	ObjectAddress address;
	const char *name;			/* of what was dropped; else NULL */
} ObjectEvent;

typedef struct ObjectEvents
{
	slist_head	list;
	List	   *rewritten;		/* OIDs of relations whose rows were copied to new storage */
	List	   *touched;		/* OIDs of relations that statements name, without order */
	bool		rows_written;	/* rows of relations that were there before */
} ObjectEvents;

#endif							/* DBOPS_MIGRATION_WATCH_H */
