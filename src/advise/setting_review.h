/*
 * setting_review.h
 *		The review of settings: what is known of the machine and of the work, and what
 *		is thought of each setting.
 */
#ifndef DBOPS_SETTING_REVIEW_H
#define DBOPS_SETTING_REVIEW_H

#include "advise/review.h"
#include "core/server.h"

struct config_generic;

/* ---- setting_files.c: what the configuration files say ---- */

/* The last one of a setting, which is the one that counts. */
typedef struct SettingLine
{
	const char *name;
	const char *value;
	const char *place;			/* as a user finds it: line and file */
	bool		wrong;			/* it cannot be applied, or only by a restart */
	bool		newer;			/* its file was changed since the server read it */
} SettingLine;

typedef struct SettingFiles
{
	List	   *lines;			/* of SettingLine * */
	const char *broken;			/* the place of an error for which nothing of the files is applied; or NULL */
} SettingFiles;

extern const SettingFiles *dbops_setting_files_read(void);
extern const SettingLine *dbops_setting_line(const SettingFiles *files, const char *name);

/* ---- setting_history.c: what was sampled ---- */

/* An hour, or what there is of it. */
typedef struct SettingHour
{
	double		wal;			/* bytes */
	double		timed;			/* checkpoints that came when it was time */
	double		requested;		/* before */
} SettingHour;

/* Of the last seven days, or as many as there are; on a standby, its own. */
typedef struct SettingHistory
{
	List	   *hours;			/* of SettingHour * */
	double		time;			/* s that were watched */
	double		wal;			/* bytes */
	double		wal_buffers_full;	/* times that WAL had to be written for want of room */
	double		temporary;		/* bytes that statements of all databases wrote to temporary files */
	double		sessions;		/* begun, in all databases */
	double		standbys;		/* the most at a time */
	double		peak;			/* of client sessions, in 30 days; NaN: nothing is known */
	double		peak_hours;		/* that it is the most of */
	const char *peak_at;		/* the hour; or NULL */
	double		data;			/* bytes of all databases; NaN: nobody has measured them */
	double		data_here;		/* of this one; likewise */
} SettingHistory;

extern void dbops_setting_history_read(SettingHistory *history);

/* ---- setting_facts.c ---- */

/* What is not known is NaN. */
typedef struct SettingFacts
{
	const SettingFiles *files;
	SettingHistory history;

	double		memory;			/* bytes that the server may use */
	double		cpus;
	int			rotates;		/* the data directory's disk: 1 or 0; -1: not known */
	double		disks;			/* that data is on */
	double		wal_room;		/* bytes that are free where WAL is */

	double		data;			/* bytes of all databases */
	double		data_here;		/* of this one */
	double		most_rows_vacuum;	/* of the table of this database that has most, of those without a factor of their own */
	double		most_rows_analyze;

	double		wal_counted;	/* bytes, since wal_time */
	double		wal_time;		/* s, that what is counted of WAL is of */
	double		wal_buffers_full;
	double		checkpoints_timed;
	double		checkpoints_requested;

	double		senders;		/* that send WAL for good: not to a backup */
	double		unslotted;		/* of them, to standbys without a slot */
	double		slots;			/* for good, of standbys and subscribers */
	double		expected;		/* standbys, by dbops.expected_standbys */
	double		connected;		/* client sessions now */
} SettingFacts;

extern const SettingFacts *dbops_setting_facts(DbopsReview *review);

/* ---- setting_value.c: values as the server has them ---- */

extern double dbops_setting_figure(const SettingFacts *facts, const char *name);	/* in bytes, ms or as it is; NaN: there is none */
extern bool dbops_setting_is(const SettingFacts *facts, const char *name, const char *value);
extern bool dbops_setting_is_on(const SettingFacts *facts, const char *name);
extern const char *dbops_setting_shown(const SettingFacts *facts, const char *name);
extern const char *dbops_setting_write(const char *name, double figure);
extern const char *dbops_setting_here(const struct config_generic *setting);
extern const char *dbops_setting_normal(const char *name, const char *text);
extern bool dbops_setting_needs_restart(const char *name);
extern bool dbops_setting_keeps(const char *name);
extern bool dbops_setting_is_of_command_line(const char *name);

/* ---- setting_advice.c: what is said of one ---- */

typedef struct SettingVerdict
{
	DbopsSeverity severity;
	const char *recommended;	/* NULL: what it is */
	const char *why;			/* a sentence with the figures */
	const char *first;			/* a setting that has to be changed with it, and before */
	const char *first_value;
	const char *instead;		/* a sentence, where the line alone would do harm */
} SettingVerdict;

typedef struct SettingAdvice
{
	const char *setting;
	const char *guide_001;		/* its figure; or NULL */
	const char *guide_003;
	SettingVerdict (*judge) (const char *setting, const SettingFacts *facts);
	const char *source;
} SettingAdvice;

extern void dbops_setting_advise(DbopsReview *review, const SettingAdvice *advice, int n);
extern SettingVerdict dbops_setting_agree(const char *why);
extern SettingVerdict dbops_setting_unknown(const char *why);
extern SettingVerdict dbops_setting_prefer(DbopsSeverity severity, const char *setting, double figure, const char *why);
extern SettingVerdict dbops_setting_prefer_text(DbopsSeverity severity, const char *value, const char *why);
extern void dbops_setting_report(DbopsReview *review, const char *object, const char *current, const char *guide,
								 const char *source, const char *remedy, const SettingVerdict *verdict);

/* ---- the judges ---- */

extern void dbops_setting_judge_memory(DbopsReview *review);
extern void dbops_setting_judge_wal(DbopsReview *review);
extern void dbops_setting_judge_planner(DbopsReview *review);
extern void dbops_setting_judge_connections(DbopsReview *review);
extern void dbops_setting_judge_timeouts(DbopsReview *review);
extern void dbops_setting_judge_logging(DbopsReview *review);
extern void dbops_setting_judge_autovacuum(DbopsReview *review);
extern void dbops_setting_judge_replication(DbopsReview *review);
extern void dbops_setting_judge_pending(DbopsReview *review);
extern void dbops_setting_judge_unread(DbopsReview *review);

/* What is recommended of one setting, for the judge of another: as if it had been followed. */
extern double dbops_setting_connections_wanted(const SettingFacts *facts);
extern double dbops_setting_workers_wanted(const SettingFacts *facts);

/* ---- setting_standby.c: settings of which a standby needs no less than its primary has ---- */

extern double dbops_setting_least_here(const char *setting);	/* 0: any */
extern void dbops_setting_mind_standbys(const char *setting, const SettingFacts *facts, SettingVerdict *verdict);

/* ---- review_settings.c ---- */

extern const DbopsRuleSet dbops_setting_rules;

#endif							/* DBOPS_SETTING_REVIEW_H */
