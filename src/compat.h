/*
 * compat.h
 *		The only place that knows which server it is compiled for.
 *
 * Code is written against the newest server's interfaces; what an older one
 * lacks is emulated here, each shim with the major that changed it.
 */
#ifndef DBOPS_COMPAT_H
#define DBOPS_COMPAT_H

#include "access/htup_details.h"
#include "access/transam.h"
#include "catalog/pg_class.h"
#include "catalog/pg_constraint.h"
#include "catalog/pg_database.h"
#include "catalog/pg_extension.h"
#include "catalog/pg_namespace.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_tablespace.h"
#include "commands/vacuum.h"
#include "common/relpath.h"
#include "executor/executor.h"
#include "miscadmin.h"
#include "parser/parse_node.h"
#include "pgstat.h"
#include "postmaster/postmaster.h"
#include "replication/slot.h"
#include "storage/pg_shmem.h"
#include "storage/proc.h"
#include "utils/acl.h"
#include "utils/backend_status.h"
#include "utils/guc_tables.h"
#include "utils/lsyscache.h"

#if PG_VERSION_NUM < 150000 || PG_VERSION_NUM >= 190000
#error "dbops supports PostgreSQL 15, 16, 17 and 18"
#endif

/* 16 folded the per-catalog ownership checks into one. */
#if PG_VERSION_NUM < 160000
static inline bool
object_ownercheck(Oid classid, Oid objectid, Oid roleid)
{
	if (classid == NamespaceRelationId)
		return pg_namespace_ownercheck(objectid, roleid);
	if (classid == DatabaseRelationId)
		return pg_database_ownercheck(objectid, roleid);
	if (classid == ExtensionRelationId)
		return pg_extension_ownercheck(objectid, roleid);
	Assert(classid == RelationRelationId);
	return pg_class_ownercheck(objectid, roleid);
}
#endif

/* 17 lets others than its owner maintain a table: of a row c of pg_class, may the user do it? */
#if PG_VERSION_NUM < 170000
#define MAY_MAINTAIN "pg_has_role(c.relowner, 'USAGE')"
#else
#define MAY_MAINTAIN "has_table_privilege(c.oid, 'MAINTAIN')"
#endif

/* 16 moved the columns that a query reads from its tables to its permissions. */
#if PG_VERSION_NUM < 160000
#define rte_selected_columns(query, rte) ((rte)->selectedCols)
#else
#include "parser/parse_relation.h"
#define rte_selected_columns(query, rte) \
	(getRTEPermissionInfo((query)->rteperminfos, (rte))->selectedCols)
#endif

/*
 * Whether the role that an entry of a query's tables is read or changed as may
 * do that; which role that is, 0 for the current user. 16 moved it as above.
 */
static inline bool
rte_is_permitted(Query *query, RangeTblEntry *rte, Oid *role)
{
#if PG_VERSION_NUM < 160000
	*role = rte->checkAsUser;
	return ExecCheckRTPerms(list_make1(rte), false);
#else
	RangeTblEntry *alone;
	RTEPermissionInfo *info;

	if (rte->perminfoindex == 0)
		return true;
	info = getRTEPermissionInfo(query->rteperminfos, rte);
	*role = info->checkAsUser;
	alone = copyObject(rte);
	alone->perminfoindex = 1;
	return ExecCheckPermissions(list_make1(alone), list_make1(info), false);
#endif
}

/* Refuse unless the current user may insert into columns of a table. 16 moved them as above. */
static inline void
check_insert_permission(struct ParseState *pstate, struct ParseNamespaceItem *item, Bitmapset *columns)
{
#if PG_VERSION_NUM < 160000
	item->p_rte->requiredPerms = ACL_INSERT;
	item->p_rte->insertedCols = columns;
	ExecCheckRTPerms(pstate->p_rtable, true);
#else
	item->p_perminfo->requiredPerms = ACL_INSERT;
	item->p_perminfo->insertedCols = columns;
	ExecCheckPermissions(pstate->p_rtable, list_make1(item->p_perminfo), true);
#endif
}

/* 16 tells whose member one is from whom one may act as. */
#if PG_VERSION_NUM < 160000
#define member_can_set_role(member, role) is_member_of_role(member, role)
#endif

/* 16 renamed the access to other sessions' entries. */
#if PG_VERSION_NUM < 160000
#define pgstat_get_local_beentry_by_index(idx) pgstat_fetch_stat_local_beentry(idx)
#endif

/* 16 folded the per-catalog privilege checks into one. */
#if PG_VERSION_NUM < 160000
static inline AclResult
object_aclcheck(Oid classid, Oid objectid, Oid roleid, AclMode mode)
{
	if (classid == TableSpaceRelationId)
		return pg_tablespace_aclcheck(objectid, roleid, mode);
	Assert(classid == ProcedureRelationId);
	return pg_proc_aclcheck(objectid, roleid, mode);
}
#endif

/* 16 reserved connections for a role too, and renamed the superusers'. */
#if PG_VERSION_NUM < 160000
#define SuperuserReservedConnections ReservedBackends
#define ReservedConnections 0
#endif

/* 16 lets others look up a setting; before, all of them are listed. */
static inline struct config_generic *
find_setting(const char *name)
{
#if PG_VERSION_NUM < 160000
	struct config_generic **settings = get_guc_variables();

	for (int i = 0; i < GetNumConfigOptions(); i++)
		if (pg_strcasecmp(settings[i]->name, name) == 0)
			return settings[i];
	return NULL;
#else
	return find_option(name, false, true, DEBUG5);
#endif
}

/* All settings. 16 lists them by a function that counts them. */
static inline struct config_generic **
all_settings(int *n)
{
#if PG_VERSION_NUM < 160000
	*n = GetNumConfigOptions();
	return get_guc_variables();
#else
	return get_guc_variables(n);
#endif
}

/* 17 tells whether shared memory is in huge pages; before, that is known only where nothing else would have done. */
#if PG_VERSION_NUM < 170000
#define HUGE_PAGES_STATUS (huge_pages == HUGE_PAGES_ON ? "on" : huge_pages == HUGE_PAGES_OFF ? "off" : "unknown")
#else
#define HUGE_PAGES_STATUS GetConfigOption("huge_pages_status", false, false)
#endif

/* 16 took the prefix off a database's counters. */
#if PG_VERSION_NUM < 160000
#define stat_database_counter(entry, name) ((entry)->n_##name)
#else
#define stat_database_counter(entry, name) ((entry)->name)
#endif

/* The statements of a database that conflicts with recovery have cancelled. 16 added a cause. */
static inline int64
stat_database_conflicts(const PgStat_StatDBEntry *entry)
{
	int64		conflicts = stat_database_counter(entry, conflict_tablespace) +
		stat_database_counter(entry, conflict_lock) +
		stat_database_counter(entry, conflict_snapshot) +
		stat_database_counter(entry, conflict_bufferpin) +
		stat_database_counter(entry, conflict_startup_deadlock);

#if PG_VERSION_NUM >= 160000
	conflicts += stat_database_counter(entry, conflict_logicalslot);
#endif
	return conflicts;
}

/* What the server counts of WAL. 18 put it into a struct of its own. */
static inline void
stat_wal(double *records, double *full_page_images, double *buffers_full, TimestampTz *reset)
{
	PgStat_WalStats *stats = pgstat_fetch_stat_wal();

#if PG_VERSION_NUM < 180000
#define stat_wal_counter(name) (stats->name)
#else
#define stat_wal_counter(name) (stats->wal_counters.name)
#endif
	*records = stat_wal_counter(wal_records);
	*full_page_images = stat_wal_counter(wal_fpi);
	*buffers_full = stat_wal_counter(wal_buffers_full);
	*reset = stats->stat_reset_timestamp;
}

/* What the server counts of checkpoints. 17 dropped the prefix and gave it a time of reset. */
#if PG_VERSION_NUM < 170000
#define stat_checkpoints_timed(stats) ((stats)->timed_checkpoints)
#define stat_checkpoints_requested(stats) ((stats)->requested_checkpoints)
#define stat_checkpoints_write_time(stats) ((stats)->checkpoint_write_time)
#define stat_checkpoints_sync_time(stats) ((stats)->checkpoint_sync_time)
#define stat_checkpoints_buffers(stats) ((stats)->buf_written_checkpoints)
#define stat_checkpoints_reset(stats) ((TimestampTz) 0)
#else
#define stat_checkpoints_timed(stats) ((stats)->num_timed)
#define stat_checkpoints_requested(stats) ((stats)->num_requested)
#define stat_checkpoints_write_time(stats) ((stats)->write_time)
#define stat_checkpoints_sync_time(stats) ((stats)->sync_time)
#define stat_checkpoints_buffers(stats) ((stats)->buffers_written)
#define stat_checkpoints_reset(stats) ((stats)->stat_reset_timestamp)
#endif

/*
 * What clients had to write and flush themselves. 16 counts it among all I/O, of
 * each kind of process: what COPY and scans of large tables write in buffers of
 * their own is theirs to write, and left out.
 */
static inline void
stat_backend_writes(double *buffers, double *flushes, TimestampTz *reset)
{
#if PG_VERSION_NUM < 160000
	PgStat_CheckpointerStats *stats = pgstat_fetch_stat_checkpointer();

	*buffers = stats->buf_written_backend;
	*flushes = stats->buf_fsync_backend;
	*reset = 0;
#else
	PgStat_IO  *stats = pgstat_fetch_stat_io();
	const PgStat_BktypeIO *clients = &stats->stats[B_BACKEND];

	*buffers = clients->counts[IOOBJECT_RELATION][IOCONTEXT_NORMAL][IOOP_WRITE];
	*flushes = 0;
	for (int context = 0; context < IOCONTEXT_NUM_TYPES; context++)
		*flushes += clients->counts[IOOBJECT_RELATION][context][IOOP_FSYNC];
	*reset = stats->stat_reset_timestamp;
#endif
}

/* 17 renamed the caches that keep what became of transactions. */
#if PG_VERSION_NUM < 170000
#define SLRU_SUBTRANSACTIONS "Subtrans"
#define SLRU_MULTIXACT_OFFSETS "MultiXactOffset"
#define SLRU_MULTIXACT_MEMBERS "MultiXactMember"
#else
#define SLRU_SUBTRANSACTIONS "subtransaction"
#define SLRU_MULTIXACT_OFFSETS "multixact_offset"
#define SLRU_MULTIXACT_MEMBERS "multixact_member"
#endif

/* 17 lets their sizes be set. */
#define SLRU_SIZES_CAN_BE_SET (PG_VERSION_NUM >= 170000)

/*
 * What sessions read for themselves, and the ms that took. 16 counts it among all
 * I/O, of each kind of process; false: it is known of each database only.
 */
static inline bool
stat_session_reads(double *reads, double *time, TimestampTz *reset)
{
#if PG_VERSION_NUM < 160000
	return false;
#else
	static const BackendType sessions[] = {B_BACKEND, B_BG_WORKER};
	PgStat_IO  *stats = pgstat_fetch_stat_io();

	*reads = 0;
	*time = 0;
	for (int i = 0; i < lengthof(sessions); i++)
	{
		const PgStat_BktypeIO *io = &stats->stats[sessions[i]];

		*reads += io->counts[IOOBJECT_RELATION][IOCONTEXT_NORMAL][IOOP_READ];
		*time += io->times[IOOBJECT_RELATION][IOCONTEXT_NORMAL][IOOP_READ] / 1000.0;
	}
	*reset = stats->stat_reset_timestamp;
	return true;
#endif
}

/* The same for a database, in microseconds; 16 renamed it. */
#if PG_VERSION_NUM < 160000
#define stat_database_read_time(entry) ((entry)->n_block_read_time)
#else
#define stat_database_read_time(entry) ((entry)->blk_read_time)
#endif

/* 16 took it off a table's counters too, renamed two of them and the times. */
#if PG_VERSION_NUM < 160000
#define stat_table_live(entry) ((entry)->n_live_tuples)
#define stat_table_dead(entry) ((entry)->n_dead_tuples)
#define stat_table_changed(entry) ((entry)->changes_since_analyze)
#define stat_table_inserted(entry) ((entry)->inserts_since_vacuum)
#define stat_table_analyzed(entry) \
	Max((entry)->analyze_timestamp, (entry)->autovac_analyze_timestamp)
#else
#define stat_table_live(entry) ((entry)->live_tuples)
#define stat_table_dead(entry) ((entry)->dead_tuples)
#define stat_table_changed(entry) ((entry)->mod_since_analyze)
#define stat_table_inserted(entry) ((entry)->ins_since_vacuum)
#define stat_table_analyzed(entry) \
	Max((entry)->last_analyze_time, (entry)->last_autoanalyze_time)
#endif

/* 16 notes when a table or index was last scanned. */
#if PG_VERSION_NUM < 160000
#define stat_last_scan(entry) ((TimestampTz) 0)
#else
#define stat_last_scan(entry) ((entry)->lastscan)
#endif

/* 16 moved the declarations of archiving. */
#if PG_VERSION_NUM < 160000
#include "postmaster/pgarch.h"
#else
#include "archive/archive_module.h"
#endif

/* 16 lets BRIN indexes follow a HOT update; before, every index keeps one from being HOT. */
#if PG_VERSION_NUM < 160000
#define INDEX_ATTR_BITMAP_HOT_BLOCKING INDEX_ATTR_BITMAP_ALL
#endif

/*
 * The setting because of which VACUUM leaves a relation as long as it is; NULL:
 * there is none. 18 lets the server say that for all relations; 17 dropped
 * old_snapshot_threshold.
 */
#if PG_VERSION_NUM < 170000
#include "utils/snapmgr.h"
#endif
static inline const char *
vacuum_never_truncates(Relation relation)
{
	const StdRdOptions *options = (const StdRdOptions *) relation->rd_options;

#if PG_VERSION_NUM < 170000
	if (old_snapshot_threshold >= 0)
		return "old_snapshot_threshold is set";
#endif
#if PG_VERSION_NUM < 180000
	return (options == NULL || options->vacuum_truncate) ? NULL : "vacuum_truncate is off";
#else
	if (options != NULL && options->vacuum_truncate_set)
		return options->vacuum_truncate ? NULL : "vacuum_truncate is off";
	return vacuum_truncate ? NULL : "vacuum_truncate is off";
#endif
}

/* 16 numbers files by a type of their own. */
#if PG_VERSION_NUM < 160000
#define RelationMapOidToFilenumber(oid, shared) RelationMapOidToFilenode(oid, shared)
#endif

/* 16 gave the invalidation of a slot a cause. */
static inline bool
slot_is_invalidated(const ReplicationSlot *slot)
{
#if PG_VERSION_NUM < 160000
	return XLogRecPtrIsInvalid(slot->data.restart_lsn) &&
		!XLogRecPtrIsInvalid(slot->data.invalidated_at);
#else
	return slot->data.invalidated != RS_INVAL_NONE;
#endif
}

/* 17 knows slots that a standby keeps up with its primary's; they are in use there. */
#if PG_VERSION_NUM < 170000
#define slot_is_synced(slot) false
#else
#define slot_is_synced(slot) ((slot)->data.synced && RecoveryInProgress())
#endif

/* 17 numbers sessions by process. */
#if PG_VERSION_NUM < 170000
#include "storage/backendid.h"
#define INVALID_PROC_NUMBER InvalidBackendId
#define ProcNumberForTempRelations() BackendIdForTempRelations()
#else
#include "storage/procnumber.h"
#endif

/* 16 renamed what says where a relation's files are. */
#if PG_VERSION_NUM < 160000
#include "storage/relfilenode.h"
#define RelFileLocator RelFileNode
#define relation_locator(tablespace, database, number) \
	((RelFileNode) {.spcNode = (tablespace), .dbNode = (database), .relNode = (number)})
#else
#include "storage/relfilelocator.h"
#define relation_locator(tablespace, database, number) \
	((RelFileLocator) {.spcOid = (tablespace), .dbOid = (database), .relNumber = (number)})
#endif

/* 17 renamed what knows the transaction ids. */
#if PG_VERSION_NUM < 170000
#define TransamVariables ShmemVariableCache
#endif

/* 18 returns paths by value. */
#if PG_VERSION_NUM < 180000
#define relation_path_string(path) (path)
#else
#define relation_path_string(path) pstrdup((path).str)
#endif

/*
 * Up to 17 a foreign key's lookup names the referenced column's collation where
 * it is nondeterministic and not the referencing column's; 18 refuses such keys.
 */
static inline bool
fkey_lookup_names_collation(Oid referenced, Oid referencing)
{
#if PG_VERSION_NUM < 180000
	return OidIsValid(referenced) && referenced != referencing &&
		!get_collation_isdeterministic(referenced);
#else
	return false;
#endif
}

/* 17 brought a limit on the time of a transaction. */
#if PG_VERSION_NUM < 170000
#define TransactionTimeout 0
#define TRANSACTION_TIMEOUT STATEMENT_TIMEOUT
#define TRANSACTION_TIMEOUT_NAME "statement_timeout"
#else
#define TRANSACTION_TIMEOUT_NAME "transaction_timeout"
#endif

/* 17 brought a privilege for what only owners could do before. */
#if PG_VERSION_NUM < 170000
#define table_is_maintained_by(relid, role) \
	object_ownercheck(RelationRelationId, relid, role)
#else
#define table_is_maintained_by(relid, role) \
	(pg_class_aclcheck(relid, role, ACL_MAINTAIN) == ACLCHECK_OK)
#endif

/* 18 limits the threshold of autovacuum, -1 for not, and knows how much of a table is frozen. */
#if PG_VERSION_NUM < 180000
#define autovacuum_most_dead(options) (-1)
#define unfrozen_part(class) 1.0
#else
#define autovacuum_most_dead(options) \
	((options) != NULL && (options)->vacuum_max_threshold >= -1 ? \
	 (options)->vacuum_max_threshold : autovacuum_vac_max_thresh)
#define unfrozen_part(class) \
	((class)->relpages > 0 && (class)->relallfrozen > 0 ? \
	 1.0 - (double) Min((class)->relallfrozen, (class)->relpages) / (class)->relpages : 1.0)
#endif

/* 17 lets MERGE act on rows that the source does not have. */
#if PG_VERSION_NUM < 170000
#define merge_is_of_matched(when) ((when)->matched)
#define merge_is_of_rest(when) false
#else
#define merge_is_of_matched(when) ((when)->matchKind == MERGE_WHEN_MATCHED)
#define merge_is_of_rest(when) ((when)->matchKind == MERGE_WHEN_NOT_MATCHED_BY_SOURCE)
#endif

/* 18 wrapped RETURNING's list, to give OLD and NEW names. */
#if PG_VERSION_NUM < 180000
#define update_has_returning(update) ((update)->returningList != NIL)
#else
#define update_has_returning(update) ((update)->returningClause != NULL)
#endif

/* 17 moved the local transaction id; the process's own one tells transactions apart. */
#if PG_VERSION_NUM < 170000
#define proc_local_xid(proc) ((proc)->lxid)
#else
#define proc_local_xid(proc) ((proc)->vxid.lxid)
#endif

/* 17 names a transaction by the number of its process, which another one may have by now. */
#if PG_VERSION_NUM < 170000
#include "storage/sinvaladt.h"
#define vxid_process(vxid) BackendIdGetProc((vxid).backendId)
#else
#include "storage/procarray.h"
#define vxid_process(vxid) ProcNumberGetProc((vxid).procNumber)
#endif

/* 17 tells kinds of processes apart by one variable. */
#if PG_VERSION_NUM < 170000
#include "miscadmin.h"
#define AmBackgroundWorkerProcess() IsBackgroundWorker
#endif

/* 17 lets a background process run as a role that cannot log in. */
#if PG_VERSION_NUM < 170000
#define NOLOGIN_ROLES_RUN false
#define BGWORKER_BYPASS_ROLELOGINCHECK 0
#else
#define NOLOGIN_ROLES_RUN true
#endif

/* 19 keeps the concurrent rebuild of a unique index from failing others' INSERT ... ON CONFLICT. */
#define REINDEX_DISTURBS_ON_CONFLICT (PG_VERSION_NUM < 190000)

/* 18 knows NOT NULL constraints that do not hold for all rows yet. */
#if PG_VERSION_NUM < 180000
#define column_is_not_null(desc, i) (TupleDescAttr(desc, i)->attnotnull)
#else
#define column_is_not_null(desc, i) (TupleDescCompactAttr(desc, i)->attnullability == ATTNULLABLE_VALID)
#endif

/* 18 knows generated columns that are computed when they are read. */
#if PG_VERSION_NUM < 180000
#define is_virtual(constraint) false
#else
#define is_virtual(constraint) ((constraint)->generated_kind == ATTRIBUTE_GENERATED_VIRTUAL)
#endif

/* 18 knows constraints that are not enforced, and such over periods. */
#if PG_VERSION_NUM < 180000
#define CONSTRAINT_IS_NOT_ENFORCED(alias) "false"
#define CONSTRAINT_HAS_PERIOD(alias) "false"
#else
#define CONSTRAINT_IS_NOT_ENFORCED(alias) "NOT " alias ".conenforced"
#define CONSTRAINT_HAS_PERIOD(alias) alias ".conperiod"
#endif

/* 16 made the writing of completion tags a function of its own. */
#if PG_VERSION_NUM < 160000
#define write_completion_tag(tag, completion) \
	snprintf(tag, COMPLETION_TAG_BUFSIZE, \
			 (completion)->commandTag == CMDTAG_INSERT ? "%s 0 " UINT64_FORMAT : \
			 command_tag_display_rowcount((completion)->commandTag) ? "%s " UINT64_FORMAT : "%s", \
			 GetCommandTagName((completion)->commandTag), (completion)->nprocessed)
#else
#define write_completion_tag(tag, completion) \
	BuildQueryCompletionString(tag, completion, false)
#endif

/* From 18 on NOT NULL is a constraint with a name. */
#define has_named_not_null (PG_VERSION_NUM >= 180000)

/* From 18 on a column may be NOT NULL for what is written, and have rows with NULL from before. */
#if PG_VERSION_NUM < 180000
#define not_null_is_valid(relid, attnum)	true
#else
static inline bool
not_null_is_valid(Oid relid, AttrNumber attnum)
{
	HeapTuple	tuple = findNotNullConstraintAttnum(relid, attnum);

	return !HeapTupleIsValid(tuple) || ((Form_pg_constraint) GETSTRUCT(tuple))->convalidated;
}
#endif

/* 18 has keys of periods. */
#if PG_VERSION_NUM < 180000
#define is_without_overlaps(constraint)	false
#else
#define is_without_overlaps(constraint)	((constraint)->without_overlaps)
#endif

/* 18 runs each portal once. */
#if PG_VERSION_NUM < 180000
#define run_portal(portal, at_top, receiver, completion) \
	PortalRun(portal, FETCH_ALL, at_top, true, receiver, receiver, completion)
#else
#define run_portal(portal, at_top, receiver, completion) \
	PortalRun(portal, FETCH_ALL, at_top, receiver, receiver, completion)
#endif

/*
 * Whether a process holds a lock on a relation, or waits for any; read without
 * a lock, so true of a moment ago. 16 changed the lists, 18 the fast path.
 */
static inline bool
proc_holds_locks(PGPROC *proc)
{
	for (int i = 0; i < NUM_LOCK_PARTITIONS; i++)
#if PG_VERSION_NUM < 160000
		if (!SHMQueueEmpty(&proc->myProcLocks[i]))
#else
		if (!dlist_is_empty(&proc->myProcLocks[i]))
#endif
			return true;
#if PG_VERSION_NUM < 180000
	return proc->fpLockBits != 0;
#else
	for (int i = 0; i < FastPathLockGroupsPerBackend; i++)
		if (proc->fpLockBits[i] != 0)
			return true;
	return false;
#endif
}

/*
 * The locks that a process holds or waits for in the main table, one after the
 * other, who holds or waits for a lock, and the processes that wait for one, the
 * first in line first; NULL after the last one. The lock's partition must be locked. 16 changed the lists.
 */
#if PG_VERSION_NUM < 160000
static inline PROCLOCK *
next_proclock(PGPROC *proc, int partition, PROCLOCK *after)
{
	SHM_QUEUE  *list = &proc->myProcLocks[partition];

	return (PROCLOCK *) SHMQueueNext(list, after == NULL ? list : &after->procLink,
									 offsetof(PROCLOCK, procLink));
}

static inline PROCLOCK *
next_holder(LOCK *lock, PROCLOCK *after)
{
	SHM_QUEUE  *list = &lock->procLocks;

	return (PROCLOCK *) SHMQueueNext(list, after == NULL ? list : &after->lockLink,
									 offsetof(PROCLOCK, lockLink));
}

static inline PGPROC *
next_waiter(LOCK *lock, PGPROC *after)
{
	SHM_QUEUE  *list = &lock->waitProcs.links;

	return (PGPROC *) SHMQueueNext(list, after == NULL ? list : &after->links,
								   offsetof(PGPROC, links));
}
#else
static inline dlist_node *
next_in_list(dlist_head *list, dlist_node *after)
{
	if (after == NULL)
		return dlist_is_empty(list) ? NULL : dlist_head_node(list);
	return dlist_has_next(list, after) ? dlist_next_node(list, after) : NULL;
}

static inline PROCLOCK *
next_proclock(PGPROC *proc, int partition, PROCLOCK *after)
{
	dlist_node *node = next_in_list(&proc->myProcLocks[partition],
									after == NULL ? NULL : &after->procLink);

	return node == NULL ? NULL : dlist_container(PROCLOCK, procLink, node);
}

static inline PROCLOCK *
next_holder(LOCK *lock, PROCLOCK *after)
{
	dlist_node *node = next_in_list(&lock->procLocks,
									after == NULL ? NULL : &after->lockLink);

	return node == NULL ? NULL : dlist_container(PROCLOCK, lockLink, node);
}

static inline PGPROC *
next_waiter(LOCK *lock, PGPROC *after)
{
	dlist_node *node = next_in_list(&lock->waitProcs.dlist,
									after == NULL ? NULL : &after->links);

	return node == NULL ? NULL : dlist_container(PGPROC, links, node);
}
#endif

/*
 * The modes in which a process holds the relation of a slot of the fast path;
 * fpInfoLock must be held. They are the three weakest ones. 18 put the slots into groups.
 */
#if PG_VERSION_NUM < 180000
#define FAST_PATH_SLOTS FP_LOCK_SLOTS_PER_BACKEND
#define fast_path_modes(proc, slot) \
	((LOCKMASK) (((proc)->fpLockBits >> (3 * (slot))) & 7) << 1)
#else
#define FAST_PATH_SLOTS FastPathLockSlotsPerBackend()
#define fast_path_modes(proc, slot) \
	((LOCKMASK) (((proc)->fpLockBits[(slot) / FP_LOCK_SLOTS_PER_GROUP] >> \
				  (3 * ((slot) % FP_LOCK_SLOTS_PER_GROUP))) & 7) << 1)
#endif

/* 18 makes as many slots as max_locks_per_transaction says. */
#define FAST_PATH_CAN_BE_SET (PG_VERSION_NUM >= 180000)

/*
 * Whether a process has as many relations in the fast path as go there, so that
 * the next may not; read without a lock, so true of a moment ago. From 18 on a
 * relation goes to one group only.
 */
static inline bool
fast_path_is_full(PGPROC *proc)
{
#if PG_VERSION_NUM < 180000
	const int	groups = 1;
	const uint64 *bits = &proc->fpLockBits;
#else
	const int	groups = FastPathLockGroupsPerBackend;
	const uint64 *bits = proc->fpLockBits;
#endif

	for (int i = 0; i < groups; i++)
	{
		uint64		held = bits[i];

		held = (held | held >> 1 | held >> 2) & UINT64CONST(0x249249249249);
		if (held == UINT64CONST(0x249249249249))
			return true;
	}
	return false;
}

/* 16 moved what a statement asks for from its tables to their permissions. */
#if PG_VERSION_NUM < 160000
#define CHECK_PERMISSIONS_ARGUMENTS List *permissions, bool complain
#define CHECK_PERMISSIONS_PASSED permissions, complain
typedef RangeTblEntry PermissionEntry;
#else
#define CHECK_PERMISSIONS_ARGUMENTS List *tables, List *permissions, bool complain
#define CHECK_PERMISSIONS_PASSED tables, permissions, complain
typedef RTEPermissionInfo PermissionEntry;
#endif

/* 16 numbers files by a type of their own; before, by an OID. */
#if PG_VERSION_NUM < 160000
#define rd_newRelfilelocatorSubid rd_newRelfilenodeSubid
#endif

/* The number of a relation's file, of a mapped catalog too; 16 renamed it. */
#if PG_VERSION_NUM < 160000
#define relation_file(relation) ((relation)->rd_node.relNode)
#else
#define relation_file(relation) ((relation)->rd_locator.relNumber)
#endif

/* 18 tells vacuum's delays from those of ANALYZE. */
#if PG_VERSION_NUM < 180000
#define vacuum_delay_point(is_analyze) vacuum_delay_point()
#endif

/*
 * Have the reads of this session take part in vacuum's cost limits, as its
 * settings are now. 16 keeps a copy of the settings.
 */
static inline void
vacuum_costs_begin(void)
{
#if PG_VERSION_NUM < 160000
	VacuumCostActive = (VacuumCostDelay > 0);
	VacuumCostBalance = 0;
#else
	VacuumUpdateCosts();
#endif
}

#endif							/* DBOPS_COMPAT_H */
