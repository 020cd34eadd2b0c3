/*
 * twin.h
 *		Changes of columns by expand and contract: a new column beside the old
 *		one, both kept by a trigger until the application uses only the new one.
 */
#ifndef DBOPS_TWIN_H
#define DBOPS_TWIN_H

#include "change/online.h"

/* A change as dbops.column_change has it, or as it is to be put there. */
typedef struct TwinChange
{
	int64		id;				/* 0: not stored */
	bool		here;			/* it was begun in this database */
	bool		adopts;			/* the new column and the trigger are there without it; see twin_adopt.c */
	Oid			relid;			/* the table; where it is not here, found by its name */
	const char *table;			/* qualified and quoted */
	const char *call;			/* rename_column and so on */
	const char *column;			/* old; of sync_columns: the first new one */
	AttrNumber	attnum;			/* of that, when it was begun */
	const char *new_name;		/* of the new column; of change_type: that it has until the end; NULL: sync_columns */
	const char *type;			/* new, of change_type; or NULL */
	List	   *old_columns;	/* char * */
	List	   *new_columns;	/* char * */
	List	   *attnums;		/* char *: of those, since they were added or all rows were filled; NIL: not yet */
	const char *set_clause;		/* or NULL: the old column, as it is */
	const char *reverse_set;	/* or NULL */
	Jsonb	   *document;		/* what the trigger does; see change_sync.c */
	const char *state;
	const char *created_by;		/* role */
} TwinChange;

/* The column that is changed, as it stands. */
typedef struct TwinColumn
{
	Oid			relid;
	const char *schema;
	const char *relname;
	const char *table;			/* qualified and quoted */
	const char *name;
	AttrNumber	attnum;
	Oid			type;
	int32		typmod;
	Oid			collation;
	bool		not_null;		/* not only because of the table that it is a partition of */
	const char *default_value;	/* SQL; or NULL */
	bool		same_default;	/* as that table */
	List	   *sequences;		/* char *: owned by it, qualified and quoted */
	List	   *family;			/* TwinColumn *: what dbops_twin_columns() returns, when it has been asked */
	List	   *clones;			/* TwinClone *: what dbops_twin_clones() returns for clones_for, when it has been asked */
	const char *clones_for;
} TwinColumn;

/* What the new column is to be. */
typedef struct TwinType
{
	Oid			type;
	int32		typmod;
	Oid			collation;
	bool		may_fail;		/* what is assigned to it, because of what is in a row */
} TwinType;

/* How a value of the old column becomes one of the new one. */
typedef struct TwinConversion
{
	const char *expression;		/* SQL, for the safe search_path; NULL: the column as it is */
	List	   *reads;			/* char *: columns */
	bool		may_fail;		/* because of what is in a row */
	bool		plain;			/* the server changes the type without a look at any row */
} TwinConversion;

typedef enum TwinCloneKind
{
	TWIN_INDEX,
	TWIN_UNIQUE,				/* the index of a unique constraint */
	TWIN_CHECK,
	TWIN_FOREIGN_KEY
} TwinCloneKind;

/* A copy of an index or a constraint, for the new column. */
typedef struct TwinClone
{
	TwinCloneKind kind;
	const TwinColumn *column;	/* of the table that has it, which may be a partition */
	Oid			original;
	Oid			original_whole;	/* that the original is a partition's part of; or InvalidOid */
	const struct TwinClone *part_of;	/* the copy of that; or NULL */
	bool		whole;			/* of a partitioned table, made of its partitions' */
	const char *name;			/* of the original */
	const char *clone;
	const char *definition;		/* what stands behind the table in CREATE INDEX, or behind ADD CONSTRAINT name; NULL: it comes with that of the parent */
	const char *after;			/* statements that give it what else the original has, when it has its name, each after "; " */
	const char *constraint;		/* UNIQUE: its name */
	bool		unique;			/* built by finish_change(): until then one that also holds is the original */
	const char *keys;			/* unique: what it is unique on, as SQL */
	const char *condition;		/* unique: of the rows that it is unique among, as SQL */
	bool		deferrable;
	bool		deferred;
	bool		valid;			/* a constraint that all rows were checked for */
	List	   *expressions;	/* char *: of the original, that may read the column */
	Oid			operators;		/* operator class of the column in an index; InvalidOid: it is none of the keys */
	Oid			method;			/* access method of an index */
	bool		operators_default;	/* it is the one of the column's type */
	Oid			referenced_type;	/* FOREIGN KEY: of the column that it refers to */
	const char *refusal;		/* why there can be no copy; or NULL */
} TwinClone;

/* twin_store.c */
extern TwinChange *dbops_twin_find(Oid relid, const char *call, const char *column);
extern bool dbops_twin_is_finished(Oid relid, const char *call, const char *column, const char *new_name);
extern TwinChange *dbops_twin_by_id(int64 id);
extern Jsonb *dbops_twin_document(Oid relid, const char *column);
extern void dbops_twin_forget(const TwinChange *change);
extern void dbops_twin_store(TwinChange *change, bool dry_run);
extern bool dbops_twin_has_made(const TwinChange *change, Oid relid);
extern char *dbops_twin_has_columns(const TwinChange *change);
extern char *dbops_twin_note_columns(const TwinChange *change);
extern char *dbops_twin_is_open(const TwinChange *change);
extern void dbops_twin_check_alone(Oid relid, const char *column);
extern char *dbops_twin_is_in_state(const TwinChange *change, const char *state);
extern char *dbops_twin_is_over(const TwinChange *change);
extern char *dbops_twin_note_mark(const TwinChange *change);
extern char *dbops_twin_has_mark(const TwinChange *change);
extern char *dbops_twin_has_ended(const TwinChange *change, const char *state);
extern char *dbops_twin_set_over(const TwinChange *change, const char *state);
extern char *dbops_twin_set_state(const TwinChange *change, const char *state);

/* twin_document.c */
extern void dbops_twin_put_copy(TwinChange *change, const char *expression, bool both, List *owners);
extern bool dbops_twin_may_run_as(const Jsonb *document, Oid owner);
extern bool dbops_twin_runs_as_owner(const TwinChange *change);
extern void dbops_twin_refuse_generated(Oid relid, List *reads);
extern void dbops_twin_put_sets(TwinChange *change, List *owners);

/* twin_column.c */
extern TwinColumn *dbops_twin_column(Oid relid, const char *name);
extern List *dbops_twin_columns(const TwinColumn *column);
extern void dbops_twin_tell_place(const TwinColumn *column, const TwinChange *known);
extern void dbops_twin_check_free(const TwinColumn *column, const char *name, const TwinChange *change);

/* twin_old.c */
extern bool dbops_twin_old_is_dropped(const TwinChange *change);
extern void dbops_twin_check_old(const TwinChange *change);

/* twin_refuse.c */
extern void dbops_twin_check_table(OnlinePlan *plan);
extern void dbops_twin_check_triggers(Oid relid, const char *column);
extern char *dbops_twin_is_last_trigger(Oid relid, const char *column);
extern void dbops_twin_check_unused(const TwinColumn *column);
extern void dbops_twin_check_column(const TwinColumn *column, bool copied);
extern void dbops_twin_check_key(const TwinColumn *column, bool copied);
extern List *dbops_twin_owners(Oid relid);
extern void dbops_twin_check_type(Oid type);

/* twin_name.c */
extern char *dbops_twin_rewrite(const char *expression, const char *old, const char *replacement);
extern char *dbops_twin_clone_name(const char *name);
extern char *dbops_twin_trigger_name(const char *column);
extern char *dbops_twin_column_name(const char *column);
extern char *dbops_twin_not_null_name(const char *column);

/* twin_clone.c */
extern List *dbops_twin_clones(const TwinColumn *column, const char *twin);

/* twin_index.c */
extern List *dbops_twin_index_clones(const TwinColumn *column, const char *twin);
extern TwinClone *dbops_twin_new_clone(const TwinColumn *column, TwinCloneKind kind, const char *name);

/* twin_stale.c */
extern void dbops_twin_add_stale(OnlinePlan *plan, const TwinColumn *column, const char *twin);
extern void dbops_twin_add_outdated(OnlinePlan *plan, List *clones);

/* twin_row.c */
extern void dbops_twin_add_row_look(OnlinePlan *plan, const TwinChange *change);

/* twin_trigger.c */
extern void dbops_twin_tell_triggers(const TwinColumn *column, const char *twin);

/* twin_privilege.c */
extern char *dbops_twin_privileges(const TwinColumn *column, const char *twin, bool begun, bool exact);
extern void dbops_twin_tell_privileges(const TwinColumn *column, const char *twin);

/* twin_fit.c */
extern void dbops_twin_check_clones(List *clones);
extern void dbops_twin_check_fit(List *clones, const TwinType *type);

/* twin_adopt.c */
extern bool dbops_twin_is_to_adopt(const TwinColumn *column, const char *new_name, const TwinType *type, const TwinChange *known);
extern void dbops_twin_add_adoption(OnlinePlan *plan, const TwinChange *change);

/* twin_look.c */
extern OnlineStep dbops_twin_look(const TwinChange *change, const char *among);

/* twin_swap.c */
extern char *dbops_twin_swap(const TwinColumn *column, const TwinChange *change);
extern char *dbops_twin_is_as_planned(const TwinChange *change);
extern char *dbops_twin_is_in_force(const TwinChange *change);

/* twin_convert.c */
extern char *dbops_twin_type_name(Oid type, int32 typmod);
extern TwinConversion dbops_twin_convert(const TwinColumn *column, const TwinType *type, const char *using);

/* twin_default.c */
extern void dbops_twin_check_default(const TwinColumn *column, const TwinType *type);

/* twin_plain.c */
extern bool dbops_twin_is_plain(const TwinColumn *column, const TwinType *type, const Node *assigned);
extern char *dbops_twin_is_unaltered(const TwinColumn *column);

/* twin_shared.c */
extern void dbops_twin_check_shared(const TwinChange *change);

/* twin_unique.c */
#define TWIN_DUPLICATES_HINT	"Correct or delete all but one of each, and make the same call again."
extern void dbops_twin_tell_merged(const TwinColumn *column, const List *clones, const char *type);
extern void dbops_twin_tell_deferrable(const TwinColumn *column, const List *clones);
extern void dbops_twin_add_unique_looks(OnlinePlan *plan, const TwinColumn *column, const TwinChange *change, const char *reached);

/* What a step of a change has built or proved. */
typedef enum TwinProofKind
{
	TWIN_INDEX_THERE,
	TWIN_INDEX_VALID,
	TWIN_INDEX_ATTACHED,
	TWIN_CONSTRAINT_THERE,
	TWIN_CONSTRAINT_VALID
} TwinProofKind;

#define TWIN_PROOFS	(TWIN_CONSTRAINT_VALID + 1)

typedef struct TwinProof
{
	TwinProofKind kind;
	Oid			relid;			/* whose index or constraint it is */
	const char *name;
	Oid			whole;			/* ATTACHED: to an index of this table */
	const char *whole_name;
} TwinProof;

/* twin_proof.c */
extern void dbops_twin_add_proven(OnlinePlan *plan, TwinProof proof, OnlineStep step);
extern char *dbops_twin_proofs(const OnlinePlan *plan);

/* twin_plan.c */
extern void dbops_twin_name_plan(OnlinePlan *plan, const char *column);
extern void dbops_twin_expand(OnlinePlan *plan, const TwinColumn *column, const TwinChange *change,
							  const TwinType *type, const char *set_clause);
extern void dbops_twin_add_trigger(OnlinePlan *plan, const TwinChange *change);
extern char *dbops_twin_trigger_drop(const TwinChange *change);
extern void dbops_twin_add_look(OnlinePlan *plan, const TwinChange *change, OnlineStep look);
extern void dbops_twin_add_marked_look(OnlinePlan *plan, const TwinChange *change, OnlineStep look);
extern void dbops_twin_add_backfill(OnlinePlan *plan, const TwinChange *change, const char *set_clause);
extern void dbops_twin_add_unique(OnlinePlan *plan, const TwinColumn *column, const TwinChange *change);
extern void dbops_twin_add_clones(OnlinePlan *plan, const TwinColumn *column, const char *twin, bool unique);
extern void dbops_twin_add_not_nulls(OnlinePlan *plan, const TwinColumn *column, const char *twin);
extern void dbops_twin_add_end(OnlinePlan *plan, const TwinChange *change, const char *state, OnlineStep step);
extern void dbops_twin_add_ready(OnlinePlan *plan, const TwinChange *change);
extern char *dbops_twin_has_column(Oid relid, const char *name);
extern char *dbops_twin_has_trigger(const TwinChange *change);
extern char *dbops_twin_mark(const TwinChange *change);
extern void dbops_twin_take(OnlinePlan *plan, TwinChange *change);
extern char *dbops_twin_collation(Oid collation);

#endif							/* DBOPS_TWIN_H */
