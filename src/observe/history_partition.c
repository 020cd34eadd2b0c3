/*
 * history_partition.c
 *		The tables of history: their partitions, and how large they may be.
 *
 * A partition is made when its first row comes, whatever time that has: a clock
 * that jumps needs no preparation. It is made beside its table and attached,
 * which hinders no reader, not even a dump. One that is too old is dropped
 * when nobody reads the table at that moment, and else the next time: nothing
 * here waits for a lock. A partition belongs to the extension, so that no dump
 * has it.
 *
 * A clock that is wrong must not empty the tables: however old a partition is,
 * it stays until as many newer ones exist as make up the time to keep.
 */
#include "observe/history.h"

#include "access/htup_details.h"
#include "access/xlog.h"
#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "storage/lmgr.h"
#include "utils/builtins.h"
#include "utils/datetime.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"

#define KEEP_NEWEST		2		/* partitions that the cap never takes */

PG_FUNCTION_INFO_V1(dbops_prune_history);

const HistoryTable dbops_history_tables[N_HISTORY_TABLES] = {
	[HISTORY_1M] = {"metric_1m", PERIOD_DAY, 7},
	[HISTORY_5M] = {"metric_5m", PERIOD_DAY, 30},
	[HISTORY_1H] = {"metric_1h", PERIOD_MONTH, 400},
	[HISTORY_1D] = {"metric_1d", PERIOD_YEAR, 0},
	[HISTORY_WAITS] = {"wait_1m", PERIOD_DAY, 7},
	[HISTORY_STATEMENTS] = {"statement_1h", PERIOD_DAY, 30},
	[HISTORY_RELATIONS] = {"relation_1d", PERIOD_MONTH, 400},
	[HISTORY_DISKS] = {"disk_1h", PERIOD_MONTH, 400},
	[HISTORY_SEQUENCES] = {"sequence_1d", PERIOD_MONTH, 400}
};

/* Which of them give way first when all are too large; days go for ever and do not. */
static const HistoryKind expendable[] = {
	HISTORY_1M, HISTORY_WAITS, HISTORY_5M, HISTORY_STATEMENTS, HISTORY_1H, HISTORY_RELATIONS, HISTORY_SEQUENCES, HISTORY_DISKS
};

/* A partition, with the time that its name says. */
typedef struct Partition
{
	Oid			oid;
	const char *name;
	TimestampTz end;
	int64		bytes;
} Partition;

typedef struct Period
{
	const char *suffix;			/* of the partition's name */
	TimestampTz begin;
	TimestampTz end;
} Period;

static Period period_of(HistoryPeriod period, TimestampTz at);
static TimestampTz time_of_date(int year, int month, int day);
static void create_partition(void *arg);
static void ask_no_event_triggers(void);
static bool is_identified_by_rows(const char *table);
static List *list_partitions(HistoryKind kind);
static void add_relation(HeapTuple row, TupleDesc desc, void *arg);
static int	prune_old(HistoryKind kind);
static int	prune_large(void);
static int	most_at_a_time(const HistoryTable *table);
static bool drop_partition(HistoryKind kind, const Partition *partition);
static void drop(void *arg);
static Oid	table_oid(const char *name);
static void prune(void *unused);

/* What is made or dropped, for who does it as the extension's owner. */
typedef struct Command
{
	const char *table;
	const char *partition;
	Period		period;
} Command;

static const DbopsUpkeep pruning = {.name = "history_retention", .every = 600000, .elsewhere = 3600000, .run = prune};

/* Register the pruning, and the checks. */
void
dbops_history_init(void)
{
	dbops_upkeep_register(&pruning);
	dbops_history_checks_init();
}

/*
 * Be the only one that writes history, until the end of the transaction; false:
 * somebody else does. Whoever reads it is not hindered.
 */
bool
dbops_history_lock(void)
{
	return ConditionalLockRelationOid(table_oid("history_progress"), ShareUpdateExclusiveLock);
}

/* ---- making partitions ---- */

/* Make the partition for a time if there is none; false: somebody else writes history, the next time. */
bool
dbops_history_begin_partition(HistoryKind kind, TimestampTz at)
{
	const HistoryTable *table = &dbops_history_tables[kind];
	Command		command = {.table = table->name, .period = period_of(table->period, at)};
	Oid			found;

	command.partition = psprintf("%s_%s", table->name, command.period.suffix);
	found = table_oid(command.partition);
	if (!OidIsValid(found))
	{
		if (!dbops_history_lock())
			return false;
		found = table_oid(command.partition);
	}
	if (!OidIsValid(found))
		dbops_run_as_extension(create_partition, &command);
	else if (!get_rel_relispartition(found))
		ereport(ERROR,
				(errcode(ERRCODE_DUPLICATE_TABLE),
				 errmsg("dbops.%s is no partition of dbops.%s", command.partition, command.table),
				 errdetail("Another table has the name that the next partition of history is to have."),
				 errhint("ALTER TABLE dbops.%s SET SCHEMA to another, or DROP TABLE it.", command.partition)));
	return true;
}

/* The day, month or year around a time. */
static Period
period_of(HistoryPeriod period, TimestampTz at)
{
	int			year;
	int			month;
	int			day;
	TimestampTz date = at - ((at % USECS_PER_DAY) + USECS_PER_DAY) % USECS_PER_DAY;
	Period		found;

	j2date(date / USECS_PER_DAY + POSTGRES_EPOCH_JDATE, &year, &month, &day);
	switch (period)
	{
		case PERIOD_DAY:
			found.begin = date;
			found.end = date + USECS_PER_DAY;
			found.suffix = psprintf("%04d%02d%02d", year, month, day);
			return found;
		case PERIOD_MONTH:
			found.begin = time_of_date(year, month, 1);
			found.end = (month == 12) ? time_of_date(year + 1, 1, 1) : time_of_date(year, month + 1, 1);
			found.suffix = psprintf("%04d%02d", year, month);
			return found;
		case PERIOD_YEAR:
			break;
	}
	found.begin = time_of_date(year, 1, 1);
	found.end = time_of_date(year + 1, 1, 1);
	found.suffix = psprintf("%04d", year);
	return found;
}

static TimestampTz
time_of_date(int year, int month, int day)
{
	return (date2j(year, month, day) - POSTGRES_EPOCH_JDATE) * USECS_PER_DAY;
}

static void
create_partition(void *arg)
{
	const Command *command = arg;
	const char *partition = command->partition;
	char	   *begin = pstrdup(timestamptz_to_str(command->period.begin));
	char	   *end = pstrdup(timestamptz_to_str(command->period.end));

	ask_no_event_triggers();
	dbops_query_command(psprintf("CREATE TABLE dbops.%s (LIKE dbops.%s INCLUDING STORAGE)",
								 partition, command->table));
	dbops_query_command(psprintf("REVOKE ALL ON TABLE dbops.%s FROM PUBLIC", partition));
	if (is_identified_by_rows(command->table))
		dbops_query_command(psprintf("ALTER TABLE dbops.%s REPLICA IDENTITY FULL", partition));
	dbops_query_command(psprintf("ALTER EXTENSION dbops ADD TABLE dbops.%s", partition));
	dbops_query_command(psprintf("ALTER TABLE dbops.%s ATTACH PARTITION dbops.%s"
								 " FOR VALUES FROM (%s) TO (%s)", command->table, partition,
								 quote_literal_cstr(begin), quote_literal_cstr(end)));
}

/*
 * Until the nest level of who runs us is closed. Event triggers that refuse DDL,
 * or write it down, are meant for what people and their programs do; one of them
 * would end history at midnight. Before 17 those that are ENABLE ALWAYS are asked.
 */
static void
ask_no_event_triggers(void)
{
	dbops_set_nested("session_replication_role", "replica");
	if (GetConfigOption("event_triggers", true, false) != NULL)
		dbops_set_nested("event_triggers", "off");
}

/* A publication of all tables would refuse that rows of one without a key go. */
static bool
is_identified_by_rows(const char *table)
{
	HeapTuple	tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(table_oid(table)));
	bool		is;

	if (!HeapTupleIsValid(tuple))
		return false;
	is = (((Form_pg_class) GETSTRUCT(tuple))->relreplident == REPLICA_IDENTITY_FULL);
	ReleaseSysCache(tuple);
	return is;
}

/* ---- dropping them ---- */

static void
prune(void *unused)
{
	(void) dbops_history_prune();
}

/* prune_history() → int */
Datum
dbops_prune_history(PG_FUNCTION_ARGS)
{
	if (RecoveryInProgress())
		ereport(ERROR,
				(errcode(ERRCODE_READ_ONLY_SQL_TRANSACTION),
				 errmsg("history is not pruned on a standby"),
				 errhint("Call it on the primary.")));
	PG_RETURN_INT32(dbops_history_prune());
}

/* Drop what is too old, and the oldest while all is too large. Returns how many partitions went. */
int
dbops_history_prune(void)
{
	int			dropped = 0;

	if (!dbops_history_lock())
		return 0;
	for (int kind = 0; kind < N_HISTORY_TABLES; kind++)
		if (dbops_history_tables[kind].keep > 0)
			dropped += prune_old(kind);
	if (dbops_history_max_size > 0)
		dropped += prune_large();
	return dropped;
}

static int
prune_old(HistoryKind kind)
{
	const HistoryTable *table = &dbops_history_tables[kind];
	TimestampTz before = dbops_clock_now() - table->keep * USECS_PER_DAY;
	int			newer = 0;
	int			dropped = 0;
	ListCell   *cell;

	foreach(cell, list_partitions(kind))
	{
		const Partition *partition = lfirst(cell);

		if (partition->end <= before && newer >= most_at_a_time(table) &&
			drop_partition(kind, partition))
			dropped++;
		newer++;
	}
	return dropped;
}

/* How many partitions make up the time to keep. */
static int
most_at_a_time(const HistoryTable *table)
{
	return (table->period == PERIOD_DAY) ? table->keep : table->keep / 30 + 1;
}

/* Drop the oldest partitions of the finest tier, then those of the next, until the rest is small enough. */
static int
prune_large(void)
{
	int64		excess = dbops_history_bytes() - (int64) (dbops_history_max_size * MB);
	int			dropped = 0;

	for (int i = 0; i < lengthof(expendable); i++)
	{
		List	   *partitions = list_partitions(expendable[i]);

		for (int number = list_length(partitions) - 1; number >= KEEP_NEWEST && excess > 0; number--)
		{
			const Partition *partition = list_nth(partitions, number);

			if (!drop_partition(expendable[i], partition))
				return dropped; /* the next time, rather than what is worth more */
			excess -= partition->bytes;
			dropped++;
		}
	}
	return dropped;
}

/* How many bytes all of history takes in this database. */
int64
dbops_history_bytes(void)
{
	int64		bytes = 0;

	for (int kind = 0; kind < N_HISTORY_TABLES; kind++)
	{
		ListCell   *cell;

		foreach(cell, list_partitions(kind))
			bytes += ((Partition *) lfirst(cell))->bytes;
	}
	return bytes;
}

/* List a table's partitions, the newest first. */
static List *
list_partitions(HistoryKind kind)
{
	List	   *partitions = NIL;
	DbopsParam	params[] = {
		dbops_param_oid(table_oid(dbops_history_tables[kind].name)),
		dbops_param_int4(strlen(dbops_history_tables[kind].name) + 2)
	};

	dbops_store_each("SELECT p.oid, p.relname::text, (rpad(p.date, 4) || '-' || coalesce(nullif(substr(p.date, 5, 2), ''), '01')"
					 "   || '-' || coalesce(nullif(substr(p.date, 7, 2), ''), '01'))::timestamp AT TIME ZONE 'UTC', r.oid"
					 " FROM (SELECT c.oid, c.relname, c.reltoastrelid, substr(c.relname::text, $2) AS date"
					 "         FROM pg_inherits h JOIN pg_class c ON c.oid = h.inhrelid WHERE h.inhparent = $1) p,"
					 " LATERAL (SELECT p.oid UNION ALL SELECT p.reltoastrelid WHERE p.reltoastrelid <> 0"
					 "  UNION ALL SELECT i.indexrelid FROM pg_index i WHERE i.indrelid IN (p.oid, p.reltoastrelid)) r"
					 " ORDER BY p.relname DESC",
					 lengthof(params), params, add_relation, &partitions);
	for (int i = 0; i < list_length(partitions); i++)
	{
		Partition  *partition = list_nth(partitions, i);

		partition->end = period_of(dbops_history_tables[kind].period, partition->end).end;
	}
	return partitions;
}

/* A table, an index or a TOAST table of the partition at hand. */
static void
add_relation(HeapTuple row, TupleDesc desc, void *arg)
{
	List	  **partitions = arg;
	Partition  *last = (*partitions == NIL) ? NULL : llast(*partitions);
	Oid			oid = dbops_row_oid(row, desc, 1);

	if (last == NULL || last->oid != oid)
	{
		last = palloc0(sizeof(Partition));
		last->oid = oid;
		last->name = dbops_row_text(row, desc, 2);
		last->end = dbops_row_time(row, desc, 3);
		*partitions = lappend(*partitions, last);
	}
	last->bytes += dbops_relation_bytes(dbops_row_oid(row, desc, 4));
}

/* Drop a partition if nobody uses it or its table now. */
static bool
drop_partition(HistoryKind kind, const Partition *partition)
{
	const char *table = dbops_history_tables[kind].name;
	Command		command = {.table = table, .partition = partition->name};

	if (!ConditionalLockRelationOid(table_oid(table), AccessExclusiveLock) ||
		!ConditionalLockRelationOid(partition->oid, AccessExclusiveLock))
		return false;
	dbops_run_as_extension(drop, &command);
	return true;
}

static void
drop(void *arg)
{
	const Command *command = arg;

	ask_no_event_triggers();
	dbops_query_command(psprintf("ALTER EXTENSION dbops DROP TABLE dbops.%s", command->partition));
	dbops_query_command(psprintf("DROP TABLE dbops.%s", command->partition));
}

static Oid
table_oid(const char *name)
{
	return get_relname_relid(name, get_namespace_oid("dbops", false));
}
