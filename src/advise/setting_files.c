/*
 * setting_files.c
 *		What the configuration files say now, and whether the server has read it.
 *
 * The server tells neither which of its values came from a file as it is now, nor
 * in what a session differs from it, since a session has the values of its role,
 * database and connection in their place. Both are told from the files, and from
 * when they were changed: the kernel's time of change cannot be set, as that of the
 * content is by whoever copies a file.
 */
#include "advise/setting_review.h"

#include <sys/stat.h>

#include "utils/guc.h"
#include "utils/timestamp.h"

/* The last line counts, whatever capitals the name is in. */
#define LINES \
	"SELECT DISTINCT ON (lower(f.name)) f.name, f.setting, format('line %s of %s', f.sourceline, regexp_replace(f.sourcefile, '^.*/', '')), f.error IS NOT NULL, f.sourcefile " \
	"FROM pg_show_all_file_settings() f WHERE f.name IS NOT NULL ORDER BY lower(f.name), f.seqno DESC"

/* A value that is wrong spoils its own line only, an error of another kind everything. */
#define BROKEN \
	"WITH f AS MATERIALIZED (SELECT * FROM pg_show_all_file_settings()) " \
	"SELECT format('line %s of %s', f.sourceline, coalesce(regexp_replace(f.sourcefile, '^.*/', ''), 'the files')) FROM f " \
	"WHERE f.error IS NOT NULL AND NOT EXISTS (SELECT FROM f other WHERE other.applied) ORDER BY f.seqno LIMIT 1"

static void take_line(HeapTuple row, TupleDesc desc, void *arg);
static bool was_changed(const char *path);

/* Read them, as the extension's owner. */
const SettingFiles *
dbops_setting_files_read(void)
{
	SettingFiles *files = palloc0(sizeof(SettingFiles));

	(void) dbops_store_each(LINES, 0, NULL, take_line, files);
	files->broken = dbops_store_text(BROKEN, 0, NULL);
	return files;
}

static void
take_line(HeapTuple row, TupleDesc desc, void *arg)
{
	SettingFiles *files = arg;
	SettingLine *line = palloc(sizeof(SettingLine));

	line->name = dbops_row_text(row, desc, 1);
	line->value = dbops_row_text(row, desc, 2);
	line->place = dbops_row_text(row, desc, 3);
	line->wrong = dbops_row_bool(row, desc, 4);
	line->newer = was_changed(dbops_row_text(row, desc, 5));
	files->lines = lappend(files->lines, line);
}

/* Was a file changed since this process, and so the server, has read it? */
static bool
was_changed(const char *path)
{
	struct stat status;
	TimestampTz changed;

	if (path == NULL || stat(path, &status) != 0)
		return false;
	changed = time_t_to_timestamptz(status.st_ctim.tv_sec) + status.st_ctim.tv_nsec / 1000;
	return changed > PgReloadTime;
}

/* The line that counts of a setting; NULL: there is none. */
const SettingLine *
dbops_setting_line(const SettingFiles *files, const char *name)
{
	ListCell   *cell;

	foreach(cell, files->lines)
	{
		const SettingLine *line = lfirst(cell);

		if (pg_strcasecmp(line->name, name) == 0)
			return line;
	}
	return NULL;
}
