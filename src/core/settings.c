/*
 * settings.c
 *		Every setting of dbops, in alphabetical order.
 *
 * Settings are defined in one place so that their names, units and rights can
 * be read at a glance, and so that the prefix is reserved exactly once. The
 * functions that do so stand for their initials only, to be short.
 */
#include "core/core.h"

#include <limits.h>

#include "miscadmin.h"
#include "storage/proc.h"
#include "utils/builtins.h"
#include "utils/guc.h"

int			dbops_alert_notify = DBOPS_NOTIFY_FULL;
int			dbops_alert_repeat = 14400;
bool		dbops_allow_data_loss = false;
int			dbops_backfill_batch_time = 250;
int			dbops_backfill_lock_timeout = 200;
int			dbops_backfill_max_errors = 1000;
bool		dbops_backfill_yield = true;
char	   *dbops_break_glass = "";
bool		dbops_collector = true;
int			dbops_ddl_guard = DBOPS_GUARD_OFF;
int			dbops_ddl_lock_timeout = 0;
int			dbops_ddl_log_age = 400 * 24 * 60;
int			dbops_dry_run_max_hold = 1000;
bool		dbops_enabled = true;
char	   *dbops_environment = "";
int			dbops_expected_role = DBOPS_ROLE_ANY;
char	   *dbops_expected_standbys = "";
char	   *dbops_guard_exempt_roles = "";
int			dbops_guard_min_size = 100 * 1024;
int			dbops_health_max_age = 60;
int			dbops_heartbeat = 1000;
int			dbops_history_max_size = 256;
char	   *dbops_home_name = "";
int			dbops_job_history_age = 30 * 24 * 60;
int			dbops_job_history_count = 1000;
int			dbops_job_result_rows = 100;
int			dbops_max_archive_backlog = 100;
int			dbops_max_detach_time = 1000;
int			dbops_max_replica_lag = 60;
int			dbops_max_replica_lag_bytes = 1024;
int			dbops_max_retention_percent = 25;
int			dbops_max_workers = 3;
int			dbops_max_xmin_age = 3600;
int			dbops_min_free_disk = 10;
int			dbops_on_promotion = DBOPS_PROMOTION_CONTINUE;
int			dbops_progress_interval = 1000;
bool		dbops_record_ddl = true;
bool		dbops_require_migration = false;
int			dbops_require_protection = DBOPS_PROTECTION_OFF;
int			dbops_slow_query_time = 1000;
bool		dbops_test_clock = false;
double		dbops_test_now = 0;
int			dbops_watched_log_level = 0;

static const struct config_enum_entry alert_notify_options[] = {
	{"full", DBOPS_NOTIFY_FULL, false},
	{"brief", DBOPS_NOTIFY_BRIEF, false},
	{"off", DBOPS_NOTIFY_OFF, false},
	{NULL, 0, false}
};

static const struct config_enum_entry ddl_guard_options[] = {
	{"off", DBOPS_GUARD_OFF, false},
	{"warn", DBOPS_GUARD_WARN, false},
	{"enforce", DBOPS_GUARD_ENFORCE, false},
	{NULL, 0, false}
};

static const struct config_enum_entry expected_role_options[] = {
	{"any", DBOPS_ROLE_ANY, false},
	{"primary", DBOPS_ROLE_PRIMARY, false},
	{"standby", DBOPS_ROLE_STANDBY, false},
	{NULL, 0, false}
};

static const struct config_enum_entry on_promotion_options[] = {
	{"continue", DBOPS_PROMOTION_CONTINUE, false},
	{"quarantine", DBOPS_PROMOTION_QUARANTINE, false},
	{NULL, 0, false}
};

static const struct config_enum_entry require_protection_options[] = {
	{"off", DBOPS_PROTECTION_OFF, false},
	{"warn", DBOPS_PROTECTION_WARN, false},
	{"enforce", DBOPS_PROTECTION_ENFORCE, false},
	{NULL, 0, false}
};

static bool check_break_glass(char **value, void **extra, GucSource source);
static void define_a(void);
static void define_b(void);
static void define_c_to_d(void);
static void define_e(void);
static void define_g(void);
static void define_h_to_i(void);
static void define_j_to_l(void);
static void define_max_a_to_r(void);
static void define_max_w_to_p(void);
static void define_r(void);
static void define_s_to_z(void);
static void set(const char *name, const char *value, GucAction action);

/* Define the settings. */
void
dbops_settings_init(void)
{
	define_a();
	define_b();
	define_c_to_d();
	define_e();
	define_g();
	define_h_to_i();
	define_j_to_l();
	define_max_a_to_r();
	define_max_w_to_p();
	define_r();
	define_s_to_z();
	MarkGUCPrefixReserved("dbops");
}

static void
define_a(void)
{
	DefineCustomEnumVariable("dbops.alert_notify",
							 "Sets how much NOTIFY dbops_alert says.",
							 "Any role that can connect may listen: with \"brief\" it learns the level, id, time and database of an alert and no more, with \"off\" nothing.",
							 &dbops_alert_notify,
							 DBOPS_NOTIFY_FULL,
							 alert_notify_options,
							 PGC_SIGHUP,
							 0,
							 NULL,
							 NULL,
							 NULL);

	DefineCustomIntVariable("dbops.alert_repeat",
							"Sets after how long an alert that goes on is told again.",
							"0 tells it once.",
							&dbops_alert_repeat,
							14400,
							0,
							2592000,
							PGC_SIGHUP,
							GUC_UNIT_S,
							NULL,
							NULL,
							NULL);

	DefineCustomBoolVariable("dbops.allow_data_loss",
							 "Lets DROP EXTENSION take what dbops holds and nobody else does.",
							 "Such as the ledger of migrations.",
							 &dbops_allow_data_loss,
							 false,
							 PGC_USERSET,
							 0,
							 NULL,
							 NULL,
							 NULL);
}

static void
define_b(void)
{
	DefineCustomIntVariable("dbops.backfill_batch_time",
							"Sets how long a batch of a backfill or of retention may take.",
							"Batches are made smaller than batch_size where they would take longer, or where others wait for them. Together with dbops.backfill_lock_timeout it is kept below deadlock_timeout.",
							&dbops_backfill_batch_time,
							250,
							1,
							60000,
							PGC_USERSET,
							GUC_UNIT_MS,
							NULL,
							NULL,
							NULL);

	DefineCustomIntVariable("dbops.backfill_lock_timeout",
							"Sets how long a batch of a backfill or of retention waits for locks.",
							"A batch that waits longer is rolled back and done without the rows that are locked, which it comes back to. At most half of deadlock_timeout is waited.",
							&dbops_backfill_lock_timeout,
							200,
							1,
							60000,
							PGC_USERSET,
							GUC_UNIT_MS,
							NULL,
							NULL,
							NULL);

	DefineCustomIntVariable("dbops.backfill_max_errors",
							"Sets how many rows of a backfill may fail and be set aside before it stops.",
							"What holds when it is submitted holds for its whole length.",
							&dbops_backfill_max_errors,
							1000,
							0,
							INT_MAX,
							PGC_USERSET,
							0,
							NULL,
							NULL,
							NULL);

	DefineCustomBoolVariable("dbops.backfill_yield",
							 "Lets a backfill or retention work for a third of the time only while other sessions wait for their commits to be flushed.",
							 "Its batches take a few milliseconds then.",
							 &dbops_backfill_yield,
							 true,
							 PGC_USERSET,
							 0,
							 NULL,
							 NULL,
							 NULL);

	DefineCustomStringVariable("dbops.break_glass",
							   "Says why a schema is changed although dbops.require_migration is on.",
							   "Each statement is then written down with it, in the server's log and for break_glass_uses(). Empty means that nothing is an emergency. GRANT SET ON PARAMETER lets others than superusers set it.",
							   &dbops_break_glass,
							   "",
							   PGC_SUSET,
							   GUC_NOT_IN_SAMPLE | GUC_DISALLOW_IN_FILE,
							   check_break_glass,
							   NULL,
							   NULL);
}

/* An emergency is one session's: for a database, a role or a function the reason would stand for ever, and nobody would have given it. */
static bool
check_break_glass(char **value, void **extra, GucSource source)
{
	if ((*value)[0] == '\0' || source <= PGC_S_DYNAMIC_DEFAULT ||
		source == PGC_S_CLIENT || source == PGC_S_OVERRIDE || source == PGC_S_INTERACTIVE || source == PGC_S_SESSION)
		return true;
	GUC_check_errcode(ERRCODE_INVALID_PARAMETER_VALUE);
	GUC_check_errmsg("dbops.break_glass is set in a session only");
	GUC_check_errhint("In the session that changes the schema: SET dbops.break_glass = 'why';");
	return false;
}

static void
define_c_to_d(void)
{
	DefineCustomBoolVariable("dbops.collector",
							 "Lets dbops sample the server every ten seconds.",
							 "The samples of an hour are kept in memory.",
							 &dbops_collector,
							 true,
							 PGC_SIGHUP,
							 0,
							 NULL,
							 NULL,
							 NULL);

	DefineCustomEnumVariable("dbops.ddl_guard",
							 "Sets what becomes of DDL that is dangerous by the rules of lint_sql.",
							 "Of any client, on relations from dbops.guard_min_size on, in databases that have dbops. warn says what is found, enforce refuses what is critical.",
							 &dbops_ddl_guard,
							 DBOPS_GUARD_OFF,
							 ddl_guard_options,
							 PGC_SUSET,
							 0,
							 NULL,
							 NULL,
							 NULL);

	DefineCustomIntVariable("dbops.ddl_lock_timeout",
							"Sets how long any DDL waits for a lock.",
							"Holds for each statement by itself, for all but those that run CONCURRENTLY, and where lock_timeout is not shorter. 0 means as long as lock_timeout says.",
							&dbops_ddl_lock_timeout,
							0,
							0,
							INT_MAX,
							PGC_SUSET,
							GUC_UNIT_MS,
							NULL,
							NULL,
							NULL);

	DefineCustomIntVariable("dbops.ddl_log_age",
							"Sets for how long changes of the schema in no migration are kept in the record.",
							NULL,
							&dbops_ddl_log_age,
							400 * 24 * 60,
							0,
							INT_MAX,
							PGC_SIGHUP,
							GUC_UNIT_MIN,
							NULL,
							NULL,
							NULL);

	DefineCustomIntVariable("dbops.dry_run_max_hold",
							"Sets how long check_migration may hold locks for which others would have to wait.",
							"A trial ends where it is when locks stronger than ROW EXCLUSIVE have been held for so long.",
							&dbops_dry_run_max_hold,
							1000,
							1,
							3600000,
							PGC_USERSET,
							GUC_UNIT_MS,
							NULL,
							NULL,
							NULL);
}

static void
define_e(void)
{
	DefineCustomBoolVariable("dbops.enabled",
							 "Lets dbops work in the background.",
							 "Off stops the work that is under way; it goes on where it was when this is on again. Can be set for a database too, which then holds nothing of the cluster's.",
							 &dbops_enabled,
							 true,
							 PGC_SUSET,
							 0,
							 NULL,
							 NULL,
							 NULL);

	DefineCustomStringVariable("dbops.environment",
							   "Sets which environment a database is, such as staging.",
							   "Migrations that are for certain environments are applied in these only. Empty means that it is not known. Set it for each database.",
							   &dbops_environment,
							   "",
							   PGC_SUSET,
							   0,
							   NULL,
							   NULL,
							   NULL);

	DefineCustomEnumVariable("dbops.expected_role",
							 "Sets whether this server should be a primary or a standby.",
							 "Another role is a finding of health. any expects neither, and a change of the role is a finding for an hour.",
							 &dbops_expected_role,
							 DBOPS_ROLE_ANY,
							 expected_role_options,
							 PGC_SIGHUP,
							 0,
							 NULL,
							 NULL,
							 NULL);

	DefineCustomStringVariable("dbops.expected_standbys",
							   "Names the standbys that should be connected to this server.",
							   "Their application names, with commas between. One that is missing is a finding of health, while this server is a primary. Empty expects none.",
							   &dbops_expected_standbys,
							   "",
							   PGC_SIGHUP,
							   0,
							   NULL,
							   NULL,
							   NULL);
}

static void
define_g(void)
{
	DefineCustomStringVariable("dbops.guard_exempt_roles",
							   "Names the roles whose DDL dbops.ddl_guard and dbops.require_migration let pass.",
							   "With commas between. Who has the rights of one of them without SET ROLE passes too, by the current user or by who has logged in; a superuser only as a real member.",
							   &dbops_guard_exempt_roles,
							   "",
							   PGC_SUSET,
							   GUC_LIST_INPUT,
							   NULL,
							   NULL,
							   NULL);

	DefineCustomIntVariable("dbops.guard_min_size",
							"Sets from which size on a relation is guarded by dbops.ddl_guard.",
							"With its partitions, without indexes. 0 means any that is not empty.",
							&dbops_guard_min_size,
							100 * 1024,
							0,
							INT_MAX,
							PGC_SUSET,
							GUC_UNIT_KB,
							NULL,
							NULL,
							NULL);
}

static void
define_h_to_i(void)
{
	DefineCustomIntVariable("dbops.health_max_age",
							"Sets how old those figures of health may become that are costly to get: sizes and statements.",
							"They are got sooner where that is cheap, and sizes a little at a time where it is not. 0 gets them with each call.",
							&dbops_health_max_age,
							60,
							0,
							86400,
							PGC_USERSET,
							GUC_UNIT_S,
							NULL,
							NULL,
							NULL);

	DefineCustomIntVariable("dbops.heartbeat",
							"Sets how often an empty transaction is committed, by which standbys can tell their lag.",
							"It costs one transaction id and a few bytes of WAL. 0 means never: then lag in time is not known while nobody writes.",
							&dbops_heartbeat,
							1000,
							0,
							60000,
							PGC_SIGHUP,
							GUC_UNIT_MS,
							NULL,
							NULL,
							NULL);

	DefineCustomIntVariable("dbops.history_max_size",
							"Sets how much the history of a database's figures may take.",
							"Beyond it the oldest minutes are dropped, then what is coarser; days stay. 0 means any size.",
							&dbops_history_max_size,
							256,
							0,
							1048576,
							PGC_SIGHUP,
							GUC_UNIT_MB,
							NULL,
							NULL,
							NULL);

	DefineCustomStringVariable("dbops.home_database",
							   "Sets which database holds the history and the alerts of the whole cluster.",
							   "Empty means the oldest one that has dbops. One that has none, or has dbops.enabled off, gives way to that one.",
							   &dbops_home_name,
							   "",
							   PGC_SIGHUP,
							   0,
							   NULL,
							   NULL,
							   NULL);
}

static void
define_j_to_l(void)
{
	DefineCustomIntVariable("dbops.job_history_age",
							"Sets for how long jobs are kept when they have ended.",
							NULL,
							&dbops_job_history_age,
							30 * 24 * 60,
							0,
							INT_MAX,
							PGC_SUSET,
							GUC_UNIT_MIN,
							NULL,
							NULL,
							NULL);

	DefineCustomIntVariable("dbops.job_history_count",
							"Sets how many jobs of each kind are kept when they have ended.",
							NULL,
							&dbops_job_history_count,
							1000,
							0,
							INT_MAX,
							PGC_SUSET,
							0,
							NULL,
							NULL,
							NULL);

	DefineCustomIntVariable("dbops.job_result_rows",
							"Sets how many of the rows that a command returns are kept with its job.",
							"Of these no more than fit into 64 kB are kept.",
							&dbops_job_result_rows,
							100,
							0,
							10000,
							PGC_USERSET,
							0,
							NULL,
							NULL,
							NULL);
}

static void
define_max_a_to_r(void)
{
	DefineCustomIntVariable("dbops.max_archive_backlog",
							"Sets how many files of WAL may wait to be archived before jobs wait.",
							"-1 means any number.",
							&dbops_max_archive_backlog,
							100,
							-1,
							INT_MAX,
							PGC_SUSET,
							0,
							NULL,
							NULL,
							NULL);

	DefineCustomIntVariable("dbops.max_detach_time",
							"Sets for how long others wait while a partition that foreign keys refer to is detached.",
							"It stays where that would take longer. 0 means no limit.",
							&dbops_max_detach_time,
							1000,
							0,
							INT_MAX,
							PGC_USERSET,
							GUC_UNIT_MS,
							NULL,
							NULL,
							NULL);

	DefineCustomIntVariable("dbops.max_replica_lag",
							"Sets how far behind in time a standby or a subscriber may be before jobs wait.",
							"-1 means as far as it likes.",
							&dbops_max_replica_lag,
							60,
							-1,
							INT_MAX,
							PGC_SUSET,
							GUC_UNIT_S,
							NULL,
							NULL,
							NULL);

	DefineCustomIntVariable("dbops.max_replica_lag_bytes",
							"Sets how much WAL a standby or a subscriber may be behind before jobs wait.",
							"-1 means as much as it likes.",
							&dbops_max_replica_lag_bytes,
							1024,
							-1,
							INT_MAX,
							PGC_SUSET,
							GUC_UNIT_MB,
							NULL,
							NULL,
							NULL);

	DefineCustomIntVariable("dbops.max_retention_percent",
							"Sets how much of a table one run of a policy may remove before it is confirmed.",
							"In percent of its rows and of its partitions. A clock that has jumped must not empty a table.",
							&dbops_max_retention_percent,
							25,
							0,
							100,
							PGC_SUSET,
							0,
							NULL,
							NULL,
							NULL);
}

static void
define_max_w_to_p(void)
{
	DefineCustomIntVariable("dbops.max_workers",
							"Sets how many jobs run at the same time, in all databases together.",
							"Each takes one of max_worker_processes.",
							&dbops_max_workers,
							3,
							0,
							48,
							PGC_SIGHUP,
							0,
							NULL,
							NULL,
							NULL);

	DefineCustomIntVariable("dbops.max_xmin_age",
							"Sets for how long vacuum may be kept from removing rows before jobs wait that would leave more of them.",
							"Sessions, prepared transactions, replication slots and standbys do so. -1 means for as long as they like.",
							&dbops_max_xmin_age,
							3600,
							-1,
							INT_MAX,
							PGC_SUSET,
							GUC_UNIT_S,
							NULL,
							NULL,
							NULL);

	DefineCustomIntVariable("dbops.min_free_disk",
							"Sets how much of each file system that the server uses must be free, in percent, or jobs wait.",
							"50 GB are always enough. 0 means that none need be free.",
							&dbops_min_free_disk,
							10,
							0,
							100,
							PGC_SUSET,
							0,
							NULL,
							NULL,
							NULL);

	DefineCustomEnumVariable("dbops.on_promotion",
							 "Sets whether jobs go on in a server that was promoted.",
							 "A copy that was promoted cannot be told from a failover. One that was recovered to a target runs nothing, whatever this says, until adopt_database() is called.",
							 &dbops_on_promotion,
							 DBOPS_PROMOTION_CONTINUE,
							 on_promotion_options,
							 PGC_SIGHUP,
							 0,
							 NULL,
							 NULL,
							 NULL);

	DefineCustomIntVariable("dbops.progress_interval",
							"Sets how often long work reports its progress as a notice.",
							"0 means never.",
							&dbops_progress_interval,
							1000,
							0,
							INT_MAX,
							PGC_USERSET,
							GUC_UNIT_MS,
							NULL,
							NULL,
							NULL);
}

static void
define_r(void)
{
	DefineCustomBoolVariable("dbops.record_ddl",
							 "Writes down changes of the schema that are in no migration.",
							 "Of any client, in databases that have dbops; see ddl_history().",
							 &dbops_record_ddl,
							 true,
							 PGC_SUSET,
							 0,
							 NULL,
							 NULL,
							 NULL);

	DefineCustomBoolVariable("dbops.require_migration",
							 "Refuses changes of the schema that are in no migration.",
							 "Of any client, in databases that have dbops. Migrations of dbops, what dbops does of its own, temporary objects and extensions' scripts pass, and who sets dbops.break_glass.",
							 &dbops_require_migration,
							 false,
							 PGC_SUSET,
							 0,
							 NULL,
							 NULL,
							 NULL);

	DefineCustomEnumVariable("dbops.require_protection",
							 "Sets whether apply_migration first asks before_migration if there is a way back.",
							 "warn says what is missing and goes on, enforce refuses.",
							 &dbops_require_protection,
							 DBOPS_PROTECTION_OFF,
							 require_protection_options,
							 PGC_SUSET,
							 0,
							 NULL,
							 NULL,
							 NULL);
}

static void
define_s_to_z(void)
{
	/* Not preloaded, such a setting could not be defined; then there are no background processes. */
	DefineCustomIntVariable("dbops.slow_query_time",
							"Sets from which mean time on a statement counts as slow.",
							"It is the mean of a minute, out of pg_stat_statements.",
							&dbops_slow_query_time,
							1000,
							1,
							INT_MAX,
							PGC_SIGHUP,
							GUC_UNIT_MS,
							NULL,
							NULL,
							NULL);

	DefineCustomBoolVariable("dbops.test_clock",
							 "Lets background processes obey dbops.test_now, for tests.",
							 NULL,
							 &dbops_test_clock,
							 false,
							 process_shared_preload_libraries_in_progress ? PGC_POSTMASTER : PGC_SIGHUP,
							 GUC_NO_SHOW_ALL | GUC_NOT_IN_SAMPLE,
							 NULL,
							 NULL,
							 NULL);

	DefineCustomRealVariable("dbops.test_now",
							 "Sets the time that dbops takes for now, in seconds since 1970, for tests.",
							 "0 means the real time.",
							 &dbops_test_now,
							 0,
							 0,
							 4e9,
							 PGC_SUSET,
							 GUC_NO_SHOW_ALL | GUC_NOT_IN_SAMPLE,
							 NULL,
							 NULL,
							 NULL);

	DefineCustomIntVariable("dbops.watched_log_level",
							"Tells parallel workers how the log is set where no statement of a migration is watched.",
							"0 means that none is. It is set by dbops itself.",
							&dbops_watched_log_level,
							0,
							0,
							PANIC,
							PGC_SUSET,
							GUC_NO_SHOW_ALL | GUC_NOT_IN_SAMPLE | GUC_DISALLOW_IN_FILE,
							NULL,
							NULL,
							NULL);
}

/* Set a server setting until the end of the transaction. */
void
dbops_set_local(const char *name, const char *value)
{
	set(name, value, GUC_ACTION_LOCAL);
}

/* Set a server setting until the caller's GUC nest level is closed. */
void
dbops_set_nested(const char *name, const char *value)
{
	set(name, value, GUC_ACTION_SAVE);
}

/* Spell names in one way until the caller's GUC nest level is closed: in findings they are keys. */
void
dbops_spell_names_as_keys(void)
{
	if (quote_all_identifiers)
		dbops_set_nested("quote_all_identifiers", "off");
}

/*
 * Wait for a lock no longer than so many ms until the nest level that this
 * returns is closed; a shorter limit of the session's stays.
 */
int
dbops_begin_bounded_wait(int ms)
{
	int			nest_level = NewGUCNestLevel();

	if (LockTimeout == 0 || LockTimeout > ms)
		dbops_set_nested("lock_timeout", psprintf("%d", ms));
	return nest_level;
}

/* Set a server setting until the end of the session, if the transaction commits. */
void
dbops_set_session(const char *name, const char *value)
{
	set(name, value, GUC_ACTION_SET);
}

/*
 * Set with the rights of the extension: only values that dbops chose come
 * here.
 */
static void
set(const char *name, const char *value, GucAction action)
{
	(void) set_config_option(name, value, PGC_SUSET, PGC_S_SESSION, action,
							 true, 0, false);
}
