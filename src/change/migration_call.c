/*
 * migration_call.c
 *		A call that runs the text of a migration and answers with receipts.
 *
 * To apply and to roll back differ in what is asked and what the ledger says
 * afterwards. How the text is run is the same for both: at once in the caller's
 * transaction, again from its beginning when it has met a lock, or by a job;
 * and so is the answer, a receipt for each statement and one that sums up.
 */
#include "change/drift.h"

#include "access/xact.h"
#include "funcapi.h"
#include "utils/tuplestore.h"

static void run_attempt(void *arg);
static void take_receipt(const MigrationReceipt *receipt, void *arg);

/* Begin to answer a function that returns SETOF dbops.migration_receipt. */
void
dbops_migration_call_begin(MigrationCall *call, FunctionCallInfo fcinfo)
{
	InitMaterializedSRF(fcinfo, 0);
	call->rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	call->sum = (MigrationReceipt) {MIGRATION_RECEIPT};
	INSTR_TIME_SET_CURRENT(call->begin);
}

/* The ms since the call began. */
double
dbops_migration_call_ms(const MigrationCall *call)
{
	instr_time	spent;

	INSTR_TIME_SET_CURRENT(spent);
	INSTR_TIME_SUBTRACT(spent, call->begin);
	return INSTR_TIME_GET_MILLISEC(spent);
}

/* Run the text in the caller's transaction. max_wait is of the call, the lock on its project included. */
void
dbops_migration_call_run(MigrationCall *call)
{
	MigrationAttempt attempt = {
		.project = call->project,
		.version = call->version,
		.lock_timeout = call->lock_timeout,
		.max_wait = Max(call->max_wait - dbops_migration_call_ms(call), 0),
		.work = run_attempt,
		.arg = call
	};

	dbops_migration_attempt(&attempt);
}

/*
 * The ledger's rows come first, so that the steps have one to belong to, and so
 * that a text that does its own migration finds it done.
 */
static void
run_attempt(void *arg)
{
	MigrationCall *call = arg;
	MigrationRun run = {
		.text = call->text,
		.version = call->version,
		.direction = call->direction,
		.first = 1,
		.last = list_length(call->text->statements),
		.lock_timeout = call->lock_timeout,
		.each = take_receipt,
		.arg = call
	};
	DriftWatch	drift;

	dbops_drift_begin(&drift, call->project, call->version);
	tuplestore_clear(call->rsinfo->setResult);
	call->sum = (MigrationReceipt) {MIGRATION_RECEIPT};
	call->record(call->arg);
	call->log = dbops_step_log_begin(call->project);
	dbops_migration_run(&run);
	dbops_step_log_end(call->log);
	if (call->verify_sql != NULL)
		dbops_migration_verify(call->verify_sql);
	dbops_drift_end(&drift);
}

static void
take_receipt(const MigrationReceipt *receipt, void *arg)
{
	MigrationCall *call = arg;

	dbops_migration_receipt_put(call->rsinfo, receipt);
	dbops_migration_receipt_add(&call->sum, receipt);
	dbops_step_log_add(call->log, receipt);
}

/* Have a job run the text. It begins when the caller's transaction commits. */
void
dbops_migration_call_submit(MigrationCall *call, Migration *migration)
{
	MigrationJobRequest request = {
		.migration = migration,
		.text = call->text,
		.direction = call->direction,
		.lock_timeout = call->lock_timeout,
		.max_wait = call->max_wait,
		.reason = call->reason
	};

	migration->job = dbops_migration_job_submit(&request);
	dbops_migration_store(migration);
	if (IsTransactionBlock())
		ereport(NOTICE,
				(errmsg("migration \"%s\" is %s by job " INT64_FORMAT ", which begins when this transaction commits",
						call->version, strcmp(call->direction, "up") == 0 ? "done" : "rolled back", migration->job)));
}

/* What the log keeps of it; the document is left open. */
void
dbops_migration_call_describe(const MigrationCall *call, DbopsJson *json)
{
	dbops_json_object(json, NULL);
	dbops_json_integer(json, "statements", list_length(call->text->statements));
	dbops_json_decimal(json, "duration_ms", dbops_migration_call_ms(call));
}

/* Return the row that sums up. job: that does it; 0: none. */
void
dbops_migration_call_report(const MigrationCall *call, const char *state, const char *message, int64 job)
{
	MigrationReceipt receipt = call->sum;

	receipt.version = call->version;
	receipt.direction = call->direction;
	receipt.state = state;
	receipt.message = message;
	receipt.job = job;
	dbops_migration_receipt_put(call->rsinfo, &receipt);
}
