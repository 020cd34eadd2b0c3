/*
 * keep_rows.c
 *		Who may write the rows that say what is run, and as whom.
 *
 * Nobody has rights on these tables but their owner, and the functions of dbops
 * write them as that owner. Yet a role may be given a right on all tables of a
 * database, by pg_write_all_data or by default privileges, by somebody who has
 * data in mind. A job that it wrote would run as whoever the row names.
 */
#include "core/core.h"

#include "commands/trigger.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/rel.h"

PG_FUNCTION_INFO_V1(dbops_keep_rows);

/* keep_rows() → trigger: for each statement, before it */
Datum
dbops_keep_rows(PG_FUNCTION_ARGS)
{
	const TriggerData *trigger = (const TriggerData *) fcinfo->context;
	Relation	table;

	if (!CALLED_AS_TRIGGER(fcinfo))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("dbops.keep_rows() can only be called as a trigger"),
				 errhint("It serves tables of dbops.")));
	table = trigger->tg_relation;
	if (!has_privs_of_role(GetUserId(), table->rd_rel->relowner))
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("rows of dbops.%s are written by the functions of dbops", RelationGetRelationName(table)),
				 errdetail("They say what is run, and as whom; a right to write all tables is none to say that."),
				 errhint("Call the function that does what is wanted, such as dbops.enqueue().")));
	PG_RETURN_POINTER(NULL);
}
