/*
 * lint.h
 *		Statements judged before anybody runs them.
 *
 * A text is divided to its end first. Then each statement in its turn is judged
 * by all rules, against the catalog and what the text itself has done to it by
 * then, and followed: a table that the text makes has no rows and nobody who
 * waits, a constraint that it validates proves something. Nothing is run and no
 * lock is kept; what cannot be judged is said to be so.
 *
 * A rule says how bad a thing is at its worst. How bad it is here depends on the
 * relation, as its weight says.
 */
#ifndef DBOPS_LINT_H
#define DBOPS_LINT_H

#include "change/migration.h"

#include "core/rule.h"

#include "utils/hsearch.h"
#include "utils/relcache.h"

/* ---- lint_text.c: the statements of a text that may be anything ---- */

/* Something in the text that is no statement of the server's. */
typedef struct LintProblem
{
	int			line;
	bool		is_end;			/* the rest cannot be read */
	const char *what;
	const char *remedy;
} LintProblem;

typedef struct LintStatement
{
	int			line;			/* of the text, from 1, where it begins */
	size_t		start;			/* bytes of the text before it */
	size_t		length;
	bool		alone;			/* the server refuses it in a transaction block */
	const struct LintText *text;	/* that it is of */
	const char *error;			/* the server's parser says; NULL: it can be parsed */
	int			error_line;
	List	   *ignored;		/* names of rules in comments before it, of char *; "*" is all */

	/* When it was judged. */
	bool		is_judged;		/* false: it could not be */
	bool		works;			/* on rows, while others wait */
	const char *type_effect;	/* of the types that it changes; NULL: it changes none */
} LintStatement;

typedef struct LintText
{
	const char *sql;
	List	   *statements;		/* of LintStatement * */
	List	   *problems;		/* of LintProblem * */
	List	   *ignored;		/* for all of it */
	bool		has_brackets;	/* it begins and ends transactions itself */
	bool		in_steps;		/* a statement must be alone */
} LintText;

extern LintText *dbops_lint_text_read(const char *sql);
extern Node *dbops_lint_parse(const LintText *text, const LintStatement *statement);

/* ---- lint_comment.c: what comments say to a linter ---- */

extern List *dbops_lint_comment_read(const char *comments, size_t length, List **for_all);

/* ---- lint_world.c: relations as the text finds them ---- */

/* A column that the text has made or changed. */
typedef struct LintColumn
{
	const char *name;
	bool		is_new;			/* made by the text */
	bool		is_renamed;		/* has got its name by the text */
	const char *was_name;		/* in the catalog; NULL: it is new */
	bool		gone;
	bool		not_null;
	Oid			type;			/* InvalidOid: one that the text makes */
	int32		typmod;
} LintColumn;

/* A constraint that the text has added. */
typedef struct LintConstraint
{
	const Constraint *definition;
	const char *name;			/* or NULL: the server chooses one */
	int			transaction;	/* that added it */
	bool		valid;
	bool		is_of_new;		/* it speaks of a column that the catalog has not */
} LintConstraint;

/* Another name of a constraint. */
typedef struct LintRenamed
{
	const char *name;
	const char *was_name;		/* in the catalog */
} LintRenamed;

/* An index that the text has made. */
typedef struct LintIndex
{
	const IndexStmt *definition;
	const char *name;			/* or NULL */
} LintIndex;

/* How much there is to be worked on. */
typedef enum LintSize
{
	LINT_EMPTY,
	LINT_SMALL,					/* below 8 MB */
	LINT_MEDIUM,
	LINT_LARGE					/* from 1 GB */
} LintSize;

typedef struct LintTable
{
	char		schema[NAMEDATALEN];
	char		name[NAMEDATALEN];
	Oid			relid;			/* InvalidOid: made by the text, or gone */
	char		kind;			/* as pg_class.relkind */
	bool		is_new;			/* made by the text, or temporary: nobody else knows it */
	bool		gone;			/* the text has dropped it, or given it another name */
	bool		emptied;		/* by TRUNCATE */
	bool		is_stored_anew; /* the text changes whether or where it is stored */
	bool		is_documented;	/* by COMMENT */
	List	   *columns;		/* of LintColumn * */
	List	   *constraints;	/* of LintConstraint * */
	List	   *dropped;		/* names of constraints, as they are in the catalog, of char * */
	List	   *renamed_constraints;	/* of LintRenamed *, the last one last */
	List	   *gone_parts;		/* "trigger", "policy", "partition" or "default" and a name, of char * */
	bool		renamed;		/* gone by that */
	bool		unknown;		/* what was known has been rolled back; it is gone and renamed too */
	int			kept_at;		/* by lint_undo.c, last */
	bool		has_parent;		/* made like another, which may have its key */
	char		identity;		/* of rows for a replica, that the text sets; 0: not */
	const LintStatement *key_taken; /* by which what tells its rows apart goes; or NULL */
	const LintStatement *made;	/* by which it was; NULL: not by the text */
	const LintStatement *secured;	/* by which row security was turned on; or NULL */
	int			secured_in;		/* the transaction of that */
	bool		told_policy;	/* that there is none has been said */
	int			policy_in;		/* that of the first permissive policy; 0: the text makes none */
	List	   *validated;		/* likewise, that were there before */
	List	   *indexes;		/* of LintIndex * */

	/* What it weighs, looked up when it is first asked for. */
	bool		weighed;
	int64		bytes;			/* with partitions and children */
	int64		own_bytes;		/* without */
	double		traffic;		/* scans, rows fetched by index and rows written, a second */
	bool		busy;
} LintTable;

typedef struct Lint Lint;

/* Called for each relation that the text has named. */
typedef void (*LintTableJudge) (Lint *lint, LintTable *table);

extern LintTable *dbops_lint_find(Lint *lint, const RangeVar *name);
extern LintTable *dbops_lint_find_list(Lint *lint, List *name);
extern LintTable *dbops_lint_find_oid(Lint *lint, Oid relid);
extern bool dbops_lint_is_dropped(const Lint *lint, Oid relid);
extern LintTable *dbops_lint_make(Lint *lint, const RangeVar *name, char kind);
extern LintTable *dbops_lint_rename(Lint *lint, LintTable *table, const char *schema, const char *name);
extern LintTable *dbops_lint_replaced(Lint *lint, const RangeVar *name);
extern void dbops_lint_each_table(Lint *lint, LintTableJudge judge);
extern List *dbops_lint_schemas_of_path(void);
extern char *dbops_lint_label(const LintTable *table);
extern bool dbops_lint_column(const LintTable *table, const char *name, LintColumn *column);
extern LintColumn *dbops_lint_column_of_text(Lint *lint, LintTable *table, const char *name);
extern bool dbops_lint_makes_schema(const Lint *lint, const char *name);
extern bool dbops_lint_has_schema(const Lint *lint, const char *name);
extern void dbops_lint_rename_schema(Lint *lint, const char *old, const char *new);
extern void dbops_lint_drop_schema(Lint *lint, const char *name);
extern void dbops_lint_note_schema(Lint *lint, const char *name);

/* ---- lint_made.c: types and functions as the text has made or changed them ---- */

/* A type, and what it is if it is a domain. */
typedef struct LintType
{
	List	   *name;			/* as it is written */
	bool		gone;
	bool		of_catalog;		/* a domain that was there, and that the text has changed */
	const TypeName *base;		/* of a domain that the text makes; or NULL */
	List	   *checks;			/* their names, of String *, "" as long as the server has not chosen one */
	bool		not_null;
	bool		has_default;	/* the text says which */
	Node	   *default_value;	/* as parsed; NULL: none */
} LintType;

/* A function, or all of its name and some numbers of arguments. */
typedef struct LintFunction
{
	List	   *name;			/* as it is written */
	bool		gone;
	int			least;			/* arguments of a call */
	int			most;
	const char *volatility;		/* as it is written */
	bool		may_be_inlined;	/* what it does counts then, and not what it says */
} LintFunction;

extern void dbops_lint_follow_made(Lint *lint, Node *statement);
extern bool dbops_lint_makes_type(const Lint *lint, const TypeName *name);
extern bool dbops_lint_is_checked(const Lint *lint, const TypeName *name);
extern bool dbops_lint_refuses_null(const Lint *lint, const TypeName *name);
extern const TypeName *dbops_lint_stored_type(const Lint *lint, const TypeName *name);
extern bool dbops_lint_default_of_type(const Lint *lint, const TypeName **name, Node **default_value);
extern const char *dbops_lint_volatile_call(const Lint *lint, Node *default_value);
extern bool dbops_lint_is_steady_call(const Lint *lint, const Node *default_value);

/* ---- lint_choice.c: which rules a user wants ---- */

extern bool dbops_lint_wants(Lint *lint, const DbopsRule *rule);

/* ---- lint_follow.c: what a statement does to them ---- */

extern void dbops_lint_follow(Lint *lint, Node *statement);
extern const char *dbops_lint_constraint_was(const LintTable *table, const char *name);

/* ---- lint_undo.c: what a text takes back ---- */

extern void dbops_lint_follow_transaction(Lint *lint, const TransactionStmt *statement);
extern void dbops_lint_keep(Lint *lint, void *place, Size size);
extern void dbops_lint_keep_list(Lint *lint, List **list);
extern void dbops_lint_keep_table(Lint *lint, LintTable *table);
extern void dbops_lint_forget_kept(Lint *lint);

/* ---- lint_proof.c: what constraints say of rows ---- */

extern bool dbops_lint_is_proven(const Lint *lint, const LintTable *table, const char *column);
extern List *dbops_lint_conditions(const Lint *lint, const LintTable *table, Relation rel);
extern List *dbops_lint_fold(Node *condition);
extern void dbops_lint_note_names(const LintTable *table, LintConstraint *constraint);

/* ---- lint_schema.c: the statements in a CREATE SCHEMA ---- */

extern List *dbops_lint_schema_elements(Node *statement, const char **schema);
extern const char *dbops_lint_schema_name(const CreateSchemaStmt *statement);

/* ---- lint_weigh.c: how grave it is here ---- */

/* What the gravity of a finding follows. */
typedef enum LintWeight
{
	LINT_ALWAYS,				/* the rule's own severity */
	LINT_WORK,					/* others wait while rows are worked on */
	LINT_LOCK,					/* others wait while it waits for a lock, and for a moment */
	LINT_LOSS,					/* rows are lost */
	LINT_BREAK					/* what others run fails */
} LintWeight;

extern bool dbops_lint_weigh(LintTable *table, LintWeight weight, bool only, DbopsSeverity *severity);
extern bool dbops_lint_is_only(Node *statement);
extern void dbops_lint_look(LintTable *table);

/* ---- lint.c ---- */

/* lint_setting.c: settings that end what takes too long, besides lock_timeout. */
enum
{
	LINT_STATEMENT_TIMEOUT,
	LINT_IDLE_TIMEOUT,
	LINT_TRANSACTION_TIMEOUT,
	LINT_TIMEOUTS
};

/* lint_limit.c: what ends a wait, or what takes too long. */
typedef struct LintLimits
{
	const char *lock_timeout;
	const char *timeouts[LINT_TIMEOUTS];	/* NULL: that of the session */
} LintLimits;

struct Lint
{
	MemoryContext memory;		/* of what lasts */
	const LintText *text;
	const LintStatement *statement; /* in turn */
	bool		only;			/* that reaches no partition or child of what it names */
	bool		in_transaction; /* the text is run in one transaction, but where it says otherwise */
	bool		in_block;		/* BEGIN was the last of its kind */
	bool		is_running;		/* the statement is about to be run, in the transaction that is open */
	bool		is_migration;	/* dbops runs it, and limits how long it waits for locks */
	int			transaction;	/* the number of that in turn */
	HTAB	   *world;			/* of LintTable, by schema and name */
	List	   *types;			/* that the text makes or changes: of LintType *, the last of a name counts */
	List	   *functions;		/* likewise, of LintFunction * */
	HTAB	   *schemas;		/* that the text makes, renames or drops; or NULL */
	List	   *findings;		/* of LintFinding * */
	LintLimits	limits;			/* of the session, or that the text has set */
	LintLimits	limits_kept;	/* when the transaction commits */

	/* lint_undo.c */
	MemoryContext kept_memory;	/* of what is kept; or NULL */
	List	   *kept;			/* what has changed since the transaction began, of Kept * */
	List	   *savepoints;		/* of Savepoint * */
	int			kept_until;		/* counts the transactions and savepoints */

	bool		has_choices;	/* lint_choice.c has read them */
	List	   *choices;		/* of rules that are on or off other than they are shipped, of char * */

	/* lint_transaction.c */
	int			began;			/* line of the last BEGIN */
	int			locking;		/* the transaction that locked is of */
	List	   *locked;			/* of LintTable *, under ACCESS EXCLUSIVE */
	DbopsSeverity told_timeout;	/* the worst of that was told; DBOPS_OK: it was not */
	DbopsSeverity told_replayed;	/* likewise, that standbys replay locks */
	HTAB	   *holders;		/* of old locks, as lint_wait.c has read them; or NULL */
	LintTable  *worked_on;		/* by the statement in turn, as a rule has found; or NULL */

	/* lint_rewrite.c */
	const char *type_effect;	/* of the types that the statement in turn changes, a constant; or NULL */

	/* lint_null.c */
	List	   *dropping;		/* constraints that the statement in turn drops before it asks what they prove, by their names in the catalog, of char * */

	/* lint_constraint.c */
	List	   *adding;			/* constraints that the statement in turn adds NOT VALID, of char * */

	/* lint_setting.c */
	bool		told_statement_timeout;
	bool		told_idle_timeout;

	/* lint_recreate.c */
	List	   *dropped_indexes;	/* of LintDroppedIndex * */

	/* lint_repeat.c */
	LintTable  *altered;		/* by the last statement that was an ALTER TABLE */
	const LintStatement *altered_by;
	int			altered_in;		/* the transaction of that */
	bool		altered_rows;	/* it worked on rows */

	/* lint_publication.c */
	bool		has_publications;
	List	   *published;		/* of LintPublished * */

	/* lint_name.c */
	HTAB	   *long_names;		/* that the server cuts; or NULL */
	const char *known_path;		/* that writable_schemas is of; or NULL */
	List	   *writable_schemas;	/* of that path, in which others may create, of char * */

	/* lint_enum.c */
	HTAB	   *added_values;	/* of enum types, by a transaction of the text; or NULL */
	int			added_in;		/* that one */

	/* lint_reference.c */
	List	   *referred;		/* tables that foreign keys of a transaction refer to, of LintTable * */
	int			referred_in;	/* that one */

	/* lint_extension.c */
	List	   *extensions;		/* that the text creates, of char * */
	bool		has_available;	/* the server's have been read */
	List	   *available;		/* of LintAvailable * */
};

/* What a rule says. */
typedef struct LintFinding
{
	const DbopsRule *rule;
	LintWeight	weight;
	LintTable  *table;			/* or NULL */
	const char *part;			/* of that, as a column or constraint, unquoted; or what else it is about; or NULL */
	int			line;			/* 0: the statement's */
	const char *why;
	const char *safer;			/* SQL that can be run, or a sentence; or NULL */

	/* Filled in when it is reported. */
	const LintStatement *statement; /* or NULL: it is about the text */
	DbopsSeverity severity;
	const char *object;
	const char *key;
	int64		bytes;			/* -1: not known */
	TimestampTz muted_until;	/* 0: it is not */
} LintFinding;

extern void dbops_lint_init(void);
extern void dbops_lint_begin_alone(Lint *lint);
extern void dbops_lint_judge_alone(Lint *lint, Node *tree);
extern Lint *dbops_lint_begin(void);
extern void dbops_lint_read(Lint *lint, const char *sql);
extern void dbops_lint_judge(Lint *lint);
extern void dbops_lint_report(Lint *lint, LintFinding finding);

/* Called for each command of an ALTER TABLE, of a table that is there. */
typedef void (*LintCommandJudge) (Lint *lint, LintTable *table, const AlterTableCmd *command);

extern void dbops_lint_each_command(Lint *lint, Node *statement, LintCommandJudge judge);

/* ---- lint_along.c ---- */

/* Called for a table of those that a statement names all at once. */
typedef void (*LintWholeJudge) (Lint *lint, LintTable *table);

extern void dbops_lint_each_of_whole(Lint *lint, Node *statement, LintWholeJudge judge);

/* ---- lint_expression.c: what a new column's default and type are ---- */

/* What the server would do for each row. */
typedef struct LintValue
{
	bool		known;			/* or else error says why not */
	bool		is_volatile;
	char	   *sql;			/* NULL: there is no default */
	const char *error;
} LintValue;

extern LintValue dbops_lint_default(const ColumnDef *column, Node *raw);
extern bool dbops_lint_type(const TypeName *name, Oid *type, int32 *typmod);
extern char *dbops_lint_type_name(const TypeName *name);

/* ---- lint_replacement.c: what CREATE OR REPLACE finds ---- */

/* A function as it is before the statement. */
typedef struct LintOldFunction
{
	Oid			oid;
	const char *name;
	const char *label;			/* with schema and arguments */
	char		kind;			/* as pg_proc.prokind */
	char		volatility;
	Oid			returns;
	bool		returns_set;
	int			defaults;
	const char *language;
	const char *source;
	List	   *names;			/* of its input parameters, "" without, of char *; NIL: none has one */
	List	   *results;		/* types of its output parameters, of Oid */
} LintOldFunction;

extern bool dbops_lint_old_function(const CreateFunctionStmt *statement, LintOldFunction *old);
extern bool dbops_lint_read_function(LintOldFunction *old);

/* ---- lint_change.c: the changes of rows that a statement makes ---- */

extern List *dbops_lint_changes(Lint *lint, Node *statement);
extern bool dbops_lint_changes_all(const LintTable *table, Node *change);

/* ---- lint_source.c: the words of a statement ---- */

extern char *dbops_lint_source(const Lint *lint);
extern char *dbops_lint_parenthesis(const Lint *lint, int location);
extern char *dbops_lint_behind(const Lint *lint, int location, const char *word);
extern char *dbops_lint_between(const Lint *lint, const char *word, const char *end);
extern char *dbops_lint_names(const List *names);
extern char *dbops_lint_call(const char *name, const LintTable *table);

/* ---- lint_alias.c: names that other linters have for rules ---- */

extern void dbops_lint_alias_init(void);

/* ---- the rules ---- */

typedef void (*LintJudge) (Lint *lint, Node *statement);

extern const DbopsRuleSet dbops_lint_text_rules;
extern const DbopsRuleSet dbops_lint_column_rules;
extern const DbopsRuleSet dbops_lint_null_rules;
extern const DbopsRuleSet dbops_lint_constraint_rules;
extern const DbopsRuleSet dbops_lint_index_rules;
extern const DbopsRuleSet dbops_lint_transaction_rules;
extern const DbopsRuleSet dbops_lint_object_rules;
extern const DbopsRuleSet dbops_lint_rewrite_rules;
extern const DbopsRuleSet dbops_lint_partition_rules;
extern const DbopsRuleSet dbops_lint_row_rules;
extern const DbopsRuleSet dbops_lint_trigger_rules;
extern const DbopsRuleSet dbops_lint_function_rules;
extern const DbopsRuleSet dbops_lint_replacement_rules;
extern const DbopsRuleSet dbops_lint_privilege_rules;
extern const DbopsRuleSet dbops_lint_policy_rules;
extern const DbopsRuleSet dbops_lint_extension_rules;
extern const DbopsRuleSet dbops_lint_publication_rules;
extern const DbopsRuleSet dbops_lint_recreate_rules;
extern const DbopsRuleSet dbops_lint_repeat_rules;
extern const DbopsRuleSet dbops_lint_setting_rules;
extern const DbopsRuleSet dbops_lint_type_rules;
extern const DbopsRuleSet dbops_lint_name_rules;
extern const DbopsRuleSet dbops_lint_habit_rules;
extern const DbopsRuleSet dbops_lint_unseen_rules;
extern const DbopsRuleSet dbops_lint_along_rules;
extern const DbopsRuleSet dbops_lint_enum_rules;
extern const DbopsRuleSet dbops_lint_detach_rules;
extern const DbopsRuleSet dbops_lint_reference_rules;
extern const DbopsRuleSet dbops_lint_depend_rules;
extern const DbopsRuleSet dbops_lint_wait_rules;
extern const DbopsRuleSet dbops_lint_room_rules;

extern char *dbops_lint_built_again(Lint *lint, const LintTable *table, const char *column, Oid type, Oid collation);
extern const char *dbops_lint_made_not_null(const AlterTableCmd *command);
extern List *dbops_lint_index_columns(const LintTable *table, const char *index);

extern void dbops_lint_judge_columns(Lint *lint, Node *statement);
extern void dbops_lint_judge_nulls(Lint *lint, Node *statement);
extern void dbops_lint_judge_constraints(Lint *lint, Node *statement);
extern void dbops_lint_judge_indexes(Lint *lint, Node *statement);
extern void dbops_lint_begin_statement(Lint *lint);
extern void dbops_lint_judge_transaction(Lint *lint, Node *statement);
extern void dbops_lint_judge_end(Lint *lint);
extern bool dbops_lint_is_worse(Lint *lint, LintTable *table, DbopsSeverity worst, DbopsSeverity *told);
extern void dbops_lint_judge_wait(Lint *lint, Node *statement, LintTable *table, LOCKMODE mode);
extern void dbops_lint_judge_room(Lint *lint, Node *statement);
extern void dbops_lint_hold(Lint *lint, Oid relid);
extern bool dbops_lint_has_lock_timeout(const Lint *lint);
extern void dbops_lint_judge_objects(Lint *lint, Node *statement);
extern void dbops_lint_judge_rewrites(Lint *lint, Node *statement);
extern void dbops_lint_judge_partitions(Lint *lint, Node *statement);
extern void dbops_lint_judge_rows(Lint *lint, Node *statement);
extern void dbops_lint_judge_triggers(Lint *lint, Node *statement);
extern void dbops_lint_judge_functions(Lint *lint, Node *statement);
extern void dbops_lint_judge_replacements(Lint *lint, Node *statement);
extern void dbops_lint_judge_privileges(Lint *lint, Node *statement);
extern void dbops_lint_judge_policies(Lint *lint, Node *statement);
extern void dbops_lint_judge_extensions(Lint *lint, Node *statement);
extern void dbops_lint_judge_publications(Lint *lint, Node *statement);
extern void dbops_lint_judge_recreations(Lint *lint, Node *statement);
extern void dbops_lint_judge_repetitions(Lint *lint, Node *statement);
extern void dbops_lint_judge_settings(Lint *lint, Node *statement);
extern void dbops_lint_judge_types(Lint *lint, Node *statement);
extern void dbops_lint_judge_enums(Lint *lint, Node *statement);
extern void dbops_lint_judge_detachments(Lint *lint, Node *statement);
extern void dbops_lint_judge_references(Lint *lint, Node *statement);
extern void dbops_lint_judge_dependents(Lint *lint, Node *statement);
extern void dbops_lint_judge_names(Lint *lint, Node *statement);
extern void dbops_lint_judge_habits(Lint *lint, Node *statement);
extern void dbops_lint_judge_unseen(Lint *lint, Node *statement);
extern void dbops_lint_judge_along(Lint *lint, Node *statement);
extern void dbops_lint_judge_policies_at_end(Lint *lint);
extern void dbops_lint_judge_keys_at_end(Lint *lint);

/* ---- lint_limit.c: what the text sets, and until when ---- */

extern void dbops_lint_limits_begin(Lint *lint);
extern int	dbops_lint_limit(const Lint *lint, int timeout);
extern void dbops_lint_follow_setting(Lint *lint, Node *statement);

#endif							/* DBOPS_LINT_H */
