/*
 * migration_watch.h
 *		What the parts of watching a statement share.
 */
#ifndef DBOPS_MIGRATION_WATCH_H
#define DBOPS_MIGRATION_WATCH_H

#include "change/migration.h"

#include "access/htup.h"
#include "catalog/objectaccess.h"
#include "catalog/objectaddress.h"
#include "executor/instrument.h"
#include "lib/ilist.h"
#include "portability/instr_time.h"
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

/* ---- migration_object_note.c: note what is done to objects ---- */

typedef enum ObjectEventKind
{
	OBJECT_CREATED,
	OBJECT_CHANGED,
	OBJECT_DROPPED,
	OBJECT_TRUNCATED
} ObjectEventKind;

typedef struct ObjectEvent
{
	slist_node	link;
	ObjectEventKind kind;
	bool		internal;		/* done by the server for something else */
	SubTransactionId subxact;	/* in this one, or by now its parent */
	ObjectAddress address;
	Oid			storage;		/* of a changed relation, before; else 0 */
	Oid			whole;			/* relation that what was dropped was a part of; else 0 */
	const char *name;			/* of what was dropped; NULL: it is not told */
	const char *relation;		/* that was dropped and known to others, quoted as in SQL; else NULL */
} ObjectEvent;

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

extern void dbops_objects_note(ObjectEvents *events, ObjectAccessType access,
							   Oid class, Oid object, int part, void *arg);
extern void dbops_objects_note_address(ObjectEvents *events, ObjectAddress address);
extern void dbops_objects_note_use(ObjectEvents *events, Oid relid, bool write);
extern Oid	dbops_object_storage(Oid relid);
extern int	dbops_objects_count(const ObjectEvents *events);
extern void dbops_objects_forget(ObjectEvents *events, SubTransactionId aborted);
extern void dbops_objects_adopt(ObjectEvents *events, SubTransactionId committed,
								SubTransactionId parent);

/* ---- migration_object_find.c: find relations and types by what was done to them ---- */

extern List *dbops_objects_touched(ObjectEvents *events);
extern const char *dbops_objects_dropped_relation(ObjectEvents *events, Oid relid);
extern List *dbops_objects_new(ObjectEvents *events, Oid class);
extern List *dbops_objects_types(ObjectEvents *events);
extern List *dbops_objects_moved(ObjectEvents *events);
extern bool dbops_objects_truncated(ObjectEvents *events, Oid relid);

/* ---- migration_object_name.c: name what was created, changed and dropped ---- */

/* When the statement has ended: objects as people call them, in order, each once. */
typedef struct ObjectNames
{
	List	   *created;		/* of char * */
	List	   *changed;
	List	   *dropped;
} ObjectNames;

extern ObjectNames dbops_objects_name(ObjectEvents *events);
extern List *dbops_names_sort(List *names);

/* ---- migration_object_told.c: the object that people know, of the one written ---- */

extern ObjectAddress dbops_object_told(const ObjectAddress *address, bool *as_change);
extern Oid	dbops_object_swapped(const ObjectAddress *address, int flags);
extern const char *dbops_object_describe(const ObjectAddress *address, MemoryContext memory);

/* ---- migration_object_part.c: the relation that an object belongs to ---- */

extern Oid	dbops_object_relation(const ObjectAddress *address);
extern HeapTuple dbops_object_fetch_part(Oid class, Oid object);

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

/* ---- migration_watch.c: watch a statement at work ---- */

/* How the log is set where nothing is watched. */
typedef struct LogSettings
{
	int			level;
	bool		waits;
	int			deadlock_timeout;	/* ms */
} LogSettings;

typedef struct Watch
{
	struct Watch *outer;
	MemoryContext memory;		/* of what is noted */
	LogSettings log;
	instr_time	began;
	WalUsage	wal;
	HeldLocks  *before;
	HeldLocks  *seen;			/* held at any time that was looked at */
	double		waited;			/* ms */
	CommandId	command;		/* that it began with */
	int			nest_level;		/* of transactions, that it began in; 0: it may end them all */
	bool		writes;			/* into any table or catalog */
	slist_head	notices;		/* of Note, the latest first */
	int			n_notices;		/* with those that are not kept */
	slist_head	told;			/* of Note: what the server says that it does */
	ObjectEvents events;
} Watch;

/* The innermost one; NULL: nothing is watched. */
extern Watch *dbops_watched;

extern void dbops_watch_see_locks(Watch *watch);

/* ---- migration_watch_see.c: see what the server does, by its hooks ---- */

extern void dbops_watch_see_init(void);

/* ---- migration_watch_hear.c: hear what the server says ---- */

extern void dbops_watch_hear_init(void);
extern List *dbops_watch_notices(Watch *watch);

/* ---- migration_watch_describe.c: put it into words ---- */

extern void dbops_watch_describe(Watch *watch, MigrationReceipt *receipt);

#endif							/* DBOPS_MIGRATION_WATCH_H */
