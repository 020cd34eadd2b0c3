/*
 * lint_privilege.c
 *		Rules of rights that are given to everybody, or taken away.
 */
#include "change/lint.h"

#include "catalog/pg_type.h"

enum
{
	TO_PUBLIC,
	REVOKED
};

static const DbopsRule rules[] = {
	[TO_PUBLIC] = {
		.name = "privilege.to_public", .severity = DBOPS_WARNING,
		.about = "rights that are given to PUBLIC: to all roles there are, and all that will be",
		.source = "PostgreSQL: GRANT"
	},
	[REVOKED] = {
		.name = "privilege.revoked", .severity = DBOPS_WARNING,
		.about = "rights that are taken from somebody who has them, which breaks code that runs",
		.source = "pg-schema-diff: AUTHZ_UPDATE"
	}
};

const DbopsRuleSet dbops_lint_privilege_rules = {.review = "lint", .rules = rules, .n_rules = lengthof(rules)};

static void judge_grant(Lint *lint, const GrantStmt *statement, bool by_default);
static void report_to_public(Lint *lint, const GrantStmt *statement, bool by_default);
static bool gives_to_public(const GrantStmt *statement);
static void judge_revoke(Lint *lint, const GrantStmt *statement);
static void judge_revoked_table(Lint *lint, const RangeVar *name, List *grantees);
static void judge_revoked_schema(Lint *lint, const char *name, List *grantees);
static void judge_membership(Lint *lint, const GrantRoleStmt *statement);
static List *names_of(const List *roles);
static void report_revoked(Lint *lint, LintTable *table, const char *part, List *grantees);

/* Judge who gets or loses rights. */
void
dbops_lint_judge_privileges(Lint *lint, Node *statement)
{
	switch (nodeTag(statement))
	{
		case T_GrantStmt:
			judge_grant(lint, (GrantStmt *) statement, false);
			break;
		case T_AlterDefaultPrivilegesStmt:
			judge_grant(lint, ((AlterDefaultPrivilegesStmt *) statement)->action, true);
			break;
		case T_GrantRoleStmt:
			judge_membership(lint, (GrantRoleStmt *) statement);
			break;
		default:
			break;
	}
}

static void
judge_grant(Lint *lint, const GrantStmt *statement, bool by_default)
{
	if (!statement->is_grant)
	{
		if (!by_default)
			judge_revoke(lint, statement);
	}
	else if (gives_to_public(statement))
		report_to_public(lint, statement, by_default);
}

/* By the first object that is named. */
static void
report_to_public(Lint *lint, const GrantStmt *statement, bool by_default)
{
	Node	   *first = (statement->objects == NIL) ? NULL : linitial(statement->objects);
	LintTable  *table = (first == NULL || !IsA(first, RangeVar)) ? NULL : dbops_lint_find(lint, (RangeVar *) first);

	dbops_lint_report(lint, (LintFinding) {
		.rule = &rules[TO_PUBLIC], .table = table,
		.part = table != NULL ? NULL : first != NULL && IsA(first, String) ? dbops_quote_name(strVal(first)) : "PUBLIC",
		.why = by_default ? "all roles, also those to come, get it of all that is made from now on" : "all roles have it, also those to come",
		.safer = "Let it be granted to a role that those who need it are members of."
	});
}

/* What PUBLIC has of functions and types anyway is not said. */
static bool
gives_to_public(const GrantStmt *statement)
{
	switch (statement->objtype)
	{
		case OBJECT_FUNCTION:
		case OBJECT_PROCEDURE:
		case OBJECT_ROUTINE:
		case OBJECT_TYPE:
		case OBJECT_DOMAIN:
		case OBJECT_LANGUAGE:
			return false;
		default:
			return dbops_texts_have(names_of(statement->grantees), "public");
	}
}

/* ---- what is taken away ---- */

static void
judge_revoke(Lint *lint, const GrantStmt *statement)
{
	List	   *grantees = names_of(statement->grantees);
	ListCell   *cell;

	foreach(cell, statement->objects)
	{
		if (statement->targtype == ACL_TARGET_ALL_IN_SCHEMA ||
			(statement->targtype == ACL_TARGET_OBJECT && statement->objtype == OBJECT_SCHEMA))
			judge_revoked_schema(lint, strVal(lfirst(cell)), grantees);
		else if (statement->targtype == ACL_TARGET_OBJECT &&
				 (statement->objtype == OBJECT_TABLE || statement->objtype == OBJECT_SEQUENCE))
			judge_revoked_table(lint, lfirst_node(RangeVar, cell), grantees);
	}
}

static void
judge_revoked_table(Lint *lint, const RangeVar *name, List *grantees)
{
	LintTable  *table = dbops_lint_find(lint, name);
	DbopsParam	params[2];
	Datum		has;

	if (table == NULL || !OidIsValid(table->relid))
		return;
	params[0] = dbops_param_oid(table->relid);
	params[1] = dbops_param_texts(grantees);
	if (dbops_query_value("SELECT true FROM pg_class c, LATERAL (SELECT c.relacl AS acl UNION ALL SELECT attacl FROM pg_attribute WHERE attrelid = c.oid AND attacl IS NOT NULL) l,"
						  " aclexplode(l.acl) a LEFT JOIN pg_roles r ON r.oid = a.grantee"
						  " WHERE c.oid = $1 AND a.grantee <> c.relowner AND coalesce(r.rolname, 'public')::text = ANY ($2) LIMIT 1",
						  lengthof(params), params, BOOLOID, &has))
		report_revoked(lint, table, NULL, grantees);
}

/* Of the schema, or of what is in it. */
static void
judge_revoked_schema(Lint *lint, const char *name, List *grantees)
{
	DbopsParam	params[] = {dbops_param_text(name), dbops_param_texts(grantees)};
	Datum		has;

	if (dbops_query_value("SELECT true FROM pg_namespace n, LATERAL (SELECT n.nspacl AS acl, n.nspowner AS owner"
						  " UNION ALL SELECT relacl, relowner FROM pg_class WHERE relnamespace = n.oid"
						  " UNION ALL SELECT a.attacl, c.relowner FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attacl IS NOT NULL WHERE c.relnamespace = n.oid UNION ALL SELECT proacl, proowner FROM pg_proc WHERE pronamespace = n.oid) l,"
						  " aclexplode(l.acl) a LEFT JOIN pg_roles r ON r.oid = a.grantee"
						  " WHERE n.nspname = $1 AND a.grantee <> l.owner AND coalesce(r.rolname, 'public')::text = ANY ($2) LIMIT 1",
						  lengthof(params), params, BOOLOID, &has))
		report_revoked(lint, NULL, dbops_quote_name(name), grantees);
}

static void
judge_membership(Lint *lint, const GrantRoleStmt *statement)
{
	List	   *members = names_of(statement->grantee_roles);
	List	   *groups = NIL;
	DbopsParam	params[2];
	Datum		has;
	ListCell   *cell;

	if (statement->is_grant)
		return;
	foreach(cell, statement->granted_roles)
		groups = lappend(groups, lfirst_node(AccessPriv, cell)->priv_name);
	params[0] = dbops_param_texts(groups);
	params[1] = dbops_param_texts(members);
	if (dbops_query_value("SELECT true FROM pg_auth_members m JOIN pg_roles g ON g.oid = m.roleid JOIN pg_roles r ON r.oid = m.member"
						  " WHERE g.rolname::text = ANY ($1) AND r.rolname::text = ANY ($2) LIMIT 1",
						  lengthof(params), params, BOOLOID, &has))
		report_revoked(lint, NULL, dbops_quote_name(linitial(groups)), members);
}

/* The names of roles (List of char *); PUBLIC is "public", which no role can be called. */
static List *
names_of(const List *roles)
{
	List	   *names = NIL;
	ListCell   *cell;

	foreach(cell, roles)
	{
		const RoleSpec *role = lfirst_node(RoleSpec, cell);

		if (role->roletype == ROLESPEC_PUBLIC)
			names = lappend(names, pstrdup("public"));
		else if (role->roletype == ROLESPEC_CSTRING)
			names = lappend(names, role->rolename);
	}
	return names;
}

static void
report_revoked(Lint *lint, LintTable *table, const char *part, List *grantees)
{
	dbops_lint_report(lint, (LintFinding) {
		.rule = &rules[REVOKED], .weight = LINT_BREAK, .table = table, .part = part,
		.why = psprintf("%s has such rights, and what runs by them fails from the commit on", (const char *) linitial(grantees)),
		.safer = "See first who uses them: dbops.review_privileges() lists rights, and pg_stat_activity who is there."
	});
}
