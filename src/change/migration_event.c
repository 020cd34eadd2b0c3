/*
 * migration_event.c
 *		The log of what has happened to migrations only grows.
 *
 * A ledger that can be corrected in silence proves nothing. Rows are added to
 * dbops.migration_event, and to dbops.break_glass_use for what was done in no
 * migration, and a trigger refuses every other command, whoever gives it; it fires for replicated changes and with triggers switched off by
 * session_replication_role too. What a dump restores is inserted.
 */
#include "change/migration.h"

#include "commands/trigger.h"
#include "utils/rel.h"

PG_FUNCTION_INFO_V1(dbops_keep_events);

static const char *command_name(TriggerEvent event);

/* Register what the ledger holds as not to be lost; called when the library is loaded. */
void
dbops_migration_event_init(void)
{
	dbops_data_loss_register("migration", "the ledger of migrations");
	dbops_data_loss_register("migration_event", "the log of what has happened to migrations");
	dbops_data_loss_register("break_glass_use", "the log of changes of the schema in no migration");
}

/* keep_events() → trigger */
Datum
dbops_keep_events(PG_FUNCTION_ARGS)
{
	TriggerData *trigger = (TriggerData *) fcinfo->context;

	if (!CALLED_AS_TRIGGER(fcinfo))
		elog(ERROR, "keep_events was not called by a trigger");
	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg("%s is refused: rows are only ever added to table \"%s\"",
					command_name(trigger->tg_event), RelationGetRelationName(trigger->tg_relation)),
			 strcmp(RelationGetRelationName(trigger->tg_relation), "migration_event") == 0 ?
			 errhint("To correct what the ledger says, use dbops.resolve_migration(), which adds why.") :
			 errhint("Who needs it no more can drop the extension with dbops.allow_data_loss.")));
	return (Datum) 0;			/* keep the compiler quiet */
}

static const char *
command_name(TriggerEvent event)
{
	if (TRIGGER_FIRED_BY_UPDATE(event))
		return "UPDATE";
	return TRIGGER_FIRED_BY_DELETE(event) ? "DELETE" : "TRUNCATE";
}
