/*
 * checks_schema.c
 *		Checks of what the catalogs say is broken, switched off or out of date.
 *
 * Each is a question to the catalogs whose answer is a list of objects; one
 * object is one too many, unless the user has said otherwise.
 */
#include "observe/checks.h"

#include "catalog/pg_class.h"
#include "catalog/pg_collation.h"
#include "catalog/pg_constraint.h"
#include "catalog/pg_database.h"
#include "catalog/pg_depend.h"
#include "catalog/pg_extension.h"
#include "catalog/pg_index.h"
#include "catalog/pg_namespace.h"
#include "catalog/pg_subscription.h"
#include "catalog/pg_subscription_rel.h"
#include "catalog/pg_trigger.h"
#include "commands/progress.h"
#include "miscadmin.h"
#include "utils/backend_progress.h"
#include "utils/backend_status.h"

#include "core/rule.h"

static void judge_invalid_indexes(const void *facts, DbopsCheckRun *run);
static List *tables_being_indexed(void);
static void judge_not_valid(const void *facts, DbopsCheckRun *run);
static void judge_triggers(const void *facts, DbopsCheckRun *run);
static void judge_collations(const void *facts, DbopsCheckRun *run);
static void judge_extensions(const void *facts, DbopsCheckRun *run);
static void judge_subscriptions(const void *facts, DbopsCheckRun *run);
static void judge_subscription_errors(const void *facts, DbopsCheckRun *run);
static void judge_subscription_tables(const void *facts, DbopsCheckRun *run);
static const void *look(const DbopsCheckScope *scope);

static const DbopsCheck checks[] = {
	{
		.name = "collations.version",
		.about = "collations in use whose library has changed since",
		.judge = judge_collations,
		.threshold = {
			.unit = "count", .warning = 0, .critical = NO_THRESHOLD, .source = "postgres_dba, PostgreSQL's manual"
		}
	},
	{
		.name = "constraints.not_valid",
		.about = "constraints that existing rows need not fulfil",
		.judge = judge_not_valid,
		.threshold = {
			.unit = "count", .warning = 0, .critical = NO_THRESHOLD,
			.duration = SECS_PER_DAY, .source = "pg-index-health"
		}
	},
	{
		.name = "extensions.outdated",
		.about = "extensions for which the server has a newer version",
		.judge = judge_extensions,
		.advice = true,
		.threshold = {
			.unit = "count", .warning = 0, .critical = NO_THRESHOLD, .source = "splinter, check_pgactivity"
		}
	},
	{
		.name = "indexes.invalid",
		.about = "indexes that cost writes and serve no query",
		.judge = judge_invalid_indexes,
		.threshold = {
			.unit = "count", .warning = 0, .critical = NO_THRESHOLD,
			.duration = 5 * SECS_PER_MINUTE, .source = "check_pgactivity, pghero"
		}
	},
	{
		.name = "subscriptions.down",
		.about = "enabled subscriptions that nothing applies",
		.judge = judge_subscriptions,
		.threshold = {
			.unit = "count", .warning = 0, .critical = NO_THRESHOLD,
			.duration = 5 * SECS_PER_MINUTE, .source = "pgwatch, pgmetrics"
		}
	},
	{
		.name = "subscriptions.errors",
		.about = "errors of subscriptions since the statistics' reset",
		.judge = judge_subscription_errors,
		.advice = true,
		.threshold = {
			.unit = "count", .warning = 0, .critical = NO_THRESHOLD, .source = "pgwatch"
		}
	},
	{
		.name = "subscriptions.tables",
		.about = "tables of enabled subscriptions that are not synchronized yet",
		.judge = judge_subscription_tables,
		.threshold = {
			.unit = "count", .warning = 0, .critical = NO_THRESHOLD,
			.duration = SECS_PER_DAY, .source = "pgmetrics"
		}
	},
	{
		.name = "triggers.disabled",
		.about = "triggers that do not fire, those of foreign keys too",
		.judge = judge_triggers,
		.threshold = {
			.unit = "count", .warning = 0, .critical = NO_THRESHOLD, .source = "check_postgres"
		}
	}
};

const DbopsCheckSet dbops_schema_checks_set = {
	.look = look,
	.checks = checks,
	.n_checks = lengthof(checks)
};

/* Each check asks for itself. */
static const void *
look(const DbopsCheckScope *scope)
{
	return NULL;
}

/* One that is being built is left out, with all of its table, since a rebuild has two. */
static void
judge_invalid_indexes(const void *facts, DbopsCheckRun *run)
{
	static const Oid catalogs[] = {IndexRelationId, RelationRelationId, NamespaceRelationId};
	static const CatalogQuestion question = {
		.sql = "SELECT format('%I.%I', n.nspname, c.relname),"
		" CASE WHEN c.relkind = 'I' THEN format('the index of partitioned table %s lacks one on some partition', i.indrelid::regclass)"
		" WHEN NOT i.indisready THEN format('the index of %s is neither used nor kept up to date', i.indrelid::regclass)"
		" ELSE format('the index of %s is kept up to date but serves no query', i.indrelid::regclass) END,"
		" CASE WHEN c.relkind = 'I' THEN 'Create an index on each partition and attach it with ALTER INDEX ... ATTACH PARTITION.'"
		" WHEN c.relname ~ '_cc(new|old)[0-9]*$' THEN format('DROP INDEX CONCURRENTLY %I.%I;', n.nspname, c.relname)"
		" ELSE format('REINDEX INDEX CONCURRENTLY %I.%I; or DROP INDEX CONCURRENTLY of the same', n.nspname, c.relname) END,"
		" count(*) OVER ()"
		" FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid JOIN pg_namespace n ON n.oid = c.relnamespace"
		" WHERE NOT (i.indisvalid AND i.indisready) AND i.indislive AND NOT i.indrelid = ANY ($1)"
		" ORDER BY c.relpages DESC, c.oid LIMIT 10",
		.n_catalogs = lengthof(catalogs),
		.catalogs = catalogs,
		.none = "every index is valid, or is being built"
	};
	DbopsParam	param = dbops_param_oids(tables_being_indexed());

	dbops_check_ask(run, &question, 1, &param);
}

/* Tables of this database on which an index is built right now. */
static List *
tables_being_indexed(void)
{
	List	   *tables = NIL;
	int			n = pgstat_fetch_stat_numbackends();

	for (int i = 1; i <= n; i++)
	{
		const PgBackendStatus *status = &pgstat_get_local_beentry_by_index(i)->backendStatus;

		if (status->st_databaseid == MyDatabaseId &&
			status->st_progress_command == PROGRESS_COMMAND_CREATE_INDEX)
			tables = lappend_oid(tables, status->st_progress_command_target);
	}
	return tables;
}

/* Those that are not to be enforced are meant so; of partitions only the declared one counts. */
static void
judge_not_valid(const void *facts, DbopsCheckRun *run)
{
	static const Oid catalogs[] = {ConstraintRelationId};
	static const CatalogQuestion question = {
		.sql = "SELECT k.object, k.message, k.remedy, count(*) OVER () FROM " DBOPS_NOT_VALID_CONSTRAINTS " k ORDER BY k.oid LIMIT 10",
		.n_catalogs = lengthof(catalogs),
		.catalogs = catalogs,
		.none = "every constraint holds for all rows"
	};

	dbops_check_ask(run, &question, 0, NULL);
}

/* The internal ones keep foreign keys; they come first, since rows get lost. */
static void
judge_triggers(const void *facts, DbopsCheckRun *run)
{
	static const Oid catalogs[] = {TriggerRelationId, ConstraintRelationId};
	static const CatalogQuestion question = {
		.sql = "SELECT t.object, t.message, t.remedy, count(*) OVER () FROM " DBOPS_DISABLED_TRIGGERS " t ORDER BY t.is_constraint DESC, t.oid LIMIT 10",
		.n_catalogs = lengthof(catalogs),
		.catalogs = catalogs,
		.none = "every trigger is enabled"
	};

	dbops_check_ask(run, &question, 0, NULL);
}

/* To ask a library for its version takes time, so only those are asked for that something uses. */
static void
judge_collations(const void *facts, DbopsCheckRun *run)
{
	static const Oid catalogs[] = {CollationRelationId, DependRelationId, DatabaseRelationId, NamespaceRelationId};
	static const CatalogQuestion question = {
		.sql = "SELECT *, count(*) OVER () FROM ("
		"SELECT format('database %I', d.datname), format('its default collation was of version %s and is of %s now', d.datcollversion, pg_database_collation_actual_version(d.oid)),"
		" format('REINDEX DATABASE CONCURRENTLY %1$I; then ALTER DATABASE %1$I REFRESH COLLATION VERSION;', d.datname)"
		" FROM pg_database d WHERE d.datname = current_database() AND d.datcollversion <> pg_database_collation_actual_version(d.oid)"
		" UNION ALL SELECT format('collation %I.%I', n.nspname, c.collname), format('it was of version %s and is of %s now', c.collversion, pg_collation_actual_version(c.oid)),"
		" format('REINDEX the indexes that use it, then ALTER COLLATION %I.%I REFRESH VERSION;', n.nspname, c.collname)"
		" FROM pg_collation c JOIN pg_namespace n ON n.oid = c.collnamespace"
		" WHERE c.collversion IS NOT NULL AND EXISTS (SELECT FROM pg_depend d WHERE d.refclassid = 'pg_collation'::regclass AND d.refobjid = c.oid)"
		" AND c.collversion <> pg_collation_actual_version(c.oid)) x LIMIT 10",
		.n_catalogs = lengthof(catalogs),
		.catalogs = catalogs,
		.none = "every collation in use is of the version that it was created with"
	};

	dbops_check_ask(run, &question, 0, NULL);
}

static void
judge_extensions(const void *facts, DbopsCheckRun *run)
{
	static const Oid catalogs[] = {ExtensionRelationId};
	static const CatalogQuestion question = {
		.sql = "SELECT quote_ident(e.extname), format('version %s is installed, the server has %s', e.extversion, a.default_version),"
		" format('ALTER EXTENSION %I UPDATE;', e.extname), count(*) OVER ()"
		" FROM pg_extension e JOIN pg_available_extensions() a ON a.name = e.extname"
		" WHERE a.default_version <> e.extversion ORDER BY 1 LIMIT 10",
		.n_catalogs = lengthof(catalogs),
		.catalogs = catalogs,
		.none = "every extension is of the version that the server has"
	};

	dbops_check_ask(run, &question, 0, NULL);
}

static void
judge_subscriptions(const void *facts, DbopsCheckRun *run)
{
	static const Oid catalogs[] = {SubscriptionRelationId, DatabaseRelationId};
	static const CatalogQuestion question = {
		.sql = "SELECT quote_ident(s.subname), 'the subscription is enabled, but no process applies what it receives',"
		" 'See the server''s log for why it does not start; max_logical_replication_workers may be too low.', count(*) OVER ()"
		" FROM pg_subscription s JOIN pg_database d ON d.oid = s.subdbid"
		" WHERE d.datname = current_database() AND s.subenabled AND NOT pg_is_in_recovery()"
		" AND NOT EXISTS (SELECT FROM pg_stat_get_subscription(s.oid) w WHERE w.pid IS NOT NULL AND w.relid IS NULL)"
		" ORDER BY 1 LIMIT 10",
		.n_catalogs = lengthof(catalogs),
		.catalogs = catalogs,
		.none = "every enabled subscription is applied, or there is none"
	};

	dbops_check_ask(run, &question, 0, NULL);
}

static void
judge_subscription_errors(const void *facts, DbopsCheckRun *run)
{
	static const Oid catalogs[] = {SubscriptionRelationId, DatabaseRelationId};
	static const CatalogQuestion question = {
		.sql = "SELECT quote_ident(s.subname), format('%s errors of applying, %s of synchronizing tables', e.apply_error_count, e.sync_error_count),"
		" format('See the server''s log; when it is solved, SELECT pg_stat_reset_subscription_stats(%s);', s.oid), count(*) OVER ()"
		" FROM pg_subscription s JOIN pg_database d ON d.oid = s.subdbid, pg_stat_get_subscription_stats(s.oid) e"
		" WHERE d.datname = current_database() AND e.apply_error_count + e.sync_error_count > 0"
		" ORDER BY 1 LIMIT 10",
		.n_catalogs = lengthof(catalogs),
		.catalogs = catalogs,
		.none = "no subscription has had an error since the statistics' reset"
	};

	dbops_check_ask(run, &question, 0, NULL);
}

static void
judge_subscription_tables(const void *facts, DbopsCheckRun *run)
{
	static const Oid catalogs[] = {SubscriptionRelationId, SubscriptionRelRelationId, DatabaseRelationId};
	static const CatalogQuestion question = {
		.sql = "SELECT format('%I of %s', s.subname, r.srrelid::regclass), 'its rows are not all there yet',"
		" 'See the server''s log for what keeps it from being copied.', count(*) OVER ()"
		" FROM pg_subscription_rel r JOIN pg_subscription s ON s.oid = r.srsubid"
		" WHERE s.subenabled AND r.srsubstate NOT IN ('r', 's') ORDER BY 1 LIMIT 10",
		.n_catalogs = lengthof(catalogs),
		.catalogs = catalogs,
		.none = "every table of an enabled subscription is synchronized"
	};

	dbops_check_ask(run, &question, 0, NULL);
}
