/*
 * vacuum_threshold.c
 *		When the server's own autovacuum would act on a table.
 *
 * The same rules as in relation_needs_vacanalyze() of autovacuum.c: settings of
 * the table come before those of the server, and a TOAST table without its own
 * has those of its table. That autovacuum is off for it changes nothing here.
 */
#include "core/server.h"

#include "access/htup_details.h"
#include "access/multixact.h"
#include "access/reloptions.h"
#include "catalog/pg_class.h"
#include "postmaster/autovacuum.h"
#include "utils/rel.h"
#include "utils/syscache.h"

/* A setting of the table's if it has one, else the server's. */
#define chosen(options, name, least, server) \
	((options) != NULL && (options)->name >= (least) ? (options)->name : (server))

static AutoVacOpts *table_options(Oid relid);
static void compute(Form_pg_class class, const AutoVacOpts *options, VacuumThresholds *thresholds);

/* Find the thresholds of a table; main: that it is the TOAST table of, or InvalidOid. False if it is gone. */
bool
dbops_vacuum_thresholds(Oid relid, Oid main, VacuumThresholds *thresholds)
{
	HeapTuple	tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(relid));
	AutoVacOpts *options;

	if (!HeapTupleIsValid(tuple))
		return false;
	options = table_options(relid);
	if (options == NULL)
		options = table_options(main);
	compute((Form_pg_class) GETSTRUCT(tuple), options, thresholds);
	ReleaseSysCache(tuple);
	return true;
}

/* A table's own settings; NULL if it has none, or is gone. */
static AutoVacOpts *
table_options(Oid relid)
{
	HeapTuple	tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(relid));
	AutoVacOpts *options = NULL;
	Datum		value;
	bool		isnull;

	if (!HeapTupleIsValid(tuple))
		return NULL;
	value = SysCacheGetAttr(RELOID, tuple, Anum_pg_class_reloptions, &isnull);
	if (!isnull)
		options = dbops_vacuum_options(((Form_pg_class) GETSTRUCT(tuple))->relkind, value);
	ReleaseSysCache(tuple);
	return options;
}

/* The settings of autovacuum in a table's reloptions; NULL where such a relation has none. */
AutoVacOpts *
dbops_vacuum_options(char kind, Datum reloptions)
{
	if (kind != RELKIND_RELATION && kind != RELKIND_MATVIEW && kind != RELKIND_TOASTVALUE)
		return NULL;
	return &((StdRdOptions *) heap_reloptions(kind, reloptions, false))->autovacuum;
}

/* The same for who has the row and its settings, NULL: none, at hand; the ids' ages are left out. */
void
dbops_vacuum_thresholds_of(Form_pg_class class, const AutoVacOpts *options, VacuumThresholds *thresholds)
{
	double		rows = Max(class->reltuples, 0);
	int			most = autovacuum_most_dead(options);
	int			inserted = chosen(options, vacuum_ins_threshold, -1, autovacuum_vac_ins_thresh);

	thresholds->dead = chosen(options, vacuum_threshold, 0, autovacuum_vac_thresh) +
		chosen(options, vacuum_scale_factor, 0, autovacuum_vac_scale) * rows;
	if (most >= 0)
		thresholds->dead = Min(thresholds->dead, most);
	thresholds->inserted = (inserted < 0) ? -1 : inserted +
		chosen(options, vacuum_ins_scale_factor, 0, autovacuum_vac_ins_scale) * rows * unfrozen_part(class);
	thresholds->changed = chosen(options, analyze_threshold, 0, autovacuum_anl_thresh) +
		chosen(options, analyze_scale_factor, 0, autovacuum_anl_scale) * rows;
}

static void
compute(Form_pg_class class, const AutoVacOpts *options, VacuumThresholds *thresholds)
{
	int			members = MultiXactMemberFreezeThreshold();

	dbops_vacuum_thresholds_of(class, options, thresholds);
	thresholds->xid_age = Min(chosen(options, freeze_max_age, 0, autovacuum_freeze_max_age), autovacuum_freeze_max_age);
	thresholds->mxid_age = Min(chosen(options, multixact_freeze_max_age, 0, members), members);
}
