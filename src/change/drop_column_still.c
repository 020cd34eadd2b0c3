/*
 * drop_column_still.c
 *		Is a column that is to be dropped still the one that was looked at?
 *
 * The drop may wait for its lock, for minutes or, when its job is paused, for
 * days. By then another column may have the name, or something may depend on it
 * that was not there to be told. So what was seen goes into the plan as a digest,
 * and is compared when the table is locked.
 */
#include "change/drop_column.h"

#include "utils/builtins.h"

static char *seen(const ColumnDrop *drop);

/* SQL for still: the column, and all that depends on it, are those of now. */
char *
dbops_drop_column_still(const ColumnDrop *drop)
{
	char	   *digest = seen(drop);
	char	   *value = dbops_query_text(psprintf("SELECT %s", digest), 0, NULL);

	return psprintf("%s = %s", digest, quote_literal_cstr(value));
}

/*
 * The number that the column has in each table, what depends on it, and the
 * triggers of ours, which keep it like another column or have it backfilled.
 */
static char *
seen(const ColumnDrop *drop)
{
	return psprintf("(WITH RECURSIVE own (relid) AS (SELECT %u::oid UNION SELECT h.inhrelid FROM own JOIN pg_inherits h ON h.inhparent = own.relid),"
					" it (relid, attnum) AS (SELECT a.attrelid, a.attnum FROM own JOIN pg_attribute a ON a.attrelid = own.relid AND a.attname = %s AND NOT a.attisdropped),"
					" seen (thing) AS (SELECT format('%%s %%s', relid, attnum) FROM it"
					" UNION ALL SELECT format('%%s %%s %%s %%s', d.classid, d.objid, d.objsubid, d.deptype) FROM it"
					" JOIN pg_depend d ON d.refclassid = 'pg_class'::regclass AND d.refobjid = it.relid AND d.refobjsubid = it.attnum"
					" UNION ALL SELECT format('trigger %%s', t.oid) FROM it JOIN pg_trigger t ON t.tgrelid = it.relid"
					" JOIN pg_proc f ON f.oid = t.tgfoid AND f.pronamespace = 'dbops'::regnamespace)"
					" SELECT md5(coalesce(string_agg(thing, ',' ORDER BY thing COLLATE \"C\"), '')) FROM seen)",
					drop->table, quote_literal_cstr(drop->column));
}
