/*
 * review_policies.c
 *		Rules about the policies of row level security.
 *
 * What a policy says is read from its expression's tree, not from its text: no
 * spelling hides it, and no table is locked for it.
 */
#include "advise/review.h"

#include "access/transam.h"
#include "catalog/pg_proc.h"
#include "nodes/nodeFuncs.h"
#include "nodes/primnodes.h"
#include "optimizer/optimizer.h"
#include "utils/lsyscache.h"

/* Each policy as it stands; its roles are those that may be anybody. */
#define POLICIES \
	"SELECT format('%s.%I', p.polrelid::regclass, p.polname), p.polcmd::text, p.polqual::text, p.polwithcheck::text, " \
	"p.polrelid::regclass::text, quote_ident(p.polname), c.reltuples::float8, " \
	"0 = ANY (p.polroles) OR EXISTS (SELECT FROM pg_roles r WHERE r.oid = ANY (p.polroles) AND r.rolname IN ('anon', 'authenticated')), p.polpermissive " \
	"FROM pg_policy p JOIN pg_class c ON c.oid = p.polrelid WHERE c.relrowsecurity AND " IS_USERS("c")

static void take_always_true(HeapTuple row, TupleDesc desc, void *arg);
static bool is_true(const char *tree);
static void take_per_row(HeapTuple row, TupleDesc desc, void *arg);
static Oid	repeated_call(const char *tree);
static bool find_repeated_call(Node *node, Oid *found);
static bool is_repeated(FuncExpr *call);

static const DbopsRule rules[] = {
	{
		.name = "rls.no_policy",
		.severity = DBOPS_WARNING,
		.about = "tables with row level security and without a policy: nobody but the owner sees a row",
		.source = "splinter 0008, guide 000's checklist",
		.sql = "SELECT c.oid::regclass::text, 'row level security is on and there is no policy, so that only its owner sees and changes rows',"
		" format('CREATE POLICY nobody ON %s USING (false); if that is meant, else one that says who may', c.oid::regclass)"
		" FROM pg_class c WHERE c.relkind IN ('r', 'p') AND c.relrowsecurity AND " IS_USERS("c")
		" AND NOT EXISTS (SELECT FROM pg_policy p WHERE p.polrelid = c.oid)"
	},
	{
		.name = "rls.not_enabled",
		.severity = DBOPS_CRITICAL,
		.about = "tables with policies and without row level security: the policies do nothing",
		.source = "splinter 0007, guide 000's checklist",
		.sql = "SELECT c.oid::regclass::text, format('its policies (%s) do nothing, since row level security is off', string_agg(quote_ident(p.polname), ', ' ORDER BY p.polname)),"
		" format('ALTER TABLE %s ENABLE ROW LEVEL SECURITY;', c.oid::regclass)"
		" FROM pg_policy p JOIN pg_class c ON c.oid = p.polrelid WHERE NOT c.relrowsecurity AND " IS_USERS("c") " GROUP BY c.oid"
	},
	{
		.name = "rls.always_true",
		.severity = DBOPS_WARNING,
		.about = "policies that let anybody write any row",
		.source = "splinter 0024",
		.sql = POLICIES " AND p.polpermissive AND p.polcmd <> 'r'",
		.take = take_always_true
	},
	{
		.name = "rls.called_per_row",
		.severity = DBOPS_INFO,
		.about = "policies that call a function for each row whose answer is the same for all of them",
		.source = "splinter 0003",
		.sql = POLICIES,
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
		.sql = "SELECT c.oid::regclass::text, format('its owner %s can log in and sees every row, whatever the policies say', quote_ident(r.rolname)),"
		" format('ALTER TABLE %s FORCE ROW LEVEL SECURITY;', c.oid::regclass)"
		" FROM pg_class c JOIN pg_roles r ON r.oid = c.relowner WHERE c.relkind IN ('r', 'p') AND c.relrowsecurity AND NOT c.relforcerowsecurity"
		" AND r.rolcanlogin AND NOT r.rolsuper AND NOT r.rolbypassrls AND " IS_USERS("c")
	}
};

const DbopsRuleSet dbops_policy_rules = {.review = "schema", .rules = rules, .n_rules = lengthof(rules)};

/* ---- policies that say true ---- */

/* An INSERT is judged by WITH CHECK; where that is missing, as everything else is, by USING. */
static void
take_always_true(HeapTuple row, TupleDesc desc, void *arg)
{
	const char *command = dbops_row_text(row, desc, 2);
	const char *using = dbops_row_text(row, desc, 3);
	const char *check = dbops_row_text(row, desc, 4);
	bool		open = (*command == 'a') ? is_true(check) :
		is_true(using) && (check == NULL || is_true(check));

	if (!open || !dbops_row_bool(row, desc, 8))
		return;
	dbops_review_report(arg, (DbopsFinding)
						{
							.severity = DBOPS_WARNING,
							.object = dbops_row_text(row, desc, 1),
							.message = "it permits anybody who has the privilege to write any row",
							.remedy = psprintf("ALTER POLICY %s ON %s with a condition that says whose rows, or TO the roles that may.",
											   dbops_row_text(row, desc, 6), dbops_row_text(row, desc, 5))
						});
}

static bool
is_true(const char *tree)
{
	Node	   *node = (tree == NULL) ? NULL : stringToNode(tree);

	return node != NULL && IsA(node, Const) && !((Const *) node)->constisnull && DatumGetBool(((Const *) node)->constvalue);
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
							.severity = dbops_row_float8(row, desc, 7) >= 10000 ? DBOPS_WARNING : DBOPS_INFO,
							.object = dbops_row_text(row, desc, 1),
							.message = psprintf("it calls %s() for each row, though the answer is the same for all of them", get_func_name(function)),
							.remedy = psprintf("ALTER POLICY %s ON %s, with the call in a subselect: (SELECT %s(...)).",
											   dbops_row_text(row, desc, 6), dbops_row_text(row, desc, 5), get_func_name(function))
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

/* What is in a subselect is called once. */
static bool
find_repeated_call(Node *node, Oid *found)
{
	if (node == NULL || IsA(node, SubLink))
		return false;
	if (IsA(node, FuncExpr) && is_repeated((FuncExpr *) node))
	{
		*found = ((FuncExpr *) node)->funcid;
		return true;
	}
	return expression_tree_walker(node, find_repeated_call, found);
}

/* A stable function of no column; those of the server that cost nothing are left out. */
static bool
is_repeated(FuncExpr *call)
{
	char	   *name = get_func_name(call->funcid);

	return name != NULL && func_volatile(call->funcid) == PROVOLATILE_STABLE && !contain_var_clause((Node *) call) &&
		(call->funcid >= FirstNormalObjectId || strcmp(name, "current_setting") == 0);
}
