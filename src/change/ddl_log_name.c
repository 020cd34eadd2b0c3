/*
 * ddl_log_name.c
 *		The names of what a command was about, as schema_snapshot() writes them.
 *
 * The server's own identities say "c on s.t" of a constraint, where a snapshot
 * says s.t.c. What was renamed or moved stands under its old name, too: that is
 * the one which is missed afterwards.
 */
#include "change/ddl_log.h"

#include "access/table.h"
#include "catalog/namespace.h"
#include "catalog/objectaddress.h"
#include "catalog/pg_attrdef.h"
#include "catalog/pg_cast.h"
#include "catalog/pg_class.h"
#include "catalog/pg_constraint.h"
#include "catalog/pg_default_acl.h"
#include "catalog/pg_foreign_data_wrapper.h"
#include "catalog/pg_foreign_server.h"
#include "catalog/pg_language.h"
#include "catalog/pg_namespace.h"
#include "catalog/pg_opclass.h"
#include "catalog/pg_opfamily.h"
#include "catalog/pg_policy.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_publication_rel.h"
#include "catalog/pg_rewrite.h"
#include "catalog/pg_statistic_ext.h"
#include "catalog/pg_trigger.h"
#include "catalog/pg_type.h"
#include "catalog/pg_user_mapping.h"
#include "commands/trigger.h"
#include "lib/stringinfo.h"
#include "nodes/parsenodes.h"
#include "rewrite/rewriteDefine.h"
#include "rewrite/rewriteSupport.h"
#include "tcop/deparse_utility.h"
#include "utils/aclchk_internal.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"

static char *joined(List *names);
static char *with_arguments(const char *function, List *arguments);
static char *of_default_privileges(const char *identity, List *names);
static const char *type_name(const char *name);
static ObjectAddress not_null_column(Oid table, Node *subcommand);
static List *add_object(List *known, const ObjectAddress *address, const CollectedCommand *command);
static List *add_switched(List *known, Oid table, const AlterTableCmd *command);
static List *add_triggers(List *known, Oid table);
static char *full_name(const ObjectAddress *address);
static bool is_there(const ObjectAddress *address);
static List *add(List *known, char *name);
static List *add_granted(List *known, const InternalGrant *grant);
static List *add_granted_columns(List *known, Oid table, List *privileges);
static bool is_own_schema(const ObjectAddress *address);
static Oid	class_of(ObjectType type);
static char *old_name(const char *name, const CollectedCommand *command);
static char *old_word(const RenameStmt *rename);
static const char *last_name(Node *object);
static int	begin_of_last(const char *name);
static int	end_of(const char *name, char stop);

/* Write a name out of its parts. */
char *
dbops_ddl_name(Oid class, const char *identity, List *names, List *arguments)
{
	switch (class)
	{
		case ConstraintRelationId:
			if (arguments != NIL)	/* of a domain */
				return psprintf("%s.%s", (char *) linitial(names), quote_identifier(linitial(arguments)));
			return joined(names);
		case RelationRelationId:
		case AttrDefaultRelationId:
		case PolicyRelationId:
		case RewriteRelationId:
		case StatisticExtRelationId:
		case TriggerRelationId:
			return joined(names);
		case ProcedureRelationId:
			return with_arguments(joined(names), arguments);
		case CastRelationId:
			return psprintf("%s as %s", type_name(linitial(names)), type_name(linitial(arguments)));
		case OperatorClassRelationId:
		case OperatorFamilyRelationId:
			return psprintf("%s using %s", quote_qualified_identifier(lsecond(names), lthird(names)), quote_identifier(linitial(names)));
		case DefaultAclRelationId:
			return of_default_privileges(identity, names);
		case PublicationRelRelationId:
			return psprintf("%s for %s", quote_identifier(linitial(arguments)), joined(names));
		case UserMappingRelationId:
			return psprintf("for %s server %s", strcmp(linitial(names), "public") == 0 ? "PUBLIC" : quote_identifier(linitial(names)),
							quote_identifier(linitial(arguments)));
		default:
			return pstrdup(identity);
	}
}

static char *
joined(List *names)
{
	StringInfoData text;
	ListCell   *cell;

	initStringInfo(&text);
	foreach(cell, names)
		appendStringInfo(&text, "%s%s", text.len > 0 ? "." : "", quote_identifier(lfirst(cell)));
	return text.data;
}

static char *
with_arguments(const char *function, List *arguments)
{
	StringInfoData text;
	ListCell   *cell;

	initStringInfo(&text);
	appendStringInfo(&text, "%s(", function);
	foreach(cell, arguments)
		appendStringInfo(&text, "%s%s", foreach_current_index(cell) > 0 ? "," : "", type_name(lfirst(cell)));
	appendStringInfoChar(&text, ')');
	return text.data;
}

/* The identity ends with what they are on. */
static char *
of_default_privileges(const char *identity, List *names)
{
	const char *kind = identity;

	for (const char *next = identity; (next = strstr(next, " on ")) != NULL; next++)
		kind = next;
	return psprintf("of %s%s%s%s", quote_identifier(linitial(names)), kind,
					list_length(names) > 1 ? " in " : "", list_length(names) > 1 ? quote_identifier(lsecond(names)) : "");
}

/* A snapshot does not say that a type is the server's. */
static const char *
type_name(const char *name)
{
	static const char server[] = "pg_catalog.";

	return strncmp(name, server, strlen(server)) == 0 ? name + strlen(server) : name;
}

/* Add the names of what a command has made or changed; the address is that of its object, if the server says one. */
List *
dbops_ddl_names(List *known, const ObjectAddress *address, const CollectedCommand *command)
{
	ListCell   *cell;

	if (command->type == SCT_Grant)
		return add_granted(known, command->d.grant.istmt);
	if (!OidIsValid(address->classId))
		return known;
	known = add_object(known, address, command);
	if (command->type == SCT_Simple && command->parsetree != NULL && IsA(command->parsetree, AlterExtensionContentsStmt))
		return add_object(known, &command->d.simple.secondaryObject, NULL);
	if (command->type != SCT_AlterTable)
		return known;
	foreach(cell, command->d.alterTable.subcmds)
	{
		const CollectedATSubcmd *part = lfirst(cell);
		ObjectAddress column = not_null_column(address->objectId, part->parsetree);

		known = add_object(known, &part->address, NULL);
		known = add_object(known, &column, NULL);
		if (part->parsetree != NULL && IsA(part->parsetree, AlterTableCmd))
			known = add_switched(known, address->objectId, (const AlterTableCmd *) part->parsetree);
	}
	return known;
}

/* The server does not say which triggers or rules have been enabled or disabled. */
static List *
add_switched(List *known, Oid table, const AlterTableCmd *command)
{
	ObjectAddress address = {0};

	switch (command->subtype)
	{
		case AT_EnableTrig:
		case AT_EnableAlwaysTrig:
		case AT_EnableReplicaTrig:
		case AT_DisableTrig:
			ObjectAddressSet(address, TriggerRelationId, get_trigger_oid(table, command->name, true));
			break;
		case AT_EnableRule:
		case AT_EnableAlwaysRule:
		case AT_EnableReplicaRule:
		case AT_DisableRule:
			ObjectAddressSet(address, RewriteRelationId, get_rewrite_oid(table, command->name, true));
			break;
		case AT_EnableTrigAll:
		case AT_DisableTrigAll:
		case AT_EnableTrigUser:
		case AT_DisableTrigUser:
			return add_triggers(known, table);
		default:
			break;
	}
	return add_object(known, &address, NULL);
}

/* All of a table, which the command has locked. */
static List *
add_triggers(List *known, Oid table)
{
	Relation	relation = table_open(table, NoLock);
	const TriggerDesc *triggers = relation->trigdesc;

	for (int i = 0; triggers != NULL && i < triggers->numtriggers; i++)
	{
		ObjectAddress address;

		ObjectAddressSet(address, TriggerRelationId, triggers->triggers[i].tgoid);
		if (!triggers->triggers[i].tgisinternal)
			known = add_object(known, &address, NULL);
	}
	table_close(relation, NoLock);
	return known;
}

/* From 18 on, NOT NULL is said to be about its constraint alone. */
static ObjectAddress
not_null_column(Oid table, Node *subcommand)
{
	const AlterTableCmd *part = (const AlterTableCmd *) subcommand;
	ObjectAddress column = {.classId = RelationRelationId};

	if (subcommand == NULL || !IsA(subcommand, AlterTableCmd) ||
		(part->subtype != AT_SetNotNull && part->subtype != AT_DropNotNull) || part->name == NULL)
		return column;
	column.objectSubId = get_attnum(table, part->name);
	if (column.objectSubId != InvalidAttrNumber)
		column.objectId = table;
	return column;
}

static List *
add_object(List *known, const ObjectAddress *address, const CollectedCommand *command)
{
	char	   *name = full_name(address);

	if (name == NULL)
		return known;
	known = add(known, name);
	if (command != NULL && (name = old_name(name, command)) != NULL)
		known = add(known, name);
	return known;
}

/* NULL: it is not there. */
static char *
full_name(const ObjectAddress *address)
{
	List	   *names = NIL;
	List	   *arguments = NIL;
	char	   *identity;

	if (!is_there(address))
		return NULL;
	identity = getObjectIdentityParts(address, &names, &arguments, true);
	if (identity == NULL)
		return NULL;
	/* What a view says is the view's. */
	if (address->classId == RewriteRelationId && strcmp(llast(names), ViewSelectRuleName) == 0)
		names = list_truncate(names, list_length(names) - 1);
	return dbops_ddl_name(address->classId, identity, names, arguments);
}

/* The name of an object as it is now; NULL: it is not there, or nobody's schema. */
char *
dbops_ddl_name_of(const ObjectAddress *address)
{
	char	   *name = is_own_schema(address) ? NULL : full_name(address);

	return (name == NULL || add(NIL, name) == NIL) ? NULL : name;
}

/* Is it, or what it is part of, temporary, or the storage of something else? */
bool
dbops_ddl_is_temporary(const char *name)
{
	static const char *const schemas[] = {"pg_temp.", "pg_toast.", "pg_toast_temp_"};

	for (int i = 0; i < lengthof(schemas); i++)
		if (strncmp(name, schemas[i], strlen(schemas[i])) == 0)
			return true;
	return strcmp(name, "pg_temp") == 0;
}

/* Bytes of the name that comes before the last part of one. */
int
dbops_ddl_whole_length(const char *name)
{
	return Max(begin_of_last(name) - 1, 0);
}

/* Some subcommands have no object, or one that they have dropped. */
static bool
is_there(const ObjectAddress *address)
{
	HeapTuple	column;

	if (!OidIsValid(address->objectId) || address->classId != RelationRelationId || address->objectSubId == 0)
		return OidIsValid(address->objectId);
	column = SearchSysCacheAttNum(address->objectId, address->objectSubId);
	if (HeapTupleIsValid(column))
		ReleaseSysCache(column);
	return HeapTupleIsValid(column);
}

/* The parts of a command are few, unless a grant names all tables of a schema: those differ. What is dbops' own is nobody's schema. */
static List *
add(List *known, char *name)
{
	if (strncmp(name, "dbops.", strlen("dbops.")) == 0 || dbops_ddl_is_temporary(name) || (known != NIL && strcmp(llast(known), name) == 0))
		return known;
	return lappend(known, name);
}

static List *
add_granted(List *known, const InternalGrant *grant)
{
	ObjectAddress address = {.classId = class_of(grant->objtype)};
	ListCell   *cell;

	if (!OidIsValid(address.classId))
		return known;
	foreach(cell, grant->objects)
	{
		address.objectId = lfirst_oid(cell);
		if (is_own_schema(&address))
			continue;
		known = add_object(known, &address, NULL);
		if (grant->objtype == OBJECT_TABLE)
			known = add_granted_columns(known, address.objectId, grant->col_privs);
	}
	return known;
}

static List *
add_granted_columns(List *known, Oid table, List *privileges)
{
	ListCell   *cell;

	foreach(cell, privileges)
	{
		const AccessPriv *privilege = lfirst(cell);
		ListCell   *column;

		foreach(column, privilege->cols)
		{
			ObjectAddress address;

			ObjectAddressSubSet(address, RelationRelationId, table, get_attnum(table, strVal(lfirst(column))));
			if (address.objectSubId > 0)
				known = add_object(known, &address, NULL);
		}
	}
	return known;
}

static bool
is_own_schema(const ObjectAddress *address)
{
	return address->classId == NamespaceRelationId && address->objectId == get_namespace_oid("dbops", true);
}

static Oid
class_of(ObjectType type)
{
	switch (type)
	{
		case OBJECT_TABLE:
		case OBJECT_SEQUENCE:
			return RelationRelationId;
		case OBJECT_FUNCTION:
		case OBJECT_PROCEDURE:
		case OBJECT_ROUTINE:
			return ProcedureRelationId;
		case OBJECT_SCHEMA:
			return NamespaceRelationId;
		case OBJECT_TYPE:
		case OBJECT_DOMAIN:
			return TypeRelationId;
		case OBJECT_LANGUAGE:
			return LanguageRelationId;
		case OBJECT_FDW:
			return ForeignDataWrapperRelationId;
		case OBJECT_FOREIGN_SERVER:
			return ForeignServerRelationId;
		default:
			return InvalidOid;
	}
}

/* ---- what it was called before ---- */

/* NULL: it has its name still. */
static char *
old_name(const char *name, const CollectedCommand *command)
{
	const char *schema;
	char	   *word;
	int			last;

	if (command->type != SCT_Simple || command->parsetree == NULL)
		return NULL;
	if (IsA(command->parsetree, RenameStmt) && (word = old_word((RenameStmt *) command->parsetree)) != NULL)
	{
		last = begin_of_last(name);
		return psprintf("%.*s%s%s", last, name, quote_identifier(word), name + end_of(name, '('));
	}
	if (IsA(command->parsetree, AlterObjectSchemaStmt) &&
		(schema = get_namespace_name(command->d.simple.secondaryObject.objectId)) != NULL)
		return psprintf("%s%s", quote_identifier(schema), name + end_of(name, '.'));
	return NULL;
}

static char *
old_word(const RenameStmt *rename)
{
	const char *word = rename->subname;

	if (word == NULL)
		word = (rename->relation != NULL) ? rename->relation->relname : last_name(rename->object);
	return unconstify(char *, word);
}

/* The name itself in how a statement names an object; NULL: it is not one of these. */
static const char *
last_name(Node *object)
{
	if (object == NULL)
		return NULL;
	if (IsA(object, ObjectWithArgs))
		return strVal(llast(((ObjectWithArgs *) object)->objname));
	if (IsA(object, List))
		return strVal(llast((List *) object));
	return IsA(object, String) ? strVal(object) : NULL;
}

/* Where the last part of a name begins; arguments come behind it. */
static int
begin_of_last(const char *name)
{
	int			end = end_of(name, '(');
	int			begin = 0;

	for (int next = end_of(name, '.'); next < end; next = begin + end_of(name + begin, '.'))
		begin = next + 1;
	return begin;
}

/* Where such a character stands first outside of quotes; the length where it does not. */
static int
end_of(const char *name, char stop)
{
	bool		quoted = false;
	int			i;

	for (i = 0; name[i] != '\0' && (quoted || name[i] != stop); i++)
		quoted ^= (name[i] == '"');
	return i;
}
