/*
 * backfill_proof.c
 *		What a backfill can say about the rows at its end.
 *
 * The proof is the last count: a query, the WAL position before its snapshot
 * was taken, and what it read. What was committed before that position was
 * counted; what comes after is right if something has been making it so since
 * before the walk: a trigger, or the application.
 */
#include "change/change.h"

#include "access/transam.h"
#include "access/xact.h"
#include "access/xlog.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/lsyscache.h"
#include "utils/pg_lsn.h"

static void put_point(DbopsJson *json, const char *key, const BackfillPoint *point);
static void take_point(BackfillPoint *point, const Jsonb *object, const char *key);
static const char *lsn_text(XLogRecPtr lsn);
static char *proof_query(const BackfillRun *run);
static char *by_key(const BackfillRun *run);
static char *by_blocks(const BackfillRun *run);

/* Note where the server is now. with_xid: and which transaction this is. */
void
dbops_backfill_note_point(BackfillPoint *point, bool with_xid)
{
	point->lsn = GetXLogInsertRecPtr();
	point->at = dbops_clock_now();
	point->xid = with_xid ? U64FromFullTransactionId(GetTopFullTransactionId()) : 0;
}

/* Keep what is known of them for a process that takes over. */
void
dbops_backfill_put_points(DbopsJson *json, const BackfillRun *run)
{
	put_point(json, "counted_at", &run->counted_at);
	put_point(json, "covered_since", &run->covered_since);
	dbops_json_integer(json, "counted_tables", run->counted_tables);
	dbops_json_integer(json, "counted_blocks", run->counted_blocks);
	dbops_json_boolean(json, "clearing", run->clearing);
	dbops_json_text(json, "gap", run->gap);
	dbops_json_text(json, "came", run->came);
}

void
dbops_backfill_take_points(BackfillRun *run, const Jsonb *position)
{
	take_point(&run->counted_at, position, "counted_at");
	take_point(&run->covered_since, position, "covered_since");
	run->counted_tables = dbops_jsonb_integer(position, "counted_tables");
	run->counted_blocks = dbops_jsonb_integer(position, "counted_blocks");
	run->clearing = dbops_jsonb_boolean(position, "clearing");
	run->gap = dbops_jsonb_text(position, "gap");
	run->came = dbops_jsonb_text(position, "came");
}

static void
put_point(DbopsJson *json, const char *key, const BackfillPoint *point)
{
	if (point->at == 0)
	{
		dbops_json_null(json, key);
		return;
	}
	dbops_json_object(json, key);
	dbops_json_text(json, "lsn", lsn_text(point->lsn));
	dbops_json_time(json, "at", point->at);
	if (point->xid != 0)
		dbops_json_integer(json, "xid", point->xid);
	dbops_json_object_end(json);
}

static void
take_point(BackfillPoint *point, const Jsonb *object, const char *key)
{
	const Jsonb *member = dbops_jsonb_document(object, key);
	bool		failed;

	if (member == NULL)
		return;
	point->lsn = pg_lsn_in_internal(dbops_jsonb_text(member, "lsn"), &failed);
	point->at = DatumGetTimestampTz(DirectFunctionCall3(timestamptz_in,
														CStringGetDatum(dbops_jsonb_text(member, "at")),
														ObjectIdGetDatum(InvalidOid), Int32GetDatum(-1)));
	point->xid = dbops_jsonb_integer(member, "xid");
}

static const char *
lsn_text(XLogRecPtr lsn)
{
	return psprintf("%X/%X", LSN_FORMAT_ARGS(lsn));
}

/* The proof as a member of the job's result; null where no count found none. */
void
dbops_backfill_put_proof(DbopsJson *json, const BackfillRun *run)
{
	if (!run->request.verify || run->pending + run->unfilled > 0)
	{
		dbops_json_null(json, "proof");
		return;
	}
	dbops_json_object(json, "proof");
	dbops_json_text(json, "query", proof_query(run));
	dbops_json_text(json, "search_path", run->change->path);
	dbops_json_text(json, "lsn", lsn_text(run->counted_at.lsn));
	dbops_json_time(json, "at", run->counted_at.at);
	dbops_json_integer(json, "tables", run->counted_tables);
	dbops_json_integer(json, "blocks", run->counted_blocks);
	if (run->gap == NULL)
		put_point(json, "covered_since", &run->covered_since);
	else
		dbops_json_null(json, "covered_since");
	dbops_json_object_end(json);
}

/* The count as one statement, for who wants to repeat it. */
static char *
proof_query(const BackfillRun *run)
{
	const BackfillChange *change = run->change;
	char	   *name = get_rel_name(run->request.relid);

	if (name == NULL)
		return NULL;
	return psprintf("SELECT count(*) FROM %s AS %s WHERE (%s) AND (%s)",
					quote_qualified_identifier(get_namespace_name(get_rel_namespace(run->request.relid)), name),
					change->alias, change->matches, change->pending);
}

/* What holds for rows that others have written meanwhile, in a sentence or two. */
char *
dbops_backfill_meanwhile(const BackfillRun *run)
{
	char	   *text = (run->request.method == BACKFILL_KEYSET) ? by_key(run) : by_blocks(run);

	return (run->came == NULL) ? text : psprintf("%s %s", text, run->came);
}

static char *
by_key(const BackfillRun *run)
{
	if (run->gap != NULL)
		return psprintf("The trigger of table %s was dropped or disabled on the way, so rows written meanwhile may be missing or have been changed twice.",
						run->gap);
	if (run->request.sync || run->request.app_writes)
		return by_blocks(run);
	return "Rows inserted meanwhile are as they were inserted.";
}

/*
 * The trigger does nothing while the table or a column is not what it was, and
 * that is not seen if it is changed back: only a count makes sure.
 */
static char *
by_blocks(const BackfillRun *run)
{
	const char *since = lsn_text(run->covered_since.lsn);
	bool		proved = run->request.verify && run->pending + run->unfilled == 0;
	char	   *proof = proved ? psprintf("No row was left at WAL position %s. ", lsn_text(run->counted_at.lsn)) : "";

	if (run->gap != NULL)
		return psprintf("%sThe trigger of table %s was dropped or disabled on the way, so rows written meanwhile may be missing.",
						proof, run->gap);
	if (run->request.sync && !run->request.verify)
		return psprintf("A trigger was to make right what was written from %s until the end; whether any row is missing was not verified.",
						since);
	if (run->request.sync)
		return psprintf("%sA trigger has made right what was written from %s until the end.", proof, since);
	if (run->request.app_writes)
		return psprintf("%sThe application makes right what is written; transactions from before had ended at %s.", proof, since);
	if (run->request.kept)
		return psprintf("%sRows written meanwhile are right by what the change has put in place.", proof);
	return psprintf("%sRows written %s may be missing.", proof, proved ? "since" : "meanwhile");
}
