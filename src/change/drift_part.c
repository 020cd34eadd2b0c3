/*
 * drift_part.c
 *		A snapshot in parts, so that a migration writes only what it has touched.
 */
#include "change/drift.h"

/* An object on its way into its part. */
typedef struct Piece
{
	Oid			number;
	int			place;			/* in the document, kind by kind */
	JsonbValue	kind;
	JsonbValue	object;
	JsonbValue	attributes;
} Piece;

typedef struct Pieces
{
	Piece	   *pieces;
	int			count;
	int			capacity;
} Pieces;

static void take_kinds(Pieces *pieces, const Jsonb *document, const List *numbers);
static void take_objects(Pieces *pieces, JsonbValue *kind, const JsonbValue *objects, const SchemaNumbers *numbers);
static void add(Pieces *pieces, const Piece *piece);
static const SchemaNumbers *numbers_of(const List *numbers, const JsonbValue *kind);
static int	compare_pieces(const void *a, const void *b);
static DriftPart *make_part(const Piece *pieces, int count);
static const char *object_of(const Piece *pieces, int count);
static char *string_of(const JsonbValue *value);
static bool has_table(const JsonbValue *attributes);
static bool are_same(const JsonbValue *a, const JsonbValue *b);

/* Take a snapshot apart: of DriftPart *. */
List *
dbops_drift_parts(const Jsonb *document, const List *numbers)
{
	Pieces		pieces = {0};
	List	   *parts = NIL;

	take_kinds(&pieces, document, numbers);
	if (pieces.count > 0)
		qsort(pieces.pieces, pieces.count, sizeof(Piece), compare_pieces);
	for (int begin = 0, end; begin < pieces.count; begin = end)
	{
		for (end = begin + 1; end < pieces.count && pieces.pieces[end].number == pieces.pieces[begin].number; end++)
			;
		parts = lappend(parts, make_part(pieces.pieces + begin, end - begin));
	}
	return parts;
}

/* The number of the part that an object is in; InvalidOid: of kinds of which there are few, or of none. */
Oid
dbops_drift_number(const Jsonb *document, const List *numbers, const char *object)
{
	Pieces		pieces = {0};
	JsonbValue	wanted = {.type = jbvString};

	wanted.val.string.val = unconstify(char *, object);
	wanted.val.string.len = strlen(object);
	take_kinds(&pieces, document, numbers);
	for (int i = 0; i < pieces.count; i++)
		if (OidIsValid(pieces.pieces[i].number) && are_same(&pieces.pieces[i].object, &wanted))
			return pieces.pieces[i].number;
	return InvalidOid;
}

/* What is no object of objects says what the snapshot covers. */
static void
take_kinds(Pieces *pieces, const Jsonb *document, const List *numbers)
{
	JsonbIterator *iterator = JsonbIteratorInit(unconstify(JsonbContainer *, &document->root));
	JsonbValue	kind;
	JsonbValue	objects;

	JsonbIteratorNext(&iterator, &kind, true);
	while (JsonbIteratorNext(&iterator, &kind, true) == WJB_KEY)
	{
		JsonbIteratorNext(&iterator, &objects, true);
		if (objects.type == jbvBinary && JsonContainerIsObject(objects.val.binary.data))
			take_objects(pieces, &kind, &objects, numbers_of(numbers, &kind));
	}
}

static void
take_objects(Pieces *pieces, JsonbValue *kind, const JsonbValue *objects, const SchemaNumbers *numbers)
{
	JsonbIterator *iterator = JsonbIteratorInit(objects->val.binary.data);
	Piece		piece = {.kind = *kind};

	JsonbIteratorNext(&iterator, &piece.object, true);
	for (int i = 0; JsonbIteratorNext(&iterator, &piece.object, true) == WJB_KEY; i++)
	{
		JsonbIteratorNext(&iterator, &piece.attributes, true);
		piece.number = (numbers != NULL) ? numbers->numbers[i] : InvalidOid;
		piece.place = pieces->count;
		add(pieces, &piece);
	}
}

static void
add(Pieces *pieces, const Piece *piece)
{
	if (pieces->count == pieces->capacity)
	{
		Size		bytes;

		pieces->capacity = Max(pieces->capacity * 2, 1024);
		bytes = sizeof(Piece) * pieces->capacity;
		pieces->pieces = (pieces->pieces == NULL) ? palloc_extended(bytes, MCXT_ALLOC_HUGE) :
			repalloc_huge(pieces->pieces, bytes);
	}
	pieces->pieces[pieces->count++] = *piece;
}

static const SchemaNumbers *
numbers_of(const List *numbers, const JsonbValue *kind)
{
	ListCell   *cell;

	foreach(cell, numbers)
	{
		const SchemaNumbers *of_kind = lfirst(cell);

		if (strlen(of_kind->kind) == kind->val.string.len &&
			memcmp(of_kind->kind, kind->val.string.val, kind->val.string.len) == 0)
			return of_kind;
	}
	return NULL;
}

static int
compare_pieces(const void *a, const void *b)
{
	const Piece *one = a;
	const Piece *other = b;

	if (one->number != other->number)
		return one->number < other->number ? -1 : 1;
	return one->place - other->place;
}

/* The pieces are of one number, those of a kind behind each other. */
static DriftPart *
make_part(const Piece *pieces, int count)
{
	DriftPart  *part = palloc(sizeof(DriftPart));
	JsonbParseState *parse = NULL;

	CHECK_FOR_INTERRUPTS();
	pushJsonbValue(&parse, WJB_BEGIN_OBJECT, NULL);
	for (int i = 0; i < count; i++)
	{
		bool		begins = (i == 0 || !are_same(&pieces[i - 1].kind, &pieces[i].kind));

		if (begins && i > 0)
			pushJsonbValue(&parse, WJB_END_OBJECT, NULL);
		if (begins)
		{
			pushJsonbValue(&parse, WJB_KEY, unconstify(JsonbValue *, &pieces[i].kind));
			pushJsonbValue(&parse, WJB_BEGIN_OBJECT, NULL);
		}
		pushJsonbValue(&parse, WJB_KEY, unconstify(JsonbValue *, &pieces[i].object));
		pushJsonbValue(&parse, WJB_VALUE, unconstify(JsonbValue *, &pieces[i].attributes));
	}
	pushJsonbValue(&parse, WJB_END_OBJECT, NULL);
	part->number = pieces[0].number;
	part->object = OidIsValid(part->number) ? object_of(pieces, count) : "";
	part->document = JsonbValueToJsonb(pushJsonbValue(&parse, WJB_END_OBJECT, NULL));
	return part;
}

/* What the others of a part belong to. */
static const char *
object_of(const Piece *pieces, int count)
{
	for (int i = 0; i < count; i++)
	{
		const char *kind = string_of(&pieces[i].kind);
		const char *object = string_of(&pieces[i].object);

		if (dbops_schema_whole_of(kind, object) == NULL && !has_table(&pieces[i].attributes))
			return object;
	}
	return "";
}

static char *
string_of(const JsonbValue *value)
{
	return pnstrdup(value->val.string.val, value->val.string.len);
}

static bool
has_table(const JsonbValue *attributes)
{
	JsonbValue	table;

	return attributes->type == jbvBinary &&
		getKeyJsonValueFromContainer(attributes->val.binary.data, "table", strlen("table"), &table) != NULL;
}

static bool
are_same(const JsonbValue *a, const JsonbValue *b)
{
	return a->val.string.len == b->val.string.len &&
		memcmp(a->val.string.val, b->val.string.val, a->val.string.len) == 0;
}
