/*
 * migration_review.c
 *		What the schema review finds before a migration and after it.
 *
 * review_schema() is called as any user of it would, with the caller's rights;
 * who may not call it is told so, and the migration is checked all the same. A
 * finding is known by its key, so that one whose figures have changed is the same.
 */
#include "change/migration_plan.h"

#include "utils/timestamp.h"

/* Of a key with its end. */
#define KEY_BYTES	(DBOPS_CHECK_NAME_BYTES + DBOPS_OBJECT_BYTES + 1)

static void take(void *arg);
static void take_finding(HeapTuple row, TupleDesc desc, void *arg);
static DbopsSeverity severity_named(const char *name);
static List *only_among(const List *findings, const MigrationReview *review, bool has);
static void put_all(ReturnSetInfo *rsinfo, const List *findings, const char *state);

/* Review the schema as it is now, in this transaction. */
MigrationReview *
dbops_migration_review_take(void)
{
	MigrationReview *review = palloc0(sizeof(MigrationReview));
	TimestampTz begin = GetCurrentTimestamp();
	ErrorData  *error;

	if (!dbops_attempt(take, review, &error))
		review->error = error->message;
	review->duration = (GetCurrentTimestamp() - begin) / 1000.0;
	return review;
}

/* Of what is muted, and could not be judged, nothing comes and goes. */
static void
take(void *arg)
{
	(void) dbops_query_each("SELECT check_name, severity, object, message, remedy, key FROM dbops.review_schema()"
							" WHERE severity <> 'unknown' AND NOT data ? 'muted_until'",
							0, NULL, take_finding, arg);
}

static void
take_finding(HeapTuple row, TupleDesc desc, void *arg)
{
	MigrationReview *review = arg;
	DbopsFinding *finding = palloc0(sizeof(DbopsFinding));

	finding->check_name = dbops_row_text(row, desc, 1);
	finding->severity = severity_named(dbops_row_text(row, desc, 2));
	finding->object = dbops_row_text(row, desc, 3);
	finding->message = dbops_row_text(row, desc, 4);
	finding->remedy = dbops_row_text(row, desc, 5);
	finding->key = dbops_row_text(row, desc, 6);
	review->findings = lappend(review->findings, finding);
}

static DbopsSeverity
severity_named(const char *name)
{
	int			severity = DBOPS_CRITICAL;

	while (severity > DBOPS_OK && strcmp(dbops_severity_name(severity), name) != 0)
		severity--;
	return severity;
}

/*
 * Put what has come with a migration that is undone again, and what has gone. A
 * finding that is there now, or is not, as the second review had it has come or
 * gone with what others have committed between the two.
 */
void
dbops_migration_review_compare(ReturnSetInfo *rsinfo, const MigrationReview *before, const MigrationReview *after)
{
	List	   *added = only_among(after->findings, before, false);
	List	   *removed = only_among(before->findings, after, false);
	const MigrationReview *now;

	if (added == NIL && removed == NIL)
		return;
	now = dbops_migration_review_take();
	if (now->error != NULL)
		now = before;
	put_all(rsinfo, only_among(added, now, false), "finding added");
	put_all(rsinfo, only_among(removed, now, true), "finding removed");
}

/* List those of some findings that a review has, or has not. */
static List *
only_among(const List *findings, const MigrationReview *review, bool has)
{
	HASHCTL		control = {.keysize = KEY_BYTES,.entrysize = KEY_BYTES,.hcxt = CurrentMemoryContext};
	HTAB	   *keys = hash_create("dbops findings", 256, &control, HASH_ELEM | HASH_STRINGS | HASH_CONTEXT);
	List	   *found = NIL;
	ListCell   *cell;

	foreach(cell, review->findings)
		(void) hash_search(keys, ((DbopsFinding *) lfirst(cell))->key, HASH_ENTER, NULL);
	foreach(cell, findings)
		if ((hash_search(keys, ((DbopsFinding *) lfirst(cell))->key, HASH_FIND, NULL) != NULL) == has)
			found = lappend(found, lfirst(cell));
	hash_destroy(keys);
	return found;
}

static void
put_all(ReturnSetInfo *rsinfo, const List *findings, const char *state)
{
	ListCell   *cell;

	foreach(cell, findings)
		dbops_migration_review_put(rsinfo, lfirst(cell), state);
}

/* Put a finding of the review that the migration adds or removes. */
void
dbops_migration_review_put(ReturnSetInfo *rsinfo, const DbopsFinding *finding, const char *state)
{
	DbopsJson	json = {0};
	MigrationReceipt row = {MIGRATION_RECEIPT,.direction = "up",.state = state};

	dbops_json_object(&json, NULL);
	dbops_json_text(&json, "rule", finding->check_name);
	dbops_json_text(&json, "severity", dbops_severity_name(finding->severity));
	if (finding->object != NULL)
		dbops_json_text(&json, "relation", finding->object);
	dbops_json_text(&json, "key", finding->key);
	row.objects = dbops_json_finish(&json);
	row.flags = list_make1(unconstify(char *, dbops_severity_name(finding->severity)));
	row.message = psprintf("%s: %s%s%s", finding->check_name, finding->object != NULL ? finding->object : "",
						   finding->object != NULL ? ": " : "", finding->message);
	if (finding->remedy != NULL)
		row.notices = list_make1(unconstify(char *, finding->remedy));
	dbops_migration_receipt_put(rsinfo, &row);
}
