/*
 * drift.h
 *		What the parts of finding drift tell each other.
 *
 * The state that migrations have left is kept as parts of a snapshot: one for
 * each table, type or function with all that belongs to it, by its number, and
 * one, of number 0, for the kinds of which there are few.
 */
#ifndef DBOPS_DRIFT_H
#define DBOPS_DRIFT_H

#include "change/migration.h"
#include "change/schema.h"

/* ---- drift_part.c: parts of a snapshot ---- */

typedef struct DriftPart
{
	Oid			number;			/* InvalidOid: of kinds of which there are few */
	const char *object;			/* what it is about; "": of those kinds, or that is an extension's */
	Jsonb	   *document;
} DriftPart;

extern List *dbops_drift_parts(const Jsonb *document, const List *numbers);
extern Oid	dbops_drift_number(const Jsonb *document, const List *numbers, const char *object);

/* ---- what differs ---- */

typedef struct Drift
{
	Jsonb	   *state;			/* that migrations have left */
	Jsonb	   *now;
	List	   *numbers;		/* of its objects */
	List	   *differences;	/* of SchemaDifference *, those of an object behind each other */
} Drift;

/* ---- the record beside the state: was a row l of the one written by what s of the other has not seen? ---- */

#define DRIFT_STATE "(SELECT * FROM dbops.drift_state ORDER BY at LIMIT 1)"
#define DRIFT_IS_LATER "(NOT pg_visible_in_snapshot(l.transaction_id::text::xid8, s.seen) AND l.transaction_id <> s.transaction_id)"

/* ---- drift_state.c: the state that migrations have left ---- */

typedef struct DriftWatch
{
	const char *project;
	const char *version;
	Snapshot	before;			/* registered; or NULL: nothing is kept */
	Jsonb	   *few;			/* the kinds of which there are few, then */
	const char *seen;			/* a pg_snapshot of then */
} DriftWatch;

extern void dbops_drift_begin(DriftWatch *watch, const char *project, const char *version);
extern void dbops_drift_end(DriftWatch *watch);
extern void dbops_drift_know(void);
extern void dbops_drift_end_steps(const char *project, const char *version);
extern void dbops_drift_store_all(const char *project, const char *version);
extern void dbops_drift_store_all_but(const Drift *drift, const List *theirs, const char *project, const char *version);
extern void dbops_drift_store_object(const SchemaDifference *difference, const Jsonb *document, bool is_taken);
extern void dbops_drift_store(const List *parts, const SchemaTouched *touched, const char *project, const char *version);
extern Jsonb *dbops_drift_state(void);
extern bool dbops_drift_is_of_few(const SchemaDifference *difference);

/* ---- drift.c: what differs ---- */

extern Drift dbops_drift_find(void);
extern const char *dbops_drift_whole_of(const Drift *drift, const SchemaDifference *difference);
extern const char *dbops_drift_whole(const Jsonb *document, const char *kind, const char *object);

/* ---- drift_accept.c: what is meant ---- */

extern void dbops_drift_take(const Drift *drift, const List *differences, const char *project, const char *version);

/* ---- drift_theirs.c: what is somebody else's than a migration's ---- */

extern List *dbops_drift_theirs(const Drift *drift, List *locked);	/* of SchemaDifference * */

/* ---- drift_steps.c: what a migration in steps has left ---- */

extern void dbops_drift_take_steps(const char *project, const char *version);

#endif							/* DBOPS_DRIFT_H */
