/*
 * migration_checksum.c
 *		Is this the text that another tool has applied?
 *
 * Of a migration that was imported the ledger has no text, but where the tool
 * has kept a checksum, it can tell whether a text that is given later is the
 * same: SHA-256 of all bytes, or flyway's CRC-32 of the lines without their ends.
 * psql drops the line end that a file ends with when it reads one into a variable;
 * that makes no other text of it.
 */
#include "change/migration.h"

#include "catalog/pg_type.h"
#include "common/sha2.h"
#include "port/pg_bswap.h"
#include "utils/builtins.h"
#include "utils/pg_crc.h"

#define BYTE_ORDER_MARK "\xEF\xBB\xBF"

static bool fits(const bytea *checksum, const char *sql);
static bool is_sha256(const bytea *checksum, const char *sql);
static uint32 flyway_checksum(const char *sql);
static uint32 read_number(const char *bytes);

/* Hold a text against the checksum that the ledger has of a migration. */
ChecksumFit
dbops_migration_checksum_fit(const char *project, const char *version, const char *sql)
{
	DbopsParam	params[] = {dbops_param_text(project), dbops_param_text(version)};
	Datum		checksum;

	if (!dbops_store_value("SELECT checksum FROM dbops.migration WHERE project = $1 AND version = $2",
						   lengthof(params), params, BYTEAOID, &checksum))
		return CHECKSUM_UNKNOWN;
	return fits(DatumGetByteaPP(checksum), sql) ? CHECKSUM_FITS : CHECKSUM_DIFFERS;
}

/* What can be said of a text that is given again for a migration of which the ledger has none. */
char *
dbops_migration_describe_unknown(const Migration *known, const char *sql)
{
	switch (dbops_migration_checksum_fit(known->project, known->version, sql))
	{
		case CHECKSUM_FITS:
			return psprintf("It comes from %s, and the text has the checksum that was kept there.", known->origin);
		case CHECKSUM_DIFFERS:
			return psprintf("It comes from %s, and the text does not have the checksum that was kept there: it may say something else than what was applied.",
							known->origin);
		case CHECKSUM_UNKNOWN:
			break;
	}
	return psprintf("It comes from %s; the text that was applied is not known.", known->origin);
}

static bool
fits(const bytea *checksum, const char *sql)
{
	if (VARSIZE_ANY_EXHDR(checksum) == PG_SHA256_DIGEST_LENGTH)
		return is_sha256(checksum, sql) || is_sha256(checksum, psprintf("%s\n", sql));
	return VARSIZE_ANY_EXHDR(checksum) == sizeof(uint32) &&
		read_number(VARDATA_ANY(checksum)) == flyway_checksum(sql);
}

static bool
is_sha256(const bytea *checksum, const char *sql)
{
	bytea	   *actual = DatumGetByteaPP(DirectFunctionCall1(sha256_bytea, CStringGetTextDatum(sql)));

	return memcmp(VARDATA_ANY(checksum), VARDATA_ANY(actual), PG_SHA256_DIGEST_LENGTH) == 0;
}

/* As flyway computes it: whatever ends a line, and a byte order mark, do not count. */
static uint32
flyway_checksum(const char *sql)
{
	pg_crc32	crc;

	if (strncmp(sql, BYTE_ORDER_MARK, strlen(BYTE_ORDER_MARK)) == 0)
		sql += strlen(BYTE_ORDER_MARK);
	INIT_TRADITIONAL_CRC32(crc);
	while (*sql != '\0')
	{
		size_t		length = strcspn(sql, "\r\n");

		COMP_TRADITIONAL_CRC32(crc, sql, length);
		sql += length + strspn(sql + length, "\r\n");
	}
	FIN_TRADITIONAL_CRC32(crc);
	return crc;
}

/* A number as int4send writes it. */
static uint32
read_number(const char *bytes)
{
	uint32		number;

	memcpy(&number, bytes, sizeof(number));
	return pg_ntoh32(number);
}
