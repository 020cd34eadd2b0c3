/*
 * twin_proof.c
 *		What the steps of a change build and prove, asked of all of it at once.
 *
 * When the new column takes the place of the old one, the copies of its indexes and
 * constraints have to be there still: without a proof the server would read all
 * rows. That is asked while everybody waits, and a table of a thousand partitions
 * has thousands of copies, so those of one kind are one question.
 */
#include "change/twin.h"

#include "utils/builtins.h"

static char *all_are_so(TwinProofKind kind, const List *steps);
static char *as_row(const TwinProof *proof);
static char *question(TwinProofKind kind, const char *rows);

/* A step that is reached when its proof holds. */
void
dbops_twin_add_proven(OnlinePlan *plan, TwinProof proof, OnlineStep step)
{
	TwinProof  *copy = palloc(sizeof(TwinProof));

	*copy = proof;
	step.proof = copy;
	step.reached = question(proof.kind, as_row(&proof));
	dbops_online_add(plan, step);
}

/* SQL for still: all that the steps before have built and proved is there, each behind AND. */
char *
dbops_twin_proofs(const OnlinePlan *plan)
{
	StringInfoData sql;
	ListCell   *cell;

	initStringInfo(&sql);
	for (TwinProofKind kind = 0; kind < TWIN_PROOFS; kind++)
		appendStringInfoString(&sql, all_are_so(kind, plan->steps));
	foreach(cell, plan->steps)
	{
		const OnlineStep *step = lfirst(cell);

		if (step->kind != ONLINE_REFUSE && step->holds == 0 && step->proof == NULL)
			appendStringInfo(&sql, " AND %s", step->reached);
	}
	return sql.data;
}

static char *
all_are_so(TwinProofKind kind, const List *steps)
{
	StringInfoData rows;
	ListCell   *cell;

	initStringInfo(&rows);
	foreach(cell, steps)
	{
		const OnlineStep *step = lfirst(cell);

		if (step->kind != ONLINE_REFUSE && step->proof != NULL && step->proof->kind == kind)
			appendStringInfo(&rows, "%s%s", rows.len > 0 ? ", " : "", as_row(step->proof));
	}
	return rows.len > 0 ? psprintf(" AND %s", question(kind, rows.data)) : "";
}

static char *
as_row(const TwinProof *proof)
{
	return psprintf("(%u::oid, %s::name, %u::oid, %s::name)", proof->relid, quote_literal_cstr(proof->name),
					proof->whole, proof->whole_name == NULL ? "NULL" : quote_literal_cstr(proof->whole_name));
}

/* OFFSET 0: each row is looked up by the indexes of the catalog, however many there are. */
static char *
question(TwinProofKind kind, const char *rows)
{
	static const char *const conditions[TWIN_PROOFS] = {
		[TWIN_INDEX_THERE] = "pg_index i JOIN pg_class c ON c.oid = i.indexrelid WHERE i.indrelid = p.relid AND c.relname = p.name",
		[TWIN_INDEX_VALID] = "pg_index i JOIN pg_class c ON c.oid = i.indexrelid WHERE i.indrelid = p.relid AND c.relname = p.name AND i.indisvalid",
		[TWIN_INDEX_ATTACHED] = "pg_index i JOIN pg_class c ON c.oid = i.indexrelid JOIN pg_inherits h ON h.inhrelid = i.indexrelid"
		" JOIN pg_index wi ON wi.indexrelid = h.inhparent JOIN pg_class w ON w.oid = h.inhparent"
		" WHERE i.indrelid = p.relid AND c.relname = p.name AND wi.indrelid = p.whole AND w.relname = p.whole_name",
		[TWIN_CONSTRAINT_THERE] = "pg_constraint k WHERE k.conrelid = p.relid AND k.conname = p.name",
		[TWIN_CONSTRAINT_VALID] = "pg_constraint k WHERE k.conrelid = p.relid AND k.conname = p.name AND k.convalidated"
	};

	return psprintf("NOT EXISTS (SELECT FROM (VALUES %s) p (relid, name, whole, whole_name) WHERE NOT EXISTS (SELECT FROM %s OFFSET 0))",
					rows, conditions[kind]);
}
