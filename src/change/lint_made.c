/*
 * lint_made.c
 *		Types and functions as a text has made, changed or dropped them.
 *
 * What a new column costs depends on the constraints and the default of its
 * domain, and on how volatile the functions are that its default calls. Each
 * statement that makes or changes one adds what it is from then on, and the last
 * of a name counts; so what is rolled back is cut off again. Of domains that were
 * there before only what the text changes is known here.
 */
#include "change/lint.h"

#include "access/htup_details.h"
#include "catalog/namespace.h"
#include "catalog/pg_type.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "parser/parse_func.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"

/* Neither the text nor anybody else makes domains of domains that deep. */
#define MOST_DOMAINS	32

/* A domain that the server has. */
typedef struct CatalogDomain
{
	Oid			base;
	LintType	itself;
} CatalogDomain;

/* A volatile function on its way to who asks for it. */
typedef struct VolatileCall
{
	const Lint *lint;
	const char *found;
} VolatileCall;

static void make_domain(Lint *lint, const CreateDomainStmt *statement);
static void alter_domain(Lint *lint, const AlterDomainStmt *statement);
static String *name_of(const Constraint *constraint);
static LintType of_catalog(const List *name);
static void take_check(HeapTuple row, TupleDesc desc, void *arg);
static CatalogDomain domain_of_catalog(Oid oid);
static void follow_drop(Lint *lint, const DropStmt *statement);
static void follow_rename(Lint *lint, const RenameStmt *statement);
static void note_type(Lint *lint, LintType type);
static bool is_bound(const Lint *lint, const TypeName *name, bool by_null_only);
static const LintType *known_type(const Lint *lint, const List *name);
static const LintType *made_type(const Lint *lint, const TypeName *name);
static bool is_same_name(const List *a, const List *b);
static List *without(const List *names, const char *name);
static void make_function(Lint *lint, const CreateFunctionStmt *statement);
static void alter_function(Lint *lint, const AlterFunctionStmt *statement);
static void note_function(Lint *lint, LintFunction function);
static const LintFunction *known_function(const Lint *lint, const List *name, int arguments);
static const char *text_option(const List *options, const char *name);
static bool find_volatile(Node *node, void *arg);

/* Follow what a statement makes of types and functions. */
void
dbops_lint_follow_made(Lint *lint, Node *statement)
{
	switch (nodeTag(statement))
	{
		case T_CreateEnumStmt:
			note_type(lint, (LintType) {.name = ((CreateEnumStmt *) statement)->typeName});
			break;
		case T_AlterEnumStmt:	/* its constants are not those of the catalog any more */
			note_type(lint, (LintType) {.name = ((AlterEnumStmt *) statement)->typeName});
			break;
		case T_CreateRangeStmt:
			note_type(lint, (LintType) {.name = ((CreateRangeStmt *) statement)->typeName});
			break;
		case T_CompositeTypeStmt:
			note_type(lint, (LintType) {.name = list_make1(makeString(((CompositeTypeStmt *) statement)->typevar->relname))});
			break;
		case T_CreateDomainStmt:
			make_domain(lint, (CreateDomainStmt *) statement);
			break;
		case T_AlterDomainStmt:
			alter_domain(lint, (AlterDomainStmt *) statement);
			break;
		case T_CreateFunctionStmt:
			make_function(lint, (CreateFunctionStmt *) statement);
			break;
		case T_AlterFunctionStmt:
			alter_function(lint, (AlterFunctionStmt *) statement);
			break;
		case T_DropStmt:
			follow_drop(lint, (DropStmt *) statement);
			break;
		case T_RenameStmt:
			follow_rename(lint, (RenameStmt *) statement);
			break;
		default:
			break;
	}
}

/* ---- types ---- */

static void
make_domain(Lint *lint, const CreateDomainStmt *statement)
{
	LintType	type = {.name = statement->domainname,.base = statement->typeName};
	ListCell   *cell;

	foreach(cell, statement->constraints)
	{
		const Constraint *constraint = lfirst_node(Constraint, cell);

		if (constraint->contype == CONSTR_CHECK)
			type.checks = lappend(type.checks, name_of(constraint));
		type.not_null |= constraint->contype == CONSTR_NOTNULL;
		if (constraint->contype == CONSTR_DEFAULT)
		{
			type.has_default = true;
			type.default_value = constraint->raw_expr;
		}
	}
	note_type(lint, type);
}

static void
alter_domain(Lint *lint, const AlterDomainStmt *statement)
{
	const LintType *known = known_type(lint, statement->typeName);
	LintType	type = (known != NULL && !known->gone) ? *known : of_catalog(statement->typeName);

	if (type.gone)
		return;
	switch (statement->subtype)
	{
		case 'C':
			if (castNode(Constraint, statement->def)->contype == CONSTR_CHECK)
				type.checks = lappend(list_copy(type.checks), name_of(castNode(Constraint, statement->def)));
			type.not_null |= castNode(Constraint, statement->def)->contype == CONSTR_NOTNULL;
			break;
		case 'X':
			type.checks = without(type.checks, statement->name);
			break;
		case 'O':
			type.not_null = true;
			break;
		case 'N':
			type.not_null = false;
			break;
		case 'T':
			type.has_default = true;
			type.default_value = statement->def;
			break;
		default:
			return;
	}
	note_type(lint, type);
}

/* The name of a constraint; "": the server chooses one. */
static String *
name_of(const Constraint *constraint)
{
	return makeString(constraint->conname == NULL ? "" : constraint->conname);
}

/* A domain as it is before the text; gone: there is none. */
static LintType
of_catalog(const List *name)
{
	Oid			oid;
	int32		typmod;

	if (dbops_lint_type(makeTypeNameFromNameList(unconstify(List *, name)), &oid, &typmod) && get_typtype(oid) == TYPTYPE_DOMAIN)
		return domain_of_catalog(oid).itself;
	return (LintType) {.gone = true};
}

/* What the server has of a domain itself, and not of what it is made of. */
static CatalogDomain
domain_of_catalog(Oid oid)
{
	HeapTuple	tuple = SearchSysCache1(TYPEOID, ObjectIdGetDatum(oid));
	DbopsParam	param = dbops_param_oid(oid);
	CatalogDomain domain = {.base = InvalidOid};
	Form_pg_type type;
	char	   *schema;

	if (!HeapTupleIsValid(tuple))
		return domain;
	type = (Form_pg_type) GETSTRUCT(tuple);
	schema = get_namespace_name(type->typnamespace);
	domain.base = type->typbasetype;
	domain.itself = (LintType) {.of_catalog = true,.not_null = type->typnotnull};
	domain.itself.name = list_make2(makeString(schema == NULL ? "" : schema), makeString(pstrdup(NameStr(type->typname))));
	ReleaseSysCache(tuple);
	dbops_query_each("SELECT conname::text FROM pg_constraint WHERE contypid = $1 AND contype = 'c'", 1, &param, take_check, &domain.itself);
	return domain;
}

static void
take_check(HeapTuple row, TupleDesc desc, void *arg)
{
	LintType   *type = arg;

	type->checks = lappend(type->checks, makeString(dbops_row_text(row, desc, 1)));
}

static void
follow_drop(Lint *lint, const DropStmt *statement)
{
	ListCell   *cell;

	foreach(cell, statement->objects)
	{
		if (IsA(lfirst(cell), TypeName))
			note_type(lint, (LintType) {.name = lfirst_node(TypeName, cell)->names,.gone = true});
		else if (IsA(lfirst(cell), ObjectWithArgs))
			note_function(lint, (LintFunction) {
				.name = lfirst_node(ObjectWithArgs, cell)->objname, .gone = true,
				.least = 0, .most = FUNC_MAX_ARGS
			});
	}
}

/* What is known goes along. */
static void
follow_rename(Lint *lint, const RenameStmt *statement)
{
	const LintType *known;
	LintType	renamed;
	List	   *name;

	if (statement->renameType != OBJECT_TYPE && statement->renameType != OBJECT_DOMAIN)
		return;
	name = castNode(List, statement->object);
	known = known_type(lint, name);
	renamed = (known != NULL) ? *known : of_catalog(name);
	if (renamed.gone)
		return;
	note_type(lint, (LintType) {.name = name,.gone = true});
	renamed.name = list_copy(name);
	llast(renamed.name) = makeString(statement->newname);
	if (renamed.of_catalog)
		renamed.base = makeTypeNameFromNameList(name);
	renamed.of_catalog = false;
	note_type(lint, renamed);
}

static void
note_type(Lint *lint, LintType type)
{
	MemoryContext caller = MemoryContextSwitchTo(lint->memory);
	LintType   *copy = palloc(sizeof(LintType));

	*copy = type;
	copy->name = copyObject(type.name);
	copy->base = copyObject(type.base);
	copy->checks = copyObject(type.checks);
	copy->default_value = copyObject(type.default_value);
	dbops_lint_keep_list(lint, &lint->types);
	lint->types = lappend(lint->types, copy);
	MemoryContextSwitchTo(caller);
}

/* The last that the text has said of a type; or NULL. */
static const LintType *
known_type(const Lint *lint, const List *name)
{
	for (int i = list_length(lint->types) - 1; i >= 0; i--)
	{
		const LintType *type = list_nth(lint->types, i);

		if (is_same_name(type->name, name))
			return type;
	}
	return NULL;
}

/* One that is there, by the name that a column has it; NULL: the text has not made or changed it, or it is an array. */
static const LintType *
made_type(const Lint *lint, const TypeName *name)
{
	const LintType *type = (name == NULL || name->arrayBounds != NIL) ? NULL : known_type(lint, name->names);

	return (type == NULL || type->gone) ? NULL : type;
}

/* Where one has no schema, that of the other is taken for the one it is in. */
static bool
is_same_name(const List *a, const List *b)
{
	return strcmp(strVal(llast(a)), strVal(llast(b))) == 0 &&
		(list_length(a) < 2 || list_length(b) < 2 ||
		 strcmp(strVal(list_nth(a, list_length(a) - 2)), strVal(list_nth(b, list_length(b) - 2))) == 0);
}

/* One that has no name yet may be the one that is meant. */
static List *
without(const List *names, const char *name)
{
	const char *gone = "";
	List	   *rest = NIL;
	ListCell   *cell;
	bool		found = false;

	foreach(cell, names)
		if (strcmp(strVal(lfirst(cell)), name) == 0)
			gone = name;
	foreach(cell, names)
	{
		if (!found && strcmp(strVal(lfirst(cell)), gone) == 0)
			found = true;
		else
			rest = lappend(rest, lfirst(cell));
	}
	return rest;
}

/* Is it a type that the text makes, or may be, by its name? */
bool
dbops_lint_makes_type(const Lint *lint, const TypeName *name)
{
	const LintType *type = known_type(lint, name->names);

	return type != NULL && !type->gone;
}

/* Has a new column of the type to be checked for each row? */
bool
dbops_lint_is_checked(const Lint *lint, const TypeName *name)
{
	return is_bound(lint, name, false);
}

/* Is it a domain in which NULL cannot be? */
bool
dbops_lint_refuses_null(const Lint *lint, const TypeName *name)
{
	return is_bound(lint, name, true);
}

/* Has it, or what it is made of, constraints, or NOT NULL? Domains of the text come before those of the catalog. */
static bool
is_bound(const Lint *lint, const TypeName *name, bool by_null_only)
{
	const LintType *made;
	Oid			type;
	int32		typmod;

	for (int i = 0; i < MOST_DOMAINS && (made = made_type(lint, name)) != NULL && !made->of_catalog; i++)
	{
		if (made->not_null || (made->checks != NIL && !by_null_only))
			return true;
		name = made->base;
	}
	if (name == NULL || !dbops_lint_type(name, &type, &typmod))
		return false;
	while (get_typtype(type) == TYPTYPE_DOMAIN)
	{
		CatalogDomain domain = domain_of_catalog(type);
		const LintType *changed = known_type(lint, domain.itself.name);
		const LintType *now = (changed != NULL && changed->of_catalog) ? changed : &domain.itself;

		if (now->not_null || (now->checks != NIL && !by_null_only))
			return true;
		type = domain.base;
	}
	return false;
}

/* What a domain of the text without constraints is stored as; else the type itself. */
const TypeName *
dbops_lint_stored_type(const Lint *lint, const TypeName *name)
{
	const LintType *made;

	for (int i = 0; i < MOST_DOMAINS && (made = made_type(lint, name)) != NULL && made->base != NULL; i++)
		name = made->base;
	return name;
}

/* The default that the text has given a type; false: what the catalog says of the one that *name is then counts. */
bool
dbops_lint_default_of_type(const Lint *lint, const TypeName **name, Node **default_value)
{
	const LintType *made;

	for (int i = 0; i < MOST_DOMAINS && (made = made_type(lint, *name)) != NULL; i++)
	{
		if (made->has_default)
		{
			*default_value = made->default_value;
			return true;
		}
		if (made->base == NULL)
			break;
		*name = made->base;
	}
	return false;
}

/* ---- functions ---- */

static void
make_function(Lint *lint, const CreateFunctionStmt *statement)
{
	const char *volatility = text_option(statement->options, "volatility");
	const char *language = text_option(statement->options, "language");
	LintFunction function = {
		.name = statement->funcname, .volatility = volatility == NULL ? "volatile" : volatility,
		.may_be_inlined = language == NULL || strcmp(language, "sql") == 0
	};
	ListCell   *cell;

	foreach(cell, statement->parameters)
	{
		const FunctionParameter *parameter = lfirst_node(FunctionParameter, cell);

		if (parameter->mode == FUNC_PARAM_OUT || parameter->mode == FUNC_PARAM_TABLE)
			continue;
		function.most = (parameter->mode == FUNC_PARAM_VARIADIC) ? FUNC_MAX_ARGS : function.most + 1;
		function.least += (parameter->defexpr == NULL && parameter->mode != FUNC_PARAM_VARIADIC);
	}
	note_function(lint, function);
}

/* One whose arguments are not named is the only one of its name. */
static void
alter_function(Lint *lint, const AlterFunctionStmt *statement)
{
	const ObjectWithArgs *object = statement->func;
	LintOldFunction old = {.oid = LookupFuncWithArgs(OBJECT_ROUTINE, statement->func, true)};
	LintFunction function = {.name = object->objname,.volatility = text_option(statement->actions, "volatility")};
	const LintFunction *known;

	if (function.volatility == NULL)
		return;
	function.least = object->args_unspecified ? 0 : list_length(object->objargs);
	function.most = object->args_unspecified ? FUNC_MAX_ARGS : function.least;
	if ((known = known_function(lint, object->objname, function.least)) != NULL)
		function.may_be_inlined = known->may_be_inlined;
	else
		function.may_be_inlined = !OidIsValid(old.oid) || !dbops_lint_read_function(&old) || strcmp(old.language, "sql") == 0;
	note_function(lint, function);
}

static void
note_function(Lint *lint, LintFunction function)
{
	MemoryContext caller = MemoryContextSwitchTo(lint->memory);
	LintFunction *copy = palloc(sizeof(LintFunction));

	*copy = function;
	copy->name = copyObject(function.name);
	copy->volatility = (function.volatility == NULL) ? NULL : pstrdup(function.volatility);
	dbops_lint_keep_list(lint, &lint->functions);
	lint->functions = lappend(lint->functions, copy);
	MemoryContextSwitchTo(caller);
}

/* The function of the text that is called so; NULL: none, or it has been dropped again. */
static const LintFunction *
known_function(const Lint *lint, const List *name, int arguments)
{
	for (int i = list_length(lint->functions) - 1; i >= 0; i--)
	{
		const LintFunction *function = list_nth(lint->functions, i);

		if (is_same_name(function->name, name) && arguments >= function->least && arguments <= function->most)
			return function->gone ? NULL : function;
	}
	return NULL;
}

static const char *
text_option(const List *options, const char *name)
{
	ListCell   *cell;

	foreach(cell, options)
	{
		const DefElem *option = lfirst_node(DefElem, cell);

		if (strcmp(option->defname, name) == 0 && IsA(option->arg, String))
			return strVal(option->arg);
	}
	return NULL;
}

/* A volatile function of the text that a default calls; NULL: none, or the server may find it better than it is declared. */
const char *
dbops_lint_volatile_call(const Lint *lint, Node *default_value)
{
	VolatileCall search = {.lint = lint};

	(void) find_volatile(default_value, &search);
	return search.found;
}

static bool
find_volatile(Node *node, void *arg)
{
	VolatileCall *search = arg;
	const LintFunction *function = NULL;

	if (node == NULL)
		return false;
	if (IsA(node, FuncCall))
		function = known_function(search->lint, ((FuncCall *) node)->funcname, list_length(((FuncCall *) node)->args));
	if (function != NULL && strcmp(function->volatility, "volatile") == 0 && !function->may_be_inlined)
	{
		search->found = NameListToQuotedString(((FuncCall *) node)->funcname);
		return true;
	}
	return raw_expression_tree_walker(node, find_volatile, arg);
}

/* Is it a call of a function of the text that says the same for all rows, of nothing but constants? */
bool
dbops_lint_is_steady_call(const Lint *lint, const Node *default_value)
{
	const FuncCall *call;
	const LintFunction *function;
	ListCell   *cell;

	while (IsA(default_value, TypeCast))
		default_value = ((const TypeCast *) default_value)->arg;
	if (!IsA(default_value, FuncCall))
		return false;
	call = (const FuncCall *) default_value;
	foreach(cell, call->args)
		if (!IsA(lfirst(cell), A_Const))
			return false;
	function = known_function(lint, call->funcname, list_length(call->args));
	return function != NULL && strcmp(function->volatility, "volatile") != 0;
}
