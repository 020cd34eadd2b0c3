/*
 * online_index_busy.c
 *		Others who are at work on the table or the index of a call.
 *
 * A definition is looked up of a table that nobody is changing just then. A build
 * by another session is left alone; that of a job which does the same is not
 * another's.
 */
#include "change/online_index.h"

#include "core/server.h"

#include "storage/lmgr.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"

#define PATIENCE	1000		/* ms that a table may be locked while a call is planned */
#define NAP			50			/* ms between two looks */

/* Whom one has found at work. */
typedef struct Builder
{
	int			pid;			/* 0: nobody */
	char	   *application;
	char	   *command;
} Builder;

static void refuse_locked(Oid table);
static void take_builder(HeapTuple row, TupleDesc desc, void *arg);

/* Lock a table as a reader does, for the transaction, without queueing up. */
void
dbops_online_index_lock_table(Oid table)
{
	for (int waited = 0; !ConditionalLockRelationOid(table, AccessShareLock); waited += NAP)
	{
		if (waited >= PATIENCE)
			refuse_locked(table);
		dbops_clock_wait(NAP);
	}
	if (get_rel_name(table) == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_TABLE),
				 errmsg("a table of the call has been dropped just now"),
				 errhint("Make the same call again, if there is still something to be indexed.")));
}

static void
refuse_locked(Oid table)
{
	const char *name = get_rel_name(table) ? dbops_quote_relation(table) : psprintf("%u", table);

	ereport(ERROR,
			(errcode(ERRCODE_LOCK_NOT_AVAILABLE),
			 errmsg("table %s is locked by another session, so that it cannot even be read", name),
			 errhint("SELECT * FROM dbops.blockers(%s, 'ACCESS SHARE'); says by whom. Make the same call again when that has ended.",
					 quote_literal_cstr(name))));
}

/* Refuse an index that another session is building or rebuilding now. */
void
dbops_online_index_refuse_busy(const OnlinePlan *plan, Oid index)
{
	DbopsParam	params[] = {dbops_param_oid(index), dbops_param_text(plan->call), dbops_param_text(plan->name)};
	Builder		builder = {0};

	dbops_store_each("SELECT pid, coalesce((SELECT nullif(a.application_name, '') FROM pg_stat_get_activity(pid) a), 'no application_name'),"
					 " command FROM pg_stat_progress_create_index p"
					 " WHERE index_relid = $1 AND datname = current_database() AND pid <> pg_backend_pid()"
					 " AND NOT EXISTS (SELECT FROM dbops.job j WHERE j.runner_pid = p.pid AND j.state = 'running'"
					 " AND j.kind = 'change' AND j.spec ->> 'call' = $2 AND j.name = $3) LIMIT 1",
					 lengthof(params), params, take_builder, &builder);
	if (builder.pid != 0)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_IN_USE),
				 errmsg("index %s is being built by process %d (%s)", dbops_quote_relation(index), builder.pid, builder.application),
				 errdetail("It is at work on %s.", builder.command),
				 errhint("Make the same call again when that has ended; pg_stat_progress_create_index shows how far it is.")));
}

static void
take_builder(HeapTuple row, TupleDesc desc, void *arg)
{
	Builder    *builder = arg;

	builder->pid = dbops_row_int4(row, desc, 1);
	builder->application = dbops_row_text(row, desc, 2);
	builder->command = dbops_row_text(row, desc, 3);
}

/* What a job does in a step that takes long, seen from another process: its own figures are steps. */
char *
dbops_online_watch(int pid, int64 *done, int64 *total)
{
	int64		blocks = 0;
	int64		all = 0;
	char	   *sight = dbops_build_watch(pid, &blocks, &all);

	if (sight != NULL && all > 0 && strncmp(sight, "waiting", strlen("waiting")) != 0)
		return psprintf("%s, " INT64_FORMAT " of " INT64_FORMAT " blocks", sight, blocks, all);
	return sight;
}
