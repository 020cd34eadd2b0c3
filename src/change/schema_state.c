/*
 * schema_state.c
 *		What has become of the schema since a moment, without describing all of it.
 *
 * A trial compares the schema while it keeps others waiting. So a state has,
 * besides its document, the catalogs' snapshot of that moment: that tells
 * which objects may have changed since (schema_touched.c), and only these are
 * described again. Kinds of which there are few are always described whole.
 * Where anything may have been touched, or much was, all is described again.
 *
 * The document of a state that is built on another one of the same transaction
 * has what was touched in between; the rest is in that of its base.
 */
#include "change/migration.h"
#include "change/schema.h"

#include "utils/snapmgr.h"

struct SchemaState
{
	Snapshot	seen;			/* registered */
	const SchemaState *base;	/* has all that this has not; or NULL */
	SchemaTouched touched;		/* since the base */
	List	   *always;			/* numbers of objects that may change without being touched */
	Jsonb	   *document;
	List	   *numbers;		/* of SchemaNumbers *: of the document's objects */
};

static Jsonb *parts_of(const SchemaState *state, const SchemaTouched *touched);
static void push_kinds(JsonbParseState **parse, const SchemaKind *kinds,
					   const SchemaState *state, const SchemaTouched *touched);
static void push_objects(JsonbParseState **parse, const SchemaState *state, const char *kind,
						 const SchemaTouched *in, const SchemaTouched *but);
static const SchemaNumbers *numbers_of(const SchemaState *state, const char *kind);

/* Take the state of all schemas that are the users', built on another one or, without, as a whole. */
SchemaState *
dbops_schema_state_take(const SchemaState *base)
{
	SchemaState *state = palloc0(sizeof(SchemaState));

	state->seen = RegisterSnapshot(GetLatestSnapshot());
	state->touched.anything = true;
	if (base != NULL)
		state->touched = dbops_schema_touched(base->seen, base->always);
	if (!state->touched.anything)
		state->base = base;
	state->always = state->touched.anything ? dbops_schema_with_literals() : state->touched.numbers;
	state->document = dbops_schema_snapshot_some(&state->touched, &state->numbers);
	return state;
}

/* Let the server remove what only the state has seen. */
void
dbops_schema_state_release(SchemaState *state)
{
	UnregisterSnapshot(state->seen);
	state->seen = InvalidSnapshot;
}

/* Compare the schema with what it was, and say before that takes its time whether all of it has to be. */
List *
dbops_schema_state_compare(const SchemaState *before, bool *all)
{
	SchemaTouched touched = dbops_schema_touched(before->seen, before->always);
	List	   *numbers;

	*all |= touched.anything;
	return dbops_schema_compare(parts_of(before, &touched), dbops_schema_snapshot_some(&touched, &numbers));
}

/* What a state knows of the objects that were touched since, and of the kinds that are whole. */
static Jsonb *
parts_of(const SchemaState *state, const SchemaTouched *touched)
{
	JsonbParseState *parse = NULL;

	if (touched->anything && state->base == NULL)
		return state->document;
	pushJsonbValue(&parse, WJB_BEGIN_OBJECT, NULL);
	push_kinds(&parse, dbops_schema_tables, state, touched);
	push_kinds(&parse, dbops_schema_objects, state, touched);
	push_kinds(&parse, dbops_schema_database, state, touched);
	return JsonbValueToJsonb(pushJsonbValue(&parse, WJB_END_OBJECT, NULL));
}

static void
push_kinds(JsonbParseState **parse, const SchemaKind *kinds,
		   const SchemaState *state, const SchemaTouched *touched)
{
	for (const SchemaKind *kind = kinds; kind->name != NULL; kind++)
	{
		JsonbValue	key = {.type = jbvString};

		key.val.string.val = unconstify(char *, kind->name);
		key.val.string.len = strlen(kind->name);
		pushJsonbValue(parse, WJB_KEY, &key);
		pushJsonbValue(parse, WJB_BEGIN_OBJECT, NULL);
		if (state->base != NULL && kind->some_sql != NULL)
			push_objects(parse, state->base, kind->name, touched, &state->touched);
		push_objects(parse, state, kind->name, touched, NULL);
		pushJsonbValue(parse, WJB_END_OBJECT, NULL);
	}
}

/* Put the objects of a kind that are in one set and not in another; those without a number always. */
static void
push_objects(JsonbParseState **parse, const SchemaState *state, const char *kind,
			 const SchemaTouched *in, const SchemaTouched *but)
{
	const SchemaNumbers *numbers = numbers_of(state, kind);
	JsonbIterator *iterator;
	JsonbValue	objects;
	JsonbValue	value;

	if (getKeyJsonValueFromContainer(&state->document->root, kind, strlen(kind), &objects) == NULL)
		return;
	iterator = JsonbIteratorInit(objects.val.binary.data);
	JsonbIteratorNext(&iterator, &value, true);
	for (int i = 0; JsonbIteratorNext(&iterator, &value, true) == WJB_KEY; i++)
	{
		Oid			number = numbers->numbers[i];
		bool		wanted = !OidIsValid(number) ||
			(dbops_schema_is_touched(in, number) && (but == NULL || !dbops_schema_is_touched(but, number)));

		if (wanted)
			pushJsonbValue(parse, WJB_KEY, &value);
		JsonbIteratorNext(&iterator, &value, true);
		if (wanted)
			pushJsonbValue(parse, WJB_VALUE, &value);
	}
}

static const SchemaNumbers *
numbers_of(const SchemaState *state, const char *kind)
{
	ListCell   *cell;

	foreach(cell, state->numbers)
	{
		const SchemaNumbers *numbers = lfirst(cell);

		if (strcmp(numbers->kind, kind) == 0)
			return numbers;
	}
	return NULL;				/* there is no object of the kind */
}
