/*
 * twin_old.c
 *		The old column of a change, by its number.
 *
 * A name tells little of what was done by hand meanwhile: the column may have got
 * another one, or be gone, and its name be that of a column which has nothing to
 * do with the change.
 */
#include "change/twin.h"

#include "catalog/pg_attribute.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"

static char *name_of(const TwinChange *change);
static void refuse_renamed(const TwinChange *change, const char *name);
static void refuse_other(const TwinChange *change);

bool
dbops_twin_old_is_dropped(const TwinChange *change)
{
	return name_of(change) == NULL;
}

/* What the old column is called now; NULL: it has been dropped. */
static char *
name_of(const TwinChange *change)
{
	HeapTuple	tuple = SearchSysCacheAttNum(change->relid, change->attnum);
	char	   *name;

	if (!HeapTupleIsValid(tuple))
		return NULL;
	name = pstrdup(NameStr(((Form_pg_attribute) GETSTRUCT(tuple))->attname));
	ReleaseSysCache(tuple);
	return name;
}

/* Refuse to go on with a change whose old column has another name, or another column its name. change may be NULL: it is not begun. */
void
dbops_twin_check_old(const TwinChange *change)
{
	const char *name;

	if (change == NULL || !change->here || change->new_name == NULL)
		return;
	name = name_of(change);
	if (name != NULL && strcmp(name, change->column) != 0)
		refuse_renamed(change, name);
	if (name == NULL && get_attnum(change->relid, change->column) != InvalidAttrNumber &&
		get_attnum(change->relid, change->new_name) != InvalidAttrNumber)
		refuse_other(change);
}

/* The trigger does not know it by that name, so that it has not kept what was written since. */
static void
refuse_renamed(const TwinChange *change, const char *name)
{
	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg("column \"%s\" of table %s, which change " INT64_FORMAT " is about, has been renamed to \"%s\"",
					change->column, change->table, change->id, name),
			 errdetail("What was written since has not been carried over to \"%s\".", change->new_name),
			 errhint("Give it its name again: ALTER TABLE %s RENAME COLUMN %s TO %s;", change->table,
					 quote_identifier(name), quote_identifier(change->column))));
}

/* Its values are in the new column only; those of the other one are that one's only. */
static void
refuse_other(const TwinChange *change)
{
	const char *old = quote_identifier(change->column);
	const char *other = quote_identifier(dbops_text_fit(psprintf("%s_other", change->column), NAMEDATALEN));

	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg("column \"%s\" of table %s is another one than that which change " INT64_FORMAT " has begun with",
					change->column, change->table, change->id),
			 errdetail("That has been dropped. Its values are in \"%s\".", change->new_name),
			 change->type == NULL ?
			 errhint("Give the other one another name: ALTER TABLE %s RENAME COLUMN %s TO %s; CALL dbops.finish_change(" INT64_FORMAT ");",
					 change->table, old, other, change->id) :
			 errhint("Give the other one another name: ALTER TABLE %s RENAME COLUMN %s TO %s; ALTER TABLE %s RENAME COLUMN %s TO %s; CALL dbops.abort_change(" INT64_FORMAT ");",
					 change->table, old, other, change->table, quote_identifier(change->new_name), old, change->id)));
}
