/*
 * relation_size.c
 *		How large a table is, without a lock.
 *
 * The server's own size functions lock the relation and so hang behind
 * anybody's ALTER TABLE; a report must not. The files are looked at as the
 * committed catalog names them. One that vanishes meanwhile counts as empty.
 *
 * Who looks at all relations reads the catalog once and asks by file: to look
 * each one up would leave an entry for it in the session's cache.
 */
#include "core/page_sample.h"

#include <sys/stat.h>

#include "access/htup_details.h"
#include "catalog/pg_class.h"
#include "common/relpath.h"
#include "miscadmin.h"
#include "utils/relmapper.h"
#include "utils/syscache.h"

static char *main_fork_path(const RelationFile *file);
static int64 segment_bytes(const char *path, int segment);

/* Add up the relation's main fork, in bytes; 0 where there is no storage. */
int64
dbops_relation_bytes(Oid relid)
{
	HeapTuple	tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(relid));
	Form_pg_class class;
	RelationFile file;

	if (!HeapTupleIsValid(tuple))
		return 0;
	class = (Form_pg_class) GETSTRUCT(tuple);
	file = (RelationFile)
	{
		.relation = relid,.number = class->relfilenode,.tablespace = class->reltablespace,.kind = class->relkind,
			.temporary = (class->relpersistence == RELPERSISTENCE_TEMP),.shared = class->relisshared
	};
	ReleaseSysCache(tuple);
	return dbops_file_bytes(&file);
}

/* The same of a file that is known. */
int64
dbops_file_bytes(const RelationFile *file)
{
	char	   *path = main_fork_path(file);
	int64		bytes = 0;
	int64		segment_size = (int64) RELSEG_SIZE * BLCKSZ;
	int64		last = segment_size;

	for (int segment = 0; path != NULL && last == segment_size; segment++)
	{
		CHECK_FOR_INTERRUPTS();
		last = segment_bytes(path, segment);
		bytes += last;
	}
	return bytes;
}

/* Name the first file of the relation; NULL where it has none. */
static char *
main_fork_path(const RelationFile *file)
{
	Oid			tablespace = OidIsValid(file->tablespace) ? file->tablespace : MyDatabaseTableSpace;
	Oid			number = file->number;

	if (!RELKIND_HAS_STORAGE(file->kind))
		return NULL;
	if (!OidIsValid(number))
		number = RelationMapOidToFilenumber(file->relation, file->shared);
	if (!OidIsValid(number))
		return NULL;
	return relation_path_string(GetRelationPath(file->shared ? InvalidOid : MyDatabaseId, tablespace, number,
												file->temporary ? ProcNumberForTempRelations() : INVALID_PROC_NUMBER,
												MAIN_FORKNUM));
}

static int64
segment_bytes(const char *path, int segment)
{
	struct stat status;
	const char *file = (segment == 0) ? path : psprintf("%s.%d", path, segment);

	if (stat(file, &status) == 0)
		return status.st_size;
	if (errno != ENOENT)
		ereport(ERROR,
				(errcode_for_file_access(),
				 errmsg("could not stat file \"%s\": %m", file)));
	return 0;
}
