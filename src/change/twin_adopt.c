/*
 * twin_adopt.c
 *		Changes that came here without their rows in dbops.column_change.
 *
 * A dump of single tables brings the trigger and the new column along, and not what
 * the trigger is to do: until the call that has begun the change is made again, it
 * does nothing, and what is written meanwhile by one name is not seen by the other.
 * So that call takes the column over, but fills it only when no row has a value
 * there of its own, which would be lost.
 */
#include "change/twin.h"

#include "utils/builtins.h"
#include "utils/lsyscache.h"

static bool is_of_type(Oid relid, const char *column, const TwinType *type);

/* Is the new column of a change yet to be adopted? known: the change, where the call has been made before; or NULL. */
bool
dbops_twin_is_to_adopt(const TwinColumn *column, const char *new_name, const TwinType *type, const TwinChange *known)
{
	DbopsParam	params[] = {
		dbops_param_oid(column->relid),
		dbops_param_text(dbops_twin_trigger_name(column->name))
	};

	return (known == NULL || (known->here && known->attnums == NIL)) && is_of_type(column->relid, new_name, type) &&
		dbops_query_each("SELECT FROM pg_trigger t WHERE t.tgrelid = $1 AND t.tgname = $2 AND t.tgfoid = 'dbops.change_sync'::regproc",
						 lengthof(params), params, NULL, NULL) > 0;
}

static bool
is_of_type(Oid relid, const char *column, const TwinType *type)
{
	AttrNumber	attnum = get_attnum(relid, column);
	TwinType	is = {0};

	if (attnum <= 0)
		return false;
	get_atttypetypmodcoll(relid, attnum, &is.type, &is.typmod, &is.collation);
	return is.type == type->type && is.typmod == type->typmod && is.collation == type->collation;
}

/* Steps that take the place of the one that adds the column. */
void
dbops_twin_add_adoption(OnlinePlan *plan, const TwinChange *change)
{
	const char *old = quote_identifier(change->column);
	const char *new = quote_identifier(change->new_name);
	const char *value = change->set_clause != NULL ? psprintf("CAST(%s AS %s)", change->set_clause, change->type) : old;
	OnlineStep	look = dbops_twin_look(change, psprintf("%s IS NOT NULL", new));

	look.kind = ONLINE_REFUSE;
	look.asks_ours = true;
	look.reached = dbops_twin_has_columns(change);
	look.why = "The column and its trigger came here with a dump: what was written to it by its new name since would be lost.";
	look.message = psprintf("column %s of table %s has values of its own, which are not those of %s", new, change->table, old);
	look.sqlerrcode = ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE;
	look.hint = psprintf("See SELECT * FROM %s WHERE %s IS NOT NULL AND pg_catalog.record_image_ne(ROW(%s), ROW(%s)); "
						 "Of those UPDATE %s SET %s = %s where the value of %s is to be kept, set %s where that of %s is, and make the same call again.",
						 change->table, new, new, value, change->table, new, value, old, old, new);
	dbops_online_add(plan, look);
	dbops_online_add(plan, (OnlineStep)
	{
		.kind = ONLINE_SHORT,
		.ours = true,
		.asks_ours = true,
		.sql = dbops_twin_note_columns(change),
		.reached = dbops_twin_has_columns(change),
		.why = "From here on the column is that of this change."
	});
}
