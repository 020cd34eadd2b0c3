/*
 * retention_position.c
 *		What a job of retention keeps of its run, so that another process can go
 *		on where a step has ended.
 */
#include "maintain/retention_run.h"

void
dbops_retention_position_save(RetentionRun *run, DbopsStep *step)
{
	DbopsJson	json = {0};
	ListCell   *cell;

	dbops_json_object(&json, NULL);
	dbops_json_integer(&json, "cutoff", run->cutoff);
	dbops_json_integer(&json, "began", run->began);
	dbops_json_decimal(&json, "expected", run->expected);
	dbops_json_decimal(&json, "most", run->most);
	dbops_json_integer(&json, "rows", run->rows);
	dbops_json_integer(&json, "partitions", run->partitions);
	dbops_json_integer(&json, "left", run->left);
	dbops_json_integer(&json, "rest", run->rest);
	dbops_json_integer(&json, "kept", run->kept);
	dbops_json_boolean(&json, "exact", run->exact);
	dbops_json_integer(&json, "passes_before", run->passes_before);
	dbops_json_integer(&json, "passes", run->passes);
	dbops_json_integer(&json, "of_round", run->of_round);
	dbops_json_integer(&json, "since_vacuum", run->since_vacuum);
	dbops_json_decimal(&json, "work", run->work);
	dbops_json_text(&json, "stopped", run->stopped);
	dbops_json_integer(&json, "next_leaf", run->next_leaf);
	dbops_json_integer(&json, "storage", run->walk.leaf != NULL ? run->walk.leaf->filenode : InvalidOid);
	dbops_json_integer(&json, "at", run->walk.at);
	dbops_json_boolean(&json, "by_blocks", run->walk.leaf != NULL && !OidIsValid(run->walk.leaf->index));
	dbops_json_array(&json, "left_out");
	foreach(cell, run->left_out)
		dbops_json_integer(&json, NULL, lfirst_oid(cell));
	dbops_json_array_end(&json);
	step->position = dbops_json_finish(&json);
}

void
dbops_retention_position_take(RetentionRun *run, const Jsonb *position)
{
	int64	   *left_out;
	int			n = dbops_jsonb_integers(position, "left_out", &left_out);

	run->cutoff = dbops_jsonb_integer(position, "cutoff");
	run->began = dbops_jsonb_integer(position, "began");
	run->expected = dbops_jsonb_decimal(position, "expected");
	run->most = dbops_jsonb_decimal(position, "most");
	run->rows = dbops_jsonb_integer(position, "rows");
	run->partitions = dbops_jsonb_integer(position, "partitions");
	run->left = dbops_jsonb_integer(position, "left");
	run->rest = dbops_jsonb_integer(position, "rest");
	run->kept = dbops_jsonb_integer(position, "kept");
	run->exact = dbops_jsonb_boolean(position, "exact");
	run->passes_before = dbops_jsonb_integer(position, "passes_before");
	run->passes = dbops_jsonb_integer(position, "passes");
	run->of_round = dbops_jsonb_integer(position, "of_round");
	run->since_vacuum = dbops_jsonb_integer(position, "since_vacuum");
	run->work = dbops_jsonb_decimal(position, "work");
	run->stopped = dbops_jsonb_text(position, "stopped");
	run->next_leaf = dbops_jsonb_integer(position, "next_leaf");
	run->taken_leaf = run->next_leaf;
	run->taken_storage = dbops_jsonb_integer(position, "storage");
	run->taken_at = dbops_jsonb_integer(position, "at");
	run->taken_by_blocks = dbops_jsonb_boolean(position, "by_blocks");
	for (int i = 0; i < n; i++)
		run->left_out = lappend_oid(run->left_out, left_out[i]);
}
