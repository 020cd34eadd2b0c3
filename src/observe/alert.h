/*
 * alert.h
 *		Alerts: what is remembered of them, and what is told.
 */
#ifndef DBOPS_ALERT_H
#define DBOPS_ALERT_H

#include "observe/alert_state.h"
#include "observe/observe.h"

#define ALERT_OBJECTS		20	/* of one check that have alerts of their own; more are one alert */
#define ALERT_ALL_OBJECTS	"*"	/* the object of that alert */
#define ALERT_OF_DATABASES	"alerts.databases"	/* the check of the one for home, where one, its object, is bad in as many databases */
#define ALERT_SETTLING		300 /* s after a start in which checks that must settle tell nothing */

/* s between two looks: at what needs no catalog, and at what does. */
#define ALERT_INTERVAL		10
#define ALERT_INTERVAL_HOME	60
#define ALERT_INTERVAL_ELSEWHERE	600

/* Why nobody is told that an alert fires. */
typedef enum AlertSuppression
{
	ALERT_NOT_SUPPRESSED,
	ALERT_IN_MAINTENANCE,
	ALERT_SILENCED,
	ALERT_MUTED,
	ALERT_SETTLES				/* the server has just been started */
} AlertSuppression;

extern const char *dbops_alert_suppression_name(AlertSuppression suppression);
extern AlertSuppression dbops_alert_suppression_named(const char *name);

/* ---- alert_subject.c: what is alerted about ---- */

/* One thing that was judged; its texts are its maker's. */
typedef struct AlertSubject
{
	const char *check_name;
	const char *object;			/* or NULL */
	const char *key;
	const char *message;
	const char *remedy;			/* or NULL */
	const char *unit;			/* or NULL */
	DbopsSeverity severity;
	double		value;			/* NaN: there is none */
	int			objects;		/* that it stands for; 0: it is about one */
	const List *details;		/* char *: of these objects */
	AlertRule	rule;
	bool		partial;		/* only a part was seen of the time that is judged */
	bool		settling;
	bool		muted;
} AlertSubject;

typedef bool (*AlertIsGrouped) (Oid database, const char *check_name);

extern const DbopsOverrides *dbops_alert_overrides(Oid database);
extern AlertRule dbops_alert_rule(Oid database, const DbopsOverrides *overrides, const DbopsCheck *check);
extern List *dbops_alert_subjects(Oid database, const List *findings, AlertIsGrouped is_grouped);

/* ---- alert_memory.c: the alerts that there are ---- */

#define ALERT_CHECK_BYTES	DBOPS_CHECK_NAME_BYTES
#define ALERT_OBJECT_BYTES	DBOPS_OBJECT_BYTES
#define ALERT_TEXT_BYTES	384
#define ALERT_UNIT_BYTES	16
#define ALERT_DETAIL_BYTES	3072

/* One alert as it is remembered. Texts are read with dbops_shared_text_get, those of other databases with dbops_shared_text_from. */
typedef struct AlertEntry
{
	Oid			database;		/* InvalidOid: it is the cluster's */
	Alert		alert;
	AlertSuppression suppression;
	int			objects;
	int			encoding;		/* of its texts, as far as it is known */
	bool		has_object;
	bool		handed_over;	/* what was told of it has been, or will be, written down */
	uint32		turn;			/* of the memory, in which it was last judged */
	uint64		version;		/* goes up with each change that is to be stored */
	uint64		stored;			/* the version that is */
	char		check_name[ALERT_CHECK_BYTES];
	char		object[ALERT_OBJECT_BYTES];
	char		message[ALERT_TEXT_BYTES];
	char		remedy[ALERT_TEXT_BYTES];	/* empty: none */
	char		unit[ALERT_UNIT_BYTES]; /* likewise */
} AlertEntry;

/* Something that happened to one, until it has been written down and told. */
typedef struct AlertNews
{
	uint64		number;			/* 0: the place is free */
	bool		for_own;		/* its database, or home for the cluster's, has yet to take it */
	bool		for_home;		/* home, if it is another, has yet to hear of a database's */
	bool		handed;			/* home hears of it because an alert about many databases begins or ends to stand for it */
	TimestampTz at;
	AlertStep	step;
	AlertEntry	entry;			/* as it was then */
	int			detail_bytes;
	char		details[ALERT_DETAIL_BYTES];	/* texts with their ends */
} AlertNews;

extern void dbops_alert_memory_init(void);
extern bool dbops_alert_memory_is_own(void);
extern bool dbops_alert_memory_is_there(void);
extern void dbops_alert_memory_forget_own(void);
extern void dbops_alert_memory_lock(LWLockMode mode);
extern void dbops_alert_memory_unlock(void);

/* With the lock held. */
extern uint32 dbops_alert_memory_next_turn(void);
extern AlertEntry *dbops_alert_memory_find(Oid database, const char *key);
extern AlertEntry *dbops_alert_memory_take(Oid database, const AlertSubject *subject);
extern void dbops_alert_memory_each(void (*each) (AlertEntry *entry, void *arg), void *arg);
extern void dbops_alert_memory_sweep(void);
extern void dbops_alert_entry_describe(AlertEntry *entry, const AlertSubject *subject);
extern bool dbops_alert_entry_lives(const AlertEntry *entry);

/* Without it: copies of those that are to be stored, or of all, and that they are stored. */
extern List *dbops_alert_memory_unstored(Oid database, bool home);
extern List *dbops_alert_memory_copy(Oid database);
extern List *dbops_alert_memory_told_elsewhere(void);
extern void dbops_alert_memory_stored(const List *stored);

/* ---- alert_news.c: what has happened to them, until it is told ---- */

/* With the lock held. */
extern bool dbops_alert_announce(const AlertEntry *entry, const AlertStep *step,
								 const List *details, TimestampTz now);
extern void dbops_alert_announce_taken_in(const AlertEntry *entry, const char *group, TimestampTz now);
extern void dbops_alert_announce_given_back(const AlertEntry *entry, TimestampTz now);
extern void dbops_alert_news_forget(Oid database);

/* Without it: copies of what a database has yet to take, and that it has. */
extern List *dbops_alert_news(Oid database, bool home);
extern void dbops_alert_news_taken(const List *news, Oid database, bool home);
extern List *dbops_alert_news_waited_for(void);

/* ---- alert_loaded.c: whose alerts are in memory as their table has them, and since when ---- */

extern TimestampTz dbops_alert_memory_began(void);
extern void dbops_alert_memory_begin_anew(TimestampTz now);
extern bool dbops_alert_home_is_read(void);
extern void dbops_alert_note_home_read(void);
extern bool dbops_alert_is_loaded(Oid database);
extern Oid	dbops_alert_table(void);
extern bool dbops_alert_is_loaded_here(Oid database);
extern bool dbops_alert_set_loaded(Oid database, Oid table);	/* the lock is held */
extern void dbops_alert_forget(Oid database);

/* ---- alert_silence.c: what nobody wants to hear of ---- */

extern void dbops_alert_silence_init(void);
extern void dbops_alert_silence_load(void);
extern void dbops_alert_silence_forget(Oid database);
extern bool dbops_alert_is_silenced(Oid database, const char *key, TimestampTz now);

/* ---- alert_evaluate.c: from findings to events ---- */

extern int	dbops_alert_evaluate(Oid database, const List *findings, bool whole, DbopsCheckReach reach);
extern int	dbops_alert_evaluate_subjects(Oid database, const List *subjects);
extern char *dbops_alert_key(const AlertEntry *entry);

/* ---- alert_place.c: those that had no place ---- */

extern int	dbops_alert_unplaced(int *databases);

/* ---- alert_group.c: alerts of the same check in many databases ---- */

extern List *dbops_alert_group_databases(void);
extern bool dbops_alert_is_about_databases(const AlertEntry *entry);

/* ---- alert_store.c: alerts in their table ---- */

extern void dbops_alert_store_load(bool home);
extern void dbops_alert_store_take_over(bool home);
extern void dbops_alert_store_save(const List *entries);
extern int64 dbops_alert_store_next_id(void);
extern void dbops_alert_store_history(int64 id, const AlertNews *news, const Jsonb *payload);
extern void dbops_alert_store_prune(void);

/* ---- alert_payload.c: what listeners get ---- */

extern Jsonb *dbops_alert_payload(int64 id, const AlertNews *news);
extern Jsonb *dbops_alert_brief(int64 id, const AlertNews *news);

/* ---- alert_function.c: a user's function that is told ---- */

extern void dbops_alert_function_call(const char *payload);

/* ---- alert_deliver.c: write down and tell ---- */

extern bool dbops_alert_deliver_here(void);
extern bool dbops_alert_deliver_alone(void);
extern void dbops_alert_await_turn(void);
extern void dbops_alert_deliver(void);
extern bool dbops_alert_is_home(void);

/* ---- alert_upkeep.c: who judges, and when ---- */

extern void dbops_alert_init(void);

#endif							/* DBOPS_ALERT_H */
