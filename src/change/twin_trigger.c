/*
 * twin_trigger.c
 *		Triggers that know a column by its old name only.
 *
 * They fire before the one that makes both columns equal, and so do not see what
 * an application writes by the new name: what they would refuse gets in.
 */
#include "change/twin.h"

#include "catalog/pg_trigger.h"

/* A text has a name in it, whatever its case, and not within a longer one. */
#define NAMES(text, name) \
	"lower(" text ") ~ concat('(^|[^[:alnum:]_$])', regexp_replace(lower(" name "), '([^[:alnum:]_ ])', '\\\\\\1', 'g'), '($|[^[:alnum:]_$])')"

/* Of the table and its partitions, for each row that is inserted or updated. */
void
dbops_twin_tell_triggers(const TwinColumn *column, const char *twin)
{
	DbopsParam	params[] = {
		dbops_param_oid(column->relid),
		dbops_param_text(column->name),
		dbops_param_text(twin),
		dbops_param_int4(TRIGGER_TYPE_ROW | TRIGGER_TYPE_BEFORE),
		dbops_param_int4(TRIGGER_TYPE_INSERT | TRIGGER_TYPE_UPDATE)
	};
	const char *triggers = dbops_query_text("SELECT string_agg(format('%I', t.tgname), ', ' ORDER BY t.tgname, t.tgrelid)"
											" FROM pg_trigger t JOIN pg_proc p ON p.oid = t.tgfoid JOIN pg_language l ON l.oid = p.prolang"
											" WHERE t.tgrelid IN (SELECT $1 UNION SELECT relid FROM pg_partition_tree($1))"
											" AND NOT t.tgisinternal AND t.tgparentid = 0 AND t.tgenabled <> 'D' AND (t.tgtype & $4) = $4 AND (t.tgtype & $5) <> 0"
											" AND l.lanname NOT IN ('internal', 'c') AND " NAMES("p.prosrc", "$2") " AND NOT " NAMES("p.prosrc", "$3"),
											lengthof(params), params);

	if (triggers != NULL)
		ereport(WARNING,
				(errmsg("triggers of table %s that name column \"%s\" do not see what is written to \"%s\": %s",
						column->table, column->name, twin, triggers),
				 errhint("They fire before both are made equal: have them treat both alike, until the change is finished.")));
}
