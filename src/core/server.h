/*
 * server.h
 *		What several areas measure of the server: processes, standbys, WAL, disks.
 *
 * Figures come from shared memory and files, right whatever the caller may see
 * in views. Nothing here waits for a heavyweight lock on a user's table.
 */
#ifndef DBOPS_SERVER_H
#define DBOPS_SERVER_H

#include "core/core.h"

#include "access/xlogdefs.h"
#include "nodes/pg_list.h"
#include "storage/lock.h"
#include "utils/rel.h"

/* ---- figure.c: figures as people read them ---- */

#define MB				(1024.0 * 1024)
#define GB				(1024 * MB)

extern double dbops_figure_percent(double part, double whole);
extern const char *dbops_figure_duration(double seconds);
extern const char *dbops_figure_count(double n, const char *one, const char *many);
extern const char *dbops_figure_bytes(double bytes);

/* ---- at_once.c: catalogs, without waiting for who has locked them ---- */

extern bool dbops_catalog_lock(Oid catalog, Oid index);
extern void dbops_catalog_unlock(Oid catalog, Oid index);
extern char *dbops_role_name(Oid role);
extern char *dbops_tablespace_name(Oid tablespace);
extern char *dbops_database_name(Oid database);

/* ---- tablespace_names.c: for who cannot read them ---- */

extern void dbops_tablespace_names_init(void);
extern void dbops_tablespace_name_keep(Oid tablespace, const char *name);
extern char *dbops_tablespace_name_kept(Oid tablespace);
extern char *dbops_relation_name(Oid relation);

/* ---- processes.c ---- */

/* What a process's slot says beyond its status. */
typedef struct Process
{
	int			pid;
	int			leader;			/* of a parallel query, else the pid itself */
	Oid			database;		/* InvalidOid: none */
	bool		waits;			/* for a heavyweight lock */
	const void *lock;			/* that it waits for: who has the same one waits for the same; not to be looked into */
	TimestampTz waits_since;
	uint32		wait_event;		/* whatever it waits for; 0: it works */
	bool		holds_horizon;	/* a transaction id or a snapshot */
	bool		holds_everywhere;	/* not only in its own database */
	bool		holds_locks;
	TransactionId xmin;			/* of its snapshot; or invalid */
} Process;

typedef struct Prepared
{
	int			count;
	double		age;			/* s, of the oldest */
	const char *gid;			/* of the oldest */
} Prepared;

extern Process *dbops_processes_read(int *n);
extern Process *dbops_process_find(Process *processes, int n, int pid);
extern void dbops_prepared_read(Prepared *prepared);

/* ---- lock_table.c: how full the server's table of locks is ---- */

extern long dbops_lock_table_used(long *room);

/* ---- blocker.c: who has the lock that is waited for? ---- */

extern char *dbops_blocker(const LOCKTAG *tag, LOCKMODE mode);
extern void dbops_blocker_watch(long lock_timeout);
extern void dbops_blocker_watch_giving_way(void);
extern void dbops_blocker_unwatch(void);
extern char *dbops_blocker_watched(void);

/* ---- build_watch.c: what a process that builds or drops an index is doing ---- */

extern char *dbops_build_watch(int pid, int64 *done, int64 *total);

/* ---- standbys.c ---- */

typedef struct Standby
{
	int			pid;			/* of its sender */
	bool		logical;		/* it decodes: it is sent what it subscribes to */
	bool		applies;		/* what it receives; false: pg_receivewal and its like */
	XLogRecPtr	reached;		/* applied, or flushed where nothing is applied */
	int64		lag_bytes;
	double		lag;			/* s; NaN: not known */
} Standby;

extern List *dbops_standbys_read(XLogRecPtr written);
extern const char *dbops_standby_name(int pid);
extern XLogRecPtr dbops_written(void);

/* ---- past.c: where the server was, and when ---- */

extern void dbops_past_init(void);
extern void dbops_past_mark(void);
extern double dbops_past_since_written(XLogRecPtr position);
extern double dbops_past_since_xid(TransactionId xid);
extern double dbops_past_xid_rate(void);

/* ---- horizon.c: who keeps vacuum from removing dead rows ---- */

typedef struct HorizonHolder
{
	const char *name;			/* as a user knows it; NULL: nobody does */
	double		age;			/* s, at least */
} HorizonHolder;

typedef bool (*HorizonIgnores) (int pid);

extern void dbops_horizon_oldest(HorizonIgnores ignores, HorizonHolder *oldest);
extern void dbops_horizon_oldest_session(HorizonIgnores ignores, HorizonHolder *oldest);

/* ---- vacuum_threshold.c: when the server's own autovacuum would act on a table ---- */

typedef struct VacuumThresholds
{
	double		dead;			/* rows */
	double		inserted;		/* rows since VACUUM; negative: they do not count */
	double		changed;		/* rows since ANALYZE */
	int			xid_age;		/* of the oldest id, at which wraparound is prevented */
	int			mxid_age;
} VacuumThresholds;

extern bool dbops_vacuum_thresholds(Oid relid, Oid main, VacuumThresholds *thresholds);
extern void dbops_vacuum_thresholds_of(Form_pg_class class, const AutoVacOpts *options,
									   VacuumThresholds *thresholds);
extern AutoVacOpts *dbops_vacuum_options(char kind, Datum reloptions);

/* ---- archive.c ---- */

extern bool dbops_archive_on(void);
extern int	dbops_archive_waiting(int at_most); /* -1: not known, here and below */
extern int	dbops_wal_files(int at_most);

/* ---- backup.c: was this server restored? ---- */

extern bool dbops_backup_restored(TimestampTz *begun);

/* ---- heartbeat.c ---- */

extern void dbops_heartbeat_init(void);

/* ---- host.c: what the machine, or its container, gives the server ---- */

/* What is not known is NaN. */
typedef struct Host
{
	double		cpus;			/* that the server may use, a quota counted */
	double		load;			/* average of a minute, of the machine */
	double		memory_machine; /* bytes that the machine has */
	double		memory_total;	/* bytes that the server may use */
	double		memory_available;	/* bytes of it that are left, with what caches files */
	double		pressure_cpu;	/* percent of the last minute in which something waited */
	double		pressure_io;
	double		pressure_memory;
	double		memory_kills;	/* processes that the kernel has killed for want of memory: of the server's group, or else of the machine */
	double		memory_swapped_in;	/* bytes that the machine has read back from its swap space */
} Host;

extern void dbops_host_read(const char *root, Host *host);
extern double dbops_host_kills(void);

/* ---- starts.c: how the server came to run ---- */

#define KNOWN_CRASHES	8

typedef struct Starts
{
	bool		unclean;		/* it was not shut down before it was started */
	int			crashes;		/* of its processes, after which it began anew */
	TimestampTz crashed_at[KNOWN_CRASHES];	/* the last ones, the newest first; 0: none */
	double		kills;			/* by the kernel, before the newest */
} Starts;

extern void dbops_starts_init(void);
extern bool dbops_starts_read(Starts *starts);

/* ---- disks.c ---- */

typedef struct Disk
{
	const char *name;			/* "tablespace NAME" or "WAL" */
	const char *tablespace;		/* NULL: of WAL */
	const char *same_as;		/* an earlier one on the same device; or NULL */
	const char *silent;			/* why nothing of it is known, as a phrase; or NULL */
	bool		missing;		/* its directory is */
	int64		total;			/* bytes; 0: the file system does not tell */
	int64		used;
	int64		free;			/* to the server, the reserve of root apart */
	double		files_free;		/* percent of the files that it can hold; NaN: it sets no limit */
	bool		read_only;
	uint64		device;
} Disk;

typedef struct Disks
{
	List	   *list;			/* of Disk *, WAL first */
} Disks;

/* Whatever its share of the disk. */
#define PLENTY_FREE		(50 * GB)

extern double dbops_disk_free_percent(const Disk *disk);
extern void dbops_disks_read(Disks *disks);
extern bool dbops_disk_of(Oid tablespace, Disk *disk);
extern void dbops_disk_ask(const char *path, Disk *disk);

/* ---- disk_watch.c: what they say, for who must not hang at one that does not answer ---- */

extern void dbops_disk_watch_init(void);
extern void dbops_disk_watch_leave_it(bool wait);	/* for the first answer */
extern bool dbops_disk_watched(Oid tablespace, Disk *disk); /* InvalidOid: WAL's */
extern bool dbops_disk_watched_wal(int *files, int *waiting);

#endif							/* DBOPS_SERVER_H */
