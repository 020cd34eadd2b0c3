/*
 * migration.h
 *		Migrations: their texts, the ledger, what they do, and the proof before.
 *
 * A text is divided into statements before the first of them runs. Whoever
 * runs them, a deployer's transaction, a job or a trial that is rolled back,
 * does it through migration_run.c, and each statement leaves a receipt. The
 * ledger's rows are written in the transaction that does the work, or by the
 * job's own steps, so that they never say anything else than the catalog.
 */
#ifndef DBOPS_MIGRATION_H
#define DBOPS_MIGRATION_H

#include "core/core.h"
#include "core/job.h"

#include "nodes/parsenodes.h"
#include "nodes/pg_list.h"
#include "portability/instr_time.h"
#include "storage/lock.h"

/* ---- migration_scan.c: the tokens of a text ---- */

typedef struct MigrationScan MigrationScan;

typedef struct MigrationToken
{
	int			code;			/* the server's */
	bool		ends;			/* the statement: ';', also where the text ends without */
	size_t		start;			/* bytes of the text before it */
	size_t		end;
	const char *value;			/* of a name, a string or another constant */
	int			number;			/* value of an integer, or of a parameter's number */
	const char *data;			/* where it ends: lines of COPY FROM STDIN, within the text; or NULL */
	size_t		data_length;	/* bytes, without the line that ends them */
} MigrationToken;

/* Called for a line of psql's, with its command. */
typedef void (*MigrationLineCallback) (void *arg, int line, const char *command);

extern MigrationScan *dbops_migration_scan_begin(const char *argument, const char *sql);
extern void dbops_migration_scan_tolerate(MigrationScan *scan, MigrationLineCallback pass, void *arg);
extern bool dbops_migration_scan_next(MigrationScan *scan, MigrationToken *token);
extern int	dbops_migration_scan_line(MigrationScan *scan, size_t location);
extern void dbops_migration_scan_end(MigrationScan *scan);
extern void dbops_migration_scan_quietly(DbopsCallback callback, void *arg);
extern int	dbops_migration_line(const char *sql, size_t place);
extern List *dbops_migration_parse(const char *argument, const char *sql, size_t start,
								   const char *statement);
extern int	dbops_migration_point(const char *sql, size_t start);

/* ---- migration_argument.c: arguments that the calls have in common ---- */

extern const char *dbops_migration_version_argument(FunctionCallInfo fcinfo, int number, const char *argument);
extern List *dbops_migration_versions_argument(FunctionCallInfo fcinfo, int number, const char *argument);
extern long dbops_migration_wait_argument(FunctionCallInfo fcinfo, int number, const char *argument, long least);
extern const char *dbops_migration_down_text(const char *sql);

/* ---- migration_text.c: the statements of a text ---- */

typedef struct MigrationStatement
{
	int			number;			/* from 1 */
	int			line;			/* of the text, from 1, where it begins */
	size_t		start;			/* bytes of the text before it */
	size_t		length;			/* bytes, without the semicolon */
	const char *command;		/* such as CREATE TABLE */
	bool		alone;			/* the server refuses it in a transaction block */
	bool		setting;		/* SET: what follows is run with it, also in a later transaction */
	const char *data;			/* lines of COPY FROM STDIN, within the text; or NULL */
	size_t		data_length;	/* bytes, without the line that ends them */
} MigrationStatement;

/* A text that was read to its end, and can be run. */
typedef struct MigrationText
{
	const char *argument;		/* that it was given as, for messages: up_sql */
	const char *sql;
	List	   *statements;		/* of MigrationStatement * */
	bool		in_steps;		/* one of them must be alone */
} MigrationText;

extern MigrationText *dbops_migration_text_read(const char *argument, const char *sql);
extern RawStmt *dbops_migration_statement_parse(const MigrationText *text,
												const MigrationStatement *statement);
extern char *dbops_migration_statement_sql(const MigrationText *text,
										   const MigrationStatement *statement);

/* ---- migration_tokens.c: are two texts the same to the server? ---- */

typedef enum TextLikeness
{
	TEXTS_IDENTICAL,
	TEXTS_COSMETIC,				/* but for comments and white space */
	TEXTS_DIFFERENT
} TextLikeness;

/* Where two texts differ first; tokens are NULL where a text has ended. */
typedef struct TextDifference
{
	TextLikeness likeness;
	int			old_line;
	int			new_line;
	char	   *old_token;
	char	   *new_token;
} TextDifference;

extern TextDifference dbops_migration_text_compare(const char *old, const char *new);

/* ---- migration_receipt.c: what a statement has done ---- */

/* A row of dbops.migration_receipt. What is NULL, or negative, is not known. */
typedef struct MigrationReceipt
{
	const char *version;
	const char *direction;		/* up, down */
	int			step;			/* number of the statement; 0: of the whole */
	int			line;			/* 0: none */
	const char *command;
	const char *state;			/* see the type's comment */
	const char *effect;			/* metadata, rows, scan, index build, rewrite: the worst */
	Jsonb	   *locks;			/* {"public.t": "AccessExclusiveLock"} */
	Jsonb	   *objects;		/* of those that are not empty: {"created": [], "changed": [], "dropped": [], "scanned": [], "rewritten": [], "indexed": [], "proved": []} */
	int64		rows;
	int64		wal;			/* bytes */
	double		duration;		/* ms */
	double		waited;			/* ms, for locks */
	int			blocked_sessions;
	double		blocked_for;	/* ms, the longest so far */
	List	   *flags;			/* of char *, such as slow, blocking, breaking */
	List	   *notices;		/* of char * */
	const char *message;
	int64		job;			/* 0: none */
} MigrationReceipt;

/* Values that receipts begin with. */
#define MIGRATION_RECEIPT \
	.rows = -1, .wal = -1, .duration = -1, .waited = -1, .blocked_sessions = -1, .blocked_for = -1

extern void dbops_migration_receipt_put(ReturnSetInfo *rsinfo, const MigrationReceipt *receipt);
extern void dbops_migration_receipt_add(MigrationReceipt *whole, const MigrationReceipt *one);
extern Jsonb *dbops_migration_receipt_document(const MigrationReceipt *receipt);

/* ---- migration_watch.c: watch a statement at work, for its receipt ---- */

typedef void (*MigrationCommandCallback) (Node *statement);

extern MigrationCommandCallback dbops_migration_command_begins;
extern void (*dbops_migration_command_ends) (void);

extern void dbops_migration_watch_init(void);
extern void dbops_migration_watch(MigrationReceipt *receipt, DbopsCallback work, void *arg);
extern void dbops_migration_watch_alone(MigrationReceipt *receipt, DbopsCallback work, void *arg);

/* ---- migration_run.c: run the statements of a text ---- */

/*
 * Called after each statement, as the user and in the memory that the run was
 * begun in, before the next one begins; may throw, to end the run. The receipt
 * and all of it passes with the call.
 */
typedef void (*MigrationReceiptCallback) (const MigrationReceipt *receipt, void *arg);

/*
 * A run of statements of one text, in the current transaction, as the current
 * user. Settings that they change hold among them and are put back at its end.
 */
typedef struct MigrationRun
{
	const MigrationText *text;
	const char *version;		/* for messages and receipts */
	const char *direction;		/* up, down */
	int			first;			/* statement, from 1; what those before have SET is set again */
	int			last;
	long		lock_timeout;	/* ms that each waits for a lock; 0: as the session is set */
	bool		plainly;		/* what must be alone runs in its form without CONCURRENTLY */
	MigrationReceiptCallback each;	/* or NULL */
	void	   *arg;
} MigrationRun;

extern void dbops_migration_run(const MigrationRun *run);
extern void dbops_migration_run_alone(const MigrationRun *run);

/* ---- migration_verify.c: the query that must be true before the commit ---- */

extern void dbops_migration_verify(const char *verify_sql);

/* ---- migration_copy.c: COPY FROM STDIN within a text ---- */

extern uint64 dbops_migration_copy(const CopyStmt *copy, const MigrationStatement *statement);

/* ---- migration_version.c: names of versions, and their order ---- */

extern void dbops_version_check(const char *version, const char *argument);
extern int	dbops_version_compare(const char *a, const char *b);

/* ---- migration_owner.c: whose a migration is, and whose a project ---- */

/* A role as it was written down. */
typedef struct MigrationOwner
{
	const char *name;			/* that it had then */
	Oid			role;			/* its OID in that cluster */
	int64		cluster;		/* the system identifier, as pg_control_system() has it */
} MigrationOwner;

extern MigrationOwner dbops_migration_owner_current(void);
extern const char *dbops_migration_owner_login(void);
extern Oid	dbops_migration_owner_role(const MigrationOwner *owner);
extern const char *dbops_migration_owner_name(const MigrationOwner *owner);
extern void dbops_migration_require_rights(const char *project);
extern void dbops_migration_take_over(const char *project, const char *version, const char *reason);

/* ---- migration_ledger.c: the rows of the ledger ---- */

typedef struct Migration
{
	const char *project;
	const char *version;
	const char *name;			/* or NULL */
	const char *state;			/* running, applied, failed, reverted, baseline, skipped */
	MigrationOwner owner;		/* the role that applied it */
	const char *up_sql;			/* or NULL: another tool has applied it, or nobody */
	const char *down_sql;		/* or NULL */
	const char *verify_sql;		/* or NULL */
	List	   *requires;		/* of char * */
	List	   *environments;	/* of char *; NIL: all */
	bool		repeatable;
	const char *origin;			/* dbops, or the tool that it was imported from */
	int64		position;		/* in the order of application, across projects */
	TimestampTz applied_at;
	int64		job;			/* that does it or did it last; 0: none */
} Migration;

extern Migration *dbops_migration_load(const char *project, const char *version);
extern Migration *dbops_migration_find(const char *project, const char *version);
extern List *dbops_migration_list(const char *project);
extern const Migration *dbops_migration_pick(const List *migrations, const char *version);
extern void dbops_migration_store(const Migration *migration);
extern void dbops_migration_set_state(const char *project, const char *version, const char *state);
extern void dbops_migration_note(const char *project, const char *version,
								 const char *event, const char *reason, const Jsonb *details);

/* ---- migration_step_log.c: the statements of migrations, as the ledger keeps them ---- */

typedef struct StepLog StepLog;

extern void dbops_migration_plan_steps(const Migration *migration, const MigrationText *text,
									   const char *direction, int first);
extern void dbops_migration_clear_steps(const char *project, const char *version);
extern int	dbops_migration_steps_done(const char *project, const char *version,
									   const char *direction);
extern bool dbops_migration_steps_are(const char *project, const char *version,
									  const char *direction, const char *state);
extern void dbops_migration_finish_step(const char *project, const MigrationReceipt *receipt);
extern StepLog *dbops_step_log_begin(const char *project);
extern void dbops_step_log_add(StepLog *log, const MigrationReceipt *receipt);
extern void dbops_step_log_end(StepLog *log);

/* ---- migration_event.c: the log only grows ---- */

extern void dbops_migration_event_init(void);

/* ---- migration_project.c: one at a time in each project ---- */

/* ms that a call without max_wait waits for who works on the project. */
#define MIGRATION_PATIENCE 10000

extern void dbops_migration_begin(const char *project, const char *version, long max_wait);
extern bool dbops_migration_lock_project_at_once(const char *project);
extern void dbops_migration_lock_project(const char *project, const char *version, long max_wait);
extern void dbops_migration_require_idle(const char *project, const char *version);
extern bool dbops_migration_job_is_live(int64 job);
extern void dbops_migration_refuse_own_job(const char *project, const char *version, int64 job);

/* ---- migration_order.c: where a version stands among the others ---- */

typedef struct MigrationOrder
{
	char	   *highest;		/* version that is applied; NULL: none */
	char	   *baseline;		/* up to which all are; NULL: none */
} MigrationOrder;

extern MigrationOrder dbops_migration_order(const char *project);
extern bool dbops_migration_is_covered(const MigrationOrder *order, const char *version);
extern void dbops_migration_require_others(const Migration *wanted, const MigrationOrder *order);

/* ---- migration_same.c: a migration that is given again ---- */

extern TextLikeness dbops_migration_hold_against(const Migration *known, const Migration *wanted);
extern void dbops_migration_require_unchanged(const Migration *known, const MigrationText *text, int done);

/* ---- migration_attempt.c: do it again where it meets a lock ---- */

/* One attempt to do what a migration says; see dbops_migration_attempt. */
typedef struct MigrationAttempt
{
	const char *project;
	const char *version;
	long		lock_timeout;	/* ms */
	long		max_wait;		/* ms, of all attempts */
	DbopsCallback work;			/* undone and done again where it meets a lock */
	void	   *arg;
} MigrationAttempt;

extern void dbops_migration_attempt(const MigrationAttempt *attempt);
extern bool dbops_migration_met_a_lock(int sqlstate);

/* ---- migration_job.c: texts whose statements cannot share a transaction ---- */

extern void dbops_migration_job_init(void);

/* What is to be done by a job, and how patient that is. */
typedef struct MigrationJobRequest
{
	const Migration *migration; /* as it stands in the ledger */
	const MigrationText *text;	/* up or down */
	const char *direction;
	long		lock_timeout;	/* ms */
	long		max_wait;		/* ms */
	const char *reason;			/* or NULL */
} MigrationJobRequest;

extern int64 dbops_migration_job_submit(const MigrationJobRequest *request);
extern bool dbops_migration_job_is_own(int64 job);

/* ---- migration_checksum.c: is this the text that another tool has applied? ---- */

typedef enum ChecksumFit
{
	CHECKSUM_UNKNOWN,			/* the ledger has none */
	CHECKSUM_FITS,
	CHECKSUM_DIFFERS
} ChecksumFit;

extern char *dbops_migration_describe_unknown(const Migration *known, const char *sql);
extern ChecksumFit dbops_migration_checksum_fit(const char *project, const char *version, const char *sql);

/* ---- migration_tool.c: what other tools write down ---- */

typedef struct MigrationTool
{
	const char *name;
	const char *schema;			/* that its table is always in; NULL: the search_path has it */
	const char *table;
	const char *unknown;		/* what it does not record, as a user reads it; or NULL */
} MigrationTool;

/* A migration as another tool has written it down. */
typedef struct ForeignMigration
{
	char	   *version;
	char	   *name;			/* or NULL */
	char	   *state;			/* applied, reverted, baseline, failed */
	TimestampTz applied_at;		/* 0: not known */
	bytea	   *checksum;		/* SHA-256, or four bytes of flyway's own; or NULL */
	bool		repeatable;
} ForeignMigration;

extern const MigrationTool *dbops_migration_tool_find(const char *name);
extern char *dbops_migration_tool_query(const MigrationTool *tool, Oid relid, const char *name);
extern char *dbops_migration_table_query(Oid relid, const char *name,
										 const char *version, const char *applied_at);

/* ---- migration_call.c: a call that runs a text, and answers with receipts ---- */

typedef struct MigrationCall
{
	const char *project;
	const char *version;
	const char *direction;		/* up, down */
	MigrationText *text;		/* NULL: not read yet */
	const char *verify_sql;		/* or NULL */
	long		lock_timeout;	/* ms */
	long		max_wait;		/* ms, of all of it */
	const char *reason;			/* or NULL */
	DbopsCallback record;		/* has the ledger say, in each attempt, that it is done */
	void	   *arg;

	/* As it goes. */
	ReturnSetInfo *rsinfo;
	StepLog    *log;			/* statements that are done */
	MigrationReceipt sum;		/* of those */
	instr_time	begin;
} MigrationCall;

extern void dbops_migration_call_begin(MigrationCall *call, FunctionCallInfo fcinfo);
extern double dbops_migration_call_ms(const MigrationCall *call);
extern void dbops_migration_call_run(MigrationCall *call);
extern void dbops_migration_call_submit(MigrationCall *call, Migration *migration);
extern void dbops_migration_call_describe(const MigrationCall *call, DbopsJson *json);
extern void dbops_migration_call_report(const MigrationCall *call, const char *state,
										const char *message, int64 job);

/* ---- schema_snapshot.c, schema_diff.c ---- */

extern Jsonb *dbops_schema_snapshot_take(List *schemas);	/* of char *; NIL: all of the user's */

typedef struct SchemaDifference
{
	const char *change;			/* added, removed, changed */
	const char *kind;			/* table, column, index, ... */
	const char *object;			/* quoted as in SQL */
	const char *attribute;		/* that differs; or NULL */
	const char *old;			/* or NULL */
	const char *new;			/* or NULL */
} SchemaDifference;

extern List *dbops_schema_compare(const Jsonb *old, const Jsonb *new);	/* of SchemaDifference * */

/* ---- schema_state.c: what has become of it within a transaction ---- */

typedef struct SchemaState SchemaState;

extern SchemaState *dbops_schema_state_take(const SchemaState *base);
extern void dbops_schema_state_release(SchemaState *state);
extern List *dbops_schema_state_compare(const SchemaState *before, bool *all);	/* of SchemaDifference * */

/* ---- migration_targets.c: what a statement will lock and do, as its text tells ---- */

typedef struct MigrationTarget
{
	Oid			relid;
	LOCKMODE	mode;			/* the strongest that the statement takes */
	bool		along;			/* the statement names neither it nor what belongs to it */
} MigrationTarget;

extern List *dbops_migration_targets(Node *statement);
extern bool dbops_migration_locks_nothing(Node *statement);
extern Oid	dbops_migration_find_relation(const RangeVar *name);
extern const char *dbops_migration_effect(Node *statement, const char *of_types);
extern const char *dbops_migration_worse_effect(const char *one, const char *other);

/* ---- migration_targets_type.c: the tables that a type is used in ---- */

extern Oid	dbops_migration_find_type(List *names);
extern List *dbops_migration_tables_of_type(Oid type);
extern List *dbops_migration_tables_around_domain(Oid type);
extern List *dbops_migration_tables_like_type(Oid type);

/* ---- migration_targets_key.c: the other tables of foreign keys that go ---- */

extern List *dbops_migration_tables_of_column_keys(Oid relid, const char *column);
extern List *dbops_migration_tables_of_key(Oid relid, const char *constraint);

/* ---- migration_targets_along.c, migration_targets_drop.c: tables that a statement does not name ---- */

/* What becomes of one, from harmless to grave. */
typedef enum MigrationDeed
{
	MIGRATION_LOCKS,
	MIGRATION_READS,
	MIGRATION_REWRITES,
	MIGRATION_REFUSES,			/* the server does not do it, because of this table */
	MIGRATION_STRIPS,			/* an index, a constraint, a default, a trigger or a policy goes */
	MIGRATION_DROPS_COLUMN,
	MIGRATION_DROPS
} MigrationDeed;

typedef struct MigrationAlong
{
	Oid			relid;
	MigrationDeed deed;
	const char *what;			/* goes, or ties it to the statement, such as "index"; or NULL */
	const char *part;			/* its name; or NULL */
} MigrationAlong;

extern List *dbops_migration_along(Node *statement);
extern List *dbops_migration_dropped_along(Node *statement);
extern bool dbops_migration_looks_at_rows(const AlterDomainStmt *statement);
extern List *dbops_migration_add_along(List *along, Oid relid, MigrationDeed deed, const char *what, const char *part);

/* ---- migration_targets_whole.c: all tables of a schema, a tablespace, a database ---- */

extern List *dbops_migration_tables_of_whole(Node *statement);

/* ---- migration_breaking.c ---- */

extern bool dbops_migration_breaks(Node *statement);

/* ---- migration_trial.c: run texts for real, and undo it ---- */

/* What is known of a statement before it is run. */
typedef struct Foreseen
{
	List	   *targets;		/* of MigrationTarget * */
	Jsonb	   *locks;			/* the same as a document */
	LOCKMODE	strongest;
	const char *effect;			/* or NULL */
	bool		breaks;			/* it takes away what running code may use */
	bool		alone;
	bool		runnable;		/* in a transaction, in its plain form perhaps */
} Foreseen;

/* One migration of a trial. */
typedef struct MigrationTried
{
	const char *label;			/* its number in a chain; or NULL */
	MigrationText *up;
	MigrationText *down;		/* or NULL */
	List	   *foreseen_up;	/* one a statement */
	List	   *foreseen_down;
	SchemaState *before;		/* of the schema */
	const char *state;			/* what came of it */
	const char *message;		/* or NULL */
} MigrationTried;

typedef struct MigrationTrial
{
	MigrationTried *texts;		/* in the order of application */
	int			n_texts;
	bool		force;
	long		lock_timeout;	/* ms */
	double		max_duration;	/* ms */
	double		max_blocked;	/* ms */
	ReturnSetInfo *rsinfo;		/* gets the rows */

	/* As it goes. */
	SchemaState *before;		/* of the schema; NULL: there is no down text to compare it for */
	struct MigrationReview *review; /* of the schema, before */
	struct MigrationReview *review_after;	/* the up texts; or NULL */
	const char *unreviewed;		/* why there is no comparison with it; or NULL */
	MigrationTried *tried;		/* the one in work */
	const MigrationText *text;
	List	   *foreseen;
	const char *direction;
	int			next;			/* statement in work, from 0 */
	bool		clock_runs;		/* others may have to wait for it */
	bool		locks_others_out;	/* they do, since it has such locks */
	bool		compared_all;	/* a whole schema, as it was not known what was touched */
	int64		wal;			/* bytes */
	double		duration;		/* ms */
} MigrationTrial;

extern void dbops_migration_try(MigrationTrial *trial);

/* ---- migration_protection.c: is there a way back? ---- */

extern void dbops_migration_require_protection(const char *project, const char *version);

#endif							/* DBOPS_MIGRATION_H */
