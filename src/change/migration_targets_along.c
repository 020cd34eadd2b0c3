/*
 * migration_targets_along.c
 *		The tables that a statement works on without naming them.
 *
 * A domain's new constraint is held against all columns of it, a composite type
 * is changed in the tables that are made of it, a key takes the foreign keys of
 * others with it, an owner's tables get another owner. All of these are locked,
 * and some are read or written anew.
 */
#include "change/migration.h"

#include "commands/user.h"
#include "parser/parse_coerce.h"
#include "parser/parse_type.h"
#include "utils/acl.h"
#include "utils/lsyscache.h"

static List *along_of_domain(const AlterDomainStmt *statement);
static List *along_of_alter(const AlterTableStmt *statement);
static List *along_of_keys(List *along, Oid relid, const AlterTableCmd *command);
static List *along_of_attribute(List *along, Oid relid, const AlterTableCmd *command);
static List *along_of_rename(const RenameStmt *statement);
static List *along_of_owner(const ReassignOwnedStmt *statement);
static List *add_all(List *along, const List *relids, MigrationDeed deed, const char *what, const char *part);
static bool keeps_values(Oid from, const TypeName *to);
static void add_table(HeapTuple row, TupleDesc desc, void *arg);

/* List them (of MigrationAlong *), each with what becomes of it. */
List *
dbops_migration_along(Node *statement)
{
	switch (nodeTag(statement))
	{
		case T_DropStmt:
		case T_DropOwnedStmt:
			return dbops_migration_dropped_along(statement);
		case T_AlterDomainStmt:
			return along_of_domain((AlterDomainStmt *) statement);
		case T_AlterTableStmt:
			return list_concat(along_of_alter((AlterTableStmt *) statement), dbops_migration_dropped_along(statement));
		case T_RenameStmt:
			return along_of_rename((RenameStmt *) statement);
		case T_ReassignOwnedStmt:
			return along_of_owner((ReassignOwnedStmt *) statement);
		default:
			return NIL;
	}
}

/* Add a table to those. */
List *
dbops_migration_add_along(List *along, Oid relid, MigrationDeed deed, const char *what, const char *part)
{
	MigrationAlong *added = palloc(sizeof(MigrationAlong));

	added->relid = relid;
	added->deed = deed;
	added->what = what;
	added->part = part;
	return lappend(along, added);
}

static List *
add_all(List *along, const List *relids, MigrationDeed deed, const char *what, const char *part)
{
	ListCell   *cell;

	foreach(cell, relids)
		along = dbops_migration_add_along(along, lfirst_oid(cell), deed, what, part);
	return along;
}

/* ---- domains ---- */

/* Tables with a column of the domain may be locked before the server finds the one because of which it refuses. */
static List *
along_of_domain(const AlterDomainStmt *statement)
{
	Oid			domain;
	List	   *around;
	List	   *along;

	if (!dbops_migration_looks_at_rows(statement))
		return NIL;
	domain = dbops_migration_find_type(statement->typeName);
	around = dbops_migration_tables_around_domain(domain);
	along = add_all(NIL, around, MIGRATION_REFUSES, NULL, NULL);
	return add_all(along, list_difference_oid(dbops_migration_tables_of_type(domain), around), MIGRATION_READS, NULL, NULL);
}

/* Does a domain get a constraint that the rows must keep already? */
bool
dbops_migration_looks_at_rows(const AlterDomainStmt *statement)
{
	switch (statement->subtype)
	{
		case 'C':				/* ADD CONSTRAINT */
			return !castNode(Constraint, statement->def)->skip_validation;
		case 'O':				/* SET NOT NULL */
		case 'V':				/* VALIDATE CONSTRAINT */
			return true;
		default:
			return false;
	}
}

/* ---- keys and composite types ---- */

static List *
along_of_alter(const AlterTableStmt *statement)
{
	Oid			relid = dbops_migration_find_relation(statement->relation);
	List	   *along = NIL;
	ListCell   *cell;

	foreach(cell, OidIsValid(relid) ? statement->cmds : NIL)
	{
		const AlterTableCmd *command = lfirst_node(AlterTableCmd, cell);

		if (statement->objtype == OBJECT_TYPE)
			along = along_of_attribute(along, relid, command);
		else if (command->subtype == AT_AlterColumnType)
			along = along_of_keys(along, relid, command);
	}
	return along;
}

/* Foreign keys are dropped and made again; where values are another's by then, they are looked up again. */
static List *
along_of_keys(List *along, Oid relid, const AlterTableCmd *command)
{
	AttrNumber	column = get_attnum(relid, command->name);
	MigrationDeed deed = MIGRATION_READS;

	if (column > 0 && keeps_values(get_atttype(relid, column), castNode(ColumnDef, command->def)->typeName))
		deed = MIGRATION_LOCKS;
	return add_all(along, list_difference_oid(dbops_migration_tables_of_column_keys(relid, command->name), list_make1_oid(relid)), deed, "foreign key", NULL);
}

/* The tables made of the type follow with CASCADE; a column of it keeps an attribute from being changed. */
static List *
along_of_attribute(List *along, Oid relid, const AlterTableCmd *command)
{
	Oid			type = get_rel_type_id(relid);
	List	   *made = dbops_migration_tables_like_type(type);
	MigrationDeed deed = MIGRATION_REFUSES;

	if (command->subtype == AT_AlterColumnType)
		along = add_all(along, list_difference_oid(dbops_migration_tables_of_type(type), made), MIGRATION_REFUSES, NULL, NULL);
	if (command->behavior == DROP_CASCADE)
		deed = command->subtype == AT_DropColumn ? MIGRATION_DROPS_COLUMN :
			command->subtype != AT_AlterColumnType ? MIGRATION_LOCKS :
			keeps_values(get_atttype(relid, get_attnum(relid, command->name)), castNode(ColumnDef, command->def)->typeName) ? MIGRATION_LOCKS :
			MIGRATION_REWRITES;
	return add_all(along, made, deed, "attribute", command->name == NULL ? castNode(ColumnDef, command->def)->colname : command->name);
}

static List *
along_of_rename(const RenameStmt *statement)
{
	Oid			relid = statement->renameType == OBJECT_ATTRIBUTE ? dbops_migration_find_relation(statement->relation) : InvalidOid;

	if (!OidIsValid(relid))
		return NIL;
	return add_all(NIL, dbops_migration_tables_like_type(get_rel_type_id(relid)),
				   statement->behavior == DROP_CASCADE ? MIGRATION_LOCKS : MIGRATION_REFUSES, "attribute", statement->subname);
}

/* A type that is not there yet keeps none. */
static bool
keeps_values(Oid from, const TypeName *to)
{
	Oid			type = LookupTypeNameOid(NULL, to, true);

	return OidIsValid(type) && OidIsValid(from) && IsBinaryCoercible(from, type);
}

/* ---- owners ---- */

static List *
along_of_owner(const ReassignOwnedStmt *statement)
{
	DbopsParam	param = dbops_param_oids(roleSpecsToIds(statement->roles));
	List	   *tables = NIL;

	dbops_query_each("SELECT c.oid FROM pg_shdepend d JOIN pg_class c ON d.classid = 'pg_class'::regclass AND c.oid = d.objid AND c.relkind IN ('r', 'p', 'm', 'f')"
					 " WHERE d.refclassid = 'pg_authid'::regclass AND d.refobjid = ANY ($1) AND d.deptype = 'o'"
					 " AND d.dbid = (SELECT oid FROM pg_database WHERE datname = current_database()) ORDER BY 1", 1, &param, add_table, &tables);
	return add_all(NIL, tables, MIGRATION_LOCKS, "owner", NULL);
}

static void
add_table(HeapTuple row, TupleDesc desc, void *arg)
{
	List	  **tables = arg;

	*tables = lappend_oid(*tables, dbops_row_oid(row, desc, 1));
}
