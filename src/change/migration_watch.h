/*
 * migration_watch.h
 *		What the parts of watching a statement share.
 */
#ifndef DBOPS_MIGRATION_WATCH_H
#define DBOPS_MIGRATION_WATCH_H

#include "change/migration.h"

#include "catalog/objectaccess.h"
#include "catalog/objectaddress.h"
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
extern void dbops_locks_free(HeldLocks *held);
extern LOCKMASK dbops_locks_on(const HeldLocks *held, Oid relid);
extern void dbops_locks_count_blocked(int *sessions, double *longest);

/* ---- migration_objects.c: what a statement has done to objects ---- */

/* What was noted while the statement ran. In the memory of the watch. */
typedef struct ObjectEvents
{
	MemoryContext memory;
	slist_head	list;			/* of ObjectEvent, the latest first */
	int			kept;			/* how many these are */
	int			others;			/* that came after so many that they are not told */
	List	   *swapped;		/* OIDs of relations whose rows were copied to a new heap */
	List	   *used;			/* OIDs of relations whose rows were read or written */
	bool		rows_written;
} ObjectEvents;

/* The same when it has ended: objects as people call them, in order, each once. */
typedef struct ObjectNames
{
	List	   *created;		/* of char * */
	List	   *changed;
	List	   *dropped;
} ObjectNames;

extern void dbops_objects_note(ObjectEvents *events, ObjectAccessType access,
							   Oid class, Oid object, int part, void *arg);
extern void dbops_objects_note_address(ObjectEvents *events, ObjectAddress address);
extern void dbops_objects_note_use(ObjectEvents *events, Oid relid, bool write);
extern int	dbops_objects_count(const ObjectEvents *events);
extern void dbops_objects_forget(ObjectEvents *events, SubTransactionId aborted);
extern void dbops_objects_adopt(ObjectEvents *events, SubTransactionId committed,
								SubTransactionId parent);
extern ObjectNames dbops_objects_name(ObjectEvents *events);
extern List *dbops_names_sort(List *names);
extern List *dbops_objects_touched(ObjectEvents *events);
extern List *dbops_objects_new(ObjectEvents *events, Oid class);
extern List *dbops_objects_types(ObjectEvents *events);
extern List *dbops_objects_moved(ObjectEvents *events);
extern const char *dbops_objects_dropped_relation(ObjectEvents *events, Oid relid);
extern bool dbops_objects_truncated(ObjectEvents *events, Oid relid);

/* ---- migration_effect.c: what the server says that it does ---- */

/* A text that the server has said; see dbops_effect_is_told. */
typedef struct Note
{
	slist_node	link;
	const char *message_id;		/* in the server's source; or NULL */
	char		text[FLEXIBLE_ARRAY_MEMBER];
} Note;

/* From the harmless to the worst. */
typedef enum MigrationEffect
{
	EFFECT_NONE,
	EFFECT_METADATA,
	EFFECT_ROWS,
	EFFECT_SCAN,
	EFFECT_INDEX,
	EFFECT_REWRITE
} MigrationEffect;

/* Relations that were worked at, by name. */
typedef struct MigrationEffects
{
	MigrationEffect worst;
	List	   *scanned;		/* of char *, quoted as in SQL */
	List	   *rewritten;
	List	   *indexed;		/* the indexes */
	List	   *proved;			/* what was not scanned, as existing constraints prove it */
} MigrationEffects;

extern bool dbops_effect_is_told(const ErrorData *error);
extern MigrationEffects dbops_effects_find(slist_head *told, const HeldLocks *before,
										   const HeldLocks *seen, ObjectEvents *events);
extern const char *dbops_effect_name(MigrationEffect effect);
extern bool dbops_relation_is_new(Oid relid);

/* ---- migration_silent.c: what the server does without a word ---- */

extern List *dbops_silent_scans(ObjectEvents *events, const HeldLocks *before,
								const HeldLocks *seen);
extern bool dbops_silent_is(const Node *statement);
extern void dbops_silent_note(ObjectEvents *events, Node *statement);

#endif							/* DBOPS_MIGRATION_WATCH_H */
