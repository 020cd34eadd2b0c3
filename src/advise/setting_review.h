/*
 * setting_review.h
 *		The review of settings: what is known of the machine and of the work, and what
 *		is thought of each setting.
 */
#ifndef DBOPS_SETTING_REVIEW_H
#define DBOPS_SETTING_REVIEW_H

#include "advise/review.h"
#include "core/server.h"

/* ---- setting_facts.c ---- */

/* What is not known is NaN. */
typedef struct SettingFacts
{
	double		memory;			/* bytes that the server may use */
	double		cpus;
	int			rotates;		/* the data directory's disk: 1 or 0; -1: not known */
	double		data;			/* bytes of this database's tables and indexes */
	double		largest_rows;	/* of the table that has most */
	double		temporary;		/* bytes that statements of this database wrote to temporary files */
	double		sessions_rate;	/* that began, a second, in this database */
	double		wal_rate;		/* bytes a second */
	double		wal_time;		/* s, that the rate is of */
	double		wal_buffers_full;	/* times that WAL had to be written for want of room */
	double		checkpoints_timed;
	double		checkpoints_requested;	/* before it was time */
	double		standbys;		/* that are sent WAL now */
	double		slots;
	double		standbys_without_slot;
	double		disks;			/* that data is on: tablespaces */
	double		peak;			/* of client sessions, as far back as is known */
	double		connected;		/* client sessions now */
	bool		peak_is_history;	/* of 30 days, or of as many as there are */
} SettingFacts;

extern const SettingFacts *dbops_setting_facts(DbopsReview *review);

/* ---- setting_value.c: values as the server has them ---- */

extern double dbops_setting_figure(const char *name);	/* in bytes, ms or as it is; NaN: there is none */
extern bool dbops_setting_is(const char *name, const char *value);
extern const char *dbops_setting_shown(const char *name);
extern const char *dbops_setting_write(const char *name, double figure);
extern bool dbops_setting_needs_restart(const char *name);

/* ---- setting_advice.c: what is said of one ---- */

typedef struct SettingVerdict
{
	DbopsSeverity severity;
	const char *recommended;	/* NULL: what it is */
	const char *why;			/* a sentence with the figures */
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
extern SettingVerdict dbops_setting_prefer(DbopsSeverity severity, const char *setting, double figure, const char *why);
extern SettingVerdict dbops_setting_prefer_text(DbopsSeverity severity, const char *value, const char *why);
extern void dbops_setting_report(DbopsReview *review, const char *object, const char *current, const char *guide,
								 const char *source, const char *remedy, const SettingVerdict *verdict);

/* ---- the judges ---- */

extern void dbops_setting_judge_memory(DbopsReview *review);
extern void dbops_setting_judge_wal(DbopsReview *review);
extern void dbops_setting_judge_planner(DbopsReview *review);
extern void dbops_setting_judge_connections(DbopsReview *review);
extern void dbops_setting_judge_logging(DbopsReview *review);
extern void dbops_setting_judge_autovacuum(DbopsReview *review);
extern void dbops_setting_judge_replication(DbopsReview *review);
extern void dbops_setting_judge_pending(DbopsReview *review);
extern void dbops_setting_judge_unread(DbopsReview *review);

/* ---- review_settings.c ---- */

extern const DbopsRuleSet dbops_setting_rules;

#endif							/* DBOPS_SETTING_REVIEW_H */
