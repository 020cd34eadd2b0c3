/*
 * observe.h
 *		The area that looks and changes nothing: health and its checks.
 *
 * Each part of health is looked at by one file, on its own: a part that fails
 * leaves its error, and the others stand. Nothing here waits for a heavyweight
 * lock on a table. Figures come from shared memory and files rather than from
 * views, so that they are right whatever the caller may see in those.
 */
#ifndef DBOPS_OBSERVE_H
#define DBOPS_OBSERVE_H

#include "core/server.h"

#include <dirent.h>
#include <math.h>

#include "access/xlogdefs.h"
#include "nodes/pg_list.h"
#include "portability/instr_time.h"
#include "storage/block.h"
#include "utils/hsearch.h"

/* ---- sessions.c ---- */

typedef struct Transaction
{
	int			pid;			/* 0: there is none */
	double		age;			/* s since it began, or since it went idle */
	bool		idle;			/* its session waits for its client */
} Transaction;

typedef struct Sessions
{
	/* of clients, parallel workers and replication apart */
	int			clients;
	int			active;
	int			idle;
	int			idle_in_transaction;
	int			untracked;		/* track_activities is off there */
	int			waiting;		/* for a heavyweight lock */
	int			usable;			/* connections that ordinary roles may open */

	/* of all processes */
	int			lock_waits;
	int			long_lock_waits;	/* for more than LONG_LOCK_WAIT */
	double		longest_lock_wait;	/* s */

	Transaction oldest;
	Transaction oldest_horizon; /* that keeps vacuum from removing rows */
	Transaction oldest_idle;	/* idle in transaction, holding something */
	int			prepared;
	double		oldest_prepared;	/* s */
	const char *oldest_prepared_gid;
} Sessions;

#define LONG_LOCK_WAIT	60		/* s */

extern void dbops_sessions_read(Sessions *sessions);
extern bool dbops_sessions_hide(const Sessions *sessions);
extern double dbops_sessions_used_percent(const Sessions *sessions);

/* ---- statements.c: pg_stat_statements ---- */

typedef enum StatementsState
{
	STATEMENTS_READ,
	STATEMENTS_MISSING,			/* the extension is not in this database */
	STATEMENTS_NOT_LOADED,		/* its library is not preloaded */
	STATEMENTS_TOO_OLD,			/* its SQL side lacks what is needed */
	STATEMENTS_DENIED,			/* the caller may not call it */
	STATEMENTS_OFF,				/* the server tells it to track nothing */
	STATEMENTS_NONE,			/* it has none, perhaps for that reason */
	STATEMENTS_UNSEEN			/* nobody has looked lately who could */
} StatementsState;

typedef struct Statements
{
	StatementsState state;		/* the rest is there when READ */
	TimestampTz read_at;
	double		took;			/* ms that reading took */
	bool		kept;			/* read in the background, which will be again */
	int			slow_over;		/* ms of mean time, over which one is slow */
	int64		slow;
	int64		calls;
	double		total_time;		/* ms, of all calls */
} Statements;

extern void dbops_statements_init(void);
extern void dbops_statements_read(Statements *statements);
extern bool dbops_statements_kept(Statements *statements);

/* ---- counters.c: this database's counters, the ids in use ---- */

typedef struct Counters
{
	int64		blocks_fetched;
	int64		blocks_hit;
	int64		deadlocks;
	TimestampTz since;			/* their reset; 0: since ever */
} Counters;

typedef struct Ages
{
	/* how many ids ago the oldest that is still needed was given out */
	int64		xid_age;
	int64		xid_freeze_age; /* vacuum is forced from here */
	int64		xid_warn_age;	/* the server complains from here */
	int64		xid_stop_age;	/* and refuses to give out more from here */
	Oid			xid_database;	/* that holds the oldest; its name may be gone */
	int64		multixact_age;
	int64		multixacts_given;	/* the next id */
	int64		multixact_freeze_age;
	int64		multixact_warn_age;
	int64		multixact_stop_age;
	bool		multixact_members_low;	/* their space is more than half used */
} Ages;

extern void dbops_counters_read(Oid database, Counters *counters);
extern void dbops_ages_read(Ages *ages);

/* ---- replication.c ---- */

typedef struct Slot
{
	NameData	name;
	bool		active;
	bool		lost;			/* invalidated: what it needed is gone */
	int64		retained;		/* bytes of WAL kept for it */
} Slot;

typedef struct Replication
{
	bool		standby;
	int			standbys;		/* connected to this server */
	double		lag;			/* s; NaN: not known, or nothing replicates */
	int64		lag_bytes;		/* -1 likewise */
	bool		receiving;		/* on a standby: from another server */
	bool		should_receive;
	List	   *slots;			/* of Slot * */
} Replication;

typedef struct Archiver
{
	bool		on;
	bool		configured;
	int64		failures;
	bool		waiting;		/* WAL does, for its first attempt that is known */
	TimestampTz last_success;	/* 0: never */
	TimestampTz last_failure;
	TimestampTz since;			/* when the statistics began */
} Archiver;

extern void dbops_replication_init(void);
extern void dbops_replication_read(Replication *replication);
extern void dbops_archiver_read(Archiver *archiver);

/* ---- sizes.c: what the database holds, from a cache ---- */

#define N_LARGEST	10

typedef struct Sizes
{
	TimestampTz measured_at;	/* 0: not yet */
	double		took;			/* ms that measuring took */
	bool		kept;			/* in the background, which will be again */
	int64		database;		/* bytes */
	int64		index_fetched;	/* blocks of user indexes, since their reset */
	int64		index_hit;
	int			n_largest;		/* -1: only what the database holds is known */
	struct
	{
		Oid			relid;
		int64		bytes;		/* with its indexes and its TOAST table */
	}			largest[N_LARGEST];
} Sizes;

/* Of any database, as last measured. */
typedef struct DatabaseSize
{
	Oid			database;		/* first: it is a hash key */
	int64		bytes;
	TimestampTz measured_at;
} DatabaseSize;

extern void dbops_sizes_init(void);
extern void dbops_sizes_read(Sizes *sizes);
extern List *dbops_sizes_list(void);
extern void dbops_sizes_publish(const Sizes *sizes);

/* ---- measure_databases.c: of all databases, in the home database ---- */

extern List *dbops_database_sizes_list(void);
extern bool dbops_database_size_find(Oid database, DatabaseSize *size);

/* ---- measure.c: the measuring itself, of files ---- */

#define N_MEASURED	256			/* relations whose tables are ranked, if not more are asked for */

/* A table, with its indexes and its TOAST table. */
typedef struct MeasuredTable
{
	Oid			relid;
	int64		bytes;
} MeasuredTable;

/* Which relation's files: numbers are unique in a tablespace only. */
typedef struct FileKey
{
	Oid			tablespace;
	Oid			number;
} FileKey;

typedef struct FileTotal
{
	FileKey		key;
	int64		bytes;			/* of all segments and forks */
} FileTotal;

typedef struct Measurement
{
	MemoryContext context;
	double		took;			/* ms, in all slices */

	List	   *tablespaces;	/* oids, the directories yet to be read */
	Oid			tablespace;		/* whose directory is open */
	DIR		   *directory;
	char		path[MAXPGPATH];
	int64		bytes;
	HTAB	   *files;			/* of FileTotal, the empty ones left out */

	int			wanted;			/* relations whose tables are ranked, at least */
	int64		tracked;		/* bytes from which a relation's table is measured in any case; 0: none is */
	int64		least;			/* bytes of the last candidate; -1: files first */
	BlockNumber next_block;		/* of pg_class */
	HTAB	   *candidates;		/* of MeasuredTable, without their bytes */
	MeasuredTable *tables;		/* the same when all are known; NULL: not yet */
	int			n_tables;
	int			next_table;		/* the first that is not measured */
	int64		index_fetched;
	int64		index_hit;
} Measurement;

typedef struct MeasureDeadline
{
	instr_time	start;
	double		budget;			/* ms */
} MeasureDeadline;

extern Measurement *dbops_measure_begin(void);
extern bool dbops_measure_continue(Measurement *measurement, double budget,
								   Sizes *sizes);
extern void dbops_measure_abandon(Measurement *measurement);
extern double dbops_measure_elapsed(const MeasureDeadline *deadline);
extern void dbops_measure_add_table(Measurement *measurement, Oid relid);

/* ---- measure_tables.c: of tables ---- */

extern bool dbops_measure_relations(Measurement *measurement,
									const MeasureDeadline *deadline);
extern bool dbops_measure_tables(Measurement *measurement,
								 const MeasureDeadline *deadline);
/* What a table holds, by its parts, in bytes. */
typedef struct MeasuredParts
{
	int64		table;
	int64		indexes;
	int64		toast;			/* with its index */
} MeasuredParts;

extern void dbops_measure_parts(const Measurement *measurement, Oid relid, MeasuredParts *parts);
extern void dbops_measure_rank(Measurement *measurement, Sizes *sizes);

/* ---- sequences.c ---- */

extern void dbops_sequences_init(void);

/* ---- health.c: all of it ---- */

extern void dbops_observe_init(void);

typedef enum HealthPart
{
	PART_SESSIONS,
	PART_STATEMENTS,
	PART_COUNTERS,
	PART_AGES,
	PART_REPLICATION,
	PART_ARCHIVER,
	PART_DISKS,
	PART_SIZES,
	N_PARTS
} HealthPart;

typedef struct Health
{
	DbopsCheckScope scope;		/* from where it was looked at */
	Sessions	sessions;
	Statements	statements;
	Counters	counters;
	Ages		ages;
	Replication replication;
	Archiver	archiver;
	Disks		disks;
	Sizes		sizes;
	ErrorData  *errors[N_PARTS];	/* NULL: that part stands */
} Health;

extern const void *dbops_health_look(const DbopsCheckScope *scope);
extern bool dbops_health_stands(const Health *health, HealthPart part);
extern bool dbops_health_has_statements(const Health *health);
extern double dbops_health_age(TimestampTz at);
extern bool dbops_health_is_fresh(TimestampTz at, double took);
extern bool dbops_health_is_kept(TimestampTz at, double kept_for);
extern double dbops_hit_ratio(const Counters *counters);

/* ---- health_document.c ---- */

struct Verdict;
extern Jsonb *dbops_health_document(const struct Verdict *verdict, bool verbose);

/* ---- health_checks.c: the checks, and what they share ---- */

#define NO_THRESHOLD	DBOPS_NO_THRESHOLD

extern const DbopsCheckSet dbops_health_checks_set;

extern const DbopsCheck *dbops_check_require(const char *name);	/* checks.c; 42704 */
extern void dbops_check_or_rule_refuse(const char *name);	/* 42704 */

extern const Health *dbops_health_require(const void *facts, HealthPart part);

/* ---- judge_sessions.c ---- */

extern void dbops_judge_active(const void *facts, DbopsCheckRun *run);
extern void dbops_judge_connections(const void *facts, DbopsCheckRun *run);
extern void dbops_judge_idle_in_transaction(const void *facts, DbopsCheckRun *run);
extern void dbops_judge_lock_waits(const void *facts, DbopsCheckRun *run);
extern void dbops_judge_waiting(const void *facts, DbopsCheckRun *run);
extern void dbops_judge_oldest_transaction(const void *facts, DbopsCheckRun *run);
extern void dbops_judge_prepared(const void *facts, DbopsCheckRun *run);

/* ---- judge_database.c ---- */

extern void dbops_judge_slow_statements(const void *facts, DbopsCheckRun *run);
extern void dbops_judge_xid_age(const void *facts, DbopsCheckRun *run);
extern void dbops_judge_multixact_age(const void *facts, DbopsCheckRun *run);
extern void dbops_judge_xid_forced(const void *facts, DbopsCheckRun *run);
extern void dbops_judge_multixact_forced(const void *facts, DbopsCheckRun *run);
extern void dbops_judge_size(const void *facts, DbopsCheckRun *run);
extern void dbops_judge_pgstattuple(const void *facts, DbopsCheckRun *run);

/* ---- judge_server.c ---- */

extern void dbops_judge_replication_lag(const void *facts, DbopsCheckRun *run);
extern void dbops_judge_replication_lag_bytes(const void *facts, DbopsCheckRun *run);
extern void dbops_judge_slots(const void *facts, DbopsCheckRun *run);
extern void dbops_judge_slots_disk(const void *facts, DbopsCheckRun *run);
extern void dbops_judge_archiver(const void *facts, DbopsCheckRun *run);
extern void dbops_judge_disks(const void *facts, DbopsCheckRun *run);

#endif							/* DBOPS_OBSERVE_H */
