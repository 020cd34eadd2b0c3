/*
 * schema_diff.c
 *		schema_diff(): what differs between two snapshots of the schema.
 *
 * Both documents have their keys in the same order, so they are read side by
 * side, once. What is part of an object that was added or removed as a whole
 * is not listed again: a table goes with its columns, an index with its
 * constraint.
 */
#include "change/migration.h"
#include "change/schema.h"

#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/numeric.h"

PG_FUNCTION_INFO_V1(dbops_schema_diff);

/* Two snapshots that are being compared. */
typedef struct Comparison
{
	const Jsonb *old;
	const Jsonb *new;
	const char *kind;			/* that is at hand */
	const char *object;
	List	   *differences;	/* of SchemaDifference * */
} Comparison;

/* A place among the members of an object. */
typedef struct Member
{
	JsonbIterator *iterator;
	bool		ended;
	JsonbValue	key;
	JsonbValue	value;
} Member;

/* Called for each key of two objects; what one of them does not have is NULL. */
typedef void (*PairCallback) (Comparison *comparison, const char *key,
							  const JsonbValue *old, const JsonbValue *new);

static void require_snapshot(const Jsonb *snapshot, const char *argument);
static void require_alike(const Jsonb *a, const Jsonb *b);
static const char *schemas_text(const Jsonb *snapshot);
static void put_difference(ReturnSetInfo *rsinfo, const SchemaDifference *difference);
static Datum text_or_null(const char *text, bool *isnull);
static void compare_kind(Comparison *comparison, const char *key,
						 const JsonbValue *old, const JsonbValue *new);
static void compare_object(Comparison *comparison, const char *key,
						   const JsonbValue *old, const JsonbValue *new);
static void compare_attribute(Comparison *comparison, const char *key,
							  const JsonbValue *old, const JsonbValue *new);
static void compare_order(Comparison *comparison, List *before, List *after);
static void add(Comparison *comparison, const char *change, const char *attribute,
				const char *old, const char *new);
static bool is_part_of_whole(const char *kind, const char *object, const JsonbValue *attributes,
							 const Jsonb *own, const Jsonb *other);
static bool is_only_in(const char *object, const Jsonb *own, const Jsonb *other);
static bool has_whole(const Jsonb *snapshot, const char *object);
static bool find_member(const JsonbContainer *object, const char *key, JsonbValue *value);
static const char *text_member(const JsonbValue *attributes, const char *key);
static bool are_same(const JsonbValue *old, const JsonbValue *new);
static List *list_moved(List *before, List *after);
static char *places_of(List *columns, List *order);
static List *texts_of(const JsonbValue *array);
static List *only_those_in(List *texts, List *others);
static int	place_of(List *texts, const char *text);
static char *value_text(const JsonbValue *value);
static void each_pair(Comparison *comparison, const JsonbContainer *old, const JsonbContainer *new,
					  PairCallback callback);
static void begin_members(Member *member, const JsonbContainer *object);
static void next_member(Member *member);
static int	compare_keys(const Member *old, const Member *new);
static const JsonbContainer *container_of(const JsonbValue *value);
static int	compare_differences(const ListCell *a, const ListCell *b);
static int	kind_rank(const char *kind);

/* schema_diff(a jsonb, b jsonb) → setof (change, kind, object, attribute, old_value, new_value) */
Datum
dbops_schema_diff(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	Jsonb	   *a;
	Jsonb	   *b;
	ListCell   *cell;

	dbops_require_argument(fcinfo, 0, "a");
	dbops_require_argument(fcinfo, 1, "b");
	a = PG_GETARG_JSONB_P(0);
	b = PG_GETARG_JSONB_P(1);
	require_snapshot(a, "a");
	require_snapshot(b, "b");
	require_alike(a, b);
	InitMaterializedSRF(fcinfo, 0);
	foreach(cell, dbops_schema_compare(a, b))
		put_difference(rsinfo, lfirst(cell));
	return (Datum) 0;
}

/* Compare two snapshots that cover the same, or leave out the same that has not changed: what has become of the first one. */
List *
dbops_schema_compare(const Jsonb *old, const Jsonb *new)
{
	Comparison	comparison = {.old = old,.new = new};

	each_pair(&comparison, &old->root, &new->root, compare_kind);
	list_sort(comparison.differences, compare_differences);
	return comparison.differences;
}

static void
require_snapshot(const Jsonb *snapshot, const char *argument)
{
	if (!JB_ROOT_IS_OBJECT(snapshot) || dbops_jsonb_integer(snapshot, "format") == 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("%s is not a snapshot of a schema", argument),
				 errhint("Take one with dbops.schema_snapshot().")));
}

/* Refuse to report as differences what only one of them was asked for. */
static void
require_alike(const Jsonb *a, const Jsonb *b)
{
	if (dbops_jsonb_integer(a, "format") != dbops_jsonb_integer(b, "format"))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("the snapshots were taken by different versions of dbops"),
				 errhint("Take both with the same version.")));
	if (strcmp(schemas_text(a), schemas_text(b)) != 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("the snapshots are of different schemas"),
				 errhint("Take both with the same schemas.")));
}

static const char *
schemas_text(const Jsonb *snapshot)
{
	Jsonb	   *schemas = dbops_jsonb_document(snapshot, "schemas");

	return (schemas == NULL) ? "" : JsonbToCString(NULL, &schemas->root, VARSIZE(schemas));
}

static void
put_difference(ReturnSetInfo *rsinfo, const SchemaDifference *difference)
{
	bool		nulls[6];
	Datum		values[6] = {
		text_or_null(difference->change, &nulls[0]),
		text_or_null(difference->kind, &nulls[1]),
		text_or_null(difference->object, &nulls[2]),
		text_or_null(difference->attribute, &nulls[3]),
		text_or_null(difference->old, &nulls[4]),
		text_or_null(difference->new, &nulls[5])
	};

	tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
}

static Datum
text_or_null(const char *text, bool *isnull)
{
	*isnull = (text == NULL);
	return *isnull ? (Datum) 0 : CStringGetTextDatum(text);
}

/* Compare the objects of a kind; what is no object of objects says what the snapshot covers. */
static void
compare_kind(Comparison *comparison, const char *key, const JsonbValue *old, const JsonbValue *new)
{
	comparison->kind = key;
	if (!are_same(old, new))
		each_pair(comparison, container_of(old), container_of(new), compare_object);
}

static void
compare_object(Comparison *comparison, const char *key, const JsonbValue *old, const JsonbValue *new)
{
	comparison->object = key;
	if (old == NULL)
	{
		if (!is_part_of_whole(comparison->kind, key, new, comparison->new, comparison->old))
			add(comparison, "added", NULL, NULL, NULL);
	}
	else if (new == NULL)
	{
		if (!is_part_of_whole(comparison->kind, key, old, comparison->old, comparison->new))
			add(comparison, "removed", NULL, NULL, NULL);
	}
	else if (!are_same(old, new))
		each_pair(comparison, container_of(old), container_of(new), compare_attribute);
}

static void
compare_attribute(Comparison *comparison, const char *key, const JsonbValue *old, const JsonbValue *new)
{
	bool		is_order = strcmp(key, "columns") == 0 &&
		(strcmp(comparison->kind, "table") == 0 || strcmp(comparison->kind, "type") == 0);

	if (are_same(old, new))
		return;
	if (is_order)
		compare_order(comparison, texts_of(old), texts_of(new));
	else
		add(comparison, "changed", key, value_text(old), value_text(new));
}

/* Name the columns that have moved among those that both have: as few as explain it. */
static void
compare_order(Comparison *comparison, List *before, List *after)
{
	List	   *stayed = only_those_in(before, after);
	List	   *stay = only_those_in(after, before);
	List	   *moved = list_moved(stayed, stay);

	if (moved != NIL)
		add(comparison, "changed", "order of columns", places_of(moved, stayed), places_of(moved, stay));
}

static void
add(Comparison *comparison, const char *change, const char *attribute,
	const char *old, const char *new)
{
	SchemaDifference *difference = palloc(sizeof(SchemaDifference));

	*difference = (SchemaDifference) {
		.change = change, .kind = comparison->kind, .object = comparison->object,
		.attribute = attribute, .old = old, .new = new
	};
	comparison->differences = lappend(comparison->differences, difference);
}

/* Is it part of something that its snapshot has and the other one does not? What neither lists, as an extension's table, hides nothing. */
static bool
is_part_of_whole(const char *kind, const char *object, const JsonbValue *attributes,
				 const Jsonb *own, const Jsonb *other)
{
	return is_only_in(dbops_schema_whole_of(kind, object), own, other) ||
		is_only_in(text_member(attributes, "table"), own, other) ||
		is_only_in(text_member(attributes, "constraint"), own, other) ||
		is_only_in(text_member(attributes, "publication"), own, other) ||
		is_only_in(text_member(attributes, "owned_by"), own, other);
}

static bool
is_only_in(const char *object, const Jsonb *own, const Jsonb *other)
{
	return object != NULL && has_whole(own, object) && !has_whole(other, object);
}

/* Does a snapshot have an object that others are part of? */

static bool
has_whole(const Jsonb *snapshot, const char *object)
{
	static const char *const kinds[] = {
		"table", "view", "materialized view", "type", "column", "constraint", "publication"
	};

	for (int i = 0; i < lengthof(kinds); i++)
	{
		JsonbValue	objects;
		JsonbValue	found;

		if (find_member(&snapshot->root, kinds[i], &objects) &&
			find_member(container_of(&objects), object, &found))
			return true;
	}
	return false;
}

static bool
find_member(const JsonbContainer *object, const char *key, JsonbValue *value)
{
	return object != NULL &&
		getKeyJsonValueFromContainer(unconstify(JsonbContainer *, object),
									 key, strlen(key), value) != NULL;
}

/* The table in the name of its part: all but the last name; or NULL for what is not a part. */
const char *
dbops_schema_whole_of(const char *kind, const char *object)
{
	static const char *const kinds[] = {"column", "constraint", "trigger", "policy", "rule"};
	bool		quoted = false;
	int			end = -1;
	bool		is_part = false;

	for (int i = 0; i < lengthof(kinds); i++)
		is_part |= (strcmp(kind, kinds[i]) == 0);
	for (int i = 0; is_part && object[i] != '\0'; i++)
	{
		quoted ^= (object[i] == '"');
		if (object[i] == '.' && !quoted)
			end = i;
	}
	return (end < 0) ? NULL : pnstrdup(object, end);
}

static const char *
text_member(const JsonbValue *attributes, const char *key)
{
	JsonbValue	value;

	if (!find_member(container_of(attributes), key, &value) || value.type != jbvString)
		return NULL;
	return pnstrdup(value.val.string.val, value.val.string.len);
}

/* Equal documents are stored as the same bytes, so that large ones are soon compared. */
static bool
are_same(const JsonbValue *old, const JsonbValue *new)
{
	if (old == NULL || new == NULL || old->type != new->type)
		return false;
	if (old->type == jbvBinary)
		return old->val.binary.len == new->val.binary.len &&
			memcmp(old->val.binary.data, new->val.binary.data, old->val.binary.len) == 0;
	return old->type == jbvNull || strcmp(value_text(old), value_text(new)) == 0;
}

/* The texts that are not in the longest sequence that two orders of the same have in common. */
static List *
list_moved(List *before, List *after)
{
	int			n = list_length(after);
	int		   *place = palloc(sizeof(int) * (n + 1));	/* of each in the other order */
	int		   *length = palloc(sizeof(int) * (n + 1)); /* of the longest sequence from there on */
	int			wanted = 0;
	int			last = -1;
	List	   *moved = NIL;

	for (int i = 0; i < n; i++)
		place[i] = place_of(before, list_nth(after, i));
	for (int i = n - 1; i >= 0; i--)
	{
		length[i] = 1;
		for (int j = i + 1; j < n; j++)
			if (place[j] > place[i])
				length[i] = Max(length[i], length[j] + 1);
		wanted = Max(wanted, length[i]);
	}
	for (int i = 0; i < n; i++)
	{
		if (length[i] == wanted && place[i] > last)
		{
			last = place[i];
			wanted--;
		}
		else
			moved = lappend(moved, list_nth(after, i));
	}
	return moved;
}

/* Where columns are, such as "a first, d after c". */
static char *
places_of(List *columns, List *order)
{
	StringInfoData text;
	ListCell   *cell;

	initStringInfo(&text);
	foreach(cell, columns)
	{
		int			place = place_of(order, lfirst(cell));

		appendStringInfo(&text, "%s%s ", text.len > 0 ? ", " : "", (char *) lfirst(cell));
		if (place == 0)
			appendStringInfoString(&text, "first");
		else
			appendStringInfo(&text, "after %s", (char *) list_nth(order, place - 1));
	}
	return text.data;
}

static List *
texts_of(const JsonbValue *array)
{
	const JsonbContainer *container = (array != NULL && array->type == jbvBinary) ? array->val.binary.data : NULL;
	List	   *texts = NIL;

	if (container == NULL || !JsonContainerIsArray(container))
		return NIL;
	for (int i = 0; i < JsonContainerSize(container); i++)
	{
		char	   *text = value_text(getIthJsonbValueFromContainer(unconstify(JsonbContainer *, container), i));

		texts = lappend(texts, text != NULL ? text : pstrdup("null"));
	}
	return texts;
}

static List *
only_those_in(List *texts, List *others)
{
	List	   *kept = NIL;
	ListCell   *cell;

	foreach(cell, texts)
		if (place_of(others, lfirst(cell)) >= 0)
			kept = lappend(kept, lfirst(cell));
	return kept;
}

/* Where among texts one stands, from 0; -1: it is not there. */
static int
place_of(List *texts, const char *text)
{
	ListCell   *cell;

	foreach(cell, texts)
		if (strcmp(lfirst(cell), text) == 0)
			return foreach_current_index(cell);
	return -1;
}

/* A value as people read it: an array as a list. */
static char *
value_text(const JsonbValue *value)
{
	StringInfoData text;
	ListCell   *cell;

	if (value == NULL || value->type == jbvNull)
		return NULL;
	if (value->type == jbvString)
		return pnstrdup(value->val.string.val, value->val.string.len);
	if (value->type == jbvBool)
		return pstrdup(value->val.boolean ? "true" : "false");
	if (value->type == jbvNumeric)
		return numeric_normalize(value->val.numeric);

	check_stack_depth();
	initStringInfo(&text);
	foreach(cell, texts_of(value))
		appendStringInfo(&text, "%s%s", text.len > 0 ? ", " : "", (char *) lfirst(cell));
	return text.data;
}

/* Call back for each key of two objects, either of which may be NULL, in order. */
static void
each_pair(Comparison *comparison, const JsonbContainer *old, const JsonbContainer *new,
		  PairCallback callback)
{
	Member		before;
	Member		after;

	begin_members(&before, old);
	begin_members(&after, new);
	while (!before.ended || !after.ended)
	{
		int			order = compare_keys(&before, &after);
		const JsonbValue *key = (order <= 0) ? &before.key : &after.key;

		callback(comparison, pnstrdup(key->val.string.val, key->val.string.len),
				 order <= 0 ? &before.value : NULL, order >= 0 ? &after.value : NULL);
		if (order <= 0)
			next_member(&before);
		if (order >= 0)
			next_member(&after);
	}
}

static void
begin_members(Member *member, const JsonbContainer *object)
{
	*member = (Member) {.ended = (object == NULL)};
	if (member->ended)
		return;
	member->iterator = JsonbIteratorInit(unconstify(JsonbContainer *, object));
	JsonbIteratorNext(&member->iterator, &member->key, false);
	next_member(member);
}

static void
next_member(Member *member)
{
	member->ended = JsonbIteratorNext(&member->iterator, &member->key, false) != WJB_KEY;
	if (!member->ended)
		JsonbIteratorNext(&member->iterator, &member->value, true);
}

/* Which of two keys comes first in jsonb: the shorter one; an object that has ended comes last. */
static int
compare_keys(const Member *old, const Member *new)
{
	int			old_length = old->key.val.string.len;
	int			new_length = new->key.val.string.len;

	if (old->ended || new->ended)
		return old->ended ? 1 : -1;
	if (old_length != new_length)
		return old_length < new_length ? -1 : 1;
	return memcmp(old->key.val.string.val, new->key.val.string.val, old_length);
}

/* The object that a value is; NULL if it is none. */
static const JsonbContainer *
container_of(const JsonbValue *value)
{
	if (value == NULL || value->type != jbvBinary || !JsonContainerIsObject(value->val.binary.data))
		return NULL;
	return value->val.binary.data;
}

/* In the order of the kinds, then of the names. */
static int
compare_differences(const ListCell *a, const ListCell *b)
{
	const SchemaDifference *x = lfirst(a);
	const SchemaDifference *y = lfirst(b);
	int			order = kind_rank(x->kind) - kind_rank(y->kind);

	if (order == 0)
		order = strcmp(x->object, y->object);
	if (order == 0 && x->attribute != NULL && y->attribute != NULL)
		order = strcmp(x->attribute, y->attribute);
	return order;
}

static int
kind_rank(const char *kind)
{
	const SchemaKind *const all[] = {
		dbops_schema_database, dbops_schema_objects, dbops_schema_tables
	};
	int			rank = 0;

	for (int i = 0; i < lengthof(all); i++)
		for (const SchemaKind *known = all[i]; known->name != NULL; known++, rank++)
			if (strcmp(known->name, kind) == 0)
				return rank;
	return rank;
}
