/*
 * board.c
 *		What was found when it was last looked at, for whoever asks next.
 *
 * The launcher judges what can be read from memory and a scheduler what needs
 * the catalogs of its database; both put their findings here, so that a report
 * need not judge again, and everybody is told the same and since when. Findings
 * of one database and one reach are a sheet, which is replaced as a whole. The
 * cluster's are those of database 0.
 *
 * Of each finding there is a note: how grave it is and since when. What is read
 * again from here, which is what needs catalogs, has its texts besides, those of
 * what is not ok before the others: when there is no room for all, what is ok
 * can do without. Texts are cut to a length that is sensible.
 */
#include "observe/board.h"
#include "observe/board_memory.h"
#include "observe/shared_text.h"

#include "common/hashfn.h"
#include "lib/stringinfo.h"

#define OBJECT_BYTES	DBOPS_OBJECT_BYTES
#define TEXT_BYTES		1024
#define DATA_BYTES		2048	/* more are left out */
#define SHEET_BYTES		(256 * 1024)	/* of more only the notes are kept */

/* Which texts a finding has, in the first byte of them. */
#define HAS_OBJECT		0x01
#define HAS_REMEDY		0x02

StaticAssertDecl(MAX_CHECKS <= 256, "the number of a check fits a note");

static bool needs_text(const DbopsFinding *finding);
static void add_findings(const List *findings, bool first, const BoardBytes *before, TimestampTz now, bool texts,
						 BoardNote *notes, int *n, StringInfo text);
static TimestampTz since_of(const DbopsFinding *finding, const BoardBytes *before);
static const BoardNote *find_note(const BoardBytes *sheet, const DbopsFinding *finding);
static uint32 hash_key(const char *key);
static void put_text(StringInfo text, const DbopsFinding *finding);
static void put_string(StringInfo text, const char *string, Size bytes);
static DbopsFinding *read_finding(const BoardNote *note, const char *text);
static void read_text(DbopsFinding *finding, const char *text, int bytes);
static int	by_severity_and_key(const ListCell *a, const ListCell *b);

/* Ask for the shared memory. */
void
dbops_board_init(void)
{
	dbops_board_memory_init();
}

/* ---- putting ---- */

/* Replace what stands there of a database and a reach. */
void
dbops_board_put(Oid database, DbopsCheckReach reach, uint64 settings, const List *findings)
{
	TimestampTz now = dbops_clock_now();
	bool		texts = (reach == DBOPS_REACH_CATALOG);
	BoardBytes	before = {0};
	BoardBytes	sheet = {.judged_at = now,.settings = settings};
	BoardNote  *notes = palloc(sizeof(BoardNote) * (list_length(findings) + 1));
	StringInfoData text;
	int			notes_bytes;

	(void) dbops_board_memory_get(database, reach, false, &before);
	initStringInfo(&text);
	add_findings(findings, true, &before, now, texts, notes, &sheet.n_notes, &text);
	notes_bytes = list_length(findings) * sizeof(BoardNote);
	sheet.needed = notes_bytes + text.len;
	add_findings(findings, false, &before, now, texts, notes, &sheet.n_notes, &text);
	sheet.whole = notes_bytes + text.len;
	sheet.n = (sheet.whole > SHEET_BYTES) ? notes_bytes : sheet.whole;
	sheet.bytes = palloc(sheet.whole + 1);
	memcpy(sheet.bytes, notes, notes_bytes);
	memcpy(sheet.bytes + notes_bytes, text.data, text.len);
	dbops_board_memory_put(database, reach, &sheet);
}

/* Add those whose texts must be there, or the others. */
static void
add_findings(const List *findings, bool first, const BoardBytes *before, TimestampTz now, bool texts,
			 BoardNote *notes, int *n, StringInfo text)
{
	ListCell   *cell;

	foreach(cell, findings)
	{
		const DbopsFinding *finding = lfirst(cell);
		TimestampTz since = since_of(finding, before);
		int			start = text->len;

		if (needs_text(finding) != first)
			continue;
		if (texts)
			put_text(text, finding);
		notes[(*n)++] = (BoardNote)
		{
			.since = (since != 0) ? since : now,
			.key = hash_key(finding->key),
			.text_bytes = text->len - start,
			.check = dbops_check_number(finding->check),
			.severity = finding->severity
		};
	}
}

/* Must its texts be there for it to be told? Of what is ok nobody asks more, unless it is about an object. */
static bool
needs_text(const DbopsFinding *finding)
{
	return finding->severity != DBOPS_OK || finding->object != NULL;
}

/* Since when it is of its severity, by what stood there; 0: that is new. */
static TimestampTz
since_of(const DbopsFinding *finding, const BoardBytes *before)
{
	const BoardNote *note = find_note(before, finding);

	return (note != NULL && note->severity == finding->severity) ? note->since : 0;
}

/* NULL: there is none. */
static const BoardNote *
find_note(const BoardBytes *sheet, const DbopsFinding *finding)
{
	const BoardNote *notes = (const BoardNote *) sheet->bytes;
	int			check = dbops_check_number(finding->check);
	uint32		key = hash_key(finding->key);

	for (int i = 0; i < sheet->n_notes; i++)
		if (notes[i].key == key && notes[i].check == check)
			return &notes[i];
	return NULL;
}

static uint32
hash_key(const char *key)
{
	return hash_bytes((const unsigned char *) key, strlen(key));
}

static void
put_text(StringInfo text, const DbopsFinding *finding)
{
	appendStringInfoChar(text, (finding->object != NULL ? HAS_OBJECT : 0) | (finding->remedy != NULL ? HAS_REMEDY : 0));
	put_string(text, finding->object == NULL ? NULL : dbops_text_fit(finding->object, OBJECT_BYTES), OBJECT_BYTES);
	put_string(text, finding->message, TEXT_BYTES);
	put_string(text, finding->remedy, TEXT_BYTES);
	if (finding->data != NULL && VARSIZE(finding->data) <= DATA_BYTES)
		appendBinaryStringInfo(text, (const char *) finding->data, VARSIZE(finding->data));
}

/* With its end; NULL is empty. */
static void
put_string(StringInfo text, const char *string, Size bytes)
{
	if (string != NULL)
		appendBinaryStringInfo(text, string, dbops_text_clip(string, bytes - 1));
	appendStringInfoChar(text, '\0');
}

/* ---- reading ---- */

/* Give what stands there of a database and a reach. */
void
dbops_board_read(Oid database, DbopsCheckReach reach, BoardSheet *sheet)
{
	BoardBytes	bytes;
	const BoardNote *notes;
	int			place;

	*sheet = (BoardSheet) {0};
	if (!dbops_board_memory_get(database, reach, true, &bytes) || bytes.n < bytes.needed)
		return;
	sheet->judged_at = bytes.judged_at;
	sheet->settings = bytes.settings;
	sheet->whole = (bytes.n == bytes.whole);
	notes = (const BoardNote *) bytes.bytes;
	place = bytes.n_notes * sizeof(BoardNote);
	for (int i = 0; i < bytes.n_notes; i++)
	{
		bool		there = (notes[i].text_bytes > 0 && place + notes[i].text_bytes <= bytes.n);

		sheet->findings = lappend(sheet->findings, read_finding(&notes[i], there ? bytes.bytes + place : NULL));
		place += notes[i].text_bytes;
	}
	list_sort(sheet->findings, by_severity_and_key);
}

/* One whose texts have given way is ok, and is that check's only one. */
static DbopsFinding *
read_finding(const BoardNote *note, const char *text)
{
	DbopsFinding *finding = palloc0(sizeof(DbopsFinding));

	finding->check = dbops_check_at(note->check);
	finding->check_name = finding->check->name;
	finding->severity = note->severity;
	finding->since = note->since;
	finding->message = "nothing is wrong";
	if (text != NULL)
		read_text(finding, text, note->text_bytes);
	finding->key = dbops_finding_key(finding->check_name, finding->object);
	return finding;
}

static void
read_text(DbopsFinding *finding, const char *text, int bytes)
{
	const char *object = text + 1;
	const char *message = object + strlen(object) + 1;
	const char *remedy = message + strlen(message) + 1;
	const char *data = remedy + strlen(remedy) + 1;
	int			data_bytes = text + bytes - data;

	finding->object = (text[0] & HAS_OBJECT) ? dbops_shared_text_get(object) : NULL;
	finding->message = dbops_shared_text_get(message);
	finding->remedy = (text[0] & HAS_REMEDY) ? dbops_shared_text_get(remedy) : NULL;
	if (data_bytes > 0)
		finding->data = memcpy(palloc(data_bytes), data, data_bytes);
}

static int
by_severity_and_key(const ListCell *a, const ListCell *b)
{
	const DbopsFinding *left = lfirst(a);
	const DbopsFinding *right = lfirst(b);

	if (left->severity != right->severity)
		return (left->severity > right->severity) ? -1 : 1;
	return strcmp(left->key, right->key);
}

TimestampTz
dbops_board_since(Oid database, const DbopsFinding *finding)
{
	BoardBytes	notes;

	if (!dbops_board_memory_get(database, finding->check->reach, false, &notes))
		return 0;
	return since_of(finding, &notes);
}
