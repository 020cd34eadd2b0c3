/*
 * review_policies.c
 *		Rules about the policies of row level security.
 *
 * What a policy says is read from its expression's tree, not from its text: no
 * spelling hides it, no table is locked for it, and nothing of it is called.
 */
#include "advise/review.h"
#include "advise/review_sql.h"

#include "access/transam.h"
#include "catalog/pg_proc.h"
#include "nodes/nodeFuncs.h"
#include "nodes/primnodes.h"
#include "optimizer/optimizer.h"
#include "utils/lsyscache.h"

#define DEEPEST		3			/* subselects in each other that are looked at for what is around them */

/* Each policy as it stands, and more of it; its roles are those that may be anybody. */
#define POLICIES(more) \
	"SELECT format('%s.%I', p.polrelid::regclass, p.polname), p.polcmd::text, p.polqual::text, p.polwithcheck::text, " \
	"c.reltuples::float8, " \
	"0 = ANY (p.polroles) OR EXISTS (SELECT FROM pg_roles r WHERE r.oid = ANY (p.polroles) AND r.rolname IN ('anon', 'authenticated')) " more \
	" FROM pg_policy p JOIN pg_class c ON c.oid = p.polrelid WHERE c.relrowsecurity AND " IS_USERS("c")

/* What restrictive policies say of the same command and for everybody whom policy p is for. */
#define RESTRICTIONS(condition) \
	", ARRAY(SELECT (" condition ")::text FROM pg_policy q WHERE q.polrelid = p.polrelid AND NOT q.polpermissive AND q.polcmd IN ('*', p.polcmd) " \
	"AND (0 = ANY (q.polroles) OR q.polroles @> p.polroles) AND " condition " IS NOT NULL)"

static void take_always_true(HeapTuple row, TupleDesc desc, void *arg);
static bool narrow(const List *restrictions);
static const char *say_what_is_open(char command, bool all_rows, bool any_row);
static bool is_true(const char *tree);
static bool always_holds(const Node *node);
static bool compares_the_same(const OpExpr *call);
static void take_per_row(HeapTuple row, TupleDesc desc, void *arg);
static Oid	repeated_call(const char *tree);
static bool find_repeated_call(Node *node, Oid *found);
static bool is_of_row(const SubLink *sublink);
static bool is_repeated(FuncExpr *call);
static const char *function_name(Oid function);

static const DbopsRule rules[] = {
	{
		.name = "rls.no_policy",
		.severity = DBOPS_WARNING,
		.about = "tables with row level security and without a policy that permits anything: nobody but the owner sees a row",
		.source = "splinter 0008, guide 000's checklist",
		.sql = "WITH RECURSIVE " BELOW
		" SELECT c.oid::regclass::text, format('row level security is on and there is no policy%s, so that %s sees and changes rows',"
		" CASE WHEN EXISTS (SELECT FROM pg_policy p WHERE p.polrelid = c.oid) THEN ' that permits anything' ELSE '' END, CASE WHEN c.relforcerowsecurity THEN 'nobody' ELSE 'only its owner' END),"
		" 'Create a policy that says who may do what; if nobody is to, one with USING (false) says that it is meant so.'"
		" FROM pg_class c WHERE c.relkind IN ('r', 'p') AND c.relrowsecurity AND " IS_USERS("c")
		" AND NOT EXISTS (SELECT FROM pg_policy p WHERE p.polrelid = c.oid AND p.polpermissive) AND NOT EXISTS (SELECT FROM below b WHERE b.relation = c.oid)"
	},
	{
		.name = "rls.not_enabled",
		.severity = DBOPS_CRITICAL,
		.about = "tables with policies and without row level security: the policies do nothing",
		.source = "splinter 0007, guide 000's checklist",
		.sql = "SELECT c.oid::regclass::text, format('its policies (%s) do nothing, since row level security is off', string_agg(quote_ident(p.polname), ', ' ORDER BY p.polname)),"
		" CASE WHEN bool_or(p.polpermissive AND p.polcmd = '*' AND 0 = ANY (p.polroles)) THEN format('ALTER TABLE %s ENABLE ROW LEVEL SECURITY;', c.oid::regclass)"
		" ELSE format('See that each role has a policy for each command that it is to go on with, since it finds no row without one; then ALTER TABLE %s ENABLE ROW LEVEL SECURITY.', c.oid::regclass) END"
		" FROM pg_policy p JOIN pg_class c ON c.oid = p.polrelid WHERE NOT c.relrowsecurity AND " IS_USERS("c") " GROUP BY c.oid"
	},
	{
		.name = "rls.always_true",
		.severity = DBOPS_WARNING,
		.about = "policies that let anybody write any row",
		.source = "splinter 0024",
		.sql = POLICIES(RESTRICTIONS("q.polqual") RESTRICTIONS("coalesce(q.polwithcheck, q.polqual)")) " AND p.polpermissive AND p.polcmd <> 'r'",
		.take = take_always_true
	},
	{
		.name = "rls.called_per_row",
		.severity = DBOPS_INFO,
		.about = "policies that call a function for each row whose answer is the same for all of them",
		.source = "splinter 0003",
		.sql = POLICIES(""),
		.take = take_per_row
	},
	{
		.name = "rls.many_permissive",
		.severity = DBOPS_INFO,
		.about = "tables with several permissive policies for one role and command, each of which is evaluated for each row",
		.source = "splinter 0006",
		.sql = "SELECT x.object, format('policies %s all permit %s to %s: a row is shown if any of them says so, and each is evaluated', x.policies, x.command, x.role),"
		" 'Make one policy of them, with OR.' FROM (SELECT DISTINCT ON (c.oid) c.oid::regclass::text AS object, string_agg(quote_ident(p.polname), ', ' ORDER BY p.polname) AS policies,"
		" CASE m.command WHEN 'r' THEN 'SELECT' WHEN 'a' THEN 'INSERT' WHEN 'w' THEN 'UPDATE' ELSE 'DELETE' END AS command,"
		" CASE u.role WHEN 0 THEN 'PUBLIC' ELSE u.role::regrole::text END AS role"
		" FROM pg_policy p JOIN pg_class c ON c.oid = p.polrelid CROSS JOIN LATERAL unnest(p.polroles) u (role) JOIN unnest('{r,a,w,d}'::text[]) m (command) ON p.polcmd IN ('*', m.command::\"char\")"
		" WHERE p.polpermissive AND c.relrowsecurity AND " IS_USERS("c") " GROUP BY c.oid, u.role, m.command HAVING count(*) > 1 ORDER BY c.oid, count(*) DESC, m.command, u.role) x"
	},
	{
		.name = "rls.owner_exempt",
		.severity = DBOPS_INFO,
		.about = "tables with row level security that their owner, who can log in, is exempt from",
		.source = "PostgreSQL's manual",
		.sql = "SELECT c.oid::regclass::text, format('its owner %s can log in and sees every row, whatever the policies say; forced, they hold for it too, and it sees only what they permit', quote_ident(r.rolname)),"
		" CASE WHEN EXISTS (SELECT FROM pg_policy p WHERE p.polrelid = c.oid AND p.polpermissive AND (0 = ANY (p.polroles) OR r.oid = ANY (p.polroles)))"
		" THEN format('ALTER TABLE %s FORCE ROW LEVEL SECURITY;', c.oid::regclass)"
		" ELSE 'Create a policy for what it is to see, and then force row level security; or let applications log in as another role.' END"
		" FROM pg_class c JOIN pg_roles r ON r.oid = c.relowner WHERE c.relkind IN ('r', 'p') AND c.relrowsecurity AND NOT c.relforcerowsecurity"
		" AND r.rolcanlogin AND NOT r.rolsuper AND NOT r.rolbypassrls AND " IS_USERS("c")
	}
};

const DbopsRuleSet dbops_policy_rules = {.review = "schema", .rules = rules, .n_rules = lengthof(rules)};

/* ---- policies that say true ---- */

static void
take_always_true(HeapTuple row, TupleDesc desc, void *arg)
{
	const char *using = dbops_row_text(row, desc, 3);
	const char *check = dbops_row_text(row, desc, 4);
	bool		all_rows = is_true(using) && !narrow(dbops_row_texts(row, desc, 7));
	bool		any_row = is_true(check != NULL ? check : using) && !narrow(dbops_row_texts(row, desc, 8));
	const char *open = say_what_is_open(*dbops_row_text(row, desc, 2), all_rows, any_row);

	if (open == NULL || !dbops_row_bool(row, desc, 6))
		return;
	dbops_review_report(arg, (DbopsFinding)
						{
							.severity = DBOPS_WARNING,
							.object = dbops_row_text(row, desc, 1),
							.message = psprintf("it permits anybody who has the privilege to %s", open),
							.remedy = "Give it a condition that says whose rows, or only the roles that may."
						});
}

/* Does one of them say anything? */
static bool
narrow(const List *restrictions)
{
	ListCell   *cell;

	foreach(cell, restrictions)
		if (!is_true(lfirst(cell)))
			return true;
	return false;
}

/*
 * Which rows are there to be changed or deleted, USING says; which may be made of
 * them or inserted, WITH CHECK, or USING where that is missing. NULL: not any.
 */
static const char *
say_what_is_open(char command, bool all_rows, bool any_row)
{
	if (command == 'd')
		return all_rows ? "delete any row" : NULL;
	if (command == 'a')
		return any_row ? "insert any row" : NULL;
	if (any_row)
		return all_rows ? "write any row" :
			(command == 'w') ? "turn rows that he may change into anybody's" : "insert any row, and turn his own into anybody's";
	return (command == '*' && all_rows) ? "delete any row" : NULL;
}

static bool
is_true(const char *tree)
{
	return tree != NULL && always_holds(stringToNode(tree));
}

/*
 * Does a condition hold for every row? Nothing of it is called, since a function
 * may be of anybody's.
 */
static bool
always_holds(const Node *node)
{
	const BoolExpr *expr = (const BoolExpr *) node;
	ListCell   *cell;

	if (IsA(node, Const))
		return !((const Const *) node)->constisnull && DatumGetBool(((const Const *) node)->constvalue);
	if (IsA(node, OpExpr))
		return compares_the_same((const OpExpr *) node);
	if (!IsA(node, BoolExpr) || expr->boolop == NOT_EXPR)
		return false;
	foreach(cell, expr->args)
		if (always_holds(lfirst(cell)) == (expr->boolop == OR_EXPR))
			return expr->boolop == OR_EXPR;
	return expr->boolop == AND_EXPR;
}

/* As 1 = 1 does; a column is not always equal to itself, as it may be null. */
static bool
compares_the_same(const OpExpr *call)
{
	const char *name = get_opname(call->opno);

	return call->opno < FirstNormalObjectId && name != NULL && strcmp(name, "=") == 0 && list_length(call->args) == 2 &&
		IsA(linitial(call->args), Const) && !((Const *) linitial(call->args))->constisnull &&
		equal(linitial(call->args), lsecond(call->args));
}

/* ---- policies that ask the same for each row ---- */

static void
take_per_row(HeapTuple row, TupleDesc desc, void *arg)
{
	Oid			function = repeated_call(dbops_row_text(row, desc, 3));

	if (!OidIsValid(function))
		function = repeated_call(dbops_row_text(row, desc, 4));
	if (!OidIsValid(function))
		return;
	dbops_review_report(arg, (DbopsFinding)
						{
							.severity = dbops_row_float8(row, desc, 5) >= 10000 ? DBOPS_WARNING : DBOPS_INFO,
							.object = dbops_row_text(row, desc, 1),
							.message = psprintf("it calls %s() for each row, though the answer is the same for all of them", function_name(function)),
							.remedy = psprintf("Write the call as a subselect, (SELECT %s(...)), which is called once.", function_name(function))
						});
}

/* The function that an expression calls for each row for nothing; or InvalidOid. */
static Oid
repeated_call(const char *tree)
{
	Oid			found = InvalidOid;

	if (tree != NULL)
		(void) find_repeated_call(stringToNode(tree), &found);
	return found;
}

/* What is in a subselect is called once, unless that is asked anew for each row. */
static bool
find_repeated_call(Node *node, Oid *found)
{
	if (node == NULL)
		return false;
	if (IsA(node, SubLink) && !is_of_row((SubLink *) node))
		return false;
	if (IsA(node, Query))
		return query_tree_walker((Query *) node, find_repeated_call, found, 0);
	if (IsA(node, FuncExpr) && is_repeated((FuncExpr *) node))
	{
		*found = ((FuncExpr *) node)->funcid;
		return true;
	}
	return expression_tree_walker(node, find_repeated_call, found);
}

/* Does a subselect name a column of what is around it? */
static bool
is_of_row(const SubLink *sublink)
{
	for (int level = 1; level <= DEEPEST; level++)
		if (contain_vars_of_level(sublink->subselect, level))
			return true;
	return false;
}

/* A stable function of no column; those of the server that cost nothing are left out. */
static bool
is_repeated(FuncExpr *call)
{
	char	   *name = get_func_name(call->funcid);

	return name != NULL && func_volatile(call->funcid) == PROVOLATILE_STABLE && !contain_var_clause((Node *) call) &&
		(call->funcid >= FirstNormalObjectId || strcmp(name, "current_setting") == 0);
}

/* As it is called from everywhere. */
static const char *
function_name(Oid function)
{
	char	   *name = get_func_name(function);

	return (function < FirstNormalObjectId || name == NULL) ? name :
		dbops_quote_qualified(get_namespace_name(get_func_namespace(function)), name);
}
