/*
 * dbops.c
 *		The library's front door.
 *
 * dbops works without being preloaded, so _PG_init may run in the postmaster
 * or in the first session that calls one of its functions. Each initialiser
 * copes with both.
 */
#include "postgres.h"

#include "fmgr.h"

#include "advise/review.h"
#include "advise/index_advice.h"
#include "advise/table_reads.h"
#include "change/change.h"
#include "change/ddl_guard.h"
#include "change/ddl_log.h"
#include "change/lint.h"
#include "change/migration.h"
#include "change/online.h"
#include "core/batch.h"
#include "core/server.h"
#include "core/server_default.h"
#include "maintain/maintain.h"
#include "maintain/partition.h"
#include "maintain/reindex.h"
#include "maintain/retention.h"
#include "maintain/vacuum.h"
#include "observe/observe.h"

PG_MODULE_MAGIC;

void		_PG_init(void);

void
_PG_init(void)
{
	dbops_settings_init();
	dbops_backfill_job_init();
	dbops_backup_init();
	dbops_data_loss_init();
	dbops_database_commands_init();
	dbops_ddl_guard_init();
	dbops_ddl_log_init();
	dbops_disk_watch_init();
	dbops_engine_init();
	dbops_home_init();
	dbops_server_default_init();
	dbops_heartbeat_init();
	dbops_identity_init();
	dbops_index_unseen_init();
	dbops_launcher_init();
	dbops_lint_init();
	dbops_migration_event_init();
	dbops_migration_job_init();
	dbops_migration_watch_init();
	dbops_observe_init();
	dbops_online_job_init();
	dbops_partition_init();
	dbops_past_init();
	dbops_pause_init();
	dbops_reindex_init();
	dbops_retention_init();
	dbops_review_init();
	dbops_run_job_init();
	dbops_scan_init();
	dbops_starts_init();
	dbops_table_reads_init();
	dbops_tablespace_names_init();
	dbops_tick_init();
	dbops_upkeep_init();
	dbops_vacuum_policy_init();
}
