/*
 * partition_proof.c
 *		A proof that a large default partition has no rows of a time.
 *
 * ATTACH would scan it under its lock. So a constraint says first that it has
 * none, it is validated under a lock that keeps nobody from reading or writing,
 * and it is dropped when the partitions are attached. Meanwhile rows of that
 * time are refused: they would have made the partition impossible. Of which
 * times that can be done is for partition_default.c to say.
 *
 * The constraint's comment says of which time it speaks, so that one that was
 * left behind is not taken for another.
 */
#include "maintain/partition.h"

#include "catalog/pg_type.h"
#include "storage/lmgr.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"

/* A validation on its way. */
typedef struct Validation
{
	Oid			role;
	const char *sql;
	const char **why;
	bool		done;
} Validation;

static void take_constraint(HeapTuple row, TupleDesc desc, void *arg);
static char *span_text(const PartitionGap *span);
static bool add_constraint(const PartitionSet *set, const PartitionGap *span, Oid owner, const char **why);
static PartitionProof validate(const PartitionSet *set, Oid owner, const char **why);
static void run_validation(void *arg);

/* Get on with the proof by one step. */
PartitionProof
dbops_partition_proof_step(const PartitionSet *set, const PartitionConstraint *constraint,
						   const PartitionGap *span, Oid owner, const char **why)
{
	if (!constraint->exists)
		return add_constraint(set, span, owner, why) ? PARTITION_PROOF_GOES_ON : PARTITION_PROOF_WAITS;
	if (!constraint->validated)
		return validate(set, owner, why);
	return PARTITION_PROVEN;
}

/* Remove the constraint if it is there; false: a lock was not to be had. */
bool
dbops_partition_proof_remove(Oid table, Oid owner, const char **why)
{
	if (!dbops_partition_proof_find(table).exists)
		return true;
	return dbops_partition_alter(table, owner, AccessExclusiveLock,
								 psprintf("ALTER TABLE %s DROP CONSTRAINT " PARTITION_PROOF_NAME, dbops_quote_relation(table)), why);
}

/* Find it; without one, the span is empty. */
PartitionConstraint
dbops_partition_proof_find(Oid table)
{
	DbopsParam	params[] = {dbops_param_oid(table), dbops_param_text(PARTITION_PROOF_NAME)};
	PartitionConstraint constraint = {0};

	dbops_query_each("SELECT convalidated, obj_description(oid, 'pg_constraint') FROM pg_constraint"
					 " WHERE conrelid = $1 AND conname = $2 AND contype = 'c'",
					 lengthof(params), params, take_constraint, &constraint);
	return constraint;
}

static void
take_constraint(HeapTuple row, TupleDesc desc, void *arg)
{
	PartitionConstraint *constraint = arg;
	char	   *span;

	constraint->exists = true;
	constraint->validated = dbops_row_bool(row, desc, 1);
	span = dbops_row_text(row, desc, 2);
	if (span == NULL || sscanf(span, INT64_FORMAT " " INT64_FORMAT, &constraint->span.lower, &constraint->span.upper) != 2)
		constraint->span.lower = constraint->span.upper = 0;
}

static char *
span_text(const PartitionGap *span)
{
	return psprintf(INT64_FORMAT " " INT64_FORMAT, span->lower, span->upper);
}

static bool
add_constraint(const PartitionSet *set, const PartitionGap *span, Oid owner, const char **why)
{
	Oid			table = set->default_partition->relid;
	const char *name = dbops_quote_relation(table);
	const char *column = dbops_quote_name(set->column);

	return dbops_partition_alter(table, owner, AccessExclusiveLock,
								 psprintf("ALTER TABLE %s ADD CONSTRAINT " PARTITION_PROOF_NAME
						  " CHECK (%s IS NULL OR %s < %s OR %s >= %s) NOT VALID",
						  name, column, column, dbops_partition_literal(&set->clock, span->lower),
						  column, dbops_partition_literal(&set->clock, span->upper)), why) &&
		dbops_partition_ddl(owner, psprintf("COMMENT ON CONSTRAINT " PARTITION_PROOF_NAME " ON %s IS %s",
											name, quote_literal_cstr(span_text(span))), why);
}

static PartitionProof
validate(const PartitionSet *set, Oid owner, const char **why)
{
	Oid			table = set->default_partition->relid;
	Validation	validation = {
		.role = owner,
		.sql = psprintf("ALTER TABLE %s VALIDATE CONSTRAINT " PARTITION_PROOF_NAME, dbops_quote_relation(table)),
		.why = why
	};
	ErrorData  *error;

	if (dbops_attempt(run_validation, &validation, &error))
		return validation.done ? PARTITION_PROOF_GOES_ON : PARTITION_PROOF_WAITS;
	if (error->sqlerrcode != ERRCODE_CHECK_VIOLATION)
		ReThrowError(error);
	return dbops_partition_proof_remove(table, owner, why) ? PARTITION_DISPROVEN : PARTITION_PROOF_WAITS;
}

static void
run_validation(void *arg)
{
	Validation *validation = arg;

	validation->done = dbops_partition_ddl(validation->role, validation->sql, validation->why);
}
