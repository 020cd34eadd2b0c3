/*
 * schema_row.c
 *		A row about an object as its name and its attributes.
 *
 * The first column is the name. What is null, or false, is left out. Of the
 * others the type decides:
 *
 *		text, name		a string
 *		integer			a number
 *		boolean			true
 *		text[]			an array; or, in a column whose name ends in "options",
 *						an attribute for each name=value, such as "option fillfactor"
 *		pg_node_tree	an expression as SQL
 *		aclitem[]		an attribute for each role whose rights are not those
 *						that it has by default, such as "grants to joe"
 *
 * Columns whose names begin with an underscore are no attributes but say what
 * another one needs: _table the table whose columns are meant in expressions,
 * _old_and_new that these are of two of its rows, _owner and _default the owner and the default rights of what has grants, and
 * _expressions what is to stand where an array's element begins with "(?)",
 * and _number what the object goes with.
 *
 * The document's parts are built here and not by pushJsonbValue(): that takes
 * twice the memory, and keeps one of two objects of the same name in silence.
 */
#include "change/schema.h"

#include <limits.h>

#include "access/htup_details.h"
#include "catalog/pg_type.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/formatting.h"
#include "utils/memutils.h"
#include "utils/numeric.h"

/* What stands where an expression is to be put. */
#define PLACEHOLDER "(?)"

/* An option of columns that late minors of servers keep for themselves: when the column got its type. */
#define VERSION_OPTION "pg_attver"

/* Options with such a word in their name are not shown: what they hold may be a secret. */
static const char *const secret_words[] = {
	"pass", "secret", "token", "credential", "api_key", "apikey", "access_key", "private_key"
};

/* In the order of the bits of AclMode. */
static const char *const privilege_names[] = {
	"INSERT", "SELECT", "UPDATE", "DELETE", "TRUNCATE", "REFERENCES", "TRIGGER", "EXECUTE",
	"USAGE", "CREATE", "TEMPORARY", "CONNECT", "SET", "ALTER SYSTEM", "MAINTAIN"
};

/* A row that is being read. */
typedef struct SchemaRow
{
	SchemaDocument *document;
	SchemaPairs attributes;
	TupleDesc	desc;
	Datum	   *values;
	bool	   *nulls;
} SchemaRow;

static void put_column(SchemaRow *row, int column);
static void put_text(SchemaRow *row, const char *key, const char *text);
static void put_number(SchemaRow *row, const char *key, int64 number);
static void put_array(SchemaRow *row, const char *key, Datum array);
static char *fill_place(const char *element, ListCell **expression, List *expressions);
static List *expressions_of(const SchemaRow *row, Datum tree);
static char *joined(List *texts);
static void put_options(SchemaRow *row, const char *key, Datum array);
static bool is_secret(const char *option);
static void put_grants(SchemaRow *row, const char *key, Datum array);
static void put_grant(SchemaRow *row, const char *key, const AclItem *item, Oid owner);
static const AclItem *find_item(const Acl *acl, const AclItem *like);
static char *privileges_text(AclMode privileges);
static Datum context_value(const SchemaRow *row, const char *name, bool *isnull);
static Oid	context_oid(const SchemaRow *row, const char *name);
static List *texts_of(Datum array);
static int	compare_pairs(const void *a, const void *b);

/* Add the object that a row describes. */
void
dbops_schema_row(SchemaDocument *document, SchemaPairs *objects, HeapTuple tuple, TupleDesc desc)
{
	MemoryContext caller = MemoryContextSwitchTo(document->scratch);
	SchemaRow	row = {
		.document = document, .desc = desc,
		.values = palloc(sizeof(Datum) * desc->natts),
		.nulls = palloc(sizeof(bool) * desc->natts)
	};

	heap_deform_tuple(tuple, desc, row.values, row.nulls);
	for (int i = 1; i < desc->natts; i++)
		if (!row.nulls[i] && NameStr(TupleDescAttr(desc, i)->attname)[0] != '_')
			put_column(&row, i);
	dbops_schema_pair(document, objects, TextDatumGetCString(row.values[0]),
					  dbops_schema_object(document, &row.attributes));
	objects->pairs[objects->count - 1].order = context_oid(&row, "_number");
	MemoryContextSwitchTo(caller);
	MemoryContextReset(document->scratch);
}

static void
put_column(SchemaRow *row, int column)
{
	Form_pg_attribute attribute = TupleDescAttr(row->desc, column);
	const char *key = NameStr(attribute->attname);
	Datum		value = row->values[column];

	switch (attribute->atttypid)
	{
		case BOOLOID:
			if (DatumGetBool(value))
				dbops_schema_pair(row->document, &row->attributes, key,
								  (JsonbValue) {.type = jbvBool, .val.boolean = true});
			break;
		case INT4OID:
			put_number(row, key, DatumGetInt32(value));
			break;
		case INT8OID:
			put_number(row, key, DatumGetInt64(value));
			break;
		case NAMEOID:
			put_text(row, key, NameStr(*DatumGetName(value)));
			break;
		case PG_NODE_TREEOID:
			put_text(row, key, joined(expressions_of(row, value)));
			break;
		case TEXTARRAYOID:
			if (strlen(key) >= 7 && strcmp(key + strlen(key) - 7, "options") == 0)
				put_options(row, pnstrdup(key, strlen(key) - 1), value);
			else
				put_array(row, key, value);
			break;
		case ACLITEMARRAYOID:
			put_grants(row, key, value);
			break;
		case TEXTOID:
			put_text(row, key, TextDatumGetCString(value));
			break;
		default:
			elog(ERROR, "attribute %s of the schema has type %u", key, attribute->atttypid);
	}
}

static void
put_text(SchemaRow *row, const char *key, const char *text)
{
	dbops_schema_pair(row->document, &row->attributes, key, dbops_schema_text(row->document, text));
}

static void
put_number(SchemaRow *row, const char *key, int64 number)
{
	dbops_schema_pair(row->document, &row->attributes, key, dbops_schema_number(row->document, number));
}

static void
put_array(SchemaRow *row, const char *key, Datum array)
{
	List	   *texts = texts_of(array);
	bool		isnull;
	Datum		tree = context_value(row, "_expressions", &isnull);
	List	   *expressions = isnull ? NIL : expressions_of(row, tree);
	ListCell   *expression = list_head(expressions);
	JsonbValue	value = {.type = jbvArray};
	ListCell   *cell;

	value.val.array.elems = MemoryContextAlloc(row->document->memory,
											   sizeof(JsonbValue) * (list_length(texts) + 1));
	foreach(cell, texts)
		value.val.array.elems[value.val.array.nElems++] =
			dbops_schema_text(row->document, fill_place(lfirst(cell), &expression, expressions));
	dbops_schema_pair(row->document, &row->attributes, key, value);
}

/* Put the next expression where the element has a place for one. */
static char *
fill_place(const char *element, ListCell **expression, List *expressions)
{
	char	   *filled;

	if (*expression == NULL || strncmp(element, PLACEHOLDER, strlen(PLACEHOLDER)) != 0)
		return unconstify(char *, element);
	filled = psprintf("(%s)%s", (char *) lfirst(*expression), element + strlen(PLACEHOLDER));
	*expression = lnext(expressions, *expression);
	return filled;
}

static List *
expressions_of(const SchemaRow *row, Datum tree)
{
	bool		isnull;

	context_value(row, "_old_and_new", &isnull);
	return dbops_schema_expressions(TextDatumGetCString(tree), context_oid(row, "_table"), !isnull);
}

static char *
joined(List *texts)
{
	StringInfoData text;
	ListCell   *cell;

	initStringInfo(&text);
	foreach(cell, texts)
		appendStringInfo(&text, "%s%s", text.len > 0 ? ", " : "", (char *) lfirst(cell));
	return text.data;
}

/* Put each option under its own name, so that their order does not matter. */
static void
put_options(SchemaRow *row, const char *key, Datum array)
{
	ListCell   *cell;

	foreach(cell, texts_of(array))
	{
		char	   *option = lfirst(cell);
		char	   *value = strchr(option, '=');

		if (value != NULL)
			*value++ = '\0';
		if (strcmp(option, VERSION_OPTION) != 0)
			put_text(row, psprintf("%s %s", key, option),
					 value == NULL ? "" : is_secret(option) ? "(not shown)" : value);
	}
}

static bool
is_secret(const char *option)
{
	char	   *lower = asc_tolower(option, strlen(option));

	for (int i = 0; i < lengthof(secret_words); i++)
		if (strstr(lower, secret_words[i]) != NULL)
			return true;
	return false;
}

/* Put the rights that are not those by default, and those by default that are gone. */
static void
put_grants(SchemaRow *row, const char *key, Datum array)
{
	Acl		   *acl = DatumGetAclP(array);
	bool		isnull;
	Datum		value = context_value(row, "_default", &isnull);
	Acl		   *standard = isnull ? make_empty_acl() : DatumGetAclP(value);
	Oid			owner = context_oid(row, "_owner");

	for (int i = 0; i < ACL_NUM(acl); i++)
	{
		const AclItem *item = &ACL_DAT(acl)[i];
		const AclItem *by_default = find_item(standard, item);

		if (by_default == NULL || by_default->ai_privs != item->ai_privs)
			put_grant(row, key, item, owner);
	}
	for (int i = 0; i < ACL_NUM(standard); i++)
	{
		AclItem		gone = ACL_DAT(standard)[i];

		gone.ai_privs = ACL_NO_RIGHTS;
		if (find_item(acl, &gone) == NULL)
			put_grant(row, key, &gone, owner);
	}
}

static void
put_grant(SchemaRow *row, const char *key, const AclItem *item, Oid owner)
{
	const char *grantee = (item->ai_grantee == ACL_ID_PUBLIC) ? "PUBLIC" :
		GetUserNameFromId(item->ai_grantee, true);
	const char *grantor = (item->ai_grantor == owner) ? NULL :
		GetUserNameFromId(item->ai_grantor, true);

	if (grantee == NULL)
		return;					/* a role that has just been dropped */
	put_text(row, psprintf("%s to %s%s%s", key,
						   item->ai_grantee == ACL_ID_PUBLIC ? grantee : quote_identifier(grantee),
						   grantor != NULL ? " by " : "",
						   grantor != NULL ? quote_identifier(grantor) : ""),
			 privileges_text(item->ai_privs));
}

/* Find the rights that the same role was given by the same one. */
static const AclItem *
find_item(const Acl *acl, const AclItem *like)
{
	for (int i = 0; i < ACL_NUM(acl); i++)
	{
		const AclItem *item = &ACL_DAT(acl)[i];

		if (item->ai_grantee == like->ai_grantee && item->ai_grantor == like->ai_grantor)
			return item;
	}
	return NULL;
}

static char *
privileges_text(AclMode privileges)
{
	StringInfoData text;

	initStringInfo(&text);
	for (int i = 0; i < lengthof(privilege_names); i++)
	{
		AclMode		bit = (AclMode) 1 << i;

		if ((ACLITEM_GET_PRIVS((AclItem) {.ai_privs = privileges}) & bit) == 0)
			continue;
		appendStringInfo(&text, "%s%s%s", text.len > 0 ? ", " : "", privilege_names[i],
						 (ACLITEM_GET_GOPTIONS((AclItem) {.ai_privs = privileges}) & bit) != 0 ?
						 " with grant option" : "");
	}
	return text.len > 0 ? text.data : pstrdup("nothing");
}

/* What a column that is no attribute holds; null if there is none. */
static Datum
context_value(const SchemaRow *row, const char *name, bool *isnull)
{
	for (int i = 0; i < row->desc->natts; i++)
		if (strcmp(NameStr(TupleDescAttr(row->desc, i)->attname), name) == 0)
		{
			*isnull = row->nulls[i];
			return row->values[i];
		}
	*isnull = true;
	return (Datum) 0;
}

static Oid
context_oid(const SchemaRow *row, const char *name)
{
	bool		isnull;
	Datum		value = context_value(row, name, &isnull);

	return isnull ? InvalidOid : DatumGetObjectId(value);
}

static List *
texts_of(Datum array)
{
	Datum	   *elements;
	bool	   *nulls;
	int			count;
	List	   *texts = NIL;

	deconstruct_array(DatumGetArrayTypeP(array), TEXTOID, -1, false, TYPALIGN_INT,
					  &elements, &nulls, &count);
	for (int i = 0; i < count; i++)
		if (!nulls[i])
			texts = lappend(texts, TextDatumGetCString(elements[i]));
	return texts;
}

/* Add a member to what will be an object. */
void
dbops_schema_pair(SchemaDocument *document, SchemaPairs *pairs, const char *key, JsonbValue value)
{
	if (pairs->count == pairs->capacity)
	{
		Size		bytes;

		pairs->capacity = Max(4, pairs->capacity * 2);
		bytes = sizeof(JsonbPair) * pairs->capacity;
		pairs->pairs = (pairs->pairs == NULL) ?
			MemoryContextAllocHuge(document->memory, bytes) :
			repalloc_huge(pairs->pairs, bytes);
	}
	pairs->pairs[pairs->count++] = (JsonbPair) {
		.key = dbops_schema_text(document, key), .value = value
	};
}

/* Make the object of its members. */
JsonbValue
dbops_schema_object(SchemaDocument *document, SchemaPairs *pairs)
{
	JsonbValue	object = {.type = jbvObject};

	qsort(pairs->pairs, pairs->count, sizeof(JsonbPair), compare_pairs);
	for (int i = 1; i < pairs->count; i++)
		if (compare_pairs(&pairs->pairs[i - 1], &pairs->pairs[i]) == 0)
			elog(ERROR, "two objects or attributes are named %.*s",
				 pairs->pairs[i].key.val.string.len, pairs->pairs[i].key.val.string.val);
	object.val.object.nPairs = pairs->count;
	object.val.object.pairs = pairs->pairs;
	document->size += 8;
	return object;
}

JsonbValue
dbops_schema_text(SchemaDocument *document, const char *text)
{
	JsonbValue	value = {.type = jbvString};

	value.val.string.len = strlen(text);
	value.val.string.val = MemoryContextStrdup(document->memory, text);
	document->size += value.val.string.len + sizeof(JEntry);
	return value;
}

JsonbValue
dbops_schema_number(SchemaDocument *document, int64 number)
{
	JsonbValue	value = {.type = jbvNumeric};
	MemoryContext caller = MemoryContextSwitchTo(document->memory);

	value.val.numeric = int64_to_numeric(number);
	MemoryContextSwitchTo(caller);
	document->size += VARSIZE_ANY(value.val.numeric) + 3 + sizeof(JEntry);
	return value;
}

/* As jsonb orders the keys of an object. */
static int
compare_pairs(const void *a, const void *b)
{
	const JsonbValue *x = &((const JsonbPair *) a)->key;
	const JsonbValue *y = &((const JsonbPair *) b)->key;

	if (x->val.string.len != y->val.string.len)
		return x->val.string.len > y->val.string.len ? 1 : -1;
	return memcmp(x->val.string.val, y->val.string.val, x->val.string.len);
}
