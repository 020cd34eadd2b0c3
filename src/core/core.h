/*
 * core.h
 *		What every area may use.
 *
 * Areas depend on core and never on each other.
 */
#ifndef DBOPS_CORE_H
#define DBOPS_CORE_H

#include "postgres.h"

#include <math.h>

#include "access/htup.h"
#include "access/tupdesc.h"
#include "fmgr.h"
#include "funcapi.h"
#include "nodes/pg_list.h"
#include "storage/lwlock.h"
#include "utils/array.h"
#include "utils/jsonb.h"
#include "utils/timestamp.h"

#include "compat.h"

/* ---- settings.c: every setting of the extension ---- */

/* What becomes of the jobs in a server that was promoted. */
typedef enum DbopsPromotion
{
	DBOPS_PROMOTION_CONTINUE,
	DBOPS_PROMOTION_QUARANTINE
} DbopsPromotion;

/* What a server is meant to be. */
typedef enum DbopsExpectedRole
{
	DBOPS_ROLE_ANY,
	DBOPS_ROLE_PRIMARY,
	DBOPS_ROLE_STANDBY
} DbopsExpectedRole;

/* What becomes of a migration without a way back. */
typedef enum DbopsRequireProtection
{
	DBOPS_PROTECTION_OFF,
	DBOPS_PROTECTION_WARN,
	DBOPS_PROTECTION_ENFORCE
} DbopsRequireProtection;

/* What becomes of dangerous DDL. */
typedef enum DbopsGuard
{
	DBOPS_GUARD_OFF,
	DBOPS_GUARD_WARN,
	DBOPS_GUARD_ENFORCE
} DbopsGuard;

typedef enum DbopsAlertNotify
{
	DBOPS_NOTIFY_FULL,
	DBOPS_NOTIFY_BRIEF,
	DBOPS_NOTIFY_OFF
} DbopsAlertNotify;

extern int	dbops_alert_notify; /* a DbopsAlertNotify: how much NOTIFY dbops_alert says */
extern int	dbops_alert_repeat; /* s between two tellings of an alert that goes on; 0: it is told once */
extern bool dbops_allow_data_loss;	/* DROP EXTENSION may take what is nowhere else */
extern int	dbops_backfill_batch_time;	/* ms that a batch may take */
extern int	dbops_backfill_lock_timeout;	/* ms that a batch waits for a lock */
extern int	dbops_backfill_max_errors;	/* rows that may be set aside */
extern bool dbops_backfill_yield;	/* leave time to commits that wait */
extern char *dbops_break_glass; /* why; empty: it is no emergency */
extern bool dbops_collector;	/* the launcher samples */
extern int	dbops_ddl_guard;	/* a DbopsGuard */
extern int	dbops_ddl_lock_timeout; /* ms that DDL waits for a lock; 0: as lock_timeout says */
extern int	dbops_ddl_log_age;	/* min that records of DDL are kept */
extern int	dbops_dry_run_max_hold;	/* ms of locks for which others wait */
extern bool dbops_enabled;		/* background work is on */
extern char *dbops_environment; /* that this database is; empty: not set */
extern int	dbops_expected_role;	/* a DbopsExpectedRole */
extern char *dbops_expected_standbys;	/* names, with commas; empty: none is expected */
extern char *dbops_guard_exempt_roles;	/* names, with commas; empty: none */
extern int	dbops_guard_min_size;	/* kB of a relation */
extern int	dbops_health_max_age;	/* s; older figures of health are got anew */
extern int	dbops_heartbeat;	/* ms; 0: none */
extern int	dbops_history_max_size; /* MB, in a database; 0: no limit */
extern char *dbops_home_name;	/* the database that holds what is the cluster's; empty: the oldest */
extern int	dbops_job_history_age;	/* min that ended jobs are kept */
extern int	dbops_job_history_count;	/* ended jobs kept, of each kind */
extern int	dbops_job_result_rows;	/* rows of a command's result that are kept */
extern int	dbops_max_archive_backlog;	/* files; -1: no gate */
extern int	dbops_max_detach_time;	/* ms; 0: no limit */
extern int	dbops_max_replica_lag;	/* s; -1: no gate */
extern int	dbops_max_replica_lag_bytes;	/* MB; -1: no gate */
extern int	dbops_max_retention_percent;	/* that a policy removes without being confirmed */
extern int	dbops_max_workers;	/* runners at a time */
extern int	dbops_max_xmin_age; /* s; -1: no gate */
extern int	dbops_min_free_disk;	/* percent; 0: no gate */
extern int	dbops_on_promotion; /* a DbopsPromotion */
extern int	dbops_progress_interval;	/* ms between notices; 0 is never */
extern bool dbops_record_ddl;	/* DDL in no migration is written down */
extern bool dbops_require_migration;	/* the schema changes by migrations only */
extern int	dbops_require_protection;	/* a DbopsRequireProtection */
extern int	dbops_slow_query_time;	/* ms that a slow statement takes on average */
extern bool dbops_test_clock;	/* background processes obey dbops_test_now */
extern double dbops_test_now;	/* s since 1970; 0 is the real time */
extern int	dbops_watched_log_level;	/* log_min_messages without a watch; 0: there is none */

extern void dbops_settings_init(void);
extern void dbops_set_local(const char *name, const char *value);
extern void dbops_set_session(const char *name, const char *value);
extern void dbops_set_nested(const char *name, const char *value);
extern void dbops_spell_names_as_keys(void);
extern int	dbops_begin_bounded_wait(int ms);

/* ---- clock.c: the time, as tests may set it ---- */

extern TimestampTz dbops_clock_now(void);
extern void dbops_clock_wait(long ms);
extern void dbops_clock_pause(long ms);
extern void dbops_clock_restart_timeouts(void);

/* ---- argument.c: arguments of SQL functions ---- */

extern void dbops_require_argument(FunctionCallInfo fcinfo, int number, const char *name);
extern char *dbops_text_argument(FunctionCallInfo fcinfo, int number);
extern char *dbops_reason_argument(FunctionCallInfo fcinfo, int number);
extern TimestampTz dbops_until_argument(FunctionCallInfo fcinfo, int number);
extern int64 dbops_interval_ms(const Interval *interval);
extern Interval *dbops_interval_of_ms(int64 ms);
extern char *dbops_interval_text(const Interval *interval);

/* ---- texts.c: lists of texts, of char * ---- */

extern List *dbops_texts(ArrayType *array);
extern List *dbops_texts_sort(List *texts, list_sort_comparator compare);
extern bool dbops_texts_have(const List *texts, const char *text);
extern Size dbops_text_clip(const char *text, Size room);
extern const char *dbops_text_fit(const char *name, Size bytes);

/* ---- durable.c: standbys are waited for without locks ---- */

extern bool dbops_durable_put_off(void);
extern void dbops_durable_await(void);

/* ---- query.c: the only user of SPI ---- */

typedef struct DbopsParam
{
	Oid			type;
	Datum		value;
	bool		isnull;
} DbopsParam;

/* Called once a row, in the memory context of dbops_query_each's caller. */
typedef void (*DbopsRowCallback) (HeapTuple row, TupleDesc desc, void *arg);

/* For what is done elsewhere: as another role, at commit, outside of a procedure. */
typedef void (*DbopsCallback) (void *arg);

typedef struct DbopsStatement DbopsStatement;
struct PlannedStmt;
typedef void (*DbopsPlanCallback) (struct PlannedStmt *plan, void *arg);

extern uint64 dbops_query_each(const char *sql,
							   int nparams, const DbopsParam *params,
							   DbopsRowCallback each, void *arg);
extern uint64 dbops_query_each_kept(const char *sql,
									int nparams, const DbopsParam *params,
									DbopsRowCallback each, void *arg);
extern uint64 dbops_query_seen(const char *sql,
							   int nparams, const DbopsParam *params,
							   DbopsRowCallback each, void *arg);
extern void dbops_query_command(const char *sql);
extern uint64 dbops_query_change(const char *sql);
extern bool dbops_query_value(const char *sql,
							  int nparams, const DbopsParam *params,
							  Oid type, Datum *value);
extern char *dbops_query_text(const char *sql, int nparams, const DbopsParam *params);
extern char *dbops_query_text_kept(const char *sql, int nparams, const DbopsParam *params);

/* The same on dbops' own tables, with the rights of the extension's owner. */
extern uint64 dbops_store_each(const char *sql,
							   int nparams, const DbopsParam *params,
							   DbopsRowCallback each, void *arg);
extern uint64 dbops_store_each_kept(const char *sql,
									int nparams, const DbopsParam *params,
									DbopsRowCallback each, void *arg);
extern bool dbops_store_value(const char *sql,
							  int nparams, const DbopsParam *params,
							  Oid type, Datum *value);
extern bool dbops_store_value_kept(const char *sql,
								   int nparams, const DbopsParam *params,
								   Oid type, Datum *value);
extern char *dbops_store_text(const char *sql, int nparams, const DbopsParam *params);
extern void dbops_store_report(ReturnSetInfo *rsinfo, const char *sql,
							   int nparams, const DbopsParam *params);

/* Values for parameters; a NULL pointer, or 0 for a time or an OID, is null. */
extern DbopsParam dbops_param_text(const char *text);
extern DbopsParam dbops_param_texts(List *texts);
extern DbopsParam dbops_param_int4(int32 number);
extern DbopsParam dbops_param_int8(int64 number);
extern DbopsParam dbops_param_bool(bool boolean);
extern DbopsParam dbops_param_oid(Oid oid);
extern DbopsParam dbops_param_oids(const List *oids);
extern DbopsParam dbops_param_array(Datum *values, int n, Oid type);
extern DbopsParam dbops_param_time(TimestampTz time);
extern DbopsParam dbops_param_jsonb(const Jsonb *document);

/* Columns of a row, from 1, in the current memory; null is NULL, NaN, 0 or false. */
extern char *dbops_row_text(HeapTuple row, TupleDesc desc, int column);
extern List *dbops_row_texts(HeapTuple row, TupleDesc desc, int column);
extern int64 dbops_row_int8(HeapTuple row, TupleDesc desc, int column);
extern int32 dbops_row_int4(HeapTuple row, TupleDesc desc, int column);
extern double dbops_row_float8(HeapTuple row, TupleDesc desc, int column);
extern bool dbops_row_bool(HeapTuple row, TupleDesc desc, int column);
extern Oid	dbops_row_oid(HeapTuple row, TupleDesc desc, int column);
extern TimestampTz dbops_row_time(HeapTuple row, TupleDesc desc, int column);
extern Jsonb *dbops_row_jsonb(HeapTuple row, TupleDesc desc, int column);

extern char *dbops_query_submission_path(void);
extern char *dbops_query_safe_path(const char *submission_path);

extern void dbops_procedure_begin(FunctionCallInfo fcinfo, const char *name);
extern void dbops_procedure_begin_process(void);
extern void dbops_procedure_commit(void);
extern void dbops_procedure_outside(DbopsCallback callback, void *arg);
extern ErrorData *dbops_procedure_begin_anew(MemoryContext context);
extern void dbops_procedure_end(void);
extern void dbops_query_inside(DbopsCallback callback, void *arg);

extern DbopsStatement *dbops_statement_prepare(const char *sql, int nparams,
											   const Oid *types);
extern void dbops_statement_inspect(DbopsStatement *statement,
									DbopsPlanCallback look, void *arg);
extern uint64 dbops_statement_run(DbopsStatement *statement,
								  const Datum *values, bool read_only,
								  DbopsRowCallback each, void *arg);
extern uint64 dbops_statement_change_seen(DbopsStatement *statement, const Datum *values);
extern void dbops_statement_free(DbopsStatement *statement);

/* ---- access.c: who may do it, and as whom it is done ---- */

extern void dbops_require_table_owner(Oid relid);
extern Oid	dbops_relation_owner(Oid relid);
extern bool dbops_may_maintain(Oid relid, Oid role);
extern void dbops_run_as(Oid role, DbopsCallback callback, void *arg);
extern void dbops_run_as_extension(DbopsCallback callback, void *arg);
extern Oid	dbops_extension_owner(void);
extern bool dbops_role_can_login(Oid role);
extern void dbops_require_login(Oid role);
extern bool dbops_is_admin(void);
extern bool dbops_acts_for(Oid role);

/* ---- at_commit.c: what is done when the transaction has committed ---- */

extern void dbops_at_commit(DbopsCallback callback, void *arg);
extern void dbops_at_commit_only(DbopsCallback callback, void *arg, const char *refusal);

/* ---- attempt.c: to do something that may fail, and go on ---- */

extern bool dbops_attempt(DbopsCallback callback, void *arg, ErrorData **error);
extern bool dbops_attempt_until_cancelled(DbopsCallback callback, void *arg, ErrorData **error);
extern void dbops_look(DbopsCallback callback, void *arg);

/* ---- own.c: is it a statement of dbops' own that runs? ---- */

extern void dbops_as_own(DbopsCallback callback, void *arg);
extern bool dbops_is_own(void);

/* ---- data_loss.c: what must not go with DROP EXTENSION by mistake ---- */

extern void dbops_data_loss_init(void);
extern void dbops_data_loss_register(const char *table, const char *what);

/* ---- shared.c: shared memory, when preloaded ---- */

extern void dbops_shared_request(const char *name, Size size,
								 DbopsCallback prepare,
								 void **place, LWLock **lock);

/* ---- kept_memory.c: shared memory that outlives a clean restart ---- */

/* A piece of which a part, from its beginning, is kept in a file below pg_stat. */
typedef struct DbopsKeptMemory
{
	const char *file_name;
	uint32		version;		/* of its layout; another is not read */
	Size		size;			/* of the piece */
	Size		(*keep) (void *piece);	/* at the end: how many bytes of it; 0: nothing */
	bool		(*is_sound) (void *piece, Size size, TimestampTz stopped);	/* is what was read sound? */
	void	   *piece;			/* set by the restoring */
} DbopsKeptMemory;

extern bool dbops_memory_restore(DbopsKeptMemory *kept, void *piece);

/* ---- kept_note.c: a note about the cluster that outlives the server ---- */

#define NOTE_REASON_SIZE	256

typedef struct DbopsNote
{
	TimestampTz since;			/* 0: there is none */
	TimestampTz until;			/* DT_NOEND: for ever */
	int			encoding;		/* of the texts */
	char		by[NAMEDATALEN];
	char		reason[NOTE_REASON_SIZE];
} DbopsNote;

/* place and lock are those of a request for shared memory. */
typedef struct DbopsKeptNote
{
	const char *file_name;
	DbopsNote  *place;			/* NULL: not preloaded */
	LWLock	   *lock;
} DbopsKeptNote;

extern void dbops_note_restore(const DbopsKeptNote *kept, DbopsNote *place);
extern void dbops_note_keep(DbopsKeptNote *kept, const char *by, const char *reason, TimestampTz until);
extern void dbops_note_remove(DbopsKeptNote *kept, DbopsCallback removed);
extern DbopsNote dbops_note_read(const DbopsKeptNote *kept);

/* ---- extension.c: extensions that are looked into ---- */

typedef struct DbopsExtension
{
	Oid			oid;			/* InvalidOid: not installed in this database */
	bool		hidden;			/* somebody has locked the catalog: not known */
	const char *version;
	const char *schema;
} DbopsExtension;

extern DbopsExtension dbops_extension_find(const char *name);
extern Oid	dbops_extension_function(Oid extension, const char *name, int nargs);
extern const char *dbops_extension_object(const char *extension, const char *name);

/* ---- fragment.c: one expression or one set list out of a user's text ---- */

extern void dbops_fragment_check_expression(const char *text, const char *argument);
extern void dbops_fragment_check_set_list(const char *text, const char *argument);
extern struct Query *dbops_fragment_analyze(const char *statement);

/* ---- quote.c: names and texts in the SQL that reports print, each on one line ---- */

extern char *dbops_quote_name(const char *name);
extern char *dbops_quote_qualified(const char *schema, const char *name);
extern char *dbops_quote_relation(Oid relid);
extern char *dbops_quote_text(const char *text);

/* ---- vacuum.c: vacuum or analyze a table between two transactions of a procedure ---- */

/* What is to be done with a table, and what came of it. */
typedef struct DbopsVacuum
{
	Oid			relid;			/* itself, without partitions or children */
	bool		vacuum;
	bool		freeze;
	bool		analyze;
	bool		keep_length;	/* do not give empty blocks at its end back */
	bool		stays;			/* does not give way to others who wait for the table */
	ErrorData  *error;			/* or NULL */
	bool		gave_way;		/* the error says to whom */
} DbopsVacuum;

extern void dbops_vacuum(Oid relid);
extern void dbops_vacuum_at_top(DbopsVacuum *vacuum);

/* ---- relation_size.c: how large a table is, without a lock ---- */

extern int64 dbops_relation_bytes(Oid relid);

/* ---- finding.c: the result row of checks, rules and reviews ---- */

typedef enum DbopsSeverity
{
	DBOPS_OK,
	DBOPS_UNKNOWN,				/* could not be judged: never the same as ok */
	DBOPS_INFO,
	DBOPS_WARNING,
	DBOPS_CRITICAL
} DbopsSeverity;

typedef struct DbopsFinding
{
	const char *check_name;
	DbopsSeverity severity;
	const char *object;			/* what it is about, quoted as in SQL; or NULL */
	const char *message;		/* one sentence with the figures */
	const char *remedy;			/* SQL to run or a sentence; or NULL */
	const char *key;			/* stable identity, for muting */
	Jsonb	   *data;			/* the figures; or NULL */

	/* of checks only */
	const struct DbopsCheck *check; /* that found it; or NULL */
	const struct DbopsThreshold *judged_by; /* what the value was held against, or would be; NULL: that is not known here */
	double		value;			/* where judged_by is known; NaN: there is none */
	TimestampTz since;			/* it has been of this severity; 0: not known */
	TimestampTz muted_until;	/* 0: it is not muted */
	bool		partial;		/* only a part was seen of the time that is judged: what is bad is so, what is not may be */
} DbopsFinding;

#define DBOPS_CHECK_NAME_BYTES	64	/* of a finding that is remembered, with its end */
#define DBOPS_OBJECT_BYTES		192 /* likewise */

extern const char *dbops_severity_name(DbopsSeverity severity);
extern const char *dbops_finding_key(const char *check_name, const char *object);
extern void dbops_finding_put(ReturnSetInfo *rsinfo, const DbopsFinding *finding);

/* ---- check*.c: health checks, and how they are run ---- */

typedef struct DbopsCheckRun DbopsCheckRun;

/* What a check must be able to read, and so which processes can judge it. */
typedef enum DbopsCheckReach
{
	DBOPS_REACH_CATALOG,		/* catalogs or tables of a database: a session or scheduler there */
	DBOPS_REACH_DATABASE,		/* memory, of one database: the launcher too */
	DBOPS_REACH_CLUSTER			/* memory, of the cluster: the launcher too */
} DbopsCheckReach;

#define DBOPS_NO_THRESHOLD	INFINITY

/*
 * From where on a value is bad. What stands here is what dbops ships; a row of
 * dbops.check_setting says otherwise.
 */
typedef struct DbopsThreshold
{
	const char *unit;			/* "percent", "s", "bytes", "count", "1/h", "1/min", "ids"; NULL: it has none */
	bool		below;			/* what is below is bad, else what is above */
	double		warning;		/* or DBOPS_NO_THRESHOLD */
	double		critical;		/* likewise */
	double		guard;			/* a second, absolute figure must be beyond this too; DBOPS_NO_THRESHOLD: it need not */
	const char *guard_unit;		/* NULL: there is no guard */
	bool		guards_critical;	/* it holds back what is critical, which then is a warning; else that too */
	int			duration;		/* s that it must be so before an alert fires */
	int			keep_firing;	/* s that an alert stays when it is so no more */
	double		clear;			/* percent of the threshold that the value must be back by before an alert ends */
	const char *source;			/* of these figures, in a few words */
} DbopsThreshold;

typedef struct DbopsCheck
{
	const char *name;			/* what it looks at, a dot, and at which aspect */
	const char *about;			/* what its value is, in a phrase */
	void		(*judge) (const void *facts, DbopsCheckRun *run);
	bool		before_change;	/* what it finds also matters to who is about to change the schema */
	DbopsCheckReach reach;
	bool		advice;			/* what it finds changes no status and raises no alert */
	bool		required;		/* that it is unknown is at least a warning of the whole */
	bool		settling;		/* says little in the first minutes after a start: no alert then */
	DbopsThreshold threshold;
} DbopsCheck;

/* What a user has changed of a check. What is not changed is NaN or -1. */
typedef struct DbopsCheckSetting
{
	int			check;			/* its number */
	bool		enabled;
	double		warning;
	double		critical;
	double		guard;
	double		clear;			/* percent */
	int			duration;		/* s */
	int			keep_firing;	/* s */
} DbopsCheckSetting;

/* Whose facts are looked at. */
typedef struct DbopsCheckScope
{
	Oid			database;		/* InvalidOid: only the cluster is judged */
	bool		connected;		/* to that database, within a transaction */
	bool		sparing;		/* leave out what needs catalogs, but for what is shown */
	bool		bare;			/* leave out the data of findings, which nobody is shown */
} DbopsCheckScope;

typedef struct DbopsCheckSet
{
	const void *(*look) (const DbopsCheckScope *scope); /* gathers the facts; where it fails, its checks are unknown */
	const DbopsCheck *checks;
	int			n_checks;
	DbopsCheckReach reach;		/* the least that any of them needs: it is looked at only where that can be read */
	bool		shown;			/* a report shows its facts, so that all of its checks are judged with each */
} DbopsCheckSet;

extern void dbops_check_register(const DbopsCheckSet *set);
extern const DbopsCheck *dbops_check_find(const char *name);
extern int	dbops_check_number(const DbopsCheck *check);
extern const DbopsCheck *dbops_check_at(int number);	/* from 0; NULL: there are no more */
extern bool dbops_check_needs_catalogs(const DbopsCheck *check);
extern DbopsCheckRun *dbops_check_begin(const DbopsCheckScope *scope);
extern DbopsCheckRun *dbops_check_look(void);
extern DbopsCheckRun *dbops_check_look_at(const DbopsCheckScope *scope);
extern const void *dbops_check_facts(const DbopsCheckRun *run,
									 const DbopsCheckSet *set);
extern List *dbops_check_judge(DbopsCheckRun *run);
extern List *dbops_check_judge_before_change(DbopsCheckRun *run);
extern List *dbops_check_judge_reach(const DbopsCheckScope *scope, DbopsCheckReach reach);
extern List *dbops_check_judge_apart(const DbopsCheckScope *scope);
extern List *dbops_check_judge_one(const DbopsCheckScope *scope, const DbopsCheck *check);
extern uint64 dbops_check_mark(const DbopsCheckRun *run);
extern List *dbops_check_adopt(DbopsCheckRun *run, const List *findings);

/* For the functions that judge: a finding as it stands, or a value held against the thresholds that are in force. */
extern void dbops_check_report(DbopsCheckRun *run, DbopsFinding finding);
extern void dbops_check_report_value(DbopsCheckRun *run, double value, double guard,
									 DbopsFinding finding);
extern void dbops_check_weigh(const DbopsCheckRun *run, double value, double guard, DbopsFinding *finding);
extern const DbopsThreshold *dbops_check_threshold(const DbopsCheckRun *run);
extern DbopsSeverity dbops_threshold_severity(const DbopsThreshold *threshold, double value, double guard);
extern const char *dbops_threshold_guards(const DbopsThreshold *threshold); /* "all" or "critical": what it holds back */
extern void dbops_check_report_unknown(DbopsCheckRun *run, const char *object,
									   const char *message, const char *remedy);

/* For reports: the figures of a finding with what is shipped and what a user changed. */
extern Jsonb *dbops_check_explain(const DbopsCheckRun *run, const DbopsFinding *finding);

/* ---- check_override.c: what users changed of checks, and muted of what they find ---- */

#define MAX_CHECKS	256			/* that are registered */

typedef struct DbopsMute
{
	uint64		key;			/* hash of a finding's key, or of a check's name: all that it finds */
	TimestampTz until;
} DbopsMute;

/* Of one database. */
typedef struct DbopsOverrides
{
	int			n_settings;
	DbopsCheckSetting *settings;
	int			n_mutes;
	DbopsMute  *mutes;
} DbopsOverrides;

extern void dbops_override_init(void);
extern void dbops_override_refresh(void);
extern const DbopsOverrides *dbops_override_read(const DbopsCheckScope *scope);
extern uint64 dbops_override_mark(const DbopsOverrides *overrides);
extern const DbopsCheckSetting *dbops_override_of(const DbopsOverrides *overrides,
												  const DbopsCheck *check);
extern DbopsThreshold dbops_override_threshold(const DbopsOverrides *overrides,
											   const DbopsCheck *check);
extern TimestampTz dbops_override_muted_until(const DbopsOverrides *overrides,
											  const char *check_name, const char *key);

/* ---- tick.c: what the launcher does besides starting schedulers ---- */

/*
 * Called without a database, in a transaction of its own, on a standby too; an
 * error is logged and counted.
 */
typedef struct DbopsTick
{
	const char *name;
	long		every;			/* ms */
	const int  *every_setting;	/* or a setting that says so, where 0 is never; NULL: every does */
	DbopsCallback run;
} DbopsTick;

#define DBOPS_TICK_BUDGET	1.0	/* ms that all that is due at a time may take */

/* Of these rounds together. */
typedef struct DbopsTickCost
{
	double		ms;
	int64		rounds;			/* times that at least one was due, the heartbeat apart */
	int64		overruns;		/* of them took more than the budget */
	int64		failures;
} DbopsTickCost;

extern void dbops_tick_init(void);
extern void dbops_tick_register(const DbopsTick *tick);
extern long dbops_tick_run(void);	/* ms until the next */
extern void dbops_tick_cost(DbopsTickCost *cost);

/* ---- forget.c: a database that is gone, or has dbops no more ---- */

extern void dbops_forget_register(void (*forget) (Oid database));
extern void dbops_forget_database(Oid database);

/* ---- upkeep.c: what a scheduler does besides starting jobs ---- */

/* Called in a transaction of its own, as the extension's owner. */
typedef struct DbopsUpkeep
{
	const char *name;
	long		every;			/* ms, in the home database */
	long		elsewhere;		/* ms, in the others; 0: not there */
	DbopsCallback run;			/* not on a standby */
	DbopsCallback read;			/* instead, on a standby, where nothing can be written; NULL: nothing */
	bool		parting;		/* and once more when dbops is switched off */
} DbopsUpkeep;

#define DBOPS_MOST_DATABASES	4096	/* that are looked after */

extern void dbops_upkeep_init(void);
extern void dbops_upkeep_register(const DbopsUpkeep *upkeep);
extern void dbops_upkeep_wake_hook(void (*wake) (Oid database));
extern void dbops_upkeep_request(Oid database, const char *name);	/* NULL: all of them */

/* For the scheduler of this database. */
extern const DbopsUpkeep *dbops_upkeep_take(void);
extern void dbops_upkeep_run(const DbopsUpkeep *upkeep, bool (*may_run) (void));
extern TimestampTz dbops_upkeep_next(void);

/* ---- home.c: which database holds what is the whole cluster's ---- */

extern void dbops_home_init(void);
extern void dbops_home_note(Oid database);
extern Oid	dbops_home_database(void);	/* InvalidOid: not known yet, or there is none */

/* ---- backup.c: the registry of who records backups ---- */

/* A backup, as somebody has recorded it. */
typedef struct DbopsBackup
{
	const char *label;			/* as its maker calls it */
	TimestampTz ended;
	TimestampTz proven;			/* when it was restored and compared; 0: never */
} DbopsBackup;

/* Find the newest one; false: none is recorded. */
typedef bool (*DbopsBackupSource) (DbopsBackup *newest);

extern void dbops_backup_init(void);
extern void dbops_backup_source_register(DbopsBackupSource source);
extern bool dbops_backup_newest(DbopsBackup *newest);

/* ---- json.c: reports as jsonb ---- */

typedef struct DbopsJson
{
	JsonbParseState *state;
	JsonbValue *value;
} DbopsJson;

extern void dbops_json_object(DbopsJson *json, const char *key);
extern void dbops_json_object_end(DbopsJson *json);
extern void dbops_json_array(DbopsJson *json, const char *key);
extern void dbops_json_array_end(DbopsJson *json);
extern Jsonb *dbops_json_finish(DbopsJson *json);
extern void dbops_json_null(DbopsJson *json, const char *key);
extern void dbops_json_text(DbopsJson *json, const char *key, const char *text);
extern void dbops_json_texts(DbopsJson *json, const char *key, const List *texts);
extern void dbops_json_boolean(DbopsJson *json, const char *key, bool boolean);
extern void dbops_json_integer(DbopsJson *json, const char *key, int64 number);
extern void dbops_json_decimal(DbopsJson *json, const char *key, double number);
extern void dbops_json_time(DbopsJson *json, const char *key, TimestampTz time);
extern void dbops_json_document(DbopsJson *json, const char *key, Jsonb *document);

/* ---- meaning.c: the settings that an expression's value depends on ---- */

extern Jsonb *dbops_meaning_of_session(void);
extern void dbops_meaning_use(const Jsonb *settings);
extern void dbops_meaning_pin(const char *zone);
extern void dbops_meaning_write(void);

/* ---- json_read.c: members of a jsonb object, of ours or checked before ---- */

extern const char *dbops_jsonb_text(const Jsonb *object, const char *key);
extern int64 dbops_jsonb_integer(const Jsonb *object, const char *key);
extern double dbops_jsonb_decimal(const Jsonb *object, const char *key);
extern bool dbops_jsonb_boolean(const Jsonb *object, const char *key);
extern Jsonb *dbops_jsonb_document(const Jsonb *object, const char *key);
extern List *dbops_jsonb_texts(const Jsonb *object, const char *key);
extern List *dbops_jsonb_documents(const Jsonb *object, const char *key);
extern int	dbops_jsonb_integers(const Jsonb *object, const char *key, int64 **numbers);

#endif							/* DBOPS_CORE_H */
