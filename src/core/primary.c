/*
 * primary.c
 *		Functions that can do their work on a primary only.
 *
 * The server's own error about a read-only transaction does not say what to do.
 */
#include "core/primary.h"

#include "access/xlog.h"
#include "utils/lsyscache.h"

/* Refuse to write on a standby, and say where to call the function instead. */
void
dbops_require_primary(FunctionCallInfo fcinfo)
{
	if (RecoveryInProgress())
		ereport(ERROR,
				(errcode(ERRCODE_READ_ONLY_SQL_TRANSACTION),
				 errmsg("cannot execute dbops.%s() on a standby, which only reads", get_func_name(fcinfo->flinfo->fn_oid)),
				 errhint("Call it on the primary: what it changes there comes here and counts here too.")));
}
