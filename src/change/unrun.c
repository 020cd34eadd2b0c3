/*
 * unrun.c
 *		What can be looked at without anything of a user's being run.
 *
 * When the server plans an expression it evaluates what is constant in it: an
 * immutable function of somebody else's runs then with the rights of whoever
 * plans. It also plans the constraints of a domain when it is first asked whether
 * there are any. Who only judges a statement must do neither.
 */
#include "postgres.h"

#include "change/unrun.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "access/transam.h"
#include "catalog/pg_constraint.h"
#include "catalog/pg_type.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"

static bool runs_users(Node *node, void *arg);
static bool is_users(Oid function, void *arg);
static bool has_constraint(Oid domain);

/* Evaluate what is constant in an expression, if all of it is the server's own; else it stays as it is. */
Node *
dbops_fold_unrun(Node *expression)
{
	return runs_users(expression, NULL) ? expression : eval_const_expressions(NULL, expression);
}

/* Would something of a user's run where it is evaluated? */
bool
dbops_runs_users(Node *expression)
{
	return runs_users(expression, NULL);
}

/* A domain's constraints are expressions too. */
static bool
runs_users(Node *node, void *arg)
{
	if (node == NULL)
		return false;
	if (IsA(node, CoerceToDomain) || IsA(node, SubLink) ||
		(IsA(node, CoerceViaIO) && get_typtype(((CoerceViaIO *) node)->resulttype) == TYPTYPE_DOMAIN) ||
		check_functions_in_node(node, is_users, NULL))
		return true;
	return expression_tree_walker(node, runs_users, arg);
}

static bool
is_users(Oid function, void *arg)
{
	return function >= FirstNormalObjectId;
}

/* Has a domain, or one that it is made of, constraints? */
bool
dbops_domain_is_checked(Oid type)
{
	while (get_typtype(type) == TYPTYPE_DOMAIN)
	{
		HeapTuple	tuple = SearchSysCache1(TYPEOID, ObjectIdGetDatum(type));
		bool		not_null;
		Oid			base;

		if (!HeapTupleIsValid(tuple))
			return false;
		not_null = ((Form_pg_type) GETSTRUCT(tuple))->typnotnull;
		base = ((Form_pg_type) GETSTRUCT(tuple))->typbasetype;
		ReleaseSysCache(tuple);
		if (not_null || has_constraint(type))
			return true;
		type = base;
	}
	return false;
}

static bool
has_constraint(Oid domain)
{
	Relation	constraints = table_open(ConstraintRelationId, AccessShareLock);
	ScanKeyData key;
	SysScanDesc scan;
	bool		found;

	ScanKeyInit(&key, Anum_pg_constraint_contypid, BTEqualStrategyNumber, F_OIDEQ, ObjectIdGetDatum(domain));
	scan = systable_beginscan(constraints, ConstraintTypidIndexId, true, NULL, 1, &key);
	found = HeapTupleIsValid(systable_getnext(scan));
	systable_endscan(scan);
	table_close(constraints, AccessShareLock);
	return found;
}
