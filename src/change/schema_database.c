/*
 * schema_database.c
 *		The queries of a snapshot for what is in no schema.
 */
#include "change/schema.h"

const SchemaKind dbops_schema_database[] = {
	{NULL, NULL}
};
