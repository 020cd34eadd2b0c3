/*
 * checks.h
 *		The sets of checks, and what those have in common that look at many objects.
 *
 * A set is a file: what it looks at, its table of checks and how they judge.
 */
#ifndef DBOPS_CHECKS_H
#define DBOPS_CHECKS_H

#include "core/at_once.h"
#include "observe/observe.h"

/* ---- checks.c: the sets ---- */

extern void dbops_checks_init(void);

extern const DbopsCheckSet dbops_alert_checks_set;
extern const DbopsCheckSet dbops_cron_checks_set;
extern const DbopsCheckSet dbops_forecast_checks_set;
extern const DbopsCheckSet dbops_host_checks_set;
extern const DbopsCheckSet dbops_io_checks_set;
extern const DbopsCheckSet dbops_limit_checks_set;
extern const DbopsCheckSet dbops_memory_checks_set;
extern const DbopsCheckSet dbops_rate_checks_set;
extern const DbopsCheckSet dbops_relation_checks_set;
extern const DbopsCheckSet dbops_replication_checks_set;
extern const DbopsCheckSet dbops_schema_checks_set;
extern const DbopsCheckSet dbops_sequence_checks_set;
extern const DbopsCheckSet dbops_server_checks_set;
extern const DbopsCheckSet dbops_session_checks_set;
extern const DbopsCheckSet dbops_setting_checks_set;
extern const DbopsCheckSet dbops_wal_checks_set;

/* The reason that checks share which compare samples, where there are none to compare. */
#define DBOPS_NO_SAMPLES	"no samples yet"

/* ---- check_window.c: what checks say of a time ---- */

#define DBOPS_LATELY	600		/* s, of ratios */
#define DBOPS_AN_HOUR	3600	/* s, of events that are rare */

struct SampleWindow;
extern void dbops_window_report(DbopsCheckRun *run, const struct SampleWindow *window, double value, double guard,
								const char *message, const char *remedy);
extern void dbops_window_report_unknown(DbopsCheckRun *run, const struct SampleWindow *window,
										const char *message, const char *remedy);
extern void dbops_window_report_events(DbopsCheckRun *run, const struct SampleWindow *window, int metric,
									   const char *one, const char *many, const char *remedy);
extern bool dbops_window_is_partial(const struct SampleWindow *window);

/* ---- check_objects.c: what checks say of many objects ---- */

#define N_WORST			10		/* objects that a check reports on their own */
#define LONGEST_WAIT	100		/* ms, for a lock on what every query reads, such as types */

/*
 * A question to the catalogs. Each row is an object that is bad: its name, a
 * sentence, its remedy, and how many there are in all.
 */
typedef struct CatalogQuestion
{
	const char *sql;			/* constant; at most N_WORST rows */
	int			n_catalogs;
	const Oid  *catalogs;		/* that it reads: if somebody has locked one, the check is unknown */
	const char *none;			/* what there is to say when there is no row */
	bool		as_owner;		/* it is asked with the rights of the extension's owner */
} CatalogQuestion;

extern void dbops_check_ask(DbopsCheckRun *run, const CatalogQuestion *question,
							int nparams, const DbopsParam *params);

/* An object with its figure, among many. */
typedef struct Notable
{
	Oid			object;
	double		value;
	double		guard;			/* NaN: none */
	double		figure;			/* another one that is told; or 0 */
	const void *of;				/* what else is known of it; or NULL */
} Notable;

/* All that may be bad: which are is known only when they are held against a threshold and its guard. */
typedef struct Notables
{
	int			n;
	int			room;
	Notable    *all;
} Notables;

/* Say what is wrong with one; NULL: it is gone. */
typedef const DbopsFinding *(*NotableCallback) (const Notable *notable);

extern void dbops_notables_add(Notables *notables, Notable notable);
extern void dbops_notables_report(DbopsCheckRun *run, Notables *notables,
								  NotableCallback describe, const char *none);

#endif							/* DBOPS_CHECKS_H */
