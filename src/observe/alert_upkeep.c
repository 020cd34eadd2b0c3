/*
 * alert_upkeep.c
 *		Who judges, and when: the launcher, the schedulers, and a session that asks.
 *
 * The launcher judges what is in memory each tick, of the cluster and of the
 * databases in use, as many as its time allows and the others the next time.
 * Schedulers judge what needs the catalogs of their database. Whoever judges
 * puts the findings on the board and advances the alerts. A scheduler is asked
 * for only when something has happened, or when the alerts of its database are
 * not known yet: until then the launcher judges none of them, so that what was
 * told before a restart is not told again.
 *
 * A standby has no schedulers: its launcher judges the cluster, and tells the log.
 * A reader tells it what the home database has silenced or set; it waits for that,
 * but not for long, since there may be no such database.
 */
#include "observe/alert.h"
#include "observe/board.h"
#include "observe/metric.h"

#include "access/xlog.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "portability/instr_time.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/typcache.h"

#define BUDGET			0.4		/* ms that the databases of one tick may take */
#define PATIENCE		30000	/* ms that a standby waits for what home says */
#define TURNS			6		/* ticks in which each of them has its turn, however long they take */

PG_FUNCTION_INFO_V1(dbops_evaluate_alerts);

static void judge_in_launcher(void *unused);
static void follow_promotion(TimestampTz now);
static bool may_evaluate(Oid database);
static bool may_tell_on_standby(void);
static void judge_cluster(void);
static void judge_databases(void);
static void judge(Oid database, bool connected, DbopsCheckReach reach);
static void ask_for_schedulers(void);
static void judge_catalogs(void *unused);
static void look_after_alerts(void *unused);
static void read_alerts(void *unused);
static List *take_findings(ArrayType *array);
static DbopsFinding *take_finding(HeapTupleHeader row, const DbopsOverrides *overrides);
static char *text_of(HeapTupleHeader row, const char *name);
static DbopsSeverity severity_of(const char *name);
static int	by_severity_and_key(const ListCell *a, const ListCell *b);
static void prepare_to_evaluate(bool delivers);
static void load(void);
static int	evaluate_here(void);

static const DbopsTick tick = {.name = "alerts",.every = TICK,.run = judge_in_launcher};

static const DbopsUpkeep alerts_upkeep = {
	.name = "alerts",
	.every = ALERT_INTERVAL_HOME * 1000L,
	.elsewhere = ALERT_INTERVAL_ELSEWHERE * 1000L,
	.run = look_after_alerts,
	.read = read_alerts
};

static const DbopsUpkeep checks_upkeep = {
	.name = "checks",
	.every = ALERT_INTERVAL_HOME * 1000L,
	.elsewhere = ALERT_INTERVAL_ELSEWHERE * 1000L,
	.run = judge_catalogs
};

/* Ask for the memory and register who works. */
void
dbops_alert_init(void)
{
	dbops_alert_memory_init();
	dbops_alert_silence_init();
	dbops_forget_register(dbops_alert_forget);
	dbops_tick_register(&tick);
	dbops_upkeep_register(&alerts_upkeep);
	dbops_upkeep_register(&checks_upkeep);
}

/* ---- the launcher ---- */

static void
judge_in_launcher(void *unused)
{
	follow_promotion(GetCurrentTimestamp());
	judge_cluster();
	if (RecoveryInProgress())
		return;
	judge_databases();
	ask_for_schedulers();
}

/* A server that has been promoted is like one that was just started. */
static void
follow_promotion(TimestampTz now)
{
	static bool was_standby = false;

	if (was_standby && !RecoveryInProgress())
		dbops_alert_memory_begin_anew(now);
	was_standby = RecoveryInProgress();
}

/* Is it known what was told of a database's alerts, or of the cluster's? */
static bool
may_evaluate(Oid database)
{
	return RecoveryInProgress() ? may_tell_on_standby() : dbops_alert_is_loaded(database);
}

/* In the launcher. */
static bool
may_tell_on_standby(void)
{
	static TimestampTz since = 0;

	if (since == 0)
		since = GetCurrentTimestamp();
	return dbops_alert_home_is_read() ||
		TimestampDifferenceExceeds(since, GetCurrentTimestamp(), PATIENCE);
}

static void
judge_cluster(void)
{
	judge(InvalidOid, false, DBOPS_REACH_CLUSTER);
}

/*
 * Judge the databases of which there are samples, in turn: as many as there is
 * time for, but each once a minute even when that is short. The turn goes by
 * their OIDs, so that none is passed over when others come or go.
 */
static void
judge_databases(void)
{
	static Oid	last = InvalidOid;
	Oid			databases[RING_DATABASES];
	int			n = dbops_ring_databases(databases);
	int			next = 0;
	instr_time	began;
	instr_time	took;

	qsort(databases, n, sizeof(Oid), oid_cmp);
	while (next < n && databases[next] <= last)
		next++;
	INSTR_TIME_SET_CURRENT(began);
	for (int i = 0; i < n; i++)
	{
		Oid			database = databases[next++ % n];

		last = database;
		if (may_evaluate(database))
			judge(database, false, DBOPS_REACH_DATABASE);
		INSTR_TIME_SET_CURRENT(took);
		INSTR_TIME_SUBTRACT(took, began);
		if (INSTR_TIME_GET_MILLISEC(took) > BUDGET && (i + 1) * TURNS >= n)
			return;
	}
}

/* Judge the checks of one reach. */
static void
judge(Oid database, bool connected, DbopsCheckReach reach)
{
	DbopsCheckScope scope = {.database = database,.connected = connected,.bare = !connected};
	uint64		settings = dbops_override_mark(dbops_override_read(&scope));	/* by these at least it is judged */
	List	   *findings = dbops_check_judge_reach(&scope, reach);

	dbops_board_put(database, reach, settings, findings);
	if (may_evaluate(database))
		(void) dbops_alert_evaluate(database, findings, true, reach);
}

static void
ask_for_schedulers(void)
{
	List	   *databases = dbops_alert_news_waited_for();
	Oid			home = dbops_home_database();
	ListCell   *cell;

	if (OidIsValid(home) && !dbops_alert_is_loaded(InvalidOid))
		databases = list_append_unique_oid(databases, home);
	foreach(cell, databases)
		dbops_upkeep_request(lfirst_oid(cell), "alerts");
}

/* ---- the schedulers ---- */

static void
judge_catalogs(void *unused)
{
	load();
	judge(MyDatabaseId, true, DBOPS_REACH_CATALOG);
	if (dbops_alert_deliver_alone())
		dbops_alert_deliver();
}

/* While somebody else delivers, the launcher asks again. */
static void
look_after_alerts(void *unused)
{
	Disks		disks = {0};

	dbops_disks_read(&disks);	/* so that the launcher knows their names before it judges them */
	dbops_alert_silence_load();
	load();
	if (!dbops_alert_deliver_alone())
		return;
	dbops_alert_store_take_over(dbops_alert_is_home());
	dbops_alert_deliver();
	dbops_alert_store_prune();
}

/* What the launcher of a standby has to know of this database. */
static void
read_alerts(void *unused)
{
	Disks		disks = {0};

	dbops_disks_read(&disks);
	dbops_alert_silence_load();
	if (dbops_alert_is_home())
		dbops_alert_note_home_read();
}

/* ---- a session ---- */

/* evaluate_alerts(findings finding[]) → integer: how many events that made */
Datum
dbops_evaluate_alerts(PG_FUNCTION_ARGS)
{
	bool		writes = !RecoveryInProgress();
	bool		delivers = writes && dbops_alert_deliver_here();
	int			events;

	if (writes)
		prepare_to_evaluate(delivers);
	events = PG_ARGISNULL(0) ? evaluate_here() :
		dbops_alert_evaluate(MyDatabaseId, take_findings(PG_GETARG_ARRAYTYPE_P(0)), false, DBOPS_REACH_DATABASE);
	if (delivers)
		dbops_alert_deliver();
	else if (writes && events > 0)
		ask_for_schedulers();
	PG_RETURN_INT32(events);
}

/* Know what was told before, and what is silenced. */
static void
prepare_to_evaluate(bool delivers)
{
	if (delivers)
	{
		dbops_alert_await_turn();
		dbops_alert_memory_forget_own();
	}
	load();
}

/* As long as that is not here, what is silenced is not known either. */
static void
load(void)
{
	if (!dbops_alert_is_loaded_here(MyDatabaseId))
		dbops_alert_silence_load();
	dbops_alert_store_load(dbops_alert_is_home());
}

/* Judge everything, as the launcher and the scheduler would. */
static int
evaluate_here(void)
{
	static const DbopsCheckReach reaches[] = {DBOPS_REACH_CLUSTER, DBOPS_REACH_DATABASE, DBOPS_REACH_CATALOG};
	int			nest_level = NewGUCNestLevel();
	int			events = 0;

	dbops_spell_names_as_keys();
	for (int i = 0; i < lengthof(reaches); i++)
	{
		DbopsCheckScope scope = {.database = MyDatabaseId,.connected = true};
		Oid			database = (reaches[i] == DBOPS_REACH_CLUSTER) ? InvalidOid : MyDatabaseId;
		List	   *findings = dbops_check_judge_reach(&scope, reaches[i]);

		if (OidIsValid(database) || dbops_alert_is_home())
			events += dbops_alert_evaluate(database, findings, true, reaches[i]);
	}
	AtEOXact_GUC(true, nest_level);
	return events;
}

/* Make a list of DbopsFinding *, the gravest first, of an array of dbops.finding. */
static List *
take_findings(ArrayType *array)
{
	const DbopsOverrides *overrides = dbops_alert_overrides(MyDatabaseId);
	List	   *findings = NIL;
	Datum	   *elements;
	bool	   *nulls;
	int			n;

	deconstruct_array(array, ARR_ELEMTYPE(array), -1, false, TYPALIGN_DOUBLE, &elements, &nulls, &n);
	for (int i = 0; i < n; i++)
	{
		if (nulls[i])
			ereport(ERROR,
					(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
					 errmsg("a finding must not be null"),
					 errhint("Such as evaluate_alerts(array[row('my.check', 'critical', 'an object', 'what is wrong', null, null, null)::dbops.finding]).")));
		findings = lappend(findings, take_finding(DatumGetHeapTupleHeader(elements[i]), overrides));
	}
	list_sort(findings, by_severity_and_key);
	return findings;
}

static DbopsFinding *
take_finding(HeapTupleHeader row, const DbopsOverrides *overrides)
{
	DbopsFinding *finding = palloc0(sizeof(DbopsFinding));
	const char *check_name = text_of(row, "check_name");
	bool		isnull;
	Datum		data = GetAttributeByName(row, "data", &isnull);

	finding->severity = severity_of(text_of(row, "severity"));
	finding->object = text_of(row, "object");
	finding->message = text_of(row, "message");
	finding->remedy = text_of(row, "remedy");
	finding->data = isnull ? NULL : DatumGetJsonbP(data);
	if (check_name == NULL || check_name[0] == '\0')
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("a finding must have a check_name"),
				 errhint("Such as 'my.check', which the key of its alert begins with.")));
	if (finding->message == NULL)
		finding->message = "";
	finding->check_name = dbops_text_fit(check_name, ALERT_CHECK_BYTES);
	finding->key = dbops_finding_key(check_name, finding->object);
	finding->muted_until = dbops_override_muted_until(overrides, finding->check_name, finding->key);
	return finding;
}

static char *
text_of(HeapTupleHeader row, const char *name)
{
	bool		isnull;
	Datum		value = GetAttributeByName(row, name, &isnull);

	return isnull ? NULL : TextDatumGetCString(value);
}

static DbopsSeverity
severity_of(const char *name)
{
	for (DbopsSeverity severity = DBOPS_OK; name != NULL && severity <= DBOPS_CRITICAL; severity++)
		if (strcmp(name, dbops_severity_name(severity)) == 0)
			return severity;
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("unknown severity \"%s\" of a finding", name == NULL ? "" : name),
			 errhint("Give ok, unknown, info, warning or critical.")));
	return DBOPS_OK;			/* keep the compiler quiet */
}

static int
by_severity_and_key(const ListCell *a, const ListCell *b)
{
	const DbopsFinding *left = lfirst(a);
	const DbopsFinding *right = lfirst(b);

	if (left->severity != right->severity)
		return (left->severity > right->severity) ? -1 : 1;
	return strcmp(left->key, right->key);
}
