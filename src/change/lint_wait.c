/*
 * lint_wait.c
 *		Rules of locks that are not to be had now, and of what a lock does on standbys.
 *
 * Who waits behind a transaction that is old already has no idea when it ends, and
 * everybody else waits behind who waits. What is read is read once for a text, and
 * of old transactions only: the others will be gone when the text is run. A vacuum
 * against wraparound counts from its beginning, since it alone does not give way.
 *
 * A standby takes ACCESS EXCLUSIVE as it replays it, and then ends the queries that
 * are in its way, or falls behind for as long as it lets them run.
 */
#include "change/change.h"
#include "change/lint.h"

#include "core/server.h"
#include "core/sql.h"

#include "catalog/pg_class.h"
#include "miscadmin.h"
#include "storage/lmgr.h"

#define OLD_AFTER	30			/* s that a transaction has been open */

enum
{
	TAKEN,
	REPLAYED
};

static const DbopsRule rules[] = {
	[TAKEN] = {
		.name = "transaction.lock_taken", .severity = DBOPS_WARNING,
		.about = "locks that an old transaction, or a vacuum against wraparound, is in the way of now",
		.source = "PostgreSQL: explicit locking, routine vacuuming"
	},
	[REPLAYED] = {
		.name = "transaction.lock_replayed", .severity = DBOPS_WARNING,
		.about = "ACCESS EXCLUSIVE while standbys replay it, where it ends queries or has replay wait for them",
		.source = "PostgreSQL: hot standby, query conflicts"
	}
};

const DbopsRuleSet dbops_lint_wait_rules = {.review = "lint", .rules = rules, .n_rules = lengthof(rules)};

/* Who is in the way at a relation. The key comes first. */
typedef struct LintHolder
{
	Oid			relid;
	LOCKMASK	modes;			/* of all of them */
	const char *oldest;
	double		age;			/* s, of that one's transaction */
} LintHolder;

static void judge_taken(Lint *lint, Node *statement, LintTable *table, LOCKMODE mode);
static LOCKMODE mode_waited_for(Node *statement, LOCKMODE mode);
static const LintHolder *holder_of(Lint *lint, Oid relid);
static void read_holders(Lint *lint);
static void take_holder(HeapTuple row, TupleDesc desc, void *arg);
static void judge_snapshots(Lint *lint, Node *statement, LintTable *table);
static bool is_self(int pid);
static void judge_replayed(Lint *lint, LintTable *table);
static char *standbys(int *n);

/* Judge a lock that a statement takes on a relation that is there; who has one of an index has its table, too. */
void
dbops_lint_judge_wait(Lint *lint, Node *statement, LintTable *table, LOCKMODE mode)
{
	if (mode < ShareUpdateExclusiveLock || !OidIsValid(table->relid) || table->kind == RELKIND_INDEX || table->kind == RELKIND_PARTITIONED_INDEX)
		return;
	judge_taken(lint, statement, table, mode);
	if (mode == AccessExclusiveLock)
		judge_replayed(lint, table);
}

/* ---- who is in the way? ---- */

static void
judge_taken(Lint *lint, Node *statement, LintTable *table, LOCKMODE mode)
{
	const LintHolder *holder = holder_of(lint, table->relid);
	LOCKMODE	wanted = mode_waited_for(statement, mode);
	bool		conflicts = false;

	for (LOCKMODE held = AccessShareLock; holder != NULL && held <= AccessExclusiveLock; held++)
		conflicts |= (holder->modes & LOCKBIT_ON(held)) != 0 && DoLockModesConflict(wanted, held);
	if (!conflicts)
	{
		judge_snapshots(lint, statement, table);
		return;
	}
	dbops_lint_report(lint, (LintFinding) {
		.rule = &rules[TAKEN], .weight = LINT_LOCK, .table = table,
		.why = psprintf("%s, open for %s, has a lock on it: the statement waits until that has ended%s", holder->oldest, dbops_figure_duration(holder->age),
						wanted == mode ? ", and all who come to the table wait behind the statement" : ""),
		.safer = psprintf("SELECT * FROM dbops.blockers(%s, '%s'); -- and begin when that is over", dbops_quote_text(dbops_lint_label(table)), dbops_lock_mode_name(wanted))
	});
}

/* CONCURRENTLY takes a weak lock, and waits for all who could not stay under a strong one. */
static LOCKMODE
mode_waited_for(Node *statement, LOCKMODE mode)
{
	if (mode != ShareUpdateExclusiveLock)
		return mode;
	if (IsA(statement, IndexStmt))
		return ShareLock;
	return dbops_sql_is_concurrent(statement) || IsA(statement, ReindexStmt) ? AccessExclusiveLock : mode;
}

static const LintHolder *
holder_of(Lint *lint, Oid relid)
{
	if (lint->holders == NULL)
		read_holders(lint);
	return hash_search(lint->holders, &relid, HASH_FIND, NULL);
}

/* Of a partition or child, at all above it too. Waiting for one is up to what it waits for. */
static void
read_holders(Lint *lint)
{
	HASHCTL		control = {.keysize = sizeof(Oid),.entrysize = sizeof(LintHolder),.hcxt = lint->memory};
	DbopsParam	params[] = {dbops_param_oid(MyDatabaseId), dbops_param_int4(MyProcPid), dbops_param_time(dbops_clock_now()), dbops_param_int4(OLD_AFTER)};

	lint->holders = hash_create("dbops lint locks", 16, &control, HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	dbops_store_each("WITH RECURSIVE held AS MATERIALIZED (SELECT * FROM pg_lock_status()),"
					 " old AS MATERIALIZED (SELECT l.relation, l.mode,"
					 "  coalesce(extract(epoch FROM $3 - coalesce(p.prepared, a.xact_start)), 0)::float8 AS age,"
					 "  CASE WHEN p.gid IS NOT NULL THEN 'prepared transaction ' || quote_literal(p.gid)"
					 "   WHEN a.query LIKE '%(to prevent wraparound)' THEN format('the vacuum against wraparound of process %s', l.pid)"
					 "   ELSE format('the transaction of process %s', coalesce(a.leader_pid, l.pid)) END AS who"
					 "  FROM held l LEFT JOIN pg_stat_get_activity(NULL) a USING (pid)"
					 "  LEFT JOIN held n ON l.pid IS NULL AND n.pid IS NULL AND n.locktype = 'transactionid' AND n.granted AND n.virtualtransaction = l.virtualtransaction"
					 "  LEFT JOIN pg_prepared_xact() p ON p.transaction = n.transactionid"
					 "  WHERE l.locktype = 'relation' AND l.database = $1 AND l.granted AND coalesce(a.leader_pid, l.pid) IS DISTINCT FROM $2"
					 "  AND (a.backend_type = 'autovacuum worker' AND a.query LIKE '%(to prevent wraparound)' OR"
					 "   a.backend_type IS DISTINCT FROM 'autovacuum worker' AND coalesce(p.prepared, a.xact_start) <= $3 - make_interval(secs => $4))),"
					 " above AS (SELECT relation, relation AS target FROM (SELECT DISTINCT relation FROM old) o"
					 "  UNION SELECT b.relation, i.inhparent FROM above b JOIN pg_inherits i ON i.inhrelid = b.target)"
					 " SELECT target, mode, age, who FROM old JOIN above USING (relation) ORDER BY age DESC, who, target, mode",
					 lengthof(params), params, take_holder, lint);
}

/* The oldest comes first. */
static void
take_holder(HeapTuple row, TupleDesc desc, void *arg)
{
	Lint	   *lint = arg;
	Oid			relid = dbops_row_oid(row, desc, 1);
	const char *mode = dbops_row_text(row, desc, 2);
	bool		found;
	LintHolder *holder = hash_search(lint->holders, &relid, HASH_ENTER, &found);

	CHECK_FOR_INTERRUPTS();
	if (!found)
	{
		holder->modes = 0;
		holder->age = dbops_row_float8(row, desc, 3);
		holder->oldest = MemoryContextStrdup(lint->memory, dbops_row_text(row, desc, 4));
	}
	for (LOCKMODE held = AccessShareLock; held <= AccessExclusiveLock; held++)
		if (strcmp(GetLockmodeName(DEFAULT_LOCKMETHOD, held), mode) == 0)
			holder->modes |= LOCKBIT_ON(held);
}

/* An index that is built concurrently waits for all snapshots of the database that are older than it. */
static void
judge_snapshots(Lint *lint, Node *statement, LintTable *table)
{
	HorizonHolder oldest;

	if (!(IsA(statement, IndexStmt) && ((IndexStmt *) statement)->concurrent) &&
		!(IsA(statement, ReindexStmt) && dbops_sql_is_concurrent(statement)))
		return;
	dbops_horizon_oldest_session(is_self, &oldest);
	if (oldest.name == NULL || oldest.age < OLD_AFTER)
		return;
	dbops_lint_report(lint, (LintFinding) {
		.rule = &rules[TAKEN], .weight = LINT_LOCK, .table = table,
		.why = psprintf("%s has a transaction open for %s, and the index is not done before that has ended, whatever tables it is about", oldest.name, dbops_figure_duration(oldest.age)),
		.safer = "Begin when that is over: an index that is half built costs writers, and is left invalid if the build is ended."
	});
}

static bool
is_self(int pid)
{
	return pid == MyProcPid;
}

/* ---- standbys ---- */

/* It is told once of a text, and again where a table makes it graver. */
static void
judge_replayed(Lint *lint, LintTable *table)
{
	int			n;
	char	   *names;

	if (!dbops_lint_is_worse(lint, table, rules[REPLAYED].severity, &lint->told_replayed) || (names = standbys(&n)) == NULL)
		return;
	dbops_lint_report(lint, (LintFinding) {
		.rule = &rules[REPLAYED], .weight = LINT_LOCK, .table = table,
		.why = psprintf("%s %s it: queries there on the table wait to the end of the transaction, and those that are in the way are ended when max_standby_streaming_delay, as it is set there, is over",
						names, n == 1 ? "replays" : "replay"),
		.safer = "Keep the transaction short, and do it when nobody needs long queries on the standbys; hot_standby_feedback does not help against a lock."
	});
}

/* Those that apply what they receive; NULL: there are none. */
static char *
standbys(int *n)
{
	StringInfoData names;
	ListCell   *cell;

	initStringInfo(&names);
	*n = 0;
	foreach(cell, dbops_standbys_read(dbops_written()))
	{
		const Standby *standby = lfirst(cell);
		const char *name = standby->applies && !standby->logical ? dbops_standby_name(standby->pid) : NULL;

		if (name != NULL)
			appendStringInfo(&names, "%s%s", (*n)++ == 0 ? "" : ", ", dbops_quote_name(name));
	}
	return *n == 0 ? NULL : psprintf("standby%s %s", *n == 1 ? "" : "s", names.data);
}
